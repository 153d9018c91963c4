//! The `mcpol.toml` that a command goes by: the one that is named, else the one of the working directory. Every command
//! that needs servers, state, audit log or operators' address of a gateway asks here, so that a grant is never made in
//! another store than the gateway looks at.

use super::policies::Remembered;
use super::{Failure, output};
use crate::cli::{LOCK_FILE, TargetArgs};
use crate::gateway::config::{AuditPlace, BadConfig, Outline, outline};
use crate::state::StatePlace;
use crate::text::{escape, nearest};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What the file is called where none is named.
pub(super) const PROJECT_FILE: &str = "mcpol.toml";

/// A gateway's configuration, as far as other commands go by it.
pub(super) struct Project {
    /// The file, as it was named.
    pub path: PathBuf,
    outline: Outline,
    /// Whether somebody named it; else it was found, which is said when something of it is used.
    named: bool,
}

/// The configuration that was named, else that of the working directory; `None` where there is none, or the one that is
/// there says nothing about a gateway.
///
/// # Errors
/// It cannot be read, is no TOML, or was named and says nothing about a gateway.
pub(super) fn find(named: Option<&Path>) -> Result<Option<Project>, Failure> {
    let path = named.unwrap_or(Path::new(PROJECT_FILE));
    if named.is_none() && !path.is_file() {
        return Ok(None);
    }
    let outline = outline(path, &|name| std::env::var(name).ok()).map_err(unreadable)?;
    match (outline, named) {
        (Some(outline), _) => Ok(Some(Project { path: path.to_owned(), outline, named: named.is_some() })),
        (None, None) => Ok(None),
        (None, Some(path)) => Err(Failure::usage(format!("`{}` says nothing about a gateway", path.display()))
            .with_help("it has neither `[gateway]` nor `[servers.NAME]`; `mcpol init` writes one that has")),
    }
}

/// The failure for a configuration that cannot be used.
pub(super) fn unreadable(error: BadConfig) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        BadConfig::Unreadable { .. } => failure.with_help("`mcpol init` writes one, docs/gateway.md explains it"),
        BadConfig::Invalid { problems, .. } => failure.with_problems(problems),
    }
}

/// The arguments with the servers of the configuration here, where they name none.
///
/// # Errors
/// The configuration here cannot be read.
pub(super) fn with_servers(args: &TargetArgs) -> Result<TargetArgs, Failure> {
    if args.name_a_place() {
        return Ok(args.clone());
    }
    match find(None)?.filter(|project| !project.outline.servers.is_empty()) {
        None => Ok(args.clone()),
        Some(project) => {
            project.say("the servers");
            Ok(TargetArgs { config: vec![project.path], ..args.clone() })
        }
    }
}

/// The lock that a command goes by: the one that is named, else what `locked` of the configuration's servers names, those
/// that are chosen.
///
/// # Errors
/// Several locks are named.
pub(super) fn lock(named: Option<&Path>, target: &TargetArgs) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    let files = match target.config.as_slice() {
        [] if target.name_a_place() => &[],
        [] => &[PathBuf::from(PROJECT_FILE)][..],
        files => files,
    };
    let is_wanted = |name: &String| target.server.is_empty() || target.server.contains(name);
    let mut locks = BTreeSet::new();
    for path in files.iter().filter(|path| is_toml(path)) {
        // What is wrong with the file is said by whoever needs its servers.
        let servers = outline(path, &|_| None).ok().flatten().map(|outline| outline.servers).unwrap_or_default();
        locks.extend(servers.into_iter().filter(|(name, _)| is_wanted(name)).filter_map(|(_, server)| server.locked));
    }
    let count = locks.len();
    match locks.pop_first() {
        None => Ok(PathBuf::from(LOCK_FILE)),
        Some(lock) if count == 1 => Ok(lock),
        Some(_) => Err(Failure::usage(format!("the configuration names {count} locks"))
            .with_help("choose servers of one of them with `--server NAME`, or name a lock with `--lock FILE`")),
    }
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"))
}

/// The policies that the configurations among these files name for their servers.
///
/// # Errors
/// One of the files cannot be read.
pub(super) fn policies(files: &[PathBuf]) -> Result<Vec<Remembered>, Failure> {
    let mut remembered = Vec::new();
    for path in files.iter().filter(|path| is_toml(path)) {
        if outline(path, &|_| None).ok().flatten().is_some() {
            let text = crate::clients::text_of(path)
                .map_err(|problem| Failure::usage("cannot read the configuration").with_problems(vec![problem]))?;
            remembered.push(Remembered::by_settings(path, &text));
        }
    }
    Ok(remembered)
}

impl Project {
    /// Says what is taken from a file that nobody named.
    fn say(&self, what: &str) {
        if !self.named {
            output::note(&format!("note: {what} of `{}` in this directory\n", self.path.display()));
        }
    }

    /// Where its gateway keeps counters, approvals and grants, if the file says so.
    ///
    /// # Errors
    /// The value is not valid, or names a variable that is not set.
    pub fn state(&self) -> Result<Option<StatePlace>, Failure> {
        let place = match &self.outline.state {
            Ok(place) => place.clone(),
            Err(problems) => {
                let message = format!("`{}` does not tell where its gateway keeps state", self.path.display());
                return Err(Failure::usage(message)
                    .with_problems(problems.clone())
                    .with_help("name the store with `--state`, if it is another"));
            }
        };
        if let Some(place) = &place {
            self.say(&format!("the state {place}"));
        }
        Ok(place)
    }

    /// The file of its audit log; `None` for the user's own.
    ///
    /// # Errors
    /// Its gateway writes none, or writes it to standard error.
    pub fn audit(&self) -> Result<Option<PathBuf>, Failure> {
        let nowhere = |what: &str| {
            Failure::usage(format!("the gateway of `{}` {what}", self.path.display()))
                .with_exit(crate::exit::Exit::Nothing)
                .with_help("name a log with `--file`")
        };
        match &self.outline.audit {
            AuditPlace::Default => Ok(None),
            AuditPlace::File(path) => {
                self.say(&format!("the audit log {}", path.display()));
                Ok(Some(path.clone()))
            }
            AuditPlace::Stderr => Err(nowhere("writes its audit log to standard error")),
            AuditPlace::None => Err(nowhere("writes no audit log")),
        }
    }

    /// The address where operators look.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.outline.admin
    }

    /// The names of its servers.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.outline.servers.keys().map(String::as_str)
    }

    /// Whether it has a server of this name.
    pub fn has(&self, server: &str) -> bool {
        self.outline.servers.contains_key(server)
    }

    /// Warns of a server that the file does not have: what is said of it would never count.
    pub fn warn_unknown(&self, server: &str) {
        if self.has(server) || self.outline.servers.is_empty() {
            return;
        }
        let help = match nearest(server, self.servers()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", self.servers().collect::<Vec<_>>().join(", ")),
        };
        let (server, path) = (escape(server), self.path.display());
        output::people(&format!("warning: `{path}` has no server `{server}`\n  help: {help}\n"));
    }
}
