//! Which store holds the state, and the one place that opens it.

use super::grants::MemoryGrants;
use super::redis::{self, BadAddress, RedisAddress};
use super::sqlite::SqliteStore;
use super::stores::{Stores, stores};
use super::tasks::MemoryTasks;
use crate::policy::{ApprovalStore, LimitStore, MemoryStore};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where counters, approvals, grants and the owners of tasks are kept. Its text never holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatePlace {
    /// In this process, and gone with it.
    Memory,
    /// In an SQLite file, shared by the processes of one machine.
    File(PathBuf),
    /// In Redis, shared by the gateways of many machines.
    Redis(RedisAddress),
}

impl StatePlace {
    /// Reads `memory:`, a `redis://` or `rediss://` URL, or else the name of a file.
    ///
    /// # Errors
    /// It begins like a Redis URL and is none.
    pub fn parse(text: &OsStr) -> Result<Self, BadAddress> {
        match text.to_str() {
            Some("memory:") => Ok(Self::Memory),
            Some(url) if RedisAddress::is_meant(url) => RedisAddress::parse(url).map(Self::Redis),
            Some(_) | None => Ok(Self::File(PathBuf::from(text))),
        }
    }

    /// Lets the paths in it begin at this folder.
    pub fn begin_at(&mut self, folder: &Path) {
        match self {
            Self::Memory => {}
            Self::File(path) => *path = folder.join(&path),
            Self::Redis(address) => address.begin_at(folder),
        }
    }
}

impl fmt::Display for StatePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::File(path) => path.display().fmt(f),
            Self::Redis(address) => address.fmt(f),
        }
    }
}

/// Opens the stores of a place. Nothing is connected to or made before the first use; what is wrong then is said by the
/// answer of the store, and a store that is back works again.
pub fn open(place: &StatePlace) -> Stores {
    match place {
        StatePlace::Memory => {
            let store = Arc::new(MemoryStore::new());
            Stores {
                limits: Arc::clone(&store) as Arc<dyn LimitStore>,
                approvals: Arc::clone(&store) as Arc<dyn ApprovalStore>,
                grants: Arc::new(MemoryGrants::new()),
                tasks: Arc::new(MemoryTasks::new()),
                courses: store,
                may_wait: false,
            }
        }
        StatePlace::File(path) => stores(SqliteStore::new(path)),
        StatePlace::Redis(address) => redis::open(address),
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_by_its_form_and_shown_without_its_password() {
        for (text, shown) in [
            ("memory:", Some("memory")),
            ("state.db", Some("state.db")),
            ("memory", Some("memory")),
            ("redis.db", Some("redis.db")),
            ("redis://127.0.0.1", Some("redis://127.0.0.1:6379/0")),
            ("redis://me:hush@redis.example.com:7000/3", Some("redis://redis.example.com:7000/3")),
            ("rediss://:hush@redis.example.com", Some("rediss://redis.example.com:6379/0")),
            ("redis://", None),
            ("postgres://me:hush@h/0", None),
            ("file:///hush", None),
            ("C://state.db", Some("C://state.db")),
            ("redis://:hush@/1", None),
            ("redis://h/hush", None),
            ("redis://h/1/2", None),
            ("redis://h?password=hush", None),
            ("redis://h#insecure", None),
            ("REDIS://h", Some("redis://h:6379/0")),
        ] {
            let place = StatePlace::parse(OsStr::new(text));
            match &place {
                Ok(place) => assert_eq!(Some(place.to_string().as_str()), shown, "{text}"),
                Err(error) => assert_eq!((None, error.to_string().contains("hush")), (shown, false), "{text}: {error}"),
            }
            assert!(!format!("{place:?}").contains("hush"), "{place:?}");
        }
    }
}
