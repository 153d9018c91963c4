//! The wire: strict JSON-RPC envelope, stdio framing, HTTP client, targets, connect and enumerate.

pub mod json;
pub mod walk;
pub mod envelope;
pub mod target;
