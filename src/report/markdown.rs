//! Markdown for reviews and wikis. Every word from a server is escaped for Markdown as well as for a terminal.

use super::scan::{ScanReport, ScannedServer};
use super::table::beside_tools;
use super::words::{about_tokens, count, flags, severity, why};
use crate::text::{escape, excerpt};
use std::fmt::Write as _;

/// Prompts, resources and templates that are named, each kind for itself, and how long a name may be.
const EXTRAS_SHOWN_MAX: usize = 50;
const EXTRA_CHARS_MAX: usize = 120;

/// One heading and one table a server, then its findings.
pub fn scan_markdown(report: &ScanReport<'_>) -> String {
    let mut out = String::from("# What these servers can do\n");
    for server in &report.servers {
        one(&mut out, server);
    }
    if !report.set_findings.is_empty() {
        out.push_str("\n## Together\n\n");
        for finding in &report.set_findings {
            let _ =
                writeln!(out, "- {} ({}): {}", severity(finding.severity), cell(&finding.id), prose(&finding.message));
        }
    }
    if !report.failed.is_empty() {
        out.push_str("\n## Not listed\n\n");
        for failed in &report.failed {
            let first = failed.error.lines().next().unwrap_or("failed");
            let _ = writeln!(out, "- {}: {}", cell(failed.server.as_str()), cell(first));
        }
    }
    out
}

fn one(out: &mut String, server: &ScannedServer<'_>) {
    let tools = count(server.tools.len(), "tool");
    let found = count(server.summary.findings, "finding");
    let beside = beside_tools(&server.summary).map_or_else(String::new, |beside| format!(", {beside}"));
    let tokens = about_tokens(server.summary.tokens);
    let _ = writeln!(out, "\n## {}\n\n{tools}{beside}, {tokens}, {found}.", cell(server.server.as_str()));
    if !server.tools.is_empty() {
        out.push_str("\n| risk | category | radius | tool | flags | why |\n|---|---|---|---|---|---|\n");
        for tool in server.worst_first() {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                tool.risk,
                tool.category,
                tool.blast_radius,
                cell(tool.tool),
                flags(tool.flags),
                prose(&why(tool))
            );
        }
    }
    for (kind, listed) in server.extras() {
        if !listed.is_empty() {
            let _ = writeln!(out, "\n### {kind}s\n");
        }
        for extra in listed.iter().take(EXTRAS_SHOWN_MAX) {
            let _ = writeln!(out, "- {}", cell(&excerpt(extra.key, EXTRA_CHARS_MAX)));
        }
        if listed.len() > EXTRAS_SHOWN_MAX {
            let _ = writeln!(out, "- and {} more", listed.len() - EXTRAS_SHOWN_MAX);
        }
    }
    let about_tools = server.tools.iter().flat_map(|tool| tool.findings);
    let mut findings: Vec<_> = server.findings.iter().copied().chain(about_tools).collect();
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    if !findings.is_empty() {
        out.push_str("\n### Findings\n\n");
        for finding in findings {
            let tool = if finding.tool.is_empty() { String::new() } else { format!("{}: ", cell(&finding.tool)) };
            let word = severity(finding.severity);
            let _ = writeln!(out, "- {word} ({}): {tool}{}", cell(&finding.id), prose(&finding.message));
        }
    }
}

/// One line of hostile text for a table cell: no markup, no HTML, no links, no column of its own.
pub(super) fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in escape(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Bare addresses and mentions become links in some renderers.
            '@' => out.push_str("&#64;"),
            ':' => out.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '+' | '!' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// A sentence of ours for a table cell: what stands in back-ticks, mostly words of a server, is shown as code and escaped
/// like everything else. A back-tick without its counterpart stays one.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, (code, after))) =
        rest.split_once('`').and_then(|(before, rest)| Some((before, rest.split_once('`')?)))
    {
        let _ = write!(out, "{}<code>{}</code>", cell(before), cell(code));
        rest = after;
    }
    out.push_str(&cell(rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_code_and_escaped_all_the_same() {
        assert_eq!(prose("`a_b` is new"), "<code>a\\_b</code> is new");
        assert_eq!(prose("no longer takes `<b>`, `|`"), "no longer takes <code>&lt;b&gt;</code>, <code>\\|</code>");
        assert_eq!(prose("`a` and ` more"), "<code>a</code> and \\` more");
        assert_eq!(prose("none"), "none");
    }

    #[test]
    fn hostile_cells_stay_text() {
        assert_eq!(cell("a|b\n[x](http://y) <img>"), "a\\|b\\\\n\\[x\\]\\(http&#58;//y\\) &lt;img&gt;");
        assert_eq!(cell("@everyone `rm`"), "&#64;everyone \\`rm\\`");
    }
}
