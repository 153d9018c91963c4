//! `mcpol clients`: who has what, wrapped or not.

use super::load::{Problems, config};
use super::wrap::WrapStore;
use super::{Failure, output};
use crate::cli::{ClientsArgs, PlainFormat};
use crate::clients::{self, Configured, Inputs, Places};
use crate::exit::Exit;
use crate::mcp::target::{Target, redacted};
use crate::model::RiskLevel;
use crate::report::{self, ClientFile, ClientServer, ClientsReport};
use crate::text::escape;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn run(args: &ClientsArgs) -> Result<Exit, Failure> {
    let kept = WrapStore::open().ok();
    let mut problems = Problems::default();
    let mut files = Vec::new();
    for found in config::found_here() {
        if args.client.is_some_and(|client| client != found.client) {
            continue;
        }
        let mut file = match clients::load_found(&found, &Inputs::new()) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        file.servers.iter_mut().for_each(config::look_behind);
        files.push(ClientFile {
            id: found.client.id(),
            client: found.client.to_string(),
            file: file.path,
            servers: file.servers.iter().map(|server| described(server, kept.as_ref())).collect(),
            notes: file.notes.into_iter().map(|note| note.message).collect(),
        });
    }
    let report = ClientsReport::new(files);
    let (servers, _) = report.counts();
    match args.format {
        PlainFormat::Json => output::document(&report)?,
        PlainFormat::Table => {
            let mut text = report::clients_table(&report, output::terminal_width());
            if servers == 0 {
                let _ = writeln!(text, "{}", escape(&config::looked_at()));
            }
            if args.all {
                places(&mut text, args);
            }
            output::coloured(&text)?;
        }
    }
    problems.check()?;
    Ok(if servers == 0 { Exit::Nothing } else { Exit::Clean })
}

fn described(server: &Configured, kept: Option<&WrapStore>) -> ClientServer {
    let record = kept.and_then(|kept| kept.of(server)).filter(|_| server.wrapped);
    ClientServer {
        server: server.name.as_str().to_owned(),
        wrapped: server.wrapped,
        place: match &server.target {
            Target::Stdio(target) => target.shown_argv().join(" "),
            Target::Http(target) => redacted(&target.url),
        },
        project: server.project.clone(),
        risks: record.map(|record| risks(&record.lock)).unwrap_or_default(),
    }
}

/// How many tools of each risk a lock has; none where it cannot be read.
fn risks(lock: &Path) -> BTreeMap<RiskLevel, usize> {
    let read = || -> Option<crate::catalog::Lock> { serde_json::from_slice(&std::fs::read(lock).ok()?).ok() };
    let mut counts = BTreeMap::new();
    for tool in read().iter().flat_map(|lock| &lock.servers).flat_map(|server| &server.tools) {
        *counts.entry(tool.risk).or_default() += 1;
    }
    counts
}

fn places(text: &mut String, args: &ClientsArgs) {
    let Some(places) = Places::of_this_machine() else { return };
    text.push_str("\nlooked at\n");
    for (client, path) in places.looked_at() {
        if args.client.is_none_or(|wanted| wanted == client) {
            let there = if path.is_file() { "there" } else { "" };
            let _ = writeln!(text, "  {:<20} {there:<6} {}", client.to_string(), escape(&path.to_string_lossy()));
        }
    }
}
