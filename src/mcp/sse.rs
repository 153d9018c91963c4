//! Streams of server-sent events, cut into blocks to the byte (WHATWG HTML, section 9.2.6): the one reader of all that
//! asks servers behind URLs.
//!
//! What is passed on must be what came: ids, comments, `retry`, unknown fields, line breaks of any kind. So a stream is
//! not parsed and written again but cut where an event ends, and only the `data` of each piece is read.

use super::envelope::MESSAGE_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;
use std::time::Duration;

/// Longest event, in bytes: a message, and room for its other fields and for the names of its lines.
pub const EVENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 256 * 1024;

/// Between the end of a stream and the next try to open it, unless the server says otherwise.
pub const RETRY: Duration = Duration::from_secs(1);
/// Least that a server may ask for.
pub const RETRY_MIN: Duration = Duration::from_millis(50);
/// Most that a server may ask for, and most between two tries to reach one that is gone.
pub const RETRY_MAX: Duration = Duration::from_secs(60);

/// An event is longer than the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLong;

/// Cuts a stream into blocks: events with the empty line behind them, and single lines of comment between events, which
/// are there to show that the server is alive and must not wait.
#[derive(Debug)]
pub struct Blocks {
    buffer: BytesMut,
    /// Up to here the buffer was looked at.
    scanned: usize,
    /// Where the line under way begins.
    line: usize,
    /// The byte before `scanned` is a carriage return: a line feed right after it belongs to it.
    after_return: bool,
    at_start: bool,
    max_bytes: usize,
}

/// A piece of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// As it came.
    pub bytes: Bytes,
    /// It begins with a byte order mark, which is no part of its first field.
    marked: bool,
}

impl Default for Blocks {
    fn default() -> Self {
        Self::new(EVENT_BYTES_MAX)
    }
}

impl Blocks {
    /// For events of at most `max_bytes` bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, line: 0, after_return: false, at_start: true, max_bytes }
    }

    /// Takes the next bytes of the stream, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete block.
    ///
    /// # Errors
    /// It is too long; the stream cannot be read any further.
    pub fn next_block(&mut self) -> Result<Option<Block>, EventTooLong> {
        loop {
            if self.after_return
                && let Some(byte) = self.buffer.get(self.scanned)
            {
                self.after_return = false;
                if *byte == b'\n' {
                    if self.scanned == 0 {
                        return Ok(Some(self.cut(1)));
                    }
                    self.scanned += 1;
                    self.line = self.scanned;
                }
            }
            let Some(found) = memchr::memchr2(b'\r', b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                return if self.buffer.len() > self.max_bytes { Err(EventTooLong) } else { Ok(None) };
            };
            let end = self.scanned + found;
            let mut next = end + 1;
            let is_return = self.buffer[end] == b'\r';
            if is_return && self.buffer.get(next) == Some(&b'\n') {
                next += 1;
            }
            self.after_return = is_return && next == self.buffer.len() && next == end + 1;
            let line = &self.buffer[self.line..end];
            if line.is_empty() || (self.line == 0 && line[0] == b':') {
                return if next > self.max_bytes { Err(EventTooLong) } else { Ok(Some(self.cut(next))) };
            }
            (self.scanned, self.line) = (next, next);
        }
    }

    fn cut(&mut self, end: usize) -> Block {
        let bytes = self.buffer.split_to(end).freeze();
        (self.scanned, self.line) = (0, 0);
        let marked = std::mem::take(&mut self.at_start) && bytes.starts_with(BYTE_ORDER_MARK);
        Block { bytes, marked }
    }
}

/// How far a stream was read, by what its blocks said.
#[derive(Clone, Debug, Default)]
pub struct Position {
    last_id: Option<String>,
    retry: Option<Duration>,
}

impl Position {
    /// Counts a block in. Only one that was handed on may be: the server sends everything after it again.
    pub fn take(&mut self, block: &Block) {
        if let Some(id) = block.id() {
            self.last_id = (!id.is_empty()).then(|| id.into_owned());
        }
        self.retry = block.retry().or(self.retry);
    }

    /// The id from which the stream can be taken up again, if there is one.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// How long to wait before the stream is opened again.
    pub fn pause(&self) -> Pause {
        Pause::after(self.retry)
    }

    /// Another stream begins from its beginning.
    pub fn begin_anew(&mut self) {
        self.last_id = None;
    }
}

/// How long a server is left alone before its stream is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause(Duration);

impl Pause {
    /// After a stream that has ended, on which the server has asked for so long if for anything.
    pub fn after(stated: Option<Duration>) -> Self {
        Self(stated.unwrap_or(RETRY).clamp(RETRY_MIN, RETRY_MAX))
    }

    /// After one more try in vain.
    #[must_use]
    pub fn longer(self) -> Self {
        Self((self.0 * 2).min(RETRY_MAX))
    }

    /// Waits.
    pub async fn rest(self) {
        tokio::time::sleep(self.0).await;
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of a block, without their breaks, each with the bytes from it to the next one.
fn lines(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let break_bytes = if rest[end..].starts_with(b"\r\n") { 2 } else { usize::from(end < rest.len()) };
        let (whole, next) = rest.split_at(end + break_bytes);
        rest = next;
        Some((&whole[..end], whole))
    })
}

/// The value of a line's field, if it is this one.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => rest.is_empty().then_some(rest),
    }
}

impl Block {
    fn fields(&self) -> &[u8] {
        if self.marked { &self.bytes[BYTE_ORDER_MARK.len()..] } else { &self.bytes }
    }

    /// `data`, its lines joined with line feeds; `None` if the block has none.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        let mut values = lines(self.fields()).filter_map(|(line, _)| field(line, b"data"));
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
        let mut all = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            all.push(b'\n');
            all.extend_from_slice(value);
        }
        Some(Cow::Owned(all))
    }

    /// The kind of the event; `message` where the block names none.
    pub fn kind(&self) -> &[u8] {
        let last = lines(self.fields()).filter_map(|(line, _)| field(line, b"event")).last();
        last.filter(|kind| !kind.is_empty()).unwrap_or(b"message")
    }

    /// Whether the event is of the kind that carries messages.
    pub fn is_message(&self) -> bool {
        self.kind() == b"message"
    }

    /// Whether the block has an `id`, from which the stream can be resumed.
    pub fn has_id(&self) -> bool {
        lines(self.fields()).any(|(line, _)| field(line, b"id").is_some_and(|id| !id.is_empty() && !id.contains(&0)))
    }

    /// The last `id`, which may be empty: then the stream cannot be resumed any more.
    pub fn id(&self) -> Option<Cow<'_, str>> {
        let ids = lines(self.fields()).filter_map(|(line, _)| field(line, b"id"));
        ids.filter(|id| !id.contains(&0)).last().map(String::from_utf8_lossy)
    }

    /// The last `retry`: how long to wait before the stream is taken up again.
    pub fn retry(&self) -> Option<Duration> {
        let value = lines(self.fields()).filter_map(|(line, _)| field(line, b"retry")).last()?;
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok().map(Duration::from_millis)
    }

    /// This block without these fields and without a byte order mark, and with other data if any is given.
    pub fn without(&self, names: &[&[u8]], data: Option<&[u8]>) -> Bytes {
        let is_named = |line| names.iter().any(|name| field(line, name).is_some());
        if data.is_none() && !self.marked && !lines(&self.bytes).any(|(line, _)| is_named(line)) {
            return self.bytes.clone();
        }
        let mut out = BytesMut::with_capacity(self.bytes.len() + 64);
        let mut written = false;
        for (line, whole) in lines(self.fields()) {
            if is_named(line) {
                continue;
            }
            if data.is_none() || field(line, b"data").is_none() {
                out.extend_from_slice(whole);
            } else if !std::mem::replace(&mut written, true) {
                write_data(&mut out, data.unwrap_or_default());
            }
        }
        out.freeze()
    }

    /// This block with other data.
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        self.without(&[], Some(data))
    }
}

/// An event of our own.
pub fn event(data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 32);
    out.extend_from_slice(b"event: message\n");
    write_data(&mut out, data.strip_suffix(b"\n").unwrap_or(data));
    out.extend_from_slice(b"\n");
    out.freeze()
}

/// Writes data as an event has it: each line of it is a line of the event.
fn write_data(out: &mut BytesMut, data: &[u8]) {
    if data.is_empty() {
        out.extend_from_slice(b"data: \n");
    }
    for (line, _) in lines(data) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.extend_from_slice(b"\n");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &[u8], step: usize, max: usize) -> Result<Vec<Block>, EventTooLong> {
        let mut blocks = Blocks::new(max);
        let mut out = Vec::new();
        for piece in text.chunks(step) {
            blocks.feed(piece);
            while let Some(block) = blocks.next_block()? {
                out.push(block);
            }
        }
        Ok(out)
    }

    fn texts(text: &str, step: usize) -> Vec<String> {
        let blocks = cut(text.as_bytes(), step, 1000).unwrap();
        blocks.iter().map(|block| String::from_utf8_lossy(&block.bytes).into_owned()).collect()
    }

    #[test]
    fn a_block_ends_with_its_empty_line_whatever_the_breaks() {
        for step in [1, 2, 3, 1000] {
            assert_eq!(texts("data: a\n\ndata: b\r\n\r\nid: 1\n", step).concat(), "data: a\n\ndata: b\r\n\r\n");
            assert_eq!(texts("id: 1\rdata\r\rdata: b\r\r", step).concat(), "id: 1\rdata\r\rdata: b\r\r");
            assert_eq!(texts(": alive\ndata: a\n: inside\n\n\n", step), [": alive\n", "data: a\n: inside\n\n", "\n"]);
        }
        assert_eq!(texts("data: a\r\n\r\ndata: b\n\n", 9), ["data: a\r\n\r\n", "data: b\n\n"]);
        // The line feed may come when the block went out already.
        assert_eq!(texts("data: a\r\r\ndata: b\n\n", 9), ["data: a\r\r", "\n", "data: b\n\n"]);
    }

    #[test]
    fn data_is_read_as_the_standard_says() {
        let check = |text: &str, data: Option<&str>, is_message: bool, has_id: bool| {
            let block = cut(text.as_bytes(), 1000, 1000).unwrap().remove(0);
            let found = block.data().map(|data| String::from_utf8_lossy(&data).into_owned());
            assert_eq!((found.as_deref(), block.is_message(), block.has_id()), (data, is_message, has_id), "{text:?}");
        };
        check("data: a\n\n", Some("a"), true, false);
        check("data:  a\rdata\rdata:b\r\r", Some(" a\n\nb"), true, false);
        check("event: ping\nid: 7\ndata: {}\n\n", Some("{}"), false, true);
        check("event: ping\nevent: message\nid\n\n", None, true, false);
        check("\u{feff}data: a\n\n", Some("a"), true, false);
        check("datas: a\nid: a\0b\n\n", None, true, false);
        check(" data: a\n\n", None, true, false);
    }

    #[test]
    fn other_lines_stay_to_the_letter_when_data_changes() {
        let block = cut(b"id: 1\r\ndata: {\ndata: }\nretry: 5\nx:y\n\n", 7, 1000).unwrap().remove(0);
        assert_eq!(&block.with_data(b"[1]")[..], b"id: 1\r\ndata: [1]\nretry: 5\nx:y\n\n");
    }

    #[test]
    fn fields_are_taken_out_whole_and_read_as_the_last_of_them() {
        let text = b"\xef\xbb\xbfid: 1\r\nid\ndata: a\nid:2\nretry: 5\nretry: x\n: c\n\n";
        let block = cut(text, 7, 1000).unwrap().remove(0);
        assert_eq!((block.id().as_deref(), block.retry()), (Some("2"), None));
        assert_eq!(&block.without(&[b"id", b"retry"], None)[..], b"data: a\n: c\n\n");
        assert_eq!(&block.without(&[b"id"], Some(b"b"))[..], b"data: b\nretry: 5\nretry: x\n: c\n\n");
        for (text, id, retry) in [
            ("id\n\n", Some(""), None),
            ("id: a\0b\nretry: 70\n\n", None, Some(Duration::from_millis(70))),
            ("retry: +7\n\n", None, None),
        ] {
            let block = cut(text.as_bytes(), 9, 1000).unwrap().remove(0);
            assert_eq!((block.id().as_deref(), block.retry()), (id, retry), "{text:?}");
        }
    }

    #[test]
    fn an_event_at_the_bound_passes_and_one_byte_more_does_not() {
        for step in [1, 5, 1000] {
            assert_eq!(cut(b"data: 78\n\n", step, 10).map(|blocks| blocks.len()), Ok(1));
            assert_eq!(cut(b"data: 789\n\n", step, 10), Err(EventTooLong));
            assert_eq!(cut(b"data: 7890123", step, 10), Err(EventTooLong));
        }
    }

    #[test]
    fn a_position_is_that_of_the_last_block_and_stays() {
        let mut place = Position::default();
        let mut take = |text: &[u8]| {
            cut(text, 3, 1000).unwrap().iter().for_each(|block| place.take(block));
            (place.last_id().map(str::to_owned), place.pause())
        };
        assert_eq!(take(b"id: 1\ndata\n\ndata\n\nid: 2\n"), (Some("1".to_owned()), Pause(RETRY)));
        assert_eq!(take(b"id: 2\nretry: 99999999\n\n"), (Some("2".to_owned()), Pause(RETRY_MAX)));
        assert_eq!(take(b": alive\nid\nretry: 5\n\n"), (None, Pause(RETRY_MIN)));
        assert_eq!((Pause::after(None), Pause(RETRY_MAX).longer()), (Pause(RETRY), Pause(RETRY_MAX)));
    }

    /// The events of a stream by the words of the standard, line by line.
    fn by_the_standard(text: &str) -> Vec<String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
        let (mut events, mut data) = (Vec::new(), None::<String>);
        let mut lines: Vec<&str> = text.split('\n').collect();
        // What stands behind the last line break is no line yet.
        lines.pop();
        for line in lines {
            if line.is_empty() {
                events.extend(data.take());
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            if name == "data" {
                let value = value.strip_prefix(' ').unwrap_or(value);
                data = Some(data.map_or_else(|| value.to_owned(), |data| format!("{data}\n{value}")));
            }
        }
        events
    }

    proptest! {
        /// Whatever an event looks like, taking its id out leaves its data and takes the id.
        #[test]
        fn an_event_without_its_id_says_the_same(text in "(data|id|retry|:|\u{feff}|[a\r\n ]){0,30}", step in 1_usize..9) {
            for block in cut(text.as_bytes(), step, 1000).unwrap() {
                let bytes = block.without(&[b"id", b"retry"], None);
                let rest = Block { bytes, marked: false };
                prop_assert_eq!(rest.data(), block.data());
                prop_assert_eq!((rest.id(), rest.retry()), (None, None));
                let other = block.without(&[b"id"], Some(b"x"));
                let replaced = Block { bytes: other, marked: false };
                prop_assert_eq!(replaced.data().map(Cow::into_owned), block.data().map(|_| b"x".to_vec()));
            }
        }

        /// The cut stream says the same as the whole one to a parser of the standard, however the bytes arrive.
        #[test]
        fn nothing_is_lost_added_or_understood_otherwise(text in "(data|id|:|\u{feff}|[a\r\n ]){0,30}", step in 1_usize..9) {
            let blocks = cut(text.as_bytes(), step, 1000).unwrap();
            let joined: Vec<u8> = blocks.iter().flat_map(|block| block.bytes.to_vec()).collect();
            prop_assert!(text.as_bytes().starts_with(&joined));
            let expected = by_the_standard(&text);
            let found: Vec<String> = blocks
                .iter()
                .filter_map(Block::data)
                .map(|data| String::from_utf8_lossy(&data).into_owned())
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
