//! What a command prints for machines: one document, which says by which schema it is written, of which mcpol, and by which
//! command. What else stands in it is the command's own.

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

/// Where the schemas are published, each under its file's name.
const PUBLISHED: &str = "https://raw.githubusercontent.com/mcpol/mcpol/main/schemas";

/// A document that a command prints as JSON.
pub trait Document: Serialize + JsonSchema {
    /// What its schema is called: `schemas/NAME.schema.json`.
    const SCHEMA: &'static str;
    /// The command, as it is typed.
    const COMMAND: &'static str;
}

/// What every document begins with.
#[derive(Serialize)]
struct Enveloped<'d, D> {
    schema: String,
    mcpol_version: &'static str,
    command: &'static str,
    #[serde(flatten)]
    document: &'d D,
}

fn enveloped<D: Document>(document: &D) -> Enveloped<'_, D> {
    Enveloped { schema: id_of(D::SCHEMA), mcpol_version: env!("CARGO_PKG_VERSION"), command: D::COMMAND, document }
}

/// A document as it is printed: over several lines, with a line break at the end.
///
/// # Errors
/// Never in practice: documents hold nothing that JSON cannot say.
pub fn document_json<D: Document>(document: &D) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&enveloped(document))? + "\n")
}

/// A document on one line, with a line break at its end: for commands that print one after the other.
///
/// # Errors
/// As [`document_json`].
pub fn document_line<D: Document>(document: &D) -> serde_json::Result<String> {
    Ok(serde_json::to_string(&enveloped(document))? + "\n")
}

/// The `$id` of a schema.
fn id_of(name: &str) -> String {
    format!("{PUBLISHED}/{name}.schema.json")
}

/// JSON Schema (2020-12) of a document with what it begins with.
pub(super) fn document_schema<D: Document>() -> String {
    let mut schema = generated::<D>();
    let first = [
        ("schema", json!({"const": id_of(D::SCHEMA), "description": "The schema that the document is written by."})),
        ("mcpol_version", json!({"type": "string", "description": "The version of mcpol that wrote it."})),
        ("command", json!({"const": D::COMMAND, "description": "The command that wrote it."})),
    ];
    for (name, property) in first {
        schema.ensure_object().entry("properties").or_insert(json!({}))[name] = property;
        if let Some(required) = schema.ensure_object().entry("required").or_insert(json!([])).as_array_mut() {
            required.push(name.into());
        }
    }
    with_id(schema, D::SCHEMA)
}

/// JSON Schema (2020-12) of what a file or a line holds.
pub(super) fn file_schema<T: JsonSchema>(name: &str) -> String {
    with_id(generated::<T>(), name)
}

fn generated<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// The text of a schema with its `$id`.
fn with_id(mut schema: Schema, name: &str) -> String {
    schema.insert("$id".to_owned(), Value::from(id_of(name)));
    // A schema is a JSON value: printing it cannot fail.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// The text of a schema that is made elsewhere, with its `$id`.
pub(super) fn identified(text: &str, name: &str) -> String {
    // It was printed just now.
    let schema = serde_json::from_str::<Value>(text).ok().and_then(|value| Schema::try_from(value).ok());
    schema.map_or_else(|| text.to_owned(), |schema| with_id(schema, name))
}
