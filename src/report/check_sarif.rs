//! A check as SARIF 2.1.0 (OASIS): rules with their pages, results with places and fingerprints that survive line moves.

use super::check::{CheckFinding, CheckReport};
use super::check_pages::check_page;
use super::sarif::{message, uri};
use crate::catalog::drift::Code;
use crate::model::Severity;
use crate::text::escape;
use serde_json::{Value, json};

/// Most results of one log: code scanning takes no more from one run.
const RESULTS_MAX: usize = 5_000;

/// The findings as one run.
///
/// # Errors
/// Never in practice: the log holds nothing that JSON cannot say.
pub fn check_sarif(report: &CheckReport) -> serde_json::Result<String> {
    let results: Vec<_> = report.findings.iter().take(RESULTS_MAX).map(result).collect();
    let mut notifications: Vec<_> = report
        .failed
        .iter()
        .map(|failed| {
            let first = failed.error.lines().next().unwrap_or_default();
            json!({"level": "error", "message": {"text": message(&format!("{}: {first}", failed.server))}})
        })
        .collect();
    let unlisted = report.findings.len().saturating_sub(RESULTS_MAX) + report.summary.left_out;
    if unlisted > 0 {
        notifications
            .push(json!({"level": "warning", "message": {"text": format!("{unlisted} more findings are not listed")}}));
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "mcpol",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": Code::ALL.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            }},
            "automationDetails": {"id": "mcpol/check"},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": report.failed.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&log)?;
    text.push('\n');
    Ok(text)
}

fn rule(code: Code) -> Value {
    let (_, worst) = code.severities();
    json!({
        "id": code.as_str(),
        "name": name_of(code),
        "shortDescription": {"text": code.title()},
        "fullDescription": {"text": paragraph(check_page(code))},
        "help": {"text": code.help(), "markdown": check_page(code)},
        "defaultConfiguration": {"level": level(worst)},
        "properties": {"tags": ["security", "mcp"], "security-severity": security_severity(worst)},
    })
}

/// The title as the identifier that SARIF asks for: `SchemaOpened`.
fn name_of(code: Code) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    };
    code.title().split(' ').map(capital).collect()
}

/// The first paragraph below the title.
fn paragraph(page: &str) -> String {
    let body = page.split("\n\n").nth(1).unwrap_or_default();
    body.replace('\n', " ")
}

fn result(finding: &CheckFinding) -> Value {
    let index = Code::ALL.iter().position(|code| *code == finding.code);
    let name = match &finding.tool {
        Some(tool) => format!("{}/{}", escape(&finding.server), escape(tool)),
        None => escape(&finding.server).into_owned(),
    };
    json!({
        "ruleId": finding.code.as_str(),
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": {"text": message(&finding.with_pieces())},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&finding.file)},
                "region": {"startLine": finding.line, "startColumn": finding.column},
            },
            "logicalLocations": [{"fullyQualifiedName": name}],
        }],
        "partialFingerprints": {"mcpol/v1": finding.fingerprint},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The number that code scanning sorts by (0 to 10).
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "2.0",
        Severity::Warning => "5.0",
        Severity::Error => "8.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers() {
        assert_eq!(name_of(Code::D020), "SchemaOpened");
        assert!(Code::ALL.iter().all(|code| name_of(*code).chars().all(|c| c.is_ascii_alphanumeric())));
    }
}
