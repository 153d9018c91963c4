//! Sessions at the combined endpoint: each is one session with every server, and one id that stands for all of them.

use super::super::mcp_headers::new_session;
use super::super::sessions::label;
use super::flights::Flights;
use super::learned::LearnedByGrant;
use super::piece::Piece;
use super::questions::Questions;
use crate::gateway::exchange::{KEPT_BYTES_MAX, Wishes};
use crate::gateway::mediate::lock;
use crate::gateway::task_owners::TaskOwners;
use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// Sessions that are kept; for another one the grant with the most loses the one that it has not used for longest.
pub(super) const SESSIONS_MAX: usize = 4096;
/// Sessions of one grant; for another one it loses its own.
pub(super) const GRANT_SESSIONS_MAX: usize = 2048;
/// Streams of one session that hear what the gateway itself has to say.
const LISTENERS_MAX: usize = 16;

/// The sessions.
#[derive(Debug, Default)]
pub(super) struct CombinedSessions(Mutex<HashMap<Box<str>, Arc<CombinedSession>>>);

/// The session with one server.
#[derive(Clone, Debug)]
pub(super) struct SessionEnd {
    pub(super) id: Option<HeaderValue>,
    pub(super) version: String,
    pub(super) capabilities: Arc<Value>,
    /// Held while the session is begun anew: one request does it for all.
    pub(super) renewing: Arc<tokio::sync::Mutex<()>>,
}

impl SessionEnd {
    /// Whether the server offers this.
    pub(super) fn offers(&self, capability: &str) -> bool {
        self.capabilities.get(capability).is_some()
    }
}

/// One session of a client.
#[derive(Debug)]
pub(super) struct CombinedSession {
    grant: Arc<str>,
    /// Names it where its course is kept: it spans all servers.
    pub(super) course: Arc<str>,
    used: Mutex<Instant>,
    ends: Mutex<BTreeMap<String, SessionEnd>>,
    /// The client's own `initialize`, for servers that lose their session.
    pub(super) hello: Option<Bytes>,
    /// What the client has said that lasts.
    pub(super) wishes: Mutex<Wishes>,
    /// What servers ask the client.
    pub(super) questions: Questions,
    /// Whose the tasks are.
    pub(super) tasks: TaskOwners,
    /// Where the client's requests went.
    pub(super) flights: Flights,
    listeners: Mutex<Vec<mpsc::WeakSender<Piece>>>,
    /// Counts how often a session with a server was begun anew.
    pub(super) renewed: watch::Sender<u64>,
    streams: watch::Sender<Streams>,
}

/// The streams on which the client listens, by number.
#[derive(Debug, Default)]
struct Streams {
    open: BTreeSet<u64>,
    last: u64,
    /// The session has ended.
    is_over: bool,
}

/// A stream on which the client listens, as long as this is kept.
#[derive(Debug)]
pub(super) struct Listens {
    session: Arc<CombinedSession>,
    pub(super) number: u64,
}

impl Listens {
    /// Waits for the end of the session.
    pub(super) async fn over(self) {
        let mut streams = self.session.streams.subscribe();
        let _ = streams.wait_for(|streams| streams.is_over).await;
    }
}

impl Drop for Listens {
    fn drop(&mut self) {
        self.session.streams.send_modify(|streams| {
            streams.open.remove(&self.number);
        });
    }
}

impl CombinedSessions {
    /// The session of this id, if it is this grant's.
    pub(super) fn take(&self, id: &str, grant: &Arc<str>) -> Option<Arc<CombinedSession>> {
        let session = lock(&self.0).get(id).filter(|session| session.grant == *grant).map(Arc::clone)?;
        *lock(&session.used) = Instant::now();
        Some(session)
    }

    /// Opens one and answers its id; `None` if there is no randomness.
    pub(super) fn open(&self, mut session: CombinedSession) -> Option<String> {
        let id = new_session().ok()?;
        session.course = label(id.as_bytes());
        let mut sessions = lock(&self.0);
        let mut counts: HashMap<&str, usize> = HashMap::new();
        sessions.values().for_each(|session| *counts.entry(&session.grant).or_default() += 1);
        let loser = if counts.get(&*session.grant).is_some_and(|count| *count >= GRANT_SESSIONS_MAX) {
            Some(Arc::clone(&session.grant))
        } else if sessions.len() >= SESSIONS_MAX {
            counts.iter().max_by_key(|(_, count)| **count).map(|(grant, _)| Arc::from(*grant))
        } else {
            None
        };
        if let Some(loser) = loser {
            let of_loser = sessions.iter().filter(|(_, session)| session.grant == loser);
            let oldest = of_loser.min_by_key(|(_, session)| *lock(&session.used)).map(|(id, _)| id.clone());
            oldest.and_then(|id| sessions.remove(&id)).iter().for_each(|session| session.finish());
        }
        sessions.insert(id.as_str().into(), Arc::new(session));
        Some(id)
    }

    /// It is over.
    pub(super) fn close(&self, id: &str) {
        lock(&self.0).remove(id).iter().for_each(|session| session.finish());
    }
}

impl CombinedSession {
    /// A session with these servers.
    pub(super) fn new(grant: Arc<str>, ends: BTreeMap<String, SessionEnd>, hello: Bytes) -> Self {
        Self {
            grant,
            course: "".into(),
            used: Mutex::new(Instant::now()),
            ends: Mutex::new(ends),
            hello: Some(hello).filter(|hello| hello.len() <= KEPT_BYTES_MAX),
            wishes: Mutex::default(),
            questions: Questions::default(),
            tasks: TaskOwners::default(),
            flights: Flights::default(),
            listeners: Mutex::default(),
            renewed: watch::Sender::new(0),
            streams: watch::Sender::new(Streams::default()),
        }
    }

    fn finish(&self) {
        self.streams.send_modify(|streams| streams.is_over = true);
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.streams.borrow().is_over
    }

    /// The client listens on a new stream.
    pub(super) fn begin_stream(self: &Arc<Self>) -> Listens {
        let mut number = 0;
        self.streams.send_modify(|streams| {
            streams.last += 1;
            number = streams.last;
            streams.open.insert(number);
        });
        Listens { session: Arc::clone(self), number }
    }

    /// Waits until a stream is the latest of those that are open, or the session has ended.
    pub(super) async fn until_latest(&self, number: u64) {
        let mut streams = self.streams.subscribe();
        // The sender is here, and can say so.
        let _ = streams.wait_for(|streams| streams.is_over || streams.open.last() == Some(&number)).await;
    }

    /// The session with a server, if it takes part.
    pub(super) fn end(&self, server: &str) -> Option<SessionEnd> {
        lock(&self.ends).get(server).cloned()
    }

    /// The session with a server is another one now.
    pub(super) fn put_end(&self, server: &str, end: SessionEnd) {
        lock(&self.ends).insert(server.to_owned(), end);
        self.renewed.send_modify(|count| *count += 1);
    }

    /// A stream of the client hears what comes from nowhere else.
    pub(super) fn listens(&self, stream: &mpsc::Sender<Piece>) {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.upgrade().is_some_and(|sender| !sender.is_closed()));
        if listeners.len() >= LISTENERS_MAX {
            listeners.remove(0);
        }
        listeners.push(stream.downgrade());
    }

    /// Tells the client something, if it listens and reads.
    pub(super) fn tell(&self, piece: Piece) {
        let listener = lock(&self.listeners).iter().rev().find_map(|listener| {
            let sender = listener.upgrade()?;
            (!sender.is_closed()).then_some(sender)
        });
        if let Some(listener) = listener {
            // A client that does not read misses it, as it would miss it without a stream.
            let _ = listener.try_send(piece);
        }
    }
}

/// What is kept for the combined endpoint.
#[derive(Debug, Default)]
pub struct Kept {
    pub(super) sessions: CombinedSessions,
    pub(super) memories: LearnedByGrant,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;

    fn session(grant: &Arc<str>) -> CombinedSession {
        CombinedSession::new(Arc::clone(grant), BTreeMap::new(), Bytes::new())
    }

    #[test]
    fn a_session_is_its_grants_and_the_one_not_used_for_longest_makes_room() {
        let (sessions, alice): (_, Arc<str>) = (CombinedSessions::default(), "alice".into());
        let ids: Vec<String> = (0..GRANT_SESSIONS_MAX).map(|_| sessions.open(session(&alice)).unwrap()).collect();
        assert!(sessions.take(&ids[0], &"bob".into()).is_none());
        assert!(sessions.take(&ids[0], &alice).is_some());
        let more = sessions.open(session(&alice)).unwrap();
        assert!(sessions.take(&ids[1], &alice).is_none());
        let kept = sessions.take(&ids[0], &alice).unwrap();
        assert!(!kept.is_over());
        sessions.close(&ids[0]);
        assert!(sessions.take(&ids[0], &alice).is_none() && kept.is_over());
        // Beyond the bound of all, the grant with the most makes room.
        let others: Vec<Arc<str>> = (0..=SESSIONS_MAX - GRANT_SESSIONS_MAX).map(|n| n.to_string().into()).collect();
        let theirs: Vec<String> = others.iter().map(|grant| sessions.open(session(grant)).unwrap()).collect();
        assert!(sessions.take(&ids[2], &alice).is_some());
        sessions.open(session(&others[0])).unwrap();
        assert!(sessions.take(&ids[3], &alice).is_none());
        assert!(sessions.take(&theirs[0], &others[0]).is_some() && sessions.take(&more, &alice).is_some());
    }

    #[test]
    fn a_greeting_that_is_too_long_is_not_kept() {
        for (bytes, is_kept) in [(KEPT_BYTES_MAX, true), (KEPT_BYTES_MAX + 1, false)] {
            let session = CombinedSession::new("alice".into(), BTreeMap::new(), Bytes::from("x".repeat(bytes)));
            assert_eq!(session.hello.is_some(), is_kept);
        }
    }
}
