//! SARIF 2.1.0 (OASIS), for code scanning in a forge: each finding with its place in the file.

use crate::model::Severity;
use crate::problem::Place;
use serde_json::Value;
use serde_sarif::sarif::{
    ArtifactLocation, Location, LogicalLocation, Message, MultiformatMessageString, PhysicalLocation, Region,
    ReportingDescriptor, Result as Finding, ResultLevel, Run, Sarif, Tool, ToolComponent,
};
use std::fmt::Write as _;

/// One result.
#[derive(Clone, Debug)]
pub struct SarifResult {
    /// Id of the check; one of those given to [`sarif`].
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, with the next step. Escaped here.
    pub message: String,
    /// The file as the user named it.
    pub file: String,
    /// Where it begins and ends there.
    pub place: Option<(Place, Place)>,
    /// The part of the document, as JSON Pointer.
    pub pointer: String,
}

/// Results of checks as one SARIF document. `rules` are all checks with what they mean.
///
/// # Errors
/// The document cannot be printed, which is a defect.
pub fn sarif(rules: &[(&str, &str)], results: &[SarifResult]) -> Result<String, serde_json::Error> {
    let rule = |(id, says): &(&str, &str)| {
        let says = MultiformatMessageString::builder().text(sentence(says)).build();
        ReportingDescriptor::builder().id(*id).short_description(says).build()
    };
    let driver = ToolComponent::builder()
        .name("mcpol")
        .version(env!("CARGO_PKG_VERSION"))
        .rules(rules.iter().map(rule).collect::<Vec<_>>())
        .build();
    let findings: Vec<Finding> = results
        .iter()
        .map(|result| {
            let index = rules.iter().position(|(id, _)| *id == result.rule);
            Finding::builder()
                .rule_id(result.rule.clone())
                .rule_index(index.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
                .level(level(result.severity))
                .message(Message::builder().text(message(&sentence(&result.message))).build())
                .locations(vec![location(result)])
                .build()
        })
        .collect();
    let run = Run::builder()
        .tool(Tool::builder().driver(driver).build())
        .column_kind(Value::from("unicodeCodePoints"))
        .results(findings)
        .build();
    let document = Sarif::builder()
        .schema("https://json.schemastore.org/sarif-2.1.0.json")
        .version(Value::from("2.1.0"))
        .runs(vec![run])
        .build();
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

fn level(severity: Severity) -> ResultLevel {
    match severity {
        Severity::Note => ResultLevel::Note,
        Severity::Warning => ResultLevel::Warning,
        Severity::Error => ResultLevel::Error,
    }
}

fn location(result: &SarifResult) -> Location {
    let artifact = ArtifactLocation::builder().uri(uri(&result.file)).build();
    let (start, end) = result.place.unwrap_or((Place { line: 1, column: 1 }, Place { line: 1, column: 1 }));
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let region = Region::builder()
        .start_line(number(start.line))
        .start_column(number(start.column))
        .end_line(number(end.line))
        .end_column(number(end.column))
        .build();
    let physical = PhysicalLocation::builder().artifact_location(artifact).region(region).build();
    let logical = LogicalLocation::builder().fully_qualified_name(crate::text::escape(&result.pointer)).build();
    Location::builder().physical_location(physical).logical_locations(vec![logical]).build()
}

/// Text as a SARIF message: hidden characters are spelled out, and brackets are escaped, so that no word of a server
/// becomes a link (SARIF 2.1.0, section 3.11.6).
pub(super) fn message(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in crate::text::escape(text).chars() {
        if matches!(c, '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A path as a URI reference (RFC 3986): what is not plain is percent-encoded, and a relative one stays relative, so
/// that code scanning finds the file.
pub(super) fn uri(file: &str) -> String {
    let file = file.replace('\\', "/");
    let file = file.trim_start_matches("./");
    let mut out = String::with_capacity(file.len());
    if file.starts_with('/') {
        out.push_str("file://");
    }
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// With a capital letter and a full stop, as SARIF viewers show messages.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let mut out: String = chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default();
    if !out.ends_with(['.', '?', '!']) {
        out.push('.');
    }
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("./mcpol.lock"), "mcpol.lock");
        assert_eq!(uri("a b/ü.json"), "a%20b/%C3%BC.json");
        assert_eq!(uri("/srv/mcpol.lock"), "file:///srv/mcpol.lock");
        assert_eq!(uri(".\\policies\\a.json"), "policies/a.json");
    }

    #[test]
    fn a_result_has_its_place_and_no_hidden_characters() {
        let result = SarifResult {
            rule: "a".to_owned(),
            severity: Severity::Warning,
            message: "the tool `x\u{202e}` is odd, see [here](https://a.example)".to_owned(),
            file: "my policy.json".to_owned(),
            place: Some((Place { line: 2, column: 3 }, Place { line: 4, column: 5 })),
            pointer: "/tools/x".to_owned(),
        };
        let text = sarif(&[("a", "something")], &[result]).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let found = &value["runs"][0]["results"][0];
        assert_eq!(found["message"]["text"], "The tool `x\\u{202e}` is odd, see \\[here\\](https://a.example).");
        let place = &found["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "my%20policy.json");
        assert_eq!(
            place["region"],
            serde_json::json!({"startLine": 2, "startColumn": 3, "endLine": 4, "endColumn": 5})
        );
        // Reads back as what the standard's types allow.
        assert!(serde_json::from_str::<Sarif>(&text).is_ok());
    }
}
