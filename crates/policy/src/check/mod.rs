//! What a valid policy gets wrong all the same: by itself, and against the tools that it is for.

mod limits;
mod places;
mod portable;
mod rules;
mod tools;

pub use places::Places;

use super::compiled::Policy;
use super::document::{ApprovalRules, Condition, Entry, ToolRules};
use crate::code::Code;
use crate::model::{Severity, ToolDefinition, Verdict};
use crate::problem::Place;

/// Something about a policy that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// What kind of mistake it is.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// JSON Pointer of the part of the policy.
    pub pointer: String,
    /// Where that part begins and ends, if the text was given.
    pub place: Option<(Place, Place)>,
    /// A lower-case fragment.
    pub message: String,
    /// The next step.
    pub help: Option<String>,
}

/// A tool to check against, with its class if it is known.
pub type Subject<'t> = (&'t ToolDefinition, Option<&'t Verdict>);

/// Looks a policy over; with `tools` also against the server's tools. Findings come in the order of the text.
pub fn check(policy: &Policy, places: &Places<'_>, tools: Option<&[Subject<'_>]>) -> Vec<Lint> {
    let mut lints = Lints { places, found: Vec::new() };
    rules::check(policy, &mut lints);
    limits::check(policy, &mut lints);
    if let Some(tools) = tools {
        tools::check(policy, tools, &mut lints);
    }
    lints.sorted()
}

/// Every part of a policy that means nothing to the hosted gateway that the format comes from.
pub fn check_portable(policy: &Policy, places: &Places<'_>) -> Vec<Lint> {
    let mut lints = Lints { places, found: Vec::new() };
    portable::check(policy.document(), &mut lints);
    lints.sorted()
}

struct Lints<'p> {
    places: &'p Places<'p>,
    found: Vec<Lint>,
}

impl Lints<'_> {
    fn add(&mut self, code: Code, severity: Severity, pointer: &str, message: String, help: Option<String>) {
        let (pointer, place) = self.places.nearest(pointer);
        let (least, worst) = code.severities();
        debug_assert!(least <= severity && severity <= worst, "{code} is never {severity:?}");
        self.found.push(Lint { code, severity, pointer, place, message, help });
    }

    fn sorted(mut self) -> Vec<Lint> {
        self.found.sort_by(|a, b| (a.place, a.code, &a.message).cmp(&(b.place, b.code, &b.message)));
        self.found.dedup();
        self.found
    }
}

/// A list of entries with where it stands and which way it decides.
#[derive(Clone, Copy)]
struct EntryList<'d> {
    /// `/tools/NAME` or `/all_tools`.
    at: &'d str,
    list: &'static str,
    entries: &'d [Entry],
}

impl<'d> EntryList<'d> {
    fn both(at: &'d str, require: &'d [Entry], deny_if: &'d [Entry]) -> [Self; 2] {
        [Self { at, list: "require", entries: require }, Self { at, list: "deny_if", entries: deny_if }]
    }

    fn is_require(&self) -> bool {
        self.list == "require"
    }

    /// Each condition with its pointer.
    fn conditions(self) -> impl Iterator<Item = (String, &'d Condition)> {
        self.entries.iter().enumerate().flat_map(move |(index, entry)| {
            let conditions = entry.conditions.iter().enumerate();
            conditions
                .map(move |(at, condition)| (format!("{}/{}/{index}/conditions/{at}", self.at, self.list), condition))
        })
    }
}

/// The conditions of `approval.when`, with their pointers.
fn when<'d>(at: &'d str, rules: &'d ToolRules) -> impl Iterator<Item = (String, &'d Condition)> {
    let conditions = rules.approval.iter().flat_map(|approval: &ApprovalRules| approval.when.iter().enumerate());
    conditions.map(move |(index, condition)| (format!("{at}/approval/when/{index}"), condition))
}

/// The pointer of a tool's rules.
fn tool_pointer(name: &str) -> String {
    format!("/tools/{}", super::json::escape_token(name))
}

#[cfg(test)]
mod tests;
