//! A strict JSON scanner: one pass over the bytes, nothing built, the places of chosen members recorded.
//!
//! A parser that builds values cannot do this work. `serde_json` keeps the last of two equal members and says nothing,
//! and it cannot tell where in the text a member stood, which is what "forward exactly what was judged" needs. So the
//! gateway scans for itself: RFC 8259 to the letter, plus the things that make parsers disagree about one text (equal
//! members, members equal up to case or NUL, lone surrogates, white space that some readers take for line breaks).

use std::borrow::Cow;
use std::ops::Range;

/// Deepest nesting of arrays and objects in one message.
pub const DEPTH_MAX: usize = 128;
/// Most values in a text whose members are all compared, those of arrays and objects and these themselves counted: a tree
/// of them takes some tens of MiB, and one of a message full of zeros would take fifty times the message.
pub const VALUES_MAX: usize = 250_000;
/// Objects with more members than this are compared by sorting instead of pair by pair.
const PAIRWISE_MEMBERS_MAX: usize = 12;

/// Names that are open at the same time in most messages; more make the table grow.
const KEYS_USUAL: usize = 16;

/// Why a text is no JSON that every reader agrees on. The scan ends here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// Something else stands where a value, a comma, a colon or the end was due.
    #[error("not valid JSON at byte {0}")]
    Syntax(usize),
    /// The text ends inside a value.
    #[error("the JSON text ends too early")]
    Truncated,
    /// A second value, or anything but white space, after the first.
    #[error("data after the JSON value, at byte {0}")]
    Trailing(usize),
    /// A byte order mark (RFC 8259, section 8.1).
    #[error("a byte order mark before the JSON value")]
    ByteOrderMark,
    /// More than [`DEPTH_MAX`] levels.
    #[error("nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
}

/// Why readers could disagree about a text whose structure is sound, or why it is not read in whole. The scan goes on, so
/// that the id can still be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Two members of one object have the same name: some readers take the first, some the last.
    #[error("two members with the same name in one object")]
    DuplicateMember,
    /// Half a UTF-16 pair as an escape: some readers replace it, some refuse it.
    #[error("an escape that is half a surrogate pair")]
    LoneSurrogate,
    /// `NaN`, `Infinity` or `-Infinity`, which only some readers know.
    #[error("a number that JSON does not have")]
    NotFinite,
    /// More than [`VALUES_MAX`]; members are not compared any further.
    #[error("more than {VALUES_MAX} values in one message")]
    TooMany,
}

/// What a visitor calls a place in the text; `0` is nowhere of interest.
pub type Tag = u8;

/// The tag of the outermost value.
pub const TOP: Tag = 1;

/// Told about members and values while the text is scanned.
pub trait Visitor {
    /// A member of an object with tag `within`; answers the tag of its value.
    fn member(&mut self, within: Tag, name: &[u8]) -> Tag;
    /// A value with a tag other than `0` was read; `span` is its text.
    fn value(&mut self, tag: Tag, span: Range<usize>);
}

/// A name that is an ordinary member to every reader of JSON, but replaces what stands behind an object as soon as a
/// program in JavaScript copies the members one by one: then its members are found in place of those that are not there.
pub const PROTOTYPE: &str = "__proto__";

/// How far equal members are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// In every object.
    Everywhere,
    /// Only in objects with a tag.
    Tagged,
}

/// What a scan saw beside the members that the visitor asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The worst flaw: what readers take for two things, then what is no JSON, then the first of the others.
    pub flaw: Option<Flaw>,
    /// White space between tokens, or around the value.
    pub space: bool,
    /// A carriage return among it.
    pub carriage_return: bool,
    /// Two members of one object that are equal but for case (simple folding, with U+017F and U+212A).
    pub near_duplicate: bool,
    /// A member whose name holds U+0000: readers in C end the name there.
    pub nul_in_name: bool,
    /// A member named [`PROTOTYPE`].
    pub prototype: bool,
}

/// Scans one JSON text.
///
/// # Errors
/// The text is not one JSON value; flaws that leave the structure sound are in [`Seen`] instead. The visitor has seen
/// everything up to the error.
pub fn scan(text: &str, members: Members, visitor: &mut impl Visitor) -> Result<Seen, Fatal> {
    let bytes = text.as_bytes();
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Fatal::ByteOrderMark);
    }
    let mut scanner = Scanner {
        bytes,
        at: 0,
        seen: Seen::default(),
        values: 0,
        members,
        keys: Vec::with_capacity(KEYS_USUAL),
        decoded: Vec::new(),
        visitor,
    };
    scanner.space();
    scanner.value(TOP, 0)?;
    scanner.space();
    if scanner.at < bytes.len() { Err(Fatal::Trailing(scanner.at)) } else { Ok(scanner.seen) }
}

/// A member's name: a piece of the text, or of the decoded names where it had escapes.
#[derive(Clone)]
struct Key {
    span: Range<usize>,
    decoded: bool,
    plain: bool,
}

struct Scanner<'a, V> {
    bytes: &'a [u8],
    at: usize,
    seen: Seen,
    /// Values begun so far.
    values: usize,
    members: Members,
    keys: Vec<Key>,
    decoded: Vec<u8>,
    visitor: &'a mut V,
}

impl<V: Visitor> Scanner<'_, V> {
    fn peek(&self) -> Result<u8, Fatal> {
        self.bytes.get(self.at).copied().ok_or(Fatal::Truncated)
    }

    /// Keeps the first flaw, but a duplicate member before any other: it is the one that changes what a message means.
    fn flaw(&mut self, flaw: Flaw) {
        let badness = |flaw| [Flaw::NotFinite, Flaw::DuplicateMember].iter().position(|bad| *bad == flaw);
        if self.seen.flaw.is_none_or(|known| badness(flaw) > badness(known)) {
            self.seen.flaw = Some(flaw);
        }
    }

    /// Whether there are more values than are looked at. What is kept of them may not grow any further.
    fn is_over(&self) -> bool {
        self.values > VALUES_MAX && self.members == Members::Everywhere
    }

    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.bytes.get(self.at) {
            self.seen.space = true;
            self.seen.carriage_return |= *byte == b'\r';
            self.at += 1;
        }
    }

    fn value(&mut self, tag: Tag, depth: usize) -> Result<(), Fatal> {
        let start = self.at;
        self.values += 1;
        if self.is_over() {
            self.flaw(Flaw::TooMany);
        }
        match self.peek()? {
            b'"' => {
                self.string()?;
            }
            b'{' => self.object(tag, depth + 1)?,
            b'[' => self.array(depth + 1)?,
            b'-' | b'0'..=b'9' => self.number()?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            b'N' => self.not_finite(b"NaN")?,
            b'I' => self.not_finite(b"Infinity")?,
            _ => return Err(Fatal::Syntax(start)),
        }
        if tag != 0 {
            self.visitor.value(tag, start..self.at);
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fatal> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(())
        } else if word.starts_with(rest) {
            Err(Fatal::Truncated)
        } else {
            Err(Fatal::Syntax(self.at))
        }
    }

    fn not_finite(&mut self, word: &[u8]) -> Result<(), Fatal> {
        self.word(word)?;
        self.flaw(Flaw::NotFinite);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fatal> {
        if !self.peek()?.is_ascii_digit() {
            return Err(Fatal::Syntax(self.at));
        }
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fatal> {
        if self.peek()? == b'-' {
            self.at += 1;
            if self.peek()? == b'I' {
                return self.not_finite(b"Infinity");
            }
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let b'+' | b'-' = self.peek()? {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Reads a string; answers whether it holds escapes.
    fn string(&mut self) -> Result<bool, Fatal> {
        self.at += 1;
        let mut escapes = false;
        loop {
            self.at += until_special(&self.bytes[self.at..]);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(escapes);
                }
                b'\\' => {
                    escapes = true;
                    self.escape()?;
                }
                _ => return Err(Fatal::Syntax(self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fatal> {
        self.at += 1;
        match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.at += 1;
                Ok(())
            }
            b'u' => {
                self.at += 1;
                match self.hex4()? {
                    0xd800..=0xdbff if self.bytes[self.at..].starts_with(b"\\u") => {
                        let back = self.at;
                        self.at += 2;
                        if !(0xdc00..=0xdfff).contains(&self.hex4()?) {
                            self.at = back;
                            self.flaw(Flaw::LoneSurrogate);
                        }
                    }
                    0xd800..=0xdfff => self.flaw(Flaw::LoneSurrogate),
                    _ => {}
                }
                Ok(())
            }
            _ => Err(Fatal::Syntax(self.at)),
        }
    }

    fn hex4(&mut self) -> Result<u32, Fatal> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek()?).to_digit(16).ok_or(Fatal::Syntax(self.at))?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn array(&mut self, depth: usize) -> Result<(), Fatal> {
        if depth > DEPTH_MAX {
            return Err(Fatal::TooDeep);
        }
        self.at += 1;
        self.space();
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(0, depth)?;
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Fatal::Syntax(self.at)),
            }
            self.space();
        }
    }

    fn object(&mut self, tag: Tag, depth: usize) -> Result<(), Fatal> {
        if depth > DEPTH_MAX {
            return Err(Fatal::TooDeep);
        }
        self.at += 1;
        self.space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        let compare = tag != 0 || self.members == Members::Everywhere;
        let (first_key, first_decoded) = (self.keys.len(), self.decoded.len());
        loop {
            if self.peek()? != b'"' {
                return Err(Fatal::Syntax(self.at));
            }
            let start = self.at + 1;
            let escapes = self.string()?;
            let mut inner = 0;
            if compare {
                let key = self.key(start..self.at - 1, escapes);
                let name = name_of(self.bytes, &self.decoded, &key);
                self.seen.nul_in_name |= escapes && name.contains(&0);
                self.seen.prototype |= name == PROTOTYPE.as_bytes();
                if tag != 0 {
                    inner = self.visitor.member(tag, name);
                }
                if !self.is_over() {
                    self.keys.push(key);
                }
            }
            self.space();
            if self.peek()? != b':' {
                return Err(Fatal::Syntax(self.at));
            }
            self.at += 1;
            self.space();
            self.value(inner, depth)?;
            self.space();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    break;
                }
                _ => return Err(Fatal::Syntax(self.at)),
            }
            self.space();
        }
        if compare {
            self.compare(first_key);
            self.keys.truncate(first_key);
            self.decoded.truncate(first_decoded);
        }
        Ok(())
    }

    fn key(&mut self, span: Range<usize>, escapes: bool) -> Key {
        if !escapes {
            let plain = self.bytes[span.clone()].is_ascii();
            return Key { span, decoded: false, plain };
        }
        let start = self.decoded.len();
        unescape(&self.bytes[span], &mut self.decoded);
        Key { span: start..self.decoded.len(), decoded: true, plain: false }
    }

    /// Looks for equal and nearly equal names among the keys of the object that just ended.
    fn compare(&mut self, first: usize) {
        let (bytes, decoded) = (self.bytes, &self.decoded);
        let keys = &self.keys[first..];
        let name = |key: &Key| name_of(bytes, decoded, key);
        let mut near = false;
        let mut equal = false;
        if keys.len() <= PAIRWISE_MEMBERS_MAX {
            for (at, one) in keys.iter().enumerate() {
                for other in &keys[..at] {
                    // The ordinary pair, told apart without a look at the bytes.
                    if one.plain && other.plain && one.span.len() != other.span.len() {
                        continue;
                    }
                    let (a, b) = (name(one), name(other));
                    let alike = if one.plain && other.plain { a.eq_ignore_ascii_case(b) } else { fold(a) == fold(b) };
                    if alike {
                        equal |= a == b;
                        near |= a != b;
                    }
                }
            }
        } else {
            // Sorting keeps an object of a million members from costing a million million comparisons.
            let mut names: Vec<(Cow<'_, [u8]>, &[u8])> = keys.iter().map(|key| (fold(name(key)), name(key))).collect();
            names.sort_unstable();
            for pair in names.windows(2) {
                equal |= pair[0].1 == pair[1].1;
                near |= pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1;
            }
        }
        self.seen.near_duplicate |= near;
        if equal {
            self.flaw(Flaw::DuplicateMember);
        }
    }
}

#[inline]
fn name_of<'k>(bytes: &'k [u8], decoded: &'k [u8], key: &Key) -> &'k [u8] {
    if key.decoded { &decoded[key.span.clone()] } else { &bytes[key.span.clone()] }
}

/// Bytes before the next quote, backslash or control character. The first few by words of eight bytes, because names
/// and most texts end there; then in blocks of a size that the compiler can use vector instructions for: results of a
/// megabyte are mostly one string.
fn until_special(bytes: &[u8]) -> usize {
    let mut at = 0;
    for word in bytes.chunks_exact(8).take(SHORT_WORDS) {
        let hit = special_in(word);
        if hit != 0 {
            return at + (hit.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    for block in bytes[at..].chunks_exact(32) {
        if block.iter().fold(false, |hit, &byte| hit | special(byte)) {
            break;
        }
        at += 32;
    }
    at + bytes[at..].iter().position(|&byte| special(byte)).unwrap_or(bytes.len() - at)
}

/// How many words of eight bytes are looked at one by one.
const SHORT_WORDS: usize = 4;

/// The lowest bit that is set is in the first byte of eight that is a quote, a backslash or a control character; bits
/// above it mean nothing, because a borrow may have set them. 0 if there is none.
fn special_in(word: &[u8]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH_BITS: u64 = ONES << 7;
    let Ok(word) = <[u8; 8]>::try_from(word) else { return 0 };
    let word = u64::from_le_bytes(word);
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH_BITS;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, 0x20) | equal(b'"') | equal(b'\\')
}

/// The name in the form in which readers that ignore case compare it, without U+0000: upper case, then lower case, which
/// takes U+017F to `s` and U+212A to `k` as Go's `encoding/json` does.
fn fold(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().all(|byte| byte.is_ascii() && *byte != 0 && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let text = String::from_utf8_lossy(name);
    let folded: String =
        text.chars().filter(|c| *c != '\0').flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    Cow::Owned(folded.into_bytes())
}

/// Whether a name is not one of the known ones but would be taken for one by a reader that ignores case, drops U+0000 or
/// ends at it.
pub fn nearly_known(name: &[u8], known: &[&str]) -> bool {
    if name.iter().all(|byte| byte.is_ascii() && *byte != 0) {
        // `eq_ignore_ascii_case` compares lengths first: this is cheap for the ordinary member.
        return known.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name) && known.as_bytes() != name);
    }
    let head = name.split(|byte| *byte == 0).next().unwrap_or_default();
    known.iter().any(|known| {
        let folded = fold(known.as_bytes());
        folded == fold(name) || folded == fold(head)
    })
}

/// Decodes the inside of a string that was scanned before; half a surrogate pair becomes U+FFFD.
fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let Some(&kind) = rest.get(at + 1) else { return };
        rest = &rest[at + 2..];
        let simple = match kind {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let high = take_hex(&mut rest);
                let mut code = high;
                if (0xd800..0xdc00).contains(&high) && rest.starts_with(b"\\u") {
                    let mut after = &rest[2..];
                    let low = take_hex(&mut after);
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        rest = after;
                    }
                }
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            other => other,
        };
        out.push(simple);
    }
    out.extend_from_slice(rest);
}

fn take_hex(rest: &mut &[u8]) -> u32 {
    let (digits, after) = rest.split_at(rest.len().min(4));
    *rest = after;
    digits.iter().fold(0, |code, digit| code * 16 + char::from(*digit).to_digit(16).unwrap_or(0))
}

/// The value of a JSON string literal, quotes included; `None` if it is no string.
pub fn string_value(literal: &str) -> Option<Cow<'_, str>> {
    let inside = literal.strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    let mut out = Vec::with_capacity(inside.len());
    unescape(inside.as_bytes(), &mut out);
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// Whether a string holds a character that some readers of lines take for the end of one, though JSON allows it raw
/// (RFC 8259, section 7): Node's `readline` ends lines at U+2028 and U+2029, Python's `splitlines` also at U+0085.
pub fn has_line_separator(text: &str) -> bool {
    !text.is_ascii() && text.contains(['\u{85}', '\u{2028}', '\u{2029}'])
}

/// The same text with those characters as escapes, which every JSON reader takes for the same string.
pub fn escape_line_separators(text: &str) -> String {
    text.replace('\u{85}', "\\u0085").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// The same tokens without the white space between them. The text must have been scanned.
pub fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Outside strings, copy up to the next quote without its white space; inside, copy up to the closing quote.
    while let Some(open) = rest.find('"') {
        out.extend(rest[..open].chars().filter(|c| !c.is_ascii_whitespace()));
        let inside = &rest.as_bytes()[open + 1..];
        let mut end = 0;
        while let Some(at) = memchr::memchr2(b'"', b'\\', &inside[end..]) {
            end += at + 1;
            if inside[end - 1] == b'"' {
                break;
            }
            end += 1;
        }
        let close = (open + 1 + end).min(rest.len());
        out.push_str(&rest[open..close]);
        rest = &rest[close..];
    }
    out.extend(rest.chars().filter(|c| !c.is_ascii_whitespace()));
    out
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
