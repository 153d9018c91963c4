//! A check as JUnit XML: one suite a server; a test for the server, and one for each finding, as GitLab and others show
//! it.

use super::check::{CheckFinding, CheckReport};
use super::words::{count, severity};
use crate::model::Severity;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What was checked as test cases. Warnings and errors are failures; notes pass, with their text; a server that could
/// not be listed is an error.
pub fn check_junit(report: &CheckReport) -> String {
    let mut suites: BTreeMap<&str, (usize, Vec<&CheckFinding>)> = BTreeMap::new();
    for checked in &report.checked {
        suites.entry(&checked.server).or_default().0 += checked.tools;
    }
    for finding in &report.findings {
        suites.entry(&finding.server).or_default().1.push(finding);
    }
    let failures = report.findings.iter().filter(fails).count();
    let errors = report.failed.len();
    let tests = suites.len() + report.findings.len() + errors;
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"mcpol check\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\">"
    );
    for (server, (compared, findings)) in suites {
        let failures = findings.iter().copied().filter(fails).count();
        let (name, tests) = (xml(server), findings.len() + 1);
        let _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">");
        let compared = count(compared, "tool");
        let _ = writeln!(out, "    <testcase classname=\"{name}\" name=\"compared with the lock: {compared}\"/>");
        for finding in findings {
            case(&mut out, finding, &name);
        }
        out.push_str("  </testsuite>\n");
    }
    for failed in &report.failed {
        let name = xml(failed.server.as_str());
        let _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"1\" failures=\"0\" errors=\"1\">");
        let _ = writeln!(out, "    <testcase classname=\"{name}\" name=\"listed\">");
        let _ = writeln!(out, "      <error message=\"not checked\">{}</error>", lines(&failed.error));
        out.push_str("    </testcase>\n  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn fails(finding: &&CheckFinding) -> bool {
    finding.severity > Severity::Note
}

fn case(out: &mut String, finding: &CheckFinding, server: &str) {
    let name = match (&finding.tool, &finding.extra) {
        (Some(tool), _) => format!("{} {tool}: {}", finding.code, finding.code.title()),
        (None, Some(extra)) => format!("{} {} {}: {}", finding.code, extra.kind, extra.key, finding.code.title()),
        (None, None) => format!("{}: {}", finding.code, finding.code.title()),
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

/// Several lines of text for the body of an element.
fn lines(text: &str) -> String {
    text.lines().map(xml).collect::<Vec<_>>().join("\n")
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

#[cfg(test)]
mod tests {
    use super::super::check::{CheckReport, CheckSummary, CheckedServer};
    use super::super::scan::Failed;
    use super::*;
    use crate::model::ServerName;

    #[test]
    fn a_clean_server_is_a_test_that_passed_and_a_failed_one_an_error_on_its_own_lines() {
        let checked = vec![CheckedServer { server: "a&b".to_owned(), tools: 2 }];
        let failed = Failed { server: ServerName::new("c"), error: "no answer\n  help: wait".to_owned() };
        let report = CheckReport::new("l", Vec::new(), CheckSummary::default(), vec![failed]).with_checked(checked);
        let text = check_junit(&report);
        assert!(text.contains("<testsuites name=\"mcpol check\" tests=\"2\" failures=\"0\" errors=\"1\">"), "{text}");
        assert!(text.contains("<testcase classname=\"a&amp;b\" name=\"compared with the lock: 2 tools\"/>"), "{text}");
        assert!(text.contains("<error message=\"not checked\">no answer\n  help: wait</error>"), "{text}");
    }
}
