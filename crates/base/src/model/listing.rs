//! What one server answered when it was asked what it offers, and where it came from.

use super::{Extras, Greeting, ServerName, ToolDefinition};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// What one server offers as received, live or from a file.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What the server is called here.
    pub server: ServerName,
    /// Where it was found.
    pub source: ServerSource,
    /// Negotiated protocol revision, for example `2025-11-25`; unknown for a saved list that does not say.
    pub protocol_version: Option<String>,
    /// `serverInfo`, as the server calls itself.
    pub server_info: Option<ServerInfo>,
    /// What else the server says of itself; unknown for a saved list that does not say.
    pub greeting: Option<Greeting>,
    /// The server's `capabilities` as received.
    pub capabilities: Option<Box<RawValue>>,
    /// Names of the capabilities that the client declared when it asked; unknown for a saved list that does not say.
    pub client_capabilities: Option<BTreeSet<String>>,
    /// The server's `instructions` to the model.
    pub instructions: Option<String>,
    /// Tools in the order received; a name may occur twice.
    pub tools: Vec<ToolDefinition>,
    /// Entries of the list that are no tools, or cannot be read: nobody knows what a client makes of them.
    pub unreadable: usize,
    /// Prompts, resources and resource templates.
    pub extras: Extras,
    /// What was odd on the way: junk lines, malformed tools, late answers.
    pub notes: Vec<Note>,
}

/// `serverInfo` (MCP, `Implementation`). Any part may be empty or wrong: it is the server's own claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerInfo {
    /// Programmatic name.
    #[serde(default)]
    pub name: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Version as claimed; often the SDK's.
    #[serde(default)]
    pub version: String,
}

/// Where a server was found. Values of environment variables and headers are never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ServerSource {
    /// A command over stdio.
    Command {
        /// Program and arguments as given.
        argv: Vec<String>,
        /// Names of the environment variables that were passed on purpose.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        env: BTreeSet<String>,
        /// The registry package that the command runs, where it can be told from the command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package: Option<Package>,
    },
    /// A URL over HTTP, without user-info and query.
    Url {
        /// The endpoint.
        url: String,
        /// Names of the headers that were passed on purpose.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        headers: BTreeSet<String>,
    },
    /// A saved tool list.
    File {
        /// The file as the user named it; `-` is standard input.
        path: String,
        /// The registry package, where the file says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package: Option<Package>,
    },
    /// The sample server inside this binary.
    Sample,
}

impl ServerSource {
    /// The registry package, where it is known.
    pub fn package(&self) -> Option<&Package> {
        match self {
            Self::Command { package, .. } | Self::File { package, .. } => package.as_ref(),
            Self::Url { .. } | Self::Sample => None,
        }
    }
}

/// A package of a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Package {
    /// `npm`, `pypi`, `oci` …
    pub registry: String,
    /// The package's name there.
    pub name: String,
    /// The version asked for; `None` is whatever is newest that day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Something odd that did not stop the listing. The text is ours, with quotes from the server escaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Note {
    /// A stable word for what happened, for example `junk_on_stdout` or `malformed_tool`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
}
