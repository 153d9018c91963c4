//! Why a server could not be listed, by what the person in front of it can do about it.

use super::target::redacted;
use crate::exit::Exit;
use crate::text::{escape, excerpt};
use std::fmt::Write as _;
use std::time::Duration;

/// Longest quote from a server in a message, in characters.
pub const QUOTE_CHARS_MAX: usize = 120;

/// A server could not be reached or listed. `Display` is one escaped line; [`ConnectError::render`] is the whole story.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The program is not on the search path, or the path does not exist.
    #[error("command `{}` does not exist", excerpt(program, QUOTE_CHARS_MAX))]
    CommandNotFound {
        /// As it was given.
        program: String,
    },
    /// The operating system would not start the program.
    #[error("cannot start `{}`: {source}", excerpt(program, QUOTE_CHARS_MAX))]
    CannotStart {
        /// As it was given.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process ended, or closed its standard output, before the list was complete.
    #[error("the server {how} before it answered `{method}`")]
    Exited {
        /// The request that was not answered.
        method: &'static str,
        /// `exited with status 1`, `was ended by signal 9`, `closed its output`.
        how: String,
        /// What it left behind.
        traces: Traces,
    },
    /// No answer in time.
    #[error("no answer to `{method}` within {} s", seconds(*after))]
    TimedOut {
        /// The request that was not answered.
        method: &'static str,
        /// How long this server was given altogether.
        after: Duration,
        /// What it left behind.
        traces: Traces,
    },
    /// Standard output carries another protocol.
    #[error("the command speaks {protocol} on standard output, not MCP: `{}`", excerpt(line, QUOTE_CHARS_MAX))]
    OtherProtocol {
        /// `HTTP`, `Content-Length framing`.
        protocol: &'static str,
        /// The line that gave it away.
        line: String,
        /// What it left behind.
        traces: Traces,
    },
    /// A message that is meant as an answer and cannot be read.
    #[error("the answer to `{method}` is not valid: {detail}: `{}`", excerpt(quote, QUOTE_CHARS_MAX))]
    InvalidAnswer {
        /// The request that was answered.
        method: &'static str,
        /// What is wrong with it.
        detail: String,
        /// Its beginning.
        quote: String,
    },
    /// One message over the bound; nothing of it was kept.
    #[error("the server sent one message of more than {}", size(*max_bytes))]
    TooLong {
        /// The bound, in bytes.
        max_bytes: usize,
    },
    /// The list does not end, or is larger than any that a client could use.
    #[error("the list of {what} does not end: {why}")]
    EndlessList {
        /// `tools`, `prompts`, `resources`, `resource templates`.
        what: &'static str,
        /// Which bound was passed, or which cursor came back.
        why: String,
    },
    /// A JSON-RPC error.
    #[error("the server refused `{method}`: {} ({code})", excerpt(message, QUOTE_CHARS_MAX))]
    Refused {
        /// The request that was refused.
        method: &'static str,
        /// JSON-RPC error code.
        code: i64,
        /// The server's words.
        message: String,
        /// What it left behind.
        traces: Traces,
    },
    /// Answers came, and none of them under the id of the request.
    #[error(
        "the server answered `{method}` under the id `{}`, not under the one that it was asked with",
        excerpt(id, 40)
    )]
    ForeignId {
        /// The request that was not answered.
        method: &'static str,
        /// The id of the last such answer.
        id: String,
        /// What it left behind.
        traces: Traces,
    },
    /// No revision of the protocol in common.
    #[error("the server speaks protocol version {}, which mcpol does not", excerpt(offered, QUOTE_CHARS_MAX))]
    UnsupportedVersion {
        /// What the server offers.
        offered: String,
    },
    /// The URL or a header for it is not valid.
    #[error("{0}")]
    BadTarget(String),
    /// No connection: refused, unknown host, unreachable network.
    #[error("cannot connect to {url}: {detail}")]
    Unreachable {
        /// Without user-info and query.
        url: String,
        /// What the system said.
        detail: String,
    },
    /// A connection whose other end could not be trusted, or does not speak TLS.
    #[error("no secure connection to {url}: {detail}")]
    Tls {
        /// Without user-info and query.
        url: String,
        /// What the TLS library said.
        detail: String,
    },
    /// HTTP 401.
    #[error("{url} wants a token (HTTP 401)")]
    Unauthorized {
        /// Without user-info and query.
        url: String,
        /// Whether one was sent.
        token: TokenSent,
    },
    /// HTTP 403.
    #[error("{url} refuses this client (HTTP 403){}", quoted(quote))]
    Forbidden {
        /// Without user-info and query.
        url: String,
        /// The server's words.
        quote: String,
        /// Whether the host was given as a loopback address rather than by the name `localhost`.
        loopback_address: bool,
    },
    /// Any other status that is no answer.
    #[error("{url} answered HTTP {status}{}", quoted(quote))]
    HttpStatus {
        /// Without user-info and query.
        url: String,
        /// The status code.
        status: u16,
        /// The server's words.
        quote: String,
    },
    /// A page or text instead of JSON or an event stream.
    #[error("{url} is not an MCP endpoint: it answered with {what}{}", quoted(quote))]
    NotMcp {
        /// Without user-info and query.
        url: String,
        /// `an HTML page`, `plain text` …
        what: String,
        /// Its beginning.
        quote: String,
    },
    /// A redirect that would carry headers to another origin, or that never ends.
    #[error("{url} redirects to {to}, which was not followed")]
    Redirected {
        /// Without user-info and query.
        url: String,
        /// Where to; without user-info and query.
        to: String,
    },
    /// An event stream of the older HTTP transport that sends its client to another origin.
    #[error("the event stream of {url} names {to} as its endpoint, which is another server: nothing was sent there")]
    ForeignEndpoint {
        /// Without user-info and query.
        url: String,
        /// Without user-info and query.
        to: String,
    },
    /// The server has moved within its origin, which a tool call does not follow: it is not sent twice.
    #[error("{url} has moved to {to}; a tool call is not sent twice: try it again, the next one goes there")]
    Moved {
        /// Without user-info and query.
        url: String,
        /// Where to; without user-info and query.
        to: String,
    },
    /// The connection broke in the middle of an answer.
    #[error("the connection to {url} broke: {detail}")]
    Broken {
        /// Without user-info and query.
        url: String,
        /// What the system said.
        detail: String,
    },
}

/// Whether a request carried an `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSent {
    /// None was sent.
    NotSent,
    /// One was sent and not accepted.
    Sent,
}

/// What a child process left behind that may say why: all of it escaped already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// Last lines of standard error.
    pub stderr: Vec<String>,
    /// Last lines of standard output that were no messages.
    pub stdout: Vec<String>,
}

impl ConnectError {
    /// The next step, if there is an obvious one.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::CommandNotFound { program } if program.contains(char::is_whitespace) => Some(
                "give the program and its arguments as separate words, for example `-- npx -y some-package`".to_owned(),
            ),
            Self::CommandNotFound { program } => match program.as_str() {
                "npx" | "npm" | "node" => Some("install Node.js, which brings npx".to_owned()),
                "uvx" | "uv" => Some("install uv, which brings uvx: https://docs.astral.sh/uv".to_owned()),
                "docker" => Some("install Docker, or scan the server by another command".to_owned()),
                _ => Some("check the spelling, or give the full path".to_owned()),
            },
            Self::CannotStart { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("make the file executable, or name the interpreter first".to_owned())
            }
            Self::Exited { traces, .. } if traces.speaks_no_json() => {
                traces.help().or_else(|| Some(NO_SERVER.to_owned()))
            }
            Self::Exited { traces, .. } => traces.help().or_else(|| {
                traces
                    .stderr
                    .is_empty()
                    .then(|| "run the command by hand to see why; `--env NAME` passes a variable it may need".to_owned())
            }),
            Self::TimedOut { traces, .. } => traces.help().or_else(|| {
                let longer = "give it longer with `--timeout SECONDS`";
                Some(match traces.speaks_no_json() {
                    true => format!("{NO_SERVER}; if it only greets and is slow to start, {longer}"),
                    false => longer.to_owned(),
                })
            }),
            Self::OtherProtocol { traces, protocol, .. } => traces.help().or_else(|| {
                Some(match *protocol {
                    "HTTP" => "scan its URL instead of its command".to_owned(),
                    _ => "MCP over stdio is one JSON message a line; look for another mode of this server".to_owned(),
                })
            }),
            Self::Refused { traces, code, .. } => traces.help().or_else(|| {
                (*code == METHOD_NOT_FOUND).then(|| "the server may offer no tools, or not be an MCP server".to_owned())
            }),
            Self::ForeignId { .. } => Some(
                "clients match answers by their id and would wait for ever: this is a defect of the server, report it to its authors"
                    .to_owned(),
            ),
            Self::ForeignEndpoint { url, to } => Some(match same_path(url, to) {
                Some(there) => format!(
                    "behind a proxy a server may not know its own address: tell it its public URL, or, if you trust that address, scan `{there}`"
                ),
                None => "behind a proxy a server may not know its own address: tell it its public URL".to_owned(),
            }),
            Self::UnsupportedVersion { .. } => Some("look for another release of this server or of mcpol".to_owned()),
            Self::Unreachable { .. } => Some("check that the server is running and that host and port are right".to_owned()),
            Self::Tls { detail, .. } if detail == super::http::NO_TLS => {
                Some("if the server speaks plain http, say `http://` in the URL".to_owned())
            }
            Self::Unauthorized { token: TokenSent::NotSent, .. } => Some(
                "log in with `mcpol login URL`; or put a token into an environment variable and pass its name with `--bearer-env VAR`".to_owned(),
            ),
            Self::Unauthorized { token: TokenSent::Sent, .. } => {
                Some("the token that was sent is not accepted: it may have expired or be meant for another server".to_owned())
            }
            Self::Forbidden { loopback_address: true, .. } => {
                Some("some servers accept only the name: use `localhost` in the URL".to_owned())
            }
            Self::Forbidden { .. } => Some("the token may lack a permission, or the server refuses this host".to_owned()),
            Self::HttpStatus { status: 404 | 405, .. } | Self::NotMcp { .. } => {
                Some("check the path of the URL: MCP endpoints often end in `/mcp` or `/sse`".to_owned())
            }
            Self::HttpStatus { status: 429 | 500..=599, .. } => Some("try again later".to_owned()),
            Self::Redirected { to, .. } => Some(format!("if you trust that address, use it in place of this one: {to}")),
            Self::Broken { .. } => Some("try again; if it happens again, look into the server's log".to_owned()),
            Self::InvalidAnswer { .. } | Self::TooLong { .. } | Self::EndlessList { .. } => {
                Some("this is a defect of the server: report it to its authors".to_owned())
            }
            Self::CannotStart { .. } | Self::Tls { .. } | Self::HttpStatus { .. } | Self::BadTarget(_) | Self::Moved { .. } => None,
        }
    }

    /// What a client of the gateway hears. Addresses are the operator's: a client that knew them could go there without
    /// the gateway.
    pub fn without_address(&self) -> String {
        match self {
            Self::Unreachable { detail, .. } => format!("cannot connect to the server: {detail}"),
            Self::Tls { detail, .. } => format!("no secure connection to the server: {detail}"),
            Self::Broken { .. } => "the server closed the connection without an answer".to_owned(),
            Self::Redirected { .. } => {
                "the server redirects to an address that is not followed; the operator has been told which".to_owned()
            }
            Self::Moved { to, .. } => {
                let path = url::Url::parse(to).map_or_else(|_| String::new(), |to| to.path().to_owned());
                let path = excerpt(&path, QUOTE_CHARS_MAX);
                format!(
                    "the server has moved to `{path}`; a tool call is not sent twice: try it again, the next one goes there"
                )
            }
            Self::HttpStatus { status, .. } => format!("the server answered with HTTP status {status} and no reply"),
            _ => self.to_string(),
        }
    }

    /// Whether the server may have received the request that was not answered.
    pub fn may_have_arrived(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Tls { .. } | Self::BadTarget(_))
    }

    /// What else was seen, one line each, escaped: the last lines of a child's stderr, then of its stdout.
    pub fn details(&self) -> Vec<String> {
        match self {
            Self::Exited { traces, .. }
            | Self::TimedOut { traces, .. }
            | Self::OtherProtocol { traces, .. }
            | Self::ForeignId { traces, .. }
            | Self::Refused { traces, .. } => {
                let stderr = traces.stderr.iter().map(|line| format!("stderr: {line}"));
                let stdout = traces.stdout.iter().map(|line| format!("stdout: {line}"));
                stderr.chain(stdout).collect()
            }
            Self::CommandNotFound { .. }
            | Self::CannotStart { .. }
            | Self::InvalidAnswer { .. }
            | Self::TooLong { .. }
            | Self::EndlessList { .. }
            | Self::UnsupportedVersion { .. }
            | Self::BadTarget(_)
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::HttpStatus { .. }
            | Self::NotMcp { .. }
            | Self::Redirected { .. }
            | Self::ForeignEndpoint { .. }
            | Self::Moved { .. }
            | Self::Broken { .. } => Vec::new(),
        }
    }

    /// Message, details and next step on lines of their own, the later ones indented; safe for a terminal.
    pub fn render(&self) -> String {
        let mut out = escape(&self.to_string()).into_owned();
        for line in self.details() {
            let _ = write!(out, "\n  {}", escape(&line));
        }
        if let Some(help) = self.help() {
            let _ = write!(out, "\n  help: {}", escape(&help));
        }
        out
    }

    /// The exit code of a run that ends with this.
    pub fn exit(&self) -> Exit {
        match self {
            Self::BadTarget(_) => Exit::Usage,
            _ => Exit::Unreachable,
        }
    }
}

impl Traces {
    /// What the traces suggest to try.
    fn help(&self) -> Option<String> {
        let both = || self.stderr.iter().chain(&self.stdout);
        // Python servers without an upper bound die at import on the SDK's second major version.
        if self.stderr.iter().any(|line| misses_the_sdk(line)) {
            return Some(
                "this server may need the first generation of the Python SDK: `uvx --with 'mcp<2' …`".to_owned(),
            );
        }
        both().find_map(|line| url_in(line)).map(|url| {
            format!(
                "it seems to serve HTTP: leave it running and scan `{url}`, with the path that its documentation names"
            )
        })
    }

    /// Whether there were words on standard output, and none that could be a message.
    fn speaks_no_json(&self) -> bool {
        !self.stdout.is_empty() && self.stdout.iter().all(|line| !line.trim_start().starts_with(['{', '[']))
    }
}

const NO_SERVER: &str =
    "what it prints is no JSON: this is no MCP server, or it wants another argument to be one over standard output";

const METHOD_NOT_FOUND: i64 = rmcp::model::ErrorCode::METHOD_NOT_FOUND.0 as i64;

/// Whether the last line of a Python traceback says that the SDK is not what the server was written for: the module `mcp`
/// or one below it, or what is in it. What stands on other lines, such as paths, says nothing of the cause.
fn misses_the_sdk(line: &str) -> bool {
    let Some((error, why)) = line.split_once(": ") else { return false };
    let is_of_sdk = ["'mcp.", "'mcp'", "FastMCP", "site-packages/mcp/"].iter().any(|sign| why.contains(sign));
    let errors = ["ImportError", "ModuleNotFoundError", "AttributeError", "TypeError"];
    is_of_sdk && errors.contains(&error.trim())
}

/// The first `http` address on this machine that a line names.
fn url_in(line: &str) -> Option<String> {
    let start = line.find("http://").or_else(|| line.find("https://"))?;
    let end =
        line[start..].find(|c: char| c.is_whitespace() || "\"'`<>)],".contains(c)).map_or(line.len(), |at| start + at);
    let url = url::Url::parse(&line[start..end]).ok()?;
    let local = match url.host()? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback() || address.is_unspecified(),
        url::Host::Ipv6(address) => address.is_loopback() || address.is_unspecified(),
    };
    local.then(|| redacted(&url).trim_end_matches(['.', '/']).to_owned())
}

/// The path of one address at the host of another.
fn same_path(url: &str, to: &str) -> Option<String> {
    let (url, mut there) = (url::Url::parse(url).ok()?, url::Url::parse(to).ok()?);
    there.set_path(url.path());
    Some(redacted(&there))
}

fn quoted(quote: &str) -> String {
    if quote.is_empty() { String::new() } else { format!(": `{}`", excerpt(quote, QUOTE_CHARS_MAX)) }
}

fn size(bytes: usize) -> String {
    const MIB: usize = 1024 * 1024;
    if bytes.is_multiple_of(MIB) { format!("{} MiB", bytes / MIB) } else { format!("{bytes} bytes") }
}

fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds.fract() == 0.0 { format!("{seconds:.0}") } else { format!("{seconds:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(stderr: &[&str]) -> ConnectError {
        let stderr = stderr.iter().map(|line| (*line).to_owned()).collect();
        ConnectError::Exited {
            method: "initialize",
            how: "exited with status 1".to_owned(),
            traces: Traces { stderr, stdout: Vec::new() },
        }
    }

    #[test]
    fn only_an_import_error_of_the_sdk_suggests_its_first_generation() {
        let hint = |lines: &[&str]| exited(lines).help().is_some_and(|help| help.contains("mcp<2"));
        assert!(hint(&["ModuleNotFoundError: No module named 'mcp.server.fastmcp'"]));
        assert!(hint(&["    from mcp.server import X", "ImportError: cannot import name 'X' from 'mcp.server'"]));
        assert!(hint(&["TypeError: FastMCP.__init__() got an unexpected keyword argument 'port'"]));
        assert!(hint(&["AttributeError: module 'mcp.types' has no attribute 'TextContent'"]));
        assert!(!hint(&["ModuleNotFoundError: No module named 'requests'"]));
        let traceback = ["  File \"/srv/mcp/server.py\", line 1", "    import requests  # from mcp"];
        assert!(!hint(&[traceback[0], traceback[1], "ModuleNotFoundError: No module named 'requests'"]));
        assert!(!hint(&["KeyError: 'mcp.token'"]));
    }

    #[test]
    fn a_program_that_speaks_no_json_is_said_to_be_no_server() {
        let help = |stdout: &[&str]| {
            let traces = Traces { stderr: Vec::new(), stdout: stdout.iter().map(|line| (*line).to_owned()).collect() };
            ConnectError::TimedOut { method: "initialize", after: Duration::from_secs(1), traces }
                .help()
                .unwrap_or_default()
        };
        let usage = help(&["Usage: tool [options]"]);
        assert!(usage.contains("no MCP server") && usage.contains("--timeout"), "{usage}");
        assert!(help(&[]).contains("--timeout") && help(&["{\"a\":1}"]).contains("--timeout"));
    }

    #[test]
    fn a_printed_address_of_this_machine_is_suggested() {
        let help = |line: &str| exited(&[line]).help().unwrap_or_default();
        assert!(help("Listening on http://localhost:3000/mcp.").contains("`http://localhost:3000/mcp`"));
        assert!(!help("see https://example.com/docs").contains("example.com"));
    }

    #[test]
    fn the_whole_story_is_safe_for_a_terminal() {
        let error = ConnectError::Refused {
            method: "tools/list",
            code: -32000,
            message: "\u{1b}[2Jboo\n".to_owned(),
            traces: Traces::default(),
        };
        assert_eq!(error.render(), "the server refused `tools/list`: \\u{1b}[2Jboo\\n (-32000)");
    }
}
