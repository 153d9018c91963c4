//! `mcpol status` for people, and the schema of its JSON.

use super::document::Document;
use super::grid::grid;
use super::words::{count, wrap};
use crate::gateway::status::{HealthState, Latency, ServerStatus, Status};
use crate::text::{escape, excerpt};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

impl Document for Status {
    const SCHEMA: &'static str = "status";
    const COMMAND: &'static str = "status";
}

/// Narrowest table, in columns.
const WIDTH_MIN: usize = 60;
/// Widest table, in columns.
const WIDTH_MAX: usize = 120;
/// Characters of a server's name.
const NAME_CHARS: usize = 20;
/// Characters of a counter's or a grant's name.
const COUNTER_CHARS: usize = 24;

/// A gateway's account as a table.
pub fn status_table(status: &Status, address: &str, columns: usize) -> String {
    let columns = columns.clamp(WIDTH_MIN, WIDTH_MAX);
    let (mut out, bold) = (String::new(), Style::new().bold());
    let ready = if status.not_ready.is_empty() { "ready" } else { "not ready" };
    let uptime = span(status.uptime_s);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{bold}{}{bold:#}  mcpol {} · up {uptime} · {ready}",
        escape(address),
        excerpt(&status.mcpol, NAME_CHARS)
    );
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    for reason in &status.not_ready {
        for (at, line) in wrap(&escape(reason), columns - 11, 3).iter().enumerate() {
            let _ = match at {
                0 => writeln!(out, "{red}not ready{red:#}  {line}"),
                _ => writeln!(out, "           {line}"),
            };
        }
    }
    out.push('\n');
    if status.servers.is_empty() {
        out.push_str("No server is configured.\n");
    } else {
        let headers = ["SERVER", "SESSIONS", "CALLS", "ALLOWED", "DENIED", "ADDED", "SERVER TOOK"];
        let rows: Vec<_> = status.servers.iter().map(|(name, server)| row(name, server)).collect();
        out.push_str(&grid(&headers, &rows, &[0], columns));
        let dim = Style::new().dimmed();
        for line in wrap(
            "CALLS are in flight; ALLOWED and DENIED in the last minute (in all); times are p50 and p99",
            columns,
            3,
        ) {
            let _ = writeln!(out, "{dim}{line}{dim:#}");
        }
    }
    for (name, server) in status.servers.iter().filter(|(_, server)| server.health.state == HealthState::Down) {
        let since = server.health.since_s.map_or_else(String::new, |since| format!(" for {}", span(since)));
        let why = server.health.error.as_deref().unwrap_or("no answer");
        let text = format!("{} does not answer{since}: {}", excerpt(name, NAME_CHARS), escape(why));
        for (at, line) in wrap(&text, columns - 6, 3).iter().enumerate() {
            let _ = match at {
                0 => writeln!(out, "{red}down{red:#}  {line}"),
                _ => writeln!(out, "      {line}"),
            };
        }
    }
    if !status.counters.is_empty() {
        let _ = writeln!(out, "\n{bold}Near their limit{bold:#}");
        let headers = ["COUNTER", "OF", "USED", "FULL", "RESETS IN"];
        let rows: Vec<_> = status
            .counters
            .iter()
            .map(|counter| {
                let whose = [&counter.server, &counter.scope, &counter.value];
                let whose: Vec<_> =
                    whose.iter().filter(|part| !part.is_empty()).map(|part| excerpt(part, COUNTER_CHARS)).collect();
                vec![
                    format!("{} a {}", excerpt(&counter.counter, COUNTER_CHARS), escape(&counter.window)),
                    whose.join(" "),
                    format!("{} of {}", escape(&counter.used), escape(&counter.max)),
                    format!("{} %", counter.percent),
                    span(counter.resets_in_s),
                ]
            })
            .collect();
        out.push_str(&grid(&headers, &rows, &[0, 1], columns));
    }
    let mut rest = Vec::new();
    if status.store_errors > 0 {
        rest.push(count(usize::try_from(status.store_errors).unwrap_or(usize::MAX), "store error"));
    }
    if status.reloads_refused > 0 {
        rest.push(format!(
            "{} refused",
            count(usize::try_from(status.reloads_refused).unwrap_or(usize::MAX), "reload")
        ));
    }
    let refused: u64 = status.refused_requests.values().sum();
    if refused > 0 {
        let reasons: Vec<_> =
            status.refused_requests.iter().map(|(why, n)| format!("{} {n}", excerpt(why, 40))).collect();
        rest.push(format!("requests refused before any policy: {}", reasons.join(", ")));
    }
    if !rest.is_empty() {
        out.push('\n');
        for line in wrap(&rest.join(" · "), columns, 6) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

fn row(name: &str, server: &ServerStatus) -> Vec<String> {
    let mut name = excerpt(name, NAME_CHARS);
    if !server.configured {
        name.push_str(" (gone)");
    }
    vec![
        name,
        server.sessions.to_string(),
        server.pending.to_string(),
        format!("{} ({})", server.allowed_per_minute, short(server.allowed)),
        format!("{} ({})", server.denied_per_minute, short(server.denied)),
        latency(server.added),
        latency(server.upstream),
    ]
}

/// `50 µs 1 ms`, or a dash.
fn latency(latency: Latency) -> String {
    match (latency.p50_us, latency.p99_us) {
        (Some(half), Some(most)) => format!("{} {}", micros(half), micros(most)),
        (_, _) => "-".to_owned(),
    }
}

fn micros(micros: u64) -> String {
    match micros {
        u64::MAX => "more".to_owned(),
        0..=999 => format!("{micros}µs"),
        1_000..=999_999 if micros.is_multiple_of(1000) => format!("{}ms", micros / 1000),
        1_000..=999_999 => format!("{}.{}ms", micros / 1000, micros / 100 % 10),
        _ if micros.is_multiple_of(1_000_000) => format!("{}s", micros / 1_000_000),
        _ => format!("{}.{}s", micros / 1_000_000, micros / 100_000 % 10),
    }
}

/// A count in at most five characters: `999`, `12k`, `3.4M`.
fn short(count: u64) -> String {
    match count {
        0..=9_999 => count.to_string(),
        10_000..=999_999 => format!("{}k", count / 1000),
        _ => format!("{}.{}M", count / 1_000_000, count / 100_000 % 10),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::status::{CounterStatus, HealthStatus};
    use std::collections::BTreeMap;

    fn server(sessions: u64, allowed: u64, p50: Option<u64>, configured: bool) -> ServerStatus {
        ServerStatus {
            policy: None,
            configured,
            sessions,
            pending: 3,
            allowed_per_minute: allowed / 10,
            denied_per_minute: 4,
            allowed,
            denied: 12_345,
            health: match configured {
                true => HealthStatus {
                    state: HealthState::Down,
                    since_s: Some(200),
                    failures: 3,
                    error: Some("connection refused\u{202e}".to_owned()),
                },
                false => HealthStatus::default(),
            },
            added: Latency { p50_us: p50, p99_us: p50.map(|it| it * 10) },
            upstream: Latency { p50_us: p50.map(|it| it * 100), p99_us: p50.map(|_| u64::MAX) },
        }
    }

    fn status() -> Status {
        Status {
            version: 1,
            mcpol: "0.1.0".to_owned(),
            uptime_s: 7_300,
            not_ready: vec!["the state store cannot be used: connection refused by redis.example.com".to_owned()],
            servers: BTreeMap::from([
                ("files".to_owned(), server(12, 3_456, Some(25), true)),
                ("a-server-with-a-name-of-32-chars".to_owned(), server(0, 12_345_678, None, false)),
            ]),
            counters: vec![CounterStatus {
                server: "files".to_owned(),
                counter: "spend".to_owned(),
                scope: "grant".to_owned(),
                value: "alice\u{202e}".to_owned(),
                window: "day".to_owned(),
                used: "9000.5".to_owned(),
                max: "10000".to_owned(),
                percent: 90,
                resets_in_s: 3_700,
            }],
            store_errors: 2,
            reloads: 1,
            reloads_refused: 1,
            refused_requests: BTreeMap::from([("unauthorized".to_owned(), 7)]),
        }
    }

    #[test]
    fn the_table_fits_eighty_columns_and_hides_nothing_odd() {
        let table = anstream::adapter::strip_str(&status_table(&status(), "127.0.0.1:8788", 80)).to_string();
        insta::assert_snapshot!(table);
        assert!(table.lines().all(|line| crate::report::words::width(line) <= 80), "{table}");
    }

    #[test]
    fn times_are_short() {
        for (micros_, expected) in [
            (10, "10µs"),
            (1_000, "1ms"),
            (2_500, "2.5ms"),
            (300_000_000, "300s"),
            (2_500_000, "2.5s"),
            (u64::MAX, "more"),
        ] {
            assert_eq!(micros(micros_), expected);
        }
    }
}
