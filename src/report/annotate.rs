//! Annotations that tools should have beside those that they have: table, JSON, Markdown, SARIF.

use super::check_pages::address;
use super::document::Document;
use super::grid::grid;
use super::markdown::cell;
use super::sarif_log::{Log, LogResult, LogRule, digest, identifier, log};
use super::words::{count, part, quoted};
use crate::classify::hints::{Advice, Directory, Standing, ToolAdvice};
use crate::model::{ServerName, Severity};
use crate::text::escape;
use serde::Serialize;
use std::fmt::Write as _;

/// The value of `version` in the JSON document.
const ANNOTATE_VERSION: u32 = 1;

/// The result of `mcpol annotate --format json`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol annotate")]
pub struct AnnotateReport {
    version: u32,
    /// The directory whose requirements the tools are held to, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    /// In the order of their names.
    servers: Vec<AnnotatedServer>,
}

/// One server's tools.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct AnnotatedServer {
    /// What the server is called here.
    #[schemars(with = "String")]
    pub server: ServerName,
    /// The file that its list was read from, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// In the order of the list.
    pub tools: Vec<AnnotatedTool>,
}

/// One tool.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct AnnotatedTool {
    /// What should be said of it.
    #[serde(flatten)]
    pub advice: ToolAdvice,
    /// What the directory asks for and the tool does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
}

impl Document for AnnotateReport {
    const SCHEMA: &'static str = "annotate";
    const COMMAND: &'static str = "annotate";
}

impl AnnotateReport {
    /// A report about these servers.
    pub fn new(servers: Vec<AnnotatedServer>, directory: Option<&Directory>) -> Self {
        Self { version: ANNOTATE_VERSION, directory: directory.map(|directory| directory.id.clone()), servers }
    }

    fn tools(&self) -> impl Iterator<Item = &AnnotatedTool> {
        self.servers.iter().flat_map(|server| &server.tools)
    }

    fn hints(&self, standing: Standing) -> usize {
        self.tools().flat_map(|tool| &tool.advice.hints).filter(|hint| hint.standing == standing).count()
    }

    /// Whether a declared hint is contradicted.
    pub fn has_wrong(&self) -> bool {
        self.hints(Standing::Wrong) > 0
    }

    /// Whether something is missing: of what the directory asks for, else of all hints.
    pub fn has_missing(&self) -> bool {
        match self.directory {
            Some(_) => self.tools().any(|tool| !tool.lacking.is_empty()),
            None => self.hints(Standing::Missing) > 0,
        }
    }

    fn summary(&self) -> String {
        let tools = self.tools().count();
        let mut summary = format!(
            "{}: {} right, {} missing, {} wrong, {} that the definition does not decide",
            count(tools, "tool"),
            self.hints(Standing::Right),
            self.hints(Standing::Missing),
            self.hints(Standing::Wrong),
            self.hints(Standing::Unsure),
        );
        if let Some(directory) = &self.directory {
            let lacking = self.tools().filter(|tool| !tool.lacking.is_empty()).count();
            let _ = write!(summary, "; {lacking} lack what {directory} asks for");
        }
        summary
    }
}

fn word(value: Option<bool>) -> &'static str {
    match value {
        Some(true) => "true",
        Some(false) => "false",
        None => "-",
    }
}

/// `true`, `true (missing)`, `false (declares true)`, `?`.
fn stands(hint: &Advice) -> String {
    match hint.standing {
        Standing::Right => word(hint.deserved).to_owned(),
        Standing::Missing => format!("+ {}", word(hint.deserved)),
        Standing::Wrong => format!("{}, not {}", word(hint.deserved), word(hint.declared)),
        Standing::Unsure => match hint.declared {
            Some(_) => format!("({})", word(hint.declared)),
            None => "?".to_owned(),
        },
    }
}

/// What to change, one hint a line, with the words that say so.
fn reasons(tool: &AnnotatedTool) -> String {
    let mut lines: Vec<String> = Vec::new();
    for hint in &tool.advice.hints {
        if matches!(hint.standing, Standing::Missing | Standing::Wrong) {
            let because = &hint.because;
            lines.push(format!("{}: {because}, {} {}", hint.hint.as_str(), part(&hint.source), quoted(&hint.quote)));
        }
    }
    if !tool.lacking.is_empty() {
        lines.push(format!("lacks {}", tool.lacking.join(", ")));
    }
    lines.join("\n")
}

const LEGEND: &str = "\
true             declared and right
+ true           deserved and missing
true, not false  the other way declared
(true)           declared, and the definition does not decide
?                neither declared nor decided";

/// For people, at most `columns` wide.
pub fn annotate_table(report: &AnnotateReport, columns: usize) -> String {
    let mut out = String::new();
    for server in &report.servers {
        let _ = writeln!(out, "{}\n", escape(server.server.as_str()));
        let row = |tool: &AnnotatedTool| {
            let mut row = vec![escape(&tool.advice.tool).into_owned()];
            row.extend(tool.advice.hints.iter().map(stands));
            row
        };
        let rows: Vec<_> = server.tools.iter().map(row).collect();
        out.push_str(&grid(&["TOOL", "READ-ONLY", "DESTRUCTIVE", "IDEMPOTENT", "OPEN WORLD"], &rows, &[0], columns));
        let why: Vec<_> =
            server.tools.iter().map(|tool| (tool, reasons(tool))).filter(|(_, why)| !why.is_empty()).collect();
        if !why.is_empty() {
            out.push('\n');
            let row =
                |(tool, why): &(&AnnotatedTool, String)| vec![escape(&tool.advice.tool).into_owned(), why.clone()];
            out.push_str(&grid(&["TOOL", "WHY"], &why.iter().map(row).collect::<Vec<_>>(), &[0, 1], columns));
        }
        out.push('\n');
    }
    let _ = writeln!(out, "{LEGEND}\n\n{}", report.summary());
    out
}

/// For reviews and wikis.
pub fn annotate_markdown(report: &AnnotateReport) -> String {
    let mut out = String::from("# Annotations\n\n");
    let _ = writeln!(out, "{}.", report.summary());
    for server in &report.servers {
        let _ = writeln!(out, "\n## {}\n", cell(server.server.as_str()));
        out.push_str("| tool | readOnlyHint | destructiveHint | idempotentHint | openWorldHint | why |\n|---|---|---|---|---|---|\n");
        for tool in &server.tools {
            let hints: Vec<_> = tool.advice.hints.iter().map(|hint| cell(&stands(hint))).collect();
            let why: Vec<_> = reasons(tool).lines().map(cell).collect();
            let _ = writeln!(out, "| {} | {} | {} |", cell(&tool.advice.tool), hints.join(" | "), why.join("<br>"));
        }
    }
    out
}

const WRONG: (&str, &str) = ("hint-wrong", "strong evidence contradicts a declared hint");
const MISSING: (&str, &str) = ("hint-missing", "the definition deserves a hint that is not declared");
const LACKING: (&str, &str) = ("directory-lacks", "a directory asks for what the tool does not have");

/// For code scanning: what is wrong as warnings, what a directory lacks as errors, what is missing as notes.
///
/// # Errors
/// It cannot be printed, which is a defect.
pub fn annotate_sarif(
    report: &AnnotateReport,
    rules_fingerprint: &str,
    from_top: &dyn Fn(&str) -> String,
) -> serde_json::Result<String> {
    let mut results = Vec::new();
    for server in &report.servers {
        for tool in &server.tools {
            let name = &tool.advice.tool;
            let about = format!("{}/{}", escape(server.server.as_str()), escape(name));
            let mut push = |rule: &str, severity, text: String| {
                results.push(LogResult {
                    rule: rule.to_owned(),
                    severity,
                    place: server.file.as_deref().map(|file| (from_top(file), 1, 1)),
                    end: None,
                    fingerprint: digest(&(rule, &about, &text)),
                    about: about.clone(),
                    text,
                    fingerprints: Vec::new(),
                });
            };
            for hint in &tool.advice.hints {
                let key = hint.hint.as_str();
                let says = format!("{}: {} {}", hint.because, part(&hint.source), quoted(&hint.quote));
                let (deserved, declared) = (word(hint.deserved), word(hint.declared));
                match hint.standing {
                    Standing::Wrong => push(
                        WRONG.0,
                        Severity::Warning,
                        format!("`{name}` declares `{key}: {declared}` and deserves {deserved}: {says}"),
                    ),
                    Standing::Missing if report.directory.is_none() => {
                        push(MISSING.0, Severity::Note, format!("`{name}` deserves `{key}: {deserved}`: {says}"));
                    }
                    Standing::Missing | Standing::Right | Standing::Unsure => {}
                }
            }
            if !tool.lacking.is_empty() {
                let directory = report.directory.as_deref().unwrap_or_default();
                push(
                    LACKING.0,
                    Severity::Error,
                    format!("`{name}` lacks what {directory} asks for: {}", tool.lacking.join(", ")),
                );
            }
        }
    }
    let rules = [(WRONG, Severity::Warning), (MISSING, Severity::Note), (LACKING, Severity::Error)];
    log(&Log {
        analysis: "mcpol/annotate/".to_owned(),
        rules_fingerprint,
        rules: rules.map(|((id, says), severity)| rule(id, says, severity)).into(),
        results,
        failed: &[],
        left_out: 0,
    })
}

fn rule(id: &str, says: &str, severity: Severity) -> LogRule {
    LogRule {
        id: id.to_owned(),
        code: id.to_owned(),
        name: identifier(id),
        title: says.to_owned(),
        text: says.to_owned(),
        help: says.to_owned(),
        markdown: says.to_owned(),
        address: address("docs/annotations.md"),
        severity,
    }
}
