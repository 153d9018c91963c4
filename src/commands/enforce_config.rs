//! `mcpol enforce --config`: many servers, grants and a listener, as `mcpol.toml` describes them.

use super::enforce_parts::{AROUND, audit_destination, name_taken, open_audit, own_files, rules_in_words, serve};
use super::voice;
use super::{Failure, output, project, state};
use crate::cli::EnforceArgs;
use crate::exit::Exit;
use crate::gateway::audit::{Destination, new_session_id};
use crate::gateway::config::{self, AuditPlace, Checked, Config};
use crate::gateway::exchange::HintPlan;
use crate::gateway::http::ENDPOINT;
use crate::gateway::http::queue::Pace;
use crate::gateway::plan::{Backend, Plan};
use crate::gateway::reach::{self, KeptFile};
use crate::gateway::said::Said;
use crate::gateway::start::{NameTaken, Start};
use crate::gateway::watched_file::WatchedFile;
use crate::mcp::target::Confinement;
use crate::report::{PlannedServer, config_table};
use crate::state::StatePlace;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

pub(super) fn run(args: &EnforceArgs, path: &Path) -> Result<Exit, Failure> {
    voice::set(args.log_format());
    let file = WatchedFile::new(path);
    let Checked { mut config, warnings } = load(path)?;
    config.plan.reloading = args.reloading();
    NameTaken::check(&config, &args.grant).map_err(|taken| name_taken(&taken))?;
    let (place, audit) = places(&config)?;
    let admin = args.admin.or(config.admin);
    let warnings = warnings.iter().map(ToString::to_string);
    let warnings: Vec<_> = warnings.chain(reach_of(&config, &place, &audit)).collect();
    if args.dry_run {
        warnings.iter().for_each(|warning| output::people(&format!("warning: {warning}\n")));
        return dry_run(&config, admin, &place, &audit);
    }
    // Before anything that can fail, which these may explain.
    warnings.into_iter().for_each(|warning| voice::say(&Said::warning(warning)));
    serve(Start {
        lines: startup_lines(&config),
        config,
        admin: args.admin,
        file: (!args.no_reload).then_some(file),
        local: args.grant.clone(),
        stores: crate::state::open(&place),
        pace: Pace::of(&place, &audit),
        audit: open_audit(&audit, new_session_id().map_err(output::internal)?)?,
        around: AROUND,
    })
}

/// Reads a configuration with all that it names, and says what it comes to.
///
/// # Errors
/// Anything of it is not valid.
pub(super) fn check(path: &Path) -> Result<Exit, Failure> {
    let Checked { config, warnings } = load(path)?;
    for warning in &warnings {
        output::people(&format!("warning: {warning}\n"));
    }
    let (place, audit) = places(&config)?;
    dry_run(&config, config.admin, &place, &audit)
}

/// Where the gateway keeps state and log.
fn places(config: &Config) -> Result<(StatePlace, Destination), Failure> {
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
    Ok((place, audit))
}

/// Which of the files that the gateway goes by others can change, the commands behind it among them.
fn reach_of(config: &Config, place: &StatePlace, audit: &Destination) -> BTreeSet<String> {
    let mut files = vec![KeptFile { what: "configuration", path: &config.file }];
    files.extend(config.policies.keys().map(|path| KeptFile { what: "policy", path }));
    let locks: BTreeSet<&Path> =
        config.plan.servers.values().filter_map(|served| Some(&*served.locked.as_ref()?.path)).collect();
    files.extend(locks.into_iter().map(|path| KeptFile { what: "lock", path }));
    let own = own_files(place, audit);
    files.extend(own.iter().map(|(what, path)| KeptFile { what, path }));
    let mut warnings = reach::warnings(&files, None);
    for served in config.plan.servers.values() {
        if let Backend::Stdio(children) = &served.backend {
            warnings.extend(reach::warnings(&files, Some(&children.target)));
        }
    }
    warnings
}

fn load(path: &Path) -> Result<Checked, Failure> {
    config::load(path, &|name| std::env::var(name).ok()).map_err(project::unreadable)
}

/// One line a server, and with `-v` one for the rules of each tool, for those who read what the gateway says.
fn startup_lines(config: &Config) -> Vec<Said<'static>> {
    planned(config)
        .into_iter()
        .flat_map(|server| {
            let lock = server.lock.map_or_else(String::new, |(tools, _)| format!("; lock of {tools} tools"));
            let beside = server.beside.map_or_else(String::new, |beside| format!("; {beside}"));
            let hints = server.hints.map_or_else(String::new, |hints| format!("; {hints}"));
            let line = format!("{}; policy {}{beside}{lock}{hints}", server.place, server.policy);
            let rules = if output::is_verbose() { server.rules } else { Vec::new() };
            let lines = std::iter::once(line).chain(rules);
            lines.map(|line| Said::info(line).of(server.name.clone())).collect::<Vec<_>>()
        })
        .collect()
}

/// What a command is held to, behind it.
fn shown_confinement(confinement: &Confinement) -> String {
    let mut parts = Vec::new();
    parts.extend(confinement.user.map(|user| format!("user {user}")));
    parts.extend(confinement.group.map(|group| format!("group {group}")));
    parts.extend(confinement.sandbox.as_ref().map(|_| "sandbox".to_owned()));
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

fn planned(config: &Config) -> Vec<PlannedServer> {
    let servers = config.plan.servers.iter().map(|(name, served)| {
        let place = match &served.backend {
            Backend::Http(target) => crate::mcp::target::redacted(&target.url),
            Backend::Stdio(children) => {
                children.target.shown_argv().join(" ") + &shown_confinement(&children.target.confinement)
            }
        };
        let policy = served.policy.as_ref().and_then(|path| Some((path, config.policies.get(path)?)));
        PlannedServer {
            name: name.as_str().to_owned(),
            place,
            policy: policy.map_or_else(|| "none".to_owned(), |(path, _)| path.display().to_string()),
            summary: policy.map(|(_, policy)| (policy.summary(), policy.document().default)),
            beside: policy.map(|(_, policy)| config.plan.settings.unknown_methods.beside_in_words(policy)),
            rules: policy.map(|(_, policy)| rules_in_words(policy)).unwrap_or_default(),
            enforcement: served.enforcement,
            forwarded: match &served.backend {
                Backend::Http(target) => target.forward_headers.iter().map(ToString::to_string).collect(),
                Backend::Stdio(_) => Vec::new(),
            },
            hints: served.hints.as_ref().map(HintPlan::in_words),
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
