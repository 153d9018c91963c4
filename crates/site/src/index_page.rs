//! The first page and the lists behind it: every server, counts, charts, and a search over all of it.

use crate::grade::Letter;
use crate::layout::{Head, bar, grade_badge, page, table};
use crate::model::{Category, RiskLevel};
use crate::survey::{ServerEntry, Survey};
use crate::text::excerpt;
use crate::words;
use maud::{Markup, html};
use mcpol_classify::findings;
use std::collections::BTreeMap;

/// Servers on one page of the list.
pub(crate) const SERVERS_A_PAGE: usize = 100;
/// Rows of a chart.
const ROWS_MAX: usize = 12;

/// The places in the survey in the order of the list: by name.
pub(crate) fn order(survey: &Survey) -> Vec<usize> {
    let mut order: Vec<usize> = (0..survey.servers.len()).collect();
    order.sort_by_cached_key(|at| survey.servers.get(*at).map(|entry| (entry.name.to_lowercase(), entry.slug.clone())));
    order
}

/// How many pages the list of servers has; the first is the index.
pub(crate) fn pages(survey: &Survey) -> usize {
    survey.servers.len().div_ceil(SERVERS_A_PAGE).max(1)
}

/// The name of a page of the list.
pub(crate) fn page_name(number: usize) -> String {
    if number == 0 { "index.html".to_owned() } else { format!("servers-{}.html", number + 1) }
}

/// One page of the list of servers; the first has the charts and the search.
pub(crate) fn index_page(survey: &Survey, order: &[usize], number: usize) -> String {
    let of_page =
        order.iter().skip(number * SERVERS_A_PAGE).take(SERVERS_A_PAGE).filter_map(|at| survey.servers.get(*at));
    let servers: Vec<&ServerEntry> = of_page.collect();
    let body = html! {
        @if number == 0 { (front(survey)) } @else { h1 { "Servers, page " (number + 1) } }
        section id="servers" {
            @if number == 0 { h2 { "Servers" } }
            (table("Servers", &["server", "grade", "tools", "read", "write", "execute", "delete", "worst", "tokens"], &html! { @for server in &servers { (row(server)) } }))
            @if pages(survey) > 1 { (other_pages(survey, number)) }
        }
    };
    let about = format!(
        "{} MCP servers and {} tools: what each can do, how sure that is, and the policy that it deserves.",
        words::thousands(survey.servers.len()),
        words::thousands(survey.tools.len())
    );
    let head = Head {
        title: "What MCP servers can do",
        about: &about,
        up: "",
        data: (number == 0).then_some("index.json"),
        scripts: if number == 0 { &["search-data.js", "search.js"] } else { &[] },
        above: &[],
    };
    page(&head, &body)
}

fn row(server: &ServerEntry) -> Markup {
    html! {
        tr {
            td { a href={ "servers/" (server.slug) ".html" } { (excerpt(&server.name, 60)) } }
            td { (grade_badge(server.grade)) }
            td.number { (words::thousands(server.tools.len())) }
            @for count in server.categories { td.number { (words::thousands(count)) } }
            td { @if let Some(worst) = server.worst { span class={ "risk risk-" (worst.as_str()) } { (worst.as_str()) } } @else { "–" } }
            td.number { (words::thousands(usize::try_from(server.tokens).unwrap_or(usize::MAX))) }
        }
    }
}

/// The ways to the first, the previous, the next and the last page: a list of all would grow with the catalogue.
fn other_pages(survey: &Survey, number: usize) -> Markup {
    let last = pages(survey).saturating_sub(1);
    let ways = [("First", 0), ("Previous", number.saturating_sub(1)), ("Next", (number + 1).min(last)), ("Last", last)];
    html! {
        nav.pages aria-label="Pages of the list" {
            span { "Page " (number + 1) " of " (last + 1) }
            @for (word, other) in ways { @if other != number { a href=(page_name(other)) { (word) } } }
        }
    }
}

fn front(survey: &Survey) -> Markup {
    let total = survey.tools.len();
    let changing = survey.tools.iter().filter(|tool| tool.category != Category::Read).count();
    html! {
        h1 { "What MCP servers can do" }
        p.lead {
            (words::count(survey.servers.len(), "server")) ", " (words::count(total, "tool")) ", " (words::thousands(changing))
            " of them can change or destroy data. For each: what it does, why it needs a policy, which words of its own definition say so, and the rule that it deserves."
        }
        div.search hidden id="search" {
            label for="words" { "Search servers and tools" }
            input id="words" type="search" autocomplete="off" spellcheck="false";
            p id="found" role="status" {}
            ul.tools id="results" {}
        }
        section id="counts" {
            h2 { "Counts" }
            div.charts {
                (chart("Tools by category", Category::ALL.iter().map(|it| (it.as_str().to_owned(), survey.tools.iter().filter(|tool| tool.category == *it).count(), format!("category-{}", it.as_str()), None)).collect()))
                (chart("Tools by risk", RiskLevel::ALL.iter().rev().map(|it| (it.as_str().to_owned(), survey.tools.iter().filter(|tool| tool.risk == *it).count(), format!("fill-{}", it.as_str()), None)).collect()))
                (chart("Servers by grade", Letter::ALL.iter().map(|it| (it.as_str().to_owned(), survey.servers.iter().filter(|server| server.grade == *it).count(), format!("grade-fill-{}", it.as_str()), None)).collect()))
                (chart("Servers by registry", registries(survey)))
                (chart("Tools and servers by finding", by_finding(survey)))
            }
        }
    }
}

fn registries(survey: &Survey) -> Vec<ChartRow> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for server in &survey.servers {
        *count.entry(server.registry.as_str()).or_default() += 1;
    }
    let rows = count.into_iter().map(|(name, count)| {
        let name = if name.is_empty() { "none known".to_owned() } else { excerpt(name, 20) };
        (name, count, "fill".to_owned(), None)
    });
    most_first(rows.collect())
}

fn by_finding(survey: &Survey) -> Vec<ChartRow> {
    let rows = survey.findings.iter().map(|(id, count)| {
        let place = findings::find(id).map(|kind| format!("method.html#{}", kind.id));
        (excerpt(id, 40), *count, "fill".to_owned(), place)
    });
    most_first(rows.collect())
}

fn most_first(mut rows: Vec<ChartRow>) -> Vec<ChartRow> {
    rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    rows
}

/// A name, how many, the class of the bar, and where the name leads.
type ChartRow = (String, usize, String, Option<String>);

fn chart(title: &str, rows: Vec<ChartRow>) -> Markup {
    let longest = rows.iter().map(|row| row.1).max().unwrap_or_default();
    html! { @if !rows.is_empty() {
        figure {
            figcaption { (title) }
            table.chart {
                tbody { @for (name, count, class, place) in rows.iter().take(ROWS_MAX) {
                    tr {
                        th scope="row" { @if let Some(place) = place { a href=(place) { (name) } } @else { (name) } }
                        td.number { (words::thousands(*count)) }
                        td { (bar(*count, longest, class)) }
                    }
                } }
            }
        }
    } }
}
