//! Arguments of `mcpol status`.

use crate::gateway::plan::listen_address;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Look at a running gateway: servers, sessions, decisions, latency, counters near their limit.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The gateway must have an address for operators: `--admin 127.0.0.1:8788`, or `admin = \"127.0.0.1:8788\"`
under `[gateway]` in mcpol.toml.

Examples:
  mcpol status
  mcpol status --watch
  mcpol status --admin 127.0.0.1:9001 --format json"
)]
pub struct StatusArgs {
    /// The gateway's address for operators [default: that of the configuration, else 127.0.0.1:8788].
    #[arg(long, value_name = "ADDR:PORT", value_parser = address, conflicts_with = "config")]
    pub admin: Option<SocketAddr>,
    /// The gateway's configuration, to find its address [default: mcpol.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show it again and again, until interrupted.
    #[arg(long)]
    pub watch: bool,
    /// Seconds between two looks of --watch.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = interval, requires = "watch")]
    pub every: Duration,
    /// How to print it.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = StatusFormat::Table)]
    pub format: StatusFormat,
}

/// How `mcpol status` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StatusFormat {
    /// A table for people.
    Table,
    /// One line of JSON a look (schemas/status.schema.json).
    Json,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    listen_address(text).map_err(|_| "this is no address: write an IP and a port, such as `127.0.0.1:8788`".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be 0.1 to 3600 seconds".to_owned())
    }
}
