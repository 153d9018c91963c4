//! What a request to a stdio server behind HTTP asks for, beside its message.

use crate::mcp::envelope::Message;
use crate::mcp::http::header;
use crate::mcp::walk::member;
use http::HeaderMap;
use http::header::ACCEPT;

/// The revision that has no sessions.
const STATELESS: &str = "2026-07-28";

/// `progressToken` as JSON.
pub(super) fn token_of(message: &Message) -> Option<String> {
    match message {
        Message::Call(_, call) => call.progress_token().map(str::to_owned),
        Message::Request(_, passage) => {
            Some(member(member(passage.params()?, "_meta")?.0, "progressToken")?.0.to_owned())
        }
        Message::Notification(_) | Message::Reply(..) => None,
    }
}

/// Whether a request needs no session.
pub(super) fn is_stateless(message: &Message, headers: &HeaderMap) -> bool {
    let revision = match message {
        Message::Call(_, call) => call.revision(),
        Message::Request(_, passage) | Message::Notification(passage) => passage.revision(),
        Message::Reply(..) => None,
    };
    revision.is_some_and(|revision| revision == STATELESS)
        || headers.get(header::PROTOCOL_VERSION).is_some_and(|version| version == STATELESS)
}

/// Whether the answer is a stream that lasts.
pub(super) fn is_subscription(message: &Message) -> bool {
    matches!(message, Message::Request(_, passage) if passage.method() == Some("subscriptions/listen"))
}

/// Whether the client takes a stream of events for an answer.
pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| {
        let accept = accept.as_bytes().to_ascii_lowercase();
        [&b"text/event-stream"[..], b"*/*", b"text/*"].iter().any(|kind| memchr::memmem::find(&accept, kind).is_some())
    })
}
