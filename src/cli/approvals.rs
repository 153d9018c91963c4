//! Arguments of `mcpol approvals`.

use std::path::PathBuf;

/// List, approve and deny calls that wait for a person.
#[derive(Debug, clap::Args)]
pub struct ApprovalsArgs {
    /// Where the gateway keeps its state: a file or a `redis://` URL [default: $MCPOL_STATE, else state.db in the state
    /// directory].
    #[arg(long, value_name = "FILE|URL", global = true)]
    pub state: Option<PathBuf>,
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
