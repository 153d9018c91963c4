//! `mcpol wrap` and `mcpol unwrap`: the gateway in front of servers, in the files of their clients, and away again.

mod change;
mod kept;
mod plan;
mod undo;

pub(super) use kept::WrapStore;
pub(super) use undo::run as undo;

use super::load::config::{self, Chosen};
use super::load::{self, Classifier, Item, Problems, ask};
use super::{Failure, output};
use crate::cli::{TargetArgs, WhichArgs, WrapArgs};
use crate::clients::{Configured, ValueKind};
use crate::exit::Exit;
use crate::model::{Classified, ServerName};
use crate::report::Failed;
use crate::text::escape;
use change::Changes;
use plan::WrapPlan;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Servers that are asked at the same time.
const JOBS: usize = 4;

/// The code of the note on a server that speaks the older transport.
const DEPRECATED_TRANSPORT: &str = "deprecated_transport";
const OLDER: &str =
    "it speaks the older HTTP+SSE, which the gateway does not\n  help: ask for its address for streamable HTTP";

const KEY_IN_ADDRESS: &str = "its address holds a key, which everybody on this machine would see among the gateway's \
     arguments\n  help: put the key into a header, if the server takes one";

/// Whether the address of an entry holds what nobody else is to see.
fn key_in_address(entry: &Configured) -> bool {
    entry.values.iter().any(|value| value.kind == ValueKind::Url && config::is_secret(value))
}

/// A server that is to be wrapped wherever it stands: all the entries that start the same.
struct WrapGroup {
    /// What it is called while it is asked: its name, and its client where the name alone is not enough.
    label: ServerName,
    entries: Vec<Configured>,
}

pub(super) fn run(args: WrapArgs) -> Result<Exit, Failure> {
    let classifier = Classifier::new(&args.rules)?;
    let target = target(&args);
    let (mut problems, mut failed) = (Problems::default(), Vec::new());
    if args.which.config.iter().any(|path| is_own(path)) {
        return Err(Failure::usage(
            "that is the gateway's own configuration: its servers are behind the gateway already",
        )
        .with_help("`mcpol enforce --config FILE` serves them, `mcpol config check FILE` says what it comes to"));
    }
    let chosen = config::chosen(&target, args.which.client, &|found| select(&args.which, found), &mut |item| {
        match item {
            Item::Problem(problem) => problems.push(problem),
            Item::Failed(one) => failed.push(one),
            Item::Listing(..) => {}
        }
        Ok(())
    })?;
    // A file with a mistake is no file to write into.
    problems.check()?;
    let (groups, already) = groups(chosen);
    if groups.is_empty() && already > 0 {
        output::note("nothing to do: every server is wrapped already\n");
        return Ok(Exit::Clean);
    }
    if groups.is_empty() {
        return Err(Failure::usage("no server to wrap")
            .with_exit(Exit::Nothing)
            .with_help("`mcpol clients` shows what the clients of this machine have; `--config FILE` names a file"));
    }
    let scanned = scan(&target, &groups, &classifier, &mut failed)?;
    let mut kept = if args.which.dry_run { WrapStore::open()? } else { WrapStore::open_to_change()? };
    let mut changes = Changes::default();
    let (mut plans, mut by_hand) = (Vec::new(), Vec::new());
    let front = plan::program()?;
    for group in &groups {
        let Some(classified) = scanned.get(&group.label) else { continue };
        for entry in &group.entries {
            let plan = WrapPlan::new(entry, classified, &args, &kept, &plans, &classifier)?;
            let doubt = plan.doubt().or_else(|| key_in_address(entry).then(|| KEY_IN_ADDRESS.to_owned()));
            if let Some(error) = doubt {
                failed.push(Failed { server: entry.name.clone(), error });
                continue;
            }
            match changes.wrap(entry, &plan.front(&front)) {
                Ok(piece) => plans.push(plan.changed_by(piece)),
                Err(error) => {
                    let error = format!("in {}: {error}", escape(&entry.file));
                    failed.push(Failed { server: entry.name.clone(), error });
                    by_hand.push(plan);
                }
            }
        }
    }
    failed.sort();
    output::failures(&failed);
    let left = if failed.is_empty() { Exit::Clean } else { Exit::Unreachable };
    if plans.is_empty() && by_hand.is_empty() {
        return if failed.is_empty() { Err(nothing()) } else { Ok(left) };
    }
    output::coloured(&plan::table(plans.iter().chain(&by_hand)))?;
    output::coloured(&changes.shown())?;
    if args.which.dry_run {
        return Ok(left);
    }
    agree(&args.which, "Write this? [y/N] ")?;
    for plan in plans.iter().chain(&by_hand) {
        plan.write()?;
    }
    changes.back_up(&kept)?;
    kept.add(plans.iter().map(WrapPlan::record));
    kept.write()?;
    let unwritten = changes.write();
    plans.retain(|plan| !unwritten.iter().any(|(file, _)| plan.is_in(file)));
    if !plans.is_empty() {
        output::people(&plan::done(&plans));
    }
    for plan in &by_hand {
        output::people(&format!("left: by hand, put `{}` in front of {}\n", plan.in_words(), plan.what()));
    }
    Ok(told(unwritten, left))
}

/// Says which files were left as they are, and what that means for the exit.
fn told(unwritten: Vec<(PathBuf, Failure)>, left: Exit) -> Exit {
    for (_, failure) in &unwritten {
        failure.print();
    }
    if unwritten.is_empty() { left } else { Exit::Usage }
}

/// Whether a file is a configuration of the gateway, not of a client.
fn is_own(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"))
        && crate::gateway::config::outline(path, &|_| None).is_ok_and(|outline| outline.is_some())
}

fn nothing() -> Failure {
    Failure::usage("no server to wrap").with_exit(Exit::Nothing)
}

fn target(args: &WrapArgs) -> TargetArgs {
    TargetArgs {
        config: args.which.config.clone(),
        discover: args.which.config.is_empty(),
        server: args.which.server.clone(),
        input: args.input.clone(),
        yes: args.which.yes,
        real_home: args.real_home,
        timeout: args.timeout,
        jobs: JOBS,
        ..TargetArgs::default()
    }
}

/// What is to be wrapped: all but what is wrapped already, of which there are so many.
fn groups(chosen: Vec<Chosen>) -> (Vec<WrapGroup>, usize) {
    let mut taken = BTreeMap::new();
    let (mut groups, mut already) = (Vec::new(), 0);
    for chosen in chosen {
        let (wrapped, entries): (Vec<_>, Vec<_>) =
            std::iter::once(chosen.server).chain(chosen.also).partition(|entry| entry.wrapped);
        already += wrapped.len();
        for entry in wrapped {
            let name = escape(entry.name.as_str()).into_owned();
            output::note(&format!("note: `{name}` of {} is wrapped already\n", entry.client));
        }
        let Some(first) = entries.first() else { continue };
        let count: &mut usize = taken.entry(first.name.clone()).or_default();
        *count += 1;
        let label = match *count {
            1 => first.name.clone(),
            count => ServerName::new(format!("{} of {} ({count})", first.name, first.client)),
        };
        groups.push(WrapGroup { label, entries });
    }
    (groups, already)
}

/// The servers that the person chooses from a list, on a terminal, unless they were named. Those that are wrapped already
/// are no choice.
fn select(which: &WhichArgs, found: &[Chosen]) -> Result<BTreeSet<usize>, Failure> {
    let is_open = |it: &Chosen| std::iter::once(&it.server).chain(&it.also).any(|entry| !entry.wrapped);
    let (open, wrapped): (Vec<usize>, Vec<usize>) = (0..found.len()).partition(|at| is_open(&found[*at]));
    if open.len() < 2 || which.yes || !which.server.is_empty() || !load::on_a_terminal() {
        return Ok((0..found.len()).collect());
    }
    let entries: Vec<_> =
        open.iter().map(|at| (found[*at].server.name.as_str().to_owned(), found[*at].clients())).collect();
    let wanted = ask::choice(&entries)?;
    Ok(wanted.into_iter().map(|at| open[at]).chain(wrapped).collect())
}

/// Asks each server once, after the person has agreed to run its command.
fn scan(
    target: &TargetArgs,
    groups: &[WrapGroup],
    classifier: &Classifier,
    failed: &mut Vec<Failed>,
) -> Result<BTreeMap<ServerName, Classified>, Failure> {
    let asked: Vec<Chosen> = groups
        .iter()
        .filter_map(|group| Some((group, group.entries.first()?)))
        .map(|(group, first)| {
            let mut server = first.clone();
            server.target.rename(group.label.clone());
            server.name = group.label.clone();
            Chosen { server, also: Vec::new() }
        })
        .collect();
    config::confirm(target, &asked)?;
    let mut scanned = BTreeMap::new();
    let mut listed = |item: Item| {
        match item {
            Item::Listing(mut listing, configuration) => {
                let label = listing.server.clone();
                // The gateway does not speak it: the client would be left without the server.
                if listing.notes.iter().any(|note| note.code == DEPRECATED_TRANSPORT) {
                    failed.push(Failed { server: label, error: OLDER.to_owned() });
                    return Ok(());
                }
                let group = groups.iter().find(|group| group.label == label);
                if let Some(entry) = group.and_then(|group| group.entries.first()) {
                    listing.server = entry.name.clone();
                }
                scanned.insert(label, classifier.one(*listing, configuration.findings));
            }
            Item::Failed(one) => failed.push(one),
            Item::Problem(_) => {}
        }
        Ok(())
    };
    let jobs = config::jobs(&asked, &mut listed)?;
    load::ask_all(jobs, target, &mut listed)?;
    Ok(scanned)
}

/// Asks whether to write, unless that was said.
fn agree(which: &WhichArgs, question: &str) -> Result<(), Failure> {
    if which.yes || (load::on_a_terminal() && ask::yes(question)) {
        return Ok(());
    }
    Err(Failure::usage("nothing was written").with_exit(Exit::Nothing).with_help("`--yes` writes it without asking"))
}
