//! The well-known paths of clients' configuration files, and whose file a path is.

use super::Client;
use std::path::{Path, PathBuf};

/// The folders that configuration files are looked for in.
#[derive(Clone, Debug)]
pub struct Places {
    /// The user's home.
    pub home: PathBuf,
    /// Where programs keep settings: `~/.config`, `~/Library/Application Support` or `%APPDATA%`.
    pub config: PathBuf,
    /// The project to look at too.
    pub project: Option<PathBuf>,
}

/// A configuration file that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Whose it is.
    pub client: Client,
    /// Where it is.
    pub path: PathBuf,
}

impl Places {
    /// The places of the current user and folder; `None` if there is no home.
    pub fn of_this_machine() -> Option<Self> {
        let home = PathBuf::from(std::env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" })?);
        let config = if cfg!(windows) {
            std::env::var_os("APPDATA").map_or_else(|| home.join("AppData").join("Roaming"), PathBuf::from)
        } else if cfg!(target_os = "macos") {
            home.join("Library").join("Application Support")
        } else {
            std::env::var_os("XDG_CONFIG_HOME")
                .filter(|folder| !folder.is_empty())
                .map_or_else(|| home.join(".config"), PathBuf::from)
        };
        Some(Self { home, config, project: std::env::current_dir().ok() })
    }
}

/// The files that exist, in the order of the clients; none is opened.
pub fn discover(places: &Places) -> Vec<Found> {
    let zed = if cfg!(windows) { places.config.join("Zed") } else { places.home.join(".config").join("zed") };
    let mut candidates = vec![
        (Client::ClaudeDesktop, places.config.join("Claude/claude_desktop_config.json")),
        (Client::ClaudeCode, places.home.join(".claude.json")),
        (Client::Cursor, places.home.join(".cursor/mcp.json")),
        (Client::VsCode, places.config.join("Code/User/mcp.json")),
        (Client::VsCode, places.config.join("Code/User/settings.json")),
        (Client::VsCode, places.config.join("Code - Insiders/User/mcp.json")),
        (Client::Windsurf, places.home.join(".codeium/windsurf/mcp_config.json")),
        (Client::Gemini, places.home.join(".gemini/settings.json")),
        (Client::Codex, places.home.join(".codex/config.toml")),
        (Client::Zed, zed.join("settings.json")),
    ];
    if let Some(project) = &places.project {
        candidates.extend([
            (Client::ClaudeCode, project.join(".mcp.json")),
            (Client::Cursor, project.join(".cursor/mcp.json")),
            (Client::VsCode, project.join(".vscode/mcp.json")),
            (Client::VsCode, project.join(".vscode/settings.json")),
            (Client::Gemini, project.join(".gemini/settings.json")),
            (Client::Codex, project.join(".codex/config.toml")),
            (Client::Zed, project.join(".zed/settings.json")),
        ]);
    }
    let mut found: Vec<Found> = candidates
        .into_iter()
        .filter(|(_, path)| path.is_file())
        .map(|(client, path)| Found { client, path })
        .collect();
    found.sort();
    // The home may be the project.
    found.dedup();
    found
}

/// Whose file a path is, by its name and the folder that it is in.
pub(super) fn client_of(path: &Path) -> Client {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let folder = path.parent().map(name).unwrap_or_default();
    match (folder.as_str(), name(path).as_str()) {
        (_, "claude_desktop_config.json") => Client::ClaudeDesktop,
        (_, ".claude.json" | ".mcp.json") => Client::ClaudeCode,
        (".cursor", "mcp.json") => Client::Cursor,
        (".vscode", _) | ("user", "mcp.json" | "settings.json") => Client::VsCode,
        (_, "mcp_config.json") => Client::Windsurf,
        (".gemini", "settings.json") => Client::Gemini,
        (".codex", "config.toml") => Client::Codex,
        ("zed" | ".zed", "settings.json") => Client::Zed,
        _ => Client::Other,
    }
}

/// The project that a file belongs to, for clients that keep one file in each.
pub(super) fn workspace_of(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let project = if matches!(name.as_str(), ".vscode" | ".cursor" | ".gemini" | ".codex" | ".zed") {
        folder.parent()?
    } else {
        folder
    };
    let absolute = std::path::absolute(project).ok()?;
    Some(absolute.to_string_lossy().into_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_exist_are_found_and_each_once() {
        let root = tempfile::tempdir().unwrap();
        let touch = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "{}").unwrap();
        };
        for file in [
            "home/.claude.json",
            "home/.cursor/mcp.json",
            "config/Claude/claude_desktop_config.json",
            "home/.codex/config.toml",
        ] {
            touch(file);
        }
        let places = Places {
            home: root.path().join("home"),
            config: root.path().join("config"),
            project: Some(root.path().join("home")),
        };
        let found: Vec<_> = discover(&places).into_iter().map(|found| found.client).collect();
        assert_eq!(found, [Client::ClaudeDesktop, Client::ClaudeCode, Client::Cursor, Client::Codex]);
        for found in discover(&places) {
            assert_eq!(client_of(&found.path), found.client, "{}", found.path.display());
        }
    }
}
