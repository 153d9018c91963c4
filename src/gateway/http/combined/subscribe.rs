//! `subscriptions/listen` (MCP 2026-07-28): one subscription of the client is one with every server, acknowledged once,
//! under the id of the client's request, which every server knows.

use super::super::Server;
use super::super::refusal::Refusal;
use super::Answered;
use super::ask::{Ask, is_still_let_in, is_stream};
use super::edit::{at, changed, text_at};
use super::gathered_stream::{GatheredStream, PIECES_WAITING_MAX};
use super::offers::joined;
use super::piece::{Piece, PieceContent};
use super::pipe::Pipe;
use super::replies::{failed, quoted, result_of};
use super::request::ClientRequest;
use crate::gateway::exchange::names_plainly;
use crate::gateway::identity::Identity;
use crate::gateway::task_owners::TaskOwner;
use crate::mcp::envelope::{Arrival, Id, receive};
use crate::mcp::sse::Pause;
use http::StatusCode;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long a server may take to acknowledge; one that takes longer is left out.
const ACKNOWLEDGEMENT_WAIT: Duration = Duration::from_secs(10);
/// Members of the filter that name things of single servers.
const NAMED: [&str; 2] = ["resourceSubscriptions", "taskIds"];
/// Notifications and the member of the filter that asks for them.
const KINDS: [(&str, &str); 3] = [
    ("notifications/prompts/list_changed", "promptsListChanged"),
    ("notifications/resources/list_changed", "resourcesListChanged"),
    ("notifications/tools/list_changed", "toolsListChanged"),
];

/// A subscription with one server, as long as the client has its own.
struct Subscribed {
    turn: Arc<ClientRequest>,
    server: Arc<Server>,
    who: Identity,
    id: Id,
    line: String,
    filter: Value,
    sender: mpsc::Sender<Piece>,
}

impl ClientRequest {
    /// A client subscribes.
    pub(super) async fn subscribe(self, id: &Id, line: &str) -> Result<Answered, Refusal> {
        if !self.streams {
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "the answer is `text/event-stream`").to(id));
        }
        let slot = self
            .gateway
            .slots
            .take(&self.callers.first().map(|(_, who)| Arc::clone(&who.grant)).unwrap_or_default())?;
        let turn = Arc::new(self);
        let filter = at(line, &["params", "notifications"]);
        if filter.as_ref().is_some_and(|(filter, _)| !names_plainly(filter)) {
            turn.nowhere("subscriptions/listen", None, None);
            return Ok(failed(id, -32602, "what is subscribed to has no single reading"));
        }
        let asked = filter.and_then(|(text, _)| serde_json::from_str(text).ok());
        let asked: Value = asked.unwrap_or_else(|| Value::Object(Map::new()));
        let owners = turn.owners(id, &asked).await;
        let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
        let all = turn.servers().map(|(server, who)| {
            let filter = filter_for(server.name.as_str(), &asked, &owners);
            let (turn, server, who) = (Arc::clone(&turn), Arc::clone(server), who.clone());
            let line = with_filter(line, &filter);
            Subscribed { turn, server, who, id: id.clone(), line, filter, sender: sender.clone() }
        });
        let wanted: Vec<Subscribed> = all.filter(|subscribed| asks_for_something(&subscribed.filter)).collect();
        drop(sender);
        let is_any_wanted = !wanted.is_empty();
        let opening = wanted.into_iter().map(|subscribed| async move { (subscribed.open().await, subscribed) });
        let (mut tasks, mut accepted) = (JoinSet::new(), Vec::new());
        let mut opened = Vec::new();
        for (pipe, subscribed) in futures_util::future::join_all(opening).await {
            match pipe {
                Ok((pipe, filter)) => {
                    accepted.push(filter.clone());
                    opened.push((pipe, Subscribed { filter, ..subscribed }));
                }
                Err(why) => turn.missing(subscribed.server.name.as_str(), why.message()),
            }
        }
        if is_any_wanted && opened.is_empty() {
            return Ok(failed(id, -32603, "no server could be reached that speaks this revision"));
        }
        for (pipe, subscribed) in opened {
            tasks.spawn(subscribed.run(pipe));
        }
        let acknowledged = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{{\"notifications\":{},{}}}}}",
            joined(accepted.iter()),
            meta_of(id)
        );
        let over = result_of(id, &format!("{{\"resultType\":\"complete\",{}}}", meta_of(id)));
        let gathered_stream = GatheredStream::many(pieces, tasks, None)
            .beginning_with(Piece::ours(acknowledged.as_bytes()))
            .on_seat(slot);
        Ok(gathered_stream.until_over(&turn, Some(crate::mcp::sse::event(&over))).into_response())
    }

    /// Whose the things are that the filter names.
    async fn owners(self: &Arc<Self>, id: &Id, filter: &Value) -> BTreeMap<String, BTreeSet<String>> {
        let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for named in NAMED {
            let things: BTreeSet<&str> =
                filter.get(named).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            for thing in things {
                let owner = if named == "taskIds" {
                    match self.owner_of(id, thing).await {
                        Some(TaskOwner::One(name)) => Some(name),
                        Some(TaskOwner::Several) | None => None,
                    }
                } else {
                    self.place(id, thing).await.map(|(server, _)| server.name.as_str().to_owned())
                };
                if let Some(owner) = owner {
                    owners.entry(owner).or_default().insert(thing.to_owned());
                }
            }
        }
        owners
    }
}

/// What is asked of one server: everything, but of what has a name only what is its own.
fn filter_for(server: &str, asked: &Value, owners: &BTreeMap<String, BTreeSet<String>>) -> Value {
    let mut filter = asked.clone();
    for named in NAMED {
        if let Some(things) = filter.get_mut(named).and_then(Value::as_array_mut) {
            let own = owners.get(server);
            things.retain(|thing| thing.as_str().is_some_and(|thing| own.is_some_and(|own| own.contains(thing))));
        }
    }
    filter
}

fn with_filter(line: &str, filter: &Value) -> String {
    let changes = NAMED.iter().filter_map(|named| {
        let (_, span) = at(line, &["params", "notifications", named])?;
        Some((span, filter.get(named)?.to_string()))
    });
    changed(line, changes.collect())
}

fn asks_for_something(filter: &Value) -> bool {
    filter.as_object().into_iter().flatten().any(|(_, value)| match value {
        Value::Bool(wanted) => *wanted,
        Value::Array(things) => !things.is_empty(),
        Value::Null => false,
        Value::Number(_) | Value::String(_) | Value::Object(_) => true,
    })
}

/// What of an acknowledgement was asked for.
fn within(acknowledged: &Value, asked: &Value) -> Value {
    let mut all = Map::new();
    for (name, value) in acknowledged.as_object().into_iter().flatten() {
        let kept = match (value, asked.get(name)) {
            (Value::Bool(true), Some(Value::Bool(true))) => Value::Bool(true),
            (Value::Array(given), Some(Value::Array(asked))) => {
                Value::Array(given.iter().filter(|it| asked.contains(it)).cloned().collect())
            }
            _ => continue,
        };
        all.insert(name.clone(), kept);
    }
    Value::Object(all)
}

/// Whether a notification is one that was asked for.
fn is_wanted(filter: &Value, method: &str, message: &str) -> bool {
    if let Some((_, member)) = KINDS.iter().find(|(kind, _)| *kind == method) {
        return filter.get(member) == Some(&Value::Bool(true));
    }
    if method == "notifications/resources/updated" {
        let uri = text_at(message, &["params", "uri"]).map(Value::from);
        let uris = filter.get("resourceSubscriptions").and_then(Value::as_array);
        return uri.is_some_and(|uri| uris.is_some_and(|uris| uris.contains(&uri)));
    }
    // What ends or begins the server's own subscription says nothing of the client's.
    !matches!(method, "notifications/cancelled" | "notifications/subscriptions/acknowledged")
}

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

fn meta_of(id: &Id) -> String {
    let mut text = Vec::new();
    id.write(&mut text);
    format!("\"_meta\":{{\"{SUBSCRIPTION}\":{}}}", String::from_utf8_lossy(&text))
}

/// Why a server takes no part.
enum Unwilling {
    /// It would say so again.
    Refuses(&'static str),
    /// It may be back later.
    Away(String),
}

impl Unwilling {
    fn message(&self) -> &str {
        match self {
            Self::Refuses(why) => why,
            Self::Away(why) => why,
        }
    }
}

impl Subscribed {
    /// Subscribes with the server. Answers its stream, and what of the filter it has taken.
    async fn open(&self) -> Result<(Pipe, Value), Unwilling> {
        let opening = async {
            if !is_still_let_in(&self.turn.gateway, &self.server, &self.who, &self.turn.head).await {
                return Err(Unwilling::Away("it asks for another token".to_owned()));
            }
            let ask = Ask::unnamed("subscriptions/listen", self.line.clone().into());
            let sent = self.turn.ask(&self.server, &self.who, &ask).await;
            let response = sent.map_err(|refusal| Unwilling::Away(refusal.message().to_owned()))?;
            if response.status().is_server_error() {
                return Err(Unwilling::Away(format!("it answers with status {}", response.status().as_u16())));
            }
            if !is_stream(response.headers()) {
                return Err(Unwilling::Refuses("it takes no subscription"));
            }
            let leg = self.turn.leg(&self.server, &self.who);
            let mut pipe = Pipe::new(leg, response.into_body(), Some(self.id.clone())).with_messages();
            while let Some(piece) = pipe.next().await {
                match piece.message {
                    PieceContent::Nothing => {}
                    PieceContent::Answer(_) => return Err(Unwilling::Refuses("it takes no subscription")),
                    PieceContent::Beside(message) => {
                        let text = String::from_utf8_lossy(&message);
                        if text_at(&text, &["method"]).as_deref() == Some("notifications/subscriptions/acknowledged") {
                            let taken = at(&text, &["params", "notifications"]);
                            let taken = taken.and_then(|(taken, _)| serde_json::from_str(taken).ok());
                            let taken = within(&taken.unwrap_or(Value::Null), &self.filter);
                            return Ok((pipe, taken));
                        }
                    }
                }
            }
            Err(Unwilling::Away("its stream ended before it began".to_owned()))
        };
        let waited = tokio::time::timeout(ACKNOWLEDGEMENT_WAIT, opening).await;
        waited.unwrap_or_else(|_| Err(Unwilling::Away("it does not acknowledge a subscription".to_owned())))
    }

    /// Passes on what the server says as long as the client listens. A server whose stream ends is asked again, and then
    /// everything may have changed meanwhile.
    async fn run(self, pipe: Pipe) {
        let mut open = Some(pipe);
        let mut pause = Pause::after(None);
        loop {
            if let Some(mut pipe) = open.take() {
                while let Some(piece) = pipe.next().await {
                    let piece = match &piece.message {
                        PieceContent::Answer(_) => break,
                        PieceContent::Beside(message) if !self.is_ours(message) => continue,
                        PieceContent::Beside(_) | PieceContent::Nothing => Piece { id: None, ..piece },
                    };
                    if self.sender.send(piece).await.is_err() {
                        return;
                    }
                }
                pause = Pause::after(None);
            }
            pause.rest().await;
            match self.open().await {
                Ok((pipe, _)) => {
                    open = Some(pipe);
                    for piece in self.all_changed() {
                        if self.sender.send(piece).await.is_err() {
                            return;
                        }
                    }
                }
                Err(Unwilling::Refuses(why)) => return self.turn.missing(self.server.name.as_str(), why),
                Err(Unwilling::Away(why)) => {
                    self.turn.missing(self.server.name.as_str(), &why);
                    pause = pause.longer();
                }
            }
        }
    }

    fn is_ours(&self, message: &[u8]) -> bool {
        let Ok(received) = receive(message) else { return false };
        let Arrival::Notification(method) = &received.arrival else { return false };
        let id = at(&received.text, &["params", "_meta", SUBSCRIPTION]).and_then(|(id, _)| Id::parse(id));
        let is_ours = id.as_ref() == Some(&self.id) && is_wanted(&self.filter, method, &received.text);
        if !is_ours {
            self.turn.dropped(self.server.name.as_str(), "it says what nobody has subscribed to");
        }
        is_ours
    }

    /// What may have changed while the gateway did not listen.
    fn all_changed(&self) -> Vec<Piece> {
        let meta = meta_of(&self.id);
        let say = |method: &str, params: &str| {
            Piece::ours(
                format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{{params}{meta}}}}}").as_bytes(),
            )
        };
        self.turn.memory.forget_places(self.server.name.as_str());
        let lists = KINDS.iter().filter(|(_, member)| self.filter.get(member) == Some(&Value::Bool(true)));
        let uris = self.filter.get("resourceSubscriptions").and_then(Value::as_array).into_iter().flatten();
        let uris = uris.filter_map(Value::as_str);
        lists
            .map(|(method, _)| say(method, ""))
            .chain(uris.map(|uri| say("notifications/resources/updated", &format!("\"uri\":{},", quoted(uri)))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_server_is_asked_for_its_own_things_and_the_rest_of_the_request_stays() {
        let asked = json!({"toolsListChanged": true, "resourceSubscriptions": ["a://1", "b://1", "c://1"]});
        let own = |uri: &str| BTreeSet::from([uri.to_owned()]);
        let owners = BTreeMap::from([("a".to_owned(), own("a://1")), ("b".to_owned(), own("b://1"))]);
        let filter = filter_for("a", &asked, &owners);
        assert_eq!(filter, json!({"toolsListChanged": true, "resourceSubscriptions": ["a://1"]}));
        let line = r#"{"id":1.0,"params":{"notifications":{"x":2e1,"resourceSubscriptions":["a://1","b://1"]},"y":3}}"#;
        let expected = r#"{"id":1.0,"params":{"notifications":{"x":2e1,"resourceSubscriptions":["a://1"]},"y":3}}"#;
        assert_eq!(with_filter(line, &filter), expected);
        let uris = json!({"resourceSubscriptions": ["c://1"]});
        assert!(asks_for_something(&filter) && !asks_for_something(&filter_for("a", &uris, &owners)));
    }

    #[test]
    fn nothing_is_acknowledged_or_said_that_was_not_asked_for() {
        let asked = json!({"toolsListChanged": true, "promptsListChanged": false, "resourceSubscriptions": ["a"]});
        let given = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
            "resourceSubscriptions": ["a", "b"], "x": 1});
        let taken = within(&given, &asked);
        assert_eq!(taken, json!({"toolsListChanged": true, "resourceSubscriptions": ["a"]}));
        for (method, message, expected) in [
            ("notifications/tools/list_changed", "{}", true),
            ("notifications/prompts/list_changed", "{}", false),
            ("notifications/resources/updated", r#"{"params":{"uri":"a"}}"#, true),
            ("notifications/resources/updated", r#"{"params":{"uri":"b"}}"#, false),
            ("notifications/cancelled", "{}", false),
            ("notifications/subscriptions/acknowledged", "{}", false),
            ("notifications/tasks", "{}", true),
        ] {
            assert_eq!(is_wanted(&taken, method, message), expected, "{method} {message}");
        }
    }
}
