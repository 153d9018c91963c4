//! The command line as types: values checked by clap, no I/O. One file a subcommand.

use clap::{Parser, Subcommand};

/// See what MCP tools can do, write the policy they deserve, and hold agents to it.
#[derive(Debug, Parser)]
#[command(name = "mcpol", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands; each has a file here with its arguments and a file in `commands` with its work.
#[derive(Debug, Subcommand)]
pub enum Command {}
