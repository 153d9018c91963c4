//! Arguments of `mcpol policy`.

/// Check, test and compare policies.
#[derive(Debug, clap::Args)]
pub struct PolicyArgs {}
