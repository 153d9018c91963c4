//! The MCP clients that are known, one row each: what they are called, where they keep their servers, which references
//! they replace, and how they write a command.

use std::fmt;

/// A program that starts MCP servers for a model: a row of [`CLIENTS`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(usize);

/// What is known of a client.
pub(super) struct ClientRow {
    /// What `--client` takes, and what its folder of policies is called.
    pub id: &'static str,
    pub name: &'static str,
    pub places: &'static [Spot],
    pub references: &'static [Reference],
    pub form: Form,
}

/// Where a client keeps a file.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub below: Below,
    /// With `/` on every platform; a segment may hold one `*`, which stands for any text.
    pub path: &'static str,
    pub on: On,
}

/// The folder that a path begins at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Below {
    Home,
    /// Where programs keep settings: `~/.config`, `~/Library/Application Support` or `%APPDATA%`.
    Settings,
    /// `$XDG_CONFIG_HOME` or `~/.config` on every platform: programs from the world of Unix.
    DotConfig,
    /// `%LOCALAPPDATA%`; nothing elsewhere.
    LocalData,
    Project,
}

/// The platforms that a path is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    Every,
    Windows,
    Unix,
}

/// A form of reference that a client replaces in an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// `${NAME}` and `${NAME:-default}`.
    Braced,
    /// `$NAME`.
    Bare,
    /// `${env:NAME}`.
    Env,
    /// `{env:NAME}`.
    BraceEnv,
    /// `${input:ID}`: the client asks for it.
    Input,
    /// `${workspaceFolder}` and the like.
    Folders,
    /// `${{ secrets.NAME }}`: an environment variable or a value that the client keeps.
    Secrets,
    /// `${NAME}` alone, and `$${` for the two characters: as the gateway reads its own file.
    Own,
    /// `${user_config.ID}` and `${__dirname}`, as bundles have them.
    Bundle,
}

/// The names that a client has for the parts of an entry that starts a command.
pub(super) struct Form {
    pub command: &'static str,
    /// `None`: program and arguments are one list, under `command`.
    pub args: Option<&'static str>,
    pub env: &'static str,
    /// What `type` says of such an entry, where it says anything.
    pub stdio: &'static str,
}

const COMMON: Form = Form { command: "command", args: Some("args"), env: "env", stdio: "stdio" };

const fn home(path: &'static str) -> Spot {
    Spot { below: Below::Home, path, on: On::Every }
}

const fn settings(path: &'static str) -> Spot {
    Spot { below: Below::Settings, path, on: On::Every }
}

const fn dot_config(path: &'static str) -> Spot {
    Spot { below: Below::DotConfig, path, on: On::Every }
}

const fn project(path: &'static str) -> Spot {
    Spot { below: Below::Project, path, on: On::Every }
}

impl Spot {
    const fn on(mut self, on: On) -> Self {
        self.on = on;
        self
    }

    const fn local(path: &'static str) -> Self {
        Self { below: Below::LocalData, path, on: On::Windows }
    }
}

use Reference::{Bare, BraceEnv, Braced, Bundle, Env, Folders, Input, Own, Secrets};

/// The table, in the order in which clients are looked for. The last row is for files in a known form that belong to no
/// client known by its path: of what any client replaces, it replaces what cannot be meant otherwise.
pub(super) const CLIENTS: &[ClientRow] = &[
    ClientRow {
        id: "claude-desktop",
        name: "Claude Desktop",
        places: &[settings("Claude/claude_desktop_config.json")],
        references: &[],
        form: COMMON,
    },
    ClientRow {
        id: "claude-code",
        name: "Claude Code",
        places: &[home(".claude.json"), project(".mcp.json")],
        references: &[Braced],
        form: COMMON,
    },
    ClientRow {
        id: "claude-plugin",
        name: "Claude Code plugin",
        places: &[home(".claude/plugins/cache/*/*/*/.mcp.json")],
        references: &[Braced],
        form: COMMON,
    },
    ClientRow {
        id: "cursor",
        name: "Cursor",
        places: &[home(".cursor/mcp.json"), project(".cursor/mcp.json")],
        references: &[Env, Folders],
        form: COMMON,
    },
    ClientRow {
        id: "vs-code",
        name: "VS Code",
        places: &[
            settings("Code/User/mcp.json"),
            settings("Code/User/settings.json"),
            settings("Code/User/profiles/*/mcp.json"),
            settings("Code - Insiders/User/mcp.json"),
            settings("Code - Insiders/User/settings.json"),
            settings("Code - Insiders/User/profiles/*/mcp.json"),
            project(".vscode/mcp.json"),
            project(".vscode/settings.json"),
            project("*.code-workspace"),
            project(".devcontainer/devcontainer.json"),
            project(".devcontainer.json"),
        ],
        references: &[Env, Input, Folders],
        form: COMMON,
    },
    ClientRow {
        id: "vscodium",
        name: "VSCodium",
        places: &[
            settings("VSCodium/User/mcp.json"),
            settings("VSCodium/User/settings.json"),
            settings("VSCodium/User/profiles/*/mcp.json"),
        ],
        references: &[Env, Input, Folders],
        form: COMMON,
    },
    ClientRow {
        id: "copilot-jetbrains",
        name: "Copilot in JetBrains",
        places: &[
            dot_config("github-copilot/intellij/mcp.json").on(On::Unix),
            Spot::local("github-copilot/intellij/mcp.json"),
        ],
        references: &[Env, Input],
        form: COMMON,
    },
    ClientRow {
        id: "copilot-cli",
        name: "Copilot CLI",
        places: &[home(".copilot/mcp-config.json")],
        references: &[Braced, Bare],
        form: Form { stdio: "local", ..COMMON },
    },
    ClientRow {
        id: "windsurf",
        name: "Windsurf",
        places: &[home(".codeium/windsurf/mcp_config.json")],
        references: &[Env],
        form: COMMON,
    },
    ClientRow {
        id: "gemini",
        name: "Gemini",
        places: &[home(".gemini/settings.json"), project(".gemini/settings.json")],
        references: &[Braced, Bare],
        form: COMMON,
    },
    ClientRow {
        id: "antigravity",
        name: "Antigravity",
        places: &[home(".gemini/antigravity/mcp_config.json")],
        references: &[],
        form: COMMON,
    },
    ClientRow {
        id: "qwen",
        name: "Qwen Code",
        places: &[home(".qwen/settings.json"), project(".qwen/settings.json")],
        references: &[Braced, Bare],
        form: COMMON,
    },
    ClientRow {
        id: "codex",
        name: "Codex",
        places: &[home(".codex/config.toml"), project(".codex/config.toml")],
        references: &[],
        form: COMMON,
    },
    ClientRow {
        id: "zed",
        name: "Zed",
        places: &[
            dot_config("zed/settings.json").on(On::Unix),
            settings("Zed/settings.json").on(On::Windows),
            project(".zed/settings.json"),
        ],
        references: &[],
        form: COMMON,
    },
    ClientRow {
        id: "cline",
        name: "Cline",
        places: &[settings("*/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json")],
        references: &[Env],
        form: COMMON,
    },
    ClientRow {
        id: "roo",
        name: "Roo Code",
        places: &[
            settings("*/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
            project(".roo/mcp.json"),
        ],
        references: &[Env],
        form: COMMON,
    },
    ClientRow {
        id: "kilo",
        name: "Kilo Code",
        places: &[
            settings("*/User/globalStorage/kilocode.kilo-code/settings/mcp_settings.json"),
            project(".kilocode/mcp.json"),
        ],
        references: &[Env],
        form: COMMON,
    },
    ClientRow {
        id: "continue",
        name: "Continue",
        places: &[
            home(".continue/config.yaml"),
            home(".continue/config.json"),
            home(".continue/mcpServers/*.yaml"),
            home(".continue/mcpServers/*.json"),
            project(".continue/mcpServers/*.yaml"),
            project(".continue/mcpServers/*.json"),
        ],
        references: &[Secrets],
        form: COMMON,
    },
    ClientRow {
        id: "opencode",
        name: "opencode",
        places: &[
            dot_config("opencode/opencode.json"),
            dot_config("opencode/opencode.jsonc"),
            project("opencode.json"),
            project("opencode.jsonc"),
        ],
        references: &[BraceEnv],
        form: Form { command: "command", args: None, env: "environment", stdio: "local" },
    },
    ClientRow {
        id: "goose",
        name: "Goose",
        places: &[
            dot_config("goose/config.yaml").on(On::Unix),
            settings("Block/goose/config/config.yaml").on(On::Windows),
        ],
        references: &[],
        form: Form { command: "cmd", args: Some("args"), env: "envs", stdio: "stdio" },
    },
    ClientRow {
        id: "lm-studio",
        name: "LM Studio",
        places: &[home(".lmstudio/mcp.json"), home(".cache/lm-studio/mcp.json")],
        references: &[],
        form: COMMON,
    },
    ClientRow {
        id: "junie",
        name: "Junie",
        places: &[home(".junie/mcp/mcp.json"), project(".junie/mcp/mcp.json")],
        references: &[],
        form: COMMON,
    },
    ClientRow {
        id: "amazon-q",
        name: "Amazon Q",
        places: &[
            home(".aws/amazonq/mcp.json"),
            home(".aws/amazonq/agents/default.json"),
            home(".aws/amazonq/cli-agents/*.json"),
            project(".amazonq/mcp.json"),
        ],
        references: &[Env],
        form: COMMON,
    },
    ClientRow {
        id: "kiro",
        name: "Kiro",
        places: &[home(".kiro/settings/mcp.json"), project(".kiro/settings/mcp.json")],
        references: &[Braced],
        form: COMMON,
    },
    ClientRow {
        id: "warp",
        name: "Warp",
        places: &[home(".warp/.mcp.json"), project(".warp/.mcp.json")],
        references: &[Braced],
        form: COMMON,
    },
    ClientRow {
        id: "crush",
        name: "Crush",
        places: &[dot_config("crush/crush.json"), project("crush.json"), project(".crush.json")],
        references: &[Braced, Bare],
        form: COMMON,
    },
    ClientRow {
        id: "amp",
        name: "Amp",
        places: &[
            dot_config("amp/settings.json"),
            dot_config("amp/settings.jsonc"),
            project(".amp/settings.json"),
            project(".amp/settings.jsonc"),
        ],
        references: &[Braced],
        form: COMMON,
    },
    ClientRow {
        id: "trae",
        name: "Trae",
        places: &[settings("Trae/User/mcp.json"), project(".trae/mcp.json")],
        references: &[],
        form: COMMON,
    },
    ClientRow {
        id: "factory",
        name: "Factory",
        places: &[home(".factory/mcp.json"), project(".factory/mcp.json")],
        references: &[Braced],
        form: COMMON,
    },
    ClientRow {
        id: "librechat",
        name: "LibreChat",
        places: &[project("librechat.yaml")],
        references: &[Braced],
        form: COMMON,
    },
    ClientRow { id: "bundle", name: "MCP bundle", places: &[], references: &[Bundle], form: COMMON },
    ClientRow { id: "registry", name: "MCP registry", places: &[], references: &[Input], form: COMMON },
    // The gateway's own file is read by name or content alone: what stands there is behind the gateway already.
    ClientRow {
        id: "mcpol",
        name: "mcpol.toml",
        places: &[],
        references: &[Own],
        form: Form { command: "command", args: None, env: "env", stdio: "" },
    },
    ClientRow {
        id: "other",
        name: "MCP client",
        places: &[],
        references: &[Braced, Env, Input, Folders],
        form: COMMON,
    },
];

impl Client {
    /// A file in a known form that belongs to no client known by its path.
    pub const OTHER: Self = Self(CLIENTS.len() - 1);

    /// The gateway's own configuration, which is read as a client's is.
    pub const OWN: Self = Self(CLIENTS.len() - 2);

    /// Every client that has files of its own, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CLIENTS.len()).map(Self).filter(|client| !client.row().places.is_empty())
    }

    /// The client of an id such as `vs-code`.
    pub fn of_id(id: &str) -> Option<Self> {
        CLIENTS.iter().position(|row| row.id == id).map(Self)
    }

    /// The word for it in arguments and names of files.
    pub fn id(self) -> &'static str {
        self.row().id
    }

    pub(super) fn row(self) -> &'static ClientRow {
        &CLIENTS[self.0]
    }

    pub(super) fn replaces(self, reference: Reference) -> bool {
        self.row().references.contains(&reference)
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.row().name)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_has_its_own_id_and_no_place_is_two_clients() {
        let ids: BTreeSet<_> = CLIENTS.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), CLIENTS.len());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(CLIENTS.iter().all(|row| row.id.chars().all(plain)));
        let places: Vec<_> = CLIENTS
            .iter()
            .flat_map(|row| row.places)
            .map(|spot| (spot.below as u8, spot.on as u8, spot.path))
            .collect();
        assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), places.len());
        assert!(places.iter().all(|(_, _, path)| !path.contains('\\') && !path.starts_with('/')));
        assert_eq!((Client::OTHER.id(), Client::OWN.id()), ("other", "mcpol"));
    }
}
