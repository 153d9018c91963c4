//! Characters that a person does not see and a model reads, and names that imitate others.

use super::kinds::finding;
use crate::model::{Finding, Severity, ToolDefinition};
use crate::text::{excerpt, is_hidden};
use memchr::memmem;
use serde_json::Value;
use std::collections::BTreeSet;

/// Invisible characters in a row that can only be a message: one byte needs eight zero-width bits.
const PAYLOAD_CHARS_MIN: usize = 8;
/// Most nesting of a definition that is walked; deeper text reaches no model in one piece.
const DEPTH_MAX: usize = 64;
/// Most code points named in a message.
const NAMED_MAX: usize = 5;
/// Longest place name inside a message, in characters.
const PLACE_CHARS_MAX: usize = 60;

/// What hidden characters in one text amount to.
#[derive(Debug, Default)]
struct Seen {
    severity: Option<Severity>,
    points: BTreeSet<char>,
    what: &'static str,
}

impl Seen {
    fn add(&mut self, severity: Severity, c: char, what: &'static str) {
        self.points.insert(c);
        if self.severity.is_none_or(|known| severity > known) {
            self.severity = Some(severity);
            self.what = what;
        }
    }
}

/// Hidden characters anywhere in a tool's definition, and look-alike letters in its name: at most one finding of each.
/// `hides` is what [`may_hide`] says of the definition.
pub(super) fn of_tool(tool: &ToolDefinition, hides: bool) -> Vec<Finding> {
    of_definition(tool.name.as_str(), tool.raw.get(), hides)
}

/// Hidden characters anywhere in a definition with this name, and look-alike letters in the name.
pub(super) fn of_definition(name: &str, raw: &str, hides: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    if imitates(name) {
        let message = format!(
            "the name `{}` mixes Latin letters with letters that look like them",
            excerpt(name, PLACE_CHARS_MAX)
        );
        found.push(finding("lookalike-name", Severity::Error, name, message));
    }
    if hides && let Ok(value) = serde_json::from_str::<Value>(raw) {
        let mut worst: Option<(Seen, String)> = None;
        walk(&value, "", 0, &mut worst);
        if let Some((seen, place)) = worst {
            found.extend(report(&seen, &place, name));
        }
    }
    found
}

/// The same for a server's instructions.
pub(super) fn of_instructions(text: &str) -> Option<Finding> {
    report(&look_at(text, false), "instructions", "")
}

/// What hidden characters in one text amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// How much the worst of them matters.
    pub severity: Severity,
    /// What the worst of them are, in a few words.
    pub what: &'static str,
    /// Which ones occur.
    pub points: BTreeSet<char>,
}

/// The hidden characters of a text that is no name; `None` where there are none, or where orthography wants them.
pub fn hidden(text: &str) -> Option<Hidden> {
    let seen = look_at(text, false);
    seen.severity.map(|severity| Hidden { severity, what: seen.what, points: seen.points })
}

fn report(seen: &Seen, place: &str, tool: &str) -> Option<Finding> {
    let severity = seen.severity?;
    let mut points: Vec<_> = seen.points.iter().take(NAMED_MAX).map(|c| format!("U+{:04X}", u32::from(*c))).collect();
    if seen.points.len() > NAMED_MAX {
        points.push(format!("and {} more", seen.points.len() - NAMED_MAX));
    }
    let message = format!("`{}` holds {} ({})", excerpt(place, PLACE_CHARS_MAX), seen.what, points.join(", "));
    Some(finding("hidden-characters", severity, tool, message))
}

/// Whether the JSON text can hold a hidden character at all, as itself or as an escape. Errs on the side of yes.
pub(super) fn may_hide(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    if memchr::memchr(0x7f, bytes).is_some()
        || memmem::find(bytes, b"\\b").is_some()
        || memmem::find(bytes, b"\\f").is_some()
    {
        return true;
    }
    let escaped = memmem::find_iter(bytes, b"\\u").any(|at| {
        let digits = raw.get(at + 2..at + 6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        // A surrogate of the planes that hold tags and variation selectors, or a hidden character as such.
        digits.is_some_and(|unit| (0xdb40..=0xdb43).contains(&unit) || char::from_u32(unit).is_some_and(is_suspect))
    });
    let at_suspect = |(at, byte): (usize, u8)| {
        may_begin(byte) && raw.get(at..).and_then(|rest| rest.chars().next()).is_some_and(is_suspect)
    };
    escaped || (!raw.is_ascii() && raw.bytes().enumerate().any(at_suspect))
}

/// Whether a hidden character can begin with this byte: by far most letters of any script begin with others.
const fn may_begin(byte: u8) -> bool {
    byte < b' ' || matches!(byte, 0x7f | 0xc2 | 0xcd | 0xd8 | 0xe1..=0xe3 | 0xef | 0xf3)
}

/// Hidden, and not simply a line's end.
fn is_suspect(c: char) -> bool {
    c != '\r' && is_hidden(c)
}

fn walk(value: &Value, place: &str, depth: usize, worst: &mut Option<(Seen, String)>) {
    if depth >= DEPTH_MAX {
        return;
    }
    let mut keep = |seen: Seen, place: String| {
        if seen.severity > worst.as_ref().and_then(|(known, _)| known.severity) {
            *worst = Some((seen, place));
        }
    };
    match value {
        Value::String(text) => keep(look_at(text, place == "name"), place.to_owned()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{place}/{index}"), depth + 1, worst);
            }
        }
        Value::Object(members) => {
            for (key, item) in members {
                let inner = if place.is_empty() { key.clone() } else { format!("{place}/{key}") };
                let seen = look_at(key, true);
                if seen.severity > worst.as_ref().and_then(|(known, _)| known.severity) {
                    *worst = Some((seen, inner.clone()));
                }
                walk(item, &inner, depth + 1, worst);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Looks at one text. A name has no business with any of these characters.
fn look_at(text: &str, is_name: bool) -> Seen {
    let mut seen = Seen::default();
    if !text.chars().any(is_suspect) {
        return seen;
    }
    let chars: Vec<char> = text.chars().collect();
    let right_to_left = chars.iter().any(|c| is_right_to_left(*c));
    let mut run = 0;
    for (at, &c) in chars.iter().enumerate() {
        if !is_suspect(c) {
            run = 0;
            continue;
        }
        let (severity, what) = match c {
            '\u{202d}' | '\u{202e}' => (Severity::Error, "a bidirectional override"),
            '\u{202a}'..='\u{202c}' | '\u{2066}'..='\u{2069}' if !right_to_left => {
                (Severity::Error, "bidirectional marks around text that runs one way")
            }
            '\u{202a}'..='\u{202c}' | '\u{2066}'..='\u{2069}' => (Severity::Note, "bidirectional marks"),
            '\u{e0000}'..='\u{e007f}' if follows_black_flag(&chars, at) => continue,
            '\u{e0000}'..='\u{e0fff}' if is_single_ideographic_variant(&chars, at) => continue,
            '\u{e0000}'..='\u{e0fff}' => (Severity::Error, "tag characters, which only a model reads"),
            '\u{1b}' | '\u{9b}' => (Severity::Error, "a terminal escape"),
            c if c.is_control() => (Severity::Warning, "control characters"),
            '\u{200c}' | '\u{200d}' if joins(&chars, at) => continue,
            '\u{200e}' | '\u{200f}' | '\u{061c}' if right_to_left => continue,
            _ if is_name => (Severity::Error, "an invisible character in a name"),
            '\u{00ad}' | '\u{2028}' | '\u{2029}' => (Severity::Note, "invisible characters"),
            _ if splits_word(&chars, at) => (Severity::Warning, "an invisible character inside a word"),
            _ => (Severity::Note, "invisible characters"),
        };
        run += 1;
        if run >= PAYLOAD_CHARS_MIN {
            seen.add(Severity::Error, c, "a run of invisible characters long enough to carry a message");
        } else if is_name && severity < Severity::Error {
            seen.add(Severity::Error, c, "an invisible character in a name");
        } else {
            seen.add(severity, c, what);
        }
    }
    seen
}

/// The flags of England, Scotland and Wales are a black flag and tags.
fn follows_black_flag(chars: &[char], at: usize) -> bool {
    let before = chars[..at].iter().rev().find(|c| !('\u{e0020}'..='\u{e007f}').contains(*c));
    before == Some(&'\u{1f3f4}')
}

/// One variation selector behind a Chinese character picks its shape.
fn is_single_ideographic_variant(chars: &[char], at: usize) -> bool {
    ('\u{e0100}'..='\u{e01ef}').contains(&chars[at])
        && at.checked_sub(1).is_some_and(|before| matches!(chars[before], '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'))
}

/// A joiner between emoji or inside a script that needs it (Persian, the Indic scripts) is orthography.
fn joins(chars: &[char], at: usize) -> bool {
    let before = chars[..at].iter().rev().find(|c| **c != '\u{fe0f}');
    let after = chars.get(at + 1);
    let pictures =
        |c: Option<&char>| c.is_some_and(|c| matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}'));
    let script = |c: Option<&char>| {
        c.is_some_and(|c| matches!(c, '\u{0600}'..='\u{10ff}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'))
    };
    (pictures(before) && pictures(after)) || script(before)
}

fn splits_word(chars: &[char], at: usize) -> bool {
    let letter = |c: Option<&char>| c.is_some_and(char::is_ascii_alphabetic);
    let before = chars[..at].iter().rev().find(|c| !is_suspect(**c));
    let after = chars[at..].iter().find(|c| !is_suspect(**c));
    letter(before) && letter(after)
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

/// Whether one word of a name mixes plain Latin letters with letters of other blocks that look like them.
fn imitates(name: &str) -> bool {
    !name.is_ascii()
        && name.split(['_', '-', '.', ' ', '/']).any(|word| {
            word.chars().any(|c| c.is_ascii_alphabetic())
                && word.chars().any(|c| {
                    c.is_alphabetic()
                        && matches!(c, '\u{0370}'..='\u{052f}' | '\u{0530}'..='\u{058f}' | '\u{13a0}'..='\u{13ff}'
                            | '\u{ab70}'..='\u{abbf}' | '\u{ff21}'..='\u{ff5a}' | '\u{1d400}'..='\u{1d7ff}')
                })
        })
}

#[cfg(test)]
mod tests {
    use super::super::testing::tool;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn found_in(tool: &ToolDefinition) -> Vec<Finding> {
        of_tool(tool, may_hide(tool.raw.get()))
    }

    #[track_caller]
    fn check(description: &str, expected: Option<Severity>) {
        let found = found_in(&tool(&json!({"name": "t", "description": description})));
        let severities: Vec<_> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, expected.into_iter().collect::<Vec<_>>(), "{description:?}");
    }

    #[test]
    fn what_deceives_is_an_error_and_what_is_left_over_a_note() {
        check("plain text, ünïcode, 删除, “quotes” — dashes…", None);
        check("line\r\nline", None);
        check("a leftover\u{200b} in running text", Some(Severity::Note));
        check("\u{feff}starts with a byte order mark", Some(Severity::Note));
        check("ig\u{200b}nore the rules", Some(Severity::Warning));
        check("soft\u{ad}hyphen", Some(Severity::Note));
        check("safe \u{202e}txet", Some(Severity::Error));
        check("safe \u{2067}txet\u{2069}", Some(Severity::Error));
        check("שלום \u{2067}abc\u{2069}", Some(Severity::Note));
        check("שלום\u{200f} abc", None);
        check("tags \u{e0041}\u{e0042}", Some(Severity::Error));
        check("one \u{e0041}", Some(Severity::Error));
        check("\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}", None);
        check("葛\u{e0100}", None);
        check("a\u{e0100}\u{e0101}", Some(Severity::Error));
        check("family 👨\u{200d}👩\u{200d}👧, trans 🏳\u{fe0f}\u{200d}⚧", None);
        check("می\u{200c}خواهم", None);
        check("\u{1b}[8mhidden\u{1b}[0m", Some(Severity::Error));
        check("bell\u{7}", Some(Severity::Warning));
        check("back\u{8}", Some(Severity::Warning));
        check(&format!("x {}", "\u{200b}".repeat(PAYLOAD_CHARS_MIN - 1)), Some(Severity::Note));
        check(&format!("x {}", "\u{200b}".repeat(PAYLOAD_CHARS_MIN)), Some(Severity::Error));
    }

    #[test]
    fn parameters_and_names_are_looked_at_too() {
        let schema = json!({"properties": {"pa\u{200b}th": {"type": "string"}}});
        let found = found_in(&tool(&json!({"name": "t", "inputSchema": schema})));
        assert_eq!(
            found[0].message,
            "`inputSchema/properties/pa\\u{200b}th` holds an invisible character in a name (U+200B)"
        );
        let schema = json!({"properties": {"path": {"description": "x \u{202e}y"}}});
        let found = found_in(&tool(&json!({"name": "t", "inputSchema": schema})));
        assert_eq!(
            found[0].message,
            "`inputSchema/properties/path/description` holds a bidirectional override (U+202E)"
        );
    }

    #[test]
    fn escaped_characters_are_seen_like_written_ones() {
        let raw = r#"{"name": "t", "description": "x \u202e \udb40\udc41"}"#;
        let raw = serde_json::value::RawValue::from_string(raw.to_owned()).unwrap_or_default();
        let tool = ToolDefinition::parse(&raw).ok();
        let found = tool.map(|tool| found_in(&tool)).unwrap_or_default();
        assert_eq!(found[0].message, "`description` holds a bidirectional override (U+202E, U+E0041)");
    }

    #[test]
    fn names_that_imitate_others_are_found() {
        for (name, expected) in [
            ("delete_file", false),
            ("d\u{435}lete_file", true),
            ("ｄelete", true),
            ("удалить_file", false),
            ("删除file", false),
            ("δ_change", false),
            ("löschen", false),
        ] {
            assert_eq!(imitates(name), expected, "{name}");
        }
    }

    #[test]
    fn no_hidden_character_begins_otherwise() {
        for c in ('\0'..=char::MAX).filter(|c| is_suspect(*c)) {
            assert!(may_begin(c.to_string().as_bytes()[0]), "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn the_first_pass_never_misses(text in "(.|\u{200b}|\u{202e}|\u{e0041}|\u{7}|\u{7f}|\u{8}|\u{c}){0,20}", ascii in any::<bool>()) {
            let value = json!({"name": "t", "description": text});
            let mut raw = value.to_string();
            if ascii {
                raw = raw.chars().map(|c| if c.is_ascii() { c.to_string() } else {
                    let mut units = [0; 2];
                    c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
                }).collect();
            }
            prop_assert!(may_hide(&raw) || look_at(&text, false).severity.is_none());
        }
    }
}
