//! Arguments of `mcpol demo`.

/// See the whole path in two seconds, offline.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {}
