//! One entry of a configuration: a command or a URL, and what is handed to it.

use super::document::{Node, Value};
use super::env_file;
use super::references::{ExpandedText, Scope};
use super::sections::Section;
use super::{ConfigFile, ConfigValue, Configured, ValueKind, Written, escape_pointer};
use crate::classify::findings::secrets;
use crate::mcp::target::{HttpTarget, Secret, StdioTarget, Target};
use crate::model::{Note, ServerName};
use crate::problem::{Place, Problem};
use crate::text::escape;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Reads the entries of one section into a [`ConfigFile`].
pub(super) struct EntryReader<'a> {
    pub file: &'a str,
    pub text: &'a str,
    pub scope: Scope<'a>,
    /// The folder of the project that the entries belong to.
    pub project: Option<&'a str>,
    /// Reads a file that an entry refers to.
    pub read: &'a dyn Fn(&Path) -> Result<String, String>,
    pub config: &'a mut ConfigFile,
}

/// What the parts of an entry are called, by one client or another; the first that is there counts.
pub(super) const COMMANDS: [&str; 2] = ["command", "cmd"];
pub(super) const ENVIRONMENTS: [&str; 3] = ["env", "environment", "envs"];
pub(super) const URLS: [&str; 4] = ["url", "serverUrl", "httpUrl", "uri"];
/// Headers are those of all of these together.
pub(super) const HEADERS: [&[&str]; 3] = [&["headers"], &["http_headers"], &["requestOptions", "headers"]];
const FOLDERS: [&str; 3] = ["cwd", "working_directory", "workingDirectory"];

/// The first of several names that an entry has, with what it holds.
pub(super) fn first<'n>(entry: &'n Node, names: &[&'static str]) -> Option<(&'static str, &'n Node)> {
    names.iter().find_map(|name| Some((*name, entry.get(name)?)))
}

/// What is wrong with an entry: the part, and what about it.
struct Wrong {
    part: String,
    offset: usize,
    message: String,
    help: Option<&'static str>,
}

/// What was found while an entry was read.
#[derive(Default)]
struct Gathered {
    missing: BTreeSet<String>,
    values: Vec<ConfigValue>,
}

impl EntryReader<'_> {
    /// Takes every entry of a section; what cannot be understood becomes a problem and the next one is read.
    pub fn read_all(&mut self, section: &Section<'_>) {
        let pointer = section.pointer();
        let Some(entries) = entries(section.servers) else {
            let message = "not an object with one member for each server".to_owned();
            self.problem(&pointer, section.servers.offset(), message, None);
            return;
        };
        for (position, (key, name, entry)) in entries.iter().enumerate() {
            if entries[position + 1..].iter().any(|(_, later, _)| later == name) {
                self.note(format!("`{}` stands twice in {}: the last one counts", escape(name), escape(self.file)));
                continue;
            }
            if let Some(why) = section.switches.off(name).or_else(|| left_out(entry)) {
                self.note(format!("`{}` is left out: {why}", escape(name)));
                continue;
            }
            let path: Vec<String> = section.path.iter().chain([key]).cloned().collect();
            match self.read_one(name, path, entry) {
                Ok(server) => self.config.servers.push(server),
                Err(wrong) => {
                    let mut pointer = format!("{pointer}/{}", escape_pointer(key));
                    if !wrong.part.is_empty() {
                        pointer = format!("{pointer}/{}", wrong.part);
                    }
                    self.problem(&pointer, wrong.offset, wrong.message, wrong.help);
                }
            }
        }
    }

    fn note(&mut self, message: String) {
        self.config.notes.push(Note { code: "left_out".to_owned(), message });
    }

    fn read_one(&self, name: &str, path: Vec<String>, entry: &Node) -> Result<Configured, Wrong> {
        if !entry.is_object() {
            return Err(Wrong {
                part: String::new(),
                offset: entry.offset(),
                message: "not an object".to_owned(),
                help: None,
            });
        }
        let mut gathered = Gathered::default();
        // Zed once nested the command: `{"command": {"path": …, "args": …}}`.
        let nested = entry.get("command").filter(|command| command.is_object());
        let server = ServerName::new(name);
        let target = match (nested, first(entry, &COMMANDS), first(entry, &URLS)) {
            (Some(command), _, _) => self.command(server, command, "path", "command/", &mut gathered)?,
            (None, Some((key, _)), _) => self.command(server, entry, key, "", &mut gathered)?,
            (None, None, Some((key, url))) => self.url(server, entry, key, url, &mut gathered)?,
            (None, None, None) => {
                return Err(Wrong {
                    part: String::new(),
                    offset: entry.offset(),
                    message: "neither a `command` nor a `url`".to_owned(),
                    help: Some("give `command` with `args` for a server to start, or `url` for one that runs"),
                });
            }
        };
        Ok(Configured {
            name: ServerName::new(name),
            client: self.scope.client,
            file: self.file.to_owned(),
            path,
            place: Some(self.place(entry)),
            project: self.project.map(str::to_owned),
            target,
            wrapped: false,
            held_by: None,
            missing: gathered.missing,
            values: gathered.values,
        })
    }

    fn command(
        &self,
        server: ServerName,
        entry: &Node,
        key: &str,
        prefix: &str,
        gathered: &mut Gathered,
    ) -> Result<Target, Wrong> {
        let at = |part: &str| format!("{prefix}{part}");
        let program = entry.get(key).ok_or_else(|| wrong(&at(key), entry, "missing"))?;
        // opencode has program and arguments in one list.
        let (program, listed) = match &program.value {
            Value::Array(words) => match words.split_first() {
                Some((program, rest)) => (program, rest),
                None => return Err(wrong(&at(key), program, "empty")),
            },
            _ => (program, &[][..]),
        };
        let text = program.as_text().ok_or_else(|| wrong(&at(key), program, "not a string"))?;
        if text.trim().is_empty() {
            return Err(wrong(&at(key), program, "empty"));
        }
        let expanded = self.expand(text, gathered);
        let mut target = StdioTarget::new(server, vec![expanded.text]);
        let arguments = match entry.get("args").map(|args| (&args.value, args)) {
            None | Some((Value::Null, _)) => &[][..],
            Some((Value::Array(items), _)) => items,
            Some((_, args)) => return Err(wrong(&at("args"), args, "not a list of strings")),
        };
        let mut option: Option<String> = None;
        for (position, argument) in listed.iter().chain(arguments).enumerate() {
            let text =
                scalar(argument).ok_or_else(|| wrong(&at(&format!("args/{position}")), argument, "not a string"))?;
            let expanded = self.expand(&text, gathered);
            if expanded.holds_value {
                target.hidden.insert(position + 1);
            }
            let (named, value) = match text.split_once('=').filter(|(name, _)| name.starts_with('-')) {
                Some((name, value)) => (Some(name.to_owned()), Some(value)),
                None => (option.take(), None),
            };
            option = (value.is_none() && text.starts_with('-')).then(|| text.clone());
            if option.is_none() {
                let shown = named.unwrap_or_else(|| format!("argument {}", position + 1));
                let used = value.map_or(expanded.text.as_str(), |value| {
                    expanded
                        .text
                        .get(text.len() - value.len()..)
                        .filter(|_| !expanded.holds_value)
                        .unwrap_or(&expanded.text)
                });
                gathered.values.push(self.value(ValueKind::Argument, shown, &expanded, used, argument));
            }
            target.argv.push(expanded.text);
        }
        target.env = self.env_file(entry, gathered)?;
        if let Some((key, node)) = first(entry, &ENVIRONMENTS) {
            target.env.append(&mut self.pairs(node, &at(key), ValueKind::Env, gathered)?);
        }
        self.passed(entry, &mut target.env, gathered)?;
        let folder = first(entry, &FOLDERS).and_then(|(_, node)| node.as_text());
        let beside = self.scope.workspace.filter(|_| self.scope.client == super::Client::OWN);
        target.cwd = match (folder, self.project.or(beside)) {
            (None, _) if beside.is_some() => None,
            (Some(folder), None) => Some(PathBuf::from(self.expand(folder, gathered).text)),
            (Some(folder), Some(project)) => Some(Path::new(project).join(self.expand(folder, gathered).text)),
            (None, project) => project.map(PathBuf::from),
        };
        Ok(Target::Stdio(target))
    }

    /// Variables of our environment that the entry passes on by name: those of Codex, `NAME` or `{name = "NAME"}`, and
    /// those that Goose keeps apart.
    fn passed(&self, entry: &Node, env: &mut BTreeMap<String, Secret>, gathered: &mut Gathered) -> Result<(), Wrong> {
        for key in ["env_vars", "env_keys"] {
            let Some(Value::Array(items)) = entry.get(key).map(|node| &node.value) else { continue };
            for (position, item) in items.iter().enumerate() {
                let name = item.as_text().or_else(|| item.get("name").and_then(Node::as_text));
                let name = name.ok_or_else(|| wrong(&format!("{key}/{position}"), item, "names no variable"))?;
                self.pass_env(name, name, env, gathered, entry);
            }
        }
        Ok(())
    }

    /// The variables of the file that `envFile` names, as VS Code and Cursor read it.
    fn env_file(&self, entry: &Node, gathered: &mut Gathered) -> Result<BTreeMap<String, Secret>, Wrong> {
        let Some(node) = entry.get("envFile") else { return Ok(BTreeMap::new()) };
        let text = node.as_text().ok_or_else(|| wrong("envFile", node, "not a string"))?;
        let path = self.expand(text, gathered).text;
        let path = self.scope.workspace.map_or_else(|| PathBuf::from(&path), |folder| Path::new(folder).join(&path));
        let text = (self.read)(&path)
            .map_err(|error| wrong("envFile", node, &format!("`{}` cannot be read: {error}", path.display())))?;
        let pairs = env_file::parse(&text);
        Ok(pairs.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
    }

    fn url(
        &self,
        server: ServerName,
        entry: &Node,
        key: &str,
        node: &Node,
        gathered: &mut Gathered,
    ) -> Result<Target, Wrong> {
        let text = node.as_text().ok_or_else(|| wrong(key, node, "not a string"))?;
        let expanded = self.expand(text, gathered);
        let url =
            url::Url::parse(expanded.text.trim()).map_err(|error| wrong(key, node, &format!("not a URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(key, node, "neither an http nor an https URL"));
        }
        if let Some(password) = url.password() {
            gathered.values.push(self.value(ValueKind::Url, "password".to_owned(), &expanded, password, node));
        }
        for segment in url.path_segments().into_iter().flatten().filter(|segment| secrets::is_key(segment)) {
            gathered.values.push(self.value(ValueKind::Url, "path".to_owned(), &expanded, segment, node));
        }
        for (name, value) in url.query_pairs() {
            gathered.values.push(self.value(ValueKind::Url, name.into_owned(), &expanded, &value, node));
        }
        let mut headers = BTreeMap::new();
        for path in HEADERS {
            if let Some(node) = entry.at(path) {
                headers.append(&mut self.pairs(node, &path.join("/"), ValueKind::Header, gathered)?);
            }
        }
        for (header, variable) in entry.get("env_http_headers").map(Node::members).unwrap_or_default() {
            if let Some(variable) = variable.as_text() {
                self.pass_env(header, variable, &mut headers, gathered, entry);
            }
        }
        if let Some(variable) = entry.get("bearer_token_env_var").and_then(Node::as_text) {
            match (self.scope.env)(variable) {
                Some(token) => {
                    headers.insert("Authorization".to_owned(), Secret::new(format!("Bearer {token}")));
                }
                None => {
                    gathered.missing.insert(variable.to_owned());
                }
            }
        }
        Ok(Target::Http(HttpTarget { server, url, headers, token: None, forward_headers: Vec::new() }))
    }

    /// An object of names and texts: `env`, `headers`.
    fn pairs(
        &self,
        node: &Node,
        part: &str,
        kind: ValueKind,
        gathered: &mut Gathered,
    ) -> Result<BTreeMap<String, Secret>, Wrong> {
        let mut pairs = BTreeMap::new();
        if matches!(node.value, Value::Null) {
            return Ok(pairs);
        }
        if !node.is_object() {
            return Err(wrong(part, node, "not an object of names and strings"));
        }
        for (name, value) in node.members() {
            // VS Code takes null for a variable to be left out.
            if matches!(value.value, Value::Null) {
                continue;
            }
            let text = scalar(value)
                .ok_or_else(|| wrong(&format!("{part}/{}", escape_pointer(name)), value, "not a string"))?;
            let expanded = self.expand(&text, gathered);
            gathered.values.push(self.value(kind, name.clone(), &expanded, &expanded.text, value));
            pairs.insert(name.clone(), Secret::new(expanded.text));
        }
        Ok(pairs)
    }

    fn pass_env(
        &self,
        name: &str,
        variable: &str,
        into: &mut BTreeMap<String, Secret>,
        gathered: &mut Gathered,
        entry: &Node,
    ) {
        match (self.scope.env)(variable) {
            Some(value) => {
                gathered.values.push(ConfigValue {
                    kind: if name == variable { ValueKind::Env } else { ValueKind::Header },
                    name: name.to_owned(),
                    written: Written::ByReference,
                    place: Some(self.place(entry)),
                    value: Secret::new(value.clone()),
                });
                into.insert(name.to_owned(), Secret::new(value));
            }
            None => {
                gathered.missing.insert(variable.to_owned());
            }
        }
    }

    fn place(&self, node: &Node) -> Place {
        Place::of_offset(self.text, node.offset())
    }

    fn expand(&self, text: &str, gathered: &mut Gathered) -> ExpandedText {
        let expanded = self.scope.expand(text);
        gathered.missing.extend(expanded.missing.iter().cloned());
        expanded
    }

    fn value(&self, kind: ValueKind, name: String, expanded: &ExpandedText, used: &str, node: &Node) -> ConfigValue {
        let written = if expanded.holds_value {
            Written::ByReference
        } else if used.trim().is_empty() {
            Written::Empty
        } else {
            Written::Literally
        };
        ConfigValue { kind, name, written, place: Some(self.place(node)), value: Secret::new(used) }
    }

    fn problem(&mut self, pointer: &str, offset: usize, message: String, help: Option<&'static str>) {
        self.config.problems.push(Problem {
            file: self.file.to_owned(),
            place: Some(Place::of_offset(self.text, offset)),
            pointer: pointer.to_owned(),
            message,
            help: help.map(str::to_owned),
        });
    }
}

/// The entries of a section: the name or position of each, what the server is called, and the entry. `None` if it is
/// neither an object nor a list of objects with names.
fn entries(servers: &Node) -> Option<Vec<(String, String, &Node)>> {
    match &servers.value {
        Value::Object(members) => {
            Some(members.iter().map(|(name, entry)| (name.clone(), name.clone(), entry)).collect())
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(position, entry)| {
                let name = entry.get("name").and_then(Node::as_text);
                // Continue once had no names.
                let name = name.map_or_else(|| format!("server {}", position + 1), str::to_owned);
                entry.is_object().then_some((position.to_string(), name, entry))
            })
            .collect(),
        Value::Null => Some(Vec::new()),
        Value::Text(_) | Value::Plain(_) | Value::Bool(_) => None,
    }
}

/// Why an entry is not for us, if it is not.
fn left_out(entry: &Node) -> Option<&'static str> {
    let flag = |key: &str| entry.get(key).and_then(Node::as_bool);
    if flag("disabled") == Some(true) || flag("enabled") == Some(false) {
        return Some("it is disabled");
    }
    if first(entry, &COMMANDS).is_some() || first(entry, &URLS).is_some() {
        return None;
    }
    let text = |key: &str| entry.get(key).and_then(Node::as_text);
    // Zed keeps the settings of servers that its extensions start in the same place.
    if text("source") == Some("extension") || entry.get("settings").is_some() {
        return Some("an extension of the editor starts it");
    }
    matches!(text("type"), Some("builtin" | "platform" | "frontend" | "inline_python"))
        .then_some("it is a part of the client")
}

/// Strings, and what people write for them.
fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Plain(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Object(_) | Value::Array(_) | Value::Null => None,
    }
}

fn wrong(part: &str, node: &Node, message: &str) -> Wrong {
    Wrong { part: part.to_owned(), offset: node.offset(), message: message.to_owned(), help: None }
}
