//! What goes back to a client from a child: an answer in one piece, or a stream of events.

use super::body::{Answer, Messages};
use super::child::{Child, Listening, Refused, WaitingClient};
use super::child_routes::ChildPiece;
use super::command_table::refused;
use super::events::{Over, REVOKED, Until, until};
use super::mcp_headers::EVENTS;
use super::refusal::{Refusal, accepted, json, unauthorized};
use super::request_slots::RequestSlot;
use super::token_watch::TokenWatch;
use crate::gateway::identity::Unauthorized;
use crate::gateway::reply;
use crate::mcp::envelope::ReplyTo;
use crate::mcp::walk::member;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The answer to a request: in one piece if nothing else comes before it, else as a stream.
pub(super) async fn answer(
    mut waiting: WaitingClient,
    streams: bool,
    is_stateless: bool,
    slot: RequestSlot,
    greets: Option<Arc<Child>>,
    token_watch: &Arc<TokenWatch>,
) -> Result<Response<Answer>, Refusal> {
    // A handshake is awaited whole, however much is said before it.
    let streams = streams && greets.is_none();
    let mut until = until(token_watch, None);
    loop {
        let piece = tokio::select! {
            piece = waiting.next() => piece,
            _ = until.as_mut() => {
                // Nor may a call that waits for a person go on when he agrees.
                waiting.cancel_when_dropped();
                return Err(unauthorized(&Unauthorized::Revoked));
            }
        };
        match piece {
            Some(ChildPiece::Last(message)) => {
                // An error is no greeting: a child that gave one is not shared.
                if let Some(child) = &greets
                    && std::str::from_utf8(&message).is_ok_and(|text| member(text, "result").is_some())
                {
                    child.set_greeting(&message);
                }
                let status = if is_stateless { status_of(&message) } else { StatusCode::OK };
                return Ok(json(status, message.to_vec()));
            }
            Some(ChildPiece::More(message)) if streams => {
                return Ok(events(Stream::Answer(waiting), Some(message), slot, until));
            }
            Some(ChildPiece::More(_)) => {}
            None if waiting.is_gone() => return Err(refused(Refused::Gone)),
            // Withdrawn: there is no answer to come.
            None => return Ok(accepted()),
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
    Answer(WaitingClient),
    Listening(Listening),
}

/// Messages from a child, for one client.
pub struct ChildEvents {
    stream: Option<Stream>,
    first: Option<Bytes>,
    until: Until,
    _seat: RequestSlot,
}

impl fmt::Debug for ChildEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildEvents").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Messages for ChildEvents {
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.stream.is_some()
            && let Poll::Ready(over) = self.until.as_mut().poll(cx)
        {
            let stream = self.stream.take();
            if over == Over::Revoked {
                self.first = stream.and_then(revoked);
            }
        }
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let polled = match &mut self.stream {
            None => return Poll::Ready(None),
            Some(Stream::Listening(listening)) => listening.poll(cx),
            Some(Stream::Answer(waiting)) => match std::task::ready!(waiting.poll(cx)) {
                Some(ChildPiece::More(message)) => Poll::Ready(Some(message)),
                Some(ChildPiece::Last(message)) => {
                    self.stream = None;
                    return Poll::Ready(Some(message));
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

impl ChildEvents {}

/// What is left to say on a stream whose caller may not call the server any more.
fn revoked(stream: Stream) -> Option<Bytes> {
    match stream {
        Stream::Listening(_) => None,
        Stream::Answer(mut waiting) => {
            waiting.cancel_when_dropped();
            let mut line = Vec::new();
            reply::error(&mut line, &ReplyTo::Id(waiting.id().clone()), reply::INTERNAL_ERROR, REVOKED);
            line.pop();
            Some(line.into())
        }
    }
}

/// An answer that is a stream.
pub(super) fn events(stream: Stream, first: Option<Bytes>, slot: RequestSlot, until: Until) -> Response<Answer> {
    let events = ChildEvents { stream: Some(stream), first, until, _seat: slot };
    let mut response = Response::new(Answer::Messages(Box::new(events)));
    response.headers_mut().insert(CONTENT_TYPE, EVENTS);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
