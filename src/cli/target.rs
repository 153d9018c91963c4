//! Where servers are: the arguments that `scan`, `explain`, `gen-policy` and `policy check` share.

use std::path::PathBuf;
use std::time::Duration;

/// Servers to ask, or files to read instead.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TargetArgs {
    /// URL of a server (streamable HTTP).
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// Read servers from an MCP client's configuration file; may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Only these servers of the configuration.
    #[arg(long, value_name = "NAME")]
    pub server: Vec<String>,
    /// Find the servers that the MCP clients of this machine have configured.
    #[arg(long)]
    pub discover: bool,
    /// Read saved tool lists or catalogue records: files, directories, or `-` for standard input.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub tools: Vec<PathBuf>,
    /// Start the commands found in configuration files without asking.
    #[arg(long)]
    pub yes: bool,
    /// Header for a URL, `Name: value`; may be given more than once.
    #[arg(long, value_name = "HEADER")]
    pub header: Vec<String>,
    /// Environment variable that holds a bearer token for a URL.
    #[arg(long, value_name = "VAR")]
    pub bearer_env: Option<String>,
    /// Environment variable to pass to a command: `NAME` from here, or `NAME=VALUE`.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Seconds to wait for one server, downloads included.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,
    /// Servers asked at the same time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub jobs: usize,
    /// Command of a stdio server, after `--`.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// Rule layers and how far a server's own claims are believed.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RuleArgs {
    /// Directory of rule files to add; a rule with a known id replaces it.
    #[arg(long, value_name = "DIR")]
    pub rules: Vec<PathBuf>,
    /// Project settings with overrides [default: mcpol.toml here, if there is one].
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Judge without the server's annotations.
    #[arg(long)]
    pub ignore_annotations: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be more than 0 and at most 86400 seconds".to_owned())
    }
}
