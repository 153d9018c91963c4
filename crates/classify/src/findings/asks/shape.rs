//! What a sentence is made like: its parts and clauses, and the names, addresses, paths and code in it.

use super::normal::marks;
use std::borrow::Cow;

/// Words with fewer letters tell no topic.
const TOPIC_LETTERS_MIN: usize = 4;
/// Letters by which a word is known in another form.
const STEM_LETTERS: usize = 5;

/// Longest part of a sentence that is read as one, in bytes: enumerations are no requests.
const PART_BYTES_MAX: usize = 320;

/// A sentence, or its parts where it is long, cut between clauses.
pub(super) fn parts(sentence: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = sentence;
    while rest.len() > PART_BYTES_MAX {
        let mut end = 0;
        while end < PART_BYTES_MAX * 3 / 4 {
            let next = clause_end(rest, end);
            if next >= rest.len() || end > 0 && next > PART_BYTES_MAX {
                break;
            }
            end = next;
        }
        if end == 0 {
            break;
        }
        parts.push(&rest[..end]);
        rest = &rest[end..];
    }
    parts.push(rest);
    parts
}

/// A text without its addresses, whose words say nothing.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    if !text.contains("://") && !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        match word.find("://").or_else(|| word.find('@').filter(|_| has_mail_address(word))) {
            Some(at) => {
                let start = word[..at]
                    .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '+')))
                    .map_or(0, |it| it + 1);
                let end = word[at..]
                    .find(|c: char| {
                        c.is_whitespace()
                            || matches!(c, ')' | '"' | '\'' | '>' | ',' | ']' | '`' | ';')
                            || !c.is_ascii()
                    })
                    .map_or(word.len(), |it| at + it);
                out.push_str(&word[..start.min(at)]);
                out.push_str("@@");
                out.push_str(&word[end..]);
            }
            None => out.push_str(word),
        }
    }
    Cow::Owned(out)
}

/// A word without its ending.
pub(super) fn stem(word: &str) -> &str {
    ["ing", "ed", "es", "s", "ly"]
        .iter()
        .find_map(|end| word.strip_suffix(end).filter(|stem| stem.len() > 3))
        .unwrap_or(word)
}

/// Whether of one and of the other some stand within so many bytes of each other.
pub(super) fn near(one: &[(usize, usize)], other: &[(usize, usize)], most: usize) -> bool {
    one.iter().any(|a| other.iter().any(|b| (a.1 <= b.0 && b.0 - a.1 <= most) || (b.1 <= a.0 && a.0 - b.1 <= most)))
}

/// Whether some of the other follow one within so many bytes.
pub(super) fn follows(one: &[(usize, usize)], other: &[(usize, usize)], most: usize) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.1 <= b.0 && b.0 - a.1 <= most))
}

pub(super) fn is_alone(text: &str, start: usize, end: usize) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !part(text[..start].chars().next_back()) && !part(text[end..].chars().next())
}

/// Fillers before the verb of an order.
const FILLERS: [&str; 26] = [
    "please",
    "kindly",
    "also",
    "then",
    "first",
    "and",
    "always",
    "simply",
    "just",
    "silently",
    "quietly",
    "next",
    "finally",
    "now",
    "afterwards",
    "so",
    "or",
    "secretly",
    "instead",
    "second",
    "third",
    "bitte",
    "but",
    "to",
    "immediately",
    "additionally",
];

/// How many bytes of a clause come before its first word that is none of the fillers.
pub(super) fn skipped(clause: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &clause[at..];
        at += rest.len() - rest.trim_start_matches(|c: char| !c.is_alphanumeric()).len();
        let rest = &clause[at..];
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if end == 0 || !(FILLERS.contains(&&rest[..end]) || rest[..end].chars().all(|c| c.is_ascii_digit())) {
            return at;
        }
        at += end;
    }
}

/// Where the clause that starts at this byte ends.
pub(super) fn clause_end(text: &str, start: usize) -> usize {
    let is_mark = |byte: u8| {
        matches!(byte, b',' | b':' | b';' | b'.' | b'!' | b'?' | b'(' | b')' | b'\n' | b'>' | b'[' | b']' | b'-' | b' ')
    };
    for (at, c) in marks(&text[start..], is_mark) {
        let next = text[start + at + c.len_utf8()..].chars().next();
        let blank = next.is_none_or(char::is_whitespace);
        let ends = match c {
            ',' | ':' | ';' | '.' | '!' | '?' => blank,
            '(' | ')' | '—' | '–' | '，' | '；' | '、' | '：' | '。' | '\n' | '>' | ']' | '[' => true,
            '-' => blank && text[..start + at].ends_with(' '),
            _ => false,
        };
        if ends {
            return start + at + c.len_utf8();
        }
        if c == ' ' && text[start + at..].starts_with(" and ") && at > 0 {
            return start + at + 1;
        }
    }
    text.len()
}

/// The beginnings of the words of a text that can tell a topic.
pub(super) fn stems(text: &str) -> impl Iterator<Item = &str> {
    const COMMON: [&str; 24] = [
        "this", "that", "with", "from", "when", "tool", "will", "your", "which", "into", "they", "them", "have",
        "only", "then", "than", "their", "there", "where", "what", "each", "must", "also", "used",
    ];
    text.split(|c: char| !c.is_alphabetic())
        .filter(|word| word.len() >= TOPIC_LETTERS_MIN && word.chars().nth(TOPIC_LETTERS_MIN - 1).is_some())
        .filter(|word| !COMMON.contains(word))
        .map(|word| word.char_indices().nth(STEM_LETTERS).map_or(word, |(end, _)| &word[..end]))
}

/// Whether a word stands in the text as a name: in quotation marks or back-ticks, or it is no word of prose.
pub(super) fn is_named(text: &str, word: &str) -> bool {
    word.contains('_')
        || text.match_indices(word).any(|(at, _)| {
            let mark = |c: Option<char>| c.is_some_and(|c| matches!(c, '`' | '\'' | '"' | '{' | '}' | '<' | '>' | '='));
            let after = text[at + word.len()..].trim_start();
            mark(text[..at].chars().next_back()) && mark(text[at + word.len()..].chars().next())
                || ["field", "parameter", "argument", "feld", "参数", "字段", "=", "property"]
                    .iter()
                    .any(|it| after.starts_with(it))
                || ["field ", "parameter ", "argument ", "called ", "feld ", "campo ", "champ "]
                    .iter()
                    .any(|it| text[..at].ends_with(it))
        })
}

pub(super) fn is_identifier(word: &str) -> bool {
    if !word.contains('_') {
        return false;
    }
    let ascii = word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.'));
    let parts = word.split(['_', '.']).filter(|part| part.len() > 1).count();
    ascii && !word.starts_with('_') && parts > 1
}

/// Capital letters with underscores that end in what a secret is called by.
pub(super) fn is_secret_variable(word: &str) -> bool {
    word.contains('_')
        && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        && ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASS", "URL", "ID", "CREDENTIALS", "DSN"]
            .iter()
            .any(|end| word.ends_with(end))
}

/// Two capital letters or more, a hyphen, and digits.
pub(super) fn is_reference(word: &str) -> bool {
    word.split_once('-').is_some_and(|(left, right)| {
        left.len() > 1
            && left.chars().all(|c| c.is_ascii_uppercase())
            && right.chars().next().is_some_and(|c| c.is_ascii_digit())
            && !matches!(left, "ISO" | "UTF" | "RFC" | "SHA" | "CVE" | "GPT")
    })
}

pub(super) fn has_mail_address(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        let host: String =
            text[at + 1..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '-')).collect();
        before && host.trim_end_matches('.').contains('.')
    })
}

/// An address that something goes to: `to https://…`, or a mail address.
pub(super) fn has_destination(text: &str) -> bool {
    let before = |at: usize| text[..at].trim_end_matches(['`', '\'', '"', ' ', '<', '(', '[']);
    let is_target = |at: usize| {
        [
            "to", "at", "via", "through", "with", "in", "into", "=", "到", "へ", "a", "à", "an", "на", "em", "para",
            "como", "post", "request",
        ]
        .iter()
        .any(|word| {
            before(at).strip_suffix(word).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric) || !word.is_ascii())
        })
    };
    // Most sentences have no address at all.
    if !text.contains("://") && !text.contains('@') {
        return false;
    }
    if ["e.g.", "for example", "example:", "such as", "例如", "see "].iter().any(|word| text.contains(word)) {
        return false;
    }
    has_mail_address(text)
        || ["http://", "https://", "ftp://", "sftp://", "ws://"]
            .iter()
            .any(|scheme| text.match_indices(scheme).any(|(at, _)| is_target(at)))
}

pub(super) fn has_path(text: &str) -> bool {
    text.contains("~/")
        || text.match_indices('/').any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let name: String = text[at + 1..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/'))
                .collect();
            before.is_none_or(|c| c.is_whitespace() || matches!(c, '`' | '"' | '\'' | '('))
                && name.contains('/')
                && name.len() > 5
        })
}

/// Something in back-ticks that is more than a name, or an assignment.
pub(super) fn has_code(text: &str) -> bool {
    let mut parts = text.split('`').skip(1).step_by(2);
    parts.any(|code| code.trim().contains(' ') && code.len() > 6)
        || text.match_indices('=').any(|(at, _)| {
            let name = text[..at].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
            let value = text[at + 1..].chars().next();
            name && value.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '"' | '\''))
        })
}
