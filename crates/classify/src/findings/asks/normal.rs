//! A text as a model reads it, and its sentences.

use std::borrow::Cow;

/// Shortest run of single letters with blanks between them that is one spelled out, in letters.
const SPELLED_LETTERS_MIN: usize = 12;

/// Without hidden characters, full-width letters as the plain ones, with plain quotation marks; characters of the
/// Unicode tag block, which nobody sees, as the letters that they stand for.
pub(super) fn normal(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        out.push(match c {
            '\u{e0020}'..='\u{e007e}' | '\u{ff01}'..='\u{ff5e}' => {
                let offset = if c >= '\u{e0000}' { 0xe0000 } else { 0xfee0 };
                char::from_u32(c as u32 - offset).unwrap_or(c)
            }
            // Bold, italic and other letters of mathematics.
            '\u{1d400}'..='\u{1d6a3}' => {
                let at = (c as u32 - 0x1d400) % 52;
                char::from_u32(if at < 26 { 0x41 + at } else { 0x61 + at - 26 }).unwrap_or(c)
            }
            '’' | '‘' => '\'',
            '“' | '”' | '„' | '«' | '»' | '「' | '」' => '"',
            '\u{3000}' | '\u{a0}' | '\u{202f}' => ' ',
            '\n' | '\t' | '\r' => c,
            c if crate::text::is_hidden(c) => continue,
            c => c,
        });
    }
    Cow::Owned(out)
}

/// Whether a text is of ASCII characters that are all seen.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t' | b'\r'))
}

/// Whether a text has letters that [`normal`] shows plainly and that only hide what they say.
pub(super) fn is_disguised(text: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    let strange =
        |c: char| matches!(c, '\u{e0020}'..='\u{e007e}' | '\u{ff21}'..='\u{ff5a}' | '\u{1d400}'..='\u{1d6a3}');
    text.chars().filter(|c| strange(*c)).count() > 8
        || text.chars().filter(|c| matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}')).count()
            > 8
}

/// With the Cyrillic and Greek letters inside Latin words as the Latin ones that they look like; none, if there are none.
pub(super) fn unmixed(text: &str) -> Option<String> {
    let like = |c: char| {
        Some(match c {
            'а' | 'α' => 'a',
            'е' | 'ε' => 'e',
            'о' | 'ο' => 'o',
            'р' | 'ρ' => 'p',
            'с' => 'c',
            'х' => 'x',
            'у' => 'y',
            'і' | 'ι' => 'i',
            'ј' => 'j',
            'ѕ' => 's',
            'ԁ' => 'd',
            'һ' => 'h',
            'к' => 'k',
            'т' => 't',
            'ո' | 'п' => 'n',
            'в' => 'b',
            'м' => 'm',
            'ν' => 'v',
            'ԛ' => 'q',
            'ԝ' => 'w',
            'ӏ' => 'l',
            'А' => 'A',
            'В' => 'B',
            'Е' => 'E',
            'К' => 'K',
            'М' => 'M',
            'Н' => 'H',
            'О' => 'O',
            'Р' => 'P',
            'С' => 'C',
            'Т' => 'T',
            'Х' => 'X',
            'І' => 'I',
            'Ѕ' => 'S',
            _ => return None,
        })
    };
    if text.is_ascii() || !text.chars().any(|c| like(c).is_some()) {
        return None;
    }
    let mut mixed = 0;
    let words: Vec<String> = text
        .split_inclusive(|c: char| !c.is_alphanumeric())
        .map(|word| {
            let latin = word.chars().any(|c| c.is_ascii_alphabetic());
            let foreign = word.chars().any(|c| like(c).is_some());
            // A short word of look-alikes alone can be either.
            if latin && foreign
                || mixed > 0 && foreign && word.chars().filter(|c| c.is_alphabetic()).all(|c| like(c).is_some())
            {
                mixed += 1;
                word.chars().map(|c| like(c).unwrap_or(c)).collect()
            } else {
                word.to_owned()
            }
        })
        .collect();
    (mixed > 1).then(|| words.concat())
}

/// Letters that stand apart as the words that they spell; none, if there are none.
pub(super) fn joined(text: &str) -> Option<String> {
    let single = text.split([' ', '.', '-', '_']).filter(|part| part.len() == 1).count();
    if single < SPELLED_LETTERS_MIN {
        return None;
    }
    let mut out = String::new();
    let mut run = String::new();
    let mut found = false;
    for part in text.split_inclusive([' ', '.', '-', '_']) {
        let letter = part.trim_end_matches([' ', '.', '-', '_']);
        if letter.chars().count() == 1 && letter.chars().all(char::is_alphanumeric) {
            run.push_str(letter);
        } else if letter.is_empty() && !run.is_empty() {
            run.push(' ');
        } else {
            found |= run.len() >= SPELLED_LETTERS_MIN;
            out.push_str(&run);
            out.push(' ');
            run.clear();
            out.push_str(part);
        }
    }
    found |= run.len() >= SPELLED_LETTERS_MIN;
    out.push_str(&run);
    found.then_some(out)
}

/// The sentences of a text. A full stop ends one where a blank follows; a line break that is only a fold does not.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = sentence_end(rest);
            let (one, after) = rest.split_at(end);
            rest = after;
            if one.chars().any(char::is_alphanumeric) {
                return Some(one.trim());
            }
        }
        None
    })
}

/// The characters that begin with one of these bytes, or are beyond ASCII, with their places in bytes.
pub(super) fn marks(text: &str, is_mark: fn(u8) -> bool) -> impl Iterator<Item = (usize, char)> {
    let bytes = text.bytes().enumerate();
    // 0xc0 and above begin a character beyond ASCII, what is below goes on with one.
    let starts = bytes.filter(move |(_, byte)| if byte.is_ascii() { is_mark(*byte) } else { *byte >= 0xc0 });
    starts.filter_map(|(at, _)| Some((at, text[at..].chars().next()?)))
}

fn sentence_end(text: &str) -> usize {
    for (at, c) in marks(text, |byte| matches!(byte, b'.' | b'!' | b'?' | b';' | b'\n')) {
        let next = text[at + c.len_utf8()..].chars().next();
        let ends = match c {
            '。' | '！' | '？' => true,
            '.' | '!' | '?' | ';' => {
                next.is_none_or(|next| next.is_whitespace() || matches!(next, '<' | '"' | ')' | ']'))
                    && !["e.g", "i.e", " etc", " vs", "p.s", "z.b", " no", " art", " sec", "ca"]
                        .iter()
                        .any(|short| text.as_bytes()[..at].ends_with(short.as_bytes()))
            }
            '\n' => next
                .is_none_or(|next| matches!(next, '\n' | '-' | '*' | '<' | '[' | '#' | '•') || next.is_ascii_digit()),
            _ => false,
        };
        if ends && at > 0 {
            return at + c.len_utf8();
        }
    }
    text.len()
}
