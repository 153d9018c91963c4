//! Reads lines from a pipe, as many at a time as have arrived: calls that arrive together share a transaction of the
//! store and a write of the log.

use super::skeleton::Skeleton;
use std::io::{self, Read};

/// Bytes that are read at once: as many as a pipe on Linux holds.
const CHUNK_BYTES: usize = 64 * 1024;
/// Least free bytes in the buffer for a read.
const ROOM_BYTES: usize = 4096;

/// What has arrived on the pipe.
#[derive(Debug, PartialEq, Eq)]
pub enum Batch<'a> {
    /// Whole lines, each with its `\n`.
    Lines(&'a [u8]),
    /// A line has grown over the bound, and its end has not come yet: it may never come.
    Outgrown,
    /// That line has ended; what is left are its outermost members ([`Skeleton`]).
    TooLong(Vec<u8>),
    /// The stream has ended; these bytes stood after the last `\n`.
    End(&'a [u8]),
}

/// The lines of a batch, without line breaks (`\n` or `\r\n`); blank ones are left out.
pub fn lines_of(batch: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', batch).chain(std::iter::once(batch.len()));
    ends.map(move |end| {
        let line = &batch[start..end];
        start = (end + 1).min(batch.len());
        line.strip_suffix(b"\r").unwrap_or(line)
    })
    .filter(|line| !line.iter().all(u8::is_ascii_whitespace))
}

/// Reads batches of lines from a blocking stream.
#[derive(Debug)]
pub struct BatchReader<R> {
    source: R,
    buffer: Vec<u8>,
    /// How many bytes of the buffer hold data, and how many of these were handed out with the last batch.
    filled: usize,
    handed: usize,
    line_bytes_max: usize,
    /// The line over the bound that is being passed over.
    skipped: Option<Skeleton>,
}

impl<R: Read> BatchReader<R> {
    /// A reader of lines of at most `line_bytes_max` bytes, `\n` not counted. A longer line can still come whole if its
    /// end arrives with the read that makes it too long: the bound is on memory, and admission has a bound of its own.
    pub fn new(source: R, line_bytes_max: usize) -> Self {
        Self { source, buffer: vec![0; CHUNK_BYTES], filled: 0, handed: 0, line_bytes_max, skipped: None }
    }

    /// Blocks until at least one line is whole, and returns all that are; or returns once that a line has grown over the
    /// bound.
    ///
    /// # Errors
    /// The stream could not be read.
    pub fn next_batch(&mut self) -> io::Result<Batch<'_>> {
        self.buffer.copy_within(self.handed..self.filled, 0);
        self.filled -= self.handed;
        self.handed = 0;
        let mut searched = 0;
        loop {
            if let Some(skipped) = &mut self.skipped {
                // Looks for the end of the line that is too long; others may stand behind it.
                let end = memchr::memchr(b'\n', &self.buffer[..self.filled]);
                skipped.feed(&self.buffer[..end.unwrap_or(self.filled)]);
                self.handed = end.map_or(self.filled, |end| end + 1);
                if end.is_some() {
                    return Ok(Batch::TooLong(self.passed_over()));
                }
                (self.filled, self.handed, searched) = (0, 0, 0);
            } else if let Some(last) = memchr::memrchr(b'\n', &self.buffer[searched..self.filled]) {
                // A line that outgrows the bound is caught below, unless its end came with the very read that made it
                // too long.
                self.handed = searched + last + 1;
                return Ok(Batch::Lines(&self.buffer[..self.handed]));
            } else if self.filled > self.line_bytes_max {
                self.skipped = Some(Skeleton::default());
                return Ok(Batch::Outgrown);
            } else {
                searched = self.filled;
            }
            self.make_room();
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(0) if self.skipped.is_some() => return Ok(Batch::TooLong(self.passed_over())),
                Ok(0) => {
                    let rest = std::mem::take(&mut self.filled);
                    return Ok(Batch::End(&self.buffer[..rest]));
                }
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn passed_over(&mut self) -> Vec<u8> {
        self.skipped.take().map(|mut skipped| skipped.take()).unwrap_or_default()
    }

    fn make_room(&mut self) {
        if self.filled == 0 && self.buffer.len() > 16 * CHUNK_BYTES {
            // One long message must not hold its memory for the rest of the session.
            self.buffer = vec![0; CHUNK_BYTES];
        } else if self.filled == self.buffer.len() {
            let grown = (self.buffer.len() * 2).min(self.line_bytes_max + CHUNK_BYTES).max(self.filled + ROOM_BYTES);
            self.buffer.resize(grown, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;
    use proptest::prelude::*;

    /// A stream that hands out at most so many bytes at a time, as a pipe may.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(into.len()).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read(text: &[u8], step: usize, max: usize) -> Vec<String> {
        let mut reader = BatchReader::new(Drip(text, step), max);
        let mut out = Vec::new();
        loop {
            match reader.next_batch().unwrap() {
                Batch::Lines(lines) => {
                    assert_eq!(lines.last(), Some(&b'\n'));
                    out.extend(lines.split_inclusive(|b| *b == b'\n').map(|l| String::from_utf8_lossy(l).into_owned()));
                }
                Batch::Outgrown => out.push("outgrown".to_owned()),
                Batch::TooLong(head) => out.push(format!("too long {}", char::from(head[0]))),
                Batch::End(rest) => {
                    out.push(format!("end {}", String::from_utf8_lossy(rest)));
                    return out;
                }
            }
        }
    }

    #[test]
    fn lines_come_whole_however_the_bytes_arrive() {
        for step in [1, 2, 3, 100] {
            assert_eq!(read(b"a\n\nbc\r\nd", step, 100), ["a\n", "\n", "bc\r\n", "end d"]);
            assert_eq!(read(b"", step, 100), ["end "]);
        }
    }

    #[test]
    fn a_line_over_the_bound_is_passed_over_and_the_next_one_is_read() {
        let long = 3 * CHUNK_BYTES;
        let text = [b"a\n".as_slice(), &vec![b'x'; long], b"\nb\n"].concat();
        assert_eq!(read(&text, 5000, long), ["a\n".to_owned(), "x".repeat(long) + "\n", "b\n".into(), "end ".into()]);
        let text = [b"a\n".as_slice(), &vec![b'x'; 2 * long], b"\nb\n"].concat();
        assert_eq!(read(&text, 5000, long), ["a\n", "outgrown", "too long x", "b\n", "end "]);
        let text = [b"a\n".as_slice(), &vec![b'x'; 2 * long]].concat();
        assert_eq!(read(&text, 5000, long), ["a\n", "outgrown", "too long x", "end "], "nor does its end come");
    }

    #[test]
    fn blank_lines_are_no_lines() {
        let lines = |batch: &'static [u8]| lines_of(batch).collect::<Vec<_>>();
        assert_eq!(lines(b"a\r\n\n \t\r\nb\n"), [b"a", b"b"]);
        assert_eq!(lines(b"a\nb"), [b"a", b"b"]);
        assert!(lines(b"").is_empty());
    }

    proptest! {
        #[test]
        fn how_bytes_arrive_changes_nothing(text in "[ab\n]{0,60}", step in 1_usize..20) {
            prop_assert_eq!(read(text.as_bytes(), 1000, 1000), read(text.as_bytes(), step, 1000));
        }
    }
}
