//! The way back: lines from the server, and what time brings when the server says nothing.

use super::alive::progress_of;
use super::doors::ServerAsked;
use super::exchange::{AnswerFor, Asked, CallOutcome, Fate, PROGRESS_EVERY, Party, answer, invalid, needs_policy};
use super::mediate::{Arrived, Effects, Mediator, WaitingCall, lock};
use super::pending::{PendingRequest, RequestKind};
use super::reply;
use super::shipment::{Shipment, Unsent};
use super::telemetry::SpanEnd as Told;
use crate::clock::{self, Timestamp};
use crate::mcp::envelope::{Arrival, Id, Message, Received, ReplyTo, admit, receive};
use crate::mcp::framing::lines_of;
use crate::mcp::http::readdress::{Place, readdressed};
use crate::mcp::json::string_value;
use crate::mcp::protocol::{Method, Subject, TOOLS_CHANGED};
use crate::mcp::unreadable::{Seems, seems};
use crate::mcp::walk::member;
use crate::text::excerpt;
use std::sync::Arc;
use std::time::Instant;

/// How much of a line that is no message is logged, in characters.
const JUNK_CHARS_MAX: usize = 80;
/// How much is repeated of an error that names no request, in characters.
const UNNAMED_CHARS_MAX: usize = 200;

/// What lines from the server mean.
#[derive(Debug, Default)]
pub struct Answers {
    /// What to send where.
    pub effects: Effects,
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
                Err(malformed) => self.unreadable(line, &malformed.reason.to_string(), now, &mut answers),
            }
        }
        answers
    }

    /// A line that cannot be read. An answer that cannot be read is an answer all the same: the client must not wait for
    /// another.
    fn unreadable(&self, line: &[u8], reason: &str, now: Timestamp, answers: &mut Answers) {
        let ids = match seems(line) {
            Seems::Answers(ids) => ids,
            Seems::Unnamed(error) => return self.unnamed(error.as_deref(), answers),
            Seems::Broken => {
                let sentence = format!("the server wrote what is no message: {reason}");
                return self.decider.wrong(&self.party.whose(), &sentence);
            }
            Seems::Asks | Seems::Junk => Vec::new(),
        };
        let mut is_meant = false;
        for id in ids {
            let id = match id.of_text() {
                Some(number) if lock(&self.pending).get_mut(&id).is_none() => number,
                Some(_) | None => id,
            };
            if let Some(entry) = self.end_answered(&id) {
                is_meant = true;
                self.failed(&id, entry, CallOutcome::Invalid, &invalid(&reason), answers);
            }
        }
        if !is_meant {
            self.drop_junk(line, reason, now);
        }
    }

    /// An answer of the server that names no request, an error or else a result. From a command it is the answer to the one
    /// request that the server works on; it may have been about something else all the same, so the call's units stay spent, and a later answer goes
    /// nowhere. With several requests nobody can tell which is meant, and a URL says it by the POST.
    fn unnamed(&self, error: Option<&str>, answers: &mut Answers) {
        let text = |name: &str| member(error?, name).map(|(literal, _)| literal);
        let message = text("message").and_then(string_value).unwrap_or_default();
        let code = text("code").and_then(|code| code.parse::<i64>().ok()).map(|code| format!(" {code}"));
        let detail =
            if message.is_empty() { String::new() } else { format!(": {}", excerpt(&message, UNNAMED_CHARS_MAX)) };
        let what = if error.is_some() { "an error" } else { "a result" };
        let code = code.unwrap_or_default();
        let sentence = format!("the server answered with {what} that names no request{code}{detail}");
        let answered = {
            let mut pending = lock(&self.pending);
            let only = if self.party.way.is_command() { pending.meant_by_unnamed() } else { None };
            only.and_then(|id| Some((pending.give_up(&id)?, id)))
        };
        match answered {
            Some((entry, id)) => self.failed(&id, entry, CallOutcome::Invalid, &sentence, answers),
            None => self.decider.wrong(&self.party.whose(), &sentence),
        }
    }

    /// A line from the server that is too long; what is left of it is its [skeleton](crate::mcp::skeleton).
    pub fn too_long_from_server(&self, skeleton: &[u8], now: Timestamp) -> Answers {
        let mut answers = Answers::default();
        self.drop_junk(skeleton, "too long", now);
        match receive(skeleton).map(|received| received.arrival) {
            Ok(Arrival::Result(id) | Arrival::Error(id)) => {
                if let Some(entry) = self.end_answered(&id) {
                    let message = "the server's answer is longer than this gateway takes";
                    self.failed(&id, entry, CallOutcome::TooLong, message, &mut answers);
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
        self.audit().repeated(now, "dropped", &self.party.whose(), |entry| {
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
                    self.decider.dropped(&self.party.whose(), "server", "foreign reply");
                    return;
                };
                if let Some(span) = entry.span.take() {
                    span.end(Told::of(received));
                }
                if entry.cancelled {
                    // The client waits for no answer to a request that it has withdrawn.
                    if let RequestKind::Sent(Asked::Call(flight)) = entry.kind {
                        flight.end(CallOutcome::Cancelled, received.text.len());
                    }
                    return;
                }
                let is_error = matches!(received.arrival, Arrival::Error(_));
                match entry.kind {
                    RequestKind::Sent(asked) => self.answered(asked, id, entry.party, received, now, answers),
                    RequestKind::OwnList if is_error => {
                        self.own_list_failed(id, "it answered with an error", now, &mut answers.effects);
                    }
                    RequestKind::OwnList => self.own_list(id, received, now, answers),
                    RequestKind::Replay => answers.replayed = true,
                    // The server does not know of these; they are not ended by what it says.
                    RequestKind::Waiting { .. } | RequestKind::Arriving => {}
                }
            }
            Arrival::Request(id, method) => {
                let roots = self.shared.roots();
                let asked = self.asker(&self.latest(), |asker| self.decider.asks(now, asker, method, id, &roots));
                if let ServerAsked::Answer(message) = asked {
                    answers.effects.to_server.answer(&message);
                    return;
                }
                match lock(&self.pending).from_server.begin(&(), id) {
                    Ok(()) => pass(answers),
                    Err(refused) => {
                        answers.effects.to_server.refuse(id, &refused.to_string());
                        self.decider.dropped(&self.party.whose(), "server", &format!("request: {refused}"));
                    }
                }
            }
            Arrival::Notification(method) => {
                let params = received.params().unwrap_or_default();
                if &**method == TOOLS_CHANGED {
                    self.shared.take_lists_back();
                }
                // Most news is about nothing that a rule speaks of.
                if !Method::told_by_server(method).is_some_and(|known| known.subject == Subject::Protocol)
                    && !self.asker(&self.latest(), |asker| self.decider.tells(now, asker, method, params))
                {
                    return;
                }
                let named = |name| received.params().and_then(|params| member(params, name));
                let named = |name| named(name).and_then(|(id, _)| Id::parse(id));
                if let Some(token) = progress_of(received) {
                    lock(&self.pending).progressed(&token, Instant::now());
                }
                // A request that the server has withdrawn gets no answer, and must not be counted for ever.
                if &**method == "notifications/cancelled"
                    && let Some(id) = named("requestId")
                {
                    lock(&self.pending).from_server.end(&(), &id);
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
    fn end_answered(&self, id: &Id) -> Option<PendingRequest> {
        lock(&self.pending).end_answered(id)
    }

    /// The answer to a request of the client.
    fn answered(
        &self,
        asked: Asked,
        id: &Id,
        party: Arc<Party>,
        received: &Received<'_>,
        now: Timestamp,
        answers: &mut Answers,
    ) {
        let policy = if needs_policy(&asked, received) { party.policy() } else { None };
        let viewer = AnswerFor {
            policy: policy.as_ref(),
            caller: &party.caller,
            way: party.way,
            unknown: &self.settings.unknown_methods,
            guard: self.guard.as_deref(),
            view: Some(party.seen()),
            shared: &self.shared,
            at: Instant::now(),
        };
        let (mut notes, to_client) = (Vec::new(), &mut answers.effects.to_client);
        let fate = answer(asked, id, received, &viewer, &mut notes);
        let fate =
            if notes.is_empty() { fate } else { fate.once_noted(id, self.decider.note(now, &party.whose(), notes)) };
        match fate {
            Fate::Pass => to_client.extend_from_slice(received.text.as_bytes()),
            Fate::Replace(message) => to_client.extend_from_slice(&message),
            Fate::Drop => return,
        }
        to_client.push(b'\n');
    }

    /// Answers a request that the server will not answer.
    pub(super) fn failed(
        &self,
        id: &Id,
        mut entry: PendingRequest,
        outcome: CallOutcome,
        message: &str,
        answers: &mut Answers,
    ) {
        if let Some(span) = entry.span.take() {
            span.end(Told::Failed(outcome));
        }
        if matches!(entry.kind, RequestKind::OwnList) {
            self.own_list_failed(id, message, clock::now(), &mut answers.effects);
            return;
        }
        let is_replay = matches!(entry.kind, RequestKind::Replay);
        if outcome.is_servers_doing() && outcome != CallOutcome::UpstreamGone && !entry.cancelled {
            self.decider.wrong(&entry.party.whose(), message);
        }
        if let RequestKind::Sent(Asked::Call(flight)) = entry.kind {
            flight.end(outcome, 0);
        }
        // `initialize` that was sent again was answered when it first came.
        if !entry.cancelled && !is_replay {
            reply::error(&mut answers.effects.to_client, &ReplyTo::Id(id.clone()), reply::INTERNAL_ERROR, message);
        }
    }

    /// A message that belongs to a call has come: the call is alive.
    pub fn is_alive(&self, id: &Id) {
        if let Some(entry) = lock(&self.pending).get_mut(id) {
            entry.since = Instant::now();
        }
    }

    /// A request that the server has not answered, and will not any more.
    pub fn unanswered(&self, id: &Id, why: &str) -> Answers {
        let mut answers = Answers::default();
        if let Some(entry) = self.end_answered(id) {
            self.failed(id, entry, CallOutcome::Unanswered, why, &mut answers);
        }
        answers
    }

    /// A call that the server has refused before it began comes once more, as the client made it: what it held is settled,
    /// and it is decided on anew. `None` where its client waits for it no more.
    pub fn made_again(&self, id: &Id, line: &[u8], now: Timestamp) -> Option<Answers> {
        let entry = self.end_answered(id)?;
        let (is_over, party) = (entry.cancelled, Arc::clone(&entry.party));
        if let RequestKind::Sent(Asked::Call(flight)) = entry.kind {
            flight.end(CallOutcome::HttpError, 0);
        }
        if is_over {
            return None;
        }
        let arrived = Arrived { party: Some(party), ..Arrived::now() };
        Some(Answers { effects: self.arriving(vec![admit(line)], now, arrived), replayed: false })
    }

    /// Requests that could not be sent are answered.
    pub fn not_sent(&self, shipment: &Shipment, unsent: Unsent) -> Answers {
        let mut answers = Answers::default();
        let outcome = match unsent {
            Unsent::Absent | Unsent::Busy => CallOutcome::NotSent,
            Unsent::Gone => CallOutcome::UpstreamGone,
        };
        for line in shipment.lines() {
            if let Ok(Message::Call(id, _) | Message::Request(id, _)) = admit(line)
                && let Some(entry) = self.end_answered(&id)
            {
                self.failed(&id, entry, outcome, &unsent.to_string(), &mut answers);
            }
        }
        answers
    }

    /// The session ends: calls that wait for a person are answered.
    pub fn deserted(&self, why: &str) -> Answers {
        let mut answers = Answers::default();
        lock(&self.waiting).clear();
        let orphans = lock(&self.pending).deserted();
        for (id, entry) in orphans {
            self.failed(&id, entry, CallOutcome::Gone, why, &mut answers);
        }
        answers
    }

    /// The server is gone: everything that waits for it is answered.
    pub fn upstream_gone(&self, why: &str) -> Answers {
        let mut answers = Answers::default();
        let orphans = lock(&self.pending).upstream_gone();
        // A client whose handshake has failed hears so, and begins anew.
        orphans.iter().for_each(|(_, entry)| self.forget_handshake(entry.serial));
        for (id, entry) in orphans {
            self.failed(&id, entry, CallOutcome::UpstreamGone, why, &mut answers);
        }
        answers
    }

    /// What time brings: calls without answer are given up, people may have answered, counters and log are brought up to
    /// date. Called now and then.
    pub fn tick(&self, now: Timestamp) -> Answers {
        let mut answers = Answers::default();
        let overdue = lock(&self.pending).overdue(Instant::now(), self.settings.call_timeout);
        for (id, entry) in overdue {
            if entry.cancelled {
                // Most servers send no answer to what was withdrawn.
                self.failed(&id, entry, CallOutcome::Cancelled, "", &mut answers);
            } else {
                let seconds = self.settings.call_timeout.unwrap_or_default().as_secs_f64();
                answers.effects.to_server.cancel(&id, "no answer in time");
                let message = format!("the server has not answered within {seconds} s");
                self.failed(&id, entry, CallOutcome::Timeout, &message, &mut answers);
            }
        }
        self.look_at_absence(&mut answers);
        self.look_at_list(now, &mut answers.effects);
        self.look_at_approvals(now, &mut answers.effects);
        self.decider.tick(now);
        answers
    }

    /// Whether a call waits for a person, so that time matters more.
    pub fn waits_for_people(&self) -> bool {
        !lock(&self.waiting).is_empty()
    }

    fn look_at_approvals(&self, now: Timestamp, effects: &mut Effects) {
        let instant = Instant::now();
        // The store may be slow: no other thread waits for these locks meanwhile.
        let mut all = std::mem::take(&mut *lock(&self.waiting));
        {
            let mut pending = lock(&self.pending);
            all.retain(|call| pending.get_mut(&call.id).is_some_and(|entry| entry.is_waiting(call.serial)));
        }
        let (mut ready, mut waiting) = (Vec::new(), Vec::with_capacity(all.len()));
        for mut call in all {
            let late = instant.saturating_duration_since(call.since) >= self.settings.approval_wait;
            if late || self.decider.is_answered(now, &call.approval) {
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
pub(super) fn tell_progress(call: &mut WaitingCall, instant: Instant, effects: &mut Effects) {
    call.told = instant;
    if let Some(telling) = &mut call.telling {
        telling.tell(&mut effects.to_client);
    }
}
