//! One tool's verdict with everything that led to it.

use super::document::Document;
use super::words::{self, flags, found, lines, severity, width};
use crate::model::{Category, Confidence, Evidence, RiskLevel, ServerName, ToolDefinition, Verdict};
use crate::policy::Trace;
use crate::text::escape;
use anstyle::Style;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Why one tool has its class (`mcpol explain`).
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct Explained {
    /// The server that offers the tool.
    #[schemars(with = "String")]
    pub server: ServerName,
    /// The tool's name, as declared.
    pub tool: String,
    /// What the server says about it, as declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The verdict with its evidence.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The piece of evidence that decided the category, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Evidence>,
    /// Why each rule that spoke says what it says, by its id.
    pub rules: BTreeMap<String, String>,
    /// The category with the next most points, and how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner_up: Option<(Category, u32)>,
    /// What would change the verdict, in sentences.
    pub changes: Vec<String>,
}

impl Explained {
    /// The verdict of a tool, with nothing known about alternatives.
    pub fn new(server: &ServerName, tool: &ToolDefinition, verdict: Verdict) -> Self {
        Self {
            server: server.clone(),
            tool: tool.name.as_str().to_owned(),
            description: tool.description.clone(),
            verdict,
            decided_by: None,
            rules: BTreeMap::new(),
            runner_up: None,
            changes: Vec::new(),
        }
    }
}

/// Why tools of one name have their classes (`mcpol explain --format json`).
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol explain")]
pub struct ExplainReport {
    /// Version of this format.
    version: u32,
    /// One for each server that has the tool, in the order of their names.
    explained: Vec<Explained>,
}

impl Document for ExplainReport {
    const SCHEMA: &'static str = "explain";
    const COMMAND: &'static str = "explain";
}

impl ExplainReport {
    /// The report of these tools.
    pub fn new(explained: Vec<Explained>) -> Self {
        Self { version: EXPLAIN_VERSION, explained }
    }
}

/// What a policy decides about a call, or about something beside tools (`mcpol explain --policy FILE --format json`).
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol explain --policy")]
pub struct TraceReport {
    /// Version of this format.
    version: u32,
    /// The decision, with the steps that led to it.
    #[serde(flatten)]
    trace: Trace,
}

impl Document for TraceReport {
    const SCHEMA: &'static str = "explain-policy";
    const COMMAND: &'static str = "explain --policy";
}

impl TraceReport {
    /// The report of this decision.
    pub fn new(trace: Trace) -> Self {
        Self { version: EXPLAIN_VERSION, trace }
    }
}

/// The value of `version` in both documents.
const EXPLAIN_VERSION: u32 = 1;

/// Columns of the labels.
const LABEL_COLUMNS: usize = 14;

/// The explanation for people, at most `columns` wide.
pub fn explanation(one: &Explained, columns: usize) -> String {
    let columns = columns.clamp(super::table::WIDTH_MIN, 120);
    let (bold, dim) = (Style::new().bold(), Style::new().dimmed());
    let verdict = &one.verdict;
    let mut out = String::new();
    for line in words::wrap(&escape(&one.tool), columns, 4) {
        let _ = writeln!(out, "{bold}{line}{bold:#}");
    }
    let _ = writeln!(out, "{dim}on server {}{dim:#}\n", words::fit(&one.server.to_string(), columns - 10));
    lines(&mut out, "", &escape(&verdict.reason), columns);
    out.push('\n');
    let mut row = |label: &str, text: &str| lines(&mut out, &format!("{label:<LABEL_COLUMNS$}"), text, columns);
    row("category", &format!("{}: {}", verdict.category, words::category(verdict.category)));
    row("blast radius", verdict.blast_radius.as_str());
    row("risk", &risk(verdict));
    row("flags", &if verdict.flags.is_empty() { "none".to_owned() } else { flags(&verdict.flags) });
    row("confidence", confidence(verdict.confidence));
    heading(&mut out, "Evidence, strongest first");
    if verdict.evidence.is_empty() {
        out.push_str(
            "  none
",
        );
    }
    evidence(&mut out, one, columns);
    if !one.changes.is_empty() {
        heading(&mut out, "What would change the verdict");
        for change in &one.changes {
            lines(&mut out, "  - ", &escape(change), columns);
        }
    }
    if !verdict.findings.is_empty() {
        heading(&mut out, "Findings");
        for finding in &verdict.findings {
            let text = format!("{} [{}]", escape(&finding.message), escape(&finding.id));
            lines(&mut out, &format!("  {:<9}", severity(finding.severity)), &text, columns);
        }
    }
    out
}

fn heading(out: &mut String, text: &str) {
    let bold = Style::new().bold();
    let _ = writeln!(out, "\n{bold}{text}{bold:#}");
}

/// What each piece says, what it quotes, and below that why its rule takes it so, once a rule.
fn evidence(out: &mut String, one: &Explained, columns: usize) {
    let dim = Style::new().dimmed();
    let pieces = &one.verdict.evidence;
    let says_columns = pieces.iter().map(|it| width(&escape(&it.says))).max().unwrap_or(0).min(24);
    let mut told = BTreeSet::new();
    for piece in pieces {
        let decided = if one.decided_by.as_ref() == Some(piece) { " (decided)" } else { "" };
        let says = format!("  {:<says_columns$}  ", words::fit(&escape(&piece.says), says_columns));
        lines(out, &says, &format!("{}{decided}", found(piece)), columns);
        let mut detail = format!("rule {}", escape(&piece.rule));
        if piece.weight > 0 {
            let _ = write!(detail, ", weight {}", piece.weight);
        }
        if let Some(why) = one.rules.get(&piece.rule)
            && told.insert(&piece.rule)
        {
            let _ = write!(detail, ": {}", escape(why));
        }
        for line in words::wrap(&detail, columns.saturating_sub(width(&says)), 6) {
            let _ = writeln!(out, "{:1$}{dim}{line}{dim:#}", "", width(&says));
        }
    }
}

/// Why the risk is what it is, in words.
fn risk(verdict: &Verdict) -> String {
    let nature = verdict.category.nature();
    let of_radius = RiskLevel::of(Category::Read, verdict.blast_radius);
    let (risk, category) = (verdict.risk, verdict.category);
    match nature.cmp(&of_radius) {
        std::cmp::Ordering::Equal => format!("{risk}: by the nature of {category} and by the blast radius"),
        std::cmp::Ordering::Greater => format!("{risk}: by the nature of {category}, whatever the blast radius"),
        std::cmp::Ordering::Less => format!("{risk}: by the blast radius; {category} alone would be {nature}"),
    }
}

fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high: strong evidence that agrees",
        Confidence::Medium => "medium: one good piece of evidence",
        Confidence::Low => "low: hardly any evidence, or evidence that disagrees",
    }
}
