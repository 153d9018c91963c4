//! A check as Markdown, for step summaries and reviews. Everything from a server is escaped.

use super::check::CheckReport;
use super::check_pages::page_address;
use super::markdown::{cell, prose};
use super::words::{count, severity};
use std::fmt::Write as _;

/// Most rows of the table: a step summary holds 1 MiB.
const ROWS_MAX: usize = 500;

/// The counts, then a table of the findings, each with a link to the page of its code.
pub fn check_markdown(report: &CheckReport) -> String {
    let summary = &report.summary;
    let mut out = String::from("## mcpol check\n\n");
    let what = format!("{}, {}", count(summary.servers, "server"), count(summary.tools, "tool"));
    let _ = writeln!(out, "{what}: **{}**", summary.in_words());
    let unlisted = summary.unlisted();
    if !unlisted.is_empty() {
        let _ = writeln!(out, "\nNot listed: {unlisted}.");
    }
    for failed in &report.failed {
        let first = failed.error.lines().next().unwrap_or_default();
        let _ = writeln!(out, "\nNot checked: {} ({})", cell(failed.server.as_str()), prose(first));
    }
    if report.findings.is_empty() {
        return out;
    }
    out.push_str("\n| Severity | Code | Server | What is different | Then |\n|---|---|---|---|---|\n");
    for finding in report.findings.iter().take(ROWS_MAX) {
        let then: Vec<_> =
            [&finding.tomorrow, &finding.policy].into_iter().filter(|it| !it.is_empty()).map(|it| prose(it)).collect();
        let mut message = prose(&finding.message);
        for (sign, piece) in [("−", &finding.was), ("+", &finding.now)] {
            if !piece.is_empty() {
                let _ = write!(message, "<br>{sign} {}", cell(piece));
            }
        }
        let _ = writeln!(
            out,
            "| {} | [{}]({}) | {} | {message} | {} |",
            severity(finding.severity),
            finding.code,
            page_address(finding.code),
            cell(&finding.server),
            then.join("; ")
        );
    }
    if report.findings.len() > ROWS_MAX {
        let _ = writeln!(out, "\nand {} more", report.findings.len() - ROWS_MAX);
    }
    out
}
