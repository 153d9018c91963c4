//! What `policy check` found: a table for people, JSON for machines, SARIF for forges.

use super::grid::grid;
use super::sarif::{SarifResult, sarif};
use super::words::{count, severity};
use crate::model::Severity;
use crate::policy::{CHECKS, Lint};
use crate::problem::Problem;
use crate::text::escape;
use serde::Serialize;
use std::fmt::Write as _;

/// What was found in one policy file.
pub struct PolicyCheck<'c> {
    /// The file as the user named it.
    pub file: &'c str,
    /// What was found, in the order of the text.
    pub lints: &'c [Lint],
    /// What it was held against: tools, server.
    pub against: &'c str,
    /// What could be done next.
    pub hint: Option<&'c str>,
}

#[derive(Serialize)]
struct CheckDocument<'c> {
    format: &'static str,
    version: u32,
    file: &'c str,
    counts: Counts,
    findings: Vec<FindingRecord<'c>>,
}

#[derive(Serialize)]
struct Counts {
    error: usize,
    warning: usize,
    note: usize,
}

#[derive(Serialize)]
struct FindingRecord<'c> {
    check: &'c str,
    severity: &'static str,
    pointer: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'c str>,
}

fn of(lints: &[Lint], wanted: Severity) -> usize {
    lints.iter().filter(|lint| lint.severity == wanted).count()
}

/// The table, and a line that sums it up.
pub fn policy_check_table(check: &PolicyCheck<'_>, columns: usize) -> String {
    let row = |lint: &Lint| {
        let place = lint.place.map(|(start, _)| format!("{}:{}", start.line, start.column)).unwrap_or_default();
        let mut what = format!("{}\n{}", escape(&lint.pointer), escape(&lint.message));
        if let Some(help) = &lint.help {
            let _ = write!(what, "\nhelp: {}", escape(help));
        }
        let _ = write!(what, "\n[{}]", lint.check);
        vec![severity(lint.severity).to_owned(), place, what]
    };
    let mut sorted: Vec<&Lint> = check.lints.iter().collect();
    sorted.sort_by_key(|lint| std::cmp::Reverse(lint.severity));
    let rows: Vec<Vec<String>> = sorted.into_iter().map(row).collect();
    let mut out = String::new();
    if !rows.is_empty() {
        out.push_str(&grid(&["LEVEL", "LINE", "RULE AND PROBLEM"], &rows, &[2], columns));
        out.push('\n');
    }
    let parts: Vec<String> = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "note")]
        .into_iter()
        .map(|(wanted, word)| (of(check.lints, wanted), word))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| count(n, word))
        .collect();
    let found = if parts.is_empty() { "nothing found".to_owned() } else { parts.join(", ") };
    let _ = writeln!(out, "{}: {found} ({})", escape(check.file), escape(check.against));
    if let Some(hint) = check.hint {
        let _ = writeln!(out, "hint: {}", escape(hint));
    }
    out
}

fn record(lint: &Lint) -> FindingRecord<'_> {
    FindingRecord {
        check: lint.check,
        severity: severity(lint.severity),
        pointer: &lint.pointer,
        line: lint.place.map(|(start, _)| start.line),
        column: lint.place.map(|(start, _)| start.column),
        message: &lint.message,
        help: lint.help.as_deref(),
    }
}

/// One JSON document.
///
/// # Errors
/// It cannot be printed, which is a defect.
pub fn policy_check_json(check: &PolicyCheck<'_>) -> Result<String, serde_json::Error> {
    let findings = check.lints.iter().map(record).collect();
    let counts = Counts {
        error: of(check.lints, Severity::Error),
        warning: of(check.lints, Severity::Warning),
        note: of(check.lints, Severity::Note),
    };
    let document = CheckDocument { format: "mcpol-policy-check", version: 1, file: check.file, counts, findings };
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

/// One SARIF document.
///
/// # Errors
/// It cannot be printed, which is a defect.
pub fn policy_check_sarif(check: &PolicyCheck<'_>) -> Result<String, serde_json::Error> {
    let results: Vec<SarifResult> = check
        .lints
        .iter()
        .map(|lint| SarifResult {
            rule: lint.check.to_owned(),
            severity: lint.severity,
            message: match &lint.help {
                Some(help) => format!("{} ({help})", lint.message),
                None => lint.message.clone(),
            },
            file: check.file.to_owned(),
            place: lint.place,
            pointer: lint.pointer.clone(),
        })
        .collect();
    sarif(CHECKS, &results)
}

/// The problems of a file that is no policy, as findings for the machine formats.
pub fn invalid_policy(problems: &[Problem]) -> Vec<Lint> {
    let lint = |problem: &Problem| Lint {
        check: "invalid-policy",
        severity: Severity::Error,
        pointer: problem.pointer.clone(),
        place: problem.place.map(|place| (place, place)),
        message: problem.message.clone(),
        help: problem.help.clone(),
    };
    problems.iter().map(lint).collect()
}
