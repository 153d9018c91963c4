//! What a message says once more in headers (MCP 2026-07-28, streamable HTTP), so that whatever stands between two ends
//! can route and refuse without reading bodies.

use crate::mcp::envelope::Message;
use crate::mcp::json::string_value;
use crate::mcp::protocol::Method;
use crate::mcp::walk::member;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// What stands around a value that no header can hold as it is.
const ENCODED: (&str, &str) = ("=?base64?", "?=");
/// The tool, prompt, resource or task that a request names.
pub fn name_of(message: &Message) -> Option<Cow<'_, str>> {
    match message {
        Message::Call(_, call) => Some(Cow::Borrowed(call.name().as_str())),
        Message::Request(_, passage) => {
            let key = Method::of(passage.method()?)?.named_by?;
            string_value(member(passage.params()?, key)?.0)
        }
        Message::Notification(_) | Message::Reply(..) => None,
    }
}

/// A name as a header holds it: as it is, or as `=?base64?…?=` where it would not come out as it went in.
pub fn encoded(name: &str) -> Cow<'_, str> {
    let (before, after) = ENCODED;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && name.trim_matches(' ') == name
        && !(name.starts_with(before) && name.ends_with(after));
    if is_plain { Cow::Borrowed(name) } else { Cow::Owned(format!("{before}{}{after}", STANDARD.encode(name))) }
}

/// The name that a header holds; `None` if it is encoded and cannot be decoded.
pub fn decoded(value: &str) -> Option<Cow<'_, [u8]>> {
    let (before, after) = ENCODED;
    match value.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) {
        Some(encoded) => STANDARD.decode(encoded).ok().map(Cow::Owned),
        None => Some(Cow::Borrowed(value.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope::admit;
    use proptest::prelude::*;

    #[test]
    fn only_names_that_a_header_would_change_are_encoded() {
        for (name, expected) in [
            ("get_thing", "get_thing"),
            ("two words", "two words"),
            ("", ""),
            ("=?", "=?"),
            ("caf\u{e9}", "=?base64?Y2Fmw6k=?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encoded(name), expected, "{name:?}");
        }
        assert_eq!(decoded("=?base64?!?="), None);
    }

    #[test]
    fn headers_repeat_what_the_method_names() {
        let check = |method: &str, params: &str, name: Option<&str>| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            let message = admit(text.as_bytes());
            assert_eq!(message.as_ref().ok().and_then(name_of).as_deref(), name, "{text}");
        };
        check("tools/call", r#"{"name":"t","uri":"u"}"#, Some("t"));
        check("prompts/get", r#"{"name":"p"}"#, Some("p"));
        check("resources/read", r#"{"uri":"a://b","name":"x"}"#, Some("a://b"));
        check("tasks/get", r#"{"taskId":"t"}"#, Some("t"));
        check("completion/complete", r#"{"name":"x","uri":"y"}"#, None);
    }

    proptest! {
        #[test]
        fn every_name_comes_back_out_of_its_header(name in "\\PC{0,20}|[ \t=?]{0,4}.{0,9}") {
            let value = encoded(&name);
            prop_assert!(http::HeaderValue::from_str(&value).is_ok());
            prop_assert_eq!(value.trim(), &*value);
            let back = decoded(&value);
            prop_assert_eq!(back.as_deref(), Some(name.as_bytes()));
        }
    }
}
