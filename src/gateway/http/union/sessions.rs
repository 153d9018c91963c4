//! Sessions at the common endpoint: each is one session with every server, and one id that stands for all of them.

use super::lock;
use super::owners::Owners;
use super::pipe::Piece;
use super::questions::Questions;
use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// Sessions that are kept; the one that was not used for longest goes first.
pub(super) const SESSIONS_MAX: usize = 4096;
/// Resources of one server that a session may subscribe to and still have the subscription when the server has to be
/// asked again.
pub(super) const SUBSCRIPTIONS_KEPT_MAX: usize = 1024;
/// Streams of one session that hear what the gateway itself has to say.
const LISTENERS_MAX: usize = 16;
/// Random bytes of a session id: more than anybody can guess.
const SESSION_ID_BYTES: usize = 24;

/// The sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Box<str>, Arc<Session>>>);

/// The session with one server.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) id: Option<HeaderValue>,
    pub(super) version: String,
    pub(super) capabilities: Arc<Value>,
    /// Held while the session is begun anew: one request does it for all.
    pub(super) renewing: Arc<tokio::sync::Mutex<()>>,
}

impl End {
    /// Whether the server offers this.
    pub(super) fn offers(&self, capability: &str) -> bool {
        self.capabilities.get(capability).is_some()
    }
}

/// One session of a client.
#[derive(Debug)]
pub(super) struct Session {
    grant: Arc<str>,
    used: Mutex<Instant>,
    ends: Mutex<BTreeMap<String, End>>,
    /// The client's own `initialize`, for servers that lose their session.
    pub(super) hello: Bytes,
    wishes: Mutex<Wishes>,
    /// What servers ask the client.
    pub(super) questions: Questions,
    /// Whose the tasks are.
    pub(super) tasks: Owners,
    listeners: Mutex<Vec<mpsc::WeakSender<Piece>>>,
    /// Counts how often a session with a server was begun anew.
    pub(super) renewed: watch::Sender<u64>,
}

/// What a server whose session begins anew has to hear again.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// `notifications/initialized`.
    pub(super) initialized: Option<Bytes>,
    /// `logging/setLevel`.
    pub(super) level: Option<Bytes>,
    /// Resources by server.
    pub(super) subscriptions: BTreeMap<String, BTreeSet<String>>,
}

impl Sessions {
    /// The session of this id, if it is this grant's.
    pub(super) fn take(&self, id: &str, grant: &Arc<str>) -> Option<Arc<Session>> {
        let session = lock(&self.0).get(id).filter(|session| session.grant == *grant).map(Arc::clone)?;
        *lock(&session.used) = Instant::now();
        Some(session)
    }

    /// Opens one and answers its id; `None` if there is no randomness.
    pub(super) fn open(&self, session: Session) -> Option<String> {
        let mut bytes = [0; SESSION_ID_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut sessions = lock(&self.0);
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| *lock(&session.used)).map(|(id, _)| id.clone());
            oldest.and_then(|id| sessions.remove(&id));
        }
        sessions.insert(id.as_str().into(), Arc::new(session));
        Some(id)
    }

    /// It is over.
    pub(super) fn close(&self, id: &str) {
        lock(&self.0).remove(id);
    }
}

impl Session {
    /// A session with these servers.
    pub(super) fn new(grant: Arc<str>, ends: BTreeMap<String, End>, hello: Bytes) -> Self {
        Self {
            grant,
            used: Mutex::new(Instant::now()),
            ends: Mutex::new(ends),
            hello,
            wishes: Mutex::default(),
            questions: Questions::default(),
            tasks: Owners::default(),
            listeners: Mutex::default(),
            renewed: watch::Sender::new(0),
        }
    }

    /// The session with a server, if it takes part.
    pub(super) fn end(&self, server: &str) -> Option<End> {
        lock(&self.ends).get(server).cloned()
    }

    /// The session with a server is another one now.
    pub(super) fn put_end(&self, server: &str, end: End) {
        self.questions.forget(server);
        lock(&self.ends).insert(server.to_owned(), end);
        self.renewed.send_modify(|count| *count += 1);
    }

    /// What servers have to hear again when they begin anew.
    pub(super) fn wishes(&self) -> Wishes {
        lock(&self.wishes).clone()
    }

    /// The client is ready.
    pub(super) fn initialized(&self, line: &[u8]) {
        lock(&self.wishes).initialized = Some(Bytes::copy_from_slice(line));
    }

    /// The client wants to hear of what is at least so serious.
    pub(super) fn level(&self, line: &[u8]) {
        lock(&self.wishes).level = Some(Bytes::copy_from_slice(line));
    }

    /// The client wants, or does not want any more, to hear of a resource.
    pub(super) fn subscribed(&self, server: &str, uri: &str, wanted: bool) {
        let mut wishes = lock(&self.wishes);
        let uris = wishes.subscriptions.entry(server.to_owned()).or_default();
        if !wanted {
            uris.remove(uri);
        } else if uris.len() < SUBSCRIPTIONS_KEPT_MAX {
            uris.insert(uri.to_owned());
        }
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;

    fn session(grant: &Arc<str>) -> Session {
        Session::new(Arc::clone(grant), BTreeMap::new(), Bytes::new())
    }

    #[test]
    fn a_session_is_its_grants_and_the_one_not_used_for_longest_makes_room() {
        let (sessions, alice): (_, Arc<str>) = (Sessions::default(), "alice".into());
        let ids: Vec<String> = (0..SESSIONS_MAX).map(|_| sessions.open(session(&alice)).unwrap()).collect();
        assert!(sessions.take(&ids[0], &"bob".into()).is_none());
        assert!(sessions.take(&ids[0], &alice).is_some());
        let more = sessions.open(session(&alice)).unwrap();
        assert!(sessions.take(&ids[1], &alice).is_none());
        assert!(sessions.take(&ids[0], &alice).is_some());
        sessions.close(&more);
        assert!(sessions.take(&more, &alice).is_none());
    }

    #[test]
    fn subscriptions_that_are_kept_are_bounded() {
        let session = session(&"alice".into());
        for number in 0..=SUBSCRIPTIONS_KEPT_MAX {
            session.subscribed("one", &number.to_string(), true);
        }
        assert_eq!(session.wishes().subscriptions["one"].len(), SUBSCRIPTIONS_KEPT_MAX);
        session.subscribed("one", "0", false);
        session.subscribed("one", "x", true);
        assert!(session.wishes().subscriptions["one"].contains("x"));
    }
}
