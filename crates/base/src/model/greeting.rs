//! What a server says of itself when a connection begins, beside what a listing keeps by name: the rest of `serverInfo`,
//! `_meta`, and members of the result that the specification does not know.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// The member of `_meta` in which revisions without handshake say what `serverInfo` says elsewhere.
pub const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";
/// Members of the result that a listing keeps by name, or that say nothing of the server.
const KNOWN: [&str; 4] = ["protocolVersion", "supportedVersions", "capabilities", "instructions"];
/// Members of the result that belong to the one answer, as long as they say no more than a word.
const STATE: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];
/// Members of `serverInfo` that a listing keeps by name.
const NAMED: [&str; 3] = ["name", "title", "version"];
/// Most nesting whose texts are gathered.
const DEPTH_MAX: usize = 64;
/// Longest text of one member that is gathered, in bytes; no model reads more of it.
const TEXT_BYTES_MAX: usize = 256 << 10;
/// Longest text that is a word and no sentence, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// Where in the result of `initialize` or `server/discover` a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GreetingPart {
    /// In `serverInfo`.
    ServerInfo,
    /// In `_meta`.
    Meta,
    /// In the result itself.
    Result,
}

/// What a server says of itself beside name, title, version, revision, capabilities and instructions. Members that are
/// null are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Greeting {
    /// Members of `serverInfo` other than `name`, `title` and `version`: `description`, `websiteUrl`, `icons`, and whatever
    /// the specification does not know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub server_info: BTreeMap<String, Value>,
    /// Members of `_meta`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, Value>,
    /// Members of the result that the specification does not know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub result: BTreeMap<String, Value>,
}

/// One member of a greeting.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Where it stands.
    pub part: GreetingPart,
    /// Its name there.
    pub key: &'a str,
    /// What it says.
    pub value: &'a Value,
}

/// The place: `serverInfo.description`, `_meta.example.com/x`, `motd`.
impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = match self.part {
            GreetingPart::ServerInfo => "serverInfo.",
            GreetingPart::Meta => "_meta.",
            GreetingPart::Result => "",
        };
        write!(f, "{before}{}", self.key)
    }
}

impl Said<'_> {
    /// Every key and text in the value, an empty line between any two; addresses of the server's page and of its pictures
    /// are no texts.
    pub fn text(&self) -> String {
        let of_addresses = self.part == GreetingPart::ServerInfo && matches!(self.key, "websiteUrl" | "icons");
        let mut out = String::new();
        if !is_word(self.key) {
            out.push_str(self.key);
            out.push_str("\n\n");
        }
        gather(self.value, 0, &|text| !(of_addresses && is_address(text)), &mut out);
        out
    }
}

impl Greeting {
    /// What the result of `initialize` or `server/discover` says. Anything but an object says nothing.
    pub fn of_result(result: &RawValue) -> Self {
        let mut greeting = Self::default();
        let mut info = None;
        for (key, raw) in members(result) {
            let value = value(&raw);
            match key.as_str() {
                "serverInfo" => info = Some(value),
                "_meta" => match value {
                    Value::Object(members) => greeting.meta = said(members),
                    other => drop(greeting.result.insert(key, other)),
                },
                known if KNOWN.contains(&known) => {}
                state if STATE.contains(&state) && is_state(&value) => {}
                _ => drop(greeting.result.insert(key, value)),
            }
        }
        greeting.result.retain(|_, value| !value.is_null());
        let in_meta = greeting.meta.remove(SERVER_INFO_KEY);
        // Who says it twice says one of the two beside what is kept.
        if let (Some(_), Some(beside)) = (&in_meta, &info) {
            greeting.result.insert("serverInfo".to_owned(), beside.clone());
        }
        match in_meta.or(info) {
            Some(Value::Object(members)) => greeting.server_info = Self::of_server_info(members),
            Some(Value::Null) | None => {}
            Some(other) => drop(greeting.result.insert("serverInfo".to_owned(), other)),
        }
        greeting
    }

    /// The members of `serverInfo` that a listing does not keep by name.
    pub fn of_server_info(members: serde_json::Map<String, Value>) -> BTreeMap<String, Value> {
        let mut members = said(members);
        members.retain(|key, value| !(NAMED.contains(&key.as_str()) && value.is_string()));
        members
    }

    /// Every member, in the order of their places.
    pub fn said(&self) -> impl Iterator<Item = Said<'_>> {
        let parts = [
            (GreetingPart::ServerInfo, &self.server_info),
            (GreetingPart::Meta, &self.meta),
            (GreetingPart::Result, &self.result),
        ];
        parts.into_iter().flat_map(|(part, members)| members.iter().map(move |(key, value)| Said { part, key, value }))
    }
}

/// Whether a value under this key is no more than the state of one answer or a number: nothing that a reader takes for a
/// sentence.
pub fn says_nothing(key: &str, value: &Value) -> bool {
    is_word(key) && matches!(value, Value::Null | Value::Bool(_) | Value::Number(_))
        || STATE.contains(&key) && is_state(value)
}

/// A text that can be no sentence: one word, as a version or a name is.
pub fn is_word(text: &str) -> bool {
    text.len() <= WORD_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Every key and text in a value, an empty line between any two.
pub fn texts(value: &Value) -> String {
    let mut out = String::new();
    gather(value, 0, &|_| true, &mut out);
    out
}

fn is_state(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => is_word(text),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn is_address(text: &str) -> bool {
    let is_one = ["https://", "http://", "data:"].iter().any(|scheme| text.starts_with(scheme));
    is_one && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn said(members: serde_json::Map<String, Value>) -> BTreeMap<String, Value> {
    members.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

fn members(object: &RawValue) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(object.get()).unwrap_or_default()
}

/// A value that no reader of ours takes counts as its letters.
fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::from(raw.get()))
}

fn gather(value: &Value, depth: usize, takes: &dyn Fn(&str) -> bool, out: &mut String) {
    if depth >= DEPTH_MAX || out.len() >= TEXT_BYTES_MAX {
        return;
    }
    match value {
        Value::String(text) if takes(text) => {
            out.push_str(text);
            out.push_str("\n\n");
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, depth + 1, takes, out)),
        Value::Object(members) => {
            for (key, item) in members {
                out.push_str(key);
                out.push_str("\n\n");
                gather(item, depth + 1, takes, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(result: &str) -> Vec<String> {
        let raw = RawValue::from_string(result.to_owned()).unwrap_or_default();
        Greeting::of_result(&raw).said().map(|said| format!("{said}: {}", said.value)).collect()
    }

    #[test]
    fn everything_that_has_no_name_of_its_own_is_kept() {
        let handshake = r#"{"protocolVersion":"2025-11-25","capabilities":{},"instructions":"Be kind.",
            "serverInfo":{"name":"n","title":null,"version":"1","description":"D","icons":[{"src":"x"}],"websiteUrl":null},
            "_meta":{"example.com/x":1},"motd":"Hello","none":null}"#;
        let expected = [
            r#"serverInfo.description: "D""#,
            r#"serverInfo.icons: [{"src":"x"}]"#,
            "_meta.example.com/x: 1",
            r#"motd: "Hello""#,
        ];
        assert_eq!(places(handshake), expected);
        let stateless = r#"{"supportedVersions":["2026-07-28"],"resultType":"complete","ttlMs":0,"cacheScope":"private",
            "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n","version":"1","description":"D"}}}"#;
        assert_eq!(places(stateless), [r#"serverInfo.description: "D""#]);
        assert_eq!(places(r#"{"serverInfo":"x"}"#), [r#"serverInfo: "x""#]);
        assert_eq!(places(r#"{"serverInfo":{"name":["x"]}}"#), [r#"serverInfo.name: ["x"]"#]);
        assert_eq!(places(r#"{"cacheScope":"a sentence"}"#), [r#"cacheScope: "a sentence""#]);
        assert_eq!(places("[1]").len(), 0);
        let twice = r#"{"serverInfo":{"name":"m"},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n"}}}"#;
        assert_eq!(places(twice), [r#"serverInfo: {"name":"m"}"#]);
        assert_eq!(places(r#"{"huge":1e999}"#), [r#"huge: "1e999""#]);
    }

    #[test]
    fn addresses_of_pages_and_pictures_are_no_texts() {
        let text = |key, value: Value| Said { part: GreetingPart::ServerInfo, key, value: &value }.text();
        assert_eq!(text("websiteUrl", Value::from("https://a.example/x")), "");
        assert_eq!(text("websiteUrl", Value::from("https://a.example and more")), "https://a.example and more\n\n");
        assert_eq!(text("icons", serde_json::json!([{"src": "data:image/png;base64,AAAA"}])), "src\n\n");
        assert_eq!(text("description", Value::from("https://a.example/x")), "https://a.example/x\n\n");
        assert_eq!(text("a sentence", Value::Bool(true)), "a sentence\n\n");
    }

    #[test]
    fn numbers_and_the_state_of_an_answer_say_nothing() {
        assert!(says_nothing("ttlMs", &Value::from(5)) && says_nothing("cacheScope", &Value::from("public")));
        assert!(!says_nothing("cacheScope", &Value::from("a b")) && !says_nothing("motd", &Value::from("hello")));
        assert!(says_nothing("count", &Value::from(5)) && !says_nothing("a sentence", &Value::from(5)));
    }
}
