//! Arguments of `mcpol approvals`.

/// List, approve and deny calls that wait for a person.
#[derive(Debug, clap::Args)]
pub struct ApprovalsArgs {}
