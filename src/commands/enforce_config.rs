//! `mcpol enforce --config`: many servers, grants and a listener, as `mcpol.toml` describes them.

use super::enforce::{audit_destination, open_audit};
use super::enforce_http::{bad_issuer, not_served, not_set_up};
use super::operators::{Operators, telemetry};
use super::{Failure, login, output, state, voice};
use crate::cli::EnforceArgs;
use crate::clock;
use crate::exit::Exit;
use crate::gateway::audit::{Destination, new_session_id};
use crate::gateway::config::{self, AuditPlace, BadConfig, Checked, Config};
use crate::gateway::desk::Desk;
use crate::gateway::http::queue::Pace;
use crate::gateway::http::serve::Hooks;
use crate::gateway::http::{ENDPOINT, Gateway, serve};
use crate::gateway::identity::{Grants, TokenRule};
use crate::gateway::jwt::JwtIssuer;
use crate::gateway::meter::Meter;
use crate::gateway::plan::{Backend, Plan};
use crate::gateway::reload::Stamp;
use crate::problem::Problem;
use crate::report::{PlannedServer, config_table};
use crate::state::StatePlace;
use crate::text::escape;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn run(args: &EnforceArgs, path: &Path) -> Result<Exit, Failure> {
    let Checked { mut config, warnings } = load(path)?;
    for warning in &warnings {
        output::people(&format!("warning: {warning}\n"));
    }
    not_local(&config, &args.grant)?;
    let place = match &config.state {
        Some(place) => place.clone(),
        None => state::place(None)?,
    };
    let audit = match &config.audit {
        AuditPlace::Default => audit_destination(None)?,
        AuditPlace::File(path) => Destination::File(path.clone()),
        AuditPlace::Stderr => Destination::Stderr,
        AuditPlace::None => Destination::Nowhere,
    };
    let admin = args.admin.or(config.admin);
    if args.dry_run {
        return dry_run(&config, admin, &place, &audit);
    }
    login::attach_all(&mut config.plan);
    let operators = Operators::open(admin)?;
    let log = open_audit(&audit, new_session_id().map_err(output::internal)?)?;
    let stores = crate::state::open(&place);
    let meter = Arc::new(Meter::new(clock::now()));
    let notice = || Box::new(|text: &str| voice::say(text));
    let desk = Desk::new(Arc::clone(&stores.limits), stores.approvals, log, notice()).with_meter(Arc::clone(&meter));
    let desk = Arc::new(desk);
    let mut grants = Grants::new(stores.grants, config.token_rule, &args.grant);
    grants.set_configured(config.grants.clone());
    grants.keep_asking(granted(&config));
    if let Some(jwt) = &config.jwt {
        grants = grants.with_issuer(Box::new(bad_issuer(JwtIssuer::new(jwt.clone(), notice()))?), jwt.subjects);
    }
    warn_of_doubles(&grants);
    let grants = Arc::new(grants);
    let (listener, drain) = (config.plan.listener.clone(), config.plan.drain);
    let identify = Arc::clone(&grants) as Arc<_>;
    let gateway = Gateway::new(config.plan.clone(), Arc::clone(&desk), identify, Pace::of(&place, &audit));
    let gateway = Arc::new(gateway.map_err(not_set_up)?.with_telemetry(telemetry(&meter)?));
    desk.audit().event(clock::now(), "start", |line| {
        line.text("version", env!("CARGO_PKG_VERSION")).text("config", &path.display().to_string())
    });
    // A log that cannot be written is said before the first call, and the first call is denied.
    desk.tick(clock::now());
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let lines = startup_lines(&config);
    let started = {
        let (gateway, meter) = (Arc::clone(&gateway), Arc::clone(&meter));
        move |address: SocketAddr| {
            lines.iter().for_each(|line| voice::say(line));
            voice::say(&format!("listening on {scheme}://{address}{ENDPOINT}"));
            operators.serve(&gateway, &meter, &stores.limits);
        }
    };
    let mut watched = Watched {
        stamp: Stamp::of(path),
        path: path.to_owned(),
        refused: None,
        running: config,
        gateway: Arc::clone(&gateway),
        local: args.grant.clone(),
        grants,
        desk,
        meter,
    };
    let hooks = Hooks { started: Box::new(started), look: Box::new(move || watched.look()) };
    let ended = serve::run(&gateway, &listener, drain, hooks);
    gateway.end_telemetry();
    match ended {
        Ok(signal) if signal == signal_hook::consts::SIGINT => Ok(Exit::Interrupted),
        Ok(_) => Ok(Exit::Clean),
        Err(error) => Err(not_served(&error)),
    }
}

fn load(path: &Path) -> Result<Checked, Failure> {
    config::load(path, &|name| std::env::var(name).ok()).map_err(|error| {
        let failure = Failure::usage(error.to_string());
        match error {
            BadConfig::Unreadable { .. } => failure.with_help("`mcpol enforce --help` and docs/gateway.md show one"),
            BadConfig::Invalid { problems, .. } => failure.with_problems(problems),
        }
    })
}

/// One line a server, for whoever reads what the gateway says.
fn startup_lines(config: &Config) -> Vec<String> {
    planned(config)
        .into_iter()
        .map(|server| {
            let lock = server.lock.map_or_else(String::new, |(tools, _)| format!("; lock of {tools} tools"));
            format!("{}: {}; policy {}{lock}", server.name, server.place, server.policy)
        })
        .collect()
}

fn planned(config: &Config) -> Vec<PlannedServer> {
    let servers = config.plan.servers.iter().map(|(name, served)| {
        let place = match &served.backend {
            Backend::Http(target) => crate::mcp::target::redacted(&target.url),
            Backend::Stdio(children) => children.target.shown_argv().join(" "),
        };
        let policy = served.policy.as_ref().and_then(|path| Some((path, config.policies.get(path)?)));
        PlannedServer {
            name: name.as_str().to_owned(),
            place,
            policy: policy.map_or_else(|| "none".to_owned(), |(path, _)| path.display().to_string()),
            summary: policy.map(|(_, policy)| (policy.summary(), policy.document().default)),
            enforcement: served.enforcement,
            lock: served.locked.as_ref().zip(config.locks.get(name)).map(|(lock, tools)| (*tools, lock.on_change)),
        }
    });
    servers.collect()
}

fn dry_run(
    config: &Config,
    admin: Option<SocketAddr>,
    place: &StatePlace,
    audit: &Destination,
) -> Result<Exit, Failure> {
    let audit = match audit {
        Destination::File(path) => path.display().to_string(),
        Destination::Stderr => "stderr".to_owned(),
        Destination::Nowhere => "none".to_owned(),
    };
    let about = [
        ("listen", listening(&config.plan)),
        ("admin", admin.map_or_else(|| "none".to_owned(), |address| address.to_string())),
        ("state", place.to_string()),
        ("audit", audit),
    ];
    output::coloured(&config_table(&about, &planned(config), config, output::terminal_width()))?;
    Ok(Exit::Clean)
}

fn listening(plan: &Plan) -> String {
    let scheme = if plan.listener.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}{ENDPOINT}", plan.listener.address)
}

/// The configuration's file, looked after while the gateway runs.
struct Watched {
    path: PathBuf,
    stamp: Stamp,
    refused: Option<String>,
    running: Config,
    gateway: Arc<Gateway>,
    /// What callers without a token are called.
    local: String,
    grants: Arc<Grants>,
    desk: Arc<Desk>,
    meter: Arc<Meter>,
}

impl Watched {
    /// Looks whether the file has changed, and puts a good new version in place.
    fn look(&mut self) {
        let stamp = Stamp::of(&self.path);
        if stamp == self.stamp {
            return;
        }
        self.stamp = stamp;
        match self.take() {
            Ok(()) => self.refused = None,
            Err(text) => self.refuse(text),
        }
    }

    fn take(&mut self) -> Result<(), String> {
        let checked = config::load(&self.path, &|name| std::env::var(name).ok()).map_err(told)?;
        let Checked { mut config, warnings } = checked;
        not_local(&config, &self.local)
            .map_err(|failure| format!("{}; the old configuration stays in force", failure.message))?;
        login::attach_all(&mut config.plan);
        // A server that is new must not be open to everybody before its grants are there, nor one that goes after they
        // are gone: while the servers change, grants of both versions count.
        let both = self.running.grants.iter().chain(&config.grants).cloned().collect();
        self.grants.set_configured(both);
        if let Err(error) = self.gateway.reload(config.plan.clone()) {
            self.grants.set_configured(self.running.grants.clone());
            return Err(error.to_string());
        }
        // What has asked for tokens goes on asking.
        self.grants.keep_asking(granted(&self.running));
        self.grants.keep_asking(granted(&config));
        self.grants.set_configured(config.grants.clone());
        self.meter.reloaded();
        self.desk.audit().event(clock::now(), "reload", |line| line.text("config", &self.path.display().to_string()));
        voice::say(&format!("{} reloaded: {}", self.path.display(), changes(&self.running, &config)));
        for warning in warnings {
            voice::say(&format!("warning: {warning}"));
        }
        for server in left_without_grant(&self.running, &config) {
            voice::say(&format!(
                "`{server}` goes on asking for tokens, though no grant of the file is for it any more; start the gateway again to change that"
            ));
        }
        let grants = Arc::clone(&self.grants);
        // The store may take its time.
        drop(tokio::task::spawn_blocking(move || warn_of_doubles(&grants)));
        let later = only_at_start(&self.running, &config);
        if !later.is_empty() {
            voice::say(&format!("these take effect when the gateway is started again: {}", later.join(", ")));
        }
        // What did not take effect is compared again with what comes next.
        let kept = Config {
            plan: Plan {
                listener: crate::gateway::plan::Listener {
                    address: self.running.plan.listener.address,
                    tls: self.running.plan.listener.tls.clone(),
                    ..config.plan.listener.clone()
                },
                settings: self.running.plan.settings,
                drain: self.running.plan.drain,
                ..config.plan
            },
            admin: self.running.admin,
            state: self.running.state.take(),
            audit: self.running.audit.clone(),
            token_rule: self.running.token_rule,
            jwt: self.running.jwt.take(),
            ..config
        };
        self.running = kept;
        Ok(())
    }

    fn refuse(&mut self, text: String) {
        // A file that stays bad is said once.
        if self.refused.as_ref() == Some(&text) {
            return;
        }
        self.meter.reload_refused();
        let reason = text.lines().next().unwrap_or_default().to_owned();
        self.desk.audit().event(clock::now(), "reload_refused", |line| line.text("reason", &reason));
        voice::say(&text);
        self.refused = Some(text);
    }
}

/// The servers that grants of a configuration are for.
fn granted(config: &Config) -> impl Iterator<Item = String> {
    config.grants.iter().flat_map(|grant| grant.servers.iter().cloned())
}

/// Servers that stay, and that no grant of the file is for any more.
fn left_without_grant(old: &Config, new: &Config) -> BTreeSet<String> {
    let asks_everywhere =
        new.token_rule == TokenRule::Always || old.token_rule == TokenRule::Always || old.jwt.is_some();
    if asks_everywhere {
        return BTreeSet::new();
    }
    let still: BTreeSet<String> = granted(new).collect();
    let is_left = |server: &String| {
        !still.contains(server) && new.plan.servers.keys().any(|name| name.as_str() == server.as_str())
    };
    granted(old).filter(is_left).collect()
}

/// A grant of the file must not have the name of callers without a token: they would be counted together.
fn not_local(config: &Config, local: &str) -> Result<(), Failure> {
    if config.grants.iter().all(|grant| grant.name.as_str() != local) {
        return Ok(());
    }
    let shown = escape(local);
    Err(Failure::usage(format!("`[grants.{shown}]` has the name of callers without a token"))
        .with_help("rename the grant, or call those otherwise with `--grant NAME`"))
}

/// Says which grants of the store are refused because others have their names.
pub(super) fn warn_of_doubles(grants: &Grants) {
    // A store that is away is told of when somebody needs it; until then nobody comes in by it.
    for name in grants.doubles(clock::now()).unwrap_or_default() {
        voice::say(&format!(
            "warning: the grant `{name}` of the state is refused: its name is taken here\n  help: `mcpol grant revoke {name}`, and create it under another name"
        ));
    }
}

fn told(error: BadConfig) -> String {
    let mut text = format!("{error}; the old configuration stays in force");
    let problems: &[Problem] = match &error {
        BadConfig::Unreadable { .. } => &[],
        BadConfig::Invalid { problems, .. } => problems,
    };
    for problem in problems {
        text.push_str(&format!("\n  {problem}"));
    }
    text
}

/// What became of the servers, in a few words.
fn changes(old: &Config, new: &Config) -> String {
    let (old, new) = (&old.plan.servers, &new.plan.servers);
    let names = |from: &dyn Fn(&&crate::model::ServerName) -> bool, of: &std::collections::BTreeMap<_, _>| {
        of.keys()
            .filter(from)
            .map(|name| escape(crate::model::ServerName::as_str(name)).into_owned())
            .collect::<Vec<_>>()
    };
    let added = names(&|name| !old.contains_key(*name), new);
    let gone = names(&|name| !new.contains_key(*name), old);
    let moved =
        names(&|name| matches!((old.get(*name), new.get(*name)), (Some(a), Some(b)) if a.backend != b.backend), new);
    let held = names(
        &|name| matches!((old.get(*name), new.get(*name)), (Some(a), Some(b)) if a.backend == b.backend && a.locked != b.locked),
        new,
    );
    let mut parts = vec![format!("{} servers", new.len())];
    for (what, names) in [("new", added), ("gone", gone), ("elsewhere", moved), ("another lock", held)] {
        if !names.is_empty() {
            parts.push(format!("{what}: {}", names.join(", ")));
        }
    }
    parts.join("; ")
}

/// What a new version says that only a new start can do.
fn only_at_start(old: &Config, new: &Config) -> Vec<&'static str> {
    let (listener, newer) = (&old.plan.listener, &new.plan.listener);
    let mut later = Vec::new();
    for (name, differs) in [
        ("gateway.listen", listener.address != newer.address),
        ("gateway.tls", listener.tls != newer.tls),
        ("gateway.admin", old.admin != new.admin),
        ("gateway.state", old.state != new.state),
        ("gateway.audit", old.audit != new.audit),
        ("gateway.require_grants", old.token_rule != new.token_rule),
        ("gateway.call_timeout", old.plan.settings.call_timeout != new.plan.settings.call_timeout),
        ("gateway.approval_wait", old.plan.settings.approval_wait != new.plan.settings.approval_wait),
        ("gateway.unknown_methods", old.plan.settings.unknown_methods != new.plan.settings.unknown_methods),
        ("gateway.drain", old.plan.drain != new.plan.drain),
        ("jwt", old.jwt != new.jwt),
    ] {
        if differs {
            later.push(name);
        }
    }
    later
}
