//! One request of a client while it is served: who asks, in which session, and how servers are asked for it.

use super::super::body::Answer;
use super::super::mcp_headers::{EITHER, LAST_EVENT_ID, METHOD, NAME, SESSION, VERSION};
use super::super::refusal::Refusal;
use super::super::sessions::Joint;
use super::super::token_watch::{Holder, TokenWatch};
use super::super::{Gateway, Server};
use super::ask::{Ask, Part, post, read};
use super::learned::Learned;
use super::piece::{Piece, PieceContent};
use super::server_side::ServerSide;
use super::sessions::{CombinedSession, SessionEnd};
use crate::clock;
use crate::gateway::audit::{Route, Whose};
use crate::gateway::exchange::{DoorRefusal, DoorRuling};
use crate::gateway::identity::Identity;
use crate::gateway::task_owners::TaskOwners;
use crate::mcp::envelope::Id;
use crate::mcp::http::mirror::encoded;
use crate::mcp::http::readdress;
use crate::mcp::protocol::Method;
use crate::policy::{Caller, Denial, DenialCode, Pledge};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// One request of a client.
pub(super) struct ClientRequest {
    pub(super) gateway: Arc<Gateway>,
    pub(super) head: Parts,
    /// The servers that it may be for, in the order of their names, each with who asks there.
    pub(super) callers: Vec<(Arc<Server>, Identity)>,
    pub(super) session: Option<Arc<CombinedSession>>,
    pub(super) memory: Arc<Learned>,
    pub(super) is_stateless: bool,
    /// The client takes a stream of events for an answer.
    pub(super) streams: bool,
    /// `_meta` of the client's request, which says who it is in the revision without sessions.
    pub(super) meta: Option<String>,
    /// What it pledges, where there is no session.
    pub(super) pledge: Option<Arc<Pledge>>,
    /// Takes what servers say beside their answers.
    pub(super) aside: Option<mpsc::Sender<Piece>>,
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientRequest").field("is_stateless", &self.is_stateless).finish_non_exhaustive()
    }
}

impl ClientRequest {
    /// The servers of this client: in a session those that took part in its beginning.
    pub(super) fn servers(&self) -> impl Iterator<Item = &(Arc<Server>, Identity)> {
        self.callers.iter().filter(|(server, _)| match &self.session {
            Some(session) => session.end(server.name.as_str()).is_some(),
            None => true,
        })
    }

    /// Those of them that may have this: what a server of a session does not offer it is not asked for.
    pub(super) fn offering(&self, capability: &str) -> Vec<&(Arc<Server>, Identity)> {
        let offers = |server: &Server| match &self.session {
            Some(session) => session.end(server.name.as_str()).is_some_and(|end| end.offers(capability)),
            None => true,
        };
        self.callers.iter().filter(|(server, _)| offers(server)).collect()
    }

    /// The server of this name, if it is one of them.
    pub(super) fn server(&self, name: &str) -> Option<&(Arc<Server>, Identity)> {
        self.servers().find(|(server, _)| server.name.as_str() == name)
    }

    /// Whose tasks are whose.
    pub(super) fn tasks(&self) -> &TaskOwners {
        self.session.as_ref().map_or(&self.memory.tasks, |session| &session.tasks)
    }

    /// The way to one server.
    pub(super) fn leg(self: &Arc<Self>, server: &Arc<Server>, who: &Identity) -> Arc<ServerSide> {
        Arc::new(ServerSide { turn: Arc::clone(self), server: Arc::clone(server), who: who.clone() })
    }

    /// What looks after whether the client may still call its servers.
    pub(super) fn token_watches(&self) -> Vec<Arc<TokenWatch>> {
        let presented = self.head.headers.get(AUTHORIZATION);
        let token_watch = |(server, who): &(Arc<Server>, Identity)| {
            self.gateway.token_watches.of(server, &Holder { presented: presented.cloned(), who: who.clone() })
        };
        self.servers().map(token_watch).collect()
    }

    /// The head of a request to one server.
    pub(super) fn head_for(&self, server: &Server) -> Parts {
        self.head_with(self.session.as_ref().and_then(|session| session.end(server.name.as_str())).as_ref())
    }

    fn head_with(&self, end: Option<&SessionEnd>) -> Parts {
        let mut head = self.head.clone();
        for name in [SESSION, CONTENT_LENGTH, LAST_EVENT_ID] {
            head.headers.remove(name);
        }
        let session = self.session.as_ref().map(|session| Arc::clone(&session.course));
        let pledge = self.pledge.clone().filter(|_| self.is_stateless);
        head.extensions.insert(Joint { session, pledge });
        if let Some(end) = end {
            end.id.iter().for_each(|id| drop(head.headers.insert(SESSION, id.clone())));
            let version = HeaderValue::from_str(&end.version).ok();
            version.into_iter().for_each(|version| drop(head.headers.insert(VERSION, version)));
        }
        head
    }

    /// The head of a request for the stream of a server, from an event on.
    pub(super) fn head_to_listen(&self, server: &Server, last: Option<&str>) -> Parts {
        let mut head = self.head_for(server);
        let last = last.and_then(|last| HeaderValue::from_bytes(last.as_bytes()).ok());
        last.into_iter().for_each(|last| drop(head.headers.insert(LAST_EVENT_ID, last)));
        head
    }

    /// The head of a message that the client has not sent just now.
    pub(super) fn head_alone(&self, end: Option<&SessionEnd>) -> Parts {
        let mut head = self.head_with(end);
        for name in [METHOD, NAME] {
            head.headers.remove(name);
        }
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head.headers.insert(ACCEPT, EITHER);
        head
    }

    /// This request as if it had come without session.
    pub(super) fn without_session(&self) -> Self {
        let mut head = self.head.clone();
        for name in [SESSION, VERSION] {
            head.headers.remove(name);
        }
        let (callers, memory) = (self.callers.clone(), Arc::clone(&self.memory));
        Self {
            gateway: Arc::clone(&self.gateway),
            head,
            callers,
            session: None,
            memory,
            meta: None,
            pledge: None,
            aside: None,
            ..*self
        }
    }

    fn head_of(&self, server: &Server, ask: &Ask<'_>) -> Result<Parts, Refusal> {
        if ask.method.is_empty() {
            let end = self.session.as_ref().and_then(|session| session.end(server.name.as_str()));
            return Ok(self.head_alone(end.as_ref()));
        }
        let mut head = self.head_for(server);
        if head.headers.contains_key(METHOD) {
            let method = HeaderValue::from_str(ask.method);
            method.into_iter().for_each(|method| drop(head.headers.insert(METHOD, method)));
        }
        match ask.name {
            Some(name) if head.headers.contains_key(NAME) => {
                let name = HeaderValue::from_str(&encoded(name));
                let name = name.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the name fits in no header"))?;
                head.headers.insert(NAME, name);
            }
            Some(_) => {}
            None => drop(head.headers.remove(NAME)),
        }
        Ok(head)
    }

    /// Sends a message to a server. A session that the server has lost begins anew, and the message goes out once more if
    /// it may; no other server is concerned.
    pub(super) async fn ask(
        &self,
        server: &Arc<Server>,
        who: &Identity,
        ask: &Ask<'_>,
    ) -> Result<Response<Answer>, Refusal> {
        let name = server.name.as_str();
        let gone = |what: &str| Refusal::new(StatusCode::BAD_GATEWAY, format!("server `{name}` {what}"));
        let mut is_renewed = false;
        loop {
            let end = self.session.as_ref().and_then(|session| session.end(name));
            let head = self.head_of(server, ask)?;
            let sent = post(&self.gateway, server, who.clone(), head, ask.body.clone()).await;
            let Some(end) = end.filter(|_| has_lost_session(&sent)) else { return sent };
            if end.id.is_none() {
                // The client would take it for the end of its own session.
                let status = sent.as_ref().map_or_else(Refusal::status, Response::status);
                return Err(gone(&format!("answers with status {}", status.as_u16())));
            }
            if is_renewed {
                return Err(gone("loses every session"));
            }
            if let Err(why) = Box::pin(self.renew(server, who, &end)).await {
                self.missing(name, &why);
                return Err(gone(&format!("is gone: it has lost the session, and {why}")));
            }
            // What the gateway itself sent back, before it was judged, may go out in any case.
            if !ask.again && sent.is_ok() {
                return Err(gone("has lost the session, and a new one has begun; ask again"));
            }
            is_renewed = true;
        }
    }

    /// Asks one server and waits for its whole answer.
    pub(super) async fn part(
        self: &Arc<Self>,
        server: &Arc<Server>,
        who: &Identity,
        ask: &Ask<'_>,
        id: &Id,
    ) -> Result<Part, String> {
        read(self, server, who, Box::pin(self.ask(server, who, ask)), id).await
    }

    /// Asks these servers at the same time. Those that fail are said, and do not hide the others.
    pub(super) async fn ask_all(
        self: &Arc<Self>,
        servers: impl Iterator<Item = &(Arc<Server>, Identity)>,
        ask: &Ask<'_>,
        id: &Id,
    ) -> Vec<(Arc<Server>, Part)> {
        let asked = servers.map(|(server, who)| async move { (server, self.part(server, who, ask, id).await) });
        let mut parts = Vec::new();
        for (server, part) in futures_util::future::join_all(asked).await {
            match part {
                Ok(part) => parts.push((Arc::clone(server), part)),
                Err(why) => self.missing(server.name.as_str(), &why),
            }
        }
        parts
    }

    /// Something that a server said beside an answer: it goes with the answer, or with what the client listens to.
    pub(super) async fn beside(&self, piece: Piece) {
        if piece.message == PieceContent::Nothing {
            return;
        }
        let piece = Piece { id: None, ..piece };
        match (&self.aside, &self.session) {
            // A client that reads no more has gone, and this work ends with it.
            (Some(aside), _) => drop(aside.send(piece).await),
            (None, Some(session)) => session.tell(piece),
            (None, None) => {}
        }
    }

    /// Notes that a request is refused because no server can be told that it is for: a decision like any other, though no
    /// policy made it. `server` is the one that the name speaks of; `name` is what the request names.
    pub(super) fn nowhere(&self, method: &str, server: Option<&str>, name: Option<String>) {
        let (code, rule) = match Method::of(method) {
            Some(_) => (DenialCode::NotListed, "(no server)"),
            None => (DenialCode::MethodUnknown, "(unknown method)"),
        };
        let server = server.filter(|server| self.server(server).is_some()).unwrap_or_default();
        let caller =
            Caller { server: server.into(), grant: self.whose().grant, session: None, course: None, pledge: None };
        let message = "no server lists this".to_owned();
        let denial = Denial { code, rule: rule.to_owned(), message, retry_after_s: None, detail: None };
        let refusal = DoorRefusal { code: 0, message: String::new() };
        let ruling = DoorRuling { name, rule: rule.into(), denial: Some(denial), refusal, is_shadow: false };
        // It is refused, whether that can be logged or not.
        let _ = self.gateway.decider.ruled(clock::now(), (&caller, Some(Route::Combined)), method, "", ruling);
    }

    /// Notes that a server has no part in an answer.
    pub(super) fn missing(&self, server: &str, why: &str) {
        self.note(server, "no part at the common endpoint", why);
    }

    /// Notes that something of a server's does not go on.
    pub(super) fn dropped(&self, server: &str, why: &str) {
        self.note(server, "a message at the common endpoint", why);
    }

    fn note(&self, server: &str, what: &str, why: &str) {
        let whose = Whose { server: Some(server.into()), ..self.whose() };
        self.gateway.decider.audit().repeated(clock::now(), "dropped", &whose, |line| {
            line.text("from", "server").text("what", what).text("reason", why)
        });
    }

    /// Whose a line is that is about all servers together.
    pub(super) fn whose(&self) -> Whose {
        let grant = self.callers.first().map(|(_, who)| Arc::clone(&who.grant));
        Whose { server: None, grant, way: Some(Route::Combined) }
    }
}

/// Whether a server does not know the session any more, and has done nothing.
pub(super) fn has_lost_session(sent: &Result<Response<Answer>, Refusal>) -> bool {
    match sent {
        Ok(response) => {
            let body = if let Answer::Whole(Some(body)) = response.body() { body } else { &Bytes::new() };
            readdress::has_lost_session(response.status().as_u16(), body)
        }
        Err(refusal) => refusal.status() == StatusCode::NOT_FOUND,
    }
}

/// The bytes of a message.
pub(super) fn line_of(text: &[u8]) -> Bytes {
    Bytes::copy_from_slice(text)
}
