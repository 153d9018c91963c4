//! Arguments of `mcpol init` and `mcpol config`.

use std::path::PathBuf;

/// Write a commented mcpol.toml from what the clients of this machine have, or from questions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol init                               the servers of the clients here, chosen from a list on a terminal
  mcpol init --config .cursor/mcp.json --server github
  mcpol init -o gateway.toml --yes

No server is started, and no secret is written: in the place of each stands the name of an environment variable.

Exit codes: 0 written, 2 wrong argument or file, 4 nothing was chosen")]
pub struct InitArgs {
    /// The file to write.
    #[arg(short, long, value_name = "FILE", default_value = "mcpol.toml")]
    pub output: PathBuf,
    /// Overwrite what is there.
    #[arg(long)]
    pub force: bool,
    /// Only the servers of this client's file; may be given more than once [default: every client's on this machine].
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Only these servers; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub server: Vec<String>,
    /// Take all servers and ask nothing.
    #[arg(long)]
    pub yes: bool,
}

/// Check the gateway's configuration by itself.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with a configuration.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Is the file valid, with the policies and locks that it names, and what does it come to? Nothing is started.
    Check(ConfigCheckArgs),
    /// Print the JSON Schema of mcpol.toml, for editors.
    Schema,
}

/// Arguments of `mcpol config check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol config check
  mcpol config check gateway.toml

Exit codes: 0 valid, 2 not valid or not there")]
pub struct ConfigCheckArgs {
    /// The configuration.
    #[arg(value_name = "FILE", default_value = "mcpol.toml")]
    pub file: PathBuf,
}
