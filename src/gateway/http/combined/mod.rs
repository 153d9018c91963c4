//! All servers at one endpoint, for clients that want one URL. Every message goes on to a server as if the client had
//! sent it to that server's own endpoint, so grants, policies, limits, approvals and the log are the same; what a server
//! says comes back through there as well.
//!
//! Carried is what a single server gives: lists as one page each, calls and whatever else names something, tasks,
//! completion, the log's level, subscriptions, instructions, questions of servers to the client (`questions`), the
//! stream that a client listens on (`stream`, `gathered_stream`), and in the revision without sessions `server/discover` and
//! `subscriptions/listen` (`subscribe`). Where messages of several servers could be mistaken for each other, they are told
//! apart in one place (`leg`), and nothing is altered that was judged.

mod begin;
mod cursor;
mod edit;
mod flights;
mod gathered_stream;
mod server_side;
mod lists;
mod learned;
mod names;
mod offers;
mod ask;
mod piece;
mod pipe;
mod questions;
mod replies;
mod route;
mod sessions;
mod stream;
mod subscribe;
mod request;

pub use sessions::Kept;

use super::body::{self, Answer};
use super::command_request::accepts_events;
use super::mcp_headers::own_session;
use super::refusal::{Refusal, unauthorized};
use super::state::LivePlan;
use super::{Gateway, IDENTITY_AGE_MAX, Server, header_match, host_origin};
use crate::gateway::audit::Whose;
use crate::gateway::identity::{Identity, Unauthorized};
use crate::mcp::envelope::{Message, admit};
use crate::mcp::walk::member;
use ask::end;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use request::ClientRequest;
use std::sync::Arc;
use std::time::Instant;

/// Methods of the endpoint where servers have no stream.
const METHODS: &str = "POST, DELETE";

/// What the client gets.
type Answered = Response<Answer>;

/// Serves one request at the common endpoint.
///
/// # Errors
/// It is refused before any server hears of it, or the one server that it is for cannot be reached.
pub(super) async fn serve(
    gateway: &Arc<Gateway>,
    table: &LivePlan,
    head: Parts,
    body: Incoming,
    whose: &mut Whose,
) -> Result<Answered, Refusal> {
    let callers = callers(gateway, table, &head).await?;
    let grant = callers.first().map(|(_, who)| Arc::clone(&who.grant)).unwrap_or_default();
    whose.grant = Some(Arc::clone(&grant));
    let session = match own_session(&head.headers)? {
        None => None,
        Some(id) => {
            let session = gateway.combined.sessions.take(id, &grant);
            Some(session.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no such session"))?)
        }
    };
    let streams = accepts_events(&head.headers);
    let turn = |head, callers| ClientRequest {
        gateway: Arc::clone(gateway),
        head,
        callers,
        session,
        memory: gateway.combined.memories.of(&grant),
        is_stateless: false,
        streams,
        meta: None,
        pledge: None,
        aside: None,
    };
    match head.method {
        Method::POST => {}
        Method::GET => {
            let slot = gateway.slots.take(&grant)?;
            return Box::pin(turn(head, callers).listen(slot)).await;
        }
        Method::DELETE => return Box::pin(end_session(turn(head, callers))).await,
        _ => return Err(host_origin::bad_method()),
    }
    host_origin::content(&head.headers)?;
    let (_seat, known) = (gateway.slots.take(&grant)?, Instant::now());
    let (bytes, _taken) = body::read(body, &gateway.room).await?;
    // The token may have been taken back while the body arrived.
    let callers =
        if known.elapsed() < IDENTITY_AGE_MAX { callers } else { self::callers(gateway, table, &head).await? };
    if callers.iter().any(|(_, who)| who.grant != grant) {
        return Err(unauthorized(&Unauthorized::Revoked));
    }
    let message = admit(&bytes).map_err(|malformed| host_origin::not_admitted(&malformed, &head.headers))?;
    drop(bytes);
    header_match::check(&head.headers, &message)?;
    let is_stateless = header_match::is_stateless(&head.headers, &message);
    let params = message.id().and_then(|_| message.params());
    let meta = params.and_then(|params| member(params, "_meta")).map(|(meta, _)| meta.to_owned());
    let mut turn = ClientRequest { is_stateless, meta, ..turn(head, callers) };
    turn.pledge(&message)?;
    match message {
        Message::Call(id, call) => Box::pin(turn.call(&id, &call)).await,
        Message::Request(id, passage) => Box::pin(turn.request(&id, &passage)).await,
        Message::Notification(passage) => Ok(Box::pin(turn.tell(&passage)).await),
        Message::Reply(id, passage) => Ok(Box::pin(turn.reply(&id, &passage)).await),
    }
}

/// A client ends its session, and with it those with all servers.
async fn end_session(turn: ClientRequest) -> Result<Answered, Refusal> {
    let unknown = || Refusal::new(StatusCode::NOT_FOUND, "there is no such session");
    let session = turn.session.as_ref().ok_or_else(unknown)?;
    turn.gateway.combined.sessions.close(own_session(&turn.head.headers)?.unwrap_or_default());
    let ends = turn.servers().filter_map(|(server, who)| {
        session.end(server.name.as_str())?.id?;
        Some(end(server, who, turn.head_for(server)))
    });
    futures_util::future::join_all(ends).await;
    let mut response = Response::new(Answer::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// The servers that the client may call, each with who it is there.
async fn callers(
    gateway: &Arc<Gateway>,
    table: &LivePlan,
    head: &Parts,
) -> Result<Vec<(Arc<Server>, Identity)>, Refusal> {
    let (mut callers, mut refused) = (Vec::new(), None);
    let asked = table.servers.values().map(|server| async move { (server, gateway.who(head, server).await) });
    for (server, who) in futures_util::future::join_all(asked).await {
        match who {
            Ok(who) => callers.push((Arc::clone(server), who)),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    match (callers.is_empty(), refused) {
        (true, Some(refusal)) => Err(refusal),
        (_, _) => Ok(callers),
    }
}
