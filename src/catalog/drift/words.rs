//! Changes in words: fragments that fit behind a tool's name, quotes escaped and bounded.

use super::schema::{Change, Kind};
use crate::text::excerpt;

/// Longest name, path or value in a sentence, in characters.
const QUOTE_CHARS_MAX: usize = 60;
/// Longest piece of a text that is quoted inside a sentence, in characters.
const QUOTED_CHARS_MAX: usize = 110;
/// Longest excerpt of a text that changed, in characters.
const EXCERPT_CHARS_MAX: usize = 160;
/// Most changes that one sentence lists.
const LISTED_MAX: usize = 6;

/// A name in back-quotes, escaped and bounded.
pub(super) fn name(text: &str) -> String {
    format!("`{}`", excerpt(text, QUOTE_CHARS_MAX))
}

/// A piece of a text in quotation marks, escaped and bounded.
pub(super) fn quote(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("“{}”", excerpt(&text, QUOTED_CHARS_MAX))
}

/// A list for a sentence: the first few and a count of the rest.
pub(super) fn listed(items: impl IntoIterator<Item = String>, separator: &str) -> String {
    let items: Vec<_> = items.into_iter().collect();
    let mut shown = items.iter().take(LISTED_MAX).cloned().collect::<Vec<_>>();
    if items.len() > LISTED_MAX {
        shown.push(format!("and {} more", items.len() - LISTED_MAX));
    }
    shown.join(separator)
}

/// Changes of an input schema, behind the tool's name: what came, went, and became optional or required is put together.
pub(super) fn changes(changes: &[Change]) -> String {
    let group = |is: fn(&Kind) -> bool, verb: &str| {
        let shown = |change: &Change| match change.kind {
            Kind::Added { required: true } => format!("{} (required)", name(&change.path)),
            _ => name(&change.path),
        };
        let of: Vec<_> = changes.iter().filter(|change| is(&change.kind)).map(shown).collect();
        (!of.is_empty()).then(|| format!("{verb} {}", listed(of, ", ")))
    };
    let grouped = [
        group(|kind| matches!(kind, Kind::Added { .. }), "gained"),
        group(|kind| matches!(kind, Kind::Removed), "lost"),
        group(|kind| matches!(kind, Kind::Optional), "no longer requires"),
        group(|kind| matches!(kind, Kind::Required), "now requires"),
    ];
    let is_grouped = |kind: &Kind| matches!(kind, Kind::Added { .. } | Kind::Removed | Kind::Optional | Kind::Required);
    let rest = changes.iter().filter(|change| !is_grouped(&change.kind)).map(change);
    listed(grouped.into_iter().flatten().chain(rest), ", ")
}

/// One change of an input schema, behind the tool's name.
fn change(change: &Change) -> String {
    let place = |otherwise: &str| if change.path.is_empty() { otherwise.to_owned() } else { name(&change.path) };
    let values = |values: &[String]| listed(values.iter().map(|value| name(value)), ", ");
    match &change.kind {
        Kind::Added { required: false } => format!("gained {}", name(&change.path)),
        Kind::Added { required: true } => format!("gained {} (required)", name(&change.path)),
        Kind::Removed => format!("lost {}", name(&change.path)),
        Kind::Renamed { from } => format!("takes {} as {} now", name(from), name(&change.path)),
        Kind::Optional => format!("no longer requires {}", name(&change.path)),
        Kind::Required => format!("now requires {}", name(&change.path)),
        Kind::Values(more) => format!("takes {} as {}", values(more), place("its arguments")),
        Kind::FewerValues(fewer) => format!("no longer takes {} as {}", values(fewer), place("its arguments")),
        Kind::Bound { keyword, was, now } => {
            format!("has {} of {}: {} → {}", keyword, place("its arguments"), quoted(was), quoted(now))
        }
        Kind::Unlisted { accepted: true } => {
            format!("no longer refuses undeclared members in {}", place("its arguments"))
        }
        Kind::Unlisted { accepted: false } => format!("now refuses undeclared members in {}", place("its arguments")),
        Kind::Default { was, now } => {
            format!("has the default of {}: {} → {}", place("its arguments"), quoted(was), quoted(now))
        }
        Kind::Text { keyword, .. } => format!("has another {keyword} of {}", place("its arguments")),
        Kind::Loosened => format!("takes anything in {} now", place("its arguments")),
        Kind::Bounded(keywords) => {
            format!("bounds {} by {} now", place("its arguments"), keywords.join(", "))
        }
        Kind::Incomparable(keywords) => {
            format!("changed {} of {}, which cannot be compared", keywords.join(", "), place("its arguments"))
        }
        Kind::Remark(keywords) => format!("changed {} of {}", keywords.join(", "), place("its input schema")),
    }
}

fn quoted(text: &str) -> String {
    if text == "none" { text.to_owned() } else { name(text) }
}

/// Where two texts part: the piece of each between their common beginning and end, cut at words.
pub(super) fn difference(was: &str, now: &str) -> (String, String) {
    let before: Vec<&str> = was.split_whitespace().collect();
    let after: Vec<&str> = now.split_whitespace().collect();
    let start = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let rest = before[start..].iter().rev().zip(after[start..].iter().rev());
    let end = rest.take_while(|(a, b)| a == b).count();
    let piece = |words: &[&str]| {
        let inner = words[start..words.len() - end].join(" ");
        let lead = if start > 0 && !inner.is_empty() { "… " } else { "" };
        let tail = if end > 0 && !inner.is_empty() { " …" } else { "" };
        excerpt(&format!("{lead}{inner}{tail}"), EXCERPT_CHARS_MAX)
    };
    (piece(&before), piece(&after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let check = |was: &str, now: &str, expected: (&str, &str)| {
            let (a, b) = difference(was, now);
            assert_eq!((a.as_str(), b.as_str()), expected);
        };
        check("reads a file", "reads a file", ("", ""));
        check("reads a file", "reads a text file", ("", "… text …"));
        check("reads a file", "writes a file", ("reads …", "writes …"));
        check("a a", "a a a", ("", "… a"));
    }

    #[test]
    fn long_lists_end() {
        assert_eq!(listed((1..=8).map(|n| n.to_string()), ", "), "1, 2, 3, 4, 5, 6, and 2 more");
        assert_eq!(listed(["a".to_owned()], ", "), "a");
    }
}
