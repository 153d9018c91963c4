//! What a request to a stdio server behind HTTP asks for, beside its message.

use crate::mcp::envelope::Message;
use crate::mcp::protocol::{Kind, Method};
use http::HeaderMap;
use http::header::ACCEPT;

/// Whether the answer is a stream that lasts.
pub(super) fn is_subscription(message: &Message) -> bool {
    message.method().and_then(Method::of).is_some_and(|method| method.kind == Kind::Subscription)
}

/// Whether the client takes a stream of events for an answer.
pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|accept| {
        let accept = accept.as_bytes().to_ascii_lowercase();
        [&b"text/event-stream"[..], b"*/*", b"text/*"].iter().any(|kind| memchr::memmem::find(&accept, kind).is_some())
    })
}
