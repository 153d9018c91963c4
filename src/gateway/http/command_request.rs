//! Reads what a client's HTTP message to a server behind a command asks for. Pure.

use super::child_routes::ClientAsked;
use super::mcp_headers::EITHER;
use crate::mcp::envelope::{Id, Message};
use crate::mcp::protocol::{Kind, Method};
use crate::mcp::walk::member;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;

/// What a child has to answer to, for a client's request in this session; `None` for a message that is no request.
pub(super) fn asked(message: &Message, session: Option<Arc<str>>) -> Option<ClientAsked> {
    let (id, token) = (message.id()?.clone(), message.progress_token().map(str::to_owned));
    let begins_task = message.params().is_some_and(|params| member(params, "task").is_some());
    Some(ClientAsked { session, id, token, begins_task })
}

/// What `notifications/cancelled` withdraws: the request's id, or `Some(None)` if it names no valid one. `None` for any
/// other message.
pub(super) fn withdrawn(message: &Message) -> Option<Option<Id>> {
    let named = || Id::parse(member(message.params()?, "requestId")?.0);
    (message.id().is_none() && message.method() == Some("notifications/cancelled")).then(named)
}

/// Whether the message opens a subscription, which is answered by a stream without an end.
pub(super) fn is_subscription(message: &Message) -> bool {
    message.method().and_then(Method::of).is_some_and(|method| method.kind == Kind::Subscription)
}

/// Whether the client's `Accept` lets the gateway answer with a stream of events.
pub(super) fn accepts_events(headers: &HeaderMap) -> bool {
    let is_events = |kind: &[u8]| {
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        [&b"text/event-stream"[..], b"*/*", b"text/*"].iter().any(|events| kind.eq_ignore_ascii_case(events))
    };
    let names_events = |accept: &HeaderValue| accept.as_bytes().split(|byte| *byte == b',').any(is_events);
    // Nearly every client says it in these words.
    headers.get_all(ACCEPT).iter().any(|accept| *accept == EITHER || names_events(accept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_takes_events_that_names_their_type() {
        for (accept, takes) in [
            ("application/json, text/event-stream", true),
            ("TEXT/Event-Stream ;q=0.5", true),
            ("*/*", true),
            ("text/*;q=0.1", true),
            ("application/json", false),
            ("text/event-streams", false),
            ("application/json;a=text/event-stream", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(accepts_events(&headers), takes, "{accept}");
        }
    }
}
