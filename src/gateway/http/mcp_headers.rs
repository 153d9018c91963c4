//! The HTTP headers that MCP gives a meaning to, read and written in one place.

use super::refusal::Refusal;
use crate::mcp::http::header;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Carries the session's id (MCP up to 2025-11-25, streamable HTTP).
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// Carries the revision of the protocol that client and server agreed on.
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Repeats the method in the body (MCP 2026-07-28).
pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// Repeats the tool, prompt or resource that the body names (MCP 2026-07-28).
pub(super) const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Carries the last event that a client got of a stream that it takes up again.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The media type of a stream of events.
pub(super) const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// The `Accept` that MCP wants of clients.
pub(super) const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// Random bytes of a session id that the gateway makes: 192 bits cannot be guessed.
const SESSION_ID_BYTES: usize = 24;

/// The session id of a client's request, if it has one.
///
/// # Errors
/// There are several headers (400): gateway and server could take different ones for the client's.
pub(super) fn session(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Refusal> {
    let mut ids = headers.get_all(&SESSION).iter();
    match (ids.next(), ids.next()) {
        (id, None) => Ok(id),
        (_, Some(_)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, format!("more than one {} header", header::SESSION_ID)))
        }
    }
}

/// The session id of a client's request as text, for sessions that the gateway makes. One that is no ASCII is given as
/// an empty text, which is no session's id.
///
/// # Errors
/// There are several headers (400).
pub(super) fn own_session(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    Ok(session(headers)?.map(|id| id.to_str().unwrap_or_default()))
}

/// A new id for a session that the gateway makes, in hexadecimal digits.
///
/// # Errors
/// The system has no randomness to give.
pub(super) fn new_session() -> Result<String, Refusal> {
    let mut bytes = [0; SESSION_ID_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "no session id"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_request_has_one_session_or_none() {
        assert_eq!(own_session(&headers(&SESSION, &[])).ok(), Some(None));
        assert_eq!(own_session(&headers(&SESSION, &["a"])).ok(), Some(Some("a")));
        assert_eq!(own_session(&headers(&SESSION, &["a", "a"])).map_err(|error| error.status().as_u16()), Err(400));
    }
}
