//! What `policy check` found: a table for people, JSON for machines, SARIF for forges.

use super::check_sarif::rules;
use super::document::Document;
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

/// What was found in a policy (`mcpol policy check --format json`).
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol policy check")]
pub(super) struct CheckDocument<'c> {
    /// Always `mcpol-policy-check`.
    format: &'static str,
    /// Version of this format.
    version: u32,
    /// The policy, as it was named.
    file: &'c str,
    /// How many findings of each severity there are.
    counts: ProblemCounts,
    /// In the order of the text.
    findings: Vec<FindingRecord<'c>>,
}

/// Findings by severity.
#[derive(Serialize, schemars::JsonSchema)]
struct ProblemCounts {
    /// Errors.
    error: usize,
    /// Warnings.
    warning: usize,
    /// Notes.
    note: usize,
}

/// One finding.
#[derive(Serialize, schemars::JsonSchema)]
struct FindingRecord<'c> {
    /// Its code, such as `P005`.
    code: &'static str,
    /// `error`, `warning` or `note`.
    severity: &'static str,
    /// Where it stands in the policy, as a JSON pointer.
    pointer: &'c str,
    /// Its line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// Its column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// What is wrong.
    message: &'c str,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'c str>,
}

impl Document for CheckDocument<'_> {
    const SCHEMA: &'static str = "policy-check";
    const COMMAND: &'static str = "policy check";
}

impl PolicyCheck<'_> {
    /// The document for machines.
    pub fn document(&self) -> impl Document + '_ {
        let findings = self.lints.iter().map(record).collect();
        let counts = ProblemCounts {
            error: of(self.lints, Severity::Error),
            warning: of(self.lints, Severity::Warning),
            note: of(self.lints, Severity::Note),
        };
        CheckDocument { format: "mcpol-policy-check", version: 1, file: self.file, counts, findings }
    }
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
