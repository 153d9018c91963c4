//! Where counters and approvals live.

mod approvals;
mod memory;
mod place;
mod sqlite;

pub use approvals::{ARGUMENTS_BYTES_MAX, PENDING_MAX};
pub use memory::MemoryStore;
pub use place::{NoPlace, folder, make_private_folder};
pub use sqlite::{BUSY_TIMEOUT, SqliteStore};
