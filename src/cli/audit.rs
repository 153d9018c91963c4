//! Arguments of `mcpol audit`.

use super::FormatArgs;
use std::path::PathBuf;

/// Read and verify the gateway's audit log.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol audit tail --denied
  mcpol audit show 6c3b621851457b6c-5
  mcpol audit verify --file audit.jsonl
  mcpol audit stats --config mcpol.toml")]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What can be done with a log.
#[derive(Debug, clap::Subcommand)]
pub enum AuditCommand {
    /// The last entries.
    Tail(TailArgs),
    /// Everything about one decision, by the id that the client was told.
    Show(ShowArgs),
    /// Check that no line was changed, moved or taken out.
    Verify(LogArgs),
    /// Decisions by tool, denials by rule, latency.
    Stats(StatsArgs),
}

/// Which log.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// The log [default: that of the configuration, else audit.jsonl in the state directory].
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub file: Option<PathBuf>,
    /// The gateway's configuration [default: mcpol.toml, if it is there].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Arguments of `mcpol audit tail`.
#[derive(Debug, clap::Args)]
pub struct TailArgs {
    /// Which log.
    #[command(flatten)]
    pub log: LogArgs,
    /// How many entries.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub lines: usize,
    /// Only calls that were refused, would be in `--shadow`, or had to wait for a person.
    #[arg(long)]
    pub denied: bool,
    /// Go on with new entries until Ctrl-C.
    #[arg(short, long)]
    pub follow: bool,
    /// The lines as they are in the file.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `mcpol audit show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// Which log.
    #[command(flatten)]
    pub log: LogArgs,
    /// The decision's id, for example `6c3b621851457b6c-5`.
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Arguments of `mcpol audit stats`.
#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// Which log.
    #[command(flatten)]
    pub log: LogArgs,
    /// What is printed.
    #[command(flatten)]
    pub format: FormatArgs,
}
