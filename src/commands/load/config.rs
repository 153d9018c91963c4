//! Servers of MCP clients' configuration files. Scanning a stdio server runs it, so commands that nobody typed here are
//! shown and confirmed first.

use super::super::{Failure, output};
use super::Item;
use super::live::Job;
use crate::classify::findings::source::{literal_secret, secret_arguments, secret_in_config};
use crate::cli::TargetArgs;
use crate::clients::{self, ConfigFile, Configured, Found, Places, ValueKind, Written};
use crate::exit::Exit;
use crate::mcp::target::Target;
use crate::report::Failed;
use crate::text::{escape, nearest};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};

/// The configuration files of the MCP clients on this machine; none is opened.
pub(super) fn found_here() -> Vec<Found> {
    Places::of_this_machine().map(|places| clients::discover(&places)).unwrap_or_default()
}

/// The servers of the configuration files that the arguments name, after the user has agreed to run their commands.
/// Files and entries that are not valid are handed to `on`; the others go on.
///
/// # Errors
/// A server is named that no file has, the commands were not confirmed, or whatever `on` returned.
pub(super) fn servers(args: &TargetArgs, on: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<Vec<Job>, Failure> {
    if args.config.is_empty() && !args.discover {
        if args.server.is_empty() {
            return Ok(Vec::new());
        }
        return Err(Failure::usage("--server chooses from a configuration, and none is named")
            .with_help("add `--config FILE` or `--discover`"));
    }
    let mut read = Vec::new();
    for path in &args.config {
        read.push(clients::load(path).map(Some));
    }
    if args.discover {
        read.extend(found_here().iter().map(clients::load_found));
    }
    let mut files = Vec::new();
    for file in read {
        match file {
            Ok(Some(file)) => files.push(file),
            Ok(None) => {}
            Err(problem) => on(Item::Problem(problem))?,
        }
    }
    for problem in files.iter().flat_map(|file| &file.problems) {
        on(Item::Problem(problem.clone()))?;
    }
    let notes: String =
        files.iter().flat_map(|file| &file.notes).map(|note| format!("note: {}\n", escape(&note.message))).collect();
    output::people(&notes);
    let chosen = choose(args, &files)?;
    confirm(args, &chosen)?;
    jobs(&chosen, on)
}

/// The servers that are asked for, each once: the same command in the files of two clients is one server.
fn choose<'a>(args: &TargetArgs, files: &'a [ConfigFile]) -> Result<Vec<&'a Configured>, Failure> {
    let all: Vec<&Configured> = files.iter().flat_map(|file| &file.servers).collect();
    let known: BTreeSet<_> = all.iter().map(|server| server.name.as_str()).collect();
    let unknown: Vec<_> = args.server.iter().filter(|name| !known.contains(name.as_str())).collect();
    if let Some(first) = unknown.first() {
        let names: Vec<_> = unknown.iter().map(|name| format!("`{name}`")).collect();
        let help = match nearest(first, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "the configuration has no servers".to_owned(),
            None => format!("it has {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        return Err(Failure::usage(format!("no server {} in the configuration", names.join(", "))).with_help(help));
    }
    let mut seen = BTreeSet::new();
    Ok(all
        .into_iter()
        .filter(|server| args.server.is_empty() || args.server.iter().any(|name| name == server.name.as_str()))
        .filter(|server| seen.insert((server.name.clone(), identity(&server.target))))
        .collect())
}

/// What makes two entries the same server; it is compared and never shown.
fn identity(target: &Target) -> Vec<String> {
    let pairs = |map: &BTreeMap<String, crate::mcp::target::Secret>| {
        map.iter().map(|(name, value)| format!("{name}={}", value.reveal())).collect::<Vec<_>>()
    };
    match target {
        Target::Stdio(it) => [it.argv.clone(), pairs(&it.env)].concat(),
        Target::Http(it) => [vec![it.url.to_string()], pairs(&it.headers)].concat(),
    }
}

/// Shows the commands and asks, unless `--yes` was given. Nothing is run unasked.
fn confirm(args: &TargetArgs, chosen: &[&Configured]) -> Result<(), Failure> {
    let commands: Vec<_> = chosen.iter().filter(|server| matches!(server.target, Target::Stdio(_))).collect();
    if commands.is_empty() || args.yes {
        return Ok(());
    }
    let mut text = String::from("Scanning these servers runs their commands:\n");
    for server in &commands {
        if let Target::Stdio(target) = &server.target {
            let shown: Vec<_> = target.shown_argv().iter().map(|argument| word(argument)).collect();
            let _ = writeln!(text, "  {:<16} {}", server.name, shown.join(" "));
            let place = server.place.map_or(String::new(), |place| format!(":{}", place.line));
            let _ = write!(text, "  {:<16} from {}{place} ({})", "", escape(&server.file), server.client);
            if !target.env.is_empty() {
                let names: Vec<_> = target.env.keys().map(|name| escape(name)).collect();
                let _ = write!(text, ", with {}", names.join(", "));
            }
            text.push('\n');
        }
    }
    output::people(&text);
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::usage(
            "commands from a configuration are not run without consent, and there is no terminal to ask on",
        )
        .with_help("add `--yes` to run them, or `--server NAME` to choose"));
    }
    output::people("Run them? [y/N] ");
    let mut answer = String::new();
    // An answer that cannot be read is a no.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::usage("nothing was run").with_exit(Exit::Nothing))
}

/// An argument as a shell would show it: in quotes where it would be several words.
fn word(argument: &str) -> String {
    let shown = escape(argument);
    let plain = !shown.is_empty() && shown.chars().all(|c| c.is_alphanumeric() || "-_./:=@%+,…".contains(c));
    if plain { shown.into_owned() } else { format!("'{}'", shown.replace('\'', "'\\''")) }
}

fn jobs(chosen: &[&Configured], on: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<Vec<Job>, Failure> {
    let mut jobs = Vec::new();
    for server in chosen {
        if server.missing.is_empty() {
            jobs.push(Job { target: server.target.clone(), findings: secrets(server).into_iter().collect() });
            continue;
        }
        let names: Vec<_> = server.missing.iter().map(|name| format!("`{}`", escape(name))).collect();
        let error = format!(
            "the configuration refers to {}, which {} not set here\n  help: export what is missing and run again",
            names.join(", "),
            if names.len() == 1 { "is" } else { "are" }
        );
        on(Item::Failed(Failed { server: server.name.clone(), error }))?;
    }
    Ok(jobs)
}

/// A finding for secrets that are written out in the entry. What is asked and recorded has them no more, so this is the
/// one place that can tell.
fn secrets(server: &Configured) -> Option<crate::model::Finding> {
    let handed = server.values.iter().filter(|value| value.kind != ValueKind::Argument);
    let mut names: BTreeSet<String> = handed
        .filter(|value| value.written == Written::Literally && literal_secret(&value.name, value.value.reveal()))
        .map(|value| value.name.clone())
        .collect();
    if let Target::Stdio(target) = &server.target {
        // Values of variables were put in by reference: they stand nowhere in the file.
        let by_reference = |(at, argument): (usize, &String)| {
            if target.hidden.contains(&at) { "…".to_owned() } else { argument.clone() }
        };
        let written: Vec<String> = target.argv.iter().enumerate().map(by_reference).collect();
        names.extend(secret_arguments(&written));
    }
    secret_in_config(&format!("the configuration of {}", server.client), &names)
}
