//! Answers that are meant for a request and name another, or none: what real servers send, and what is forgiven of it.

use crate::mcp::envelope::Id;
use crate::mcp::walk::{member, members};
use std::ops::Range;

/// Where an answer stood, by which it is told whose it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Beside answers to other requests: only its id tells whose it is.
    AmongOthers,
    /// In the answer to the POST that carried the request.
    InAnswer,
    /// The same, with a status that says that the request failed.
    InRefusal,
}

/// An answer with the id of the request that it is meant for, if it names another: the request's number as text, which
/// real servers do and the SDKs forgive; or, in the answer to the very POST that carried the request, an error without
/// an id (null), or with a status of failure an error under whatever id.
pub fn readdressed(answer: &str, to: &Id, place: Place) -> Option<String> {
    let is_error = || member(answer, "error").is_some() && member(answer, "result").is_none();
    let found = member(answer, "id");
    let is_meant = match &found {
        None => is_error() && place != Place::AmongOthers,
        Some((id, _)) => match Id::parse(id) {
            Some(id) if id == *to => return None,
            Some(id) if id.of_text().as_ref() == Some(to) => true,
            None if *id == "null" => is_error() && place != Place::AmongOthers,
            Some(_) | None => is_error() && place == Place::InRefusal,
        },
    };
    let is_meant = is_meant && member(answer, "method").is_none();
    is_meant.then(|| with_id(answer, found.map(|(_, span)| span), to)).flatten()
}

fn with_id(answer: &str, span: Option<Range<usize>>, id: &Id) -> Option<String> {
    let mut literal = Vec::new();
    id.write(&mut literal);
    let literal = String::from_utf8(literal).ok()?;
    Some(match span {
        Some(span) => format!("{}{literal}{}", &answer[..span.start], &answer[span.end..]),
        None => {
            // It is an object, for it has an `error`.
            let (before, after) = answer.split_once('{')?;
            let comma = if members(answer).next().is_some() { "," } else { "" };
            format!("{before}{{\"id\":{literal}{comma}{after}")
        }
    })
}

/// Whether a server refuses a request because it does not know the session any more, and has done nothing: 404, as the
/// specification says, or 400 with an error that speaks of the session and names no request.
pub fn has_lost_session(status: u16, body: &[u8]) -> bool {
    let speaks_of_it = || {
        let text = std::str::from_utf8(body).ok()?;
        let message = member(member(text, "error")?.0, "message")?.0;
        let names_request = member(text, "id").is_some_and(|(id, _)| matches!(Id::parse(id), Some(Id::Integer(_))));
        Some(!names_request && message.to_ascii_lowercase().contains("session"))
    };
    status == 404 || (status == 400 && speaks_of_it() == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_a_request_gets_its_id() {
        use Place::{AmongOthers, InAnswer, InRefusal};
        let one = Id::Integer(1);
        for (answer, place, expected) in [
            (r#"{"id":"1","result":{}}"#, AmongOthers, Some(r#"{"id":1,"result":{}}"#)),
            (r#"{"id":"1","error":{}}"#, InAnswer, Some(r#"{"id":1,"error":{}}"#)),
            (r#"{"id":1,"result":{}}"#, InAnswer, None),
            (r#"{"id":"01","result":{}}"#, InAnswer, None),
            (r#"{"id":2,"result":{}}"#, InRefusal, None),
            (r#"{"id":null,"result":{}}"#, InRefusal, None),
            (r#"{"id":null,"error":{}}"#, AmongOthers, None),
            (r#"{"id":null,"error":{}}"#, InAnswer, Some(r#"{"id":1,"error":{}}"#)),
            (r#" {"error":{}}"#, InAnswer, Some(r#" {"id":1,"error":{}}"#)),
            (r#"{"id":"server-error","error":{}}"#, InAnswer, None),
            (r#"{"id":"server-error","error":{}}"#, InRefusal, Some(r#"{"id":1,"error":{}}"#)),
            (r#"{"id":null,"error":{},"result":{}}"#, InRefusal, None),
            (r#"{"id":"1","method":"ping"}"#, InRefusal, None),
            ("nothing", InRefusal, None),
        ] {
            assert_eq!(readdressed(answer, &one, place).as_deref(), expected, "{answer} {place:?}");
        }
        let text = Id::Text("1".into());
        assert_eq!(readdressed(r#"{"id":1,"result":{}}"#, &text, AmongOthers), None, "a text is no number");
    }

    #[test]
    fn a_lost_session_is_told_from_other_refusals() {
        let error =
            |id: &str, message: &str| format!(r#"{{"id":{id},"error":{{"code":-32000,"message":"{message}"}}}}"#);
        let lost = error("null", "Bad Request: No valid session ID provided");
        for (status, body, expected) in [
            (404, "", true),
            (400, lost.as_str(), true),
            (400, &error("\"server-error\"", "Session not found"), true),
            (400, &error("1", "no such session"), false),
            (400, &error("null", "Parse error"), false),
            (400, "session", false),
            (500, &lost, false),
        ] {
            assert_eq!(has_lost_session(status, body.as_bytes()), expected, "{status} {body}");
        }
    }
}
