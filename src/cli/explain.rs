//! Arguments of `mcpol explain`.

/// Why one tool has its class, or what a policy decides about one call.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {}
