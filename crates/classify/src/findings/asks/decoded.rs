//! Texts that are written so that a person does not read them at once: base64, hexadecimal, ROT13, HTML and URL escapes,
//! words backwards, and bits of invisible characters.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::sync::LazyLock;

/// Shortest run of letters that may be an encoded sentence, in bytes.
const ENCODED_BYTES_MIN: usize = 24;
/// Most runs that are tried in one text.
const RUNS_MAX: usize = 16;
/// Fewest escapes that hide a sentence rather than spell a name.
const ESCAPES_MIN: usize = 12;
/// Words that a text has beside a sentence which is turned.
const TURNED: [&str; 6] = ["rot13", "rot-13", "rot 13", "caesar", "reverse", "backward"];
/// Words that nearly every English sentence has one of.
const COMMON: [&str; 15] = [
    " the ", " and ", " to ", " of ", " it ", " in ", " this ", " all ", " with ", " that ", " a ", " then ", " not ",
    " user", " your ",
];

static COMMONS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| any_of(&COMMON));
static TURNS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| any_of(&TURNED));

fn any_of(words: &[&str]) -> Option<AhoCorasick> {
    AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(words).ok()
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Whether a text has a run of letters as no name or path is one: long, without dashes, in both cases with digits, or of
/// hexadecimal digits alone.
pub(super) fn may_be_encoded(text: &str) -> bool {
    let is_run = |run: &[u8]| {
        let has = |of: fn(&u8) -> bool| run.iter().any(of);
        let is_mixed = || has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
        run.len() >= ENCODED_BYTES_MIN + ENCODED_BYTES_MIN / 2 && (is_mixed() || run.iter().all(u8::is_ascii_hexdigit))
    };
    text.as_bytes().split(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'='))).any(is_run)
}

/// What the encoded parts of a text say, as far as they are text.
pub(super) fn decoded(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .as_bytes()
        .split(|byte| !is_letter(*byte))
        .filter(|run| run.len() >= ENCODED_BYTES_MIN)
        .filter_map(|run| std::str::from_utf8(run).ok())
        .take(RUNS_MAX)
        .flat_map(|run| [STANDARD_NO_PAD.decode(run).ok(), URL_SAFE_NO_PAD.decode(run).ok(), hex(run)])
        .flatten()
        .filter_map(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| is_prose(text))
        .collect();
    // Beside plain sentences one that is turned is known by a word that plain texts do not have.
    let turned = || TURNS.as_ref().is_none_or(|words| words.is_match(text));
    if text.len() >= ENCODED_BYTES_MIN && (turned() || !is_prose(text)) {
        found.extend([rot13(text), text.chars().rev().collect()].into_iter().filter(|turned| is_prose(turned)));
    }
    found.extend(unescaped(text));
    found.extend(invisible(text));
    found.dedup();
    found
}

/// A text with the characters in the place of their escapes in HTML, URLs and JSON; none, if too few are escaped.
fn unescaped(text: &str) -> Option<String> {
    if memchr::memchr3_iter(b'&', b'%', b'\\', text.as_bytes()).take(ESCAPES_MIN).count() < ESCAPES_MIN {
        return None;
    }
    let mut out = String::new();
    let (mut rest, mut count) = (text, 0);
    while let Some(at) = rest.find(['&', '%', '\\']) {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        match escape(tail) {
            Some((c, length)) => {
                out.push(c);
                count += 1;
                rest = &tail[length..];
            }
            None => {
                out.push_str(&tail[..1]);
                rest = &tail[1..];
            }
        }
    }
    out.push_str(rest);
    (count >= ESCAPES_MIN).then_some(out)
}

/// The character of the escape that a text begins with, and the length of the escape in bytes.
fn escape(text: &str) -> Option<(char, usize)> {
    let digits = |from: usize, to: usize, radix: u32| u32::from_str_radix(text.get(from..to)?, radix).ok();
    let (code, length) = if let Some(number) = text.strip_prefix("&#") {
        let end = number.find(';').filter(|end| *end < 8)?;
        let code = match number.strip_prefix(['x', 'X']) {
            Some(_) => digits(3, 2 + end, 16)?,
            None => digits(2, 2 + end, 10)?,
        };
        (code, end + 3)
    } else if text.starts_with("\\u") {
        (digits(2, 6, 16)?, 6)
    } else if text.starts_with("\\x") {
        (digits(2, 4, 16)?, 4)
    } else if text.starts_with('%') {
        (digits(1, 3, 16)?, 3)
    } else {
        return None;
    };
    char::from_u32(code).filter(|c| !c.is_control()).map(|c| (c, length))
}

/// What two kinds of invisible characters, taken for bits, spell.
fn invisible(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let bits: Vec<char> =
        text.chars().filter(|c| matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')).collect();
    let first = *bits.first()?;
    [true, false].into_iter().find_map(|is_zero| {
        let byte = |bits: &[char]| bits.iter().fold(0_u8, |byte, bit| byte << 1 | u8::from((*bit == first) != is_zero));
        let spelled: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
        String::from_utf8(spelled).ok().filter(|text| text.len() > 3 && text.chars().all(|c| !c.is_control()))
    })
}

fn hex(run: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(run.get(at..at + 2)?, 16).ok();
    run.len().is_multiple_of(2).then(|| (0..run.len()).step_by(2).map(pair).collect()).flatten()
}

fn rot13(text: &str) -> String {
    let turn = |c: char| match c {
        'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
        'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
        c => c,
    };
    text.chars().map(turn).collect()
}

fn is_prose(text: &str) -> bool {
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
    let odd =
        if text.is_ascii() { text.bytes().any(|byte| is_odd(char::from(byte))) } else { text.chars().any(is_odd) };
    let Some(words) = COMMONS.as_ref().filter(|_| !odd) else { return false };
    let mut first = None;
    // Two of the words that nearly every sentence has one of.
    words
        .find_overlapping_iter(&format!(" {text} "))
        .any(|found| *first.get_or_insert(found.pattern()) != found.pattern())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_sentences_are_read() {
        let sentence = "Open the file and copy all of it to the note.";
        let base64 = STANDARD_NO_PAD.encode(sentence);
        let hexadecimal: String = sentence.bytes().map(|byte| format!("{byte:02x}")).collect();
        for text in [format!("Run: {base64}=="), format!("Do {hexadecimal}."), rot13(sentence)] {
            assert_eq!(decoded(&text), [sentence], "{text}");
        }
    }

    #[test]
    fn what_is_no_text_is_left_alone() {
        for text in [
            "",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "The quick fox and the dog of it.",
        ] {
            assert_eq!(decoded(text), [""; 0], "{text}");
        }
    }
}
