//! Arguments of `mcpol limits`.

use super::{FormatArgs, StateArgs};

/// See where counters of limits stand, and set them to nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol limits list
  mcpol limits reset --server billing --grant agent-7
  mcpol limits reset --clock        # after the clock of the machine was wrong")]
pub struct LimitsArgs {
    /// The state.
    #[command(flatten)]
    pub place: StateArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: LimitsCommand,
}

/// What can be done about counters.
#[derive(Debug, clap::Subcommand)]
pub enum LimitsCommand {
    /// Counters in the windows of now, and in windows that lie ahead.
    List {
        /// Only these.
        #[command(flatten)]
        which: WhichCounters,
        /// What is printed.
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Set counters to nothing: what they have counted is free again.
    Reset(ResetArgs),
}

/// Arguments of `mcpol limits reset`.
#[derive(Debug, clap::Args)]
pub struct ResetArgs {
    /// Only these.
    #[command(flatten)]
    pub which: WhichCounters,
    /// Every counter.
    #[arg(long, conflicts_with_all = ["server", "grant", "session", "counter"])]
    pub all: bool,
    /// Take the time of now for right, whatever the store has seen, and set counters to nothing whose windows lie ahead.
    #[arg(long, conflicts_with_all = ["server", "grant", "session", "counter", "all"])]
    pub clock: bool,
}

/// Which counters; what is not said fits every one.
#[derive(Debug, Default, clap::Args)]
pub struct WhichCounters {
    /// Those of this server.
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Those of this grant.
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    pub grant: Option<String>,
    /// Those of this session.
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Those of this name in the policy.
    #[arg(long, value_name = "NAME")]
    pub counter: Option<String>,
}

impl WhichCounters {
    /// Whether nothing is said.
    pub fn is_every(&self) -> bool {
        self.server.is_none() && self.grant.is_none() && self.session.is_none() && self.counter.is_none()
    }
}
