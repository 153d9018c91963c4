//! One server's part in an answer of the common endpoint: asked at its own way, read to its end.

use super::super::body::Answer;
use super::super::refusal::Refusal;
use super::super::{Gateway, Server, Way};
use crate::gateway::identity::Identity;
use crate::mcp::envelope::{Arrival, Id, MESSAGE_BYTES_MAX, receive};
use crate::mcp::sse::SseParser;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt as _, Limited};
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take for its part of an answer.
pub(super) const PART_WAIT: Duration = Duration::from_secs(30);

/// Sends one message to one server, as if it had come to that server's own endpoint.
pub(super) async fn send(
    gateway: Arc<Gateway>,
    server: Arc<Server>,
    who: Identity,
    head: Parts,
    body: Bytes,
) -> Result<Response<Answer>, Refusal> {
    let seat = gateway.seats.take(&who.grant)?;
    match &server.way {
        Way::Http(relay) => relay.post(&gateway, &server, who, head, body, seat).await,
        Way::Stdio(bridge) => bridge.post(&gateway, &server, who, head, body, seat).await,
    }
}

/// Ends a session with one server, whose id is in the head.
pub(super) async fn end(server: &Arc<Server>, who: &Identity, head: Parts) {
    let ended = async {
        match &server.way {
            Way::Http(relay) => relay.delete(who, head).await.map(drop),
            Way::Stdio(bridge) => bridge.delete(who, &head).map(drop),
        }
    };
    // A server that keeps a session longer than needed is no concern of the client.
    let _ = tokio::time::timeout(PART_WAIT, ended).await;
}

/// Reads a server's part to its end: its headers and the one message that answers.
pub(super) async fn part(
    sent: impl Future<Output = Result<Response<Answer>, Refusal>>,
    id: &Id,
) -> Result<Part, String> {
    let read = async {
        let (head, body) = sent.await.map_err(|refusal| refusal.message().to_owned())?.into_parts();
        let body = Limited::new(body, MESSAGE_BYTES_MAX).collect().await;
        let bytes = body.map_err(|_| "its answer broke off or is too long".to_owned())?.to_bytes();
        Ok::<_, String>((head.headers, bytes))
    };
    let (headers, bytes) =
        tokio::time::timeout(PART_WAIT, read).await.map_err(|_| "it does not answer".to_owned())??;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut messages = Vec::new();
    if kind.starts_with("text/event-stream") {
        let mut parser = SseParser::new(MESSAGE_BYTES_MAX);
        parser.feed(&bytes).map_err(|_| "an event is too long".to_owned())?;
        while let Some(event) = parser.next_event() {
            messages.push(event.data.into_bytes());
        }
    } else {
        messages.push(bytes.to_vec());
    }
    for message in messages {
        let Ok(received) = receive(&message) else { continue };
        let result = match &received.arrival {
            Arrival::Result(to) if to == id => received.result().map(str::to_owned),
            Arrival::Error(to) if to == id => None,
            _ => continue,
        };
        return Ok(Part { headers, result });
    }
    Err("its answer holds no message".to_owned())
}

/// What a server answered; without a result it was an error.
pub(super) struct Part {
    pub headers: HeaderMap,
    pub result: Option<String>,
}
