//! Sessions of servers behind a URL, as far as the gateway must know them: whose they are, and that they are real.
//!
//! The server makes and ends sessions. The gateway remembers which grant opened one, so that no other can use it, and
//! counts limits of scope `session` only for ids that a server gave out here: a client could invent any number of others.

use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Sessions remembered for one server; the ones that were not used for longest are forgotten.
pub const SESSIONS_MAX: usize = 16_384;
/// Longest session id that is taken, in bytes.
pub const SESSION_ID_BYTES_MAX: usize = 1024;

#[derive(Debug)]
struct Entry {
    grant: Arc<str>,
    /// Stands for the id in counters and logs, which must not tell the id itself: it opens the session.
    label: Arc<str>,
    issued: bool,
    used: Instant,
}

/// Sessions of one server.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<Box<[u8]>, Entry>>);

/// The session belongs to another grant; for this one there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYours;

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server gave out an id.
    pub fn open(&self, id: &[u8], grant: &Arc<str>) {
        self.put(id, grant, true);
    }

    fn put(&self, id: &[u8], grant: &Arc<str>, issued: bool) {
        if id.len() > SESSION_ID_BYTES_MAX {
            return;
        }
        let mut sessions = self.lock();
        if sessions.len() >= SESSIONS_MAX {
            let mut ages: Vec<Instant> = sessions.values().map(|entry| entry.used).collect();
            let (_, limit, _) = ages.select_nth_unstable(SESSIONS_MAX / 8);
            let limit = *limit;
            sessions.retain(|_, entry| entry.used > limit);
        }
        let label = Sha256::digest(id).iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
        let entry = Entry { grant: Arc::clone(grant), label: label.into(), issued, used: Instant::now() };
        sessions.insert(id.into(), entry);
    }

    /// A grant uses an id. Answers what stands for it in counters, if a server gave it out here.
    ///
    /// # Errors
    /// It belongs to another grant.
    pub fn take(&self, id: &[u8], grant: &Arc<str>) -> Result<Option<Arc<str>>, NotYours> {
        {
            let mut sessions = self.lock();
            if let Some(entry) = sessions.get_mut(id) {
                if entry.grant != *grant {
                    return Err(NotYours);
                }
                entry.used = Instant::now();
                return Ok(entry.issued.then(|| Arc::clone(&entry.label)));
            }
        }
        // From before this gateway was started, or from another one: the first grant that uses it keeps it.
        self.put(id, grant, false);
        Ok(None)
    }

    /// The session is over.
    pub fn close(&self, id: &[u8]) {
        self.lock().remove(id);
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_belongs_to_the_grant_that_opened_it() {
        let (sessions, alice, bob): (_, Arc<str>, Arc<str>) = (Sessions::default(), "alice".into(), "bob".into());
        sessions.open(b"one", &alice);
        assert!(matches!(sessions.take(b"one", &alice), Ok(Some(_))));
        assert_eq!(sessions.take(b"one", &bob), Err(NotYours));
        sessions.close(b"one");
        assert_eq!(sessions.take(b"one", &bob), Ok(None));
        assert_eq!(sessions.take(b"one", &alice), Err(NotYours));
    }

    #[test]
    fn an_invented_id_has_no_counters() {
        let (sessions, alice): (_, Arc<str>) = (Sessions::default(), "alice".into());
        assert_eq!(sessions.take(b"mine", &alice), Ok(None));
        assert_eq!(sessions.take(b"mine", &alice), Ok(None));
    }

    #[test]
    fn the_table_is_bounded() {
        let (sessions, alice): (_, Arc<str>) = (Sessions::default(), "alice".into());
        for number in 0..SESSIONS_MAX {
            sessions.open(&number.to_be_bytes(), &alice);
        }
        assert_eq!(sessions.len(), SESSIONS_MAX);
        sessions.open(b"one more", &alice);
        assert!(sessions.len() < SESSIONS_MAX);
        assert!(matches!(sessions.take(b"one more", &alice), Ok(Some(_))));
        assert!(matches!(sessions.take(&(SESSIONS_MAX - 1).to_be_bytes(), &alice), Ok(Some(_))));
    }
}
