//! The findings of a scan as SARIF 2.1.0 (OASIS), for code scanning in a forge.

use super::sarif_log::{Log, LogResult, LogRule, identifier, log, rule_id, severities};
use super::scan::{ScanReport, ScannedServer};
use crate::classify::findings::KINDS;
use crate::model::{Finding, ServerSource, Severity};
use crate::text::escape;
use sha2::{Digest as _, Sha256};

/// The findings as one run. `configuration` is the file that servers without a file of their own stand in, if there is
/// one; code scanning shows no result without a file. `from_top` makes paths that begin at the repository's top.
///
/// # Errors
/// Never in practice: the log holds nothing that JSON cannot say.
pub fn scan_sarif(
    report: &ScanReport<'_>,
    rules_fingerprint: &str,
    configuration: Option<&str>,
    from_top: &dyn Fn(&str) -> String,
) -> serde_json::Result<String> {
    let mut results = Vec::new();
    for server in &report.servers {
        let about_tools = server.tools.iter().flat_map(|tool| tool.findings);
        let place = place(server, configuration, from_top);
        let each = server.findings.iter().copied().chain(about_tools);
        results.extend(each.map(|finding| of_server(server, finding, place.clone())));
    }
    for found in &report.set_findings {
        let about: Vec<_> =
            found.tools.iter().map(|it| format!("{}/{}", escape(&it.server), escape(&it.tool))).collect();
        let place = configuration.map(|file| (file.to_owned(), 1, 1));
        results.push(one(&found.id, found.severity, &found.message, about.join(", "), place));
    }
    log(&Log {
        analysis: "mcpol/scan/".to_owned(),
        rules_fingerprint,
        rules: rules(),
        results,
        failed: &report.failed,
        left_out: 0,
    })
}

fn rules() -> Vec<LogRule> {
    let all = KINDS.iter().flat_map(|kind| {
        severities((Severity::Note, kind.severity)).map(move |severity| LogRule {
            id: rule_id(kind.id, severity, (Severity::Note, kind.severity)),
            code: kind.id.to_owned(),
            name: identifier(kind.id),
            title: kind.title.to_owned(),
            text: kind.meaning.to_owned(),
            help: kind.advice.to_owned(),
            markdown: format!("{}\n\n{}", kind.meaning, kind.advice),
            address: format!("{}#{}", super::check_pages::address("docs/findings.md"), kind.id),
            severity,
        })
    });
    all.collect()
}

fn place(
    server: &ScannedServer<'_>,
    configuration: Option<&str>,
    from_top: &dyn Fn(&str) -> String,
) -> Option<(String, usize, usize)> {
    match server.source {
        ServerSource::File { path, .. } if path != "-" => Some((from_top(path), 1, 1)),
        ServerSource::File { .. } | ServerSource::Command { .. } | ServerSource::Url { .. } | ServerSource::Sample => {
            configuration.map(|file| (file.to_owned(), 1, 1))
        }
    }
}

fn of_server(server: &ScannedServer<'_>, finding: &Finding, place: Option<(String, usize, usize)>) -> LogResult {
    let name = escape(server.server.as_str()).into_owned();
    let about = if finding.tool.is_empty() { name } else { format!("{name}/{}", escape(&finding.tool)) };
    let text = if finding.tool.is_empty() {
        format!("{}: {}", server.server, finding.message)
    } else {
        format!("{}, tool `{}`: {}", server.server, crate::text::excerpt(&finding.tool, 60), finding.message)
    };
    one(&finding.id, finding.severity, &text, about, place)
}

fn one(id: &str, severity: Severity, text: &str, about: String, place: Option<(String, usize, usize)>) -> LogResult {
    let kind = crate::classify::findings::find(id);
    let worst = kind.map_or(severity, |kind| kind.severity.max(severity));
    let identity = serde_json::to_string(&(id, &about, text)).unwrap_or_default();
    let digest = Sha256::digest(identity.as_bytes());
    LogResult {
        rule: rule_id(id, severity, (Severity::Note, worst)),
        severity,
        text: text.to_owned(),
        place,
        about,
        fingerprint: digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        fingerprints: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_rule_for_each_severity_that_it_may_have() {
        let rules = rules();
        for kind in KINDS {
            let found = one(kind.id, kind.severity, "x", String::new(), None);
            assert!(rules.iter().any(|rule| rule.id == found.rule && rule.severity == found.severity), "{}", kind.id);
        }
    }
}
