//! Where counters and approvals live.

mod memory;

pub use memory::MemoryStore;
