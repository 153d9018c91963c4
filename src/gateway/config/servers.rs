//! Reads `[servers.NAME]`: where a server is, what is handed to it, and its policy and lock.

use super::reader::{Reader, Table, Text, TomlValue};
use super::{SERVER_NAME_CHARS_MAX, SERVERS_MAX};
use crate::classify::annotated::Filling;
use crate::classify::findings::source::literal_secret;
use crate::gateway::exchange::HintPlan;
use crate::gateway::http::headers::forwardable;
use crate::gateway::locked::{self, BadLock, OnChange};
use crate::gateway::plan::{Backend, Children, LockPlan, Per, Served};
use crate::gateway::reload::Enforcement;
use crate::mcp::target::{HttpTarget, Secret, StdioTarget, shown_address};
use crate::model::ServerName;
use crate::text::excerpt;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Most times that `restart` may have a child started again.
const RESTARTS_MAX: u32 = 1000;
/// How long a child may stay unused without `idle`.
const IDLE_DEFAULT: Duration = Duration::from_secs(600);
/// Most characters of a value from the file in a message.
const SHOWN_CHARS: usize = 60;

impl Reader<'_> {
    /// Reads every `[SECTION.NAME]`: its name, the offset of the name, and its table. None if there are more than
    /// `most`.
    pub(super) fn named<'v>(
        &mut self,
        section: &str,
        value: TomlValue<'v>,
        most: usize,
    ) -> Vec<(String, usize, Table<'v>)> {
        let Some(mut table) = self.table(section, value) else { return Vec::new() };
        let all = table.take_all();
        if all.len() > most {
            self.report(table.at, section, format!("{} entries, and {most} are the most", all.len()), None);
            return Vec::new();
        }
        let tables = all.into_iter().filter_map(|(name, (at, value))| {
            let table = self.table(&format!("{section}.{name}"), value)?;
            Some((name, at, table))
        });
        tables.collect()
    }

    /// Reads `[servers.NAME]`. Every name is put into `named`, of a server that is not valid too: a grant for it is not
    /// to be reported as well.
    pub(super) fn servers(
        &mut self,
        value: TomlValue<'_>,
        named: &mut BTreeSet<String>,
    ) -> BTreeMap<String, (usize, Served)> {
        let mut servers: BTreeMap<String, (usize, Served)> = BTreeMap::new();
        for (name, at, table) in self.named("servers", value, SERVERS_MAX) {
            if let Err(why) = check_server_name(&name) {
                let help = format!(
                    "use letters, digits, `-` and single `_`, at most {SERVER_NAME_CHARS_MAX}, with a letter or digit at both ends"
                );
                self.report(at, &format!("servers.{}", excerpt(&name, SHOWN_CHARS)), why, Some(&help));
            }
            if let Some(first) = named.iter().find(|known| known.eq_ignore_ascii_case(&name)) {
                let message = format!("`{first}` and `{name}` differ in case only");
                self.report(at, &format!("servers.{name}"), message, Some("rename one of them"));
            }
            named.insert(name.clone());
            if let Some(server) = self.server(&name, table) {
                servers.insert(name, (at, server));
            }
        }
        servers
    }

    fn server(&mut self, name: &str, mut table: Table<'_>) -> Option<Served> {
        let table = &mut table;
        let server = ServerName::new(name);
        let command = self.texts_of(table, "command");
        let url = self.text_of(table, "url");
        let headers = self.map_of(table, "headers");
        let forwarded = self.texts_of(table, "forward_headers").unwrap_or_default();
        let variables = self.map_of(table, "env");
        let cwd = self.text_of(table, "cwd").map(|text| self.path(&text.text));
        let (confinement, account) = self.confinement(table);
        let policy = self.policy_of(table, "policy");
        let locked = self.lock_of(table, &server);
        let roots = self.roots_of(table);
        let hints = self.hints_of(table);
        let per = self.word_of(table, "per", &[("session", Per::Session), ("grant", Per::Grant)]);
        let idle = self.span_of(table, "idle");
        let restarts = self.number_of(table, "restart", RESTARTS_MAX);
        let shadow = self.truth_of(table, "shadow").unwrap_or(false);
        self.finish(table);
        let mut foreign = |given: bool, key: &str, whose: &str| {
            if given {
                let message = format!("`{key}` is for servers with `{whose}`");
                self.report(table.at, &table.path, message, Some("take it out"));
            }
        };
        let backend = match (url, command) {
            (Some(_), Some(_)) => {
                let help = "keep the one that reaches the server";
                self.report(table.at, &table.path, "has both `url` and `command`", Some(help));
                None
            }
            (None, None) => {
                // A key of this server that is not valid was reported already.
                if !self.problems.iter().any(|problem| problem.pointer.starts_with(&format!("{}.", table.path))) {
                    let help = "add `url = \"https://…\"` or `command = [\"PROGRAM\", …]`";
                    self.report(table.at, &table.path, "has neither `url` nor `command`", Some(help));
                }
                None
            }
            (Some(url), None) => {
                foreign(!variables.is_empty(), "env", "command");
                foreign(cwd.is_some(), "cwd", "command");
                foreign(confinement.user.is_some(), "user", "command");
                foreign(account.is_none() && confinement.group.is_some(), "group", "command");
                foreign(confinement.sandbox.is_some(), "sandbox", "command");
                foreign(per.is_some(), "per", "command");
                foreign(restarts.is_some(), "restart", "command");
                foreign(idle.is_some(), "idle", "command");
                let forwarded = self.forwarded(&table.path, &forwarded, &headers);
                let target = self.url_target(server, &table.path, &url, headers);
                target.map(|target| Backend::Http(HttpTarget { forward_headers: forwarded, ..target }))
            }
            (None, Some(command)) => {
                foreign(!headers.is_empty(), "headers", "url");
                foreign(!forwarded.is_empty(), "forward_headers", "url");
                let target = self.command_target(server, &table.path, &command, variables, cwd);
                target.map(|mut target| {
                    target.confinement = confinement;
                    if let Some(account) = account {
                        // Its own, not those of the user that this process runs as.
                        let home = account.home.to_string_lossy().into_owned();
                        for (name, value) in [("HOME", &home), ("USER", &account.name), ("LOGNAME", &account.name)] {
                            target.env.entry(name.to_owned()).or_insert_with(|| Secret::new(value.clone()));
                        }
                    }
                    let (per, idle) = (per.unwrap_or(Per::Session), idle.unwrap_or(IDLE_DEFAULT));
                    Backend::Stdio(Children { target, per, idle, restarts: restarts.unwrap_or(0) })
                })
            }
        };
        let enforcement = if shadow { Enforcement::Shadow } else { Enforcement::AsWritten };
        Some(Served { backend: backend?, policy, enforcement, locked, roots, hints })
    }

    /// Reads `roots`: folders, or URIs of the scheme `file`.
    fn roots_of(&mut self, table: &mut Table<'_>) -> Vec<String> {
        let pointer = table.key("roots");
        let mut roots = Vec::new();
        for (index, text) in self.texts_of(table, "roots").unwrap_or_default().iter().enumerate() {
            let uri = if text.text.contains("://") {
                url::Url::parse(&text.text).ok().filter(|url| url.scheme() == "file")
            } else {
                let path = std::path::absolute(self.path(&text.text)).ok();
                path.and_then(|path| url::Url::from_file_path(path).ok())
            };
            match uri {
                Some(uri) => roots.push(uri.into()),
                None => {
                    let message = format!("`{}` is no folder", excerpt(&text.text, SHOWN_CHARS));
                    let help = "write a path, or a URI such as `file:///srv/data`";
                    self.report(text.at, &format!("{pointer}[{index}]"), message, Some(help));
                }
            }
        }
        roots
    }

    /// Reads `annotate`: whose tools are judged with what the same file says of them.
    fn hints_of(&mut self, table: &mut Table<'_>) -> Option<HintPlan> {
        const WORDS: [(&str, Filling); 2] = [("fill", Filling::Missing), ("correct", Filling::Wrong)];
        let filling = self.word_of(table, "annotate", &WORDS)?;
        Some(HintPlan { filling, settings: self.corrections() })
    }

    /// Reads `locked` and `on_change`, and the lock. Problems in the lock are reported with their own places.
    fn lock_of(&mut self, table: &mut Table<'_>, server: &ServerName) -> Option<LockPlan> {
        let text = self.text_of(table, "locked");
        let at = table.at;
        let on_change = self.word_of(table, "on_change", &[("deny", OnChange::Deny), ("warn", OnChange::Warn)]);
        let Some(text) = text else {
            if on_change.is_some() {
                let help = Some("add `locked = \"mcpol.lock\"`, or take it out");
                self.report(at, &table.key("on_change"), "is for servers with `locked`", help);
            }
            return None;
        };
        let (path, pointer) = (self.path(&text.text), table.key("locked"));
        match locked::read(&path, server) {
            Ok(reviewed) => drop(self.locks.insert(server.clone(), reviewed.count())),
            Err(BadLock::Invalid { problems, .. }) => self.problems.extend(problems),
            Err(error) => {
                let help = error.help(
                    "the entry has the name of the section: `mcpol lock --name NAME --update …` adds it to the lock",
                );
                self.report(text.at, &pointer, error.to_string(), Some(&help));
            }
        }
        Some(LockPlan { path, on_change: on_change.unwrap_or(OnChange::Deny) })
    }

    /// The headers of clients that go on to the server.
    fn forwarded(
        &mut self,
        path: &str,
        names: &[Text],
        own: &BTreeMap<String, (usize, Text)>,
    ) -> Vec<http::HeaderName> {
        let mut forwarded = Vec::new();
        for (index, text) in names.iter().enumerate() {
            let pointer = format!("{path}.forward_headers[{index}]");
            let shown = excerpt(&text.text, SHOWN_CHARS);
            match forwardable(&text.text) {
                Err(why) => {
                    let help = "name headers of your own, one by one, such as `X-Tenant`";
                    self.report(text.at, &pointer, format!("`{shown}` {why}"), Some(help));
                }
                Ok(name) if own.keys().any(|known| known.eq_ignore_ascii_case(name.as_str())) => {
                    let help = "keep the one that says whose value it is";
                    self.report(text.at, &pointer, format!("`{shown}` is given in `headers` as well"), Some(help));
                }
                Ok(name) => forwarded.push(name),
            }
        }
        forwarded
    }

    fn url_target(
        &mut self,
        server: ServerName,
        path: &str,
        text: &Text,
        headers: BTreeMap<String, (usize, Text)>,
    ) -> Option<HttpTarget> {
        let pointer = format!("{path}.url");
        let expanded = self.expand(&pointer, text)?;
        let url = url::Url::parse(&expanded.text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            let shown = if expanded.from_variable { "it" } else { &*excerpt(&shown_address(&text.text), SHOWN_CHARS) };
            let message = format!("`{shown}` is no http or https URL");
            self.report(text.at, &pointer, message, Some("write for example `https://mcp.example.com/mcp`"));
        }
        let mut target =
            HttpTarget { server, url: url?, headers: BTreeMap::new(), token: None, forward_headers: Vec::new() };
        for (name, (at, text)) in headers {
            let pointer = format!("{path}.headers.{name}");
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.report(at, &pointer, "is no name of a header", None);
                continue;
            }
            self.literal(&pointer, &name, &text);
            let Some(value) = self.expand(&pointer, &text) else { continue };
            if http::HeaderValue::from_str(&value.text).is_err() {
                self.report(text.at, &pointer, "has characters that no header may have", None);
            }
            target.headers.insert(name, Secret::new(value.text));
        }
        Some(target)
    }

    fn command_target(
        &mut self,
        server: ServerName,
        path: &str,
        command: &[Text],
        variables: BTreeMap<String, (usize, Text)>,
        cwd: Option<PathBuf>,
    ) -> Option<StdioTarget> {
        if command.is_empty() {
            self.report(0, &format!("{path}.command"), "is empty", Some("name the program first"));
            return None;
        }
        let mut target = StdioTarget::new(server, Vec::new());
        for (index, text) in command.iter().enumerate() {
            let expanded = self.expand(&format!("{path}.command[{index}]"), text)?;
            if expanded.from_variable {
                target.hidden.insert(index);
            }
            target.argv.push(expanded.text);
        }
        for (name, (_, text)) in variables {
            let pointer = format!("{path}.env.{name}");
            self.literal(&pointer, &name, &text);
            if let Some(value) = self.expand(&pointer, &text) {
                target.env.insert(name, Secret::new(value.text));
            }
        }
        target.cwd = cwd;
        Some(target)
    }

    /// Warns of a header or variable that looks like a secret and is written out; it is used all the same.
    fn literal(&mut self, pointer: &str, name: &str, text: &Text) {
        if !text.text.contains("${") && literal_secret(name, &text.text) {
            let message = "holds a secret that everybody who can read this file knows";
            let help = "put it into an environment variable and write `${NAME}` in its place";
            self.warn(text.at, pointer, message, help);
        }
    }
}

/// Checks a server's name, which is a segment of a URL and the beginning of `NAME__tool`, a tool's name where all
/// servers share one endpoint: that must split in one way only.
pub(super) fn check_server_name(name: &str) -> Result<(), &'static str> {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if name.chars().count() > SERVER_NAME_CHARS_MAX {
        Err("is too long for the name of a server")
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
        Err("has characters that no server's name may have")
    } else if name.contains("__") || !ends(name.chars().next()) || !ends(name.chars().last()) {
        Err("cannot be told from the names of its tools")
    } else {
        Ok(())
    }
}
