//! The gateway: stands between a client and a server and holds calls to a policy.

pub mod audit;
pub mod filter;
pub mod framing;
pub mod outbox;
pub mod pending;
pub mod reply;
