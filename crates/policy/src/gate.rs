//! The gate: a call becomes a permit, a refusal or a question. Only here is a [`Permit`] made.

use super::compiled::{Counter, Policy};
use super::denial::{Denial, DenialCode};
use super::document::{Mode, Refund};
use super::flows::{Course, CourseKey, CourseStore, News};
use super::json;
use super::judge::{ApprovalNeed, Bill, Caller, Facts, Judgement, judge};
use super::question::PendingApproval;
use super::store::{
    ApprovalState, ApprovalStore, Binding, Charge, CounterKey, LimitStore, Receipt, Reserve, SHOWN_BYTES_MAX,
    Settlement, StoreError, hex, sha256_hex,
};
use super::trace;
use super::word::Words;
use crate::clock::Timestamp;
use crate::mcp::envelope::ToolCall;
use crate::mcp::json::string_value;
use crate::mcp::walk::members;
use std::borrow::Cow;
use std::sync::Arc;

/// One call that asks to pass.
#[derive(Debug)]
pub struct Request<'r> {
    /// Who calls.
    pub caller: &'r Caller,
    /// The call as it was read; the permit hands the same one on.
    pub call: ToolCall,
    /// What is known about the tool.
    pub facts: Facts<'r>,
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Decision {
    /// It may be forwarded.
    Allow(Permit),
    /// It must not be forwarded.
    Deny(Denial),
    /// A person has to agree. Ask, wait, and bring the same call to the gate again.
    Ask(Box<PendingApproval>),
}

/// The right to forward one call, once. It holds the very call that was judged, and what was reserved for it.
#[derive(Debug)]
pub struct Permit {
    call: ToolCall,
    reservation: Reservation,
    rule: Arc<str>,
    /// Boxed, as most permits have none and all are moved about.
    would_deny: Option<Box<Denial>>,
    noted: Option<Box<Noted>>,
}

/// What flows want to know of a call's answer.
#[derive(Debug)]
pub struct Noted {
    /// Whose course the call belongs to.
    pub key: CourseKey,
    /// Whose else.
    pub beside: Option<CourseKey>,
    /// The words of the tool that flows speak of.
    pub words: Words,
}

/// What a call holds of its counters until it ends.
#[derive(Debug, Default)]
pub struct Reservation {
    /// What stays spent once the call was sent, whatever comes of it: a caller can provoke errors.
    kept: Vec<Receipt>,
    /// What an error gives back (`"refund": "error"`).
    refunded: Vec<Receipt>,
}

/// How a forwarded call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It never reached the server.
    NotSent,
    /// The server answered with a JSON-RPC error, and the client had not withdrawn the call.
    ErrorReply,
    /// Anything else, a result with `isError`, a timeout and a crash included: the act may have happened.
    Kept,
}

impl Permit {
    /// The call that was judged.
    pub fn call(&self) -> &ToolCall {
        &self.call
    }

    /// What allowed it: `/tools/NAME` or `(default allow)`.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What it holds of its counters.
    pub fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    /// Takes what flows want to know of the answer, if anything.
    pub fn take_noted(&mut self) -> Option<Box<Noted>> {
        self.noted.take()
    }

    /// The refusal that shadow mode did not enforce.
    pub fn would_deny(&self) -> Option<&Denial> {
        self.would_deny.as_deref()
    }

    /// The call to forward and what to settle after it.
    pub fn into_parts(self) -> (ToolCall, Reservation) {
        (self.call, self.reservation)
    }
}

impl Reservation {
    /// Whether no ending gives anything back.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.refunded.is_empty()
    }

    /// The counters that it holds units of.
    pub fn counters(&self) -> impl Iterator<Item = &CounterKey> {
        self.kept.iter().chain(&self.refunded).map(|receipt| &receipt.counter)
    }

    /// The same, none of which an error gives back: the client may have withdrawn the call.
    #[must_use]
    pub fn without_refund(mut self) -> Self {
        self.kept.append(&mut self.refunded);
        self
    }

    /// What to give back, if anything.
    pub fn end(self, ending: Ending) -> Option<Settlement> {
        let receipts = match ending {
            Ending::Kept => Vec::new(),
            Ending::ErrorReply => self.refunded,
            Ending::NotSent => {
                let mut all = self.kept;
                all.extend(self.refunded);
                all
            }
        };
        (!receipts.is_empty()).then_some(Settlement { receipts })
    }

    /// The receipts of these counters, in their order.
    fn of(receipts: Vec<Receipt>, counters: &[Counter]) -> Self {
        if counters.iter().all(|counter| counter.refund.is_none()) {
            return Self { kept: receipts, refunded: Vec::new() };
        }
        let mut reservation = Self::default();
        let refunds = counters.iter().map(|counter| counter.refund).chain(std::iter::repeat(None));
        for (receipt, refund) in receipts.into_iter().zip(refunds) {
            match refund {
                Some(Refund::Error) => reservation.refunded.push(receipt),
                None => reservation.kept.push(receipt),
            }
        }
        reservation
    }
}

/// Decides on one call.
pub fn gate(
    policy: &Policy,
    limits: &dyn LimitStore,
    approvals: &dyn ApprovalStore,
    courses: &dyn CourseStore,
    now: Timestamp,
    request: Request<'_>,
) -> Decision {
    let denied = || Decision::Deny(Denial::new(DenialCode::StateUnavailable, "(state)", "no decision was made"));
    gate_batch(policy, limits, approvals, courses, now, vec![request]).pop().unwrap_or_else(denied)
}

/// Decides on calls that arrived together under one policy, in order, with one reservation for all of them.
pub fn gate_batch(
    policy: &Policy,
    limits: &dyn LimitStore,
    approvals: &dyn ApprovalStore,
    courses: &dyn CourseStore,
    now: Timestamp,
    requests: Vec<Request<'_>>,
) -> Vec<Decision> {
    gate_each(limits, approvals, courses, now, requests.into_iter().map(|request| (Some(policy), request)))
}

/// Decides on calls that arrived together, each under a policy of its own, in order, with one reservation for all of
/// them. A call without policy is denied.
pub fn gate_each<'p>(
    limits: &dyn LimitStore,
    approvals: &dyn ApprovalStore,
    courses: &dyn CourseStore,
    now: Timestamp,
    requests: impl IntoIterator<Item = (Option<&'p Policy>, Request<'p>)>,
) -> Vec<Decision> {
    let mut charges: Vec<Vec<Charge>> = Vec::new();
    let mut coming = Coming { courses, now, before: Vec::new() };
    let waiting: Vec<Judged<'_>> = requests
        .into_iter()
        .map(|(policy, request)| {
            let Some(policy) = policy else {
                return (None, request.call, Waiting::Refused(Denial::no_policy()), None);
            };
            // Most policies have no flows, and then nothing is looked up.
            let leaving = if policy.has_flows() { Coming::leaving(policy, &request) } else { None };
            let judged = match &leaving {
                Some(leaving) => coming.judge(policy, &request, leaving),
                None => judge(policy, request.caller, &request.call, request.facts),
            };
            if let Some(leaving) = leaving.as_ref().filter(|_| !matches!(judged, Judgement::Deny(_))) {
                coming.before.push(Leaving::clone(leaving));
            }
            let waiting = match judged {
                Judgement::Deny(denial) => Waiting::Refused(denial),
                Judgement::Pass(bill) => Waiting::on(bill, None, &mut charges),
                Judgement::WantsApproval(need) => {
                    let mut binding = binding(policy, request.caller, &request.call, request.facts.definition);
                    if let Some(flow) = need.flow {
                        // Who agreed before a stranger's text was read has not agreed to this.
                        binding.arguments = sha256_hex(format!("{} {flow}", binding.arguments).as_bytes());
                    }
                    after_approval(need, binding, &request.call, approvals, now, &mut charges)
                }
            };
            (Some(policy), request.call, waiting, leaving)
        })
        .collect();
    let outcomes = if charges.is_empty() { Ok(Vec::new()) } else { limits.reserve(now, &charges) };
    let mut outcomes = outcomes.map(Vec::into_iter);
    waiting
        .into_iter()
        .map(|(policy, call, waiting, leaving)| {
            let decision = match waiting {
                Waiting::Refused(denial) => refuse(policy, call, denial),
                Waiting::Asked(question) => ask(policy, call, question),
                Waiting::Free(rule) => permit(call, Reservation::default(), rule),
                Waiting::Reserved { rule, counters, charges: index, approval } => {
                    let outcome = match &mut outcomes {
                        Ok(outcomes) => {
                            outcomes.next().ok_or_else(|| StoreError::Damaged("an answer is missing".to_owned()))
                        }
                        Err(error) => Err(error.clone()),
                    };
                    match outcome {
                        Ok(Reserve::Held(receipts)) => {
                            match approval.map(|question| (approvals.take(now, &question.binding.key()), question)) {
                                None => permit(call, Reservation::of(receipts, counters), rule),
                                Some((Ok(true), question)) => {
                                    permit(question.instead.unwrap_or(call), Reservation::of(receipts, counters), rule)
                                }
                                Some((Ok(false), question)) => {
                                    give_back(limits, now, receipts);
                                    ask(policy, call, question)
                                }
                                Some((Err(error), _)) => {
                                    give_back(limits, now, receipts);
                                    refuse(policy, call, unavailable(&error))
                                }
                            }
                        }
                        Ok(Reserve::Refused { charge, used, resets, now }) => {
                            let wanted = charges.get(index).and_then(|charges| charges.get(charge));
                            let denial = match (counters.get(charge), wanted) {
                                (Some(counter), Some(wanted)) => full(counter, wanted, used, resets, now),
                                _ => unavailable(&StoreError::Damaged("an answer names no counter".to_owned())),
                            };
                            refuse(policy, call, denial)
                        }
                        Err(error) => refuse(policy, call, unavailable(&error)),
                    }
                }
            };
            match (leaving, decision) {
                (Some(leaving), Decision::Allow(permit)) => leaving.left(courses, limits, now, permit),
                (_, decision) => decision,
            }
        })
        .collect()
}

/// Calls that flows speak of, while those that arrived together are decided on.
struct Coming<'c, 'r> {
    courses: &'c dyn CourseStore,
    now: Timestamp,
    /// What the calls before will leave, as far as they pass.
    before: Vec<Leaving<'r>>,
}

/// What a call that flows speak of leaves in the course of its session.
#[derive(Clone)]
struct Leaving<'r> {
    key: CourseKey,
    beside: Option<CourseKey>,
    caller: &'r Caller,
    tool: String,
    /// What the call leaves.
    leaves: Words,
    /// What its answer leaves.
    notes: Words,
    is_sink: bool,
}

impl Leaving<'_> {
    fn news(&self) -> News<'_> {
        News::Called { words: self.leaves, server: &self.caller.server, tool: &self.tool }
    }

    /// Notes that the call goes on. One that cannot be noted does not.
    fn left(self, courses: &dyn CourseStore, limits: &dyn LimitStore, now: Timestamp, mut permit: Permit) -> Decision {
        if self.leaves.is_empty() {
            return Decision::Allow(permit);
        }
        let grown = courses.grow(now, &self.key, &self.news());
        let grown = match &self.beside {
            Some(beside) => grown.and_then(|_| courses.grow(now, beside, &self.news())),
            None => grown,
        };
        match grown {
            Ok(_) => {
                let noted = Noted { key: self.key, beside: self.beside, words: self.notes };
                permit.noted = (!noted.words.is_empty()).then(|| Box::new(noted));
                Decision::Allow(permit)
            }
            Err(error) => {
                let (_, reservation) = permit.into_parts();
                if let Some(settlement) = reservation.end(Ending::NotSent) {
                    give_back(limits, now, settlement.receipts);
                }
                // In shadow mode too: what comes after it may be enforced.
                Decision::Deny(unavailable(&error))
            }
        }
    }
}

impl<'r> Coming<'_, 'r> {
    /// What flows say of a call's tool, if anything.
    fn leaving(policy: &Policy, request: &Request<'r>) -> Option<Box<Leaving<'r>>> {
        let tool = request.call.name().as_str();
        let following = &policy.rules_of(tool)?.following;
        let is_sink = following.is_sink();
        if !is_sink && following.leaves.is_empty() {
            return None;
        }
        Some(Box::new(Leaving {
            key: request.caller.course_key(),
            beside: request.caller.course_beside(),
            caller: request.caller,
            tool: tool.to_owned(),
            leaves: following.leaves,
            notes: following.notes,
            is_sink,
        }))
    }

    /// Judges a call by what has happened in its session before, calls that have arrived with it included.
    fn judge<'p>(&self, policy: &'p Policy, request: &Request<'_>, leaving: &Leaving<'_>) -> Judgement<'p> {
        if !leaving.is_sink {
            return judge(policy, request.caller, &request.call, request.facts);
        }
        let course = match self.courses.course(self.now, &leaving.key) {
            Ok(course) => course,
            Err(error) => return Judgement::Deny(unavailable(&error)),
        };
        let mut course: Cow<'_, Course> = Cow::Borrowed(&course);
        for before in self.before.iter().filter(|before| before.key == leaving.key) {
            course.to_mut().grow(self.now, before.key.lapses(), &before.news());
        }
        let beside = match leaving.beside.as_ref().map(|key| self.courses.course(self.now, key)) {
            Some(Err(error)) => return Judgement::Deny(unavailable(&error)),
            Some(Ok(beside)) => Some(beside),
            None => None,
        };
        let beside = leaving.beside.as_ref().zip(beside.as_ref()).map(|(key, course)| key.at(course, self.now));
        let facts = Facts { course: Some(leaving.key.at(&course, self.now)), beside, ..request.facts };
        judge(policy, request.caller, &request.call, facts)
    }
}

/// A call that was judged: its policy, what becomes of it, and what it leaves in the course of its session.
type Judged<'p> = (Option<&'p Policy>, ToolCall, Waiting<'p>, Option<Box<Leaving<'p>>>);

/// A call between judging and reserving.
enum Waiting<'p> {
    Refused(Denial),
    Asked(Question<'p>),
    Free(&'p Arc<str>),
    Reserved { rule: &'p Arc<str>, counters: &'p [Counter], charges: usize, approval: Option<Question<'p>> },
}

/// A question to a person about one call.
struct Question<'p> {
    binding: Binding,
    rule: &'p str,
    message: Cow<'p, str>,
    ttl_s: u64,
    shown: String,
    /// What goes on in the call's place once it is approved, where not all of the call was shown.
    instead: Option<ToolCall>,
}

impl<'p> Waiting<'p> {
    fn on(bill: Bill<'p>, approval: Option<Question<'p>>, charges: &mut Vec<Vec<Charge>>) -> Self {
        if bill.charges.is_empty() && approval.is_none() {
            return Self::Free(bill.rule);
        }
        charges.push(bill.charges);
        Self::Reserved { rule: bill.rule, counters: bill.counters, charges: charges.len() - 1, approval }
    }
}

fn after_approval<'p>(
    need: ApprovalNeed<'p>,
    binding: Binding,
    call: &ToolCall,
    approvals: &dyn ApprovalStore,
    now: Timestamp,
    charges: &mut Vec<Vec<Charge>>,
) -> Waiting<'p> {
    let shown = shown(call);
    if shown.len() > SHOWN_BYTES_MAX {
        let kib = SHOWN_BYTES_MAX / 1024;
        let message = format!("a person must decide about this call, and more than {kib} KiB cannot be shown to one");
        return Waiting::Refused(Denial::new(DenialCode::ApprovalRequired, need.rule, message));
    }
    let found = match approvals.find(now, &binding.key()) {
        Ok(found) => found,
        Err(error) => return Waiting::Refused(unavailable(&error)),
    };
    let mut question =
        Question { binding, rule: need.rule, message: need.message, ttl_s: need.ttl_s, shown, instead: None };
    match found.map(|approval| (approval.state, approval.id, approval.request.arguments)) {
        Some((ApprovalState::Approved, _, seen)) => match need.bill {
            Ok(bill) => {
                if trace::of_shown(&seen.unwrap_or_default()) != trace::of_shown(&question.shown) {
                    let Some(without) = trace::without(call) else { return Waiting::Asked(question) };
                    question.instead = Some(without);
                }
                Waiting::on(bill, Some(question), charges)
            }
            Err(denial) => Waiting::Refused(denial),
        },
        Some((ApprovalState::Denied, id, _)) => {
            let message = format!("{}: a person refused this call (approval {id})", question.message);
            Waiting::Refused(Denial::new(DenialCode::ApprovalDenied, need.rule, message))
        }
        Some((
            ApprovalState::Pending | ApprovalState::Used | ApprovalState::Expired | ApprovalState::Withdrawn,
            _,
            _,
        ))
        | None => Waiting::Asked(question),
    }
}

/// What an approval of this call is good for: the tool as its `definition` (a SHA-256) was shown to the caller, and
/// everything in the call's `params` but what differs whenever a call is made again: the progress token, which says nothing
/// to the tool, and the trace context, which goes on only as it was shown.
pub fn binding(policy: &Policy, caller: &Caller, call: &ToolCall, definition: Option<[u8; 32]>) -> Binding {
    let (arguments, beside) = parts(call, &[trace::TOKEN, trace::CONTEXT].concat());
    let text = format!("[{arguments},{}]", beside.as_deref().unwrap_or("{}"));
    // What cannot be read is bound to the letter.
    let canonical =
        json::parse(&text, json::ARGUMENTS_DEPTH_MAX + 1).map_or_else(|_| text.clone(), |node| node.canonical());
    Binding {
        grant: caller.grant.as_deref().unwrap_or_default().to_owned(),
        server: caller.server.to_string(),
        tool: call.name().clone(),
        definition: definition.map(|hash| hex(&hash)).unwrap_or_default(),
        arguments: sha256_hex(canonical.as_bytes()),
        policy: policy.hash().to_owned(),
    }
}

/// The arguments of a call as JSON, and what else stands in its `params` beside the tool's name, if anything, without
/// these members of `_meta`.
fn parts<'c>(call: &'c ToolCall, left_out: &[&str]) -> (&'c str, Option<String>) {
    let member = |name: &str, value: &str| format!("{name}:{value}");
    let mut beside = Vec::new();
    let params = call.params().unwrap_or_default();
    for (literal, span) in members(params) {
        let value = &params[span];
        match string_value(literal).as_deref() {
            Some("name" | "arguments") => {}
            Some("_meta") => beside.extend(trace::meta_without(value, left_out).map(|kept| member(literal, &kept))),
            _ => beside.push(member(literal, value)),
        }
    }
    let beside = (!beside.is_empty()).then(|| format!("{{{}}}", beside.join(",")));
    (call.arguments().unwrap_or("{}"), beside)
}

/// What a person is to read of a call; see [`ApprovalRequest::arguments`](super::store::ApprovalRequest::arguments).
fn shown(call: &ToolCall) -> String {
    let (arguments, beside) = parts(call, trace::TOKEN);
    match beside {
        Some(beside) => format!("{arguments}\n{beside}"),
        None => arguments.to_owned(),
    }
}

fn permit(call: ToolCall, reservation: Reservation, rule: &Arc<str>) -> Decision {
    Decision::Allow(Permit { call, reservation, rule: Arc::clone(rule), would_deny: None, noted: None })
}

fn refuse(policy: Option<&Policy>, call: ToolCall, denial: Denial) -> Decision {
    match policy.map_or(Mode::Enforce, |policy| policy.mode_of(call.name().as_str())) {
        Mode::Enforce => Decision::Deny(denial),
        // A pledge is the client's own, and no policy that is tried out takes it back.
        Mode::Shadow if denial.code == DenialCode::Pledged => Decision::Deny(denial),
        Mode::Shadow => Decision::Allow(Permit {
            rule: Arc::from(denial.rule.as_str()),
            call,
            reservation: Reservation::default(),
            would_deny: Some(Box::new(denial)),
            noted: None,
        }),
    }
}

fn ask(policy: Option<&Policy>, call: ToolCall, question: Question<'_>) -> Decision {
    match policy.map_or(Mode::Enforce, |policy| policy.mode_of(call.name().as_str())) {
        Mode::Enforce => Decision::Ask(Box::new(PendingApproval {
            binding: question.binding,
            call,
            rule: question.rule.to_owned(),
            message: question.message.into_owned(),
            ttl_s: question.ttl_s,
            shown: question.shown,
        })),
        Mode::Shadow => {
            refuse(policy, call, Denial::new(DenialCode::ApprovalRequired, question.rule, question.message))
        }
    }
}

fn give_back(limits: &dyn LimitStore, now: Timestamp, receipts: Vec<Receipt>) {
    // If the store cannot take it back the counter stays too high, which errs on the strict side.
    let _ = limits.settle(now, &[Settlement { receipts }]);
}

fn unavailable(error: &StoreError) -> Denial {
    // What a store says may name a path or an address: that is the operator's.
    let detail = Some(crate::text::escape(&error.to_string()).into_owned());
    let message = "limits and approvals cannot be checked at the moment";
    Denial { detail, ..Denial::new(DenialCode::StateUnavailable, "(state)", message) }
}

/// The refusal of a full counter.
pub(super) fn full(counter: &Counter, charge: &Charge, used: u64, resets: Timestamp, now: Timestamp) -> Denial {
    let wait = resets.millis().saturating_sub(now.millis()).div_ceil(1000);
    let what = match (&counter.on_deny, counter.sources.first()) {
        (Some(text), _) => text.clone(),
        (None, None) => {
            let calls = if counter.max == 1 { "call" } else { "calls" };
            format!("the limit of {} {calls} {} is reached", counter.max, per(counter))
        }
        (None, Some(source)) => {
            let left = super::decimal::unscaled(charge.max.saturating_sub(used), counter.scale);
            format!("`{source}` may add up to {} {}, and {left} is left", counter.max, per(counter))
        }
    };
    // Waiting does not help a call that asks for more than a whole window has.
    let helps = charge.amount <= charge.max;
    let message = if helps { format!("{what}; retry in {wait} s") } else { what };
    let mut denial = Denial::new(DenialCode::LimitExceeded, counter.rule.clone(), message);
    denial.retry_after_s = helps.then_some(wait);
    denial
}

fn per(counter: &Counter) -> String {
    use super::window::Window;
    match counter.window {
        Window::Minute | Window::Hour | Window::Day | Window::Week | Window::Month => format!("per {}", counter.window),
        Window::Span(_) => format!("every {}", counter.window),
    }
}
