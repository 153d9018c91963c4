//! A tool's page: what a person asks before letting an agent use it.

use crate::attack::{Attack, is_claimed};
use crate::layout::{
    Head, block, category_badge, escaped_len, grade_badge, page, radius_badge, risk_badge, severity_badge, table,
    within,
};
use crate::model::{BlastRadius, Category, Confidence, Evidence, EvidenceSource, Finding, Flag, Parameter, Severity};
use crate::quote::marked;
use crate::rule;
use crate::server::{Server, Tool, VersionChange, VersionChanges};
use crate::survey::{Survey, ToolEntry, first_sentence};
use crate::text::excerpt;
use crate::{tool_questions, words};
use maud::{Markup, html};
use mcpol_classify::findings;
use mcpol_classify::hints::Standing;

/// Most reasons, parameters and related tools that a page shows; the data beside it has all.
const REASONS_MAX: usize = 12;
const PARAMETERS_MAX: usize = 80;
const RELATED_MAX: usize = 8;
/// Longest description and list of values of a parameter, in characters.
const PARAMETER_CHARS_MAX: usize = 160;
const VALUES_CHARS_MAX: usize = 120;
/// Longest rule that stands on the page, and longest list of each kind, in bytes of the page.
const RULE_BYTES_MAX: usize = 6_000;
const PARAMETERS_BYTES_MAX: usize = 24_000;
const REASONS_BYTES_MAX: usize = 7_000;
const FINDINGS_BYTES_MAX: usize = 4_000;
const CHANGES_BYTES_MAX: usize = 3_000;
/// Longest name in running text, and longest quote of evidence, in characters.
const NAME_CHARS_MAX: usize = 80;
const EVIDENCE_CHARS_MAX: usize = 140;

/// The page of one tool. `place` is the server's place in the survey.
pub(crate) fn tool_page(survey: &Survey, place: usize, tool: &Tool<'_, '_>) -> String {
    let server = tool.server;
    let name = excerpt(tool.definition.name.as_str(), NAME_CHARS_MAX);
    let slug = survey.servers.get(place).map_or("", |entry| entry.slug.as_str());
    let title = format!("{} · {}", excerpt(tool.definition.name.as_str(), 38), excerpt(server.name(), 25));
    let verdict = tool.verdict;
    let about = format!(
        "{name} of {}: {} tool, {} risk, blast radius {}. Why, and which policy it deserves.",
        excerpt(server.name(), 40),
        verdict.category,
        verdict.risk,
        verdict.blast_radius
    );
    let data = format!("{}.json", tool.slug);
    let body = html! {
        (top(tool, &name))
        (what_it_does(tool))
        (used_for(tool, &name))
        (why(tool))
        (own_findings(tool))
        (definition(tool))
        (attacks(tool))
        (parameters(tool))
        (cost(tool))
        (annotations(tool))
        (recommended(tool, &name, slug))
        (related(survey, place, tool))
        (changed(tool))
        (tool_questions::questions(tool, &name, slug))
    };
    let head = Head {
        title: &title,
        about: &about,
        up: "../../",
        data: Some(&data),
        scripts: &[],
        above: &[("Servers", "../../index.html#servers".to_owned()), (server.name(), format!("../{slug}.html"))],
    };
    page(&head, &body)
}

fn top(tool: &Tool<'_, '_>, name: &str) -> Markup {
    let verdict = tool.verdict;
    let declared = tool.definition.title.as_deref().or(tool.definition.annotations.title.as_deref());
    html! {
        h1 { code { (name) } }
        @if let Some(title) = declared.filter(|title| !title.trim().is_empty()) {
            p.subtitle { (excerpt(title, 120)) }
        }
        p.badges {
            (risk_badge(verdict.risk)) " " (category_badge(verdict.category)) " " (radius_badge(verdict.blast_radius)) " "
            span.badge.plain { "confidence " (words::confidence(verdict.confidence)) }
            @for flag in &verdict.flags { " " span.badge.flag { (flag.as_str().replace('_', " ")) } }
        }
        p {
            code { (name) } " is a tool of the MCP server " strong { (excerpt(tool.server.name(), 60)) } ". "
            @if verdict.flags.contains(&Flag::Unclassified) {
                "Nothing in its definition says what it does, and unknown is not harmless: it is treated as a tool of the class "
                strong { (verdict.category.as_str()) } "."
            } @else {
                @if verdict.confidence == Confidence::Low { "Its definition suggests, without saying so plainly, that it " } @else { "It " }
                (words::does(verdict.category)) ": that makes it a tool of the class " strong { (verdict.category.as_str()) } ". At worst, one wrong call "
                (words::costs_of(verdict.category, verdict.blast_radius)) "."
            }
        }
    }
}

fn what_it_does(tool: &Tool<'_, '_>) -> Markup {
    let definition = tool.definition;
    let description = definition.description.as_deref().map(first_sentence).filter(|text| !text.is_empty());
    let required: Vec<_> = definition.parameters.iter().filter(|it| it.required && !it.path.contains('.')).collect();
    let outer = definition.parameters.iter().filter(|it| !it.path.contains('.')).count();
    html! {
        section {
            h2 { "What does it do?" }
            @match description {
                Some(text) => p { "In the words of its server: " q { (excerpt(text, 400)) } },
                None => p { "The server describes it with no word: what is said here rests on the rest of its definition." },
            }
            p {
                @match (outer, required.len()) {
                    (0, _) => "It takes no arguments.",
                    (all, 0) => { "It takes " (words::count(all, "argument")) ", none of which is required." },
                    (all, some) => {
                        "It takes " (words::count(all, "argument"))
                        @match (all == some, some) { (true, 1) => ", which is required: ", (true, _) => ", all of them required: ", (false, 1) => ", of which one is required: ", (false, _) => { ", of which " (some) " are required: " } }
                        @for (at, parameter) in required.iter().take(8).enumerate() {
                            @if at > 0 { ", " }
                            code { (excerpt(&parameter.path, 60)) }
                        }
                        @if required.len() > 8 { " and " (required.len() - 8) " more" }
                        "."
                    },
                }
            }
        }
    }
}

fn used_for(tool: &Tool<'_, '_>, name: &str) -> Markup {
    let category = tool.verdict.category;
    let alike = tool.server.verdicts.iter().filter(|verdict| verdict.category == category).count();
    let total = tool.server.verdicts.len();
    let task = tool.definition.description.as_deref().map(first_sentence).filter(|text| !text.is_empty());
    html! {
        section {
            h2 { "What do agents use it for?" }
            p { (words::used_for(category)) }
            p {
                "A model picks a tool by its name and description. It is likely to reach for " code { (name) } " where a task comes close to "
                @match task {
                    Some(text) => { q { (excerpt(text.trim_end_matches(['.', '!', '?']), 160)) } },
                    None => { "what the name alone suggests" },
                }
                ". "
                @if total == 1 { "It is the only tool of its server." }
                @else if alike == total { "All " (total) " tools of the server are of this class." }
                @else if alike == 1 { "It is the only one of the server's " (total) " tools of this class." }
                @else { (alike) " of the server's " (total) " tools are of this class." }
            }
        }
    }
}

fn why(tool: &Tool<'_, '_>) -> Markup {
    let verdict = tool.verdict;
    let category = verdict.category;
    let against: Vec<_> = verdict
        .evidence
        .iter()
        .filter(|it| it.weight > 0 && words::category_of(&it.says).is_some_and(|said| said != category))
        .collect();
    let others: Vec<_> =
        verdict.evidence.iter().filter(|it| !against.iter().any(|other| std::ptr::eq(*other, *it))).collect();
    html! {
        section {
            h2 { "Why does it need a policy?" }
            @match verdict.findings.iter().map(|finding| finding.severity).max() {
                Some(Severity::Error) => p { "Whatever its class, something about it has to be explained before it is allowed at all: see what to look at, below." },
                Some(Severity::Warning) => p { "Whatever its class, something about it should be looked at before it is allowed: see below." },
                Some(Severity::Note) | None => p { (needs(category, verdict.blast_radius)) },
            }
            p { (words::risk(category, verdict.blast_radius, verdict.risk)) }
            p { (crate::text::escape(&verdict.reason)) }
            @if !others.is_empty() {
                h3 { "The evidence, strongest first" }
                (reasons(tool.server, &others))
            }
            @if !verdict.flags.is_empty() {
                h3 { "What else is true of it" }
                ul { @for flag in &verdict.flags {
                    li {
                        strong { (flag.as_str().replace('_', " ")) } ": "
                        @if is_claimed(verdict, *flag) { "Its server declares that much; nothing else in the definition says so." }
                        @else { (words::flag(*flag)) }
                    }
                } }
            }
            h3 { "How sure is that?" }
            p {
                (words::sure(verdict.confidence))
                @if against.is_empty() {
                    @if !others.is_empty() { " No evidence speaks for another class." }
                } @else { " Something speaks for another class as well:" }
            }
            @if !against.is_empty() {
                (reasons(tool.server, &against))
            }
        }
    }
}

/// Pieces of evidence, those of one rule that say one thing together.
fn reasons(server: &Server<'_>, all: &[&Evidence]) -> Markup {
    let mut groups: Vec<Vec<&Evidence>> = Vec::new();
    for evidence in all {
        let same = |group: &&mut Vec<&Evidence>| {
            group.first().is_some_and(|first| first.rule == evidence.rule && first.says == evidence.says)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(evidence),
            None => groups.push(vec![evidence]),
        }
    }
    let (shown, count) = within(REASONS_BYTES_MAX, groups.iter().take(REASONS_MAX).map(|group| reason(server, group)));
    html! {
        ul.evidence { (shown) }
        @if groups.len() > count { p { "And " (groups.len() - count) " more in the data of this page." } }
    }
}

/// Why a tool of this class needs a rule: a sentence that is true of every such tool.
fn needs(category: Category, radius: BlastRadius) -> &'static str {
    match (category, radius) {
        (Category::Read, BlastRadius::Low) => {
            "It changes nothing and returns nothing that is plainly private, so it may pass. A default-deny policy has to name it all \
             the same, or the agent cannot use it."
        }
        (Category::Read, _) => {
            "It changes nothing, but what it returns, or where it reaches, is worth protecting: an agent that was talked into it can \
             carry the result elsewhere."
        }
        (Category::Write, BlastRadius::Low) => {
            "What it changes is slight or easily changed back. A loop still changes it a thousand times before a person looks, so \
             it deserves a limit."
        }
        (Category::Write, _) => {
            "It changes something that a person would have to find and put right. A limit keeps one mistake from becoming hundreds."
        }
        (Category::Execute, BlastRadius::Low) => {
            "It acts at once, and agents repeat themselves: a loop or a planted text can call it over and over. One call costs little; \
             many of them add up."
        }
        (Category::Execute, BlastRadius::Medium) => {
            "It acts at once, and what it sets off is not undone by an edit. A limit, or a person who is asked, stands between a \
             mistaken call and its effect."
        }
        (Category::Execute, _) => {
            "It acts at once and can reach far: whoever gets the agent to call it decides what happens. It should not pass without a \
             limit, and the worst of its kind not at all."
        }
        (Category::Delete, BlastRadius::Low) => {
            "What it removes is slight: it does not last anyway, or comes back by itself. It deletes all the same, and where no agent \
             has to, it is best out of sight."
        }
        (Category::Delete, _) => {
            "What it removes does not come back by an ordinary edit, and agents seldom need it. Where nobody has to delete through \
             an agent, it is best out of sight."
        }
    }
}

/// What pieces of evidence of one rule say, and why that rule exists.
fn reason(server: &Server<'_>, group: &[&Evidence]) -> Markup {
    /// Most quotes of one rule.
    const QUOTES_MAX: usize = 4;
    let Some(first) = group.first() else { return html! {} };
    // What the server claims of a tool is told by the rule itself; `true` is no quote that helps.
    let is_claim = |it: &Evidence| matches!(it.source, EvidenceSource::Annotation(_));
    let quotable = group.iter().filter(|it| !it.quote.trim().is_empty() && !is_claim(it));
    let quoted: Vec<_> = quotable.take(QUOTES_MAX).collect();
    let why = server.whys.get(&first.rule).map_or("", String::as_str);
    html! {
        li {
            strong { (words::speaks_for(&first.says)) } ": "
            @if quoted.is_empty() && !is_claim(first) { "this follows from the rest" }
            @for (at, evidence) in quoted.iter().enumerate() {
                @if at > 0 { ", " }
                (words::stands(evidence, at == 0)) " " q { (excerpt(evidence.quote.trim(), EVIDENCE_CHARS_MAX)) }
            }
            @if !why.is_empty() { @if is_claim(first) {} @else if quoted.is_empty() { ", because " } @else { "; " } (why) }
            ". " span.rule { "rule " code { (first.rule) } }
        }
    }
}

fn own_findings(tool: &Tool<'_, '_>) -> Markup {
    html! { @if !tool.verdict.findings.is_empty() {
        section {
            h2 { "What to look at" }
            (findings_list(tool.verdict.findings.iter(), "../../"))
        }
    } }
}

/// Findings, each with what it means and what to do, as many as there is room for.
pub(crate) fn findings_list<'f>(found: impl Iterator<Item = &'f Finding>, up: &str) -> Markup {
    let all: Vec<&Finding> = found.collect();
    let one = |finding: &&Finding| {
        html! {
            li {
                (severity_badge(finding.severity)) " " bdi { (excerpt(&finding.message, 600)) }
                @if let Some(kind) = findings::find(&finding.id) {
                    " " span.rule { "finding " a href={ (up) "method.html#" (kind.id) } { (kind.id) } }
                    br; (kind.meaning) " " em { (kind.advice) }
                }
            }
        }
    };
    let (shown, count) = within(FINDINGS_BYTES_MAX, all.iter().map(one));
    html! {
        ul.findings { (shown) }
        @if all.len() > count { p { "And " (all.len() - count) " more." } }
    }
}

fn definition(tool: &Tool<'_, '_>) -> Markup {
    let of = |source: &EvidenceSource| {
        let quotes: Vec<&str> =
            tool.verdict.evidence.iter().filter(|it| it.source == *source).map(|it| it.quote.as_str()).collect();
        quotes
    };
    html! {
        section {
            h2 { "The definition that a model reads" }
            p { "As the server declares it, with the words marked that decided about its class." }
            dl.definition {
                dt { "name" }
                dd { code { (marked(tool.definition.name.as_str(), of(&EvidenceSource::Name))) } }
                @if let Some(title) = &tool.definition.title {
                    dt { "title" }
                    dd { (marked(title, of(&EvidenceSource::Title))) }
                }
                dt { "description" }
                @match tool.definition.description.as_deref().filter(|text| !text.trim().is_empty()) {
                    Some(text) => dd.text { (marked(text, of(&EvidenceSource::Description))) },
                    None => dd { em { "none" } },
                }
            }
        }
    }
}

fn attacks(tool: &Tool<'_, '_>) -> Markup {
    let found: Vec<_> =
        Attack::all().iter().filter_map(|attack| Some((attack, attack.access(tool.verdict)?))).collect();
    html! {
        section {
            h2 { "Which documented attacks abuse such access?" }
            @if found.is_empty() {
                p { "None of the " a href="../../attacks.html" { "attacks in this catalogue" } " needs what this tool gives." }
            } @else {
                ul { @for (attack, why) in found {
                    li { a href={ "../../attacks/" (attack.id) ".html" } { (attack.title) } ": this tool " (why) "." }
                } }
            }
        }
    }
}

fn parameters(tool: &Tool<'_, '_>) -> Markup {
    let all = &tool.definition.parameters;
    let signals = tool.server.signals.get(tool.at);
    let row = |parameter: &Parameter| {
        html! { tr {
            td { code { (excerpt(&parameter.path, NAME_CHARS_MAX)) } @if parameter.required { " " span.badge.plain { "required" } } }
            td { (format!("{:?}", parameter.types).replace('|', " or ")) }
            td.wide {
                (excerpt(parameter.description.as_deref().unwrap_or_default(), PARAMETER_CHARS_MAX))
                @if !parameter.values.is_empty() {
                    @if parameter.description.is_some() { br; }
                    "One of " code { (excerpt(&parameter.values.join(", "), VALUES_CHARS_MAX)) }
                }
            }
            td { (signal(tool, parameter.path.as_str(), signals.and_then(|all| all.get(&parameter.path)).copied())) }
        } }
    };
    let (rows, shown) = within(PARAMETERS_BYTES_MAX, all.iter().take(PARAMETERS_MAX).map(row));
    html! { @if !all.is_empty() {
        section {
            h2 { "Parameters" }
            (table("Parameters", &["parameter", "type", "what it is", "what to look at"], &rows))
            @if all.len() > shown { p { "And " (all.len() - shown) " more in the data of this page." } }
        }
    } }
}

/// What makes a parameter worth a look: what it hands to the caller, and what the rules saw in it.
fn signal(tool: &Tool<'_, '_>, path: &str, handed: Option<&'static str>) -> Markup {
    let mut says: Vec<String> = Vec::new();
    for evidence in &tool.verdict.evidence {
        let speaks = matches!(&evidence.source, EvidenceSource::Parameter(of) if of == path);
        let said = words::speaks_for(&evidence.says);
        if speaks && !says.contains(&said) {
            says.push(said);
        }
    }
    html! {
        @if let Some(handed) = handed { "The caller can " (handed) "." }
        @if !says.is_empty() { @if handed.is_some() { " " } "Speaks for " (says.join(", ")) "." }
        @if handed.is_none() && says.is_empty() { "–" }
    }
}

fn cost(tool: &Tool<'_, '_>) -> Markup {
    let own = tool.server.tokens.get(tool.at).copied().unwrap_or_default();
    let all: u64 = tool.server.tokens.iter().sum();
    let share = match (own * 100 + all / 2).checked_div(all) {
        None | Some(0) => "less than 1".to_owned(),
        Some(share) => share.to_string(),
    };
    html! {
        section {
            h2 { "What does it cost a model?" }
            p {
                "About " strong { (words::count(usize::try_from(own).unwrap_or(usize::MAX), "token")) }
                " with every request in which the tool is offered, called or not"
                @if tool.server.tokens.len() > 1 { ": " (share) " % of what the whole list of the server costs" }
                "."
            }
        }
    }
}

fn annotations(tool: &Tool<'_, '_>) -> Markup {
    let Some(advice) = tool.server.hints.get(tool.at) else { return html! {} };
    let word = |value: Option<bool>, none: &'static str| match value {
        Some(true) => "true",
        Some(false) => "false",
        None => none,
    };
    let rows = html! {
        @for hint in &advice.hints {
            tr {
                td { code { (hint.hint.as_str()) } }
                td { (word(hint.declared, "not declared")) }
                td { (word(hint.deserved.filter(|_| hint.standing != Standing::Unsure), "cannot be told")) }
                td {
                    @match hint.standing {
                        Standing::Right => "right",
                        Standing::Unsure => "no judgement",
                        Standing::Missing => "missing",
                        Standing::Wrong => { strong { "wrong" } },
                    }
                    ": " (hint.because)
                }
            }
        }
    };
    html! {
        section {
            h2 { "Annotations: declared and deserved" }
            p { "Annotations are claims of the server. Clients decide by them whether they ask before a call, so a wrong one does harm." }
            (table("Annotations", &["hint", "declared", "deserved", "standing"], &rows))
        }
    }
}

fn recommended(tool: &Tool<'_, '_>, name: &str, server_slug: &str) -> Markup {
    let review = tool.server.reviews.get(tool.definition.name.as_str());
    let document = rule::document(tool);
    html! {
        section id="rule" {
            h2 { "The recommended rule" }
            @if let Some(review) = review {
                p { (rule::sentence(review)) " Why: " (crate::text::escape(&review.why)) "." }
            }
            @match &document {
                Some(text) if escaped_len(text) <= RULE_BYTES_MAX => (block("policy.json", text.trim_end())),
                Some(_) => p { "It is too long to stand here, and is in the data of this page." },
                None => p { "Its name is too odd to stand in a policy, so no rule can name it, and the default of a recommended policy refuses it." },
            }
            @if document.is_some() {
            h3 { "How to apply it" }
            p { "Save the rule as " code { "policy.json" } ", then check it against the server and put it in front of it:" }
            (block("How to apply the rule", rule::apply(tool.server, "policy.json").trim_end()))
            p {
                "This file refuses every tool that it does not name. For what stands beside " code { (name) } ", the " a href={ "../" (server_slug) ".html#policy" } { "policy of the whole server" }
                " has a rule for each tool."
            }
            }
        }
    }
}

fn related(survey: &Survey, place: usize, tool: &Tool<'_, '_>) -> Markup {
    let category = tool.verdict.category;
    let own: Vec<_> = tool
        .server
        .worst_first()
        .into_iter()
        .filter(|it| it.at != tool.at && it.verdict.category == category)
        .take(RELATED_MAX)
        .collect();
    let others = survey.same_job(place, tool.definition.name.as_str(), category, RELATED_MAX);
    html! { @if !own.is_empty() || !others.is_empty() {
        section {
            h2 { "Related tools" }
            @if !own.is_empty() {
                h3 { "Of the same class on this server" }
                ul.tools { @for it in own {
                    li { a href={ (it.slug) ".html" } { code { (excerpt(it.definition.name.as_str(), NAME_CHARS_MAX)) } } " " (risk_badge(it.verdict.risk)) }
                } }
            }
            @if !others.is_empty() {
                h3 { "By name and class, likely the same job on other servers" }
                ul.tools { @for it in others { (elsewhere(survey, it, "../")) } }
            }
        }
    } }
}

/// A tool of another server, with a link from a place below `servers/`.
pub(crate) fn elsewhere(survey: &Survey, tool: &ToolEntry, to_servers: &str) -> Markup {
    html! { @if let Some(server) = survey.server_of(tool) {
        li {
            a href={ (to_servers) (server.slug) "/" (tool.slug) ".html" } { code { (excerpt(&tool.name, NAME_CHARS_MAX)) } }
            " of " (excerpt(&server.name, 60)) " " (risk_badge(tool.risk)) " " (grade_badge(server.grade))
        }
    } }
}

/// Differences between two versions, as many as there is room for.
pub(crate) fn changes_list<'c>(changes: impl Iterator<Item = &'c VersionChange>) -> Markup {
    let all: Vec<&VersionChange> = changes.collect();
    let one = |change: &&VersionChange| {
        html! { li { (severity_badge(change.severity)) " " bdi { (excerpt(&change.message, 400)) } " " span.rule { (change.code) } } }
    };
    let (shown, count) = within(CHANGES_BYTES_MAX, all.iter().map(one));
    html! { ul { (shown) @if all.len() > count { li { "and " (all.len() - count) " more in the data of the server" } } } }
}

fn changed(tool: &Tool<'_, '_>) -> Markup {
    let name = tool.definition.name.as_str();
    let of = |versions: &VersionChanges| versions.changes.iter().any(|change| change.tool.as_deref() == Some(name));
    let known = &tool.server.about.changes;
    html! { @if !known.is_empty() {
        section {
            h2 { "What changed?" }
            @for versions in known.iter().filter(|versions| of(versions)) {
                h3 { "From " (excerpt(&versions.from, 40)) " to " (excerpt(&versions.to, 40)) }
                (changes_list(versions.changes.iter().filter(|change| change.tool.as_deref() == Some(name))))
            }
            @if !known.iter().any(of) {
                p { "Nothing, between the versions that were recorded: " @for versions in known.iter().take(5) { (excerpt(&versions.from, 40)) ", " } (excerpt(known.first().map_or("", |it| it.to.as_str()), 40)) "." }
            }
        }
    } }
}
