//! Policies of several servers: `FILE` or `SERVER=FILE`, else those that the lock remembers; read before any server is
//! asked.

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

/// Policies by server.
#[derive(Default)]
pub(super) struct Policies {
    by_server: BTreeMap<ServerName, Arc<PolicyFile>>,
    any: Option<Arc<PolicyFile>>,
}

impl Policies {
    /// Reads the policies that the arguments name.
    ///
    /// # Errors
    /// A file cannot be read or is no valid policy: with every problem of all of them. Two policies for one server.
    pub fn read(given: &[String]) -> Result<Self, Failure> {
        let (mut found, mut problems) = (Self::default(), Vec::new());
        for argument in given {
            let (server, file) = match argument.split_once('=') {
                Some((server, file)) if !server.is_empty() && !server.contains(['/', '\\']) => (Some(server), file),
                _ => (None, argument.as_str()),
            };
            let policy = match one(file)? {
                Ok(policy) => Arc::new(policy),
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            let twice = match server {
                Some(server) => found.by_server.insert(ServerName::new(server), policy).is_some(),
                None => found.any.replace(policy).is_some(),
            };
            if twice {
                return Err(Failure::usage(format!("two policies for one server: `{argument}`"))
                    .with_help("say which server each is for: `--policy SERVER=FILE`"));
            }
        }
        if problems.is_empty() {
            Ok(found)
        } else {
            Err(Failure::usage("there are problems with the policies").with_problems(problems))
        }
    }

    /// The policies that the arguments name, and for other servers those that the lock remembers.
    ///
    /// # Errors
    /// As [`Self::read`]; the lock names a file by an absolute path.
    pub fn with_lock(given: &[String], lock: &LockFile) -> Result<Self, Failure> {
        let mut found = Self::read(given)?;
        // A policy that is given without a server is for the one that has none.
        if found.any.is_some() {
            return Ok(found);
        }
        let folder = Path::new(lock.file()).parent().unwrap_or(Path::new("")).to_path_buf();
        let mut problems = Vec::new();
        for (server, path) in lock.policies() {
            if found.by_server.contains_key(server) {
                continue;
            }
            // Whoever may change the lock must not choose just any file of the machine.
            if Path::new(path).components().any(|part| !matches!(part, Component::Normal(_) | Component::ParentDir)) {
                let shown = crate::text::excerpt(path, 80);
                return Err(Failure::usage(format!("the lock names the policy `{shown}`, which is no relative path")));
            }
            match one(&folder.join(path).to_string_lossy())? {
                Ok(policy) => {
                    found.by_server.insert(server.clone(), Arc::new(policy));
                }
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(found)
        } else {
            Err(Failure::usage("there are problems with the policies that the lock names").with_problems(problems))
        }
    }

    /// Server and file of every policy; no server is any.
    pub fn named(&self) -> Vec<(Option<&ServerName>, &str)> {
        let by_server = self.by_server.iter().map(|(server, policy)| (Some(server), policy.file.as_str()));
        by_server.chain(self.any.iter().map(|policy| (None, policy.file.as_str()))).collect()
    }

    /// The same from texts: server, file and text of each.
    ///
    /// # Errors
    /// A text is no valid policy.
    pub fn of_texts(given: Vec<(Option<String>, String, String)>) -> Result<Self, Failure> {
        let mut found = Self::default();
        for (server, file, text) in given {
            let policy = policy::parse(&text, &file).map_err(|problems| {
                Failure::usage(format!("`{file}` is not a valid policy")).with_problems(problems)
            })?;
            let policy = Arc::new(PolicyFile { file, policy, text });
            match server {
                Some(server) => found.by_server.insert(ServerName::new(server), policy),
                None => found.any.replace(policy),
            };
        }
        Ok(found)
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

fn one(file: &str) -> Result<Result<PolicyFile, Vec<Problem>>, Failure> {
    let text = policy_file::text(Path::new(file))?;
    Ok(policy::parse(&text, file).map(|policy| PolicyFile { file: file.to_owned(), policy, text }))
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
