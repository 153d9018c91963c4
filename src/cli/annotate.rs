//! Arguments of `mcpol annotate`.

use super::{FreshArgs, RuleArgs, TargetArgs};
use std::path::PathBuf;

/// Which annotations should these tools have, and which have they?
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct AnnotateArgs {
    /// Hold the tools to what this directory of servers asks for [claude-directory, chatgpt-apps].
    #[arg(long, value_name = "DIRECTORY")]
    pub profile: Option<String>,
    /// Write the tool list with the missing titles and hints into this file; the list must be of one server.
    #[arg(long, value_name = "FILE")]
    pub apply: Option<PathBuf>,
    /// With --apply: also replace hints that strong evidence contradicts.
    #[arg(long, requires = "apply")]
    pub correct: bool,
    /// With --apply: overwrite a file that is there.
    #[arg(long, requires = "apply")]
    pub force: bool,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = AnnotateFormat::Table)]
    pub format: AnnotateFormat,
    /// Exit with 1 when a hint is wrong, or also when one is missing (with --profile: one that the directory asks for).
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = AnnotateFail::Never)]
    pub fail_on: AnnotateFail,
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

/// An output format of `mcpol annotate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AnnotateFormat {
    /// For people.
    Table,
    /// One document (schemas/annotate.schema.json).
    Json,
    /// For reviews and wikis.
    Markdown,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// What makes the command fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AnnotateFail {
    /// A declared hint that strong evidence contradicts.
    Wrong,
    /// Such a hint, or one that is missing.
    Missing,
    /// Nothing: only report.
    Never,
}

const EXAMPLES: &str = "\
Examples:
  mcpol annotate -- npx -y @modelcontextprotocol/server-memory
  mcpol annotate --tools tools.json --profile claude-directory --fail-on missing
  mcpol annotate --tools tools.json --apply annotated.json
  mcpol annotate --tools tools.json --format sarif > annotations.sarif

Exit codes: 0 clean, 1 something that --fail-on names, 2 wrong argument or file,
3 a server could not be listed, 4 nothing to look at";
