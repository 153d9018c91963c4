//! Reading the audit log back: entries, the chain, and what they add up to.

use super::sink::{ROTATED_FILES, rotated};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

/// Longest line that is read back, in bytes; none that we write comes near.
const LINE_BYTES_MAX: usize = 256 * 1024;
/// Most latencies kept for percentiles; beyond, every one after a stride.
const LATENCIES_MAX: usize = 1_000_000;

/// One line, as far as commands need it. Unknown members are of later versions.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// RFC 3339, UTC.
    pub time: String,
    /// Who wrote it.
    pub session: String,
    /// Counts from 0 in every session.
    pub seq: u64,
    /// `decision`, `outcome`, `start`, `stop` …
    pub event: String,
    /// The decision's number.
    #[serde(default)]
    pub decision: Option<u64>,
    /// What the server is called.
    #[serde(default)]
    pub server: Option<String>,
    /// The tool.
    #[serde(default)]
    pub tool: Option<String>,
    /// `allow`, `deny`, `would_deny`.
    #[serde(default)]
    pub verdict: Option<String>,
    /// The rule that spoke.
    #[serde(default)]
    pub rule: Option<String>,
    /// How a call ended.
    #[serde(default)]
    pub outcome: Option<String>,
    /// From decision to answer.
    #[serde(default)]
    pub micros: Option<u64>,
    /// Hash of the session's line before, hexadecimal.
    pub prev: String,
}

/// Reads one line.
///
/// # Errors
/// It is no line of an audit log.
pub fn parse_line(line: &str) -> Result<Entry, String> {
    serde_json::from_str(line).map_err(|error| error.to_string())
}

/// The log and its rotated predecessors, oldest first, those that exist.
pub fn files_of(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = (1..=ROTATED_FILES).rev().map(|n| rotated(path, n)).collect();
    files.push(path.to_owned());
    files.retain(|file| file.exists());
    files
}

/// A place where the log is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// A lower-case fragment.
    pub what: String,
}

/// What a check of the chain found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Lines read.
    pub lines: usize,
    /// Sessions seen.
    pub sessions: usize,
    /// Sessions whose beginning is in a file that is no longer kept.
    pub beginnings_gone: usize,
    /// Sessions without a `stop` line: running, or ended by force.
    pub unfinished: usize,
    /// What does not fit.
    pub broken: Vec<Broken>,
}

/// Calls `each` with every line of the files, its file and its number. A line that is too long or no UTF-8 is given as
/// an empty one, so that it is reported and not passed over.
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

/// Checks the chain of every session in the files, which are given oldest first.
///
/// # Errors
/// A file cannot be read.
pub fn verify(files: &[PathBuf]) -> io::Result<Report> {
    let mut report = Report::default();
    let mut last: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut stopped = BTreeSet::new();
    each_line(files, |file, number, line| {
        report.lines += 1;
        let mut broken = |what: String| report.broken.push(Broken { file: file.to_owned(), line: number, what });
        let entry = match parse_line(line) {
            Ok(entry) => entry,
            Err(error) => return broken(format!("not a line of an audit log: {error}")),
        };
        let hash = hex(&Sha256::digest(line.as_bytes()));
        match last.get(&entry.session) {
            None if entry.seq > 0 => report.beginnings_gone += 1,
            None if entry.prev != "0".repeat(64) => {
                broken("the first line of a session names one before it".to_owned())
            }
            Some((seq, _)) if entry.seq != seq + 1 => {
                broken(format!("line {} of session {} follows line {seq}", entry.seq, entry.session));
            }
            Some((_, previous)) if entry.prev != *previous => {
                broken(format!("line {} of session {} was changed", entry.seq - 1, entry.session));
            }
            None | Some(_) => {}
        }
        if entry.event == "stop" {
            stopped.insert(entry.session.clone());
        }
        last.insert(entry.session, (entry.seq, hash));
    })?;
    report.sessions = last.len();
    report.unfinished = last.len() - stopped.len();
    Ok(report)
}

/// What the log adds up to.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Decisions by tool: allowed, denied, would be denied.
    pub tools: BTreeMap<String, [u64; 3]>,
    /// Denials by tool and rule.
    pub denials: BTreeMap<(String, String), u64>,
    /// Outcomes by name.
    pub outcomes: BTreeMap<String, u64>,
    /// Other events by name.
    pub events: BTreeMap<String, u64>,
    /// Lines that are no entries.
    pub unreadable: u64,
    latencies: Vec<u64>,
    answered: u64,
}

impl Counts {
    /// A percentile of the time from decision to answer, in microseconds; `None` if no call was answered.
    pub fn latency(&self, percent: usize) -> Option<u64> {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1);
        self.latencies.get(rank - 1).copied()
    }

    /// Calls that were answered.
    pub fn answered(&self) -> u64 {
        self.answered
    }
}

/// Adds the files up.
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
                    _ => 1,
                };
                counts.tools.entry(tool.clone()).or_default()[place] += 1;
                if place > 0 {
                    *counts.denials.entry((tool, entry.rule.unwrap_or_default())).or_default() += 1;
                }
            }
            "outcome" => {
                *counts.outcomes.entry(entry.outcome.unwrap_or_default()).or_default() += 1;
                counts.answered += 1;
                // Beyond the bound a sample is enough for percentiles.
                if counts.latencies.len() < LATENCIES_MAX || counts.answered % 64 == 0 {
                    counts.latencies.extend(entry.micros);
                }
            }
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
