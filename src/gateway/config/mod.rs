//! The gateway's sections of `mcpol.toml`: from text to a checked description of servers, grants and listener. All
//! problems are reported at once, each with its place and the nearest valid name.

mod confinement;
mod grants;
mod outline;
mod reader;
mod references;
mod schema;
mod sections;
mod servers;

pub use outline::{Outline, ServerOutline, outline};
pub use schema::schema_text;

use super::identity::{ConfiguredGrant, TokenRule};
use super::jwt::Jwt;
use super::plan::Plan;
use crate::model::ServerName;
use crate::policy::Policy;
use crate::problem::Problem;
use crate::state::StatePlace;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest configuration that is read, in bytes.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Most servers of one gateway.
pub const SERVERS_MAX: usize = 256;
/// Most grants of one configuration; grants made by `mcpol grant create` are not counted.
pub const GRANTS_MAX: usize = 10_000;
/// Longest name of a server, in characters: it begins the names of its tools where all servers share one endpoint.
pub const SERVER_NAME_CHARS_MAX: usize = 32;
/// Most entries of one list or table of texts: headers, variables, arguments, hosts, origins, servers of a grant.
pub const LIST_MAX: usize = 256;

/// A configuration of the gateway, read and checked.
#[derive(Debug)]
pub struct Config {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// The listener, the servers, and how sessions are run.
    pub plan: Plan,
    /// Address of `/healthz`, `/readyz`, `/metrics` and `/status` for operators; none is opened without it.
    pub admin: Option<SocketAddr>,
    /// Where counters, approvals and grants are stored; the user's own state file without it.
    pub state: Option<StatePlace>,
    /// Where the audit log goes.
    pub audit: AuditPlace,
    /// Whether every caller must have a grant.
    pub token_rule: TokenRule,
    /// The grants in `[grants.NAME]`.
    pub grants: Vec<ConfiguredGrant>,
    /// The issuer of tokens in `[jwt]`, if there is one.
    pub jwt: Option<Jwt>,
    /// Every policy that the file names, without shadow mode. Paths that are relative in the file are joined to its
    /// folder.
    pub policies: BTreeMap<PathBuf, Arc<Policy>>,
    /// How many tools the lock has for each server with `locked`.
    pub locks: BTreeMap<ServerName, usize>,
}

impl Config {
    /// The policy that a grant names, as it was when the configuration was read.
    pub fn policy_of(&self, grant: &ConfiguredGrant) -> Option<&Policy> {
        // Grants name whole paths, and the keys may be relative.
        let named = Path::new(grant.policy.as_deref()?);
        let is_it = |path: &Path| std::path::absolute(path).is_ok_and(|path| path == named);
        self.policies.iter().find(|(path, _)| is_it(path)).map(|(_, policy)| &**policy)
    }
}

/// Where the audit log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditPlace {
    /// `audit.jsonl` in the state directory.
    Default,
    /// This file.
    File(PathBuf),
    /// Standard error.
    Stderr,
    /// No log is written.
    None,
}

/// A valid configuration, with warnings for the operator.
#[derive(Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// What is allowed, but hardly meant.
    pub warnings: Vec<Problem>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// The file cannot be read.
    #[error("cannot read `{}`: {}", path.display(), crate::problem::reason(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file, or a policy or lock that it names, is not valid; all problems at once.
    #[error("`{}` is not valid", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

/// Reads a configuration with all policies and locks that it names. `environment` looks a variable up; only variables
/// that the file refers to are asked for.
///
/// # Errors
/// A file cannot be read, or anything in it is not valid.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Checked, BadConfig> {
    let text = text_of(path)?;
    sections::read(path, &text, environment).map_err(|problems| BadConfig::Invalid { path: path.to_owned(), problems })
}

fn text_of(path: &Path) -> Result<String, BadConfig> {
    super::regular_file::read_regular(path, CONFIG_BYTES_MAX)
        .map_err(|source| BadConfig::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
