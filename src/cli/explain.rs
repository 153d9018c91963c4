//! Arguments of `mcpol explain`.

use super::{FormatArgs, FreshArgs, RuleArgs, TargetArgs};
use std::path::PathBuf;

/// Why a tool has its class, or what a policy decides about a call.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// The tool's name, as the server declares it.
    #[arg(value_name = "TOOL", required_unless_present_any = ["resource", "prompt", "method"])]
    pub tool: Option<String>,
    /// Explain what this policy decides about a call of the tool, instead of its class.
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<PathBuf>,
    /// Explain what the policy says about reading this resource, or listing this template.
    #[arg(long, value_name = "URI", requires = "policy", conflicts_with_all = ["tool", "args", "state"])]
    pub resource: Option<String>,
    /// Explain what the policy says about taking this prompt.
    #[arg(long, value_name = "NAME", requires = "policy", conflicts_with_all = ["tool", "args", "state", "resource"])]
    pub prompt: Option<String>,
    /// Explain what the policy says about a method that the protocol does not know, or by which a server asks something
    /// of its client (`sampling/createMessage`).
    #[arg(long, value_name = "NAME", requires = "policy",
        conflicts_with_all = ["tool", "args", "state", "resource", "prompt"])]
    pub method: Option<String>,
    /// The call's arguments as JSON.
    #[arg(long, value_name = "JSON", requires = "policy")]
    pub args: Option<String>,
    /// Who calls: a grant, or a grant and a session.
    #[arg(long, value_name = "GRANT[/SESSION]", default_value = "local", requires = "policy", value_parser = caller)]
    pub caller: String,
    /// When, in UTC: `2026-11-23T09:30:00Z` [default: now].
    #[arg(long, value_name = "TIME", requires = "policy")]
    pub at: Option<String>,
    /// The session has called this tool before; may be given more than once.
    #[arg(long, value_name = "TOOL", requires = "policy")]
    pub after: Vec<String>,
    /// Counters, and what sessions have called, as this gateway state (a file or a `redis://` URL) has them [default: none used].
    #[arg(long, value_name = "FILE|URL", requires = "policy")]
    pub state: Option<PathBuf>,
    /// What is printed.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Whether servers are asked anew.
    #[command(flatten)]
    pub fresh: FreshArgs,
    /// The server.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// A grant, or a grant and a session: no name of either has a `/`.
fn caller(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
        return Err("must be `GRANT` or `GRANT/SESSION`".to_owned());
    }
    Ok(text.to_owned())
}

const EXAMPLES: &str = "\
Examples:
  mcpol explain pause_focus_session                 a tool of the sample server inside mcpol
  mcpol explain create_issue --tools catalog/server-github.json
  mcpol explain read_file -- npx -y @modelcontextprotocol/server-filesystem .
  mcpol explain create_charge --policy policy.json --args '{\"amount\": 20000}'
  mcpol explain send_mail --policy policy.json --after read_mail
  mcpol explain --policy policy.json --resource file:///srv/docs/a.txt";
