//! One event of a server's stream on its way to a client that hears all servers.

use crate::mcp::sse::event;
use bytes::Bytes;
use std::sync::Arc;

/// A piece of a stream on its way to the client.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// The server that says it; none where the gateway does.
    pub(super) server: Option<Arc<str>>,
    /// The id that the server gave the event, which is not among the bytes; empty takes the last one back.
    pub(super) id: Option<Box<str>>,
    /// The event, with the empty line behind it, or a comment.
    pub(super) bytes: Bytes,
    /// What it holds.
    pub(super) message: PieceContent,
}

/// What a piece holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PieceContent {
    /// No message: a comment, an id, another kind of event.
    Nothing,
    /// A notification, or a question to the client. The message is empty where the gateway does not read it.
    Beside(Bytes),
    /// The answer that the stream is for; empty where the gateway does not read it.
    Answer(Bytes),
}

impl Piece {
    /// A message of the gateway's own.
    pub(super) fn ours(message: &[u8]) -> Self {
        let held = PieceContent::Beside(Bytes::copy_from_slice(message));
        Self { server: None, id: None, bytes: event(message), message: held }
    }
}

/// Whether a piece is the answer, and which.
pub(super) fn answer_of(piece: &Piece) -> Option<&Bytes> {
    match &piece.message {
        PieceContent::Answer(message) => Some(message),
        PieceContent::Nothing | PieceContent::Beside(_) => None,
    }
}
