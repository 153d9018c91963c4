//! The canonical form of a tool definition, in which the order of what has no order is settled, and the fingerprints of
//! its parts.
//!
//! Servers that build their schemas from sets list them in another order at every start. `required`, `enum`, `type`,
//! the branches of `anyOf`, `oneOf` and `allOf`, and lists inside `default` mean the same in any order (JSON Schema
//! 2020-12, validation, sections 6.1 and 6.5), so they are sorted before anything is compared.

use crate::model::{Fingerprint, ToolDefinition};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// SHA-256 of each part of a definition in canonical form, 64 hexadecimal digits. A part that is absent has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartFingerprints {
    /// `name`.
    pub name: String,
    /// `title`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `description`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `inputSchema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<String>,
    /// `outputSchema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<String>,
    /// `annotations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<String>,
    /// Every other member together: icons, `_meta`, `execution`, members that the specification does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

/// A definition in canonical form, by part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// `name`, as declared.
    pub name: String,
    /// `title`, if it is there and not null.
    pub title: Option<Value>,
    /// `description`, if it is there and not null.
    pub description: Option<Value>,
    /// `inputSchema`, its unordered lists sorted.
    pub input_schema: Option<Value>,
    /// `outputSchema`, its unordered lists sorted.
    pub output_schema: Option<Value>,
    /// `annotations`; an empty object counts as absent.
    pub annotations: Option<Value>,
    /// Every other member.
    pub other: Map<String, Value>,
}

impl Parts {
    /// The parts of a definition.
    pub fn of(tool: &ToolDefinition) -> Self {
        // A definition was readable as JSON when it was parsed.
        Self::of_value(serde_json::from_str(tool.raw.get()).unwrap_or_default())
    }

    /// The parts of a definition that is read already; anything but an object has none.
    pub fn of_value(definition: Value) -> Self {
        let Value::Object(object) = definition else { return Self::default() };
        let mut parts = Self::default();
        for (key, value) in object {
            match key.as_str() {
                _ if value.is_null() => {}
                "name" => parts.name = value.as_str().unwrap_or_default().to_owned(),
                "title" => parts.title = Some(value),
                "description" => parts.description = Some(value),
                "inputSchema" => parts.input_schema = Some(schema(value)),
                "outputSchema" => parts.output_schema = Some(schema(value)),
                "annotations" if value.as_object().is_some_and(Map::is_empty) => {}
                "execution" if value == default_execution() => {}
                "annotations" => parts.annotations = Some(value),
                _ => {
                    parts.other.insert(key, numbers(value));
                }
            }
        }
        parts
    }

    /// The parts as a reader takes them: white space is no word, so a text that is only laid out in another way is the
    /// same. For comparing; what hides in the layout is to be looked for in the parts as they are.
    #[must_use]
    pub fn as_read(mut self) -> Self {
        for text in [&mut self.title, &mut self.description].into_iter().flatten() {
            squeeze(text);
        }
        for schema in [&mut self.input_schema, &mut self.output_schema].into_iter().flatten() {
            texts_as_read(schema);
        }
        self
    }

    /// The fingerprint of each part.
    pub fn fingerprints(&self) -> PartFingerprints {
        let of = |part: &Option<Value>| part.as_ref().map(hash);
        PartFingerprints {
            name: hash(&Value::String(self.name.clone())),
            title: of(&self.title),
            description: of(&self.description),
            input_schema: of(&self.input_schema),
            output_schema: of(&self.output_schema),
            annotations: of(&self.annotations),
            other: (!self.other.is_empty()).then(|| hash(&Value::Object(self.other.clone()))),
        }
    }
}

/// The definition of a prompt, resource or template in canonical form. How large a resource is and when it was changed
/// last is the state of the data, not of what is offered.
pub fn extra(definition: Value) -> Value {
    let Value::Object(object) = definition else { return numbers(definition) };
    let state = |key: &str| matches!(key, "size");
    let members = object.into_iter().filter(|(key, value)| !state(key) && !value.is_null()).map(|(key, mut value)| {
        if key == "annotations"
            && let Some(annotations) = value.as_object_mut()
        {
            annotations.remove("lastModified");
        }
        (key, numbers(value))
    });
    let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    Value::Object(members.filter(|(key, value)| !(key == "annotations" && is_empty(value))).collect())
}

/// The texts of a schema, or of what is offered beside tools, as a reader takes them; see [`Parts::as_read`]. Values that
/// callers hand over stay to the letter.
pub fn texts_as_read(value: &mut Value) {
    let Value::Object(members) = value else { return };
    for (key, value) in members.iter_mut() {
        match (key.as_str(), value) {
            ("title" | "description", text @ Value::String(_)) => squeeze(text),
            ("default" | "const" | "enum" | "examples", _) => {}
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(named),
            ) => {
                named.values_mut().for_each(texts_as_read);
            }
            (_, Value::Array(items)) => items.iter_mut().for_each(texts_as_read),
            (_, value) => texts_as_read(value),
        }
    }
}

fn squeeze(value: &mut Value) {
    if let Value::String(text) = value {
        *text = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    }
}

fn hash(value: &Value) -> String {
    Fingerprint::of(value).as_str().to_owned()
}

/// A JSON Schema with its unordered lists sorted, one-element `type` lists written as a word and `1.0` as `1`.
pub fn schema(value: Value) -> Value {
    let Value::Object(object) = value else { return numbers(value) };
    // Which of the usual dialects a schema names changes nothing about what the same keywords accept.
    let is_said = |key: &str, value: &Value| key == "$schema" && value.as_str().is_some_and(is_usual_dialect);
    let members = object.into_iter().filter(|(key, value)| !is_said(key, value)).map(|(key, value)| {
        let value = match key.as_str() {
            "required" | "enum" => sorted_set(value),
            "type" => match sorted_set(value) {
                Value::Array(mut one) if one.len() == 1 => one.remove(0),
                other => other,
            },
            "anyOf" | "oneOf" | "allOf" => sorted(each(value, schema)),
            "default" | "examples" => unordered(value),
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => members(value, schema),
            "dependentRequired" => members(value, sorted_set),
            "dependencies" => members(value, |it| if it.is_array() { sorted_set(it) } else { schema(it) }),
            "items" | "prefixItems" => each(value, schema),
            "not"
            | "additionalProperties"
            | "additionalItems"
            | "unevaluatedProperties"
            | "unevaluatedItems"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "propertyNames"
            | "contentSchema" => schema(value),
            _ => numbers(value),
        };
        (key, value)
    });
    Value::Object(members.collect())
}

/// What the absence of `execution` means (MCP 2025-11-25, `ToolExecution`).
fn default_execution() -> Value {
    serde_json::json!({"taskSupport": "forbidden"})
}

fn is_usual_dialect(uri: &str) -> bool {
    const DIALECTS: [&str; 4] = [
        "json-schema.org/draft-06/schema",
        "json-schema.org/draft-07/schema",
        "json-schema.org/draft/2019-09/schema",
        "json-schema.org/draft/2020-12/schema",
    ];
    let bare = uri.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('#');
    DIALECTS.contains(&bare)
}

fn each(value: Value, of: impl Fn(Value) -> Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(of).collect()),
        one => of(one),
    }
}

fn members(value: Value, of: impl Fn(Value) -> Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(object.into_iter().map(|(key, value)| (key, of(value))).collect()),
        other => numbers(other),
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            // Keyed by their text: total, and the same on every machine.
            let mut items: Vec<_> = items.into_iter().map(|item| (item.to_string(), item)).collect();
            items.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Array(items.into_iter().map(|(_, item)| item).collect())
        }
        other => other,
    }
}

fn sorted_set(value: Value) -> Value {
    match sorted(numbers(value)) {
        Value::Array(mut items) => {
            items.dedup();
            Value::Array(items)
        }
        other => other,
    }
}

/// A default value: lists are sorted at any depth, and so are the words of a string that joins words with commas,
/// which is how a set ends up in the default of a text parameter.
fn unordered(value: Value) -> Value {
    match value {
        Value::Array(items) => sorted(Value::Array(items.into_iter().map(unordered).collect())),
        Value::Object(object) => {
            Value::Object(object.into_iter().map(|(key, value)| (key, unordered(value))).collect())
        }
        Value::String(text) => Value::String(sorted_words(&text).unwrap_or(text)),
        other => numbers(other),
    }
}

fn sorted_words(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_word = |word: &&str| {
        !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '*' | ':' | '/'))
    };
    if words.len() < 2 || !words.iter().all(is_word) {
        return None;
    }
    // Twice the same word is two words: only the order is settled.
    let mut counted = BTreeMap::<&str, usize>::new();
    for word in words {
        *counted.entry(word).or_default() += 1;
    }
    let words: Vec<&str> = counted.into_iter().flat_map(|(word, times)| std::iter::repeat_n(word, times)).collect();
    Some(words.join(","))
}

/// The value with whole floats written as integers (JSON Schema core, section 4.2.2: `1.0` and `1` are equal).
fn numbers(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(numbers).collect()),
        Value::Object(object) => Value::Object(object.into_iter().map(|(key, value)| (key, numbers(value))).collect()),
        Value::Number(number) => Value::Number(whole(&number).unwrap_or(number)),
        other => other,
    }
}

fn whole(number: &Number) -> Option<Number> {
    /// Largest magnitude up to which every whole float is one integer only: 2^53.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT_MAX)?;
    // Exact by the bound above; printing without a fraction is the one conversion that cannot truncate.
    format!("{float:.0}").parse::<i64>().ok().map(Number::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn same(a: Value, b: Value) {
        assert_eq!(schema(a), schema(b));
    }

    #[track_caller]
    fn different(a: Value, b: Value) {
        assert_ne!(schema(a), schema(b));
    }

    #[test]
    fn order_means_nothing_where_nothing_is_ordered() {
        same(json!({"required": ["b", "a"]}), json!({"required": ["a", "b", "a"]}));
        same(json!({"type": ["string", "null"]}), json!({"type": ["null", "string"]}));
        same(json!({"type": ["string"]}), json!({"type": "string"}));
        same(json!({"properties": {"m": {"enum": [2, 1.0]}}}), json!({"properties": {"m": {"enum": [1, 2]}}}));
        same(
            json!({"anyOf": [{"enum": ["b", "a"]}, {"type": "null"}]}),
            json!({"anyOf": [{"type": "null"}, {"enum": ["a", "b"]}]}),
        );
        same(json!({"default": {"x": ["b", "a"]}}), json!({"default": {"x": ["a", "b"]}}));
        same(json!({"default": "summary,status, labels"}), json!({"default": "labels,summary,status"}));
        same(
            json!({"$defs": {"required": {"enum": ["b", "a"]}}}),
            json!({"$defs": {"required": {"enum": ["a", "b"]}}}),
        );
    }

    #[test]
    fn order_means_something_elsewhere() {
        different(
            json!({"prefixItems": [{"type": "string"}, {"type": "null"}]}),
            json!({"prefixItems": [{"type": "null"}, {"type": "string"}]}),
        );
        different(json!({"const": ["a", "b"]}), json!({"const": ["b", "a"]}));
        different(json!({"default": "b, then a"}), json!({"default": "a, then b"}));
        different(json!({"default": "a,a,b"}), json!({"default": "a,b"}));
        // A parameter that is called `required` or `default` is a parameter.
        different(
            json!({"properties": {"default": {"const": [1, 2]}}}),
            json!({"properties": {"default": {"const": [2, 1]}}}),
        );
        different(json!({"minimum": 1.5}), json!({"minimum": 1}));
    }

    #[test]
    fn the_state_of_a_resource_is_no_part_of_its_definition() {
        let now =
            json!({"uri": "x:1", "size": 5, "annotations": {"lastModified": "2026-01-01T00:00:00Z"}, "title": null});
        assert_eq!(extra(now), extra(json!({"uri": "x:1"})));
        assert_ne!(extra(json!({"uri": "x:1", "annotations": {"priority": 1}})), extra(json!({"uri": "x:1"})));
    }

    #[test]
    fn parts_that_say_nothing_are_absent() {
        let parts = Parts::of_value(
            json!({"name": "t", "title": null, "annotations": {}, "icons": [], "execution": {"taskSupport": "forbidden"}}),
        );
        let prints = parts.fingerprints();
        assert_eq!((prints.title, prints.annotations, prints.description), (None, None, None));
        assert!(prints.other.is_some(), "icons are part of the rest");
    }
}
