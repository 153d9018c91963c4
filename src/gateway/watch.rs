//! The files that a session over stdio stands on, its policy and its lock: watched, and looked at now and then.

use super::event::Event;
use super::lock_watch::LockWatch;
use super::mediate::Mediator;
use super::policies::Slot;
use super::reload::{folder_of, notify};
use crate::clock::Timestamp;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// Looks after the files of a session.
#[derive(Debug)]
pub struct Watch {
    policy: Arc<Slot>,
    lock: Option<LockWatch>,
}

impl Watch {
    /// Looks after a policy, and after the lock that calls are held to.
    pub fn new(policy: Arc<Slot>, lock: Option<LockWatch>) -> Self {
        Self { policy, lock }
    }

    /// Begins to tell when it is worth looking. The system's notifications make it quick; where they are missing (other
    /// systems, network file systems, links in folders above) a look now and then is enough.
    pub fn tell(&self, sender: &Sender<Event>) {
        let (path, lock) = (self.policy.path(), self.lock.as_ref().map(|lock| folder_of(lock.path())));
        let policy = folder_of(&path);
        for folder in std::iter::once(policy).chain(lock.filter(|folder| *folder != policy)) {
            let sender = sender.clone();
            notify(folder, move || sender.send(Event::PolicyTouched).is_ok());
        }
    }

    /// Looks whether a file has changed, and puts a good new version in place. Answers whether any tool may appear
    /// otherwise now.
    pub fn look(&mut self, mediator: &Mediator, now: Timestamp) -> bool {
        let lock = match (&mut self.lock, mediator.guard()) {
            (Some(lock), Some(guard)) => lock.look(guard, mediator.desk(), now),
            (_, _) => false,
        };
        self.policy.look(mediator.desk(), now) || lock
    }
}
