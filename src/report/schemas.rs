//! The JSON Schemas of everything that mcpol writes, generated from the types that are written.

use super::annotate::AnnotateReport;
use super::approvals::ApprovalsReport;
use super::audit_stats::AuditStats;
use super::check::CheckReport;
use super::clients::ClientsReport;
use super::document::{document_schema, file_schema, identified};
use super::explain::{ExplainReport, TraceReport};
use super::grants::GrantDocument;
use super::limits::LimitsReport;
use super::policy_check::CheckDocument;
use super::policy_diff::DiffDocument;
use super::policy_test::TestDocument;
use super::rules::{EvalReport, RulesReport};
use super::scan::{ScanLine, ScanReport};
use crate::catalog::{Lock, Record};
use crate::gateway::status::Status;

/// A schema by its name, and what prints it.
type Published = (&'static str, fn() -> String);

/// Every schema, in the order of the names: of what commands print, and of files.
pub const SCHEMAS: [Published; 20] = [
    ("annotate", document_schema::<AnnotateReport>),
    ("approvals", document_schema::<ApprovalsReport<'_>>),
    ("audit-stats", document_schema::<AuditStats>),
    ("check", document_schema::<CheckReport>),
    ("clients", document_schema::<ClientsReport>),
    ("explain", document_schema::<ExplainReport>),
    ("explain-policy", document_schema::<TraceReport>),
    ("grants", document_schema::<GrantDocument<'_>>),
    ("limits", document_schema::<LimitsReport>),
    ("lock", || file_schema::<Lock>("lock")),
    ("mcpol", || identified(&crate::gateway::config::schema_text(), "mcpol")),
    ("policy", || identified(&crate::policy::schema_text(), "policy")),
    ("policy-check", document_schema::<CheckDocument<'_>>),
    ("policy-diff", document_schema::<DiffDocument<'_>>),
    ("policy-test", document_schema::<TestDocument<'_>>),
    ("record", || file_schema::<Record<'_>>("record")),
    ("rules", document_schema::<RulesReport>),
    ("rules-eval", document_schema::<EvalReport<'_>>),
    ("scan", document_schema::<ScanReport<'_>>),
    ("status", document_schema::<Status>),
];

/// The schema of one line of `mcpol scan --format ndjson`, which has no document around it.
pub const LINE_SCHEMA: Published = ("scan-line", || file_schema::<ScanLine<'_>>("scan-line"));

/// The text of a schema by its name.
pub fn schema(name: &str) -> Option<String> {
    all().find(|(known, _)| *known == name).map(|(_, print)| print())
}

/// Every schema with its name.
pub fn all() -> impl Iterator<Item = Published> {
    SCHEMAS.into_iter().chain([LINE_SCHEMA])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `MCPOL_UPDATE_SCHEMAS=1 cargo test schemas` writes the files anew.
    #[test]
    fn published_schemas_are_current() -> std::io::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        for (name, print) in all() {
            let (path, text) = (folder.join(format!("{name}.schema.json")), print());
            if std::env::var_os("MCPOL_UPDATE_SCHEMAS").is_some() {
                std::fs::write(&path, &text)?;
            }
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(kept, text, "{name}: run with MCPOL_UPDATE_SCHEMAS=1");
            assert!(text.contains(&format!("/schemas/{name}.schema.json\"")), "{name} says where it is published");
        }
        assert_eq!(std::fs::read_dir(&folder)?.count(), all().count(), "no schema is left over");
        Ok(())
    }
}
