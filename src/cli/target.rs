//! Where servers are: the arguments that `scan`, `explain`, `gen-policy` and `policy check` share.

use std::path::PathBuf;
use std::time::Duration;

/// Servers to ask, or files to read instead.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Servers")]
pub struct TargetArgs {
    /// URL of a server (streamable HTTP).
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// What to call the server of a URL or a command [default: its host, package or program].
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Read servers from an MCP client's configuration file; may be given more than once.
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Only these servers of the configuration; may be given more than once.
    #[arg(long, value_name = "NAME")]
    pub server: Vec<String>,
    /// Find the servers that the MCP clients of this machine have configured.
    #[arg(long)]
    pub discover: bool,
    /// Value for an input that a client would ask for (`${input:ID}`); may be given more than once.
    #[arg(long, value_name = "ID=VALUE", value_parser = input)]
    pub input: Vec<(String, String)>,
    /// Read saved tool lists or catalogue records: files, directories, or `-` for standard input.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub tools: Vec<PathBuf>,
    /// The record of this server in a catalogue, so that no server is asked; may be given more than once.
    #[arg(long, value_name = "SERVER")]
    pub catalog: Vec<String>,
    /// The directory of records that `--catalog` looks in.
    #[arg(long, value_name = "DIR", default_value = "catalog")]
    pub catalog_dir: PathBuf,
    /// Start the commands found in configuration files without asking.
    #[arg(long)]
    pub yes: bool,
    /// Header for a URL, `Name: value`; may be given more than once.
    #[arg(long, value_name = "HEADER", requires = "url", value_parser = header)]
    pub header: Vec<String>,
    /// Header for a URL whose value is in an environment variable, `Name=VAR`; may be given more than once.
    #[arg(long, value_name = "NAME=VAR", requires = "url", value_parser = header_env)]
    pub header_env: Vec<(String, String)>,
    /// Environment variable that holds a bearer token for a URL.
    #[arg(long, value_name = "VAR", requires = "url")]
    pub bearer_env: Option<String>,
    /// Environment variable to pass to a command: `NAME` from here, or `NAME=VALUE`.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable)]
    pub env: Vec<String>,
    /// Declare this client capability: some servers list more tools to clients that offer more; may be given more than
    /// once.
    #[arg(long, value_name = "NAME", value_enum)]
    pub capability: Vec<ClientCapability>,
    /// Leave prompts, resources and resource templates out: ask for tools alone.
    #[arg(long)]
    pub no_extras: bool,
    /// Let commands see your home directory; without this they get an empty one.
    #[arg(long)]
    pub real_home: bool,
    /// Seconds to wait for one server, downloads included.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub timeout: Duration,
    /// Servers asked at the same time.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = jobs)]
    pub jobs: usize,
    /// Command of a stdio server, after `--`.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
    /// What becomes of listings that are kept for a while; the command says it, not its user.
    #[arg(skip)]
    pub kept: KeptScans,
}

impl TargetArgs {
    /// Whether they say where servers are: `--server` alone chooses among those of a file that is found.
    pub fn name_a_place(&self) -> bool {
        self.url.is_some()
            || !self.config.is_empty()
            || self.discover
            || !self.tools.is_empty()
            || !self.catalog.is_empty()
            || !self.command.is_empty()
    }
}

/// What a command makes of listings that are kept for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeptScans {
    /// Every server is asked, and nothing is kept.
    #[default]
    Unused,
    /// Every server is asked, and what it answers is kept for the next command.
    Renewed,
    /// A server is asked of which nothing is kept.
    Used,
}

/// The choice between what is kept and what a server says now.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct FreshArgs {
    /// Ask every server now, even where a scan of the last 15 minutes is kept.
    #[arg(long)]
    pub fresh: bool,
}

impl FreshArgs {
    /// What the command makes of listings that are kept.
    pub fn kept(self) -> KeptScans {
        if self.fresh { KeptScans::Renewed } else { KeptScans::Used }
    }
}

/// Something that a client may offer to a server (MCP, `ClientCapabilities`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientCapability {
    /// Folders that the server may work in; none is named.
    Roots,
    /// Asking the client's model.
    Sampling,
    /// Asking the person.
    Elicitation,
    /// Requests that go on in the background.
    Tasks,
}

/// Rule layers and how far a server's own claims are believed.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Rules")]
pub struct RuleArgs {
    /// Directory of rule files to add; a rule with a known id replaces it.
    #[arg(long, value_name = "DIR")]
    pub rules: Vec<PathBuf>,
    /// Project settings with overrides [default: mcpol.toml here, if there is one].
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Judge without the server's annotations.
    #[arg(long)]
    pub ignore_annotations: bool,
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be more than 0 and at most 86400 seconds".to_owned())
    }
}

/// Most servers asked at the same time.
const JOBS_MAX: usize = 64;

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=JOBS_MAX) => Ok(jobs),
        _ => Err(format!("must be a whole number from 1 to {JOBS_MAX}")),
    }
}

/// A header with a name that HTTP allows (RFC 9110, section 5.6.2) and a value without line breaks.
pub(super) fn header(text: &str) -> Result<String, String> {
    let (name, value) = text.split_once(':').ok_or("must be `Name: value`")?;
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Err("the name before `:` is not a header name".to_owned());
    }
    if value.chars().any(char::is_control) {
        return Err("the value holds a control character".to_owned());
    }
    Ok(text.to_owned())
}

/// An input of a client's configuration, by its id, and what its user would answer.
pub(super) fn input(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((id, value)) if !id.is_empty() => Ok((id.to_owned(), value.to_owned())),
        Some(_) | None => Err("must be `ID=VALUE`".to_owned()),
    }
}

/// A header's name and the variable that holds its value.
pub(super) fn header_env(text: &str) -> Result<(String, String), String> {
    let (name, from) = text.split_once('=').ok_or("must be `Name=VAR`")?;
    header(&format!("{name}:"))?;
    variable(from)?;
    if from.contains('=') {
        return Err("must be `Name=VAR`: the value itself stands in the variable".to_owned());
    }
    Ok((name.to_owned(), from.to_owned()))
}

fn variable(text: &str) -> Result<String, String> {
    let name = text.split('=').next().unwrap_or_default();
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) || text.contains('\0') {
        return Err("must be `NAME` or `NAME=VALUE`".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold() {
        assert!(jobs("1").is_ok() && jobs("64").is_ok() && jobs("0").is_err() && jobs("65").is_err());
        assert!(seconds("0.5").is_ok() && seconds("86400").is_ok());
        assert!(seconds("0").is_err() && seconds("86401").is_err() && seconds("NaN").is_err());
    }

    #[test]
    fn headers_and_variables_are_checked_where_they_are_typed() {
        assert!(header("X-Key: a b").is_ok());
        assert!(header("no colon").is_err() && header(": x").is_err() && header("A B: x").is_err());
        assert!(header("A: x\r\nB: y").is_err());
        assert!(variable("NAME").is_ok() && variable("NAME=a=b").is_ok() && variable("=x").is_err());
    }
}
