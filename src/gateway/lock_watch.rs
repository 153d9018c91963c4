//! Watches the file of a lock: a valid new version takes over, a bad one is refused, logged and shown to the operator.

use super::audit::Whose;
use super::desk::Desk;
use super::locked::{self, Guard};
use super::reload::Stamp;
use crate::clock::Timestamp;
use crate::model::ServerName;
use std::path::{Path, PathBuf};

/// Watches what a lock says about one server.
#[derive(Debug)]
pub struct LockWatch {
    path: PathBuf,
    server: ServerName,
    stamp: Stamp,
    refused: Option<String>,
}

impl LockWatch {
    /// Begins to watch a file. To be called before the file is read, so that a change in between is seen at the first
    /// look.
    pub fn new(path: PathBuf, server: ServerName) -> Self {
        let stamp = Stamp::of(&path);
        Self { path, server, stamp, refused: None }
    }

    /// The lock's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn whose(&self) -> Whose {
        Whose::server(&self.server.as_str().into())
    }

    /// Looks whether the file has changed, and puts a valid new version in force. Returns whether the lock says
    /// anything else now, so that clients have to list the tools again.
    pub fn look(&mut self, guard: &Guard, desk: &Desk, now: Timestamp) -> bool {
        let stamp = Stamp::of(&self.path);
        if stamp == self.stamp {
            return false;
        }
        self.stamp = stamp;
        match locked::read(&self.path, &self.server) {
            Ok(reviewed) => {
                self.refused = None;
                let count = reviewed.count();
                let differs = guard.set(reviewed);
                if differs {
                    desk.audit().event(now, "lock_reload", &self.whose(), |line| line.number("tools", count as u64));
                    desk.notice(&format!("{}: lock reloaded: {count} tools", self.server));
                }
                differs
            }
            Err(error) => {
                let mut text = format!("{error}; what was locked before stays in force");
                for problem in error.problems() {
                    text.push_str(&format!("\n  {problem}"));
                }
                // A file that stays bad is reported once.
                if self.refused.as_ref() != Some(&text) {
                    desk.audit()
                        .event(now, "reload_refused", &self.whose(), |line| line.text("reason", &error.to_string()));
                    desk.notice(&text);
                    self.refused = Some(text);
                }
                false
            }
        }
    }
}
