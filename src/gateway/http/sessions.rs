//! Sessions of servers behind a URL, as far as the gateway must know them: whose they are, and that they are real.
//!
//! The server makes and ends sessions. The gateway remembers which grant opened one, so that no other can use it, and
//! counts limits of scope `session` only for ids that a server gave out here: a client could invent any number of others.

use super::mcp_headers;
use super::refusal::Refusal;
use crate::policy::{OtherSession, Pledge};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Sessions remembered for one server; where there are more, the grant with the most loses those that it has not used
/// for longest.
pub const SESSIONS_MAX: usize = 16_384;
/// Sessions remembered for one grant; where it has more, it loses those that it has not used for longest.
pub const GRANT_SESSIONS_MAX: usize = 8_192;
/// The part of a grant's sessions that is forgotten at a time.
const FORGOTTEN_PART: usize = 8;
/// Longest session id that is kept as it is, in bytes; of longer ones the hash is kept.
pub const SESSION_ID_BYTES_MAX: usize = 1024;

/// A session's id in tables: as it is up to [`SESSION_ID_BYTES_MAX`], else its SHA-256, so that long ids take no more room.
pub fn key(id: &[u8]) -> Cow<'_, [u8]> {
    if id.len() <= SESSION_ID_BYTES_MAX { Cow::Borrowed(id) } else { Cow::Owned(Sha256::digest(id).to_vec()) }
}

/// What stands for a session's id where the id must not be told: it opens the session.
pub fn label(id: &[u8]) -> Arc<str> {
    Sha256::digest(id).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// That a request to one server comes from the endpoint of all servers together, which says so beside the request, where no
/// client can.
#[derive(Clone, Debug)]
pub struct Joint {
    /// The session with all servers.
    pub session: Option<Arc<str>>,
    /// What the request pledges, where there is none; what it says of that itself was read there.
    pub pledge: Option<Arc<Pledge>>,
}

/// The session whose course a request belongs to, where limits do not count by it: one that another gateway has opened, or
/// this one before it was started.
///
/// # Errors
/// The request names two sessions.
pub fn course(headers: &HeaderMap, counted: Option<&Arc<str>>) -> Result<Option<OtherSession>, Refusal> {
    if counted.is_some() {
        return Ok(None);
    }
    Ok(mcp_headers::session(headers)?.map(|id| OtherSession::Claimed(label(id.as_bytes()))))
}

#[derive(Debug)]
struct SessionEntry {
    grant: Arc<str>,
    /// See [`label`].
    label: Arc<str>,
    issued: bool,
    used: Instant,
}

#[derive(Debug, Default)]
struct SessionTable {
    entries: HashMap<Box<[u8]>, SessionEntry>,
    /// How many each grant has.
    counts: HashMap<Arc<str>, usize>,
}

/// Sessions of one server.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<SessionTable>);

/// The session belongs to another grant; for this one there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYours;

impl SessionTable {
    fn insert(&mut self, id: &[u8], entry: SessionEntry) {
        let has = self.counts.get(&entry.grant).copied().unwrap_or(0);
        if has >= GRANT_SESSIONS_MAX {
            self.forget_of(&Arc::clone(&entry.grant));
        } else if self.entries.len() >= SESSIONS_MAX
            && let Some(most) = self.counts.iter().max_by_key(|(_, count)| **count).map(|(grant, _)| Arc::clone(grant))
        {
            self.forget_of(&most);
        }
        *self.counts.entry(Arc::clone(&entry.grant)).or_default() += 1;
        if let Some(old) = self.entries.insert(id.into(), entry) {
            self.gone(&old.grant);
        }
    }

    fn remove(&mut self, id: &[u8]) {
        if let Some(old) = self.entries.remove(id) {
            self.gone(&old.grant);
        }
    }

    fn gone(&mut self, grant: &Arc<str>) {
        if let Some(count) = self.counts.get_mut(grant) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(grant);
            }
        }
    }

    /// Forgets the sessions of a grant that were not used for longest.
    fn forget_of(&mut self, grant: &Arc<str>) {
        let mut ages: Vec<Instant> =
            self.entries.values().filter(|entry| entry.grant == *grant).map(|entry| entry.used).collect();
        if ages.is_empty() {
            return;
        }
        let place = ages.len() / FORGOTTEN_PART;
        let (_, limit, _) = ages.select_nth_unstable(place);
        let limit = *limit;
        let before = self.entries.len();
        self.entries.retain(|_, entry| entry.grant != *grant || entry.used > limit);
        let gone = before - self.entries.len();
        if let Some(count) = self.counts.get_mut(grant) {
            *count -= gone;
        }
    }
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, SessionTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server gave out an id.
    pub fn open(&self, id: &[u8], grant: &Arc<str>) {
        self.put(id, grant, true);
    }

    fn put(&self, id: &[u8], grant: &Arc<str>, issued: bool) {
        let entry = SessionEntry { grant: Arc::clone(grant), label: label(id), issued, used: Instant::now() };
        self.lock().insert(&key(id), entry);
    }

    /// A grant uses an id. Answers what stands for it in counters, if a server gave it out here. `is_free` says of one that is
    /// not known here, from before this gateway was started or from another gateway, whether it is no other grant's.
    ///
    /// # Errors
    /// It belongs to another grant.
    pub fn take<E: From<NotYours>>(
        &self,
        id: &[u8],
        grant: &Arc<str>,
        is_free: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Option<Arc<str>>, E> {
        {
            let mut sessions = self.lock();
            if let Some(entry) = sessions.entries.get_mut(&*key(id)) {
                if entry.grant != *grant {
                    return Err(NotYours.into());
                }
                entry.used = Instant::now();
                return Ok(entry.issued.then(|| Arc::clone(&entry.label)));
            }
        }
        if !is_free()? {
            return Err(NotYours.into());
        }
        self.put(id, grant, false);
        Ok(None)
    }

    /// The session is over.
    pub fn close(&self, id: &[u8]) {
        self.lock().remove(&key(id));
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the store knows nothing of it.
    fn taken(sessions: &Sessions, id: &[u8], grant: &Arc<str>) -> Result<Option<Arc<str>>, NotYours> {
        sessions.take(id, grant, || Ok(true))
    }

    #[test]
    fn a_session_belongs_to_the_grant_that_opened_it() {
        let (sessions, alice, bob): (_, Arc<str>, Arc<str>) = (Sessions::default(), "alice".into(), "bob".into());
        sessions.open(b"one", &alice);
        assert!(matches!(taken(&sessions, b"one", &alice), Ok(Some(_))));
        assert_eq!(taken(&sessions, b"one", &bob), Err(NotYours));
        // However long its id is; and what is kept of it is not.
        let long = [b'x'; SESSION_ID_BYTES_MAX + 1];
        sessions.open(&long, &alice);
        assert!(matches!(taken(&sessions, &long, &alice), Ok(Some(_))));
        assert_eq!(taken(&sessions, &long, &bob), Err(NotYours));
        assert!(key(&long).len() <= SESSION_ID_BYTES_MAX && *key(&long[1..]) == long[1..]);
        sessions.close(&long);
        assert_eq!(sessions.len(), 1);
        sessions.close(b"one");
        assert_eq!(taken(&sessions, b"one", &bob), Ok(None));
        assert_eq!(taken(&sessions, b"one", &alice), Err(NotYours));
        assert_eq!(sessions.take::<NotYours>(b"of carol", &bob, || Ok(false)), Err(NotYours));
        assert_eq!(taken(&sessions, b"of carol", &bob), Ok(None), "nothing was noted of it");
    }

    #[test]
    fn an_invented_id_has_no_counters() {
        let (sessions, alice): (_, Arc<str>) = (Sessions::default(), "alice".into());
        assert_eq!(taken(&sessions, b"mine", &alice), Ok(None));
        assert_eq!(taken(&sessions, b"mine", &alice), Ok(None));
    }

    #[test]
    fn the_table_is_bounded_and_nobody_takes_the_place_of_others() {
        let grants: Vec<Arc<str>> = ["alice", "bob", "carol"].map(Arc::from).to_vec();
        let (alice, bob, carol) = (&grants[0], &grants[1], &grants[2]);
        let sessions = Sessions::default();
        let id = |grant: &str, number: usize| format!("{grant}-{number}").into_bytes();
        for number in 0..GRANT_SESSIONS_MAX {
            sessions.open(&id("alice", number), alice);
        }
        sessions.open(b"of bob", bob);
        assert_eq!(sessions.len(), GRANT_SESSIONS_MAX + 1);
        // One more than its share: alice loses her own oldest, and bob nothing.
        sessions.open(b"one more", alice);
        assert!(sessions.len() <= GRANT_SESSIONS_MAX);
        assert!(matches!(taken(&sessions, b"of bob", bob), Ok(Some(_))));
        assert!(matches!(taken(&sessions, b"one more", alice), Ok(Some(_))));
        assert!(matches!(taken(&sessions, &id("alice", GRANT_SESSIONS_MAX - 1), alice), Ok(Some(_))));
        let mut number = GRANT_SESSIONS_MAX;
        for grant in [alice, bob] {
            while sessions.lock().counts.get(grant).is_none_or(|count| *count < GRANT_SESSIONS_MAX) {
                sessions.open(&id("later", number), grant);
                number += 1;
            }
        }
        assert_eq!(sessions.len(), SESSIONS_MAX);
        // The table is full: the grant with the most makes room for one that has none.
        sessions.open(b"of carol", carol);
        assert!(sessions.len() < SESSIONS_MAX);
        assert!(matches!(taken(&sessions, b"of carol", carol), Ok(Some(_))));
        let table = sessions.lock();
        for grant in &grants {
            let count = table.entries.values().filter(|entry| entry.grant == *grant).count();
            assert_eq!(table.counts.get(grant).copied(), Some(count), "{grant}");
        }
    }

    #[test]
    fn what_is_over_is_counted_no_more() {
        let (sessions, alice): (_, Arc<str>) = (Sessions::default(), "alice".into());
        for _ in 0..2 {
            sessions.open(b"one", &alice);
        }
        assert_eq!(sessions.lock().counts.get(&alice), Some(&1), "the same id is one session");
        sessions.close(b"one");
        assert!(sessions.is_empty() && sessions.lock().counts.is_empty());
    }
}
