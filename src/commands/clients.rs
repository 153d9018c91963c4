//! `mcpol clients`: who has what, wrapped or not.

use super::load::{Problems, config};
use super::wrap::WrapStore;
use super::{Failure, output};
use crate::cli::ClientsArgs;
use crate::clients::{self, Configured, Inputs, Places};
use crate::exit::Exit;
use crate::mcp::target::Target;
use crate::mcp::target::redacted;
use crate::model::RiskLevel;
use crate::text::escape;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn run(args: &ClientsArgs) -> Result<Exit, Failure> {
    let kept = WrapStore::open().ok();
    let mut text = String::new();
    let mut problems = Problems::default();
    let (mut servers, mut wrapped) = (0, 0);
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
        let _ = writeln!(text, "{}  {}", found.client, escape(&file.path));
        for server in &file.servers {
            servers += 1;
            wrapped += usize::from(server.wrapped);
            line(&mut text, server, kept.as_ref());
        }
        for note in &file.notes {
            let _ = writeln!(text, "  note: {}", escape(&note.message));
        }
        text.push('\n');
    }
    if servers == 0 {
        let _ = writeln!(text, "{}", escape(&config::looked_at()));
    } else {
        let _ = writeln!(text, "{servers} server{}, {wrapped} wrapped", if servers == 1 { "" } else { "s" });
    }
    if args.all {
        places(&mut text, args);
    }
    output::coloured(&text)?;
    problems.check()?;
    Ok(if servers == 0 { Exit::Nothing } else { Exit::Clean })
}

fn line(text: &mut String, server: &Configured, kept: Option<&WrapStore>) {
    let what = match &server.target {
        Target::Stdio(target) => target.shown_argv().join(" "),
        Target::Http(target) => redacted(&target.url),
    };
    let state = if server.wrapped { "wrapped" } else { "open" };
    let record = kept.and_then(|kept| kept.of(server)).filter(|_| server.wrapped);
    let risks = record.map(|record| risks(&record.lock)).unwrap_or_default();
    let name = escape(server.name.as_str());
    let project = server.project.as_ref().map(|project| format!("  in {}", escape(project))).unwrap_or_default();
    let _ = writeln!(text, "  {state:<8} {name:<24} {risks:<32} {}{project}", escape(&what));
}

/// How many tools of each risk a lock has, in words; nothing where it cannot be read.
fn risks(lock: &Path) -> String {
    let read = || -> Option<crate::catalog::Lock> { serde_json::from_slice(&std::fs::read(lock).ok()?).ok() };
    let mut counts: BTreeMap<std::cmp::Reverse<RiskLevel>, usize> = BTreeMap::new();
    for tool in read().iter().flat_map(|lock| &lock.servers).flat_map(|server| &server.tools) {
        *counts.entry(std::cmp::Reverse(tool.risk)).or_default() += 1;
    }
    counts.iter().map(|(risk, count)| format!("{count} {}", risk.0)).collect::<Vec<_>>().join(", ")
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
