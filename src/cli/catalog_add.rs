//! Arguments of `mcpol catalog add`.

use super::target::{input, seconds, variable};
use super::{RuleArgs, TargetArgs};
use crate::registry::{EntryName, OFFICIAL};
use std::path::PathBuf;
use std::time::Duration;

/// Scan a server that an MCP registry names, and keep its record.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CatalogAddArgs {
    /// The entry, `NAMESPACE/NAME` with `@VERSION` or the newest.
    #[arg(value_name = "NAME[@VERSION]", required = true)]
    pub entry: Vec<EntryName>,
    /// The directory that the record is written into.
    #[arg(long, value_name = "DIR", default_value = "catalog")]
    pub to: PathBuf,
    /// The registry that is asked.
    #[arg(long, value_name = "URL", default_value = OFFICIAL)]
    pub registry_url: String,
    /// What to call the server [default: its package or host].
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Of several packages and addresses of the entry the one of this name.
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Value for an input that the entry asks for; may be given more than once.
    #[arg(long, value_name = "ID=VALUE", value_parser = input)]
    pub input: Vec<(String, String)>,
    /// Environment variable to pass on: `NAME` from here, or `NAME=VALUE`.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable)]
    pub env: Vec<String>,
    /// Start the entry's command without asking.
    #[arg(long)]
    pub yes: bool,
    /// Seconds to wait for the server, downloads included.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

impl CatalogAddArgs {
    /// What is to be scanned.
    pub fn target(&self) -> TargetArgs {
        TargetArgs {
            registry: self.entry.clone(),
            registry_url: self.registry_url.clone(),
            name: self.name.clone(),
            server: self.server.iter().cloned().collect(),
            input: self.input.clone(),
            env: self.env.clone(),
            yes: self.yes,
            timeout: self.timeout,
            jobs: 1,
            ..TargetArgs::default()
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  mcpol catalog add io.github.user/weather --env WEATHER_KEY
  mcpol catalog add com.example/shop@1.2.0 --registry-url https://registry.example --to records/

Exit codes: 0 written, 2 wrong argument or no such entry, 3 the registry or the server could not be asked";
