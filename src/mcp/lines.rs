//! Lines over a byte stream, none longer than a bound: the framing of MCP over stdio.

use std::io::Read;

/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// One step of a [`LineReader`].
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its line break; the last line of a stream counts even if it has none.
    Full(&'a [u8]),
    /// A line over the bound. Nothing more is read: there is no telling how much would follow.
    TooLong,
    /// The stream has ended.
    End,
}

/// Splits a blocking stream into lines at `\n`; a `\r` before it goes as well.
#[derive(Debug)]
pub struct LineReader<R> {
    source: R,
    buffer: Vec<u8>,
    /// Start of what was not handed out yet.
    start: usize,
    /// Up to here the buffer is known to hold no line break.
    searched: usize,
    max_bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Overlong,
}

impl<R: Read> LineReader<R> {
    /// A reader of lines of at most `max_bytes` bytes, line break not counted.
    pub fn new(source: R, max_bytes: usize) -> Self {
        Self { source, buffer: Vec::new(), start: 0, searched: 0, max_bytes, state: State::Open }
    }

    /// The next line; blocks until there is one.
    ///
    /// # Errors
    /// The stream could not be read.
    pub fn next_line(&mut self) -> std::io::Result<Line<'_>> {
        loop {
            if self.state == State::Overlong {
                self.buffer = Vec::new();
                return Ok(Line::TooLong);
            }
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let (start, end) = (self.start, self.searched + at);
                self.start = end + 1;
                self.searched = self.start;
                let line = without_return(&self.buffer[start..end]);
                if line.len() > self.max_bytes {
                    self.state = State::Overlong;
                    continue;
                }
                return Ok(Line::Full(&self.buffer[start..start + line.len()]));
            }
            self.searched = self.buffer.len();
            // One byte more, because it may be the `\r` of a line break.
            if self.buffer.len() - self.start > self.max_bytes + 1 {
                self.state = State::Overlong;
                continue;
            }
            if self.state == State::Ended {
                let start = std::mem::replace(&mut self.start, self.buffer.len());
                let line = without_return(&self.buffer[start..]);
                return Ok(match line.len() {
                    0 => Line::End,
                    length if length > self.max_bytes => Line::TooLong,
                    length => Line::Full(&self.buffer[start..start + length]),
                });
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> std::io::Result<()> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        // A rare long line must not hold its memory for the rest of a session.
        if self.buffer.len() < CHUNK_BYTES && self.buffer.capacity() > 16 * CHUNK_BYTES {
            self.buffer.shrink_to(CHUNK_BYTES);
        }
        let length = self.buffer.len();
        self.buffer.resize(length + CHUNK_BYTES, 0);
        let read = loop {
            match self.source.read(&mut self.buffer[length..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(length + read.as_ref().map_or(0, |count| *count));
        if read? == 0 {
            self.state = State::Ended;
        }
        Ok(())
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Hands out at most `step` bytes at a time, as a pipe may.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(into.len()).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn lines(text: &[u8], step: usize, max: usize) -> std::io::Result<Vec<String>> {
        let mut reader = LineReader::new(Drip(text, step), max);
        let mut out = Vec::new();
        loop {
            match reader.next_line()? {
                Line::Full(line) => out.push(String::from_utf8_lossy(line).into_owned()),
                Line::TooLong => {
                    out.push("(too long)".to_owned());
                    return Ok(out);
                }
                Line::End => return Ok(out),
            }
        }
    }

    #[test]
    fn line_breaks_of_both_kinds_end_a_line_and_the_last_needs_none() -> std::io::Result<()> {
        assert_eq!(lines(b"a\r\n\nbc\nd", 1, 10)?, ["a", "", "bc", "d"]);
        assert_eq!(lines(b"a\rb\n", 3, 10)?, ["a\rb"]);
        assert_eq!(lines(b"", 3, 10)?, Vec::<String>::new());
        Ok(())
    }

    #[test]
    fn a_line_at_the_bound_passes_and_one_byte_more_does_not() -> std::io::Result<()> {
        for step in [1, 3, 100] {
            for end in ["\n", "\r\n", ""] {
                assert_eq!(lines(format!("12345{end}").as_bytes(), step, 5)?, ["12345"]);
                assert_eq!(lines(format!("123456{end}").as_bytes(), step, 5)?, ["(too long)"]);
            }
        }
        Ok(())
    }

    #[test]
    fn an_overlong_line_is_not_read_to_its_end() -> std::io::Result<()> {
        let mut reader = LineReader::new(std::io::repeat(b'x'), 100);
        assert_eq!(reader.next_line()?, Line::TooLong);
        assert_eq!(reader.next_line()?, Line::TooLong);
        Ok(())
    }

    proptest! {
        #[test]
        fn how_bytes_arrive_changes_nothing(text in "[ab\n\r]{0,60}", step in 1_usize..20) {
            let all = lines(text.as_bytes(), 1000, 1000).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let dripped = lines(text.as_bytes(), step, 1000).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(all, dripped);
        }
    }
}
