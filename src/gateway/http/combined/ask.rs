//! Asking one server: at its own way, as if the message had come to its own endpoint.

use super::super::body::Answer;
use super::super::refusal::Refusal;
use super::super::request_slots::RequestSlot;
use super::super::server::ServerWay;
use super::super::{Gateway, Server};
use super::piece::answer_of;
use super::pipe::Pipe;
use super::request::ClientRequest;
use crate::gateway::identity::Identity;
use crate::mcp::envelope::{Arrival, Id, MESSAGE_BYTES_MAX, receive};
use crate::mcp::http::ContentKind;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take for its part of an answer.
pub(super) const PART_WAIT: Duration = Duration::from_secs(30);

/// A message for one server.
#[derive(Clone, Debug)]
pub(super) struct Ask<'a> {
    /// Its method, as the headers of the revision without sessions repeat it.
    pub(super) method: &'a str,
    /// What it names, the same.
    pub(super) name: Option<&'a str>,
    pub(super) body: Bytes,
    /// Whether it is sent once more after a session that was lost has begun anew.
    pub(super) again: bool,
}

impl<'a> Ask<'a> {
    /// A message that names a tool, prompt, resource or task.
    pub(super) fn named(method: &'a str, name: &'a str, body: Bytes) -> Self {
        Self { method, name: Some(name), body, again: true }
    }

    /// A message that names nothing.
    pub(super) fn unnamed(method: &'a str, body: Bytes) -> Self {
        Self { method, name: None, body, again: true }
    }

    /// Never sent again: the server may act on it twice.
    #[must_use]
    pub(super) fn once(self) -> Self {
        Self { again: false, ..self }
    }
}

/// Sends one message to one server.
pub(super) async fn post(
    gateway: &Arc<Gateway>,
    server: &Arc<Server>,
    who: Identity,
    head: Parts,
    body: Bytes,
) -> Result<Response<Answer>, Refusal> {
    let slot = gateway.slots.take(&who.grant)?;
    match &server.way {
        // On the heap: each is asked in several places, and whatever waits for it would carry room for it.
        ServerWay::Http(relay) => Box::pin(relay.post(gateway, server, who, head, body, slot)).await,
        ServerWay::Stdio(bridge) => Box::pin(bridge.post(gateway, server, who, head, body, slot)).await,
    }
}

/// Whether the client that opened a stream may still have it. A stream is taken up again long after its client was let in:
/// the token must still be good, and the server served.
pub(super) async fn is_still_let_in(gateway: &Gateway, server: &Arc<Server>, who: &Identity, head: &Parts) -> bool {
    gateway.serves(server) && gateway.who(head, server).await.is_ok_and(|now| now.grant == who.grant)
}

/// Listens to one server.
pub(super) async fn get(
    gateway: &Arc<Gateway>,
    server: &Arc<Server>,
    who: &Identity,
    head: Parts,
    slot: RequestSlot,
) -> Result<Response<Answer>, Refusal> {
    if !is_still_let_in(gateway, server, who, &head).await {
        // Not 404: that would say that the server has lost the session, and begin another one there.
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "whoever listens may not call it any more"));
    }
    match &server.way {
        ServerWay::Http(relay) => Box::pin(relay.get(gateway, server, who, head, slot)).await,
        ServerWay::Stdio(bridge) => bridge.get(gateway, server, who, &head, slot),
    }
}

/// Ends a session with one server, whose id is in the head.
pub(super) async fn end(server: &Arc<Server>, who: &Identity, head: Parts) {
    let ended = async {
        match &server.way {
            ServerWay::Http(relay) => Box::pin(relay.delete(server, who, head)).await.map(drop),
            ServerWay::Stdio(bridge) => bridge.delete(who, &head).map(drop),
        }
    };
    // A server that keeps a session longer than needed is no concern of the client.
    let _ = tokio::time::timeout(PART_WAIT, ended).await;
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) headers: HeaderMap,
    /// The whole message.
    pub(super) message: Bytes,
    /// Without a result it is an error.
    pub(super) result: Option<String>,
}

/// Whether a response is a stream of events.
pub(super) fn is_stream(headers: &HeaderMap) -> bool {
    ContentKind::of(headers) == ContentKind::EventStream
}

/// Reads a server's part to its end. What the server says beside its answer goes to the client if it can hear it.
pub(super) async fn read(
    turn: &Arc<ClientRequest>,
    server: &Arc<Server>,
    who: &Identity,
    sent: impl Future<Output = Result<Response<Answer>, Refusal>>,
    id: &Id,
) -> Result<Part, String> {
    let reading = async {
        let (head, body) = sent.await.map_err(|refusal| refusal.message().to_owned())?.into_parts();
        let message = if is_stream(&head.headers) {
            let mut pipe = Pipe::new(turn.leg(server, who), body, Some(id.clone())).with_messages();
            loop {
                let Some(piece) = pipe.next().await else { break None };
                if let Some(message) = answer_of(&piece) {
                    break Some(message.clone());
                }
                turn.beside(piece).await;
            }
        } else {
            let body = Limited::new(body, MESSAGE_BYTES_MAX).collect().await;
            Some(body.map_err(|_| "its answer broke off or is too long".to_owned())?.to_bytes())
        };
        Ok::<_, String>((head.headers, message.unwrap_or_default()))
    };
    let (headers, message) =
        tokio::time::timeout(PART_WAIT, reading).await.map_err(|_| "it does not answer".to_owned())??;
    let result = match receive(&message) {
        Ok(received) => match &received.arrival {
            Arrival::Result(to) if to == id => received.result().map(str::to_owned),
            Arrival::Error(to) if to == id => None,
            _ => return Err("its answer is not for this request".to_owned()),
        },
        Err(_) => return Err("its answer holds no message".to_owned()),
    };
    Ok(Part { headers, message, result })
}
