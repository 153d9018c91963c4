//! A configuration file as a tree with places, whether it was JSON, JSON with comments, or TOML.

use crate::problem::{Place, Problem};
use jsonc_parser::ast::Value as JsonValue;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use toml::de::{DeTable, DeValue};

/// A value and the byte where it begins.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub offset: usize,
    pub value: Value,
}

/// A value of any of the formats.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Text(String),
    /// A number, date or the like, as written.
    Plain(String),
    Bool(bool),
    Null,
}

impl Node {
    /// A member of an object; the last one wins if there are several, as in the clients' own readers.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.members().iter().rev().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// The members of an object; none if it is something else.
    pub fn members(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Object(members) => members,
            Value::Array(_) | Value::Text(_) | Value::Plain(_) | Value::Bool(_) | Value::Null => &[],
        }
    }

    pub fn is_object(&self) -> bool {
        matches!(self.value, Value::Object(_))
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Object(_) | Value::Array(_) | Value::Plain(_) | Value::Bool(_) | Value::Null => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            Value::Object(_) | Value::Array(_) | Value::Text(_) | Value::Plain(_) | Value::Null => None,
        }
    }

    /// The texts of an array; empty if it is something else.
    pub fn texts(&self) -> Vec<&str> {
        match &self.value {
            Value::Array(items) => items.iter().filter_map(Node::as_text).collect(),
            Value::Object(_) | Value::Text(_) | Value::Plain(_) | Value::Bool(_) | Value::Null => Vec::new(),
        }
    }
}

/// Reads a file by its content: a brace means JSON, anything else TOML.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, Problem> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let cut = text.len() - body.len();
    let problem = |offset: usize, message: String| Problem {
        file: file.to_owned(),
        place: Some(Place::of_offset(text, offset + cut)),
        pointer: String::new(),
        message,
        help: None,
    };
    if is_json(body) {
        let parsed = parse_to_ast(body, &CollectOptions::default(), &json_options());
        let parsed = parsed.map_err(|error| problem(error.range().start, lower(&error.kind().to_string())))?;
        let root = parsed.value.ok_or_else(|| problem(0, "the file is empty".to_owned()))?;
        return Ok(from_json(root, cut));
    }
    let table = DeTable::parse(body)
        .map_err(|error| problem(error.span().map_or(0, |span| span.start), lower(error.message())))?;
    let offset = table.span().start + cut;
    Ok(Node { offset, value: from_table(table.into_inner(), cut) })
}

/// JSON begins with a brace or a comment; so may a TOML file, with a `[table]`, but no client writes a JSON array.
fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty() || text.starts_with('{') || text.starts_with("//") || text.starts_with("/*")
}

/// Comments and trailing commas, as the editors write them; not the rest of JSON5, which no client reads.
fn json_options() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn from_json(value: JsonValue<'_>, cut: usize) -> Node {
    let offset = value.range().start + cut;
    let value = match value {
        JsonValue::StringLit(text) => Value::Text(text.value.into_owned()),
        JsonValue::NumberLit(number) => Value::Plain(number.value.to_owned()),
        JsonValue::BooleanLit(boolean) => Value::Bool(boolean.value),
        JsonValue::NullKeyword(_) => Value::Null,
        JsonValue::Array(array) => Value::Array(array.elements.into_iter().map(|item| from_json(item, cut)).collect()),
        JsonValue::Object(object) => Value::Object(
            object
                .properties
                .into_iter()
                .map(|member| (member.name.into_string(), from_json(member.value, cut)))
                .collect(),
        ),
    };
    Node { offset, value }
}

fn from_table(table: DeTable<'_>, cut: usize) -> Value {
    let mut members: Vec<_> = table
        .into_iter()
        .map(|(name, value)| {
            let offset = value.span().start + cut;
            (name.into_inner().into_owned(), Node { offset, value: from_toml(value.into_inner(), cut) })
        })
        .collect();
    members.sort_by_key(|(_, node)| node.offset);
    Value::Object(members)
}

fn from_toml(value: DeValue<'_>, cut: usize) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => Value::Plain(number.as_str().to_owned()),
        DeValue::Float(number) => Value::Plain(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(date) => Value::Plain(date.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| Node { offset: item.span().start + cut, value: from_toml(item.into_inner(), cut) })
                .collect(),
        ),
        DeValue::Table(table) => from_table(table, cut),
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}
