//! Arguments of `mcpol sample-server`.

/// Serve the embedded sample MCP server over stdio.
#[derive(Debug, clap::Args)]
pub struct SampleServerArgs {}
