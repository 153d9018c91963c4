//! Servers behind URLs: the one client of all that asks them, and what streamable HTTP makes of messages and answers.

pub mod mirror;
pub mod older;
pub mod parameters;
pub mod readdress;

mod client;
mod connect;
mod fetch;
mod pool;
mod proxy;
mod redirect;

pub use client::{HttpClient, HttpReply};
pub(super) use connect::NO_TLS;
pub use fetch::fetch;
pub use pool::{Held, Unread};
pub use redirect::{Follow, REDIRECTS_MAX};

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use url::{Host, Url};

/// The headers of streamable HTTP, as the specification spells them.
pub mod header {
    /// The session that `initialize` opened.
    pub const SESSION_ID: &str = "Mcp-Session-Id";
    /// The negotiated revision.
    pub const PROTOCOL_VERSION: &str = "MCP-Protocol-Version";
    /// The method of the message in the body (2026-07-28).
    pub const METHOD: &str = "Mcp-Method";
    /// The tool, prompt or resource that the message in the body names (2026-07-28).
    pub const NAME: &str = "Mcp-Name";
    /// Where a broken event stream is resumed.
    pub const LAST_EVENT_ID: &str = "Last-Event-ID";
}

/// What a body is, by its `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentKind {
    /// `application/json` and its relatives.
    Json,
    /// `text/event-stream`
    EventStream,
    /// `text/html`
    Html,
    /// Any other, or none.
    Other,
}

impl ContentKind {
    /// What the headers of an answer say of its body; where they say two things, neither.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut kinds = headers.get_all(CONTENT_TYPE).iter();
        let (Some(kind), None) = (kinds.next(), kinds.next()) else { return Self::Other };
        let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |kind: &[u8]| essence.eq_ignore_ascii_case(kind);
        if is(b"application/json") || essence.len() > 4 && essence[essence.len() - 5..].eq_ignore_ascii_case(b"+json") {
            Self::Json
        } else if is(b"text/event-stream") {
            Self::EventStream
        } else if is(b"text/html") || is(b"application/xhtml+xml") {
            Self::Html
        } else {
            Self::Other
        }
    }
}

/// What an answer is called in messages by the type of its body, if that is neither JSON nor events.
pub fn named_kind(headers: &HeaderMap) -> String {
    match (ContentKind::of(headers), headers.get(CONTENT_TYPE)) {
        (ContentKind::Json, _) => "JSON".to_owned(),
        (ContentKind::EventStream, _) => "an event stream".to_owned(),
        (ContentKind::Html, _) => "an HTML page".to_owned(),
        (ContentKind::Other, Some(kind)) => {
            format!("the content type `{}`", crate::text::excerpt(&String::from_utf8_lossy(kind.as_bytes()), 40))
        }
        (ContentKind::Other, None) => "no content type".to_owned(),
    }
}

/// Whether a URL names this machine, without asking any name server.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether what goes to an address and comes from it is safe on the way: it is encrypted, or stays on this machine.
pub fn is_sealed(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// The last cause, which is the one that says something; the ones around it repeat the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut current: &dyn std::error::Error = error;
    while let Some(source) = current.source() {
        current = source;
    }
    let text = current.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut words = text.chars();
    // Our messages begin in lower case.
    let first = words.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(words).collect::<String>().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn header_names_are_those_of_the_sdk() {
        use rmcp::transport::common::http_header as sdk;
        for (ours, theirs) in [
            (header::SESSION_ID, sdk::HEADER_SESSION_ID),
            (header::PROTOCOL_VERSION, sdk::HEADER_MCP_PROTOCOL_VERSION),
            (header::METHOD, sdk::HEADER_MCP_METHOD),
            (header::NAME, sdk::HEADER_MCP_NAME),
            (header::LAST_EVENT_ID, sdk::HEADER_LAST_EVENT_ID),
        ] {
            assert!(ours.eq_ignore_ascii_case(theirs), "{ours} {theirs}");
        }
    }

    #[test]
    fn a_body_is_what_its_one_content_type_says_to_the_letter() {
        for (values, expected) in [
            (&["application/json"][..], ContentKind::Json),
            (&["Application/JSON; charset=utf-8"], ContentKind::Json),
            (&["application/problem+json"], ContentKind::Json),
            (&["text/event-stream"], ContentKind::EventStream),
            (&["text/event-stream ;charset=utf-8"], ContentKind::EventStream),
            (&["text/event-streams"], ContentKind::Other),
            (&["text/event-stream", "text/event-stream"], ContentKind::Other),
            (&["text/html"], ContentKind::Html),
            (&["text/json"], ContentKind::Other),
            (&[], ContentKind::Other),
        ] {
            let headers: HeaderMap =
                values.iter().map(|value| (CONTENT_TYPE, HeaderValue::from_static(value))).collect();
            assert_eq!(ContentKind::of(&headers), expected, "{values:?}");
        }
    }
}
