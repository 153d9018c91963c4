//! Where a value stands in a JSON text, so that a finding can point at a line.

use super::drift::Anchor;
use crate::model::ExtraKind;
use serde_json::value::RawValue;
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

/// The byte at which the part of a server's entry begins that a finding is about.
pub fn in_entry(entry: &str, anchor: &Anchor) -> usize {
    let found = match anchor {
        Anchor::Server | Anchor::Policy(_) => inside(entry, "server"),
        Anchor::Source => inside(entry, "source"),
        Anchor::Instructions => inside(entry, "instructions").or_else(|| inside(entry, "server")),
        Anchor::Greeting => ["greeting", "server_info", "server"].into_iter().find_map(|member| inside(entry, member)),
        Anchor::Extra { kind, key } => extra_of(entry, *kind, key).or_else(|| inside(entry, "server")),
        Anchor::Tool { tool, part } => tool_of(entry, tool).map(|found| {
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
    found.map_or(0, |found| offset(entry, found))
}

fn tool_of<'a>(entry: &'a str, name: &str) -> Option<&'a str> {
    let tools: Vec<&RawValue> = serde_json::from_str(inside(entry, "tools")?).ok()?;
    let named = |tool: &&RawValue| {
        let text = inside(tool.get(), "name").unwrap_or_default();
        serde_json::from_str::<String>(text).is_ok_and(|found| found == name)
    };
    tools.into_iter().find(named).map(RawValue::get)
}

fn extra_of<'a>(entry: &'a str, kind: ExtraKind, key: &str) -> Option<&'a str> {
    let member = match kind {
        ExtraKind::Prompt => "prompts",
        ExtraKind::Resource => "resources",
        ExtraKind::Template => "resource_templates",
    };
    let listed: Vec<&RawValue> = serde_json::from_str(inside(entry, member)?).ok()?;
    let found = listed.into_iter().map(RawValue::get).filter_map(|definition| inside(definition, kind.key()));
    found.into_iter().find(|text| serde_json::from_str::<String>(text).is_ok_and(|found| found == key))
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
        let at = |part| &entry[in_entry(entry, &Anchor::tool("b", part))..];
        assert!(at("definition/title").starts_with("\"T\""));
        assert!(at("definition/description").starts_with("{\"title\""));
        assert!(at("category").starts_with("\"b\""));
        assert_eq!(in_entry(entry, &Anchor::tool("gone", "name")), 0);
        let entry = "{\"server\": \"s\", \"resources\": [{\"uri\": \"x:1\"}, {\"name\": \"n\", \"uri\": \"x:2\"}]}";
        let anchor = Anchor::Extra { kind: ExtraKind::Resource, key: "x:2".to_owned() };
        assert!(entry[in_entry(entry, &anchor)..].starts_with("\"x:2\""));
    }
}
