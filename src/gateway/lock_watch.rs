//! Watches the file of a lock: a valid new version takes over, a bad one is refused, logged and shown to the operator.

use super::audit::Whose;
use super::decider::Decider;
use super::locked::{self, Guard};
use super::watched_file::WatchedFile;
use crate::clock::Timestamp;
use crate::model::ServerName;
use std::path::Path;

/// Watches what a lock says about one server.
#[derive(Debug)]
pub struct LockWatch {
    file: WatchedFile,
    server: ServerName,
}

impl LockWatch {
    /// Begins to watch a file. To be called before the file is read, so that a change in between is seen at the first
    /// look.
    pub fn new(path: &Path, server: ServerName) -> Self {
        Self { file: WatchedFile::new(path), server }
    }

    /// The lock's file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Looks whether the file has changed, and puts a valid new version in force. Returns whether the lock says
    /// anything else now, so that clients have to list the tools again.
    pub fn look(&mut self, guard: &Guard, decider: &Decider, now: Timestamp) -> bool {
        if !self.file.has_changed() {
            return false;
        }
        let whose = Whose::server(&self.server.as_str().into());
        let reviewed = match locked::read(self.file.path(), &self.server) {
            Ok(reviewed) => reviewed,
            Err(error) => {
                let rest = "what was locked before stays in force";
                self.file.refuse(&error, rest, error.problems(), (decider, &whose), now);
                return false;
            }
        };
        self.file.accept();
        let count = reviewed.count();
        let Some(loosened) = guard.set(reviewed) else { return false };
        decider.audit().event(now, "lock_reload", &whose, |line| loosened.log(line.number("tools", count as u64)));
        if let Some(meter) = decider.meter() {
            meter.reloaded();
        }
        decider.notice(&loosened.said(&format!("lock reloaded: {count} tools")).of(self.server.as_str()));
        true
    }
}
