//! Annotations against everything else: contradictions, claims that nothing holds, annotations nobody filled in.

use super::kinds::finding;
use crate::Options;
use crate::model::{
    Annotations, BlastRadius, Category, Confidence, EvidenceSource, Finding, Flag, Severity, ToolDefinition, Verdict,
};
use crate::text::excerpt;

/// Fewest tools of a server before equal annotations mean anything.
const UNIFORM_TOOLS_MIN: usize = 3;
/// Longest quote from a definition inside a message, in characters.
const QUOTE_CHARS_MAX: usize = 40;

/// Parameters that take a statement of some query language.
const STATEMENTS: [&str; 14] = [
    "sql",
    "sql_query",
    "sqlquery",
    "query",
    "statement",
    "statements",
    "cypher",
    "cypher_query",
    "cypherquery",
    "sparql",
    "aql",
    "graphql",
    "mql",
    "pipeline",
];
/// Query languages that can write. PromQL, LogQL and search syntaxes are not among them.
const LANGUAGES: [&str; 10] =
    ["sql", "cypher", "sparql", "graphql", "mongodb", "aggregation", "select ", "n1ql", "gql", "database query"];
/// How a `query` says that it is no statement.
const QUESTIONS: [&str; 6] =
    ["natural language", "natural-language", "plain language", "question", "search term", "keyword"];
/// How a text says that it only reads.
const CLAIMS: [&str; 14] = [
    "read-only",
    "readonly",
    "read only",
    "select-only",
    "select only",
    "only select",
    "select statements only",
    "select queries only",
    "只读",
    "読み取り専用",
    "읽기 전용",
    "solo lectura",
    "lecture seule",
    "nur lesen",
];

/// `readOnlyHint: true` on a tool that changes something, `destructiveHint: false` on one that deletes.
pub(super) fn contradiction(tool: &ToolDefinition, verdict: &Verdict) -> Option<Finding> {
    // Unknown is treated as Execute; that is caution, not evidence against the server's word.
    if verdict.flags.contains(&Flag::Unclassified) {
        return None;
    }
    let hints = &tool.annotations;
    let says_read_only = hints.read_only == Some(true);
    let (hint, severity) = match verdict.category {
        Category::Read => return None,
        // A free-form query that is declared read-only is a claim, not a contradiction: see `claim`.
        Category::Execute if is_claimed_query(tool, verdict) => return None,
        // The state of a session, a tab or a view: nothing outside is changed, and servers may well call that reading.
        Category::Execute if verdict.blast_radius == BlastRadius::Low => return None,
        Category::Write | Category::Execute if says_read_only => ("readOnlyHint: true", Severity::Warning),
        Category::Write | Category::Execute => return None,
        // A cache or a filter can be thrown away without destroying anything that counts.
        Category::Delete if verdict.flags.contains(&Flag::Ephemeral) => return None,
        Category::Delete if says_read_only => ("readOnlyHint: true", Severity::Error),
        Category::Delete if hints.destructive == Some(false) => ("destructiveHint: false", Severity::Warning),
        Category::Delete => return None,
    };
    // Only strong evidence accuses the server: what some of the definition's own words call reading does not.
    let speaks_for_reading =
        verdict.evidence.iter().any(|evidence| evidence.weight > 0 && evidence.says == Category::Read.as_str());
    let is_strong = verdict.confidence == Confidence::High && !speaks_for_reading;
    let severity = if is_strong { severity } else { Severity::Note };
    let message = match strongest(verdict) {
        Some((part, quote)) => {
            format!("declares `{hint}`, but {part} `{}` makes it {}", excerpt(quote, QUOTE_CHARS_MAX), verdict.category)
        }
        None => format!("declares `{hint}`, but it is {}", verdict.category),
    };
    Some(finding("annotation-contradicts", severity, tool.name.as_str(), message))
}

/// A free-form query tool that is read-only only because it says so.
pub(super) fn claim(tool: &ToolDefinition, verdict: &Verdict, options: &Options) -> Option<Finding> {
    let parameter = statement_of(tool)?;
    let annotated = !options.ignore_annotations && tool.annotations.read_only == Some(true);
    let (where_, is_claim) = match verdict.category {
        Category::Read => (says_read_only(tool), says_read_only(tool).is_some()),
        Category::Execute => (Some("its annotation"), annotated),
        Category::Write | Category::Delete => (None, false),
    };
    let where_ = where_.filter(|_| is_claim)?;
    let message = format!(
        "`{}` takes any statement; that it only reads is said by {where_} alone",
        excerpt(parameter, QUOTE_CHARS_MAX)
    );
    Some(finding("read-only-claim", Severity::Note, tool.name.as_str(), message))
}

/// Annotations that are missing on all tools, or the same on tools that differ.
pub(super) fn of_server(tools: &[ToolDefinition], verdicts: &[Verdict]) -> Option<Finding> {
    let acts = |(tool, verdict): &(&ToolDefinition, &Verdict)| {
        verdict.category != Category::Read && !is_claimed_query(tool, verdict)
    };
    let changes = tools.iter().zip(verdicts).filter(acts).count();
    let first = &tools.first()?.annotations;
    if changes == 0 {
        return None;
    }
    if tools.iter().all(|tool| is_silent(&tool.annotations)) {
        let message =
            format!("none of the {} tools carries annotations, though {changes} of them do not only read", tools.len());
        return Some(finding("annotations-missing", Severity::Note, "", message));
    }
    let same = |hints: &Annotations| (hints.read_only, hints.destructive) == (first.read_only, first.destructive);
    let mixed = changes < tools.len();
    if tools.len() < UNIFORM_TOOLS_MIN || !mixed || !tools.iter().all(|tool| same(&tool.annotations)) {
        return None;
    }
    // All read-only hides the dangerous ones; all destructive only hides that some are harmless.
    let severity = if first.read_only == Some(true) { Severity::Warning } else { Severity::Note };
    let message = format!(
        "all {} tools carry the same annotations ({}), but {} only read and {changes} do not",
        tools.len(),
        in_words(first),
        tools.len() - changes,
    );
    Some(finding("annotations-uniform", severity, "", message))
}

/// Takes a statement of a language that could write, and is declared read-only: see `claim`.
fn is_claimed_query(tool: &ToolDefinition, verdict: &Verdict) -> bool {
    verdict.category == Category::Execute && tool.annotations.read_only == Some(true) && statement_of(tool).is_some()
}

fn is_silent(hints: &Annotations) -> bool {
    hints.read_only.is_none() && hints.destructive.is_none() && hints.idempotent.is_none() && hints.open_world.is_none()
}

fn in_words(hints: &Annotations) -> String {
    let parts = [("readOnlyHint", hints.read_only), ("destructiveHint", hints.destructive)];
    let said: Vec<_> = parts.iter().filter_map(|(key, hint)| Some(format!("{key}: {}", (*hint)?))).collect();
    if said.is_empty() { "neither readOnlyHint nor destructiveHint".to_owned() } else { said.join(", ") }
}

/// The strongest evidence for the category that the server did not simply declare.
fn strongest(verdict: &Verdict) -> Option<(&'static str, &str)> {
    let category = verdict.category.as_str();
    verdict.evidence.iter().filter(|evidence| evidence.says.starts_with(category)).find_map(|evidence| {
        let part = match &evidence.source {
            EvidenceSource::Name => "the name's",
            EvidenceSource::Title => "the title's",
            EvidenceSource::Description => "the description's",
            EvidenceSource::Parameter(_) | EvidenceSource::Schema => "the schema's",
            EvidenceSource::Extension(_) => "the extra member",
            EvidenceSource::Override => "your override",
            EvidenceSource::Annotation(_) => return None,
        };
        Some((part, evidence.quote.as_str()))
    })
}

/// The parameter that takes a free-form statement of a language that can write.
fn statement_of(tool: &ToolDefinition) -> Option<&str> {
    let parameter = tool.parameters.iter().find(|parameter| {
        parameter.values.is_empty() && STATEMENTS.iter().any(|name| parameter.name.eq_ignore_ascii_case(name))
    })?;
    // `query` alone is mostly a search box: the language must be named somewhere.
    let named = !parameter.name.eq_ignore_ascii_case("query") && !parameter.name.eq_ignore_ascii_case("pipeline");
    let texts = [Some(tool.name.as_str()), tool.description.as_deref(), parameter.description.as_deref()];
    if !named && parameter.description.as_deref().is_some_and(|text| contains_any(text, &QUESTIONS)) {
        return None;
    }
    (named || texts.into_iter().flatten().any(|text| contains_any(text, &LANGUAGES))).then_some(parameter.path.as_str())
}

fn says_read_only(tool: &ToolDefinition) -> Option<&'static str> {
    let in_parameters =
        || tool.parameters.iter().any(|p| p.description.as_deref().is_some_and(|text| contains_any(text, &CLAIMS)));
    if contains_any(tool.name.as_str(), &CLAIMS) || contains_any(&tool.name.as_str().replace('_', "-"), &CLAIMS) {
        Some("its name")
    } else if tool.description.as_deref().is_some_and(|text| contains_any(text, &CLAIMS)) || in_parameters() {
        Some("its text")
    } else if tool.annotations.read_only == Some(true) {
        Some("its annotation")
    } else {
        None
    }
}

fn contains_any(text: &str, needles: &[&str]) -> bool {
    let text = text.to_lowercase();
    needles.iter().any(|needle| text.contains(needle))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{tool, verdict};
    use super::*;
    use crate::model::Evidence;
    use serde_json::{Value, json};

    const OPTIONS: Options = Options { ignore_annotations: false, trust_annotations: false };

    #[track_caller]
    fn check(annotations: &Value, verdict: &Verdict, expected: Option<Severity>) {
        let tool = tool(&json!({"name": "t", "annotations": annotations}));
        let found = contradiction(&tool, verdict);
        assert_eq!(found.map(|finding| finding.severity), expected, "{annotations} {verdict:?}");
    }

    #[test]
    fn a_hint_that_the_class_contradicts_is_found() {
        let radius = BlastRadius::Medium;
        let read_only = json!({"readOnlyHint": true});
        check(&read_only, &verdict(Category::Delete, radius, &[]), Some(Severity::Error));
        check(&read_only, &verdict(Category::Write, radius, &[]), Some(Severity::Warning));
        check(&read_only, &verdict(Category::Execute, radius, &[]), Some(Severity::Warning));
        check(&read_only, &verdict(Category::Read, radius, &[]), None);
        let unsure = Verdict { confidence: Confidence::Low, ..verdict(Category::Delete, radius, &[]) };
        check(&read_only, &unsure, Some(Severity::Note));
        check(&read_only, &verdict(Category::Execute, BlastRadius::Low, &[Flag::Ephemeral]), None);
        check(&read_only, &verdict(Category::Execute, BlastRadius::High, &[Flag::Unclassified]), None);
        let harmless = json!({"readOnlyHint": false, "destructiveHint": false});
        check(&harmless, &verdict(Category::Delete, radius, &[]), Some(Severity::Warning));
        check(&harmless, &verdict(Category::Delete, BlastRadius::Low, &[Flag::Ephemeral]), None);
        check(&harmless, &verdict(Category::Write, radius, &[]), None);
        check(&json!({"readOnlyHint": "yes"}), &verdict(Category::Delete, radius, &[]), None);
    }

    #[test]
    fn the_message_quotes_what_contradicts() {
        let mut verdict = verdict(Category::Write, BlastRadius::High, &[]);
        let evidence = |source, quote: &str| Evidence {
            rule: "r".to_owned(),
            source,
            quote: quote.to_owned(),
            says: "Write".to_owned(),
            weight: 9,
        };
        verdict.evidence = vec![
            evidence(EvidenceSource::Annotation("readOnlyHint".to_owned()), "true"),
            evidence(EvidenceSource::Name, "send\u{202e}"),
        ];
        let tool = tool(&json!({"name": "send_email", "annotations": {"readOnlyHint": true}}));
        let message = contradiction(&tool, &verdict).map(|finding| finding.message);
        let expected = "declares `readOnlyHint: true`, but the name's `send\\u{202e}` makes it Write";
        assert_eq!(message.as_deref(), Some(expected));
    }

    #[track_caller]
    fn check_claim(tool_json: &Value, category: Category, expected: bool) {
        let found = claim(&tool(tool_json), &verdict(category, BlastRadius::Medium, &[]), &OPTIONS);
        assert_eq!(found.is_some(), expected, "{tool_json}");
    }

    #[test]
    fn read_only_is_a_claim_where_the_statement_is_free() {
        let schema = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}});
        let sql = json!({"name": "query", "description": "Run a read-only SQL query.", "inputSchema": schema("sql")});
        check_claim(&sql, Category::Read, true);
        let annotated = json!({"name": "run_sql", "inputSchema": schema("sql"), "annotations": {"readOnlyHint": true}});
        check_claim(&annotated, Category::Execute, true);
        let metrics =
            json!({"name": "query_metrics", "description": "Read-only PromQL.", "inputSchema": schema("query")});
        check_claim(&metrics, Category::Read, false);
        let asked = |text: &str| {
            json!({"name": "search_docs", "description": "Read-only search of the MongoDB manual.", "inputSchema":
                {"properties": {"query": {"type": "string", "description": text}}}})
        };
        check_claim(&asked("An aggregation"), Category::Read, true);
        check_claim(&asked("A natural language question"), Category::Read, false);
        let free = json!({"name": "run_sql", "description": "Runs SQL.", "inputSchema": schema("sql")});
        check_claim(&free, Category::Execute, false);
        let fixed = json!({"name": "q", "description": "read-only", "inputSchema":
            {"properties": {"sql": {"type": "string", "enum": ["SELECT 1"]}}}});
        check_claim(&fixed, Category::Read, false);
    }

    #[track_caller]
    fn check_server(rows: &[(Value, Category)], expected: Option<(&str, Severity)>) {
        let tools: Vec<_> = rows.iter().map(|(hints, _)| tool(&json!({"name": "t", "annotations": hints}))).collect();
        let verdicts: Vec<_> = rows.iter().map(|(_, category)| verdict(*category, BlastRadius::Medium, &[])).collect();
        let found = of_server(&tools, &verdicts);
        assert_eq!(found.as_ref().map(|f| (f.id.as_str(), f.severity)), expected, "{rows:?}");
    }

    #[test]
    fn annotations_that_nobody_filled_in_are_found() {
        use Category::{Delete, Read, Write};
        let none = || json!({});
        let all = || json!({"readOnlyHint": true});
        let worst = || json!({"readOnlyHint": false, "destructiveHint": true});
        check_server(&[(none(), Read), (none(), Delete)], Some(("annotations-missing", Severity::Note)));
        check_server(&[(none(), Read), (none(), Read)], None);
        check_server(
            &[(all(), Read), (all(), Delete), (all(), Read)],
            Some(("annotations-uniform", Severity::Warning)),
        );
        check_server(
            &[(worst(), Read), (worst(), Write), (worst(), Delete)],
            Some(("annotations-uniform", Severity::Note)),
        );
        check_server(&[(all(), Read), (worst(), Write), (worst(), Delete)], None);
        check_server(&[(worst(), Write), (worst(), Write), (worst(), Delete)], None);
        check_server(&[(all(), Read), (all(), Delete)], None);
    }
}
