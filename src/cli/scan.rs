//! Arguments of `mcpol scan`.

use super::{RuleArgs, TargetArgs};
use crate::model::RiskLevel;
use std::path::PathBuf;

/// What can these servers do? List and classify their tools.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ScanArgs {
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// A row for every tool, those that only read as well, which share a line otherwise.
    #[arg(long)]
    pub all: bool,
    /// A line a server, with counts.
    #[arg(long, conflicts_with_all = ["all", "explain", "min_risk"])]
    pub summary: bool,
    /// Only tools of this risk or a worse one have a row [low, medium, high, critical].
    #[arg(long, value_name = "LEVEL", value_parser = str::parse::<RiskLevel>)]
    pub min_risk: Option<RiskLevel>,
    /// Show the evidence for every verdict.
    #[arg(long)]
    pub explain: bool,
    /// Write one catalogue record per server into this directory.
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Exit with 1 when a tool has this risk level or a worse one, or when a finding is an error [low, medium, high,
    /// critical].
    #[arg(long, value_name = "LEVEL", value_parser = str::parse::<RiskLevel>)]
    pub fail_on: Option<RiskLevel>,
    /// The servers.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One document (schemas/scan.schema.json).
    Json,
    /// One tool a line with its findings, sorted by server and tool (schemas/scan-line.schema.json); findings about a
    /// server or a whole set are in the other formats.
    Ndjson,
    /// For reviews and wikis.
    Markdown,
    /// SARIF 2.1.0 with the findings, for code scanning.
    Sarif,
}

const EXAMPLES: &str = "\
Examples:
  mcpol scan                                        the sample server inside mcpol
  mcpol scan -- npx -y @modelcontextprotocol/server-everything
  mcpol scan https://mcp.example.com/mcp --bearer-env MCP_TOKEN
  mcpol scan --config .cursor/mcp.json --yes
  mcpol scan --discover --summary
  mcpol scan --tools saved/ --format ndjson --fail-on high

Exit codes: 0 clean, 1 risk at or above --fail-on, 2 wrong argument or file,
3 a server could not be listed, 4 nothing to scan, 130 interrupted";
