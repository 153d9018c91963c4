//! The front door: what is looked at before a body is read. Host and origin, method, kind of content.
//!
//! A page in a browser can make the browser look up its own name as the address of this gateway (DNS rebinding), and
//! then it may talk to us as if we were its own server. The browser still says in `Host` which name it believes in, and
//! in `Origin` which page asks.

use super::body::Answer;
use super::header_match;
use super::refusal::Refusal;
use crate::gateway::plan::{Cors, Listener};
use crate::mcp::envelope::{Malformed, Reason, ReplyTo};
use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Methods of the endpoint.
const METHODS: HeaderValue = HeaderValue::from_static("POST, GET, DELETE");
/// Headers of answers that a page may read.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After");
/// How long a browser may remember what a preflight said, in seconds.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("600");
/// `Host` values that can only mean this machine.
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What the front door goes by.
#[derive(Debug)]
pub struct HostOrigin {
    hosts: BTreeSet<String>,
    origins: BTreeSet<String>,
    cors: Cors,
}

impl HostOrigin {
    /// The door of this listener.
    pub fn new(listener: &Listener) -> Self {
        Self { hosts: listener.hosts.clone(), origins: listener.origins.clone(), cors: listener.cors }
    }

    /// Looks at host and origin. Answers the origin that may read the answer, if CORS is asked for.
    ///
    /// # Errors
    /// The request was meant for another host, or comes from a page that may not ask.
    pub fn check(&self, head: &Parts, local: IpAddr) -> Result<Option<HeaderValue>, Refusal> {
        let host = host_of(head)?;
        let name = without_port(host);
        if !self.is_our_name(name, local) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "this gateway is not known by the name in `Host`"));
        }
        let mut origins = head.headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(None) };
        let is_good = origins.next().is_none() && origin.to_str().is_ok_and(|text| self.is_our_page(text, host));
        if !is_good {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "pages of this origin may not call"));
        }
        Ok((self.cors == Cors::On).then(|| origin.clone()))
    }

    fn is_our_name(&self, name: &str, local: IpAddr) -> bool {
        LOOPBACK_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
            // No name is looked up for a number, so there is nothing to rebind.
            || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|number| number == local)
    }

    fn is_our_page(&self, origin: &str, host: &str) -> bool {
        let same = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        same.is_some_and(|rest| rest.eq_ignore_ascii_case(host)) || self.origins.contains(origin)
    }

    /// The answer to a preflight, if this is one and they are answered.
    pub fn preflight(&self, head: &Parts, origin: Option<&HeaderValue>) -> Option<Response<Answer>> {
        if head.method != Method::OPTIONS || self.cors == Cors::Off {
            return None;
        }
        origin?;
        let mut response = Response::new(Answer::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
        if let Some(wanted) = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            // Whatever it is, it ends at the gateway or goes to a server that any other client can send it to.
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        Some(response)
    }
}

/// Lets a page of this origin read an answer.
pub fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

/// The method is none of the endpoint's.
pub fn bad_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "the endpoint takes POST, GET and DELETE")
        .with_header(header::ALLOW, METHODS)
}

fn host_of(head: &Parts) -> Result<&str, Refusal> {
    let bad = || Refusal::new(StatusCode::BAD_REQUEST, "a request must have one valid `Host`").and_close();
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| bad()),
        (Some(_), Some(_)) => Err(bad()),
        // HTTP/1.0, or a target in absolute form.
        (None, _) => head.uri.authority().map(http::uri::Authority::as_str).ok_or_else(bad),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

/// Looks at what kind of body is announced: JSON, and not encoded.
///
/// # Errors
/// It is something else (415).
pub fn content(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported = |what| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = match (kinds.next().map(HeaderValue::to_str), kinds.next()) {
        (Some(Ok(kind)), None) => kind,
        _ => return unsupported("the body must be `application/json`"),
    };
    let mut parts = kind.split(';');
    if !parts.next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return unsupported("the body must be `application/json`");
    }
    // Any other parameter, `charset*` and `charset*0` of RFC 2231 among them, tells some reader how to decode the body.
    let is_utf_8 = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        name.trim().eq_ignore_ascii_case("charset")
            && matches!(value.trim(), value if value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("\"utf-8\""))
    };
    match (parts.next(), parts.next()) {
        (None, _) => {}
        (Some(part), None) if is_utf_8(part) => {}
        (Some(_), _) => return unsupported("the only parameter of `application/json` here is `charset=utf-8`"),
    }
    let coded = |name: &HeaderName| {
        headers.get_all(name).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    };
    if coded(&header::CONTENT_ENCODING) {
        return unsupported("the body must not be encoded");
    }
    Ok(())
}

/// The refusal of a message that is not admitted: 400, or 413 where it is too long.
pub(super) fn not_admitted(malformed: &Malformed, headers: &HeaderMap) -> Refusal {
    let refusal = match malformed.reason {
        Reason::ProtocolVersion => header_match::unknown_revision(headers),
        Reason::TooLong => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, malformed.reason.to_string()),
        reason => Refusal::new(StatusCode::BAD_REQUEST, reason.to_string()).with_code(reason.code()),
    };
    match &malformed.reply_to {
        ReplyTo::Id(id) => refusal.to(id),
        ReplyTo::Unknown | ReplyTo::Nobody => refusal,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;

    fn head(rows: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().method("POST").uri("/mcp");
        for (name, value) in rows {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn front() -> HostOrigin {
        HostOrigin {
            hosts: BTreeSet::from(["gateway.example".to_owned()]),
            origins: BTreeSet::from(["https://app.example".to_owned()]),
            cors: Cors::On,
        }
    }

    fn status(rows: &[(&str, &str)]) -> u16 {
        front().check(&head(rows), [10, 0, 0, 7].into()).map_or_else(|refusal| refusal.status().as_u16(), |_| 200)
    }

    #[test]
    fn only_our_own_names_are_served() {
        for (host, expected) in [
            ("localhost:8787", 200),
            ("LOCALHOST", 200),
            ("127.0.0.1:1", 200),
            ("[::1]:1", 200),
            ("gateway.example", 200),
            ("Gateway.Example:443", 200),
            ("10.0.0.7:80", 200),
            ("10.0.0.8", 403),
            ("evil.example", 403),
            ("localhost.evil.example", 403),
            ("evil.example:8787", 403),
            ("gateway.example.", 403),
            ("", 403),
        ] {
            assert_eq!(status(&[("host", host)]), expected, "{host}");
        }
        assert_eq!(status(&[]), 400);
        assert_eq!(status(&[("host", "localhost"), ("host", "localhost")]), 400);
    }

    #[test]
    fn pages_call_if_they_are_listed_or_our_own() {
        for (origin, expected) in [
            ("https://app.example", 200),
            ("http://localhost:8787", 200),
            ("http://localhost:6274", 403),
            ("http://app.example", 403),
            ("https://app.example.evil.example", 403),
            ("null", 403),
            ("", 403),
        ] {
            assert_eq!(status(&[("host", "localhost:8787"), ("origin", origin)]), expected, "{origin}");
        }
    }

    #[test]
    fn only_plain_json_is_read() {
        for (rows, good) in [
            (&[("content-type", "application/json")][..], true),
            (&[("content-type", "Application/JSON; charset=UTF-8")], true),
            (&[("content-type", "application/json; charset=\"utf-8\"")], true),
            (&[("content-type", "application/json; charset=utf-16")], false),
            (&[("content-type", "application/json; charset*0=utf-7")], false),
            (&[("content-type", "application/json; charset*=utf-8''utf-7")], false),
            (&[("content-type", "application/json; charset*0=utf-; charset*1=7")], false),
            (&[("content-type", "application/json; charset=utf-8; charset*0=utf-7")], false),
            (&[("content-type", "application/json; charset=utf-8; charset=utf-8")], false),
            (&[("content-type", "application/json; boundary=x")], false),
            (&[("content-type", "application/json; profile=\"a;charset=utf-7\"")], false),
            (&[("content-type", "application/json; charset=utf8")], false),
            (&[("content-type", "application/json;")], false),
            (&[("content-type", "application/json ;charset = utf-8")], true),
            (&[("content-type", "application/jsonp")], false),
            (&[("content-type", "text/plain")], false),
            (&[], false),
            (&[("content-type", "application/json"), ("content-type", "text/plain")], false),
            (&[("content-type", "application/json"), ("content-encoding", "gzip")], false),
            (&[("content-type", "application/json"), ("content-encoding", "identity")], true),
        ] {
            assert_eq!(content(&head(rows).headers).is_ok(), good, "{rows:?}");
        }
    }
}
