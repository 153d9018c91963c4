//! Verdicts in words that a person would use, and text laid out for a terminal of a given width.

use super::scan::ScannedTool;
use crate::model::{Category, Evidence, EvidenceSource, Flag, Severity};
use crate::text::{escape, excerpt};
use std::fmt::Write as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Longest quote shown, in characters.
const QUOTE_CHARS_MAX: usize = 160;

/// Where a piece of evidence was found: `name`, `description`, `parameter path` …
pub fn part(source: &EvidenceSource) -> String {
    match source {
        EvidenceSource::Name => "name".to_owned(),
        EvidenceSource::Title => "title".to_owned(),
        EvidenceSource::Description => "description".to_owned(),
        EvidenceSource::Parameter(path) => format!("parameter `{}`", excerpt(path, 60)),
        EvidenceSource::Schema => "input schema".to_owned(),
        EvidenceSource::Annotation(key) => format!("annotation `{}`", excerpt(key, 60)),
        EvidenceSource::Extension(key) => format!("member `{}`", excerpt(key, 60)),
        EvidenceSource::Override => "your override".to_owned(),
    }
}

/// A quote from a definition, escaped, bounded and in quotation marks.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", excerpt(text.trim(), QUOTE_CHARS_MAX))
}

/// What a piece of evidence quotes, and from where. What follows from the rest of the verdict quotes nothing.
pub fn found(evidence: &Evidence) -> String {
    if evidence.quote.trim().is_empty() && evidence.source == EvidenceSource::Schema {
        return "follows from the above".to_owned();
    }
    format!("{} {}", part(&evidence.source), quoted(&evidence.quote))
}

/// One piece of evidence in a line: `Execute: name "pause_timer" (weight 100, steer-running)`.
pub fn evidence_in_words(evidence: &Evidence) -> String {
    let weight = if evidence.weight > 0 { format!("weight {}, ", evidence.weight) } else { String::new() };
    format!("{}: {} ({weight}{})", escape(&evidence.says), found(evidence), escape(&evidence.rule))
}

/// The shortest honest answer to why: what the definition says, in its own words; else the reason.
pub fn why(tool: &ScannedTool<'_>) -> String {
    let quote = |evidence: &&Evidence| !evidence.quote.trim().is_empty();
    let mut speaking = tool.evidence.iter().filter(|evidence| evidence.says == tool.category.as_str()).filter(quote);
    let Some(strongest) = speaking.next() else { return escape(tool.reason).into_owned() };
    // The description says more than a name that stands beside it anyway.
    let told = speaking.find(|evidence| evidence.source == EvidenceSource::Description);
    match (&strongest.source, told) {
        (EvidenceSource::Name | EvidenceSource::Title, Some(told)) => quoted(&told.quote),
        (EvidenceSource::Name, None) => "by its name".to_owned(),
        (EvidenceSource::Description, _) => quoted(&strongest.quote),
        (source, _) => format!("{} {}", part(source), quoted(&strongest.quote)),
    }
}

/// Flags in a row: `egress, private_data`.
pub fn flags<'a>(flags: impl IntoIterator<Item = &'a Flag>) -> String {
    flags.into_iter().map(|flag| flag.as_str()).collect::<Vec<_>>().join(", ")
}

/// `1 finding`, `2 findings`.
pub fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// A number of tokens as far as an estimate is worth it: two digits, `9,400`.
pub fn rounded(tokens: u64) -> String {
    let mut step = 1;
    while tokens / step >= 100 {
        step *= 10;
    }
    let digits = (tokens.saturating_add(step / 2) / step).saturating_mul(step).to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `about 9,400 tokens`.
pub fn about_tokens(tokens: u64) -> String {
    format!("about {} token{}", rounded(tokens), if tokens == 1 { "" } else { "s" })
}

/// The word for a severity.
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// What a category means, in a few words.
pub fn category(category: Category) -> &'static str {
    match category {
        Category::Read => "only returns something; changes nothing",
        Category::Write => "creates or changes stored data, settings or messages",
        Category::Execute => "runs or steers something, or commits an act whose effect is decided elsewhere",
        Category::Delete => "removes something that an ordinary edit cannot bring back",
    }
}

/// The columns that a text takes on a terminal: wide characters two, combining ones none.
pub fn width(text: &str) -> usize {
    text.width()
}

/// At most `columns` columns of the text, with `…` where something was cut.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 0);
    for c in text.chars() {
        let next = c.width().unwrap_or(0);
        if used + next + 1 > columns {
            break;
        }
        used += next;
        out.push(c);
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

/// The text in lines of at most `columns` columns, broken at spaces where there are any; of more than `lines` lines
/// the last one ends in `…`.
pub fn wrap(text: &str, columns: usize, lines: usize) -> Vec<String> {
    let columns = columns.max(2);
    let (mut out, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        let mut word = word;
        while width(&line) + usize::from(!line.is_empty()) + width(word) > columns {
            if out.len() + 1 >= lines {
                // What is left of this word fills the last line, up to the mark that something is missing.
                out.push(fit(&joined(line, word), columns));
                return out;
            }
            // A word longer than a line is cut where the line ends, after `_` or `/` when one is near.
            if line.is_empty() {
                let cut = cut_at(word, columns);
                line.push_str(&word[..cut]);
                word = &word[cut..];
            }
            out.push(std::mem::take(&mut line));
        }
        line = joined(line, word);
    }
    if !line.is_empty() || out.is_empty() {
        out.push(line);
    }
    out
}

fn joined(mut line: String, word: &str) -> String {
    if !line.is_empty() {
        line.push(' ');
    }
    line.push_str(word);
    line
}

/// Wrapped lines behind a prefix; the following lines stand below the first one's text.
pub fn lines(out: &mut String, prefix: &str, text: &str, columns: usize) {
    for (at, line) in wrap(text, columns.saturating_sub(width(prefix)), 40).iter().enumerate() {
        let _ = if at == 0 { writeln!(out, "{prefix}{line}") } else { writeln!(out, "{:1$}{line}", "", width(prefix)) };
    }
}

/// The byte at which a long word is cut so that what is before it fits.
fn cut_at(word: &str, columns: usize) -> usize {
    let (mut used, mut end, mut joint) = (0, 0, 0);
    for (at, c) in word.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns && end > 0 {
            break;
        }
        end = at + c.len_utf8();
        if matches!(c, '_' | '-' | '/' | '.' | ',') {
            joint = end;
        }
    }
    if joint * 2 > end { joint } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_not_said_more_exactly_than_it_is_known() {
        let cases = [(0, "0"), (1, "1"), (99, "99"), (101, "100"), (105, "110"), (996, "1,000"), (9_449, "9,400")];
        for (tokens, expected) in cases.into_iter().chain([(61_400, "61,000"), (1_234_567, "1,200,000")]) {
            assert_eq!(rounded(tokens), expected);
        }
        assert!(rounded(u64::MAX).len() > 20);
        assert_eq!(about_tokens(1), "about 1 token");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!((width("删除"), width("é"), width("e\u{301}")), (4, 1, 1));
        assert_eq!(fit("删除文件", 5), "删除…");
        assert_eq!(fit("删除文件", 8), "删除文件");
    }

    #[test]
    fn lines_are_never_too_long() {
        let texts =
            ["", "a", "one two three four", "a_very_long_name_without_any_space_in_it", "删除删除删除 删除删除"];
        for text in texts {
            for columns in 2..30 {
                for lines in 1..4 {
                    let wrapped = wrap(text, columns, lines);
                    assert!(wrapped.len() <= lines.max(1), "{wrapped:?}");
                    assert!(wrapped.iter().all(|line| width(line) <= columns), "{columns}: {wrapped:?}");
                }
            }
        }
        assert_eq!(wrap("one two three four", 9, 9), ["one two", "three", "four"]);
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "three fo…"]);
        assert_eq!(wrap("a_very_long_name", 9, 9), ["a_very_", "long_name"]);
    }
}
