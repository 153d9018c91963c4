//! A server behind a URL: requests go on as they were judged, answers come back as they were sent.

use super::approval::{DecidedCall, Decision};
use super::body::Answer;
use super::client::Outgoing;
use super::command_request::{accepts_events, is_subscription, withdrawn};
use super::events::Events;
use super::exchange::{Exchange, Recipient};
use super::host_origin::not_admitted;
use super::mcp_headers::{LAST_EVENT_ID, SESSION, VERSION};
use super::open::{OpenRequest, Stand};
use super::refusal::{Refusal, accepted, json};
use super::repeats::Repeats;
use super::request_slots::RequestSlot;
use super::seen_tools::Viewer;
use super::token_watch::Holder;
use super::trip::Trip;
use super::url_answer::{failed, other, whole, without_length};
use super::url_table::UrlServer;
use super::waiting::Waiting;
use super::{Gateway, Server, header_match, headers, mcp_headers, pledge, sessions};
use crate::clock;
use crate::gateway::audit::Route;
use crate::gateway::exchange::{Asked, CallOutcome, DoorRefusal, Flight, MessageForm, Question};
use crate::gateway::identity::Identity;
use crate::gateway::meter::Outcome;
use crate::gateway::reply;
use crate::gateway::said::Said;
use crate::gateway::telemetry::SpanEnd;
use crate::mcp::ConnectError;
use crate::mcp::envelope::{Id, Message, Passage, ToolCall, admit};
use crate::mcp::http::older::{OLDER, may_be_older, speaks_older};
use crate::mcp::http::{ContentKind, named_kind};
use crate::model::ToolName;
use crate::policy::{Caller, CourseKey, Pledge, StoreError};
use crate::state::Claim;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::body::Body as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What the answer to a refused call says beside the refusal.
struct About {
    tool: ToolName,
    is_stateless: bool,
    grant: Option<Arc<str>>,
}

/// What a message leaves with.
struct Leaving {
    /// Those that go to the server.
    headers: HeaderMap,
    slot: RequestSlot,
    /// The answer may last for ever.
    is_subscription: bool,
    /// How long an answer may take.
    patience: Option<Duration>,
}

impl UrlServer {
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
        slot: RequestSlot,
    ) -> Result<Response<Answer>, Refusal> {
        let began = Instant::now();
        let message = admit(&body).map_err(|malformed| not_admitted(&malformed, &head.headers))?;
        drop(body);
        let headers = head.headers;
        header_match::check(&headers, &message)?;
        let presented = headers.get(AUTHORIZATION).cloned();
        let session = self.session(server, &headers, &who)?;
        // Whatever session a greeting names, it begins another one.
        let (session, course) = if message.method() == Some("initialize") {
            (None, None)
        } else {
            let course = sessions::course(&headers, session.as_ref())?;
            (session, course)
        };
        let grant = Some(Arc::clone(&who.grant));
        let mut caller = Caller { server: Arc::clone(&server.label), grant, session, course, pledge: None };
        pledge::take(&gateway.decider, &mut caller, Route::HttpUrl, (&head.extensions, &headers), &message)?;
        let policy = gateway.policy(&who, server);
        let span = gateway.trace(server, &headers, &message, policy.as_deref());
        let repeats = Repeats::stated(&headers, &message);
        let headers = headers::to_server(&headers, &Method::POST, Some(&message), &self.forwarded)
            .map_err(|refusal| message.id().into_iter().fold(refusal, Refusal::to))?;
        let line = (headers.get(&SESSION).cloned(), headers.get(&VERSION).cloned());
        let viewer = Viewer::of(line.0.as_ref(), &who);
        let seen = self.seen(server, policy.as_deref(), &viewer, &message);
        let holder = Holder { presented, who };
        let is_subscription = is_subscription(&message);
        let (gateway, server) = (Arc::clone(gateway), Arc::clone(server));
        let to = Recipient { gateway, server, holder, viewer: viewer.clone(), seen, caller, line };
        let trip = Box::new(Trip { to, policy, headers, repeats, is_subscription, slot, began, span });
        if let Some(id) = withdrawn(&message).flatten()
            && !self.open.withdraw(&viewer, &id)
        {
            // The server does not know of it, and need not hear that it is withdrawn.
            return Ok(accepted());
        }
        let begun = |id: &Id| {
            let what = "a request with this id is in flight already";
            let begun = self.open.begin(&viewer, id);
            // What a request with this id before it was answered is not for this one.
            self.resumable.forget(&viewer, id);
            begun.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, what).to(id))
        };
        match message {
            Message::Call(id, call) => {
                let request = begun(&id)?;
                let caller = trip.to.caller.clone();
                self.call(trip, caller, id, call, request).await
            }
            Message::Request(id, passage) => {
                let request = begun(&id)?;
                let stand = request.stand();
                unless_withdrawn(&stand, pin!(self.request(trip, id, &passage, request))).await
            }
            Message::Reply(id, _) if !self.answered(&viewer, &id) => {
                let whose = trip.to.server.whose(&trip.to.holder.who);
                trip.to.gateway.decider.dropped(&whose, "client", "foreign reply");
                Ok(accepted())
            }
            Message::Notification(passage) if admits(&trip, &passage, MessageForm::News).is_err() => Ok(accepted()),
            Message::Notification(passage) | Message::Reply(_, passage) => {
                let Trip { to, headers, slot, is_subscription, .. } = *trip;
                let leaving = Leaving { headers, slot, is_subscription, patience: None };
                self.forward(leaving, Outgoing::pass(&passage), Exchange::nothing(to)).await
            }
        }
    }

    /// The caller's session, as counters know it.
    fn session(&self, server: &Server, headers: &HeaderMap, who: &Identity) -> Result<Option<Arc<str>>, Refusal> {
        let Some(id) = mcp_headers::session(headers)? else { return Ok(None) };
        self.sessions.take(id.as_bytes(), &who.grant, || {
            let is_own = claims(server, id.as_bytes(), &who.grant, Claim::Named);
            // It may have pledged at another gateway, or before this one was started.
            let key = CourseKey::of_server(&server.label, &sessions::label(id.as_bytes()), &who.grant);
            is_own.and_then(|is_own| server.decider.learn_pledge(key).map(|_| is_own)).map_err(|error| {
                server.decider.notice(&Said::error(error.to_string()).of(server.name.as_str()));
                owner_unknown()
            })
        })
    }

    async fn call(
        &self,
        trip: Box<Trip>,
        caller: Caller,
        id: Id,
        call: ToolCall,
        request: OpenRequest,
    ) -> Result<Response<Answer>, Refusal> {
        let (tool, is_stateless) = (call.name().clone(), call.is_stateless());
        let about = About { tool, is_stateless, grant: caller.grant.clone() };
        let stand = request.stand();
        let decision = {
            let decision = pin!(self.decide(&trip, &caller, call));
            tokio::select! {
                biased;
                // Most decisions are there at once, and then nothing has to be waited for.
                decision = decision => decision.map_err(|refusal| refusal.to(&id))?,
                () = stand.withdrawn() => return Ok(accepted()),
            }
        };
        let (question, approval) = match decision {
            Decision::Made(decided) => {
                return unless_withdrawn(&stand, pin!(self.go_on(trip, id, about, decided, request))).await;
            }
            Decision::Waits(question, approval) => (question, approval),
        };
        // Where a client wants to hear of progress, the answer is a stream that begins now.
        let token = question.call.progress_token().filter(|_| accepts_events(&trip.headers));
        let waiting = token.map(|token| Waiting::new(id.clone(), token, &approval));
        let server = Arc::clone(&trip.to.server);
        let waits = Question::new(&trip.to.gateway.decider, trip.to.server.whose(&trip.to.holder.who), &approval);
        let rest = Box::pin(async move {
            let relay = server.relay().ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no such server"))?;
            let answered = async {
                let decided =
                    relay.wait(&trip, &caller, *question, approval).await.map_err(|refusal| refusal.to(&id))?;
                relay.go_on(trip, id, about, decided, request).await
            };
            let response = unless_withdrawn(&stand, pin!(answered)).await;
            if stand.is_withdrawn() {
                // The store may be slow, and the client need not wait for it.
                tokio::task::spawn_blocking(move || waits.withdraw(clock::now()));
            }
            response
        });
        match waiting {
            Some(waiting) => Ok(waiting.until(rest)),
            None => rest.await,
        }
    }

    /// Forwards a call that may pass, and answers one that may not.
    async fn go_on(
        &self,
        mut trip: Box<Trip>,
        id: Id,
        About { tool, is_stateless, grant }: About,
        decided: DecidedCall,
        request: OpenRequest,
    ) -> Result<Response<Answer>, Refusal> {
        let (number, permit) = match decided {
            Ok(allowed) => allowed,
            Err((number, denial)) => {
                let mut line = Vec::new();
                let decision = trip.to.gateway.decider.audit().decision_id(number);
                if let Some(mut span) = trip.span.take() {
                    span.decided(grant.as_deref().unwrap_or_default(), Outcome::Deny, &denial.rule, &decision);
                    span.end(SpanEnd::ToolError);
                }
                reply::denied(&mut line, &id, tool.as_str(), &denial, &decision, is_stateless);
                return Ok(json(StatusCode::OK, line));
            }
        };
        if !request.stand().leaves() {
            trip.to.gateway.decider.withdrawn(trip.to.server.whose(&trip.to.holder.who), number, permit);
            return Ok(accepted());
        }
        if let Some(span) = &mut trip.span {
            let decision = trip.to.gateway.decider.audit().decision_id(number);
            let would = permit.would_deny();
            let outcome = if would.is_some() { Outcome::WouldDeny } else { Outcome::Allow };
            let rule = would.map_or(permit.rule(), |denial| &denial.rule);
            span.decided(grant.as_deref().unwrap_or_default(), outcome, rule, &decision);
        }
        let token = permit.call().progress_token().and_then(Id::parse);
        let (decider, whose) = (&trip.to.gateway.decider, trip.to.server.whose(&trip.to.holder.who));
        let (flight, cleared) = Flight::depart(decider, whose, number, permit, (trip.began, Instant::now()));
        let outgoing = Outgoing::call(&cleared);
        trip.headers.extend(trip.repeats.written().into_iter().map(|(name, value)| (Some(name), value)));
        let patience = trip.to.gateway.settings.call_timeout;
        let Trip { to, headers, slot, is_subscription, span, .. } = *trip;
        let mut exchange = Exchange::answer(to, (id, Asked::Call(flight)), request, span);
        exchange.set_call(token, !is_stateless);
        self.forward(Leaving { headers, slot, is_subscription, patience }, outgoing, exchange).await
    }

    async fn request(
        &self,
        mut trip: Box<Trip>,
        id: Id,
        passage: &Passage,
        request: OpenRequest,
    ) -> Result<Response<Answer>, Refusal> {
        let method = passage.method().unwrap_or_default();
        if let Err(DoorRefusal { code, message }) = admits(&trip, passage, MessageForm::Request) {
            // As that revision has it (MCP 2026-07-28, streamable HTTP).
            let is_unknown = passage.revision().is_some() && code == -32601;
            let status = if is_unknown { StatusCode::NOT_FOUND } else { StatusCode::OK };
            if let Some(span) = trip.span.take() {
                span.end(SpanEnd::Error(code.into()));
            }
            return Err(Refusal::new(status, message).with_code(code).to(&id));
        }
        let asked = Asked::of(passage, || trip.to.server.shared.generation()).unwrap_or(Asked::Other);
        let opens = method == "initialize";
        let (grant, seen, server) =
            (Arc::clone(&trip.to.holder.who.grant), trip.to.seen.clone(), Arc::clone(&trip.to.server));
        let mut opener = Caller { pledge: None, ..trip.to.caller.clone() };
        let pledge = trip.to.caller.pledge.clone().filter(|_| opens && opener.course.is_none());
        if !request.stand().leaves() {
            return Ok(accepted());
        }
        let asked_as = id.clone();
        let Trip { to, headers, slot, is_subscription, span, .. } = *trip;
        let leaving = Leaving { headers, slot, is_subscription, patience: None };
        let exchange = Exchange::answer(to, (id, asked), request, span);
        let response = self.forward(leaving, Outgoing::pass(passage), exchange).await?;
        if opens && response.status().is_success() {
            // What was listed before was listed to another session.
            seen.iter().for_each(|seen| seen.view().clear());
            if let Some(session) = response.headers().get(&SESSION) {
                // A session that no other gateway knows the owner of would be anybody's there.
                claims(&server, session.as_bytes(), &grant, Claim::Given).map_err(|error| {
                    server.decider.notice(&Said::error(error.to_string()).of(server.name.as_str()));
                    owner_unknown().to(&asked_as)
                })?;
                if let Some(pledge) = pledge {
                    opener.session = Some(sessions::label(session.as_bytes()));
                    // The client must not go on in a session that calls what it has not pledged.
                    let kept = server.decider.pledge(clock::now(), &mut opener, Route::HttpUrl, Pledge::clone(&pledge));
                    kept.map_err(|refused| {
                        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, refused.to_string()).to(&asked_as)
                    })?;
                }
                self.seen_tools.close(session.as_bytes());
                self.sessions.open(session.as_bytes(), &grant);
            }
        }
        Ok(response)
    }

    /// Sends a message and brings back what comes. Whatever happens, a request gets one answer.
    async fn forward(
        &self,
        Leaving { headers, slot, is_subscription, patience }: Leaving,
        outgoing: Outgoing,
        mut exchange: Exchange,
    ) -> Result<Response<Answer>, Refusal> {
        let (server, session) = (Arc::clone(exchange.server()), exchange.session().cloned());
        let sending = outgoing.send(&self.upstream, Method::POST, headers);
        let sent = match patience {
            None => sending.await,
            Some(wait) => match tokio::time::timeout(wait, sending).await {
                Ok(sent) => sent,
                Err(_) => {
                    let message = format!("the server has not answered within {} s", wait.as_secs_f64());
                    return Ok(failed(&mut exchange, StatusCode::GATEWAY_TIMEOUT, CallOutcome::Timeout, &message));
                }
            },
        };
        server.heard(&sent);
        let (mut head, held) = match sent {
            Ok(answer) => answer,
            Err(error) if error.may_have_arrived() => {
                let outcome = match &error {
                    ConnectError::Redirected { .. } | ConnectError::Moved { .. } => CallOutcome::Redirect,
                    _ => CallOutcome::UpstreamGone,
                };
                let message = self.unanswered(&server, &error);
                return Ok(failed(&mut exchange, StatusCode::BAD_GATEWAY, outcome, &message));
            }
            Err(error) => {
                let refusal = Refusal::new(StatusCode::BAD_GATEWAY, self.unanswered(&server, &error));
                return Err(match exchange.not_sent() {
                    Some(id) => refusal.to(&id),
                    None => refusal,
                });
            }
        };
        if head.status == StatusCode::NOT_FOUND
            && let Some(session) = session
        {
            self.close(session.as_bytes());
        }
        headers::to_client(&mut head.headers);
        exchange.begun(&head.headers);
        let kind = ContentKind::of(&head.headers);
        headers::judged(&mut head.headers, kind);
        if kind != ContentKind::Json
            && exchange.is_greeting()
            && may_be_older("initialize", head.status.as_u16())
            && Box::pin(speaks_older(&self.upstream)).await
        {
            return Ok(failed(&mut exchange, StatusCode::BAD_GATEWAY, CallOutcome::NotMcp, OLDER));
        }
        match kind {
            ContentKind::EventStream => {
                let ending = is_subscription.then(|| exchange.gateway().ending());
                let events = Events::new(held, exchange, slot, ending).with_patience(patience);
                Ok(Response::from_parts(without_length(head), Answer::stream(events)))
            }
            ContentKind::Json => Ok(whole(head, held, exchange, patience).await),
            ContentKind::Html | ContentKind::Other => Ok(other(head, held, exchange)),
        }
    }

    /// What a client hears of a server that has not answered; where the server redirects elsewhere the operator hears
    /// the address, once.
    fn unanswered(&self, server: &Server, error: &ConnectError) -> String {
        if let ConnectError::Redirected { .. } = error
            && !self.redirect_told.swap(true, Ordering::Relaxed)
        {
            server.decider.notice(&Said::error(error.render()).of(server.name.as_str()));
        }
        error.without_address()
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
        slot: RequestSlot,
    ) -> Result<Response<Answer>, Refusal> {
        let presented = head.headers.get(AUTHORIZATION).cloned();
        let session = self.session(server, &head.headers, who)?;
        let headers = headers::to_server(&head.headers, &Method::GET, None, &self.forwarded)?;
        let takes_up = headers.contains_key(&LAST_EVENT_ID);
        let caller = Caller {
            server: Arc::clone(&server.label),
            grant: Some(Arc::clone(&who.grant)),
            session,
            course: None,
            pledge: None,
        };
        let line = (headers.get(&SESSION).cloned(), headers.get(&VERSION).cloned());
        let viewer = Viewer::of(line.0.as_ref(), who);
        let sent = Outgoing::nothing().send(&self.upstream, Method::GET, headers).await;
        server.heard(&sent);
        let (mut head, held) =
            sent.map_err(|error| Refusal::new(StatusCode::BAD_GATEWAY, self.unanswered(server, &error)))?;
        headers::to_client(&mut head.headers);
        let (gateway, server) = (Arc::clone(gateway), Arc::clone(server));
        let (ending, appearances) = (gateway.ending(), server.appearances());
        let holder = Holder { presented, who: who.clone() };
        let exchange =
            Exchange::stream(Recipient { gateway, server, holder, viewer, seen: None, caller, line }, takes_up);
        let kind = ContentKind::of(&head.headers);
        headers::judged(&mut head.headers, kind);
        match kind {
            ContentKind::EventStream => {
                let events = Events::new(held, exchange, slot, Some(ending)).with_news(appearances);
                Ok(Response::from_parts(without_length(head), Answer::stream(events)))
            }
            ContentKind::Json => Ok(whole(head, held, exchange, None).await),
            ContentKind::Html | ContentKind::Other if head.status.is_success() && !held.is_end_stream() => {
                exchange.dropped("a body that is no stream of events", 0);
                let kind = named_kind(&head.headers);
                let message = format!("the server answered with {kind}, which is no stream of events");
                Err(Refusal::new(StatusCode::BAD_GATEWAY, message))
            }
            ContentKind::Html | ContentKind::Other => Ok(Response::from_parts(head, Answer::Raw(Box::new(held)))),
        }
    }

    /// A client ends its session.
    ///
    /// # Errors
    /// The session is another's, or the server cannot be reached.
    pub async fn delete(&self, server: &Server, who: &Identity, head: Parts) -> Result<Response<Answer>, Refusal> {
        self.session(server, &head.headers, who)?;
        let session = head.headers.get(&SESSION).cloned();
        let headers = headers::to_server(&head.headers, &Method::DELETE, None, &self.forwarded)?;
        let sent = Outgoing::nothing().send(&self.upstream, Method::DELETE, headers).await;
        server.heard(&sent);
        let (mut head, held) =
            sent.map_err(|error| Refusal::new(StatusCode::BAD_GATEWAY, self.unanswered(server, &error)))?;
        headers::to_client(&mut head.headers);
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

/// The refusal of a request in, or for, a session while the store does not answer.
fn owner_unknown() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "whose the session is cannot be told at the moment")
}

/// Notes in the store that a session is a grant's; whether it is.
fn claims(server: &Server, id: &[u8], grant: &str, how: Claim) -> Result<bool, StoreError> {
    server.shared.tasks().map_or(Ok(true), |tasks| tasks.claims_session(&server.label, grant, id, how))
}

/// Decides on a client's message that is no call.
fn admits(trip: &Trip, passage: &Passage, form: MessageForm) -> Result<(), DoorRefusal> {
    let decider = &trip.to.gateway.decider;
    trip.to.asker(trip.policy.as_ref(), |asker| decider.admits(clock::now(), asker, passage, form))
}

/// What comes of a request, unless the client withdraws it first: then there is no answer. The work is pinned where it
/// was made: it is several kilobytes, and moving it costs more than most of what it does.
async fn unless_withdrawn(
    stand: &Stand,
    work: Pin<&mut impl Future<Output = Result<Response<Answer>, Refusal>>>,
) -> Result<Response<Answer>, Refusal> {
    tokio::select! {
        biased;
        response = work => response,
        () = stand.withdrawn() => Ok(accepted()),
    }
}
