//! A call that waits for a person's approval: what its client hears meanwhile, and what becomes of the question.

use crate::clock::Timestamp;
use crate::gateway::audit::Whose;
use crate::gateway::decider::Decider;
use crate::gateway::reply;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often a client that asked for progress hears that its call still waits for a person.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// One call's wait for an approval. Equal calls wait for one approval, each with a value of its own.
pub struct Question {
    decider: Arc<Decider>,
    whose: Whose,
    approval: Box<str>,
    /// Whether the call still counts among those that wait.
    counts: bool,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("approval", &self.approval).finish_non_exhaustive()
    }
}

impl Question {
    /// Counts one more call that waits for the approval with this id, until the value is dropped.
    pub fn new(decider: &Arc<Decider>, whose: Whose, approval: &str) -> Self {
        decider.waits(approval);
        Self { decider: Arc::clone(decider), whose, approval: approval.into(), counts: true }
    }

    /// The approval's id.
    pub fn approval(&self) -> &str {
        &self.approval
    }

    /// Ends the wait of a call that the client has withdrawn, and withdraws the approval unless an equal call waits for
    /// it. Blocks as long as the store does.
    pub fn withdraw(mut self, now: Timestamp) {
        // In one step: of equal calls that are withdrawn at once, one is the last.
        self.counts = false;
        if self.decider.waits_no_more(&self.approval) {
            self.decider.withdraw(now, &self.whose, &self.approval);
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.counts {
            self.decider.waits_no_more(&self.approval);
        }
    }
}

/// The progress that a client hears while its call waits, if it gave a token.
#[derive(Clone, Debug)]
pub struct Telling {
    /// The client's `progressToken`, as JSON.
    token: Box<str>,
    message: String,
    steps: u64,
}

impl Telling {
    /// Progress for a call with this token, as JSON, that waits for this approval.
    pub fn new(token: &str, approval: &str) -> Self {
        Self { token: token.into(), message: format!("waiting for approval {approval}"), steps: 0 }
    }

    /// Appends the next `notifications/progress`, as a line.
    pub fn tell(&mut self, out: &mut Vec<u8>) {
        self.steps += 1;
        reply::progress(out, &self.token, self.steps, &self.message);
    }
}
