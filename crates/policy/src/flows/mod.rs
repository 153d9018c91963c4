//! Rules about the course of a session: after calls of some kinds of tools, calls of others want a person, or are refused.

mod course;
mod pledge;
mod seen;

pub use course::{COURSE_KEPT_MS, Course, CourseAt, CourseKey, CourseStore, Mark, News};
pub use pledge::{BadPledge, PLEDGE_BYTES_MAX, PLEDGE_TOOLS_MAX, Pledge};
pub use seen::{RESULT_BYTES_MAX, SeenWords};

use super::json::{self, Json, Node};
use super::window::{Window, utc};
use super::word::{Flow, FlowAction, Word, Words};
use crate::mcp::envelope::{PLEDGE_MEMBER, ToolCall};
use crate::text::excerpt;

/// How long a call counts where there are no sessions, if the flow does not say, in seconds.
const WITHIN_SECONDS_DEFAULT: u32 = 3600;
/// Longest that a call can count where there are no sessions, in seconds: a week.
pub const WITHIN_SECONDS_MAX: u32 = 7 * 86_400;
/// Life of a question that a flow asks, in seconds.
pub(crate) const QUESTION_SECONDS: u64 = 300;

/// A flow ready to judge calls.
#[derive(Debug)]
pub(crate) struct FlowRule {
    /// `/flows/ID`.
    pub id: String,
    after: Words,
    then: Words,
    pub action: FlowAction,
    seen: bool,
    within_s: u64,
    reason: Option<String>,
}

/// How long a call counts where there are no sessions, in seconds.
pub(crate) fn within_seconds(written: Option<&str>) -> u64 {
    let seconds = match written.and_then(Window::parse) {
        Some(Window::Span(seconds)) => seconds.get(),
        Some(_) | None => WITHIN_SECONDS_DEFAULT,
    };
    u64::from(seconds)
}

/// What the flows say of one tool.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// The flows that a call of it may fall under, by their places.
    sinks: Box<[usize]>,
    /// What a call of it leaves in the course of a session.
    pub leaves: Words,
    /// The same, of what its answers leave.
    pub notes: Words,
    /// Whether a flow may ask a person about a call of it.
    pub asks: bool,
}

impl FlowRule {
    pub fn new(id: String, flow: &Flow) -> Self {
        Self {
            id,
            after: flow.after.iter().copied().collect(),
            then: flow.then.iter().copied().collect(),
            action: flow.action,
            seen: flow.seen,
            within_s: within_seconds(flow.within.as_deref()),
            reason: flow.reason.clone(),
        }
    }

    /// What a session must have called.
    pub fn after(&self) -> impl Iterator<Item = Word> {
        self.after.iter()
    }

    /// Whether it goes by what tools have returned.
    pub const fn wants_answers(&self) -> bool {
        self.seen
    }

    /// `a person is asked after untrusted_content`
    pub fn in_words(&self) -> String {
        let after: Vec<&str> = self.after.iter().map(|word| word.as_str()).collect();
        let what = match self.action {
            FlowAction::RequireApproval => "a person is asked",
            FlowAction::Deny => "refused",
        };
        let seen = if self.seen { " if it names what that returned" } else { "" };
        format!("{what} after {}{seen}", after.join(" and "))
    }

    /// The call after which this one falls under the flow, in words; `None` if it does not.
    pub fn fires(
        &self,
        course: CourseAt<'_>,
        server: &str,
        arguments: Option<&Node<'_>>,
        call: &ToolCall,
    ) -> Option<String> {
        let marks: Option<Vec<(Word, &Mark)>> =
            self.after.iter().map(|word| Some((word, course.mark(word, self.within_s)?))).collect();
        let marks = marks?;
        if self.seen {
            let in_arguments = arguments.is_some_and(|arguments| names(arguments, self.after, course.course));
            if !in_arguments && !call.params().is_some_and(|params| names_beside(params, self.after, course.course)) {
                return None;
            }
        }
        let calls: Vec<String> = marks
            .iter()
            .map(|(word, mark)| {
                let of = if *mark.server == *server {
                    String::new()
                } else {
                    format!(" of `{}`", excerpt(&mark.server, 60))
                };
                let at = utc(crate::clock::Timestamp::from_millis(mark.first));
                let time = at.get(11..16).unwrap_or_default();
                format!("`{}`{of} at {time} UTC ({})", excerpt(&mark.tool, 60), word.as_str())
            })
            .collect();
        let named = if self.seen { ", and this call names what stood in its answer" } else { "" };
        let what = match (&self.reason, self.action) {
            (Some(reason), _) => reason.as_str(),
            (None, FlowAction::RequireApproval) => "a call of this tool now needs a person's approval",
            (None, FlowAction::Deny) => "calls of this tool are refused from then on",
        };
        Some(format!("{what}: this session has called {}{named}", calls.join(" and ")))
    }
}

impl Following {
    /// What these flows say of a tool with these words.
    pub fn of(flows: &[FlowRule], words: Words) -> Self {
        let is_sink = |flow: &&FlowRule| !flow.then.and(words).is_empty();
        let all = |wanted: fn(&FlowRule) -> bool| {
            flows.iter().filter(|flow| wanted(flow)).fold(Words::default(), |all, flow| all.or(flow.after.and(words)))
        };
        Self {
            sinks: (0..flows.len()).filter(|at| is_sink(&&flows[*at])).collect(),
            leaves: all(|_| true),
            notes: all(|flow| flow.seen),
            asks: flows.iter().filter(is_sink).any(|flow| flow.action == FlowAction::RequireApproval),
        }
    }

    /// The flows that a call may fall under.
    pub fn sinks<'p>(&self, flows: &'p [FlowRule]) -> impl Iterator<Item = &'p FlowRule> {
        self.sinks.iter().filter_map(|at| flows.get(*at))
    }

    /// Whether a call may fall under any flow.
    pub fn is_sink(&self) -> bool {
        !self.sinks.is_empty()
    }
}

/// Whether a value of a call's arguments stood in what tools with one of these words have returned.
fn names(arguments: &Node<'_>, words: Words, course: &Course) -> bool {
    match &arguments.json {
        Json::String(text) => course.has_seen(words, text),
        Json::Number(text) => course.has_seen(words, text),
        Json::Array(items) => items.iter().any(|item| names(item, words, course)),
        Json::Object(members) => {
            members.iter().any(|member| course.has_seen(words, &member.name) || names(&member.value, words, course))
        }
        Json::Null | Json::Bool(_) => false,
    }
}

/// The same of what stands in a call's `params` beside the arguments, but for what the protocol and the gateway say there.
fn names_beside(params: &str, words: Words, course: &Course) -> bool {
    // What cannot be read may name anything.
    let Ok(params) = json::parse(params, json::ARGUMENTS_DEPTH_MAX + 2) else { return true };
    let members = |node: &'_ Node<'_>, is_known: &dyn Fn(&str) -> bool| match &node.json {
        Json::Object(members) => {
            members.iter().any(|member| !is_known(&member.name) && names(&member.value, words, course))
        }
        _ => names(node, words, course),
    };
    let of_protocol =
        |name: &str| name == "progressToken" || name == PLEDGE_MEMBER || name.starts_with("io.modelcontextprotocol/");
    members(&params, &|name| matches!(name, "name" | "arguments" | "_meta"))
        || params.get("_meta").is_some_and(|meta| members(meta, &of_protocol))
}
