//! The pages of `tools/list`, taken one tool at a time: what is odd becomes a note, and one bad tool hides no other.

use super::error::ConnectError;
use crate::model::{Note, ToolDefinition, ToolName};
use crate::text::excerpt;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// Most pages asked for.
pub const PAGES_MAX: usize = 1000;
/// Most tools taken from one server. The largest server known has fewer than a thousand.
pub const TOOLS_MAX: usize = 20_000;
/// Most bytes of all pages together.
pub const LISTING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest cursor, in bytes.
pub const CURSOR_BYTES_MAX: usize = 64 * 1024;
/// Tools named in one note.
const NAMED_MAX: usize = 5;

/// The tools of all pages so far.
#[derive(Debug, Default)]
pub struct ToolPages {
    tools: Vec<ToolDefinition>,
    bytes: usize,
    pages: usize,
    cursors: BTreeSet<String>,
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
    OddCursor,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePage<'a> {
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    next_cursor: Option<Value>,
    #[serde(default)]
    result_type: Option<Value>,
}

impl ToolPages {
    /// Takes the `result` of one `tools/list`; gives back the cursor of the next page, if there is one.
    ///
    /// # Errors
    /// The result is no list, or the list does not end.
    pub fn take(&mut self, result: &RawValue) -> Result<Option<String>, ConnectError> {
        let invalid = |detail: String| ConnectError::InvalidAnswer {
            method: "tools/list",
            detail,
            quote: result.get().chars().take(512).collect(),
        };
        let page: WirePage<'_> = serde_json::from_str(result.get()).map_err(|error| invalid(error.to_string()))?;
        // From 2026-07-28 on a result may be a question instead.
        if page.result_type.as_ref().is_some_and(|kind| kind != "complete") {
            return Err(invalid("the server wants more input before it lists its tools".to_owned()));
        }
        let tools = page.tools.ok_or_else(|| invalid("no `tools`".to_owned()))?;
        self.pages += 1;
        self.bytes += result.get().len();
        let endless = |why: String| Err(ConnectError::EndlessList { why });
        if self.bytes > LISTING_BYTES_MAX {
            return endless(format!("more than {} MiB", LISTING_BYTES_MAX / (1024 * 1024)));
        }
        if self.tools.len() + tools.len() > TOOLS_MAX {
            return endless(format!("more than {TOOLS_MAX} tools"));
        }
        for tool in tools {
            self.take_tool(tool);
        }
        let cursor = match page.next_cursor {
            None => return Ok(None),
            // An empty cursor is how some servers say that there is none.
            Some(Value::String(cursor)) if cursor.is_empty() => return Ok(None),
            Some(Value::String(cursor)) => cursor,
            Some(other) => {
                self.note(Oddity::OddCursor, &other.to_string());
                return Ok(None);
            }
        };
        if cursor.len() > CURSOR_BYTES_MAX {
            return endless(format!("a cursor of more than {} KiB", CURSOR_BYTES_MAX / 1024));
        }
        if self.pages >= PAGES_MAX {
            return endless(format!("more than {PAGES_MAX} pages"));
        }
        if !self.cursors.insert(cursor.clone()) {
            return endless(format!("cursor `{}` came a second time", excerpt(&cursor, 40)));
        }
        Ok(Some(cursor))
    }

    /// Tools and pages so far.
    pub fn counts(&self) -> (usize, usize) {
        (self.tools.len(), self.pages)
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
            Self::OddCursor => {
                ("odd_cursor", "cursor is no string; the list may go on", "cursors are no strings; the list may go on")
            }
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

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).unwrap_or_default()
    }

    fn codes(tools: &Value) -> Vec<String> {
        let mut pages = ToolPages::default();
        assert!(matches!(pages.take(&raw(&json!({ "tools": tools }))), Ok(None)));
        pages.finish().1.into_iter().map(|note| note.code).collect()
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
            let got = codes(&json!([tool, {"name": "b", "inputSchema": schema}]));
            assert_eq!(got.join(" "), expected, "{tool}");
        }
    }

    #[test]
    fn a_note_counts_and_names_the_first() {
        let mut pages = ToolPages::default();
        let tools: Vec<_> = (0..7).map(|n| json!({"name": format!("t{n}")})).collect();
        assert!(pages.take(&raw(&json!({ "tools": tools }))).is_ok());
        let (_, notes) = pages.finish();
        assert_eq!(notes[0].message, "7 tools have no input schema: `t0`, `t1`, `t2`, `t3`, `t4`, …");
    }

    #[test]
    fn pages_follow_cursors_until_one_is_missing_or_empty() {
        let mut pages = ToolPages::default();
        let mut take = |cursor: Value| pages.take(&raw(&json!({"tools": [], "nextCursor": cursor}))).ok();
        assert_eq!(take(json!("a")), Some(Some("a".to_owned())));
        assert_eq!(take(json!("")), Some(None));
        assert_eq!(take(json!(null)), Some(None));
        assert_eq!(take(json!(5)), Some(None));
        assert_eq!(take(json!("a")), None);
    }

    #[test]
    fn the_list_ends_at_its_bounds() {
        let why = |pages: &mut ToolPages, page: &Value| match pages.take(&raw(page)) {
            Err(ConnectError::EndlessList { why }) => why,
            other => format!("{other:?}"),
        };
        let mut pages = ToolPages::default();
        for number in 1..PAGES_MAX {
            assert!(pages.take(&raw(&json!({"tools": [], "nextCursor": number.to_string()}))).is_ok());
        }
        assert_eq!(why(&mut pages, &json!({"tools": [], "nextCursor": "more"})), "more than 1000 pages");

        let tools: Vec<_> = (0..TOOLS_MAX).map(|n| json!({"name": format!("t{n}")})).collect();
        let mut pages = ToolPages::default();
        assert!(matches!(pages.take(&raw(&json!({"tools": tools, "nextCursor": "x"}))), Ok(Some(_))));
        assert_eq!(why(&mut pages, &json!({"tools": [{"name": "last"}]})), "more than 20000 tools");
    }

    #[test]
    fn a_result_that_is_no_list_is_an_error() {
        for page in [json!({}), json!({"tools": {}}), json!({"tools": [], "resultType": "input_required"}), json!([])] {
            assert!(
                matches!(ToolPages::default().take(&raw(&page)), Err(ConnectError::InvalidAnswer { .. })),
                "{page}"
            );
        }
        assert!(ToolPages::default().take(&raw(&json!({"tools": [], "resultType": "complete"}))).is_ok());
    }
}
