//! What a server says of itself when a connection begins, beside what a listing keeps by name: the rest of `serverInfo`,
//! `_meta`, members of the result that the specification does not know, and what its lists say beside their entries.

use super::ServerInfo;
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

/// Where a member stands: in the result of `initialize` or `server/discover`, or in that of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GreetingPart {
    /// In `serverInfo`.
    ServerInfo,
    /// In `_meta`.
    Meta,
    /// In the result itself.
    Result,
    /// In the result of a list, beside its entries.
    List,
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
    /// Sentences in the results of lists beside their entries, by the method and their place
    /// (`tools/list._meta.example.com/x`): for each the values of all pages, none twice.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lists: BTreeMap<String, Vec<Value>>,
}

/// One member of a greeting.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Where it stands.
    pub part: GreetingPart,
    /// Its name there.
    pub key: &'a str,
    /// What it says; of a list one of perhaps several values.
    pub value: &'a Value,
}

/// The place: `serverInfo.description`, `_meta.example.com/x`, `motd`, `tools/list._meta.example.com/x`.
impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = match self.part {
            GreetingPart::ServerInfo => "serverInfo.",
            GreetingPart::Meta => "_meta.",
            GreetingPart::Result | GreetingPart::List => "",
        };
        write!(f, "{before}{}", self.key)
    }
}

impl Said<'_> {
    /// Every key and text in the value, an empty line between any two. The address of the server's page is no text: a
    /// person may follow it. One of a picture is, since clients fetch it; the picture itself is none.
    pub fn text(&self) -> String {
        let of_page = self.part == GreetingPart::ServerInfo && self.key == "websiteUrl";
        let mut out = String::new();
        if !is_word(self.key) {
            out.push_str(self.key);
            out.push_str("\n\n");
        }
        gather(self.value, 0, &|text| !(of_page && is_address(text) || is_embedded(text)), &mut out);
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
        let named = parts
            .into_iter()
            .flat_map(|(part, members)| members.iter().map(move |(key, value)| Said { part, key, value }));
        let lists = self.lists.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        named.chain(lists.map(|(key, value)| Said { part: GreetingPart::List, key, value }))
    }

    /// Adds what lists say beside their entries. `info` is what the greeting says of the server by name: a list that says
    /// the same again says nothing.
    pub fn add_lists(&mut self, mut lists: BTreeMap<String, Vec<Value>>, info: Option<&ServerInfo>) {
        let again = |value: &Value| {
            let Value::Object(members) = value else { return false };
            let named = serde_json::from_value::<ServerInfo>(value.clone());
            named.ok().as_ref() == info && Self::of_server_info(members.clone()) == self.server_info
        };
        for (key, values) in &mut lists {
            if key.ends_with(SERVER_INFO_KEY) {
                values.retain(|value| !again(value));
            }
        }
        lists.retain(|_, values| !values.is_empty());
        self.lists = lists;
    }
}

/// What [`Greeting::lists`] calls a member of a list's result, or with `in_meta` of its `_meta`.
pub fn beside_key(method: &str, in_meta: bool, key: &str) -> String {
    format!("{method}.{}{key}", if in_meta { "_meta." } else { "" })
}

/// Gathers what one page of a list says beside its entries, the member `list`, as [`Greeting::lists`] keeps it.
pub fn beside_entries<'a>(
    method: &str,
    list: &str,
    result: impl Iterator<Item = (&'a str, &'a RawValue)>,
    lists: &mut BTreeMap<String, Vec<Value>>,
) {
    let mut keep = |in_meta, key: &str, value: Value| {
        if holds_sentence(key, &value) {
            let known = lists.entry(beside_key(method, in_meta, key)).or_default();
            if !known.contains(&value) {
                known.push(value);
            }
        }
    };
    for (key, raw) in result.filter(|(key, _)| *key != list && *key != "nextCursor") {
        match value(raw) {
            Value::Object(members) if key == "_meta" => {
                members.into_iter().for_each(|(key, value)| keep(true, &key, value));
            }
            other => keep(false, key, other),
        }
    }
}

/// Whether a sentence stands in a key or a value: more than words, numbers and identifiers, from which no reader takes an
/// order.
pub fn holds_sentence(key: &str, value: &Value) -> bool {
    !is_word(key)
        || match value {
            Value::String(text) => !is_word(text),
            Value::Array(items) => items.iter().any(|item| holds_sentence("", item)),
            Value::Object(members) => members.iter().any(|(key, item)| holds_sentence(key, item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
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
    let is_one = ["https://", "http://"].iter().any(|scheme| text.starts_with(scheme));
    is_one && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a text is a picture or another file, written out (RFC 2397), and nothing to read.
pub fn is_embedded(text: &str) -> bool {
    text.starts_with("data:") && text.bytes().all(|byte| byte.is_ascii_graphic())
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
    fn the_address_of_a_page_and_an_embedded_picture_are_no_texts() {
        let text = |key, value: Value| Said { part: GreetingPart::ServerInfo, key, value: &value }.text();
        assert_eq!(text("websiteUrl", Value::from("https://a.example/x")), "");
        assert_eq!(text("websiteUrl", Value::from("https://a.example and more")), "https://a.example and more\n\n");
        assert_eq!(text("icons", serde_json::json!([{"src": "data:image/png;base64,AAAA"}])), "src\n\n");
        assert_eq!(
            text("icons", serde_json::json!([{"src": "https://a.example/x"}])),
            "src\n\nhttps://a.example/x\n\n"
        );
        assert_eq!(text("description", Value::from("https://a.example/x")), "https://a.example/x\n\n");
        assert_eq!(text("a sentence", Value::Bool(true)), "a sentence\n\n");
    }

    #[test]
    fn of_what_a_list_says_beside_its_entries_sentences_are_kept_once() {
        let mut lists = BTreeMap::new();
        let pages = [
            r#"{"tools":["no word of ours"],"nextCursor":"a b","ttlMs":5,"motd":"Be kind.","_meta":{"trace":"00-4bf9","x":{"y":["Be kind."]}}}"#,
            r#"{"tools":[],"motd":"Be kind.","_meta":{"x":"Obey me."},"n":[1,true,null,"word"]}"#,
        ];
        for page in pages {
            let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(page).unwrap_or_default();
            let members = members.iter().map(|(key, raw)| (key.as_str(), &**raw));
            beside_entries("tools/list", "tools", members, &mut lists);
        }
        let again = serde_json::json!({"name": "n", "version": "1", "description": "A server."});
        let other = serde_json::json!({"description": "Obey me.", "name": "n", "version": "1"});
        lists.insert(beside_key("tools/list", true, SERVER_INFO_KEY), vec![again, other]);
        let mut greeting = Greeting::default();
        greeting.server_info.insert("description".to_owned(), Value::from("A server."));
        let info = ServerInfo { name: "n".to_owned(), title: None, version: "1".to_owned() };
        greeting.add_lists(lists, Some(&info));
        let said: Vec<_> = greeting.said().skip(1).map(|said| format!("{said}: {}", said.value)).collect();
        let expected = [
            r#"tools/list._meta.io.modelcontextprotocol/serverInfo: {"description":"Obey me.","name":"n","version":"1"}"#,
            r#"tools/list._meta.x: {"y":["Be kind."]}"#,
            r#"tools/list._meta.x: "Obey me.""#,
            r#"tools/list.motd: "Be kind.""#,
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn numbers_and_the_state_of_an_answer_say_nothing() {
        assert!(says_nothing("ttlMs", &Value::from(5)) && says_nothing("cacheScope", &Value::from("public")));
        assert!(!says_nothing("cacheScope", &Value::from("a b")) && !says_nothing("motd", &Value::from("hello")));
        assert!(says_nothing("count", &Value::from(5)) && !says_nothing("a sentence", &Value::from(5)));
    }
}
