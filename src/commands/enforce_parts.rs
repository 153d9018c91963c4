//! What every kind of `mcpol enforce` needs: settings from flags, the log, and the failure for whatever cannot be used.

use super::load::HandedHeaders;
use super::{Failure, load, state, voice};
use crate::classify::annotated::Filling;
use crate::cli::{AnnotateArg, EnforceArgs, OnChangeArg};
use crate::exit::Exit;
use crate::gateway::audit::{Audit, Destination};
use crate::gateway::exchange::HintPlan;
use crate::gateway::http::SetUpError;
use crate::gateway::http::serve::ServeError;
use crate::gateway::jwt::BadIssuer;
use crate::gateway::locked::{BadLock, OnChange};
use crate::gateway::mediate::Settings;
use crate::gateway::plan::{Backend, Children, Per};
use crate::gateway::reload::BadPolicy;
use crate::gateway::session::End;
use crate::gateway::start::{self, NameTaken, Start, StartError, StdioStart, Surroundings};
use crate::mcp::target::{HttpTarget, StdioTarget};
use crate::model::ServerName;
use crate::policy::Policy;
use crate::state::StatePlace;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long calls in flight may take to end when we are asked to.
pub(super) const DRAIN: Duration = Duration::from_secs(5);
/// The audit log in the state directory.
pub(super) const AUDIT_FILE: &str = "audit.jsonl";
/// The key of its argument hashes, beside it.
const KEY_FILE: &str = "audit.key";

pub(super) fn settings(args: &EnforceArgs) -> Settings {
    Settings {
        call_timeout: (!args.call_timeout.is_zero()).then_some(args.call_timeout),
        approval_wait: args.approval_wait,
        unknown_methods: args.unknown_methods.clone(),
    }
}

/// The rules for each tool and for all, a line each, escaped.
pub(super) fn rules_in_words(policy: &Policy) -> Vec<String> {
    let names = policy.tool_names();
    let width = names.iter().map(|name| crate::text::escape(name).chars().count()).max().unwrap_or(0).min(48);
    let tools = names.iter().map(|name| format!("  {:width$}  {}", crate::text::escape(name), policy.in_words(name)));
    let together = policy.for_all_in_words().into_iter().map(|rule| format!("  all tools together: {rule}"));
    tools.chain(together).collect()
}

/// A child that gets no request for so long is ended.
const CHILD_IDLE: Duration = Duration::from_secs(10 * 60);

/// The server that the flags name: a URL, or a command.
pub(super) fn backend(args: &EnforceArgs, server: &ServerName) -> Result<Backend, Failure> {
    Ok(match &args.upstream {
        Some(url) => {
            let target = load::http_target(
                url,
                server.clone(),
                &HandedHeaders {
                    headers: &args.header,
                    from_env: &args.header_env,
                    bearer_env: args.bearer_env.as_deref(),
                },
            )?;
            Backend::Http(HttpTarget { forward_headers: args.forward_header.clone(), ..target })
        }
        None => Backend::Stdio(Children {
            target: command(server.clone(), args),
            per: Per::Session,
            idle: CHILD_IDLE,
            restarts: args.restart,
        }),
    })
}

/// The server of a command line. It stands where the server stood in the client's configuration, so it sees what it saw
/// there, but for what is the gateway's.
fn command(server: ServerName, args: &EnforceArgs) -> StdioTarget {
    let mut target = StdioTarget::new(server, args.command.clone());
    target.env = crate::mcp::inherited();
    target
}

/// What a gateway over HTTP needs of this program.
pub(super) const AROUND: Surroundings =
    Surroundings { say: voice::say, variable: |name| std::env::var(name).ok(), complete: super::login::attach_all };

/// Serves over HTTP until a signal comes.
pub(super) fn serve(start: Start) -> Result<Exit, Failure> {
    start::serve(start).map(ended_by).map_err(not_started)
}

/// Serves over stdio until one side is gone or a signal comes.
pub(super) fn serve_stdio(start: StdioStart) -> Result<Exit, Failure> {
    let end = start::serve_stdio(start).map_err(not_started)?;
    Ok(match end {
        End::Client => Exit::Clean,
        End::Server(_) => Exit::Unreachable,
        End::Signal(signal) => ended_by(signal),
    })
}

fn ended_by(signal: i32) -> Exit {
    if signal == signal_hook::consts::SIGINT { Exit::Interrupted } else { Exit::Clean }
}

fn not_started(error: StartError) -> Failure {
    let text = error.to_string();
    match error {
        StartError::Name(taken) => name_taken(&taken),
        StartError::Issuer(error) => bad_issuer(&error),
        StartError::Operators { .. } => Failure::usage(text)
            .with_help("give another address (`--admin`, or `admin` in mcpol.toml); port 0 takes any free one"),
        StartError::SetUp(SetUpError::Policy(error)) => bad_policy(error),
        StartError::SetUp(SetUpError::Lock(error)) => bad_lock(error),
        StartError::SetUp(SetUpError::Server(error)) => unreachable(error),
        StartError::Telemetry(_) => {
            Failure::usage(text).with_help("unset the `OTEL_…` variables, or set `OTEL_SDK_DISABLED=true`")
        }
        StartError::Serve(error) => not_served(&error),
        StartError::Server(error) => unreachable(error),
        StartError::Streams(_) => {
            Failure::usage(text).with_help("`mcpol enforce` is started by an MCP client, in place of the server")
        }
        StartError::System(_) => Failure::usage(text).with_exit(Exit::Internal),
    }
}

/// The failure for a grant of a file that is called like callers without a token.
pub(super) fn name_taken(taken: &NameTaken) -> Failure {
    Failure::usage(taken.to_string()).with_help("rename the grant, or call those otherwise with `--grant NAME`")
}

fn bad_issuer(error: &BadIssuer) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        BadIssuer::Unencrypted(_) => {
            failure.with_help("whoever can change the keys on their way can issue tokens: use https or a file")
        }
        BadIssuer::BadFile(_) => failure.with_help("it holds `{\"keys\": […]}`, as issuers publish it (RFC 7517)"),
    }
}

fn not_served(error: &ServeError) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        ServeError::Listen { .. } => {
            failure.with_help("another address is given with --listen; port 0 takes any free one")
        }
        ServeError::Tls(_) => failure.with_help("--tls-cert and --tls-key name PEM files that belong together"),
        ServeError::System(_) => failure.with_exit(Exit::Internal),
    }
}

fn unreachable(error: crate::mcp::ConnectError) -> Failure {
    let failure = Failure::usage(error.to_string()).with_exit(error.exit());
    match error.help() {
        Some(help) => failure.with_help(help),
        None => failure,
    }
}

pub(super) fn bad_policy(error: BadPolicy) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        BadPolicy::Unreadable { .. } => failure.with_help("`mcpol gen-policy -o policy.json …` writes one"),
        BadPolicy::Invalid { problems, .. } => failure.with_problems(problems),
    }
}

pub(super) fn on_change(args: &EnforceArgs) -> OnChange {
    match args.on_change {
        OnChangeArg::Deny => OnChange::Deny,
        OnChangeArg::Warn => OnChange::Warn,
    }
}

/// The hints that clients are served, by the rules inside this binary alone.
pub(super) fn hints(args: &EnforceArgs) -> Option<HintPlan> {
    let filling = match args.annotate? {
        AnnotateArg::Fill => Filling::Missing,
        AnnotateArg::Correct => Filling::Wrong,
    };
    Some(HintPlan { filling, settings: Arc::default() })
}

pub(super) fn bad_lock(error: BadLock) -> Failure {
    let failure = Failure::usage(error.to_string());
    let naming = "say with `--name` which one this is, or `mcpol lock --update` adds it";
    match &error {
        BadLock::Invalid { problems, .. } => failure.with_problems(problems.clone()),
        BadLock::Unreadable { .. } | BadLock::NoServer { .. } => failure.with_help(error.help(naming)),
    }
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

/// The files that a gateway itself writes, with what they are to the operator.
pub(super) fn own_files(place: &StatePlace, audit: &Destination) -> Vec<(&'static str, PathBuf)> {
    let state = match place {
        StatePlace::File(path) => Some(("state", path.clone())),
        StatePlace::Memory | StatePlace::Redis(_) => None,
    };
    let log = match audit {
        Destination::File(path) if !path.exists() || path.is_file() => Some(("log", path.clone())),
        Destination::File(_) | Destination::Stderr | Destination::Nowhere => None,
    };
    state.into_iter().chain(log).collect()
}

fn cannot_log(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot open the audit log `{}`: {error}", path.display()))
        .with_help("name another file with --audit, or run without a log: `--audit none`")
}
