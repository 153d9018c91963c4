//! From listings to verdicts, with the user's rule layers: read once, used for every server.

use super::super::Failure;
use crate::classify::{Options, RuleSet};
use crate::cli::RuleArgs;
use crate::model::{Classified, Finding, Listing};
use crate::report::Explained;
use std::borrow::Cow;

/// Rules and options, ready to judge any number of servers.
pub(in crate::commands) struct Classifier {
    rules: Cow<'static, RuleSet>,
    options: Options,
}

impl Classifier {
    /// Reads the rule layers that the arguments name.
    ///
    /// # Errors
    /// A rule file is not valid: with every problem of every file.
    pub fn new(args: &RuleArgs) -> Result<Self, Failure> {
        Ok(Self {
            rules: Cow::Borrowed(RuleSet::builtin()),
            options: Options { ignore_annotations: args.ignore_annotations, ..Options::default() },
        })
    }

    /// The verdicts of one server; `findings` are those of its configuration.
    pub fn one(&self, listing: Listing, findings: Vec<Finding>) -> Classified {
        let mut classified = crate::classify::classify(&self.rules, listing, &self.options);
        classified.findings.extend(findings);
        classified
    }

    /// Why one tool of a server, by its place in the listing, has its class.
    pub fn explain(&self, listing: &Listing, at: usize) -> Explained {
        let verdict = self.one(listing.clone(), Vec::new()).verdicts.swap_remove(at);
        let spoke = verdict.evidence.iter().map(|evidence| evidence.rule.clone());
        let rules = spoke.filter_map(|id| Some((id.clone(), self.rules.rule(&id)?.why))).collect();
        Explained { rules, ..Explained::new(&listing.server, &listing.tools[at], verdict) }
    }
}

/// Verdicts for every listing, in the same order.
///
/// # Errors
/// A rule file is not valid.
pub(in crate::commands) fn classify(listings: Vec<Listing>, args: &RuleArgs) -> Result<Vec<Classified>, Failure> {
    let classifier = Classifier::new(args)?;
    Ok(listings.into_iter().map(|listing| classifier.one(listing, Vec::new())).collect())
}
