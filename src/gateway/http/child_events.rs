//! What goes back to a client from a child: an answer in one piece, or a stream of events.

use super::body::Answer;
use super::bridge::refused;
use super::child::{Child, Listening, Piece, Refused, Waiting, as_event};
use super::refusal::{Refusal, json};
use super::seats::Seat;
use crate::mcp::walk::member;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;

/// The answer to a request: in one piece if nothing else comes before it, else as a stream.
pub(super) async fn answer(
    mut waiting: Waiting,
    streams: bool,
    is_stateless: bool,
    seat: Seat,
    greets: Option<Arc<Child>>,
) -> Result<Response<Answer>, Refusal> {
    // A handshake is awaited whole, however much is said before it.
    let streams = streams && greets.is_none();
    loop {
        match waiting.next().await {
            Some(Piece::Last(message)) => {
                if let Some(child) = &greets {
                    child.set_greeting(&message);
                }
                let status = if is_stateless { status_of(&message) } else { StatusCode::OK };
                return Ok(json(status, message.to_vec()));
            }
            Some(Piece::More(message)) if streams => {
                return Ok(events(Stream::Answer(waiting), Some(as_event(&message)), seat, None));
            }
            Some(Piece::More(_)) => {}
            None => return Err(refused(Refused::Gone)),
        }
    }
}

/// The status that goes with an error (MCP 2026-07-28, streamable HTTP).
fn status_of(message: &[u8]) -> StatusCode {
    let code = std::str::from_utf8(message).ok().and_then(|text| {
        let (error, _) = member(text, "error")?;
        member(error, "code")?.0.parse::<i64>().ok()
    });
    match code {
        Some(-32_022..=-32_020) => StatusCode::BAD_REQUEST,
        Some(-32_601) => StatusCode::NOT_FOUND,
        Some(_) | None => StatusCode::OK,
    }
}

/// What a stream of events is made of.
#[derive(Debug)]
pub(super) enum Stream {
    Answer(Waiting),
    Listening(Listening),
}

/// Events from a child, for one client.
pub struct ChildEvents {
    stream: Option<Stream>,
    first: Option<Bytes>,
    drain: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    _seat: Seat,
}

impl fmt::Debug for ChildEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildEvents").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl ChildEvents {
    /// The next event.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if let Some(drain) = &mut self.drain
            && drain.as_mut().poll(cx).is_ready()
        {
            self.stream = None;
        }
        let polled = match &mut self.stream {
            None => return Poll::Ready(None),
            Some(Stream::Listening(listening)) => listening.poll(cx).map(|message| message.map(|m| as_event(&m))),
            Some(Stream::Answer(waiting)) => match std::task::ready!(waiting.poll(cx)) {
                Some(Piece::More(message)) => Poll::Ready(Some(as_event(&message))),
                Some(Piece::Last(message)) => {
                    self.stream = None;
                    return Poll::Ready(Some(as_event(&message)));
                }
                None => Poll::Ready(None),
            },
        };
        if let Poll::Ready(None) = polled {
            self.stream = None;
        }
        polled
    }
}

/// An answer that is a stream; it ends when the gateway ends, if `ending` says when that is.
pub(super) fn events(
    stream: Stream,
    first: Option<Bytes>,
    seat: Seat,
    ending: Option<watch::Receiver<bool>>,
) -> Response<Answer> {
    let drain = ending.map(|mut ending| {
        let until = async move {
            // It also ends if nobody is left who could say so.
            let _ = ending.wait_for(|ending| *ending).await;
        };
        Box::pin(until) as Pin<Box<dyn Future<Output = ()> + Send + Sync>>
    });
    let events = ChildEvents { stream: Some(stream), first, drain, _seat: seat };
    let mut response = Response::new(Answer::Child(Box::new(events)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
