//! Reading the audit log back: entries, the chain, and what they add up to.

use super::chain::PART_OF_REFUSALS;
use super::sink::{ROTATED_FILES, refused, rotated};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

/// Longest line that is read back, in bytes; no line that a gateway has ever written comes near.
const LINE_BYTES_MAX: usize = 256 * 1024;
/// Latencies that are all kept for percentiles; beyond, only every 64th is.
const LATENCIES_MAX: usize = 1_000_000;

/// One line of the log, as far as commands need it. Unknown members are ignored: later versions may write more.
#[derive(Clone, Debug, Deserialize)]
pub struct AuditEntry {
    /// When it was written: RFC 3339, UTC, with milliseconds.
    pub time: String,
    /// The audit session that wrote it.
    pub session: String,
    /// The line's number in its session, from 0.
    pub seq: u64,
    /// `refused` in the file of refusals.
    #[serde(default)]
    pub part: Option<String>,
    /// `decision`, `outcome`, `start`, `stop` …
    pub event: String,
    /// The decision's number in its session.
    #[serde(default)]
    pub decision: Option<u64>,
    /// The server's name.
    #[serde(default)]
    pub server: Option<String>,
    /// The tool's name.
    #[serde(default)]
    pub tool: Option<String>,
    /// `allow`, `deny`, `would_deny` or `ask`.
    #[serde(default)]
    pub verdict: Option<String>,
    /// Id of the rule that decided.
    #[serde(default)]
    pub rule: Option<String>,
    /// How many equal refusals or questions before this one have no line.
    #[serde(default)]
    pub folded: u64,
    /// How many of a kind there were so far; in a `folded` line, how many refusals or questions have no line.
    #[serde(default)]
    pub count: u64,
    /// How a call ended.
    #[serde(default)]
    pub outcome: Option<String>,
    /// From forwarding the call to its end, in microseconds.
    #[serde(default)]
    pub micros: Option<u64>,
    /// SHA-256 of the session's line before, 64 hexadecimal digits; zeros in the first line.
    pub prev: String,
}

/// Reads one line of an audit log.
///
/// # Errors
/// It is no JSON object with the members that every line has; the text says why.
pub fn parse_line(line: &str) -> Result<AuditEntry, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

/// The files of a log, with their rotated predecessors, as far as they exist: first those of acts, then those of refusals,
/// each oldest first.
pub fn families_of(path: &Path) -> [Vec<PathBuf>; 2] {
    current_of(path).map(|path| {
        let mut files: Vec<PathBuf> = (1..=ROTATED_FILES).rev().map(|n| rotated(&path, n)).collect();
        files.push(path);
        files.retain(|file| file.exists());
        files
    })
}

/// The files of a log that are written to: of acts, and of refusals.
pub fn current_of(path: &Path) -> [PathBuf; 2] {
    [path.to_owned(), refused(path)]
}

/// Both families in one list.
pub fn files_of(path: &Path) -> Vec<PathBuf> {
    families_of(path).concat()
}

/// Whether a file is the oldest that is kept: what was before it was rotated away.
fn is_oldest(file: &Path) -> bool {
    file.extension().is_some_and(|extension| *extension == *ROTATED_FILES.to_string())
}

/// A place where the log is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The log file.
    pub file: PathBuf,
    /// The line's number in that file, from 1.
    pub line: usize,
    /// What is wrong, as a lower-case fragment.
    pub what: String,
}

/// What a check of the chain found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Lines read.
    pub lines: usize,
    /// Sessions seen.
    pub sessions: usize,
    /// Sessions whose first line is missing: its file was rotated away, or the line was taken out.
    pub beginnings_gone: usize,
    /// Lines that are missing before the first that is left, over all these sessions.
    pub missing_lines: u64,
    /// All files that a rotation keeps are there, of acts or of refusals: others may have been before them, and whole
    /// sessions in those.
    pub may_be_rotated_away: bool,
    /// When the first line that is left was written.
    pub oldest: Option<String>,
    /// Sessions without a `stop` line: running, or ended by force.
    pub unfinished: usize,
    /// Lines that do not fit into the chain.
    pub broken: Vec<Broken>,
}

/// Calls `each` with every line of the files, its file and its number from 1. A line that is no UTF-8 is given as an
/// empty one and a longer one than [`LINE_BYTES_MAX`] in pieces of that size, so that they are reported as no entries.
fn each_line(files: &[PathBuf], mut each: impl FnMut(&Path, usize, &str)) -> io::Result<()> {
    for file in files {
        let mut reader = io::BufReader::new(std::fs::File::open(file)?);
        let mut buffer = Vec::new();
        for number in 1.. {
            buffer.clear();
            let mut limited = io::Read::take(&mut reader, LINE_BYTES_MAX as u64);
            if limited.read_until(b'\n', &mut buffer)? == 0 {
                break;
            }
            let line = buffer.strip_suffix(b"\n").unwrap_or(&buffer);
            each(file, number, std::str::from_utf8(line).unwrap_or_default());
        }
    }
    Ok(())
}

/// Checks both hash chains of every session in these log files, which are given oldest first. What is missing at the front
/// of a chain is broken as well, unless all the files that a rotation leaves are there: only then may it have been rotated
/// away.
///
/// # Errors
/// A file cannot be read.
pub fn verify(files: &[PathBuf]) -> io::Result<Report> {
    let mut report = Report::default();
    let mut last: BTreeMap<(String, bool), LastLine> = BTreeMap::new();
    let mut rotated_away = [false; 2];
    each_line(files, |file, number, line| {
        report.lines += 1;
        let mut broken = |what: String| report.broken.push(Broken { file: file.to_owned(), line: number, what });
        let entry = match parse_line(line) {
            Ok(entry) => entry,
            Err(error) => return broken(format!("not a line of an audit log: {error}")),
        };
        let is_refusal = entry.part.as_deref() == Some(PART_OF_REFUSALS);
        rotated_away[usize::from(is_refusal)] |= is_oldest(file);
        if report.oldest.as_ref().is_none_or(|oldest| entry.time < *oldest) {
            report.oldest = Some(entry.time.clone());
        }
        let (hash, chain) = (hex(&Sha256::digest(line.as_bytes())), (entry.session.clone(), is_refusal));
        match last.get(&chain) {
            None if entry.seq > 0 => {
                report.beginnings_gone += 1;
                report.missing_lines += entry.seq;
                if !rotated_away[usize::from(is_refusal)] {
                    let session = &entry.session;
                    broken(format!(
                        "the first {} lines of session {session} are missing, and no rotation took them",
                        entry.seq
                    ));
                }
            }
            None if entry.prev != "0".repeat(64) => {
                broken("the first line of a session names one before it".to_owned())
            }
            Some(LastLine { seq, .. }) if entry.seq != seq + 1 => {
                broken(format!("line {} of session {} follows line {seq}", entry.seq, entry.session));
            }
            Some(LastLine { hash, .. }) if entry.prev != *hash => {
                broken(format!("line {} of session {} was changed", entry.seq - 1, entry.session));
            }
            None | Some(_) => {}
        }
        // Outcomes of calls that were in flight may follow.
        let is_stop = entry.event == "stop" || last.get(&chain).is_some_and(|line| line.is_stop);
        let place = (file.to_owned(), number);
        last.insert(chain, LastLine { seq: entry.seq, hash, is_stop, place });
    })?;
    report.may_be_rotated_away = files.iter().any(|file| is_oldest(file));
    let sessions: BTreeSet<&str> = last.keys().map(|(session, _)| session.as_str()).collect();
    for session in &sessions {
        let of = |is_refusal: bool| last.get(&((*session).to_owned(), is_refusal));
        let (acts, refusals) = (of(false), of(true));
        // A session ends in both of its files, and begins in that of acts.
        let (cut, what) = match (acts, refusals) {
            (Some(cut), Some(whole)) | (Some(whole), Some(cut)) if whole.is_stop && !cut.is_stop => {
                (cut, format!("the end of session {session} is missing here, and its other file has it"))
            }
            (None, Some(refusals)) if !rotated_away[0] => {
                (refusals, format!("what session {session} has done is missing, and no rotation took it"))
            }
            (acts, refusals) => {
                let is_over = acts.or(refusals).is_some_and(|last| last.is_stop);
                report.unfinished += usize::from(!is_over);
                continue;
            }
        };
        let (file, line) = cut.place.clone();
        report.broken.push(Broken { file, line, what });
    }
    report.sessions = sessions.len();
    Ok(report)
}

/// The last line of one chain of a session.
struct LastLine {
    seq: u64,
    hash: String,
    /// It says that the session ends, or one before it did.
    is_stop: bool,
    /// The file, and the line's number in it.
    place: (PathBuf, usize),
}

/// What the log adds up to.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Decisions by tool: allowed, denied or asked about, would be denied.
    pub tools: BTreeMap<String, [u64; 3]>,
    /// Decisions other than `allow`, by tool and rule.
    pub denials: BTreeMap<(String, String), u64>,
    /// How calls ended: number by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Number of other events by name.
    pub events: BTreeMap<String, u64>,
    /// Refusals that no line of their own tells of, nor a later equal one.
    pub folded: u64,
    /// Lines that could not be read as entries.
    pub unreadable: u64,
    latencies: Vec<u64>,
    answered: u64,
}

impl Counts {
    /// A percentile of the time from forwarding a call to its end, in microseconds; `None` if no call has ended.
    /// `percent` is 0 to 100.
    pub fn latency(&self, percent: usize) -> Option<u64> {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1);
        self.latencies.get(rank - 1).copied()
    }

    /// Calls that have ended, with or without an answer.
    pub fn answered(&self) -> u64 {
        self.answered
    }
}

/// Adds up what the log files say.
///
/// # Errors
/// A file cannot be read.
pub fn stats(files: &[PathBuf]) -> io::Result<Counts> {
    let mut counts = Counts::default();
    each_line(files, |_, _, line| {
        let Ok(entry) = parse_line(line) else {
            counts.unreadable += 1;
            return;
        };
        match entry.event.as_str() {
            "decision" => {
                let tool = entry.tool.unwrap_or_default();
                let place = match entry.verdict.as_deref() {
                    Some("allow") => 0,
                    Some("would_deny") => 2,
                    // A person was asked: what became of the call is a decision of its own.
                    Some("ask") => return,
                    _ => 1,
                };
                // Equal refusals before this one that have no line of their own.
                let number = 1 + entry.folded;
                counts.tools.entry(tool.clone()).or_default()[place] += number;
                if place > 0 {
                    *counts.denials.entry((tool, entry.rule.unwrap_or_default())).or_default() += number;
                }
            }
            "outcome" => {
                *counts.outcomes.entry(entry.outcome.unwrap_or_default()).or_default() += 1;
                counts.answered += 1;
                // Beyond the bound a sample of 1 in 64 is enough for percentiles.
                if counts.latencies.len() < LATENCIES_MAX || counts.answered % 64 == 0 {
                    counts.latencies.extend(entry.micros);
                }
            }
            // Of acts only questions are folded.
            "folded" if entry.part.is_none() => {}
            "folded" => counts.folded += entry.count,
            _ => *counts.events.entry(entry.event).or_default() += 1,
        }
    })?;
    counts.latencies.sort_unstable();
    Ok(counts)
}

fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    super::write_hex(&mut out, bytes);
    String::from_utf8(out).unwrap_or_default()
}
