//! The stores of one place, ready to be handed out.

use super::grants::GrantStore;
use super::tasks::TaskStore;
use crate::policy::{ApprovalStore, CourseStore, LimitStore};
use std::fmt;
use std::sync::Arc;

/// The stores of one place. They share its connections, and open them when they are first used.
#[derive(Clone)]
pub struct Stores {
    /// Counters.
    pub limits: Arc<dyn LimitStore>,
    /// Questions to people.
    pub approvals: Arc<dyn ApprovalStore>,
    /// Who may call.
    pub grants: Arc<dyn GrantStore>,
    /// Which grant began which task.
    pub tasks: Arc<dyn TaskStore>,
    /// What sessions have called and pledged.
    pub courses: Arc<dyn CourseStore>,
    /// Whether a call of a store may wait for a disk or a network: for up to
    /// [`BUSY_TIMEOUT`](super::BUSY_TIMEOUT), or a second for Redis.
    pub may_wait: bool,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("may_wait", &self.may_wait).finish_non_exhaustive()
    }
}

/// One store for all, which may wait for a disk or a network.
pub(super) fn stores<S: LimitStore + ApprovalStore + GrantStore + TaskStore + CourseStore + 'static>(
    store: S,
) -> Stores {
    let store = Arc::new(store);
    Stores {
        limits: Arc::clone(&store) as Arc<dyn LimitStore>,
        approvals: Arc::clone(&store) as Arc<dyn ApprovalStore>,
        grants: Arc::clone(&store) as Arc<dyn GrantStore>,
        tasks: Arc::clone(&store) as Arc<dyn TaskStore>,
        courses: store,
        may_wait: true,
    }
}
