//! The stream that a client of a session listens on: what all servers send unasked, as one. The gateway listens to each
//! server and comes back where a stream ends, so that a server that starts anew does not disturb the others.

use super::super::body::Answer;
use super::super::bridge_asked::accepts_events;
use super::super::refusal::Refusal;
use super::super::seats::Seat;
use super::super::{Server, Way};
use super::cursor::Cursor;
use super::joint::{Joint, PIECES_WAITING_MAX};
use super::part::{get, is_stream};
use super::pipe::{Held, Piece, Pipe};
use super::turn::Turn;
use super::{Answered, METHODS};
use crate::gateway::identity::Identity;
use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long to wait before a stream that has ended is taken up again, unless the server says otherwise.
const RETRY: Duration = Duration::from_secs(1);
/// The shortest that a server may ask for.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// The longest, and the longest between two tries to reach a server that is gone.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What servers answer to an event that they do not know.
const UNKNOWN_EVENT: [StatusCode; 3] = [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::GONE];

/// Where a stream that was asked for from an event on begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    On,
    /// The server does not know the event any more.
    Anew,
}

/// What a server says to somebody who wants to listen.
enum Opened {
    /// Here it is, and whether it goes on where it was.
    Stream(Answer, Goes),
    /// It has no stream.
    Never,
    /// Not now.
    Failed(String),
}

impl Turn {
    /// A client listens.
    pub(super) async fn listen(self, seat: Seat) -> Result<Answered, Refusal> {
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
            Cursor::Stream(places) => turn.listen_to_all(places, seat).await,
            Cursor::Answer { .. } => turn.resume(cursor, seat).await,
        }
    }

    /// Takes the answer to one request up again, from the server that gives it.
    async fn resume(self: &Arc<Self>, cursor: Cursor, seat: Seat) -> Result<Answered, Refusal> {
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
                let joint = Joint::one(pipe, Some(cursor)).on_seat(seat);
                Ok(joint.until_drained(&self.gateway, None).into_response())
            }
            Opened::Never => Err(no_stream()),
            Opened::Failed(why) => {
                Err(Refusal::new(StatusCode::BAD_GATEWAY, format!("server `{}`: {why}", server.name.as_str())))
            }
        }
    }

    async fn listen_to_all(
        self: &Arc<Self>,
        mut places: BTreeMap<String, String>,
        seat: Seat,
    ) -> Result<Answered, Refusal> {
        let opening = self.servers().map(|(server, who)| {
            let last = places.get(server.name.as_str()).cloned();
            async move { (server, who, self.open(server, who, last.as_deref()).await, last) }
        });
        let opened = futures_util::future::join_all(opening).await;
        let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
        let (mut tasks, mut refused) = (JoinSet::new(), None);
        let mut follow = Vec::new();
        let mut is_any_open = false;
        for (server, who, opened, mut last) in opened {
            let body = match opened {
                Opened::Stream(body, goes) => {
                    is_any_open = true;
                    if goes == Goes::Anew {
                        last = None;
                        places.remove(server.name.as_str());
                    }
                    Some(body)
                }
                Opened::Never => continue,
                Opened::Failed(why) => {
                    self.missing(server.name.as_str(), &why);
                    refused = Some(why);
                    None
                }
            };
            follow.push((Arc::clone(server), who.clone(), body, last));
        }
        match refused {
            _ if is_any_open => {}
            None => return Err(no_stream()),
            Some(why) => return Err(Refusal::new(StatusCode::BAD_GATEWAY, why)),
        }
        let Some(session) = &self.session else { return Err(no_stream()) };
        let turnover = session.begin_stream();
        session.listens(&sender);
        for (server, who, body, last) in follow {
            let following = Following { turn: Arc::clone(self), server, who, last, sender: sender.clone() };
            let turnover = turnover.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = turnover.over() => {}
                    () = following.run(body) => {}
                }
            });
        }
        let joint = Joint::many(pieces, tasks, Some(Cursor::Stream(places))).on_seat(seat);
        Ok(joint.until_drained(&self.gateway, None).into_response())
    }

    async fn open(&self, server: &Arc<Server>, who: &Identity, last: Option<&str>) -> Opened {
        let opened = self.open_now(server, who, last);
        tokio::time::timeout(super::part::PART_WAIT, opened)
            .await
            .unwrap_or_else(|_| Opened::Failed("it does not answer".to_owned()))
    }

    async fn open_now(&self, server: &Arc<Server>, who: &Identity, mut last: Option<&str>) -> Opened {
        let name = server.name.as_str();
        let (mut goes, mut is_renewed) = (Goes::On, false);
        loop {
            let Some(end) = self.session.as_ref().and_then(|session| session.end(name)) else { return Opened::Never };
            let seat = match self.gateway.seats.take(&who.grant) {
                Ok(seat) => seat,
                Err(refusal) => return Opened::Failed(refusal.message().to_owned()),
            };
            let response = get(&self.gateway, server, who, self.head_to_listen(server, last), seat).await;
            let status = response.as_ref().map_or_else(Refusal::status, Response::status);
            match response {
                Ok(response) if status.is_success() && is_stream(response.headers()) => {
                    return Opened::Stream(response.into_body(), goes);
                }
                _ if status == StatusCode::METHOD_NOT_ALLOWED => return Opened::Never,
                _ if status == StatusCode::NOT_FOUND && end.id.is_some() && !is_renewed => {
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

/// Listening to one server as long as the client listens.
struct Following {
    turn: Arc<Turn>,
    server: Arc<Server>,
    who: Identity,
    last: Option<String>,
    sender: mpsc::Sender<Piece>,
}

impl Following {
    async fn run(mut self, mut body: Option<Answer>) {
        let mut pause = RETRY;
        loop {
            if let Some(body) = body.take() {
                let mut pipe = Pipe::new(self.turn.leg(&self.server, &self.who), body, None);
                while let Some(piece) = pipe.next().await {
                    if let Some(id) = &piece.id {
                        self.last = (!id.is_empty()).then(|| id.as_ref().to_owned());
                    }
                    if self.sender.send(piece).await.is_err() {
                        return;
                    }
                }
                pause = pipe.retry().unwrap_or(RETRY).clamp(RETRY_MIN, RETRY_MAX);
            }
            if !self.rests(pause).await {
                return;
            }
            match self.turn.open(&self.server, &self.who, self.last.as_deref()).await {
                Opened::Stream(next, goes) => {
                    body = Some(next);
                    if goes == Goes::Anew {
                        self.last = None;
                        // The client must not bring it back either.
                        let server = Some(Arc::clone(&self.server.label));
                        let bytes = Bytes::from_static(b"\n");
                        let piece = Piece { server, id: Some("".into()), bytes, message: Held::Nothing };
                        if self.sender.send(piece).await.is_err() {
                            return;
                        }
                    }
                }
                Opened::Never => return,
                Opened::Failed(why) => {
                    self.turn.missing(self.server.name.as_str(), &why);
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// Waits until it is time to come back. A child that has ended is not started again only to be listened to: the next
    /// request does it.
    async fn rests(&self, pause: Duration) -> bool {
        tokio::time::sleep(pause).await;
        match (&self.server.way, &self.turn.session) {
            (Way::Stdio(bridge), Some(session)) => {
                let mut renewed = session.renewed.subscribe();
                loop {
                    renewed.mark_unchanged();
                    if bridge.has_session(&self.who, &self.turn.head_for(&self.server)) {
                        return true;
                    }
                    if renewed.changed().await.is_err() {
                        return false;
                    }
                }
            }
            (Way::Http(_) | Way::Stdio(_), _) => true,
        }
    }
}

fn no_stream() -> Refusal {
    let what = "no server of this session has a stream to listen to";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, what).with_header(ALLOW, HeaderValue::from_static(METHODS))
}
