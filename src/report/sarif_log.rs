//! One run of SARIF 2.1.0 (OASIS) as code scanning takes it: what `check`, `policy check` and `scan` have in common.
//!
//! Code scanning takes the severity of an alert from its rule and not from the result, so a code that can be a note or an
//! error has a rule for each.

use super::sarif::{message, uri};
use super::scan::Failed;
use crate::model::Severity;
use crate::problem::Place;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Most results of one log: code scanning takes no more from one run.
pub(super) const RESULTS_MAX: usize = 5_000;

/// A rule: a code with one severity.
pub(super) struct LogRule {
    /// The code, with the severity behind it where the code has several.
    pub id: String,
    /// The code, which is what earlier logs called the rule.
    pub code: String,
    /// The name as the identifier that SARIF asks for.
    pub name: String,
    /// A few words.
    pub title: String,
    /// A sentence or two.
    pub text: String,
    /// What to do.
    pub help: String,
    /// The page as Markdown.
    pub markdown: String,
    /// Where the page is.
    pub address: String,
    /// The severity of every result under this rule.
    pub severity: Severity,
}

/// One result.
pub(super) struct LogResult {
    /// Id of its rule.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
    /// File, line and column; none where nothing in a file is meant.
    pub place: Option<(String, usize, usize)>,
    /// Where what is meant ends, where that is known.
    pub end: Option<Place>,
    /// What it is about: server, and tool behind a slash, or the part of a document. Escaped.
    pub about: String,
    /// What stays the same when lines move.
    pub fingerprint: String,
    /// The fingerprint for each tool, where it is about several.
    pub fingerprints: Vec<String>,
}

/// Everything around the results.
pub(super) struct Log<'a> {
    /// The analysis, with a slash at the end; runs of one analysis replace each other.
    pub analysis: String,
    /// SHA-256 over the rules that the classes are made with; empty where that is not known.
    pub rules_fingerprint: &'a str,
    /// Every rule.
    pub rules: Vec<LogRule>,
    /// The results.
    pub results: Vec<LogResult>,
    /// Servers that could not be listed.
    pub failed: &'a [Failed],
    /// Results that are not listed.
    pub left_out: usize,
}

/// The log as text.
///
/// # Errors
/// Never in practice: the log holds nothing that JSON cannot say.
pub(super) fn log(log: &Log<'_>) -> serde_json::Result<String> {
    let mut notifications: Vec<_> = log
        .failed
        .iter()
        .map(|failed| {
            let first = failed.error.lines().next().unwrap_or_default();
            json!({"level": "error", "message": {"text": message(&format!("{}: {first}", failed.server))}})
        })
        .collect();
    let unlisted = log.results.len().saturating_sub(RESULTS_MAX) + log.left_out;
    if unlisted > 0 {
        let text = format!("{unlisted} more findings are not listed");
        notifications.push(json!({"level": "warning", "message": {"text": text}}));
    }
    let mut driver = json!({
        "name": "mcpol",
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": log.rules.iter().map(rule).collect::<Vec<_>>(),
    });
    if !log.rules_fingerprint.is_empty() {
        driver["properties"] = json!({"rulesFingerprint": log.rules_fingerprint});
    }
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": driver},
            "automationDetails": {"id": log.analysis},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": log.failed.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": log.results.iter().take(RESULTS_MAX).map(|found| result(log, found)).collect::<Vec<_>>(),
        }],
    });
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

fn rule(rule: &LogRule) -> Value {
    let mut value = json!({
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.text},
        "help": {"text": rule.help, "markdown": rule.markdown},
        "helpUri": rule.address,
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {"tags": ["security", "mcp"], "security-severity": security_severity(rule.severity)},
    });
    if rule.id != rule.code {
        value["deprecatedIds"] = json!([rule.code]);
    }
    value
}

fn result(log: &Log<'_>, found: &LogResult) -> Value {
    let index = log.rules.iter().position(|rule| rule.id == found.rule);
    let mut location = json!({"logicalLocations": [{"fullyQualifiedName": found.about}]});
    if let Some((file, line, column)) = &found.place {
        location["physicalLocation"] = json!({
            "artifactLocation": {"uri": uri(file)},
            "region": {"startLine": line, "startColumn": column},
        });
        if let Some(end) = found.end {
            let region = &mut location["physicalLocation"]["region"];
            (region["endLine"], region["endColumn"]) = (end.line.into(), end.column.into());
        }
    }
    let mut result = json!({
        "ruleId": found.rule,
        "ruleIndex": index,
        "level": level(found.severity),
        "message": {"text": message(&found.text)},
        "locations": [location],
        "partialFingerprints": {"mcpol/v1": found.fingerprint},
    });
    if !found.fingerprints.is_empty() {
        result["properties"] = json!({"fingerprints": found.fingerprints});
    }
    result
}

/// The id of the rule for a code with this severity, where the code is raised with severities from one to another.
pub(super) fn rule_id(code: &str, severity: Severity, (least, worst): (Severity, Severity)) -> String {
    if least == worst { code.to_owned() } else { format!("{code}-{}", level(severity)) }
}

/// What tells a result from others: 16 bytes of SHA-256 over its parts as JSON, in hex.
pub(super) fn digest(parts: &impl Serialize) -> String {
    let identity = serde_json::to_string(parts).unwrap_or_default();
    Sha256::digest(identity.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Every severity from one to another.
pub(super) fn severities((least, worst): (Severity, Severity)) -> impl Iterator<Item = Severity> {
    [Severity::Note, Severity::Warning, Severity::Error].into_iter().filter(move |it| *it >= least && *it <= worst)
}

/// Words as the identifier that SARIF asks for: `SchemaOpened`.
pub(super) fn identifier(words: &str) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars().filter(char::is_ascii_alphanumeric);
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    };
    words.split([' ', '-']).map(capital).collect()
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
    fn a_code_with_several_severities_has_a_rule_for_each() {
        let all = (Severity::Note, Severity::Error);
        assert_eq!(rule_id("D001", Severity::Note, all), "D001-note");
        assert_eq!(rule_id("D004", Severity::Note, (Severity::Note, Severity::Note)), "D004");
        assert_eq!(severities(all).count(), 3);
        assert_eq!(severities((Severity::Warning, Severity::Error)).count(), 2);
    }

    #[test]
    fn names_are_identifiers() {
        assert_eq!(identifier("schema opened"), "SchemaOpened");
        assert_eq!(identifier("lethal-trifecta"), "LethalTrifecta");
    }
}
