//! What the messages of an answer mean: whose they are, what is settled with them, what the client may see of them.

use super::mcp_headers::SESSION;
use super::open::OpenRequest;
use super::seen_tools::{self, Seen};
use super::token_watch::{Holder, TokenWatch};
use super::url_table::ClientLine;
use super::{Gateway, Server};
use crate::clock;
use crate::gateway::alive::belongs;
use crate::gateway::audit::Whose;
use crate::gateway::doors::ServerAsked;
use crate::gateway::exchange::{
    AnswerFor, Asked, Asker, CallOutcome, Fate, answer, error, invalid, needs_policy, same_list,
};
use crate::gateway::telemetry::{RequestSpan, SpanEnd};
use crate::mcp::envelope::{Arrival, Id, Received, receive};
use crate::mcp::http::readdress::{Place, readdressed};
use crate::mcp::protocol::{Method, Subject, TOOLS_CHANGED};
use crate::mcp::unreadable::{Seems, seems};
use crate::mcp::walk::member;
use crate::policy::{Caller, Policy};
use http::{HeaderMap, HeaderValue};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// Whom messages of a server go to.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// The server.
    pub server: Arc<Server>,
    /// The client.
    pub holder: Holder,
    /// Whose answers the server waits for: the client's session, or all clients of its grant that have none.
    pub viewer: seen_tools::Viewer,
    /// What was listed to it, where its calls are held to that.
    pub seen: Option<Arc<Seen>>,
    /// The client as decisions name it.
    pub caller: Caller,
    /// How the server is told something in the client's place.
    pub(super) line: ClientLine,
}

impl Recipient {
    fn whose(&self) -> Whose {
        self.server.whose(&self.holder.who)
    }

    /// The client as someone whom rules beside those of tools speak of, under this policy.
    pub(super) fn asker<T>(&self, policy: Option<&Arc<Policy>>, work: impl FnOnce(&Asker<'_>) -> T) -> T {
        let is_shown_with_tool = |uri: Option<&str>| {
            let now = self.server.shared.moment(Instant::now());
            // What the messages of calls are not looked up for.
            let kept = || Some(self.server.relay()?.seen_tools.of(self.viewer.clone()));
            let seen = policy.zip(self.seen.clone().or_else(kept));
            seen.is_some_and(|(policy, seen)| seen.view().has_interface(uri, policy, now))
        };
        work(&Asker {
            policy: policy.map(|policy| &**policy),
            caller: &self.caller,
            way: self.server.route(),
            unknown: &self.gateway.settings.unknown_methods,
            is_shown_with_tool: &is_shown_with_tool,
            tasks: self.server.shared.tasks(),
        })
    }
}

/// Looks at the messages of one answer, or of one stream that no request asked for.
#[derive(Debug)]
pub struct Exchange {
    to: Recipient,
    /// Where it lasts.
    token_watch: Option<Arc<TokenWatch>>,
    /// The server is to hear it where the request is given up.
    withdraws: bool,
    /// The request, until it is answered. A stream has none.
    open: Option<(Id, Asked)>,
    /// Where it stands, and its place among those that are open.
    request: Option<OpenRequest>,
    is_stream: bool,
    /// The stream is one that the client takes up again.
    takes_up: bool,
    /// Whose answers have come on it.
    taken_up: BTreeSet<Id>,
    /// The client can take the stream with the answer up again from an id that it has.
    is_resumable: bool,
    /// Under which the server may tell of the call's progress.
    token: Option<Id>,
    /// The server has shown that it still works on the request.
    alive: bool,
    /// The request, as a collector of spans is told of it.
    span: Option<RequestSpan>,
}

impl Exchange {
    fn new(to: Recipient, open: Option<(Id, Asked)>, is_stream: bool) -> Self {
        let (token_watch, request, token, span) = (None, None, None, None);
        let (withdraws, takes_up, is_resumable, alive) = (false, false, false, false);
        let taken_up = BTreeSet::new();
        Self {
            to,
            token_watch,
            withdraws,
            open,
            request,
            is_stream,
            takes_up,
            taken_up,
            is_resumable,
            token,
            alive,
            span,
        }
    }

    /// For the answer to a request, which ends where the client withdraws that; the id is free again when it is over, and a
    /// collector of spans hears how it ended.
    pub fn answer(to: Recipient, (id, asked): (Id, Asked), request: OpenRequest, span: Option<RequestSpan>) -> Self {
        let mut answer = Self::new(to, Some((id, asked)), false);
        (answer.request, answer.span) = (Some(request), span);
        answer
    }

    /// The request is a call: under which token the server may tell of its progress, and whether the server is told in its
    /// session where the call is given up.
    pub(super) fn set_call(&mut self, token: Option<Id>, withdraws: bool) {
        self.token = token;
        self.withdraws = withdraws;
    }

    /// The gateway.
    pub(super) fn gateway(&self) -> &Arc<Gateway> {
        &self.to.gateway
    }

    /// The server.
    pub(super) fn server(&self) -> &Arc<Server> {
        &self.to.server
    }

    /// The server's id of the client's session.
    pub(super) fn session(&self) -> Option<&HeaderValue> {
        self.to.line.0.as_ref()
    }

    /// Waits until the client withdraws the request.
    pub fn withdrawn(&self) -> Option<impl Future<Output = ()> + Send + Sync + use<>> {
        let stand = self.request.as_ref()?.stand();
        Some(async move { stand.withdrawn().await })
    }

    /// The request, which is over with this: its id is free again.
    fn close(&mut self) -> Option<(Id, Asked)> {
        self.request = None;
        let closed = self.open.take();
        if let (true, Some((id, asked)), Some(relay)) = (self.is_resumable, &closed, self.to.server.relay()) {
            relay.resumable.keep(&self.to.viewer, id, asked.once_more());
        }
        closed
    }

    /// Whether the client can take the stream up again, where the answer may come, or come once more.
    pub(super) fn is_resumable(&self) -> bool {
        self.is_resumable
    }

    /// Notes whether it can.
    pub(super) fn set_resumable(&mut self, is_resumable: bool) {
        self.is_resumable = is_resumable;
    }

    fn traced(&mut self, ended: SpanEnd) {
        if let Some(span) = self.span.take() {
            span.end(ended);
        }
    }

    /// For what comes back on a notification or on a reply: no message is due.
    pub fn nothing(to: Recipient) -> Self {
        Self::new(to, None, false)
    }

    /// For a stream that the client listens on. Only where it takes one up again, answers may come: to the requests that
    /// were asked on such streams.
    pub fn stream(to: Recipient, takes_up: bool) -> Self {
        let mut stream = Self::new(to, None, true);
        stream.takes_up = takes_up;
        stream
    }

    /// It lasts, for as long as the client may call the server.
    pub fn lasting(&mut self) -> Arc<TokenWatch> {
        let token_watch = self.to.gateway.token_watches.of(&self.to.server, &self.to.holder);
        Arc::clone(self.token_watch.insert(token_watch))
    }

    /// The client's policy as it is now: a stream may last longer than the policy with which it began.
    fn policy(&self) -> Option<Arc<Policy>> {
        match &self.token_watch {
            Some(token_watch) => self.to.gateway.policy(&token_watch.who(), &self.to.server),
            None => self.to.gateway.policy(&self.to.holder.who, &self.to.server),
        }
    }

    /// Whether the server has shown, since this was last asked, that it still works on the request.
    pub(super) fn was_alive(&mut self) -> bool {
        std::mem::take(&mut self.alive)
    }

    /// Whether an answer is still due.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the request that waits is the one with which a client begins.
    pub(super) fn is_greeting(&self) -> bool {
        matches!(self.open, Some((_, Asked::Greeting)))
    }

    /// The id of the request that waits.
    pub fn id(&self) -> Option<&Id> {
        self.open.as_ref().map(|(id, _)| id)
    }

    /// Reads an answer as the viewer's.
    fn read<T>(&self, with_policy: bool, work: impl FnOnce(&AnswerFor<'_>) -> T) -> T {
        let (server, policy) = (&self.to.server, if with_policy { self.policy() } else { None });
        // Of an answer that is taken up again the gateway does not know which page it is.
        let seen = self.to.seen.as_ref().filter(|_| !self.is_stream);
        work(&AnswerFor {
            policy: policy.as_ref(),
            caller: &self.to.caller,
            way: server.route(),
            unknown: &self.to.gateway.settings.unknown_methods,
            guard: server.guard().map(|guard| &**guard),
            view: seen.map(|seen| seen.seen()),
            shared: &server.shared,
            at: Instant::now(),
        })
    }

    fn answered(&self, asked: Asked, id: &Id, received: &Received<'_>) -> Fate {
        let mut notes = Vec::new();
        let with_policy = needs_policy(&asked, received);
        let fate = self.read(with_policy, |viewer| answer(asked, id, received, viewer, &mut notes));
        if notes.is_empty() {
            return fate;
        }
        fate.once_noted(id, self.to.server.decider.note(clock::now(), &self.to.whose(), notes))
    }

    /// Looks at one message.
    pub fn message(&mut self, text: &[u8]) -> Fate {
        // A collector of spans wants to know more of the answer.
        if let Some((id, asked @ Asked::List { first: Some(_) })) = &self.open
            && self.span.is_none()
            && let Some(message) = self.read(true, |viewer| same_list(asked, id, text, viewer))
        {
            self.close();
            return Fate::Replace(message);
        }
        let received = match receive(text) {
            Ok(received) => received,
            Err(malformed) => {
                if let Some(meant) = self.meant(text, Place::InAnswer) {
                    return self.readdressed(&meant);
                }
                let is_ours = self.id().is_some_and(|open| match seems(text) {
                    Seems::Answers(ids) => ids.iter().any(|id| id == open || id.of_text().as_ref() == Some(open)),
                    // Only this request waits here.
                    Seems::Broken | Seems::Unnamed(_) => true,
                    Seems::Asks | Seems::Junk => false,
                });
                if !is_ours {
                    self.dropped(&malformed.reason.to_string(), text.len());
                    return Fate::Drop;
                }
                // An answer that cannot be read is an answer all the same: the client must not wait for another.
                return self.fail(CallOutcome::Invalid, &invalid(&malformed.reason)).map_or(Fate::Drop, Fate::Replace);
            }
        };
        self.alive |= belongs(&received, self.token.as_ref());
        let id = match &received.arrival {
            Arrival::Notification(method) => {
                if &**method == TOOLS_CHANGED {
                    self.to.server.shared.take_lists_back();
                }
                // Most news is about nothing that a rule speaks of.
                if !Method::told_by_server(method).is_some_and(|known| known.subject == Subject::Protocol) {
                    let (decider, params) = (&self.to.server.decider, received.params().unwrap_or_default());
                    let tells = |asker: &Asker<'_>| decider.tells(clock::now(), asker, method, params);
                    if !self.to.asker(self.policy().as_ref(), tells) {
                        return Fate::Drop;
                    }
                }
                if &**method == "notifications/cancelled" {
                    self.taken_back(&received);
                }
                return Fate::Pass;
            }
            Arrival::Request(id, method) => return self.asked_by_server(id, method, text.len()),
            Arrival::Result(id) | Arrival::Error(id) => id,
        };
        if self.is_stream {
            return self.taken_up(id, &received, text);
        }
        if self.id() != Some(id) {
            if let Some(meant) = self.meant(text, Place::InAnswer) {
                return self.readdressed(&meant);
            }
            self.dropped("foreign reply", text.len());
            return Fate::Drop;
        }
        let may_be_withdrawn = self.request.as_ref().is_some_and(|request| request.stand().may_be_withdrawn());
        let Some((_, mut asked)) = self.close() else { return Fate::Drop };
        if let (true, Some(relay)) = (self.is_resumable, self.to.server.relay()) {
            relay.resumable.answered(&self.to.viewer, id, text);
        }
        if let Asked::Call(flight) = &mut asked {
            if may_be_withdrawn {
                flight.forfeit();
            }
            if flight.returned(&received).is_err()
                && let Some(relay) = self.to.server.relay()
            {
                // It is held back, and must not come by another stream.
                relay.resumable.forget(&self.to.viewer, id);
            }
        }
        if self.span.is_some() {
            self.traced(SpanEnd::of(&received));
        }
        self.answered(asked, id, &received)
    }

    /// The server asks the client: from now on the client may answer, if it is to be asked.
    fn asked_by_server(&self, id: &Id, method: &str, bytes: usize) -> Fate {
        let Some(relay) = self.to.server.relay() else { return Fate::Drop };
        let (decider, roots) = (&self.to.server.decider, self.to.server.shared.roots());
        let asks = |asker: &Asker<'_>| decider.asks(clock::now(), asker, method, id, &roots);
        if let ServerAsked::Answer(message) = self.to.asker(self.policy().as_ref(), asks) {
            relay.answer(message, self.to.line.clone());
            return Fate::Drop;
        }
        match relay.asks(&self.to.viewer, id) {
            Ok(()) => Fate::Pass,
            Err(refused) => {
                self.dropped(&format!("request: {refused}"), bytes);
                Fate::Drop
            }
        }
    }

    /// The server takes a request back: no answer is due.
    fn taken_back(&self, received: &Received<'_>) {
        let id = received.params().and_then(|params| member(params, "requestId")).and_then(|(id, _)| Id::parse(id));
        if let Some((id, relay)) = id.zip(self.to.server.relay()) {
            relay.answered(&self.to.viewer, &id);
        }
    }

    /// The head of the answer has come: where a session begins with it, the client answers the server in that.
    pub(super) fn begun(&mut self, head: &HeaderMap) {
        if self.is_greeting()
            && let Some(session) = head.get(&SESSION)
        {
            self.to.viewer = seen_tools::Viewer::session(session.as_bytes());
            self.to.line.0 = Some(session.clone());
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

    /// An answer on a stream that the client takes up again.
    fn taken_up(&mut self, id: &Id, received: &Received<'_>, text: &[u8]) -> Fate {
        let relay = self.to.server.relay().filter(|_| self.takes_up && !self.taken_up.contains(id));
        match relay.and_then(|relay| relay.resumable.answered(&self.to.viewer, id, text)) {
            Some(asked) => {
                self.taken_up.insert(id.clone());
                self.answered(asked, id, received)
            }
            None => {
                self.dropped("foreign reply", text.len());
                Fate::Drop
            }
        }
    }

    /// The server will not answer: what the client gets in its place, if it still waits.
    pub fn fail(&mut self, outcome: CallOutcome, message: &str) -> Option<Vec<u8>> {
        // This is the answer, and no other may come.
        self.is_resumable = false;
        let (id, asked) = self.close()?;
        if outcome.is_servers_doing() {
            self.to.server.decider.wrong(&self.to.whose(), message);
        }
        self.traced(SpanEnd::Failed(outcome));
        if let Asked::Call(flight) = asked {
            flight.end(outcome, 0);
        }
        if outcome.gives_up()
            && std::mem::take(&mut self.withdraws)
            && let Some(relay) = self.to.server.relay()
        {
            relay.withdraw(&id, self.to.line.clone());
        }
        Some(error(&id, message))
    }

    /// The request never reached the server.
    pub fn not_sent(&mut self) -> Option<Id> {
        let (id, asked) = self.close()?;
        self.traced(SpanEnd::Failed(CallOutcome::NotSent));
        if let Asked::Call(flight) = asked {
            flight.end(CallOutcome::NotSent, 0);
        }
        Some(id)
    }

    /// The server has answered with an error status and no message that says to which request.
    pub fn refused(&mut self, bytes: usize) {
        self.traced(SpanEnd::Failed(CallOutcome::HttpError));
        if let Some((_, Asked::Call(flight))) = self.close() {
            flight.end(CallOutcome::HttpError, bytes);
        }
    }

    /// The answer may come by another stream, unless that cannot be noted of a call that flows look at.
    fn goes_elsewhere(&mut self) {
        if let (true, Some((_, Asked::Call(flight)))) = (self.is_resumable, &mut self.open) {
            self.is_resumable = flight.may_return_elsewhere().is_ok();
        }
    }

    /// The client may take the stream up again elsewhere; the answer will not be seen here.
    pub fn detached(&mut self) {
        self.goes_elsewhere();
        self.traced(SpanEnd::Failed(CallOutcome::Detached));
        if let Some((_, Asked::Call(flight))) = self.close() {
            flight.end(CallOutcome::Detached, 0);
        }
    }

    /// Notes that something of the server's does not go on.
    pub fn dropped(&self, what: &str, bytes: usize) {
        self.to.server.decider.audit().repeated(clock::now(), "dropped", &self.to.whose(), |line| {
            line.text("from", "server").text("what", what).number("bytes", bytes as u64)
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let is_withdrawn = self.request.as_ref().is_some_and(|request| request.stand().is_withdrawn());
        if !is_withdrawn && self.is_resumable {
            // The client has gone, and may come back for the answer.
            self.goes_elsewhere();
            drop(self.close());
        }
        if is_withdrawn {
            self.is_resumable = false;
            self.traced(SpanEnd::Failed(CallOutcome::Cancelled));
            if let Some((_, Asked::Call(flight))) = self.close() {
                flight.end(CallOutcome::Cancelled, 0);
            }
        }
    }
}
