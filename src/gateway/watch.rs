//! Watches the files that a session over stdio depends on: its policy and its lock.

use super::event::Event;
use super::lock_watch::LockWatch;
use super::mediate::Mediator;
use super::policies::Slot;
use super::watched_file::{folder_of, notify};
use crate::clock::Timestamp;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// Watches the files of one session over stdio.
#[derive(Debug)]
pub struct Watch {
    policy: Arc<Slot>,
    lock: Option<LockWatch>,
}

impl Watch {
    /// Watches a policy, and the lock that calls are held to, if there is one.
    pub fn new(policy: Arc<Slot>, lock: Option<LockWatch>) -> Self {
        Self { policy, lock }
    }

    /// Has the system send [`Event::PolicyTouched`] when a file has changed in the folders of policy and lock, so that
    /// a change is seen at once. Where the system does not tell (other systems, network file systems, links in folders
    /// above) the session's tick sees it.
    pub fn tell(&self, sender: &Sender<Event>) {
        let (path, lock) = (self.policy.path(), self.lock.as_ref().map(|lock| folder_of(lock.path())));
        let policy = folder_of(&path);
        for folder in std::iter::once(policy).chain(lock.filter(|folder| *folder != policy)) {
            let sender = sender.clone();
            notify(folder, move || sender.send(Event::PolicyTouched).is_ok());
        }
    }

    /// Looks whether a file has changed, and puts a valid new version in force. Returns whether other tools may be
    /// visible now, so that the client has to list them again.
    pub fn look(&mut self, mediator: &Mediator, now: Timestamp) -> bool {
        let lock = match (&mut self.lock, mediator.guard()) {
            (Some(lock), Some(guard)) => lock.look(guard, mediator.decider(), now),
            (_, _) => false,
        };
        self.policy.look(mediator.decider(), now) || lock
    }
}
