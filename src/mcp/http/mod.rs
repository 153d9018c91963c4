//! One small HTTP client for MCP endpoints: raw bytes in and out, no redirect to anybody else, errors that say what to do.

pub mod mirror;
pub mod readdress;

use super::error::{ConnectError, Token};
use super::target::{HttpTarget, LiveToken, redacted};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use std::time::Duration;
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

/// Redirects followed for one request.
pub const REDIRECTS_MAX: usize = 5;
/// How long a connection may take to be set up.
const CONNECT_WAIT: Duration = Duration::from_secs(15);
/// What is said of a server that answers TLS with something else.
pub(super) const NO_TLS: &str = "the other end does not speak TLS";
/// Bytes of an error page that are looked at.
const ERROR_PAGE_BYTES_MAX: usize = 64 * 1024;

/// A client for one endpoint. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    token: Option<LiveToken>,
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
        match essence.to_ascii_lowercase().as_slice() {
            b"application/json" => Self::Json,
            b"text/event-stream" => Self::EventStream,
            b"text/html" | b"application/xhtml+xml" => Self::Html,
            other if other.ends_with(b"+json") => Self::Json,
            _ => Self::Other,
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

/// An answer whose body has not been read yet.
#[derive(Debug)]
pub struct HttpReply {
    response: reqwest::Response,
    shown_url: String,
}

impl HttpClient {
    /// A client for a target. Sets up TLS, which costs a few milliseconds; nothing is sent yet.
    ///
    /// # Errors
    /// A header is not valid, or the system's certificates cannot be read.
    pub fn new(target: &HttpTarget) -> Result<Self, ConnectError> {
        if !matches!(target.url.scheme(), "http" | "https") {
            return Err(ConnectError::BadTarget(format!("`{}` is no http or https URL", redacted(&target.url))));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &target.headers {
            // The value stays out of the message: it may be a token.
            let bad = |what| ConnectError::BadTarget(format!("header `{}` {what}", crate::text::excerpt(name, 40)));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("is not a valid name"))?;
            let mut value = HeaderValue::from_str(value.reveal())
                .map_err(|_| bad("has a value with characters that no header may have"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        // It fails if a provider is there already, and then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("mcpol/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_WAIT);
        if is_loopback(&target.url) {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| ConnectError::Tls { url: redacted(&target.url), detail: innermost(&error) })?;
        Ok(Self { client, url: target.url.clone(), headers, token: target.token.clone() })
    }

    /// The endpoint.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The same client, with the same headers, for another path of the same origin.
    ///
    /// # Errors
    /// The address belongs to somebody else.
    pub fn at(&self, url: Url) -> Result<Self, ConnectError> {
        if url.origin() != self.url.origin() {
            return Err(ConnectError::Redirected { url: redacted(&self.url), to: redacted(&url) });
        }
        Ok(Self { url, ..self.clone() })
    }

    /// Sends one request and returns as soon as the head of the answer is there; any status is an answer.
    ///
    /// # Errors
    /// No connection, no trust in it, or a redirect that is not followed.
    pub async fn send(
        &self,
        method: reqwest::Method,
        body: Option<Vec<u8>>,
        headers: &[(&str, &str)],
    ) -> Result<HttpReply, ConnectError> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = self.client.request(method.clone(), url.clone()).headers(self.headers.clone());
            if let Some(token) = &self.token {
                request = request.bearer_auth(token.get().reveal());
            }
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = &body {
                request = request.body(body.clone());
            }
            let response = request.send().await.map_err(|error| connect_error(&url, &error))?;
            let next = response.status().is_redirection().then(|| response.headers().get(LOCATION)).flatten();
            let Some(next) = next else {
                return Ok(HttpReply { response, shown_url: redacted(&url) });
            };
            let refused = |to: String| ConnectError::Redirected { url: redacted(&url), to };
            let next = next
                .to_str()
                .ok()
                .and_then(|next| url.join(next).ok())
                .ok_or_else(|| refused("an address that is not valid".to_owned()))?;
            if !may_follow(&url, &next) {
                return Err(refused(redacted(&next)));
            }
            url = next;
        }
        Err(ConnectError::Redirected { url: redacted(&self.url), to: "one address after the other".to_owned() })
    }

    /// Whether the requests carry a token.
    pub(super) fn token(&self) -> Token {
        if self.headers.contains_key(AUTHORIZATION) || self.token.is_some() { Token::Sent } else { Token::NotSent }
    }

    /// The error for an answer that is neither a message nor a stream of them. Reads a little of its body.
    pub(super) async fn refusal(&self, mut reply: HttpReply) -> ConnectError {
        let kind = reply.kind();
        // A body that cannot be read makes the message shorter, no more.
        let body = reply.bytes(ERROR_PAGE_BYTES_MAX).await.unwrap_or_default();
        self.refusal_with(&reply, kind, &body)
    }

    /// The same, for a body that was read already.
    pub(super) fn refusal_with(&self, reply: &HttpReply, kind: ContentKind, body: &[u8]) -> ConnectError {
        let url = reply.shown_url.clone();
        let quote = match kind {
            ContentKind::Html => title_of(body),
            ContentKind::Json | ContentKind::EventStream | ContentKind::Other => {
                String::from_utf8_lossy(&body[..body.len().min(1024)]).trim().to_owned()
            }
        };
        match reply.status() {
            401 => ConnectError::Unauthorized { url, token: self.token() },
            403 => {
                let loopback_address = is_loopback(&self.url) && !matches!(self.url.host(), Some(Host::Domain(_)));
                ConnectError::Forbidden { url, quote, loopback_address }
            }
            200..=299 => ConnectError::NotMcp { url, what: described(reply, kind), quote },
            status => ConnectError::HttpStatus { url, status, quote },
        }
    }
}

impl HttpReply {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// What the body is.
    pub fn kind(&self) -> ContentKind {
        ContentKind::of(self.response.headers())
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, ConnectError> {
        let chunk = self.response.chunk().await;
        let broken =
            |error: &reqwest::Error| ConnectError::Broken { url: self.shown_url.clone(), detail: innermost(error) };
        chunk.map(|chunk| chunk.map(Vec::from)).map_err(|error| broken(&error))
    }

    /// The whole body.
    ///
    /// # Errors
    /// The connection broke, or the body is longer than `max_bytes`.
    pub async fn bytes(&mut self, max_bytes: usize) -> Result<Vec<u8>, ConnectError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > max_bytes {
                return Err(ConnectError::TooLong { max_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// To the same origin, or from `http` to `https` on the same host: nobody else may see the headers or the messages.
fn may_follow(from: &Url, to: &Url) -> bool {
    let upgrade = from.scheme() == "http"
        && to.scheme() == "https"
        && from.host() == to.host()
        && to.port().is_none()
        && from.port().is_none();
    from.origin() == to.origin() || upgrade
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

fn connect_error(url: &Url, error: &reqwest::Error) -> ConnectError {
    let (url, detail) = (redacted(url), innermost(error));
    match tls_cause(error) {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            ConnectError::Tls { url, detail: NO_TLS.to_owned() }
        }
        Some(_) => ConnectError::Tls { url, detail },
        None if error.is_connect() || error.is_timeout() => ConnectError::Unreachable { url, detail },
        None => ConnectError::Broken { url, detail },
    }
}

/// The TLS error among the causes of an error. I/O errors do not show what they wrap as their source.
fn tls_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let wrapped: Option<&'a (dyn std::error::Error + 'static)> =
            error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref).map(|inner| inner as _);
        current = wrapped.or_else(|| error.source());
    }
    None
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

fn described(reply: &HttpReply, kind: ContentKind) -> String {
    match kind {
        ContentKind::Html => "an HTML page".to_owned(),
        ContentKind::Json => "JSON that is no MCP message".to_owned(),
        ContentKind::EventStream => "an event stream without an answer".to_owned(),
        ContentKind::Other => match reply.header("content-type") {
            Some(kind) if kind.starts_with("text/plain") => "plain text".to_owned(),
            Some(kind) => crate::text::excerpt(kind, 40),
            None => "nothing that it names".to_owned(),
        },
    }
}

/// The title of a page, which says more than its first bytes.
fn title_of(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title").and_then(|at| lower[at..].find('>').map(|end| at + end + 1));
    start
        .and_then(|start| lower[start..].find("</title").map(|end| page[start..start + end].trim().to_owned()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn redirects_stay_with_the_same_host() -> Result<(), url::ParseError> {
        for (from, to, expected) in [
            ("http://a.example/mcp", "http://a.example/mcp/", true),
            ("http://a.example/mcp", "https://a.example/mcp", true),
            ("https://a.example/mcp", "http://a.example/mcp", false),
            ("https://a.example/mcp", "https://b.example/mcp", false),
            ("https://a.example/mcp", "https://a.example:8443/mcp", false),
            ("http://a.example:80/mcp", "https://a.example:8443/mcp", false),
        ] {
            assert_eq!(may_follow(&Url::parse(from)?, &Url::parse(to)?), expected, "{from} {to}");
        }
        Ok(())
    }

    #[test]
    fn the_title_says_what_page_it_is() {
        assert_eq!(title_of(b"<html><head><TITLE lang=en> Sign in </title>"), "Sign in");
        assert_eq!(title_of(b"<p>none"), "");
    }
}
