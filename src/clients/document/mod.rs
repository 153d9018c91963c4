//! A configuration file as a tree with places, whether it was JSON, JSON with comments, TOML or YAML.

mod yaml;

use crate::problem::{Place, Problem};
use jsonc_parser::ast::Value as JsonValue;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use std::ops::Range;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// The bytes of the value in the file. Of a TOML table with a header, those of the header.
    pub range: Range<usize>,
    /// The bytes of the name in front of it, quotes included; empty for what is no member.
    pub name: Range<usize>,
    /// It stands elsewhere in the file and is only referred to from here (YAML aliases): it cannot be changed here.
    pub borrowed: bool,
    pub value: Value,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// JSON, with comments and trailing commas as editors write them.
    Json,
    Toml,
    Yaml,
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
    fn new(range: Range<usize>, value: Value) -> Self {
        Self { range, name: 0..0, borrowed: false, value }
    }

    fn named(mut self, name: Range<usize>) -> Self {
        self.name = name;
        self
    }

    /// The byte where it begins.
    pub fn offset(&self) -> usize {
        self.range.start
    }

    /// What stands at a path of names, and of positions in lists.
    pub fn at<S: AsRef<str>>(&self, path: impl IntoIterator<Item = S>) -> Option<&Node> {
        path.into_iter().try_fold(self, |node, name| match &node.value {
            Value::Array(items) => items.get(name.as_ref().parse::<usize>().ok()?),
            _ => node.get(name.as_ref()),
        })
    }

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

/// How a file is written, going by its name and then by its content: a brace means JSON, anything else TOML.
pub(super) fn syntax_of(file: &str, text: &str) -> Syntax {
    let extension = Path::new(file).extension().map(|it| it.to_string_lossy().to_lowercase()).unwrap_or_default();
    if matches!(extension.as_str(), "yaml" | "yml") {
        Syntax::Yaml
    } else if is_json(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        Syntax::Json
    } else {
        Syntax::Toml
    }
}

/// Reads a file as [`syntax_of`] says.
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
    let syntax = syntax_of(file, text);
    if syntax == Syntax::Yaml {
        let root = yaml::parse(body, cut).map_err(|(offset, message)| problem(offset, lower(&message)))?;
        return root.ok_or_else(|| problem(0, "the file is empty".to_owned()));
    }
    if syntax == Syntax::Json {
        let parsed = parse_to_ast(body, &CollectOptions::default(), &json_options());
        let parsed = parsed.map_err(|error| problem(error.range().start, lower(&error.kind().to_string())))?;
        let root = parsed.value.ok_or_else(|| problem(0, "the file is empty".to_owned()))?;
        return Ok(from_json(root, cut));
    }
    let table = DeTable::parse(body)
        .map_err(|error| problem(error.span().map_or(0, |span| span.start), lower(error.message())))?;
    let range = moved(table.span(), cut);
    Ok(Node::new(range, from_table(table.into_inner(), cut)))
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
    let range = value.range().start + cut..value.range().end + cut;
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
                .map(|member| {
                    let name = member.name.range().start + cut..member.name.range().end + cut;
                    (member.name.into_string(), from_json(member.value, cut).named(name))
                })
                .collect(),
        ),
    };
    Node::new(range, value)
}

fn moved(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

fn from_table(table: DeTable<'_>, cut: usize) -> Value {
    let mut members: Vec<_> = table
        .into_iter()
        .map(|(name, value)| {
            let (range, written) = (moved(value.span(), cut), moved(name.span(), cut));
            (name.into_inner().into_owned(), Node::new(range, from_toml(value.into_inner(), cut)).named(written))
        })
        .collect();
    members.sort_by_key(|(_, node)| node.range.start);
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
                .map(|item| Node::new(moved(item.span(), cut), from_toml(item.into_inner(), cut)))
                .collect(),
        ),
        DeValue::Table(table) => from_table(table, cut),
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}
