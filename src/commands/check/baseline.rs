//! What was known before: the findings of an earlier report, or those that the same inputs had when an earlier lock or a
//! git revision was the newest.
//!
//! What is listed today is never compared with what was there then: a lock of yesterday differs from today's poison as
//! much as today's does, and "known already" would be said of everything.

use super::super::Failure;
use super::super::load::{self, Classifier};
use super::super::lock_file::{self, Locked};
use super::super::policies::{NamedPolicies, Remembered, in_force};
use super::revision::Revision;
use super::state::State;
use crate::catalog::drift::{self, Accepted, Drift};
use crate::catalog::{self, LockFile, LockedServer};
use crate::cli::CheckArgs;
use crate::model::Listing;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::io::{Cursor, Read as _};
use std::path::Path;

/// Largest report, lock or tool list that is read as a part of a baseline, in bytes.
pub(super) const BASELINE_BYTES_MAX: usize = 256 << 20;

#[derive(Deserialize)]
struct BaselineDocument<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    findings: Option<Vec<KnownFinding>>,
    runs: Option<Vec<BaselineRun>>,
}

/// A finding of an earlier report: one, or several equal ones on several tools.
#[derive(Deserialize)]
struct KnownFinding {
    fingerprint: String,
    #[serde(default)]
    fingerprints: Vec<String>,
}

#[derive(Deserialize)]
struct BaselineRun {
    results: Vec<RunResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunResult {
    partial_fingerprints: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    properties: RunProperties,
}

#[derive(Default, Deserialize)]
struct RunProperties {
    #[serde(default)]
    fingerprints: Vec<String>,
}

/// The fingerprints of what the baseline has: a file of this name, else a git revision.
///
/// # Errors
/// Neither exists, git is missing, or what is there is neither a lock nor a report.
pub(super) fn known(
    name: &str,
    (args, lock): (&CheckArgs, &Path),
    classifier: &Classifier,
    today: &str,
) -> Result<BTreeSet<String>, Failure> {
    if Path::new(name).is_file() {
        let text = bounded(name)?;
        let document: BaselineDocument<'_> = serde_json::from_str(&text).map_err(|_| neither(name))?;
        return match (document.format, document.findings, document.runs) {
            (Some(_), _, _) => {
                let earlier = open(&text, name)?;
                let here = match super::settings(args.rules.settings.as_deref())? {
                    Some((path, text)) => vec![Remembered::by_settings(&path, &text)],
                    None => Vec::new(),
                };
                // The earlier lock may lie anywhere; its paths count from the folder of today's.
                let mut remembered = vec![Remembered::by_lock(&lock.to_string_lossy(), &earlier)];
                remembered.extend(here);
                let read = &mut |file: &str| Ok(std::fs::read_to_string(file).ok());
                let policies = NamedPolicies::of_then(&in_force(&args.policy, &remembered)?, read)?;
                let mut then = Then::new(&text, name, policies, Accepted::default())?;
                // Which policy was in force then, only the lock says.
                then.only_reviewed = true;
                then.locked(classifier, today)?;
                Ok(then.known)
            }
            (None, Some(findings), _) => Ok(findings
                .into_iter()
                .flat_map(|known| [vec![known.fingerprint], known.fingerprints].concat())
                .collect()),
            (None, None, Some(runs)) => Ok(runs.into_iter().flat_map(|run| run.results).flat_map(of_result).collect()),
            (None, None, None) => Err(neither(name)),
        };
    }
    at_revision(name, (args, lock), classifier, today)
}

fn of_result(mut result: RunResult) -> Vec<String> {
    let own = result.partial_fingerprints.remove("mcpol/v1");
    own.into_iter().chain(result.properties.fingerprints).collect()
}

/// What was found in lock, policies, accepted deviations and tool lists as they were in a revision.
fn at_revision(
    name: &str,
    (args, lock): (&CheckArgs, &Path),
    classifier: &Classifier,
    today: &str,
) -> Result<BTreeSet<String>, Failure> {
    let revision = Revision::find(name)?;
    let lock = lock.to_string_lossy();
    let Some(text) = revision.text(&lock)? else {
        let help = "without a lock in the baseline everything is new: leave `--baseline` out";
        return Err(Failure::usage(format!("there is no `{lock}` in `{name}`")).with_help(help));
    };
    let settings = args.rules.settings.as_deref().unwrap_or(Path::new(super::SETTINGS));
    let accepted = revision.text(&settings.to_string_lossy())?;
    let file = format!("{name}:{lock}");
    let mut remembered = vec![Remembered::by_lock(&lock, &open(&text, &file)?)];
    remembered.extend(accepted.iter().map(|text| Remembered::by_settings(settings, text)));
    // A policy that is new in this change was not known before.
    let policies = NamedPolicies::of_then(&in_force(&args.policy, &remembered)?, &mut |file| revision.text(file))?;
    let accepted = accepted.and_then(|text| Accepted::parse(&settings.to_string_lossy(), &text).ok());
    let mut then = Then::new(&text, &file, policies, accepted.unwrap_or_default())?;
    if args.target.tools.is_empty() {
        then.locked(classifier, today)?;
        return Ok(then.known);
    }
    for path in &args.target.tools {
        revision.lists(path, &mut |file, bytes| {
            let mut listings = Vec::new();
            let read = catalog::read(Cursor::new(bytes), file, &mut |found| listings.extend(found.ok()));
            read.map_err(|error| Failure::usage(format!("cannot read `{file}` in `{name}`: {error}")))?;
            listings.into_iter().try_for_each(|listing| then.listing(listing, classifier, today))
        })?;
    }
    // A server that was gone then is no news now.
    let unseen = then.state.locked.unseen();
    then.known.extend(unseen.iter().map(|(name, _)| drift::missing_server(name.as_str()).fingerprint()));
    // What is asked today cannot be asked as it was then: of these the lock says what was there.
    if !load::names_only_lists(&args.target) {
        then.locked(classifier, today)?;
    }
    Ok(then.known)
}

/// Lock, policies and accepted deviations as they were, and what was found in them.
struct Then {
    state: State,
    lock: String,
    file: String,
    known: BTreeSet<String>,
    /// Whether findings about a policy count only where the lock says that it was reviewed as it is.
    only_reviewed: bool,
}

impl Then {
    fn new(lock: &str, file: &str, policies: NamedPolicies, accepted: Accepted) -> Result<Self, Failure> {
        let state = State { locked: Locked::new(open(lock, file)?)?, policies, accepted };
        let (lock, file) = (lock.to_owned(), file.to_owned());
        Ok(Self { state, lock, file, known: BTreeSet::new(), only_reviewed: false })
    }

    /// Every server of the lock, as the lock says that it was.
    fn locked(&mut self, classifier: &Classifier, today: &str) -> Result<(), Failure> {
        let mut lock = open(&self.lock, &self.file)?;
        let names: Vec<_> = lock.names().map(|(name, _)| name.clone()).collect();
        for name in names {
            let servers = lock.servers(&name).map_err(|problems| lock_file::invalid(&self.file, problems))?;
            for (server, _) in servers {
                if self.is_trusted(&server) {
                    self.listing(server.listing(), classifier, today)?;
                }
            }
        }
        Ok(())
    }

    fn is_trusted(&self, server: &LockedServer) -> bool {
        let policy = self.state.policies.of(&server.server);
        !self.only_reviewed || policy.is_none_or(|now| server.policy.as_deref() == Some(now.policy.hash()))
    }

    fn listing(&mut self, listing: Listing, classifier: &Classifier, today: &str) -> Result<(), Failure> {
        let found = self.state.differences(listing, Vec::new(), classifier, today)?.found;
        self.known.extend(found.iter().map(Drift::fingerprint));
        Ok(())
    }
}

fn open(text: &str, name: &str) -> Result<LockFile, Failure> {
    let source = Box::new(Cursor::new(text.as_bytes().to_vec()));
    LockFile::open(source, name).map_err(|problems| lock_file::invalid(name, problems))
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
