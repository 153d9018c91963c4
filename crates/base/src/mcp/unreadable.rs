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
    /// An answer that names no request, since its id is null, missing, none, or two. The `error` as JSON; `None` for a
    /// result.
    Unnamed(Option<String>),
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
        None => unnamed(text).unwrap_or_else(|| guessed(text)),
    }
}

/// An object with one `error` or one `result`, where [`answered_by`] finds no request.
fn unnamed(text: &str) -> Option<Seems> {
    let named = |name: &'static str| members(text).filter(move |(it, _)| string_value(it).as_deref() == Some(name));
    match (named("error").count(), named("result").count()) {
        (1, 0) => {
            let (_, place) = named("error").next()?;
            Some(Seems::Unnamed(Some(text.get(place)?.to_owned())))
        }
        // A line of a log may have a member of this name.
        (0, 1) if text.contains("\"jsonrpc\"") => Some(Seems::Unnamed(None)),
        _ => None,
    }
}

fn guessed(text: &str) -> Seems {
    if text.contains("\"jsonrpc\"") { Seems::Broken } else { Seems::Junk }
}

fn has(text: &str, name: &str) -> bool {
    members(text).any(|(literal, _)| string_value(literal).as_deref() == Some(name))
}

/// The id of an object that does not ask; one that stands there twice is told if both are the same.
fn answered_by(text: &str) -> Option<Id> {
    let ids = members(text).filter(|(name, _)| string_value(name).as_deref() == Some("id"));
    let mut ids = ids.map(|(_, place)| text.get(place).and_then(meant));
    let first = ids.next()??;
    let is_answer = ids.all(|other| other.as_ref() == Some(&first)) && !has(text, "method");
    is_answer.then_some(first)
}

/// Whole numbers below it are told apart by a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An id, also one that is a whole number in another spelling (`1.0`, `1e0`), as servers write it that hold ids as
/// doubles.
fn meant(literal: &str) -> Option<Id> {
    let spelled_otherwise = || {
        let number: f64 =
            literal.parse().ok().filter(|_| literal.starts_with(|c: char| c == '-' || c.is_ascii_digit()))?;
        Id::parse(&format!("{number:.0}")).filter(|_| number.fract() == 0.0 && number.abs() < EXACT)
    };
    Id::parse(literal).or_else(spelled_otherwise)
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
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"result\":{}}", Seems::Unnamed(None)),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":1,\"result\":{}}", one()),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1.0,\"result\":{}}", one()),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1e0,\"result\":{}}", one()),
            (b"{\"jsonrpc\":\"2.0\",\"id\":9007199254740993.0,\"result\":{}}", Seems::Unnamed(None)),
            (b"{\"jsonrpc\":\"2.0\",\"id\":10E-1,\"error\":{}}", one()),
            (b"{\"jsonrpc\":\"2.0\",\"id\":[1],\"result\":{}}", Seems::Unnamed(None)),
            (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}", Seems::Unnamed(None)),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1e300,\"result\":{}}", Seems::Unnamed(None)),
            (b"{\"jsonrpc\":\"2.0\",\"result\":{}}", Seems::Unnamed(None)),
            (b"{\"level\":1,\"result\":{}}", Seems::Junk),
            (b"{\"jsonrpc\":\"2.0\",\"result\":{", Seems::Unnamed(None)),
            (b"{\"jsonrpc\":\"2.0\",\"par", Seems::Broken),
            (
                b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1}}",
                Seems::Unnamed(Some("{\"code\":1}".to_owned())),
            ),
            (b"{\"error\":{}}", Seems::Unnamed(Some("{}".to_owned()))),
            (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{},\"result\":{}}", Seems::Broken),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"error\":{}}", Seems::Unnamed(Some("{}".to_owned()))),
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
