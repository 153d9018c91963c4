//! Arguments of `mcpol catalog`.

use super::RuleArgs;
use crate::model::{Category, Flag, RiskLevel};
use std::path::PathBuf;

/// Work with a directory of records: one file a server, as `scan --save` writes it.
#[derive(Debug, clap::Args)]
pub struct CatalogArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CatalogCommand,
}

/// What can be done with a catalogue.
#[derive(Debug, clap::Subcommand)]
pub enum CatalogCommand {
    /// Write a page for every server, every tool and every known attack.
    Build(CatalogBuildArgs),
    /// Show a site that was built, on this machine alone.
    Serve(CatalogServeArgs),
    /// Find tools by words, class, flag or finding.
    Search(CatalogSearchArgs),
    /// Show a server's record, or why one of its tools has its class.
    Show(CatalogShowArgs),
    /// Count servers and tools by class, registry and finding.
    Stats(CatalogStatsArgs),
    /// Say what is different between two records, or two directories of them.
    Diff(CatalogDiffArgs),
}

/// Show a site that was built, on this machine alone.
#[derive(Debug, clap::Args)]
pub struct CatalogServeArgs {
    /// The site, as `mcpol catalog build` has made it.
    #[arg(value_name = "DIR", default_value = "site")]
    pub site: PathBuf,
    /// The port on 127.0.0.1; 0 is any that is free.
    #[arg(long, value_name = "PORT", default_value_t = 8484)]
    pub port: u16,
}

/// Find tools by words, class, flag or finding.
#[derive(Debug, clap::Args)]
#[command(after_help = SEARCH_EXAMPLES)]
pub struct CatalogSearchArgs {
    /// Words, all of which must begin a word of the tool's name, its server or its description.
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
    /// Only tools of this category [Read, Write, Execute, Delete].
    #[arg(long, value_name = "CATEGORY", value_parser = str::parse::<Category>)]
    pub category: Option<Category>,
    /// Only tools of this risk or a worse one [low, medium, high, critical].
    #[arg(long, value_name = "LEVEL", value_parser = str::parse::<RiskLevel>)]
    pub risk: Option<RiskLevel>,
    /// Only tools with this flag, for example `egress`.
    #[arg(long, value_name = "FLAG", value_parser = str::parse::<Flag>)]
    pub flag: Option<Flag>,
    /// Only tools with this finding, for example `instructs-model`.
    #[arg(long, value_name = "ID")]
    pub finding: Option<String>,
    /// Most tools that are shown.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub limit: usize,
    /// The directory of records.
    #[arg(long, value_name = "DIR", default_value = "catalog")]
    pub records: PathBuf,
    /// Print JSON for machines.
    #[arg(long)]
    pub json: bool,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Show a server's record, or why one of its tools has its class.
#[derive(Debug, clap::Args)]
pub struct CatalogShowArgs {
    /// The server, or the server and a tool of it.
    #[arg(value_name = "SERVER[/TOOL]")]
    pub what: String,
    /// The directory of records.
    #[arg(long, value_name = "DIR", default_value = "catalog")]
    pub records: PathBuf,
    /// Print JSON for machines.
    #[arg(long)]
    pub json: bool,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Count servers and tools by class, registry and finding.
#[derive(Debug, clap::Args)]
pub struct CatalogStatsArgs {
    /// The directory of records.
    #[arg(long, value_name = "DIR", default_value = "catalog")]
    pub records: PathBuf,
    /// Print JSON for machines.
    #[arg(long)]
    pub json: bool,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Say what is different between two records, or two directories of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 nothing is different, 1 something is, 2 wrong argument or file")]
pub struct CatalogDiffArgs {
    /// The record, or the directory, of before.
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The record, or the directory, of now.
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

const SEARCH_EXAMPLES: &str = "\
Examples:
  mcpol catalog search delete branch
  mcpol catalog search --flag egress --risk high
  mcpol catalog search mail --records my-records/ --json

An index of the records is kept among what may be thrown away (MCPOL_CACHE, else the user's cache) and brought up to
date by what changed.

Exit codes: 0 found, 2 wrong argument or file, 4 nothing found";

/// Write a page for every server, every tool and every known attack.
#[derive(Debug, clap::Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub struct CatalogBuildArgs {
    /// Records or saved lists of tools: files, or directories of them.
    #[arg(value_name = "PATH", default_value = "catalog")]
    pub records: Vec<PathBuf>,
    /// The directory that the site is written into: a new one, an empty one, or one that an earlier run has made.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Address at which the site will stand: maps of a site hold whole addresses, so without it there is none.
    #[arg(long, value_name = "URL", value_parser = address)]
    pub base_url: Option<String>,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

fn address(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|error| error.to_string())?;
    let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if !plain || !url.username().is_empty() || url.password().is_some() {
        return Err("must be an http or https address without user, query and fragment".to_owned());
    }
    Ok(url.to_string())
}

const BUILD_EXAMPLES: &str = "\
Examples:
  mcpol catalog build -o site/                      the records in catalog/
  mcpol catalog build my-records/ -o site/ --base-url https://tools.example.com/
  mcpol scan --discover --save records/ && mcpol catalog build records/ -o site/

A directory `older` beside records holds records of versions before: pages tell what changed.

Exit codes: 0 written, 2 wrong argument or file, 4 no record";
