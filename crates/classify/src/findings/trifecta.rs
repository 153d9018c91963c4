//! The lethal trifecta: private data, text from strangers and a way out, together in one set of tools.

use super::same_name::listed;
use crate::model::{
    BlastRadius, Category, Classified, FINDING_TOOLS_MAX, Flag, SetFinding, Severity, ToolReference, Verdict,
};
use std::collections::BTreeSet;

/// The three legs, in the order in which an attack walks them.
const LEGS: [(&str, Holds); 3] =
    [("private_data", holds_private), ("untrusted_content", lets_strangers_in), ("way_out", leads_out)];

/// At most one finding: the tools of each leg over all servers.
pub(super) fn of_set(set: &[Classified]) -> Option<SetFinding> {
    let mut tools = Vec::new();
    let mut sentences = Vec::new();
    let mut servers_of_legs = Vec::new();
    for (role, holds) in LEGS {
        let mut leg: Vec<(RankedName<'_>, &str)> = Vec::new();
        for classified in set {
            let server = classified.listing.server.as_str();
            for (tool, verdict) in classified.listing.tools.iter().zip(&classified.verdicts) {
                if holds(verdict) {
                    let rank = (std::cmp::Reverse(verdict.risk), server, tool.name.as_str());
                    leg.push((rank, server));
                }
            }
        }
        if leg.is_empty() {
            return None;
        }
        // Worst first, so that the few names that are shown are the ones that matter.
        leg.sort();
        leg.dedup();
        let several = set.len() > 1;
        let names: Vec<_> = leg
            .iter()
            .map(|((_, server, tool), _)| if several { format!("{server}/{tool}") } else { (*tool).to_owned() })
            .collect();
        sentences.push(listed(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        servers_of_legs.push(leg.iter().map(|(_, server)| *server).collect::<BTreeSet<_>>());
        tools.extend(leg.iter().take(FINDING_TOOLS_MAX / LEGS.len()).map(|((_, server, tool), _)| ToolReference {
            role: role.to_owned(),
            server: (*server).to_owned(),
            tool: (*tool).to_owned(),
        }));
    }
    tools.sort();
    let alone: Vec<_> = servers_of_legs[0]
        .iter()
        .filter(|server| servers_of_legs.iter().all(|leg| leg.contains(*server)))
        .copied()
        .collect();
    let mut message = format!(
        "together these tools read private data ({}), take in text from strangers ({}) and lead out ({})",
        sentences[0], sentences[1], sentences[2]
    );
    if set.len() > 1 && !alone.is_empty() {
        message.push_str(&format!(
            "; {} {} all three alone",
            listed(&alone),
            if alone.len() == 1 { "has" } else { "have" }
        ));
    }
    Some(SetFinding { id: "lethal-trifecta".to_owned(), severity: Severity::Warning, message, tools })
}

type Holds = fn(&Verdict) -> bool;
type RankedName<'a> = (std::cmp::Reverse<crate::model::RiskLevel>, &'a str, &'a str);

/// Returns what is private or secret.
fn holds_private(verdict: &Verdict) -> bool {
    let flagged = verdict.flags.contains(&Flag::PrivateData) || verdict.flags.contains(&Flag::Credential);
    // Setting a secret brings nothing in; a free-form statement or a command does read.
    let reads = match verdict.category {
        Category::Read | Category::Execute => true,
        Category::Write | Category::Delete => verdict.flags.contains(&Flag::PrivateData),
    };
    flagged && reads
}

/// Returns text that third parties wrote.
fn lets_strangers_in(verdict: &Verdict) -> bool {
    verdict.flags.contains(&Flag::UntrustedContent)
}

/// Sends content where the caller chooses, runs code that can, or fetches any URL, which can carry data in itself. A
/// search with a fixed provider is not counted: what leaves there goes to one party that the user has chosen.
fn leads_out(verdict: &Verdict) -> bool {
    verdict.flags.contains(&Flag::Egress)
        || verdict.flags.contains(&Flag::CodeExecution)
        || (verdict.flags.contains(&Flag::OpenWorld) && verdict.blast_radius >= BlastRadius::Medium)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{server, tool, verdict};
    use super::*;
    use crate::model::ToolDefinition;
    use serde_json::json;

    fn one(name: &str, category: Category, radius: BlastRadius, flags: &[Flag]) -> (ToolDefinition, Verdict) {
        (tool(&json!({"name": name})), verdict(category, radius, flags))
    }

    #[test]
    fn three_legs_on_two_servers_are_named() {
        let mail = server(
            "mail",
            vec![one("read_mail", Category::Read, BlastRadius::Medium, &[Flag::PrivateData, Flag::UntrustedContent])],
        );
        let web = server("web", vec![one("fetch", Category::Read, BlastRadius::Medium, &[Flag::OpenWorld])]);
        assert_eq!(of_set(std::slice::from_ref(&mail)), None);
        let found = of_set(&[web, mail]);
        let message = found.as_ref().map(|f| f.message.as_str());
        let expected = "together these tools read private data (`mail/read_mail`), take in text from strangers \
                        (`mail/read_mail`) and lead out (`web/fetch`)";
        assert_eq!(message, Some(expected));
        let roles: Vec<_> =
            found.iter().flat_map(|f| &f.tools).map(|tool| (tool.role.as_str(), tool.tool.as_str())).collect();
        assert_eq!(roles, [("private_data", "read_mail"), ("untrusted_content", "read_mail"), ("way_out", "fetch")]);
    }

    #[test]
    fn a_search_with_a_fixed_provider_is_no_way_out() {
        let private = [Flag::PrivateData, Flag::UntrustedContent];
        let search = one("web_search", Category::Read, BlastRadius::Low, &[Flag::OpenWorld, Flag::UntrustedContent]);
        let alone = server("a", vec![one("read_mail", Category::Read, BlastRadius::Medium, &private), search]);
        assert_eq!(of_set(&[alone]), None);
    }

    #[test]
    fn a_server_that_has_all_three_is_named() {
        let all = [Flag::PrivateData, Flag::UntrustedContent, Flag::Egress];
        let mail = server("mail", vec![one("forward_mail", Category::Write, BlastRadius::High, &all)]);
        let other = server("other", vec![one("think", Category::Read, BlastRadius::Low, &[])]);
        let found = of_set(&[mail, other]);
        assert!(found.is_some_and(|f| f.message.ends_with("; `mail` has all three alone")));
    }
}
