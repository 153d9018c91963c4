//! What MCP tools can do, what they should be allowed, and a gateway that holds agents to it.
//!
//! The modules below stand in an order: each may import only from those above it, and `classify` and `policy` do not
//! know each other. `tests/tidy.rs` reads this file and fails otherwise.

pub mod exit;
pub mod clock;
pub mod text;
pub mod problem;
pub mod model;
pub mod mcp;
pub mod classify;
pub mod policy;
pub mod state;
pub mod catalog;
pub mod gateway;
pub mod clients;
pub mod sample;
pub mod report;
pub mod cli;
pub mod commands;
