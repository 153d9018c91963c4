//! A decision with every step that led to it: the same code as the gate, with someone looking on.

use super::compiled::Policy;
use super::condition::{Outcome, Stance, Test, Truth, phrase};
use super::denial::{Denial, DenialCode};
use super::document::{Offers, Operator};
use super::doors::{Door, Opening};
use super::gate::full;
use super::judge::{Bill, Caller, Facts, Judgement, Step, Watcher, judge_watched};
use super::store::{LimitStore, StoreError};
use crate::clock::Timestamp;
use crate::mcp::envelope::ToolCall;
use crate::mcp::protocol::Offer;
use serde::Serialize;

/// Longest quote of a value from the call, in characters.
const FOUND_CHARS_MAX: usize = 80;

/// How one step of a decision went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// The call went on.
    Passed,
    /// The call was refused here.
    Denied,
    /// A person is asked here.
    Asked,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TraceStep {
    /// What was looked at, in words.
    pub step: &'static str,
    /// Id of the rule.
    pub rule: String,
    /// How it went.
    pub outcome: StepOutcome,
    /// The conditions that were evaluated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<TraceCondition>,
}

/// One condition and what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TraceCondition {
    /// The condition in words.
    pub condition: String,
    /// Whether it counted as true.
    pub holds: bool,
    /// `holds`, `does not hold`, `missing` or `wrong type`.
    pub because: &'static str,
    /// The value in the call, shortened and escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// One counter and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TraceCounter {
    /// Id of the rule.
    pub rule: String,
    /// The counter's name.
    pub counter: String,
    /// Who shares it.
    pub scope: &'static str,
    /// The window.
    pub window: String,
    /// What stands on it, in the unit of the argument.
    pub used: String,
    /// What this call adds.
    pub adds: String,
    /// The most that it may reach.
    pub max: String,
    /// When it starts anew, in UTC.
    pub resets: String,
}

/// The decision on one call, with its steps in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Trace {
    /// `allow`, `deny` or `ask`; `depends` where the policy says nothing, and the way to the client decides.
    pub decision: &'static str,
    /// The kind of refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Id of the rule that decided.
    pub rule: String,
    /// What the model or the person would be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What would make the call pass, where a value would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_pass: Option<String>,
    /// Whether shadow mode forwards the call all the same.
    pub shadow: bool,
    /// The steps, in order, up to the one that decided.
    pub steps: Vec<TraceStep>,
    /// The counters that the call would be charged on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<TraceCounter>,
}

/// Explains the decision on one call. Nothing is spent: `limits` is only asked where its counters stand.
///
/// # Errors
/// The store cannot be used.
pub fn explain(
    policy: &Policy,
    limits: &dyn LimitStore,
    caller: &Caller,
    call: &ToolCall,
    facts: Facts<'_>,
    now: Timestamp,
) -> Result<Trace, StoreError> {
    let mut log = Log { steps: Vec::new(), conditions: Vec::new(), last: None };
    let judged = judge_watched(policy, caller, call, facts, &mut log);
    let mut trace = Trace {
        decision: "allow",
        code: None,
        rule: String::new(),
        message: None,
        would_pass: None,
        shadow: policy.mode_of(call.name().as_str()) == super::document::Mode::Shadow,
        steps: Vec::new(),
        counters: Vec::new(),
    };
    match judged {
        Judgement::Deny(denial) => {
            trace.would_pass = log.last.take().and_then(|last| last.remedy(denial.code));
            log.end(step_of(denial.code), &denial.rule, StepOutcome::Denied);
            trace.deny(denial);
        }
        Judgement::WantsApproval(need) => {
            log.end(if need.rule.starts_with("/flows/") { "flow" } else { "approval" }, need.rule, StepOutcome::Asked);
            trace.decision = "ask";
            trace.rule = need.rule.to_owned();
            trace.message = Some(need.message.into_owned());
            if let Ok(bill) = &need.bill {
                trace.count(bill, limits, now)?;
            }
        }
        Judgement::Pass(bill) => {
            let refused = trace.count(&bill, limits, now)?;
            match refused {
                Some(denial) => {
                    log.end("limits", &denial.rule, StepOutcome::Denied);
                    trace.deny(denial);
                }
                None => {
                    if !bill.charges.is_empty() {
                        log.end("limits", &format!("{}/limits", bill.rule), StepOutcome::Passed);
                    }
                    trace.rule = bill.rule.to_string();
                }
            }
        }
    }
    trace.steps = log.steps;
    Ok(trace)
}

/// Explains what a policy says about something beside tool calls.
pub fn explain_door(policy: &Policy, door: Door<'_>) -> Trace {
    let mut trace = Trace {
        decision: "allow",
        code: None,
        rule: String::new(),
        message: None,
        would_pass: None,
        shadow: policy.mode() == super::document::Mode::Shadow,
        steps: Vec::new(),
        counters: Vec::new(),
    };
    let document = policy.document();
    let (written, whole) = match door {
        Door::Resource(_) | Door::Template(_) | Door::Any(Offer::Resources) => {
            (document.resources.as_ref(), "/resources")
        }
        Door::Prompt(_) | Door::Any(Offer::Prompts) => (document.prompts.as_ref(), "/prompts"),
        Door::Client(_) | Door::Unknown(_) | Door::Any(Offer::Tools) => (None, ""),
    };
    let mut step = |step, rule: &str, outcome| {
        trace.steps.push(TraceStep { step, rule: rule.to_owned(), outcome, conditions: Vec::new() });
    };
    let opening = policy.opening(door);
    if let Some(Offers::Some(lists)) = written
        && !lists.hide.is_empty()
        && !matches!(&opening, Opening::Closed(denial) if denial.code == DenialCode::Hidden)
    {
        step("hidden", &format!("{whole}/hide"), StepOutcome::Passed);
    }
    match opening {
        Opening::Open(rule) => {
            step("listed", rule, StepOutcome::Passed);
            rule.clone_into(&mut trace.rule);
        }
        Opening::Closed(denial) => {
            step(step_of(denial.code), &denial.rule, StepOutcome::Denied);
            trace.would_pass = match (door, denial.code) {
                (Door::Resource(uri) | Door::Template(uri), _) if !uri.contains('{') && super::uri::normal(uri).is_none() => {
                    Some("a URI that all readers take to one place: without white space, backslashes, a slash or dot that is encoded, and `..`".to_owned())
                }
                (_, DenialCode::NotListed) if !whole.is_empty() => Some(format!("with an entry of `{whole}/allow`")),
                (Door::Unknown(method), _) if crate::mcp::protocol::Method::taken_for(method).is_none() => {
                    Some("with an entry of `/unknown_methods`".to_owned())
                }
                (_, _) => None,
            };
            trace.deny(denial);
        }
        Opening::Unsaid => {
            trace.decision = "depends";
            "(default)".clone_into(&mut trace.rule);
            let message = "over stdio the client answers, over HTTP the operator's `roots` do";
            trace.message = Some(message.to_owned());
        }
    }
    trace
}

impl Trace {
    fn deny(&mut self, denial: Denial) {
        self.decision = "deny";
        self.code = Some(denial.code.as_str());
        self.rule = denial.rule;
        self.message = Some(denial.message);
    }

    /// Notes where the counters stand, and the refusal of the first that is full.
    fn count(
        &mut self,
        bill: &Bill<'_>,
        limits: &dyn LimitStore,
        now: Timestamp,
    ) -> Result<Option<Denial>, StoreError> {
        let mut refused = None;
        for ((usage, charge), counter) in limits.usage(now, &bill.charges)?.iter().zip(&bill.charges).zip(bill.counters)
        {
            let shown = |count| super::decimal::unscaled(count, counter.scale);
            self.counters.push(TraceCounter {
                rule: counter.rule.clone(),
                counter: counter.name.to_string(),
                scope: counter.scope.as_str(),
                window: counter.window.to_string(),
                used: shown(usage.used),
                adds: shown(charge.amount),
                max: counter.max.to_string(),
                resets: super::window::utc(usage.resets),
            });
            let fits = usage.used.checked_add(charge.amount).is_some_and(|sum| sum <= charge.max);
            if !fits && refused.is_none() {
                refused = Some(full(counter, charge, usage.used, usage.resets, now));
            }
        }
        Ok(refused)
    }
}

fn step_of(code: DenialCode) -> &'static str {
    match code {
        DenialCode::NoPolicy => "policy",
        DenialCode::Hidden => "hidden",
        DenialCode::NotListed => "listed",
        DenialCode::ToolChanged => "unchanged",
        DenialCode::ActionDenied => "action",
        DenialCode::SchemaInvalid => "schema",
        DenialCode::ArgumentsInvalid => "arguments",
        DenialCode::RequireFailed => "require",
        DenialCode::ConditionDenied => "deny_if",
        DenialCode::ApprovalRequired | DenialCode::ApprovalDenied => "approval",
        DenialCode::FlowDenied => "flow",
        DenialCode::Pledged => "pledge",
        DenialCode::LimitExceeded | DenialCode::ScopeUnavailable | DenialCode::IncrementInvalid => "limits",
        DenialCode::StateUnavailable => "state",
        DenialCode::ClientDenied => "client",
        DenialCode::MethodUnknown => "method",
        DenialCode::TaskForeign => "task",
    }
}

struct Log {
    steps: Vec<TraceStep>,
    conditions: Vec<TraceCondition>,
    /// The condition that was evaluated last, which is the one that decided.
    last: Option<Last>,
}

struct Last {
    condition: super::document::Condition,
    truth: Truth,
}

impl Watcher for Log {
    fn passed(&mut self, step: Step, rule: &str) {
        let step = match step {
            Step::Hidden => "hidden",
            Step::Listed => "listed",
            Step::Unchanged => "unchanged",
            Step::Action => "action",
            Step::Schema => "schema",
            Step::Require => "require",
            Step::DenyIf => "deny_if",
            Step::Pledge => "pledge",
            Step::Flow => "flow",
            Step::Approval => "approval",
        };
        // Steps that a policy without them always passes would only be noise.
        if !matches!(step, "unchanged" | "action") {
            self.end(step, rule, StepOutcome::Passed);
        }
        self.last = None;
    }

    fn condition(&mut self, test: &Test, stance: Stance, outcome: &Outcome<'_, '_>) {
        let found = outcome.found.map(|node| crate::text::excerpt(&node.compact(), FOUND_CHARS_MAX));
        let because = match outcome.truth {
            Truth::Holds => "holds",
            Truth::Fails => "does not hold",
            Truth::Missing => "missing",
            Truth::WrongType => "wrong type",
        };
        let holds = outcome.truth.counts(stance);
        self.conditions.push(TraceCondition { condition: test.phrase(), holds, because, found });
        self.last = Some(Last { condition: test.condition(), truth: outcome.truth });
    }
}

impl Log {
    fn end(&mut self, step: &'static str, rule: &str, outcome: StepOutcome) {
        let conditions = std::mem::take(&mut self.conditions);
        self.steps.push(TraceStep { step, rule: rule.to_owned(), outcome, conditions });
    }
}

impl Last {
    /// What value would have passed.
    fn remedy(&self, code: DenialCode) -> Option<String> {
        let condition = &self.condition;
        match code {
            DenialCode::RequireFailed => Some(format!("a call in which {}", phrase(condition))),
            DenialCode::ConditionDenied => {
                let opposite = match (condition.op, self.truth) {
                    (Operator::Exists, _) if condition.value.as_str() == "true" => {
                        format!("leave out `{}`", condition.path)
                    }
                    (Operator::Exists, _) => format!("give `{}`", condition.path),
                    _ => match negated(condition) {
                        Some(other) => format!("a call in which {}", phrase(&other)),
                        None => format!("a call in which it is not true that {}", phrase(condition)),
                    },
                };
                let kind = match self.truth {
                    Truth::WrongType => " (the value must be of a type that the operator compares)",
                    Truth::Holds | Truth::Fails | Truth::Missing => "",
                };
                Some(format!("{opposite}{kind}"))
            }
            _ => None,
        }
    }
}

/// The condition that holds exactly where this one does not, for values that can be compared.
fn negated(condition: &super::document::Condition) -> Option<super::document::Condition> {
    let op = match condition.op {
        Operator::Eq => Operator::Neq,
        Operator::Neq => Operator::Eq,
        Operator::Lt => Operator::Gte,
        Operator::Lte => Operator::Gt,
        Operator::Gt => Operator::Lte,
        Operator::Gte => Operator::Lt,
        Operator::In => Operator::NotIn,
        Operator::NotIn => Operator::In,
        Operator::Regex => Operator::NotRegex,
        Operator::NotRegex => Operator::Regex,
        Operator::Contains => Operator::NotContains,
        Operator::NotContains => Operator::Contains,
        Operator::Exists
        | Operator::StartsWith
        | Operator::EndsWith
        | Operator::LengthLte
        | Operator::LengthGte
        | Operator::Type
        | Operator::PathWithin
        | Operator::HostIn => return None,
    };
    Some(super::document::Condition { op, ..condition.clone() })
}
