//! A server's page: its whole reach.

use crate::grade::{LEAST, changes};
use crate::layout::{
    Head, block, category_badge, escaped_len, grade_badge, page, radius_badge, risk_badge, severity_badge, table,
    within,
};
use crate::model::{Category, Extra, ExtraKind, Offered, RiskLevel, ServerSource};
use crate::rule;
use crate::server::{Server, Tool};
use crate::survey::{ABOUT_CHARS_MAX, Survey, first_sentence};
use crate::text::excerpt;
use crate::tool_page::{changes_list, findings_list};
use crate::words;
use maud::{Markup, html};
use mcpol_policy::Ruling;

/// Most prompts, resources and other servers that a page shows.
const EXTRAS_MAX: usize = 20;
const ALIKE_MAX: usize = 8;
/// Longest policy that stands on the page, in bytes of the page; a longer one is only beside it.
const POLICY_BYTES_MAX: usize = 10_000;
/// Most rows of tools, and most links to others, in bytes of the page.
const TOOLS_BYTES_MAX: usize = 36_000;
const LINKS_BYTES_MAX: usize = 6_000;
const EXTRAS_BYTES_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 60;

/// The page of one server, by its place in the survey.
pub(crate) fn server_page(survey: &Survey, place: usize, server: &Server<'_>) -> String {
    let slug = survey.servers.get(place).map_or("", |entry| entry.slug.as_str());
    let name = excerpt(server.name(), NAME_CHARS_MAX);
    let total = server.verdicts.len();
    let changing = server.verdicts.iter().filter(|verdict| changes(verdict.category)).count();
    let headline = headline(total, changing);
    let title = format!("{} · MCP server", excerpt(server.name(), 45));
    let about = format!("{name}: {headline} Grade {}.", server.grade.letter.as_str());
    let data = format!("{slug}.json");
    let body = html! {
        (top(server, &name, &headline))
        (grade(server))
        (tools(server, slug))
        (findings(server))
        (flows(server, slug))
        (extras(server))
        (cost(server))
        (policy(server, slug))
        (scanned(server))
        (changed(server))
        (questions(server, &name, total, changing))
        (alike(survey, place))
    };
    let head = Head {
        title: &title,
        about: &about,
        up: "../",
        data: Some(&data),
        scripts: &[],
        above: &[("Servers", "../index.html#servers".to_owned())],
    };
    page(&head, &body)
}

fn headline(total: usize, changing: usize) -> String {
    match (total, changing) {
        (0, _) => "No tools.".to_owned(),
        (1, 0) => "1 tool, and it only reads.".to_owned(),
        (1, _) => "1 tool, and it can change or destroy data.".to_owned(),
        (_, 0) => format!("{}, none of which can change or destroy data.", words::count(total, "tool")),
        (_, _) => format!(
            "{}, {} of them can change or destroy data.",
            words::count(total, "tool"),
            words::thousands(changing)
        ),
    }
}

fn top(server: &Server<'_>, name: &str, headline: &str) -> Markup {
    let listing = &server.classified.listing;
    let info = listing.server_info.as_ref();
    let title = info.and_then(|info| info.title.as_deref()).filter(|title| !title.trim().is_empty());
    let risks = |risk: RiskLevel| server.verdicts.iter().filter(|verdict| verdict.risk == risk).count();
    html! {
        h1 { (name) }
        @if let Some(title) = title { p.subtitle { (excerpt(title, 120)) } }
        p.badges {
            (grade_badge(server.grade.letter))
            @if let Some(version) = server.version() { " " span.badge.plain { "version " (excerpt(version, 40)) } }
            @if !server.registry().is_empty() { " " span.badge.plain { (excerpt(server.registry(), 20)) } }
            @if let Some(licence) = &server.about.licence { " " span.badge.plain { (excerpt(licence, 40)) } }
        }
        p.lead { (headline) }
        ul.counters {
            @for category in Category::ALL {
                li { strong { (words::thousands(server.verdicts.iter().filter(|verdict| verdict.category == *category).count())) } " " (category.as_str()) }
            }
            @for risk in RiskLevel::ALL.iter().rev() {
                @if risks(*risk) > 0 { li { strong { (words::thousands(risks(*risk))) } " " (risk_badge(*risk)) } }
            }
        }
    }
}

fn grade(server: &Server<'_>) -> Markup {
    let grade = &server.grade;
    let rows = html! {
        @for deduction in &grade.deductions {
            tr { td { "−" (deduction.points) } td.wide { (deduction.because) } td.wide { (deduction.remedy) } }
        }
    };
    html! {
        section id="grade" {
            h2 { "Grade " (grade.letter.as_str()) }
            p {
                "The grade says how honestly and how openly the server tells what its tools do, never how much they can do. It has "
                (grade.points) " of 100 points"
                @if let Some((letter, least)) = LEAST.iter().rev().find(|(_, least)| *least > grade.points) {
                    "; " (letter.as_str()) " begins at " (least)
                }
                ". " a href="../method.html#grade" { "How it is made" } "."
            }
            @if grade.deductions.is_empty() { p { "Nothing cost points." } }
            @else { (table("What cost points", &["points", "why", "what its authors can do"], &rows)) }
        }
    }
}

fn tools(server: &Server<'_>, slug: &str) -> Markup {
    let worst = server.worst_first();
    let mut room = TOOLS_BYTES_MAX;
    let mut rest: Vec<&Tool<'_, '_>> = Vec::new();
    let mut groups = Vec::new();
    for category in Category::ALL.iter().rev() {
        let of: Vec<_> = worst.iter().filter(|tool| tool.verdict.category == *category).collect();
        let (rows, shown) = within(room, of.iter().map(|tool| row(tool, slug)));
        room = room.saturating_sub(rows.0.len());
        rest.extend(of.iter().skip(shown));
        if !of.is_empty() {
            groups.push((*category, rows, shown));
        }
    }
    let link = |tool: &&Tool<'_, '_>| {
        html! { a href={ (slug) "/" (tool.slug) ".html" } { code { (excerpt(tool.definition.name.as_str(), NAME_CHARS_MAX)) } } " " }
    };
    let (links, linked) = within(LINKS_BYTES_MAX, rest.iter().copied().map(|tool| link(&tool)));
    html! {
        section id="tools" {
            h2 { "The tools, worst first" }
            @for (category, rows, shown) in &groups {
                h3 { (words::group(*category)) }
                p { (words::group_needs(*category)) }
                @if *shown > 0 { (table(words::group(*category), &["tool", "risk", "radius", "flags", "in its words"], rows)) }
            }
            @if !rest.is_empty() {
                h3 { "And " (words::thousands(rest.len())) " more" }
                p { (links) @if rest.len() > linked { "and, in the " a href={ (slug) ".json" } { "data of this page" } ", " (words::thousands(rest.len() - linked)) " others" } }
            }
        }
    }
}

fn row(tool: &Tool<'_, '_>, slug: &str) -> Markup {
    let about = first_sentence(tool.definition.description.as_deref().unwrap_or_default());
    html! {
        tr {
            td { a href={ (slug) "/" (tool.slug) ".html" } { code { (excerpt(tool.definition.name.as_str(), NAME_CHARS_MAX)) } } }
            td { span class={ "risk risk-" (tool.verdict.risk.as_str()) } { (tool.verdict.risk.as_str()) } }
            td { (tool.verdict.blast_radius.as_str()) }
            td { (tool.verdict.flags.iter().map(|flag| flag.as_str().replace('_', " ")).collect::<Vec<_>>().join(", ")) }
            td.wide { (excerpt(about, ABOUT_CHARS_MAX)) }
        }
    }
}

fn findings(server: &Server<'_>) -> Markup {
    let mut all: Vec<_> =
        server.own_findings().chain(server.verdicts.iter().flat_map(|verdict| &verdict.findings)).collect();
    all.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    html! {
        section id="findings" {
            h2 { "Findings" }
            @if all.is_empty() { p { "None: nothing in its texts and annotations, and in how it is started, is worth a second look." } }
            @else {
                p { "What a person should look at beside the classes." }
                (findings_list(all.iter().copied(), "../"))
            }
        }
    }
}

fn flows(server: &Server<'_>, slug: &str) -> Markup {
    html! {
        section id="flows" {
            h2 { "A way in, through and out" }
            @if server.flows.is_empty() {
                p { "No path was found on which a text from strangers could have private data carried out by the tools of this server alone. Other servers of the same agent can complete one." }
            }
            @for flow in &server.flows {
                p { (severity_badge(flow.severity)) " " (capital_first(&excerpt(&flow.message, 500))) "." }
                ol.flow {
                    @for (role, what) in [("untrusted_content", "in: text that strangers wrote comes back from"), ("private_data", "through: the agent reads private data with"), ("way_out", "out: the data leaves by")] {
                        @for tool in flow.tools.iter().filter(|tool| tool.role == role) {
                            li { (what) " " (tool_link(server, slug, &tool.tool)) }
                        }
                    }
                }
                p { "See " a href="../attacks/toxic-flow.html" { "toxic flows" } ". Splitting the three between agents, or a rule on the way out, closes it." }
            }
        }
    }
}

fn tool_link(server: &Server<'_>, slug: &str, name: &str) -> Markup {
    let place = server.tools().find(|tool| tool.definition.name.as_str() == name);
    html! {
        @match place {
            Some(tool) => a href={ (slug) "/" (tool.slug) ".html" } { code { (excerpt(name, NAME_CHARS_MAX)) } },
            None => code { (excerpt(name, NAME_CHARS_MAX)) },
        }
    }
}

fn capital_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn extras_list(listed: &[Extra]) -> Markup {
    let one = |extra: &Extra| html! { li { code { (excerpt(&extra.key, 120)) } } };
    let (shown, count) = within(EXTRAS_BYTES_MAX, listed.iter().take(EXTRAS_MAX).map(one));
    html! { ul.tools { (shown) @if listed.len() > count { li { "and " (listed.len() - count) " more" } } } }
}

/// What the recommended policy does with how many tools.
fn rulings(server: &Server<'_>) -> String {
    let mut counts = [0_usize; 5];
    for review in &server.recommendation.review {
        let at = match review.ruling {
            Ruling::Allow => 0,
            Ruling::Limit(_) => 1,
            Ruling::Approve(_) => 2,
            Ruling::Hide => 3,
            Ruling::Refuse | Ruling::LeaveOut => 4,
        };
        counts[at] += 1;
    }
    let words = [
        "may be called",
        "may be called so many times a minute",
        "need a person each time",
        "are hidden",
        "are refused",
    ];
    let one = [
        "may be called",
        "may be called so many times a minute",
        "needs a person each time",
        "is hidden",
        "is refused",
    ];
    let told = counts.iter().zip(words.iter().zip(one)).filter(|(count, _)| **count > 0);
    let told: Vec<String> =
        told.map(|(count, (several, one))| format!("{count} {}", if *count == 1 { one } else { several })).collect();
    if told.is_empty() {
        "There is no tool to rule about.".to_owned()
    } else {
        format!("Of the tools {}.", told.join(", "))
    }
}

fn extras(server: &Server<'_>) -> Markup {
    let extras = &server.classified.listing.extras;
    html! {
        section id="extras" {
            h2 { "Prompts and resources" }
            @for kind in ExtraKind::ALL {
                @match extras.of(kind) {
                    Offered::NotRecorded => p { (capital_first(kind.as_str())) "s were not recorded." },
                    Offered::Refused => p { "The server declares that it has " (kind.as_str()) "s and does not list them." },
                    Offered::Listed(listed) => @if listed.is_empty() { p { "No " (kind.as_str()) "s." } } @else {
                        p { (words::count(listed.len(), kind.as_str())) ":" }
                        (extras_list(listed))
                    },
                }
            }
        }
    }
}

fn cost(server: &Server<'_>) -> Markup {
    let all: u64 = server.tokens.iter().sum();
    let mut dearest: Vec<_> = server.tools().zip(&server.tokens).collect();
    dearest.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.definition.name.cmp(&b.0.definition.name)));
    html! {
        section id="cost" {
            h2 { "What its list costs a model" }
            p {
                "About " strong { (words::thousands(usize::try_from(all).unwrap_or(usize::MAX))) " tokens" }
                " with every request to a model that is offered all of its tools."
                @if dearest.len() > 3 {
                    " The dearest are "
                    @for (at, (tool, tokens)) in dearest.iter().take(3).enumerate() {
                        @if at > 0 { @if at == 2 { " and " } @else { ", " } }
                        code { (excerpt(tool.definition.name.as_str(), NAME_CHARS_MAX)) } " (" (words::thousands(usize::try_from(**tokens).unwrap_or(usize::MAX))) ")"
                    }
                    "."
                }
            }
        }
    }
}

fn policy(server: &Server<'_>, slug: &str) -> Markup {
    let file = format!("{slug}.json");
    html! {
        section id="policy" {
            h2 { "The recommended policy" }
            @match &server.policy {
                None => p { "No policy can be written for this server: names or schemas of it cannot stand in one." },
                Some((text, _)) => {
                    p {
                        "Whatever it does not name is refused. " (rulings(server)) " As a file: "
                        a href={ "../policies/" (file) } { (file) } "."
                    }
                    @if escaped_len(text) <= POLICY_BYTES_MAX { (block("The recommended policy", text.trim_end())) }
                    @else { p { "It is too long to stand here: " (words::thousands(text.len())) " bytes." } }
                    h3 { "How to apply it" }
                    (block("How to apply the policy", rule::apply(server, &file).trim_end()))
                },
            }
        }
    }
}

fn scanned(server: &Server<'_>) -> Markup {
    let listing = &server.classified.listing;
    html! {
        section id="scanned" {
            h2 { "How it was scanned" }
            p {
                @match &listing.source {
                    ServerSource::Command { .. } => "As its record says, the server was started by a command and asked what it offers.",
                    ServerSource::Url { .. } => "As its record says, the server was asked over HTTP what it offers.",
                    ServerSource::File { .. } => "What the server offers was taken from a saved list.",
                    ServerSource::Sample => "It is the sample server inside mcpol.",
                }
                @if let Some(package) = listing.source.package() {
                    " Package: " code { (excerpt(&package.name, 80)) } " of " (excerpt(&package.registry, 20))
                    @if let Some(version) = &package.version { ", version " (excerpt(version, 40)) } @else { ", whatever version is newest" }
                    "."
                }
                @if let Some(revision) = &listing.protocol_version { " Protocol revision " (excerpt(revision, 20)) "." }
                " What its tools do was judged from their definitions alone: no tool was called, and its code was not looked at."
            }
            @if let Some(line) = rule::command(server) { (block("The command", &line)) }
            @for (what, place) in [("Its page", &server.about.homepage), ("Its source", &server.about.repository)] {
                @if let Some(place) = place { p { (what) ": " code { (excerpt(place, 160)) } } }
            }
        }
    }
}

fn changed(server: &Server<'_>) -> Markup {
    html! { @if !server.about.changes.is_empty() {
        section id="changes" {
            h2 { "Versions and what changed" }
            @for versions in &server.about.changes {
                h3 { "From " (excerpt(&versions.from, 40)) " to " (excerpt(&versions.to, 40)) }
                @if versions.changes.is_empty() { p { "Nothing that it offers changed." } }
                (changes_list(versions.changes.iter()))
            }
        }
    } }
}

fn questions(server: &Server<'_>, name: &str, total: usize, changing: usize) -> Markup {
    let worst = server.worst_first();
    let hidden = server.recommendation.document.hide.len();
    html! {
        section {
            h2 { "Questions and answers" }
            h3 { "Is " (name) " safe to use with an agent?" }
            p {
                "That depends on what the agent is given. "
                @if changing == 0 { "None of its tools changes anything by its definition. " }
                @else if total == 1 { "Its one tool can change or destroy data. " }
                @else { (changing) " of its " (words::count(total, "tool")) " can change or destroy data. " }
                @if !server.flows.is_empty() { "Its tools together open a way for strangers to have private data carried out. " }
                "The policy above names what may pass, with limits, and refuses the rest."
            }
            @if let Some(tool) = worst.first() {
                h3 { "Which of its tools is the riskiest?" }
                p { code { (excerpt(tool.definition.name.as_str(), NAME_CHARS_MAX)) } ": " (category_badge(tool.verdict.category)) " " (risk_badge(tool.verdict.risk)) " " (radius_badge(tool.verdict.blast_radius)) "." }
            }
            h3 { "What does the recommended policy hide?" }
            p {
                @if hidden == 0 { "No tool: none of them is one that an agent should not see." }
                @else { (words::count(hidden, "tool")) ": " @for (at, tool) in server.recommendation.document.hide.iter().take(10).enumerate() { @if at > 0 { ", " } code { (excerpt(tool, NAME_CHARS_MAX)) } } @if hidden > 10 { " and " (hidden - 10) " more" } "." }
            }
            h3 { "How do I put a policy in front of it?" }
            p { code { "mcpol wrap" } " puts the gateway in front of the servers that your clients have, with a policy for each; " code { "mcpol unwrap" } " gives the files their bytes back." }
        }
    }
}

fn alike(survey: &Survey, place: usize) -> Markup {
    let alike = survey.alike(place, ALIKE_MAX);
    html! { @if !alike.is_empty() {
        section id="alike" {
            h2 { "Other servers for the same jobs" }
            ul.tools { @for (other, shared) in alike {
                li { a href={ (other.slug) ".html" } { (excerpt(&other.name, NAME_CHARS_MAX)) } " " (grade_badge(other.grade)) ": " (words::count(shared, "tool")) " with a name and class like one here" }
            } }
        }
    } }
}
