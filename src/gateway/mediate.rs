//! The middle: what lines from one side mean for both. No threads and no pipes here; `session` and `http/child` move the bytes.

use super::absence::Absence;
use super::answers::tell_progress;
use super::audit::{Audit, Route, Whose};
use super::decider::{Case, Decider, Verdict};
use super::exchange::{
    Asked, Asker, CallOutcome, DoorRefusal, Facts, Flight, LISTS_MAX, MessageForm, NotTaken, Party, PolicySource,
    Question, Shared, Telling, UnknownMethods,
};
use super::handshake::Handshake;
use super::locked::Guard;
use super::meter::Outcome;
use super::pending::{Pending, RequestKind};
use super::relist::Relist;
use super::reply;
use super::said::Said;
use super::shipment::Shipment;
use super::telemetry::{RequestSpan, SpanEnd as Told};
use crate::clock::Timestamp;
use crate::mcp::envelope::{Id, MESSAGE_BYTES_MAX, Malformed, Message, Passage, ReplyTo, ToolCall, admit};
use crate::mcp::framing::lines_of;
use crate::mcp::walk::member;
use crate::policy::{Caller, Denial, PendingApproval, Permit, Policy};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Calls that may wait for a person at the same time in one session.
pub const WAITING_MAX: usize = 256;

/// Messages that arrive together at most times; more make the tables grow.
const BATCH_MESSAGES_USUAL: usize = 64;

/// How a session is run.
#[derive(Clone, Debug)]
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
    /// The request in it, as it is told to a collector of spans.
    pub span: Option<Box<RequestSpan>>,
    /// The client that sent it, where it is not the one of the session.
    pub party: Option<Arc<Party>>,
}

impl Arrived {
    /// At this moment, from the client of the session, and no spans are collected.
    pub fn now() -> Self {
        Self { at: Instant::now(), span: None, party: None }
    }
}

/// A call that waits for a person.
#[derive(Debug)]
pub(super) struct WaitingCall {
    pub(super) id: Id,
    pub(super) serial: u64,
    pub(super) party: Arc<Party>,
    pub(super) question: PendingApproval,
    pub(super) approval: String,
    pub(super) since: Instant,
    pub(super) told: Instant,
    pub(super) telling: Option<Telling>,
}

/// One session between one client and one server.
pub struct Mediator {
    /// The client, where a message names no other.
    pub(super) party: Arc<Party>,
    /// The client that sent the last message: rules for what the server asks and tells are its policy's.
    latest: Mutex<Arc<Party>>,
    pub(super) decider: Arc<Decider>,
    pub(super) settings: Settings,
    pub(super) pending: Mutex<Pending>,
    pub(super) guard: Option<Arc<Guard>>,
    /// What all clients of the server share.
    pub(super) shared: Arc<Shared>,
    pub(super) relist: Mutex<Relist>,
    pub(super) waiting: Mutex<Vec<WaitingCall>>,
    pub(super) absence: Absence,
    pub(super) handshake: Mutex<Handshake>,
}

impl fmt::Debug for Mediator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mediator").field("party", &self.party).field("settings", &self.settings).finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every table here is valid between any two statements, so one that a panic left behind can be used.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call whose id is taken, before and after the gate.
#[derive(Debug)]
pub(super) struct TakenCall {
    pub(super) id: Id,
    /// See [`PendingRequest::serial`](super::pending::PendingRequest::serial).
    pub(super) serial: u64,
    pub(super) call: ToolCall,
    pub(super) party: Arc<Party>,
    /// Lists that it has waited for.
    pub(super) lists: u8,
}

/// A call with what is known about its tool.
struct Ready {
    /// Its place among those that were brought together.
    place: usize,
    taken: TakenCall,
    policy: Option<Arc<Policy>>,
    facts: Facts,
}

enum SessionStep {
    Pass(Passage),
    Call(usize),
}

/// What messages that arrived together come to.
struct Sorted {
    steps: Vec<SessionStep>,
    calls: Vec<TakenCall>,
    effects: Effects,
    party: Arc<Party>,
    /// Questions to people about calls that were withdrawn.
    withdrawn: Vec<Question>,
}

impl Mediator {
    /// A session whose calls are decided on at this decider.
    pub fn new(
        source: impl PolicySource + 'static,
        decider: Arc<Decider>,
        (caller, way): (Caller, Route),
        settings: Settings,
    ) -> Self {
        let party = Arc::new(Party::new(caller, way, source));
        Self {
            latest: Mutex::new(Arc::clone(&party)),
            party,
            decider,
            settings,
            pending: Mutex::default(),
            guard: None,
            shared: Arc::default(),
            relist: Mutex::default(),
            waiting: Mutex::default(),
            absence: Absence::default(),
            handshake: Mutex::default(),
        }
    }

    /// This session, held to a lock.
    #[must_use]
    pub fn with_guard(mut self, guard: Arc<Guard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// This session, with a server that other clients have sessions with as well.
    #[must_use]
    pub fn with_shared(self, shared: Arc<Shared>) -> Self {
        Self { shared, ..self }
    }

    /// The lock that calls are held to, if there is one.
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_deref()
    }

    /// Whose a line about the server is that names no client.
    pub fn whose(&self) -> Whose {
        self.party.whose()
    }

    /// Where calls are decided on.
    pub fn decider(&self) -> &Decider {
        &self.decider
    }

    /// The log.
    pub fn audit(&self) -> &Audit {
        self.decider.audit()
    }

    /// Shows the operator a line about the server.
    pub fn notice(&self, said: Said<'_>) {
        self.decider.notice(&said.of(self.whose().server_name()));
    }

    /// The client that sent the last message.
    pub(super) fn latest(&self) -> Arc<Party> {
        Arc::clone(&lock(&self.latest))
    }

    /// A client as someone whom rules beside those of tools speak of.
    pub(super) fn asker<T>(&self, party: &Party, work: impl FnOnce(&Asker<'_>) -> T) -> T {
        let policy = party.policy();
        let is_shown_with_tool = |uri: Option<&str>| {
            let now = self.shared.moment(Instant::now());
            policy.as_ref().is_some_and(|policy| party.view().has_interface(uri, policy, now))
        };
        work(&Asker {
            policy: policy.as_deref(),
            caller: &party.caller,
            way: party.way,
            unknown: &self.settings.unknown_methods,
            is_shown_with_tool: &is_shown_with_tool,
            tasks: self.shared.tasks(),
        })
    }

    /// Takes what a message pledges, and decides on one that is no call.
    fn admits(&self, message: &Message, party: &Party, now: Timestamp) -> Result<(), DoorRefusal> {
        self.decider.pledged_over_stdio(now, party, message)?;
        let (passage, form) = match message {
            Message::Request(_, passage) => (passage, MessageForm::Request),
            Message::Notification(passage) => (passage, MessageForm::News),
            Message::Call(..) | Message::Reply(..) => return Ok(()),
        };
        self.asker(party, |asker| self.decider.admits(now, asker, passage, form))
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
    /// [skeleton](crate::mcp::skeleton).
    pub fn too_long_from_client(&self, skeleton: &[u8], now: Timestamp) -> Effects {
        let mut effects = Effects::default();
        let message = format!("a message of more than {MESSAGE_BYTES_MAX} bytes");
        let to = match admit(skeleton) {
            Ok(Message::Request(id, _) | Message::Call(id, _)) => ReplyTo::Id(id),
            Ok(Message::Notification(_) | Message::Reply(..)) => ReplyTo::Nobody,
            Err(malformed) => malformed.reply_to,
        };
        reply::error(&mut effects.to_client, &to, -32600, &message);
        self.audit().repeated(now, "refused", &self.party.whose(), |line| line.text("reason", &message));
        effects
    }

    /// Lines from the client, each with its `\n`.
    pub fn from_client(&self, lines: &[u8], now: Timestamp) -> Effects {
        let mut admitted = Vec::with_capacity(memchr::memchr_iter(b'\n', lines).take(BATCH_MESSAGES_USUAL).count());
        admitted.extend(lines_of(lines).map(admit));
        self.arriving(admitted, now, Arrived::now())
    }

    /// Messages of one client, each admitted or not, that have come like this.
    pub fn arriving(&self, all: Vec<Result<Message, Malformed>>, now: Timestamp, mut arrived: Arrived) -> Effects {
        let party = arrived.party.take().unwrap_or_else(|| Arc::clone(&self.party));
        *lock(&self.latest) = Arc::clone(&party);
        let mut effects = Effects::default();
        let (mut messages, mut bytes) = (Vec::with_capacity(all.len()), 0);
        for admitted in all {
            match admitted {
                Ok(message) => match self.admits(&message, &party, now) {
                    Ok(()) => {
                        bytes += message.line().len() + 1;
                        messages.push(message);
                    }
                    Err(refused) => {
                        if let Some(span) = arrived.span.take() {
                            span.end(Told::Error(refused.code.into()));
                        }
                        let to = message.id().map_or(ReplyTo::Nobody, |id| ReplyTo::Id(id.clone()));
                        reply::error(&mut effects.to_client, &to, refused.code, &refused.message);
                    }
                },
                Err(malformed) => {
                    let reason = malformed.reason;
                    reply::error(&mut effects.to_client, &malformed.reply_to, reason.code(), &reason.to_string());
                    self.audit()
                        .repeated(now, "refused", &party.whose(), |line| line.text("reason", &reason.to_string()));
                }
            }
        }
        let mut sorted = Sorted {
            steps: Vec::with_capacity(messages.len()),
            calls: Vec::new(),
            effects,
            party,
            withdrawn: Vec::new(),
        };
        {
            let mut pending = lock(&self.pending);
            for message in messages {
                self.sort(message, &mut arrived, now, &mut pending, &mut sorted);
            }
        }
        let Sorted { steps, calls, mut effects, withdrawn, .. } = sorted;
        withdrawn.into_iter().for_each(|question| question.withdraw(now));
        if let Some(span) = arrived.span {
            span.end(Told::Error(-32600));
        }
        let mut permits = if calls.is_empty() { Vec::new() } else { self.decide(calls, now, None, &mut effects) };
        if permits.iter().any(Option::is_some) {
            effects.to_server.reserve(bytes);
        }
        let mut pending = lock(&self.pending);
        for step in steps {
            match step {
                SessionStep::Pass(passage) => effects.to_server.pass(&passage),
                SessionStep::Call(index) => {
                    self.load(permits.get_mut(index).and_then(Option::take), &mut pending, &mut effects);
                }
            }
        }
        effects
    }

    fn sort(
        &self,
        message: Message,
        arrived: &mut Arrived,
        now: Timestamp,
        pending: &mut Pending,
        Sorted { steps, calls, effects, party, withdrawn }: &mut Sorted,
    ) {
        let mut refuse = |id: &Id, refused: NotTaken| {
            reply::error(&mut effects.to_client, &ReplyTo::Id(id.clone()), -32600, &refused.to_string());
            self.audit().repeated(now, "refused", &party.whose(), |line| line.text("reason", &refused.to_string()));
        };
        let instant = arrived.at;
        pending.is_told(&message);
        match message {
            Message::Call(id, call) => match pending.begin(&id, RequestKind::Arriving, party, instant) {
                Ok(serial) => {
                    pending.trace(&id, arrived.span.take());
                    steps.push(SessionStep::Call(calls.len()));
                    calls.push(TakenCall { id, serial, call, party: Arc::clone(party), lists: 0 });
                }
                Err(refused) => refuse(&id, refused),
            },
            Message::Request(id, passage) => {
                let asked = Asked::of(&passage, || self.shared.generation());
                match pending.begin(&id, RequestKind::Sent(asked.unwrap_or(Asked::Other)), party, instant) {
                    Ok(serial) => {
                        pending.trace(&id, arrived.span.take());
                        if let Some(passage) = self.hold_request(&id, serial, passage, pending) {
                            self.note_handshake(&id, serial, &passage);
                            steps.push(SessionStep::Pass(passage));
                        }
                    }
                    Err(refused) => refuse(&id, refused),
                }
            }
            Message::Notification(passage) => match passage.method() {
                Some("notifications/cancelled") => {
                    if self.cancel(&passage, instant, pending, party, withdrawn) {
                        steps.push(SessionStep::Pass(passage));
                    }
                }
                Some("notifications/initialized") => {
                    self.note_initialized(&passage);
                    steps.push(SessionStep::Pass(passage));
                }
                _ => steps.push(SessionStep::Pass(passage)),
            },
            Message::Reply(id, passage) => {
                if pending.from_server.end(&(), &id) {
                    steps.push(SessionStep::Pass(passage));
                } else {
                    self.decider.dropped(&party.whose(), "client", "foreign reply");
                }
            }
        }
    }

    /// The client withdraws a request. Answers whether the server must hear of it.
    fn cancel(
        &self,
        passage: &Passage,
        instant: Instant,
        pending: &mut Pending,
        party: &Party,
        withdrawn: &mut Vec<Question>,
    ) -> bool {
        let id = passage.params().and_then(|params| member(params, "requestId")).and_then(|(id, _)| Id::parse(id));
        let entry = id.as_ref().and_then(|id| pending.get_mut(id));
        let Some(entry) = entry.filter(|entry| !matches!(entry.kind, RequestKind::OwnList | RequestKind::Replay))
        else {
            self.decider.dropped(&party.whose(), "client", "foreign cancellation");
            return false;
        };
        (entry.cancelled, entry.since) = (true, instant);
        if let Some(span) = &mut entry.span {
            span.if_dropped(CallOutcome::Cancelled);
        }
        match entry.kind {
            RequestKind::Waiting { .. } => {}
            // It has not left yet, and will not.
            RequestKind::Arriving => return false,
            RequestKind::Sent(_) | RequestKind::Replay | RequestKind::OwnList => return true,
        }
        // The server never heard of a call that waits for a person, and a withdrawn request gets no answer.
        if let Some(entry) = id.and_then(|id| pending.end(&id))
            && let RequestKind::Waiting { question: Some(question) } = entry.kind
        {
            withdrawn.push(question);
        }
        false
    }

    /// The client of a request has gone without a word. A call that the server does not know of yet is never sent; if a
    /// person agrees later, the same call may be made again. Answers whether the server may know of the request.
    pub fn hung_up(&self, id: &Id) -> bool {
        let mut pending = lock(&self.pending);
        let Some(entry) = pending.get_mut(id) else { return false };
        match entry.kind {
            RequestKind::Waiting { .. } => drop(pending.end(id)),
            RequestKind::Arriving => (entry.cancelled, entry.has_left) = (true, true),
            RequestKind::Sent(_) | RequestKind::Replay | RequestKind::OwnList => return true,
        }
        false
    }

    /// Brings calls to the decider. The client's answers are in `effects`; what may be forwarded is answered, in order.
    /// `asked` is the approval that these calls have waited for already.
    fn decide(
        &self,
        calls: Vec<TakenCall>,
        now: Timestamp,
        asked: Option<&str>,
        effects: &mut Effects,
    ) -> Vec<Option<(Id, u64, Permit)>> {
        let mut permits: Vec<_> = calls.iter().map(|_| None).collect();
        let mut ready = Vec::with_capacity(calls.len());
        for (place, taken) in calls.into_iter().enumerate() {
            ready.extend(self.informed(place, taken, asked, effects));
        }
        let cases: Vec<Case<'_>> = ready
            .iter()
            .map(|Ready { taken, policy, facts, .. }| Case {
                policy: policy.as_deref(),
                caller: &taken.party.caller,
                way: taken.party.way,
                call: &taken.call,
                schema: facts.schema.as_deref(),
                change: facts.change,
                definition: facts.definition,
                asked,
            })
            .collect();
        let rulings = self.decider.rule(now, &cases);
        for (Ready { place, taken, .. }, ruling) in ready.into_iter().zip(rulings) {
            let denial = match ruling.verdict {
                Verdict::Allow(permit) => {
                    permits[place] = Some((taken.id, ruling.number, permit));
                    continue;
                }
                Verdict::Wait(question, approval) => self.wait(&taken, *question, approval, now, effects),
                Verdict::Deny(denial) => Some(denial),
            };
            if let Some(denial) = denial {
                self.refuse(&taken, &denial, ruling.number, &mut effects.to_client);
            }
        }
        permits
    }

    /// A call with the policy of now and what the lists say of its tool. Where only a list can tell, the call waits for
    /// one.
    fn informed(&self, place: usize, taken: TakenCall, asked: Option<&str>, effects: &mut Effects) -> Option<Ready> {
        let ready = |taken, policy| Ready { place, taken, policy, facts: Facts::default() };
        let guard = self.guard.as_deref();
        // Most policies hold no call to any list.
        let Some(policy) = taken.party.policy() else { return Some(ready(taken, None)) };
        let taken = self.hold_call(&policy, taken, asked)?;
        if guard.is_none() && !policy.wants_lists_for(taken.call.name().as_str()) {
            return Some(ready(taken, Some(policy)));
        }
        let moment = self.shared.moment(Instant::now());
        let wants = |taken: &TakenCall| {
            taken.lists < LISTS_MAX && taken.party.view().wants_list(&policy, guard, taken.call.name().as_str(), moment)
        };
        let taken = if wants(&taken) { self.park(taken, asked, effects)? } else { taken };
        let facts = {
            let (tool, whose) = (taken.call.name().as_str(), taken.party.whose());
            taken.party.view().facts(&policy, guard, tool, moment, (&whose, &self.decider))
        };
        Some(Ready { facts, ..ready(taken, Some(policy)) })
    }

    /// Lets a call wait for a person, or says why it cannot.
    fn wait(
        &self,
        taken: &TakenCall,
        question: PendingApproval,
        approval: String,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Option<Denial> {
        let since = Instant::now();
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= WAITING_MAX {
            return Some(Denial::unanswered(&question, &approval));
        }
        let asked = Question::new(&self.decider, taken.party.whose(), &approval);
        let waits = lock(&self.pending).let_wait(&taken.id, Some(asked));
        if let Err(withdrawn) = waits {
            drop(waiting);
            withdrawn.into_iter().for_each(|question| question.withdraw(now));
            return None;
        }
        let party = Arc::clone(&taken.party);
        let telling = question.call.progress_token().map(|token| Telling::new(token, &approval));
        let (id, serial) = (taken.id.clone(), taken.serial);
        let mut call = WaitingCall { id, serial, party, question, approval, since, told: since, telling };
        tell_progress(&mut call, since, effects);
        waiting.push(call);
        None
    }

    fn refuse(&self, taken: &TakenCall, denial: &Denial, number: u64, to_client: &mut Vec<u8>) {
        // A request that was withdrawn meanwhile gets no answer.
        let Some(entry) = lock(&self.pending).end(&taken.id).filter(|entry| !entry.cancelled) else { return };
        let decision = self.audit().decision_id(number);
        if let Some(mut span) = entry.span {
            span.decided(taken.party.grant(), Outcome::Deny, &denial.rule, &decision);
            span.end(Told::ToolError);
        }
        let call = &taken.call;
        reply::denied(to_client, &taken.id, call.name().as_str(), denial, &decision, call.is_stateless());
    }

    /// Puts a call on its way, unless the client has withdrawn it meanwhile.
    fn load(&self, permitted: Option<(Id, u64, Permit)>, pending: &mut Pending, effects: &mut Effects) {
        let Some((id, decision, permit)) = permitted else { return };
        let Some(entry) = pending.get_mut(&id).filter(|entry| !entry.cancelled) else {
            let whose = pending.end(&id).map_or_else(|| self.party.whose(), |entry| entry.party.whose());
            self.decider.withdrawn(whose, decision, permit);
            return;
        };
        if let Some(span) = &mut entry.span {
            let would = permit.would_deny();
            let outcome = if would.is_some() { Outcome::WouldDeny } else { Outcome::Allow };
            let rule = would.map_or(permit.rule(), |denial| &denial.rule);
            span.decided(entry.party.grant(), outcome, rule, &self.audit().decision_id(decision));
        }
        let (arrived, sent) = (entry.arrived, Instant::now());
        let token = permit.call().progress_token().and_then(Id::parse);
        let (flight, cleared) = Flight::depart(&self.decider, entry.party.whose(), decision, permit, (arrived, sent));
        effects.to_server.call(&cleared);
        pending.forwarded(&id, flight, token, sent);
    }

    /// Brings calls that have waited for a person to the gate once more; what the client withdrew meanwhile is left out.
    pub(super) fn decide_again(&self, waited: Vec<WaitingCall>, now: Timestamp, effects: &mut Effects) {
        for waiting in waited {
            let WaitingCall { id, serial, party, question, approval, .. } = waiting;
            let taken = TakenCall { id, serial, call: question.call, party, lists: 0 };
            self.decide_later(taken, now, Some(&approval), effects);
        }
    }

    /// Brings a call that has waited to the decider, unless the client has withdrawn it meanwhile.
    pub(super) fn decide_later(&self, taken: TakenCall, now: Timestamp, asked: Option<&str>, effects: &mut Effects) {
        match lock(&self.pending).get_mut(&taken.id) {
            Some(entry) if entry.is_waiting(taken.serial) => entry.kind = RequestKind::Arriving,
            Some(_) | None => return,
        }
        let mut permits = self.decide(vec![taken], now, asked, effects);
        self.load(permits.pop().flatten(), &mut lock(&self.pending), effects);
    }

    /// Writes down how calls ended; after the answers are on their way.
    pub fn log_ended(&self, now: Timestamp) {
        self.decider.log_ended(now);
    }
}
