//! What the messages of an answer mean: whose they are, what is settled with them, what the client may see of them.

use super::leases::{Holder, Lease};
use super::lists::Around;
use super::relay::Withdrawal;
use super::sights::Sight;
use super::{Gateway, Server};
use crate::clock;
use crate::gateway::audit;
use crate::gateway::desk::Desk;
use crate::gateway::filter::{Page, filter};
use crate::gateway::locked::{Arriving, Seen};
use crate::gateway::mediate::is_listed;
use crate::gateway::meter::{Held, ServerMeter};
use crate::gateway::reply;
use crate::gateway::telemetry::{Ended, RequestSpan};
use crate::mcp::envelope::{Arrival, Id, PROTOCOL_VERSIONS, Received, ReplyTo, receive};
use crate::mcp::http::readdress::{Place, readdressed};
use crate::mcp::json::string_value;
use crate::mcp::walk::member;
use crate::policy::{Ending, Policy, Reservation};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A call that was forwarded. However it ends, it is settled and logged once.
pub struct Flight {
    desk: Arc<Desk>,
    number: u64,
    reservation: Option<Reservation>,
    sent: Instant,
    /// Where it is counted, and its place among the calls in flight.
    counted: Option<(Arc<ServerMeter>, Held)>,
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Flight {
    /// A call to this server that is about to leave; it arrived at `began`.
    pub fn new(desk: Arc<Desk>, server: &str, number: u64, reservation: Reservation, began: Instant) -> Self {
        let sent = Instant::now();
        let counted = desk.meter().map(|meter| {
            let server = meter.server(server);
            server.forwarded(sent.saturating_duration_since(began));
            let held = server.call();
            (server, held)
        });
        Self { desk, number, reservation: Some(reservation), sent, counted }
    }

    /// The call has ended.
    pub fn end(&mut self, outcome: &'static str, ending: Ending, bytes: usize) {
        let Some(reservation) = self.reservation.take() else { return };
        let took = self.sent.elapsed();
        if let Some((server, _held)) = self.counted.take()
            && ending != Ending::NotSent
        {
            server.call_ended(outcome, took);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.desk.ended(reservation, ending);
        self.desk
            .log_ended(clock::now(), vec![audit::Ended { number: self.number, outcome, micros, bytes: bytes as u64 }]);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Whoever waited for the answer has gone. What the server does with the call nobody knows.
        self.end("client_gone", Ending::Kept, 0);
    }
}

/// What was asked for.
#[derive(Debug)]
pub enum Asked {
    /// A call.
    Call(Flight),
    /// The list of tools; whether its first page.
    List {
        /// Without a cursor; then how often the server had taken its list back when it was asked for.
        first: Option<u64>,
    },
    /// `initialize`.
    Initialize,
    /// `server/discover`.
    Discover,
    /// Anything else.
    Other,
}

/// What becomes of one message of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on as it came.
    Pass,
    /// This goes on in its place.
    Replace(Vec<u8>),
    /// It does not go on.
    Drop,
}

/// Whom messages of a server go to.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// The server.
    pub server: Arc<Server>,
    /// The client.
    pub holder: Holder,
    /// What was listed to it, where a lock wants to know.
    pub sight: Option<Arc<Sight>>,
}

/// Outcomes of calls that the server may still work on, while nobody wants the answer any more.
const GIVEN_UP: [&str; 2] = ["timeout", "revoked"];

/// Looks at the messages of one answer, or of one stream that no request asked for.
#[derive(Debug)]
pub struct Exchange {
    to: Recipient,
    /// Where it lasts.
    lease: Option<Arc<Lease>>,
    /// Where the server is to hear that a call is given up.
    withdrawal: Option<Withdrawal>,
    /// The request, until it is answered. A stream has none.
    open: Option<(Id, Asked)>,
    is_stream: bool,
    /// The request, as it is told to whoever collects spans.
    span: Option<RequestSpan>,
}

impl Exchange {
    /// For the answer to a request.
    pub fn answer(to: Recipient, id: Id, asked: Asked) -> Self {
        Self { to, lease: None, withdrawal: None, open: Some((id, asked)), is_stream: false, span: None }
    }

    /// The same, told to whoever collects spans.
    #[must_use]
    pub fn with_span(self, span: Option<RequestSpan>) -> Self {
        Self { span, ..self }
    }

    /// The same, and where the call is given up the server is told so in its session.
    #[must_use]
    pub(super) fn with_withdrawal(self, withdrawal: Option<Withdrawal>) -> Self {
        Self { withdrawal, ..self }
    }

    fn traced(&mut self, ended: Ended) {
        if let Some(span) = self.span.take() {
            span.end(ended);
        }
    }

    /// For what comes back on a notification or on a reply: no message is due.
    pub fn nothing(to: Recipient) -> Self {
        Self { to, lease: None, withdrawal: None, open: None, is_stream: false, span: None }
    }

    /// For a stream that the client listens on: answers to requests of other connections may come here when it is
    /// resumed.
    pub fn stream(to: Recipient) -> Self {
        Self { to, lease: None, withdrawal: None, open: None, is_stream: true, span: None }
    }

    /// It lasts, for as long as the client may call the server.
    pub fn lasting(&mut self) -> Arc<Lease> {
        let lease = self.to.gateway.leases.of(&self.to.server, &self.to.holder);
        Arc::clone(self.lease.insert(lease))
    }

    /// The client's policy as it is now: a stream may last longer than the policy with which it began.
    fn policy(&self) -> Option<Arc<Policy>> {
        match &self.lease {
            Some(lease) => self.to.gateway.policy(&lease.who(), &self.to.server),
            None => self.to.gateway.policy(&self.to.holder.who, &self.to.server),
        }
    }

    /// Whether an answer is still due.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The id of the request that waits.
    pub fn id(&self) -> Option<&Id> {
        self.open.as_ref().map(|(id, _)| id)
    }

    /// Looks at one message.
    pub fn message(&mut self, text: &[u8]) -> Fate {
        if let Some(fate) = self.same_list(text) {
            return fate;
        }
        let received = match receive(text) {
            Ok(received) => received,
            Err(malformed) => {
                if let Some(meant) = self.meant(text, Place::InAnswer) {
                    return self.readdressed(&meant);
                }
                self.dropped(&malformed.reason.to_string(), text.len());
                let is_ours =
                    matches!((&malformed.reply_to, &self.open), (ReplyTo::Id(id), Some((open, _))) if id == open);
                if !is_ours {
                    return Fate::Drop;
                }
                // An answer that cannot be read is an answer all the same: nobody must wait for another.
                let message = format!("the server's answer is not valid: {}", malformed.reason);
                return self.fail("invalid", &message).map_or(Fate::Drop, Fate::Replace);
            }
        };
        let (id, is_error) = match &received.arrival {
            Arrival::Notification(method) => {
                if &**method == "notifications/tools/list_changed" {
                    self.to.server.list_changed();
                }
                return Fate::Pass;
            }
            Arrival::Request(..) => return Fate::Pass,
            Arrival::Result(id) => (id, false),
            Arrival::Error(id) => (id, true),
        };
        if self.is_stream {
            return self.resumed(id, is_error, &received);
        }
        let asked = match self.open.take() {
            Some((open, asked)) if open == *id => asked,
            other => {
                self.open = other;
                if let Some(meant) = self.meant(text, Place::InAnswer) {
                    return self.readdressed(&meant);
                }
                self.dropped("foreign reply", text.len());
                return Fate::Drop;
            }
        };
        if self.span.is_some() {
            self.traced(Ended::of(&received));
        }
        match asked {
            Asked::Call(mut flight) => {
                let (outcome, ending) = if is_error { ("error", Ending::ErrorReply) } else { ("result", Ending::Kept) };
                flight.end(outcome, ending, text.len());
                Fate::Pass
            }
            Asked::List { first } if !is_error => self.list(id, first, &received),
            Asked::Initialize if !is_error => match unknown_version(&received) {
                None => self.greeting(id, &received),
                Some(version) => {
                    let message =
                        format!("the server speaks protocol version `{version}`, which this gateway does not know");
                    self.to.server.desk.notice(&message);
                    Fate::Replace(error(id, &message))
                }
            },
            Asked::Discover if !is_error => self.greeting(id, &received),
            Asked::List { .. } | Asked::Initialize | Asked::Discover | Asked::Other => Fate::Pass,
        }
    }

    /// An answer that is meant for the request that waits, and names another or none.
    pub(super) fn meant(&self, text: &[u8], place: Place) -> Option<String> {
        let (id, _) = self.open.as_ref()?;
        readdressed(std::str::from_utf8(text).ok()?, id, place)
    }

    fn readdressed(&mut self, meant: &str) -> Fate {
        match self.message(meant.as_bytes()) {
            Fate::Pass => Fate::Replace(meant.as_bytes().to_vec()),
            other => other,
        }
    }

    /// An answer on a stream: what it was asked for is not known here, so lists and greetings are known by their looks.
    fn resumed(&mut self, id: &Id, is_error: bool, received: &Received<'_>) -> Fate {
        let looks_like = |name| !is_error && received.result().is_some_and(|result| member(result, name).is_some());
        match (looks_like("tools"), looks_like("instructions")) {
            (false, false) => Fate::Pass,
            (false, true) => self.greeting(id, received),
            // The client takes it for what it has asked for, and then the other half was not looked at.
            (true, true) if self.to.server.guard().is_some() => {
                Fate::Replace(error(id, "the server's answer is both a list of tools and a greeting"))
            }
            (true, _) => self.list(id, None, received),
        }
    }

    /// What the server says of itself; of instructions that nobody reviewed only that they are empty.
    fn greeting(&self, id: &Id, received: &Received<'_>) -> Fate {
        let server = &self.to.server;
        let Some(guard) = server.guard() else { return Fate::Pass };
        match guard.greeting(received, server.name.as_str(), &server.desk, clock::now()) {
            Ok(None) => Fate::Pass,
            Ok(Some(instead)) => Fate::Replace(instead),
            Err(unreadable) => Fate::Replace(error(id, &unreadable.to_string())),
        }
    }

    fn list(&self, id: &Id, first: Option<u64>, received: &Received<'_>) -> Fate {
        let (result, span) = (received.result().unwrap_or_default(), received.result_span().unwrap_or_default());
        let text = received.text.as_bytes();
        let instead =
            |result: &str| Fate::Replace([&text[..span.start], result.as_bytes(), &text[span.end..]].concat());
        let (server, policy) = (&self.to.server, self.policy());
        let guard = server.guard();
        let reviewed = guard.map(|guard| guard.reviewed());
        if let Some((policy, generation)) = policy.as_ref().zip(first)
            && let Some(known) = server.lists.known(policy, reviewed.as_ref(), result)
        {
            self.saw(generation, known.seen);
            return instead(&known.shown);
        }
        let may_see = |name: &str, definition: &str| {
            policy.as_ref().is_some_and(|policy| is_listed(policy, name))
                && guard.is_none_or(|guard| guard.lists(name, definition))
        };
        let page = match filter(result, may_see) {
            Ok(page) => page,
            Err(reason) => {
                self.dropped("tool list", received.text.len());
                return Fate::Replace(error(id, &reason.to_string()));
            }
        };
        let seen = self.see(first, result, &page);
        if let Some(policy) = &policy {
            server.remember(&page, result, first.is_some(), policy);
            if first.is_some() && !page.more {
                let around = match &received.text {
                    Cow::Borrowed(text) => member(text, "id").and_then(|(_, id)| Around::of(text, id, span.clone())),
                    // White space was taken out, so it is not what the server sends.
                    Cow::Owned(_) => None,
                };
                server.lists.keep(policy, reviewed, (result, around), &page.result, seen);
            }
        }
        instead(&page.result)
    }

    /// A list that the server has sent before, in the very same message.
    fn same_list(&mut self, text: &[u8]) -> Option<Fate> {
        let Some((id, Asked::List { first: Some(generation) })) = &self.open else { return None };
        // Whoever collects spans wants to know more of the answer.
        if self.is_stream || self.span.is_some() {
            return None;
        }
        let reviewed = self.to.server.guard().map(|guard| guard.reviewed());
        let (known, message) = self.to.server.lists.known_message(&self.policy()?, reviewed.as_ref(), id, text)?;
        self.saw(*generation, known.seen);
        self.open = None;
        Some(Fate::Replace(message))
    }

    fn saw(&self, generation: u64, seen: Option<Arc<Seen>>) {
        if let (Some(sight), Some(seen)) = (&self.to.sight, seen) {
            sight.listed().whole(generation, seen);
        }
    }

    /// Keeps what a page says of the tools, for comparing them with the lock. Answers a list that is whole.
    fn see(&self, first: Option<u64>, result: &str, page: &Page) -> Option<Arc<Seen>> {
        // Of an answer that is taken up again nobody knows which page it is.
        let sight = self.to.sight.as_ref().filter(|_| !self.is_stream)?;
        let mut listed = sight.listed();
        if let Some(generation) = first
            && !page.more
        {
            let mut list = Arriving::default();
            page.tools.iter().for_each(|(name, span)| list.take(name, &result[span.clone()]));
            let seen = list.into_seen();
            listed.whole(generation, Arc::clone(&seen));
            return Some(seen);
        }
        if let Some(generation) = first {
            listed.begin(generation);
        }
        page.tools.iter().for_each(|(name, span)| listed.take(name, &result[span.clone()]));
        if !page.more {
            listed.complete_of_client();
        }
        None
    }

    /// The server will not answer: what the client gets in its place, if it still waits.
    pub fn fail(&mut self, outcome: &'static str, message: &str) -> Option<Vec<u8>> {
        let (id, asked) = self.open.take()?;
        self.traced(Ended::Failed(outcome));
        if let Asked::Call(mut flight) = asked {
            // What a server did before it failed nobody knows.
            flight.end(outcome, Ending::Kept, 0);
        }
        if GIVEN_UP.contains(&outcome)
            && let (Some(withdrawal), Some(relay)) = (self.withdrawal.take(), self.to.server.relay())
        {
            relay.withdraw(&self.to.server, &id, withdrawal);
        }
        Some(error(&id, message))
    }

    /// The request never reached the server.
    pub fn not_sent(&mut self) -> Option<Id> {
        let (id, asked) = self.open.take()?;
        self.traced(Ended::Failed("not_sent"));
        if let Asked::Call(mut flight) = asked {
            flight.end("not_sent", Ending::NotSent, 0);
        }
        Some(id)
    }

    /// The server has answered with an error status and no message that says to which request.
    pub fn refused(&mut self, bytes: usize) {
        self.traced(Ended::Failed("http_error"));
        if let Some((_, Asked::Call(mut flight))) = self.open.take() {
            flight.end("http_error", Ending::Kept, bytes);
        }
    }

    /// The client may take the stream up again elsewhere; the answer will not be seen here.
    pub fn detached(&mut self) {
        self.traced(Ended::Failed("detached"));
        if let Some((_, Asked::Call(mut flight))) = self.open.take() {
            flight.end("detached", Ending::Kept, 0);
        }
    }

    /// Notes that something of the server's does not go on.
    pub fn dropped(&self, what: &str, bytes: usize) {
        self.to.server.desk.audit().repeated(clock::now(), "dropped", |line| {
            line.text("from", "server")
                .text("server", self.to.server.name.as_str())
                .text("what", what)
                .number("bytes", bytes as u64)
        });
    }
}

fn error(id: &Id, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    reply::error(&mut out, &ReplyTo::Id(id.clone()), reply::INTERNAL_ERROR, message);
    out.pop();
    out
}

/// The version that a server chose, if it is none that we know.
fn unknown_version(received: &Received<'_>) -> Option<String> {
    let (literal, _) = member(received.result()?, "protocolVersion")?;
    let version = string_value(literal).unwrap_or_default();
    (!PROTOCOL_VERSIONS.contains(&&*version)).then(|| crate::text::excerpt(&version, 40))
}
