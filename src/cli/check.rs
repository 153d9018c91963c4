//! Arguments of `mcpol check`.

use super::{RuleArgs, TargetArgs};
use crate::model::Severity;
use clap::ValueEnum as _;
use std::path::PathBuf;

/// What differs from what was reviewed, and does it matter?
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// What was reviewed [default: what `locked` of mcpol.toml names, else mcpol.lock].
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Policy of a server, `FILE` or `SERVER=FILE`, instead of the one that the lock names; may be given more than once.
    #[arg(long, value_name = "[SERVER=]FILE")]
    pub policy: Vec<String>,
    /// Ask no server: look at saved lists, else at the lock and the policy alone.
    #[arg(long, conflicts_with_all = ["url", "config", "discover", "command", "run_servers"])]
    pub offline: bool,
    /// Start stdio servers also where `CI` is set, and those that only the lock names.
    #[arg(long)]
    pub run_servers: bool,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = DriftFormat::Table)]
    pub format: DriftFormat,
    /// Write the same findings into a file too; may be given more than once.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = also)]
    pub also: Vec<(DriftFormat, PathBuf)>,
    /// Exit with 1 when a finding is this severe or worse.
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Warning)]
    pub fail_on: FailOn,
    /// Only what is new against an earlier lock or report, or against the lock of a git revision.
    #[arg(long, value_name = "REV|FILE")]
    pub baseline: Option<String>,
    /// Print the smallest tightening of the policy as a diff instead of the findings.
    #[arg(long)]
    pub fix_policy: bool,
    /// The servers; none is those of the lock.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// An output format of `mcpol check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DriftFormat {
    /// For people.
    Table,
    /// One document (schemas/check.schema.json).
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// For step summaries and reviews.
    Markdown,
    /// Annotations of GitHub Actions.
    Github,
    /// JUnit XML, for GitLab and others.
    Junit,
}

fn also(text: &str) -> Result<(DriftFormat, PathBuf), String> {
    let (format, file) = text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or("must be `FORMAT=FILE`")?;
    let known = || DriftFormat::value_variants().iter().filter_map(clap::ValueEnum::to_possible_value);
    let format = DriftFormat::from_str(format, false).map_err(|_| {
        let known: Vec<_> = known().map(|value| value.get_name().to_owned()).collect();
        format!("`{}` is not one of {}", crate::text::excerpt(format, 40), known.join(", "))
    })?;
    Ok((format, PathBuf::from(file)))
}

/// From which severity on a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// Everything that is different.
    Note,
    /// What should be looked at.
    Warning,
    /// What should not be accepted before it is explained.
    Error,
    /// Nothing: only report.
    Never,
}

impl FailOn {
    /// Whether a finding of this severity fails the check.
    pub fn reached(self, severity: Severity) -> bool {
        match self {
            Self::Note => true,
            Self::Warning => severity >= Severity::Warning,
            Self::Error => severity >= Severity::Error,
            Self::Never => false,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  mcpol check --config .cursor/mcp.json --yes
  mcpol check --run-servers
  mcpol check --offline --policy policy.json
  mcpol check --tools catalog/ --format sarif > mcpol.sarif
  mcpol check --tools catalog/ --baseline origin/main --fail-on error

Every code has a page: docs/checks/.
Exit codes: 0 clean, 1 findings at or above --fail-on, 2 wrong argument or file (a missing lock
too), 3 a server could not be listed, 4 nothing to check";
