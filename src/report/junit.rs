//! Findings as JUnit XML: one suite a server, one test a finding, as GitLab and others show it.

use super::check::{CheckFinding, CheckReport};
use super::words::severity;
use crate::model::Severity;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The findings as test cases. Warnings and errors are failures; notes pass, with their text.
pub fn check_junit(report: &CheckReport) -> String {
    let failures = report.findings.iter().filter(fails).count();
    let tests = report.findings.len() + report.failed.len();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let errors = report.failed.len();
    let _ = writeln!(
        out,
        "<testsuites name=\"mcpol check\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">"
    );
    let mut servers: BTreeMap<&str, Vec<&CheckFinding>> = BTreeMap::new();
    for finding in &report.findings {
        servers.entry(&finding.server).or_default().push(finding);
    }
    for (server, findings) in servers {
        let failures = findings.iter().copied().filter(fails).count();
        let (name, tests) = (xml(server), findings.len());
        let _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">");
        for finding in findings {
            case(&mut out, finding, &name);
        }
        out.push_str("  </testsuite>\n");
    }
    for failed in &report.failed {
        let name = xml(failed.server.as_str());
        let _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"1\" failures=\"0\" errors=\"1\">");
        let _ = writeln!(out, "    <testcase classname=\"{name}\" name=\"listed\">");
        let _ = writeln!(out, "      <error message=\"not checked\">{}</error>", xml(&failed.error));
        out.push_str("    </testcase>\n  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn fails(finding: &&CheckFinding) -> bool {
    finding.severity > Severity::Note
}

fn case(out: &mut String, finding: &CheckFinding, server: &str) {
    let name = match &finding.tool {
        Some(tool) => format!("{} {tool}: {}", finding.code, finding.code.title()),
        None => format!("{}: {}", finding.code, finding.code.title()),
    };
    let file = xml(&finding.file);
    let _ = writeln!(
        out,
        "    <testcase classname=\"{server}\" name=\"{}\" file=\"{file}\" line=\"{}\">",
        xml(&name),
        finding.line
    );
    let sentence = xml(&finding.sentence());
    let text = format!("{}:{}: {}", file, finding.line, xml(&finding.with_pieces()));
    let _ = match finding.severity {
        Severity::Note => writeln!(out, "      <system-out>{text}</system-out>"),
        Severity::Warning | Severity::Error => writeln!(
            out,
            "      <failure type=\"{}\" message=\"{sentence}\">{text}</failure>",
            severity(finding.severity)
        ),
    };
    out.push_str("    </testcase>\n");
}

/// Text for XML 1.0: what the escape leaves are characters that XML admits, but for a few that no document may hold.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in crate::text::escape(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
