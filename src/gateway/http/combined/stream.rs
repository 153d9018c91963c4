//! The stream that a client of a session listens on: what all servers send unasked, as one. The gateway listens to each
//! server and comes back where a stream ends, so that a server that starts anew does not disturb the others.

use super::super::Server;
use super::super::body::Answer;
use super::super::command_request::accepts_events;
use super::super::refusal::Refusal;
use super::super::request_slots::RequestSlot;
use super::super::server::ServerWay;
use super::ask::{get, is_stream};
use super::cursor::Cursor;
use super::gathered_stream::{GatheredStream, PIECES_WAITING_MAX};
use super::piece::{Piece, PieceContent};
use super::pipe::Pipe;
use super::request::{ClientRequest, has_lost_session};
use super::{Answered, METHODS};
use crate::gateway::identity::Identity;
use crate::mcp::sse::Pause;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// How long a client waits at most until it has its stream, if no server has said anything.
const OPENING_WAIT: Duration = Duration::from_secs(5);
/// What servers answer to an event that they do not know.
const UNKNOWN_EVENT: [StatusCode; 3] = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::GONE];

/// Where a stream that was asked for from an event on begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    On,
    /// The server does not know the event any more.
    Anew,
}

/// What a server says to a gateway that wants to listen.
enum Opened {
    /// Here it is, and whether it goes on where it was.
    Stream(Answer, Goes),
    /// It has no stream.
    Never,
    /// Not now.
    Failed(String),
}

impl ClientRequest {
    /// A client listens.
    pub(super) async fn listen(self, slot: RequestSlot) -> Result<Answered, Refusal> {
        let bad = |what| Refusal::new(StatusCode::BAD_REQUEST, what);
        if self.session.is_none() {
            return Err(bad("a stream needs a session: begin with `initialize`"));
        }
        if !accepts_events(&self.head.headers) {
            return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "the answer is `text/event-stream`"));
        }
        let mut ids = self.head.headers.get_all("last-event-id").iter();
        let cursor = match (ids.next(), ids.next()) {
            (None, _) => Some(Cursor::Stream(BTreeMap::new())),
            (Some(id), None) => id.to_str().ok().and_then(|id| Cursor::read(id.trim())),
            (Some(_), Some(_)) => None,
        };
        let cursor = cursor.ok_or_else(|| bad("this `Last-Event-ID` was not given out here"))?;
        let turn = Arc::new(self);
        match cursor {
            Cursor::Stream(places) => turn.listen_to_all(places, slot).await,
            Cursor::Answer { .. } => turn.resume(cursor, slot).await,
        }
    }

    /// Takes the answer to one request up again, from the server that gives it.
    async fn resume(self: &Arc<Self>, cursor: Cursor, slot: RequestSlot) -> Result<Answered, Refusal> {
        let Cursor::Answer { server, last, request } = &cursor else { return Err(no_stream()) };
        let Some((server, who)) = self.server(server) else {
            return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such server in this session"));
        };
        match self.open(server, who, Some(last)).await {
            Opened::Stream(_, Goes::Anew) => {
                // Another stream than the one that was asked for.
                Err(Refusal::new(StatusCode::BAD_REQUEST, "the server does not know this event any more"))
            }
            Opened::Stream(body, Goes::On) => {
                let pipe = Pipe::new(self.leg(server, who), body, Some(request.clone()));
                let gathered_stream = GatheredStream::one(pipe, Some(cursor)).on_seat(slot);
                Ok(gathered_stream.until_over(self, None).into_response())
            }
            Opened::Never => Err(no_stream()),
            Opened::Failed(why) => {
                Err(Refusal::new(StatusCode::BAD_GATEWAY, format!("server `{}`: {why}", server.name.as_str())))
            }
        }
    }

    /// The stream is there as soon as one server's is; the others come when they come.
    async fn listen_to_all(
        self: &Arc<Self>,
        places: BTreeMap<String, String>,
        slot: RequestSlot,
    ) -> Result<Answered, Refusal> {
        let Some(session) = &self.session else { return Err(no_stream()) };
        let listens = session.begin_stream();
        let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
        let (mut tasks, mut firsts) = (JoinSet::new(), FuturesUnordered::new());
        for (server, who) in self.servers() {
            let (turn, server, who) = (Arc::clone(self), Arc::clone(server), who.clone());
            let last = places.get(server.name.as_str()).cloned();
            let (report, first) = oneshot::channel();
            firsts.push(first);
            let (number, sender) = (listens.number, sender.clone());
            let following = Following { turn, server, who, last, sender, number, report: Some(report) };
            tasks.spawn(following.run());
        }
        let mut refused = None;
        let opening = async {
            while let Some(first) = firsts.next().await {
                match first {
                    Ok(First::Open) => return true,
                    Ok(First::Failed(why)) => refused = Some(why),
                    Ok(First::Never) | Err(_) => {}
                }
            }
            false
        };
        // Some servers say nothing at all before they have something to tell.
        if !tokio::time::timeout(OPENING_WAIT, opening).await.unwrap_or(true) {
            return Err(refused.map_or_else(no_stream, |why| Refusal::new(StatusCode::BAD_GATEWAY, why)));
        }
        session.listens(&sender);
        let gathered_stream = GatheredStream::many(pieces, tasks, Some(Cursor::Stream(places))).on_seat(slot);
        Ok(gathered_stream.until_over(self, None).or_until(listens.over()).into_response())
    }

    /// Asks a server for its stream, and waits for it as long as the server takes.
    async fn open(&self, server: &Arc<Server>, who: &Identity, mut last: Option<&str>) -> Opened {
        let name = server.name.as_str();
        let (mut goes, mut is_renewed) = (Goes::On, false);
        loop {
            let Some(end) = self.session.as_ref().and_then(|session| session.end(name)) else { return Opened::Never };
            let slot = match self.gateway.slots.take(&who.grant) {
                Ok(slot) => slot,
                Err(refusal) => return Opened::Failed(refusal.message().to_owned()),
            };
            let response = get(&self.gateway, server, who, self.head_to_listen(server, last), slot).await;
            let status = response.as_ref().map_or_else(Refusal::status, Response::status);
            let is_lost = end.id.is_some() && !is_renewed && has_lost_session(&response);
            match response {
                Ok(response) if status.is_success() && is_stream(response.headers()) => {
                    return Opened::Stream(response.into_body(), goes);
                }
                _ if status == StatusCode::METHOD_NOT_ALLOWED => return Opened::Never,
                _ if is_lost => {
                    if let Err(why) = Box::pin(self.renew(server, who, &end)).await {
                        return Opened::Failed(format!("it has lost the session, and {why}"));
                    }
                    // What the old session had to say is not known in the new one.
                    (is_renewed, goes) = (true, if last.take().is_some() { Goes::Anew } else { goes });
                }
                // Perhaps it does not know the event any more.
                _ if UNKNOWN_EVENT.contains(&status) && last.take().is_some() => goes = Goes::Anew,
                Ok(_) => return Opened::Failed(format!("it answers with status {}", status.as_u16())),
                Err(refusal) => return Opened::Failed(refusal.message().to_owned()),
            }
        }
    }
}

/// How the first try to listen to a server ended.
enum First {
    Open,
    Never,
    Failed(String),
}

/// Listening to one server as long as the client listens.
struct Following {
    turn: Arc<ClientRequest>,
    server: Arc<Server>,
    who: Identity,
    last: Option<String>,
    sender: mpsc::Sender<Piece>,
    /// Of the client's stream in its session.
    number: u64,
    report: Option<oneshot::Sender<First>>,
}

impl Following {
    async fn run(mut self) {
        let mut pause = Pause::after(None);
        loop {
            match self.turn.open(&self.server, &self.who, self.last.as_deref()).await {
                Opened::Stream(body, goes) => {
                    self.report(First::Open);
                    if !self.pass_on(body, goes, &mut pause).await {
                        return;
                    }
                }
                Opened::Never => return self.report(First::Never),
                Opened::Failed(why) => {
                    self.turn.missing(self.server.name.as_str(), &why);
                    self.report(First::Failed(why));
                    pause = pause.longer();
                }
            }
            if !self.rests(pause).await {
                return;
            }
        }
    }

    fn report(&mut self, first: First) {
        // Only the first counts, and only while the client waits for it.
        if let Some(report) = self.report.take() {
            let _ = report.send(first);
        }
    }

    /// Passes on what the server says until its stream ends; answers whether the client still listens.
    async fn pass_on(&mut self, body: Answer, goes: Goes, pause: &mut Pause) -> bool {
        if goes == Goes::Anew {
            self.last = None;
            // The client must not bring it back either.
            let server = Some(Arc::clone(&self.server.label));
            let piece =
                Piece { server, id: Some("".into()), bytes: Bytes::from_static(b"\n"), message: PieceContent::Nothing };
            if self.sender.send(piece).await.is_err() {
                return false;
            }
        }
        let mut pipe = Pipe::new(self.turn.leg(&self.server, &self.who), body, None);
        while let Some(piece) = pipe.next().await {
            if let Some(id) = &piece.id {
                self.last = (!id.is_empty()).then(|| id.as_ref().to_owned());
            }
            if self.sender.send(piece).await.is_err() {
                return false;
            }
        }
        *pause = Pause::after(pipe.retry());
        true
    }

    /// Waits until it is time to come back. A child that has ended is not started again only to be listened to: the next
    /// request does it. And it speaks to its latest listener: streams of one client must not take it from each other.
    async fn rests(&self, pause: Pause) -> bool {
        pause.rest().await;
        let (ServerWay::Stdio(bridge), Some(session)) = (&self.server.way, &self.turn.session) else { return true };
        let mut renewed = session.renewed.subscribe();
        loop {
            session.until_latest(self.number).await;
            renewed.mark_unchanged();
            if bridge.has_session(&self.who, &self.turn.head_for(&self.server)) {
                return true;
            }
            if session.is_over() || renewed.changed().await.is_err() {
                return false;
            }
        }
    }
}

fn no_stream() -> Refusal {
    let what = "no server of this session has a stream to listen to";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, what).with_header(ALLOW, HeaderValue::from_static(METHODS))
}
