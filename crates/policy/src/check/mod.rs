//! What a valid policy gets wrong all the same: by itself, and against the tools that it is for.

mod findings;
mod flows;
mod limits;
mod lints;
mod offers;
mod places;
mod portable;
mod rules;
mod tools;

pub use findings::{open_finding, open_offer_finding};
pub use lints::Lint;
pub use places::Places;

use lints::Lints;

use super::compiled::Policy;
use crate::generate::OfferSubject;
use crate::model::{ExtraKind, ToolDefinition, Verdict};

/// A tool to check against, with its class if it is known.
pub type Subject<'t> = (&'t ToolDefinition, Option<&'t Verdict>);

/// What servers offer, for a policy to be checked against.
#[derive(Clone, Copy, Debug)]
pub struct Against<'t> {
    /// Their tools.
    pub tools: &'t [Subject<'t>],
    /// What they list beside tools.
    pub offers: &'t [OfferSubject<'t>],
    /// The kinds of which all servers have listed everything.
    pub listed: &'t [ExtraKind],
}

/// Looks a policy over, by itself and against what servers offer. Findings come in the order of the text.
pub fn check(policy: &Policy, places: &Places<'_>, against: Option<&Against<'_>>) -> Vec<Lint> {
    let mut lints = Lints { places, found: Vec::new() };
    rules::check(policy, &mut lints);
    limits::check(policy, &mut lints);
    flows::alone(policy, &mut lints);
    offers::alone(policy, &mut lints);
    if let Some(against) = against {
        tools::check(policy, against.tools, &mut lints);
        flows::against(policy, against.tools, &mut lints);
        offers::against(policy, against, &mut lints);
    }
    lints.sorted()
}

/// Every part of a policy that means nothing to the hosted gateway that the format comes from.
pub fn check_portable(policy: &Policy, places: &Places<'_>) -> Vec<Lint> {
    let mut lints = Lints { places, found: Vec::new() };
    portable::check(policy.document(), &mut lints);
    lints.sorted()
}

#[cfg(test)]
mod tests;
