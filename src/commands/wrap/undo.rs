//! `mcpol unwrap`: the bytes that stood in a client's file before, back in their place.

use super::super::load::config;
use super::super::load::{Item, Problems};
use super::super::{Failure, output};
use super::change::Changes;
use super::kept::{WrapStore, WrappedEntry, real};
use super::plan::many;
use crate::cli::{TargetArgs, UnwrapArgs};
use crate::clients::{self, Configured, Replaced};
use crate::exit::Exit;
use crate::report::Failed;
use crate::text::escape;
use std::path::{Path, PathBuf};

pub(in crate::commands) fn run(args: UnwrapArgs) -> Result<Exit, Failure> {
    let mut kept = if args.which.dry_run { WrapStore::open()? } else { WrapStore::open_to_change()? };
    let mut problems = Problems::default();
    let wrapped = wrapped(&args, &kept, &mut problems)?;
    problems.check()?;
    if wrapped.is_empty() {
        return Err(Failure::usage("no server is wrapped")
            .with_exit(Exit::Nothing)
            .with_help("`mcpol clients` shows what is"));
    }
    let (mut changes, mut failed, mut done) = (Changes::default(), Vec::new(), Vec::new());
    for entry in &wrapped {
        let record = kept.of(entry);
        match unwrapped(&mut changes, entry, record) {
            Ok(()) => done.extend(record.map(|record| WrappedEntry { piece: None, ..record.clone() })),
            Err(error) => failed.push(Failed { server: entry.name.clone(), error }),
        }
    }
    failed.sort();
    output::failures(&failed);
    let left = if failed.is_empty() { Exit::Clean } else { Exit::Usage };
    if changes.is_empty() {
        return Ok(left);
    }
    output::coloured(&changes.shown())?;
    if args.which.dry_run {
        return Ok(left);
    }
    super::agree(&args.which, "Write this? [y/N] ")?;
    let unwritten = changes.write();
    kept.add(done.into_iter().filter(|record| !unwritten.iter().any(|(file, _)| *file == record.file)));
    kept.write()?;
    let lost = |entry: &&Configured| unwritten.iter().any(|(file, _)| *file == real(&entry.file));
    let count = wrapped.len() - failed.len() - wrapped.iter().filter(lost).count();
    output::people(&format!(
        "unwrapped {}; policies and locks stay in {}\n",
        many(count, "server"),
        escape(&kept.folder().to_string_lossy())
    ));
    Ok(super::told(unwritten, left))
}

/// The entries that start the gateway, of the files that were named, or of every client's and those that are on record.
fn wrapped(args: &UnwrapArgs, kept: &WrapStore, problems: &mut Problems) -> Result<Vec<Configured>, Failure> {
    let which = &args.which;
    let mut target = TargetArgs {
        config: which.config.clone(),
        discover: which.config.is_empty(),
        server: Vec::new(),
        ..TargetArgs::default()
    };
    if target.discover {
        let found: Vec<PathBuf> = config::found_here().iter().map(|found| real(&found.path)).collect();
        let records = kept.records().filter(|record| record.piece.is_some() && record.file.is_file());
        let others = records.filter(|record| which.client.is_none_or(|client| client.id() == record.client));
        target.config = others.map(|record| record.file.clone()).filter(|file| !found.contains(file)).collect();
        target.config.sort();
        target.config.dedup();
    }
    let files = config::read_files(&target, which.client, &mut |item| {
        if let Item::Problem(problem) = item {
            problems.push(problem);
        }
        Ok(())
    })?;
    let entries = files.into_iter().flat_map(|file| file.servers).filter(|entry| entry.wrapped);
    let (own, others): (Vec<_>, Vec<_>) = entries
        .filter(|entry| which.server.is_empty() || which.server.iter().any(|name| name == entry.name.as_str()))
        .partition(|entry| is_own(entry, kept));
    for entry in others {
        let name = escape(entry.name.as_str()).into_owned();
        output::people(&format!(
            "note: the gateway in front of `{name}` of {} was not put there by `mcpol wrap`, and stays\n",
            entry.client
        ));
    }
    Ok(own)
}

/// Whether `mcpol wrap` has put the gateway there: it is on record, or goes by a policy of the configuration directory.
fn is_own(entry: &Configured, kept: &WrapStore) -> bool {
    kept.of(entry).is_some_and(|record| record.piece.is_some())
        || entry.held_by.as_ref().is_some_and(|policy| Path::new(policy).starts_with(kept.folder()))
}

fn unwrapped(changes: &mut Changes, entry: &Configured, record: Option<&WrappedEntry>) -> Result<(), String> {
    let text = changes.text(Path::new(&entry.file))?;
    let piece = record.and_then(|record| record.piece.as_ref());
    if let Some((piece, before)) = piece.and_then(|piece| Some((piece, clients::put_back(text, piece)?))) {
        let back = Replaced { before: piece.after.clone(), after: piece.before.clone() };
        return changes.put(entry, before, &back);
    }
    let (before, back) = clients::take_away(&entry.file, text, entry).map_err(|error| {
        format!(
            "in {}: {error}\n  help: the file as it was lies in `backups` of mcpol's configuration directory",
            escape(&entry.file)
        )
    })?;
    changes.put(entry, before, &back)
}
