//! A check for people: findings by server, the worst first, each with what follows from it.

use super::check::{CheckFinding, CheckReport};
use super::table::WIDTH_MIN;
use super::words::{count, lines, severity};
use crate::code::Code;
use crate::model::Severity;
use crate::text::{escape, excerpt};
use anstyle::{AnsiColor, Style};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Widest output, in columns: longer lines are hard to follow.
const WIDTH_MAX: usize = 120;

/// Most findings of one kind that are shown one by one, by severity; the other formats list all.
struct ShownMax {
    errors: usize,
    warnings: usize,
    notes: usize,
}

impl ShownMax {
    const fn of(&self, severity: Severity) -> usize {
        match severity {
            Severity::Note => self.notes,
            Severity::Warning => self.warnings,
            Severity::Error => self.errors,
        }
    }
}

/// From the most to the fewest: of a server with much to tell less is told one by one.
const SHOWN: [ShownMax; 4] = [
    ShownMax { errors: 20, warnings: 10, notes: 3 },
    ShownMax { errors: 12, warnings: 6, notes: 2 },
    ShownMax { errors: 8, warnings: 4, notes: 1 },
    ShownMax { errors: 4, warnings: 2, notes: 1 },
];
/// Most lines about one server; where even the fewest findings take more, so be it.
const LINES_MAX: usize = 190;

/// Most tools that a line about many findings names.
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
        let told = SHOWN.iter().map(|max| one_server(&findings, max, columns));
        let mut told = told.skip_while(|text| text.lines().count() > LINES_MAX);
        let fewest = || SHOWN.last().map(|max| one_server(&findings, max, columns));
        out.push_str(&told.next().or_else(fewest).unwrap_or_default());
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

/// The findings about one server.
fn one_server(findings: &[&CheckFinding], most: &ShownMax, columns: usize) -> String {
    let mut out = String::new();
    let mut kinds: BTreeMap<(Reverse<Severity>, Code), Vec<&CheckFinding>> = BTreeMap::new();
    for finding in findings {
        kinds.entry((Reverse(finding.severity), finding.code)).or_default().push(finding);
    }
    for ((Reverse(severity), code), all) in kinds {
        // What is true of several tools is short already, and comes first.
        let (several, single): (Vec<_>, Vec<_>) = all.into_iter().partition(|finding| !finding.tools.is_empty());
        let max = most.of(severity);
        let (several, rest) = several.split_at(several.len().min(max));
        several.iter().for_each(|finding| one(&mut out, finding, columns));
        // Of many notes none is worth a line of its own: what is worth knowing must not hide the rest.
        let shown = match severity {
            Severity::Note if single.len() > max => 0,
            Severity::Note | Severity::Warning | Severity::Error => single.len().min(max),
        };
        single[..shown].iter().for_each(|finding| one(&mut out, finding, columns));
        let mut left: Vec<_> = single[shown..].to_vec();
        left.extend(rest);
        if !left.is_empty() {
            together(&mut out, (severity, code), &left, shown > 0 || !several.is_empty(), columns);
        }
    }
    out
}

/// Many findings of one kind as one line, with the tools, prompts and resources that they are about.
fn together(out: &mut String, (how, code): (Severity, Code), all: &[&CheckFinding], is_rest: bool, columns: usize) {
    let tools = all.iter().flat_map(|finding| {
        let extra = finding.extra.as_ref().map(|extra| &extra.key);
        finding.tool.iter().chain(&finding.tools).chain(extra)
    });
    let tools: BTreeSet<String> = tools.map(|tool| format!("`{}`", excerpt(tool, NAME_CHARS_MAX))).collect();
    let shown: Vec<_> = tools.iter().take(NAMES_MAX).cloned().collect();
    let beyond = match tools.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        beyond => format!(" and {beyond} more"),
    };
    let how_often = if is_rest { "more" } else { "times" };
    let often = tools.len().max(all.len());
    let what = format!("{}, {often} {how_often}: {}{beyond}", code.title(), shown.join(", "));
    headed(out, how, code, &what, columns);
}

/// A line that begins with severity and code; how many columns those take.
fn headed(out: &mut String, how: Severity, code: Code, text: &str, columns: usize) -> usize {
    let colour = match how {
        Severity::Error => AnsiColor::Red,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note => AnsiColor::Cyan,
    };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    let word = severity(how);
    // The prefix is measured without its colours.
    let prefix = format!("  {word:<7} {code}  ");
    let mut plain = String::new();
    lines(&mut plain, &prefix, text, columns);
    let rest = plain.get(prefix.len()..).unwrap_or_default();
    let _ = write!(out, "  {style}{word:<7}{style:#} {code}  {rest}");
    prefix.len()
}

fn one(out: &mut String, finding: &CheckFinding, columns: usize) {
    let dim = Style::new().dimmed();
    let indent = " ".repeat(headed(out, finding.severity, finding.code, &finding.message, columns));
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
