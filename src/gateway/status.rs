//! What `/status` answers and `mcpol status` shows: the gateway's account of itself. Its comments are the descriptions
//! in `schemas/status.schema.json`.

use super::health::HealthView;
use super::meter::{Meter, Outcome, ServerMeter, Snapshot};
use crate::clock::Timestamp;
use crate::policy::{Charge, LimitStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the status format.
pub const STATUS_VERSION: u32 = 1;
/// Most counters in one status, those nearest to their limit.
pub const COUNTERS_MAX: usize = 20;
/// A counter is near its limit from this many hundredths of it on.
pub const NEAR_PERCENT: u64 = 80;

/// A gateway at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Version of this format.
    pub version: u32,
    /// Version of the program.
    pub mcpol: String,
    /// Seconds since the gateway was started.
    pub uptime_s: u64,
    /// Why the gateway cannot serve at the moment, one line for each reason; empty if it can.
    pub not_ready: Vec<String>,
    /// The servers, by name.
    pub servers: BTreeMap<String, ServerStatus>,
    /// The 20 fullest counters at 80 % of their limit or more that calls through this gateway have added to.
    pub counters: Vec<CounterStatus>,
    /// Calls that were refused because the state store or the audit log failed, and failed settlements.
    pub store_errors: u64,
    /// New versions of the configuration that took over.
    pub reloads: u64,
    /// New versions of the configuration that were refused.
    pub reloads_refused: u64,
    /// Requests that were refused before any policy was asked, by reason.
    pub refused_requests: BTreeMap<String, u64>,
}

/// The counts of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStatus {
    /// File and hash of its policy; null if every call needs a grant with a policy of its own.
    pub policy: Option<String>,
    /// Whether the server is still configured.
    pub configured: bool,
    /// Open sessions.
    pub sessions: u64,
    /// Calls in flight.
    pub pending: u64,
    /// Calls that passed in the last 60 seconds.
    pub allowed_per_minute: u64,
    /// Calls that were refused in the last 60 seconds.
    pub denied_per_minute: u64,
    /// Calls that passed since the start.
    pub allowed: u64,
    /// Calls that were refused since the start.
    pub denied: u64,
    /// Whether it can be reached, as the last request to it found out.
    #[serde(default)]
    pub health: HealthStatus,
    /// Time that the gateway added to forwarded calls.
    pub added: Latency,
    /// Time that the server took for forwarded calls.
    pub upstream: Latency,
}

/// Whether a server can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthStatus {
    /// Whether it answers.
    pub state: HealthState,
    /// Seconds since which it is so; null while it is unknown.
    pub since_s: Option<u64>,
    /// How often it could not be reached, or ended by itself, since the start.
    pub failures: u64,
    /// Why it does not answer; null while it does.
    pub error: Option<String>,
}

/// Whether a server answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Nothing was sent to it yet.
    #[default]
    Unknown,
    /// It answered the last request.
    Up,
    /// It could not be reached, or has ended.
    Down,
}

/// Upper bounds of latency since the start, in microseconds; null before the first call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Half of the calls took no longer.
    pub p50_us: Option<u64>,
    /// 99 of 100 calls took no longer.
    pub p99_us: Option<u64>,
}

/// One counter of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CounterStatus {
    /// The server; empty for one that all servers share.
    pub server: String,
    /// Its name in the policy.
    pub counter: String,
    /// `grant`, `session`, `server` or `global`.
    pub scope: String,
    /// Which grant or session; empty for the other scopes.
    pub value: String,
    /// Its window: the span of time after which it starts anew.
    pub window: String,
    /// What it stands at, in the unit of the policy.
    pub used: String,
    /// The most that it may reach, in the unit of the policy.
    pub max: String,
    /// Hundredths of the limit, rounded down.
    pub percent: u64,
    /// Seconds until it starts anew.
    pub resets_in_s: u64,
}

/// What the running gateway knows about a server beside its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerView {
    /// The server's name.
    pub name: String,
    /// File and hash of the server's policy, if it has one.
    pub policy: Option<String>,
    /// Why the server cannot be served, if it cannot.
    pub problem: Option<String>,
}

/// Takes the status at `now`. It asks `limits` for the counters, and may block as long as that store does.
pub fn take(
    meter: &Meter,
    limits: &dyn LimitStore,
    servers: &[ServerView],
    not_ready: Vec<String>,
    now: Timestamp,
) -> Status {
    let meters = meter.servers();
    let mut all: BTreeMap<String, ServerStatus> =
        meters.iter().map(|server| (server.name().to_owned(), server_status(server, now))).collect();
    for view in servers {
        let counted = all.entry(view.name.clone()).or_insert_with(|| server_status(&meter.server(&view.name), now));
        (counted.configured, counted.policy) = (true, view.policy.clone());
    }
    let (reloads, reloads_refused) = meter.reloads();
    let refused = meter.refused_requests().into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
    Status {
        version: STATUS_VERSION,
        mcpol: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: now.millis().saturating_sub(meter.started().millis()) / 1000,
        not_ready,
        servers: all,
        counters: counters(&meters, limits, now),
        store_errors: meter.store_errors(),
        reloads,
        reloads_refused,
        refused_requests: refused,
    }
}

fn server_status(server: &ServerMeter, now: Timestamp) -> ServerStatus {
    let latency = |snapshot: Snapshot| Latency { p50_us: snapshot.percentile(50), p99_us: snapshot.percentile(99) };
    let (allowed_per_minute, denied_per_minute) = server.last_minute(now);
    ServerStatus {
        policy: None,
        configured: false,
        sessions: server.sessions(),
        pending: server.pending(),
        allowed_per_minute,
        denied_per_minute,
        allowed: server.total(Outcome::Allow) + server.total(Outcome::WouldDeny),
        denied: server.total(Outcome::Deny),
        health: health(server.health().view(), now),
        added: latency(server.added()),
        upstream: latency(server.upstream()),
    }
}

fn health(view: HealthView, now: Timestamp) -> HealthStatus {
    HealthStatus {
        state: match view.is_up {
            None => HealthState::Unknown,
            Some(true) => HealthState::Up,
            Some(false) => HealthState::Down,
        },
        since_s: view.since.map(|since| now.millis().saturating_sub(since.millis()) / 1000),
        failures: view.failures,
        error: view.why,
    }
}

fn counters(servers: &[std::sync::Arc<ServerMeter>], limits: &dyn LimitStore, now: Timestamp) -> Vec<CounterStatus> {
    let touched: Vec<_> = servers.iter().flat_map(|server| server.touched()).collect();
    let charges: Vec<_> =
        touched.iter().map(|known| Charge { counter: known.key.clone(), amount: 0, max: known.max }).collect();
    if charges.is_empty() {
        return Vec::new();
    }
    // A store that cannot be used is among the reasons in `not_ready`.
    let usages = limits.usage(now, &charges).unwrap_or_default();
    let mut near: Vec<_> = touched
        .iter()
        .zip(usages)
        .map(|(known, usage)| {
            // A limit of 0 is full from the start.
            let percent = (u128::from(usage.used) * 100).checked_div(u128::from(known.max)).unwrap_or(100);
            CounterStatus {
                server: known.key.server.to_string(),
                counter: known.key.name.to_string(),
                scope: known.key.scope.as_str().to_owned(),
                value: known.key.value.to_string(),
                window: known.key.window.to_string(),
                used: in_units(usage.used, known.scale),
                max: in_units(known.max, known.scale),
                percent: u64::try_from(percent).unwrap_or(u64::MAX),
                resets_in_s: usage.resets.millis().saturating_sub(now.millis()).div_ceil(1000),
            }
        })
        .filter(|counter| counter.percent >= NEAR_PERCENT)
        .collect();
    near.sort_by(|a, b| {
        b.percent
            .cmp(&a.percent)
            .then_with(|| (&a.server, &a.counter, &a.value).cmp(&(&b.server, &b.counter, &b.value)))
    });
    near.truncate(COUNTERS_MAX);
    near
}

/// A counter's own units in the unit of the policy: 150 with two decimals is 1.5.
fn in_units(count: u64, scale: u32) -> String {
    let text = format!("{count:0>width$}", width = scale as usize + 1);
    let (whole, part) = text.split_at(text.len() - scale as usize);
    let part = part.trim_end_matches('0');
    if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope::{Message, admit};
    use crate::policy::{Caller, Decision, Facts, Request, gate, parse};
    use crate::state::MemoryStore;

    #[test]
    fn units_are_those_of_the_policy() {
        for (count, scale, expected) in
            [(0, 0, "0"), (7, 0, "7"), (150, 2, "1.5"), (5, 2, "0.05"), (100, 2, "1"), (0, 3, "0"), (10_000, 2, "100")]
        {
            assert_eq!(in_units(count, scale), expected);
        }
    }

    #[test]
    fn counters_near_their_limit_are_told_the_fullest_first() {
        let text = r#"{"version": "1", "default": "deny", "tools": {
            "a": {"limits": [{"counter": "a", "window": "day", "max": 10, "scope": "grant"}]},
            "b": {"limits": [{"counter": "b", "window": "day", "max": 5, "scope": "grant"}]}}}"#;
        let (policy, store) = (parse(text, "p"), MemoryStore::default());
        let now = Timestamp::from_millis(1_700_000_000_000);
        let (meter, mut held) = (Meter::new(now), 0);
        for (tool, grant, times) in [("a", "x", 7), ("a", "y", 8), ("b", "x", 5), ("b", "y", 1)] {
            for _ in 0..times {
                let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
                let caller =
                    Caller { server: "s".into(), grant: Some(grant.into()), session: None, course: None, pledge: None };
                let facts = Facts::default();
                if let (Ok(policy), Ok(Message::Call(_, call))) = (&policy, admit(line.as_bytes()))
                    && let Decision::Allow(permit) =
                        gate(policy, &store, &store, &store, now, Request { caller: &caller, call, facts })
                {
                    meter.server("s").charged(now, policy, permit.reservation());
                    held += 1;
                }
            }
        }
        assert_eq!(held, 21);
        let view = ServerView { name: "t".to_owned(), policy: Some("p".to_owned()), problem: None };
        let status = take(&meter, &store, &[view], Vec::new(), Timestamp::from_millis(now.millis() + 61_000));
        let counters = status.counters.iter().map(|it| (&*it.counter, &*it.value, &*it.used, &*it.max, it.percent));
        assert_eq!(counters.collect::<Vec<_>>(), [("b", "x", "5", "5", 100), ("a", "y", "8", "10", 80)]);
        let servers = status.servers.iter().map(|(name, it)| (&**name, it.configured, it.policy.as_deref()));
        assert_eq!(servers.collect::<Vec<_>>(), [("s", false, None), ("t", true, Some("p"))]);
        assert_eq!(status.uptime_s, 61);
    }
}
