//! What a server behind a URL has listed: to each session, or to each grant where there are no sessions. Calls are held to
//! the lock by it.
//!
//! A session's list is its own: a server may list other tools to another session. What is not known here is asked for
//! again, so whatever is forgotten costs a question and opens nothing.

use super::sessions::key;
use crate::gateway::exchange::View;
use crate::gateway::identity::Identity;
use http::HeaderValue;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lists kept for one server; those that were not used for longest are forgotten.
pub const SIGHTS_MAX: usize = 4096;
/// How long a list counts. Over stdio a server's word that its tools have changed always arrives; over HTTP it does only
/// where the client listens.
pub const SIGHT_AGE_MAX: Duration = Duration::from_secs(300);

/// What one session, or the requests of one grant, have seen listed.
#[derive(Debug)]
pub struct Seen {
    view: Mutex<View>,
    /// Held by the call that asks for the list.
    pub(super) asking: tokio::sync::Mutex<()>,
    failures: AtomicU64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { view: Mutex::new(View::aging(SIGHT_AGE_MAX)), asking: tokio::sync::Mutex::default(), failures: 0.into() }
    }
}

impl Seen {
    /// What was listed, to be looked at.
    pub fn seen(&self) -> &Mutex<View> {
        &self.view
    }

    /// What was listed.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the server did not answer with a list.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// The server did not answer with a list.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whose list it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Viewer {
    /// A session, by the [key](super::sessions::key) of its id.
    Session(Arc<[u8]>),
    /// All requests of a grant that have no session.
    Grant(Arc<str>),
}

impl Viewer {
    /// Whose a request is: a session's, or else its grant's.
    pub fn of(session: Option<&HeaderValue>, who: &Identity) -> Self {
        match session {
            Some(session) => Self::session(session.as_bytes()),
            None => Self::Grant(Arc::clone(&who.grant)),
        }
    }

    /// The session with this id.
    pub fn session(id: &[u8]) -> Self {
        Self::Session(key(id).into())
    }
}

/// The lists of one server.
#[derive(Debug, Default)]
pub struct SeenTools(Mutex<HashMap<Viewer, (Arc<Seen>, Instant)>>);

impl SeenTools {
    fn lock(&self) -> MutexGuard<'_, HashMap<Viewer, (Arc<Seen>, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this viewer has seen.
    pub fn of(&self, viewer: Viewer) -> Arc<Seen> {
        let mut seen_tools = self.lock();
        if seen_tools.len() >= SIGHTS_MAX && !seen_tools.contains_key(&viewer) {
            let mut ages: Vec<Instant> = seen_tools.values().map(|(_, used)| *used).collect();
            let (_, limit, _) = ages.select_nth_unstable(SIGHTS_MAX / 8);
            let limit = *limit;
            seen_tools.retain(|_, (_, used)| *used > limit);
        }
        let (seen, used) = seen_tools.entry(viewer).or_insert_with(|| (Arc::default(), Instant::now()));
        *used = Instant::now();
        Arc::clone(seen)
    }

    /// A session is over.
    pub fn close(&self, session: &[u8]) {
        self.lock().remove(&Viewer::session(session));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::exchange::{Coming, Moment};

    const NOW: fn() -> Moment = || Moment { at: Instant::now(), generation: 0 };

    fn list(seen: &Seen) {
        seen.view().complete(Coming::asked(NOW()), NOW());
    }

    #[test]
    fn each_viewer_has_a_list_of_its_own_until_its_session_ends() {
        let seen_tools = SeenTools::default();
        let (one, other) = (Viewer::Session(b"1"[..].into()), Viewer::Grant("1".into()));
        let is_known = |viewer: &Viewer| seen_tools.of(viewer.clone()).view().newest(NOW()).is_some();
        list(&seen_tools.of(one.clone()));
        assert!(is_known(&one) && !is_known(&other));
        seen_tools.close(b"1");
        assert!(!is_known(&one));
    }

    #[test]
    fn lists_are_bounded_and_a_forgotten_one_says_nothing() {
        let seen_tools = SeenTools::default();
        let viewer = |number: usize| Viewer::Session(number.to_be_bytes()[..].into());
        let is_known = |number| seen_tools.of(viewer(number)).view().newest(NOW()).is_some();
        for number in 0..SIGHTS_MAX {
            list(&seen_tools.of(viewer(number)));
        }
        assert_eq!(seen_tools.lock().len(), SIGHTS_MAX);
        list(&seen_tools.of(viewer(SIGHTS_MAX)));
        assert!(seen_tools.lock().len() < SIGHTS_MAX);
        assert!(is_known(SIGHTS_MAX) && !is_known(0));
    }
}
