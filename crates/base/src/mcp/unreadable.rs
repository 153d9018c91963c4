//! Whom a line of a server answers that cannot be read as a message: found by walking over what is there, so that the
//! request that waits for it hears at once what was wrong.

use super::id::Id;
use super::json::string_value;
use super::walk::{elements, members};

/// Most messages of one batch that are looked at.
const BATCH_MAX: usize = 1_000;

/// What a line that is no message seems to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seems {
    /// Answers to the requests with these ids.
    Answers(Vec<Id>),
    /// An error that names no request (its id is null or missing), as JSON: the `error`.
    Unnamed(String),
    /// A request or a notification: no request waits for it.
    Asks,
    /// A message, by the look of it, of which nothing more can be told.
    Broken,
    /// Nothing that was meant as a message: a banner, a log line, JSON of another kind.
    Junk,
}

/// Looks at a line of a server that could not be read.
pub fn seems(line: &[u8]) -> Seems {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_start_matches('\u{feff}').trim_ascii();
    if text.starts_with('[') {
        let ids: Vec<Id> =
            elements(text).take(BATCH_MAX).filter_map(|place| text.get(place)).filter_map(answered_by).collect();
        return if ids.is_empty() { guessed(text) } else { Seems::Answers(ids) };
    }
    match answered_by(text) {
        Some(id) => Seems::Answers(vec![id]),
        None if has(text, "method") => Seems::Asks,
        None => unnamed(text).map_or_else(|| guessed(text), |error| Seems::Unnamed(error.to_owned())),
    }
}

/// The one `error` of an object without `result` whose id says nothing.
fn unnamed(text: &str) -> Option<&str> {
    let named = |name: &'static str| members(text).filter(move |(it, _)| string_value(it).as_deref() == Some(name));
    let is_unnamed = named("id").all(|(_, place)| text.get(place) == Some("null")) && named("result").next().is_none();
    let mut errors = named("error");
    let (_, place) = errors.next()?;
    if is_unnamed && errors.next().is_none() { text.get(place) } else { None }
}

fn guessed(text: &str) -> Seems {
    if text.contains("\"jsonrpc\"") { Seems::Broken } else { Seems::Junk }
}

fn has(text: &str, name: &str) -> bool {
    members(text).any(|(literal, _)| string_value(literal).as_deref() == Some(name))
}

/// The one id of an object that does not ask.
fn answered_by(text: &str) -> Option<Id> {
    let mut ids = members(text).filter(|(name, _)| string_value(name).as_deref() == Some("id"));
    let (_, place) = ids.next()?;
    let is_answer = ids.next().is_none() && !has(text, "method");
    if is_answer { Id::parse(text.get(place)?) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_answer_a_broken_line_is_is_found_where_it_can_be() {
        let one = || Seems::Answers(vec![Id::Integer(1)]);
        let deep = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}", "[".repeat(200));
        let deep_first = format!("{{\"result\":{}{},\"id\":1}}", "[".repeat(200), "]".repeat(200));
        for (line, expected) in [
            (&b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"x\":\"\xff\"}}"[..], one()),
            (b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", one()),
            (deep.as_bytes(), one()),
            (deep_first.as_bytes(), one()),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{", one()),
            (b"{\"jsonrpc\":\"2.0\",\"result\":{\"x\":01},\"id\":1}", one()),
            (b"{\"id\":\"1\",\"result\":NaN", Seems::Answers(vec![Id::Text("1".into())])),
            (
                b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}},{\"method\":\"x\",\"id\":3},{\"id\":2,\"error\":{}}]",
                Seems::Answers(vec![Id::Integer(1), Id::Integer(2)]),
            ),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"roots/list\",\"params\":[01]}", Seems::Asks),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"result\":{}}", Seems::Broken),
            (b"{\"jsonrpc\":\"2.0\",\"result\":{", Seems::Broken),
            (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1}}", Seems::Unnamed("{\"code\":1}".to_owned())),
            (b"{\"error\":{}}", Seems::Unnamed("{}".to_owned())),
            (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{},\"result\":{}}", Seems::Broken),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"error\":{}}", Seems::Broken),
            (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{},\"error\":{}}", Seems::Broken),
            (b"listening on port 3000", Seems::Junk),
            (b"{\"level\":\"info\"}", Seems::Junk),
            (b"[1]", Seems::Junk),
            (b"", Seems::Junk),
        ] {
            assert_eq!(seems(line), expected, "{}", String::from_utf8_lossy(line));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text in "[\\[\\]{}\":,id1 ]{0,30}") {
            let _ = (seems(&bytes), seems(text.as_bytes()));
        }
    }
}
