//! What was found in a policy, and the parts of it that several checks look through.

use super::places::Places;
use crate::code::Code;
use crate::document::{ApprovalRules, Condition, Entry, ToolRules};
use crate::model::Severity;
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

pub(super) struct Lints<'p> {
    pub places: &'p Places<'p>,
    pub found: Vec<Lint>,
}

impl Lints<'_> {
    pub fn add(&mut self, code: Code, severity: Severity, pointer: &str, message: String, help: Option<String>) {
        let (pointer, place) = self.places.nearest(pointer);
        let (least, worst) = code.severities();
        debug_assert!(least <= severity && severity <= worst, "{code} is never {severity:?}");
        self.found.push(Lint { code, severity, pointer, place, message, help });
    }

    pub fn sorted(mut self) -> Vec<Lint> {
        self.found.sort_by(|a, b| (a.place, a.code, &a.message).cmp(&(b.place, b.code, &b.message)));
        self.found.dedup();
        self.found
    }
}

/// A list of entries with where it stands and which way it decides.
#[derive(Clone, Copy)]
pub(super) struct EntryList<'d> {
    /// `/tools/NAME` or `/all_tools`.
    pub at: &'d str,
    pub list: &'static str,
    pub entries: &'d [Entry],
}

impl<'d> EntryList<'d> {
    pub fn both(at: &'d str, require: &'d [Entry], deny_if: &'d [Entry]) -> [Self; 2] {
        [Self { at, list: "require", entries: require }, Self { at, list: "deny_if", entries: deny_if }]
    }

    pub fn is_require(&self) -> bool {
        self.list == "require"
    }

    /// Each condition with its pointer.
    pub fn conditions(self) -> impl Iterator<Item = (String, &'d Condition)> {
        self.entries.iter().enumerate().flat_map(move |(index, entry)| {
            let conditions = entry.conditions.iter().enumerate();
            conditions
                .map(move |(at, condition)| (format!("{}/{}/{index}/conditions/{at}", self.at, self.list), condition))
        })
    }
}

/// The conditions of `approval.when`, with their pointers.
pub(super) fn when<'d>(at: &'d str, rules: &'d ToolRules) -> impl Iterator<Item = (String, &'d Condition)> {
    let conditions = rules.approval.iter().flat_map(|approval: &ApprovalRules| approval.when.iter().enumerate());
    conditions.map(move |(index, condition)| (format!("{at}/approval/when/{index}"), condition))
}

/// The pointer of a tool's rules.
pub(super) fn tool_pointer(name: &str) -> String {
    format!("/tools/{}", crate::json::escape_token(name))
}
