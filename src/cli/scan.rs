//! Arguments of `mcpol scan`.

/// What can these servers do? List and classify their tools.
#[derive(Debug, clap::Args)]
pub struct ScanArgs {}
