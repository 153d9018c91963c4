//! Arguments of `mcpol enforce`.

/// Stand between a client and a server and hold calls to a policy.
#[derive(Debug, clap::Args)]
pub struct EnforceArgs {}
