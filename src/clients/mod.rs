//! Where MCP clients keep their servers: their configuration files, read by content.
//!
//! Nothing here runs or changes anything. An entry that cannot be understood is a problem of its own and leaves the
//! others readable.

mod discover;
mod document;
mod entry;
mod references;
#[cfg(test)]
mod tests;

pub use discover::{Found, Places, discover};

use crate::mcp::target::{Secret, Target};
use crate::model::{Note, ServerName};
use crate::problem::{Place, Problem};
use document::Node;
use entry::EntryReader;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// Longest configuration file that is read, in bytes. Claude Code keeps its history in the same file.
pub const CONFIG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A program that starts MCP servers for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Client {
    /// Claude Desktop.
    ClaudeDesktop,
    /// Claude Code.
    ClaudeCode,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    VsCode,
    /// Windsurf.
    Windsurf,
    /// Gemini CLI.
    Gemini,
    /// Codex.
    Codex,
    /// Zed.
    Zed,
    /// A file in the common form that belongs to no client known by its path.
    Other,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ClaudeDesktop => "Claude Desktop",
            Self::ClaudeCode => "Claude Code",
            Self::Cursor => "Cursor",
            Self::VsCode => "VS Code",
            Self::Windsurf => "Windsurf",
            Self::Gemini => "Gemini",
            Self::Codex => "Codex",
            Self::Zed => "Zed",
            Self::Other => "MCP client",
        })
    }
}

/// What one file holds.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// As it was named.
    pub path: String,
    /// Whose it is, by its path, else by its content.
    pub client: Client,
    /// Whether it has a place for servers at all, even an empty one.
    pub recognised: bool,
    /// In the order of the file.
    pub servers: Vec<Configured>,
    /// Of the whole file, or of entries that could not be understood.
    pub problems: Vec<Problem>,
    /// Entries that were left out on purpose: disabled ones, and those that an extension provides.
    pub notes: Vec<Note>,
}

/// One server of a file.
#[derive(Clone, Debug)]
pub struct Configured {
    /// The key of the entry.
    pub name: ServerName,
    /// Whose configuration it is.
    pub client: Client,
    /// The file, as it was named.
    pub file: String,
    /// Where the entry begins.
    pub place: Option<Place>,
    /// The project that the entry belongs to, in files that hold several.
    pub project: Option<String>,
    /// Where the server is; references are replaced where this client replaces them.
    pub target: Target,
    /// Variables and inputs (`input:ID`) that the entry refers to and that are not set here.
    pub missing: BTreeSet<String>,
    /// Every value that is handed to the server.
    pub values: Vec<ConfigValue>,
}

/// One value handed to a server, and whether it is written out in the file.
#[derive(Clone, Debug)]
pub struct ConfigValue {
    /// Which part of the entry it is.
    pub kind: ValueKind,
    /// The variable, header or query member; of an argument the option it belongs to, else `argument N` from 1.
    pub name: String,
    /// How it is written.
    pub written: Written,
    /// Where it is written.
    pub place: Option<Place>,
    /// The value as used: for tests of its shape, never for show.
    pub value: Secret,
}

/// Which part of an entry a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueKind {
    /// Environment variable.
    Env,
    /// HTTP header.
    Header,
    /// Command-line argument.
    Argument,
    /// Query member or password of the URL.
    Url,
}

/// How a value stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Written out: whoever reads the file has it.
    Literally,
    /// By the name of a variable or an input.
    ByReference,
    /// Not at all.
    Empty,
}

/// Reads a file of the user's choice.
///
/// # Errors
/// It cannot be read, is too long or not valid, or holds no servers in any form known.
pub fn load(path: &Path) -> Result<ConfigFile, Problem> {
    let name = path.display().to_string();
    let config = read(path, &text_of(path)?, &|variable| std::env::var(variable).ok());
    if let Some(problem) = config.problems.first().filter(|_| !config.recognised) {
        return Err(problem.clone());
    }
    if !config.recognised {
        return Err(Problem {
            file: name,
            place: None,
            pointer: String::new(),
            message: "no MCP servers in this file".to_owned(),
            help: Some(
                "they are looked for under `mcpServers`, `servers`, `mcp.servers`, `context_servers` and `mcp_servers`"
                    .to_owned(),
            ),
        });
    }
    Ok(config)
}

/// Reads a file that was found: one without any servers is `None`, because clients keep other settings in them too.
///
/// # Errors
/// It cannot be read, is too long or not valid.
pub fn load_found(found: &Found) -> Result<Option<ConfigFile>, Problem> {
    let config = read_as(found.client, &found.path, &text_of(&found.path)?, &|variable| std::env::var(variable).ok());
    match config.problems.first() {
        Some(problem) if !config.recognised => Err(problem.clone()),
        Some(_) | None => Ok(config.recognised.then_some(config)),
    }
}

/// Reads the text of a file; `env` looks up the variables that it refers to. Nothing else is looked at.
pub fn read(path: &Path, text: &str, env: &dyn Fn(&str) -> Option<String>) -> ConfigFile {
    read_as(discover::client_of(path), path, text, env)
}

fn read_as(client: Client, path: &Path, text: &str, env: &dyn Fn(&str) -> Option<String>) -> ConfigFile {
    let name = path.display().to_string();
    let mut config = ConfigFile {
        path: name.clone(),
        client,
        recognised: false,
        servers: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let root = match document::parse(&name, text) {
        Ok(root) => root,
        Err(problem) => {
            config.problems.push(problem);
            return config;
        }
    };
    let sections = sections(&root);
    config.recognised = !sections.is_empty();
    if client == Client::Other {
        config.client = sections.first().map_or(client, |section| section.client);
    }
    let workspace = discover::workspace_of(path);
    for section in sections {
        let client = if client == Client::Other { section.client } else { client };
        let workspace = section.project.or(workspace.as_deref());
        let scope = references::Scope { client, env, workspace };
        let mut reader = EntryReader { file: &name, text, scope, project: section.project, config: &mut config };
        reader.read_all(&section);
    }
    config
}

/// A place of a file where servers stand.
struct Section<'a> {
    pointer: String,
    servers: &'a Node,
    /// The client that uses this form, if only one does.
    client: Client,
    project: Option<&'a str>,
    /// Names that the file switches off elsewhere.
    disabled: Vec<&'a str>,
}

/// The sections of a document, recognised by their keys.
fn sections(root: &Node) -> Vec<Section<'_>> {
    let mut sections = Vec::new();
    let excluded = root.get("mcp").and_then(|mcp| mcp.get("excluded")).map(Node::texts).unwrap_or_default();
    for (pointer, servers, client) in [
        ("/mcpServers", root.get("mcpServers"), Client::Other),
        // Other programs have `servers` too; those of an MCP client are objects.
        ("/servers", root.get("servers").filter(|node| are_entries(node)), Client::VsCode),
        ("/mcp/servers", root.get("mcp").and_then(|mcp| mcp.get("servers")), Client::VsCode),
        ("/mcp.servers", root.get("mcp.servers"), Client::VsCode),
        ("/context_servers", root.get("context_servers"), Client::Zed),
        ("/mcp_servers", root.get("mcp_servers"), Client::Codex),
    ] {
        if let Some(servers) = servers {
            sections.push(Section {
                pointer: pointer.to_owned(),
                servers,
                client,
                project: None,
                disabled: excluded.clone(),
            });
        }
    }
    // Claude Code keeps the servers of each project under the project's folder.
    for (folder, project) in root.get("projects").map(Node::members).unwrap_or_default() {
        if let Some(servers) = project.get("mcpServers") {
            let disabled = project.get("disabledMcpServers").map(Node::texts).unwrap_or_default();
            let pointer = format!("/projects/{}/mcpServers", escape_pointer(folder));
            sections.push(Section { pointer, servers, client: Client::ClaudeCode, project: Some(folder), disabled });
        }
    }
    sections
}

fn are_entries(servers: &Node) -> bool {
    servers.is_object() && servers.members().iter().all(|(_, entry)| entry.is_object())
}

fn escape_pointer(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

fn text_of(path: &Path) -> Result<String, Problem> {
    let problem = |message: String, help: Option<String>| Problem {
        file: path.display().to_string(),
        place: None,
        pointer: String::new(),
        message,
        help,
    };
    let cannot = |error: std::io::Error| problem(format!("cannot be read: {}", crate::problem::reason(&error)), None);
    let size = std::fs::metadata(path).map_err(cannot)?.len();
    if size > CONFIG_BYTES_MAX {
        return Err(problem(format!("longer than {} MiB", CONFIG_BYTES_MAX / (1024 * 1024)), None));
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    String::from_utf8(bytes).map_err(|_| problem("not UTF-8".to_owned(), Some("save the file as UTF-8".to_owned())))
}
