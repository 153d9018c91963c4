//! Texts that are written so that a person does not read them at once: base64, hexadecimal, ROT13.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shortest run of letters that may be an encoded sentence, in bytes.
const ENCODED_BYTES_MIN: usize = 24;
/// Most runs that are tried in one text.
const RUNS_MAX: usize = 16;
/// Words that nearly every English sentence has one of.
const COMMON: [&str; 14] = [
    " the ", " and ", " to ", " of ", " it ", " in ", " this ", " all ", " with ", " that ", " a ", " then ", " not ",
    " user",
];

fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

/// Whether a text has a run of letters that is long enough.
pub(super) fn may_be_encoded(text: &str) -> bool {
    let mut run = 0;
    text.bytes().any(|byte| {
        run = if is_letter(char::from(byte)) { run + 1 } else { 0 };
        run >= ENCODED_BYTES_MIN
    })
}

/// What the encoded parts of a text say, as far as they are text.
pub(super) fn decoded(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .split(|c: char| !is_letter(c))
        .filter(|run| run.len() >= ENCODED_BYTES_MIN)
        .take(RUNS_MAX)
        .flat_map(|run| [STANDARD_NO_PAD.decode(run).ok(), URL_SAFE_NO_PAD.decode(run).ok(), hex(run)])
        .flatten()
        .filter_map(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| is_prose(text))
        .collect();
    let turned = rot13(text);
    if !is_prose(text) && is_prose(&turned) || text.contains("rot13") {
        found.push(turned);
    }
    found.dedup();
    found
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
    let text = format!(" {} ", text.to_lowercase());
    !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
        && COMMON.iter().filter(|word| text.contains(*word)).count() >= 2
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
