//! Calls to a server behind a URL at the decider, and waiting for a person where the policy wants one.

use super::exchange::Recipient;
use super::queue::Ticket;
use super::refusal::{Refusal, unauthorized};
use super::trip::Trip;
use super::url_table::UrlServer;
use crate::gateway::audit::Route;
use crate::gateway::decider::Verdict;
use crate::gateway::exchange::{Facts, is_listed};
use crate::gateway::identity::Unauthorized;
use crate::mcp::envelope::ToolCall;
use crate::policy::{Caller, Denial, PendingApproval, Permit, Policy};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks whether a person has answered.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What was decided, with the decision's number.
pub(super) type DecidedCall = Result<(u64, Permit), (u64, Denial)>;

/// What the decider says of a call that has just come.
pub(super) enum Decision {
    /// It may pass or not.
    Made(DecidedCall),
    /// A person is asked; the approval's id.
    Waits(Box<PendingApproval>, String),
}

impl UrlServer {
    /// Brings a call to the decider.
    pub(super) async fn decide(&self, trip: &Trip, caller: &Caller, call: ToolCall) -> Result<Decision, Refusal> {
        let alone = trip.to.gateway.slots.open() <= 1;
        let known = self.informed(trip, trip.policy.clone(), &call).await?;
        hold(trip, &call, &known)?;
        let ticket = ticket(caller, call, known);
        let ruling = trip.to.gateway.queue.rule(ticket, alone).await;
        Ok(match ruling.verdict {
            Verdict::Allow(permit) => Decision::Made(Ok((ruling.number, permit))),
            Verdict::Deny(denial) => Decision::Made(Err((ruling.number, denial))),
            Verdict::Wait(question, approval) => Decision::Waits(question, approval),
        })
    }

    /// Waits for a person, and brings the call to the decider once more.
    pub(super) async fn wait(
        &self,
        trip: &Trip,
        caller: &Caller,
        question: PendingApproval,
        approval: String,
    ) -> Result<DecidedCall, Refusal> {
        let Recipient { gateway, server, holder, .. } = &trip.to;
        let token_watch = gateway.token_watches.of(server, holder);
        let mut ended = std::pin::pin!(token_watch.ended());
        let since = Instant::now();
        while since.elapsed() < gateway.settings.approval_wait {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY.min(gateway.settings.approval_wait)) => {}
                () = &mut ended => return Err(unauthorized(&Unauthorized::Revoked)),
            }
            if gateway.queue.answered(&approval).await {
                break;
            }
        }
        // The policy may be another one by now, and so may the tool.
        let policy = gateway.policy(&token_watch.who(), server);
        let known = self.informed(trip, policy, &question.call).await?;
        hold(trip, &question.call, &known)?;
        let again = Ticket { asked: Some(approval), ..ticket(caller, question.call, known) };
        let ruling = gateway.queue.rule(again, false).await;
        Ok(match ruling.verdict {
            Verdict::Allow(permit) => Ok((ruling.number, permit)),
            Verdict::Deny(denial) => Err((ruling.number, denial)),
            Verdict::Wait(question, approval) => Err((ruling.number, Denial::unanswered(&question, &approval))),
        })
    }
}

/// Holds the headers that repeat arguments against the call; not those of a call that the policy hides, which must be
/// answered as one of a tool that does not exist.
fn hold(trip: &Trip, call: &ToolCall, (policy, facts): &(Option<Arc<Policy>>, Facts)) -> Result<(), Refusal> {
    let is_shown = policy.as_ref().is_some_and(|policy| is_listed(policy, call.name().as_str()));
    if is_shown && facts.change.is_none() { trip.repeats.hold(call, facts.parameters.as_deref()) } else { Ok(()) }
}

fn ticket(caller: &Caller, call: ToolCall, (policy, facts): (Option<Arc<Policy>>, Facts)) -> Ticket {
    let Facts { schema, change, definition, .. } = facts;
    Ticket { policy, caller: caller.clone(), way: Route::HttpUrl, call, schema, change, definition, asked: None }
}
