//! What a client has said that lasts: a server whose session begins anew has to hear it again.

use crate::mcp::envelope::{Id, Passage};
use crate::mcp::json::string_value;
use crate::mcp::walk::member;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Longest message of a client that is kept to be said again, in bytes.
pub const KEPT_BYTES_MAX: usize = 64 * 1024;
/// Longest URI of a subscription that is kept, in bytes.
const URI_BYTES_MAX: usize = 8 * 1024;
/// Subscriptions to resources of one server that are kept.
const SUBSCRIPTIONS_MAX: usize = 1024;

/// What one client has said.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    initialized: Option<Bytes>,
    /// The parameters of `logging/setLevel`, without braces.
    level: Option<String>,
    /// URIs by server.
    subscriptions: BTreeMap<String, BTreeSet<String>>,
}

impl Wishes {
    /// Keeps what lasts of a message that goes to this server.
    pub fn note(&mut self, server: &str, passage: &Passage) {
        let method = passage.method().unwrap_or_default();
        let named = |name| passage.params().and_then(|params| member(params, name)).map(|(literal, _)| literal);
        match method {
            "notifications/initialized" => {
                self.initialized =
                    Some(passage.line()).filter(|line| line.len() <= KEPT_BYTES_MAX).map(Bytes::copy_from_slice);
            }
            "logging/setLevel" => {
                let level = named("level").filter(|level| level.len() <= KEPT_BYTES_MAX);
                self.level = level.map(|level| format!("\"level\":{level}"));
            }
            "resources/subscribe" | "resources/unsubscribe" => {
                let Some(uri) = named("uri").and_then(string_value) else { return };
                let uris = self.subscriptions.entry(server.to_owned()).or_default();
                if method == "resources/unsubscribe" {
                    uris.remove(&*uri);
                } else if uris.len() < SUBSCRIPTIONS_MAX && uri.len() <= URI_BYTES_MAX {
                    uris.insert(uri.into_owned());
                }
            }
            _ => {}
        }
    }

    /// `notifications/initialized`, as the client said it.
    pub fn initialized(&self) -> Option<&Bytes> {
        self.initialized.as_ref()
    }

    /// The level of the log that the client wants: a request with the id that `next` gives.
    pub fn level(&self, next: impl FnOnce() -> Id) -> Option<Bytes> {
        self.level.as_deref().map(|params| request(&next(), "logging/setLevel", params))
    }

    /// The subscriptions of the client to resources of a server: requests with ids that `next` gives.
    pub fn subscriptions(&self, server: &str, next: impl FnMut() -> Id) -> impl Iterator<Item = Bytes> {
        let uris = self.subscriptions.get(server).into_iter().flatten();
        let uris = uris.map(|uri| format!("\"uri\":{}", serde_json::Value::from(uri.as_str())));
        uris.zip(std::iter::repeat_with(next)).map(|(params, id)| request(&id, "resources/subscribe", &params))
    }
}

/// A request of the gateway's own; `params` stand without braces.
pub fn request(id: &Id, method: &str, params: &str) -> Bytes {
    let mut line = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
    id.write(&mut line);
    line.extend_from_slice(format!(",\"method\":\"{method}\",\"params\":{{{params}}}}}").as_bytes());
    line.into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;
    use crate::mcp::envelope::{Message, admit};
    use serde_json::{Value, json};

    fn say(wishes: &mut Wishes, server: &str, method: &str, params: &Value) {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let Message::Request(_, passage) = admit(message.as_bytes()).unwrap() else { return };
        wishes.note(server, &passage);
    }

    fn subscribed(wishes: &Wishes, server: &str) -> Vec<String> {
        let lines = wishes.subscriptions(server, || Id::Integer(7));
        let uri =
            |line: Bytes| serde_json::from_slice::<Value>(&line).unwrap()["params"]["uri"].as_str().unwrap().to_owned();
        lines.map(uri).collect()
    }

    #[test]
    fn what_was_said_last_is_said_again() {
        let mut wishes = Wishes::default();
        assert_eq!(wishes.level(|| Id::Integer(7)), None);
        for level in ["debug", "error"] {
            say(&mut wishes, "one", "logging/setLevel", &json!({"level": level, "_meta": {"progressToken": 1}}));
        }
        let again = r#"{"jsonrpc":"2.0","id":7,"method":"logging/setLevel","params":{"level":"error"}}"#;
        assert_eq!(wishes.level(|| Id::Integer(7)).unwrap(), again);
        for (method, uri) in
            [("subscribe", "a://1"), ("subscribe", "a://\"2"), ("unsubscribe", "a://1"), ("read", "a://3")]
        {
            say(&mut wishes, "one", &format!("resources/{method}"), &json!({"uri": uri}));
        }
        assert_eq!(subscribed(&wishes, "one"), ["a://\"2"]);
        assert_eq!(subscribed(&wishes, "two"), Vec::<String>::new());
    }

    #[test]
    fn what_is_kept_of_a_client_is_bounded() {
        for (bytes, is_kept) in [(URI_BYTES_MAX, true), (URI_BYTES_MAX + 1, false)] {
            let mut wishes = Wishes::default();
            say(&mut wishes, "one", "resources/subscribe", &json!({"uri": "x".repeat(bytes)}));
            assert_eq!(subscribed(&wishes, "one").len(), usize::from(is_kept));
        }
        for (bytes, is_kept) in [(KEPT_BYTES_MAX - 2, true), (KEPT_BYTES_MAX - 1, false)] {
            let mut wishes = Wishes::default();
            say(&mut wishes, "one", "logging/setLevel", &json!({"level": "x".repeat(bytes)}));
            assert_eq!(wishes.level(|| Id::Integer(7)).is_some(), is_kept);
        }
        let mut wishes = Wishes::default();
        for number in 0..=SUBSCRIPTIONS_MAX {
            say(&mut wishes, "one", "resources/subscribe", &json!({"uri": number.to_string()}));
        }
        assert_eq!(subscribed(&wishes, "one").len(), SUBSCRIPTIONS_MAX);
    }
}
