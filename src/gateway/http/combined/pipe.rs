//! What one server streams, each message looked at and made fit for a client that hears all servers. A child yields
//! messages; the stream of a server behind a URL is cut into events.

use super::super::body::Answer;
use super::piece::{Piece, PieceContent};
use super::server_side::{ServerSide, Sifted};
use crate::mcp::envelope::Id;
use crate::mcp::sse::{Block, Blocks, event};
use bytes::Bytes;
use hyper::body::Body as _;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A stream of one server.
#[derive(Debug)]
pub(super) struct Pipe {
    leg: Arc<ServerSide>,
    source: Option<Answer>,
    blocks: Blocks,
    /// The request that may be answered here.
    expected: Option<Id>,
    ready: VecDeque<Piece>,
    retry: Option<Duration>,
    /// The client hears how long to wait before it comes back; where the gateway comes back itself, it does not.
    keeps_retry: bool,
    keeps_messages: bool,
}

impl Pipe {
    /// A stream on which this request may be answered, and nothing else.
    pub(super) fn new(leg: Arc<ServerSide>, source: Answer, expected: Option<Id>) -> Self {
        Self {
            leg,
            source: Some(source),
            blocks: Blocks::default(),
            keeps_retry: expected.is_some(),
            expected,
            ready: VecDeque::new(),
            retry: None,
            keeps_messages: false,
        }
    }

    /// Keeps the messages of pieces beside their bytes, for a gateway that reads them.
    #[must_use]
    pub(super) fn with_messages(self) -> Self {
        Self { keeps_messages: true, ..self }
    }

    /// How long the server wants to be left alone before the stream is taken up again.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The next piece.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(piece));
            }
            let Some(source) = &mut self.source else { return Poll::Ready(None) };
            // A child yields messages: there is nothing to be cut.
            if let Answer::Messages(messages) = source {
                match std::task::ready!(messages.poll_message(cx)) {
                    Some(message) => self.sift(&message),
                    None => self.source = None,
                }
                continue;
            }
            match std::task::ready!(Pin::new(source).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.arrived(bytes);
                    }
                }
                Some(Err(_)) | None => self.source = None,
            }
        }
    }

    /// The next piece, to be awaited.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn arrived(&mut self, bytes: &Bytes) {
        self.blocks.feed(bytes);
        loop {
            match self.blocks.next_block() {
                Ok(Some(block)) => self.take(&block),
                Ok(None) => return,
                Err(_) => {
                    self.leg.dropped("an event that is too long");
                    self.source = None;
                    return;
                }
            }
        }
    }

    fn sift(&mut self, data: &Bytes) {
        let other = match self.leg.sift(data, self.expected.as_ref()) {
            Sifted::Beside(other) => Some(other.map_or_else(|| data.clone(), Bytes::from)),
            Sifted::Answer => None,
            Sifted::Drop => return,
        };
        let kept = |message: &Bytes| if self.keeps_messages { message.clone() } else { Bytes::new() };
        let (bytes, message) = match &other {
            Some(beside) => (event(beside), PieceContent::Beside(kept(beside))),
            None => (event(data), PieceContent::Answer(kept(data))),
        };
        self.ready.push_back(Piece { server: Some(self.leg.label()), id: None, bytes, message });
    }

    fn take(&mut self, block: &Block) {
        self.retry = block.retry().or(self.retry);
        let fields: &[&[u8]] = if self.keeps_retry { &[b"id"] } else { &[b"id", b"retry"] };
        let id = block.id().map(|id| id.as_ref().into());
        // No client reads an event of another kind as a message.
        let data = block.data().filter(|data| block.is_message() && !data.is_empty());
        let kept = |message: &[u8]| if self.keeps_messages { Bytes::copy_from_slice(message) } else { Bytes::new() };
        let (bytes, message) = match data {
            None => (block.without(fields, None), PieceContent::Nothing),
            Some(data) => match self.leg.sift(&data, self.expected.as_ref()) {
                Sifted::Beside(None) => (block.without(fields, None), PieceContent::Beside(kept(&data))),
                Sifted::Beside(Some(other)) => {
                    (block.without(fields, Some(other.as_bytes())), PieceContent::Beside(kept(other.as_bytes())))
                }
                Sifted::Answer => (block.without(fields, None), PieceContent::Answer(kept(&data))),
                // Its id counts all the same: what was not passed on must not come again.
                Sifted::Drop => (Bytes::from_static(b"\n"), PieceContent::Nothing),
            },
        };
        let is_empty = bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if id.is_some() || !is_empty {
            self.ready.push_back(Piece { server: Some(self.leg.label()), id, bytes, message });
        }
    }
}
