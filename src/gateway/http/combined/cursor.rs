//! Ids of events at the common endpoint: from them each server's stream is taken up again where it was.
//!
//! An event of the common stream carries the last id of every server, so that one `Last-Event-ID` speaks for all. An
//! event of an answer carries the one server's, and which request it answers: nothing else may be answered there.

use crate::mcp::envelope::Id;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::collections::BTreeMap;

/// Longest id that is given out or taken, in bytes; events whose id would be longer have none.
pub(super) const EVENT_ID_BYTES_MAX: usize = 8 * 1024;

/// Where a stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// The common stream: the last id of each server that gave one.
    Stream(BTreeMap<String, String>),
    /// The answer to one request.
    Answer {
        /// The server that answers.
        server: String,
        /// The last id that it gave.
        last: String,
        /// The request.
        request: Id,
    },
}

impl Cursor {
    /// The id that stands for it; `None` if it would be too long.
    pub(super) fn write(&self) -> Option<String> {
        let text = match self {
            Self::Stream(places) => serde_json::to_string(places).ok()?,
            Self::Answer { server, last, request } => {
                let request = match request {
                    Id::Integer(number) => Value::from(*number),
                    Id::Text(text) => Value::from(&**text),
                };
                Value::from(vec![Value::from(server.as_str()), Value::from(last.as_str()), request]).to_string()
            }
        };
        let id = URL_SAFE_NO_PAD.encode(text);
        (id.len() <= EVENT_ID_BYTES_MAX).then_some(id)
    }

    /// Reads what a client brings back.
    pub(super) fn read(id: &str) -> Option<Self> {
        if id.len() > EVENT_ID_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(id).ok()?;
        match serde_json::from_slice(&bytes).ok()? {
            Value::Object(places) => {
                let place = |(server, last): (String, Value)| Some((server, last.as_str()?.to_owned()));
                places.into_iter().map(place).collect::<Option<_>>().map(Self::Stream)
            }
            Value::Array(parts) => {
                let [server, last, request] = parts.as_slice() else { return None };
                let request = Id::parse(&request.to_string())?;
                Some(Self::Answer { server: server.as_str()?.to_owned(), last: last.as_str()?.to_owned(), request })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_written_reads_the_same(places in prop::collection::btree_map("[a-z]{1,9}", any::<String>(), 0..5), last in any::<String>(), number in -9_000_000_000_i64..9_000_000_000) {
            let answers = [Id::Integer(number), Id::Text(last.as_str().into())]
                .map(|request| Cursor::Answer { server: "one".to_owned(), last: last.clone(), request });
            for cursor in answers.into_iter().chain([Cursor::Stream(places)]) {
                let id = cursor.write();
                prop_assert!(id.as_ref().is_none_or(|id| id.bytes().all(|byte| byte.is_ascii_graphic())));
                prop_assert!(id.is_none_or(|id| Cursor::read(&id) == Some(cursor)));
            }
        }
    }

    #[test]
    fn an_id_that_was_not_given_out_here_is_none() {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for id in ["", "7", "!", &encoded("7"), &encoded("{\"a\":1}"), &encoded("[\"a\",\"b\"]"), &encoded("[1,2,3]")] {
            assert_eq!(Cursor::read(id), None, "{id}");
        }
        assert_eq!(Cursor::read(&encoded("[\"a\",\"b\",1.5]")), None);
    }

    #[test]
    fn ids_are_bounded() {
        let of = |bytes: usize| Cursor::Stream([("a".to_owned(), "x".repeat(bytes))].into());
        // Three bytes are four characters.
        let fits = EVENT_ID_BYTES_MAX / 4 * 3 - r#"{"a":""}"#.len();
        assert_eq!(Cursor::read(&of(fits).write().unwrap()), Some(of(fits)));
        assert_eq!(of(fits + 1).write(), None);
        assert_eq!(Cursor::read(&URL_SAFE_NO_PAD.encode(format!("{{\"a\":\"{}\"}}", "x".repeat(fits + 1)))), None);
    }
}
