//! One line of the audit log: a JSON object. It is written by hand, not by serde, because every call waits for it.

use super::whose::{Route, Whose};
use crate::clock::Timestamp;
use crate::text::is_hidden;
use sha2::{Digest, Sha256};
use std::io::Write as _;

/// Most argument names in one line; further ones are left out.
pub const KEYS_MAX: usize = 64;
/// Most bytes of all argument names in one line, as they are written; further ones are left out.
pub const KEYS_BYTES_MAX: usize = 1024;
/// Most characters of one text or argument name in a line; `…` follows one that was cut.
pub const TEXT_CHARS_MAX: usize = 256;
/// Most bytes of one text or argument name in a line, as they are written between the quotes; likewise.
pub const TEXT_BYTES_MAX: usize = 512;
/// No line is longer, in bytes: a caller that could make long ones could have others rotated away with few.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// Bytes that most lines need; not a bound.
const LINE_BYTES_USUAL: usize = 768;

/// A line of the log under construction; [`Line::end`] chains and closes it.
pub struct Line<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Line<'a> {
    /// Begins a line of one session, with the members `time`, `session`, `seq` and `event`. `session` and `event` are
    /// not escaped.
    pub fn begin(out: &'a mut Vec<u8>, now: Timestamp, session: &str, sequence: u64, event: &str) -> Self {
        let start = out.len();
        // One growth instead of many for an ordinary line.
        out.reserve(LINE_BYTES_USUAL);
        out.extend_from_slice(b"{\"time\":\"");
        write_time(out, now);
        out.extend_from_slice(b"\",\"session\":\"");
        out.extend_from_slice(session.as_bytes());
        out.extend_from_slice(b"\",\"seq\":");
        write_number(out, sequence);
        out.extend_from_slice(b",\"event\":\"");
        out.extend_from_slice(event.as_bytes());
        out.push(b'"');
        Self { out, start }
    }

    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Adds a text, escaped and cut at [`TEXT_CHARS_MAX`].
    pub fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        write_text(self.out, value);
        self
    }

    /// Adds a text as [`Self::text`] does; nothing for `None`.
    pub fn text_if(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    /// Adds `server`, `grant` and `way`, as far as the line concerns one.
    pub fn whose(self, whose: &Whose) -> Self {
        self.text_if("server", whose.server.as_deref())
            .text_if("grant", whose.grant.as_deref())
            .text_if("way", whose.way.map(Route::as_str))
    }

    /// Adds an integer.
    pub fn number(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        write_number(self.out, value);
        self
    }

    /// Adds the names of a JSON object's members as a list, without their values; at most [`KEYS_MAX`], and
    /// [`KEYS_BYTES_MAX`].
    pub fn names(mut self, key: &str, object: &str) -> Self {
        self.key(key);
        self.out.push(b'[');
        let start = self.out.len();
        for (literal, _) in crate::mcp::walk::members(object).take(KEYS_MAX) {
            let before = self.out.len();
            if before > start {
                self.out.push(b',');
            }
            write_text(self.out, &crate::mcp::json::string_value(literal).unwrap_or_default());
            if self.out.len() - start > KEYS_BYTES_MAX {
                self.out.truncate(before);
                break;
            }
        }
        self.out.push(b']');
        self
    }

    /// Adds bytes as lower-case hexadecimal digits.
    pub fn hex(mut self, key: &str, value: &[u8]) -> Self {
        self.key(key);
        self.out.push(b'"');
        write_hex(self.out, value);
        self.out.push(b'"');
        self
    }

    /// Closes the line with `prev`, the hash of the line before it, and returns its own: SHA-256 without the line
    /// break.
    pub fn end(self, previous: &[u8; 32]) -> [u8; 32] {
        let line = self.hex("prev", previous);
        line.out.push(b'}');
        let hash = Sha256::digest(&line.out[line.start..]).into();
        line.out.push(b'\n');
        hash
    }
}

/// Appends a JSON string. Control and invisible characters become `\u` escapes, since logs are read in terminals.
fn write_text(out: &mut Vec<u8>, value: &str) {
    let simple = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    out.push(b'"');
    // A fold without an early exit looks at every byte, which the compiler can do many bytes at a time.
    if value.len() <= TEXT_CHARS_MAX && value.bytes().fold(true, |all, byte| all & simple(byte)) {
        out.extend_from_slice(value.as_bytes());
    } else {
        let start = out.len();
        for (at, c) in value.chars().enumerate() {
            let before = out.len();
            if at == TEXT_CHARS_MAX {
                out.extend_from_slice("…".as_bytes());
                break;
            }
            if matches!(c, '"' | '\\') {
                out.push(b'\\');
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else if is_hidden(c) || matches!(c, '\n' | '\t') {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            } else {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            if out.len() - start > TEXT_BYTES_MAX {
                out.truncate(before);
                out.extend_from_slice("…".as_bytes());
                break;
            }
        }
    }
    out.push(b'"');
}

/// Appends lower-case hexadecimal digits.
pub fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for piece in bytes.chunks(32) {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(piece) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        out.extend_from_slice(&digits[..2 * piece.len()]);
    }
}

/// Appends a number in decimal.
fn write_number(out: &mut Vec<u8>, number: u64) {
    write_padded(out, number, 1);
}

/// Appends a number in decimal, with zeros before it up to `width` digits; `width` is 1 to 20.
fn write_padded(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while number > 0 {
        at -= 1;
        // A remainder by ten is a digit.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

/// Appends a time as RFC 3339 in UTC with milliseconds.
fn write_time(out: &mut Vec<u8>, now: Timestamp) {
    let (days, seconds) = (now.seconds() / 86_400, now.seconds() % 86_400);
    // Days to a date in the proleptic Gregorian calendar, by eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    for (number, width, after) in [
        (year, 4, b'-'),
        (month, 2, b'-'),
        (day, 2, b'T'),
        (hour, 2, b':'),
        (minute, 2, b':'),
        (second, 2, b'.'),
        (now.millis() % 1000, 3, b'Z'),
    ] {
        write_padded(out, number, width);
        out.push(after);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;

    fn time(millis: u64) -> String {
        let mut out = Vec::new();
        write_time(&mut out, Timestamp::from_millis(millis));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_utc_dates() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(millis), text);
        }
    }

    #[test]
    fn numbers_are_written_as_everywhere() {
        for number in [0, 7, 10, 999, 1000, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }

    #[test]
    fn a_line_is_json_whatever_is_in_it() {
        let hostile = "a\"b\\c\n\u{202e}\u{e0041}\u{1b}[31m 删";
        let mut out = Vec::new();
        Line::begin(&mut out, Timestamp::from_millis(0), "s", 3, "decision")
            .text("tool", hostile)
            .number("n", 5)
            .names("keys", r#"{"a\u202e":1,"b":{"c":2}}"#)
            .end(&[0; 32]);
        let text = std::str::from_utf8(&out).unwrap();
        assert!(!text.contains(['\u{202e}', '\u{1b}', '\u{e0041}']), "{text}");
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(value["tool"], hostile);
        assert_eq!(value["keys"], serde_json::json!(["a\u{202e}", "b"]));
    }

    #[test]
    fn texts_and_names_are_bounded() {
        for (chars, kept) in [(TEXT_CHARS_MAX, TEXT_CHARS_MAX), (TEXT_CHARS_MAX + 1, TEXT_CHARS_MAX + 1)] {
            let mut out = Vec::new();
            write_text(&mut out, &"é".repeat(chars));
            let text: String = serde_json::from_slice(&out).unwrap();
            assert_eq!((text.chars().count(), text.ends_with('…')), (kept, chars > TEXT_CHARS_MAX));
        }
        let object =
            |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(","));
        for (count, kept) in [(KEYS_MAX, KEYS_MAX), (KEYS_MAX + 1, KEYS_MAX)] {
            let mut out = Vec::new();
            Line::begin(&mut out, Timestamp::from_millis(0), "s", 0, "e").names("keys", &object(count)).end(&[0; 32]);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["keys"].as_array().map(Vec::len), Some(kept));
        }
    }

    #[test]
    fn texts_and_names_are_bounded_as_they_are_written() {
        // Each character becomes twelve bytes.
        let hidden = "\u{e0041}";
        for (count, is_cut) in [(TEXT_BYTES_MAX / 12, false), (TEXT_BYTES_MAX / 12 + 1, true)] {
            let mut out = Vec::new();
            write_text(&mut out, &hidden.repeat(count));
            assert!(out.len() <= TEXT_BYTES_MAX + "\"…\"".len(), "{}", out.len());
            let text: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(text.ends_with('…'), is_cut);
        }
        // Each name is 128 bytes with its quotes and comma, but for the first.
        let name = |n: usize| format!("\"{n:0125}\":1");
        for (count, kept) in [(8, 8), (9, 8)] {
            let object = format!("{{{}}}", (0..count).map(name).collect::<Vec<_>>().join(","));
            let mut out = Vec::new();
            Line::begin(&mut out, Timestamp::from_millis(0), "s", 0, "e").names("keys", &object).end(&[0; 32]);
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["keys"].as_array().map(Vec::len), Some(kept));
        }
    }
}
