//! A check for people: findings by server, the worst first, each with what follows from it.

use super::check::{CheckFinding, CheckReport};
use super::table::WIDTH_MIN;
use super::words::{count, lines, severity};
use crate::catalog::drift::Code;
use crate::model::Severity;
use crate::text::{escape, excerpt};
use anstyle::{AnsiColor, Style};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Widest output, in columns: longer lines are hard to follow.
const WIDTH_MAX: usize = 120;

/// Most notes of one kind that are shown one by one; the other formats list all.
const NOTES_MAX: usize = 3;
/// Most tools that a line about many notes names.
const NAMES_MAX: usize = 5;
/// Longest name in such a line, in characters.
const NAME_CHARS_MAX: usize = 60;

/// The findings, then the counts.
pub fn check_table(report: &CheckReport, width: usize) -> String {
    let columns = width.clamp(WIDTH_MIN, WIDTH_MAX);
    let bold = Style::new().bold();
    let mut out = String::new();
    let mut servers: BTreeMap<&str, Vec<&CheckFinding>> = BTreeMap::new();
    for finding in &report.findings {
        servers.entry(&finding.server).or_default().push(finding);
    }
    for (server, findings) in servers {
        let _ = writeln!(out, "{bold}{}{bold:#}", escape(server));
        let (notes, rest): (Vec<_>, Vec<_>) = findings.into_iter().partition(|it| it.severity == Severity::Note);
        for finding in rest {
            one(&mut out, finding, columns);
        }
        let mut by_code: BTreeMap<Code, Vec<&CheckFinding>> = BTreeMap::new();
        for note in notes {
            by_code.entry(note.code).or_default().push(note);
        }
        for (code, notes) in by_code {
            if notes.len() > NOTES_MAX {
                together(&mut out, code, &notes, columns);
            } else {
                notes.into_iter().for_each(|note| one(&mut out, note, columns));
            }
        }
        out.push('\n');
    }
    let summary = &report.summary;
    let what = format!("{}, {}", count(summary.servers, "server"), count(summary.tools, "tool"));
    let _ = writeln!(out, "{what}: {}", summary.in_words());
    let unlisted = summary.unlisted();
    if !unlisted.is_empty() {
        let _ = writeln!(out, "not listed: {unlisted}");
    }
    out
}

/// Many notes of one kind as one: what is worth knowing must not hide what is worth looking at.
fn together(out: &mut String, code: Code, notes: &[&CheckFinding], columns: usize) {
    let style = Style::new().bold().fg_color(Some(AnsiColor::Cyan.into()));
    let tools = notes.iter().filter_map(|note| note.tool.as_deref());
    let tools: BTreeSet<String> = tools.map(|tool| format!("`{}`", excerpt(tool, NAME_CHARS_MAX))).collect();
    let shown: Vec<_> = tools.iter().take(NAMES_MAX).cloned().collect();
    let more = match tools.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let prefix = format!("  note    {code}  ");
    let what = format!("{}, {} times: {}{more}", code.title(), notes.len(), shown.join(", "));
    let mut text = String::new();
    lines(&mut text, &prefix, &what, columns);
    let rest = text.get(prefix.len()..).unwrap_or_default();
    let _ = write!(out, "  {style}note   {style:#} {code}  {rest}");
}

fn one(out: &mut String, finding: &CheckFinding, columns: usize) {
    let colour = match finding.severity {
        Severity::Error => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note => AnsiColor::Cyan,
    };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    let dim = Style::new().dimmed();
    let word = severity(finding.severity);
    // The prefix is measured without its colours.
    let prefix = format!("  {word:<7} {}  ", finding.code);
    let mut text = String::new();
    lines(&mut text, &prefix, &finding.message, columns);
    let rest = text.get(prefix.len()..).unwrap_or_default();
    let _ = write!(out, "  {style}{word:<7}{style:#} {}  {rest}", finding.code);
    let indent = " ".repeat(prefix.len());
    let then = [&finding.tomorrow, &finding.policy];
    let then: Vec<_> = then.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
    if !then.is_empty() {
        lines(out, &format!("{indent}→ "), &then.join("; "), columns);
    }
    for (sign, piece) in [("- ", &finding.was), ("+ ", &finding.now)] {
        if !piece.is_empty() {
            lines(out, &format!("{indent}{sign}"), piece, columns);
        }
    }
    let _ = writeln!(out, "{indent}{dim}{}:{}{dim:#}", escape(&finding.file), finding.line);
}
