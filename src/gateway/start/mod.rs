//! A gateway over HTTP from its configuration to its end: the one place where it is put together, whether the
//! configuration came from flags or from a file.

mod changes;
mod operators;
mod watch;

pub use watch::WatchedFile;

use super::audit::Audit;
use super::config::Config;
use super::desk::Desk;
use super::http::queue::Pace;
use super::http::serve::{self, Hooks, ServeError};
use super::http::{ENDPOINT, Gateway, SetUpError};
use super::identity::Grants;
use super::jwt::{BadIssuer, JwtIssuer};
use super::meter::Meter;
use super::plan::Plan;
use super::telemetry::{BadTelemetry, Telemetry, Wanted};
use crate::clock;
use crate::gateway::audit::Whose;
use crate::state::Stores;
use operators::Operators;
use std::net::SocketAddr;
use std::sync::Arc;
use watch::Watch;

/// What a gateway over HTTP begins with.
#[derive(Debug)]
pub struct Start {
    /// What it serves, and to whom.
    pub config: Config,
    /// Where operators look, if the command line says so; else where the configuration says.
    pub admin: Option<SocketAddr>,
    /// The file that the configuration is from; it is read again whenever it changes. None for one from flags.
    pub file: Option<WatchedFile>,
    /// What callers without a token are called. No grant of the configuration may have this name.
    pub local: String,
    /// Counters, approvals and grants.
    pub stores: Stores,
    /// How calls that arrive together are brought to the stores and the log.
    pub pace: Pace,
    /// The log.
    pub audit: Audit,
    /// Lines that the gateway says once it listens, before the address.
    pub lines: Vec<String>,
    /// The world around the gateway.
    pub around: Around,
}

/// What a gateway needs of the program that runs it.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// Tells a person.
    pub say: fn(&str),
    /// Looks a variable of the environment up.
    pub variable: fn(&str) -> Option<String>,
    /// Adds to a plan, before it is served, what its file does not hold: the tokens of logins.
    pub complete: fn(&mut Plan),
}

/// Why a gateway could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A grant would be counted together with callers who have none.
    #[error(transparent)]
    Name(#[from] NameTaken),
    /// The issuer of tokens cannot be used.
    #[error(transparent)]
    Issuer(#[from] BadIssuer),
    /// The address for operators cannot be listened on.
    #[error("cannot listen on {address} for operators: {}", crate::problem::reason(source))]
    Operators {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A policy, a lock or a server cannot be used.
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    /// What the environment says about OpenTelemetry is no good.
    #[error(transparent)]
    Telemetry(#[from] BadTelemetry),
    /// Clients cannot be listened to.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A grant of the configuration has the name of callers without a token: they would be counted together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`[grants.{}]` has the name of callers without a token", crate::text::escape(.0))]
pub struct NameTaken(pub String);

impl NameTaken {
    /// Whether this holds for a configuration; `local` is what callers without a token are called.
    ///
    /// # Errors
    /// It does not hold.
    pub fn check(config: &Config, local: &str) -> Result<(), Self> {
        let is_taken = config.grants.iter().any(|grant| grant.name.as_str() == local);
        if is_taken { Err(Self(local.to_owned())) } else { Ok(()) }
    }
}

/// Serves until the operating system asks the process to end; answers the number of the signal.
///
/// # Errors
/// It could not begin.
pub fn serve(start: Start) -> Result<i32, StartError> {
    let Start { mut config, admin, file, local, stores, pace, audit, lines, around } = start;
    NameTaken::check(&config, &local)?;
    (around.complete)(&mut config.plan);
    let operators = Operators::open(admin.or(config.admin))?;
    let meter = Arc::new(Meter::new(clock::now()));
    let say = || Box::new(around.say);
    let desk = Desk::new(Arc::clone(&stores.limits), stores.approvals, audit, say()).with_meter(Arc::clone(&meter));
    let desk = Arc::new(desk);
    let mut grants = Grants::new(stores.grants, config.token_rule, &local);
    grants.set_configured(config.grants.clone());
    grants.keep_asking(changes::granted(&config));
    if let Some(jwt) = &config.jwt {
        grants = grants.with_issuer(Box::new(JwtIssuer::new(jwt.clone(), say())?), jwt.subjects);
    }
    warn_of_doubles(&grants, around.say);
    let grants = Arc::new(grants);
    let (listener, drain) = (config.plan.listener.clone(), config.plan.drain);
    let identify = Arc::clone(&grants) as Arc<_>;
    let gateway = Gateway::new(config.plan.clone(), Arc::clone(&desk), identify, pace)?;
    let wanted = Wanted::from_environment(&around.variable)?;
    let telemetry = Telemetry::start(&wanted, Some(Arc::clone(&meter)))?;
    let gateway = Arc::new(gateway.with_telemetry(telemetry));
    desk.audit().event(clock::now(), "start", &Whose::gateway(), |line| {
        let line = line.text("version", env!("CARGO_PKG_VERSION"));
        match (&file, config.plan.servers.keys().next()) {
            (Some(file), _) => line.text("config", &file.path().display().to_string()),
            (None, Some(server)) => line.text("server", server.as_str()),
            (None, None) => line,
        }
    });
    // A log that cannot be written is said before the first call, and the first call is denied.
    desk.tick(clock::now());
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let (views, seen) = (Arc::clone(&gateway), Arc::clone(&meter));
    let started = move |address: SocketAddr| {
        lines.iter().for_each(|line| (around.say)(line));
        (around.say)(&format!("listening on {scheme}://{address}{ENDPOINT}"));
        operators.serve(&views, &seen, &stores.limits, around.say);
    };
    let mut watch = file.map(|file| Watch {
        file,
        running: config,
        gateway: Arc::clone(&gateway),
        local,
        grants,
        desk,
        meter,
        around,
    });
    let look = move || {
        if let Some(watch) = &mut watch {
            watch.look();
        }
    };
    let hooks = Hooks { started: Box::new(started), look: Box::new(look) };
    let ended = serve::run(&gateway, &listener, drain, hooks);
    gateway.end_telemetry();
    Ok(ended?)
}

/// Says which grants of the store are refused because others have their names.
fn warn_of_doubles(grants: &Grants, say: fn(&str)) {
    // A store that is away is told of when a caller needs it; until then nobody comes in by it.
    for name in grants.doubles(clock::now()).unwrap_or_default() {
        say(&format!(
            "warning: the grant `{name}` of the state is refused: its name is taken here\n  help: `mcpol grant revoke {name}`, and create it under another name"
        ));
    }
}
