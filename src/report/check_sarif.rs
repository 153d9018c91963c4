//! A check as SARIF 2.1.0 (OASIS): rules with their pages, results with places and fingerprints that survive line moves.

use super::check::{CheckFinding, CheckReport};
use super::check_pages::{check_page, page_address};
use super::sarif_log::{Log, LogResult, LogRule, identifier, log, rule_id, severities};
use crate::code::Code;
use crate::model::Severity;
use crate::text::escape;

/// The findings as one run; each lock is an analysis of its own.
///
/// # Errors
/// Never in practice: the log holds nothing that JSON cannot say.
pub fn check_sarif(report: &CheckReport, rules_fingerprint: &str) -> serde_json::Result<String> {
    log(&Log {
        analysis: format!("mcpol/check/{}/", report.lock.trim_matches('/')),
        rules_fingerprint,
        rules: rules(),
        results: report.findings.iter().map(result).collect(),
        failed: &report.failed,
        left_out: report.summary.left_out,
    })
}

/// The rule for each code and severity.
pub(super) fn rules() -> Vec<LogRule> {
    Code::ALL.iter().flat_map(|&code| severities(code.severities()).map(move |severity| rule(code, severity))).collect()
}

fn rule(code: Code, severity: Severity) -> LogRule {
    LogRule {
        id: rule_id(code.as_str(), severity, code.severities()),
        code: code.as_str().to_owned(),
        name: identifier(code.title()),
        title: code.title().to_owned(),
        text: paragraph(check_page(code)),
        help: code.help().to_owned(),
        markdown: check_page(code).to_owned(),
        address: page_address(code),
        severity,
    }
}

/// The first paragraph below the title.
fn paragraph(page: &str) -> String {
    let body = page.split("\n\n").nth(1).unwrap_or_default();
    body.replace('\n', " ")
}

fn result(finding: &CheckFinding) -> LogResult {
    let about = match (&finding.tool, &finding.extra) {
        (Some(tool), _) => format!("{}/{}", escape(&finding.server), escape(tool)),
        (None, Some(extra)) => format!("{}/{}:{}", escape(&finding.server), extra.kind, escape(&extra.key)),
        (None, None) => escape(&finding.server).into_owned(),
    };
    LogResult {
        rule: rule_id(finding.code.as_str(), finding.severity, finding.code.severities()),
        severity: finding.severity,
        text: finding.with_pieces(),
        place: Some((finding.file.clone(), finding.line, finding.column)),
        end: None,
        about,
        fingerprint: finding.fingerprint.clone(),
        fingerprints: finding.fingerprints.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_its_rule() {
        for code in Code::ALL {
            assert!(identifier(code.title()).chars().all(|c| c.is_ascii_alphanumeric()), "{code}");
            for severity in severities(code.severities()) {
                let rule = rule(*code, severity);
                assert!(rule.id.starts_with(code.as_str()) && !rule.text.is_empty(), "{code}");
            }
        }
    }
}
