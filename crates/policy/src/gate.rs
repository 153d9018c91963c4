//! The gate: a call becomes a permit, a refusal or a question. Only here is a [`Permit`] made.

use super::compiled::{Counter, Policy};
use super::denial::{Denial, DenialCode};
use super::document::Mode;
use super::json;
use super::judge::{ApprovalNeed, Bill, Caller, Facts, Judgement, judge};
use super::question::PendingApproval;
use super::store::{
    ApprovalState, ApprovalStore, Binding, Charge, CounterKey, LimitStore, Receipt, Reserve, Settlement, StoreError,
    sha256_hex,
};
use crate::clock::Timestamp;
use crate::mcp::envelope::ToolCall;
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
}

/// What a call holds of its counters until it ends.
#[derive(Debug, Default)]
pub struct Reservation {
    receipts: Vec<Receipt>,
}

/// How a forwarded call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It never reached the server.
    NotSent,
    /// The server answered with a JSON-RPC error.
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
        self.receipts.is_empty()
    }

    /// The counters that it holds units of.
    pub fn counters(&self) -> impl Iterator<Item = &CounterKey> {
        self.receipts.iter().map(|receipt| &receipt.counter)
    }

    /// What to give back, if anything.
    pub fn end(self, ending: Ending) -> Option<Settlement> {
        match ending {
            Ending::Kept => None,
            Ending::NotSent | Ending::ErrorReply => {
                (!self.receipts.is_empty()).then_some(Settlement { receipts: self.receipts })
            }
        }
    }
}

/// Decides on one call.
pub fn gate(
    policy: &Policy,
    limits: &dyn LimitStore,
    approvals: &dyn ApprovalStore,
    now: Timestamp,
    request: Request<'_>,
) -> Decision {
    let denied = || Decision::Deny(Denial::new(DenialCode::StateUnavailable, "(state)", "no decision was made"));
    gate_batch(policy, limits, approvals, now, vec![request]).pop().unwrap_or_else(denied)
}

/// Decides on calls that arrived together under one policy, in order, with one reservation for all of them.
pub fn gate_batch(
    policy: &Policy,
    limits: &dyn LimitStore,
    approvals: &dyn ApprovalStore,
    now: Timestamp,
    requests: Vec<Request<'_>>,
) -> Vec<Decision> {
    gate_each(limits, approvals, now, requests.into_iter().map(|request| (Some(policy), request)))
}

/// Decides on calls that arrived together, each under a policy of its own, in order, with one reservation for all of
/// them. A call without policy is denied.
pub fn gate_each<'p>(
    limits: &dyn LimitStore,
    approvals: &dyn ApprovalStore,
    now: Timestamp,
    requests: impl IntoIterator<Item = (Option<&'p Policy>, Request<'p>)>,
) -> Vec<Decision> {
    let mut charges: Vec<Vec<Charge>> = Vec::new();
    let waiting: Vec<(Option<&Policy>, ToolCall, Waiting<'_>)> = requests
        .into_iter()
        .map(|(policy, request)| {
            let Some(policy) = policy else {
                return (None, request.call, Waiting::Refused(Denial::no_policy()));
            };
            let judged = judge(policy, request.caller, &request.call, request.facts);
            let waiting = match judged {
                Judgement::Deny(denial) => Waiting::Refused(denial),
                Judgement::Pass(bill) => Waiting::on(bill, None, &mut charges),
                Judgement::WantsApproval(need) => {
                    let binding = binding(policy, request.caller, &request.call);
                    after_approval(need, binding, approvals, now, &mut charges)
                }
            };
            (Some(policy), request.call, waiting)
        })
        .collect();
    let outcomes = if charges.is_empty() { Ok(Vec::new()) } else { limits.reserve(now, &charges) };
    let mut outcomes = outcomes.map(Vec::into_iter);
    waiting
        .into_iter()
        .map(|(policy, call, waiting)| match waiting {
            Waiting::Refused(denial) => refuse(policy, call, denial),
            Waiting::Asked(question) => ask(policy, call, question),
            Waiting::Free(rule) => permit(call, Vec::new(), rule),
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
                            None | Some((Ok(true), _)) => permit(call, receipts, rule),
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
        })
        .collect()
}

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
    message: &'p str,
    ttl_s: u64,
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
    approvals: &dyn ApprovalStore,
    now: Timestamp,
    charges: &mut Vec<Vec<Charge>>,
) -> Waiting<'p> {
    let found = match approvals.find(now, &binding.key()) {
        Ok(found) => found,
        Err(error) => return Waiting::Refused(unavailable(&error)),
    };
    let question = Question { binding, rule: need.rule, message: need.message, ttl_s: need.ttl_s };
    match found.map(|approval| (approval.state, approval.id)) {
        Some((ApprovalState::Approved, _)) => match need.bill {
            Ok(bill) => Waiting::on(bill, Some(question), charges),
            Err(denial) => Waiting::Refused(denial),
        },
        Some((ApprovalState::Denied, id)) => {
            let message = format!("{}: a person refused this call (approval {id})", need.message);
            Waiting::Refused(Denial::new(DenialCode::ApprovalDenied, need.rule, message))
        }
        Some((ApprovalState::Pending | ApprovalState::Used | ApprovalState::Expired | ApprovalState::Withdrawn, _))
        | None => Waiting::Asked(question),
    }
}

/// What an approval of this call is good for.
pub fn binding(policy: &Policy, caller: &Caller, call: &ToolCall) -> Binding {
    let text = call.arguments().unwrap_or("{}");
    // Arguments that cannot be read are bound to the letter.
    let canonical =
        json::parse(text, json::ARGUMENTS_DEPTH_MAX).map_or_else(|_| text.to_owned(), |node| node.canonical());
    Binding {
        grant: caller.grant.as_deref().unwrap_or_default().to_owned(),
        server: caller.server.to_string(),
        tool: call.name().clone(),
        arguments: sha256_hex(canonical.as_bytes()),
        policy: policy.hash().to_owned(),
    }
}

fn permit(call: ToolCall, receipts: Vec<Receipt>, rule: &Arc<str>) -> Decision {
    Decision::Allow(Permit { call, reservation: Reservation { receipts }, rule: Arc::clone(rule), would_deny: None })
}

fn refuse(policy: Option<&Policy>, call: ToolCall, denial: Denial) -> Decision {
    match policy.map_or(Mode::Enforce, |policy| policy.mode_of(call.name().as_str())) {
        Mode::Enforce => Decision::Deny(denial),
        Mode::Shadow => Decision::Allow(Permit {
            rule: Arc::from(denial.rule.as_str()),
            call,
            reservation: Reservation::default(),
            would_deny: Some(Box::new(denial)),
        }),
    }
}

fn ask(policy: Option<&Policy>, call: ToolCall, question: Question<'_>) -> Decision {
    match policy.map_or(Mode::Enforce, |policy| policy.mode_of(call.name().as_str())) {
        Mode::Enforce => Decision::Ask(Box::new(PendingApproval {
            binding: question.binding,
            call,
            rule: question.rule.to_owned(),
            message: question.message.to_owned(),
            ttl_s: question.ttl_s,
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
    let message = format!("the limits cannot be checked at the moment ({})", crate::text::escape(&error.to_string()));
    Denial::new(DenialCode::StateUnavailable, "(state)", message)
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
