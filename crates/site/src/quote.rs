//! A text of a server, quoted, with the words marked that decided about it.

use crate::text::is_hidden;
use maud::{Markup, html};
use std::ops::Range;

/// Most of a text that a page quotes, in bytes of the page; the rest is in the data beside it.
const QUOTE_BYTES_MAX: usize = 7000;
/// Shortest mark in bytes: shorter ones would be found everywhere.
const MARK_BYTES_MIN: usize = 2;

/// The text with every place marked at which one of the quotes stands.
pub(crate) fn marked<'q>(text: &str, quotes: impl IntoIterator<Item = &'q str>) -> Markup {
    let mut room = QUOTE_BYTES_MAX;
    let fits = |(_, c): &(usize, char)| {
        // `&quot;` and `\u{e0001}` are the longest that a character becomes.
        let cost = if matches!(c, '"' | '&' | '<' | '>') {
            6
        } else if is_hidden(*c) {
            9
        } else {
            c.len_utf8()
        };
        let is_room = cost <= room;
        room = room.saturating_sub(cost);
        is_room
    };
    let end = text.char_indices().take_while(fits).last().map_or(0, |(at, c)| at + c.len_utf8());
    let shown = text.get(..end).unwrap_or_default();
    let mut places: Vec<Range<usize>> = Vec::new();
    for quote in quotes {
        // A quote that was cut ends in `…`.
        let quote = quote.trim_end_matches('…').trim();
        if quote.len() >= MARK_BYTES_MIN
            && let Some(at) = shown.find(quote)
        {
            places.push(at..at + quote.len());
        }
    }
    places.sort_by_key(|place| (place.start, place.end));
    let mut parts: Vec<(&str, bool)> = Vec::new();
    let mut done = 0;
    for place in places {
        let start = place.start.max(done);
        if place.end > start {
            parts.push((&shown[done..start], false));
            parts.push((&shown[start..place.end], true));
            done = place.end;
        }
    }
    parts.push((&shown[done..], false));
    html! {
        @for (part, is_marked) in parts {
            @if is_marked { mark { (part) } } @else { (part) }
        }
        @if end < text.len() { "… (cut here; the whole text is in the data of this page)" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_where_the_quotes_do_and_never_overlap() {
        let check =
            |text, quotes: &[&str], expected| assert_eq!(marked(text, quotes.iter().copied()).into_string(), expected);
        check("Delete <all> tasks", &["Delete"], "<mark>Delete</mark> &lt;all&gt; tasks");
        check(
            "Delete all tasks",
            &["Delete all", "all tasks", "nothing", ""],
            "<mark>Delete all</mark><mark> tasks</mark>",
        );
        check("Delete all tasks", &["Delete a…"], "<mark>Delete a</mark>ll tasks");
        assert!(marked(&"é".repeat(5000), []).into_string().contains("cut here"));
    }
}
