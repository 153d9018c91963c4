//! The audit log: one JSON line for each decision, handed to the operating system before the call leaves. Written lines
//! outlive a `kill -9` of the gateway, since the system's cache holds them; a power cut may take the last seconds.
//! Lines of one session are chained by hash: a line that was changed, moved or taken out shows (`mcpol audit verify`).
//!
//! There are two files, each with chains of its own: what acted or may have, and what was refused. A caller can have as
//! much refused as it likes, and must not be able to have the line of an act rotated away by it. Nor by what a person is
//! asked and never answers: equal questions are folded as refusals are. What was let through has its line each time; a
//! limit bounds that, and what a rotation takes `verify` says.

mod chain;
mod folds;
pub mod key;
mod line;
mod read;
mod sink;
mod whose;

pub use line::{KEYS_BYTES_MAX, KEYS_MAX, LINE_BYTES_MAX, Line, TEXT_BYTES_MAX, TEXT_CHARS_MAX, write_hex};
pub use read::{AuditEntry, Broken, Counts, Report, current_of, families_of, files_of, parse_line, stats, verify};
pub use sink::{AUDIT_FILE_BYTES_MAX, ROTATED_FILES};
pub use whose::{Route, Whose};

use super::exchange::CallOutcome;
use crate::clock::Timestamp;
use crate::policy::Caller;
use chain::{Chain, LogPart};
use folds::{Fold, FoldTelling, Folds};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sink::Sink;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Events of one kind, and equal refusals of a session, that are all logged; beyond, one is logged when their number
/// reaches a power of two, so that a client or server that floods cannot fill the disk.
const REPEATS_LOGGED: u64 = 20;

/// Whether the `count`th of a kind is logged.
fn is_logged(count: u64) -> bool {
    count <= REPEATS_LOGGED || count.is_power_of_two()
}

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

/// What was decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matter<'a> {
    /// A call of the tool of this name.
    Tool(&'a str),
    /// A message that is no call.
    Message {
        /// Its method.
        method: &'a str,
        /// The resource, prompt or task that it names, if any.
        name: Option<&'a str>,
    },
}

/// What was decided about a call, or about another message that a rule speaks of.
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
    /// What was decided about.
    pub matter: Matter<'a>,
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
    chains: Option<Chains>,
    repeats: Mutex<BTreeMap<&'static str, u64>>,
}

/// The two chains of a session. Where both are needed, that of acts is locked first.
#[derive(Debug)]
struct Chains {
    acts: Mutex<Folding>,
    refusals: Mutex<Folding>,
}

/// A chain, and what is folded on its way there.
#[derive(Debug)]
struct Folding {
    chain: Chain,
    folds: Folds,
}

impl Folding {
    fn new(sink: Sink, part: LogPart) -> Mutex<Self> {
        Mutex::new(Self { chain: Chain::new(sink, part), folds: Folds::default() })
    }
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
        let chains = match (Sink::open(destination, LogPart::Acts)?, Sink::open(destination, LogPart::Refusals)?) {
            (Some(acts), Some(refusals)) => Some(Chains {
                acts: Folding::new(acts, LogPart::Acts),
                refusals: Folding::new(refusals, LogPart::Refusals),
            }),
            (_, _) => None,
        };
        Ok(Self { session, key, chains, repeats: Mutex::default() })
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

    /// The chain of what acted.
    fn acts(&self) -> Option<MutexGuard<'_, Folding>> {
        // A thread that panicked left at worst a line unwritten; the chain still tells.
        Some(self.chains.as_ref()?.acts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn refusals(&self) -> Option<MutexGuard<'_, Folding>> {
        Some(self.chains.as_ref()?.refusals.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes these decisions and the lines that wait, in one write; a second one if calls were refused.
    ///
    /// # Errors
    /// Not everything could be written: none of these calls may be forwarded.
    pub fn decide<'a>(&self, now: Timestamp, batch: impl IntoIterator<Item = Decided<'a>>) -> io::Result<()> {
        let Some(mut acts) = self.acts() else { return Ok(()) };
        let mut refusals = None;
        for decided in batch {
            if decided.decision == REFUSED && refusals.is_none() {
                refusals = self.refusals();
            }
            let part = match (decided.decision, &mut refusals) {
                (REFUSED, Some(refusals)) => &mut **refusals,
                (_, _) => &mut *acts,
            };
            let folded = match decided.decision {
                REFUSED | ASKED => match part.folds.look(&decided) {
                    Fold::Written { folded } => folded,
                    Fold::Folded => continue,
                },
                _ => 0,
            };
            self.decision(now, &mut part.chain, &decided, folded);
        }
        let written = acts.chain.flush();
        match refusals {
            Some(mut refusals) => refusals.chain.flush().and(written),
            None => written,
        }
    }

    /// Adds the line of a decision; `folded` equal ones came before it that have none.
    fn decision(&self, now: Timestamp, chain: &mut Chain, decided: &Decided<'_>, folded: u64) {
        let hash = decided.arguments.map(|arguments| {
            let mut mac = self.key.clone();
            mac.update(arguments.as_bytes());
            mac.finalize().into_bytes()
        });
        chain.line(now, &self.session, "decision", |line| {
            let caller = decided.caller;
            let line = line
                .number("decision", decided.number)
                .text_if("server", Some(&*caller.server).filter(|server| !server.is_empty()))
                .text("grant", caller.grant.as_deref().unwrap_or_default())
                .text("way", decided.way.as_str())
                // The log of a gateway over HTTP serves many client sessions, so the line says which.
                .text_if("client", caller.session.as_deref().filter(|client| *client != self.session));
            let line = match decided.matter {
                Matter::Tool(tool) => line.text("tool", tool),
                Matter::Message { method, name } => line.text("method", method).text_if("name", name),
            };
            let line = line
                .text("verdict", decided.decision)
                .text("rule", decided.rule)
                .text_if("code", decided.code)
                .text("policy", decided.policy)
                .text_if("approval", decided.approval);
            let line = if folded > 0 { line.number("folded", folded) } else { line };
            match (&hash, decided.arguments) {
                (Some(hash), Some(arguments)) => line.names("keys", arguments).hex("arguments", hash),
                _ => line,
            }
        });
    }

    /// Logs how calls ended. The lines wait for the next write.
    pub fn ended(&self, now: Timestamp, batch: impl IntoIterator<Item = Ended>) {
        let Some(mut acts) = self.acts() else { return };
        let acts = &mut acts.chain;
        for ended in batch {
            acts.line(now, &self.session, "outcome", |line| {
                line.whose(&ended.whose)
                    .number("decision", ended.number)
                    .text("outcome", ended.outcome.as_str())
                    .number("micros", ended.micros)
                    .number("bytes", ended.bytes)
            });
        }
        acts.settle();
    }

    /// Logs an event; `fill` adds members to its line. The line waits for the next write.
    pub fn event(&self, now: Timestamp, event: &str, whose: &Whose, fill: impl for<'l> FnOnce(Line<'l>) -> Line<'l>) {
        let Some(mut acts) = self.acts() else { return };
        let acts = &mut acts.chain;
        acts.line(now, &self.session, event, |line| fill(line.whose(whose)));
        acts.settle();
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
        let count = {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            let count = repeats.entry(event).or_default();
            *count += 1;
            *count
        };
        if is_logged(count) {
            self.event(now, event, whose, |line| fill(line).number("count", count));
        }
    }

    /// Logs that the session ends: the last line of each chain, but for outcomes, so that a change of the one before shows.
    pub fn stop(&self, now: Timestamp, whose: &Whose, why: &str) {
        self.tell_folded(now, FoldTelling::AtTheEnd);
        if let Some(mut refusals) = self.refusals().filter(|refusals| refusals.chain.has_begun()) {
            refusals.chain.line(now, &self.session, "stop", |line| line.whose(whose).text("why", why));
        }
        self.event(now, "stop", whose, |line| line.text("why", why));
    }

    fn tell_folded(&self, now: Timestamp, when: FoldTelling) {
        for part in [self.acts(), self.refusals()] {
            let Some(mut part) = part else { return };
            let Folding { chain, folds } = &mut *part;
            if let Some(count) = folds.untold(now, when) {
                chain.line(now, &self.session, "folded", |line| line.number("count", count));
            }
        }
    }

    /// Writes the lines that wait, says now and then how many refusals and questions have no line, and follows a rotation by another
    /// process. The decider calls it at every tick and at the end.
    ///
    /// # Errors
    /// The lines could not be written; they are counted as lost.
    pub fn tick(&self, now: Timestamp) -> io::Result<()> {
        self.tell_folded(now, FoldTelling::NowAndThen);
        let (Some(mut acts), Some(mut refusals)) = (self.acts(), self.refusals()) else { return Ok(()) };
        let mut written = Ok(());
        for chain in [&mut acts.chain, &mut refusals.chain] {
            written = written.and(chain.flush());
            chain.follow();
        }
        written
    }
}

/// The word of a decision that no call passes.
const REFUSED: &str = "deny";
/// The word of a decision that a person is asked for.
const ASKED: &str = "ask";

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
