//! Arguments of `mcpol enforce`.

use crate::gateway::exchange::UnknownMethods;
use crate::gateway::plan::{self, BadListener};
use crate::gateway::reload::Reloading;
use clap::Parser as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Stand between a client and a server and hold calls to a policy.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mcpol enforce --policy policy.json -- npx -y @modelcontextprotocol/server-filesystem .
  mcpol enforce --policy policy.json --upstream https://mcp.example.com/mcp --bearer-env TOKEN
  mcpol enforce --policy policy.json --locked mcpol.lock -- uvx mcp-server-time
  mcpol enforce --policy policy.json --shadow -- uvx mcp-server-git
  mcpol enforce --policy policy.json --upstream https://mcp.example.com/mcp --listen 127.0.0.1:8787
  mcpol enforce --config mcpol.toml --dry-run")]
pub struct EnforceArgs {
    /// The policy; edits take effect at once, unless --no-reload says otherwise.
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub policy: Option<PathBuf>,
    /// Serve what this file describes over HTTP: many servers, grants, listener, state. Edits take effect at once.
    #[arg(long, value_name = "FILE", conflicts_with_all = OF_ONE_SERVER)]
    pub config: Option<PathBuf>,
    /// Hold calls to what was reviewed: a tool that is new, or not as this lock has it, is refused until it is accepted.
    #[arg(long, value_name = "FILE")]
    pub locked: Option<PathBuf>,
    /// What becomes of calls of tools that are not as they were locked.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OnChangeArg::Deny, requires = "locked")]
    pub on_change: OnChangeArg,
    /// Serve tools with the hints that they deserve (`mcpol annotate`), where the server declares none or the wrong ones.
    #[arg(long, value_name = "WHAT", value_enum)]
    pub annotate: Option<AnnotateArg>,
    /// URL of the server (streamable HTTP), instead of a command.
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    pub upstream: Option<String>,
    /// Header for the URL, `Name: value`; may be given more than once.
    #[arg(long, value_name = "HEADER", requires = "upstream", value_parser = super::target::header)]
    pub header: Vec<String>,
    /// Header for the URL whose value is in an environment variable, `Name=VAR`; may be given more than once.
    #[arg(long, value_name = "NAME=VAR", requires = "upstream", value_parser = super::target::header_env)]
    pub header_env: Vec<(String, String)>,
    /// Environment variable that holds a bearer token for the URL.
    #[arg(long, value_name = "VAR", requires = "upstream")]
    pub bearer_env: Option<String>,
    /// Serve over HTTP at this address, endpoint `/mcp`, instead of standard input and output.
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen_address, help_heading = LISTENING)]
    pub listen: Option<SocketAddr>,
    /// Header of clients that goes on to the URL, by its exact name; may be given more than once. All others end here.
    #[arg(long, value_name = "NAME", requires_all = ["listen", "upstream"], value_parser = forwardable, help_heading = LISTENING)]
    pub forward_header: Vec<http::HeaderName>,
    /// Certificate chain (PEM), to speak TLS; read again when it changes.
    #[arg(long, value_name = "FILE", requires_all = ["listen", "tls_key"], help_heading = LISTENING)]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires_all = ["listen", "tls_cert"], help_heading = LISTENING)]
    pub tls_key: Option<PathBuf>,
    /// Another name by which clients know this gateway, beside localhost and its address; may be given more than once.
    #[arg(long, value_name = "NAME", requires = "listen", value_parser = host_name, help_heading = LISTENING)]
    pub host: Vec<String>,
    /// Origin of a web page that may call, such as `https://app.example.com`; may be given more than once.
    #[arg(long, value_name = "ORIGIN", requires = "listen", value_parser = origin, help_heading = LISTENING)]
    pub origin: Vec<String>,
    /// Let pages of these origins read answers (CORS).
    #[arg(long, requires = "origin", help_heading = LISTENING)]
    pub cors: bool,
    /// Serve `/healthz`, `/readyz`, `/metrics` and `/status` at this address; it asks nobody who they are.
    #[arg(long, value_name = "ADDR:PORT", value_parser = listen_address, help_heading = LISTENING)]
    pub admin: Option<SocketAddr>,
    /// Every caller must present a token (`mcpol grant create`). Needed to listen on anything but loopback.
    #[arg(long, requires = "listen", help_heading = LISTENING)]
    pub grants: bool,
    /// Keys of an issuer of tokens (JWT), beside grants: a file or an `https` URL. Every caller needs a token then.
    #[arg(long, value_name = "URL|FILE", requires_all = ["listen", "jwt_issuer", "jwt_audience"], help_heading = LISTENING)]
    pub jwks: Option<String>,
    /// What `iss` of such a token must be.
    #[arg(long, value_name = "TEXT", requires = "jwks", help_heading = LISTENING)]
    pub jwt_issuer: Option<String>,
    /// What `aud` of such a token must hold.
    #[arg(long, value_name = "TEXT", requires = "jwks", help_heading = LISTENING)]
    pub jwt_audience: Option<String>,
    /// Which claim names the caller, who is then called `jwt:` and that name.
    #[arg(long, value_name = "CLAIM", requires = "jwks", default_value = "sub", help_heading = LISTENING)]
    pub jwt_grant_claim: String,
    /// What the server is called in counters and logs [default: its package, program or host].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// In whose name calls are counted.
    #[arg(long, value_name = "NAME", default_value = LOCAL_GRANT)]
    pub grant: String,
    /// The only tools that this session calls, whatever else the policy allows, between commas; may be given more than once.
    #[arg(long, value_name = "TOOL,…", value_delimiter = ',', conflicts_with = "listen")]
    pub pledge: Option<Vec<String>>,
    /// Counters, approvals and grants: a file, a `redis://` URL, or `memory:` for this process alone [default:
    /// $MCPOL_STATE, else state.db in the state directory].
    #[arg(long, value_name = "FILE|URL|memory:")]
    pub state: Option<PathBuf>,
    /// The audit log: a file, `-` for stderr, or `none` [default: audit.jsonl in the state directory].
    #[arg(long, value_name = "FILE|-|none")]
    pub audit: Option<PathBuf>,
    /// How lines on standard error are written [default: text over HTTP, plain in a client's place].
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Decide and log, but forward every call.
    #[arg(long)]
    pub shadow: bool,
    /// Take no new version of policy, lock or configuration up while running: edits count at the next start.
    #[arg(long)]
    pub no_reload: bool,
    /// Print what would be enforced, and exit.
    #[arg(long)]
    pub dry_run: bool,
    /// Messages whose method no revision of the protocol knows: `forward` or `refuse` them, or forward these methods alone.
    #[arg(long, value_name = "forward|refuse|METHOD,…", default_value = "refuse", value_parser = unknown_methods)]
    pub unknown_methods: UnknownMethods,
    /// Give a call up that has had neither answer nor progress for so long; 0 waits for ever.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds_or_never)]
    pub call_timeout: Duration,
    /// How long a call that wants approval waits for a person.
    #[arg(long, value_name = "SECONDS", default_value = "50", value_parser = seconds_or_never)]
    pub approval_wait: Duration,
    /// Start a server that died again, so many times in all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub restart: u32,
    /// Command of a stdio server, after `--`.
    #[arg(last = true, value_name = "CMD", required_unless_present_any = ["upstream", "dry_run", "config"])]
    pub command: Vec<String>,
}

/// What becomes of calls of tools that are not as they were locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnChangeArg {
    /// Refuse them, and do not list the tools.
    Deny,
    /// Say it once for each tool, log it, and pass them on.
    Warn,
}

/// Which hints of tools clients are served beside those that the server declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum AnnotateArg {
    /// Those that the server does not declare.
    Fill,
    /// Those, and others in place of what strong evidence contradicts.
    Correct,
}

/// How the gateway writes lines on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For a person who looks at what a client shows of its server.
    Plain,
    /// With time, level and server.
    Text,
    /// One JSON object a line, with time, level, server, who speaks, and message.
    Json,
}

/// The arguments of `mcpol enforce` in a command line of a client's configuration that starts it in front of one server,
/// over standard input and output; `None` if the command is another.
pub fn wrapped_command(argv: &[String]) -> Option<EnforceArgs> {
    let (program, rest) = argv.split_first()?;
    let name = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let is_ours = matches!(name.to_ascii_lowercase().as_str(), "mcpol" | "mcpol.exe");
    if !is_ours || rest.first().map(String::as_str) != Some("enforce") {
        return None;
    }
    let super::Command::Enforce(args) = super::Cli::try_parse_from(argv).ok()?.command else { return None };
    let serves_one = args.config.is_none() && args.listen.is_none() && !args.dry_run;
    (serves_one && (args.upstream.is_some() || !args.command.is_empty())).then_some(args)
}

impl EnforceArgs {
    /// The policy of the one server; clap demands it where there is no configuration.
    pub fn policy(&self) -> &Path {
        self.policy.as_deref().unwrap_or(Path::new(""))
    }

    /// How lines on standard error are written.
    pub fn log_format(&self) -> LogFormat {
        let serves_http = self.config.is_some() || self.listen.is_some();
        self.log_format.unwrap_or(if serves_http { LogFormat::Text } else { LogFormat::Plain })
    }

    /// Whether new versions of files are taken up.
    pub fn reloading(&self) -> Reloading {
        if self.no_reload { Reloading::AtStart } else { Reloading::WhileRunning }
    }
}

/// In whose name calls are counted if nothing is said.
pub const LOCAL_GRANT: &str = "local";

/// What a configuration says itself.
const OF_ONE_SERVER: [&str; 24] = [
    "policy",
    "annotate",
    "locked",
    "upstream",
    "header",
    "header_env",
    "bearer_env",
    "forward_header",
    "listen",
    "tls_cert",
    "host",
    "origin",
    "grants",
    "jwks",
    "name",
    "pledge",
    "state",
    "audit",
    "shadow",
    "unknown_methods",
    "call_timeout",
    "approval_wait",
    "restart",
    "command",
];

const LISTENING: &str = "Over HTTP";

fn helped<T>(read: Result<T, BadListener>) -> Result<T, String> {
    read.map_err(|error| format!("{error}; {}", error.help()))
}

fn forwardable(text: &str) -> Result<http::HeaderName, String> {
    crate::gateway::http::headers::forwardable(text).map_err(str::to_owned)
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    helped(plan::listen_address(text))
}

fn host_name(text: &str) -> Result<String, String> {
    helped(plan::host_name(text))
}

fn origin(text: &str) -> Result<String, String> {
    helped(plan::origin(text))
}

fn unknown_methods(text: &str) -> Result<UnknownMethods, String> {
    match text {
        "forward" => Ok(UnknownMethods::Forward),
        "refuse" => Ok(UnknownMethods::Refuse),
        list => {
            let methods = list.split(',').map(str::trim).filter(|method| !method.is_empty());
            let read = |method: &str| match crate::policy::bad_unknown_method(method) {
                Some((message, help)) => Err(format!("{message}; {help}")),
                None => Ok(method.to_owned()),
            };
            Ok(UnknownMethods::Listed(Arc::new(methods.map(read).collect::<Result<_, _>>()?)))
        }
    }
}

/// Longest time that can be asked for, in seconds: a day.
const SECONDS_MAX: f64 = 86_400.0;

fn seconds_or_never(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if (0.0..=SECONDS_MAX).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be 0 to 86400 seconds".to_owned())
    }
}
