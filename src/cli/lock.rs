//! Arguments of `mcpol lock`.

use super::{FreshArgs, RuleArgs, TargetArgs};
use std::path::PathBuf;

/// Write down what was reviewed, or accept what changed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct LockArgs {
    /// The lock to write [default: what `locked` of mcpol.toml names, else mcpol.lock].
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Policy whose path and hash are kept beside the server, `FILE` or `SERVER=FILE`; may be given more than once.
    #[arg(long, value_name = "[SERVER=]FILE")]
    pub policy: Vec<String>,
    /// Accept changes into a lock that is there: all, or only those of a server, a tool, or a prompt, resource or
    /// template of it (`SERVER/prompt:NAME`, `SERVER/resource:URI`, `SERVER/template:URI-TEMPLATE`).
    #[arg(long, value_name = "SERVER[/TOOL]", num_args = 0.., conflicts_with = "force")]
    pub update: Option<Vec<String>>,
    /// Write the accepted changes without asking.
    #[arg(long, requires = "update")]
    pub accept: bool,
    /// Replace a lock that is there.
    #[arg(long)]
    pub force: bool,
    /// Whether servers are asked anew.
    #[command(flatten)]
    pub fresh: FreshArgs,
    /// The servers.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// The lock where neither an argument nor a configuration names one.
pub const LOCK_FILE: &str = "mcpol.lock";

const EXAMPLES: &str = "\
Examples:
  mcpol lock --config .cursor/mcp.json --yes
  mcpol lock --policy policy.json -- npx -y @modelcontextprotocol/server-memory@2026.8.31
  mcpol lock --tools catalog/ --update files/write_file
  mcpol lock --tools catalog/ --update --accept

Exit codes: 0 written or nothing to write, 1 changes shown and not accepted,
2 wrong argument or file, 3 a server could not be listed, 4 nothing to lock";
