//! The body of an answer at the common endpoint: one server's stream, or several joined into one.

use super::super::body::{Answer, BodyError, Pieces};
use super::super::mcp_headers::EVENTS;
use super::super::request_slots::RequestSlot;
use super::super::token_watch::TokenWatch;
use super::cursor::Cursor;
use super::piece::Piece;
use super::pipe::Pipe;
use super::request::ClientRequest;
use crate::mcp::sse::event;
use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Pieces that may wait for one client to read.
pub(super) const PIECES_WAITING_MAX: usize = 256;

/// A stream of events for one client.
pub struct GatheredStream {
    source: JointSource,
    first: Option<Piece>,
    /// What event ids are made of.
    cursor: Option<Cursor>,
    /// Ends a stream that would last for ever, when the gateway ends.
    drain: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    /// What is said at the end.
    farewell: Option<Bytes>,
    _seat: Option<RequestSlot>,
}

enum JointSource {
    Over,
    One(Box<Pipe>),
    /// Tasks that are at work as long as the client listens; one of them may have the last word.
    Many {
        pieces: mpsc::Receiver<Piece>,
        last: Option<oneshot::Receiver<Response<Answer>>>,
        _tasks: JoinSet<()>,
    },
}

impl fmt::Debug for GatheredStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatheredStream").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl Pieces for GatheredStream {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.next_piece(cx).map(|piece| piece.map(Ok))
    }
}

impl GatheredStream {
    fn new(source: JointSource, cursor: Option<Cursor>) -> Self {
        Self { source, first: None, cursor, drain: None, farewell: None, _seat: None }
    }

    /// What one server streams; events can be resumed from where the cursor says.
    pub(super) fn one(pipe: Pipe, cursor: Option<Cursor>) -> Self {
        Self::new(JointSource::One(Box::new(pipe)), cursor)
    }

    /// What these tasks send.
    pub(super) fn many(pieces: mpsc::Receiver<Piece>, tasks: JoinSet<()>, cursor: Option<Cursor>) -> Self {
        Self::new(JointSource::Many { pieces, last: None, _tasks: tasks }, cursor)
    }

    /// Begins with an event before all others.
    #[must_use]
    pub(super) fn beginning_with(self, first: Piece) -> Self {
        Self { first: Some(first), ..self }
    }

    /// Ends when the gateway is asked to end, too, and when its client may call none of the servers any more; at its end
    /// comes the last event if one is given.
    #[must_use]
    pub(super) fn until_over(mut self, turn: &ClientRequest, farewell: Option<Bytes>) -> Self {
        let mut ending = turn.gateway.ending();
        let let_in = futures_util::future::join_all(turn.token_watches().iter().map(TokenWatch::ended));
        self.drain = Some(Box::pin(async move {
            tokio::select! {
                // It also ends if the sender is gone that could say so.
                _ = ending.wait_for(|ending| *ending) => {}
                _ = let_in => {}
            }
        }));
        self.farewell = farewell;
        self
    }

    /// Ends when this does, too.
    #[must_use]
    pub(super) fn or_until(mut self, other: impl Future<Output = ()> + Send + Sync + 'static) -> Self {
        let drain = self.drain.take();
        self.drain = Some(Box::pin(async move {
            match drain {
                Some(drain) => tokio::select! { () = drain => {}, () = other => {} },
                None => other.await,
            }
        }));
        self
    }

    /// Counts among the open requests as long as it lasts.
    #[must_use]
    pub(super) fn on_seat(mut self, slot: RequestSlot) -> Self {
        self._seat = Some(slot);
        self
    }

    /// The response that it is the body of.
    pub(super) fn into_response(self) -> Response<Answer> {
        let mut response = Response::new(Answer::stream(self));
        response.headers_mut().insert(CONTENT_TYPE, EVENTS);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    /// The next bytes for the client.
    fn next_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(self.written(first)));
        }
        if let Some(drain) = &mut self.drain
            && drain.as_mut().poll(cx).is_ready()
        {
            (self.source, self.drain) = (JointSource::Over, None);
            return Poll::Ready(self.farewell.take());
        }
        let piece = match &mut self.source {
            JointSource::Over => None,
            JointSource::One(pipe) => std::task::ready!(pipe.poll_next(cx)),
            JointSource::Many { pieces, last, .. } => match (pieces.poll_recv(cx), last) {
                (Poll::Ready(Some(piece)), _) => Some(piece),
                (Poll::Ready(None) | Poll::Pending, Some(last)) => {
                    let last = std::task::ready!(Pin::new(last).poll(cx));
                    self.source = JointSource::Over;
                    return Poll::Ready(last.ok().and_then(whole).map(|message| event(&message)));
                }
                (Poll::Ready(None), None) => None,
                (Poll::Pending, None) => return Poll::Pending,
            },
        };
        let Some(piece) = piece else {
            self.source = JointSource::Over;
            return Poll::Ready(self.farewell.take());
        };
        Poll::Ready(Some(self.written(piece)))
    }

    /// A piece as the client gets it, with an id that stands for all servers.
    fn written(&mut self, piece: Piece) -> Bytes {
        let (Some(id), Some(server)) = (piece.id, piece.server) else { return piece.bytes };
        let Some(cursor) = &mut self.cursor else { return piece.bytes };
        match cursor {
            Cursor::Stream(places) if id.is_empty() => drop(places.remove(&*server)),
            Cursor::Stream(places) => drop(places.insert(server.to_string(), id.into())),
            Cursor::Answer { last, .. } => *last = id.into(),
        }
        let id = match cursor {
            Cursor::Answer { last, .. } if last.is_empty() => Some(String::new()),
            Cursor::Stream(places) if places.is_empty() => Some(String::new()),
            Cursor::Stream(_) | Cursor::Answer { .. } => cursor.write(),
        };
        let Some(id) = id else { return piece.bytes };
        let mut out = BytesMut::with_capacity(piece.bytes.len() + id.len() + 5);
        for part in [b"id: ", id.as_bytes(), b"\n", &piece.bytes] {
            out.extend_from_slice(part);
        }
        out.freeze()
    }
}

/// The message of a response that comes in one piece.
fn whole(response: Response<Answer>) -> Option<Bytes> {
    match response.into_body() {
        Answer::Whole(message) => message,
        Answer::Stream(_) | Answer::Messages(_) | Answer::Raw(_) => None,
    }
}

/// Does work that asks several servers. Where they say something beside their answers, the client hears it as it comes,
/// on a stream that ends with the answer.
pub(super) async fn gathered<W, F>(mut turn: ClientRequest, work: W) -> Response<Answer>
where
    W: FnOnce(Arc<ClientRequest>) -> F,
    F: Future<Output = Response<Answer>> + Send + 'static,
{
    if !turn.streams {
        return work(Arc::new(turn)).await;
    }
    let (sender, mut pieces) = mpsc::channel(PIECES_WAITING_MAX);
    turn.aside = Some(sender);
    let (done, mut last) = oneshot::channel();
    let mut tasks = JoinSet::new();
    let work = work(Arc::new(turn));
    tasks.spawn(async move {
        // The client is gone, and need not know.
        let _ = done.send(work.await);
    });
    let first = tokio::select! {
        biased;
        Some(piece) = pieces.recv() => piece,
        answer = &mut last => {
            return answer.unwrap_or_else(|_| {
                super::super::refusal::Refusal::new(http::StatusCode::INTERNAL_SERVER_ERROR, "no answer").into_response()
            });
        }
    };
    GatheredStream::new(JointSource::Many { pieces, last: Some(last), _tasks: tasks }, None)
        .beginning_with(first)
        .into_response()
}
