//! Opening a lock, and finding the entry that a server is compared with: what `lock`, `check` and `enforce` start with.

use super::Failure;
use super::load::Classifier;
use crate::catalog::drift::{self, Beside, Drift, Verdicts};
use crate::catalog::{LockFile, LockedServer};
use crate::model::{Classified, Listing, ServerName};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// Most servers of a lock whose tools are known by name while another server is looked at.
const NEIGHBOURS_MAX: usize = 200;

/// Opens a lock.
///
/// # Errors
/// The file is missing, cannot be read, or is no lock: with every problem.
pub(super) fn open(path: &Path) -> Result<LockFile, Failure> {
    let shown = path.to_string_lossy();
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!("there is no lock `{shown}`"))
            .with_help("`mcpol lock` writes down what you have reviewed; name another file with `--lock`"),
        _ => Failure::usage(format!("cannot read `{shown}`: {}", error.to_string().to_lowercase())),
    })?;
    LockFile::open(Box::new(file), &shown).map_err(|problems| invalid(&shown, problems))
}

/// The failure for a lock with problems.
pub(super) fn invalid(file: &str, problems: Vec<crate::problem::Problem>) -> Failure {
    Failure::usage(format!("`{file}` is not a valid lock")).with_problems(problems)
}

/// A lock and which of its entries were looked at.
pub(super) struct Locked {
    /// The lock.
    pub lock: LockFile,
    seen: BTreeMap<ServerName, BTreeSet<usize>>,
    tools: Option<Vec<(ServerName, BTreeSet<String>)>>,
}

/// An entry of the lock.
pub(super) struct Entry {
    /// What it says.
    pub server: LockedServer,
    /// Its place among the entries of its name.
    pub at: usize,
    /// The line on which it begins.
    pub line: usize,
}

impl Locked {
    /// A lock of which nothing was looked at.
    ///
    /// # Errors
    /// An entry is not valid.
    pub fn new(mut lock: LockFile) -> Result<Self, Failure> {
        let names: Vec<_> = lock.names().map(|(name, _)| name.clone()).collect();
        let mut tools = None;
        if names.len() <= NEIGHBOURS_MAX {
            let mut all = Vec::new();
            for name in names {
                let file = lock.file().to_owned();
                let servers = lock.servers(&name).map_err(|problems| invalid(&file, problems))?;
                let own =
                    servers.iter().flat_map(|(server, _)| server.tools.iter().map(|tool| tool.name.clone())).collect();
                all.push((name, own));
            }
            tools = Some(all);
        }
        Ok(Self { lock, seen: BTreeMap::new(), tools })
    }

    /// Names of the tools of all other servers in the lock; none where there are too many to be meant.
    pub fn others(&self, server: &ServerName) -> BTreeSet<String> {
        let others = self.tools.iter().flatten().filter(|(name, _)| name != server);
        others.flat_map(|(_, tools)| tools.iter().cloned()).collect()
    }

    /// The entry that a listing is compared with: of several with its name that were not taken yet the one with the same
    /// source, else the same package, else the most tools in common, else the first.
    ///
    /// # Errors
    /// An entry of this name is not valid.
    pub fn entry(&mut self, listing: &Listing) -> Result<Option<Entry>, Failure> {
        let file = self.lock.file().to_owned();
        let found = self.lock.servers(&listing.server).map_err(|problems| invalid(&file, problems))?;
        let seen = self.seen.entry(listing.server.clone()).or_default();
        let source = crate::catalog::public_source(&listing.source);
        let names: BTreeSet<&str> = listing.tools.iter().map(|tool| tool.name.as_str()).collect();
        let likeness = |server: &LockedServer| {
            let package = source.package().map(|package| (&package.registry, &package.name));
            let known = server.source.package().map(|package| (&package.registry, &package.name));
            let common = server.tools.iter().filter(|tool| names.contains(tool.name.as_str())).count();
            (server.source == source, package.is_some() && package == known, common)
        };
        let free = (0..found.len()).filter(|at| !seen.contains(at));
        let Some(at) = free.max_by_key(|at| (likeness(&found[*at].0), std::cmp::Reverse(*at))) else {
            return Ok(None);
        };
        seen.insert(at);
        Ok(found.into_iter().nth(at).map(|(server, line)| Entry { server, at, line }))
    }

    /// The servers of the lock that no listing was compared with, and how many of each name.
    pub fn unseen(&self) -> Vec<(ServerName, usize)> {
        let left = |(name, count): (&ServerName, usize)| {
            let seen = self.seen.get(name).map_or(0, BTreeSet::len);
            (count > seen).then(|| (name.clone(), count - seen))
        };
        self.lock.names().filter_map(left).collect()
    }

    /// The entries of this name that no listing was compared with.
    ///
    /// # Errors
    /// An entry is not valid.
    pub fn rest(&mut self, name: &ServerName) -> Result<Vec<LockedServer>, Failure> {
        let file = self.lock.file().to_owned();
        let found = self.lock.servers(name).map_err(|problems| invalid(&file, problems))?;
        let seen = self.seen.get(name).cloned().unwrap_or_default();
        let rest = found.into_iter().enumerate().filter(|(at, _)| !seen.contains(at));
        Ok(rest.map(|(_, (server, _))| server).collect())
    }

    /// The text of an entry, for finding places in it.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn text(&mut self, name: &ServerName, at: usize) -> Result<String, Failure> {
        let file = self.lock.file().to_owned();
        let texts = self.lock.texts(name).map_err(|problem| invalid(&file, vec![problem]))?;
        Ok(texts.into_iter().nth(at).map(|(text, _)| text).unwrap_or_default())
    }
}

/// Everything that is different between an entry and a server that was judged just now. Where the rules are not those
/// of the lock, what they alone changed is told apart.
pub(super) fn differences(
    entry: &LockedServer,
    (now, judged): (&LockedServer, &Classified),
    classifier: &Classifier,
    same_rules: bool,
    others: BTreeSet<String>,
) -> Vec<Drift> {
    let before = classifier.one(entry.listing(), Vec::new());
    let rejudged =
        (!same_rules).then(|| LockedServer { policy: entry.policy.clone(), ..LockedServer::of(&before, None) });
    let beside = Beside { before: Verdicts::of(&before), after: Verdicts::of(judged), others };
    drift::compare(entry, now, rejudged.as_ref(), &beside)
}
