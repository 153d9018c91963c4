//! The one client of servers behind URLs: raw bytes in and out, no redirect to another origin, errors that say what to do.

use super::connect::{NoConnection, Way};
use super::pool::{Held, NoAnswer, Pool, Unread};
use super::redirect::{Follow, REDIRECTS_MAX, target_of};
use super::{ContentKind, innermost, is_loopback, named_kind};
use crate::mcp::error::{ConnectError, TokenSent};
use crate::mcp::target::{HttpTarget, LiveToken, redacted};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, response};
use http_body_util::{BodyExt as _, Full};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use url::{Host, Url};

/// Bytes of an error page that are looked at.
const ERROR_PAGE_BYTES_MAX: usize = 64 * 1024;
/// What requests of this program say of themselves.
const OUR_NAME: HeaderValue = HeaderValue::from_static(concat!("mcpol/", env!("CARGO_PKG_VERSION")));

/// A client for one endpoint, with its connections. Cheap to clone; clones share what is below.
#[derive(Clone)]
pub struct HttpClient {
    pool: Arc<Pool>,
    headers: Arc<[(HeaderName, HeaderValue)]>,
    token: Option<LiveToken>,
    endpoint: Arc<RwLock<Arc<Endpoint>>>,
}

/// Where requests go: the address that was given, or the one that the server has sent us on to.
#[derive(Debug)]
struct Endpoint {
    url: Url,
    /// Path and query.
    path: Uri,
    /// All of it.
    whole: Uri,
    host: HeaderValue,
}

/// An answer whose body has not been read yet.
#[derive(Debug)]
pub struct HttpReply {
    head: response::Parts,
    body: Held,
    shown_url: String,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("url", &redacted(&self.url())).finish_non_exhaustive()
    }
}

impl Endpoint {
    fn new(url: Url) -> Result<Self, ConnectError> {
        let bad = || ConnectError::BadTarget(format!("`{}` is no http or https URL", redacted(&url)));
        let host = url.host_str().ok_or_else(bad)?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            whole: format!("{}://{authority}{path}", url.scheme()).parse().map_err(|_| bad())?,
            path: path.parse().map_err(|_| bad())?,
            host: HeaderValue::from_str(&authority).map_err(|_| bad())?,
            url,
        })
    }
}

impl HttpClient {
    /// A client for a target. Nothing is sent yet.
    ///
    /// # Errors
    /// The URL or a header is not valid, its proxy cannot be used, or the system's certificates cannot be read.
    pub fn new(target: &HttpTarget) -> Result<Self, ConnectError> {
        let endpoint = Endpoint::new(target.url.clone())?;
        Ok(Self {
            pool: Arc::new(Pool::new(Way::to(&target.url)?)),
            headers: own_headers(target)?.into(),
            token: target.token.clone(),
            endpoint: Arc::new(RwLock::new(Arc::new(endpoint))),
        })
    }

    /// A client that sends nothing but what it is asked to: for addresses that are no MCP endpoints.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn plain(url: &Url) -> Result<Self, ConnectError> {
        let server = crate::model::ServerName::new(url.host_str().unwrap_or_default());
        Self::new(&HttpTarget {
            server,
            url: url.clone(),
            headers: Default::default(),
            token: None,
            forward_headers: Vec::new(),
        })
    }

    fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.endpoint.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The endpoint.
    pub fn url(&self) -> Url {
        self.endpoint().url.clone()
    }

    /// A client with the same headers and connections for another path of this origin.
    ///
    /// # Errors
    /// The address is of another origin.
    pub fn at(&self, url: Url) -> Result<Self, ConnectError> {
        let own = self.url();
        if url.origin() != own.origin() {
            return Err(ConnectError::Redirected { url: redacted(&own), to: redacted(&url) });
        }
        Ok(Self { endpoint: Arc::new(RwLock::new(Arc::new(Endpoint::new(url)?))), ..self.clone() })
    }

    /// Closes connections that were not used for long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// Sends one request of ours and returns as soon as the head of the answer is there; any status is an answer.
    ///
    /// # Errors
    /// As [`Self::pass`].
    pub async fn send(
        &self,
        method: Method,
        body: Option<Vec<u8>>,
        headers: &[(&str, &str)],
        follow: Follow,
    ) -> Result<HttpReply, ConnectError> {
        let mut all = HeaderMap::with_capacity(headers.len() + 5);
        for (name, value) in headers {
            let bad = || ConnectError::BadTarget(format!("header `{name}` has a value that no header may have"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            all.insert(name, HeaderValue::from_str(value).map_err(|_| bad())?);
        }
        let (head, body) = self.pass(method, all, body.unwrap_or_default().into(), follow).await?;
        Ok(HttpReply { head, body, shown_url: redacted(&self.url()) })
    }

    /// Sends one request with these headers, which the configured ones replace, and returns as soon as the head of the
    /// answer is there; any status but that of a redirect is an answer.
    ///
    /// # Errors
    /// No connection, no trust in it, or it broke; a redirect that is not followed.
    pub async fn pass(
        &self,
        method: Method,
        mut headers: HeaderMap,
        mut body: Bytes,
        follow: Follow,
    ) -> Result<(response::Parts, Held), ConnectError> {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, OUR_NAME);
        for (name, value) in &*self.headers {
            headers.insert(name.clone(), value.clone());
        }
        // A token that no header may hold is not sent; the server then says what it thinks of that.
        let bearer = self.token.as_ref().map(|token| format!("Bearer {}", token.get().reveal()));
        if let Some(mut value) = bearer.and_then(|text| HeaderValue::from_str(&text).ok()) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let (mut endpoint, mut hops) = (self.endpoint(), 0);
        loop {
            // Only what may be sent on is kept.
            let kept = (follow == Follow::Yes).then(|| (headers.clone(), body.clone()));
            headers.insert(HOST, endpoint.host.clone());
            let mut request = Request::new(Full::new(body));
            *request.method_mut() = method.clone();
            (*request.uri_mut(), *request.headers_mut()) = (endpoint.path.clone(), headers);
            let sent = self.pool.send(request, &endpoint.whole).await;
            let (head, held) = sent.map_err(|error| no_answer(&endpoint.url, error))?;
            // A server that speaks another protocol from here on has answered nothing.
            if head.status.is_informational() {
                let (url, status) = (redacted(&endpoint.url), head.status.as_u16());
                return Err(ConnectError::HttpStatus { url, status, quote: String::new() });
            }
            if follow == Follow::Shown || !head.status.is_redirection() {
                return Ok((head, held));
            }
            let next = Arc::new(Endpoint::new(target_of(&endpoint.url, &head)?)?);
            let refused = |to: String| ConnectError::Redirected { url: redacted(&endpoint.url), to };
            hops += 1;
            if hops > REDIRECTS_MAX {
                return Err(refused("one address after the other".to_owned()));
            }
            *self.endpoint.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
            let Some(again) = kept else {
                return Err(ConnectError::Moved { url: redacted(&endpoint.url), to: redacted(&next.url) });
            };
            endpoint = next;
            (headers, body) = again;
        }
    }

    /// Whether the requests carry a token.
    pub(in crate::mcp) fn token(&self) -> TokenSent {
        let is_sent = self.token.is_some() || self.headers.iter().any(|(name, _)| name == AUTHORIZATION);
        if is_sent { TokenSent::Sent } else { TokenSent::NotSent }
    }

    /// The error for an answer that is neither a message nor a stream of them. Reads a little of its body.
    pub(in crate::mcp) async fn refusal(&self, mut reply: HttpReply) -> ConnectError {
        let kind = reply.kind();
        // A body that cannot be read makes the message shorter, no more.
        let body = reply.bytes(ERROR_PAGE_BYTES_MAX).await.unwrap_or_default();
        self.refusal_with(&reply, kind, &body)
    }

    /// The error for such an answer, from a body that was read already.
    pub(in crate::mcp) fn refusal_with(&self, reply: &HttpReply, kind: ContentKind, body: &[u8]) -> ConnectError {
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
                let own = self.url();
                let loopback_address = is_loopback(&own) && !matches!(own.host(), Some(Host::Domain(_)));
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
        self.head.status.as_u16()
    }

    /// What the body is.
    pub fn kind(&self) -> ContentKind {
        ContentKind::of(&self.head.headers)
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ConnectError> {
        while let Some(frame) = self.body.frame().await {
            let broken = |error| ConnectError::Broken { url: self.shown_url.clone(), detail: innermost(&error) };
            if let Ok(piece) = frame.map_err(broken)?.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// The whole body.
    ///
    /// # Errors
    /// The connection broke, or the body is longer than `max_bytes`.
    pub async fn bytes(&mut self, max_bytes: usize) -> Result<Bytes, ConnectError> {
        self.body.whole(max_bytes).await.map_err(|why| unread(why, &self.shown_url, max_bytes))
    }
}

/// The headers that an operator gives for a target.
fn own_headers(target: &HttpTarget) -> Result<Vec<(HeaderName, HeaderValue)>, ConnectError> {
    let mut headers = Vec::new();
    for (name, value) in &target.headers {
        // The value stays out of the message: it may be a token.
        let bad = |what| ConnectError::BadTarget(format!("header `{}` {what}", crate::text::excerpt(name, 40)));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("is not a valid name"))?;
        let mut value = HeaderValue::from_str(value.reveal())
            .map_err(|_| bad("has a value with characters that no header may have"))?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Ok(headers)
}

fn no_answer(url: &Url, error: NoAnswer) -> ConnectError {
    let url = redacted(url);
    match error {
        NoAnswer::NotSent(NoConnection::Unreachable(detail)) => ConnectError::Unreachable { url, detail },
        NoAnswer::NotSent(NoConnection::Tls(detail)) => ConnectError::Tls { url, detail },
        NoAnswer::Broken(detail) => ConnectError::Broken { url, detail },
    }
}

pub(super) fn unread(why: Unread, shown_url: &str, max_bytes: usize) -> ConnectError {
    match why {
        Unread::TooLong => ConnectError::TooLong { max_bytes },
        Unread::Broken(detail) => ConnectError::Broken { url: shown_url.to_owned(), detail },
    }
}

fn described(reply: &HttpReply, kind: ContentKind) -> String {
    match kind {
        ContentKind::Json => "JSON that is no MCP message".to_owned(),
        ContentKind::EventStream => "an event stream without an answer".to_owned(),
        ContentKind::Html => named_kind(reply.headers()),
        ContentKind::Other => match reply.headers().get(CONTENT_TYPE) {
            Some(kind) if kind.as_bytes().starts_with(b"text/plain") => "plain text".to_owned(),
            Some(_) | None => named_kind(reply.headers()),
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
    fn the_title_says_what_page_it_is() {
        assert_eq!(title_of(b"<html><head><TITLE lang=en> Sign in </title>"), "Sign in");
        assert_eq!(title_of(b"<p>none"), "");
    }

    #[test]
    fn a_request_goes_to_the_path_and_a_proxy_reads_the_whole() {
        for (url, path, whole, host) in [
            ("http://a.example/mcp?k=1#f", "/mcp?k=1", "http://a.example/mcp?k=1", "a.example"),
            ("http://u:p@a.example:8080", "/", "http://a.example:8080/", "a.example:8080"),
            ("https://[::1]:1/x", "/x", "https://[::1]:1/x", "[::1]:1"),
        ] {
            let endpoint = Url::parse(url).ok().and_then(|url| Endpoint::new(url).ok());
            let found = endpoint.map(|it| (it.path.to_string(), it.whole.to_string(), it.host));
            let expected = (path.to_owned(), whole.to_owned(), HeaderValue::from_static(host));
            assert_eq!(found, Some(expected), "{url}");
        }
    }
}
