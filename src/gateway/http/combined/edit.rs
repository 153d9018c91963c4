//! Changing single values inside of a message: everything around them stays to the byte.

use crate::mcp::json::string_value;
use crate::mcp::walk::member;
use std::ops::Range;

/// The value that a path of member names leads to, and where it stands in `text`.
pub(super) fn at<'t>(text: &'t str, path: &[&str]) -> Option<(&'t str, Range<usize>)> {
    let (mut value, mut start) = (text, 0);
    for name in path {
        let (found, span) = member(value, name)?;
        (value, start) = (found, start + span.start);
    }
    Some((value, start..start + value.len()))
}

/// The same, decoded, if it is a string.
pub(super) fn text_at(text: &str, path: &[&str]) -> Option<String> {
    string_value(at(text, path)?.0).map(std::borrow::Cow::into_owned)
}

/// The text with pieces replaced; `changes` must not overlap.
pub(super) fn changed(text: &str, mut changes: Vec<(Range<usize>, String)>) -> String {
    changes.sort_by_key(|(span, _)| span.start);
    let mut out = String::with_capacity(text.len() + 64);
    let mut end = 0;
    for (span, value) in changes {
        out.push_str(&text[end..span.start]);
        out.push_str(&value);
        end = span.end;
    }
    out.push_str(&text[end..]);
    out
}

/// The text with the value at a path replaced; `None` if there is none.
pub(super) fn put(text: &str, path: &[&str], value: &str) -> Option<String> {
    let (_, span) = at(text, path)?;
    Some(changed(text, vec![(span, value.to_owned())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_around_a_value_stays_to_the_byte() {
        let text = r#"{ "a" : {"b":[1, 2.0 ],"c" :"x"} , "id":1e0}"#;
        assert_eq!(put(text, &["a", "c"], "7").as_deref(), Some(r#"{ "a" : {"b":[1, 2.0 ],"c" :7} , "id":1e0}"#));
        assert_eq!(put(text, &["id"], "\"y\"").as_deref(), Some(r#"{ "a" : {"b":[1, 2.0 ],"c" :"x"} , "id":"y"}"#));
        assert_eq!(put(text, &["a", "d"], "7"), None);
        assert_eq!(text_at(text, &["a", "c"]).as_deref(), Some("x"));
        assert_eq!(text_at(text, &["id"]), None);
        let spans: Vec<_> = [&["id"][..], &["a", "b"]].iter().filter_map(|path| at(text, path)).collect();
        let changes = spans.into_iter().map(|(_, span)| (span, "0".to_owned())).collect();
        assert_eq!(changed(text, changes), r#"{ "a" : {"b":0,"c" :"x"} , "id":0}"#);
    }
}
