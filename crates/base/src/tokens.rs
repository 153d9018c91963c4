//! What a tool's definition costs a model: an estimate of its tokens by a rule over bytes, without a vocabulary.
//!
//! Clients hand a model the name, the description and the input schema of every tool with every request. What is counted
//! is therefore the text `{"name":…,"description":…,"inputSchema":…}` as compact JSON with characters written out,
//! whatever white space and escapes the server sends. Title, annotations and output schema are not counted.

use crate::mcp::json::{self, Members, TOP, Tag, Visitor};
use crate::model::ToolDefinition;
use memchr::{memchr, memchr2};
use std::ops::Range;

/// The tokens of a definition, rounded up to a whole one. `tests/tokens.sh` holds the estimate against real
/// tokenizers.
pub fn estimate(tool: &ToolDefinition) -> u64 {
    let raw = tool.raw.get();
    let mut handed = Handed::default();
    // The definition was read as JSON before; should this reader refuse it, what stands before that place counts.
    let is_compact = json::scan(raw, Members::Tagged, &mut handed).is_ok_and(|seen| !seen.space);
    let mut count = Count::new(if is_compact { Spacing::Compact } else { Spacing::Loose });
    for ((_, before), span) in HANDED.iter().zip(handed.spans) {
        if let Some(value) = span.and_then(|span| raw.get(span)) {
            count.add(before);
            count.add(value);
        }
    }
    count.add("}");
    count.twentieths.div_ceil(TWENTIETHS)
}

/// The members that are counted, each with what stands before its value.
const HANDED: [(&str, &str); 3] =
    [("name", r#"{"name":"#), ("description", r#","description":"#), ("inputSchema", r#","inputSchema":"#)];

/// Where the values of [`HANDED`] stand in a definition; of two equal members the last one, as readers of JSON take it.
#[derive(Default)]
struct Handed {
    spans: [Option<Range<usize>>; HANDED.len()],
}

impl Visitor for Handed {
    fn member(&mut self, within: Tag, name: &[u8]) -> Tag {
        let known = HANDED.iter().zip(TOP + 1..).find(|((key, _), _)| within == TOP && key.as_bytes() == name);
        known.map_or(0, |(_, tag)| tag)
    }

    fn value(&mut self, tag: Tag, span: Range<usize>) {
        if let Some(place) = tag.checked_sub(TOP + 1).and_then(|at| self.spans.get_mut(usize::from(at))) {
            *place = Some(span);
        }
    }
}

/// Costs are counted in twentieths of a token.
const TWENTIETHS: u64 = 20;

/// What a byte is to a tokenizer. In UTF-8 the first byte of a character tells its script nearly enough.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum CharKind {
    /// Nothing: before the text, and the bytes of a character after its first.
    None,
    Small,
    Capital,
    Digit,
    Space,
    Sign,
    /// U+0080 to U+07FF: accents, Greek, Cyrillic, Hebrew, Arabic.
    Accent,
    /// U+2000 to U+2FFF: dashes, quotation marks, arrows, symbols.
    Mark,
    /// U+3000 to U+DFFF: Chinese, Japanese, Korean.
    Syllable,
    /// All else below U+10000.
    Other,
    /// From U+10000: emoji and rare scripts.
    Emoji,
}

const KINDS: [CharKind; 11] = [
    CharKind::None,
    CharKind::Small,
    CharKind::Capital,
    CharKind::Digit,
    CharKind::Space,
    CharKind::Sign,
    CharKind::Accent,
    CharKind::Mark,
    CharKind::Syllable,
    CharKind::Other,
    CharKind::Emoji,
];

/// The rule: what a character costs after the two before it, in twentieths of a token. `docs/tokens.md` says it in words.
const fn cost(before: CharKind, previous: CharKind, this: CharKind) -> u8 {
    use CharKind::{Accent, Capital, Digit, Emoji, Mark, None, Other, Sign, Small, Space, Syllable};
    match (before, previous, this) {
        (_, _, None) => 0,
        // The rest of a word.
        (_, Small | Capital, Small) | (_, Capital, Capital) => 0,
        // A new word: within another, after several signs, after one, and by itself.
        (_, Small, Capital) => 25,
        (Sign, Sign, Small | Capital) => 10,
        (_, Sign, Small | Capital) => 5,
        (_, _, Small | Capital) => 20,
        (_, Digit, Digit) => 5,
        (_, _, Digit) => 20,
        // One space belongs to the word after it, more of them are one token together with what else is near.
        (Space, Space, Space) => 0,
        (_, Space, Space) => 10,
        (_, _, Space) => 0,
        (_, Sign, Sign) => 4,
        (_, _, Sign) => 24,
        (_, _, Accent) => 10,
        (_, _, Mark) => 30,
        (_, _, Syllable) => 14,
        (_, _, Other) => 20,
        (_, _, Emoji) => 60,
    }
}

/// The rule as a table: the index is two earlier kinds and this one, four bits each.
static COSTS: [u8; 1 << 12] = {
    let mut table = [0; 1 << 12];
    let mut at = 0;
    while at < KINDS.len() * KINDS.len() * KINDS.len() {
        let (a, b, c) = (at / KINDS.len() / KINDS.len(), at / KINDS.len() % KINDS.len(), at % KINDS.len());
        table[a << 8 | b << 4 | c] = cost(KINDS[a], KINDS[b], KINDS[c]);
        at += 1;
    }
    table
};

/// The kind of every byte.
static BYTES: [CharKind; 256] = {
    let mut table = [CharKind::Sign; 256];
    let mut at = 0;
    while at < table.len() {
        table[at] = match at as u8 {
            b'a'..=b'z' => CharKind::Small,
            b'A'..=b'Z' => CharKind::Capital,
            b'0'..=b'9' => CharKind::Digit,
            b' ' => CharKind::Space,
            0x80..=0xbf => CharKind::None,
            0xc0..=0xdf => CharKind::Accent,
            0xe2 => CharKind::Mark,
            0xe3..=0xed => CharKind::Syllable,
            0xe0..=0xef => CharKind::Other,
            0xf0..=0xff => CharKind::Emoji,
            _ => CharKind::Sign,
        };
        at += 1;
    }
    table
};

/// A text that is counted piece by piece.
struct Count {
    twentieths: u64,
    /// The kinds of the last two bytes, four bits each.
    last: usize,
    spacing: Spacing,
    is_string: bool,
}

/// Whether white space stands between the tokens of a JSON text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spacing {
    Compact,
    Loose,
}

impl Count {
    const fn new(spacing: Spacing) -> Self {
        Self { twentieths: 0, last: 0, spacing, is_string: false }
    }

    /// Adds valid JSON, or a piece of it that ends between two tokens.
    fn add(&mut self, json: &str) {
        let mut rest = json.as_bytes();
        loop {
            // Whether a byte stands in a string matters only where white space stands outside of strings.
            let special = match self.spacing {
                Spacing::Compact => memchr(b'\\', rest),
                Spacing::Loose => memchr2(b'"', b'\\', rest),
            };
            let (plain, from) = rest.split_at(special.unwrap_or(rest.len()));
            if self.spacing == Spacing::Compact || self.is_string {
                self.bytes(plain);
            } else {
                self.bytes(plain.iter().filter(|byte| !byte.is_ascii_whitespace()));
            }
            rest = match from {
                [] => return,
                [b'"', rest @ ..] => {
                    self.is_string = !self.is_string;
                    self.bytes(b"\"");
                    rest
                }
                [b'\\', b'/', rest @ ..] => {
                    self.bytes(b"/");
                    rest
                }
                [b'\\', b'u', a, b, c, d, rest @ ..] => {
                    match escaped([*a, *b, *c, *d]) {
                        Some(kind) => self.kinds([kind]),
                        None => self.bytes(&from[..6]),
                    }
                    rest
                }
                [..] => {
                    let (escape, rest) = from.split_at(from.len().min(2));
                    self.bytes(escape);
                    rest
                }
            };
        }
    }

    fn bytes<'a>(&mut self, bytes: impl IntoIterator<Item = &'a u8>) {
        self.kinds(bytes.into_iter().map(|byte| BYTES[usize::from(*byte)]));
    }

    fn kinds(&mut self, kinds: impl IntoIterator<Item = CharKind>) {
        let (mut last, mut twentieths) = (self.last, self.twentieths);
        for kind in kinds {
            last = (last << 4 | kind as usize) & (COSTS.len() - 1);
            twentieths += u64::from(COSTS[last]);
        }
        (self.last, self.twentieths) = (last, twentieths);
    }
}

/// What the character is that JSON writes as `\uXXXX`; nothing for one that compact JSON writes so too.
fn escaped(digits: [u8; 4]) -> Option<CharKind> {
    let unit = digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))?;
    match unit {
        0..0x20 => None,
        0x20..0x80 => Some(BYTES[unit as usize]),
        0x80..0x800 => Some(CharKind::Accent),
        0x2000..0x3000 => Some(CharKind::Mark),
        // A pair of units is one character: the first half counts.
        0xd800..0xdc00 => Some(CharKind::Emoji),
        0xdc00..0xe000 => Some(CharKind::None),
        0x3000..0xd800 => Some(CharKind::Syllable),
        _ => Some(CharKind::Other),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot read its own tool must fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    fn tokens(raw: &str) -> u64 {
        estimate(&ToolDefinition::parse(&RawValue::from_string(raw.to_owned()).unwrap()).unwrap())
    }

    fn twentieths(text: &str) -> u64 {
        let mut count = Count::new(Spacing::Compact);
        count.add(text);
        count.twentieths
    }

    /// As writers do that keep to ASCII.
    fn in_ascii(json: &str) -> String {
        let escape = |c: char| match c.is_ascii() {
            true => c.to_string(),
            false => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        };
        json.chars().map(escape).collect()
    }

    #[test]
    fn each_line_of_the_rule_counts() {
        for (text, expected) in [
            ("", 0),
            ("get", 20),
            ("get task", 40),
            ("get    task", 50),
            ("GET", 20),
            ("getTask", 45),
            ("get_task", 20 + 24 + 5),
            ("a://b", 20 + 24 + 4 + 4 + 10),
            ("7", 20),
            ("2026", 35),
            ("é", 10),
            ("→", 30),
            ("删除", 28),
            ("🎉", 60),
            ("\\n", 24 + 5),
        ] {
            assert_eq!(twentieths(text), expected, "{text}");
        }
    }

    #[test]
    fn only_what_a_model_is_handed_counts() {
        let bare = json!({"name": "get_task", "description": "Get a task", "inputSchema": {"type": "object"}});
        let mut full = bare.clone();
        full["title"] = json!("Get a task by its id");
        full["annotations"] = json!({"readOnlyHint": true, "inputSchema": {"type": "array"}});
        full["outputSchema"] = json!({"type": "object", "description": "What the task is"});
        full["_meta"] = json!({"description": "more", "name": ["x"]});
        assert_eq!(tokens(&full.to_string()), tokens(&bare.to_string()));
        let text = r#"{"name":"get_task","description":"Get a task","inputSchema":{"type":"object"}}"#;
        assert_eq!((tokens(&bare.to_string()), twentieths(text)), (21, 21 * TWENTIETHS));
        assert!(tokens(r#"{"name":"get_task"}"#) < tokens(r#"{"name":"get_task","description":""}"#));
    }

    #[test]
    fn of_two_equal_members_the_last_one_counts() {
        let twice = r#"{"name":"t","description":"one two three four five six seven","description":"one"}"#;
        assert_eq!(tokens(twice), tokens(r#"{"name":"t","description":"one"}"#));
    }

    proptest! {
        #[test]
        fn how_a_server_spells_its_json_does_not_count(description in ".{0,80}", key in "[a-zé\" /]{0,9}", number in any::<i32>()) {
            let tool: Value = json!({"name": "t", "description": description, "inputSchema": {"properties": {key: {"default": number}}}});
            let compact = tool.to_string();
            let expected = tokens(&compact);
            prop_assert_eq!(tokens(&serde_json::to_string_pretty(&tool).unwrap()), expected);
            prop_assert_eq!(tokens(&in_ascii(&compact)), expected);
            prop_assert_eq!(tokens(&compact.replace('/', "\\/")), expected);
        }
    }
}
