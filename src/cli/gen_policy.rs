//! Arguments of `mcpol gen-policy`.

use super::{FreshArgs, RuleArgs, TargetArgs};
use std::path::PathBuf;

/// Write a recommended default-deny policy.json.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct GenPolicyArgs {
    /// How strict the policy is.
    #[arg(long, value_enum, default_value_t = PolicyProfile::Standard)]
    pub profile: PolicyProfile,
    /// Also write rules about the course of a session: after a stranger's text a person is asked about what sends, pays,
    /// changes who may do what, or runs code; with `seen` only where the call names what stood in that text [default: as
    /// the profile: `always` for strict, else `none`].
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "always", value_name = "WHICH")]
    pub flows: Option<PolicyFlows>,
    /// Only this tool; may be given more than once.
    #[arg(long, value_name = "TOOL")]
    pub only: Vec<String>,
    /// All tools but this one; may be given more than once.
    #[arg(long, value_name = "TOOL", conflicts_with = "only")]
    pub except: Vec<String>,
    /// Start from this policy: keep every rule in it, add what is new, say what vanished.
    #[arg(long, value_name = "OLD")]
    pub merge: Option<PathBuf>,
    /// Write only what the hosted gateway that the format comes from knows as well, so nothing about resources and
    /// prompts; what a saved list of tools alone gets anyway, and `--portable=false` changes that.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub portable: Option<bool>,
    /// Write to this file instead of standard output; for several servers, a directory.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite what is there.
    #[arg(long)]
    pub force: bool,
    /// Also write the review as Markdown: each tool, its class, its rule and why.
    #[arg(long, value_name = "FILE.md")]
    pub notes: Option<PathBuf>,
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

/// How strict a generated policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PolicyProfile {
    /// Reads pass, writes 30 and executions 10 a minute, deletes hidden, a person asked about money.
    Standard,
    /// Also: arguments must satisfy the schema; high blast radius, privilege, egress and most executions need approval, and
    /// after a stranger's text whatever sends, pays, changes rights or runs code (`--flows`).
    Strict,
    /// Reads only.
    ReadOnly,
}

/// Which rules about the course of a session are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PolicyFlows {
    /// None.
    None,
    /// Every such call is asked about.
    Always,
    /// Only calls that name what stood in the stranger's text.
    Seen,
}

const EXAMPLES: &str = "\
Examples:
  mcpol gen-policy -o policy.json -- npx -y @modelcontextprotocol/server-github
  mcpol gen-policy --tools saved.json --profile strict --notes review.md
  mcpol gen-policy --tools catalog/ -o policies/
  mcpol gen-policy --catalog server-github -o policy.json
  mcpol gen-policy --merge policy.json -o policy.json https://mcp.example.com/mcp

The policy goes to standard output or FILE, the review table to standard error.

Exit codes: 0 written, 2 wrong argument or file, 3 a server could not be listed,
4 nothing to write a policy for";
