//! One server's part of a client's session: what its messages must become so that the client can hear all servers at
//! once. They were judged before they come here, and nothing is altered that was judged.

use super::super::Server;
use super::ask::Ask;
use super::edit::{at, changed, put, text_at};
use super::questions::ServerQuestion;
use super::replies::quoted;
use super::request::ClientRequest;
use crate::gateway::identity::Identity;
use crate::gateway::reply;
use crate::mcp::envelope::{Arrival, Id, Received, ReplyTo, receive};
use bytes::Bytes;
use std::sync::Arc;

/// The way between one client and one server.
#[derive(Debug)]
pub(super) struct ServerSide {
    pub(super) turn: Arc<ClientRequest>,
    pub(super) server: Arc<Server>,
    pub(super) who: Identity,
}

/// What becomes of a message of a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sifted {
    /// A notification or a question, with this in its place if it cannot go on as it is.
    Beside(Option<String>),
    /// The answer that was waited for.
    Answer,
    /// It does not go on.
    Drop,
}

impl ServerSide {
    /// The server's name.
    pub(super) fn label(&self) -> Arc<str> {
        Arc::clone(&self.server.label)
    }

    fn name(&self) -> &str {
        self.server.name.as_str()
    }

    /// Notes that something does not go on.
    pub(super) fn dropped(&self, what: &'static str) {
        self.turn.dropped(self.name(), what);
    }

    /// Looks at one message. Only the answer to the request that the stream is for may be one: whoever else waits, waits
    /// for another server.
    pub(super) fn sift(&self, data: &[u8], expected: Option<&Id>) -> Sifted {
        let Ok(received) = receive(data) else {
            self.dropped("it sent something that is no message");
            return Sifted::Drop;
        };
        match &received.arrival {
            Arrival::Result(id) | Arrival::Error(id) if expected == Some(id) => {
                self.learn_task(&received);
                Sifted::Answer
            }
            Arrival::Result(_) | Arrival::Error(_) => {
                self.dropped("it answered what it was not asked on this stream");
                Sifted::Drop
            }
            Arrival::Request(id, method) => self.question(id, method, &received),
            Arrival::Notification(method) => self.news(method, &received),
        }
    }

    /// A result that is a task, or tells of one, says whose the task is.
    pub(super) fn learn_task(&self, received: &Received<'_>) {
        if let Some(task) = received.task() {
            self.turn.tasks().learn(&task, self.name());
        }
    }

    /// A server asks the client something: under an id, and with a token for progress, that no other server's question
    /// has.
    fn question(&self, id: &Id, method: &str, received: &Received<'_>) -> Sifted {
        let text: &str = &received.text;
        let Some(session) = &self.turn.session else {
            self.dropped("it asks the client without a session");
            return Sifted::Drop;
        };
        if method.starts_with("tasks/") {
            let owner = received.params().and_then(|params| text_at(params, &["taskId"]));
            let owner = owner.and_then(|task| session.questions.task_of(&task));
            // Tasks that the client works on for another server are no concern of this one.
            if owner.as_deref() != Some(self.name()) {
                let (code, what) = if method == "tasks/list" {
                    (-32601, "method not found")
                } else {
                    (-32602, "there is no such task")
                };
                self.refuse(id, code, what);
                return Sifted::Drop;
            }
        }
        let token = at(text, &["params", "_meta", "progressToken"]).filter(|(token, _)| Id::parse(token).is_some());
        let question = ServerQuestion {
            server: self.name().to_owned(),
            id: id.clone(),
            token: token.as_ref().map(|(token, _)| (*token).to_owned()),
        };
        let Some((_, span)) = at(text, &["id"]) else { return Sifted::Drop };
        let number = session.questions.ask(question).to_string();
        let mut changes = vec![(span, number.clone())];
        changes.extend(token.map(|(_, span)| (span, number)));
        Sifted::Beside(Some(changed(text, changes)))
    }

    /// The gateway answers a server in the client's place.
    fn refuse(&self, id: &Id, code: i32, what: &str) {
        let mut line = Vec::new();
        reply::error(&mut line, &ReplyTo::Id(id.clone()), code, what);
        let (turn, server, who) = (Arc::clone(&self.turn), Arc::clone(&self.server), self.who.clone());
        tokio::spawn(async move {
            // A server that is gone needs no answer.
            drop(turn.ask(&server, &who, &Ask::unnamed("", Bytes::from(line)).once()).await);
        });
    }

    fn news(&self, method: &str, received: &Received<'_>) -> Sifted {
        let text: &str = &received.text;
        match method {
            "notifications/resources/list_changed" => self.turn.memory.forget_places(self.name()),
            "notifications/cancelled" => return self.withdrawn(text),
            "notifications/message" => return Sifted::Beside(with_logger(text, self.name())),
            "notifications/tasks/status" => {
                let task = text_at(text, &["params", "taskId"]);
                if task.is_some_and(|task| !self.turn.tasks().learn(&task, self.name())) {
                    self.dropped("it tells of a task whose id two servers have handed out");
                    return Sifted::Drop;
                }
            }
            _ => {}
        }
        Sifted::Beside(None)
    }

    /// A server takes back what it asked: the client knows it by another id.
    fn withdrawn(&self, text: &str) -> Sifted {
        let Some(session) = &self.turn.session else { return Sifted::Beside(None) };
        let id = at(text, &["params", "requestId"]).and_then(|(id, _)| Id::parse(id));
        let known = id.and_then(|id| session.questions.withdrawn(self.name(), &id));
        let other = known.and_then(|known| put(text, &["params", "requestId"], &known.to_string()));
        if other.is_none() {
            self.dropped("it takes back what it has not asked");
        }
        other.map_or(Sifted::Drop, |other| Sifted::Beside(Some(other)))
    }
}

/// A message of the server's log, told from those of the others by the name of its logger.
fn with_logger(text: &str, server: &str) -> Option<String> {
    if let Some((logger, span)) = at(text, &["params", "logger"]) {
        let logger = crate::mcp::json::string_value(logger)?;
        return Some(changed(text, vec![(span, quoted(&format!("{server}/{logger}")))]));
    }
    let (params, span) = at(text, &["params"])?;
    let inside = params.strip_prefix('{')?;
    let comma = if inside.trim_start().starts_with('}') { "" } else { "," };
    let begin = span.start + 1;
    Some(changed(text, vec![(begin..begin, format!("\"logger\":{}{comma}", quoted(server)))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_message_says_whose_it_is_and_stays_the_same_otherwise() {
        for (text, expected) in [
            (
                r#"{"params":{"level":"info","data":1.0}}"#,
                Some(r#"{"params":{"logger":"one","level":"info","data":1.0}}"#),
            ),
            (r#"{"params":{"logger":"db","data":"x"}}"#, Some(r#"{"params":{"logger":"one/db","data":"x"}}"#)),
            (r#"{"params":{ }}"#, Some(r#"{"params":{"logger":"one" }}"#)),
            (r#"{"params":{"logger":7}}"#, None),
            (r#"{"params":[]}"#, None),
            (r#"{}"#, None),
        ] {
            assert_eq!(with_logger(text, "one").as_deref(), expected, "{text}");
        }
    }
}
