//! Where counters, approvals, grants and the owners of tasks live.

mod approvals;
mod courses;
#[cfg(test)]
mod contract;
mod grants;
mod open;
mod place;
#[cfg(feature = "redis")]
mod redis;
#[cfg(not(feature = "redis"))]
#[path = "redis_left_out.rs"]
mod redis;
mod rows;
mod sqlite;
mod stores;
mod tasks;

pub use crate::policy::MemoryStore;
pub use grants::{
    BadGrantName, GRANT_NAME_BYTES_MAX, GRANT_SERVERS_MAX, GRANTS_MAX, Grant, GrantCreated, GrantName, GrantRevoked,
    GrantState, GrantStore, MemoryGrants, TOKEN_PREFIX, Token, TokenHash,
};
pub use open::{StatePlace, open};
pub use place::{NoPlace, cache_folder, config_folder, folder, make_private_folder};
pub use redis::{BadAddress, RedisAddress};
#[cfg(feature = "redis")]
pub use redis::{REDIS_TIMEOUT, RedisStore};
pub use sqlite::{BUSY_TIMEOUT, SqliteStore};
pub use stores::Stores;
pub use tasks::{Claim, GRANT_TASKS_MAX, MemoryTasks, TASK_KEPT_MS, TaskKey, TaskStore};
