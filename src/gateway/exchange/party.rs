//! One client of a server, as its calls are judged: who calls, by which policy, and what was shown to it.

use super::view::View;
use crate::gateway::audit::{Route, Whose};
use crate::policy::{Caller, Policy};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Knows the policy of a client as it is now. It is asked at each use, so that a new policy is in force for whatever is
/// decided next, a call that has waited included.
pub trait PolicySource: Send + Sync {
    /// The policy of now; a client without one may call nothing and sees nothing.
    fn policy(&self) -> Option<Arc<Policy>>;
}

/// A policy that stays.
impl PolicySource for Arc<Policy> {
    fn policy(&self) -> Option<Arc<Policy>> {
        Some(Self::clone(self))
    }
}

/// One client of a server.
pub struct Party {
    /// Who calls, as counters, approvals and the log name it.
    pub caller: Caller,
    /// The way to the server.
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
    /// A client that was shown nothing yet.
    pub fn new(caller: Caller, way: Route, source: impl PolicySource + 'static) -> Self {
        Self::seeing(caller, way, source, Arc::default())
    }

    /// A client that was shown this.
    pub fn seeing(caller: Caller, way: Route, source: impl PolicySource + 'static, view: Arc<Mutex<View>>) -> Self {
        Self { caller, way, source: Box::new(source), view }
    }

    /// Whose a line about it is.
    pub fn whose(&self) -> Whose {
        Whose::caller(&self.caller, self.way)
    }

    /// The policy of now.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.source.policy()
    }

    /// What was shown to it, to be looked at.
    pub fn seen(&self) -> &Mutex<View> {
        &self.view
    }

    /// What was shown to it.
    pub fn view(&self) -> MutexGuard<'_, View> {
        // A view is whole between any two statements, so one that a panic left behind can be used.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether both are the same client: what is shown to one is shown to the other.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.view, &other.view)
    }

    /// The grant's name; empty where none is known.
    pub fn grant(&self) -> &str {
        self.caller.grant.as_deref().unwrap_or_default()
    }
}
