//! Whether a command prints a table or JSON.

/// An output format of commands that have no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PlainFormat {
    /// For people.
    Table,
    /// One document (`mcpol schema` prints its schema).
    Json,
}

/// The choice between the two.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct FormatArgs {
    /// What to print on standard output.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = PlainFormat::Table)]
    pub format: PlainFormat,
    /// As `--format json`.
    #[arg(long, hide = true, conflicts_with = "format")]
    pub json: bool,
}

impl FormatArgs {
    /// Whether JSON is wanted.
    pub fn is_json(self) -> bool {
        self.json || self.format == PlainFormat::Json
    }
}
