//! Which of a server's tasks and sessions are a caller's, where several grants share the server. The store knows: they belong
//! to their grant at every gateway on that store, and after a restart.

use crate::clock;
use crate::policy::{Caller, StoreError};
use crate::state::{Claim, GRANT_TASKS_MAX, TaskKey, TaskStore};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;
use tokio::runtime::{Handle, RuntimeFlavor};

/// The tasks of a server that several grants share.
#[derive(Clone)]
pub struct GrantTasks(Arc<dyn TaskStore>);

impl fmt::Debug for GrantTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantTasks").finish_non_exhaustive()
    }
}

impl GrantTasks {
    /// Tasks as this store knows them.
    pub fn new(store: Arc<dyn TaskStore>) -> Self {
        Self(store)
    }

    /// Notes that a call of this caller has begun a task.
    ///
    /// # Errors
    /// The store cannot be used; then the task is no grant's.
    pub fn begun(&self, caller: &Caller, task: &str) -> Result<(), StoreError> {
        let task = TaskKey::of(&caller.server, task);
        waiting(|| self.0.begin(clock::now(), &task, grant(caller)))
    }

    /// Notes that a session is this grant's, which names its id or was given it; answers whether it is.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn claims_session(&self, server: &str, grant: &str, id: &[u8], how: Claim) -> Result<bool, StoreError> {
        // Neither an id of a task nor the name of a grant holds a NUL that comes first or at all: no task is a session, and
        // one grant's sessions take no room of its tasks.
        let id: String = Sha256::digest(id).iter().map(|byte| format!("{byte:02x}")).collect();
        let (session, grant) = (TaskKey::of(server, &format!("\0session {id}")), format!("{grant}\0sessions"));
        waiting(|| self.0.claim(clock::now(), &session, &grant, how))
    }

    /// Whether each of these tasks is the caller's, in order. At most [`GRANT_TASKS_MAX`] at once: the store serves others
    /// meanwhile.
    ///
    /// # Errors
    /// The store cannot be used, or there are more.
    pub fn are_of<'t>(
        &self,
        caller: &Caller,
        tasks: impl IntoIterator<Item = &'t str>,
    ) -> Result<Vec<bool>, StoreError> {
        let tasks: Vec<_> = tasks.into_iter().map(|task| TaskKey::of(&caller.server, task)).collect();
        if tasks.len() > GRANT_TASKS_MAX {
            return Err(StoreError::TooManyTasks(tasks.len()));
        }
        waiting(|| self.0.are_of(clock::now(), &tasks, grant(caller)))
    }
}

fn grant(caller: &Caller) -> &str {
    caller.grant.as_deref().unwrap_or_default()
}

/// Does what may wait for a disk or a network, for a second or two at most. Messages for which this is done are few, so the thread
/// waits; others take over what it would have done meanwhile, if there are others.
pub(super) fn waiting<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MemoryTasks;

    #[test]
    fn more_tasks_than_a_grant_can_have_are_not_looked_up() {
        let tasks = GrantTasks::new(Arc::new(MemoryTasks::default()));
        let caller = Caller { server: "s".into(), grant: Some("g".into()), session: None, course: None, pledge: None };
        let ids: Vec<String> = (0..=GRANT_TASKS_MAX).map(|number| number.to_string()).collect();
        let ask = |count: usize| tasks.are_of(&caller, ids[..count].iter().map(String::as_str));
        assert_eq!(ask(GRANT_TASKS_MAX), Ok(vec![false; GRANT_TASKS_MAX]));
        assert_eq!(ask(GRANT_TASKS_MAX + 1), Err(StoreError::TooManyTasks(GRANT_TASKS_MAX + 1)));
    }
}
