//! One entry of a configuration: a command or a URL, and what is handed to it.

use super::document::{Node, Value};
use super::references::{ExpandedText, Scope};
use super::{ConfigFile, ConfigValue, Configured, Section, ValueKind, Written, escape_pointer};
use crate::mcp::target::{HttpTarget, Secret, StdioTarget, Target};
use crate::model::{Note, ServerName};
use crate::problem::{Place, Problem};
use crate::text::escape;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Reads the entries of one section into a [`ConfigFile`].
pub(super) struct EntryReader<'a> {
    pub file: &'a str,
    pub text: &'a str,
    pub scope: Scope<'a>,
    pub project: Option<&'a str>,
    pub config: &'a mut ConfigFile,
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
        if !section.servers.is_object() {
            let message = "not an object with one member for each server".to_owned();
            self.problem(&section.pointer, section.servers.offset, message, None);
            return;
        }
        for (name, entry) in section.servers.members() {
            if let Some(why) = left_out(name, entry, &section.disabled) {
                let message = format!("`{}` is left out: {why}", escape(name));
                self.config.notes.push(Note { code: "left_out".to_owned(), message });
                continue;
            }
            match self.read_one(name, entry) {
                Ok(server) => self.config.servers.push(server),
                Err(wrong) => {
                    let mut pointer = format!("{}/{}", section.pointer, escape_pointer(name));
                    if !wrong.part.is_empty() {
                        pointer = format!("{pointer}/{}", wrong.part);
                    }
                    self.problem(&pointer, wrong.offset, wrong.message, wrong.help);
                }
            }
        }
    }

    fn read_one(&self, name: &str, entry: &Node) -> Result<Configured, Wrong> {
        if !entry.is_object() {
            return Err(Wrong {
                part: String::new(),
                offset: entry.offset,
                message: "not an object".to_owned(),
                help: None,
            });
        }
        let mut gathered = Gathered::default();
        // Zed once nested the command: `{"command": {"path": …, "args": …}}`.
        let nested = entry.get("command").filter(|command| command.is_object());
        let server = ServerName::new(name);
        let url = ["url", "serverUrl", "httpUrl"].iter().find_map(|key| Some((*key, entry.get(key)?)));
        let target = match (nested, entry.get("command"), url) {
            (Some(command), _, _) => self.command(server, command, "path", "command/", &mut gathered)?,
            (None, Some(_), _) => self.command(server, entry, "command", "", &mut gathered)?,
            (None, None, Some((key, url))) => self.url(server, entry, key, url, &mut gathered)?,
            (None, None, None) => {
                return Err(Wrong {
                    part: String::new(),
                    offset: entry.offset,
                    message: "neither a `command` nor a `url`".to_owned(),
                    help: Some("give `command` with `args` for a server to start, or `url` for one that runs"),
                });
            }
        };
        Ok(Configured {
            name: ServerName::new(name),
            client: self.scope.client,
            file: self.file.to_owned(),
            place: Some(Place::of_offset(self.text, entry.offset)),
            project: self.project.map(str::to_owned),
            target,
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
        for (position, argument) in arguments.iter().enumerate() {
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
        target.env = self.pairs(entry, "env", &at("env"), ValueKind::Env, gathered)?;
        // Codex passes variables of its own environment by name.
        for name in entry.get("env_vars").map(Node::texts).unwrap_or_default() {
            self.pass_env(name, name, &mut target.env, gathered, entry);
        }
        target.cwd = match entry.get("cwd").and_then(Node::as_text) {
            Some(cwd) => Some(PathBuf::from(self.expand(cwd, gathered).text)),
            None => self.project.map(PathBuf::from),
        };
        Ok(Target::Stdio(target))
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
        for (name, value) in url.query_pairs() {
            gathered.values.push(self.value(ValueKind::Url, name.into_owned(), &expanded, &value, node));
        }
        let mut headers = BTreeMap::new();
        // Codex says `http_headers`.
        for key in ["headers", "http_headers"] {
            headers.append(&mut self.pairs(entry, key, key, ValueKind::Header, gathered)?);
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
        entry: &Node,
        key: &str,
        part: &str,
        kind: ValueKind,
        gathered: &mut Gathered,
    ) -> Result<BTreeMap<String, Secret>, Wrong> {
        let mut pairs = BTreeMap::new();
        let Some(node) = entry.get(key).filter(|node| !matches!(node.value, Value::Null)) else { return Ok(pairs) };
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
                    place: Some(Place::of_offset(self.text, entry.offset)),
                    value: Secret::new(value.clone()),
                });
                into.insert(name.to_owned(), Secret::new(value));
            }
            None => {
                gathered.missing.insert(variable.to_owned());
            }
        }
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
        ConfigValue {
            kind,
            name,
            written,
            place: Some(Place::of_offset(self.text, node.offset)),
            value: Secret::new(used),
        }
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

/// Why an entry is not for us, if it is not.
fn left_out(name: &str, entry: &Node, disabled: &[&str]) -> Option<&'static str> {
    let flag = |key: &str| entry.get(key).and_then(Node::as_bool);
    if flag("disabled") == Some(true) || flag("enabled") == Some(false) || disabled.contains(&name) {
        return Some("it is disabled");
    }
    let is_extension = entry.get("source").and_then(Node::as_text) == Some("extension");
    let runs_nothing = entry.get("command").is_none() && entry.get("url").is_none();
    // Zed keeps the settings of servers that its extensions start in the same place.
    (runs_nothing && (is_extension || entry.get("settings").is_some()))
        .then_some("an extension of the editor starts it")
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
    Wrong { part: part.to_owned(), offset: node.offset, message: message.to_owned(), help: None }
}
