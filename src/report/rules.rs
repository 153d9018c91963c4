//! Rules and findings for people: the list, one of them in full, and a measurement.

use super::document::Document;
use super::words::{count, lines, width};
use crate::classify::RuleInfo;
use crate::classify::eval::{Miss, Report};
use crate::classify::findings::Kind;
use crate::model::Severity;
use crate::text::escape;
use serde::Serialize;
use std::fmt::Write as _;

/// Fewest columns that a line gets.
const COLUMNS_MIN: usize = 40;
/// Most words of a class that are shown.
const WORDS_MAX: usize = 200;

/// Rules and findings (`mcpol rules list --format json`).
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol rules list")]
pub struct RulesReport {
    /// Version of this format.
    version: u32,
    /// The rules, in their order.
    rules: Vec<RuleInfo>,
    /// The findings.
    findings: Vec<FindingRow>,
}

/// A kind of finding.
#[derive(Serialize, schemars::JsonSchema)]
struct FindingRow {
    /// Stable id.
    id: &'static str,
    /// How bad it is at worst.
    severity: Severity,
    /// In a few words.
    title: &'static str,
    /// What it means.
    meaning: &'static str,
    /// What to do.
    advice: &'static str,
    /// OWASP and CWE entries.
    references: &'static [&'static str],
}

impl Document for RulesReport {
    const SCHEMA: &'static str = "rules";
    const COMMAND: &'static str = "rules list";
}

impl RulesReport {
    /// The report of these rules and kinds of findings.
    pub fn new(rules: Vec<RuleInfo>, kinds: &[Kind]) -> Self {
        let row = |kind: &Kind| {
            let Kind { id, severity, title, meaning, advice, references } = *kind;
            FindingRow { id, severity, title, meaning, advice, references }
        };
        Self { version: 1, rules, findings: kinds.iter().map(row).collect() }
    }
}

/// A measurement of the rules (`mcpol rules eval --format json`).
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol rules eval")]
pub struct EvalReport<'m> {
    /// Version of this format.
    version: u32,
    /// What was measured.
    #[serde(flatten)]
    measured: &'m Report,
}

impl Document for EvalReport<'_> {
    const SCHEMA: &'static str = "rules-eval";
    const COMMAND: &'static str = "rules eval";
}

impl<'m> EvalReport<'m> {
    /// The report of this measurement.
    pub fn new(measured: &'m Report) -> Self {
        Self { version: 1, measured }
    }
}

/// Every rule and finding: a line with the id and what it says, and why below it.
pub fn rule_list(rules: &[RuleInfo], kinds: &[Kind], columns: usize) -> String {
    let columns = columns.max(COLUMNS_MIN);
    let mut out = String::new();
    for rule in rules {
        let says = if rule.says.is_empty() { count(rule.words.len(), "word") } else { escape(&rule.says).into_owned() };
        entry(&mut out, &rule.id, &format!("{} · {says}", rule.kind.as_str()), &rule.why, columns);
    }
    for kind in kinds {
        entry(&mut out, kind.id, &format!("finding · at worst {}", severity_word(kind)), kind.title, columns);
    }
    let tests: usize = rules.iter().map(|rule| rule.tests).sum();
    let _ =
        writeln!(out, "{}, {}, {}", count(rules.len(), "rule"), count(tests, "test"), count(kinds.len(), "finding"));
    out
}

fn entry(out: &mut String, id: &str, says: &str, why: &str, columns: usize) {
    let id = escape(id);
    if width(&id) + 2 + width(says) <= columns {
        let _ = writeln!(out, "{id}  {says}");
    } else {
        let _ = writeln!(out, "{id}");
        lines(out, "    ", says, columns);
    }
    lines(out, "    ", &escape(why), columns);
}

fn severity_word(kind: &Kind) -> &'static str {
    match kind.severity {
        crate::model::Severity::Note => "note",
        crate::model::Severity::Warning => "warning",
        crate::model::Severity::Error => "error",
    }
}

/// One rule in full; `source` is its text in the rule file.
pub fn rule_page(rule: &RuleInfo, source: &str, columns: usize) -> String {
    let columns = columns.max(COLUMNS_MIN);
    let mut out = format!("{}\n", escape(&rule.id));
    lines(&mut out, "  why         ", &escape(&rule.why), columns);
    lines(&mut out, "  kind        ", rule.kind.as_str(), columns);
    if !rule.says.is_empty() {
        lines(&mut out, "  says        ", &escape(&rule.says), columns);
    }
    if !rule.references.is_empty() {
        lines(&mut out, "  references  ", &escape(&rule.references.join(", ")), columns);
    }
    lines(&mut out, "  tests       ", &rule.tests.to_string(), columns);
    lines(&mut out, "  file        ", &format!("{}:{}", escape(&rule.file), rule.line), columns);
    if !rule.words.is_empty() {
        let mut words: Vec<_> = rule.words.iter().take(WORDS_MAX).map(|word| escape(word).into_owned()).collect();
        if rule.words.len() > WORDS_MAX {
            words.push(format!("and {} more", rule.words.len() - WORDS_MAX));
        }
        lines(&mut out, "  words       ", &words.join(", "), columns);
    }
    if !source.is_empty() {
        out.push_str("\nAs written:\n");
        for line in source.lines() {
            let _ = writeln!(out, "  {}", escape(line));
        }
    }
    out
}

/// One finding in full.
pub fn kind_page(kind: &Kind, columns: usize) -> String {
    let columns = columns.max(COLUMNS_MIN);
    let mut out = format!("{}\n", kind.id);
    lines(&mut out, "  what        ", kind.title, columns);
    lines(&mut out, "  means       ", kind.meaning, columns);
    lines(&mut out, "  do          ", kind.advice, columns);
    lines(&mut out, "  severity    ", &format!("{} at worst", severity_word(kind)), columns);
    lines(&mut out, "  references  ", &kind.references.join("; "), columns);
    out
}

/// A measurement, with at most `misses` of every kind.
pub fn evaluation(report: &Report, misses: usize, columns: usize) -> String {
    let columns = columns.max(COLUMNS_MIN);
    let mut out = report.summary();
    if !report.missing.is_empty() && misses > 0 {
        let _ = writeln!(out, "\nlabels without a tool ({})", report.missing.len());
        for (server, tool) in report.missing.iter().take(misses) {
            let _ = writeln!(out, "  {} {}", escape(server), escape(tool));
        }
        more(&mut out, report.missing.len(), misses);
    }
    for (title, found) in [
        ("judged Read, labelled worse", &report.read_but_worse),
        ("allowed, labelled Delete or critical", &report.passed),
        ("category differs", &report.category_misses),
        ("blast radius differs", &report.radius_misses),
        ("hint differs", &report.hint_misses),
    ] {
        if !found.is_empty() && misses > 0 {
            let _ = writeln!(out, "\n{title} ({})", found.len());
            found.iter().take(misses).for_each(|one| miss(&mut out, one, columns));
            more(&mut out, found.len(), misses);
        }
    }
    out
}

fn miss(out: &mut String, miss: &Miss, columns: usize) {
    let text = format!("{} {}: {}, judged {}", escape(&miss.server), escape(&miss.tool), miss.label, miss.verdict);
    lines(out, "  ", &text, columns);
    lines(out, "      ", &escape(&miss.reason), columns);
}

fn more(out: &mut String, found: usize, shown: usize) {
    if found > shown {
        let _ = writeln!(out, "  and {} more (--misses {found} lists all)", found - shown);
    }
}
