//! What every page has: its head, its way around, and small parts that many pages share.

use crate::grade::Letter;
use crate::model::{BlastRadius, Category, RiskLevel, Severity};
use crate::text::is_hidden;
use crate::words;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::borrow::Cow;
use std::fmt::Write as _;

/// What a page may load: the style sheet and the script beside it, nothing else and from nowhere else.
const CONTENT_POLICY: &str =
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'";
/// Longest title of a page, in characters.
const TITLE_CHARS_MAX: usize = 60;

/// What the head of a page says.
pub(crate) struct Head<'h> {
    /// The title, unescaped.
    pub title: &'h str,
    /// A sentence about the page, unescaped.
    pub about: &'h str,
    /// The way to the top of the site: `""`, `"../"` …
    pub up: &'static str,
    /// The data of the page as JSON, by its place beside it.
    pub data: Option<&'h str>,
    /// Scripts of the page, by their place.
    pub scripts: &'h [&'h str],
    /// The parts of the site above this page, each with its place.
    pub above: &'h [(&'h str, String)],
}

/// A whole page. Whatever hides is spelled out at the end, in one place, so that no text of a server can be forgotten.
pub(crate) fn page(head: &Head<'_>, body: &Markup) -> String {
    let up = head.up;
    let title = crate::text::excerpt(head.title, TITLE_CHARS_MAX);
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                meta name="description" content=(crate::text::excerpt(head.about, 180));
                link rel="stylesheet" href={ (up) "style.css" };
                link rel="icon" type="image/svg+xml" href={ (up) "icon.svg" };
                @if let Some(data) = head.data {
                    link rel="alternate" type="application/json" href=(data) title="The data of this page";
                }
                link rel="alternate" type="application/atom+xml" href={ (up) "feed.xml" } title="What changed";
                @for script in head.scripts { script src=(script) defer {} }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    a.home href={ (up) "index.html" } { "MCP catalogue" }
                    nav aria-label="Site" {
                        a href={ (up) "index.html#servers" } { "Servers" }
                        a href={ (up) "attacks.html" } { "Attacks" }
                        a href={ (up) "method.html" } { "Method" }
                    }
                }
                main id="content" {
                    @if !head.above.is_empty() {
                        nav.above aria-label="Where this page is" {
                            @for (name, place) in head.above { a href=(place) { (crate::text::excerpt(name, 60)) } " / " }
                        }
                    }
                    (body)
                }
                footer {
                    p {
                        "Made by "
                        a href="https://github.com/mcpol/mcpol" { "mcpol" }
                        " from tool definitions as servers declare them, by "
                        a href={ (up) "method.html" } { "published rules" }
                        ". Names, descriptions and schemas belong to the authors of the servers."
                        @if let Some(data) = head.data { " " a href=(data) { "This page as JSON" } "." }
                    }
                }
            }
        }
    };
    visible(&whole.into_string()).into_owned()
}

/// The text with every character spelled out that hides or cannot stand in a page.
pub(crate) fn visible(page: &str) -> Cow<'_, str> {
    let odd = |c: char| is_hidden(c) || u32::from(c) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c);
    if page.is_ascii() && !page.bytes().any(|byte| byte.is_ascii_control() && byte != b'\n' && byte != b'\t')
        || !page.chars().any(odd)
    {
        return Cow::Borrowed(page);
    }
    let mut out = String::with_capacity(page.len() + 64);
    for c in page.chars() {
        if odd(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The badge of a risk level.
pub(crate) fn risk_badge(risk: RiskLevel) -> Markup {
    html! { span class={ "badge risk-" (risk.as_str()) } { (risk.as_str()) " risk" } }
}

/// The badge of a category.
pub(crate) fn category_badge(category: Category) -> Markup {
    html! { span.badge.plain { (category.as_str()) } }
}

/// The badge of a blast radius.
pub(crate) fn radius_badge(radius: BlastRadius) -> Markup {
    html! { span.badge.plain { "blast radius " (radius.as_str()) } }
}

/// The badge of a grade.
pub(crate) fn grade_badge(letter: Letter) -> Markup {
    html! { span class={ "badge grade-" (letter.as_str()) } { "grade " (letter.as_str()) } }
}

/// The badge of a severity.
pub(crate) fn severity_badge(severity: Severity) -> Markup {
    let word = words::severity(severity);
    html! { span class={ "badge severity-" (word) } { (word) } }
}

/// A block of text to copy, that can be reached and scrolled with the keyboard.
pub(crate) fn block(label: &str, text: &str) -> Markup {
    html! { section.scroll tabindex="0" aria-label=(label) { pre { code { (text) } } } }
}

/// A table that scrolls by itself where the page is narrow.
pub(crate) fn table(label: &str, heads: &[&str], rows: &Markup) -> Markup {
    html! {
        section.scroll tabindex="0" aria-label=(label) {
            table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// As many parts as fit into so many bytes of the page, and how many those are.
pub(crate) fn within(bytes: usize, parts: impl IntoIterator<Item = Markup>) -> (Markup, usize) {
    let (mut out, mut count) = (String::new(), 0);
    for part in parts {
        // What hides is spelled out later, and longer.
        let PreEscaped(part) = part;
        if out.len() + visible(&part).len() > bytes {
            break;
        }
        out.push_str(&part);
        count += 1;
    }
    (PreEscaped(out), count)
}

/// How many bytes a text takes in a page.
pub(crate) fn escaped_len(text: &str) -> usize {
    html! { (text) }.into_string().len()
}

/// A horizontal bar of a chart: a share of the longest one.
pub(crate) fn bar(part: usize, whole: usize, class: &str) -> Markup {
    let width = if whole == 0 { 0 } else { (part * 200).div_ceil(whole) };
    html! {
        svg.bar viewBox="0 0 200 12" width="200" height="12" aria-hidden="true" focusable="false" {
            rect class=(class) x="0" y="0" width=(width) height="12" rx="2" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_spelled_out_in_the_whole_page() {
        assert_eq!(visible("a\u{202e}b\u{1b}c\u{ffff}d\u{fdd0}"), "a\\u{202e}b\\u{1b}c\\u{ffff}d\\u{fdd0}");
        assert!(matches!(visible("plain\n\tünï 删除"), Cow::Borrowed(_)));
    }
}
