//! Where MCP clients keep their servers: their configuration files, read by content.
//!
//! Nothing here runs or changes anything. An entry that cannot be understood is a problem of its own and leaves the
//! others readable.

mod discover;
mod document;
mod edit;
#[cfg(test)]
mod edit_tests;
mod entry;
mod env_file;
mod manifest;
mod references;
mod sections;
mod table;
#[cfg(test)]
mod tests;

pub use discover::{Found, Places, discover};
pub use edit::{Front, NotEdited, Replaced, put_back, put_in_front, take_away};
pub use table::Client;

use crate::mcp::target::{Secret, Target};
use crate::model::{Note, ServerName};
use crate::problem::{Place, Problem};
use entry::EntryReader;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Longest configuration file that is read, in bytes. Claude Code keeps its history in the same file.
pub const CONFIG_BYTES_MAX: u64 = 64 * 1024 * 1024;

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
    /// The names on the way to the entry, and its position where it stands in a list.
    pub path: Vec<String>,
    /// Where the entry begins.
    pub place: Option<Place>,
    /// The folder of the project that the entry belongs to, if it belongs to one.
    pub project: Option<String>,
    /// Where the server is; references are replaced where this client replaces them.
    pub target: Target,
    /// The entry starts mcpol's gateway in front of the server: what is said here is said of the server behind it. Nobody
    /// knows while the file is read; those who look behind the gateway say it.
    pub wrapped: bool,
    /// The policy of that gateway, as the entry names it.
    pub held_by: Option<String>,
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

/// What a file is read with: what it refers to, and where its project is.
pub struct Around<'a> {
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Looks up what a client would ask its user for, by its id.
    pub input: &'a dyn Fn(&str) -> Option<String>,
    /// Reads another file: one with variables, or one that switches servers off. The error is a reason in words.
    pub file: &'a dyn Fn(&Path) -> Result<String, String>,
    /// The user's home.
    pub home: Option<&'a Path>,
}

/// What was given for what clients ask their users: values by the id of the input.
pub type Inputs = BTreeMap<String, String>;

fn with_this_machine<T>(inputs: &Inputs, run: impl FnOnce(&Around<'_>) -> T) -> T {
    let home = Places::of_this_machine().map(|places| places.home);
    run(&Around {
        env: &|variable| std::env::var(variable).ok(),
        input: &|id| inputs.get(id).cloned(),
        file: &|path| text_of(path).map_err(|problem| problem.message),
        home: home.as_deref(),
    })
}

/// Reads a file of the user's choice.
///
/// # Errors
/// It cannot be read, is too long or not valid, or holds no servers in any form known.
pub fn load(path: &Path, inputs: &Inputs) -> Result<ConfigFile, Problem> {
    let name = path.display().to_string();
    let text = text_of(path)?;
    let config = with_this_machine(inputs, |around| read(path, &text, around));
    if let Some(problem) = config.problems.first().filter(|_| !config.recognised) {
        return Err(problem.clone());
    }
    if !config.recognised {
        return Err(Problem {
            file: name,
            place: None,
            pointer: String::new(),
            message: "no MCP servers in this file".to_owned(),
            help: Some(sections::LOOKED_FOR.to_owned()),
        });
    }
    Ok(config)
}

/// Reads a file that was found: one without any servers is `None`, because clients keep other settings in them too.
///
/// # Errors
/// It cannot be read, is too long or not valid.
pub fn load_found(found: &Found, inputs: &Inputs) -> Result<Option<ConfigFile>, Problem> {
    let text = text_of(&found.path)?;
    let config =
        with_this_machine(inputs, |around| read_as(found.client, found.project.as_deref(), &found.path, &text, around));
    match config.problems.first() {
        Some(problem) if !config.recognised => Err(problem.clone()),
        Some(_) | None => Ok(config.recognised.then_some(config)),
    }
}

/// Reads the text of a file, which is whose its path says.
pub fn read(path: &Path, text: &str, around: &Around<'_>) -> ConfigFile {
    let (client, project) = discover::whose(path);
    read_as(client, project.as_deref(), path, text, around)
}

fn read_as(client: Client, project: Option<&Path>, path: &Path, text: &str, around: &Around<'_>) -> ConfigFile {
    let name = path.display().to_string();
    let mut config = ConfigFile {
        path: name.clone(),
        client,
        recognised: false,
        servers: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let mut root = match document::parse(&name, text) {
        Ok(root) => root,
        Err(problem) => {
            config.problems.push(problem);
            return config;
        }
    };
    let described = (client == Client::OTHER).then(|| manifest::as_entries(&root)).flatten();
    if let Some((whose, entries)) = described {
        (config.client, root) = (whose, entries);
    }
    let sections = sections::sections(&root);
    let is_toml = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    // No client keeps `servers` in TOML.
    if config.client == Client::OTHER && is_toml && sections.iter().any(|section| section.path == ["servers"]) {
        config.client = Client::OWN;
    }
    config.recognised = !sections.is_empty();
    if config.client == Client::OTHER {
        config.client = sections.first().and_then(|section| section.client).unwrap_or(client);
    }
    let beside = project.map(|project| off_elsewhere(config.client, project, around)).unwrap_or_default();
    let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
    for mut section in sections {
        let client = match (config.client, section.client) {
            // A plugin's file may lie where a project's would.
            (_, Some(plugin)) if section.path.is_empty() => plugin,
            (Client::OTHER, known) => known.unwrap_or(Client::OTHER),
            (known, _) => known,
        };
        section.switches.disabled.extend(beside.iter().cloned());
        let project = project.filter(|_| !section.path.is_empty()).map(Path::to_string_lossy);
        let project = section.project.map(Into::into).or(project);
        let workspace = project.clone().or_else(|| folder.as_deref().map(Path::to_string_lossy));
        let scope = references::Scope { client, env: around.env, input: around.input, workspace: workspace.as_deref() };
        let mut reader = EntryReader {
            file: &name,
            text,
            scope,
            project: project.as_deref(),
            read: around.file,
            config: &mut config,
        };
        reader.read_all(&section);
    }
    config
}

/// What other files of the client switch off in a project: Claude Code keeps that beside the project's servers and in its
/// own file.
fn off_elsewhere(client: Client, project: &Path, around: &Around<'_>) -> BTreeSet<String> {
    if client.id() != "claude-code" {
        return BTreeSet::new();
    }
    let folder = project.to_string_lossy();
    let beside = [".claude/settings.json", ".claude/settings.local.json"].map(|name| (project.join(name), None));
    let own = around.home.map(|home| (home.join(".claude.json"), Some(folder.as_ref())));
    let mut off = BTreeSet::new();
    for (path, of) in beside.into_iter().chain(own) {
        // A file that is not there, or is not what it should be, switches nothing off.
        let Ok(text) = (around.file)(&path) else { continue };
        let Ok(root) = document::parse(&path.to_string_lossy(), &text) else { continue };
        off.extend(sections::project_switches(&root, of));
    }
    off
}

fn escape_pointer(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// The text of a configuration file.
///
/// # Errors
/// It cannot be read, is too long or not UTF-8.
pub fn text_of(path: &Path) -> Result<String, Problem> {
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
