//! Which of the answers that arrive is the one to our request, and what the others say about the server.

use super::error::{ConnectError, Traces};
use super::message::{ErrorObject, ReplyId, Request, ServerAnswer};
use crate::model::Note;

/// What came beside the answers that were waited for, on one connection.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// Notifications of ours that a server may still answer, which it must not.
    notified: usize,
    /// Errors without an id that were taken for answers to notifications.
    nameless: usize,
    last_nameless: Option<ErrorObject>,
    strays: usize,
    /// The last id that we never asked under.
    foreign: Option<String>,
    as_text: bool,
}

impl Replies {
    /// A notification was sent over a connection on which every answer arrives.
    pub fn notified(&mut self) {
        self.notified += 1;
    }

    /// The answer, if it is the one to this request; what it is instead is noted.
    pub fn take(&mut self, request: &Request, id: Option<ReplyId>, answer: ServerAnswer) -> Option<ServerAnswer> {
        let Some(id) = id else {
            // An error without an id belongs to a message whose id the server could not read. Where a notification of
            // ours is unanswered, it is the likelier one: what came under an id has always been readable.
            return match answer {
                ServerAnswer::Error(refusal) if self.notified > 0 => {
                    self.notified -= 1;
                    self.nameless += 1;
                    self.last_nameless = Some(refusal);
                    None
                }
                answer => Some(answer),
            };
        };
        if id.text == request.id.to_string() {
            self.as_text |= id.is_string;
            return Some(answer);
        }
        self.strays += 1;
        // Ids count upwards: a smaller one is a late answer to an earlier request.
        if !id.text.parse::<u64>().is_ok_and(|number| number < request.id) {
            self.foreign = Some(id.text);
        }
        None
    }

    /// Why a request has no answer, where what came instead says it.
    pub fn explain(&self, method: &'static str, traces: &Traces) -> Option<ConnectError> {
        if let Some(id) = &self.foreign {
            return Some(ConnectError::ForeignId { method, id: id.clone(), traces: traces.clone() });
        }
        let refusal = self.last_nameless.as_ref()?;
        let (code, message) = (refusal.code(), refusal.message().to_owned());
        Some(ConnectError::Refused { method, code, message, traces: traces.clone() })
    }

    /// What was odd about the answers.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |code: &str, message: String| notes.push(Note { code: code.to_owned(), message });
        if self.nameless > 0 {
            note("answers_notifications", "the server answers notifications, which want no answer".to_owned());
        }
        if self.strays > 0 {
            note("stray_answer", format!("skipped {} answers to requests that were not waiting", self.strays));
        }
        if self.as_text {
            let message = "the server answers under ids as text, not under the numbers that it was asked with";
            note("id_as_text", message.to_owned());
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{self, Incoming};
    use super::*;

    /// Feeds one message to a connection that waits for the answer under this id.
    fn feed(replies: &mut Replies, wanted: u64, text: &str) -> bool {
        let request = message::list(wanted, "tools/list", None, None);
        let mut answers =
            message::read(text.as_bytes()).unwrap_or_default().into_iter().filter_map(|message| match message {
                Incoming::Answer { id, answer } => Some((id, answer)),
                Incoming::Request { .. } | Incoming::Notification => None,
            });
        let answer = answers.next();
        assert!(answer.is_some(), "{text} is no answer");
        answer.is_some_and(|(id, answer)| replies.take(&request, id, answer).is_some())
    }

    fn codes(replies: &Replies) -> Vec<String> {
        replies.notes().into_iter().map(|note| note.code).collect()
    }

    const NAMELESS: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"no such notification"}}"#;

    #[test]
    fn an_error_without_an_id_is_the_answer_unless_a_notification_waits_for_one() {
        let mut replies = Replies::default();
        assert!(feed(&mut replies, 1, NAMELESS));
        replies.notified();
        assert!(!feed(&mut replies, 2, NAMELESS));
        assert_eq!(codes(&replies), ["answers_notifications"]);
        assert!(feed(&mut replies, 2, NAMELESS), "a second one is not about the notification");
    }

    #[test]
    fn what_came_instead_of_an_answer_is_told() {
        let said = |replies: &Replies| replies.explain("tools/list", &Traces::default()).map(|error| error.to_string());
        let mut replies = Replies::default();
        assert_eq!(said(&replies), None);
        replies.notified();
        feed(&mut replies, 2, NAMELESS);
        assert_eq!(said(&replies).as_deref(), Some("the server refused `tools/list`: no such notification (-32601)"));
        feed(&mut replies, 2, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        assert!(said(&replies).is_some_and(|said| said.contains("refused")), "a late answer is no foreign one");
        feed(&mut replies, 2, r#"{"jsonrpc":"2.0","id":"abc","result":{}}"#);
        assert!(said(&replies).is_some_and(|said| said.contains("under the id `abc`")));
    }

    #[test]
    fn an_id_as_text_is_the_same_id_and_noted() {
        let mut replies = Replies::default();
        assert!(feed(&mut replies, 2, r#"{"jsonrpc":"2.0","id":"2","result":{}}"#));
        assert_eq!(codes(&replies), ["id_as_text"]);
    }
}
