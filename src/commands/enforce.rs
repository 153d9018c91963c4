//! `mcpol enforce`: the gateway between one client and one server.

use super::{Failure, enforce_config, enforce_http, load, output, state, voice};
use crate::cli::{EnforceArgs, OnChangeArg, UnknownMethodsArg};
use crate::exit::Exit;
use crate::gateway::audit::{Audit, Destination, new_session_id};
use crate::gateway::desk::Desk;
use crate::gateway::locked::{self, BadLock, Guard, OnChange};
use crate::gateway::mediate::{Mediator, Settings, UnknownMethods};
use crate::gateway::outbox::standard_streams;
use crate::gateway::reload::{BadPolicy, Enforcement, Reload, read};
use crate::gateway::session::{End, Event, Lifetime, Session};
use crate::gateway::upstream::Launch;
use crate::mcp::target::{Secret, StdioTarget};
use crate::model::ServerName;
use crate::policy::{Caller, Policy, Visibility};
use crate::state::StatePlace;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// How long calls in flight may take to end when we are asked to.
pub(super) const DRAIN: Duration = Duration::from_secs(5);
/// The audit log in the state directory.
pub(super) const AUDIT_FILE: &str = "audit.jsonl";
/// The key of its argument hashes, beside it.
const KEY_FILE: &str = "audit.key";

pub(super) fn run(args: EnforceArgs) -> Result<Exit, Failure> {
    if let Some(path) = &args.config {
        return enforce_config::run(&args, path);
    }
    if args.admin.is_some() && args.listen.is_none() {
        return Err(Failure::usage("--admin is for a gateway over HTTP").with_help("add --listen or --config"));
    }
    let enforcement = if args.shadow { Enforcement::Shadow } else { Enforcement::AsWritten };
    let mut reload = Reload::new(args.policy().to_owned(), enforcement);
    let policy = Arc::new(read(args.policy(), enforcement).map_err(bad_policy)?);
    let place = state::place(args.state.as_deref())?;
    let audit = audit_destination(args.audit.as_deref())?;
    let server = server_name(&args)?;
    if let Some(lock) = &args.locked {
        reload = reload.and_lock(lock.clone(), server.clone());
    }
    let guard = guard(&args, &server)?;
    if args.dry_run {
        return dry_run(&args, &policy, guard.as_deref(), &place, &audit, &server);
    }
    if let Some(address) = args.listen {
        let line = startup_line(&args, &policy, guard.as_deref(), &server);
        return enforce_http::run(&args, address, enforcement, &place, &audit, server, line);
    }
    let id = new_session_id().map_err(output::internal)?;
    let log = open_audit(&audit, id.clone())?;
    let stores = crate::state::open(&place);
    let caller = Caller {
        server: server.as_str().into(),
        grant: Some(args.grant.as_str().into()),
        session: Some(id.as_str().into()),
    };
    let settings = settings(&args);
    let hash = policy.hash().to_owned();
    let notice = Box::new(|text: &str| voice::say(text));
    let desk = Arc::new(Desk::new(stores.limits, stores.approvals, log, notice));
    voice::say(&startup_line(&args, &policy, guard.as_deref(), &server));
    let mediator = Mediator::new(Arc::clone(&policy), desk, caller, settings);
    let mediator = Arc::new(match guard {
        Some(guard) => mediator.with_guard(guard),
        None => mediator,
    });
    mediator.audit().event(crate::clock::now(), "start", |line| {
        line.text("version", env!("CARGO_PKG_VERSION")).text("server", server.as_str()).text("policy", &hash)
    });
    // A log that cannot be written is said before the first call, and the first call is denied.
    if let Err(error) = mediator.audit().tick() {
        voice::say(&format!("cannot write the audit log: {error}"));
    }
    let end = serve(&args, reload, mediator, server)?;
    Ok(match end {
        End::Client => Exit::Clean,
        End::Server(_) => Exit::Unreachable,
        End::Signal(signal) if signal == signal_hook::consts::SIGINT => Exit::Interrupted,
        End::Signal(_) => Exit::Clean,
    })
}

pub(super) fn settings(args: &EnforceArgs) -> Settings {
    Settings {
        call_timeout: (!args.call_timeout.is_zero()).then_some(args.call_timeout),
        approval_wait: args.approval_wait,
        unknown_methods: match args.unknown_methods {
            UnknownMethodsArg::Forward => UnknownMethods::Forward,
            UnknownMethodsArg::Refuse => UnknownMethods::Refuse,
        },
    }
}

fn serve(args: &EnforceArgs, reload: Reload, mediator: Arc<Mediator>, server: ServerName) -> Result<End, Failure> {
    let streams = standard_streams().map_err(|error| {
        Failure::usage(format!("standard input or output is closed: {error}"))
            .with_help("`mcpol enforce` is started by an MCP client, in place of the server")
    })?;
    if let Some(url) = &args.upstream {
        let target = load::http_target(url, server, &args.header, args.bearer_env.as_deref())?;
        let session = Session::connect(mediator, streams, &target, DRAIN).map_err(unreachable)?;
        listen_to_signals(session.sender())?;
        reload.tell(&session.sender());
        return Ok(session.run(Some(reload)));
    }
    let target = command(server, args);
    let launch = Launch { target, launcher: crate::mcp::supervise::launcher(), stderr: voice::say_of_server };
    let process = launch.start().map_err(unreachable)?;
    let lifetime = Lifetime { restarts: args.restart, drain: DRAIN };
    let session = Session::start(mediator, streams, launch, process, lifetime).map_err(output::internal)?;
    listen_to_signals(session.sender())?;
    reload.tell(&session.sender());
    Ok(session.run(Some(reload)))
}

/// The server of a command line. It stands where the server stood in the client's configuration, so it sees what it saw
/// there.
pub(super) fn command(server: ServerName, args: &EnforceArgs) -> StdioTarget {
    let mut target = StdioTarget::new(server, args.command.clone());
    target.env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, Secret::new(value.into_string().ok()?))))
        .collect();
    target
}

pub(super) fn unreachable(error: crate::mcp::ConnectError) -> Failure {
    let failure = Failure::usage(error.to_string()).with_exit(error.exit());
    match error.help() {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

fn listen_to_signals(sender: Sender<Event>) -> Result<(), Failure> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(output::internal)?;
    let work = move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(work).map_err(output::internal)?;
    Ok(())
}

pub(super) fn bad_policy(error: BadPolicy) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        BadPolicy::Unreadable { .. } => failure.with_help("`mcpol gen-policy -o policy.json …` writes one"),
        BadPolicy::Invalid { problems, .. } => failure.with_problems(problems),
    }
}

/// The lock that calls are held to, if one was named.
fn guard(args: &EnforceArgs, server: &ServerName) -> Result<Option<Arc<Guard>>, Failure> {
    let Some(path) = &args.locked else { return Ok(None) };
    let reviewed = locked::read(path, server).map_err(bad_lock)?;
    Ok(Some(Arc::new(Guard::new(reviewed, on_change(args)))))
}

pub(super) fn on_change(args: &EnforceArgs) -> OnChange {
    match args.on_change {
        OnChangeArg::Deny => OnChange::Deny,
        OnChangeArg::Warn => OnChange::Warn,
    }
}

pub(super) fn bad_lock(error: BadLock) -> Failure {
    let failure = Failure::usage(error.to_string());
    let naming = "say with `--name` which one this is, or `mcpol lock --update` adds it";
    match &error {
        BadLock::Invalid { problems, .. } => failure.with_problems(problems.clone()),
        BadLock::Unreadable { .. } | BadLock::NoServer { .. } => failure.with_help(error.help(naming)),
    }
}

fn server_name(args: &EnforceArgs) -> Result<ServerName, Failure> {
    if let Some(name) = &args.name {
        return Ok(ServerName::new(name));
    }
    if let Some(text) = &args.upstream {
        return load::name_of_url(text);
    }
    Ok(load::name_of_command(&args.command))
}

pub(super) fn audit_destination(given: Option<&Path>) -> Result<Destination, Failure> {
    Ok(match given {
        Some(path) if path == Path::new("none") => Destination::Nowhere,
        Some(path) if path == Path::new("-") => Destination::Stderr,
        Some(path) => Destination::File(path.to_owned()),
        None => Destination::File(state::folder("--audit")?.join(AUDIT_FILE)),
    })
}

pub(super) fn open_audit(destination: &Destination, session: String) -> Result<Audit, Failure> {
    let key = match destination {
        Destination::Nowhere => None,
        // One key for all logs of a user, so that the same arguments have the same hash in each.
        Destination::File(_) | Destination::Stderr => match state::folder("--audit") {
            Ok(folder) => {
                crate::state::make_private_folder(&folder).map_err(|error| cannot_log(&folder, &error))?;
                Some(folder.join(KEY_FILE))
            }
            Err(_) => None,
        },
    };
    if let Destination::File(path) = destination
        && let Some(folder) = path.parent()
    {
        crate::state::make_private_folder(folder).map_err(|error| cannot_log(folder, &error))?;
    }
    Audit::open(destination, key.as_deref(), session).map_err(|error| {
        let path = match destination {
            Destination::File(path) => path.as_path(),
            Destination::Stderr | Destination::Nowhere => Path::new("stderr"),
        };
        cannot_log(path, &error)
    })
}

fn cannot_log(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot open the audit log `{}`: {error}", path.display()))
        .with_help("name another file with --audit, or run without a log: `--audit none`")
}

fn startup_line(args: &EnforceArgs, policy: &Policy, guard: Option<&Guard>, server: &ServerName) -> String {
    let lock = match (&args.locked, guard) {
        (Some(path), Some(guard)) => {
            let what = match guard.on_change() {
                OnChange::Deny => "refused",
                OnChange::Warn => "said",
            };
            let count = guard.reviewed().count();
            format!("; lock {} ({count} tools): others and changed ones are {what}", path.display())
        }
        _ => String::new(),
    };
    let summary = policy.summary();
    let rest = match policy.document().default {
        crate::policy::Unlisted::Allow => "allowed",
        crate::policy::Unlisted::Deny => "denied",
    };
    format!(
        "{server}: policy {} ({}): {} allowed, {} limited, {} refused, {} hidden, the rest {rest}{lock}{}",
        args.policy().display(),
        &policy.hash()[..12],
        summary.allowed,
        summary.limited,
        summary.refused,
        summary.hidden,
        if args.shadow { "; SHADOW: every call is forwarded" } else { "" },
    )
}

fn dry_run(
    args: &EnforceArgs,
    policy: &Policy,
    guard: Option<&Guard>,
    place: &StatePlace,
    audit: &Destination,
    server: &ServerName,
) -> Result<Exit, Failure> {
    use std::fmt::Write as _;
    let mut text = String::new();
    let audit = match audit {
        Destination::File(path) => path.display().to_string(),
        Destination::Stderr => "stderr".to_owned(),
        Destination::Nowhere => "none".to_owned(),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", startup_line(args, policy, guard, server));
    let _ = writeln!(text, "state  {place}\naudit  {audit}\ngrant  {}\n", crate::text::escape(&args.grant));
    let names = policy.tool_names();
    let width = names.iter().map(|name| crate::text::escape(name).chars().count()).max().unwrap_or(0).min(48);
    for name in names {
        let what = match policy.appearance(name) {
            Visibility::Hidden => "hidden",
            Visibility::Refused => "refused",
            Visibility::Listed if policy.wants_approval(name) => "after approval",
            Visibility::Listed => "listed",
        };
        let unlocked = guard.is_some_and(|guard| !guard.reviewed().has(name));
        let lock = if unlocked { ", not in the lock" } else { "" };
        let _ = writeln!(text, "  {:width$}  {what}{lock}", crate::text::escape(name));
    }
    output::coloured(&text)?;
    Ok(Exit::Clean)
}
