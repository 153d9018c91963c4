//! Which gateway's state: the arguments that `grant`, `approvals` and `limits` share.

use std::path::PathBuf;

/// Where the gateway keeps its state.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StateArgs {
    /// Where the gateway keeps its state: a file or a `redis://` URL [default: that of the configuration, else
    /// $MCPOL_STATE, else state.db in the state directory].
    #[arg(long, value_name = "FILE|URL", global = true, conflicts_with = "config")]
    pub state: Option<PathBuf>,
    /// The gateway's configuration [default: mcpol.toml, if it is there].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}
