//! What MCP tools can do, what they should be allowed, and a gateway that holds agents to it.
//!
//! The words, the classifier and the policy engine are crates of their own, which this one hands on under their short
//! names. The modules below stand in an order: each may import only from those above it. `tests/tidy` reads this file
//! and fails otherwise.

pub use mcpol_base::{clock, code, model, problem, text, tokens};
pub use mcpol_classify as classify;
pub use mcpol_policy as policy;

pub mod exit;
pub mod mcp;
pub mod state;
pub mod catalog;
pub mod gateway;
pub mod clients;
pub mod sample;
pub mod report;
pub mod cli;
pub mod commands;
