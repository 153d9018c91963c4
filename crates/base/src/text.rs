//! Text from servers is hostile: escaping it before anybody sees it, and splitting names into words.

use std::borrow::Cow;
use std::fmt::Write as _;
use unicode_normalization::UnicodeNormalization as _;

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

/// A JSON text with every hidden character in its strings written as `\u…`: the same value to a reader, and nothing
/// that could drive the terminal of a person who looks at it. (JSON itself demands this of C0 controls only.)
pub fn visible_json(json: &str) -> Cow<'_, str> {
    // Most JSON is plain ASCII on few lines, and half a million tools are read here.
    let plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if json.bytes().all(plain) || !json.chars().any(is_hidden) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
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

/// The compatibility decomposition of a character, as its NFKC form is made of (Unicode Annex 15), handed on part by part.
pub fn decompose(c: char, part: impl FnMut(char)) {
    unicode_normalization::char::decompose_compatible(c, part);
}

/// A name as the most careless of servers may compare it: percent-decoded, after NFKC, without regard to case, and
/// with letters and digits alone. Two names with one folded form may be one name to some server.
pub fn folded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    if name.bytes().all(|byte| byte.is_ascii() && byte != b'%') {
        out.extend(name.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| char::from(byte.to_ascii_lowercase())));
        return out;
    }
    loosely(name, |c| {
        if c.is_alphanumeric() {
            out.push(c);
        }
    });
    out
}

/// A text as a careless server may compare it: percent-decoded, after NFKC, without regard to case and to characters that
/// are not seen.
pub fn loose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    loosely(text, |c| out.push(c));
    out
}

fn loosely(text: &str, mut push: impl FnMut(char)) {
    for c in percent_decoded(text).nfkc().filter(|c| !is_hidden(*c)) {
        // Upper case first: what has no lower case of its own (`ß`, the long s) is then like what it stands for.
        c.to_uppercase().flat_map(char::to_lowercase).for_each(|c| decompose(c, &mut push));
    }
}

/// The text with `%XX` decoded until nothing is left to decode; bytes that are no UTF-8 become U+FFFD.
pub fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let hex = |byte: u8| char::from(byte).to_digit(16);
    // What a decoded byte completes is decoded at once: round after round, `%252525…` would take the square of its length.
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        out.push(byte);
        while let [.., b'%', high, low] = out[..]
            && let Some((high, low)) = hex(high).zip(hex(low))
            && let Ok(byte) = u8::try_from(high * 16 + low)
        {
            out.truncate(out.len() - 3);
            out.push(byte);
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
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
    fn percent_encoding_is_decoded_to_the_end() {
        for (text, expected) in [
            ("a%20B", "a B"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%252541", "A"),
            ("%%34%31", "A"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(percent_decoded(text), expected, "{text}");
        }
        // Two rounds a character would not end within a test's time.
        assert_eq!(percent_decoded(&format!("%{}41", "25".repeat(1_000_000))), "A");
        assert_eq!(loose("Stra%C3%9Fe／Ｘ"), "strasse/x");
    }

    #[test]
    fn hidden_characters_become_visible() {
        assert_eq!(escape("a\u{202e}b\u{1b}[31m\n"), "a\\u{202e}b\\u{1b}[31m\\n");
        assert!(matches!(escape("plain, ünïcode 删除"), Cow::Borrowed(_)));
    }

    #[test]
    fn hidden_characters_in_json_are_spelled_out_and_mean_the_same() -> serde_json::Result<()> {
        let value = serde_json::json!({"a\u{202e}": "\u{7f}\u{9b}31m \u{e0041} 删除 \n", "b": "\u{200b}"});
        for text in [value.to_string(), serde_json::to_string_pretty(&value)?] {
            let visible = visible_json(&text);
            assert!(!visible.chars().any(is_hidden), "{visible}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&visible)?, value);
        }
        assert!(visible_json(r#"{"a":"\u202e"}"#).contains(r"\u202e"));
        assert!(matches!(visible_json("{\n  \"a\": \"删除\"\n}"), Cow::Borrowed(_)));
        Ok(())
    }

    #[test]
    fn excerpts_count_characters() {
        assert_eq!(excerpt("删除删除", 4), "删除删除");
        assert_eq!(excerpt("删除删除", 3), "删除…");
    }

    #[test]
    fn names_that_a_careless_server_takes_for_one_fold_alike() {
        for name in [
            "tools/call",
            "Tools/Call",
            "tools//call",
            "tools%2Fcall",
            "tools%252fcall",
            " tools/call\u{200b}\0",
            "tools\u{ff0f}call",
            "\u{ff34}ools/c\u{ff41}ll",
            "tool\u{17f}/call",
            "toolscall",
            "tools_call\u{301}",
        ] {
            assert_eq!(folded(name), "toolscall", "{name:?}");
        }
        assert_eq!(folded("STRASSE"), folded("Stra\u{df}e"));
        assert_eq!(folded("%"), "");
        assert_ne!(folded("echo2"), folded("echo"));
        assert_eq!(folded("\u{2170}\u{2460}"), "i1");
    }

    #[test]
    fn only_near_names_are_suggested() {
        assert_eq!(nearest("minut", ["minute", "month"]), Some("minute"));
        assert_eq!(nearest("fortnight", ["minute", "hour"]), None);
    }
}
