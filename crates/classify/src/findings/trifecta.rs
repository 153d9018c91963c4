//! The lethal trifecta: private data, text from strangers and a way out, together in one set of tools.

use crate::model::{
    BlastRadius, Category, Classified, EvidenceSource, Flag, RiskLevel, SetFinding, Severity, ToolReference, Verdict,
};
use crate::text::excerpt;

/// Longest name of a server or tool inside the message, in characters.
const NAME_CHARS_MAX: usize = 60;

/// The three legs, in the order in which an attack walks them, and how well a tool serves as one; `None`: not at all.
const LEGS: [(&str, Serves); 3] =
    [("untrusted_content", lets_strangers_in), ("private_data", holds_private), ("way_out", leads_out)];

type Serves = fn(&Verdict) -> Option<Fit>;

/// How well a tool serves as a leg: the plainest comes first, then the riskiest.
type Fit = (Plain, RiskLevel);

/// What the leg rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plain {
    /// It could be used so: code that runs can do anything.
    Possible,
    /// It is made for it.
    Made,
}

/// At most one finding: one path of three tools, the plainest that there is, on one server where one has all three.
pub(super) fn of_set(set: &[Classified]) -> Option<SetFinding> {
    let alone = set.iter().filter_map(|one| path(std::slice::from_ref(one))).max_by_key(|path| path.plain);
    let across = path(set)?;
    let path = alone.filter(|alone| alone.plain >= across.plain).unwrap_or(across);
    let several = set.len() > 1;
    let named = |at: usize| {
        let (server, tool) = path.tools[at];
        let (server, tool) = (excerpt(server, NAME_CHARS_MAX), excerpt(tool, NAME_CHARS_MAX));
        if several { format!("`{server}/{tool}`") } else { format!("`{tool}`") }
    };
    let message = format!(
        "a text from strangers that {} returns can have {} read private data and {} carry it out",
        named(0),
        named(1),
        named(2)
    );
    let references = LEGS.iter().zip(path.tools).map(|((role, _), (server, tool))| ToolReference {
        role: (*role).to_owned(),
        server: server.to_owned(),
        tool: tool.to_owned(),
    });
    let mut tools: Vec<_> = references.collect();
    tools.sort();
    let severity = if path.plain == Plain::Made { Severity::Warning } else { Severity::Note };
    Some(SetFinding { id: "lethal-trifecta".to_owned(), severity, message, tools })
}

/// Server and tool of each leg, and what the weakest of them rests on.
struct Path<'s> {
    plain: Plain,
    tools: [(&'s str, &'s str); 3],
}

fn path(set: &[Classified]) -> Option<Path<'_>> {
    let mut plain = Plain::Made;
    let mut tools = [("", ""); 3];
    for (slot, (_, serves)) in tools.iter_mut().zip(LEGS) {
        let all = set.iter().flat_map(|one| {
            let server = one.listing.server.as_str();
            one.listing
                .tools
                .iter()
                .zip(&one.verdicts)
                .map(move |(tool, verdict)| (server, tool.name.as_str(), verdict))
        });
        let fit = all.filter_map(|(server, tool, verdict)| Some((serves(verdict)?, std::cmp::Reverse((server, tool)))));
        let ((fits, _), std::cmp::Reverse(best)) = fit.max()?;
        (*slot, plain) = (best, plain.min(fits));
    }
    Some(Path { plain, tools })
}

/// Returns what is private or secret. Setting a secret brings nothing in; a free-form statement or a command does read.
fn holds_private(verdict: &Verdict) -> Option<Fit> {
    let flagged = verdict.flags.contains(&Flag::PrivateData) || verdict.flags.contains(&Flag::Credential);
    let reads = matches!(verdict.category, Category::Read | Category::Execute);
    (flagged && reads && verdict.blast_radius >= BlastRadius::Medium).then_some((Plain::Made, verdict.risk))
}

/// Returns text that third parties wrote.
fn lets_strangers_in(verdict: &Verdict) -> Option<Fit> {
    let returns = matches!(verdict.category, Category::Read | Category::Execute);
    (verdict.flags.contains(&Flag::UntrustedContent) && returns).then_some((Plain::Made, verdict.risk))
}

/// Sends content where the caller chooses, or fetches any URL, which can carry data in itself; runs code that can. A
/// search with a fixed provider is not counted: what leaves there goes to one party that the user has chosen. Nor is
/// what a hint alone says to reach an open world: servers give it to all of their tools.
fn leads_out(verdict: &Verdict) -> Option<Fit> {
    let any_url = verdict.flags.contains(&Flag::OpenWorld)
        && verdict.blast_radius >= BlastRadius::Medium
        && !by_hint_alone(verdict, Flag::OpenWorld);
    let plain = if verdict.flags.contains(&Flag::Egress) || any_url {
        Plain::Made
    } else if verdict.flags.contains(&Flag::CodeExecution) && verdict.category == Category::Execute {
        Plain::Possible
    } else {
        return None;
    };
    Some((plain, verdict.risk))
}

/// Whether nothing but an annotation of the server gave the tool this flag.
fn by_hint_alone(verdict: &Verdict, flag: Flag) -> bool {
    let mut said = verdict.evidence.iter().filter(|evidence| evidence.says.contains(flag.as_str())).peekable();
    said.peek().is_some() && said.all(|evidence| matches!(evidence.source, EvidenceSource::Annotation(_)))
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
        let expected = "a text from strangers that `mail/read_mail` returns can have `mail/read_mail` read private data \
                        and `web/fetch` carry it out";
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
    fn a_server_that_has_all_three_is_named_before_a_path_across() {
        let private = one("read_mail", Category::Read, BlastRadius::Medium, &[Flag::PrivateData]);
        let issue = one("get_issue", Category::Read, BlastRadius::Low, &[Flag::UntrustedContent]);
        let post = one("post", Category::Write, BlastRadius::High, &[Flag::Egress]);
        let worse = one("post_all", Category::Write, BlastRadius::Critical, &[Flag::Egress]);
        let found = of_set(&[server("a", vec![worse]), server("b", vec![private, issue, post])]);
        let tools = found.as_ref().map(|f| f.tools.iter().map(|tool| tool.tool.as_str()).collect::<Vec<_>>());
        assert_eq!(tools.as_deref(), Some(&["read_mail", "get_issue", "post"][..]));
    }

    #[test]
    fn a_hint_is_no_way_out_and_code_is_a_possible_one() {
        let both = [Flag::PrivateData, Flag::UntrustedContent];
        let mail = || one("read_mail", Category::Read, BlastRadius::Medium, &both);
        let (tool, mut verdict) = one("get_rows", Category::Read, BlastRadius::Medium, &[Flag::OpenWorld]);
        verdict.evidence.push(crate::model::Evidence {
            rule: "claims-open-world".to_owned(),
            source: EvidenceSource::Annotation("openWorldHint".to_owned()),
            quote: "true".to_owned(),
            says: "flag open_world".to_owned(),
            weight: 0,
        });
        assert_eq!(of_set(&[server("a", vec![mail(), (tool, verdict)])]), None);
        let shell = one("shell", Category::Execute, BlastRadius::Critical, &[Flag::CodeExecution]);
        let found = of_set(&[server("a", vec![mail(), shell])]);
        assert_eq!(found.map(|found| found.severity), Some(Severity::Note));
    }
}
