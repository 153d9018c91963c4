//! Requests in flight, both ways apart: who asked what, since when, and what is to be settled when the answer comes.

use super::exchange::{Asked, Flight, NotTaken, Party, Question, ServerRequests};
use super::given_up::GivenUp;
use super::telemetry::RequestSpan;
use crate::mcp::envelope::{Id, Message};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Requests of the client that may be in flight; more are refused until some are answered.
pub const CLIENT_REQUESTS_MAX: usize = 16_384;
/// A cancelled request is forgotten after this long without an answer: most servers send none.
pub const CANCELLED_KEPT: Duration = Duration::from_secs(60);

/// Where a request stands, and what it is for.
#[derive(Debug)]
pub enum RequestKind {
    /// `tools/call`, on its way through the gate; the server does not know of it yet.
    Arriving,
    /// Waiting for a person, a list or the server itself; the server does not know of it.
    Waiting {
        /// The question that a person was asked about it.
        question: Option<Question>,
    },
    /// `initialize`, sent again by the gateway to a server that was started again.
    Replay,
    /// `tools/list`, asked by the gateway: the client does not know of it.
    OwnList,
    /// The client's own, at the server.
    Sent(Asked),
}

/// A request in flight.
#[derive(Debug)]
pub struct PendingRequest {
    /// Tells it from other requests with the same id, before and after it.
    pub serial: u64,
    /// Where it stands.
    pub kind: RequestKind,
    /// Whose it is.
    pub party: Arc<Party>,
    /// When it was sent, or last showed progress.
    pub since: Instant,
    /// When it arrived.
    pub arrived: Instant,
    /// Whether the client has withdrawn it, or waits for it no more.
    pub cancelled: bool,
    /// Whether the client has gone without a word before it was decided on.
    pub has_left: bool,
    /// `progressToken`: progress shows that a call is alive. Tokens are what ids are, and a server may spell them anew.
    token: Option<Id>,
    /// The request, as a collector of spans is told of it.
    pub span: Option<Box<RequestSpan>>,
}

impl PendingRequest {
    /// Whether it is the request of this serial number, and waits for a person or for a list.
    pub fn is_waiting(&self, serial: u64) -> bool {
        self.serial == serial && matches!(self.kind, RequestKind::Waiting { .. })
    }
}

/// All requests in flight.
///
/// The ids are chosen by the two ends, and this hash can be made to collide. That is bounded: a table of
/// [`CLIENT_REQUESTS_MAX`] rows that all collide costs microseconds a look, and only in the session that does it.
#[derive(Debug, Default)]
pub struct Pending {
    client: FxHashMap<Id, PendingRequest>,
    /// Requests of the server.
    pub from_server: ServerRequests<()>,
    tokens: FxHashMap<Id, Id>,
    given_up: GivenUp,
    serial: u64,
    /// The server was told something that has no answer after this many requests, and has answered no later request
    /// since: an error that names no request may be about that.
    told: Option<u64>,
    /// The server answers with such errors what has no answer.
    answers_news: bool,
}

impl Pending {
    /// Takes a request of the client; answers what tells it from others with the same id.
    ///
    /// # Errors
    /// The id is in use, or there are too many.
    pub fn begin(&mut self, id: &Id, kind: RequestKind, party: &Arc<Party>, now: Instant) -> Result<u64, NotTaken> {
        if self.client.len() >= CLIENT_REQUESTS_MAX {
            return Err(NotTaken::TooMany);
        }
        if self.given_up.holds(id) {
            return Err(NotTaken::GivenUp);
        }
        match self.client.entry(id.clone()) {
            std::collections::hash_map::Entry::Occupied(_) => Err(NotTaken::InFlight),
            std::collections::hash_map::Entry::Vacant(place) => {
                self.serial += 1;
                let (serial, party) = (self.serial, Arc::clone(party));
                place.insert(PendingRequest {
                    serial,
                    kind,
                    party,
                    since: now,
                    arrived: now,
                    cancelled: false,
                    has_left: false,
                    token: None,
                    span: None,
                });
                Ok(serial)
            }
        }
    }

    /// A collector of spans is told about this request.
    pub fn trace(&mut self, id: &Id, span: Option<Box<RequestSpan>>) {
        if let (Some(span), Some(entry)) = (span, self.client.get_mut(id)) {
            entry.span = Some(span);
        }
    }

    /// Lets a request wait that the server does not know of.
    ///
    /// # Errors
    /// It ends instead: the client has withdrawn it meanwhile, and the question is to be withdrawn with it; or has gone
    /// without a word, and the question stays.
    pub fn let_wait(&mut self, id: &Id, question: Option<Question>) -> Result<(), Option<Question>> {
        if let Some(entry) = self.client.get_mut(id).filter(|entry| !entry.cancelled) {
            entry.kind = RequestKind::Waiting { question };
            return Ok(());
        }
        let has_left = self.end(id).is_some_and(|entry| entry.has_left);
        Err(question.filter(|_| !has_left))
    }

    /// A call that was taken before is at the server now.
    pub fn forwarded(&mut self, id: &Id, flight: Flight, token: Option<Id>, now: Instant) {
        let Some(entry) = self.client.get_mut(id) else { return };
        (entry.kind, entry.since) = (RequestKind::Sent(Asked::Call(flight)), now);
        if let Some(token) = token {
            self.tokens.insert(token.clone(), id.clone());
            entry.token = Some(token);
        }
    }

    /// Ends the request that an answer of the server is for. The server does not know of calls that wait for a person or
    /// are on their way through the gate, so an answer to one of these is foreign, whatever its id.
    pub fn end_answered(&mut self, id: &Id) -> Option<PendingRequest> {
        let Some(entry) = self.client.remove(id) else {
            // Late, and no later one comes.
            self.given_up.remove(id);
            return None;
        };
        if matches!(entry.kind, RequestKind::Waiting { .. } | RequestKind::Arriving) {
            self.client.insert(id.clone(), entry);
            return None;
        }
        if self.told.is_some_and(|serial| entry.serial > serial) {
            self.told = None;
        }
        Some(self.forget_token(id, entry))
    }

    /// The server may be told this by its client: news and answers have no answer.
    pub fn is_told(&mut self, message: &Message) {
        if message.id().is_none() {
            self.told = Some(self.serial);
        }
    }

    /// Ends a request of the client; `None` if there is none in flight with this id.
    pub fn end(&mut self, id: &Id) -> Option<PendingRequest> {
        let entry = self.client.remove(id)?;
        Some(self.forget_token(id, entry))
    }

    /// Ends a request that the server knows of and may still answer: its id is not taken again before that.
    pub fn give_up(&mut self, id: &Id) -> Option<PendingRequest> {
        let entry = self.end(id)?;
        if !matches!(entry.kind, RequestKind::Waiting { .. } | RequestKind::Arriving) {
            self.given_up.insert(id);
        }
        Some(entry)
    }

    fn forget_token(&mut self, id: &Id, entry: PendingRequest) -> PendingRequest {
        if let Some(token) = &entry.token
            && self.tokens.get(token) == Some(id)
        {
            // A later call may have taken the same token; it is alive for that one then.
            self.tokens.remove(token);
        }
        entry
    }

    /// The request with this id, to be changed.
    pub fn get_mut(&mut self, id: &Id) -> Option<&mut PendingRequest> {
        self.client.get_mut(id)
    }

    /// A call has shown that it is alive.
    pub fn progressed(&mut self, token: &Id, now: Instant) {
        if let Some(id) = self.tokens.get(token)
            && let Some(entry) = self.client.get_mut(id)
        {
            entry.since = now;
        }
    }

    /// Ends every request that the server should have answered, in the order of ids: it is gone. Calls that wait for a
    /// person stay.
    pub fn upstream_gone(&mut self) -> Vec<(Id, PendingRequest)> {
        self.from_server.forget(&());
        self.given_up.clear();
        (self.told, self.answers_news) = (None, false);
        self.end_where(|entry| !matches!(entry.kind, RequestKind::Waiting { .. } | RequestKind::Arriving))
    }

    /// Ends calls that wait for a person: no person will be asked any more.
    pub fn deserted(&mut self) -> Vec<(Id, PendingRequest)> {
        self.end_where(|entry| matches!(entry.kind, RequestKind::Waiting { .. }))
    }

    /// Ends calls older than `call_timeout`, and cancelled requests that will not be answered any more.
    pub fn overdue(&mut self, now: Instant, call_timeout: Option<Duration>) -> Vec<(Id, PendingRequest)> {
        let ids = self.which(|entry| {
            let age = now.saturating_duration_since(entry.since);
            let late = matches!(entry.kind, RequestKind::Sent(Asked::Call(_)))
                && call_timeout.is_some_and(|timeout| age >= timeout);
            late || entry.cancelled && age >= CANCELLED_KEPT
        });
        ids.into_iter().filter_map(|id| Some((id.clone(), self.give_up(&id)?))).collect()
    }

    fn which(&self, which: impl Fn(&PendingRequest) -> bool) -> Vec<Id> {
        let mut ids: Vec<Id> = self.client.iter().filter(|(_, entry)| which(entry)).map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    fn end_where(&mut self, which: impl Fn(&PendingRequest) -> bool) -> Vec<(Id, PendingRequest)> {
        self.which(which).into_iter().filter_map(|id| Some((id.clone(), self.end(&id)?))).collect()
    }

    /// Whose an error of the server is that names no request: the only request that it works on, unless it may be about
    /// something that has no answer. Some servers refuse all news so.
    pub fn meant_by_unnamed(&mut self) -> Option<Id> {
        let only = self.only_at_server();
        self.answers_news |= self.told.is_some() || self.at_server() == 0;
        only.filter(|_| !self.answers_news)
    }

    fn only_at_server(&self) -> Option<Id> {
        let at_server =
            |entry: &PendingRequest| !matches!(entry.kind, RequestKind::Waiting { .. } | RequestKind::Arriving);
        let mut all = self.client.iter().filter(|(_, entry)| at_server(entry));
        let (id, _) = all.next()?;
        all.next().is_none().then(|| id.clone())
    }

    /// How many requests the server has to answer.
    pub fn at_server(&self) -> usize {
        self.client.values().filter(|entry| !matches!(entry.kind, RequestKind::Waiting { .. })).count()
    }

    /// How many requests of the client are in flight.
    pub fn len(&self) -> usize {
        self.client.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.client.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;
    use crate::gateway::audit::{Audit, Destination, Route, Whose};
    use crate::gateway::decider::Decider;
    use crate::policy::{Caller, Policy};
    use crate::state::MemoryStore;

    const OTHER: RequestKind = RequestKind::Sent(Asked::Other);

    fn party() -> Arc<Party> {
        let policy: Policy = crate::policy::parse(r#"{"version":"1","default":"deny"}"#, "policy.json").unwrap();
        Arc::new(Party::new(
            Caller { server: "s".into(), grant: None, session: None, course: None, pledge: None },
            Route::StdioCommand,
            Arc::new(policy),
        ))
    }

    fn decider() -> Arc<Decider> {
        let store = Arc::new(MemoryStore::default());
        let audit = Audit::open(&Destination::Nowhere, None, "s".to_owned()).unwrap();
        Arc::new(Decider::new(Arc::clone(&store) as _, store, audit, Box::new(|_| ())))
    }

    fn permit() -> crate::policy::Permit {
        let policy = crate::policy::parse(r#"{"version":"1","default":"allow"}"#, "policy.json").unwrap();
        let (caller, store) = (&party().caller, MemoryStore::default());
        let call = crate::mcp::envelope::ToolCall::synthetic(crate::model::ToolName::new("t"), None);
        let request = crate::policy::Request { caller, call, facts: crate::policy::Facts::default() };
        let now = crate::clock::Timestamp::from_millis(0);
        match crate::policy::gate(&policy, &store, &store, &store, now, request) {
            crate::policy::Decision::Allow(permit) => permit,
            other => unreachable!("{other:?}"),
        }
    }

    fn id(number: i64) -> Id {
        Id::Integer(number)
    }

    #[test]
    fn an_id_in_flight_is_not_taken_twice() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        assert_eq!(pending.begin(&id(1), OTHER, &party(), now).map(drop), Ok(()));
        assert_eq!(pending.begin(&id(1), OTHER, &party(), now).map(drop), Err(NotTaken::InFlight));
        assert_eq!(
            pending.begin(&Id::Text("1".into()), OTHER, &party(), now).map(drop),
            Ok(()),
            "a string is another id"
        );
        assert_eq!(pending.from_server.begin(&(), &id(1)), Ok(()), "the other side counts for itself");
        assert!(pending.end(&id(1)).is_some());
        assert!(pending.end(&id(1)).is_none(), "an answer counts once");
        assert_eq!(pending.begin(&id(1), OTHER, &party(), now).map(drop), Ok(()));
    }

    #[test]
    fn an_id_that_was_given_up_is_not_taken_before_its_answer_or_the_servers_end() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        for is_answered in [true, false] {
            assert_eq!(pending.begin(&id(1), OTHER, &party(), now).map(drop), Ok(()));
            assert!(pending.give_up(&id(1)).is_some());
            assert_eq!(pending.begin(&id(1), OTHER, &party(), now).map(drop), Err(NotTaken::GivenUp));
            if is_answered {
                assert!(pending.end_answered(&id(1)).is_none(), "no client waits for it");
            } else {
                assert!(pending.upstream_gone().is_empty());
            }
        }
        let waiting = RequestKind::Waiting { question: None };
        assert_eq!(pending.begin(&id(1), waiting, &party(), now).map(drop), Ok(()));
        assert!(pending.give_up(&id(1)).is_some());
        assert_eq!(pending.begin(&id(1), OTHER, &party(), now).map(drop), Ok(()), "the server never heard of that one");
    }

    #[test]
    fn requests_in_flight_are_bounded() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        for number in 0..CLIENT_REQUESTS_MAX as i64 {
            assert_eq!(pending.begin(&id(number), OTHER, &party(), now).map(drop), Ok(()));
        }
        assert_eq!(pending.begin(&id(-1), OTHER, &party(), now).map(drop), Err(NotTaken::TooMany));
    }

    #[test]
    fn only_calls_are_overdue_and_progress_keeps_them_alive() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let timeout = Duration::from_secs(10);
        let flight = || Flight::depart(&decider(), Whose::gateway(), 0, permit(), (start, start)).0;
        let token = Id::Text("t".into());
        for (number, token) in [(1, None), (2, Some(token.clone()))] {
            assert_eq!(pending.begin(&id(number), RequestKind::Arriving, &party(), start).map(drop), Ok(()));
            pending.forwarded(&id(number), flight(), token, start);
        }
        assert_eq!(pending.begin(&id(3), OTHER, &party(), start).map(drop), Ok(()));
        assert!(pending.overdue(start + timeout - Duration::from_millis(1), Some(timeout)).is_empty());
        pending.progressed(&token, start + Duration::from_secs(5));
        let late = pending.overdue(start + timeout, Some(timeout));
        assert_eq!(late.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(pending.overdue(start + timeout * 2, Some(timeout)).len(), 1);
        assert!(pending.overdue(start + timeout * 9, None).is_empty());
        assert_eq!(pending.len(), 1);
    }
}
