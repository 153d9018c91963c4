//! Arguments of `mcpol policy`.

use super::{FormatArgs, RuleArgs, TargetArgs};
use std::path::PathBuf;

/// Check, test and compare policies.
#[derive(Debug, clap::Args)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// The subcommands of `mcpol policy`.
#[derive(Debug, clap::Subcommand)]
pub enum PolicyCommand {
    /// Is the policy valid, and does it fit the tools that it is for?
    Check(Box<PolicyCheckArgs>),
    /// Does the policy decide as its test cases say?
    Test(PolicyTestArgs),
    /// What became allowed, denied, looser or stricter?
    Diff(Box<PolicyDiffArgs>),
    /// Print the JSON Schema of policy.json, for editors.
    Schema,
}

/// Is the policy valid, and does it fit the tools that it is for?
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct PolicyCheckArgs {
    /// The policy file.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = CheckFormat::Table)]
    pub format: CheckFormat,
    /// Exit with 1 when something of this level or a worse one is found.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = FailLevel::Error)]
    pub fail_on: FailLevel,
    /// Also refuse whatever the hosted gateway that the format comes from does not know.
    #[arg(long)]
    pub portable: bool,
    /// The servers.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// An output format of `policy check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckFormat {
    /// For people.
    Table,
    /// One document.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// How bad a finding must be to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FailLevel {
    /// Anything at all.
    Note,
    /// Warnings and errors.
    Warning,
    /// Errors.
    Error,
    /// Nothing.
    Never,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  mcpol policy check policy.json
  mcpol policy check policy.json --tools saved.json --fail-on warning
  mcpol policy check policy.json --format sarif -- npx -y @acme/server > out.sarif

Exit codes: 0 clean, 1 findings at or above --fail-on, 2 not a valid policy,
3 the server could not be listed";

/// Does the policy decide as its test cases say?
#[derive(Debug, clap::Args)]
#[command(after_help = TEST_EXAMPLES)]
pub struct PolicyTestArgs {
    /// The policy file.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    /// The test cases [default: the policy's name with `.test.toml`, beside it].
    #[arg(value_name = "CASES")]
    pub cases: Option<PathBuf>,
    /// Write cases at the bounds of every rule, with the decisions of today.
    #[arg(long, conflicts_with_all = ["json", "format"])]
    pub generate: bool,
    /// With `--generate`: overwrite the cases that are there.
    #[arg(long, requires = "generate")]
    pub force: bool,
    /// What is printed.
    #[command(flatten)]
    pub format: FormatArgs,
}

const TEST_EXAMPLES: &str = "\
Examples:
  mcpol policy test policy.json
  mcpol policy test policy.json --generate      writes policy.test.toml

A case:
  [[case]]
  name = \"a large charge is refused\"
  tool = \"create_charge\"
  args = '{\"amount\": 10001}'
  expect = \"deny\"                               allow, deny or ask
  rule = \"/tools/create_charge/deny_if/args.amount-gt\"
Instead of `tool`: `resource`, `prompt` or `method`.

Exit codes: 0 all pass, 1 some fail, 2 wrong file, 4 no cases";

/// What became allowed, denied, looser or stricter?
#[derive(Debug, clap::Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub struct PolicyDiffArgs {
    /// The policy as it was.
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The policy as it is.
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// The tools to compare, as saved lists; else those that the policies name.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub tools: Vec<PathBuf>,
    /// What is printed.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Exit with 1 when the new policy is looser anywhere, or differs at all.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub fail_on: Option<DiffFail>,
}

/// Which difference fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DiffFail {
    /// Something passes that did not, or may pass more often.
    Looser,
    /// Anything.
    Any,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  mcpol policy diff old.json new.json
  mcpol policy diff old.json new.json --tools saved.json --fail-on looser

Exit codes: 0 as asked, 1 looser (or different) and --fail-on says so,
2 not a valid policy";
