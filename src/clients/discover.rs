//! Where the clients' files are on this machine, and whose file a path is.

use super::Client;
use super::table::{Below, CLIENTS, On, Spot};
use std::path::{Component, Path, PathBuf};

/// Most files that one pattern of the table finds: a folder of plugins may be large.
const MATCHES_MAX: usize = 1_000;

/// The folders that configuration files are looked for in.
#[derive(Clone, Debug)]
pub struct Places {
    /// The user's home.
    pub home: PathBuf,
    /// Where programs keep settings: `~/.config`, `~/Library/Application Support` or `%APPDATA%`.
    pub config: PathBuf,
    /// Where programs from the world of Unix keep them: `$XDG_CONFIG_HOME` or `~/.config`.
    pub dot_config: PathBuf,
    /// `%LOCALAPPDATA%`, on Windows.
    pub local: Option<PathBuf>,
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
    /// The folder of the project that it belongs to, for files that clients keep in projects.
    pub project: Option<PathBuf>,
}

impl Places {
    /// The places of the current user and folder; `None` if there is no home.
    pub fn of_this_machine() -> Option<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        let home = variable(if cfg!(windows) { "USERPROFILE" } else { "HOME" })?;
        let dot_config = variable("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        let config = if cfg!(windows) {
            variable("APPDATA").unwrap_or_else(|| home.join("AppData").join("Roaming"))
        } else if cfg!(target_os = "macos") {
            home.join("Library").join("Application Support")
        } else {
            dot_config.clone()
        };
        let local =
            cfg!(windows).then(|| variable("LOCALAPPDATA").unwrap_or_else(|| home.join("AppData").join("Local")));
        Some(Self { home, config, dot_config, local, project: std::env::current_dir().ok() })
    }

    fn below(&self, below: Below) -> Option<&Path> {
        match below {
            Below::Home => Some(&self.home),
            Below::Settings => Some(&self.config),
            Below::DotConfig => Some(&self.dot_config),
            Below::LocalData => self.local.as_deref(),
            Below::Project => self.project.as_deref(),
        }
    }

    /// Every path of the table on this platform, with its client, patterns as they are written.
    pub fn looked_at(&self) -> Vec<(Client, PathBuf)> {
        self.spots().map(|(client, spot, folder)| (client, folder.join(spot.path))).collect()
    }

    fn spots(&self) -> impl Iterator<Item = (Client, &'static Spot, &Path)> {
        let here = if cfg!(windows) { On::Windows } else { On::Unix };
        Client::all()
            .flat_map(|client| client.row().places.iter().map(move |spot| (client, spot)))
            .filter(move |(_, spot)| spot.on == On::Every || spot.on == here)
            .filter_map(|(client, spot)| Some((client, spot, self.below(spot.below)?)))
    }
}

/// The files that exist, in the order of the clients; none is opened.
pub fn discover(places: &Places) -> Vec<Found> {
    let mut found = Vec::new();
    for (client, spot, folder) in places.spots() {
        let project = (spot.below == Below::Project).then(|| folder.to_owned());
        let paths = matching(folder, spot.path).into_iter();
        found.extend(paths.map(|path| Found { client, path, project: project.clone() }));
    }
    found.sort();
    // The home may be the project; what every folder has is said of the home then.
    found.dedup_by(|later, first| later.client == first.client && later.path == first.path);
    found
}

/// The files below a folder that a path of the table names.
fn matching(folder: &Path, path: &str) -> Vec<PathBuf> {
    let mut reached = vec![folder.to_owned()];
    for segment in path.split('/') {
        reached = reached.into_iter().flat_map(|at| step(&at, segment)).take(MATCHES_MAX).collect();
    }
    reached.retain(|path| path.is_file());
    reached
}

fn step(at: &Path, segment: &str) -> Vec<PathBuf> {
    if !segment.contains('*') {
        return vec![at.join(segment)];
    }
    let names = std::fs::read_dir(at).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<_> = names.filter(|name| fits(segment, &name.to_string_lossy())).collect();
    names.sort();
    names.into_iter().map(|name| at.join(name)).collect()
}

/// Whether a name is what a segment of the table says; letters count whatever their case.
fn fits(segment: &str, name: &str) -> bool {
    let (segment, name) = (segment.to_lowercase(), name.to_lowercase());
    match segment.split_once('*') {
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
        None => segment == name,
    }
}

/// Whose file a path is, and the folder of its project if it is one that clients keep in projects. The place of the table
/// that agrees with most of the path's end decides, and it must agree in two segments, in all that it has, or in a name
/// that no other client uses.
pub(super) fn whose(path: &Path) -> (Client, Option<PathBuf>) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let names: Vec<String> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect();
    let home = Places::of_this_machine().map(|places| places.home);
    let mut best: Option<(usize, Client, Option<PathBuf>)> = None;
    for client in Client::all() {
        for spot in client.row().places {
            let segments: Vec<&str> = spot.path.split('/').collect();
            let agree = segments.iter().rev().zip(names.iter().rev()).take_while(|(segment, name)| fits(segment, name));
            let mut same = agree.count();
            if same < segments.len() {
                // A pattern says nothing where the rest of the path is another.
                same = same.min(segments.iter().rev().take_while(|segment| !segment.contains('*')).count());
            }
            if same == 0 || (same < 2 && same < segments.len() && !is_distinct(client, spot.path)) {
                continue;
            }
            let folder = path.ancestors().nth(segments.len()).filter(|_| same == segments.len());
            let project = folder.filter(|folder| spot.below == Below::Project && home.as_deref() != Some(*folder));
            let better = best
                .as_ref()
                .is_none_or(|(most, _, known)| same > *most || (same == *most && known.is_none() && project.is_some()));
            if better && best.as_ref().is_none_or(|(most, known, _)| same > *most || *known == client) {
                best = Some((same, client, project.map(Path::to_owned)));
            }
        }
    }
    best.map_or((Client::OTHER, None), |(_, client, project)| (client, project))
}

/// Whether no other client's file is called as this one is.
fn is_distinct(client: Client, path: &str) -> bool {
    let last = |path: &'static str| path.rsplit('/').next().unwrap_or(path);
    let name = path.rsplit('/').next().unwrap_or(path);
    let others = CLIENTS.iter().filter(|row| row.id != client.id());
    !name.contains('*') && others.flat_map(|row| row.places).all(|spot| last(spot.path) != name)
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
            "config/Code/User/profiles/a1/mcp.json",
            "config/Cursor/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
            "home/team.code-workspace",
        ] {
            touch(file);
        }
        let places = Places {
            home: root.path().join("home"),
            config: root.path().join("config"),
            dot_config: root.path().join("dot"),
            local: None,
            project: Some(root.path().join("home")),
        };
        let found: Vec<_> = discover(&places).into_iter().map(|found| found.client.id()).collect();
        assert_eq!(found, ["claude-desktop", "claude-code", "cursor", "vs-code", "vs-code", "codex", "cline"]);
        for found in discover(&places) {
            assert_eq!(whose(&found.path).0, found.client, "{}", found.path.display());
        }
        assert!(places.looked_at().len() > 50);
    }

    #[test]
    fn a_path_tells_its_client_and_its_project() {
        for (path, client, project) in [
            ("/src/shop/.mcp.json", "claude-code", Some("/src/shop")),
            ("/src/shop/.cursor/mcp.json", "cursor", Some("/src/shop")),
            ("/src/shop/.vscode/settings.json", "vs-code", Some("/src/shop")),
            ("/src/shop/team.code-workspace", "vs-code", Some("/src/shop")),
            ("/h/.gemini/antigravity/mcp_config.json", "antigravity", None),
            ("/h/.codeium/windsurf/mcp_config.json", "windsurf", None),
            ("/h/.claude/plugins/cache/m/p/1/.mcp.json", "claude-plugin", None),
            ("/h/.warp/.mcp.json", "warp", Some("/h")),
            ("/x/Code/User/mcp.json", "vs-code", None),
            ("/x/Trae/User/mcp.json", "trae", None),
            ("/x/claude_desktop_config.json", "claude-desktop", None),
            ("/x/mcp.json", "other", None),
            ("/x/settings.json", "other", None),
            ("/x/config.yaml", "other", None),
        ] {
            let got = whose(Path::new(path));
            assert_eq!((got.0.id(), got.1.as_deref()), (client, project.map(Path::new)), "{path}");
        }
    }
}
