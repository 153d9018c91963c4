//! One client of a server, as its calls are judged: its grant, its policy of now, and what it was shown.

use super::view::View;
use crate::gateway::audit::{Route, Whose};
use crate::policy::{Caller, Policy};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Knows the policy of a client as it is now. It is asked at each use, so that a new policy is in force for the next
/// decision, also on a call that has waited.
pub trait PolicySource: Send + Sync {
    /// The policy of now; a client without one may call nothing and sees no tool.
    fn policy(&self) -> Option<Arc<Policy>>;
}

/// A policy that is never replaced.
impl PolicySource for Arc<Policy> {
    fn policy(&self) -> Option<Arc<Policy>> {
        Some(Self::clone(self))
    }
}

/// One client of a server.
pub struct Party {
    /// The server, grant and session, as counters, approvals and the log name them.
    pub caller: Caller,
    /// The way between client and server.
    pub way: Route,
    source: Box<dyn PolicySource>,
    view: Arc<Mutex<View>>,
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl Party {
    /// A client that was shown no list yet.
    pub fn new(caller: Caller, way: Route, source: impl PolicySource + 'static) -> Self {
        Self::seeing(caller, way, source, Arc::default())
    }

    /// A client that was shown this; clients with the same view count as one.
    pub fn seeing(caller: Caller, way: Route, source: impl PolicySource + 'static, view: Arc<Mutex<View>>) -> Self {
        Self { caller, way, source: Box::new(source), view }
    }

    /// What a line of the log about this client names.
    pub fn whose(&self) -> Whose {
        Whose::caller(&self.caller, self.way)
    }

    /// The client's policy of now, if it has one.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.source.policy()
    }

    /// What the client was shown, not locked yet.
    pub fn seen(&self) -> &Mutex<View> {
        &self.view
    }

    /// What the client was shown, locked.
    pub fn view(&self) -> MutexGuard<'_, View> {
        // A view is consistent between any two statements, so one that a panic left behind can be used.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether both are one client: what is shown to one is shown to the other.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.view, &other.view)
    }

    /// The grant's name; empty without a grant.
    pub fn grant(&self) -> &str {
        self.caller.grant.as_deref().unwrap_or_default()
    }
}
