//! What the calls of one server are held to, beside its limits, and in what another version of it is looser.

use crate::gateway::locked::OnChange;
use crate::gateway::loosened::Loosened;
use crate::gateway::plan::LockPlan;
use crate::mcp::target::Confinement;
use crate::policy::Policy;
use std::sync::Arc;

/// What the calls of one server are held to.
#[derive(Debug)]
pub(super) struct Strictness {
    /// Its own policy.
    pub(super) policy: Option<Arc<Policy>>,
    /// The lock.
    pub(super) locked: Option<LockPlan>,
    /// What its command is held to, if it is one.
    pub(super) confinement: Option<Confinement>,
}

impl Strictness {
    /// What passes that did not before; `None` stands for a server that was not served.
    pub(super) fn looser_than(&self, before: Option<&Self>) -> Loosened {
        let Some(before) = before else { return Loosened::of(["is new".to_owned()]) };
        let mut loosened = match (&before.policy, &self.policy) {
            (Some(old), Some(new)) => Loosened::between(old, new),
            (None, Some(_)) => Loosened::of(["has a policy, and had none that let anything pass".to_owned()]),
            (_, None) => Loosened::default(),
        };
        match (&before.locked, &self.locked) {
            (Some(_), None) => loosened.push("is held to no lock any more".to_owned()),
            (Some(old), Some(new)) => {
                if old.path != new.path {
                    loosened.push(format!("is held to another lock, `{}`", new.path.display()));
                }
                if (old.on_change, new.on_change) == (OnChange::Deny, OnChange::Warn) {
                    loosened.push("tools that are not as they were locked are called all the same".to_owned());
                }
            }
            (None, _) => {}
        }
        let bound = before.confinement.as_ref().is_some_and(|before| *before != Confinement::NONE);
        if bound && before.confinement != self.confinement {
            loosened.push("its command is held to another user or other files than before".to_owned());
        }
        loosened
    }
}
