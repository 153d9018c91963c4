//! Where MCP clients keep their servers.
