//! Arguments of `mcpol gen-policy`.

/// Write a recommended default-deny policy.json.
#[derive(Debug, clap::Args)]
pub struct GenPolicyArgs {}
