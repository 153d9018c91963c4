//! The way back: lines from the server, and what time brings when the server says nothing.

use super::audit::Ended;
use super::filter::{Page, filter};
use super::framing::lines_of;
use super::mediate::{Effects, Mediator, Waiting, is_listed, lock};
use super::pending::{Entry, Forwarded, Kind};
use super::reply;
use super::shipment::Shipment;
use super::telemetry::Ended as Told;
use crate::clock::{self, Timestamp};
use crate::mcp::envelope::{Arrival, Id, PROTOCOL_VERSIONS, Received, ReplyTo, receive};
use crate::mcp::http::readdress::{Place, readdressed};
use crate::mcp::json::string_value;
use crate::mcp::walk::member;
use crate::policy::{ApprovalState, Ending};
use std::time::{Duration, Instant};

/// How often a client that asked for progress hears that its call still waits for a person.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// How much of a line that is no message is logged, in characters.
const JUNK_CHARS_MAX: usize = 80;

/// What lines from the server mean.
#[derive(Debug, Default)]
pub struct Answers {
    /// What to send where.
    pub effects: Effects,
    /// Calls that ended, to be logged once the answers are on their way.
    pub ended: Vec<Ended>,
    /// A server that was started again has taken up the session.
    pub replayed: bool,
}

impl Mediator {
    /// Lines from the server, each with its `\n`; the last may lack it.
    pub fn from_server(&self, lines: &[u8], now: Timestamp) -> Answers {
        let mut answers = Answers::default();
        // Most of it is passed on.
        answers.effects.to_client.reserve(lines.len() + 1);
        for line in lines_of(lines) {
            match receive(line) {
                Ok(received) => self.arrived(&received, now, &mut answers),
                Err(malformed) => {
                    let (reason, to) = (malformed.reason.to_string(), malformed.reply_to);
                    self.drop_junk(line, &reason, now);
                    // An answer that cannot be read is an answer all the same: nobody must wait for another.
                    if let ReplyTo::Id(id) = &to
                        && let Some(entry) = self.end_answered(id)
                    {
                        let message = format!("the server's answer is not valid: {reason}");
                        self.failed(id, entry, "invalid", &message, &mut answers);
                    }
                }
            }
        }
        answers
    }

    /// A line from the server that is too long; what is left of it is its [skeleton](super::skeleton).
    pub fn too_long_from_server(&self, skeleton: &[u8], now: Timestamp) -> Answers {
        let mut answers = Answers::default();
        self.drop_junk(skeleton, "too long", now);
        match receive(skeleton).map(|received| received.arrival) {
            Ok(Arrival::Result(id) | Arrival::Error(id)) => {
                if let Some(entry) = self.end_answered(&id) {
                    let message = "the server's answer is longer than this gateway takes";
                    self.failed(&id, entry, "too_long", message, &mut answers);
                }
            }
            Ok(Arrival::Request(id, _)) => answers.effects.to_server.refuse(&id, "a request of more bytes than may be"),
            Ok(Arrival::Notification(_)) | Err(_) => {}
        }
        answers
    }

    fn drop_junk(&self, line: &[u8], reason: &str, now: Timestamp) {
        // What a server prints beside the protocol may be anything; its length and a reason are enough.
        let shown = reason.chars().take(JUNK_CHARS_MAX).collect::<String>();
        self.audit().repeated(now, "dropped", |entry| {
            entry.text("from", "server").text("what", &shown).number("bytes", line.len() as u64)
        });
    }

    fn arrived(&self, received: &Received<'_>, now: Timestamp, answers: &mut Answers) {
        let pass = |answers: &mut Answers| {
            answers.effects.to_client.extend_from_slice(received.text.as_bytes());
            answers.effects.to_client.push(b'\n');
        };
        match &received.arrival {
            Arrival::Result(id) | Arrival::Error(id) => {
                let Some(mut entry) = self.end_answered(id) else {
                    if let Some(meant) = self.meant(id, &received.text)
                        && let Ok(received) = receive(meant.as_bytes())
                    {
                        return self.arrived(&received, now, answers);
                    }
                    self.audit()
                        .repeated(now, "dropped", |line| line.text("from", "server").text("what", "foreign reply"));
                    return;
                };
                if let Some(span) = entry.span.take() {
                    span.end(Told::of(received));
                }
                let is_error = matches!(received.arrival, Arrival::Error(_));
                match entry.kind {
                    Kind::Call(forwarded) => {
                        let (outcome, ending) =
                            if is_error { ("error", Ending::ErrorReply) } else { ("result", Ending::Kept) };
                        let bytes = received.text.len();
                        answers.ended.push(ended(&forwarded, entry.sent, outcome, bytes));
                        self.ended(*forwarded, ending);
                        pass(answers);
                    }
                    Kind::OwnList if is_error => {
                        self.own_list_failed("it answered with an error", now, &mut answers.effects);
                    }
                    Kind::OwnList => self.own_list(id, received, now, answers),
                    Kind::List { first } if !is_error => self.list(id, first, received, now, answers),
                    Kind::Initialize if !is_error => match unknown_version(received) {
                        None => self.greeting(id, received, now, answers),
                        Some(version) => {
                            let message = format!(
                                "the server speaks protocol version `{version}`, which this gateway does not know"
                            );
                            reply::error(
                                &mut answers.effects.to_client,
                                &ReplyTo::Id(id.clone()),
                                reply::INTERNAL_ERROR,
                                &message,
                            );
                            self.notice(&message);
                        }
                    },
                    Kind::Discover if !is_error => self.greeting(id, received, now, answers),
                    Kind::Replay => answers.replayed = true,
                    Kind::List { .. }
                    | Kind::Initialize
                    | Kind::Discover
                    | Kind::Other
                    | Kind::Waiting
                    | Kind::Arriving => pass(answers),
                }
            }
            Arrival::Request(id, _) => match lock(&self.pending).begin_server(id) {
                Ok(()) => pass(answers),
                Err(refused) => {
                    answers.effects.to_server.refuse(id, &refused.to_string());
                    self.audit().repeated(now, "dropped", |line| {
                        line.text("from", "server").text("what", &format!("request: {refused}"))
                    });
                }
            },
            Arrival::Notification(method) => {
                let named = |name| received.params().and_then(|params| member(params, name));
                let named = |name| named(name).and_then(|(id, _)| Id::parse(id));
                match &**method {
                    "notifications/progress" => {
                        if let Some(token) = named("progressToken") {
                            lock(&self.pending).progressed(&token, Instant::now());
                        }
                    }
                    // A request that the server has withdrawn is answered by nobody, and must not be counted for ever.
                    "notifications/cancelled" => {
                        if let Some(id) = named("requestId") {
                            lock(&self.pending).end_server(&id);
                        }
                    }
                    "notifications/tools/list_changed" => {
                        lock(&self.listed).forget();
                        lock(&self.tools).outdated();
                    }
                    _ => {}
                }
                pass(answers);
            }
        }
    }

    /// An answer whose id is the number of a request in flight, as text, with that number for its id.
    fn meant(&self, id: &Id, text: &str) -> Option<String> {
        let number = id.of_text().filter(|number| lock(&self.pending).get_mut(number).is_some())?;
        readdressed(text, &number, Place::AmongOthers)
    }

    /// The request that an answer is for, ended.
    fn end_answered(&self, id: &Id) -> Option<Entry> {
        lock(&self.pending).end_answered(id)
    }

    fn list(&self, id: &Id, first: Option<u64>, received: &Received<'_>, now: Timestamp, answers: &mut Answers) {
        let (result, span) = (received.result().unwrap_or_default(), received.result_span().unwrap_or_default());
        let policy = self.policy();
        let reviewed = |name: &str, definition: &str| self.guard.as_ref().is_none_or(|it| it.lists(name, definition));
        let page = match filter(result, |name, definition| is_listed(&policy, name) && reviewed(name, definition)) {
            Ok(page) => page,
            Err(error) => {
                let to_client = &mut answers.effects.to_client;
                reply::error(to_client, &ReplyTo::Id(id.clone()), reply::INTERNAL_ERROR, &error.to_string());
                self.audit().repeated(now, "dropped", |line| line.text("from", "server").text("what", "tool list"));
                return;
            }
        };
        {
            let mut tools = lock(&self.tools);
            if first.is_some() {
                tools.begin();
            }
            for (name, _) in &page.tools {
                tools.take(name, None);
            }
            for span in &page.kept {
                let definition = &result[span.clone()];
                let name =
                    member(definition, "name").and_then(|(literal, _)| string_value(literal)).unwrap_or_default();
                if policy.wants_schema(&name) {
                    tools.take(&name, Some(definition));
                }
            }
            if self.guard.is_some() {
                self.take_list(first, result, &page);
            }
            if !page.more {
                let unknown = tools.complete(&policy);
                if !unknown.is_empty() {
                    self.notice(&unknown_tools(&unknown, tools.names().collect()));
                }
            }
        }
        let to_client = &mut answers.effects.to_client;
        to_client.extend_from_slice(&received.text.as_bytes()[..span.start]);
        to_client.extend_from_slice(page.result.as_bytes());
        to_client.extend_from_slice(&received.text.as_bytes()[span.end..]);
        to_client.push(b'\n');
    }

    /// Passes on what the server says of itself; of instructions that nobody reviewed only that they are empty.
    fn greeting(&self, id: &Id, received: &Received<'_>, now: Timestamp, answers: &mut Answers) {
        let to_client = &mut answers.effects.to_client;
        let guard = self.guard.as_ref();
        match guard.map_or(Ok(None), |guard| guard.greeting(received, self.server(), &self.desk, now)) {
            Ok(None) => to_client.extend_from_slice(received.text.as_bytes()),
            Ok(Some(instead)) => to_client.extend_from_slice(&instead),
            Err(error) => {
                reply::error(to_client, &ReplyTo::Id(id.clone()), reply::INTERNAL_ERROR, &error.to_string());
                return;
            }
        }
        to_client.push(b'\n');
    }

    /// Keeps what a page of the client's list says of the tools, for comparing them with the lock.
    fn take_list(&self, first: Option<u64>, result: &str, page: &Page) {
        let mut listed = lock(&self.listed);
        if let Some(generation) = first {
            listed.begin(generation);
        }
        for (name, span) in &page.tools {
            listed.take(name, &result[span.clone()]);
        }
        if !page.more {
            listed.complete_of_client();
        }
    }

    /// Answers a request that the server will not answer.
    fn failed(&self, id: &Id, mut entry: Entry, outcome: &'static str, message: &str, answers: &mut Answers) {
        if let Some(span) = entry.span.take() {
            span.end(Told::Failed(outcome));
        }
        if matches!(entry.kind, Kind::OwnList) {
            self.own_list_failed(message, clock::now(), &mut answers.effects);
            return;
        }
        let is_replay = matches!(entry.kind, Kind::Replay);
        if let Kind::Call(forwarded) = entry.kind {
            answers.ended.push(ended(&forwarded, entry.sent, outcome, 0));
            // What a server did before it failed nobody knows.
            self.ended(*forwarded, Ending::Kept);
        }
        // `initialize` that was sent again was answered when it first came.
        if !entry.cancelled && !is_replay {
            reply::error(&mut answers.effects.to_client, &ReplyTo::Id(id.clone()), reply::INTERNAL_ERROR, message);
        }
    }

    /// A request that the server has not answered, and will not any more.
    pub fn unanswered(&self, id: &Id, why: &str) -> Answers {
        let mut answers = Answers::default();
        if let Some(entry) = self.end_answered(id) {
            self.failed(id, entry, "unanswered", why, &mut answers);
        }
        answers
    }

    /// The session ends: calls that wait for a person are answered.
    pub fn deserted(&self, why: &str) -> Answers {
        let mut answers = Answers::default();
        lock(&self.waiting).clear();
        let orphans = lock(&self.pending).deserted();
        for (id, entry) in orphans {
            self.failed(&id, entry, "gone", why, &mut answers);
        }
        answers
    }

    /// The server is gone: everything that waits for it is answered.
    pub fn upstream_gone(&self, why: &str) -> Answers {
        let mut answers = Answers::default();
        let orphans = lock(&self.pending).upstream_gone();
        for (id, entry) in orphans {
            self.failed(&id, entry, "upstream_gone", why, &mut answers);
        }
        answers
    }

    /// A server was started again: what it must hear first, if the session had got that far.
    pub fn replay(&self) -> Option<Shipment> {
        // Another process may have other tools.
        lock(&self.listed).forget();
        lock(&self.tools).outdated();
        let (id, line) = lock(&self.handshake).initialize.clone()?;
        lock(&self.pending).begin(&id, Kind::Replay, Instant::now()).ok()?;
        let mut shipment = Shipment::default();
        shipment.again(&line);
        Some(shipment)
    }

    /// What a server that was started again hears after it has answered `initialize`.
    pub fn initialized_again(&self) -> Shipment {
        let mut shipment = Shipment::default();
        if let Some(line) = &lock(&self.handshake).initialized {
            shipment.again(line);
        }
        shipment
    }

    /// What time brings: calls without answer are given up, people may have answered, counters and log are brought up to
    /// date. Called now and then.
    pub fn tick(&self, now: Timestamp) -> Answers {
        let mut answers = Answers::default();
        let overdue = lock(&self.pending).overdue(Instant::now(), self.settings.call_timeout);
        for (id, entry) in overdue {
            if entry.cancelled {
                // Most servers send no answer to what was withdrawn.
                self.failed(&id, entry, "cancelled", "", &mut answers);
            } else {
                let seconds = self.settings.call_timeout.unwrap_or_default().as_secs_f64();
                answers.effects.to_server.cancel(&id, "no answer in time");
                let message = format!("the server has not answered within {seconds} s");
                self.failed(&id, entry, "timeout", &message, &mut answers);
            }
        }
        self.look_at_list(now, &mut answers.effects);
        self.look_at_approvals(now, &mut answers.effects);
        self.desk.tick(now);
        answers
    }

    /// Whether a call waits for a person, so that time matters more.
    pub fn waits_for_people(&self) -> bool {
        !lock(&self.waiting).is_empty()
    }

    fn look_at_approvals(&self, now: Timestamp, effects: &mut Effects) {
        let instant = Instant::now();
        // The store may be slow: nobody else waits for these locks meanwhile.
        let mut all = std::mem::take(&mut *lock(&self.waiting));
        {
            let mut pending = lock(&self.pending);
            all.retain(|call| pending.get_mut(&call.id).is_some_and(|entry| matches!(entry.kind, Kind::Waiting)));
        }
        let (mut ready, mut waiting) = (Vec::new(), Vec::with_capacity(all.len()));
        for mut call in all {
            let late = instant.saturating_duration_since(call.since) >= self.settings.approval_wait;
            let answered = match self.desk.approvals().get(now, &call.approval) {
                Ok(Some(approval)) => approval.state != ApprovalState::Pending,
                Ok(None) => true,
                // The store may come back before the time is over.
                Err(_) => false,
            };
            if late || answered {
                ready.push(call);
                continue;
            }
            if instant.saturating_duration_since(call.told) >= PROGRESS_EVERY {
                tell_progress(&mut call, instant, effects);
            }
            waiting.push(call);
        }
        lock(&self.waiting).append(&mut waiting);
        self.decide_again(ready, now, effects);
    }
}

/// Tells a client that asked for progress that its call waits for a person.
pub(super) fn tell_progress(call: &mut Waiting, instant: Instant, effects: &mut Effects) {
    (call.told, call.steps) = (instant, call.steps + 1);
    if let Some(token) = call.question.call.progress_token() {
        let message = format!("waiting for approval {}", call.approval);
        reply::progress(&mut effects.to_client, token, call.steps, &message);
    }
}

fn ended(forwarded: &Forwarded, sent: Instant, outcome: &'static str, bytes: usize) -> Ended {
    let micros = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ended { number: forwarded.decision, outcome, micros, bytes: bytes as u64 }
}

/// The version that a server chose, if it is none that we know.
fn unknown_version(received: &Received<'_>) -> Option<String> {
    let (literal, _) = member(received.result()?, "protocolVersion")?;
    let version = string_value(literal).unwrap_or_default();
    (!PROTOCOL_VERSIONS.contains(&&*version)).then(|| crate::text::excerpt(&version, 40))
}

/// Tells of tools that only the policy knows.
pub(super) fn unknown_tools(unknown: &[String], known: Vec<&str>) -> String {
    let mut words = Vec::new();
    for name in unknown.iter().take(5) {
        let shown = crate::text::excerpt(name, 60);
        words.push(match crate::text::nearest(name, known.iter().copied()) {
            Some(near) => format!("`{shown}` (did you mean `{}`?)", crate::text::excerpt(near, 60)),
            None => format!("`{shown}`"),
        });
    }
    let more = if unknown.len() > 5 { format!(" and {} more", unknown.len() - 5) } else { String::new() };
    format!("the policy names tools that the server does not list: {}{more}", words.join(", "))
}
