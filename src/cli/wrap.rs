//! Arguments of `mcpol wrap`, `mcpol unwrap` and `mcpol clients`.

use super::{PlainFormat, PolicyProfile, RuleArgs};
use crate::clients::Client;
use std::path::PathBuf;
use std::time::Duration;

/// Put the gateway in front of servers, in their clients' files.
#[derive(Debug, clap::Args)]
#[command(after_help = WRAP_EXAMPLES)]
pub struct WrapArgs {
    /// The entries.
    #[command(flatten)]
    pub which: WhichArgs,
    /// How strict the policies are.
    #[arg(long, value_enum, default_value_t = PolicyProfile::Standard)]
    pub profile: PolicyProfile,
    /// Write policies and locks anew where there are some from before.
    #[arg(long)]
    pub force: bool,
    /// Value for an input that a client would ask for (`${input:ID}`); may be given more than once.
    #[arg(long, value_name = "ID=VALUE", value_parser = super::target::input)]
    pub input: Vec<(String, String)>,
    /// Let commands see your home directory while they are asked; without this they get an empty one.
    #[arg(long)]
    pub real_home: bool,
    /// Seconds to wait for one server, downloads included.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = super::target::seconds)]
    pub timeout: Duration,
    /// The rules.
    #[command(flatten)]
    pub rules: RuleArgs,
}

/// Take the gateway away again: the files are as they were.
#[derive(Debug, clap::Args)]
#[command(after_help = UNWRAP_EXAMPLES)]
pub struct UnwrapArgs {
    /// The entries.
    #[command(flatten)]
    pub which: WhichArgs,
}

/// Who has which servers, and which are behind the gateway?
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol clients
  mcpol clients --client cursor
  mcpol clients --format json

Exit codes: 0 there are servers, 2 a file is not valid, 4 there is none")]
pub struct ClientsArgs {
    /// Only this client, such as `cursor`.
    #[arg(long, value_name = "CLIENT", value_parser = client)]
    pub client: Option<Client>,
    /// Also those that are not here, with the places that were looked at.
    #[arg(long)]
    pub all: bool,
    /// What to print on standard output: JSON as in schemas/clients.schema.json.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = PlainFormat::Table, conflicts_with = "all")]
    pub format: PlainFormat,
}

/// Entries of clients' files, and what to do about them.
#[derive(Debug, clap::Args)]
pub struct WhichArgs {
    /// Only the files of this client, such as `cursor`; `mcpol clients` lists them.
    #[arg(long, value_name = "CLIENT", value_parser = client, conflicts_with = "config")]
    pub client: Option<Client>,
    /// Only this file; may be given more than once [default: every client's on this machine].
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Only these servers; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub server: Vec<String>,
    /// Show what would change, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it without asking.
    #[arg(long)]
    pub yes: bool,
}

fn client(text: &str) -> Result<Client, String> {
    Client::of_id(text).filter(|client| Client::all().any(|known| known == *client)).ok_or_else(|| {
        let ids: Vec<_> = Client::all().map(Client::id).collect();
        match crate::text::nearest(text, ids.iter().copied()) {
            Some(near) => format!("no such client; did you mean `{near}`?"),
            None => format!("no such client; known are {}", ids.join(", ")),
        }
    })
}

const WRAP_EXAMPLES: &str = "\
Examples:
  mcpol wrap                               choose from what the clients of this machine have
  mcpol wrap --client cursor --dry-run
  mcpol wrap --config .mcp.json --server github --profile read-only
  mcpol wrap --yes

Each server is asked for its tools, gets a policy and a lock in the configuration directory, and its
entry then starts `mcpol enforce` in front of it. `mcpol unwrap` gives the file its bytes back.

Exit codes: 0 written or nothing to write, 2 wrong argument or file, 3 a server could not be listed
and was left as it is, 4 nothing to wrap, or not agreed to";

const UNWRAP_EXAMPLES: &str = "\
Examples:
  mcpol unwrap
  mcpol unwrap --client cursor --server github --yes

Policies and locks stay, and count again when the server is wrapped again.";
