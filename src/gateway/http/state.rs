//! What a gateway over HTTP keeps: its servers, policies, callers and watches over tokens.

use super::body::Room;
use super::combined::Kept;
use super::host_origin::HostOrigin;
use super::queue::{Pace, Queue};
use super::refusal::{Refusal, unauthorized};
use super::request_slots::RequestSlots;
use super::server::{Server, ServerWay, SetUpError};
use super::token_help::TokenHelp;
use super::token_watch::TokenWatches;
use crate::clock;
use crate::gateway::decider::Decider;
use crate::gateway::exchange::CallOutcome;
use crate::gateway::identity::{Identify, Identity, PolicyChoice, Unauthorized, authorization};
use crate::gateway::loosened::Loosened;
use crate::gateway::mediate::Settings;
use crate::gateway::plan::Plan;
use crate::gateway::policies::Policies;
use crate::gateway::reload::Reloading;
use crate::gateway::status::ServerView;
use crate::gateway::telemetry::{self, RequestSpan, Telemetry, Transport};
use crate::mcp::envelope::Message;
use crate::mcp::http::header;
use crate::policy::Policy;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
/// The path of the endpoint; servers are below it by name.
pub const ENDPOINT: &str = "/mcp";
/// How long what a request's token was found to be counts while its body arrives.
pub const IDENTITY_AGE_MAX: Duration = Duration::from_secs(1);

/// A gateway that serves requests.
pub struct Gateway {
    table: RwLock<Arc<LivePlan>>,
    pub(super) identify: Arc<dyn Identify>,
    pub(super) policies: Policies,
    pub(super) decider: Arc<Decider>,
    pub(super) queue: Arc<Queue>,
    pub(super) settings: Settings,
    pub(super) slots: RequestSlots,
    pub(super) token_watches: TokenWatches,
    pub(super) room: Room,
    ending: watch::Sender<bool>,
    turn: Mutex<()>,
    telemetry: Telemetry,
    pub(super) token_help: TokenHelp,
    pub(super) combined: Kept,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("table", &self.table).finish_non_exhaustive()
    }
}

/// What a plan can change while the gateway runs.
#[derive(Debug)]
pub(super) struct LivePlan {
    pub(super) servers: BTreeMap<String, Arc<Server>>,
    pub(super) front: HostOrigin,
}

impl Gateway {
    /// Sets everything up; nothing is sent to any server yet.
    ///
    /// # Errors
    /// A policy or a target is not good.
    pub fn new(plan: Plan, decider: Arc<Decider>, identify: Arc<dyn Identify>, pace: Pace) -> Result<Self, SetUpError> {
        let policies = Policies::new(plan.reloading);
        let settings = plan.settings.clone();
        let table = table(plan, &policies, &decider, None)?;
        Ok(Self {
            table: RwLock::new(Arc::new(table)),
            identify,
            policies,
            queue: Queue::new(Arc::clone(&decider), pace),
            decider,
            settings,
            slots: RequestSlots::default(),
            token_watches: TokenWatches::default(),
            room: Room::default(),
            ending: watch::Sender::new(false),
            turn: Mutex::default(),
            telemetry: Telemetry::off(),
            token_help: TokenHelp::new(None, false),
            combined: Kept::default(),
        })
    }

    /// Sends spans and durations of requests to a collector.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// Sends what is left of spans and counts. Not to be called inside of the event loop.
    pub fn end_telemetry(&self) {
        self.telemetry.end();
    }

    /// Tells clients without a good token who issues them.
    #[must_use]
    pub fn with_token_help(self, token_help: TokenHelp) -> Self {
        Self { token_help, ..self }
    }

    /// The span of a request that has arrived; nothing if no collector wants any.
    pub(super) fn trace(
        &self,
        server: &Server,
        headers: &HeaderMap,
        message: &Message,
        policy: Option<&Policy>,
    ) -> Option<RequestSpan> {
        if !self.telemetry.is_on() {
            return None;
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (id, method, params) = (message.id()?, message.method().unwrap_or_default(), message.params());
        self.telemetry.begin(&telemetry::ArrivedRequest {
            server: server.name.as_str(),
            method,
            params,
            id,
            transport: Transport::Http,
            headers: (text("traceparent"), text("tracestate")),
            revision: text(header::PROTOCOL_VERSION),
            policy,
        })
    }

    /// The span of a request to a command, which counts as not sent until the command's mediator has it.
    pub(super) fn trace_to_child(
        &self,
        server: &Server,
        who: &Identity,
        headers: &HeaderMap,
        message: &Message,
    ) -> Option<Box<RequestSpan>> {
        if !self.telemetry.is_on() {
            return None;
        }
        let mut span = self.trace(server, headers, message, self.policy(who, server).as_deref())?;
        span.if_dropped(CallOutcome::NotSent);
        Some(Box::new(span))
    }

    /// Puts the servers, policies, hosts and origins of another plan in place. Servers that stay where they are keep
    /// their sessions; requests that are open go on. Address, TLS and settings stay as they are. Returns what passes now
    /// that did not before.
    ///
    /// # Errors
    /// A policy or a target is not good; everything stays as it is.
    pub fn reload(&self, plan: Plan) -> Result<Loosened, SetUpError> {
        let old = self.table();
        let before: BTreeMap<String, _> =
            old.servers.iter().map(|(name, server)| (name.clone(), server.strictness())).collect();
        let new = Arc::new(table(plan, &self.policies, &self.decider, Some(&old))?);
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        for (name, server) in &old.servers {
            if new.servers.get(name).is_none_or(|kept| !Arc::ptr_eq(kept, server)) {
                server.retire();
            }
        }
        for server in new.servers.values() {
            // Its policy may be another file now, or that of a grant.
            server.appears_otherwise();
        }
        self.policies.tidy();
        let mut loosened = Loosened::default();
        for (name, server) in &new.servers {
            loosened.of_server(name, server.strictness().looser_than(before.get(name)));
        }
        Ok(loosened)
    }

    pub(super) fn table(&self) -> Arc<LivePlan> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this server is still one of those that are served.
    pub(super) fn serves(&self, server: &Arc<Server>) -> bool {
        self.table().servers.get(server.name.as_str()).is_some_and(|served| Arc::ptr_eq(served, server))
    }

    /// Where calls are decided on.
    pub fn decider(&self) -> &Decider {
        &self.decider
    }

    /// What operators may see of the servers.
    pub fn views(&self) -> Vec<ServerView> {
        let view = |server: &Arc<Server>| {
            let (plan, current) = (server.plan(), server.policy());
            let policy = plan.policy.as_ref().map(|path| match &current {
                Some(policy) => format!("{} ({})", path.display(), &policy.hash()[..12]),
                None => path.display().to_string(),
            });
            let problem = (plan.policy.is_some() && current.is_none()).then(|| "its policy cannot be used".to_owned());
            ServerView { name: server.name.as_str().to_owned(), policy, problem }
        };
        self.table().servers.values().map(view).collect()
    }

    /// What time brings: policies, counters and log are brought up to date, what no client uses is let go.
    pub fn tick(&self) {
        // One after the other: where a store does not answer, looks must not pile up.
        let Ok(_turn) = self.turn.try_lock() else { return };
        let now = clock::now();
        let has_new_policies = self.policies.look(&self.decider, now);
        let table = self.table();
        self.token_watches.look(&table.servers, &*self.identify, now);
        self.decider.tick(now);
        for server in table.servers.values() {
            let has_new_lock = self.policies.reloading() == Reloading::WhileRunning && server.look_at_lock(now);
            if has_new_lock || has_new_policies {
                server.appears_otherwise();
            }
            match &server.way {
                ServerWay::Http(relay) => relay.tick(),
                ServerWay::Stdio(bridge) => bridge.tick(),
            }
            let sessions = match &server.way {
                ServerWay::Http(relay) => relay.sessions(),
                ServerWay::Stdio(bridge) => bridge.sessions(),
            };
            if let Some(meter) = self.decider.meter() {
                meter.server(server.name.as_str()).set_sessions(sessions);
            }
        }
    }

    /// Ends streams that would last for ever; requests that are open go on.
    pub fn begin_to_end(&self) {
        self.ending.send_replace(true);
    }

    /// Says when streams are to end.
    pub(super) fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    /// Ends the servers that run as children, once no client is served any more. Blocks until they are gone.
    pub fn end(&self) {
        for server in self.table().servers.values() {
            match &server.way {
                ServerWay::Http(_) => {}
                ServerWay::Stdio(bridge) => bridge.end(),
            }
        }
    }

    pub(super) async fn who(&self, head: &Parts, server: &Arc<Server>) -> Result<Identity, Refusal> {
        let presented = authorization(&head.headers).map_err(|error| unauthorized(&error))?;
        let at_once = match self.queue.pace() {
            Pace::Elsewhere => None,
            Pace::Alone | Pace::Together => self.identify.at_once(presented, &server.name, clock::now()),
        };
        let identified = match at_once {
            Some(identified) => identified,
            None => {
                let (identify, server) = (Arc::clone(&self.identify), Arc::clone(server));
                let presented = presented.map(<[u8]>::to_vec);
                let work = move || identify.identify(presented.as_deref(), &server.name, clock::now());
                tokio::task::spawn_blocking(work)
                    .await
                    .unwrap_or_else(|_| Err(Unauthorized::Unavailable("no answer".to_owned())))
            }
        };
        identified.map_err(|error| unauthorized(&error))
    }

    /// The policy by which a caller's calls to a server are judged.
    pub(super) fn policy(&self, who: &Identity, server: &Server) -> Option<Arc<Policy>> {
        match &who.policy {
            PolicyChoice::Server => server.policy(),
            PolicyChoice::File(path) => self.policies.of(path, server.plan().enforcement, &self.decider).policy(),
        }
    }
}

impl LivePlan {
    /// Whether a path is the endpoint of all servers together.
    pub(super) fn is_common(&self, path: &str) -> bool {
        self.servers.len() > 1 && path.strip_prefix(ENDPOINT).is_some_and(|rest| matches!(rest, "" | "/"))
    }

    pub(super) fn route(&self, path: &str) -> Result<&Arc<Server>, Refusal> {
        let unknown = |what: String| Refusal::new(StatusCode::NOT_FOUND, what);
        let rest = path.strip_prefix(ENDPOINT).ok_or_else(|| unknown(format!("the endpoint is {ENDPOINT}")))?;
        match rest.strip_prefix('/').unwrap_or(rest) {
            "" => match self.servers.values().next() {
                Some(server) if self.servers.len() == 1 => Ok(server),
                Some(_) | None => Err(unknown(format!("there are several servers, each at {ENDPOINT}/NAME"))),
            },
            // `/mcpfoo` is no path of ours.
            _ if !rest.starts_with('/') => Err(unknown(format!("the endpoint is {ENDPOINT}"))),
            name => self.servers.get(name).ok_or_else(|| unknown("there is no server of this name".to_owned())),
        }
    }
}

fn table(
    plan: Plan,
    policies: &Policies,
    decider: &Arc<Decider>,
    old: Option<&LivePlan>,
) -> Result<LivePlan, SetUpError> {
    let mut servers = BTreeMap::new();
    let mut changes = Vec::new();
    for (name, served) in plan.servers {
        let kept = old.and_then(|old| old.servers.get(name.as_str())).filter(|server| server.serves(&served));
        let slot = match &served.policy {
            Some(path) => Some(policies.load(path, served.enforcement)?),
            None => None,
        };
        let key = name.as_str().to_owned();
        let server = match kept {
            Some(server) => {
                changes.push((Arc::clone(server), served, slot));
                Arc::clone(server)
            }
            None => {
                let server = Server::new(name, served, slot, decider)?;
                if let Some(lock) = &server.plan().locked {
                    policies.watch(&lock.path);
                }
                Arc::new(server)
            }
        };
        servers.insert(key, server);
    }
    // Nothing can fail any more.
    for (server, served, slot) in changes {
        server.shared.set_roots(served.roots.as_slice().into());
        server.shared.set_hints(served.hints.as_ref(), clock::now);
        *server.plan.write().unwrap_or_else(PoisonError::into_inner) = served;
        *server.policy.write().unwrap_or_else(PoisonError::into_inner) = slot;
    }
    Ok(LivePlan { servers, front: HostOrigin::new(&plan.listener) })
}
