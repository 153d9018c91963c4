//! The tools of a list, taken one at a time: what is odd becomes a note, and one bad tool hides no other.

use super::pages::Repeated;
use crate::model::{Note, ToolDefinition, ToolName};
use crate::text::excerpt;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Tools named in one note.
const NAMED_MAX: usize = 5;

/// The tools of all pages so far.
#[derive(Debug, Default)]
pub(super) struct Tools {
    tools: Vec<ToolDefinition>,
    oddities: BTreeMap<Oddity, Odd>,
}

#[derive(Debug, Default)]
struct Odd {
    count: usize,
    named: Vec<String>,
}

/// What can be odd about a tool without making the list useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Oddity {
    Malformed,
    Duplicate,
    CaseTwin,
    OddName,
    NoSchema,
    BrokenSchema,
    HintNotBoolean,
    ForeignReference,
}

impl Tools {
    /// Takes the entries of one page.
    pub fn take(&mut self, entries: &[&RawValue], repeated: Repeated) {
        // A page that the server gave a second time adds nothing, and must not make every tool a duplicate.
        let known: BTreeSet<String> = match repeated {
            Repeated::No => BTreeSet::new(),
            Repeated::Perhaps => self.tools.iter().map(|tool| tool.raw.get().to_owned()).collect(),
        };
        for entry in entries.iter().filter(|entry| !known.contains(entry.get())) {
            self.take_tool(entry);
        }
    }

    /// Tools so far.
    pub fn count(&self) -> usize {
        self.tools.len()
    }

    /// Entries so far that are no tools.
    pub fn unreadable(&self) -> usize {
        self.oddities.get(&Oddity::Malformed).map_or(0, |odd| odd.count)
    }

    /// The tools in the order received, and what was odd about them.
    pub fn finish(mut self) -> (Vec<ToolDefinition>, Vec<Note>) {
        self.compare_names();
        let notes = self.oddities.iter().map(|(oddity, odd)| oddity.note(odd)).collect();
        (self.tools, notes)
    }

    fn take_tool(&mut self, raw: &RawValue) {
        match ToolDefinition::parse(raw) {
            Ok(tool) => {
                self.look_at(&tool);
                self.tools.push(tool);
            }
            Err(problem) => {
                let position = self.tools.len() + self.oddities.get(&Oddity::Malformed).map_or(0, |odd| odd.count) + 1;
                self.note(Oddity::Malformed, &format!("entry {position} is {problem}"));
            }
        }
    }

    fn look_at(&mut self, tool: &ToolDefinition) {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Parts {
            input_schema: Option<Value>,
            annotations: Option<Value>,
        }
        let parts: Parts = serde_json::from_str(tool.raw.get()).unwrap_or_default();
        let name = tool.name.as_str();
        if !is_plain(&tool.name) {
            self.note(Oddity::OddName, name);
        }
        match &parts.input_schema {
            None => self.note(Oddity::NoSchema, name),
            Some(Value::Object(schema))
                if matches!(schema.get("type"), None | Some(Value::String(_) | Value::Array(_))) => {}
            Some(_) => self.note(Oddity::BrokenSchema, name),
        }
        if parts.input_schema.as_ref().is_some_and(|schema| refers_elsewhere(schema, 0)) {
            self.note(Oddity::ForeignReference, name);
        }
        let hints = parts.annotations.as_ref().and_then(Value::as_object);
        let is_odd_hint =
            |(key, value): (&String, &Value)| key.ends_with("Hint") && !value.is_boolean() && !value.is_null();
        if parts.annotations.as_ref().is_some_and(|value| !value.is_object() && !value.is_null())
            || hints.is_some_and(|hints| hints.iter().any(is_odd_hint))
        {
            self.note(Oddity::HintNotBoolean, name);
        }
    }

    fn compare_names(&mut self) {
        let mut exact: BTreeMap<&str, usize> = BTreeMap::new();
        let mut folded: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for tool in &self.tools {
            *exact.entry(tool.name.as_str()).or_default() += 1;
            folded.entry(tool.name.as_str().to_lowercase()).or_default().insert(tool.name.as_str());
        }
        let twice: Vec<String> =
            exact.iter().filter(|(_, count)| **count > 1).map(|(name, _)| (*name).to_owned()).collect();
        let twins: Vec<String> =
            folded.values().filter(|names| names.len() > 1).flatten().map(|name| (*name).to_owned()).collect();
        twice.iter().for_each(|name| self.note(Oddity::Duplicate, name));
        twins.iter().for_each(|name| self.note(Oddity::CaseTwin, name));
    }

    fn note(&mut self, oddity: Oddity, what: &str) {
        let odd = self.oddities.entry(oddity).or_default();
        odd.count += 1;
        if odd.named.len() < NAMED_MAX {
            odd.named.push(excerpt(what, 80));
        }
    }
}

impl Oddity {
    fn note(self, odd: &Odd) -> Note {
        let (code, one, many) = match self {
            Self::Malformed => ("malformed_tool", "entry of the list is no tool", "entries of the list are no tools"),
            Self::Duplicate => {
                ("duplicate_tool", "tool name is listed more than once", "tool names are listed more than once")
            }
            Self::CaseTwin => {
                ("case_twins", "tool name differs from another in case only", "tool names differ in case only")
            }
            Self::OddName => ("odd_name", "tool name that many clients refuse", "tool names that many clients refuse"),
            Self::NoSchema => ("missing_schema", "tool has no input schema", "tools have no input schema"),
            Self::BrokenSchema => (
                "broken_schema",
                "tool has an input schema that is no JSON Schema",
                "tools have input schemas that are no JSON Schemas",
            ),
            Self::HintNotBoolean => {
                ("odd_annotation", "tool has annotations of a wrong type", "tools have annotations of a wrong type")
            }
            Self::ForeignReference => (
                "foreign_reference",
                "tool's schema refers to another document, which was not fetched",
                "tools' schemas refer to other documents, which were not fetched",
            ),
        };
        let words = if odd.count == 1 { one } else { many };
        let more = if odd.count > odd.named.len() { ", …" } else { "" };
        let named: Vec<String> = odd.named.iter().map(|name| format!("`{name}`")).collect();
        Note { code: code.to_owned(), message: format!("{} {words}: {}{more}", odd.count, named.join(", ")) }
    }
}

/// `[A-Za-z0-9_-]{1,64}`: what every client and model provider takes.
fn is_plain(name: &ToolName) -> bool {
    let name = name.as_str();
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn refers_elsewhere(schema: &Value, depth: usize) -> bool {
    const DEPTH_MAX: usize = 32;
    if depth > DEPTH_MAX {
        return false;
    }
    match schema {
        Value::Object(members) => members.iter().any(|(key, value)| match value {
            Value::String(target) if key == "$ref" => !target.starts_with('#'),
            other => refers_elsewhere(other, depth + 1),
        }),
        Value::Array(items) => items.iter().any(|item| refers_elsewhere(item, depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn collected(tools: &[Value], repeated: Repeated) -> Tools {
        let raw: Vec<_> =
            tools.iter().map(|tool| RawValue::from_string(tool.to_string()).unwrap_or_default()).collect();
        let mut collected = Tools::default();
        collected.take(&raw.iter().map(AsRef::as_ref).collect::<Vec<_>>(), Repeated::No);
        if repeated == Repeated::Perhaps {
            collected.take(&raw.iter().map(AsRef::as_ref).collect::<Vec<_>>(), repeated);
        }
        collected
    }

    fn codes(tools: &[Value]) -> Vec<String> {
        collected(tools, Repeated::No).finish().1.into_iter().map(|note| note.code).collect()
    }

    #[test]
    fn what_is_odd_about_a_tool_is_noted_and_hides_no_other() {
        let schema = json!({"type": "object"});
        for (tool, expected) in [
            (json!({"name": "a", "inputSchema": schema}), ""),
            (json!({"name": "a"}), "missing_schema"),
            (json!({"name": "a", "inputSchema": {}}), ""),
            (json!({"name": "a", "inputSchema": "x"}), "broken_schema"),
            (json!({"name": "a", "inputSchema": {"type": 5}}), "broken_schema"),
            (json!({"name": "a", "inputSchema": {"$ref": "https://x.example/s"}}), "foreign_reference"),
            (json!({"name": "a", "inputSchema": {"$ref": "#/$defs/a"}}), ""),
            (json!({"name": "a", "inputSchema": schema, "annotations": {"readOnlyHint": "yes"}}), "odd_annotation"),
            (json!({"name": "a", "inputSchema": schema, "annotations": []}), "odd_annotation"),
            (json!({"name": "two words", "inputSchema": schema}), "odd_name"),
            (json!({"name": "a".repeat(64), "inputSchema": schema}), ""),
            (json!({"name": "a".repeat(65), "inputSchema": schema}), "odd_name"),
            (json!({"name": "b", "inputSchema": schema}), "duplicate_tool"),
            (json!({"name": "B", "inputSchema": schema}), "case_twins"),
            (json!({"title": "nameless"}), "malformed_tool"),
            (json!("a"), "malformed_tool"),
        ] {
            let got = codes(&[tool.clone(), json!({"name": "b", "inputSchema": schema})]);
            assert_eq!(got.join(" "), expected, "{tool}");
        }
    }

    #[test]
    fn a_note_counts_and_names_the_first() {
        let tools: Vec<_> = (0..7).map(|n| json!({"name": format!("t{n}")})).collect();
        let (_, notes) = collected(&tools, Repeated::No).finish();
        assert_eq!(notes[0].message, "7 tools have no input schema: `t0`, `t1`, `t2`, `t3`, `t4`, …");
    }

    #[test]
    fn what_comes_a_second_time_to_the_letter_is_taken_once() {
        let tools = [json!({"name": "a", "inputSchema": {}}), json!({"name": "b", "inputSchema": {}})];
        let (found, notes) = collected(&tools, Repeated::Perhaps).finish();
        assert_eq!((found.len(), notes.len()), (2, 0));
    }
}
