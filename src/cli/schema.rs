//! Arguments of `mcpol schema`.

/// Print the JSON Schema of what a command prints, or of a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol schema                  their names
  mcpol schema scan             that of `mcpol scan --format json`
  mcpol schema policy           that of policy.json, for editors

Every document says in its member `schema` by which of them it is written.")]
pub struct SchemaArgs {
    /// Which; without it their names are listed.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}
