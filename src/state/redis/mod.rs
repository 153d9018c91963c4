//! Counters, approvals, grants and tasks in Redis, for gateways on many machines.
//!
//! Every use is one script, which Redis runs alone and whole, so gateways never decide on one count at a time. The time
//! is the server's. All keys begin with `{mcpol}`: in a cluster they lie on one node, as the keys of one script must.
//! What Redis loses is lost: without `appendonly yes` a restart forgets counters, and a replica that takes over may not
//! have seen the last of them.

mod address;
mod approvals;
mod connection;
mod courses;
mod grants;
mod limits;
mod tasks;

pub use address::{BadAddress, RedisAddress};
pub use connection::REDIS_TIMEOUT;

use super::stores::{Stores, stores};
use crate::clock::Timestamp;
use crate::policy::StoreError;
use connection::RedisPool;

/// Begins the names of all keys.
const PREFIX: &str = "{mcpol}:";

/// The store of many machines. It connects when it is first used, and again when a connection was lost.
#[derive(Debug)]
pub struct RedisStore {
    pool: RedisPool,
    prefix: String,
    time: Time,
}

/// Whose clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    /// The server's.
    Server,
    /// The one that a test gives.
    #[cfg(test)]
    Given,
}

/// The stores in this Redis.
pub(super) fn open(address: &RedisAddress) -> Stores {
    stores(RedisStore::new(address.clone()))
}

impl RedisStore {
    /// A store in this Redis; nothing is connected to before it is used.
    pub fn new(address: RedisAddress) -> Self {
        Self { pool: RedisPool::new(address), prefix: PREFIX.to_owned(), time: Time::Server }
    }

    /// A store with keys of its own that goes by the times which it is given.
    #[cfg(test)]
    fn for_test(address: RedisAddress, name: &str) -> Self {
        Self { pool: RedisPool::new(address), prefix: format!("{{test-{name}}}:"), time: Time::Given }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn clock_key(&self) -> String {
        self.key("clock")
    }

    /// What a script is given for a time: nothing, because it asks the server.
    fn given(&self, now: Timestamp) -> String {
        match self.time {
            Time::Server => {
                let _ = now;
                String::new()
            }
            #[cfg(test)]
            Time::Given => now.millis().to_string(),
        }
    }

    /// An answer that no script of ours gives.
    fn odd(&self) -> StoreError {
        StoreError::Damaged(format!("`{}` answered something else than was asked", self.pool.address()))
    }

    fn number(&self, text: &str) -> Result<u64, StoreError> {
        text.parse().map_err(|_| self.odd())
    }

    fn time(&self, text: &str) -> Result<Timestamp, StoreError> {
        self.number(text).map(Timestamp::from_millis)
    }
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
