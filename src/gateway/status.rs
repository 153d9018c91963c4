//! What `mcpol status` shows: the gateway's own account of itself, as it goes over the admin listener.

use super::meter::{Meter, Outcome, ServerMeter, Snapshot};
use crate::clock::Timestamp;
use crate::policy::{Charge, LimitStore};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the format.
pub const STATUS_VERSION: u32 = 1;
/// Most counters that are told of, those nearest to their limit.
pub const COUNTERS_MAX: usize = 20;
/// From how much of its limit on a counter is near it, in hundredths.
pub const NEAR_PERCENT: u64 = 80;

/// A gateway at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// Version of the program.
    pub mcpol: String,
    /// Seconds since the gateway was started.
    pub uptime_s: u64,
    /// Whether it can serve, and if not, why: one line a reason.
    pub not_ready: Vec<String>,
    /// The servers, by name.
    pub servers: BTreeMap<String, ServerStatus>,
    /// Counters at [`NEAR_PERCENT`] of their limit or more, the fullest first; only those that this gateway has added to
    /// since its policies were read.
    pub counters: Vec<CounterStatus>,
    /// Times that the state store could not be used.
    pub store_errors: u64,
    /// New versions of policies and configuration that took over.
    pub reloads: u64,
    /// Those that were refused.
    pub reloads_refused: u64,
    /// Requests that were refused before any policy was asked, by reason.
    pub refused_requests: BTreeMap<String, u64>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStatus {
    /// Its policy: file and hash; nothing if every call needs a grant with a policy of its own.
    pub policy: Option<String>,
    /// Whether it is still configured.
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
    /// What the gateway added to calls.
    pub added: Latency,
    /// What the server took.
    pub upstream: Latency,
}

/// Upper bounds of latency since the start, in microseconds; nothing if no call has ended.
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
    /// When it starts anew.
    pub window: String,
    /// What it stands at, in the unit of the policy.
    pub used: String,
    /// The most that it may reach.
    pub max: String,
    /// Hundredths of the limit, rounded down.
    pub percent: u64,
    /// Seconds until it starts anew.
    pub resets_in_s: u64,
}

/// What only the running gateway knows about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerView {
    /// Its name.
    pub name: String,
    /// File and hash of its policy.
    pub policy: Option<String>,
    /// Why it cannot be served, if it cannot.
    pub problem: Option<String>,
}

/// Takes the account. `limits` is asked where counters stand; it may wait.
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
        added: latency(server.added()),
        upstream: latency(server.upstream()),
    }
}

fn counters(servers: &[std::sync::Arc<ServerMeter>], limits: &dyn LimitStore, now: Timestamp) -> Vec<CounterStatus> {
    let touched: Vec<_> = servers.iter().flat_map(|server| server.touched()).collect();
    let charges: Vec<_> =
        touched.iter().map(|known| Charge { counter: known.key.clone(), amount: 0, max: known.max }).collect();
    if charges.is_empty() {
        return Vec::new();
    }
    // That the store cannot be used is told as a reason for not being ready.
    let usages = limits.usage(now, &charges).unwrap_or_default();
    let mut near: Vec<_> = touched
        .iter()
        .zip(usages)
        .map(|(known, usage)| {
            // A limit of nothing is full from the start.
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

/// Units of a counter in the unit of the policy: 150 with two decimals is 1.5.
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
                let caller = Caller { server: "s".into(), grant: Some(grant.into()), session: None };
                let facts = Facts { schema: None, change: None };
                if let (Ok(policy), Ok(Message::Call(_, call))) = (&policy, admit(line.as_bytes()))
                    && let Decision::Allow(permit) =
                        gate(policy, &store, &store, now, Request { caller: &caller, call, facts })
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
