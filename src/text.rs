//! Text from servers is hostile: escaping it before anybody sees it, and splitting names into words.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character could change how the text around it is shown: controls, bidirectional marks, zero-width and
/// other invisible characters, tags, and private or unassigned specials (Unicode TR 36, section 3).
pub fn is_hidden(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with every hidden character, line break and tab written as `\u{…}`, `\n` or `\t`: safe for one line of a
/// terminal, a log or a table cell.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hidden(c) || matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_hidden(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// At most `chars` characters of the escaped text, with `…` where something was cut.
pub fn excerpt(text: &str, chars: usize) -> String {
    let shown = escape(text);
    if shown.chars().count() <= chars {
        return shown.into_owned();
    }
    let mut out: String = shown.chars().take(chars.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// The nearest of `known` to a name that was mistyped, if one is near enough to be worth suggesting.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_become_visible() {
        assert_eq!(escape("a\u{202e}b\u{1b}[31m\n"), "a\\u{202e}b\\u{1b}[31m\\n");
        assert!(matches!(escape("plain, ünïcode 删除"), Cow::Borrowed(_)));
    }

    #[test]
    fn excerpts_count_characters() {
        assert_eq!(excerpt("删除删除", 4), "删除删除");
        assert_eq!(excerpt("删除删除", 3), "删除…");
    }

    #[test]
    fn only_near_names_are_suggested() {
        assert_eq!(nearest("minut", ["minute", "month"]), Some("minute"));
        assert_eq!(nearest("fortnight", ["minute", "hour"]), None);
    }
}
