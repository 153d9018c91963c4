//! `mcpol enforce --listen`: the gateway over HTTP, for one server named by flags.

use super::enforce::{DRAIN, bad_lock, bad_policy, command, on_change, open_audit, settings, unreachable};
use super::enforce_config::warn_of_doubles;
use super::operators::{Operators, telemetry};
use super::{Failure, load, output, voice};
use crate::cli::EnforceArgs;
use crate::clock;
use crate::exit::Exit;
use crate::gateway::audit::{Destination, new_session_id};
use crate::gateway::config::{Jwks, Jwt};
use crate::gateway::desk::Desk;
use crate::gateway::http::queue::Pace;
use crate::gateway::http::serve::{Hooks, ServeError};
use crate::gateway::http::{Gateway, SetUpError, serve};
use crate::gateway::identity::{Grants, SubjectRule, TokenRule};
use crate::gateway::jwt::{BadIssuer, JwtIssuer};
use crate::gateway::meter::Meter;
use crate::gateway::plan::{Backend, Children, Cors, Listener, Locked, Per, Plan, Served, TlsFiles};
use crate::gateway::reload::Enforcement;
use crate::model::ServerName;
use crate::state::StatePlace;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A child that nobody asks anything is ended after this long.
const CHILD_IDLE: Duration = Duration::from_secs(10 * 60);

pub(super) fn run(
    args: &EnforceArgs,
    address: SocketAddr,
    enforcement: Enforcement,
    place: &StatePlace,
    audit: &Destination,
    server: ServerName,
    line: String,
) -> Result<Exit, Failure> {
    if !address.ip().is_loopback() && !args.grants && args.jwks.is_none() {
        return Err(Failure::usage(format!("{address} can be reached by others, and no token is asked of them"))
            .with_help("make tokens with `mcpol grant create` and add --grants, or name an issuer with --jwks, or listen on 127.0.0.1"));
    }
    let plan = plan(args, address, enforcement, server.clone())?;
    let operators = Operators::open(args.admin)?;
    let log = open_audit(audit, new_session_id().map_err(output::internal)?)?;
    let stores = crate::state::open(place);
    let meter = Arc::new(Meter::new(clock::now()));
    let notice = Box::new(|text: &str| voice::say(text));
    let desk = Desk::new(Arc::clone(&stores.limits), stores.approvals, log, notice).with_meter(Arc::clone(&meter));
    let desk = Arc::new(desk);
    let rule = if args.grants { TokenRule::Always } else { TokenRule::WhereGranted };
    let grants = Grants::new(stores.grants, rule, &args.grant);
    warn_of_doubles(&grants);
    let identify = Arc::new(match issuer(args)? {
        Some(issuer) => grants.with_issuer(Box::new(issuer), SubjectRule::Any),
        None => grants,
    });
    let listener = plan.listener.clone();
    let gateway = Gateway::new(plan, Arc::clone(&desk), identify, Pace::of(place, audit)).map_err(not_set_up)?;
    let gateway = Arc::new(gateway.with_telemetry(telemetry(&meter)?));
    desk.audit().event(clock::now(), "start", |line| {
        line.text("version", env!("CARGO_PKG_VERSION")).text("server", server.as_str())
    });
    // A log that cannot be written is said before the first call, and the first call is denied.
    desk.tick(clock::now());
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    let served = Arc::clone(&gateway);
    let started = move |address: SocketAddr| {
        voice::say(&line);
        voice::say(&format!("listening on {scheme}://{address}{}", crate::gateway::http::ENDPOINT));
        operators.serve(&served, &meter, &stores.limits);
    };
    let hooks = Hooks { started: Box::new(started), look: Box::new(|| {}) };
    let ended = serve::run(&gateway, &listener, DRAIN, hooks);
    gateway.end_telemetry();
    match ended {
        Ok(signal) if signal == signal_hook::consts::SIGINT => Ok(Exit::Interrupted),
        Ok(_) => Ok(Exit::Clean),
        Err(error) => Err(not_served(&error)),
    }
}

/// The issuer that the flags name.
fn issuer(args: &EnforceArgs) -> Result<Option<JwtIssuer>, Failure> {
    // The command line wants all three or none.
    let (Some(keys), Some(issuer), Some(audience)) = (&args.jwks, &args.jwt_issuer, &args.jwt_audience) else {
        return Ok(None);
    };
    let jwks = match url::Url::parse(keys) {
        Ok(url) if url.has_host() => Jwks::Url(url),
        Ok(_) | Err(_) => Jwks::File(keys.into()),
    };
    let grant_claim = args.jwt_grant_claim.clone();
    let (issuer, audience, subjects) = (issuer.clone(), audience.clone(), SubjectRule::Any);
    let settings = Jwt { jwks, issuer, audience, grant_claim, subjects };
    bad_issuer(JwtIssuer::new(settings, Box::new(|text: &str| voice::say(text)))).map(Some)
}

/// The failure for an issuer that cannot be used.
pub(super) fn bad_issuer(issuer: Result<JwtIssuer, BadIssuer>) -> Result<JwtIssuer, Failure> {
    issuer.map_err(|error| {
        let failure = Failure::usage(error.to_string());
        match error {
            BadIssuer::Unencrypted(_) => {
                failure.with_help("whoever can change the keys on their way can issue tokens: use https or a file")
            }
            BadIssuer::BadFile(_) => failure.with_help("it holds `{\"keys\": […]}`, as issuers publish it (RFC 7517)"),
        }
    })
}

fn plan(
    args: &EnforceArgs,
    address: SocketAddr,
    enforcement: Enforcement,
    server: ServerName,
) -> Result<Plan, Failure> {
    let backend = match &args.upstream {
        Some(url) => Backend::Http(load::http_target(url, server.clone(), &args.header, args.bearer_env.as_deref())?),
        None => Backend::Stdio(Children {
            target: command(server.clone(), args),
            per: Per::Session,
            idle: CHILD_IDLE,
            restarts: args.restart,
        }),
    };
    let tls = args.tls_cert.clone().zip(args.tls_key.clone()).map(|(cert, key)| TlsFiles { cert, key });
    let listener = Listener {
        address,
        tls,
        hosts: args.host.iter().cloned().collect(),
        origins: args.origin.iter().cloned().collect(),
        cors: if args.cors { Cors::On } else { Cors::Off },
    };
    let locked = args.locked.clone().map(|path| Locked { path, on_change: on_change(args) });
    let served = Served { backend, policy: Some(args.policy().to_owned()), enforcement, locked };
    Ok(Plan { listener, servers: [(server, served)].into(), settings: settings(args), drain: DRAIN })
}

pub(super) fn not_set_up(error: SetUpError) -> Failure {
    match error {
        SetUpError::Policy(error) => bad_policy(error),
        SetUpError::Lock(error) => bad_lock(error),
        SetUpError::Server(error) => unreachable(error),
    }
}

pub(super) fn not_served(error: &ServeError) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        ServeError::Listen { .. } => {
            failure.with_help("another address is given with --listen; port 0 takes any free one")
        }
        ServeError::Tls(_) => failure.with_help("--tls-cert and --tls-key name PEM files that belong together"),
        ServeError::System(_) => failure.with_exit(Exit::Internal),
    }
}
