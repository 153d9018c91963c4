//! What a valid policy gets wrong all the same: by itself, and against the tools that it is for.

mod limits;
mod places;
mod portable;
mod rules;
mod tools;

pub use places::Places;

use super::compiled::Policy;
use super::document::{Approval, Condition, Entry, ToolRules};
use crate::model::{Severity, ToolDefinition, Verdict};
use crate::problem::Place;

/// Something about a policy that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Which check: a stable word of [`CHECKS`].
    pub check: &'static str,
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

/// Every check with what it means, in the order of names.
pub const CHECKS: &[(&str, &str)] = &[
    ("always-denied", "no call can pass, because two rules contradict each other"),
    ("danger-allowed", "a tool that deletes, moves money or runs code is allowed without any rule"),
    ("denylist-in-require", "a requirement says what is not allowed, so a value of any other type passes"),
    ("hidden-and-listed", "a tool is hidden and has rules, which are never read"),
    ("invalid-policy", "the file is not a policy"),
    ("limit-never-bites", "another limit is reached first, always"),
    ("not-portable", "this part means nothing to the hosted gateway that the format comes from"),
    ("optional-argument", "a refusal looks at an argument that a caller may leave out"),
    ("regex-unanchored", "an expression matches anywhere in the text"),
    ("rule-never-read", "an earlier rule always decides first"),
    ("schema-unusable", "the tool's input schema cannot be used to check arguments"),
    ("shadow-mode", "decisions are logged and not enforced"),
    ("type-never-compares", "the argument's declared type is none that the operator compares"),
    ("unknown-argument", "the tool has no such argument"),
    ("unknown-tool", "the server has no such tool"),
    ("unmentioned-tool", "the server has a tool that the policy does not mention"),
    ("value-never-occurs", "the argument's declared values do not include this one"),
];

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
    fn add(&mut self, check: &'static str, severity: Severity, pointer: &str, message: String, help: Option<String>) {
        let (pointer, place) = self.places.nearest(pointer);
        self.found.push(Lint { check, severity, pointer, place, message, help });
    }

    fn sorted(mut self) -> Vec<Lint> {
        self.found.sort_by(|a, b| (a.place, a.check, &a.message).cmp(&(b.place, b.check, &b.message)));
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
    let conditions = rules.approval.iter().flat_map(|approval: &Approval| approval.when.iter().enumerate());
    conditions.map(move |(index, condition)| (format!("{at}/approval/when/{index}"), condition))
}

/// The pointer of a tool's rules.
fn tool_pointer(name: &str) -> String {
    format!("/tools/{}", super::json::escape_token(name))
}

#[cfg(test)]
mod tests;
