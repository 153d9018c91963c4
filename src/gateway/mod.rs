//! The gateway: stands between a client and a server and holds calls to a policy.

pub mod audit;
