//! Which headers go on between client and server: end-to-end ones do, hop-by-hop ones and those that this gateway
//! decides itself do not.

use http::header::{self, HeaderMap, HeaderName};

/// Headers of one connection (RFC 9110, section 7.6.1), framing and proxy authentication included.
const DROPPED_BOTH_WAYS: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a client tells this gateway and not the server: its token, the web page that it runs on, the host that it
/// asked, and how bodies are sent.
const DROPPED_TO_SERVER: [HeaderName; 6] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::AUTHORIZATION,
    header::ORIGIN,
    header::ACCEPT_ENCODING,
    header::EXPECT,
];

/// What a server could lead a client past this gateway with, and CORS headers: which web pages may read answers is the
/// gateway's decision.
const DROPPED_TO_CLIENT: [HeaderName; 8] = [
    header::LOCATION,
    HeaderName::from_static("alt-svc"),
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
];

/// Takes out of a client's headers what does not go to the server.
pub fn to_server(headers: &mut HeaderMap) {
    neighbours(headers);
    remove(headers, &DROPPED_TO_SERVER);
}

/// Takes out of a server's headers what does not go to the client.
pub fn to_client(headers: &mut HeaderMap) {
    neighbours(headers);
    remove(headers, &DROPPED_TO_CLIENT);
}

fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}

fn neighbours(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        // `Connection` names further headers that are of this connection only.
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
            .collect();
        remove(headers, &named);
    }
    remove(headers, &DROPPED_BOTH_WAYS);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;

    fn check(clean: fn(&mut HeaderMap), names: &[(&str, &str)], expected: &[&str]) {
        let mut headers = HeaderMap::new();
        for (name, value) in names {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        clean(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, expected);
    }

    #[test]
    fn what_belongs_to_one_connection_ends_here() {
        let names = [
            ("Connection", "x-one, X-Two"),
            ("Connection", "close"),
            ("X-One", "1"),
            ("X-Two", "2"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers"),
            ("Upgrade", "h2c"),
            ("Mcp-Session-Id", "s"),
            ("X-Three", "3"),
        ];
        for clean in [to_server, to_client] {
            check(clean, &names, &["mcp-session-id", "x-three"]);
        }
    }

    #[test]
    fn credentials_of_the_client_end_here() {
        let names = [
            ("Authorization", "Bearer t"),
            ("Proxy-Authorization", "Basic t"),
            ("Origin", "http://localhost"),
            ("Host", "gateway"),
            ("Accept-Encoding", "gzip"),
            ("Accept", "application/json"),
            ("Mcp-Param-Region", "eu"),
            ("Last-Event-ID", "7"),
        ];
        check(to_server, &names, &["accept", "last-event-id", "mcp-param-region"]);
    }

    #[test]
    fn nothing_leads_a_client_past_the_gateway() {
        let names = [
            ("Location", "https://elsewhere.example"),
            ("Alt-Svc", "h2=\":443\""),
            ("Access-Control-Allow-Origin", "*"),
            ("WWW-Authenticate", "Bearer"),
            ("Retry-After", "1"),
        ];
        check(to_client, &names, &["retry-after", "www-authenticate"]);
    }
}
