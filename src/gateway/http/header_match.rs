//! Checks that headers which repeat what the body says (MCP 2026-07-28, streamable HTTP) say the same. A client that
//! could make the two differ would show one call to the gateway and another to the server.

use super::refusal::{HEADER_MISMATCH, Refusal, UNSUPPORTED_VERSION};
use crate::mcp::envelope::{Message, PROTOCOL_VERSIONS};
use crate::mcp::http::header;
use crate::mcp::http::mirror::{decoded, name_of};
use crate::mcp::protocol::{self, Method, STATELESS_VERSION};
use http::{HeaderMap, StatusCode};

/// Compares the headers of a client's request with the message in its body.
///
/// # Errors
/// They differ, a header that is due is missing or there twice, or the header's revision is not known here (400).
pub fn check(headers: &HeaderMap, message: &Message) -> Result<(), Refusal> {
    let (id, revision, stated) = (message.id(), message.revision(), message.method().unwrap_or_default());
    let method = Method::of(stated);
    let refuse = |what: String| {
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, what).with_code(HEADER_MISMATCH);
        Err(match id {
            Some(id) => refusal.to(id),
            None => refusal,
        })
    };
    let version = match (one(headers, header::PROTOCOL_VERSION), &revision) {
        (Err(what), _) => return refuse(what),
        (Ok(None), Some(_)) => return refuse(format!("missing {} header", header::PROTOCOL_VERSION)),
        (Ok(Some(version)), Some(revision)) if version != revision => {
            return refuse(format!("{} header does not match the body", header::PROTOCOL_VERSION));
        }
        (Ok(version), _) => version,
    };
    if let Some(version) = version
        && !PROTOCOL_VERSIONS.contains(&version)
    {
        let refusal = unsupported(version, &PROTOCOL_VERSIONS);
        return Err(match id {
            Some(id) => refusal.to(id),
            None => refusal,
        });
    }
    if let Message::Reply(..) = message {
        return Ok(());
    }
    // `initialize` comes before a revision was agreed on, so it need not carry these headers.
    let is_due = id.is_some() && stated != "initialize" && version.is_some_and(protocol::is_stateless);
    match one(headers, header::METHOD) {
        Ok(Some(value)) if value == stated => {}
        Ok(None) if !is_due => {}
        Ok(None) => return refuse(format!("missing {} header", header::METHOD)),
        Ok(Some(_)) => return refuse(format!("{} header does not match the body", header::METHOD)),
        Err(what) => return refuse(what),
    }
    let Some(name) = name_of(message) else { return Ok(()) };
    match one(headers, header::NAME) {
        Ok(Some(value)) if decoded(value).as_deref() == Some(name.as_bytes()) => Ok(()),
        Ok(None) if !(is_due && method.is_some_and(|method| method.name_is_due)) => Ok(()),
        Ok(None) => refuse(format!("missing {} header", header::NAME)),
        Ok(Some(_)) => refuse(format!("{} header does not match the body", header::NAME)),
        Err(what) => refuse(what),
    }
}

/// Whether a client's message needs no session: the revision in its body, or else in its header, has none.
pub fn is_stateless(headers: &HeaderMap, message: &Message) -> bool {
    match message.revision() {
        Some(revision) => protocol::is_stateless(&revision),
        None => matches!(one(headers, header::PROTOCOL_VERSION), Ok(Some(version)) if protocol::is_stateless(version)),
    }
}

/// The refusal of a body that names a revision which the gateway does not know. A missing header, or one with a known
/// revision, is refused as a mismatch. Bodies name only revisions without a session, so only those are offered.
pub fn unknown_revision(headers: &HeaderMap) -> Refusal {
    let mismatch = |what: String| Refusal::new(StatusCode::BAD_REQUEST, what).with_code(HEADER_MISMATCH);
    match one(headers, header::PROTOCOL_VERSION) {
        Err(what) => mismatch(what),
        Ok(None) => mismatch(format!("missing {} header", header::PROTOCOL_VERSION)),
        Ok(Some(known)) if PROTOCOL_VERSIONS.contains(&known) => {
            mismatch(format!("{} header does not match the body", header::PROTOCOL_VERSION))
        }
        Ok(Some(unknown)) => unsupported(unknown, &[STATELESS_VERSION]),
    }
}

fn unsupported(requested: &str, supported: &'static [&'static str]) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "unsupported protocol version")
        .with_code(UNSUPPORTED_VERSION)
        .with_versions(requested, supported)
}

/// The value of a header. Several are an error: gateway and server could take different ones.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, String> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(format!("more than one {name} header"));
    }
    value.to_str().map(Some).map_err(|_| format!("{name} header holds characters that it may not have"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;
    use crate::mcp::envelope::admit;
    use http::HeaderName;

    fn check_row(body: &str, rows: &[(&str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in rows {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        check(&headers, &admit(body.as_bytes()).unwrap()).is_ok()
    }

    const MODERN: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");

    fn call(name: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
        )
    }

    #[test]
    fn a_modern_call_repeats_its_method_name_and_version() {
        let (method, name) = (("Mcp-Method", "tools/call"), ("Mcp-Name", "add"));
        for (headers, good) in [
            (&[MODERN, method, name][..], true),
            (&[method, name], false),
            (&[MODERN, name], false),
            (&[MODERN, method], false),
            (&[MODERN, ("Mcp-Method", "tools/list"), name], false),
            (&[MODERN, ("Mcp-Method", "Tools/Call"), name], false),
            (&[MODERN, method, ("Mcp-Name", "sub")], false),
            (&[MODERN, method, ("Mcp-Name", "=?base64?YWRk?=")], true),
            (&[MODERN, method, ("Mcp-Name", "=?base64?c3Vi?=")], false),
            (&[MODERN, method, ("Mcp-Name", "=?base64?!?=")], false),
            (&[MODERN, method, name, name], false),
            (&[MODERN, method, method, name], false),
            (&[MODERN, MODERN, method, name], false),
            (&[("MCP-Protocol-Version", "2025-11-25"), method, name], false),
            (&[("MCP-Protocol-Version", "2030-01-01"), method, name], false),
        ] {
            assert_eq!(check_row(&call("add"), headers), good, "{headers:?}");
        }
        assert!(check_row(&call("caf\u{e9}"), &[MODERN, method, ("Mcp-Name", "=?base64?Y2Fmw6k=?=")]));
    }

    #[test]
    fn older_requests_need_no_such_headers_but_may_not_contradict_themselves() {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#;
        for (headers, good) in [
            (&[][..], true),
            (&[("MCP-Protocol-Version", "2025-06-18")], true),
            (&[("MCP-Protocol-Version", "1999-01-01")], false),
            (&[("Mcp-Method", "tools/list")], false),
            (&[("Mcp-Name", "sub")], false),
            (&[("Mcp-Name", "add")], true),
        ] {
            assert_eq!(check_row(body, headers), good, "{headers:?}");
        }
    }

    #[test]
    fn what_is_named_depends_on_the_method() {
        let body =
            |method: &str, params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        for (method, params, name, good) in [
            ("resources/read", r#"{"uri":"a://b","name":"x"}"#, Some("a://b"), true),
            ("resources/read", r#"{"uri":"a://b","name":"x"}"#, Some("x"), false),
            ("resources/read", r#"{"uri":"a://b"}"#, None, false),
            ("prompts/get", r#"{"name":"p"}"#, Some("p"), true),
            ("tasks/get", r#"{"taskId":"t"}"#, Some("t"), true),
            ("tasks/get", r#"{"taskId":"t"}"#, None, true),
            ("tools/list", "{}", None, true),
        ] {
            let mut headers = vec![MODERN, ("Mcp-Method", method)];
            headers.extend(name.map(|name| ("Mcp-Name", name)));
            assert_eq!(check_row(&body(method, params), &headers), good, "{method} {params} {name:?}");
        }
    }

    #[test]
    fn initialize_may_come_without() {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        assert!(check_row(body, &[MODERN]));
        assert!(!check_row(body, &[MODERN, ("Mcp-Method", "tools/list")]));
        assert!(check_row(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, &[MODERN]));
    }

    #[test]
    fn a_revision_that_is_not_known_is_told_from_headers_that_differ() {
        for (stated, what) in [
            (Some("v999"), "unsupported protocol version"),
            (Some("2026-07-28"), "MCP-Protocol-Version header does not match the body"),
            (None, "missing MCP-Protocol-Version header"),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(stated.map(|version| {
                (HeaderName::from_static("mcp-protocol-version"), http::HeaderValue::from_static(version))
            }));
            assert_eq!(unknown_revision(&headers).message(), what, "{stated:?}");
        }
        // The other way round: the header's revision is unknown, and the body's is known.
        assert!(!check_row(
            &call("add"),
            &[("MCP-Protocol-Version", "v999"), ("Mcp-Method", "tools/call"), ("Mcp-Name", "add")]
        ));
    }
}
