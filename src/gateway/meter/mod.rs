//! What the gateway counts while it runs, for `/metrics`, `/status` and OTLP. Cheap enough for every call (atomics and
//! one look-up), and bounded: a name that a client made up is never a label.

mod histogram;
mod prometheus;
mod recent;

pub use histogram::{Histogram, Snapshot};
pub use prometheus::{CONTENT_TYPE, exposition};

use super::exchange::CallOutcome;
use super::health::ServerHealth;
use crate::clock::Timestamp;
use crate::policy::{CounterKey, Policy, Reservation};
use recent::Recent;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// The label of every tool that the policy does not name, and of tools and rules beyond [`SERIES_MAX`].
pub const OTHER: &str = "(other)";
/// Most pairs of tool and rule that decisions on one server are counted by; each pair has a series for each outcome.
pub const SERIES_MAX: usize = 20_000;
/// Most counters of the policy that one server remembers as touched; the one not touched for longest goes first.
pub const TOUCHED_MAX: usize = 1_000;

/// Upper bounds of the time that the gateway adds to a call, in microseconds: 10 µs to 10 s.
const ADDED_BOUNDS: &[u64] =
    &[10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000];
/// Upper bounds of the time that a server takes for a call, in microseconds: 100 µs to 5 minutes.
const UPSTREAM_BOUNDS: &[u64] = &[
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// What the gate said about a call, in the audit log's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The call may pass.
    Allow,
    /// The call is refused.
    Deny,
    /// The call passes only because the server is in shadow mode; the policy would refuse it.
    WouldDeny,
    /// A person is asked, and the call waits.
    Ask,
}

impl Outcome {
    /// Every outcome; each stands at the index that is its slot.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Deny, Self::WouldDeny, Self::Ask];

    /// The word in labels and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::WouldDeny => "would_deny",
            Self::Ask => "ask",
        }
    }

    const fn slot(self) -> usize {
        match self {
            Self::Allow => 0,
            Self::Deny => 1,
            Self::WouldDeny => 2,
            Self::Ask => 3,
        }
    }
}

/// Everything that one gateway counts, over all its servers.
#[derive(Debug)]
pub struct Meter {
    started: Timestamp,
    servers: RwLock<BTreeMap<String, Arc<ServerMeter>>>,
    store_errors: AtomicU64,
    reloads: AtomicU64,
    reloads_refused: AtomicU64,
    refused_requests: Mutex<BTreeMap<&'static str, u64>>,
}

/// What is counted for the calls and sessions of one server.
#[derive(Debug)]
pub struct ServerMeter {
    name: String,
    /// Decisions by tool, then by rule, with a count for each outcome.
    decisions: RwLock<FxHashMap<String, FxHashMap<String, Arc<PerOutcome>>>>,
    series: AtomicU64,
    totals: PerOutcome,
    endings: Mutex<BTreeMap<&'static str, u64>>,
    added: Histogram,
    upstream: Histogram,
    pending: AtomicU64,
    sessions: AtomicU64,
    allowed: Recent,
    denied: Recent,
    touched: RwLock<FxHashMap<CounterKey, Touched>>,
    health: ServerHealth,
}

type PerOutcome = [AtomicU64; Outcome::ALL.len()];

#[derive(Debug)]
struct Touched {
    /// When a call last added to the counter, in milliseconds since the Unix epoch.
    last: AtomicU64,
    max: u64,
    scale: u32,
    /// Hash of the policy that `max` and `scale` are of: an edit of the policy may have changed them.
    policy: Box<str>,
}

/// A counter of a policy that calls through this gateway have added to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TouchedCounter {
    /// The counter.
    pub key: CounterKey,
    /// The most that the counter may reach, in its own units: the policy's `max` times 10 to the power of `scale`.
    pub max: u64,
    /// Decimals of the argument that is added up.
    pub scale: u32,
}

/// How often one rule decided on calls of one tool with one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    /// The tool's name, or [`OTHER`].
    pub tool: String,
    /// Id of the rule that decided, or [`OTHER`].
    pub rule: String,
    /// What the gate said.
    pub outcome: Outcome,
    /// How many calls.
    pub count: u64,
}

/// Counts one session or one call in flight in a gauge of a server for as long as this value lives.
#[derive(Debug)]
pub struct InGauge {
    server: Arc<ServerMeter>,
    gauge: fn(&ServerMeter) -> &AtomicU64,
}

impl Drop for InGauge {
    fn drop(&mut self) {
        (self.gauge)(&self.server).fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counts are valid between any two statements, so what a panic left behind can be used.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    /// A meter with all counts at 0; `started` is when the gateway began.
    pub fn new(started: Timestamp) -> Self {
        Self {
            started,
            servers: RwLock::default(),
            store_errors: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
            reloads_refused: AtomicU64::new(0),
            refused_requests: Mutex::default(),
        }
    }

    /// When counting began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// The meter of one server, made at first use. Its counts stay when a reload takes the server away and another
    /// brings it back, since Prometheus expects counters that only grow.
    pub fn server(&self, name: &str) -> Arc<ServerMeter> {
        if let Some(known) = self.servers.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        let mut servers = self.servers.write().unwrap_or_else(PoisonError::into_inner);
        let meter = servers.entry(name.to_owned()).or_insert_with(|| Arc::new(ServerMeter::new(name)));
        Arc::clone(meter)
    }

    /// The meters of all servers that were ever counted, sorted by name.
    pub fn servers(&self) -> Vec<Arc<ServerMeter>> {
        self.servers.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    /// Counts a call that was refused because the state store or the audit log could not be used, or a settlement that
    /// the store did not take.
    pub fn store_error(&self) {
        self.store_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// How often [`Self::store_error`] was counted.
    pub fn store_errors(&self) -> u64 {
        self.store_errors.load(Ordering::Relaxed)
    }

    /// Counts a new version of a policy, lock or configuration that took over.
    pub fn reloaded(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a new version of a policy, lock or configuration that was refused.
    pub fn reload_refused(&self) {
        self.reloads_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// New versions of policies, locks and configuration: those taken over, and those refused.
    pub fn reloads(&self) -> (u64, u64) {
        (self.reloads.load(Ordering::Relaxed), self.reloads_refused.load(Ordering::Relaxed))
    }

    /// Counts a request that was refused before any decision, by a fixed word: `unauthorized`, `host`, `too_large` …
    pub fn refused_request(&self, why: &'static str) {
        *lock(&self.refused_requests).entry(why).or_default() += 1;
    }

    /// Requests that were refused before any decision, by reason.
    pub fn refused_requests(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.refused_requests).clone()
    }
}

impl ServerMeter {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            decisions: RwLock::default(),
            series: AtomicU64::new(0),
            totals: PerOutcome::default(),
            endings: Mutex::default(),
            added: Histogram::new(ADDED_BOUNDS),
            upstream: Histogram::new(UPSTREAM_BOUNDS),
            pending: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            allowed: Recent::default(),
            denied: Recent::default(),
            touched: RwLock::default(),
            health: ServerHealth::default(),
        }
    }

    /// The server's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the server can be reached.
    pub fn health(&self) -> &ServerHealth {
        &self.health
    }

    /// Counts a decision of the gate. Only tools that `policy`, by which the call was judged, names are counted by
    /// name, so that no client can make up labels. `rule` is a rule's id, which comes from the policy.
    pub fn decided(&self, now: Timestamp, policy: Option<&Policy>, tool: &str, outcome: Outcome, rule: &str) {
        let tool = if policy.is_some_and(|policy| policy.names(tool)) { tool } else { OTHER };
        self.series_of(tool, rule)[outcome.slot()].fetch_add(1, Ordering::Relaxed);
        self.totals[outcome.slot()].fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Allow | Outcome::WouldDeny => self.allowed.add(now),
            Outcome::Deny => self.denied.add(now),
            Outcome::Ask => {}
        }
    }

    fn series_of(&self, tool: &str, rule: &str) -> Arc<PerOutcome> {
        let known = |decisions: &FxHashMap<String, FxHashMap<String, Arc<PerOutcome>>>| {
            decisions.get(tool).and_then(|rules| rules.get(rule)).map(Arc::clone)
        };
        if let Some(series) = known(&self.decisions.read().unwrap_or_else(PoisonError::into_inner)) {
            return series;
        }
        let mut decisions = self.decisions.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known(&decisions) {
            return series;
        }
        // Policies are reloaded, and the names in all their versions could add up to any number.
        let full = self.series.load(Ordering::Relaxed) >= SERIES_MAX as u64;
        let (tool, rule) = if full { (OTHER, OTHER) } else { (tool, rule) };
        let rules = decisions.entry(tool.to_owned()).or_default();
        Arc::clone(rules.entry(rule.to_owned()).or_insert_with(|| {
            self.series.fetch_add(1, Ordering::Relaxed);
            Arc::default()
        }))
    }

    /// Remembers the counters that a passing call holds units of, so that `/status` can show those near their limit.
    pub fn charged(&self, now: Timestamp, policy: &Policy, reservation: &Reservation) {
        for key in reservation.counters() {
            let touched = self.touched.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = touched.get(key).filter(|known| *known.policy == *policy.hash()) {
                known.last.store(now.millis(), Ordering::Relaxed);
                continue;
            }
            drop(touched);
            let Some((max, scale)) = policy.most(key) else { continue };
            let mut touched = self.touched.write().unwrap_or_else(PoisonError::into_inner);
            if touched.len() >= TOUCHED_MAX && !touched.contains_key(key) {
                let oldest = touched.iter().min_by_key(|(_, known)| known.last.load(Ordering::Relaxed));
                if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                    touched.remove(&oldest);
                }
            }
            let (last, policy) = (AtomicU64::new(now.millis()), policy.hash().into());
            touched.insert(key.clone(), Touched { last, max, scale, policy });
        }
    }

    /// The counters that calls have added to, at most [`TOUCHED_MAX`], sorted.
    pub fn touched(&self) -> Vec<TouchedCounter> {
        let touched = self.touched.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = touched
            .iter()
            .map(|(key, known)| TouchedCounter { key: key.clone(), max: known.max, scale: known.scale })
            .collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Counts a call that is about to be forwarded. `added` is the time that the gateway itself took, from its arrival
    /// on.
    pub fn forwarded(&self, added: Duration) {
        self.added.observe(added);
    }

    /// Counts the end of a forwarded call; `upstream` is the time from forwarding it to the end of the answer.
    pub fn call_ended(&self, outcome: CallOutcome, upstream: Duration) {
        *lock(&self.endings).entry(outcome.as_str()).or_default() += 1;
        self.upstream.observe(upstream);
    }

    /// Counts one more call in flight until the value is dropped.
    #[must_use]
    pub fn call(self: &Arc<Self>) -> InGauge {
        self.hold(|server| &server.pending)
    }

    /// Counts one more session until the value is dropped. Not to be mixed with [`Self::set_sessions`].
    #[must_use]
    pub fn session(self: &Arc<Self>) -> InGauge {
        self.hold(|server| &server.sessions)
    }

    fn hold(self: &Arc<Self>, gauge: fn(&Self) -> &AtomicU64) -> InGauge {
        gauge(self).fetch_add(1, Ordering::Relaxed);
        InGauge { server: Arc::clone(self), gauge }
    }

    /// Sets the number of open sessions, for a gateway over HTTP, which counts them in a table of its own.
    pub fn set_sessions(&self, count: usize) {
        self.sessions.store(count as u64, Ordering::Relaxed);
    }

    /// Calls in flight.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Open sessions.
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Decisions with this outcome since the gateway was started.
    pub fn total(&self, outcome: Outcome) -> u64 {
        self.totals[outcome.slot()].load(Ordering::Relaxed)
    }

    /// Calls that passed (in shadow mode too) and calls that were refused in the last 60 seconds.
    pub fn last_minute(&self, now: Timestamp) -> (u64, u64) {
        (self.allowed.last_minute(now), self.denied.last_minute(now))
    }

    /// Decisions by tool, rule and outcome, sorted; series with a count of 0 are left out.
    pub fn decisions(&self) -> Vec<Decisions> {
        let decisions = self.decisions.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for (tool, rules) in decisions.iter() {
            for (rule, counts) in rules {
                all.extend(Outcome::ALL.into_iter().filter_map(|outcome| {
                    let count = counts[outcome.slot()].load(Ordering::Relaxed);
                    let series = || Decisions { tool: tool.clone(), rule: rule.clone(), outcome, count };
                    (count > 0).then(series)
                }));
            }
        }
        drop(decisions);
        all.sort_by(|a, b| (&a.tool, &a.rule, a.outcome).cmp(&(&b.tool, &b.rule, b.outcome)));
        all
    }

    /// How forwarded calls ended: number by the word of [`CallOutcome`].
    pub fn endings(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.endings).clone()
    }

    /// The time that the gateway added to forwarded calls.
    pub fn added(&self) -> Snapshot {
        self.added.snapshot()
    }

    /// The time that the server took for forwarded calls.
    pub fn upstream(&self) -> Snapshot {
        self.upstream.snapshot()
    }
}

#[cfg(test)]
mod tests;
