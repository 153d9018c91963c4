//! Policies of several servers: `FILE` or `SERVER=FILE`, read before any server is asked.

use super::{Failure, policy_file};
use crate::model::ServerName;
use crate::policy::{self, Policy};
use crate::problem::Problem;
use std::collections::BTreeMap;
use std::path::Path;
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

fn one(file: &str) -> Result<Result<PolicyFile, Vec<Problem>>, Failure> {
    let text = policy_file::text(Path::new(file))?;
    Ok(policy::parse(&text, file).map(|policy| PolicyFile { file: file.to_owned(), policy, text }))
}
