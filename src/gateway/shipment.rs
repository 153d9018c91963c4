//! What goes to the server. Calls get in once they are cleared only, and everything else as it was admitted.

use super::exchange::Cleared;
use crate::mcp::envelope::{Id, Passage};
use crate::mcp::json::escape_line_separators;

/// Lines for the server, in order, to be written at once.
#[derive(Debug, Default)]
pub struct Shipment {
    lines: Vec<u8>,
}

impl Shipment {
    /// Loads a call. A [`Passage`] is never one.
    pub fn call(&mut self, call: &Cleared) {
        self.line(call.line());
    }

    /// Loads any other message.
    pub fn pass(&mut self, passage: &Passage) {
        self.line(passage.line());
    }

    /// Loads the news that a request is given up.
    pub fn cancel(&mut self, id: &Id, reason: &str) {
        super::reply::cancelled(&mut self.lines, id, reason);
    }

    /// Loads an error for a request of the server.
    pub fn refuse(&mut self, id: &Id, message: &str) {
        let to = crate::mcp::envelope::ReplyTo::Id(id.clone());
        let mut line = Vec::new();
        super::reply::error(&mut line, &to, super::reply::INTERNAL_ERROR, message);
        line.pop();
        self.answer(&line);
    }

    /// Loads the gateway's own answer to a request of the server.
    pub fn answer(&mut self, message: &[u8]) {
        // The id is the server's, and may hold what some readers take for the end of a line.
        self.line(escape_line_separators(&String::from_utf8_lossy(message)).as_bytes());
    }

    /// Loads a line again for a server that was started again: what the client has said that lasts, which was admitted when
    /// it first came and is never a call.
    pub(super) fn again(&mut self, line: &[u8]) {
        self.line(line);
    }

    /// Makes room for so many bytes at once.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.lines.reserve(bytes);
    }

    fn line(&mut self, line: &[u8]) {
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
    }

    /// The lines, each with its `\n`.
    pub fn bytes(&self) -> &[u8] {
        &self.lines
    }

    /// Each line, without its `\n`.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Why a shipment was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// It is being started again; nothing of what was to be sent has left.
    #[error("the server is being started again")]
    Absent,
    /// It is gone; there is no telling what it has read.
    #[error("the server is gone")]
    Gone,
    /// It does not read, and more may not wait for it; nothing of what was to be sent has left.
    #[error("the server does not read what it is sent")]
    Busy,
}
