//! The sections: `[gateway]`, `[servers.NAME]`, `[grants.NAME]`, `[jwt]`.

use super::reader::{Reader, Table, Text, Value};
use super::{
    AuditPlace, CONFIG_BYTES_MAX, Checked, Config, GRANTS_MAX, Grant, GrantsRequired, Jwks, Jwt, Per,
    SERVER_NAME_CHARS_MAX, SERVERS_MAX, Server, TlsFiles,
};
use crate::classify::findings::source::literal_secret;
use crate::classify::settings::{GATEWAY_SECTIONS, LIST_SECTIONS};
use crate::clock::Timestamp;
use crate::mcp::target::{HttpTarget, Secret, StdioTarget, Target};
use crate::model::ServerName;
use crate::policy::parse_utc;
use crate::problem::Problem;
use crate::text::{excerpt, nearest};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Where the gateway listens if nothing is said.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 8787));
/// How often a child may be started again.
const RESTARTS_MAX: u32 = 1000;
/// Characters of a value in a message.
const SHOWN_CHARS: usize = 60;
const DAY_MILLIS: u64 = 86_400_000;

/// Reads the text of a configuration.
///
/// # Errors
/// Everything that is wrong, sorted by place.
pub(super) fn read(
    path: &Path,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Checked, Vec<Problem>> {
    let file = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut reader = Reader::new(&file, text, folder, environment);
    let config = reader.config(path);
    match config {
        Some(config) if reader.problems.is_empty() => {
            reader.warnings.sort();
            Ok(Checked { config, warnings: reader.warnings })
        }
        Some(_) | None => {
            reader.problems.sort();
            Err(reader.problems)
        }
    }
}

/// `[gateway]` while the other sections are read.
struct Listener {
    listen: (SocketAddr, usize),
    admin: Option<SocketAddr>,
    state: Option<Secret>,
    audit: AuditPlace,
    tls: Option<TlsFiles>,
    hosts: Vec<String>,
    origins: Vec<String>,
    required: GrantsRequired,
    call_timeout: Option<std::time::Duration>,
    approval_wait: Option<std::time::Duration>,
}

impl Reader<'_> {
    fn config(&mut self, path: &Path) -> Option<Config> {
        if self.text.len() > CONFIG_BYTES_MAX {
            self.report(0, "", format!("longer than {CONFIG_BYTES_MAX} bytes"), None);
            return None;
        }
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.report(error.span().map_or(0, |span| span.start), "", error.message().to_lowercase(), None);
        }
        let mut sections: BTreeMap<String, Value<'_>> = BTreeMap::new();
        for (key, value) in document.into_inner() {
            let name = key.get_ref().to_string();
            if GATEWAY_SECTIONS.contains(&name.as_str()) {
                sections.insert(name, value);
            } else if !LIST_SECTIONS.contains(&name.as_str()) {
                // The lists are somebody else's: `mcpol scan` and `mcpol check` read and check them.
                let known = GATEWAY_SECTIONS.iter().chain(&LIST_SECTIONS).copied();
                let help = nearest(&name, known).map_or_else(
                    || "the gateway knows `[gateway]`, `[servers.NAME]`, `[grants.NAME]` and `[jwt]`".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                self.report(key.span().start, "", format!("unknown section `{name}`"), Some(&help));
            }
        }
        let listener = match sections.remove("gateway").map(|value| self.table("gateway", value)) {
            Some(table) => table.map(|table| self.gateway(table)),
            None => Some(Listener::default()),
        };
        let mut named = BTreeSet::new();
        let servers = sections.remove("servers").map_or_else(BTreeMap::new, |value| self.servers(value, &mut named));
        let grants = sections.remove("grants").map_or_else(BTreeMap::new, |value| self.grants(value, &named));
        let jwt = sections.remove("jwt").and_then(|value| self.jwt(value));
        if servers.is_empty() && self.problems.is_empty() {
            let help = "add one: `[servers.NAME]` with `url = \"…\"` or `command = [\"…\"]`, and `policy = \"…\"`";
            self.report(0, "", "no server is configured", Some(help));
        }
        let listener = listener?;
        let open = !listener.listen.0.ip().is_loopback();
        let anybody = listener.required == GrantsRequired::WhenThereAreAny && grants.is_empty() && jwt.is_none();
        if open && anybody {
            let message =
                format!("`{}` can be reached from other machines, and callers need no grant", listener.listen.0);
            let help = "add `require_grants = true`, `[grants.NAME]` or `[jwt]`, or listen on `127.0.0.1`";
            self.report(listener.listen.1, "gateway.listen", message, Some(help));
        }
        self.without_policy(&servers, &grants);
        Some(Config {
            file: path.to_owned(),
            listen: listener.listen.0,
            admin: listener.admin,
            state: listener.state,
            audit: listener.audit,
            tls: listener.tls,
            hosts: listener.hosts,
            origins: listener.origins,
            grants_required: listener.required,
            call_timeout: listener.call_timeout,
            approval_wait: listener.approval_wait,
            servers: servers.into_iter().map(|(name, (_, server))| (name, server)).collect(),
            grants,
            jwt,
        })
    }

    /// A server whose every call is refused is allowed, but hardly what its owner wants.
    fn without_policy(&mut self, servers: &BTreeMap<String, (usize, Server)>, grants: &BTreeMap<String, Grant>) {
        for (name, (at, server)) in servers {
            let granted = grants
                .values()
                .any(|grant| grant.policy.is_some() && grant.servers.iter().any(|known| known.as_str() == name));
            if server.policy.is_none() && !granted {
                let message = "has no policy, so every call is refused unless a grant brings one";
                let help = format!("`mcpol gen-policy -o {name}.policy.json …` writes one; then add `policy = …`");
                self.warn(*at, &format!("servers.{name}"), message, &help);
            }
        }
    }

    fn gateway(&mut self, mut table: Table<'_>) -> Listener {
        let mut listener = Listener::default();
        let table = &mut table;
        if let Some(text) = self.text_of(table, "listen")
            && let Some(address) = self.address("gateway.listen", &text)
        {
            listener.listen = (address, text.at);
        }
        if let Some(text) = self.text_of(table, "admin") {
            listener.admin = self.address("gateway.admin", &text);
            if listener.admin.is_some_and(|admin| admin == listener.listen.0 && admin.port() != 0) {
                let help = "give it another port, for example `127.0.0.1:8788`";
                self.report(text.at, "gateway.admin", "is the address that clients connect to", Some(help));
            }
            if listener.admin.is_some_and(|admin| !admin.ip().is_loopback()) {
                let message = "can be reached from other machines, and asks nobody who they are";
                let help =
                    "names of servers, tools and grants are seen there; keep it on `127.0.0.1` or behind a firewall";
                self.warn(text.at, "gateway.admin", message, help);
            }
        }
        if let Some(text) = self.text_of(table, "state") {
            listener.state = self.state(&text);
        }
        if let Some(text) = self.text_of(table, "audit") {
            listener.audit = match text.text.as_str() {
                "none" => AuditPlace::None,
                "-" => AuditPlace::Stderr,
                path => AuditPlace::File(self.path(path)),
            };
        }
        if let Some(mut tls) = table.take("tls").and_then(|value| self.table("gateway.tls", value)) {
            let files = (self.file_of(&mut tls, "cert"), self.file_of(&mut tls, "key"));
            self.finish(&tls);
            if let (Some(cert), Some(key)) = files {
                listener.tls = Some(TlsFiles { cert, key });
            }
        }
        for text in self.texts_of(table, "hosts").unwrap_or_default() {
            listener.hosts.extend(self.host(&text));
        }
        for text in self.texts_of(table, "origins").unwrap_or_default() {
            listener.origins.extend(self.origin(&text));
        }
        if self.truth_of(table, "require_grants") == Some(true) {
            listener.required = GrantsRequired::Always;
        }
        listener.call_timeout = self.span_of(table, "call_timeout");
        listener.approval_wait = self.span_of(table, "approval_wait");
        self.finish(table);
        listener
    }

    fn address(&mut self, pointer: &str, text: &Text) -> Option<SocketAddr> {
        let address = text.text.parse().ok();
        if address.is_none() {
            let message = format!("`{}` is no address with a port", excerpt(&text.text, SHOWN_CHARS));
            let help = "write for example `127.0.0.1:8787` or `[::1]:8787`";
            self.report(text.at, pointer, message, Some(help));
        }
        address
    }

    fn state(&mut self, text: &Text) -> Option<Secret> {
        let expanded = self.expand("gateway.state", text)?.text;
        if expanded == "memory:" {
            return Some(Secret::new(expanded));
        }
        // The text may hold a password, so none of these messages shows it.
        match expanded.split_once("://") {
            Some(("redis" | "rediss", _)) if url::Url::parse(&expanded).is_ok_and(|url| url.has_host()) => {
                Some(Secret::new(expanded))
            }
            Some(_) => {
                let help = "write a path, `memory:`, or `redis://HOST:PORT` (`rediss://` with TLS)";
                self.report(text.at, "gateway.state", "is no URL of a Redis", Some(help));
                None
            }
            None => Some(Secret::new(self.path(&expanded).to_string_lossy())),
        }
    }

    fn host(&mut self, text: &Text) -> Option<String> {
        let host = text.text.to_ascii_lowercase();
        let parsed = url::Url::parse(&format!("http://{host}/")).ok();
        let exact = parsed.filter(|url| url.as_str() == format!("http://{host}/") || host.ends_with(":80"));
        if exact.is_none() {
            let message = format!("`{}` is no name of a host", excerpt(&text.text, SHOWN_CHARS));
            let help = "write it as it stands in the `Host` header: `gateway.example.com`, with a port only if it is not the usual one";
            self.report(text.at, "gateway.hosts", message, Some(help));
        }
        exact.map(|_| host)
    }

    fn origin(&mut self, text: &Text) -> Option<String> {
        let url = url::Url::parse(&text.text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let origin = url.map(|url| url.origin().ascii_serialization());
        let exact = origin.filter(|origin| *origin == text.text.to_ascii_lowercase());
        if exact.is_none() {
            let message = format!("`{}` is no origin", excerpt(&text.text, SHOWN_CHARS));
            let help = "write scheme and host as the browser sends them: `https://app.example.com`";
            self.report(text.at, "gateway.origins", message, Some(help));
        }
        exact
    }

    /// Every table of a section, by name, at most so many.
    fn named<'v>(&mut self, section: &str, value: Value<'v>, most: usize) -> Vec<(String, usize, Table<'v>)> {
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

    /// `named` takes the names of all, also of those that are not valid otherwise.
    fn servers(&mut self, value: Value<'_>, named: &mut BTreeSet<String>) -> BTreeMap<String, (usize, Server)> {
        let mut servers: BTreeMap<String, (usize, Server)> = BTreeMap::new();
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

    fn server(&mut self, name: &str, mut table: Table<'_>) -> Option<Server> {
        let table = &mut table;
        let server = ServerName::new(name);
        let command = self.texts_of(table, "command");
        let url = self.text_of(table, "url");
        let headers = self.map_of(table, "headers");
        let variables = self.map_of(table, "env");
        let cwd = self.text_of(table, "cwd").map(|text| self.path(&text.text));
        let policy = self.policy_of(table, "policy");
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
        let target = match (url, command) {
            (Some(_), Some(_)) => {
                let help = "keep the one that reaches the server";
                self.report(table.at, &table.path, "has both `url` and `command`", Some(help));
                None
            }
            (None, None) => {
                // A value that was refused was told already.
                if !self.problems.iter().any(|problem| problem.pointer.starts_with(&format!("{}.", table.path))) {
                    let help = "add `url = \"https://…\"` or `command = [\"PROGRAM\", …]`";
                    self.report(table.at, &table.path, "has neither `url` nor `command`", Some(help));
                }
                None
            }
            (Some(url), None) => {
                foreign(!variables.is_empty(), "env", "command");
                foreign(cwd.is_some(), "cwd", "command");
                foreign(per.is_some(), "per", "command");
                foreign(restarts.is_some(), "restart", "command");
                foreign(idle.is_some(), "idle", "command");
                self.url_target(server.clone(), &table.path, &url, headers).map(Target::Http)
            }
            (None, Some(command)) => {
                foreign(!headers.is_empty(), "headers", "url");
                self.command_target(server.clone(), &table.path, &command, variables, cwd).map(Target::Stdio)
            }
        };
        let per = per.unwrap_or(Per::Session);
        Some(Server { name: server, target: target?, policy, per, idle, restarts: restarts.unwrap_or(0), shadow })
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
            let shown = if expanded.from_variable { "it" } else { &*excerpt(&text.text, SHOWN_CHARS) };
            let message = format!("`{shown}` is no http or https URL");
            self.report(text.at, &pointer, message, Some("write for example `https://mcp.example.com/mcp`"));
        }
        let mut target = HttpTarget { server, url: url?, headers: BTreeMap::new() };
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

    /// A secret that is written out is used, but its owner is told.
    fn literal(&mut self, pointer: &str, name: &str, text: &Text) {
        if !text.text.contains("${") && literal_secret(name, &text.text) {
            let message = "holds a secret that everybody who can read this file knows";
            let help = "put it into an environment variable and write `${NAME}` in its place";
            self.warn(text.at, pointer, message, help);
        }
    }

    fn grants(&mut self, value: Value<'_>, servers: &BTreeSet<String>) -> BTreeMap<String, Grant> {
        let mut grants: BTreeMap<String, Grant> = BTreeMap::new();
        let mut tokens: BTreeMap<String, String> = BTreeMap::new();
        for (name, at, mut table) in self.named("grants", value, GRANTS_MAX) {
            let table = &mut table;
            if let Err(why) = check_grant_name(&name) {
                self.report(at, &format!("grants.{}", excerpt(&name, SHOWN_CHARS)), why, None);
            }
            let given = self.texts_of(table, "servers");
            if given.as_ref().is_none_or(Vec::is_empty) {
                let help = Some("add `servers = [\"NAME\"]`");
                self.report(table.at, &table.path, "names no server that it is good for", help);
            }
            for text in given.iter().flatten().filter(|text| !servers.contains(&text.text)) {
                let help = nearest(&text.text, servers.iter().map(String::as_str)).map_or_else(
                    || "add it as `[servers.NAME]`, or take it out".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("no server `{}` is configured", excerpt(&text.text, SHOWN_CHARS));
                self.report(text.at, &table.key("servers"), message, Some(&help));
            }
            let policy = self.policy_of(table, "policy");
            let token_sha256 = self.text_of(table, "token_sha256").and_then(|text| self.token(table, &text));
            if let Some(token) = &token_sha256
                && let Some(other) = tokens.insert(token.clone(), name.clone())
            {
                let message = format!("is the token of `{}` too", excerpt(&other, SHOWN_CHARS));
                self.report(table.at, &table.key("token_sha256"), message, Some("every grant needs its own token"));
            }
            let expires = self.expiry(table);
            self.finish(table);
            let servers = given.unwrap_or_default().into_iter().map(|text| ServerName::new(&text.text)).collect();
            grants.insert(name, Grant { servers, policy, token_sha256, expires });
        }
        grants
    }

    fn token(&mut self, table: &Table<'_>, text: &Text) -> Option<String> {
        let right = text.text.len() == 64 && text.text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !right {
            // Whoever puts the token itself here must not see it printed.
            let help = "it has 64 hexadecimal digits; `mcpol grant create` makes tokens and keeps their hash";
            self.report(text.at, &table.key("token_sha256"), "is no SHA-256", Some(help));
        }
        right.then(|| text.text.to_ascii_lowercase())
    }

    fn expiry(&mut self, table: &mut Table<'_>) -> Option<Timestamp> {
        let value = table.take("expires")?;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(moment) => moment.to_string(),
            _ => String::new(),
        };
        let moment = parse_utc(&text);
        if moment.is_none() {
            let help = "write the last day, `2027-06-30`, or a moment in UTC, `2027-06-30T12:00:00Z`";
            self.report(value.span().start, &table.key("expires"), "is no day or moment", Some(help));
        }
        // A day alone is the last day: it counts to its end.
        let day = if text.contains('T') { 0 } else { DAY_MILLIS };
        moment.map(|moment| Timestamp::from_millis(moment.millis().saturating_add(day)))
    }

    fn jwt(&mut self, value: Value<'_>) -> Option<Jwt> {
        let mut table = self.table("jwt", value)?;
        let jwks = self.required(&mut table, "jwks");
        let jwks = jwks.and_then(|text| self.jwks(&text));
        let issuer = self.required(&mut table, "issuer");
        let audience = self.required(&mut table, "audience");
        let claim = self.text_of(&mut table, "grant_claim").map_or_else(|| "sub".to_owned(), |text| text.text);
        self.finish(&table);
        Some(Jwt { jwks: jwks?, issuer: issuer?.text, audience: audience?.text, grant_claim: claim })
    }

    fn jwks(&mut self, text: &Text) -> Option<Jwks> {
        if !text.text.contains("://") {
            return self.existing("jwt.jwks", text).map(Jwks::File);
        }
        let url = url::Url::parse(&text.text).ok();
        let safe =
            |url: &url::Url| url.scheme() == "https" || (url.scheme() == "http" && crate::mcp::http::is_loopback(url));
        let url = url.filter(safe);
        if url.is_none() {
            let message = format!("`{}` is no https URL", excerpt(&text.text, SHOWN_CHARS));
            let help = "whoever can change the keys on their way can issue tokens: use https or a file";
            self.report(text.at, "jwt.jwks", message, Some(help));
        }
        url.map(Jwks::Url)
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            listen: (LISTEN_DEFAULT, 0),
            admin: None,
            state: None,
            audit: AuditPlace::Default,
            tls: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            required: GrantsRequired::WhenThereAreAny,
            call_timeout: None,
            approval_wait: None,
        }
    }
}

/// A server's name is a segment of a URL and the beginning of tools' names: `NAME__tool` must split in one way.
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

fn check_grant_name(name: &str) -> Result<(), &'static str> {
    if name.trim().is_empty() || name.chars().count() > 128 {
        Err("is no name for a grant: 1 to 128 characters")
    } else if name.chars().any(|c| crate::text::is_hidden(c) || matches!(c, '\n' | '\t')) {
        Err("has hidden characters")
    } else {
        Ok(())
    }
}
