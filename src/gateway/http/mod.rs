//! The gateway over HTTP: many servers, many callers, each call judged at the one desk.
//!
//! A request goes through `front` (is it meant for us?), `identity` (who asks?), the envelope (what is asked?), the desk
//! (may it pass?) and on to a server by `relay` or `bridge`. What comes back goes through `exchange` and `events`.

pub mod body;
pub mod bridge;
pub mod child;
pub mod child_events;
pub mod client;
pub mod events;
pub mod exchange;
pub mod front;
pub mod headers;
pub mod io;
pub mod leases;
pub mod mirror;
pub mod open;
pub mod queue;
pub mod refusal;
pub mod relay;
pub mod relist;
pub mod seats;
pub mod serve;
pub mod server;
pub mod sessions;
pub mod sights;
pub mod tls;
pub mod union;
pub mod waiting;
mod approval;
mod bridge_asked;
mod bridge_table;
mod child_routes;
mod mcp_headers;
mod own_ids;
mod relay_answer;

use super::audit::{Route, Whose};
use super::desk::Desk;
use super::exchange::CallOutcome;
use super::identity::{Identify, Identity, PolicyChoice, Unauthorized, authorization};
use super::locked::BadLock;
use super::mediate::Settings;
use super::plan::Plan;
use super::policies::Policies;
use super::reload::BadPolicy;
use super::status::ServerView;
use super::telemetry::{self, RequestSpan, Telemetry, Transport};
use crate::clock;
use crate::mcp::ConnectError;
use crate::mcp::envelope::Message;
use crate::mcp::http::header;
use crate::policy::Policy;
use body::{Answer, Room};
use front::Front;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use leases::Leases;
use queue::{Pace, Queue};
use refusal::Refusal;
use seats::Seats;
use server::{Server, Way};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The path of the endpoint; servers are below it by name.
pub const ENDPOINT: &str = "/mcp";
/// How long what a request's token was found to be counts while its body arrives.
pub const IDENTITY_AGE_MAX: Duration = Duration::from_secs(1);

/// A gateway that serves requests.
pub struct Gateway {
    table: RwLock<Arc<Table>>,
    identify: Arc<dyn Identify>,
    policies: Policies,
    desk: Arc<Desk>,
    queue: Arc<Queue>,
    settings: Settings,
    seats: Seats,
    leases: Leases,
    room: Room,
    ending: watch::Sender<bool>,
    turn: Mutex<()>,
    telemetry: Telemetry,
    union: union::Union,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("table", &self.table).finish_non_exhaustive()
    }
}

/// What a plan can change while the gateway runs.
#[derive(Debug)]
struct Table {
    servers: BTreeMap<String, Arc<Server>>,
    front: Front,
}

/// Why a gateway cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// A policy is not good.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
    /// A lock is not good, or has no such server.
    #[error(transparent)]
    Lock(#[from] BadLock),
    /// A server cannot be connected to like this.
    #[error(transparent)]
    Server(#[from] ConnectError),
}

impl Gateway {
    /// Sets everything up; nothing is sent to any server yet.
    ///
    /// # Errors
    /// A policy or a target is not good.
    pub fn new(plan: Plan, desk: Arc<Desk>, identify: Arc<dyn Identify>, pace: Pace) -> Result<Self, SetUpError> {
        let policies = Policies::default();
        let settings = plan.settings;
        let table = table(plan, &policies, &desk, None)?;
        Ok(Self {
            table: RwLock::new(Arc::new(table)),
            identify,
            policies,
            queue: Queue::new(Arc::clone(&desk), pace),
            desk,
            settings,
            seats: Seats::default(),
            leases: Leases::default(),
            room: Room::default(),
            ending: watch::Sender::new(false),
            turn: Mutex::default(),
            telemetry: Telemetry::off(),
            union: union::Union::default(),
        })
    }

    /// The same, with spans and durations of requests sent to a collector.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// Sends what is left of spans and counts. Not to be called inside of the event loop.
    pub fn end_telemetry(&self) {
        self.telemetry.end();
    }

    /// The span of a request that has arrived; nothing if no collector wants any.
    fn trace(
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
        self.telemetry.begin(&telemetry::Incoming {
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

    /// The same for a request to a command, which counts as not sent until the command's mediator has it.
    fn trace_to_child(
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
    /// their sessions; requests that are open go on. Address, TLS and settings stay as they are.
    ///
    /// # Errors
    /// A policy or a target is not good; everything stays as it is.
    pub fn reload(&self, plan: Plan) -> Result<(), SetUpError> {
        let old = self.table();
        let new = Arc::new(table(plan, &self.policies, &self.desk, Some(&old))?);
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
        Ok(())
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this server is still one of those that are served.
    fn serves(&self, server: &Arc<Server>) -> bool {
        self.table().servers.get(server.name.as_str()).is_some_and(|served| Arc::ptr_eq(served, server))
    }

    /// Where calls are decided on.
    pub fn desk(&self) -> &Desk {
        &self.desk
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

    /// What time brings: policies, counters and log are brought up to date, what nobody uses is let go.
    pub fn tick(&self) {
        // One after the other: where a store does not answer, looks must not pile up.
        let Ok(_turn) = self.turn.try_lock() else { return };
        let now = clock::now();
        let has_new_policies = self.policies.look(&self.desk, now);
        let table = self.table();
        self.leases.look(&table, &*self.identify, now);
        self.desk.tick(now);
        for server in table.servers.values() {
            if server.look_at_lock(now) || has_new_policies {
                server.appears_otherwise();
            }
            match &server.way {
                Way::Http(relay) => relay.tick(),
                Way::Stdio(bridge) => bridge.tick(),
            }
            let sessions = match &server.way {
                Way::Http(relay) => relay.sessions(),
                Way::Stdio(bridge) => bridge.sessions(),
            };
            if let Some(meter) = self.desk.meter() {
                meter.server(server.name.as_str()).set_sessions(sessions);
            }
        }
    }

    /// Ends streams that would last for ever; requests that are open go on.
    pub fn begin_to_end(&self) {
        self.ending.send_replace(true);
    }

    /// Says when streams are to end.
    fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    /// Ends the servers that run as children, once nobody is served any more. Blocks until they are gone.
    pub fn end(&self) {
        for server in self.table().servers.values() {
            match &server.way {
                Way::Http(_) => {}
                Way::Stdio(bridge) => bridge.end(),
            }
        }
    }

    /// Answers one request. `local` is the address that the client reached.
    pub async fn answer(self: &Arc<Self>, local: IpAddr, request: Request<Incoming>) -> Response<Answer> {
        let (head, body) = request.into_parts();
        let table = self.table();
        let origin = match table.front.check(&head, local) {
            Ok(origin) => origin,
            Err(refusal) => return self.refuse(refusal, &Whose::gateway()),
        };
        if let Some(mut response) = table.front.preflight(&head, origin.as_ref()) {
            origin.into_iter().for_each(|origin| front::allow_origin(response.headers_mut(), origin));
            return response;
        }
        let mut whose = Whose::gateway();
        let mut response = match self.serve(&table, head, body, &mut whose).await {
            Ok(response) => response,
            Err(refusal) => self.refuse(refusal, &whose),
        };
        origin.into_iter().for_each(|origin| front::allow_origin(response.headers_mut(), origin));
        response
    }

    fn refuse(&self, refusal: Refusal, whose: &Whose) -> Response<Answer> {
        if let Some(meter) = self.desk.meter() {
            meter.refused_request(match refusal.status().as_u16() {
                400 => "malformed",
                401 => "unauthorized",
                403 => "host_or_origin",
                404 => "unknown_path_or_session",
                405 => "method",
                408 => "too_slow",
                413 => "too_large",
                415 => "content_type",
                429 | 503 => "busy",
                502 | 504 => "upstream",
                _ => "other",
            });
        }
        self.desk.audit().repeated(clock::now(), "refused", whose, |line| {
            line.number("status", u64::from(refusal.status().as_u16())).text("reason", refusal.message())
        });
        refusal.into_response()
    }

    /// Serves a request; `whose` says whose it is, as far as that is known when it is refused.
    async fn serve(
        self: &Arc<Self>,
        table: &Table,
        head: Parts,
        body: Incoming,
        whose: &mut Whose,
    ) -> Result<Response<Answer>, Refusal> {
        // What is not the path of most requests is in a box: the room for a request is that of its longest way.
        if table.is_common(head.uri.path()) {
            whose.way = Some(Route::Combined);
            return Box::pin(union::serve(self, table, head, body, whose)).await;
        }
        let server = table.route(head.uri.path())?;
        (whose.server, whose.way) = (Some(Arc::clone(&server.label)), Some(server.route()));
        let who = self.who(&head, server).await?;
        whose.grant = Some(Arc::clone(&who.grant));
        match head.method {
            Method::POST => {
                front::content(&head.headers)?;
                let (seat, known) = (self.seats.take(&who.grant)?, Instant::now());
                let (bytes, _taken) = body::read(body, &self.room).await?;
                // The token may have been taken back while the body arrived.
                let who = if known.elapsed() < IDENTITY_AGE_MAX { who } else { self.who(&head, server).await? };
                match &server.way {
                    Way::Http(relay) => relay.post(self, server, who, head, bytes, seat).await,
                    Way::Stdio(bridge) => Box::pin(bridge.post(self, server, who, head, bytes, seat)).await,
                }
            }
            Method::GET => {
                let seat = self.seats.take(&who.grant)?;
                match &server.way {
                    Way::Http(relay) => Box::pin(relay.get(self, server, &who, head, seat)).await,
                    Way::Stdio(bridge) => bridge.get(self, server, &who, &head, seat),
                }
            }
            Method::DELETE => match &server.way {
                Way::Http(relay) => Box::pin(relay.delete(server, &who, head)).await,
                Way::Stdio(bridge) => bridge.delete(&who, &head),
            },
            _ => Err(front::bad_method()),
        }
    }

    async fn who(&self, head: &Parts, server: &Arc<Server>) -> Result<Identity, Refusal> {
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
    fn policy(&self, who: &Identity, server: &Server) -> Option<Arc<Policy>> {
        match &who.policy {
            PolicyChoice::Server => server.policy(),
            PolicyChoice::File(path) => self.policies.of(path, server.plan().enforcement, &self.desk).policy(),
        }
    }
}

impl Table {
    /// Whether a path is the endpoint of all servers together.
    fn is_common(&self, path: &str) -> bool {
        self.servers.len() > 1 && path.strip_prefix(ENDPOINT).is_some_and(|rest| matches!(rest, "" | "/"))
    }

    fn route(&self, path: &str) -> Result<&Arc<Server>, Refusal> {
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

fn table(plan: Plan, policies: &Policies, desk: &Arc<Desk>, old: Option<&Table>) -> Result<Table, SetUpError> {
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
                let server = Server::new(name, served, slot, desk)?;
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
        *server.plan.write().unwrap_or_else(PoisonError::into_inner) = served;
        *server.policy.write().unwrap_or_else(PoisonError::into_inner) = slot;
    }
    Ok(Table { servers, front: Front::new(&plan.listener) })
}

fn unauthorized(error: &Unauthorized) -> Refusal {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return Refusal::new(status, "tokens cannot be checked at the moment");
    }
    Refusal::new(status, "a valid token is needed")
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(error.www_authenticate()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;
    use crate::gateway::audit::{Audit, Destination};
    use crate::gateway::plan::{Backend, Served};
    use crate::gateway::reload::Enforcement;
    use crate::mcp::target::HttpTarget;
    use crate::model::ServerName;
    use crate::state::MemoryStore;

    /// A server that nothing is ever sent to.
    pub fn server() -> Arc<Server> {
        let store = Arc::new(MemoryStore::default());
        let audit = Audit::open(&Destination::Nowhere, None, "s".to_owned()).unwrap();
        let desk = Arc::new(Desk::new(Arc::clone(&store) as _, store, audit, Box::new(|_| ())));
        let name = ServerName::new("one");
        let url = "http://127.0.0.1:1/mcp".parse().unwrap();
        let target = HttpTarget { server: name.clone(), url, headers: BTreeMap::new(), token: None };
        let plan =
            Served { backend: Backend::Http(target), policy: None, enforcement: Enforcement::AsWritten, locked: None };
        Arc::new(Server::new(name, plan, None, &desk).unwrap())
    }
}
