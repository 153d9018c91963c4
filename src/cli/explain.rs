//! Arguments of `mcpol explain`.

use super::{RuleArgs, TargetArgs};
use std::path::PathBuf;

/// Why a tool has its class, or what a policy decides about a call.
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
    /// Explain what this policy decides about a call of the tool, instead of its class.
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<PathBuf>,
    /// The call's arguments as JSON.
    #[arg(long, value_name = "JSON", requires = "policy")]
    pub args: Option<String>,
    /// Who calls: a grant, or a grant and a session.
    #[arg(long, value_name = "GRANT[/SESSION]", default_value = "local", requires = "policy")]
    pub caller: String,
    /// When, in UTC: `2026-11-23T09:30:00Z` [default: now].
    #[arg(long, value_name = "TIME", requires = "policy")]
    pub at: Option<String>,
    /// Counters as this gateway state (a file or a `redis://` URL) has them [default: none used].
    #[arg(long, value_name = "FILE|URL", requires = "policy")]
    pub state: Option<PathBuf>,
    /// Print JSON for machines.
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  mcpol explain pause_focus_session                 a tool of the sample server inside mcpol
  mcpol explain create_issue --tools catalog/server-github.json
  mcpol explain read_file -- npx -y @modelcontextprotocol/server-filesystem .
  mcpol explain create_charge --policy policy.json --args '{\"amount\": 20000}'";
