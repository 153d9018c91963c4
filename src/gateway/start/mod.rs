//! Puts a gateway together and runs it to its end: over HTTP here, for a configuration from flags as for one from a
//! file, and over stdio in `stdio`.

mod changes;
mod operators;
mod service_manager;
mod stdio;
mod watch;

pub use stdio::{StdioStart, serve_stdio};

use super::audit::Audit;
use super::config::Config;
use super::decider::Decider;
use super::http::queue::Pace;
use super::http::serve::{self, Hooks, ServeError};
use super::http::token_help::TokenHelp;
use super::http::{ENDPOINT, Gateway, SetUpError};
use super::identity::Grants;
use super::jwt::{BadIssuer, JwtIssuer};
use super::meter::Meter;
use super::plan::Plan;
use super::telemetry::{BadTelemetry, Telemetry, WantedSignals};
use super::watched_file::WatchedFile;
use crate::clock;
use crate::gateway::audit::Whose;
use crate::gateway::said::Said;
use crate::mcp::ConnectError;
use crate::state::Stores;
use operators::Operators;
use service_manager::ServiceState;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use watch::ReloadWatch;

/// What a gateway over HTTP is put together from.
#[derive(Debug)]
pub struct Start {
    /// What is served, and to whom.
    pub config: Config,
    /// The address for operators from the command line; without it the configuration's holds.
    pub admin: Option<SocketAddr>,
    /// The file that the configuration is from, which is read again whenever it changes; `None` for one from flags.
    pub file: Option<WatchedFile>,
    /// The name under which callers without a token are counted. No grant of the configuration may have it.
    pub local: String,
    /// The stores of counters, approvals and grants.
    pub stores: Stores,
    /// Where calls that arrive together are decided on.
    pub pace: Pace,
    /// The audit log.
    pub audit: Audit,
    /// Lines that the operator is shown once the gateway listens, before the address.
    pub lines: Vec<Said<'static>>,
    /// What the gateway needs of the program that runs it.
    pub around: Surroundings,
}

/// What a gateway needs of the program that runs it.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// Shows a line to the operator.
    pub say: fn(&Said<'_>),
    /// Looks an environment variable up.
    pub variable: fn(&str) -> Option<String>,
    /// Adds to a plan what its file does not hold, before it is served: the tokens of `mcpol login`.
    pub complete: fn(&mut Plan),
}

/// Why a gateway could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A grant has the name of callers without a token.
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
    /// Telemetry that the environment asks for cannot be sent.
    #[error(transparent)]
    Telemetry(#[from] BadTelemetry),
    /// The address for clients cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The server of a session over stdio cannot be started or reached.
    #[error(transparent)]
    Server(#[from] ConnectError),
    /// A stream of this process is closed.
    #[error("standard input or output is closed: {0}")]
    Streams(std::io::Error),
    /// The system refuses a thread or a signal.
    #[error("the gateway cannot start: {0}")]
    System(io::Error),
}

/// A grant of the configuration has the name of callers without a token: they would be counted together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`[grants.{}]` has the name of callers without a token", crate::text::escape(.0))]
pub struct NameTaken(pub String);

impl NameTaken {
    /// Checks that no grant of a configuration is called `local`, as callers without a token are.
    ///
    /// # Errors
    /// A grant has this name.
    pub fn check(config: &Config, local: &str) -> Result<(), Self> {
        let is_taken = config.grants.iter().any(|grant| grant.name.as_str() == local);
        if is_taken { Err(Self(local.to_owned())) } else { Ok(()) }
    }
}

/// Lets a write past the limit on the size of files fail like one on a full disk, after which no call passes, where the
/// system would end the gateway (SIGXFSZ). What the gateway starts does not inherit this.
fn outlive_file_size_limit() -> io::Result<()> {
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())?;
    Ok(())
}

/// Serves until the operating system asks the process to end; returns the number of the signal.
///
/// # Errors
/// The gateway could not begin to serve.
pub fn serve(start: Start) -> Result<i32, StartError> {
    let Start { mut config, admin, file, local, stores, pace, audit, lines, around } = start;
    NameTaken::check(&config, &local)?;
    outlive_file_size_limit().map_err(StartError::System)?;
    (around.complete)(&mut config.plan);
    let operators = Operators::open(admin.or(config.admin))?;
    let meter = Arc::new(Meter::new(clock::now()));
    let say = || Box::new(around.say);
    let decider = Decider::new(Arc::clone(&stores.limits), stores.approvals, audit, say())
        .with_meter(Arc::clone(&meter))
        .with_tasks(stores.tasks)
        .with_courses(stores.courses);
    let decider = Arc::new(decider);
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
    let gateway = Gateway::new(config.plan.clone(), Arc::clone(&decider), identify, pace)?;
    let wanted = WantedSignals::from_environment(&around.variable)?;
    let telemetry = Telemetry::start(&wanted, Some(Arc::clone(&meter)))?;
    let token_help = TokenHelp::new(config.jwt.as_ref(), listener.tls.is_some());
    let gateway = Arc::new(gateway.with_telemetry(telemetry).with_token_help(token_help));
    decider.audit().event(clock::now(), "start", &Whose::gateway(), |line| {
        let line = line.text("version", env!("CARGO_PKG_VERSION"));
        match (&config.file, config.plan.servers.keys().next()) {
            (file, _) if !file.as_os_str().is_empty() => line.text("config", &file.display().to_string()),
            (_, Some(server)) => line.text("server", server.as_str()),
            (_, None) => line,
        }
    });
    // Writes the `start` line now, so that the operator hears of a log that cannot be written before the first call.
    decider.tick(clock::now());
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let (views, seen) = (Arc::clone(&gateway), Arc::clone(&meter));
    let started = move |address: SocketAddr| {
        lines.iter().for_each(|line| (around.say)(line));
        (around.say)(&Said::info(format!("listening on {scheme}://{address}{ENDPOINT}")));
        operators.serve(&views, &seen, &stores.limits, around.say);
        service_manager::tell(ServiceState::Ready, around.say);
    };
    let mut watch = file.map(|file| ReloadWatch {
        file,
        running: config,
        gateway: Arc::clone(&gateway),
        local,
        grants,
        decider,
        meter,
        around,
    });
    let look = move || {
        if let Some(watch) = &mut watch {
            watch.look();
        }
    };
    let ending = move || service_manager::tell(ServiceState::Stopping, around.say);
    let hooks = Hooks { started: Box::new(started), look: Box::new(look), ending: Box::new(ending) };
    let ended = serve::run(&gateway, &listener, drain, hooks);
    gateway.end_telemetry();
    Ok(ended?)
}

/// Warns the operator of grants of the store that are refused because the configuration uses their names.
fn warn_of_doubles(grants: &Grants, say: fn(&Said<'_>)) {
    // A store that cannot be read is reported when a caller needs it; until then it lets no caller in.
    for name in grants.doubles(clock::now()).unwrap_or_default() {
        say(&Said::warning(format!(
            "the grant `{name}` of the state is refused: its name is taken here\n  help: `mcpol grant revoke {name}`, and create it under another name"
        )));
    }
}
