//! The places of a document where servers stand, recognised by their names, and what the document switches off.

use super::document::{Node, Value};
use super::{Client, escape_pointer};
use std::collections::BTreeSet;

/// A place of a file where servers stand.
pub(super) struct Section<'a> {
    /// The names on the way to it.
    pub path: Vec<String>,
    pub servers: &'a Node,
    /// The client that uses this form, if only one does.
    pub client: Option<Client>,
    pub project: Option<&'a str>,
    pub switches: Switches,
}

/// Which servers a client starts, by lists that stand beside the servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Switches {
    /// Only these, where there is such a list.
    pub allowed: Option<BTreeSet<String>>,
    /// Not these.
    pub disabled: BTreeSet<String>,
}

/// A place where servers may stand: the names on the way, the client that alone has it there, and what must hold.
struct ServersAt {
    path: &'static [&'static str],
    client: Option<&'static str>,
    holds: Holds,
}

/// What tells that a place holds servers.
#[derive(Clone, Copy)]
enum Holds {
    /// Its name alone.
    Anything,
    /// Objects only: other programs use the name too.
    Objects,
    /// Objects that say how a server is reached: other settings have the same name.
    Entries,
}

const SERVERS_AT: &[ServersAt] = &[
    ServersAt { path: &["mcpServers"], client: None, holds: Holds::Anything },
    ServersAt { path: &["servers"], client: Some("vs-code"), holds: Holds::Objects },
    ServersAt { path: &["mcp", "servers"], client: Some("vs-code"), holds: Holds::Anything },
    ServersAt { path: &["mcp.servers"], client: Some("vs-code"), holds: Holds::Anything },
    // A workspace of VS Code keeps its settings in a member of its own, a development container in another.
    ServersAt { path: &["settings", "mcp", "servers"], client: Some("vs-code"), holds: Holds::Anything },
    ServersAt { path: &["settings", "mcp.servers"], client: Some("vs-code"), holds: Holds::Anything },
    ServersAt {
        path: &["customizations", "vscode", "mcp", "servers"],
        client: Some("vs-code"),
        holds: Holds::Anything,
    },
    ServersAt { path: &["context_servers"], client: Some("zed"), holds: Holds::Anything },
    ServersAt { path: &["mcp_servers"], client: Some("codex"), holds: Holds::Anything },
    ServersAt { path: &["amp.mcpServers"], client: Some("amp"), holds: Holds::Anything },
    ServersAt { path: &["extensions"], client: Some("goose"), holds: Holds::Entries },
    // opencode and Crush.
    ServersAt { path: &["mcp"], client: Some("opencode"), holds: Holds::Entries },
    ServersAt {
        path: &["experimental", "modelContextProtocolServers"],
        client: Some("continue"),
        holds: Holds::Anything,
    },
];

/// Where servers are looked for, in words.
pub(super) const LOOKED_FOR: &str = "they are looked for under `mcpServers`, `servers`, `mcp`, `mcp.servers`, `amp.mcpServers`, `context_servers`, \
     `mcp_servers` and `extensions`, and in a file that holds nothing else";

/// The sections of a document.
pub(super) fn sections(root: &Node) -> Vec<Section<'_>> {
    let switches = switches(root);
    let mut sections = Vec::new();
    for shape in SERVERS_AT {
        let Some(servers) = root.at(shape.path).filter(|node| shape.holds.fits(node)) else { continue };
        sections.push(Section {
            path: shape.path.iter().map(|&name| name.to_owned()).collect(),
            servers,
            client: shape.client.and_then(Client::of_id),
            project: None,
            switches: switches.clone(),
        });
    }
    // Claude Code keeps the servers of each project under the project's folder.
    for (folder, project) in root.get("projects").map(Node::members).unwrap_or_default() {
        if let Some(servers) = project.get("mcpServers") {
            let path = vec!["projects".to_owned(), folder.clone(), "mcpServers".to_owned()];
            let disabled = names(project.get("disabledMcpServers"));
            let switches = Switches { allowed: None, disabled };
            let client = Client::of_id("claude-code");
            sections.push(Section { path, servers, client, project: Some(folder), switches });
        }
    }
    // The file of a plugin holds servers and nothing else.
    if sections.is_empty() && Holds::Entries.fits(root) {
        let client = Client::of_id("claude-plugin");
        sections.push(Section { path: Vec::new(), servers: root, client, project: None, switches });
    }
    sections
}

/// The lists of a document that say which servers are started.
pub(super) fn switches(root: &Node) -> Switches {
    let mcp = root.get("mcp");
    let lists = |nodes: &[Option<&Node>]| nodes.iter().flat_map(|node| names(*node)).collect::<BTreeSet<_>>();
    let allowed = [mcp.and_then(|mcp| mcp.get("allowed")), root.get("allowMCPServers")];
    Switches {
        allowed: allowed.iter().any(Option::is_some).then(|| lists(&allowed)),
        disabled: lists(&[
            mcp.and_then(|mcp| mcp.get("excluded")),
            root.get("excludeMCPServers"),
            root.get("disabledMcpServers"),
        ]),
    }
}

/// What a settings file of Claude Code says of the servers of a project's `.mcp.json`; `of` is the project, for the file
/// that keeps a member for each.
pub(super) fn project_switches(root: &Node, of: Option<&str>) -> BTreeSet<String> {
    let settings = match of {
        Some(folder) => root.at(["projects", folder]),
        None => Some(root),
    };
    names(settings.and_then(|settings| settings.get("disabledMcpjsonServers")))
}

fn names(node: Option<&Node>) -> BTreeSet<String> {
    node.map(Node::texts).unwrap_or_default().into_iter().map(str::to_owned).collect()
}

impl Switches {
    /// Why a client does not start a server, if it does not.
    pub fn off(&self, name: &str) -> Option<&'static str> {
        if self.disabled.contains(name) {
            return Some("it is disabled");
        }
        let allowed = self.allowed.as_ref().is_none_or(|allowed| allowed.contains(name));
        (!allowed).then_some("it is not among the allowed ones")
    }
}

impl Section<'_> {
    /// The section as a JSON Pointer.
    pub fn pointer(&self) -> String {
        self.path.iter().map(|name| format!("/{}", escape_pointer(name))).collect()
    }
}

impl Holds {
    fn fits(self, node: &Node) -> bool {
        let reached = |entry: &Node| {
            ["command", "cmd", "url", "uri", "serverUrl", "httpUrl"].iter().any(|name| entry.get(name).is_some())
                || entry.get("type").is_some_and(|kind| kind.as_text() == Some("builtin"))
        };
        let (objects, mut any) = match &node.value {
            Value::Object(members) => (
                members.iter().all(|(_, entry)| entry.is_object()),
                members.iter().map(|(_, entry)| entry).filter(|entry| reached(entry)),
            ),
            Value::Array(_) | Value::Text(_) | Value::Plain(_) | Value::Bool(_) | Value::Null => {
                return matches!(self, Self::Anything);
            }
        };
        match self {
            Self::Anything => true,
            Self::Objects => objects,
            Self::Entries => objects && any.next().is_some(),
        }
    }
}
