//! Arguments of `mcpol rules`.

use clap::Subcommand;
use std::path::PathBuf;

/// List, test, explain and measure the classification rules.
#[derive(Debug, clap::Args)]
pub struct RulesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RulesCommand,
}

/// What can be done with rules.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Every rule and finding: id, what it says, why.
    List(ListArgs),
    /// Check rule files: all problems at once, with file and line.
    Lint(LayerArgs),
    /// Run the tests that stand beside the rules.
    Test(LayerArgs),
    /// One rule or finding: why it exists, what it matches, its tests.
    Explain(ExplainRuleArgs),
    /// Measure the rules against labelled tools.
    Eval(EvalArgs),
}

/// Rule layers.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LayerArgs {
    /// Directory of rule files to add; a rule with a known id replaces it.
    #[arg(long, value_name = "DIR")]
    pub rules: Vec<PathBuf>,
}

/// Arguments of `mcpol rules list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// The rules.
    #[command(flatten)]
    pub layers: LayerArgs,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = RulesFormat::Table)]
    pub format: RulesFormat,
}

/// Arguments of `mcpol rules explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainRuleArgs {
    /// Id of a rule or a finding, as in `mcpol rules list`.
    #[arg(value_name = "ID")]
    pub id: String,
    /// The rules.
    #[command(flatten)]
    pub layers: LayerArgs,
}

/// Arguments of `mcpol rules eval`.
#[derive(Debug, clap::Args)]
#[command(after_help = EVAL_HELP)]
pub struct EvalArgs {
    /// Labels: one JSON object a line, with server, tool, category, also, blast, flags, why.
    #[arg(value_name = "LABELS")]
    pub labels: PathBuf,
    /// Saved tool lists that the labels speak of: files or directories.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub tools: Vec<PathBuf>,
    /// The rules.
    #[command(flatten)]
    pub layers: LayerArgs,
    /// Let the rules see the servers' annotations, which are withheld otherwise.
    #[arg(long)]
    pub with_annotations: bool,
    /// Judge each server without the rules that were written from its own fold alone.
    #[arg(long)]
    pub folds: bool,
    /// Most misses of a kind that are listed; 0 lists none.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub misses: usize,
    /// Exit with 1 when less than this percentage of the categories is exact.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub min_category: Option<f64>,
    /// Exit with 1 when less than this percentage of the blast radii is accepted.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub min_radius: Option<f64>,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t = RulesFormat::Table)]
    pub format: RulesFormat,
}

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RulesFormat {
    /// For people.
    Table,
    /// One document.
    Json,
}

const EVAL_HELP: &str = "\
A line of LABELS:
  {\"server\": \"files\", \"tool\": \"write_file\", \"category\": \"Write\", \"also\": [],
   \"blast\": [\"medium\"], \"flags\": [\"filesystem\"], \"why\": \"\"}

Exit codes: 0 measured, 1 below --min-category or --min-radius, 2 wrong argument
or file, 4 no label met a tool";

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("must be a percentage from 0 to 100".to_owned()),
    }
}
