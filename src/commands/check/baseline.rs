//! What was known before: an earlier lock, an earlier report, or the lock and policies of a git revision.

use super::super::Failure;
use super::super::lock_file::{self, Locked};
use super::super::policies::Policies;
use super::state::State;
use crate::catalog::LockFile;
use crate::catalog::drift::Accepted;
use crate::cli::CheckArgs;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Largest report or lock that is read as a baseline, in bytes.
pub(super) const BASELINE_BYTES_MAX: usize = 256 << 20;

/// What was known before.
pub(super) enum Baseline {
    /// The fingerprints of an earlier report.
    Report(Arc<BTreeSet<String>>),
    /// Earlier files: what is different from them too is known.
    Files(Box<State>),
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    findings: Option<Vec<Known>>,
    runs: Option<Vec<Run>>,
}

#[derive(Deserialize)]
struct Known {
    fingerprint: String,
}

#[derive(Deserialize)]
struct Run {
    results: Vec<RunResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunResult {
    partial_fingerprints: std::collections::BTreeMap<String, String>,
}

/// Reads the baseline: a file of this name, else a git revision.
///
/// # Errors
/// Neither exists, git is missing, or what is there is neither a lock nor a report.
pub(super) fn read(name: &str, args: &CheckArgs) -> Result<Baseline, Failure> {
    if Path::new(name).is_file() {
        let text = bounded(name)?;
        let document: Document<'_> = serde_json::from_str(&text).map_err(|_| neither(name))?;
        if document.format.is_some() {
            return Ok(Baseline::Files(Box::new(files(&text, name, Policies::read(&args.policy)?)?)));
        }
        let report = |known: BTreeSet<String>| Baseline::Report(Arc::new(known));
        let of_runs = |runs: Vec<Run>| {
            let results = runs.into_iter().flat_map(|run| run.results);
            results.filter_map(|mut result| result.partial_fingerprints.remove("mcpol/v1")).collect()
        };
        return match (document.findings, document.runs) {
            (Some(findings), _) => Ok(report(findings.into_iter().map(|known| known.fingerprint).collect())),
            (None, Some(runs)) => Ok(report(of_runs(runs))),
            (None, None) => Err(neither(name)),
        };
    }
    let lock = args.lock.to_string_lossy();
    let Some(text) = show(name, &lock)? else {
        let help = "without a lock in the baseline everything is new: leave `--baseline` out";
        return Err(Failure::usage(format!("there is no `{lock}` in `{name}`")).with_help(help));
    };
    let mut policies = Vec::new();
    for given in &args.policy {
        let (server, file) = match given.split_once('=') {
            Some((server, file)) if !server.contains(['/', '\\']) => (Some(server), file),
            _ => (None, given.as_str()),
        };
        // A policy that is new in this change was not known before.
        if let Some(text) = show(name, file)? {
            policies.push((server.map(str::to_owned), file.to_owned(), text));
        }
    }
    Ok(Baseline::Files(Box::new(files(&text, &format!("{name}:{lock}"), Policies::of_texts(policies)?)?)))
}

fn files(text: &str, name: &str, policies: Policies) -> Result<State, Failure> {
    let source = Box::new(Cursor::new(text.as_bytes().to_vec()));
    let lock = LockFile::open(source, name).map_err(|problems| lock_file::invalid(name, problems))?;
    Ok(State { locked: Locked::new(lock)?, policies, accepted: Accepted::default() })
}

fn neither(name: &str) -> Failure {
    Failure::usage(format!("`{name}` is neither a lock nor a report"))
        .with_help("a baseline is a lock, `mcpol check --format json` or `--format sarif`, or a git revision")
}

fn bounded(name: &str) -> Result<String, Failure> {
    let cannot = |why: &dyn std::fmt::Display| Failure::usage(format!("cannot read `{name}`: {why}"));
    let file = std::fs::File::open(name).map_err(|error| cannot(&error))?;
    let mut bytes = Vec::new();
    file.take(BASELINE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() > BASELINE_BYTES_MAX {
        return Err(cannot(&format!("it is longer than {} MiB", BASELINE_BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| cannot(&"it is not UTF-8"))
}

/// A file as it is in a revision, by the git program; `None` where the revision does not have it.
fn show(revision: &str, path: &str) -> Result<Option<String>, Failure> {
    // What begins with a dash would be an option to git.
    if revision.starts_with('-') || revision.contains(':') {
        return Err(Failure::usage(format!("`{revision}` is no git revision")));
    }
    let git = |arguments: &[&str]| {
        Command::new("git").args(arguments).stdin(Stdio::null()).output().map_err(|error| {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "the git program is not installed".to_owned(),
                _ => error.to_string().to_lowercase(),
            };
            Failure::usage(format!("cannot look into `{revision}`: {why}"))
                .with_help("give a file instead: a lock, or a report with `--format json`")
        })
    };
    let found = git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")])?;
    if !found.status.success() {
        return Err(Failure::usage(format!("`{revision}` is neither a file nor a git revision here"))
            .with_help("in CI a shallow clone holds one revision only: fetch the other one first"));
    }
    let commit = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let relative =
        if Path::new(path).is_absolute() { path.to_owned() } else { format!("./{}", path.trim_start_matches("./")) };
    let shown = git(&["show", &format!("{commit}:{relative}")])?;
    if !shown.status.success() {
        return Ok(None);
    }
    if shown.stdout.len() > BASELINE_BYTES_MAX {
        return Err(Failure::usage(format!(
            "`{path}` in `{revision}` is longer than {} MiB",
            BASELINE_BYTES_MAX >> 20
        )));
    }
    String::from_utf8(shown.stdout)
        .map(Some)
        .map_err(|_| Failure::usage(format!("`{path}` in `{revision}` is not UTF-8")))
}
