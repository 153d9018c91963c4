//! What `policy check` found: a table for people, JSON for machines, SARIF for forges.

use super::check_sarif::rules;
use super::grid::grid;
use super::sarif_log::{Log, LogResult, digest, log, rule_id};
use super::words::{count, severity};
use crate::code::Code;
use crate::model::Severity;
use crate::policy::Lint;
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
    counts: ProblemCounts,
    findings: Vec<FindingRecord<'c>>,
}

#[derive(Serialize)]
struct ProblemCounts {
    error: usize,
    warning: usize,
    note: usize,
}

#[derive(Serialize)]
struct FindingRecord<'c> {
    code: &'static str,
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
        let _ = write!(what, "\n[{}]", lint.code);
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
        code: lint.code.as_str(),
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
    let counts = ProblemCounts {
        error: of(check.lints, Severity::Error),
        warning: of(check.lints, Severity::Warning),
        note: of(check.lints, Severity::Note),
    };
    let document = CheckDocument { format: "mcpol-policy-check", version: 1, file: check.file, counts, findings };
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

/// The findings as one run; each policy is an analysis of its own. `file` is its path from the repository's top, and
/// `rules_fingerprint` the rules that the tools were judged with, empty where there were none.
///
/// # Errors
/// It cannot be printed, which is a defect.
pub fn policy_check_sarif(
    check: &PolicyCheck<'_>,
    file: &str,
    rules_fingerprint: &str,
) -> Result<String, serde_json::Error> {
    log(&Log {
        analysis: format!("mcpol/policy/{}/", file.trim_matches('/')),
        rules_fingerprint,
        rules: rules(),
        results: check.lints.iter().map(|lint| result(lint, file)).collect(),
        failed: &[],
        left_out: 0,
    })
}

fn result(lint: &Lint, file: &str) -> LogResult {
    let start = lint.place.map_or((1, 1), |(start, _)| (start.line, start.column));
    LogResult {
        rule: rule_id(lint.code.as_str(), lint.severity, lint.code.severities()),
        severity: lint.severity,
        text: match &lint.help {
            Some(help) => format!("{} ({help})", lint.message),
            None => lint.message.clone(),
        },
        place: Some((file.to_owned(), start.0, start.1)),
        end: lint.place.map(|(_, end)| end),
        about: escape(&lint.pointer).into_owned(),
        fingerprint: digest(&(lint.code, &lint.pointer, &lint.message)),
        fingerprints: Vec::new(),
    }
}

/// The problems of a file that is no policy, as findings for the machine formats.
pub fn invalid_policy(problems: &[Problem]) -> Vec<Lint> {
    let lint = |problem: &Problem| Lint {
        code: Code::P010,
        severity: Severity::Error,
        pointer: problem.pointer.clone(),
        place: problem.place.map(|place| (place, place)),
        message: problem.message.clone(),
        help: problem.help.clone(),
    };
    problems.iter().map(lint).collect()
}
