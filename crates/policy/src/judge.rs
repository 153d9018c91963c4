//! The decision on one call, without state: which rule refuses it, or what it would cost.

use super::compiled::{Counter, Policy, Rule, Tool};
use super::condition::{Outcome, Stance};
use super::decimal::{Decimal, NotScaled};
use super::denial::{Denial, DenialCode};
use super::document::{Action, Scope, Unlisted};
use super::flows::{CourseAt, CourseKey, FlowRule, Pledge, QUESTION_SECONDS};
use super::json::{self, Json, Node};
use super::path::{ArgumentPath, Next};
use super::schema::ArgumentSchema;
use super::store::{COUNT_MAX, Charge, CounterKey};
use super::word::FlowAction;
use crate::mcp::envelope::ToolCall;
use std::borrow::Cow;
use std::sync::Arc;

/// Who calls, and where.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The server, as counters and approvals name it.
    pub server: Arc<str>,
    /// The grant, if it is known.
    pub grant: Option<Arc<str>>,
    /// The session, if there is one.
    pub session: Option<Arc<str>>,
    /// The session whose course flows and pledges go by, where it is another one: that which spans all servers, or one that
    /// limits do not count by.
    pub course: Option<OtherSession>,
    /// What the request pledges, where there is no session that could.
    pub pledge: Option<Arc<Pledge>>,
}

/// A session that limits do not count by.
#[derive(Clone, Debug)]
pub enum OtherSession {
    /// That which spans all servers.
    Joint(Arc<str>),
    /// One that the client names, and that the server has not given out here: it may be any.
    Claimed(Arc<str>),
}

impl Caller {
    /// Whose course a call belongs to.
    pub fn course_key(&self) -> CourseKey {
        let grant = self.grant.as_deref().unwrap_or_default();
        match (&self.course, &self.session) {
            (Some(OtherSession::Joint(session)), _) => CourseKey::of(Some(session), grant),
            (Some(OtherSession::Claimed(session)), _) | (None, Some(session)) => {
                CourseKey::of_server(&self.server, session, grant)
            }
            (None, None) => CourseKey::of(None, grant),
        }
    }

    /// Whose course counts beside it: the grant's, where a client could name any session.
    pub fn course_beside(&self) -> Option<CourseKey> {
        match &self.course {
            Some(OtherSession::Claimed(_)) => Some(CourseKey::of(None, self.grant.as_deref().unwrap_or_default())),
            Some(OtherSession::Joint(_)) | None => None,
        }
    }
}

/// What is known about the called tool beside the call. The default is: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'f> {
    /// Its input schema, as locked or as listed; only needed where [`Policy::wants_schema`].
    pub schema: Option<&'f ArgumentSchema>,
    /// How it differs from the lock, where a lock is enforced.
    pub change: Option<ToolChange>,
    /// SHA-256 of what the list that the caller was shown last says of it: what an approval is bound to; only needed where
    /// [`Policy::wants_approval`]. `None` where no list is known.
    pub definition: Option<[u8; 32]>,
    /// What the session has pledged, as far as it is known without its course.
    pub pledge: Option<&'f Pledge>,
    /// What has happened in the session before; only needed where [`Policy::has_flows`], or where the session has pledged.
    /// `None`: nothing.
    pub course: Option<CourseAt<'f>>,
    /// The same of [`Caller::course_beside`].
    pub beside: Option<CourseAt<'f>>,
}

/// How a tool differs from the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToolChange {
    /// It is not in the lock.
    New,
    /// Its definition is not the locked one.
    Changed,
    /// It is in the lock and no longer listed.
    Gone,
    /// Nobody knows: the server's tools were not listed yet, or have changed since.
    Unseen,
    /// Neither the policy nor the server's list has it, and the policy hides others.
    Unlisted,
}

/// What the rules say about a call.
#[derive(Debug)]
pub enum Judgement<'p> {
    /// A rule refuses it.
    Deny(Denial),
    /// It may pass if its charges can be reserved.
    Pass(Bill<'p>),
    /// A person has to agree; then it may pass if its charges can be reserved.
    WantsApproval(ApprovalNeed<'p>),
}

/// What a call costs.
#[derive(Debug)]
pub struct Bill<'p> {
    /// The charges; no counter occurs twice.
    pub charges: Vec<Charge>,
    pub(super) counters: &'p [Counter],
    pub(super) rule: &'p Arc<str>,
}

/// Which rule wants a person to agree, and what comes after.
#[derive(Debug)]
pub struct ApprovalNeed<'p> {
    /// Id of the rule.
    pub rule: &'p str,
    /// The flow that asks, by itself or with the tool's own rule: an answer from before it did is none to this question.
    pub flow: Option<&'p str>,
    /// What the person is asked.
    pub message: Cow<'p, str>,
    /// Seconds until the question lapses.
    pub ttl_s: u64,
    /// What the call costs once approved, or why it will be refused even then.
    pub bill: Result<Bill<'p>, Denial>,
}

/// Judges one call. Pure: the same policy, caller, call and facts always give the same judgement.
pub fn judge<'p>(policy: &'p Policy, caller: &Caller, call: &ToolCall, facts: Facts<'_>) -> Judgement<'p> {
    judge_watched(policy, caller, call, facts, &mut Unwatched)
}

/// The steps of a decision, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Hidden,
    Listed,
    Unchanged,
    Action,
    Schema,
    Require,
    DenyIf,
    Pledge,
    Flow,
    Approval,
}

/// Someone who looks on while a call is judged.
pub(crate) trait Watcher {
    /// A step was passed; those that stopped the call are told by the judgement itself.
    fn passed(&mut self, step: Step, rule: &str);
    /// One condition was evaluated.
    fn condition(&mut self, test: &super::condition::Test, stance: Stance, outcome: &Outcome<'_, '_>);
}

struct Unwatched;

impl Watcher for Unwatched {
    fn passed(&mut self, _: Step, _: &str) {}
    fn condition(&mut self, _: &super::condition::Test, _: Stance, _: &Outcome<'_, '_>) {}
}

pub(crate) fn judge_watched<'p>(
    policy: &'p Policy,
    caller: &Caller,
    call: &ToolCall,
    facts: Facts<'_>,
    watcher: &mut impl Watcher,
) -> Judgement<'p> {
    match decide(policy, caller, call, facts, watcher) {
        Ok(judgement) => judgement,
        Err(denial) => Judgement::Deny(denial),
    }
}

fn decide<'p>(
    policy: &'p Policy,
    caller: &Caller,
    call: &ToolCall,
    facts: Facts<'_>,
    watcher: &mut impl Watcher,
) -> Result<Judgement<'p>, Denial> {
    let name = call.name().as_str();
    if policy.hides(name) {
        return Err(Denial::new(DenialCode::Hidden, "(hidden)", format!("unknown tool: {}", call.name())));
    }
    watcher.passed(Step::Hidden, "(hidden)");
    let listed = policy.tools.get(name);
    let rules: &'p Tool = match (listed, policy.document.default) {
        (Some(rules), _) => rules,
        (None, Unlisted::Allow) => &policy.everything,
        (None, Unlisted::Deny) => {
            let message = format!("unknown tool: {}", call.name());
            return Err(Denial::new(DenialCode::NotListed, "(default deny)", message));
        }
    };
    watcher.passed(Step::Listed, &rules.id);
    if let Some(change) = facts.change {
        if change == ToolChange::Unlisted {
            let message = format!("unknown tool: {}", call.name());
            return Err(Denial::new(DenialCode::NotListed, "(not listed)", message));
        }
        return Err(Denial::new(DenialCode::ToolChanged, "(tool changed)", change.message()));
    }
    watcher.passed(Step::Unchanged, "(tool changed)");
    let of_session = facts.pledge.into_iter().chain(facts.course.and_then(|course| course.course.pledge()));
    for pledge in caller.pledge.as_deref().into_iter().chain(of_session) {
        if !pledge.allows(&caller.server, name) {
            return Err(Denial::new(DenialCode::Pledged, "(pledge)", pledge.refusal()));
        }
        watcher.passed(Step::Pledge, "(pledge)");
    }
    if rules.action == Some(Action::Deny) {
        let message = rules.reason.clone().unwrap_or_else(|| "the policy refuses every call of this tool".to_owned());
        return Err(Denial::new(DenialCode::ActionDenied, format!("{}/action", rules.id), message));
    }
    watcher.passed(Step::Action, "/action");
    let mut arguments = Arguments { text: call.arguments(), node: None };
    if rules.validate {
        check_schema(rules, facts.schema, call)?;
        watcher.passed(Step::Schema, "/validate");
    }
    // The rules for all tools are `everything`'s own; for a tool that is not listed they must not run twice.
    let all: &[&Tool] = if listed.is_some() { &[rules, &policy.everything] } else { &[rules] };
    for rule in all.iter().flat_map(|tool| &tool.require) {
        let holds = every(rule, &mut arguments, Stance::Require, watcher)?;
        if !holds {
            let message = rule.on_deny.clone().unwrap_or_else(|| required(rule));
            return Err(Denial::new(DenialCode::RequireFailed, rule.id.clone(), message));
        }
        watcher.passed(Step::Require, &rule.id);
    }
    for rule in all.iter().flat_map(|tool| &tool.deny_if) {
        let fires = every(rule, &mut arguments, Stance::Refuse, watcher)?;
        if fires {
            let message = rule.on_deny.clone().unwrap_or_else(|| refused(rule));
            return Err(Denial::new(DenialCode::ConditionDenied, rule.id.clone(), message));
        }
        watcher.passed(Step::DenyIf, &rule.id);
    }
    let flow = if rules.following.is_sink() {
        let courses = [facts.course, facts.beside];
        asked_by_flow((policy, rules, &caller.server), courses, call, &mut arguments, watcher)?
    } else {
        None
    };
    if let Some(approval) = &rules.approval {
        let mut wanted = true;
        for test in &approval.when {
            let outcome = test.evaluate(arguments.node()?, Stance::Refuse);
            watcher.condition(test, Stance::Refuse, &outcome);
            if !outcome.truth.counts(Stance::Refuse) {
                wanted = false;
                break;
            }
        }
        if wanted {
            return Ok(Judgement::WantsApproval(ApprovalNeed {
                rule: &approval.id,
                message: match &flow {
                    Some((_, because)) => Cow::Owned(format!("{}; {because}", approval.message)),
                    None => Cow::Borrowed(&approval.message),
                },
                flow: flow.as_ref().map(|(flow, _)| &*flow.id),
                ttl_s: approval.ttl_s,
                bill: bill(policy, rules, caller, &mut arguments),
            }));
        }
        watcher.passed(Step::Approval, &approval.id);
    }
    if let Some((flow, message)) = flow {
        return Ok(Judgement::WantsApproval(ApprovalNeed {
            rule: &flow.id,
            flow: Some(&flow.id),
            message: Cow::Owned(message),
            ttl_s: QUESTION_SECONDS,
            bill: bill(policy, rules, caller, &mut arguments),
        }));
    }
    bill(policy, rules, caller, &mut arguments).map(Judgement::Pass)
}

/// The first flow that wants a person to agree to the call, and what the person is asked; one that refuses it is the
/// error.
fn asked_by_flow<'p>(
    (policy, rules, server): (&'p Policy, &Tool, &str),
    courses: [Option<CourseAt<'_>>; 2],
    call: &ToolCall,
    arguments: &mut Arguments<'_>,
    watcher: &mut impl Watcher,
) -> Result<Option<(&'p FlowRule, String)>, Denial> {
    let mut asked = None;
    for flow in rules.following.sinks(&policy.flows) {
        let mut message = None;
        for course in courses.into_iter().flatten() {
            message = message.or(flow.fires(course, server, arguments.node()?, call));
        }
        match (message, flow.action) {
            (Some(message), FlowAction::Deny) => {
                return Err(Denial::new(DenialCode::FlowDenied, flow.id.clone(), message));
            }
            (Some(message), FlowAction::RequireApproval) => asked = asked.or(Some((flow, message))),
            (None, _) => watcher.passed(Step::Flow, &flow.id),
        }
    }
    Ok(asked)
}

/// A call's arguments, parsed when the first rule looks at them.
struct Arguments<'c> {
    text: Option<&'c str>,
    node: Option<Node<'c>>,
}

impl<'c> Arguments<'c> {
    fn node(&mut self) -> Result<Option<&Node<'c>>, Denial> {
        if self.node.is_none()
            && let Some(text) = self.text
        {
            let node = json::parse(text, json::ARGUMENTS_DEPTH_MAX).map_err(|error| {
                let message = format!("the arguments cannot be read: {}", crate::text::escape(&error.message));
                Denial::new(DenialCode::ArgumentsInvalid, "(arguments)", message)
            })?;
            self.node = Some(node);
        }
        Ok(self.node.as_ref())
    }
}

/// Whether all conditions of an entry count as true.
fn every(
    rule: &Rule,
    arguments: &mut Arguments<'_>,
    stance: Stance,
    watcher: &mut impl Watcher,
) -> Result<bool, Denial> {
    for test in &rule.tests {
        let outcome = test.evaluate(arguments.node()?, stance);
        watcher.condition(test, stance, &outcome);
        if !outcome.truth.counts(stance) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn check_schema(rules: &Tool, schema: Option<&ArgumentSchema>, call: &ToolCall) -> Result<(), Denial> {
    let rule = || format!("{}/validate", rules.id);
    let Some(schema) = schema else {
        let message = "the tool's input schema is not known, so its arguments cannot be checked";
        return Err(Denial::new(DenialCode::SchemaInvalid, rule(), message));
    };
    schema
        .check(call.arguments().unwrap_or("{}"))
        .map_err(|problem| Denial::new(DenialCode::SchemaInvalid, rule(), problem))
}

/// What the call costs. A counter that cannot be named or an amount that cannot be added refuses the call.
fn bill<'p>(
    policy: &'p Policy,
    rules: &'p Tool,
    caller: &Caller,
    arguments: &mut Arguments<'_>,
) -> Result<Bill<'p>, Denial> {
    let mut charges = Vec::with_capacity(rules.counters.len());
    for counter in &rules.counters {
        let value = match counter.scope {
            Scope::Grant => caller.grant.as_ref().ok_or("grant"),
            Scope::Session => caller.session.as_ref().ok_or("session"),
            Scope::Server | Scope::Global => Ok(&policy.nothing),
        };
        let value = value.map_err(|what| {
            let message = format!("the {what} that this limit counts by is not known");
            Denial::new(DenialCode::ScopeUnavailable, counter.rule.clone(), message)
        })?;
        let server = if counter.scope == Scope::Global { &policy.nothing } else { &caller.server };
        let key = CounterKey {
            server: Arc::clone(server),
            scope: counter.scope,
            value: Arc::clone(value),
            name: Arc::clone(&counter.name),
            window: counter.window,
        };
        charges.push(Charge { counter: key, amount: amount(counter, arguments)?, max: counter.max_scaled });
    }
    Ok(Bill { charges, counters: &rules.counters, rule: &rules.id })
}

fn amount(counter: &Counter, arguments: &mut Arguments<'_>) -> Result<u64, Denial> {
    if counter.sources.is_empty() {
        return Ok(1);
    }
    let mut sum: u64 = 0;
    for source in &counter.sources {
        let invalid = |why: &str| {
            let message = format!("`{source}` {why}, so it cannot be counted");
            Denial::new(DenialCode::IncrementInvalid, counter.rule.clone(), message)
        };
        let added = added(source, counter.scale, arguments.node()?).map_err(|why| invalid(&why))?;
        sum = sum.checked_add(added).filter(|sum| *sum <= COUNT_MAX).ok_or_else(|| invalid("is too large"))?;
    }
    Ok(sum)
}

fn added(source: &ArgumentPath, scale: u32, arguments: Option<&Node<'_>>) -> Result<u64, String> {
    let node = match source.find(arguments) {
        Next::Found(node) => node,
        Next::Missing => return Err("is missing".to_owned()),
        Next::WrongType(_) => return Err("is not a number".to_owned()),
    };
    let Json::Number(text) = node.json else { return Err("is not a number".to_owned()) };
    let number = Decimal::parse(text).ok_or("has too many digits")?;
    // A server with doubles would spend another amount than the one that is counted.
    if !number.is_read_alike() {
        return Err("is a number that servers read in more than one way".to_owned());
    }
    number.scaled(scale).map_err(|why| match (why, scale) {
        (NotScaled::Negative, _) => "is negative".to_owned(),
        (NotScaled::Fraction, 0) => "is not a whole number".to_owned(),
        (NotScaled::Fraction, _) => format!("has more than {scale} decimals"),
        (NotScaled::Overflow, _) => "is too large".to_owned(),
    })
}

impl ToolChange {
    /// One word, for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Unseen => "unseen",
            Self::Unlisted => "unlisted",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::New => "this tool is not in the lock file; someone has to review it first",
            Self::Changed => "this tool has changed since it was locked; someone has to review it first",
            Self::Gone => "this tool is in the lock file but the server no longer lists it",
            Self::Unlisted => "the server does not list this tool",
            Self::Unseen => {
                "nobody knows yet whether this tool is as it was locked; list the tools (tools/list) and try again"
            }
        }
    }
}

fn joined(rule: &Rule) -> String {
    rule.tests.iter().map(super::condition::Test::phrase).collect::<Vec<_>>().join(" and ")
}

fn required(rule: &Rule) -> String {
    format!("this call only passes if {}", joined(rule))
}

fn refused(rule: &Rule) -> String {
    if rule.tests.is_empty() {
        return "the policy refuses every call of this tool".to_owned();
    }
    format!("this call is refused if {}", joined(rule))
}
