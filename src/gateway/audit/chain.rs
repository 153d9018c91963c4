//! One chain of lines: each holds the hash of the line before it, and lines that were lost are told of.

use super::line::Line;
use super::sink::Sink;
use crate::clock::Timestamp;
use sha2::{Digest as _, Sha256};
use std::io;

/// Bytes of lines that may wait for the next write; outcomes and events wait, decisions never do.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Which of a session's two chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogPart {
    /// What acted, or may have, and everything else.
    Acts,
    /// Calls that were refused.
    Refusals,
}

/// One chain, and where its lines go.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) sink: Sink,
    part: LogPart,
    waiting: Vec<u8>,
    sequence: u64,
    /// SHA-256 of the last line, written or waiting.
    last: [u8; 32],
    /// `sequence` and `last` as they were after the last line that was written.
    written: (u64, [u8; 32]),
    /// Lines that were lost and that no line which was written tells of.
    lost: u64,
    /// Of these, what the `gap` line that waits tells of.
    told: u64,
}

impl Chain {
    pub(super) fn new(sink: Sink, part: LogPart) -> Self {
        Self { sink, part, waiting: Vec::new(), sequence: 0, last: [0; 32], written: (0, [0; 32]), lost: 0, told: 0 }
    }

    /// Whether it has any line.
    pub(super) fn has_begun(&self) -> bool {
        self.sequence > 0
    }

    /// Adds a line, which waits for [`Self::flush`].
    pub(super) fn line(
        &mut self,
        now: Timestamp,
        session: &str,
        event: &str,
        fill: impl for<'l> FnOnce(Line<'l>) -> Line<'l>,
    ) {
        if self.lost > self.told {
            self.told = self.lost;
            let lost = self.lost;
            self.add(now, session, "gap", |line| line.number("lost", lost));
        }
        self.add(now, session, event, fill);
    }

    fn add(&mut self, now: Timestamp, session: &str, event: &str, fill: impl for<'l> FnOnce(Line<'l>) -> Line<'l>) {
        let line = Line::begin(&mut self.waiting, now, session, self.sequence, event);
        let line = match self.part {
            LogPart::Acts => line,
            LogPart::Refusals => line.text("part", PART_OF_REFUSALS),
        };
        self.last = fill(line).end(&self.last);
        self.sequence += 1;
    }

    /// Writes if more than [`WAITING_BYTES_MAX`] wait. An error is not returned: [`Self::flush`] counts the lines as
    /// lost, and the next decision is refused if it cannot be written either.
    pub(super) fn settle(&mut self) {
        if self.waiting.len() > WAITING_BYTES_MAX {
            let _ = self.flush();
        }
    }

    /// Writes the lines that wait.
    ///
    /// # Errors
    /// Not all could be written; those are counted as lost.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (count, result) = self.sink.write(&self.waiting);
        if result.is_err() {
            // The chain goes on from the last line that is whole.
            let whole = memchr::memrchr(b'\n', &self.waiting[..count]).map_or(0, |at| at + 1);
            let lines = memchr::memchr_iter(b'\n', &self.waiting[..whole]).count() as u64;
            if whole > 0 {
                let start = memchr::memrchr(b'\n', &self.waiting[..whole - 1]).map_or(0, |at| at + 1);
                self.written = (self.written.0 + lines, Sha256::digest(&self.waiting[start..whole - 1]).into());
            }
            // The `gap` line is the first that waits. Where it was not written, it is none of the lines that are lost.
            let is_untold = lines == 0 && self.told > 0;
            if !is_untold {
                self.lost -= self.told;
            }
            self.lost += self.sequence - self.written.0 - u64::from(is_untold);
            (self.sequence, self.last) = self.written;
        } else {
            self.written = (self.sequence, self.last);
            self.lost -= self.told;
        }
        self.told = 0;
        self.waiting.clear();
        self.waiting.shrink_to(4 * WAITING_BYTES_MAX);
        result
    }

    /// Goes on in the file that has the log's name now, if another process has rotated it.
    pub(super) fn follow(&mut self) {
        self.sink.follow();
    }
}

/// What `part` is in lines of [`LogPart::Refusals`]; the others have none.
pub(super) const PART_OF_REFUSALS: &str = "refused";
