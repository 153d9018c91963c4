//! Where a server is and what is handed to it on purpose.

use crate::model::ServerName;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A server to connect to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A child process over stdio.
    Stdio(StdioTarget),
    /// A URL over streamable HTTP, or HTTP+SSE as the last fallback.
    Http(HttpTarget),
}

/// A command to run.
#[derive(Clone, Debug)]
pub struct StdioTarget {
    /// What the server is called here.
    pub server: ServerName,
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// Environment variables passed on purpose, beside the few that programs need to start.
    pub env: BTreeMap<String, Secret>,
    /// Working directory, if not ours.
    pub cwd: Option<PathBuf>,
}

/// An endpoint to call.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    /// What the server is called here.
    pub server: ServerName,
    /// `http` or `https`.
    pub url: url::Url,
    /// Headers sent with every request.
    pub headers: BTreeMap<String, Secret>,
}

/// A value that is used but never shown: its `Debug` prints three dots, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a value from being shown.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
