//! The gateway's sections of `mcpol.toml`: from text to a checked description of servers, grants and listener. Every
//! problem at once, each with its place and the nearest valid name.

mod reader;
mod references;
mod schema;
mod sections;

pub use schema::schema_text;

use crate::clock::Timestamp;
use crate::mcp::target::{Secret, Target};
use crate::model::ServerName;
use crate::policy::Policy;
use crate::problem::Problem;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Largest configuration that is read, in bytes.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;
/// Most servers of one gateway.
pub const SERVERS_MAX: usize = 256;
/// Most grants of one configuration; `mcpol grant create` knows no such bound.
pub const GRANTS_MAX: usize = 10_000;
/// Longest name of a server, in characters: it begins the names of its tools where all servers share one endpoint.
pub const SERVER_NAME_CHARS_MAX: usize = 32;
/// Most headers, variables, hosts or origins of one list.
pub const LIST_MAX: usize = 256;

/// What a configuration says.
#[derive(Debug)]
pub struct Config {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where operators look; nowhere without it.
    pub admin: Option<SocketAddr>,
    /// Counters, approvals and grants: a path, `memory:` or the URL of a Redis, which may hold a password; the user's own
    /// file without it.
    pub state: Option<Secret>,
    /// The audit log.
    pub audit: AuditPlace,
    /// Certificate and key of the listener.
    pub tls: Option<TlsFiles>,
    /// Values of `Host` that are accepted beside those of the loopback addresses.
    pub hosts: Vec<String>,
    /// Values of `Origin` that are accepted, for pages in a browser.
    pub origins: Vec<String>,
    /// Whether every caller must have a grant.
    pub grants_required: GrantsRequired,
    /// A call without answer or progress for this long is given up; `None` is the gateway's own default.
    pub call_timeout: Option<Duration>,
    /// A call that wants approval waits this long for a person; `None` is the gateway's own default.
    pub approval_wait: Option<Duration>,
    /// The servers, by name.
    pub servers: BTreeMap<String, Server>,
    /// Grants that the file knows, by name.
    pub grants: BTreeMap<String, Grant>,
    /// The issuer of tokens, if there is one.
    pub jwt: Option<Jwt>,
}

/// Where the audit log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditPlace {
    /// `audit.jsonl` in the state directory.
    Default,
    /// Another file.
    File(PathBuf),
    /// Standard error.
    Stderr,
    /// Nowhere.
    None,
}

/// Certificate and key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with its chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Whether every caller must have a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantsRequired {
    /// Always.
    Always,
    /// As soon as there is one for the server.
    WhenThereAreAny,
}

/// One server behind the gateway.
#[derive(Debug)]
pub struct Server {
    /// Its name: the last segment of its URL here.
    pub name: ServerName,
    /// Where it is.
    pub target: Target,
    /// The policy for callers whose grant has none of its own.
    pub policy: Option<PolicyFile>,
    /// Who shares a child process; of no meaning for URLs.
    pub per: Per,
    /// How long a child may stay unused.
    pub idle: Option<Duration>,
    /// How often a child that died is started again for the same caller.
    pub restarts: u32,
    /// Everything is decided and logged, and forwarded all the same.
    pub shadow: bool,
}

/// Who shares one child process of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// Nobody: one for each session.
    Session,
    /// All sessions of a grant.
    Grant,
}

/// A policy that was read.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says, enforced as written.
    pub policy: Arc<Policy>,
}

/// One grant.
#[derive(Debug)]
pub struct Grant {
    /// The servers that it is good for; never empty.
    pub servers: Vec<ServerName>,
    /// Its own policy, instead of the servers'.
    pub policy: Option<PolicyFile>,
    /// SHA-256 of its token, 64 lower-case hexadecimal digits; without it, its tokens are in the state store or come from
    /// the issuer.
    pub token_sha256: Option<String>,
    /// When it ends, exclusive.
    pub expires: Option<Timestamp>,
}

/// Who issues tokens, and what they must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    /// The keys.
    pub jwks: Jwks,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must hold.
    pub audience: String,
    /// The claim that names the grant.
    pub grant_claim: String,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwks {
    /// At a URL: https, or http on this machine.
    Url(url::Url),
    /// In a file.
    File(PathBuf),
}

/// A configuration that holds, and what its owner should know.
#[derive(Debug)]
pub struct Checked {
    /// What it says.
    pub config: Config,
    /// What is allowed but should be looked at.
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
    /// It is not valid; every problem at once.
    #[error("`{}` is not valid", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

/// Reads a configuration with all policies that it names. `environment` looks a variable up; only variables that the file
/// refers to are asked for.
///
/// # Errors
/// A file cannot be read, or anything in it is not valid.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Checked, BadConfig> {
    let unreadable = |source| BadConfig::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    // One byte more than may be, so that the parser sees that it is too large.
    std::fs::File::open(path)
        .and_then(|file| file.take(CONFIG_BYTES_MAX as u64 + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    sections::read(path, &text, environment).map_err(|problems| BadConfig::Invalid { path: path.to_owned(), problems })
}

#[cfg(test)]
mod tests;
