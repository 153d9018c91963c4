//! A call that waits for a person: what its client hears meanwhile, and what becomes of the question.

use crate::clock::Timestamp;
use crate::gateway::audit::Whose;
use crate::gateway::desk::Desk;
use crate::gateway::reply;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often a client that asked for progress hears that its call still waits for a person.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// A question to a person that a call waits for. Equal calls wait for the same one.
pub struct Question {
    desk: Arc<Desk>,
    whose: Whose,
    approval: Box<str>,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("approval", &self.approval).finish_non_exhaustive()
    }
}

impl Question {
    /// A call waits for the answer to this question from now on.
    pub fn new(desk: &Arc<Desk>, whose: Whose, approval: &str) -> Self {
        desk.waits(approval);
        Self { desk: Arc::clone(desk), whose, approval: approval.into() }
    }

    /// The approval's id.
    pub fn approval(&self) -> &str {
        &self.approval
    }

    /// The client has withdrawn the call: nobody need answer any more, unless an equal call waits as well. Blocks as long
    /// as the store does.
    pub fn withdraw(self, now: Timestamp) {
        if self.desk.waiting_for(&self.approval) == 1 {
            self.desk.withdraw(now, &self.whose, &self.approval);
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.desk.waits_no_more(&self.approval);
    }
}

/// What a client that asked for progress hears while its call waits.
#[derive(Clone, Debug)]
pub struct Telling {
    /// `progressToken`, as JSON.
    token: Box<str>,
    message: String,
    steps: u64,
}

impl Telling {
    /// For a call with this token that waits for this approval.
    pub fn new(token: &str, approval: &str) -> Self {
        Self { token: token.into(), message: format!("waiting for approval {approval}"), steps: 0 }
    }

    /// Appends the next message, as a line.
    pub fn tell(&mut self, out: &mut Vec<u8>) {
        self.steps += 1;
        reply::progress(out, &self.token, self.steps, &self.message);
    }
}
