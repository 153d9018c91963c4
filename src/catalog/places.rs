//! Where a value stands in a JSON text, so that a finding can point at a line.

use super::drift::Anchor;
use crate::model::ExtraKind;
use serde_json::value::RawValue;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// Deepest pointer that is followed.
const STEPS_MAX: usize = 64;

/// The byte at which the value of a JSON Pointer begins; where it ends early, that of the last value on the way.
pub fn of_pointer(text: &str, pointer: &str) -> usize {
    let steps = pointer.split('/').skip(1).take(STEPS_MAX);
    let unescaped = steps.map(|step| step.replace("~1", "/").replace("~0", "~"));
    let mut at = text;
    for step in unescaped {
        match inside(at, &step) {
            Some(next) => at = next,
            None => break,
        }
    }
    offset(text, at)
}

/// The value of a JSON Pointer, as a part of `text`; `None` where there is none.
pub fn value<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
    let steps = pointer.split('/').skip(1).take(STEPS_MAX);
    steps.map(|step| step.replace("~1", "/").replace("~0", "~")).try_fold(text, |at, step| inside(at, &step))
}

/// The byte at which a part of `text` begins.
pub fn offset_of(text: &str, part: &str) -> usize {
    offset(text, part)
}

/// A server's entry in which findings are placed: read once, however many they are.
pub struct EntryText<'a> {
    text: &'a str,
    members: BTreeMap<String, &'a RawValue>,
    /// The tools by name, of several with one name the first; read where one is asked for.
    tools: OnceCell<BTreeMap<String, &'a str>>,
}

impl<'a> EntryText<'a> {
    /// The entry with this text.
    pub fn new(text: &'a str) -> Self {
        Self { text, members: serde_json::from_str(text).unwrap_or_default(), tools: OnceCell::new() }
    }

    /// The byte at which the part begins that a finding is about.
    pub fn place(&self, anchor: &Anchor) -> usize {
        let server = || self.member("server");
        let found = match anchor {
            Anchor::Server | Anchor::Policy(_) => server(),
            Anchor::Source => self.member("source"),
            Anchor::Instructions => self.member("instructions").or_else(server),
            Anchor::Greeting => self.member("greeting").or_else(|| self.member("server_info")).or_else(server),
            Anchor::Extra { kind, key } => self.extra(*kind, key).or_else(server),
            Anchor::Tool { tool, part } => self.tool(tool).map(|found| {
                let mut at = inside(found, "name").unwrap_or(found);
                let mut inner = found;
                for step in part.split('/') {
                    match inside(inner, step) {
                        Some(next) => (inner, at) = (next, next),
                        None => break,
                    }
                }
                at
            }),
        };
        found.map_or(0, |found| offset(self.text, found))
    }

    fn member(&self, name: &str) -> Option<&'a str> {
        self.members.get(name).map(|value| value.get())
    }

    fn tool(&self, name: &str) -> Option<&'a str> {
        let by_name = self.tools.get_or_init(|| {
            let tools: Vec<&'a RawValue> =
                self.member("tools").and_then(|tools| serde_json::from_str(tools).ok()).unwrap_or_default();
            let mut by_name = BTreeMap::new();
            for tool in tools {
                let named = inside(tool.get(), "name").and_then(|name| serde_json::from_str(name).ok());
                if let Some(name) = named {
                    by_name.entry(name).or_insert(tool.get());
                }
            }
            by_name
        });
        by_name.get(name).copied()
    }

    fn extra(&self, kind: ExtraKind, key: &str) -> Option<&'a str> {
        let member = match kind {
            ExtraKind::Prompt => "prompts",
            ExtraKind::Resource => "resources",
            ExtraKind::Template => "resource_templates",
        };
        let listed: Vec<&'a RawValue> = serde_json::from_str(self.member(member)?).ok()?;
        let found = listed.into_iter().map(RawValue::get).filter_map(|definition| inside(definition, kind.key()));
        found.into_iter().find(|text| serde_json::from_str::<String>(text).is_ok_and(|found| found == key))
    }
}

/// A member of an object or an element of an array, as a part of the same text.
fn inside<'a>(text: &'a str, step: &str) -> Option<&'a str> {
    let found: &'a RawValue = match text.trim_start().as_bytes().first()? {
        b'{' => serde_json::from_str::<BTreeMap<String, &RawValue>>(text).ok()?.remove(step)?,
        b'[' => serde_json::from_str::<Vec<&RawValue>>(text).ok()?.get(step.parse::<usize>().ok()?).copied()?,
        _ => return None,
    };
    Some(found.get())
}

/// Both are parts of one text, so the distance of their addresses is an offset in it.
fn offset(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_lead_to_values() {
        let text = "{\n \"tools\": {\"a/b\": {\"limits\": [ {}, {\"max\": 5} ]}}\n}";
        let at = |pointer| &text[of_pointer(text, pointer)..];
        assert!(at("/tools/a~1b/limits/1/max").starts_with("5"));
        assert!(at("/tools/gone").starts_with("{\"a/b\""), "the nearest value above");
        assert!(at("").starts_with("{\n"));
    }

    #[test]
    fn entries_are_searched_by_tool() {
        let entry = "{\"server\": \"s\", \"tools\": [{\"name\": \"a\"}, {\"name\": \"b\", \"definition\": {\"title\": \"T\"}}]}";
        let at = |part| &entry[EntryText::new(entry).place(&Anchor::tool("b", part))..];
        assert!(at("definition/title").starts_with("\"T\""));
        assert!(at("definition/description").starts_with("{\"title\""));
        assert!(at("category").starts_with("\"b\""));
        assert_eq!(EntryText::new(entry).place(&Anchor::tool("gone", "name")), 0);
        let entry = "{\"server\": \"s\", \"resources\": [{\"uri\": \"x:1\"}, {\"name\": \"n\", \"uri\": \"x:2\"}]}";
        let anchor = Anchor::Extra { kind: ExtraKind::Resource, key: "x:2".to_owned() };
        assert!(entry[EntryText::new(entry).place(&anchor)..].starts_with("\"x:2\""));
        let entry = "{\"server\": \"s\", \"server_info\": {\"name\": \"n\"}, \"greeting\": {\"meta\": {}}}";
        assert!(entry[EntryText::new(entry).place(&Anchor::Greeting)..].starts_with("{\"meta\""));
    }
}
