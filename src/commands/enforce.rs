//! `mcpol enforce`: the gateway between one client and one server.

use super::enforce_parts::{
    AROUND, DRAIN, audit_destination, backend, bad_lock, bad_policy, hints, on_change, open_audit, own_files,
    rules_in_words, serve_stdio, settings,
};
use super::voice;
use super::{Failure, enforce_config, enforce_http, load, output, state};
use crate::cli::EnforceArgs;
use crate::exit::Exit;
use crate::gateway::audit::{Destination, new_session_id};
use crate::gateway::lock_watch::LockWatch;
use crate::gateway::locked::{self, Guard, OnChange};
use crate::gateway::plan::Backend;
use crate::gateway::policies::Slot;
use crate::gateway::reach::{self, KeptFile};
use crate::gateway::reload::Enforcement;
use crate::gateway::said::Said;
use crate::gateway::start::StdioStart;
use crate::model::ServerName;
use crate::policy::{Caller, Pledge, Policy};
use crate::state::StatePlace;
use std::sync::Arc;

pub(super) fn run(args: EnforceArgs) -> Result<Exit, Failure> {
    if let Some(path) = &args.config {
        return enforce_config::run(&args, path);
    }
    if args.admin.is_some() && args.listen.is_none() {
        return Err(Failure::usage("--admin is for a gateway over HTTP").with_help("add --listen or --config"));
    }
    voice::set(args.log_format());
    let enforcement = if args.shadow { Enforcement::Shadow } else { Enforcement::AsWritten };
    let slot = Slot::open(args.policy(), enforcement).map_err(bad_policy)?;
    let policy = slot.policy().ok_or_else(|| output::internal(std::io::Error::other("there is no policy")))?;
    let place = state::place(args.state.as_deref())?;
    let audit = audit_destination(args.audit.as_deref())?;
    let server = server_name(&args)?;
    // Watched before it is read: what changes meanwhile is seen at the first look.
    let lock = args.locked.as_ref().map(|lock| LockWatch::new(lock, server.clone()));
    let guard = guard(&args, &server)?;
    let warnings = reach_of(&args, &server, &place, &audit);
    if args.dry_run {
        warnings.iter().for_each(|warning| output::people(&format!("warning: {warning}\n")));
        return dry_run(&args, &policy, guard.as_deref(), &place, &audit, &server);
    }
    let line = startup_line(&args, &policy, guard.as_deref(), &server);
    let rules = if output::is_verbose() { rules_in_words(&policy) } else { Vec::new() };
    let said = std::iter::once(line).chain(rules).map(Said::info);
    let lines = said.chain(warnings.into_iter().map(Said::warning)).collect();
    if let Some(address) = args.listen {
        return enforce_http::run(&args, address, enforcement, &place, &audit, server, lines);
    }
    let session = new_session_id().map_err(output::internal)?;
    serve_stdio(StdioStart {
        lines,
        policy: slot,
        lock: lock.zip(guard),
        backend: backend(&args, &server)?,
        hints: hints(&args),
        caller: Caller {
            server: server.as_str().into(),
            grant: Some(args.grant.as_str().into()),
            session: Some(session.as_str().into()),
            course: None,
            pledge: args.pledge.as_ref().map(|tools| {
                let tools = tools.iter().map(|tool| (server.as_str().to_owned(), tool.trim().to_owned()));
                Arc::new(Pledge::of_tools(tools))
            }),
        },
        settings: settings(&args),
        drain: DRAIN,
        reloading: args.reloading(),
        stores: crate::state::open(&place),
        audit: open_audit(&audit, session)?,
        around: AROUND,
    })
}

/// Which of the files that this gateway goes by others can change.
fn reach_of(
    args: &EnforceArgs,
    server: &ServerName,
    place: &StatePlace,
    audit: &Destination,
) -> std::collections::BTreeSet<String> {
    let mut files = vec![KeptFile { what: "policy", path: args.policy() }];
    files.extend(args.locked.as_deref().map(|path| KeptFile { what: "lock", path }));
    let own = own_files(place, audit);
    files.extend(own.iter().map(|(what, path)| KeptFile { what, path }));
    // A dry run may name no server.
    let target = match (!args.command.is_empty()).then(|| backend(args, server)) {
        Some(Ok(Backend::Stdio(children))) => Some(children.target),
        Some(Ok(Backend::Http(_)) | Err(_)) | None => None,
    };
    reach::warnings(&files, target.as_ref())
}

/// The lock that calls are held to, if one was named.
fn guard(args: &EnforceArgs, server: &ServerName) -> Result<Option<Arc<Guard>>, Failure> {
    let Some(path) = &args.locked else { return Ok(None) };
    let reviewed = locked::read(path, server).map_err(bad_lock)?;
    Ok(Some(Arc::new(Guard::new(reviewed, on_change(args)))))
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
    // A dry run may be without a server.
    let whose = if server.as_str().is_empty() { String::new() } else { format!("{server}: ") };
    format!(
        "{whose}policy {} ({}): {} allowed, {} limited, {} refused, {} hidden, the rest {rest}; {}{lock}{}{}",
        args.policy().display(),
        &policy.hash()[..12],
        summary.allowed,
        summary.limited,
        summary.refused,
        summary.hidden,
        args.unknown_methods.beside_in_words(policy),
        hints(args).map_or_else(String::new, |plan| format!("; {}", plan.in_words())),
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
    let _ = writeln!(text, "state  {place}\naudit  {audit}\ngrant  {}", crate::text::escape(&args.grant));
    if !args.forward_header.is_empty() {
        let names: Vec<&str> = args.forward_header.iter().map(http::HeaderName::as_str).collect();
        let _ = writeln!(text, "headers of clients that go on  {}", names.join(", "));
    }
    text.push('\n');
    for line in rules_in_words(policy) {
        let _ = writeln!(text, "{line}");
    }
    if let Some(guard) = guard {
        let unknown = policy.tool_names().into_iter().filter(|name| !guard.reviewed().has(name));
        let unknown: Vec<_> = unknown.map(crate::text::escape).collect();
        if !unknown.is_empty() {
            let _ = writeln!(text, "  not in the lock: {}", unknown.join(", "));
        }
    }
    output::coloured(&text)?;
    Ok(Exit::Clean)
}
