//! `mcpol limits`: where counters stand, and how an operator sets them to nothing.

use super::{Failure, output, state};
use crate::cli::{FormatArgs, LimitsArgs, LimitsCommand, ResetArgs, WhichCounters};
use crate::clock::{self, Timestamp};
use crate::exit::Exit;
use crate::policy::{CLOCK_JUMP_MS_MAX, CounterKey, Scope, StoreError, StoredCounter, utc};
use crate::report::{LimitLine, LimitsReport};
use crate::state::StatePlace;
use crate::text::excerpt;
use std::fmt::Write as _;

/// Characters of a name in a table.
const NAME_CHARS: usize = 32;

pub(super) fn run(args: LimitsArgs) -> Result<Exit, Failure> {
    let place = state::shared_place(&args.place, "counters")?;
    match args.command {
        LimitsCommand::List { which, format } => list(&place, &which, format),
        LimitsCommand::Reset(args) => reset(&place, &args),
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::usage(error.to_string())
}

/// The latest time that the store has seen, and its counters that fit; in the order of their keys. Looking makes no file.
fn counters(place: &StatePlace, which: &WhichCounters) -> Result<(Timestamp, Vec<StoredCounter>), Failure> {
    if state::is_untouched(place) {
        return Ok((Timestamp::from_millis(0), Vec::new()));
    }
    let (latest, mut counters) = crate::state::open(place).limits.stored().map_err(failed)?;
    counters.retain(|stored| fits(which, &stored.counter));
    counters.sort_by(|a, b| a.counter.cmp(&b.counter));
    Ok((latest, counters))
}

fn fits(which: &WhichCounters, counter: &CounterKey) -> bool {
    let of = |scope: Scope, name: &Option<String>| {
        name.as_ref().is_none_or(|name| counter.scope == scope && *counter.value == **name)
    };
    which.server.as_ref().is_none_or(|name| *counter.server == **name)
        && which.counter.as_ref().is_none_or(|name| *counter.name == **name)
        && of(Scope::Grant, &which.grant)
        && of(Scope::Session, &which.session)
}

fn list(place: &StatePlace, which: &WhichCounters, format: FormatArgs) -> Result<Exit, Failure> {
    let (latest, mut counters) = counters(place, which)?;
    let now = clock::now();
    let ends = |stored: &StoredCounter| stored.counter.window.span(stored.starts).1;
    counters.retain(|stored| now < ends(stored));
    if format.is_json() {
        let rows: Vec<_> = counters
            .iter()
            .map(|stored| {
                let counter = &stored.counter;
                LimitLine {
                    server: counter.server.to_string(),
                    scope: counter.scope.as_str(),
                    of: counter.value.to_string(),
                    counter: counter.name.to_string(),
                    window: counter.window.to_string(),
                    used: stored.used,
                    starts: utc(stored.starts),
                    ends: utc(ends(stored)),
                    ahead: now < stored.starts,
                }
            })
            .collect();
        output::document(&LimitsReport::new(rows))?;
        return Ok(Exit::Clean);
    }
    let mut text = String::new();
    for stored in &counters {
        let counter = &stored.counter;
        let name = |text: &str| excerpt(if text.is_empty() { "-" } else { text }, NAME_CHARS);
        let ahead = if now < stored.starts { "  AHEAD: the clock was wrong" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>12}  {}  {}  {} {}  a {}, until {}{ahead}",
            stored.used,
            name(&counter.server),
            name(&counter.name),
            counter.scope.as_str(),
            name(&counter.value),
            counter.window,
            utc(ends(stored)),
        );
    }
    output::coloured(&text)?;
    if counters.is_empty() {
        output::people("No limit counts anything at the moment.\n");
    }
    if is_off(latest, now) {
        output::people(&format!(
            "The clock says {}, and the store has seen {}: calls with limits are refused.\n",
            utc(now),
            utc(latest)
        ));
    }
    if is_off(latest, now) || counters.iter().any(|stored| now < stored.starts) {
        output::people("`mcpol limits reset --clock` takes the time of now for right.\n");
    }
    Ok(Exit::Clean)
}

/// Whether a store refuses calls because of the clock.
fn is_off(latest: Timestamp, now: Timestamp) -> bool {
    latest.millis() > 0 && latest.millis().abs_diff(now.millis()) > CLOCK_JUMP_MS_MAX
}

fn reset(place: &StatePlace, args: &ResetArgs) -> Result<Exit, Failure> {
    if !args.all && !args.clock && args.which.is_every() {
        return Err(Failure::usage("say which counters to set to nothing")
            .with_help("`--server`, `--grant`, `--session` and `--counter` choose, `--all` takes every one"));
    }
    let (_, mut counters) = counters(place, &args.which)?;
    let now = clock::now();
    let store = (!state::is_untouched(place)).then(|| crate::state::open(place).limits);
    if args.clock {
        counters.retain(|stored| now < stored.starts);
        if let Some(store) = &store {
            store.reset_clock(now).map_err(failed)?;
        }
        output::people(&format!("The time is {}.\n", utc(now)));
    }
    let keys: Vec<CounterKey> = counters.into_iter().map(|stored| stored.counter).collect();
    if let Some(store) = &store {
        store.reset(&keys).map_err(failed)?;
    }
    output::people(&format!("{} counters set to nothing.\n", keys.len()));
    Ok(if keys.is_empty() && !args.clock { Exit::Nothing } else { Exit::Clean })
}
