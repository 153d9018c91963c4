//! JSON as it was written: a strict, borrowed tree that keeps every number's text and every value's place.
//!
//! `serde_json::Value` rounds numbers to 64 bits and forgets places and duplicate members; a policy needs all three:
//! exact amounts, a line and column for each problem, and one reading that no other parser can differ from.

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

/// Deepest nesting of a call's arguments (ARCHITECTURE.md, the bound of admission).
pub(crate) const ARGUMENTS_DEPTH_MAX: usize = 128;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    /// Byte offset of the first character.
    pub start: u32,
    /// Byte offset after the last character.
    pub end: u32,
    /// The value.
    pub json: Json<'a>,
}

/// A JSON value (RFC 8259).
#[derive(Clone, Debug)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    /// The number's text.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    /// Members in the order written; a name occurs once.
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Clone, Debug)]
pub(crate) struct Member<'a> {
    /// Byte offset of the name.
    pub start: u32,
    /// The decoded name.
    pub name: Cow<'a, str>,
    /// The value.
    pub value: Node<'a>,
}

/// What is wrong with a text that should be JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Byte offset.
    pub at: usize,
    /// A lower-case fragment.
    pub message: String,
}

/// A member name that occurs twice in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Duplicate {
    /// Byte offset of the second occurrence.
    pub at: usize,
    /// JSON Pointer of the member.
    pub pointer: String,
}

/// Reads one JSON text. Duplicate members are an error.
pub(crate) fn parse(text: &str, depth_max: usize) -> Result<Node<'_>, Malformed> {
    let (node, duplicates) = parse_into(text, depth_max, Room::Grown)?;
    match duplicates.first() {
        None => Ok(node),
        Some(first) => Err(Malformed { at: first.at, message: format!("duplicate member `{}`", first.pointer) }),
    }
}

/// Reads one JSON text and lists duplicate members beside it; the tree holds the first of each. For large texts: the
/// tree takes no more memory than it needs.
pub(crate) fn parse_with_duplicates(text: &str, depth_max: usize) -> Result<(Node<'_>, Vec<Duplicate>), Malformed> {
    parse_into(text, depth_max, Room::Needed)
}

/// How much room the lists of a tree have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// What growing came to, which is quick.
    Grown,
    /// What is needed, which saves half of the memory of many small lists.
    Needed,
}

fn parse_into(text: &str, depth_max: usize, room: Room) -> Result<(Node<'_>, Vec<Duplicate>), Malformed> {
    if u32::try_from(text.len()).is_err() {
        return Err(Malformed { at: 0, message: "text is too long".to_owned() });
    }
    let mut parser =
        Parser { text, bytes: text.as_bytes(), at: 0, depth_left: depth_max, room, duplicates: Vec::new() };
    parser.space();
    let node = parser.value()?;
    parser.space();
    if parser.at < text.len() {
        return parser.fail("expected the end of the text");
    }
    let mut duplicates = std::mem::take(&mut parser.duplicates);
    // Pointers are only built where something is wrong: a second walk costs nothing in the ordinary case.
    for duplicate in &mut duplicates {
        let mut pointer = String::new();
        pointer_to(&node, duplicate.at, &mut pointer);
        pointer.push('/');
        pointer.push_str(&escape_token(&duplicate.pointer));
        duplicate.pointer = pointer;
    }
    Ok((node, duplicates))
}

/// Appends the pointer of the innermost container that spans a byte offset.
fn pointer_to(node: &Node<'_>, at: usize, pointer: &mut String) {
    let inside = |child: &Node<'_>| (child.start as usize) <= at && at < child.end as usize;
    match &node.json {
        Json::Object(members) => {
            if let Some(member) = members.iter().find(|member| inside(&member.value)) {
                pointer.push('/');
                pointer.push_str(&escape_token(&member.name));
                pointer_to(&member.value, at, pointer);
            }
        }
        Json::Array(items) => {
            if let Some((index, item)) = items.iter().enumerate().find(|(_, item)| inside(item)) {
                let _ = write!(pointer, "/{index}");
                pointer_to(item, at, pointer);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// A reference token of a JSON Pointer (RFC 6901, section 3).
pub(crate) fn escape_token(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) { Cow::Owned(name.replace('~', "~0").replace('/', "~1")) } else { Cow::Borrowed(name) }
}

impl<'a> Node<'a> {
    /// The value of a member, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Node<'a>> {
        match &self.json {
            Json::Object(members) => members.iter().find(|member| member.name == name).map(|member| &member.value),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.json {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// Compact JSON with members in the order of their names and numbers to the letter.
    pub fn canonical(&self) -> String {
        let mut out = String::with_capacity((self.end - self.start) as usize);
        self.write(&mut out, true);
        out
    }

    /// SHA-256 of [`Node::canonical`], without the whole of it in memory.
    pub fn canonical_hash(&self) -> [u8; 32] {
        /// What is put together before it is hashed, in bytes.
        const PIECE_BYTES: usize = 16 * 1024;
        let mut hasher = Sha256::new();
        let mut out = String::with_capacity(PIECE_BYTES);
        self.write_in_pieces(&mut out, true, &mut |piece| {
            if piece.len() >= PIECE_BYTES / 2 {
                hasher.update(piece.as_bytes());
                piece.clear();
            }
        });
        hasher.update(out.as_bytes());
        hasher.finalize().into()
    }

    /// Compact JSON with members as they stand and numbers to the letter.
    pub fn compact(&self) -> String {
        let mut out = String::with_capacity((self.end - self.start) as usize);
        self.write(&mut out, false);
        out
    }

    fn write(&self, out: &mut String, sorted: bool) {
        self.write_in_pieces(out, sorted, &mut |_| {});
    }

    /// Appends to `out`, and lets `full` empty it after every item and member.
    fn write_in_pieces(&self, out: &mut String, sorted: bool, full: &mut impl FnMut(&mut String)) {
        match &self.json {
            Json::Null => out.push_str("null"),
            Json::Bool(true) => out.push_str("true"),
            Json::Bool(false) => out.push_str("false"),
            Json::Number(text) => out.push_str(text),
            Json::String(text) => write_string(text, out),
            Json::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_in_pieces(out, sorted, full);
                    full(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                let mut write = |index: usize, member: &Member<'_>| {
                    if index > 0 {
                        out.push(',');
                    }
                    write_string(&member.name, out);
                    out.push(':');
                    member.value.write_in_pieces(out, sorted, full);
                    full(out);
                };
                if sorted && !members.is_sorted_by(|a, b| a.name <= b.name) {
                    let mut order: Vec<&Member<'_>> = members.iter().collect();
                    order.sort_by(|a, b| a.name.cmp(&b.name));
                    order.into_iter().enumerate().for_each(|(index, member)| write(index, member));
                } else {
                    members.iter().enumerate().for_each(|(index, member)| write(index, member));
                }
                out.push('}');
            }
        }
    }
}

impl Json<'_> {
    /// The name of the type, as JSON Schema has it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

/// Writes a JSON string with the escapes that are needed and no others.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    // Looks at every byte, without a way out: that can be done many bytes at a time, and most texts are plain.
    if text.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\')) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        plain = at + 1;
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// JSON text that a policy holds as a value: compact, members as written, numbers to the letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JsonText(Arc<str>);

impl JsonText {
    pub(crate) fn of(node: &Node<'_>) -> Self {
        match node.json {
            Json::Number(text) => Self(text.into()),
            _ => Self(node.compact().into()),
        }
    }

    /// A list of texts.
    pub(crate) fn of_texts(texts: &[String]) -> Self {
        let mut out = String::from("[");
        for (at, text) in texts.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_string(text, &mut out);
        }
        out.push(']');
        Self(out.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for JsonText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl schemars::JsonSchema for JsonText {
    fn schema_name() -> Cow<'static, str> {
        "AnyValue".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        true.into()
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth_left: usize,
    room: Room,
    duplicates: Vec<Duplicate>,
}

impl<'a> Parser<'a> {
    fn fail<T>(&self, message: &str) -> Result<T, Malformed> {
        let message = if self.at >= self.bytes.len() { "the text ends too early" } else { message };
        Err(Malformed { at: self.at, message: message.to_owned() })
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn offset(&self) -> u32 {
        // The length was checked to fit before parsing began.
        u32::try_from(self.at).unwrap_or(u32::MAX)
    }

    fn value(&mut self) -> Result<Node<'a>, Malformed> {
        let start = self.offset();
        let json = match self.bytes.get(self.at) {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Json::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Json::Number(self.number()?),
            Some(b't') => self.word("true", Json::Bool(true))?,
            Some(b'f') => self.word("false", Json::Bool(false))?,
            Some(b'n') => self.word("null", Json::Null)?,
            _ => return self.fail("expected a JSON value"),
        };
        Ok(Node { start, end: self.offset(), json })
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<Json<'a>, Malformed>) -> Result<Json<'a>, Malformed> {
        if self.depth_left == 0 {
            return self.fail("nested too deeply");
        }
        self.depth_left -= 1;
        self.at += 1;
        let json = inner(self)?;
        self.depth_left += 1;
        Ok(json)
    }

    fn word(&mut self, word: &str, json: Json<'a>) -> Result<Json<'a>, Malformed> {
        if !self.text[self.at..].starts_with(word) {
            return self.fail("expected a JSON value");
        }
        self.at += word.len();
        Ok(json)
    }

    fn array(&mut self) -> Result<Json<'a>, Malformed> {
        let mut items = Vec::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            self.space();
            items.push(self.value()?);
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    if self.room == Room::Needed {
                        items.shrink_to_fit();
                    }
                    return Ok(Json::Array(items));
                }
                _ => return self.fail("expected `,` or `]`"),
            }
        }
    }

    fn object(&mut self) -> Result<Json<'a>, Malformed> {
        /// Beyond this many members names are compared by sorting, not pair by pair.
        const PAIRWISE_MEMBERS_MAX: usize = 16;
        let mut members: Vec<Member<'a>> = Vec::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let start = self.offset();
            if self.bytes.get(self.at) != Some(&b'"') {
                return self.fail("expected a member name in double quotes");
            }
            let name = self.string()?;
            self.space();
            if self.bytes.get(self.at) != Some(&b':') {
                return self.fail("expected `:`");
            }
            self.at += 1;
            self.space();
            let value = self.value()?;
            members.push(Member { start, name, value });
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                _ => return self.fail("expected `,` or `}`"),
            }
        }
        if self.room == Room::Needed {
            members.shrink_to_fit();
        }
        if members.len() <= PAIRWISE_MEMBERS_MAX {
            let mut index = 1;
            while index < members.len() {
                if members[..index].iter().any(|earlier| earlier.name == members[index].name) {
                    let twin = members.remove(index);
                    self.duplicates.push(Duplicate { at: twin.start as usize, pointer: twin.name.into_owned() });
                } else {
                    index += 1;
                }
            }
        } else {
            let mut order: Vec<usize> = (0..members.len()).collect();
            order.sort_by(|a, b| members[*a].name.cmp(&members[*b].name).then(a.cmp(b)));
            let mut twins: Vec<usize> =
                order.windows(2).filter(|w| members[w[0]].name == members[w[1]].name).map(|w| w[1]).collect();
            twins.sort_unstable();
            for index in twins.into_iter().rev() {
                let twin = members.remove(index);
                self.duplicates.push(Duplicate { at: twin.start as usize, pointer: twin.name.into_owned() });
            }
        }
        Ok(Json::Object(members))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let open = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(0..=0x1f) => return self.fail("a control character inside a string"),
                Some(_) => self.at += 1,
                None => return self.fail(""),
            }
        }
        self.at += 1;
        if !escaped {
            return Ok(Cow::Borrowed(&self.text[open + 1..self.at - 1]));
        }
        match serde_json::from_str::<String>(&self.text[open..self.at]) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => {
                self.at = open;
                self.fail("an escape that does not stand for a character")
            }
        }
    }

    fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fail("expected a digit"),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if !matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
                return self.fail("expected a digit");
            }
            self.digits();
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
                return self.fail("expected a digit");
            }
            self.digits();
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_their_text_and_members_their_order() {
        let node = parse(r#" {"b": 1.0, "a": [1e400, -0, 9007199254740993, "\u00e9\n"]} "#, 8).map(|n| n.compact());
        assert_eq!(node.as_deref(), Ok(r#"{"b":1.0,"a":[1e400,-0,9007199254740993,"é\n"]}"#));
        let node = parse(r#"{"b": {"y": 1, "x": 2}, "a": 0}"#, 8).map(|n| n.canonical());
        assert_eq!(node.as_deref(), Ok(r#"{"a":0,"b":{"x":2,"y":1}}"#));
    }

    #[test]
    fn the_hash_of_a_text_in_pieces_is_the_hash_of_the_whole() {
        for count in [0, 1, 5000] {
            let items: Vec<String> = (0..count).map(|n| format!(r#"{{"z":"{n}","a":{n}}}"#)).collect();
            let text = format!("[{}]", items.join(","));
            let same = parse(&text, 8).map(|node| node.canonical_hash() == *Sha256::digest(node.canonical()));
            assert_eq!(same, Ok(true), "{count}");
        }
    }

    #[test]
    fn duplicates_are_found_at_every_depth_and_size() {
        let found = |text: &str| match parse_with_duplicates(text, 8) {
            Ok((_, duplicates)) => duplicates.into_iter().map(|d| (d.at, d.pointer)).collect(),
            Err(error) => vec![(error.at, error.message)],
        };
        assert_eq!(found(r#"{"a":{"x":1,"\u0078":2}}"#), [(12, "/a/x".to_owned())]);
        let many: Vec<String> = (0..40).map(|i| format!("\"k{}\":{i}", i % 39)).collect();
        assert_eq!(found(&format!("[{{{}}}]", many.join(","))).iter().map(|d| &*d.1).collect::<Vec<_>>(), ["/0/k0"]);
        assert!(parse(r#"{"a":1,"a":1}"#, 8).is_err());
    }

    #[test]
    fn depth_is_bounded() {
        assert!(parse("[[]]", 2).is_ok());
        assert!(parse("[[[]]]", 2).is_err());
    }

    proptest! {
        #[test]
        fn accepts_what_serde_json_accepts(text in r#"[\[\]{},:" \\u0-9eE+.\-tfna-]{0,24}"#) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok()
                && serde_json::from_str::<&RawValue>(&text).is_ok();
            let ours = parse_with_duplicates(&text, 128).is_ok();
            // Escapes of lone surrogates pass when ignored and fail when read: only reading counts.
            prop_assert!(ours == theirs || text.contains('\\'));
        }

        #[test]
        fn never_panics_and_prints_what_it_read(text in "\\PC{0,40}") {
            if let Ok((node, _)) = parse_with_duplicates(&text, 16) {
                prop_assert!(parse_with_duplicates(&node.compact(), 16).is_ok());
            }
        }
    }
}
