//! Which servers a check looks at: those that the arguments name, else those of the lock. A stdio server is started in
//! CI only where `--run-servers` says so, and one that only the lock names never without it: whoever may change the
//! lock in a pull request must not thereby choose what CI runs.

use super::super::load::{self, Configuration, Item};
use super::super::lock_file::{self, Locked};
use super::super::{Failure, output, project};
use crate::catalog::{LockedServer, REDACTED};
use crate::cli::{CheckArgs, ClientCapability, TargetArgs};
use crate::model::{ServerName, ServerSource};
use crate::report::Failed;
use clap::ValueEnum as _;
use std::path::PathBuf;

/// Whether this is a CI job, as every CI service says it.
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// Whether the arguments name a whole set, so that what is missing from it is gone.
pub(super) fn is_whole(args: &CheckArgs) -> bool {
    let target = &args.target;
    let none = !load::names_anything(target);
    !none && target.url.is_none() && target.command.is_empty() && target.server.is_empty()
}

/// Hands over every server that is to be looked at.
///
/// # Errors
/// Something would be started that may not be; or whatever `on` returned.
pub(super) fn each(
    args: &CheckArgs,
    locked: &dyn Fn() -> Result<Locked, Failure>,
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if load::names_anything(&args.target) {
        return named(args, args.target.clone(), on);
    }
    // Where mcpol.toml has the servers, it knows how they are reached, with their variables and headers.
    let target = if args.offline { args.target.clone() } else { project::with_servers(&args.target)? };
    let project = if load::names_anything(&target) { project::find(None)? } else { None };
    if project.is_some() {
        named(args, target, on)?;
    }
    let mut locked = locked()?;
    let names: Vec<_> = locked.lock.names().map(|(name, _)| name.clone()).collect();
    let known = |name: &ServerName| project.as_ref().is_some_and(|project| project.has(name.as_str()));
    for name in names.into_iter().filter(|name| !known(name)) {
        let file = locked.lock.file().to_owned();
        for (server, _) in locked.lock.servers(&name).map_err(|problems| lock_file::invalid(&file, problems))? {
            if args.offline {
                on(Item::Listing(Box::new(server.listing()), Configuration::default()))?;
                continue;
            }
            match target_of(args, &server)? {
                Ok(Some(target)) => load::each(&target, on)?,
                Ok(None) => load::sample(&args.target, on)?,
                Err(error) => on(Item::Failed(Failed { server: name.clone(), error }))?,
            }
        }
    }
    Ok(())
}

fn named(
    args: &CheckArgs,
    mut target: TargetArgs,
    on: &mut dyn FnMut(Item) -> Result<(), Failure>,
) -> Result<(), Failure> {
    const HELP: &str =
        "`--run-servers` lets a check start servers where `CI` is set; `--offline --tools FILE` needs none";
    if !in_ci() || args.run_servers {
        target.yes |= args.run_servers;
        return load::each(&target, on);
    }
    if !target.command.is_empty() {
        return Err(Failure::usage("no server is started in CI unasked").with_help(HELP));
    }
    let asked = std::mem::replace(&mut target.yes, false);
    load::each(&target, on)
        .map_err(|failure| if asked || !target.config.is_empty() { failure.with_help(HELP) } else { failure })
}

/// How to ask a server of the lock again; nothing for the sample server, a sentence where it cannot be done.
fn target_of(args: &CheckArgs, locked: &LockedServer) -> Result<Result<Option<TargetArgs>, String>, Failure> {
    let name = locked.server.as_str();
    let mut target = TargetArgs { name: Some(name.to_owned()), ..args.target.clone() };
    for declared in locked.client_capabilities.iter().flatten() {
        match ClientCapability::from_str(declared, false) {
            Ok(capability) => target.capability.push(capability),
            Err(_) => {
                let declared = crate::text::excerpt(declared, 40);
                return Ok(Err(format!(
                    "it was asked with the client capability `{declared}`, which is not known here"
                )));
            }
        }
    }
    match &locked.source {
        ServerSource::Command { argv, env, .. } => {
            if !args.run_servers {
                return Err(Failure::usage(format!(
                    "`{name}` of the lock is a command, and nothing is started unasked"
                ))
                .with_help("`--run-servers` starts it, `--offline` looks at the lock and the policy alone"));
            }
            if argv.iter().any(|argument| argument.contains(REDACTED)) {
                return Ok(Err(
                    "its command holds a secret that the lock leaves out\n  help: name the server on the command line"
                        .to_owned(),
                ));
            }
            let set = |variable: &&String| std::env::var_os(variable.as_str()).is_some();
            target.env.extend(env.iter().filter(set).cloned());
            target.command.clone_from(argv);
        }
        ServerSource::Url { url, headers } => {
            if headers.is_empty() {
                target.url = Some(url.clone());
            } else {
                return Ok(Err("it wants headers, whose values are not in the lock\n  help: name it on the command line with `--header`".to_owned()));
            }
        }
        ServerSource::File { path, .. } => target.tools = vec![PathBuf::from(path)],
        ServerSource::Sample => return Ok(Ok(None)),
    }
    Ok(Ok(Some(target)))
}

/// Says what was accepted once and is not any more.
pub(super) fn tell_expired(sentences: impl Iterator<Item = String>) {
    for sentence in sentences {
        output::people(&format!("warning: {}\n", crate::text::escape(&sentence)));
    }
}
