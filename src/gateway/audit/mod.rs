//! The audit log: one JSON line for each decision, handed to the operating system before the call leaves. Written lines
//! outlive a `kill -9` of the gateway, since the system's cache holds them; a power cut may take the last seconds.
//! Lines of one session are chained by hash: a line that was changed, moved or taken out shows (`mcpol audit verify`).

mod key;
mod line;
mod read;
mod sink;
mod whose;

pub use line::{KEYS_MAX, Line, TEXT_CHARS_MAX, write_hex};
pub use read::{AuditEntry, Broken, Counts, Report, files_of, parse_line, stats, verify};
pub use sink::{AUDIT_FILE_BYTES_MAX, ROTATED_FILES};
pub use whose::{Route, Whose};

use super::exchange::CallOutcome;
use crate::clock::Timestamp;
use crate::policy::Caller;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use sink::Sink;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of lines that may wait for the next write; outcomes and events wait, decisions never do.
const WAITING_BYTES_MAX: usize = 64 * 1024;
/// Events of one kind that are all logged; beyond, one is logged when their number reaches a power of two, so that a
/// client or server that floods cannot fill the disk.
const REPEATS_LOGGED: u64 = 20;

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file, rotated by size.
    File(PathBuf),
    /// Standard error: standard output belongs to the protocol.
    Stderr,
    /// No log is written.
    Nowhere,
}

/// What was decided about a call.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    /// The decision's number in this session.
    pub number: u64,
    /// The grant that called, and the server.
    pub caller: &'a Caller,
    /// The way that the call took.
    pub way: Route,
    /// `allow`, `deny`, `would_deny` or `ask`.
    pub decision: &'static str,
    /// The tool's name.
    pub tool: &'a str,
    /// Id of the policy's rule that decided.
    pub rule: &'a str,
    /// The code of a denial.
    pub code: Option<&'a str>,
    /// Hash of the policy, hexadecimal.
    pub policy: &'a str,
    /// The arguments as JSON text: only their names and a keyed hash are written.
    pub arguments: Option<&'a str>,
    /// The approval that was asked for or used.
    pub approval: Option<&'a str>,
}

/// How a call ended that the gate had let pass.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The server, grant and way of the call.
    pub whose: Whose,
    /// The decision's number.
    pub number: u64,
    /// What ended it.
    pub outcome: CallOutcome,
    /// From forwarding the call to its end, in microseconds; 0 if it was withdrawn before it was forwarded.
    pub micros: u64,
    /// Length of the answer in bytes; 0 without one.
    pub bytes: u64,
}

/// The log of one session; shared by the threads of the gateway.
#[derive(Debug)]
pub struct Audit {
    session: String,
    key: Hmac<Sha256>,
    inner: Option<Mutex<AuditInner>>,
}

#[derive(Debug)]
struct AuditInner {
    sink: Sink,
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
    repeats: std::collections::BTreeMap<&'static str, u64>,
}

impl Audit {
    /// Opens the log. Hashes of arguments are keyed by the key in `key_file`, which is made at first use; without a
    /// file by a random key that ends with this value.
    ///
    /// # Errors
    /// The log or the key cannot be opened.
    pub fn open(destination: &Destination, key_file: Option<&Path>, session: String) -> io::Result<Self> {
        let key = match (destination, key_file) {
            // No hash is written, or none that another process has to compare.
            (Destination::Nowhere, _) | (_, None) => random_key()?,
            (_, Some(path)) => key::load(path)?,
        };
        let key = Hmac::new_from_slice(&key).map_err(|error| io::Error::other(error.to_string()))?;
        let inner = Sink::open(destination)?.map(|sink| {
            Mutex::new(AuditInner {
                sink,
                waiting: Vec::new(),
                sequence: 0,
                last: [0; 32],
                written: (0, [0; 32]),
                lost: 0,
                told: 0,
                repeats: std::collections::BTreeMap::new(),
            })
        });
        Ok(Self { session, key, inner })
    }

    /// The session's id, 16 hexadecimal digits from [`new_session_id`]; it stands in every line.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The id of a decision, `SESSION-NUMBER`, as the client's answer and spans tell it: it leads to the line in the
    /// log.
    pub fn decision_id(&self, number: u64) -> String {
        format!("{}-{number}", self.session)
    }

    fn lock(&self) -> Option<MutexGuard<'_, AuditInner>> {
        // A thread that panicked left at worst a line unwritten; the chain still tells.
        Some(self.inner.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes these decisions and the lines that wait, in one write.
    ///
    /// # Errors
    /// Not everything could be written: none of these calls may be forwarded.
    pub fn decide<'a>(&self, now: Timestamp, batch: impl IntoIterator<Item = Decided<'a>>) -> io::Result<()> {
        let Some(mut inner) = self.lock() else { return Ok(()) };
        for decided in batch {
            let hash = decided.arguments.map(|arguments| {
                let mut mac = self.key.clone();
                mac.update(arguments.as_bytes());
                mac.finalize().into_bytes()
            });
            inner.line(now, &self.session, "decision", |line| {
                let caller = decided.caller;
                let line = line
                    .number("decision", decided.number)
                    .text("server", &caller.server)
                    .text("grant", caller.grant.as_deref().unwrap_or_default())
                    .text("way", decided.way.as_str())
                    // The log of a gateway over HTTP serves many client sessions, so the line says which.
                    .text_if("client", caller.session.as_deref().filter(|client| *client != self.session))
                    .text("tool", decided.tool)
                    .text("verdict", decided.decision)
                    .text("rule", decided.rule)
                    .text_if("code", decided.code)
                    .text("policy", decided.policy)
                    .text_if("approval", decided.approval);
                match (&hash, decided.arguments) {
                    (Some(hash), Some(arguments)) => line.names("keys", arguments).hex("arguments", hash),
                    _ => line,
                }
            });
        }
        inner.flush()
    }

    /// Logs how calls ended. The lines wait for the next write.
    pub fn ended(&self, now: Timestamp, batch: impl IntoIterator<Item = Ended>) {
        let Some(mut inner) = self.lock() else { return };
        for ended in batch {
            inner.line(now, &self.session, "outcome", |line| {
                line.whose(&ended.whose)
                    .number("decision", ended.number)
                    .text("outcome", ended.outcome.as_str())
                    .number("micros", ended.micros)
                    .number("bytes", ended.bytes)
            });
        }
        inner.settle();
    }

    /// Logs an event; `fill` adds members to its line. The line waits for the next write.
    pub fn event(&self, now: Timestamp, event: &str, whose: &Whose, fill: impl for<'l> FnOnce(Line<'l>) -> Line<'l>) {
        let Some(mut inner) = self.lock() else { return };
        inner.line(now, &self.session, event, |line| fill(line.whose(whose)));
        inner.settle();
    }

    /// Logs an event that a client or server can cause at will: the first [`REPEATS_LOGGED`] of a kind, then one
    /// whenever their number reaches a power of two. Each line has the number so far as `count`.
    pub fn repeated(
        &self,
        now: Timestamp,
        event: &'static str,
        whose: &Whose,
        fill: impl for<'l> FnOnce(Line<'l>) -> Line<'l>,
    ) {
        let Some(mut inner) = self.lock() else { return };
        let count = inner.repeats.entry(event).and_modify(|count| *count += 1).or_insert(1);
        let count = *count;
        if count <= REPEATS_LOGGED || count.is_power_of_two() {
            inner.line(now, &self.session, event, |line| fill(line.whose(whose)).number("count", count));
            inner.settle();
        }
    }

    /// Writes the lines that wait, and follows a rotation by another process. The decider calls it at every tick and at
    /// the end.
    ///
    /// # Errors
    /// The lines could not be written; they are counted as lost.
    pub fn tick(&self) -> io::Result<()> {
        let Some(mut inner) = self.lock() else { return Ok(()) };
        let flushed = inner.flush();
        inner.sink.follow();
        flushed
    }
}

impl AuditInner {
    fn line(&mut self, now: Timestamp, session: &str, event: &str, fill: impl for<'l> FnOnce(Line<'l>) -> Line<'l>) {
        if self.lost > self.told {
            self.told = self.lost;
            let gap = Line::begin(&mut self.waiting, now, session, self.sequence, "gap").number("lost", self.lost);
            self.last = gap.end(&self.last);
            self.sequence += 1;
        }
        let line = fill(Line::begin(&mut self.waiting, now, session, self.sequence, event));
        self.last = line.end(&self.last);
        self.sequence += 1;
    }

    /// Writes if more than [`WAITING_BYTES_MAX`] wait. An error is not returned: [`Self::flush`] counts the lines as
    /// lost, and the next decision is refused if it cannot be written either.
    fn settle(&mut self) {
        if self.waiting.len() > WAITING_BYTES_MAX {
            let _ = self.flush();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
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
}

fn random_key() -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(key)
}

/// A new session id: 64 random bits as 16 hexadecimal digits.
///
/// # Errors
/// The system has no randomness to give.
pub fn new_session_id() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
