//! Arguments of `mcpol sample-server`.

/// Serve the embedded sample MCP server over stdio.
///
/// Tasks and a focus timer with made-up data, kept in memory: something to scan and to guard before any real server is
/// installed. Speaks MCP 2024-11-05 to 2025-11-25 and 2026-07-28, one JSON-RPC message a line.
#[derive(Debug, clap::Args)]
pub struct SampleServerArgs {}
