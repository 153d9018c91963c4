//! What a request to a stdio server behind HTTP asks for, beside its message.

use super::child_routes::Asked;
use crate::mcp::envelope::{Id, Message};
use crate::mcp::protocol::{Kind, Method};
use crate::mcp::walk::member;
use http::HeaderMap;
use http::header::ACCEPT;
use std::sync::Arc;

/// A request as a child is asked, of the session with this name; `None` for anything else.
pub(super) fn asked(message: &Message, session: Option<Arc<str>>) -> Option<Asked> {
    let (id, token) = (message.id()?.clone(), message.progress_token().map(str::to_owned));
    let begins_task = message.params().is_some_and(|params| member(params, "task").is_some());
    Some(Asked { session, id, token, begins_task })
}

/// What a notification withdraws, if it is one that does: the id of a request, or what is none.
pub(super) fn withdrawn(message: &Message) -> Option<Option<Id>> {
    let named = || Id::parse(member(message.params()?, "requestId")?.0);
    (message.id().is_none() && message.method() == Some("notifications/cancelled")).then(named)
}

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
