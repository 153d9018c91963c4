//! Reads the sections of a configuration together, and `[gateway]` itself: the listener and what all servers share.

use super::reader::{IssuerNamed, Reader, Table, Text, TomlValue};
use super::{AuditPlace, CONFIG_BYTES_MAX, Checked, Config};
use crate::classify::settings::{GATEWAY_SECTIONS, LIST_SECTIONS};
use crate::gateway::exchange::UnknownMethods;
use crate::gateway::identity::{ConfiguredGrant, TokenRule};
use crate::gateway::mediate::Settings;
use crate::gateway::plan::{self, BadListener, Cors, Plan, Served, TlsFiles};
use crate::gateway::reload::Reloading;
use crate::model::ServerName;
use crate::policy::Policy;
use crate::problem::Problem;
use crate::state::{BadAddress, StatePlace};
use crate::text::nearest;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::de::DeTable;

/// Where clients connect without `listen`.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 8787));
/// After how long without answer or progress a call is given up, without `call_timeout`.
const CALL_TIMEOUT_DEFAULT: Duration = Duration::from_secs(600);
/// How long a call that wants approval waits for a person, without `approval_wait`.
const APPROVAL_WAIT_DEFAULT: Duration = Duration::from_secs(50);
/// How long calls in flight may take when the gateway is asked to end, without `drain`.
const DRAIN_DEFAULT: Duration = Duration::from_secs(5);

/// Reads the text of a configuration.
///
/// # Errors
/// All problems, sorted by place.
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
            // Each server that names a lock reports its problems: once is enough.
            reader.problems.dedup();
            Err(reader.problems)
        }
    }
}

/// The address for operators, the state and the audit log of `[gateway]`; the reader has the problems.
pub(super) fn places(reader: &mut Reader<'_>) -> (Option<SocketAddr>, Option<StatePlace>, AuditPlace) {
    let table = reader.sections().remove("gateway").and_then(|value| reader.table("gateway", value));
    let listener = table.map(|table| reader.gateway(table)).unwrap_or_default();
    (listener.admin, listener.state, listener.audit)
}

/// What `[gateway]` says, with the offset of `listen`, while the other sections are read.
struct ListenerSection {
    listen: (SocketAddr, usize),
    admin: Option<SocketAddr>,
    state: Option<StatePlace>,
    audit: AuditPlace,
    tls: Option<TlsFiles>,
    hosts: BTreeSet<String>,
    origins: BTreeSet<String>,
    cors: Cors,
    rule: TokenRule,
    settings: Settings,
    drain: Duration,
}

impl Reader<'_> {
    fn config(&mut self, path: &Path) -> Option<Config> {
        if self.text.len() > CONFIG_BYTES_MAX {
            self.report(0, "", format!("longer than {CONFIG_BYTES_MAX} bytes"), None);
            return None;
        }
        let mut sections = self.sections();
        let listener = match sections.remove("gateway").map(|value| self.table("gateway", value)) {
            Some(table) => table.map(|table| self.gateway(table)),
            None => Some(ListenerSection::default()),
        };
        let mut named = BTreeSet::new();
        let servers = sections.remove("servers").map_or_else(BTreeMap::new, |value| self.servers(value, &mut named));
        let issuer = if sections.contains_key("jwt") { IssuerNamed::Yes } else { IssuerNamed::No };
        let grants = sections.remove("grants").map_or_else(Vec::new, |value| self.grants(value, &named, issuer));
        let jwt = sections.remove("jwt").and_then(|value| self.jwt(value));
        if servers.is_empty() && self.problems.is_empty() {
            let help = "add one: `[servers.NAME]` with `url = \"…\"` or `command = [\"…\"]`, and `policy = \"…\"`";
            self.report(0, "", "no server is configured", Some(help));
        }
        let listener = listener?;
        // The rule of the start stays for as long as the process lives: a later version of the file without any grant
        // must not open an address that other machines reach.
        let rule = listener.rule.at(listener.listen.0, !grants.is_empty() || jwt.is_some());
        if rule.is_none() {
            let message =
                format!("`{}` can be reached from other machines, and callers need no grant", listener.listen.0);
            let help = "add `require_grants = true`, `[grants.NAME]` or `[jwt]`, or listen on `127.0.0.1`";
            self.report(listener.listen.1, "gateway.listen", message, Some(help));
        }
        self.without_policy(&servers, &grants);
        Some(Config {
            file: path.to_owned(),
            plan: Plan {
                listener: plan::Listener {
                    address: listener.listen.0,
                    tls: listener.tls,
                    hosts: listener.hosts,
                    origins: listener.origins,
                    cors: listener.cors,
                },
                servers: servers.into_iter().map(|(name, (_, server))| (ServerName::new(&name), server)).collect(),
                settings: listener.settings,
                drain: listener.drain,
                reloading: Reloading::WhileRunning,
            },
            admin: listener.admin,
            state: listener.state,
            audit: listener.audit,
            token_rule: rule.unwrap_or(TokenRule::Always),
            grants,
            jwt,
            policies: self.known_policies(),
            locks: std::mem::take(&mut self.locks),
        })
    }

    /// The sections of the file that are the gateway's, by name; unknown ones are reported.
    fn sections<'v>(&mut self) -> BTreeMap<String, TomlValue<'v>>
    where
        Self: 'v,
    {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.report(error.span().map_or(0, |span| span.start), "", error.message().to_lowercase(), None);
        }
        let mut sections = BTreeMap::new();
        for (key, value) in document.into_inner() {
            let name = key.get_ref().to_string();
            if GATEWAY_SECTIONS.contains(&name.as_str()) {
                sections.insert(name, value);
            } else if !LIST_SECTIONS.contains(&name.as_str()) {
                // The list sections are not the gateway's: `mcpol scan` and `mcpol check` read and check them.
                let known = GATEWAY_SECTIONS.iter().chain(&LIST_SECTIONS).copied();
                let help = nearest(&name, known).map_or_else(
                    || "the gateway knows `[gateway]`, `[servers.NAME]`, `[grants.NAME]` and `[jwt]`".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                self.report(key.span().start, "", format!("unknown section `{name}`"), Some(&help));
            }
        }
        sections
    }

    fn known_policies(&self) -> BTreeMap<PathBuf, Arc<Policy>> {
        let known =
            |(path, policy): (&PathBuf, &Option<Arc<Policy>>)| Some((path.clone(), Arc::clone(policy.as_ref()?)));
        self.policies.iter().filter_map(known).collect()
    }

    /// Warns of servers without a policy, of their own or of a grant: all their calls are refused, which is hardly
    /// meant.
    fn without_policy(&mut self, servers: &BTreeMap<String, (usize, Served)>, grants: &[ConfiguredGrant]) {
        for (name, (at, server)) in servers {
            let granted = grants.iter().any(|grant| grant.policy.is_some() && grant.servers.contains(name));
            if server.policy.is_none() && !granted {
                let message = "has no policy, so every call is refused unless a grant brings one";
                let help = format!("`mcpol gen-policy -o {name}.policy.json …` writes one; then add `policy = …`");
                self.warn(*at, &format!("servers.{name}"), message, &help);
            }
        }
    }

    fn gateway(&mut self, mut table: Table<'_>) -> ListenerSection {
        let mut listener = ListenerSection::default();
        let table = &mut table;
        if let Some(text) = self.text_of(table, "listen")
            && let Some(address) = self.listening("gateway.listen", &text, plan::listen_address(&text.text))
        {
            listener.listen = (address, text.at);
        }
        if let Some(text) = self.text_of(table, "admin") {
            listener.admin = self.listening("gateway.admin", &text, plan::listen_address(&text.text));
            self.check_admin(&listener, &text);
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
            listener.hosts.extend(self.listening("gateway.hosts", &text, plan::host_name(&text.text)));
        }
        for text in self.texts_of(table, "origins").unwrap_or_default() {
            listener.origins.extend(self.listening("gateway.origins", &text, plan::origin(&text.text)));
        }
        if self.truth_of(table, "cors") == Some(true) {
            listener.cors = Cors::On;
        }
        if self.truth_of(table, "require_grants") == Some(true) {
            listener.rule = TokenRule::Always;
        }
        if let Some(span) = self.span_of(table, "call_timeout") {
            listener.settings.call_timeout = (!span.is_zero()).then_some(span);
        }
        if let Some(span) = self.span_of(table, "approval_wait") {
            listener.settings.approval_wait = span;
        }
        if let Some(methods) = self.unknown_methods(table) {
            listener.settings.unknown_methods = methods;
        }
        if let Some(span) = self.span_of(table, "drain") {
            listener.drain = span;
        }
        self.finish(table);
        listener
    }

    /// A word, or a list of exact methods: as in a policy.
    fn unknown_methods(&mut self, table: &mut Table<'_>) -> Option<UnknownMethods> {
        const KEY: &str = "unknown_methods";
        if !table.is_list(KEY) {
            const WORDS: [(&str, Unknown); 2] = [("forward", Unknown::Forward), ("refuse", Unknown::Refuse)];
            return self.word_of(table, KEY, &WORDS).map(|word| match word {
                Unknown::Forward => UnknownMethods::Forward,
                Unknown::Refuse => UnknownMethods::Refuse,
            });
        }
        let mut methods = BTreeSet::new();
        for (index, text) in self.texts_of(table, KEY)?.into_iter().enumerate() {
            if let Some((message, help)) = crate::policy::bad_unknown_method(&text.text) {
                self.report(text.at, &format!("gateway.{KEY}[{index}]"), message, Some(help));
            }
            methods.insert(text.text);
        }
        Some(UnknownMethods::Listed(Arc::new(methods)))
    }

    fn check_admin(&mut self, listener: &ListenerSection, text: &Text) {
        if listener.admin.is_some_and(|admin| admin == listener.listen.0 && admin.port() != 0) {
            let help = "give it another port, for example `127.0.0.1:8788`";
            self.report(text.at, "gateway.admin", "is the address that clients connect to", Some(help));
        }
        if listener.admin.is_some_and(|admin| !admin.ip().is_loopback()) {
            let message = "can be reached from other machines, and asks nobody who they are";
            let help = "names of servers, tools and grants are seen there; keep it on `127.0.0.1` or behind a firewall";
            self.warn(text.at, "gateway.admin", message, help);
        }
    }

    /// The value that was read from `text` by the function that reads the command line's flags too; reports an error.
    fn listening<T>(&mut self, pointer: &str, text: &Text, read: Result<T, BadListener>) -> Option<T> {
        read.map_err(|error| self.report(text.at, pointer, error.to_string(), Some(error.help()))).ok()
    }

    /// Reads `state`. The text may hold a password, so no message shows it.
    fn state(&mut self, text: &Text) -> Option<StatePlace> {
        let expanded = self.expand("gateway.state", text)?.text;
        match StatePlace::parse(expanded.as_ref()) {
            Ok(mut place) => {
                place.begin_at(self.folder);
                Some(place)
            }
            Err(error) => {
                self.report(text.at, "gateway.state", error.to_string(), Some(BadAddress::help()));
                None
            }
        }
    }
}

/// A word for what becomes of unknown methods.
#[derive(Clone, Copy)]
enum Unknown {
    Forward,
    Refuse,
}

impl Default for ListenerSection {
    fn default() -> Self {
        Self {
            listen: (LISTEN_DEFAULT, 0),
            admin: None,
            state: None,
            audit: AuditPlace::Default,
            tls: None,
            hosts: BTreeSet::new(),
            origins: BTreeSet::new(),
            cors: Cors::Off,
            rule: TokenRule::WhereGranted,
            settings: Settings {
                call_timeout: Some(CALL_TIMEOUT_DEFAULT),
                approval_wait: APPROVAL_WAIT_DEFAULT,
                unknown_methods: UnknownMethods::Refuse,
            },
            drain: DRAIN_DEFAULT,
        }
    }
}
