//! JSON for machines, and the JSON Schemas of our formats, generated from the types that are written.

use super::check::CheckReport;
use super::scan::{ScanLine, ScanReport};
use crate::catalog::{Lock, Record};
use crate::gateway::status::Status;
use schemars::{JsonSchema, generate::SchemaSettings};

/// The whole scan as one document, pretty-printed, with a line break at the end.
///
/// # Errors
/// Never in practice: the types hold nothing that JSON cannot say.
pub fn scan_json(report: &ScanReport<'_>) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

/// JSON Schema (2020-12) of `mcpol scan --format json`: `schemas/scan.schema.json`.
pub fn scan_schema() -> String {
    schema_of::<ScanReport<'_>>()
}

/// JSON Schema (2020-12) of one line of `mcpol scan --format ndjson`: `schemas/scan-line.schema.json`.
pub fn line_schema() -> String {
    schema_of::<ScanLine<'_>>()
}

/// JSON Schema (2020-12) of a catalogue record: `schemas/record.schema.json`.
pub fn record_schema() -> String {
    schema_of::<Record<'_>>()
}

/// JSON Schema (2020-12) of a lock: `schemas/lock.schema.json`.
pub fn lock_schema() -> String {
    schema_of::<Lock>()
}

/// JSON Schema (2020-12) of `mcpol check --format json`: `schemas/check.schema.json`.
pub fn check_schema() -> String {
    schema_of::<CheckReport>()
}

/// JSON Schema (2020-12) of `mcpol status --format json`: `schemas/status.schema.json`.
pub fn status_schema() -> String {
    schema_of::<Status>()
}

pub(super) fn schema_of<T: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    // A schema is a JSON value: printing it cannot fail.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `MCPOL_UPDATE_SCHEMAS=1 cargo test schemas` writes the files anew.
    #[test]
    fn published_schemas_are_current() -> std::io::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        for (name, text) in [
            ("scan", scan_schema()),
            ("scan-line", line_schema()),
            ("record", record_schema()),
            ("lock", lock_schema()),
            ("check", check_schema()),
            ("status", status_schema()),
            ("annotate", crate::report::annotate_schema()),
            ("clients", crate::report::clients_schema()),
        ] {
            let path = folder.join(format!("{name}.schema.json"));
            if std::env::var_os("MCPOL_UPDATE_SCHEMAS").is_some() {
                std::fs::write(&path, &text)?;
            }
            assert_eq!(std::fs::read_to_string(&path)?, text, "{name}: run with MCPOL_UPDATE_SCHEMAS=1");
        }
        Ok(())
    }
}
