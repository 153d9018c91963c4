//! What every part of mcpol speaks in: hostile text made safe to show, times, problems of files that people wrote, the
//! words of the field as types, and the strict JSON-RPC envelope. No file, socket, process or log.
//!
//! The modules stand in an order: each may import only from those above it.

pub mod text;
pub mod clock;
pub mod problem;
pub mod model;
pub mod code;
pub mod mcp;
pub mod tokens;
