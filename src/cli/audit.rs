//! Arguments of `mcpol audit`.

/// Read and verify the gateway's audit log.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {}
