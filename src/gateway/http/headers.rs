//! Which headers go on between client and server. Towards a server behind a URL the gateway writes every header itself:
//! how a server reads a body is not the client's to say. From a client it takes those of a short list, one value each,
//! and those that the operator names.

use super::command_request::accepts_events;
use super::mcp_headers::{EITHER, EVENTS, LAST_EVENT_ID, METHOD, NAME, SESSION, VERSION};
use super::refusal::Refusal;
use crate::mcp::envelope::Message;
use crate::mcp::http::ContentKind;
use crate::mcp::http::mirror::{encoded, name_of};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

/// Whether a header is one of one connection (RFC 9110, section 7.6.1), framing and proxy authentication included.
fn is_of_one_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Trace context (W3C), which goes on as it came.
const TRACE: [HeaderName; 2] = [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];

/// What the body of every message is.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Whether no server's answer tells a client this: where a server could lead it past this gateway, what it would keep for
/// it, and CORS, because which web pages may read answers is the gateway's decision.
fn is_dropped_to_client(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "location"
            | "alt-svc"
            | "refresh"
            | "link"
            | "set-cookie"
            | "set-cookie2"
            | "clear-site-data"
            | "strict-transport-security"
            | "public-key-pins"
            | "access-control-allow-origin"
            | "access-control-allow-credentials"
            | "access-control-allow-headers"
            | "access-control-allow-methods"
            | "access-control-expose-headers"
            | "access-control-max-age"
    )
}

/// Takes out what belongs to one connection, and what `Connection` names further: it ends here, before anything in it is
/// looked at.
pub fn end_of_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = match headers.contains_key(header::CONNECTION) {
        true => headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            .collect(),
        false => Vec::new(),
    };
    drop_where(headers, |name| is_of_one_connection(name) || named.contains(name));
}

/// Takes headers out. Most messages have none of them, so that a look at each name is all.
fn drop_where(headers: &mut HeaderMap, is_dropped: impl Fn(&HeaderName) -> bool) {
    let dropped: Vec<HeaderName> = headers.keys().filter(|name| is_dropped(name)).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

/// The headers of a request to a server: for a POST those of this message, which a client has sent with these headers,
/// elsewhere those of a client that listens (GET) or ends its session (DELETE). `forwarded` are the headers that the
/// operator lets through.
///
/// # Errors
/// A header that goes on is there twice, or has characters that it may not have (400).
pub fn to_server(
    client: &HeaderMap,
    method: &Method,
    message: Option<&Message>,
    forwarded: &[HeaderName],
) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::with_capacity(12);
    let mut unclear = Vec::new();
    let bad = |what: String| Refusal::new(StatusCode::BAD_REQUEST, what);
    // One look at each header of the client, which has few, costs less than to ask for each that may go on.
    for (name, value) in client {
        let is_event = *method == Method::GET && *name == LAST_EVENT_ID;
        let is_trace = TRACE.contains(name);
        if !is_event && !is_trace && *name != SESSION && *name != VERSION && !forwarded.contains(name) {
            continue;
        }
        // An event's id is whatever a server has made it, in UTF-8.
        let is_text = is_event || value.to_str().is_ok();
        // A name of the gateway's own costs no allocation, as a copy of one that was read does.
        let own = [VERSION, SESSION].into_iter().find(|own| own == name).unwrap_or_else(|| name.clone());
        let is_double = headers.insert(own, value.clone()).is_some();
        match (is_text, is_double, is_trace) {
            (true, false, _) => {}
            // One that no reader can tell which value it has says nothing.
            (_, _, true) => unclear.push(name),
            (false, _, false) => return Err(bad(format!("the header `{name}` holds characters that it may not have"))),
            (true, true, false) => return Err(bad(format!("more than one {name} header"))),
        }
    }
    for name in unclear {
        headers.remove(name);
    }
    if *method == Method::GET {
        headers.insert(header::ACCEPT, EVENTS);
    }
    let Some(message) = message else { return Ok(headers) };
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::ACCEPT, if accepts_events(client) { EITHER } else { JSON });
    // What repeats the body says what the body says, because it is written from it.
    let value = |text: &str| HeaderValue::from_str(text).ok();
    if client.contains_key(&METHOD)
        && let Some(method) = message.method().and_then(value)
    {
        headers.insert(METHOD, method);
        if let Some(name) = name_of(message).and_then(|name| value(&encoded(&name))) {
            headers.insert(NAME, name);
        }
    }
    Ok(headers)
}

/// Takes out of a server's headers what does not go to the client.
pub fn to_client(headers: &mut HeaderMap) {
    end_of_connection(headers);
    drop_where(headers, is_dropped_to_client);
}

/// Says of an answer what it was read as, in the gateway's own words: a client that decodes it otherwise would see
/// another message in it than the one that was looked at.
pub fn judged(headers: &mut HeaderMap, kind: ContentKind) {
    let kind = match kind {
        ContentKind::Json => JSON,
        ContentKind::EventStream => EVENTS,
        ContentKind::Html | ContentKind::Other => return,
    };
    headers.insert(header::CONTENT_TYPE, kind);
    headers.remove(header::CONTENT_ENCODING);
}

/// Headers that go no further however the operator names them: those of the connection and of the body, credentials of
/// clients, what the gateway writes itself, and what makes servers take a request for another one.
const NEVER_FORWARDED: [HeaderName; 16] = [
    header::HOST,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    HeaderName::from_static("content-transfer-encoding"),
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_CHARSET,
    header::EXPECT,
    header::AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("cookie2"),
    header::ORIGIN,
    header::FORWARDED,
    header::USER_AGENT,
    LAST_EVENT_ID,
];
/// Beginnings of names of such headers.
const NEVER_FORWARDED_BEGIN: [&str; 5] = ["mcp-", "x-forwarded-", "x-original-", "x-rewrite-", "proxy-"];
/// What names of such headers hold.
const NEVER_FORWARDED_HOLD: [&str; 2] = ["method-override", "_"];

/// The name of a header that an operator lets through from clients.
///
/// # Errors
/// It is no name, or one of a header that goes no further.
pub fn forwardable(name: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is no name of a header")?;
    let text = name.as_str();
    let ends_here = NEVER_FORWARDED.contains(&name)
        || is_of_one_connection(&name)
        || TRACE.contains(&name)
        || NEVER_FORWARDED_BEGIN.iter().any(|begin| text.starts_with(begin))
        || NEVER_FORWARDED_HOLD.iter().any(|part| text.contains(part))
        || matches!(text, "x-http-method" | "x-real-ip" | "x-client-ip" | "x-host");
    if ends_here { Err("is a header that the gateway writes itself, or that ends at it") } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;
    use crate::mcp::envelope::admit;
    use proptest::prelude::*;

    fn map(rows: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in rows {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn rows(headers: &HeaderMap) -> Vec<(&str, &str)> {
        let mut rows: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn a_server_hears_what_the_gateway_writes_and_nothing_else_of_a_client() {
        let client = map(&[
            ("Content-Type", "application/json; charset=utf-8"),
            ("Accept", "text/event-stream;q=0.1, application/json"),
            ("Mcp-Session-Id", "s"),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "=?base64?dA==?="),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "a=1"),
            ("X-Tenant", "7"),
            ("Mcp-Param-Region", "eu"),
            ("Mcp_Session_Id", "other"),
            ("Authorization", "Bearer t"),
            ("Cookie", "a=b"),
            ("X-Forwarded-For", "10.0.0.1"),
            ("X-Original-URL", "/admin"),
            ("X-HTTP-Method-Override", "DELETE"),
            ("Content-Encoding", "identity"),
            ("User-Agent", "client/1"),
            ("Last-Event-ID", "7"),
            ("X-Other", "1"),
        ]);
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#;
        let message = admit(call).unwrap();
        let forwarded = [forwardable("X-Tenant").unwrap(), forwardable("x-absent").unwrap()];
        let headers = to_server(&client, &Method::POST, Some(&message), &forwarded).unwrap();
        let expected = [
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "t"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-session-id", "s"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "a=1"),
            ("x-tenant", "7"),
        ];
        assert_eq!(rows(&headers), expected);
        let listening = to_server(&client, &Method::GET, None, &[]).unwrap();
        let names: Vec<&str> = rows(&listening).into_iter().map(|(name, _)| name).collect();
        let expected =
            ["accept", "last-event-id", "mcp-protocol-version", "mcp-session-id", "traceparent", "tracestate"];
        assert_eq!(names, expected);
    }

    proptest! {
        /// Whatever a client says of its message, the server is told what the gateway has read, in the gateway's words.
        #[test]
        fn how_a_body_is_read_is_never_the_clients_to_say(
            rows in prop::collection::vec(("[a-zA-Z_*-]{1,24}|content-type|mcp[-_]session[-_]id", "[ -~]{0,40}"), 0..12),
            kind in "application/json;? ?(charset\\*?0?\\*?=\"?(utf-7|utf-8|utf-16)\"?)?",
        ) {
            let mut client = HeaderMap::new();
            for (name, value) in &rows {
                client.append(HeaderName::from_bytes(name.to_lowercase().as_bytes()).unwrap(), value.parse().unwrap());
            }
            client.append(header::CONTENT_TYPE, kind.parse().unwrap());
            let message = admit(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#).unwrap();
            end_of_connection(&mut client);
            let Ok(headers) = to_server(&client, &Method::POST, Some(&message), &[]) else { return Ok(()) };
            let kinds: Vec<_> = headers.get_all(header::CONTENT_TYPE).iter().collect();
            prop_assert_eq!(kinds, [&JSON]);
            let known = [SESSION, VERSION, METHOD, NAME, header::CONTENT_TYPE, header::ACCEPT];
            for name in headers.keys() {
                prop_assert!(known.contains(name) || TRACE.contains(name), "{}", name);
            }
        }
    }

    #[test]
    fn what_repeats_the_body_is_written_from_it() {
        for (body, method, name) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":"x"}}"#, Some("tools/list"), None),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a://b","name":"x"}}"#,
                Some("resources/read"),
                Some("a://b"),
            ),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, None, None),
        ] {
            let client = map(&[("Mcp-Method", "x"), ("Mcp-Name", "y")]);
            let headers = to_server(&client, &Method::POST, Some(&admit(body.as_bytes()).unwrap()), &[]).unwrap();
            let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!((text(&METHOD), text(&NAME)), (method, name), "{body}");
        }
    }

    #[test]
    fn a_header_that_goes_on_has_one_value() {
        let session = [("Mcp-Session-Id", "a"), ("Mcp-Session-Id", "b")];
        assert!(to_server(&map(&session), &Method::DELETE, None, &[]).is_err());
        let tenant = [forwardable("x-tenant").unwrap()];
        assert!(to_server(&map(&[("X-Tenant", "1"), ("x-tenant", "2")]), &Method::DELETE, None, &tenant).is_err());
        let traces = [("traceparent", "a"), ("traceparent", "b")];
        assert_eq!(rows(&to_server(&map(&traces), &Method::DELETE, None, &[]).unwrap()), []);
    }

    #[test]
    fn what_belongs_to_one_connection_ends_here() {
        let mut headers = map(&[
            ("Connection", "x-one, Mcp-Session-Id"),
            ("Connection", "close"),
            ("X-One", "1"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers"),
            ("Upgrade", "h2c"),
            ("Mcp-Session-Id", "s"),
            ("X-Three", "3"),
        ]);
        end_of_connection(&mut headers);
        assert_eq!(rows(&headers), [("x-three", "3")]);
    }

    #[test]
    fn nothing_leads_a_client_past_the_gateway_or_is_kept_for_a_server() {
        let mut headers = map(&[
            ("Location", "https://elsewhere.example"),
            ("Alt-Svc", "h2=\":443\""),
            ("Access-Control-Allow-Origin", "*"),
            ("Set-Cookie", "a=b"),
            ("Refresh", "0; url=https://elsewhere.example"),
            ("WWW-Authenticate", "Bearer"),
            ("Retry-After", "1"),
        ]);
        to_client(&mut headers);
        assert_eq!(rows(&headers), [("retry-after", "1"), ("www-authenticate", "Bearer")]);
    }

    #[test]
    fn some_headers_are_never_forwarded() {
        for name in ["X-Tenant", "x-request-id", "Accept-Language", "Idempotency-Key"] {
            assert_eq!(forwardable(name).map(|found| found.as_str().to_owned()), Ok(name.to_lowercase()));
        }
        for name in [
            "",
            "a b",
            "x_tenant",
            "Cookie",
            "Authorization",
            "Content-Type",
            "Host",
            "Transfer-Encoding",
            "Connection",
            "Mcp-Session-Id",
            "mcp-param-region",
            "X-Forwarded-Host",
            "Forwarded",
            "X-Original-URL",
            "X-Rewrite-URL",
            "X-HTTP-Method-Override",
            "X-Method-Override",
        ] {
            assert!(forwardable(name).is_err(), "{name}");
        }
    }
}
