//! One name for two things: a tool declared twice on a server, and the same tool name on several servers.

use super::kinds::finding;
use crate::model::{
    Category, Classified, FINDING_TOOLS_MAX, Finding, SetFinding, Severity, ToolDefinition, ToolReference,
};
use crate::text::{escape, excerpt};
use std::collections::{BTreeMap, BTreeSet};

/// Most names that a message lists.
const NAMED_MAX: usize = 3;
/// Longest name inside a message, in characters.
const NAME_CHARS_MAX: usize = 60;

/// Names that one server declares more than once with different definitions.
pub(super) fn declared_twice(tools: &[ToolDefinition]) -> Vec<Finding> {
    let mut definitions: BTreeMap<&str, Vec<&ToolDefinition>> = BTreeMap::new();
    for tool in tools {
        definitions.entry(tool.name.as_str()).or_default().push(tool);
    }
    let differ = |same: &[&ToolDefinition]| {
        let first = same[0].fingerprint();
        same[1..].iter().any(|other| other.fingerprint() != first)
    };
    definitions
        .into_iter()
        .filter(|(_, same)| same.len() > 1 && differ(same))
        .map(|(name, same)| {
            let message = format!(
                "`{}` is declared {} times with different definitions",
                excerpt(name, NAME_CHARS_MAX),
                same.len()
            );
            finding("declared-twice", Severity::Warning, name, message)
        })
        .collect()
}

/// Tool names that several servers offer: one finding for each group of servers, so that two alike servers with forty
/// common names are one line and not forty.
pub(super) fn of_set(set: &[Classified]) -> Vec<SetFinding> {
    let mut owners: BTreeMap<&str, BTreeMap<&str, BTreeSet<Category>>> = BTreeMap::new();
    for classified in set {
        for (tool, verdict) in classified.listing.tools.iter().zip(&classified.verdicts) {
            let servers = owners.entry(tool.name.as_str()).or_default();
            servers.entry(classified.listing.server.as_str()).or_default().insert(verdict.category);
        }
    }
    let mut groups: BTreeMap<(Severity, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for (name, servers) in &owners {
        if servers.len() > 1 {
            // The dangerous mistake is to mean the one that reads and to get the one that does not.
            let reads = servers.values().any(|categories| categories.iter().eq([&Category::Read]));
            let acts = servers.values().any(|categories| categories.iter().any(|category| *category != Category::Read));
            let severity = if reads && acts { Severity::Warning } else { Severity::Note };
            groups.entry((severity, servers.keys().copied().collect())).or_default().push(name);
        }
    }
    groups.into_iter().map(|((severity, servers), names)| describe(severity, &servers, &names)).collect()
}

fn describe(severity: Severity, servers: &[&str], names: &[&str]) -> SetFinding {
    let difference = if severity == Severity::Warning { ", but not with the same class" } else { "" };
    let both = if servers.len() == 2 { "both offer" } else { "all offer" };
    let message = format!("{} {both} {}{difference}", listed(servers), listed(names));
    let mut tools: Vec<_> = names
        .iter()
        .flat_map(|name| servers.iter().map(move |server| (name, server)))
        .take(FINDING_TOOLS_MAX)
        .map(|(name, server)| ToolReference {
            role: "same_name".to_owned(),
            server: (*server).to_owned(),
            tool: (*name).to_owned(),
        })
        .collect();
    tools.sort();
    SetFinding { id: "same-name".to_owned(), severity, message, tools }
}

/// Some names in backticks, and how many more there are.
pub(super) fn listed(names: &[&str]) -> String {
    let shown = if names.len() <= NAMED_MAX + 1 { names.len() } else { NAMED_MAX };
    let mut parts: Vec<_> =
        names[..shown].iter().map(|name| format!("`{}`", excerpt(&escape(name), NAME_CHARS_MAX))).collect();
    if shown < names.len() {
        parts.push(format!("{} more", names.len() - shown));
    }
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{server, tool, verdict};
    use super::*;
    use crate::model::BlastRadius;
    use serde_json::json;

    fn one(name: &str, category: Category) -> (ToolDefinition, crate::model::Verdict) {
        (tool(&json!({"name": name})), verdict(category, BlastRadius::Low, &[]))
    }

    #[test]
    fn one_name_on_two_servers_is_noted_and_warned_of_where_classes_differ() {
        let read = Category::Read;
        let a =
            server("a", vec![one("list", read), one("search", read), one("own", read), one("put", Category::Write)]);
        let b = server("b", vec![one("list", read), one("search", Category::Execute), one("put", Category::Write)]);
        let found = of_set(&[b, a]);
        let messages: Vec<_> = found.iter().map(|f| (f.severity, f.message.as_str())).collect();
        assert_eq!(
            messages,
            [
                (Severity::Note, "`a` and `b` both offer `list` and `put`"),
                (Severity::Warning, "`a` and `b` both offer `search`, but not with the same class"),
            ]
        );
        assert_eq!(found[0].tools.len(), 4);
    }

    #[test]
    fn the_named_tools_are_bounded() {
        let many = |name: &str| {
            server(name, (0..FINDING_TOOLS_MAX).map(|n| one(&format!("tool_{n:03}"), Category::Read)).collect())
        };
        let found = of_set(&[many("a"), many("b")]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].tools.len(), FINDING_TOOLS_MAX);
        assert_eq!(found[0].message, "`a` and `b` both offer `tool_000`, `tool_001`, `tool_002` and 97 more");
    }

    #[test]
    fn a_repeated_definition_is_quiet_and_a_different_one_is_not() {
        let tools = [
            tool(&json!({"name": "same"})),
            tool(&json!({"name": "same"})),
            tool(&json!({"name": "other"})),
            tool(&json!({"name": "other", "description": "x"})),
        ];
        let found = declared_twice(&tools);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "`other` is declared 2 times with different definitions");
    }
}
