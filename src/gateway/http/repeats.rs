//! Arguments of a call that headers repeat (`Mcp-Param-…`, MCP 2026-07-28, custom headers from tool parameters): those of the
//! client are held against the body by the tool's input schema as it was listed, and what goes on is written from the body.

use super::refusal::{HEADER_MISMATCH, Refusal};
use crate::mcp::envelope::{Message, ToolCall};
use crate::mcp::http::mirror::decoded;
use crate::mcp::http::parameters::{PREFIX, Parameter, headers};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::sync::{Mutex, PoisonError};

/// What one call repeats.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// The client's headers.
    stated: Vec<(HeaderName, HeaderValue)>,
    /// Those that go to the server.
    written: Mutex<Vec<(HeaderName, HeaderValue)>>,
}

impl Repeats {
    /// What the headers of a client's request say of the arguments. Only calls of the revision without sessions have any.
    pub(super) fn stated(client: &HeaderMap, message: &Message) -> Self {
        let is_told = matches!(message, Message::Call(_, call) if call.is_stateless());
        let is_ours = |(name, _): &(&HeaderName, &HeaderValue)| is_told && name.as_str().starts_with(PREFIX);
        let stated = client.iter().filter(is_ours).map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { stated, written: Mutex::default() }
    }

    /// Whether the client repeats any argument.
    pub(super) fn are_stated(&self) -> bool {
        !self.stated.is_empty()
    }

    /// Holds the client's headers against the body; `known` are the parameters that the tool was listed with, `None` where
    /// it is not known which. From then on [`Self::written`] has what goes to the server.
    ///
    /// # Errors
    /// A header repeats no argument, or says another value (400).
    pub(super) fn hold(&self, call: &ToolCall, known: Option<&[Parameter]>) -> Result<(), Refusal> {
        let due = headers(known.unwrap_or_default(), call.arguments().unwrap_or("{}"));
        for (at, (name, value)) in self.stated.iter().enumerate() {
            let is_double = self.stated[..at].iter().any(|(other, _)| other == name);
            let own = due.iter().find(|(due, _)| due == name.as_str()).map(|(_, own)| own.as_str());
            let is_same = value.to_str().ok().zip(own).is_some_and(|(stated, own)| says_the_same(stated, own));
            if is_double || !is_same {
                let what = format!("{name} header does not match the body");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, what).with_code(HEADER_MISMATCH));
            }
        }
        let write = |(name, value): (String, String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        };
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) =
            if call.is_stateless() { due.into_iter().filter_map(write).collect() } else { Vec::new() };
        Ok(())
    }

    /// The headers for the server.
    pub(super) fn written(&self) -> Vec<(HeaderName, HeaderValue)> {
        std::mem::take(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether two values of such a header are one argument; integers are compared as numbers.
fn says_the_same(stated: &str, own: &str) -> bool {
    let (Some(stated), Some(own)) = (decoded(stated), decoded(own)) else { return false };
    let whole = |text: &[u8]| {
        let text = std::str::from_utf8(text).ok()?;
        let digits = text.strip_suffix(".0").unwrap_or(text);
        digits.parse::<i64>().ok()
    };
    stated == own || whole(&stated).is_some_and(|number| whole(&own) == Some(number))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;
    use crate::mcp::envelope::admit;
    use crate::mcp::http::parameters::parameters;

    const TOOL: &str = r#"{"name":"t","inputSchema":{"properties":{"region":{"type":"string","x-mcp-header":"Region"},
        "limit":{"type":"integer","x-mcp-header":"Limit"},"note":{"type":"string"}}}}"#;

    fn held(arguments: &str, rows: &[(&str, &str)], is_known: bool) -> Option<Vec<(String, String)>> {
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
        );
        let mut client = HeaderMap::new();
        for (name, value) in rows {
            client.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let message = admit(line.as_bytes()).unwrap();
        let (repeats, known) = (Repeats::stated(&client, &message), parameters(TOOL).unwrap());
        let Message::Call(_, call) = message else { unreachable!("{line}") };
        repeats.hold(&call, is_known.then_some(&known[..])).ok()?;
        let text = |(name, value): (HeaderName, HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
        Some(repeats.written().into_iter().map(text).collect())
    }

    #[test]
    fn headers_that_repeat_arguments_say_what_the_body_says() {
        let body = r#"{"region":"eu","limit":42,"note":"admin"}"#;
        let due =
            vec![("mcp-param-region".to_owned(), "eu".to_owned()), ("mcp-param-limit".to_owned(), "42".to_owned())];
        let sorted = |mut rows: Vec<(String, String)>| {
            rows.sort();
            rows.reverse();
            rows
        };
        for rows in [
            &[][..],
            &[("Mcp-Param-Region", "eu")],
            &[("Mcp-Param-Region", "=?base64?ZXU=?=")],
            &[("Mcp-Param-Limit", "42.0"), ("Mcp-Param-Region", "eu")],
        ] {
            assert_eq!(held(body, rows, true).map(sorted), Some(due.clone()), "{rows:?}");
        }
        for rows in [
            &[("Mcp-Param-Region", "us")][..],
            &[("Mcp-Param-Region", "admin")],
            &[("Mcp-Param-Region", "EU")],
            &[("Mcp-Param-Limit", "43")],
            &[("Mcp-Param-Note", "admin")],
            &[("Mcp-Param-Region", "eu"), ("Mcp-Param-Region", "eu")],
            &[("Mcp-Param-Region", "=?base64?!?=")],
        ] {
            assert_eq!(held(body, rows, true), None, "{rows:?}");
        }
        assert_eq!(held("{}", &[("Mcp-Param-Region", "eu")], true), None, "no argument");
        assert_eq!(held(body, &[("Mcp-Param-Region", "eu")], false), None, "not known what it repeats");
        assert_eq!(held(body, &[], false), Some(Vec::new()));
    }
}
