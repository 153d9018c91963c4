//! Clients' calls on their way to the decider: those that are ready together share one transaction of the store and one
//! write of the log. The task of the first call lets the other tasks that are ready run, and then brings all calls to
//! the decider; no call waits for a clock.

use crate::clock;
use crate::gateway::audit::{Destination, Route};
use crate::gateway::decider::{Case, Decider, Ruling, Verdict};
use crate::mcp::envelope::ToolCall;
use crate::policy::{ArgumentSchema, Caller, Denial, DenialCode, Policy, ToolChange};
use crate::state::StatePlace;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Where, and together with which others, calls are decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// On the event loop, each call by itself: stores in memory and no log, where sharing gains nothing.
    Alone,
    /// On the event loop, together with the other calls that are ready: stores or a log on a local disk.
    Together,
    /// On a thread that may block, together with the calls that came meanwhile: stores over a network.
    Elsewhere,
}

impl Pace {
    /// The pace for a gateway with these stores and this log.
    pub fn of(place: &StatePlace, log: &Destination) -> Self {
        match (place, log) {
            (StatePlace::Redis(_), _) => Self::Elsewhere,
            (StatePlace::Memory, Destination::Nowhere) => Self::Alone,
            (StatePlace::Memory | StatePlace::File(_), _) => Self::Together,
        }
    }
}

/// A call and all that is needed to decide on it.
#[derive(Debug)]
pub struct Ticket {
    /// The policy of the caller; without one the call is denied.
    pub policy: Option<Arc<Policy>>,
    /// The server, grant and session that the call is counted on.
    pub caller: Caller,
    /// The way that the call takes.
    pub way: Route,
    /// The call.
    pub call: ToolCall,
    /// The schema of its arguments, where the policy wants one.
    pub schema: Option<Arc<ArgumentSchema>>,
    /// How the tool differs from the lock or the list.
    pub change: Option<ToolChange>,
    /// What the list that the caller was shown last says of the tool, as a hash.
    pub definition: Option<[u8; 32]>,
    /// Id of the approval that the call has waited for already.
    pub asked: Option<String>,
}

impl Ticket {
    fn case(&self) -> Case<'_> {
        Case {
            policy: self.policy.as_deref(),
            caller: &self.caller,
            way: self.way,
            call: &self.call,
            schema: self.schema.as_deref(),
            change: self.change,
            definition: self.definition,
            asked: self.asked.as_deref(),
        }
    }
}

#[derive(Debug, Default)]
struct QueuedCalls {
    tickets: Vec<Ticket>,
    answers: Vec<oneshot::Sender<Ruling>>,
    /// With [`Pace::Elsewhere`]: a thread is deciding, and will take the tickets that wait when it is done.
    is_served: bool,
}

/// The queue of calls in front of the decider.
#[derive(Debug)]
pub struct Queue {
    decider: Arc<Decider>,
    pace: Pace,
    waiting: Mutex<QueuedCalls>,
}

impl Queue {
    /// A queue in front of this decider.
    pub fn new(decider: Arc<Decider>, pace: Pace) -> Arc<Self> {
        Arc::new(Self { decider, pace, waiting: Mutex::default() })
    }

    /// Where calls are decided on.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    fn lock(&self) -> MutexGuard<'_, QueuedCalls> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on a call. `alone` says that no other request is open, so that there are no calls to share with.
    pub async fn rule(self: &Arc<Self>, ticket: Ticket, alone: bool) -> Ruling {
        if self.pace == Pace::Alone || (alone && self.pace == Pace::Together) {
            return self.decider.rule(clock::now(), &[ticket.case()]).pop().unwrap_or_else(undecided);
        }
        let (sender, receiver) = oneshot::channel();
        let is_first = {
            let mut waiting = self.lock();
            waiting.tickets.push(ticket);
            waiting.answers.push(sender);
            match self.pace {
                Pace::Alone | Pace::Together => waiting.tickets.len() == 1,
                Pace::Elsewhere => !std::mem::replace(&mut waiting.is_served, true),
            }
        };
        if is_first {
            match self.pace {
                Pace::Alone | Pace::Together => {
                    // Dropping it decides, also if this task is cancelled at the `await`: the others must not wait for
                    // ever.
                    let _lead = Lead(self);
                    tokio::task::yield_now().await;
                }
                Pace::Elsewhere => {
                    let queue = Arc::clone(self);
                    drop(tokio::task::spawn_blocking(move || {
                        let _served = ServeGuard(&queue);
                        while queue.serve() {}
                    }));
                }
            }
        }
        receiver.await.unwrap_or_else(|_| undecided())
    }

    /// Whether a person has answered an approval, or it can no longer be answered. False while the store cannot tell.
    pub async fn answered(&self, approval: &str) -> bool {
        if self.pace != Pace::Elsewhere {
            return self.decider.is_answered(clock::now(), approval);
        }
        let (decider, approval) = (Arc::clone(&self.decider), approval.to_owned());
        tokio::task::spawn_blocking(move || decider.is_answered(clock::now(), &approval)).await.unwrap_or(false)
    }

    /// Decides on all calls that wait. Returns whether there were any.
    fn serve(&self) -> bool {
        let (tickets, answers) = {
            let mut waiting = self.lock();
            if waiting.tickets.is_empty() {
                waiting.is_served = false;
                return false;
            }
            (std::mem::take(&mut waiting.tickets), std::mem::take(&mut waiting.answers))
        };
        let cases: Vec<Case<'_>> = tickets.iter().map(Ticket::case).collect();
        for (ruling, answer) in self.decider.rule(clock::now(), &cases).into_iter().zip(answers) {
            // The task of this call was cancelled, so the call is not sent: what it holds goes back.
            if let Err(Ruling { verdict: Verdict::Allow(permit), .. }) = answer.send(ruling) {
                self.decider.unsent(permit);
            }
        }
        true
    }
}

struct Lead<'q>(&'q Queue);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.serve();
    }
}

/// Sees to it that a panic while calls are decided on blocks no call after it: those that wait are refused, and the next
/// one begins anew.
struct ServeGuard<'q>(&'q Queue);

impl Drop for ServeGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.lock() = QueuedCalls::default();
        }
    }
}

fn undecided() -> Ruling {
    let denial = Denial {
        code: DenialCode::StateUnavailable,
        rule: "(state)".to_owned(),
        message: "no decision was made".to_owned(),
        retry_after_s: None,
        detail: None,
    };
    Ruling { number: 0, verdict: Verdict::Deny(denial) }
}
