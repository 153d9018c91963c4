//! A check as Markdown, for step summaries and reviews. Everything from a server is escaped.

use super::check::CheckReport;
use super::check_pages::page_address;
use super::markdown::{cell, prose};
use super::words::{count, severity};
use std::fmt::Write as _;

/// Longest text before the last row, in bytes: a comment on GitHub holds 65,536 characters.
const TEXT_BYTES_MAX: usize = 60_000;

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
    // The worst come first.
    let mut rows = 0;
    for finding in report.findings.iter() {
        let then: Vec<_> =
            [&finding.tomorrow, &finding.policy].into_iter().filter(|it| !it.is_empty()).map(|it| prose(it)).collect();
        let mut message = prose(&finding.message);
        for (sign, piece) in [("−", &finding.was), ("+", &finding.now)] {
            if !piece.is_empty() {
                let _ = write!(message, "<br>{sign} {}", cell(piece));
            }
        }
        let row = format!(
            "| {} | [{}]({}) | {} | {message} | {} |\n",
            severity(finding.severity),
            finding.code,
            page_address(finding.code),
            cell(&finding.server),
            then.join("; ")
        );
        if out.len() + row.len() > TEXT_BYTES_MAX {
            break;
        }
        out.push_str(&row);
        rows += 1;
    }
    if report.findings.len() > rows {
        let _ = writeln!(out, "\nand {} more", report.findings.len() - rows);
    }
    out
}
