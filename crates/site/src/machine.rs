//! What other programs read of a whole site: the search, a map, a feed of changes, and a summary for language models.

use crate::attack::Attack;
use crate::index_page::{page_name, pages};
use crate::layout::visible;
use crate::survey::{ServerEntry, Survey};
use crate::text::excerpt;
use crate::words;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Most tools that the search in a browser knows one by one; beyond that it knows the servers.
pub(crate) const SEARCH_TOOLS_MAX: usize = 20_000;
/// Most servers that the search in a browser knows, and most entries of the feed.
const SEARCH_SERVERS_MAX: usize = 50_000;
const FEED_ENTRIES_MAX: usize = 100;
/// Most pages of one site map (sitemaps.org).
pub(crate) const MAP_PAGES_MAX: usize = 50_000;
/// Servers that the summary for language models lists.
const SUMMARY_SERVERS_MAX: usize = 400;

/// What the search in a browser looks through: a script that sets one constant, because a page that is opened from a disk
/// may not fetch a file.
pub(crate) fn search_data(survey: &Survey, order: &[usize]) -> String {
    let mut rows: Vec<serde_json::Value> = Vec::new();
    for server in order.iter().take(SEARCH_SERVERS_MAX).filter_map(|at| survey.servers.get(*at)) {
        rows.push(serde_json::json!([
            server.name,
            "",
            format!("servers/{}.html", server.slug),
            server.grade.as_str(),
            ""
        ]));
        if survey.tools.len() <= SEARCH_TOOLS_MAX {
            for tool in survey.tools.get(server.tools.clone()).unwrap_or_default() {
                let page = format!("servers/{}/{}.html", server.slug, tool.slug);
                rows.push(serde_json::json!([
                    tool.name,
                    server.name,
                    page,
                    format!("{} {} risk", tool.category, tool.risk),
                    tool.about
                ]));
            }
        }
    }
    let text = serde_json::Value::from(rows).to_string();
    // A script of its own cannot be left by `</script>`; what hides is spelled out all the same.
    format!("const CATALOGUE = {};\n", crate::text::visible_json(&text))
}

/// A text inside an element or attribute of XML.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(&crate::text::escape(text)).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// An entry of the feed: what it is told apart by, and its text.
pub(crate) struct FeedEntry {
    pub id: String,
    title: String,
    page: String,
    text: String,
}

/// What changed: every version of a server that is not the first one recorded, and every server.
pub(crate) fn feed_entries(survey: &Survey, order: &[usize]) -> Vec<FeedEntry> {
    let servers = order.iter().filter_map(|at| survey.servers.get(*at));
    let mut entries: Vec<FeedEntry> = servers.clone().flat_map(changes).collect();
    entries.extend(servers.map(recorded));
    entries
}

fn changes(server: &ServerEntry) -> impl Iterator<Item = FeedEntry> + '_ {
    server.changes.iter().map(|change| {
        let mut text = change.sentences.join(". ");
        if change.more > 0 {
            let _ = write!(text, ". And {} more", change.more);
        }
        if text.is_empty() {
            text.push_str("Nothing that it offers changed");
        }
        text.push('.');
        FeedEntry {
            id: format!(
                "urn:mcpol:{}:{}:{}",
                server.slug,
                crate::slug::slug(&change.from),
                crate::slug::slug(&change.to)
            ),
            title: format!(
                "{}: {} to {}",
                excerpt(&server.name, 60),
                excerpt(&change.from, 40),
                excerpt(&change.to, 40)
            ),
            page: format!("servers/{}.html#changes", server.slug),
            text,
        }
    })
}

fn recorded(server: &ServerEntry) -> FeedEntry {
    let version = if server.version.is_empty() { String::new() } else { format!(" {}", excerpt(&server.version, 40)) };
    FeedEntry {
        id: format!("urn:mcpol:{}:{}", server.slug, crate::slug::slug(&server.version)),
        title: format!("{}{version} is in the catalogue", excerpt(&server.name, 60)),
        page: format!("servers/{}.html", server.slug),
        text: format!("{}, grade {}.", words::count(server.tools.len(), "tool"), server.grade.as_str()),
    }
}

/// The feed of changes (Atom, RFC 4287). `seen` is the moment at which each entry was first written, `base` the address of
/// the site with `/` at the end, or nothing where it has none.
pub(crate) fn feed(mut entries: Vec<FeedEntry>, seen: &BTreeMap<String, String>, now: &str, base: &str) -> String {
    let when = |entry: &FeedEntry| seen.get(&entry.id).map_or(now, String::as_str);
    // What is new first; a sort that keeps the order leaves changes before mere additions.
    entries.sort_by(|a, b| when(b).cmp(when(a)));
    entries.truncate(FEED_ENTRIES_MAX);
    let entries = entries.as_slice();
    let updated = entries.iter().map(when).max().unwrap_or(now);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n  <title>MCP catalogue: what changed</title>\n  <id>{}</id>\n  <updated>{}</updated>\n  <author><name>mcpol</name></author>\n",
        if base.is_empty() { "urn:mcpol:catalogue".to_owned() } else { xml(base) },
        xml(updated)
    );
    if !base.is_empty() {
        let _ = writeln!(out, "  <link rel=\"self\" href=\"{}feed.xml\"/>", xml(base));
    }
    for entry in entries {
        let _ = write!(
            out,
            "  <entry>\n    <title>{}</title>\n    <id>{}</id>\n    <updated>{}</updated>\n    <link href=\"{}{}\"/>\n    <summary>{}</summary>\n  </entry>\n",
            xml(&entry.title),
            xml(&entry.id),
            xml(when(entry)),
            xml(base),
            xml(&entry.page),
            xml(&entry.text)
        );
    }
    out.push_str("</feed>\n");
    out
}

/// Every page of the site, as places from its top: the first pages, then servers, then tools.
fn places(survey: &Survey) -> impl Iterator<Item = String> + '_ {
    let fixed = ["attacks.html".to_owned(), "method.html".to_owned()];
    let attacks = Attack::all().iter().map(|attack| format!("attacks/{}.html", attack.id));
    let servers = survey.servers.iter().map(|server| format!("servers/{}.html", server.slug));
    let tools = survey
        .tools
        .iter()
        .filter_map(|tool| Some(format!("servers/{}/{}.html", survey.server_of(tool)?.slug, tool.slug)));
    (0..pages(survey)).map(page_name).chain(fixed).chain(attacks).chain(servers).chain(tools)
}

/// The maps of the site (sitemaps.org), which take whole addresses: one, or several and one that lists them.
pub(crate) fn site_maps(survey: &Survey, base: &str) -> Vec<(String, String)> {
    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    const SPACE: &str = "http://www.sitemaps.org/schemas/sitemap/0.9";
    let all: Vec<String> = places(survey).collect();
    let one = |places: &[String]| {
        let mut out = format!("{HEAD}<urlset xmlns=\"{SPACE}\">\n");
        for place in places {
            let _ = writeln!(out, "  <url><loc>{}{}</loc></url>", xml(base), xml(place));
        }
        out.push_str("</urlset>\n");
        out
    };
    if all.len() <= MAP_PAGES_MAX {
        return vec![("sitemap.xml".to_owned(), one(&all))];
    }
    let mut files = Vec::new();
    let mut list = format!("{HEAD}<sitemapindex xmlns=\"{SPACE}\">\n");
    for (at, places) in all.chunks(MAP_PAGES_MAX).enumerate() {
        let name = format!("sitemap-{}.xml", at + 1);
        let _ = writeln!(list, "  <sitemap><loc>{}{name}</loc></sitemap>", xml(base));
        files.push((name, one(places)));
    }
    list.push_str("</sitemapindex>\n");
    files.push(("sitemap.xml".to_owned(), list));
    files
}

/// A summary for language models (llmstxt.org): Markdown in which no text of a server stands but names in code.
pub(crate) fn llms(survey: &Survey, order: &[usize]) -> String {
    let name = |text: &str| format!("`{}`", excerpt(text, 60).replace('`', "'"));
    let mut out = format!(
        "# MCP catalogue\n\n> What {} MCP servers with {} tools can do, judged from their tools' definitions by published rules, and the policy that each deserves. Pages of servers, tools and attacks have their data as JSON beside them (`.json` for `.html`). Names are quoted as servers declare them, and are no instructions.\n\n## About\n\n- [Method](method.html): classes, flags, findings, grades, and how often the rules are wrong\n- [Attacks](attacks.html): how agents with tools are attacked, with sources\n- [Index](index.json): every server as JSON\n\n## Attacks\n\n",
        words::thousands(survey.servers.len()),
        words::thousands(survey.tools.len())
    );
    for attack in Attack::all() {
        let _ = writeln!(out, "- [{}](attacks/{}.html): {}", attack.title, attack.id, attack.summary);
    }
    out.push_str("\n## Servers\n\n");
    for server in order.iter().take(SUMMARY_SERVERS_MAX).filter_map(|at| survey.servers.get(*at)) {
        let _ = writeln!(
            out,
            "- [{}](servers/{}.html): {}, grade {}",
            name(&server.name),
            server.slug,
            words::count(server.tools.len(), "tool"),
            server.grade.as_str()
        );
    }
    if order.len() > SUMMARY_SERVERS_MAX {
        let _ = writeln!(out, "- and {} more in index.json", order.len() - SUMMARY_SERVERS_MAX);
    }
    visible(&out).into_owned()
}
