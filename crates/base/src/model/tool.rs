//! A tool definition: the bytes as received, and the parts of them that rules and policies look at.

use super::ToolName;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Deepest nesting of an input schema that parameters are taken from; what lies deeper is kept but not looked at.
pub const SCHEMA_DEPTH_MAX: usize = 8;
/// Most parameters taken from one input schema.
pub const PARAMETERS_MAX: usize = 1000;

/// One tool as a server declares it (MCP, `Tool`).
#[derive(Clone, Debug)]
pub struct ToolDefinition {
    /// `name`.
    pub name: ToolName,
    /// `title`.
    pub title: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `annotations`: the server's own claims.
    pub annotations: Annotations,
    /// Parameters of `inputSchema`, nested ones by dotted path, in the order of the schema's sorted keys.
    pub parameters: Vec<Parameter>,
    /// Members that the specification does not know and that hold a string, such as `httpMethod`; also from inside annotations.
    pub extensions: BTreeMap<String, String>,
    /// The definition to the letter.
    pub raw: Box<RawValue>,
}

/// `annotations` of a tool (MCP, `ToolAnnotations`). A hint that is absent, or is no boolean, is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// `title`.
    pub title: Option<String>,
    /// `readOnlyHint`.
    pub read_only: Option<bool>,
    /// `destructiveHint`.
    pub destructive: Option<bool>,
    /// `idempotentHint`.
    pub idempotent: Option<bool>,
    /// `openWorldHint`.
    pub open_world: Option<bool>,
}

/// One parameter of an input schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameter {
    /// Dotted path, for example `options.force`; array items are `items[*].id`.
    pub path: String,
    /// The last part of the path without `[*]`.
    pub name: String,
    /// JSON types that the schema admits; empty means any.
    pub types: TypeSet,
    /// Whether the schema that holds it lists it in `required`.
    pub required: bool,
    /// `description`, else `title`.
    pub description: Option<String>,
    /// String values of `enum` or `const`, also from `anyOf`, `oneOf` and array items.
    pub values: Vec<String>,
    /// `format`.
    pub format: Option<String>,
    /// `default`.
    pub default: Option<Value>,
}

/// A set of JSON types.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TypeSet(u8);

impl TypeSet {
    /// `string`
    pub const STRING: Self = Self(1);
    /// `number`, which includes integers
    pub const NUMBER: Self = Self(2);
    /// `integer`
    pub const INTEGER: Self = Self(4);
    /// `boolean`
    pub const BOOLEAN: Self = Self(8);
    /// `array`
    pub const ARRAY: Self = Self(16);
    /// `object`
    pub const OBJECT: Self = Self(32);
    /// `null`
    pub const NULL: Self = Self(64);

    const NAMES: [(Self, &'static str); 7] = [
        (Self::STRING, "string"),
        (Self::NUMBER, "number"),
        (Self::INTEGER, "integer"),
        (Self::BOOLEAN, "boolean"),
        (Self::ARRAY, "array"),
        (Self::OBJECT, "object"),
        (Self::NULL, "null"),
    ];

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any type of `other` is in this set. An empty set (any type) has nothing in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the schema says nothing about the type.
    pub const fn is_any(self) -> bool {
        self.0 == 0
    }

    fn named(name: &str) -> Self {
        Self::NAMES.iter().find(|(_, known)| *known == name).map_or(Self(0), |(set, _)| *set)
    }
}

impl fmt::Debug for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Self::NAMES.iter().filter(|(set, _)| self.has(*set)).map(|(_, name)| *name).collect();
        write!(f, "{}", if names.is_empty() { "any".to_owned() } else { names.join("|") })
    }
}

/// Why an entry of a tool list is not a tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToolProblem {
    /// Not JSON, or numbers beyond what JSON readers agree on.
    #[error("not readable as JSON: {0}")]
    Json(String),
    /// An array, string, number …
    #[error("not an object")]
    NotAnObject,
    /// `name` is missing, empty, or no string.
    #[error("no `name`")]
    NoName,
}

impl ToolDefinition {
    /// Reads one entry of a `tools/list` result. Everything but the name may be missing or of a wrong type: it then
    /// counts as absent, and `raw` still holds it.
    ///
    /// # Errors
    /// The entry is no JSON object or has no name.
    pub fn parse(raw: &RawValue) -> Result<Self, ToolProblem> {
        let value: Value = serde_json::from_str(raw.get()).map_err(|error| ToolProblem::Json(error.to_string()))?;
        let Value::Object(object) = value else { return Err(ToolProblem::NotAnObject) };
        let name = object.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = ToolName::new(name.ok_or(ToolProblem::NoName)?);
        let empty = Map::new();
        let hints = object.get("annotations").and_then(Value::as_object).unwrap_or(&empty);
        let hint = |key: &str| hints.get(key).and_then(Value::as_bool);
        let mut parameters = Vec::new();
        if let Some(schema) = object.get("inputSchema") {
            collect_parameters(schema, schema, "", 0, &mut parameters);
        }
        Ok(Self {
            name,
            title: text_of(&object, "title"),
            description: text_of(&object, "description"),
            annotations: Annotations {
                title: text_of(hints, "title"),
                read_only: hint("readOnlyHint"),
                destructive: hint("destructiveHint"),
                idempotent: hint("idempotentHint"),
                open_world: hint("openWorldHint"),
            },
            parameters,
            extensions: extensions_of(&object, hints),
            raw: raw.to_owned(),
        })
    }

    /// SHA-256 over the canonical form (sorted keys, no white space) of the whole definition.
    pub fn fingerprint(&self) -> Fingerprint {
        let value: Value = serde_json::from_str(self.raw.get()).unwrap_or_default();
        Fingerprint::of(&value)
    }
}

/// SHA-256 of canonical JSON: members sorted by key, no white space, numbers as serde_json prints them (RFC 8785 where
/// the two agree, which is everywhere but in floating-point corner cases).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a value.
    pub fn of(value: &Value) -> Self {
        // serde_json's map is a BTreeMap here, so printing sorts the members. To bytes, and not through a formatter; a
        // value always has a JSON form.
        let digest = Sha256::digest(serde_json::to_vec(value).unwrap_or_default());
        // Half a million tools have seven of these each: digit by digit, not through a formatter.
        let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Self(digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0')).collect())
    }

    /// 64 lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn text_of(object: &Map<String, Value>, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn extensions_of(object: &Map<String, Value>, hints: &Map<String, Value>) -> BTreeMap<String, String> {
    const KNOWN: [&str; 10] = [
        "name",
        "title",
        "description",
        "inputSchema",
        "outputSchema",
        "annotations",
        "icons",
        "_meta",
        "execution",
        "$schema",
    ];
    let outer = object.iter().filter(|(key, _)| !KNOWN.contains(&key.as_str()));
    let inner = hints.iter().filter(|(key, _)| key.as_str() != "title");
    outer.chain(inner).filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Walks `properties`, array items, combinators and local references. A reference to anything but this schema is never followed.
fn collect_parameters(root: &Value, schema: &Value, prefix: &str, depth: usize, out: &mut Vec<Parameter>) {
    if depth >= SCHEMA_DEPTH_MAX {
        return;
    }
    let Some(object) = resolve(root, schema).as_object() else { return };
    if let Some(properties) = object.get("properties").and_then(Value::as_object) {
        let required = object.get("required").and_then(Value::as_array);
        for (name, property) in properties {
            if out.len() >= PARAMETERS_MAX {
                return;
            }
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            // The branches of a union each name the same action with a constant of their own: together they are its values.
            if let Some(known) = out.iter_mut().find(|known| known.path == path) {
                describe(root, property, 0, known);
                continue;
            }
            let mut parameter = Parameter {
                path: path.clone(),
                name: name.clone(),
                required: required.is_some_and(|list| list.iter().any(|item| item.as_str() == Some(name))),
                ..Parameter::default()
            };
            describe(root, property, 0, &mut parameter);
            out.push(parameter);
            collect_parameters(root, property, &path, depth + 1, out);
        }
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        for branch in object.get(key).and_then(Value::as_array).into_iter().flatten() {
            collect_parameters(root, branch, prefix, depth + 1, out);
        }
    }
    // A list of anything, wherever it stands: also in a branch of `anyOf`, as Python servers declare what may be null.
    let listed = object.get("items").into_iter();
    for items in listed.chain(object.get("prefixItems").and_then(Value::as_array).into_iter().flatten()) {
        collect_parameters(root, items, &format!("{prefix}[*]"), depth + 1, out);
    }
}

/// Types, values, format, default and description of one property, through references and combinators.
fn describe(root: &Value, schema: &Value, depth: usize, out: &mut Parameter) {
    if depth >= SCHEMA_DEPTH_MAX {
        return;
    }
    // A `description` beside a `$ref` belongs to the parameter, not to the shared definition.
    if out.description.is_none() {
        out.description = schema.get("description").and_then(Value::as_str).map(str::to_owned);
    }
    let Some(object) = resolve(root, schema).as_object() else { return };
    match object.get("type") {
        Some(Value::String(name)) => out.types = out.types.with(TypeSet::named(name)),
        Some(Value::Array(names)) => {
            out.types = names.iter().filter_map(Value::as_str).fold(out.types, |set, n| set.with(TypeSet::named(n)));
        }
        _ => {}
    }
    let constant = object.get("const").into_iter();
    for value in object.get("enum").and_then(Value::as_array).into_iter().flatten().chain(constant) {
        if let Some(text) = value.as_str()
            && !out.values.iter().any(|known| known == text)
        {
            out.values.push(text.to_owned());
        }
    }
    out.format = out.format.take().or_else(|| text_of(object, "format"));
    if out.default.is_none() {
        out.default = object.get("default").cloned();
    }
    out.description =
        out.description.take().or_else(|| text_of(object, "description")).or_else(|| text_of(object, "title"));
    for key in ["anyOf", "oneOf", "allOf"] {
        for branch in object.get(key).and_then(Value::as_array).into_iter().flatten() {
            describe(root, branch, depth + 1, out);
        }
    }
    if let Some(items) = object.get("items") {
        let mut inner = Parameter { description: Some(String::new()), ..Parameter::default() };
        describe(root, items, depth + 1, &mut inner);
        out.values.extend(inner.values);
    }
}

/// Follows `$ref` inside the same schema, a bounded number of times; anything else stays as it is.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut current = schema;
    for _ in 0..SCHEMA_DEPTH_MAX {
        let Some(target) = current.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#')) else { break };
        match root.pointer(target) {
            Some(next) => current = next,
            None => break,
        }
    }
    current
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: &Value) -> Result<ToolDefinition, ToolProblem> {
        let raw = RawValue::from_string(value.to_string()).map_err(|error| ToolProblem::Json(error.to_string()))?;
        ToolDefinition::parse(&raw)
    }

    #[test]
    fn nested_and_referenced_parameters_are_found() -> Result<(), ToolProblem> {
        let tool = parse(&json!({"name": "t", "inputSchema": {
        "type": "object", "required": ["mode"], "$defs": {"Mode": {"type": "string", "enum": ["get", "delete"]}},
        "properties": {
            "mode": {"$ref": "#/$defs/Mode", "description": "what to do"},
            "items": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": ["string", "null"]}}}}
        }}}))?;
        let paths: Vec<_> = tool.parameters.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["items", "items[*].id", "mode"]);
        let mode = &tool.parameters[2];
        assert_eq!((mode.required, mode.description.as_deref()), (true, Some("what to do")));
        assert_eq!(mode.values, ["get", "delete"]);
        assert!(tool.parameters[1].types.has(TypeSet::NULL));
        Ok(())
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() -> Result<(), ToolProblem> {
        let tool = parse(
            &json!({"name": "t", "inputSchema": {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/properties/b"}}}}),
        )?;
        assert!(tool.parameters.len() < PARAMETERS_MAX);
        Ok(())
    }

    #[test]
    fn wrong_types_count_as_absent() -> Result<(), ToolProblem> {
        let tool = parse(
            &json!({"name": "t", "description": 5, "annotations": {"readOnlyHint": "yes", "httpMethod": "GET"}}),
        )?;
        assert_eq!((tool.description, tool.annotations.read_only), (None, None));
        assert_eq!(tool.extensions.get("httpMethod").map(String::as_str), Some("GET"));
        assert_eq!(parse(&json!({"title": "x"})).err(), Some(ToolProblem::NoName));
        assert_eq!(parse(&json!([])).err(), Some(ToolProblem::NotAnObject));
        Ok(())
    }
}
