//! The findings of a scan as SARIF 2.1.0 (OASIS), for code scanning in a forge.

use super::sarif_log::{Log, LogResult, LogRule, digest, identifier, log, rule_id, severities};
use super::scan::{ScanReport, ScannedServer};
use crate::classify::findings::KINDS;
use crate::model::{Finding, ServerSource, Severity};
use crate::text::escape;

/// The findings as one run. `configurations` are path, from the repository's top, and text of the files that servers
/// without a file of their own stand in; code scanning shows no result without a file. `from_top` makes such paths.
///
/// # Errors
/// Never in practice: the log holds nothing that JSON cannot say.
pub fn scan_sarif(
    report: &ScanReport<'_>,
    rules_fingerprint: &str,
    configurations: &[(String, String)],
    from_top: &dyn Fn(&str) -> String,
) -> serde_json::Result<String> {
    let mut results = Vec::new();
    for server in &report.servers {
        let about_tools = server.tools.iter().flat_map(|tool| tool.findings);
        let place = place(server, configurations, from_top);
        let each = server.findings.iter().copied().chain(about_tools);
        results.extend(each.map(|finding| of_server(server, finding, place.clone())));
    }
    for found in &report.set_findings {
        let about: Vec<_> =
            found.tools.iter().map(|it| format!("{}/{}", escape(&it.server), escape(&it.tool))).collect();
        let first = found.tools.first().and_then(|tool| entry(tool.server.as_str(), configurations));
        results.push(one(&found.id, found.severity, &found.message, about.join(", "), first));
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

type Location = (String, usize, usize);

fn place(
    server: &ScannedServer<'_>,
    configurations: &[(String, String)],
    from_top: &dyn Fn(&str) -> String,
) -> Option<Location> {
    match server.source {
        ServerSource::File { path, .. } if path != "-" => Some((from_top(path), 1, 1)),
        ServerSource::File { .. } | ServerSource::Command { .. } | ServerSource::Url { .. } | ServerSource::Sample => {
            entry(server.server.as_str(), configurations)
        }
    }
}

/// Where a server's name stands as a key in JSON or as a section in TOML; else the top of the file, if there is one only.
fn entry(server: &str, configurations: &[(String, String)]) -> Option<Location> {
    let key = serde_json::to_string(server).unwrap_or_default();
    let section = [format!(".{server}]"), format!(".{key}]")];
    let column = |line: &str| {
        let text = line.trim_start();
        let indent = line.chars().count() - text.chars().count();
        let is_section = text.starts_with('[') && section.iter().any(|end| text.trim_end().ends_with(end));
        let at = line.find(&key).filter(|at| line[at + key.len()..].trim_start().starts_with(':'));
        at.map(|at| line[..at].chars().count() + 1).or(is_section.then_some(indent + 1))
    };
    let found = configurations.iter().find_map(|(file, text)| {
        let mut lines = text.lines().enumerate();
        lines.find_map(|(at, line)| Some((file.clone(), at + 1, column(line)?)))
    });
    found.or_else(|| match configurations {
        [(file, _)] => Some((file.clone(), 1, 1)),
        _ => None,
    })
}

fn of_server(server: &ScannedServer<'_>, finding: &Finding, place: Option<Location>) -> LogResult {
    let name = escape(server.server.as_str()).into_owned();
    let about = if finding.tool.is_empty() { name } else { format!("{name}/{}", escape(&finding.tool)) };
    let text = if finding.tool.is_empty() {
        format!("{}: {}", server.server, finding.message)
    } else {
        format!("{}, tool `{}`: {}", server.server, crate::text::excerpt(&finding.tool, 60), finding.message)
    };
    one(&finding.id, finding.severity, &text, about, place)
}

fn one(id: &str, severity: Severity, text: &str, about: String, place: Option<Location>) -> LogResult {
    let kind = crate::classify::findings::find(id);
    let worst = kind.map_or(severity, |kind| kind.severity.max(severity));
    let fingerprint = digest(&(id, &about, text));
    LogResult {
        rule: rule_id(id, severity, (Severity::Note, worst)),
        severity,
        text: text.to_owned(),
        place,
        end: None,
        about,
        fingerprint,
        fingerprints: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_file_of_its_own_is_shown_where_it_is_configured() {
        let json = "{\n  \"mcpServers\": {\n    \"a\": {\"command\": \"a\"},\n    \"b\" : {}\n  }\n}";
        let both = [("x.json".to_owned(), json.to_owned()), ("y.toml".to_owned(), "\n[mcp_servers.c]\n".to_owned())];
        assert_eq!(entry("a", &both), Some(("x.json".to_owned(), 3, 5)));
        assert_eq!(entry("b", &both), Some(("x.json".to_owned(), 4, 5)));
        assert_eq!(entry("c", &both), Some(("y.toml".to_owned(), 2, 1)));
        assert_eq!(entry("d", &both), None);
        assert_eq!(entry("d", &both[..1]), Some(("x.json".to_owned(), 1, 1)));
    }

    #[test]
    fn every_kind_has_a_rule_for_each_severity_that_it_may_have() {
        let rules = rules();
        for kind in KINDS {
            let found = one(kind.id, kind.severity, "x", String::new(), None);
            assert!(rules.iter().any(|rule| rule.id == found.rule && rule.severity == found.severity), "{}", kind.id);
        }
    }
}
