//! The middle: what lines from one side mean for both. No threads and no pipes here; whoever calls moves the bytes.

use super::answers::tell_progress;
use super::audit::{Audit, Ended};
use super::desk::{Case, Desk, Verdict};
use super::framing::lines_of;
use super::locked::{Guard, Listed};
use super::meter::Outcome;
use super::pending::{Forwarded, Kind, NotTaken, Pending};
use super::relist::Relist;
use super::reply;
use super::shipment::Shipment;
use super::telemetry::{Ended as Told, RequestSpan};
use super::tools::Tools;
use crate::clock::Timestamp;
use crate::mcp::envelope::{Id, MESSAGE_BYTES_MAX, Message, Passage, ReplyTo, ToolCall, admit};
use crate::mcp::protocol;
use crate::mcp::walk::member;
use crate::policy::{Caller, Denial, Ending, PendingApproval, Permit, Policy};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Calls that may wait for a person at the same time in one session.
pub const WAITING_MAX: usize = 256;

/// Messages that arrive together at most times; more make the tables grow.
const BATCH_MESSAGES_USUAL: usize = 64;

/// What becomes of requests whose method no revision of the protocol knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownMethods {
    /// They are forwarded, and logged.
    Forward,
    /// They are refused: method not found.
    Refuse,
}

/// How a session is run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A call without answer or progress for this long is given up; `None` waits for ever.
    pub call_timeout: Option<Duration>,
    /// A call that wants approval waits this long for a person.
    pub approval_wait: Duration,
    /// See [`UnknownMethods`].
    pub unknown_methods: UnknownMethods,
}

/// What to send where. The client's part can always be sent; the server's part only to the server.
#[derive(Debug, Default)]
pub struct Effects {
    /// Lines for the server.
    pub to_server: Shipment,
    /// Lines for the client.
    pub to_client: Vec<u8>,
}

/// How a message of a client has come.
#[derive(Debug)]
pub struct Arrived {
    /// When.
    pub at: Instant,
    /// The request in it, as it is told to whoever collects spans.
    pub span: Option<Box<RequestSpan>>,
    /// The client session that sends it, where several of them share one server; `None` for the mediator's own.
    pub caller: Option<Arc<Caller>>,
}

impl Arrived {
    /// At this moment, from the mediator's own caller, and nobody collects spans.
    pub fn now() -> Self {
        Self { at: Instant::now(), span: None, caller: None }
    }
}

/// A call that waits for a person.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: Id,
    pub(super) caller: Option<Arc<Caller>>,
    pub(super) question: PendingApproval,
    pub(super) approval: String,
    pub(super) since: Instant,
    pub(super) told: Instant,
    pub(super) steps: u64,
}

/// One session between one client and one server.
pub struct Mediator {
    policy: RwLock<Arc<Policy>>,
    pub(super) desk: Arc<Desk>,
    caller: Caller,
    pub(super) settings: Settings,
    pub(super) pending: Mutex<Pending>,
    pub(super) tools: Mutex<Tools>,
    pub(super) guard: Option<Arc<Guard>>,
    pub(super) listed: Mutex<Listed>,
    pub(super) relist: Mutex<Relist>,
    pub(super) waiting: Mutex<Vec<Waiting>>,
    pub(super) handshake: Mutex<Handshake>,
}

/// What a server that is started again must hear first.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshake {
    pub(super) initialize: Option<(Id, Vec<u8>)>,
    pub(super) initialized: Option<Vec<u8>>,
}

impl fmt::Debug for Mediator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mediator")
            .field("caller", &self.caller)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every table here is valid between any two statements, so one that a panic left behind can be used.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call whose id is taken, before and after the gate.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: Id,
    pub(super) call: ToolCall,
    /// The client session that calls, where it is not the mediator's own caller.
    pub(super) caller: Option<Arc<Caller>>,
    /// Lists that it has waited for.
    pub(super) lists: u8,
}

enum Step {
    Pass(Passage),
    Call(usize),
}

impl Mediator {
    /// A session whose calls are decided on at this desk.
    pub fn new(policy: Arc<Policy>, desk: Arc<Desk>, caller: Caller, settings: Settings) -> Self {
        Self {
            policy: RwLock::new(policy),
            desk,
            caller,
            settings,
            pending: Mutex::default(),
            tools: Mutex::default(),
            guard: None,
            listed: Mutex::default(),
            relist: Mutex::default(),
            waiting: Mutex::default(),
            handshake: Mutex::default(),
        }
    }

    /// The same session, held to a lock.
    #[must_use]
    pub fn with_guard(mut self, guard: Arc<Guard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// The lock that calls are held to, if there is one.
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_deref()
    }

    /// What the server is called.
    pub(super) fn server(&self) -> &str {
        &self.caller.server
    }

    /// The policy of new calls.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another policy in place; calls in flight keep theirs. Answers whether any tool appears otherwise now.
    pub fn set_policy(&self, policy: Arc<Policy>) -> bool {
        let old = {
            let mut slot = self.policy.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *slot, Arc::clone(&policy))
        };
        let mut tools = lock(&self.tools);
        // The new policy may hold arguments to schemas that were not kept.
        tools.outdated();
        let mut names: std::collections::BTreeSet<&str> = tools.names().collect();
        names.extend(old.tool_names());
        names.extend(policy.tool_names());
        // A name that neither policy has stands for all tools that only the default speaks of.
        names.insert("");
        names.into_iter().any(|name| old.visible(name) != policy.visible(name))
    }

    /// Where calls are decided on.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The log.
    pub fn audit(&self) -> &Audit {
        self.desk.audit()
    }

    /// Tells a person.
    pub fn notice(&self, text: &str) {
        self.desk.notice(text);
    }

    /// Whether a request of the client has no answer yet.
    pub fn waits_for(&self, id: &Id) -> bool {
        lock(&self.pending).get_mut(id).is_some_and(|entry| !entry.cancelled)
    }

    /// Requests of the client that the server has to answer.
    pub fn at_server(&self) -> usize {
        lock(&self.pending).at_server()
    }

    /// A message from the client that is longer than [`MESSAGE_BYTES_MAX`]; what is left of it is its
    /// [skeleton](super::skeleton).
    pub fn too_long_from_client(&self, skeleton: &[u8], now: Timestamp) -> Effects {
        let mut effects = Effects::default();
        let message = format!("a message of more than {MESSAGE_BYTES_MAX} bytes");
        let to = match admit(skeleton) {
            Ok(Message::Request(id, _) | Message::Call(id, _)) => ReplyTo::Id(id),
            Ok(Message::Notification(_) | Message::Reply(..)) => ReplyTo::Nobody,
            Err(malformed) => malformed.reply_to,
        };
        reply::error(&mut effects.to_client, &to, -32600, &message);
        self.audit().repeated(now, "refused_message", |line| line.text("reason", &message));
        effects
    }

    /// Lines from the client, each with its `\n`.
    pub fn from_client(&self, lines: &[u8], now: Timestamp) -> Effects {
        self.arriving(lines, now, Arrived::now())
    }

    /// The same for a line that has come like this.
    pub fn arriving(&self, lines: &[u8], now: Timestamp, mut arrived: Arrived) -> Effects {
        let mut effects = Effects::default();
        let mut messages = Vec::with_capacity(memchr::memchr_iter(b'\n', lines).take(BATCH_MESSAGES_USUAL).count());
        for line in lines_of(lines) {
            match admit(line) {
                Ok(message) => messages.push(message),
                Err(malformed) => {
                    let reason = malformed.reason;
                    reply::error(&mut effects.to_client, &malformed.reply_to, reason.code(), &reason.to_string());
                    self.audit().repeated(now, "refused_message", |line| line.text("reason", &reason.to_string()));
                }
            }
        }
        let mut steps = Vec::with_capacity(messages.len());
        let mut calls = Vec::with_capacity(messages.len());
        {
            let mut pending = lock(&self.pending);
            for message in messages {
                self.sort(message, &mut arrived, now, &mut pending, &mut steps, &mut calls, &mut effects);
            }
        }
        if let Some(span) = arrived.span {
            span.end(Told::Error(-32600));
        }
        let mut permits = if calls.is_empty() { Vec::new() } else { self.decide(calls, now, None, &mut effects) };
        if permits.iter().any(Option::is_some) {
            effects.to_server.reserve(lines.len() + 1);
        }
        let mut pending = lock(&self.pending);
        for step in steps {
            match step {
                Step::Pass(passage) => effects.to_server.pass(&passage),
                Step::Call(index) => {
                    self.load(permits.get_mut(index).and_then(Option::take), now, &mut pending, &mut effects);
                }
            }
        }
        effects
    }

    #[expect(clippy::too_many_arguments, reason = "one step of `from_client`, with its locals")]
    fn sort(
        &self,
        message: Message,
        arrived: &mut Arrived,
        now: Timestamp,
        pending: &mut Pending,
        steps: &mut Vec<Step>,
        calls: &mut Vec<Taken>,
        effects: &mut Effects,
    ) {
        let mut refuse = |id: &Id, refused: NotTaken| {
            reply::error(&mut effects.to_client, &ReplyTo::Id(id.clone()), -32600, &refused.to_string());
            self.audit().repeated(now, "refused_message", |line| line.text("reason", &refused.to_string()));
        };
        let instant = arrived.at;
        match message {
            Message::Call(id, call) => match pending.begin(&id, Kind::Arriving, instant) {
                Ok(()) => {
                    pending.trace(&id, arrived.span.take());
                    steps.push(Step::Call(calls.len()));
                    calls.push(Taken { id, call, caller: arrived.caller.clone(), lists: 0 });
                }
                Err(refused) => refuse(&id, refused),
            },
            Message::Request(id, passage) => {
                let method = passage.method().unwrap_or_default();
                let known = protocol::Method::asked_by_client(method);
                if known.is_none() {
                    self.audit().repeated(now, "unknown_method", |line| line.text("method", method));
                    if self.settings.unknown_methods == UnknownMethods::Refuse {
                        if let Some(span) = arrived.span.take() {
                            span.end(Told::Error(-32601));
                        }
                        reply::error(&mut effects.to_client, &ReplyTo::Id(id), -32601, "method not found");
                        return;
                    }
                }
                let kind = match known.map(|method| method.kind) {
                    Some(protocol::Kind::ToolList) => {
                        let is_first = passage.params().and_then(|params| member(params, "cursor")).is_none();
                        Kind::List { first: is_first.then(|| lock(&self.listed).generation()) }
                    }
                    Some(protocol::Kind::Initialize) => Kind::Initialize,
                    Some(protocol::Kind::Discover) => Kind::Discover,
                    _ => Kind::Other,
                };
                let is_first = matches!(kind, Kind::Initialize);
                match pending.begin(&id, kind, instant) {
                    Ok(()) => {
                        pending.trace(&id, arrived.span.take());
                        if is_first {
                            lock(&self.handshake).initialize = Some((id, passage.line().to_vec()));
                        }
                        steps.push(Step::Pass(passage));
                    }
                    Err(refused) => refuse(&id, refused),
                }
            }
            Message::Notification(passage) => match passage.method() {
                Some("notifications/cancelled") => {
                    if self.cancel(&passage, instant, pending, now) {
                        steps.push(Step::Pass(passage));
                    }
                }
                Some("notifications/initialized") => {
                    lock(&self.handshake).initialized = Some(passage.line().to_vec());
                    steps.push(Step::Pass(passage));
                }
                _ => steps.push(Step::Pass(passage)),
            },
            Message::Reply(id, passage) => {
                if pending.end_server(&id) {
                    steps.push(Step::Pass(passage));
                } else {
                    self.audit()
                        .repeated(now, "dropped", |line| line.text("from", "client").text("what", "foreign reply"));
                }
            }
        }
    }

    /// The client withdraws a request. Answers whether the server must hear of it.
    fn cancel(&self, passage: &Passage, instant: Instant, pending: &mut Pending, now: Timestamp) -> bool {
        let id = passage.params().and_then(|params| member(params, "requestId")).and_then(|(id, _)| Id::parse(id));
        let entry = id.as_ref().and_then(|id| pending.get_mut(id));
        let Some(entry) = entry.filter(|entry| !matches!(entry.kind, Kind::OwnList)) else {
            self.audit()
                .repeated(now, "dropped", |line| line.text("from", "client").text("what", "foreign cancellation"));
            return false;
        };
        (entry.cancelled, entry.since) = (true, instant);
        if let Some(span) = &mut entry.span {
            span.if_dropped("cancelled");
        }
        match entry.kind {
            Kind::Waiting => {}
            // It has not left yet, and will not.
            Kind::Arriving => return false,
            Kind::Call(_)
            | Kind::Replay
            | Kind::List { .. }
            | Kind::OwnList
            | Kind::Initialize
            | Kind::Discover
            | Kind::Other => {
                return true;
            }
        }
        // The server never heard of a call that waits for a person, and a withdrawn request gets no answer.
        if let Some(id) = id {
            pending.end(&id);
        }
        false
    }

    /// The client of a request has gone without a word. A call that the server does not know of yet is never sent: nobody
    /// would hear what came of it. If a person agrees later, the same call may be made again. A request that was sent goes
    /// on.
    pub fn hung_up(&self, id: &Id) {
        let mut pending = lock(&self.pending);
        let Some(entry) = pending.get_mut(id) else { return };
        match entry.kind {
            Kind::Waiting => drop(pending.end(id)),
            Kind::Arriving => entry.cancelled = true,
            Kind::Call(_)
            | Kind::Replay
            | Kind::List { .. }
            | Kind::OwnList
            | Kind::Initialize
            | Kind::Discover
            | Kind::Other => {}
        }
    }

    /// Brings calls to the desk. The client's answers are in `effects`; what may be forwarded is answered, in order.
    /// `asked` is the approval that these calls have waited for already.
    fn decide(
        &self,
        calls: Vec<Taken>,
        now: Timestamp,
        asked: Option<&str>,
        effects: &mut Effects,
    ) -> Vec<Option<(Id, u64, Permit)>> {
        let policy = self.policy();
        let mut permits: Vec<_> = calls.iter().map(|_| None).collect();
        let mut ready = Vec::with_capacity(calls.len());
        for (at, taken) in calls.into_iter().enumerate() {
            if !self.wants_list(&policy, &taken) {
                ready.push((at, taken));
            } else if let Some(taken) = self.park(taken, asked, effects) {
                ready.push((at, taken));
            }
        }
        let schemas: Vec<_> = ready
            .iter()
            .map(|(_, taken)| {
                let name = taken.call.name().as_str();
                policy.wants_schema(name).then(|| lock(&self.tools).schema(name)).flatten()
            })
            .collect();
        let cases: Vec<Case<'_>> = ready
            .iter()
            .zip(&schemas)
            .map(|((_, taken), schema)| Case {
                policy: Some(&policy),
                caller: taken.caller.as_deref().unwrap_or(&self.caller),
                call: &taken.call,
                schema: schema.as_deref(),
                change: self.change(&policy, taken.call.name().as_str(), now),
                asked,
            })
            .collect();
        let rulings = self.desk.rule(now, &cases);
        for ((at, taken), ruling) in ready.into_iter().zip(rulings) {
            let denial = match ruling.verdict {
                Verdict::Allow(permit) => {
                    permits[at] = Some((taken.id, ruling.number, permit));
                    continue;
                }
                Verdict::Wait(question, approval) => self.wait(&taken, *question, approval, effects),
                Verdict::Deny(denial) => Some(denial),
            };
            if let Some(denial) = denial {
                self.refuse(&taken, &denial, ruling.number, &mut effects.to_client);
            }
        }
        permits
    }

    /// Lets a call wait for a person, or says why it cannot.
    fn wait(
        &self,
        taken: &Taken,
        question: PendingApproval,
        approval: String,
        effects: &mut Effects,
    ) -> Option<Denial> {
        let since = Instant::now();
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= WAITING_MAX {
            return Some(Denial::unanswered(&question, &approval));
        }
        let mut pending = lock(&self.pending);
        let entry = pending.get_mut(&taken.id)?;
        if entry.cancelled {
            // Withdrawn by a message that arrived with it.
            pending.end(&taken.id);
            return None;
        }
        entry.kind = Kind::Waiting;
        let (id, caller) = (taken.id.clone(), taken.caller.clone());
        let mut call = Waiting { id, caller, question, approval, since, told: since, steps: 0 };
        tell_progress(&mut call, since, effects);
        waiting.push(call);
        None
    }

    fn refuse(&self, taken: &Taken, denial: &Denial, number: u64, to_client: &mut Vec<u8>) {
        // A request that was withdrawn meanwhile gets no answer.
        let Some(entry) = lock(&self.pending).end(&taken.id).filter(|entry| !entry.cancelled) else { return };
        let decision = self.audit().decision_id(number);
        if let Some(mut span) = entry.span {
            span.decided(self.grant(), Outcome::Deny, &denial.rule, &decision);
            span.end(Told::ToolError);
        }
        let call = &taken.call;
        reply::denied(to_client, &taken.id, call.name().as_str(), denial, &decision, call.is_stateless());
    }

    /// Puts a call on its way, unless the client has withdrawn it meanwhile.
    fn load(&self, permitted: Option<(Id, u64, Permit)>, now: Timestamp, pending: &mut Pending, effects: &mut Effects) {
        let Some((id, decision, permit)) = permitted else { return };
        let Some(entry) = pending.get_mut(&id).filter(|entry| !entry.cancelled) else {
            pending.end(&id);
            self.desk.ended(permit.into_parts().1, Ending::NotSent);
            let outcome = Ended { number: decision, outcome: "cancelled", micros: 0, bytes: 0 };
            self.log_ended(now, vec![outcome]);
            return;
        };
        if let Some(span) = &mut entry.span {
            let would = permit.would_deny();
            let outcome = if would.is_some() { Outcome::WouldDeny } else { Outcome::Allow };
            let rule = would.map_or(permit.rule(), |denial| &denial.rule);
            span.decided(self.grant(), outcome, rule, &self.audit().decision_id(decision));
        }
        let (arrived, sent) = (entry.arrived, Instant::now());
        let progress_token = permit.call().progress_token().and_then(Id::parse);
        let reservation = effects.to_server.call(permit);
        let counted = self.desk.meter().map(|meter| {
            let server = meter.server(&self.caller.server);
            server.forwarded(sent.saturating_duration_since(arrived));
            server.call()
        });
        pending.forwarded(&id, Forwarded { decision, reservation, progress_token, counted }, sent);
    }

    fn grant(&self) -> &str {
        self.caller.grant.as_deref().unwrap_or_default()
    }

    /// Brings calls that have waited for a person to the gate once more; what the client withdrew meanwhile is left out.
    pub(super) fn decide_again(&self, waited: Vec<Waiting>, now: Timestamp, effects: &mut Effects) {
        for waiting in waited {
            let Waiting { id, caller, question, approval, .. } = waiting;
            let taken = Taken { id, call: question.call, caller, lists: 0 };
            self.decide_later(taken, now, Some(&approval), effects);
        }
    }

    /// Brings a call that has waited to the desk, unless the client has withdrawn it meanwhile.
    pub(super) fn decide_later(&self, taken: Taken, now: Timestamp, asked: Option<&str>, effects: &mut Effects) {
        match lock(&self.pending).get_mut(&taken.id) {
            Some(entry) if matches!(entry.kind, Kind::Waiting) => entry.kind = Kind::Arriving,
            Some(_) | None => return,
        }
        let mut permits = self.decide(vec![taken], now, asked, effects);
        self.load(permits.pop().flatten(), now, &mut lock(&self.pending), effects);
    }

    /// A call has ended: what it gives back waits for the next transaction.
    pub(super) fn ended(&self, forwarded: Forwarded, ending: Ending) {
        self.desk.ended(forwarded.reservation, ending);
    }

    /// Gives back what calls did not use.
    pub fn settle(&self, now: Timestamp) {
        self.desk.settle(now);
    }

    /// Notes how calls ended; after the answers are on their way.
    pub fn log_ended(&self, now: Timestamp, ended: Vec<Ended>) {
        if let Some(meter) = self.desk.meter() {
            let server = meter.server(&self.caller.server);
            // A call that was withdrawn before it was sent took the server no time.
            for ended in ended.iter().filter(|ended| ended.outcome != "cancelled" || ended.micros > 0) {
                server.call_ended(ended.outcome, Duration::from_micros(ended.micros));
            }
        }
        self.desk.log_ended(now, ended);
    }

    /// The tools that lists have named so far, with whether each is listed now.
    pub fn listed(&self) -> HashMap<String, bool> {
        let policy = self.policy();
        let tools = lock(&self.tools);
        tools.names().map(|name| (name.to_owned(), is_listed(&policy, name))).collect()
    }
}

pub(super) fn is_listed(policy: &Policy, tool: &str) -> bool {
    policy.visible(tool) == crate::policy::Visibility::Listed
}
