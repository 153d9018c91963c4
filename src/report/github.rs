//! Findings as annotations of GitHub Actions: one workflow command a line.

use super::check::{CheckFinding, CheckReport};
use crate::model::Severity;
use std::fmt::Write as _;

/// The findings as workflow commands. GitHub shows the first ten of each kind of a step.
pub fn check_github(report: &CheckReport) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let CheckFinding { code, line, column, .. } = finding;
        let title = property(&format!("{code}: {}", code.title()));
        let _ = writeln!(
            out,
            "::{command} file={},line={line},col={column},title={title}::{}",
            property(&finding.file),
            data(&format!("{} ({})", finding.with_pieces(), finding.server))
        );
    }
    for failed in &report.failed {
        let first = failed.error.lines().next().unwrap_or_default();
        let _ = writeln!(out, "::error title=not checked::{}", data(&format!("{}: {first}", failed.server)));
    }
    out
}

/// A message: a line break would begin another command.
fn data(text: &str) -> String {
    let escaped = crate::text::escape(text);
    escaped.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A value among the properties, which end at a comma or a colon.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_begins_a_command_or_a_property() {
        assert_eq!(data("a\n::error::b 5%"), "a\\n::error::b 5%25");
        assert_eq!(property("a,line=1:b"), "a%2Cline=1%3Ab");
    }
}
