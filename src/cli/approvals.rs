//! Arguments of `mcpol approvals`.

use super::{FormatArgs, StateArgs};

/// List, approve and deny calls that wait for a person.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol approvals list
  mcpol approvals show 4f2a
  mcpol approvals approve 4f2a")]
pub struct ApprovalsArgs {
    /// The state.
    #[command(flatten)]
    pub place: StateArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: ApprovalsCommand,
}

/// What can be done about approvals.
#[derive(Debug, clap::Subcommand)]
pub enum ApprovalsCommand {
    /// Calls that wait, newest last.
    List {
        /// Also those that were answered, used or have lapsed.
        #[arg(long)]
        all: bool,
        /// What is printed.
        #[command(flatten)]
        format: FormatArgs,
    },
    /// One call with its arguments.
    Show {
        /// The approval's id.
        id: String,
    },
    /// Let the call pass, once.
    Approve {
        /// The approval's id.
        id: String,
    },
    /// Refuse the call.
    Deny {
        /// The approval's id.
        id: String,
    },
}
