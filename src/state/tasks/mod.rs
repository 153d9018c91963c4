//! Tasks and sessions of servers, and the grant that began each: known to every gateway on one store, and after a restart.

mod memory;
mod sqlite;
#[cfg(test)]
pub(super) mod contract;

pub use memory::MemoryTasks;
pub(super) use sqlite::TABLES;

use crate::clock::Timestamp;
use crate::policy::StoreError;
use sha2::{Digest as _, Sha256};

/// Tasks of one grant that are remembered; the oldest is forgotten for the next.
pub const GRANT_TASKS_MAX: usize = 4096;
/// How long a task is remembered after the server last said in an answer to a call that it was begun, in milliseconds:
/// 30 days.
pub const TASK_KEPT_MS: u64 = 30 * 24 * 3600 * 1000;

/// A task of a server, as 64 hexadecimal digits: ids of tasks are the server's, of any length and with any characters, and
/// may be all that it takes to see a result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(String);

impl TaskKey {
    /// The key of the server's task with this id.
    pub fn of(server: &str, task: &str) -> Self {
        let mut hash = Sha256::new();
        // The length keeps `a` of server `bc` apart from `ab` of server `c`.
        hash.update((server.len() as u64).to_be_bytes());
        hash.update(server.as_bytes());
        hash.update(task.as_bytes());
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a grant comes to what it is noted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The server has given it out just now: whatever it was before, it is this grant's.
    Given,
    /// The grant names it: it is this grant's unless it is another's.
    Named,
}

/// Remembers which grant began a task, or a session.
pub trait TaskStore: Send + Sync {
    /// Notes that a grant has begun a task. A task that two grants have begun is no grant's: which one is meant cannot be
    /// told.
    ///
    /// # Errors
    /// The store cannot be used; then the task is no grant's as far as it was not noted before.
    fn begin(&self, now: Timestamp, task: &TaskKey, grant: &str) -> Result<(), StoreError>;

    /// Notes what can be one grant's alone as this grant's, if it can be had like this; answers whether it is.
    ///
    /// # Errors
    /// The store cannot be used; then nothing is noted.
    fn claim(&self, now: Timestamp, key: &TaskKey, grant: &str, how: Claim) -> Result<bool, StoreError>;

    /// Whether each of these tasks is this grant's, in order.
    ///
    /// # Errors
    /// The store cannot be used.
    fn are_of(&self, now: Timestamp, tasks: &[TaskKey], grant: &str) -> Result<Vec<bool>, StoreError>;
}
