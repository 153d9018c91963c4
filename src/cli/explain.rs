//! Arguments of `mcpol explain`.

use super::{RuleArgs, TargetArgs};

/// Why one tool has its class, or what a policy decides about one call.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// The tool's name, as the server declares it.
    #[arg(value_name = "TOOL")]
    pub tool: String,
    /// The server.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
    /// Print JSON for machines.
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  mcpol explain pause_focus_session                 a tool of the sample server inside mcpol
  mcpol explain create_issue --tools catalog/server-github.json
  mcpol explain read_file -- npx -y @modelcontextprotocol/server-filesystem .";
