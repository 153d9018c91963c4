//! A server behind a URL: requests go on as they were judged, answers come back as they were sent.

use super::body::Answer;
use super::client::{Held, Outgoing, SendError, Upstream};
use super::events::Events;
use super::exchange::{Asked, Exchange, Fate, Flight, Recipient};
use super::queue::Ticket;
use super::refusal::{Refusal, json};
use super::relist::Asking;
use super::seats::Seat;
use super::sessions::Sessions;
use super::sights::{Sight, Sights};
use super::{Gateway, Server, headers, mirror};
use crate::clock;
use crate::gateway::desk::Verdict;
use crate::gateway::identity::Identity;
use crate::gateway::mediate::{KNOWN_REQUESTS, UnknownMethods};
use crate::gateway::meter::Outcome;
use crate::gateway::reply;
use crate::gateway::telemetry::{Ended, RequestSpan};
use crate::mcp::ConnectError;
use crate::mcp::envelope::{
    Arrival, Id, MESSAGE_BYTES_MAX, Malformed, Message, Passage, Reason, ReplyTo, ToolCall, admit, receive,
};
use crate::mcp::http::header;
use crate::mcp::target::HttpTarget;
use crate::mcp::walk::member;
use crate::policy::{Caller, Denial, Permit, Policy};
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, response};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks whether a person has answered.
const APPROVAL_LOOK_EVERY: Duration = Duration::from_millis(200);
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// What is kept for one such server.
#[derive(Debug)]
pub struct Relay {
    pub(super) upstream: Upstream,
    sessions: Sessions,
    pub(super) sights: Sights,
    pub(super) asking: Asking,
}

/// A request on its way: everything that is the same for all kinds of messages.
pub(super) struct Trip<'g> {
    gateway: &'g Arc<Gateway>,
    pub(super) server: &'g Arc<Server>,
    policy: Option<Arc<Policy>>,
    pub(super) headers: HeaderMap,
    /// What was listed to whoever calls, where a lock wants to know.
    pub(super) sight: Option<Arc<Sight>>,
    pub(super) who: Identity,
    seat: Seat,
    began: Instant,
    span: Option<RequestSpan>,
}

/// What was decided, with the decision's number.
type Decided = Result<(u64, Permit), (u64, Denial)>;

impl Trip<'_> {
    fn recipient(&self) -> Recipient {
        Recipient {
            gateway: Arc::clone(self.gateway),
            server: Arc::clone(self.server),
            who: self.who.clone(),
            sight: self.sight.clone(),
        }
    }
}

impl Relay {
    /// For a target. Nothing is sent yet.
    ///
    /// # Errors
    /// The target cannot be used.
    pub fn new(target: &HttpTarget) -> Result<Self, ConnectError> {
        Ok(Self {
            upstream: Upstream::new(target)?,
            sessions: Sessions::default(),
            sights: Sights::default(),
            asking: Asking::default(),
        })
    }

    /// What time brings.
    pub fn tick(&self) {
        self.upstream.sweep();
    }

    /// A session is over.
    pub(super) fn close(&self, session: &[u8]) {
        self.sessions.close(session);
        self.sights.close(session);
    }

    /// Sessions that are known.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// One message of a client.
    ///
    /// # Errors
    /// It is refused before a server hears of it, or the server cannot be reached.
    pub async fn post(
        &self,
        gateway: &Arc<Gateway>,
        server: &Arc<Server>,
        who: Identity,
        head: Parts,
        body: Bytes,
        seat: Seat,
    ) -> Result<Response<Answer>, Refusal> {
        let began = Instant::now();
        let message = admit(&body).map_err(|malformed| not_admitted(&malformed, &head.headers))?;
        drop(body);
        let mut headers = head.headers;
        mirror::check(&headers, &message)?;
        let session = self.session(&headers, &who)?;
        let policy = gateway.policy(&who, server);
        let span = gateway.trace(server, &headers, &message, policy.as_deref());
        headers::to_server(&mut headers);
        let sight = self.sight(server, &headers, &who);
        let trip = Trip { gateway, server, policy, headers, sight, who, seat, began, span };
        match message {
            Message::Call(id, call) => {
                let grant = Some(Arc::clone(&trip.who.grant));
                let caller = Caller { server: Arc::clone(&server.label), grant, session };
                self.call(trip, caller, id, call).await
            }
            Message::Request(id, passage) => self.request(trip, id, &passage).await,
            Message::Notification(passage) | Message::Reply(_, passage) => {
                let exchange = Exchange::nothing(trip.recipient());
                self.forward(trip, Outgoing::pass(&passage), exchange, None).await
            }
        }
    }

    /// The caller's session, as counters know it.
    fn session(&self, headers: &HeaderMap, who: &Identity) -> Result<Option<Arc<str>>, Refusal> {
        let mut ids = headers.get_all(&SESSION).iter();
        match (ids.next(), ids.next()) {
            (None, _) => Ok(None),
            (Some(id), None) => self
                .sessions
                .take(id.as_bytes(), &who.grant)
                .map_err(|_| Refusal::new(StatusCode::NOT_FOUND, "there is no such session")),
            (Some(_), Some(_)) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, format!("more than one {} header", header::SESSION_ID)))
            }
        }
    }

    async fn call(
        &self,
        mut trip: Trip<'_>,
        caller: Caller,
        id: Id,
        call: ToolCall,
    ) -> Result<Response<Answer>, Refusal> {
        let (tool, typed) = (call.name().clone(), call.is_stateless());
        let grant = caller.grant.clone();
        let (number, permit) = match self.decide(&trip, caller, call).await.map_err(|refusal| refusal.to(&id))? {
            Ok(allowed) => allowed,
            Err((number, denial)) => {
                let mut line = Vec::new();
                let decision = trip.gateway.desk.audit().decision_id(number);
                if let Some(mut span) = trip.span.take() {
                    span.decided(grant.as_deref().unwrap_or_default(), Outcome::Deny, &denial.rule, &decision);
                    span.end(Ended::ToolError);
                }
                reply::denied(&mut line, &id, tool.as_str(), &denial, &decision, typed);
                return Ok(json(StatusCode::OK, line));
            }
        };
        if let Some(span) = &mut trip.span {
            let decision = trip.gateway.desk.audit().decision_id(number);
            let would = permit.would_deny();
            let outcome = if would.is_some() { Outcome::WouldDeny } else { Outcome::Allow };
            let rule = would.map_or(permit.rule(), |denial| &denial.rule);
            span.decided(grant.as_deref().unwrap_or_default(), outcome, rule, &decision);
        }
        let (outgoing, reservation) = Outgoing::call(permit);
        let desk = Arc::clone(&trip.gateway.desk);
        let flight = Flight::new(desk, trip.server.name.as_str(), number, reservation, trip.began);
        let exchange = Exchange::answer(trip.recipient(), id, Asked::Call(flight)).with_span(trip.span.take());
        let patience = trip.gateway.settings.call_timeout;
        self.forward(trip, outgoing, exchange, patience).await
    }

    async fn request(&self, mut trip: Trip<'_>, id: Id, passage: &Passage) -> Result<Response<Answer>, Refusal> {
        let method = passage.method().unwrap_or_default();
        if !KNOWN_REQUESTS.contains(&method) {
            trip.gateway.desk.audit().repeated(clock::now(), "unknown_method", |line| line.text("method", method));
            if trip.gateway.settings.unknown_methods == UnknownMethods::Refuse {
                let status = if passage.revision().is_some() { StatusCode::NOT_FOUND } else { StatusCode::OK };
                return Err(Refusal::new(status, "method not found").with_code(-32601).to(&id));
            }
        }
        let asked = match method {
            "tools/list" => {
                let is_first = passage.params().and_then(|p| member(p, "cursor")).is_none();
                let generation = || trip.sight.as_ref().map_or(0, |sight| sight.listed().generation());
                Asked::List { first: is_first.then(generation) }
            }
            "initialize" => Asked::Initialize,
            "server/discover" => Asked::Discover,
            _ => Asked::Other,
        };
        let opens = matches!(asked, Asked::Initialize);
        let (who, sight) = (trip.who.clone(), trip.sight.clone());
        let exchange = Exchange::answer(trip.recipient(), id, asked).with_span(trip.span.take());
        let response = self.forward(trip, Outgoing::pass(passage), exchange, None).await?;
        if opens && response.status().is_success() {
            // What was listed before was listed to another session.
            sight.iter().for_each(|sight| sight.listed().forget());
            if let Some(session) = response.headers().get(&SESSION) {
                self.sights.close(session.as_bytes());
                self.sessions.open(session.as_bytes(), &who.grant);
            }
        }
        Ok(response)
    }

    /// Brings a call to the desk, and waits for a person where the policy wants one.
    async fn decide(&self, trip: &Trip<'_>, caller: Caller, call: ToolCall) -> Result<Decided, Refusal> {
        let Trip { gateway, server, policy, who, .. } = trip;
        let ticket = |policy: Option<Arc<Policy>>, call: ToolCall, change, asked| {
            let schema = server.schema(policy.as_deref(), call.name().as_str());
            Ticket { policy, caller: caller.clone(), call, schema, change, asked }
        };
        let alone = gateway.seats.open() <= 1;
        let change = self.change(trip, policy.as_deref(), &call).await?;
        let ruling = gateway.queue.rule(ticket(policy.clone(), call, change, None), alone).await;
        let (question, approval) = match ruling.verdict {
            Verdict::Allow(permit) => return Ok(Ok((ruling.number, permit))),
            Verdict::Deny(denial) => return Ok(Err((ruling.number, denial))),
            Verdict::Wait(question, approval) => (question, approval),
        };
        let since = Instant::now();
        while since.elapsed() < gateway.settings.approval_wait {
            tokio::time::sleep(APPROVAL_LOOK_EVERY.min(gateway.settings.approval_wait)).await;
            if gateway.queue.answered(&approval).await {
                break;
            }
        }
        // The policy may be another one by now, and so may the tool.
        let policy = gateway.policy(who, server);
        let change = self.change(trip, policy.as_deref(), &question.call).await?;
        let ruling = gateway.queue.rule(ticket(policy, question.call, change, Some(approval)), false).await;
        Ok(match ruling.verdict {
            Verdict::Allow(permit) => Ok((ruling.number, permit)),
            Verdict::Deny(denial) => Err((ruling.number, denial)),
            Verdict::Wait(question, approval) => Err((ruling.number, Denial::unanswered(&question, &approval))),
        })
    }

    /// Sends a message and brings back what comes. Whatever happens, a request gets one answer.
    async fn forward(
        &self,
        trip: Trip<'_>,
        outgoing: Outgoing,
        mut exchange: Exchange,
        patience: Option<Duration>,
    ) -> Result<Response<Answer>, Refusal> {
        let Trip { gateway, headers, seat, .. } = trip;
        let session = headers.get(&SESSION).cloned();
        let sending = self.upstream.send(Method::POST, headers, outgoing);
        let sent = match patience {
            None => sending.await,
            Some(wait) => match tokio::time::timeout(wait, sending).await {
                Ok(sent) => sent,
                Err(_) => {
                    let message = format!("the server has not answered within {} s", wait.as_secs_f64());
                    return Ok(failed(&mut exchange, StatusCode::GATEWAY_TIMEOUT, "timeout", &message));
                }
            },
        };
        let (mut head, held) = match sent {
            Ok(answer) => answer,
            Err(error @ SendError::Unreachable(_)) => {
                let refusal = Refusal::new(StatusCode::BAD_GATEWAY, error.to_string());
                return Err(match exchange.not_sent() {
                    Some(id) => refusal.to(&id),
                    None => refusal,
                });
            }
            Err(error @ SendError::Broken) => {
                return Ok(failed(&mut exchange, StatusCode::BAD_GATEWAY, "upstream_gone", &error.to_string()));
            }
        };
        if head.status == StatusCode::NOT_FOUND
            && let Some(session) = session
        {
            self.close(session.as_bytes());
        }
        headers::to_client(&mut head.headers);
        if head.status.is_redirection() {
            let message = "the server redirects, and redirects are not followed";
            return Ok(failed(&mut exchange, StatusCode::BAD_GATEWAY, "redirect", message));
        }
        match kind_of(&head.headers) {
            Kind::Events => {
                let events = Events::new(held, exchange, seat).with_patience(patience);
                Ok(Response::from_parts(without_length(head), Answer::Events(Box::new(events))))
            }
            Kind::Json => Ok(whole(head, held, exchange, patience).await),
            Kind::Other => Ok(other(head, held, exchange, gateway)),
        }
    }

    /// A client listens.
    ///
    /// # Errors
    /// The session is another's, or the server cannot be reached.
    pub async fn get(
        &self,
        gateway: &Arc<Gateway>,
        server: &Arc<Server>,
        who: &Identity,
        head: Parts,
        seat: Seat,
    ) -> Result<Response<Answer>, Refusal> {
        let mut headers = head.headers;
        self.session(&headers, who)?;
        let sight = self.sight(server, &headers, who);
        headers::to_server(&mut headers);
        headers.remove(CONTENT_TYPE);
        let sent = self.upstream.send(Method::GET, headers, Outgoing::nothing()).await;
        let (mut head, held) = sent.map_err(|error| Refusal::new(StatusCode::BAD_GATEWAY, error.to_string()))?;
        headers::to_client(&mut head.headers);
        let (gateway, server) = (Arc::clone(gateway), Arc::clone(server));
        let ending = gateway.ending();
        let exchange = Exchange::stream(Recipient { gateway, server, who: who.clone(), sight });
        if head.status.is_redirection() {
            let message = "the server redirects, and redirects are not followed";
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, message));
        }
        match kind_of(&head.headers) {
            Kind::Events => {
                let events = Events::new(held, exchange, seat).until(ending);
                Ok(Response::from_parts(without_length(head), Answer::Events(Box::new(events))))
            }
            Kind::Json => Ok(whole(head, held, exchange, None).await),
            Kind::Other if head.status.is_success() && !held.is_end_stream() => {
                exchange.dropped("a body that is no stream of events", 0);
                Err(Refusal::new(StatusCode::BAD_GATEWAY, "the server answered with something else than events"))
            }
            Kind::Other => Ok(Response::from_parts(head, Answer::Raw(Box::new(held)))),
        }
    }

    /// A client ends its session.
    ///
    /// # Errors
    /// The session is another's, or the server cannot be reached.
    pub async fn delete(&self, who: &Identity, head: Parts) -> Result<Response<Answer>, Refusal> {
        let mut headers = head.headers;
        self.session(&headers, who)?;
        let session = headers.get(&SESSION).cloned();
        headers::to_server(&mut headers);
        headers.remove(CONTENT_TYPE);
        let sent = self.upstream.send(Method::DELETE, headers, Outgoing::nothing()).await;
        let (mut head, held) = sent.map_err(|error| Refusal::new(StatusCode::BAD_GATEWAY, error.to_string()))?;
        headers::to_client(&mut head.headers);
        if head.status.is_redirection() {
            let message = "the server redirects, and redirects are not followed";
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, message));
        }
        if (head.status.is_success() || head.status == StatusCode::NOT_FOUND)
            && let Some(session) = session
        {
            self.close(session.as_bytes());
        }
        if head.status.is_success() && !held.is_end_stream() {
            // No message is due, whatever this is.
            return Ok(Response::from_parts(without_length(head), Answer::empty()));
        }
        Ok(Response::from_parts(head, Answer::Raw(Box::new(held))))
    }
}

/// What the body of an answer is.
pub(super) enum Kind {
    Json,
    Events,
    Other,
}

pub(super) fn kind_of(headers: &HeaderMap) -> Kind {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return Kind::Other };
    let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(b"application/json") {
        Kind::Json
    } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
        Kind::Events
    } else {
        Kind::Other
    }
}

fn without_length(mut head: response::Parts) -> response::Parts {
    head.headers.remove(http::header::CONTENT_LENGTH);
    head
}

/// A message that is not admitted is answered with 400, whoever sent it.
pub(super) fn not_admitted(malformed: &Malformed, headers: &HeaderMap) -> Refusal {
    let refusal = match malformed.reason {
        Reason::ProtocolVersion => mirror::unknown_revision(headers),
        Reason::TooLong => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, malformed.reason.to_string()),
        reason => Refusal::new(StatusCode::BAD_REQUEST, reason.to_string()).with_code(reason.code()),
    };
    match &malformed.reply_to {
        ReplyTo::Id(id) => refusal.to(id),
        ReplyTo::Unknown | ReplyTo::Nobody => refusal,
    }
}

/// The server will not answer. A request gets an error, everything else the status alone.
fn failed(exchange: &mut Exchange, status: StatusCode, outcome: &'static str, message: &str) -> Response<Answer> {
    match exchange.fail(outcome, message) {
        Some(error) => json(status, error),
        None => Refusal::new(status, message.to_owned()).into_response(),
    }
}

/// Reads a JSON body, which cannot be judged before its end.
pub(super) async fn collect(held: Held, patience: Option<Duration>) -> Result<Bytes, (&'static str, String)> {
    let reading = async {
        let mut held = held;
        let too_long = || ("too_long", "the server's answer is longer than this gateway takes".to_owned());
        let broken = |_| ("broken", "the answer from the server broke off".to_owned());
        if held.size_hint().lower() > MESSAGE_BYTES_MAX as u64 {
            return Err(too_long());
        }
        let mut first = Bytes::new();
        while first.is_empty() {
            match held.frame().await {
                None => return Ok(first),
                Some(frame) => first = frame.map_err(broken)?.into_data().unwrap_or_default(),
            }
        }
        if held.is_end_stream() {
            return if first.len() > MESSAGE_BYTES_MAX { Err(too_long()) } else { Ok(first) };
        }
        let mut all = BytesMut::from(first);
        while let Some(frame) = held.frame().await {
            let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
            if all.len() + piece.len() > MESSAGE_BYTES_MAX {
                return Err(too_long());
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    };
    match patience {
        None => reading.await,
        Some(wait) => tokio::time::timeout(wait, reading).await.unwrap_or_else(|_| {
            Err(("timeout", format!("the server has not answered within {} s", wait.as_secs_f64())))
        }),
    }
}

/// An answer in one piece.
async fn whole(
    head: response::Parts,
    held: Held,
    mut exchange: Exchange,
    patience: Option<Duration>,
) -> Response<Answer> {
    let body = match collect(held, patience).await {
        Ok(body) => body,
        Err((outcome, message)) => return failed(&mut exchange, StatusCode::BAD_GATEWAY, outcome, &message),
    };
    if !head.status.is_success() {
        // Errors of HTTP name the request as they like; only what could be taken for a result is looked at.
        let is_result = match receive(&body) {
            Ok(received) => matches!(received.arrival, Arrival::Result(_)),
            // The name of a member may be written with escapes.
            Err(_) => {
                memchr::memmem::find(&body, b"result").is_some()
                    || member(&String::from_utf8_lossy(&body), "result").is_some()
            }
        };
        if !is_result {
            settle_error(&mut exchange, &body);
            return Response::from_parts(head, Answer::whole(body));
        }
    }
    if body.trim_ascii().is_empty() && !exchange.is_open() {
        return Response::from_parts(head, Answer::whole(body));
    }
    match exchange.message(&body) {
        Fate::Pass => Response::from_parts(head, Answer::whole(body)),
        Fate::Replace(message) => Response::from_parts(without_length(head), Answer::whole(message)),
        Fate::Drop => match exchange.fail("invalid", "the server's answer is not for this request") {
            Some(error) => json(StatusCode::BAD_GATEWAY, error),
            None => {
                let mut response = Response::new(Answer::empty());
                *response.status_mut() = StatusCode::ACCEPTED;
                response
            }
        },
    }
}

/// An answer with an error status: a JSON-RPC error to this very request gives back what the call held.
fn settle_error(exchange: &mut Exchange, body: &Bytes) {
    let is_for_this = match (receive(body), exchange.id()) {
        (Ok(received), Some(open)) => matches!(&received.arrival, Arrival::Error(id) if id == open),
        _ => false,
    };
    if is_for_this {
        exchange.message(body);
    } else {
        exchange.refused(body.len());
    }
}

/// An answer that is neither JSON nor events: pages of proxies, plain text, nothing at all.
fn other(head: response::Parts, held: Held, mut exchange: Exchange, _gateway: &Arc<Gateway>) -> Response<Answer> {
    if head.status.is_success() {
        if exchange.is_open() {
            let message = "the server answered with something else than JSON or events";
            return failed(&mut exchange, StatusCode::BAD_GATEWAY, "not_mcp", message);
        }
        // Nothing is due, and nothing that a client could take for a message passes.
        return Response::from_parts(without_length(head), Answer::empty());
    }
    exchange.refused(0);
    Response::from_parts(head, Answer::Raw(Box::new(held)))
}
