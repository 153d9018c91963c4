//! Policies of several servers: `FILE` or `SERVER=FILE`, else those that the lock remembers, else those that mcpol.toml
//! names; read before any server is asked.

use super::{Failure, policy_file};
use crate::catalog::LockFile;
use crate::model::ServerName;
use crate::policy::{self, Policy};
use crate::problem::Problem;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A policy with its text, for finding places in it.
pub(super) struct PolicyFile {
    /// The file as the user named it.
    pub file: String,
    /// What it says.
    pub policy: Policy,
    /// Its text.
    pub text: String,
}

/// Which policies are in force: the server that each is for, none where that is left open, and its file as from here.
pub(super) type InForce = Vec<(Option<ServerName>, String)>;

/// Policies that a file names for its servers, counted from its folder.
pub(super) struct Remembered {
    /// What names them, as the user knows it.
    pub by: &'static str,
    /// The folder.
    pub folder: PathBuf,
    /// File by server.
    pub files: BTreeMap<ServerName, String>,
}

impl Remembered {
    /// What a lock at this path names.
    pub fn by_lock(path: &str, lock: &LockFile) -> Self {
        Self { by: "the lock", folder: folder(Path::new(path)), files: lock.policies().clone() }
    }

    /// What `[servers.NAME]` of settings at this path name. What else is wrong with them is for others to say.
    pub fn by_settings(path: &Path, text: &str) -> Self {
        let table: toml::Table = toml::from_str(text).unwrap_or_default();
        let servers = table.get("servers").and_then(toml::Value::as_table);
        let file = |(name, server): (&String, &toml::Value)| {
            Some((ServerName::new(name), server.get("policy")?.as_str()?.to_owned()))
        };
        let files = servers.into_iter().flatten().filter_map(file).collect();
        Self { by: "mcpol.toml", folder: folder(path), files }
    }
}

fn folder(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).to_path_buf()
}

/// The policies that the arguments name, and for other servers those that files remember, the first file first.
///
/// # Errors
/// A file names a policy by an absolute path.
pub(super) fn in_force(given: &[String], remembered: &[Remembered]) -> Result<InForce, Failure> {
    let mut found: InForce = given.iter().map(|argument| of_argument(argument)).collect();
    // A policy that is given without a server is for the one that has none.
    if found.iter().any(|(server, _)| server.is_none()) {
        return Ok(found);
    }
    for Remembered { by, folder, files } in remembered {
        for (server, path) in files {
            if found.iter().any(|(known, _)| known.as_ref() == Some(server)) {
                continue;
            }
            // Whoever may change the file must not choose just any file of the machine.
            let is_relative = |part| matches!(part, Component::Normal(_) | Component::ParentDir | Component::CurDir);
            if !Path::new(path).components().all(is_relative) {
                let shown = crate::text::excerpt(path, 80);
                return Err(Failure::usage(format!("{by} names the policy `{shown}`, which is no relative path"))
                    .with_help(format!("say which it is: `--policy {}=FILE`", crate::text::escape(server.as_str()))));
            }
            found.push((Some(server.clone()), folder.join(path).to_string_lossy().into_owned()));
        }
    }
    Ok(found)
}

fn of_argument(argument: &str) -> (Option<ServerName>, String) {
    match argument.split_once('=') {
        Some((server, file)) if !server.is_empty() && !server.contains(['/', '\\']) => {
            (Some(ServerName::new(server)), file.to_owned())
        }
        Some(_) | None => (None, argument.to_owned()),
    }
}

/// Policies by server.
#[derive(Default)]
pub(super) struct NamedPolicies {
    by_server: BTreeMap<ServerName, Arc<PolicyFile>>,
    any: Option<Arc<PolicyFile>>,
}

impl NamedPolicies {
    /// Reads the policies that are in force.
    ///
    /// # Errors
    /// A file cannot be read or is no valid policy: with every problem of all of them. Two policies for one server.
    pub fn read(files: &InForce) -> Result<Self, Failure> {
        let (mut found, mut problems) = (Self::default(), Vec::new());
        for (server, file) in files {
            match parse(file, policy_file::text(Path::new(file))?) {
                Ok(policy) => found.put(server.as_ref(), policy)?,
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(found)
        } else {
            Err(Failure::usage("there are problems with the policies").with_problems(problems))
        }
    }

    /// The policies that were in force, in the texts that files had then. One that was not there or not valid protected
    /// nothing.
    ///
    /// # Errors
    /// A text could not be read, or two policies are for one server.
    pub fn of_then(
        files: &InForce,
        text: &mut dyn FnMut(&str) -> Result<Option<String>, Failure>,
    ) -> Result<Self, Failure> {
        let mut found = Self::default();
        for (server, file) in files {
            if let Some(Ok(policy)) = text(file)?.map(|text| parse(file, text)) {
                found.put(server.as_ref(), policy)?;
            }
        }
        Ok(found)
    }

    fn put(&mut self, server: Option<&ServerName>, policy: PolicyFile) -> Result<(), Failure> {
        let policy = Arc::new(policy);
        let before = match server {
            Some(server) => self.by_server.insert(server.clone(), Arc::clone(&policy)),
            None => self.any.replace(Arc::clone(&policy)),
        };
        match before {
            None => Ok(()),
            Some(_) => Err(Failure::usage(format!("two policies for one server: `{}`", policy.file))
                .with_help("say which server each is for: `--policy SERVER=FILE`")),
        }
    }

    /// Server and file of every policy; no server is any.
    pub fn named(&self) -> Vec<(Option<&ServerName>, &str)> {
        let by_server = self.by_server.iter().map(|(server, policy)| (Some(server), policy.file.as_str()));
        by_server.chain(self.any.iter().map(|policy| (None, policy.file.as_str()))).collect()
    }

    /// The policy of a server, if there is one.
    pub fn of(&self, server: &ServerName) -> Option<Arc<PolicyFile>> {
        self.by_server.get(server).or(self.any.as_ref()).cloned()
    }

    /// A policy that names no server can be meant for one server only.
    ///
    /// # Errors
    /// There are several.
    pub fn fit(&self, servers: usize) -> Result<(), Failure> {
        if self.any.is_some() && servers > 1 && servers > self.by_server.len() + 1 {
            return Err(Failure::usage(format!("one policy for {servers} servers"))
                .with_help("a policy is for one server: say which, `--policy SERVER=FILE`"));
        }
        Ok(())
    }
}

/// The path of a policy from the folder of a lock, with `/` between its parts; `None` where there is no such path.
pub(super) fn from_lock(lock: &Path, file: &str) -> Option<String> {
    let (folder, file) = (normal(lock)?, normal(Path::new(file))?);
    let folder = folder.parent()?;
    let (folder, file): (Vec<_>, Vec<_>) = (folder.components().collect(), file.components().collect());
    let common = folder.iter().zip(&file).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), folder.len() - common);
    let down = file[common..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
    // On another drive there is no common root.
    (common > 0).then(|| up.chain(down).collect::<Vec<_>>().join("/"))
}

/// Absolute, without `.` and `..`; links are not followed.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in std::path::absolute(path).ok()?.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    Some(out)
}

fn parse(file: &str, text: String) -> Result<PolicyFile, Vec<Problem>> {
    policy::parse(&text, file).map(|policy| PolicyFile { file: file.to_owned(), policy, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_found_from_the_folder_of_the_lock() {
        for (lock, file, expected) in [
            ("mcpol.lock", "files.policy.json", "files.policy.json"),
            ("./mcpol.lock", "a/../policies/x.json", "policies/x.json"),
            ("ci/mcpol.lock", "policy.json", "../policy.json"),
            ("ci/mcpol.lock", "ci/policy.json", "policy.json"),
        ] {
            assert_eq!(from_lock(Path::new(lock), file).as_deref(), Some(expected), "{lock} {file}");
        }
    }
}
