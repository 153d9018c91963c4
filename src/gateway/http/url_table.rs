//! What is kept for one server behind a URL: connections, sessions, what was listed, what is open at either end.

use super::client::Outgoing;
use super::headers::JSON;
use super::mcp_headers::{EITHER, SESSION, VERSION};
use super::open::Open;
use super::resumable::Resumable;
use super::seen_tools::{SeenTools, Viewer};
use super::sessions::Sessions;
use crate::gateway::exchange::{NotTaken, ServerRequests};
use crate::gateway::mediate::lock;
use crate::mcp::ConnectError;
use crate::mcp::envelope::Id;
use crate::mcp::http::HttpClient;
use crate::mcp::target::HttpTarget;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a server may take to hear that a call is given up, or what answers its question.
const WITHDRAWAL_WAIT: Duration = Duration::from_secs(5);
/// Such words to one server that may be on their way at the same time; a server that hangs must not be asked for more and more.
const WITHDRAWALS_MAX: usize = 64;

/// What is kept for one such server.
#[derive(Debug)]
pub struct UrlServer {
    pub(super) upstream: HttpClient,
    /// The operator was told that the server redirects elsewhere.
    pub(super) redirect_told: AtomicBool,
    pub(super) sessions: Sessions,
    pub(super) seen_tools: SeenTools,
    pub(super) asking: Asking,
    pub(super) open: Arc<Open>,
    /// What clients asked whose answers they may take up again.
    pub(super) resumable: Resumable,
    /// Headers of clients that go on.
    pub(super) forwarded: Vec<HeaderName>,
    asked_by_server: Mutex<ServerRequests<Viewer>>,
    withdrawing: Arc<Semaphore>,
}

/// What it takes to tell a server something for a client: the session, and the version that it speaks, if there are any.
pub(super) type ClientLine = (Option<HeaderValue>, Option<HeaderValue>);

/// What belongs to the questions to one server.
#[derive(Debug)]
pub struct Asking {
    /// Begins the ids of the questions, so that no client has a request of the same id in flight.
    pub(super) prefix: String,
    pub(super) asked: AtomicU64,
    pub(super) told: AtomicBool,
}

impl Default for Asking {
    fn default() -> Self {
        let mut bytes = [0; 8];
        // Without randomness a client could choose the same ids, and would harm only itself.
        let _ = getrandom::fill(&mut bytes);
        let prefix = format!("mcpol-list-{:016x}", u64::from_le_bytes(bytes));
        Self { prefix, asked: AtomicU64::new(0), told: AtomicBool::new(false) }
    }
}

impl UrlServer {
    /// For a target. Nothing is sent yet.
    ///
    /// # Errors
    /// The target cannot be used.
    pub fn new(target: &HttpTarget) -> Result<Self, ConnectError> {
        Ok(Self {
            upstream: HttpClient::new(target)?,
            redirect_told: AtomicBool::new(false),
            sessions: Sessions::default(),
            seen_tools: SeenTools::default(),
            asking: Asking::default(),
            open: Arc::default(),
            resumable: Resumable::default(),
            forwarded: target.forward_headers.clone(),
            asked_by_server: Mutex::default(),
            withdrawing: Arc::new(Semaphore::new(WITHDRAWALS_MAX)),
        })
    }

    /// Tells the server that a call of a session is given up, as far as it listens. Returns at once.
    pub(super) fn withdraw(&self, id: &Id, line: ClientLine) {
        if line.0.is_some() {
            self.tell(Outgoing::cancel(id, "no answer in time"), line);
        }
    }

    /// Answers a question of the server in its client's place. Returns at once.
    pub(super) fn answer(&self, message: Vec<u8>, line: ClientLine) {
        self.tell(Outgoing::answer(message), line);
    }

    fn tell(&self, news: Outgoing, (session, version): ClientLine) {
        let Ok(place) = Arc::clone(&self.withdrawing).try_acquire_owned() else { return };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(ACCEPT, EITHER);
        session.into_iter().for_each(|session| drop(headers.insert(SESSION, session)));
        version.into_iter().for_each(|version| drop(headers.insert(VERSION, version)));
        let upstream = self.upstream.clone();
        tokio::spawn(async move {
            let _place = place;
            // Nothing depends on it: the client was answered already.
            let _ = tokio::time::timeout(WITHDRAWAL_WAIT, news.send(&upstream, Method::POST, headers)).await;
        });
    }

    /// What time brings.
    pub fn tick(&self) {
        self.upstream.sweep();
    }

    /// A session is over.
    pub(super) fn close(&self, session: &[u8]) {
        self.sessions.close(session);
        self.seen_tools.close(session);
        self.resumable.close(&Viewer::session(session));
        lock(&self.asked_by_server).forget(&Viewer::session(session));
    }

    /// The server asks a client.
    ///
    /// # Errors
    /// It asks too much, and the client is not to hear of this.
    pub(super) fn asks(&self, client: &Viewer, id: &Id) -> Result<(), NotTaken> {
        let mut requests = lock(&self.asked_by_server);
        match requests.begin(client, id) {
            Err(NotTaken::InFlight) => {
                // A session hears it again on a stream that was taken up again; of clients without one it may be another.
                if let Viewer::Grant(_) = client {
                    requests.begin_another(client, id);
                }
                Ok(())
            }
            taken => taken,
        }
    }

    /// A client answers the server, or need not any more. False if the server has not asked.
    pub(super) fn answered(&self, client: &Viewer, id: &Id) -> bool {
        lock(&self.asked_by_server).end(client, id)
    }

    /// Sessions that are known.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
}
