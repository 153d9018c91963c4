//! The headers that MCP gives a meaning to, read and written in one way.

use super::refusal::Refusal;
use crate::mcp::http::header;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The session (MCP up to 2025-11-25, streamable HTTP).
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// The revision that was agreed on.
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The method in the body (2026-07-28).
pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// What the body names (2026-07-28).
pub(super) const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Where a stream is taken up again.
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A stream of events.
pub(super) const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// What a client has to accept.
pub(super) const EITHER: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// Random bytes of a session id that is made here: more than anybody can guess.
const SESSION_ID_BYTES: usize = 24;

/// The one session id of a request.
///
/// # Errors
/// There are several: two readers may take different ones for the client's.
pub(super) fn session(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Refusal> {
    let mut ids = headers.get_all(&SESSION).iter();
    match (ids.next(), ids.next()) {
        (id, None) => Ok(id),
        (_, Some(_)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, format!("more than one {} header", header::SESSION_ID)))
        }
    }
}

/// The same for sessions that are made here; what is no text is none of them.
///
/// # Errors
/// There are several.
pub(super) fn own_session(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    Ok(session(headers)?.map(|id| id.to_str().unwrap_or_default()))
}

/// An id for a session that begins here.
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
