//! Arguments of `mcpol login` and `mcpol logout`.

use std::path::PathBuf;

/// Log in at a server that asks for OAuth, in a browser on this machine or elsewhere.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol login https://mcp.example.com/mcp
  mcpol login github --config mcpol.toml
  mcpol login --device https://mcp.example.com/mcp
  mcpol enforce --policy policy.json --upstream https://mcp.example.com/mcp")]
pub struct LoginArgs {
    /// The server.
    #[command(flatten)]
    pub server: LoginServer,
    /// Show a code to enter in a browser on any machine, instead of waiting for a browser on this one.
    #[arg(long)]
    pub device: bool,
    /// Client id that the server's owner has given to you, where it registers none by itself.
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Scope to ask for, instead of those that the server names; may be given more than once.
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
}

/// Forget the login at a server.
#[derive(Debug, clap::Args)]
pub struct LogoutArgs {
    /// The server.
    #[command(flatten)]
    pub server: LoginServer,
}

/// A server to log in at.
#[derive(Debug, clap::Args)]
pub struct LoginServer {
    /// Its URL, or its name in the gateway's configuration.
    #[arg(value_name = "URL|SERVER")]
    pub server: String,
    /// The configuration that names it.
    #[arg(long, value_name = "FILE", default_value = "mcpol.toml")]
    pub config: PathBuf,
}
