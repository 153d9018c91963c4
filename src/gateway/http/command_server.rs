//! A stdio server behind HTTP: sessions are made here, each with a child of its own, or all of a grant with one.
//! Requests without a session (from 2026-07-28) share the children of their grant.

use super::body::Answer;
use super::child::{Child, Refused};
use super::child_events::{Stream, answer, events};
use super::command_request::{accepts_events, asked, is_subscription, withdrawn};
use super::command_table::{
    CHILDREN_MAX, ChildEntry, ChildPlace, ChildTable, CommandServer, GRANT_CHILDREN_MAX, Minted, Started, end, refused,
    retired, room,
};
use super::events::until;
use super::host_origin::not_admitted;
use super::mcp_headers::{SESSION, new_session, own_session};
use super::own_ids;
use super::pledge;
use super::queue::Pace;
use super::refusal::{Refusal, accepted, json};
use super::repeats::Repeats;
use super::request_slots::RequestSlot;
use super::token_watch::{Holder, TokenWatch};
use super::{Gateway, Server, header_match};
use crate::clock;
use crate::gateway::audit::{Route, Whose};
use crate::gateway::exchange::{Party, PolicySource, is_listed};
use crate::gateway::filter::Unreadable;
use crate::gateway::identity::Identity;
use crate::gateway::mediate::{Arrived, Mediator};
use crate::gateway::plan::Per;
use crate::gateway::said::Said;
use crate::gateway::telemetry::SpanEnd;
use crate::mcp::envelope::{Id, Message, admit, receive};
use crate::mcp::http::header;
use crate::policy::{Caller, Policy};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use std::sync::{Arc, Weak};
use std::time::Instant;

impl CommandServer {
    /// One message of a client.
    ///
    /// # Errors
    /// It is refused, or there is no server to take it.
    pub async fn post(
        &self,
        gateway: &Arc<Gateway>,
        server: &Arc<Server>,
        who: Identity,
        head: Parts,
        body: Bytes,
        slot: RequestSlot,
    ) -> Result<Response<Answer>, Refusal> {
        let at = Instant::now();
        let message = admit(&body).map_err(|malformed| not_admitted(&malformed, &head.headers))?;
        header_match::check(&head.headers, &message)?;
        let span = gateway.trace_to_child(server, &who, &head.headers, &message);
        let id = message.id().cloned();
        let is_initialize = message.method() == Some("initialize") && id.is_some();
        let is_stateless = header_match::is_stateless(&head.headers, &message);
        let session = own_session(&head.headers)?;
        let shares = self.children.per == Per::Grant;
        let mut minted = None;
        let _opening = if is_initialize && shares { Some(self.opening(&who.grant).lock_owned().await) } else { None };
        if let (None, Some(id), true) = (session, &id, is_initialize && shares)
            && let Some(response) = self.join(server, &who, (&head, &message, id))?
        {
            span.into_iter().for_each(|span| span.end(SpanEnd::Result));
            return Ok(response);
        }
        let entry = match (session, id.as_ref()) {
            (Some(session), _) => self.of_session(session, &who)?,
            (None, Some(id)) if is_initialize => {
                let session = new_session()?;
                let (entry, _place) = self.start(gateway, server, &who, true).await.map_err(|e| e.to(id))?;
                let kept = entry.clone();
                self.keep(kept, |table, entry| drop(table.sessions.insert(session.as_str().into(), entry)))
                    .map_err(|error| error.to(id))?;
                minted = Some(Minted(Arc::clone(&self.table), Some(session)));
                entry
            }
            (None, Some(id)) if is_stateless => {
                self.shared(gateway, server, &who).await.map_err(|error| error.to(id))?
            }
            (None, None) if is_stateless => return Ok(accepted()),
            (None, _) => {
                let what = "a request without session: begin with `initialize`";
                let refusal = Refusal::new(StatusCode::BAD_REQUEST, what);
                return Err(id.iter().fold(refusal, Refusal::to));
            }
        };
        let presented = head.headers.get(AUTHORIZATION).cloned();
        let token_watch = gateway.token_watches.of(server, &Holder { presented, who });
        let mut caller = Caller::clone(&entry.caller);
        pledge::take(&gateway.decider, &mut caller, Route::HttpCommand, (&head.extensions, &head.headers), &message)?;
        let party = Arc::new(party(gateway, server, &token_watch, caller, &entry));
        let repeats = Repeats::stated(&head.headers, &message);
        if let (Message::Call(id, call), true) = (&message, repeats.are_stated()) {
            let tool = call.name().as_str();
            // A call of a hidden tool is answered as one of a tool that does not exist.
            if party.policy().is_some_and(|policy| is_listed(&policy, tool)) {
                let known = party.view().parameters(tool, server.shared.moment(at));
                repeats.hold(call, known.as_deref()).map_err(|refusal| refusal.to(id))?;
            }
        }
        let (child, named) = (entry.child, entry.caller.session.clone());
        let is_alone = named.is_none();
        let arrived = Arrived { at, span, party: Some(party) };
        let Some(asked) = asked(&message, named.clone()) else {
            if let Some(withdrawn) = withdrawn(&message) {
                if let Some(id) = withdrawn {
                    feed(gateway, &child, move |child| child.withdraw(named.as_deref(), &id, &message))
                        .await
                        .map_err(refused)?;
                }
                return Ok(accepted());
            }
            let is_initialized = matches!(&message, Message::Notification(passage) if passage.method() == Some("notifications/initialized"));
            // Its server has heard that from the first of its sessions.
            if is_initialized && child.heard_initialized() && shares {
                return Ok(accepted());
            }
            feed(gateway, &child, move |child| child.take(Ok(message), arrived)).await.map_err(refused)?;
            return Ok(accepted());
        };
        let id = asked.id.clone();
        let Some(mut waiting) = child.wait_for(asked) else {
            let what = "a request with this id is in flight already";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, what).to(&id));
        };
        if is_alone {
            waiting.cancel_when_dropped();
        }
        let (own, lasts) = (waiting.own().clone(), is_subscription(&message));
        feed(gateway, &child, move |child| child.ask(&own, message, arrived))
            .await
            .map_err(|error| refused(error).to(&id))?;
        let streams = accepts_events(&head.headers);
        let mut response = if streams && lasts {
            events(Stream::Answer(waiting), None, slot, until(&token_watch, Some(gateway.ending())))
        } else {
            let greets = is_initialize.then(|| Arc::clone(&child));
            answer(waiting, streams, is_stateless, slot, greets, &token_watch).await.map_err(|error| error.to(&id))?
        };
        let is_begun = response.status().is_success() && !child.is_gone();
        if let Some(session) = minted.as_mut().filter(|_| is_begun).and_then(Minted::given_out) {
            let value = HeaderValue::from_str(&session)
                .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "no session id"))?;
            response.headers_mut().insert(SESSION, value);
        }
        Ok(response)
    }

    /// A further session of a grant whose child runs already: it is told what the first one was told.
    fn join(
        &self,
        server: &Server,
        who: &Identity,
        (head, message, id): (&Parts, &Message, &Id),
    ) -> Result<Option<Response<Answer>>, Refusal> {
        let mut table = self.table();
        // A child whose handshake came to nothing is not shared.
        let greeted = |entry: &ChildEntry| {
            let greeting = entry.child.greeting().filter(|_| !entry.child.is_gone())?;
            Some((entry.clone(), greeting))
        };
        let mut of_grant = table.sessions.values().filter(|entry| entry.grant == who.grant);
        let Some((entry, greeting)) = of_grant.find_map(greeted) else { return Ok(None) };
        let mut body = own_ids::answer(&String::from_utf8_lossy(&greeting), id).into_bytes();
        // The lock may say something else by now than when the first one was told.
        if let Some(guard) = server.guard() {
            let unreadable = |error: Unreadable| Refusal::new(StatusCode::BAD_GATEWAY, error.to_string()).to(id);
            let received = receive(&body).map_err(|_| unreadable(Unreadable::Ambiguous))?;
            let mut notes = Vec::new();
            let instead = guard.greeting(&received, &mut notes).map_err(unreadable);
            let whose = Whose::caller(&entry.caller, Route::HttpCommand);
            let noted = server.decider.note(clock::now(), &whose, notes);
            noted.map_err(|refused| Refusal::new(StatusCode::BAD_GATEWAY, refused.message).to(id))?;
            body = instead?.unwrap_or(body);
        }
        table.make_room(&who.grant);
        let session = new_session()?;
        let value = HeaderValue::from_str(&session)
            .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "no session id"))?;
        let mut caller = Caller { session: Some(label()?), ..Caller::clone(&entry.caller) };
        pledge::take(&server.decider, &mut caller, Route::HttpCommand, (&head.extensions, &head.headers), message)?;
        let caller = Arc::new(Caller { course: None, ..caller });
        table
            .sessions
            .insert(session.into(), ChildEntry { used: Instant::now(), caller, view: Arc::default(), ..entry });
        let mut response = json(StatusCode::OK, body);
        response.headers_mut().insert(SESSION, value);
        Ok(Some(response))
    }

    /// A client listens to what its server sends unasked.
    ///
    /// # Errors
    /// There is no such session.
    pub fn get(
        &self,
        gateway: &Arc<Gateway>,
        server: &Arc<Server>,
        who: &Identity,
        head: &Parts,
        slot: RequestSlot,
    ) -> Result<Response<Answer>, Refusal> {
        let Some(session) = own_session(&head.headers)? else {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "a stream needs a session: begin with `initialize`"));
        };
        if !accepts_events(&head.headers) {
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "the answer is `text/event-stream`"));
        }
        let ChildEntry { child, caller, .. } = self.of_session(session, who)?;
        let presented = head.headers.get(AUTHORIZATION).cloned();
        let token_watch = gateway.token_watches.of(server, &Holder { presented, who: who.clone() });
        let listening = Stream::Listening(child.listen(caller.session.clone(), self.children.per == Per::Session));
        Ok(events(listening, None, slot, until(&token_watch, Some(gateway.ending()))))
    }

    /// A client ends its session.
    ///
    /// # Errors
    /// There is no such session.
    pub fn delete(&self, who: &Identity, head: &Parts) -> Result<Response<Answer>, Refusal> {
        let Some(session) = own_session(&head.headers)? else {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("missing {} header", header::SESSION_ID)));
        };
        let child = self.of_session(session, who)?.child;
        let is_last = {
            let mut table = self.table();
            table.sessions.remove(session);
            !table.sessions.values().any(|entry| Arc::ptr_eq(&entry.child, &child))
        };
        if is_last {
            end([child]);
        }
        let mut response = Response::new(Answer::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    /// Whether the session that these headers name is there, with its server.
    pub(super) fn has_session(&self, who: &Identity, head: &Parts) -> bool {
        own_session(&head.headers).ok().flatten().is_some_and(|session| self.of_session(session, who).is_ok())
    }

    /// The child of a session, and who calls in it.
    fn of_session(&self, session: &str, who: &Identity) -> Result<ChildEntry, Refusal> {
        let mut table = self.table();
        let entry = table.sessions.get_mut(session).filter(|entry| entry.grant == who.grant && !entry.child.is_gone());
        let found = entry.map(|entry| {
            entry.used = Instant::now();
            // Under the lock of the table: it must not be ended as idle before the request is there.
            entry.child.touch();
            entry.clone()
        });
        found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no such session"))
    }

    /// The child of a grant that serves its requests without a session, and who calls in them.
    async fn shared(
        &self,
        gateway: &Arc<Gateway>,
        server: &Arc<Server>,
        who: &Identity,
    ) -> Result<ChildEntry, Refusal> {
        let fits = |entry: &&ChildEntry| !entry.child.is_gone();
        let found = |table: &ChildTable| {
            let entry = table.shared.get(&who.grant)?.iter().find(fits)?;
            // Under the lock of the table: it must not be ended as idle before the request is there.
            entry.child.touch();
            Some(entry.clone())
        };
        if let Some(found) = found(&self.table()) {
            return Ok(found);
        }
        // One after the other: a child that another request has started meanwhile does for this one too.
        let _turn = self.opening(&who.grant).lock_owned().await;
        if let Some(found) = found(&self.table()) {
            return Ok(found);
        }
        let (entry, _place) = self.start(gateway, server, who, false).await?;
        self.keep(entry.clone(), |table, entry| {
            let children = table.shared.entry(Arc::clone(&who.grant)).or_default();
            children.retain(|entry| !entry.child.is_gone());
            children.push(entry);
        })?;
        Ok(entry)
    }

    /// Puts a child that was started in its place, unless all of them have been ended meanwhile.
    fn keep(&self, entry: ChildEntry, put: impl FnOnce(&mut ChildTable, ChildEntry)) -> Result<(), Refusal> {
        let mut table = self.table();
        if table.is_retired {
            drop(end([entry.child]));
            return Err(retired());
        }
        put(&mut table, entry);
        Ok(())
    }

    async fn start(
        &self,
        gateway: &Arc<Gateway>,
        server: &Arc<Server>,
        who: &Identity,
        has_session: bool,
    ) -> Result<(ChildEntry, ChildPlace), Refusal> {
        let place = {
            let mut table = self.table();
            if table.is_retired {
                return Err(retired());
            }
            room(
                table.children(),
                CHILDREN_MAX,
                table.children_of(&who.grant),
                GRANT_CHILDREN_MAX,
                "servers are running",
            )?;
            *table.starting.entry(Arc::clone(&who.grant)).or_default() += 1;
            ChildPlace(Arc::clone(&self.table), Arc::clone(&who.grant))
        };
        let session = if has_session { Some(label()?) } else { None };
        let caller = Caller {
            server: Arc::clone(&server.label),
            grant: Some(Arc::clone(&who.grant)),
            session,
            course: None,
            pledge: None,
        };
        // Each message brings the client that it is from, and his policy.
        let mediator = Mediator::new(
            Nobody,
            Arc::clone(&gateway.decider),
            (caller.clone(), Route::HttpCommand),
            gateway.settings.clone(),
        )
        .with_shared(Arc::clone(&server.shared));
        let mediator = match server.guard() {
            Some(guard) => mediator.with_guard(Arc::clone(guard)),
            None => mediator,
        };
        let (target, restarts) = (self.children.target.clone(), self.children.restarts);
        let (decider, is_shared) = (Arc::clone(&gateway.decider), !has_session || self.children.per == Per::Grant);
        // A client that goes away meanwhile leaves a child that no request would end.
        let start = move || {
            (Child::start(target, restarts, mediator, &decider, is_shared).map(|child| Started(Some(child))), place)
        };
        match tokio::task::spawn_blocking(start).await {
            Ok((Ok(mut started), place)) => {
                let gone = || Refusal::new(StatusCode::BAD_GATEWAY, "the server cannot be started");
                let child = started.0.take().ok_or_else(gone)?;
                let (grant, caller, used) = (Arc::clone(&who.grant), Arc::new(caller), Instant::now());
                Ok((ChildEntry { grant, child, caller, view: Arc::default(), used }, place))
            }
            Ok((Err(error), _)) => {
                gateway.decider.notice(&Said::error(error.to_string()).of(server.name.as_str()));
                gateway.decider.unreached(&server.label, "it cannot be started", true);
                Err(Refusal::new(StatusCode::BAD_GATEWAY, "the server cannot be started"))
            }
            Err(_) => Err(Refusal::new(StatusCode::BAD_GATEWAY, "the server cannot be started")),
        }
    }
}

/// A message that names no client is judged as that of a client without policy.
struct Nobody;

impl PolicySource for Nobody {
    fn policy(&self) -> Option<Arc<Policy>> {
        None
    }
}

/// The policy of a token's holder, which may become another one while a call waits.
struct Standing {
    gateway: Weak<Gateway>,
    server: Arc<Server>,
    token_watch: Arc<TokenWatch>,
}

impl PolicySource for Standing {
    fn policy(&self) -> Option<Arc<Policy>> {
        if self.token_watch.is_over() {
            return None;
        }
        self.gateway.upgrade()?.policy(&self.token_watch.who(), &self.server)
    }
}

/// The client of a request.
fn party(
    gateway: &Arc<Gateway>,
    server: &Arc<Server>,
    token_watch: &Arc<TokenWatch>,
    caller: Caller,
    entry: &ChildEntry,
) -> Party {
    let (gateway, server, token_watch) = (Arc::downgrade(gateway), Arc::clone(server), Arc::clone(token_watch));
    Party::seeing(caller, Route::HttpCommand, Standing { gateway, server, token_watch }, Arc::clone(&entry.view))
}

/// The name of a session in counters and logs; its id would open it.
fn label() -> Result<Arc<str>, Refusal> {
    let label = crate::gateway::audit::new_session_id();
    label.map(Into::into).map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "no session id"))
}

/// Hands a message to a child where the stores may be waited for.
async fn feed(
    gateway: &Gateway,
    child: &Arc<Child>,
    hand: impl FnOnce(&Child) -> Result<(), Refused> + Send + 'static,
) -> Result<(), Refused> {
    if gateway.queue.pace() != Pace::Elsewhere {
        return hand(child);
    }
    let child = Arc::clone(child);
    tokio::task::spawn_blocking(move || hand(&child)).await.unwrap_or(Err(Refused::Gone))
}
