//! Calls on their way to the desk: those that are ready at the same time share one transaction and one write of the log.
//!
//! The first to come lets the other tasks that are ready have their turn, and then brings everybody's call to the desk.
//! Nobody waits for a clock.

use crate::clock;
use crate::gateway::audit::{Destination, Route};
use crate::gateway::desk::{Case, Desk, Ruling, Verdict};
use crate::mcp::envelope::ToolCall;
use crate::policy::{ArgumentSchema, Caller, Denial, DenialCode, Policy, ToolChange};
use crate::state::StatePlace;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Where deciding may take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once: nothing is gained by waiting for others.
    Alone,
    /// On the event loop, together with whoever else is ready: stores on a local disk.
    Together,
    /// On a thread that may block, together with whoever came meanwhile: stores over a network.
    Elsewhere,
}

impl Pace {
    /// The pace of these stores and this log.
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
    /// The policy of the caller.
    pub policy: Option<Arc<Policy>>,
    /// Who calls.
    pub caller: Caller,
    /// The way that the call takes.
    pub way: Route,
    /// The call.
    pub call: ToolCall,
    /// The schema of its arguments, where the policy wants one.
    pub schema: Option<Arc<ArgumentSchema>>,
    /// How the tool differs from the lock.
    pub change: Option<ToolChange>,
    /// The approval that it has waited for already.
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
            asked: self.asked.as_deref(),
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    tickets: Vec<Ticket>,
    answers: Vec<oneshot::Sender<Ruling>>,
    /// A thread is at work and will look again.
    is_served: bool,
}

/// The queue in front of the desk.
#[derive(Debug)]
pub struct Queue {
    desk: Arc<Desk>,
    pace: Pace,
    waiting: Mutex<Waiting>,
}

impl Queue {
    /// A queue in front of this desk.
    pub fn new(desk: Arc<Desk>, pace: Pace) -> Arc<Self> {
        Arc::new(Self { desk, pace, waiting: Mutex::default() })
    }

    /// How the stores are.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on a call. `alone` says that no other request is open, so that waiting for others would be in vain.
    pub async fn rule(self: &Arc<Self>, ticket: Ticket, alone: bool) -> Ruling {
        if self.pace == Pace::Alone || (alone && self.pace == Pace::Together) {
            return self.desk.rule(clock::now(), &[ticket.case()]).pop().unwrap_or_else(undecided);
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
                    // Also if this task ends here: the others must not wait for ever.
                    let _lead = Lead(self);
                    tokio::task::yield_now().await;
                }
                Pace::Elsewhere => {
                    let queue = Arc::clone(self);
                    drop(tokio::task::spawn_blocking(move || while queue.serve() {}));
                }
            }
        }
        receiver.await.unwrap_or_else(|_| undecided())
    }

    /// Whether a person has answered, or nobody can any more.
    pub async fn answered(&self, approval: &str) -> bool {
        if self.pace != Pace::Elsewhere {
            return self.desk.is_answered(clock::now(), approval);
        }
        let (desk, approval) = (Arc::clone(&self.desk), approval.to_owned());
        tokio::task::spawn_blocking(move || desk.is_answered(clock::now(), &approval)).await.unwrap_or(false)
    }

    /// Decides on all that wait. Answers whether there was anybody.
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
        for (ruling, answer) in self.desk.rule(clock::now(), &cases).into_iter().zip(answers) {
            // Whoever is gone does not send the call: what it holds goes back.
            if let Err(Ruling { verdict: Verdict::Allow(permit), .. }) = answer.send(ruling) {
                self.desk.unsent(permit);
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

fn undecided() -> Ruling {
    let denial = Denial {
        code: DenialCode::StateUnavailable,
        rule: "(state)".to_owned(),
        message: "no decision was made".to_owned(),
        retry_after_s: None,
    };
    Ruling { number: 0, verdict: Verdict::Deny(denial) }
}
