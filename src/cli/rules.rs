//! Arguments of `mcpol rules`.

/// List, test, explain and measure the classification rules.
#[derive(Debug, clap::Args)]
pub struct RulesArgs {}
