//! Tests of a policy: calls with the decisions that the owner expects, kept beside the policy.

mod generate;

pub use generate::generate_cases;

use super::beside::Beside;
use super::compiled::Policy;
use super::document::{Offers, UnknownMethods};
use super::doors::Opening;
use super::flows::{CourseStore, News, Pledge, SeenWords};
use super::gate::{Decision, Request, gate};
use super::json;
use super::judge::{Caller, Facts};
use super::schema::ArgumentSchema;
use super::store::{ApprovalStore, LimitStore, StoreError};
use super::window::parse_utc;
use crate::clock::Timestamp;
use crate::mcp::envelope::ToolCall;
use crate::model::ToolName;
use crate::problem::{Place, Problem};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

/// Most repetitions of one call in a case.
pub const REPEAT_MAX: u32 = 10_000;
/// Largest file of cases, in bytes: many cases for each rule of the largest policy.
pub const CASES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// When calls are made if a case does not say: a time like any other, so that a test gives the same result every day.
const TIME: &str = "2026-01-01T00:00:00Z";

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Expectation {
    /// It passes.
    Allow,
    /// It is refused.
    Deny,
    /// A person is asked.
    Ask,
}

impl Expectation {
    /// The word in a file of cases.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

impl TryFrom<String> for Expectation {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        let known = [Self::Allow, Self::Deny, Self::Ask].into_iter().find(|it| it.as_str() == word);
        known.ok_or_else(|| {
            format!("`{}` is no verdict: a case expects `allow`, `deny` or `ask`", crate::text::excerpt(&word, 40))
        })
    }
}

/// One call, or one question about something beside tools, and what is expected of it. Each case starts with empty
/// counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows.
    pub name: String,
    /// The tool that is called; this, or one of the next three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The URI of the resource that is read, or the template that is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The name of the prompt that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A method that no revision of the protocol knows, or by which a server asks something of its client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The arguments as JSON; absent: the call has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<String>,
    /// The grant [default: `local`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The session [default: `test`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Calls that went on in the session before, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<EarlierCall>,
    /// The only tools that the session has pledged to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pledge: Option<Vec<String>>,
    /// How often the call is made; the last one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<u32>,
    /// What becomes of it.
    pub expect: Expectation,
    /// The rule that decides; not compared if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// A call that went on in a case's session before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlierCall {
    /// The tool.
    pub tool: String,
    /// What it returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<String>,
}

/// What really became of a case's call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// What became of it.
    pub decision: Expectation,
    /// Id of the rule that decided.
    pub rule: String,
    /// What the model would be told.
    pub message: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCases {
    #[serde(default)]
    case: Vec<toml::Spanned<Case>>,
}

/// Reads a file of cases. `file` is what the problems call it.
///
/// # Errors
/// The file is no TOML of cases, or a case has arguments or a time that cannot be read: all of these at once.
pub fn parse_cases(text: &str, file: &str) -> Result<Vec<Case>, Vec<Problem>> {
    let problem = |at: Option<usize>, pointer: String, message: String, help: Option<String>| Problem {
        file: file.to_owned(),
        place: at.map(|at| Place::of_offset(text, at)),
        pointer,
        message,
        help,
    };
    if text.len() > CASES_BYTES_MAX {
        let message = format!("a file of cases has at most {CASES_BYTES_MAX} bytes");
        return Err(vec![problem(None, String::new(), message, None)]);
    }
    let wire: WireCases = toml::from_str(text).map_err(|error| {
        vec![problem(error.span().map(|span| span.start), String::new(), error.message().to_owned(), None)]
    })?;
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    for (index, spanned) in wire.case.into_iter().enumerate() {
        let start = spanned.span().start;
        let case = spanned.into_inner();
        let at = |member: &str| format!("/case/{index}/{member}");
        if let Err(message) = case.subject() {
            problems.push(problem(Some(start), at("tool"), format!("`{}`: {message}", case.name), None));
        }
        if let Some(Err(error)) = case.args.as_deref().map(|args| json::parse(args, json::ARGUMENTS_DEPTH_MAX)) {
            let message = format!("the arguments of `{}` are not JSON: {}", case.name, error.message);
            problems.push(problem(Some(start), at("args"), message, Some("write JSON in single quotes".to_owned())));
        }
        if let Some(None) = case.at.as_deref().map(parse_utc) {
            let help = "write UTC: `2026-11-23T09:30:00Z`".to_owned();
            problems.push(problem(Some(start), at("at"), format!("the time of `{}` is none", case.name), Some(help)));
        }
        if case.repeat.is_some_and(|times| times == 0 || times > REPEAT_MAX) {
            let message = format!("`repeat` is an integer from 1 to {REPEAT_MAX}");
            problems.push(problem(Some(start), at("repeat"), message, None));
        }
        cases.push(case);
    }
    if problems.is_empty() { Ok(cases) } else { Err(problems) }
}

/// Runs one case with counters that nobody else uses. Arguments count as satisfying the tool's input schema.
pub fn run_case(
    policy: &Policy,
    case: &Case,
    limits: &dyn LimitStore,
    approvals: &dyn ApprovalStore,
    courses: &dyn CourseStore,
) -> CaseResult {
    let tool = match case.subject() {
        Ok(Asked::Tool(tool)) => tool,
        Ok(Asked::Beside(question)) => return run_beside(policy, question),
        Err(message) => {
            return CaseResult { decision: Expectation::Deny, rule: String::new(), message: Some(message) };
        }
    };
    let caller = Caller {
        server: Arc::from("test"),
        grant: Some(Arc::from(case.grant.as_deref().unwrap_or("local"))),
        session: Some(Arc::from(case.session.as_deref().unwrap_or("test"))),
        course: None,
        pledge: None,
    };
    let now = parse_utc(case.at.as_deref().unwrap_or(TIME)).unwrap_or(Timestamp::from_millis(0));
    // What a schema says is not what the policy is tested for.
    let anything = ArgumentSchema::compile(&serde_json::Value::Bool(true)).ok();
    let server = || caller.server.to_string();
    let pledge = case.pledge.as_ref().map(|tools| Pledge::of_tools(tools.iter().map(|tool| (server(), tool.clone()))));
    let facts = Facts { schema: anything.as_ref(), pledge: pledge.as_ref(), ..Facts::default() };
    for earlier in &case.before {
        if let Err(error) = went_on(policy, &caller, earlier, courses, now) {
            return CaseResult { decision: Expectation::Deny, rule: String::new(), message: Some(error.to_string()) };
        }
    }
    let mut result = CaseResult { decision: Expectation::Deny, rule: String::new(), message: None };
    for _ in 0..case.repeat.unwrap_or(1) {
        let call = ToolCall::synthetic(ToolName::new(tool), case.args.clone());
        result = match gate(policy, limits, approvals, courses, now, Request { caller: &caller, call, facts }) {
            Decision::Allow(permit) => match permit.would_deny() {
                // Shadow mode forwards, but the rules have decided all the same.
                Some(denial) => CaseResult {
                    decision: Expectation::Deny,
                    rule: denial.rule.clone(),
                    message: Some(denial.message.clone()),
                },
                None => CaseResult { decision: Expectation::Allow, rule: permit.rule().to_owned(), message: None },
            },
            Decision::Deny(denial) => {
                CaseResult { decision: Expectation::Deny, rule: denial.rule, message: Some(denial.message) }
            }
            Decision::Ask(pending) => {
                CaseResult { decision: Expectation::Ask, rule: pending.rule, message: Some(pending.message) }
            }
        };
    }
    result
}

/// Notes a call that went on, and what it returned.
fn went_on(
    policy: &Policy,
    caller: &Caller,
    earlier: &EarlierCall,
    courses: &dyn CourseStore,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(rules) = policy.rules_of(&earlier.tool) else { return Ok(()) };
    let (key, following) = (caller.course_key(), &rules.following);
    courses.grow(now, &key, &News::Called { words: following.leaves, server: &caller.server, tool: &earlier.tool })?;
    if let Some(returned) = earlier.returned.as_ref().filter(|_| !following.notes.is_empty()) {
        let answer = serde_json::Value::from(returned.as_str()).to_string();
        courses.grow(now, &key, &News::Returned(&SeenWords::of(following.notes, &answer)))?;
    }
    Ok(())
}

fn run_beside(policy: &Policy, question: Beside<'_>) -> CaseResult {
    let result = |decision, rule: &str, message| CaseResult { decision, rule: rule.to_owned(), message };
    match question.door().map(|door| policy.opening(door)) {
        Ok(Opening::Open(rule)) => result(Expectation::Allow, rule, None),
        // As over stdio, where the client is asked.
        Ok(Opening::Unsaid) => result(Expectation::Allow, "(default)", None),
        Ok(Opening::Closed(denial)) => result(Expectation::Deny, &denial.rule, Some(denial.message)),
        Err(message) => result(Expectation::Deny, "", Some(message)),
    }
}

/// What a case asks about.
enum Asked<'c> {
    Tool(&'c str),
    Beside(Beside<'c>),
}

impl Case {
    /// What the case asks about: exactly one thing.
    fn subject(&self) -> Result<Asked<'_>, String> {
        let beside = [
            self.resource.as_deref().map(Beside::Resource),
            self.prompt.as_deref().map(Beside::Prompt),
            self.method.as_deref().map(Beside::Method),
        ];
        let mut asked = self.tool.as_deref().map(Asked::Tool).into_iter();
        let mut asked = asked.by_ref().chain(beside.into_iter().flatten().map(Asked::Beside));
        let (Some(first), None) = (asked.next(), asked.next()) else {
            return Err("a case asks about one `tool`, `resource`, `prompt` or `method`".to_owned());
        };
        if let Asked::Beside(question) = &first {
            question.door()?;
            let of_calls = [self.args.is_some(), self.grant.is_some(), self.session.is_some(), self.at.is_some()];
            if of_calls.contains(&true) || self.repeat.is_some() {
                return Err("only a call of a tool has `args`, `grant`, `session`, `at` and `repeat`".to_owned());
            }
        }
        Ok(first)
    }

    /// Whether a result is what was expected.
    pub fn agrees(&self, result: &CaseResult) -> bool {
        self.expect == result.decision && self.rule.as_ref().is_none_or(|rule| *rule == result.rule)
    }
}

/// The rules of a policy that decided none of these results, in the order of their ids.
pub fn unexercised<'p>(policy: &'p Policy, results: &[CaseResult]) -> BTreeSet<&'p str> {
    let tools = policy.tools.values().chain([&policy.everything]);
    let rules = tools.flat_map(|tool| {
        let entries = tool.require.iter().chain(&tool.deny_if).map(|rule| rule.id.as_str());
        let approval = tool.approval.iter().map(|approval| approval.id.as_str());
        let flows = tool.following.sinks(&policy.flows).map(|flow| flow.id.as_str());
        entries.chain(approval).chain(flows).chain(tool.counters.iter().map(|counter| counter.rule.as_str()))
    });
    let document = policy.document();
    let offers = [
        (&document.resources, ["/resources", "/resources/allow", "/resources/hide"]),
        (&document.prompts, ["/prompts", "/prompts/allow", "/prompts/hide"]),
    ];
    let beside = offers.into_iter().flat_map(|(written, [whole, allow, hide])| match written {
        None => Vec::new(),
        Some(Offers::All(_)) => vec![whole],
        Some(Offers::Some(lists)) => {
            let there = [(lists.allow.is_some(), allow), (!lists.hide.is_empty(), hide)];
            there.into_iter().filter_map(|(there, rule)| there.then_some(rule)).collect()
        }
    });
    let client = &document.client;
    let others = [
        (client.sampling.is_some(), "/client/sampling"),
        (client.elicitation.is_some(), "/client/elicitation"),
        (client.roots.is_some(), "/client/roots"),
        (matches!(&document.unknown_methods, Some(UnknownMethods::Some(_))), "/unknown_methods"),
    ];
    let others = others.into_iter().filter_map(|(there, rule)| there.then_some(rule));
    let rules = rules.chain(beside).chain(others);
    let decided: BTreeSet<&str> = results.iter().map(|result| result.rule.as_str()).collect();
    rules.filter(|rule| !decided.contains(rule)).collect()
}

/// Cases as the text of a TOML file.
pub fn print_cases(cases: &[Case]) -> String {
    let mut out = String::from(
        "# Calls and what the policy makes of them. Run them with `mcpol policy test`.\n\
         # Each case starts with empty counters; `repeat` makes the call so often, and the last one counts.\n",
    );
    for case in cases {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let _ = writeln!(out, "\n[[case]]\nname = {}", quoted(&case.name));
        let members = [
            ("tool", &case.tool),
            ("resource", &case.resource),
            ("prompt", &case.prompt),
            ("method", &case.method),
            ("args", &case.args),
            ("grant", &case.grant),
            ("session", &case.session),
            ("at", &case.at),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                let _ = writeln!(out, "{name} = {}", quoted(value));
            }
        }
        if let Some(times) = case.repeat {
            let _ = writeln!(out, "repeat = {times}");
        }
        if !case.before.is_empty() {
            let call = |earlier: &EarlierCall| {
                let returned = earlier.returned.as_deref().map(|text| format!(", returned = {}", quoted(text)));
                format!("{{ tool = {}{} }}", quoted(&earlier.tool), returned.unwrap_or_default())
            };
            let _ = writeln!(out, "before = [{}]", case.before.iter().map(call).collect::<Vec<_>>().join(", "));
        }
        if let Some(pledge) = &case.pledge {
            let tools: Vec<String> = pledge.iter().map(|tool| quoted(tool)).collect();
            let _ = writeln!(out, "pledge = [{}]", tools.join(", "));
        }
        let _ = writeln!(out, "expect = {}", quoted(case.expect.as_str()));
        if let Some(rule) = &case.rule {
            let _ = writeln!(out, "rule = {}", quoted(rule));
        }
    }
    out
}
