//! What a gateway over HTTP serves: complete and checked, whether it came from flags or from a file. Plain data; only
//! addresses, hosts and origins are read here.

use super::exchange::HintPlan;
use super::locked::OnChange;
use super::mediate::Settings;
use super::reload::{Enforcement, Reloading};
use crate::mcp::target::{HttpTarget, StdioTarget};
use crate::model::ServerName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a gateway over HTTP is told beside its stores, grants and log.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where and how clients connect.
    pub listener: Listener,
    /// The servers, each at `/mcp/NAME`; a single one at `/mcp` as well.
    pub servers: BTreeMap<ServerName, Served>,
    /// How sessions are run.
    pub settings: Settings,
    /// How long calls in flight may take when the gateway is asked to end.
    pub drain: Duration,
    /// Whether new versions of policies and locks are taken up.
    pub reloading: Reloading,
}

/// Where and to whom the gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address that clients connect to; port 0 takes any that is free.
    pub address: SocketAddr,
    /// Certificate and key, if the listener speaks TLS.
    pub tls: Option<TlsFiles>,
    /// Names that `Host` may have, lower case and without port, beside loopback names and the address itself. A web
    /// page that has another name resolve to this machine (DNS rebinding) must not get in.
    pub hosts: BTreeSet<String>,
    /// Origins of web pages that may call, such as `https://app.example.com` or, with an unusual port,
    /// `http://localhost:6274`.
    pub origins: BTreeSet<String>,
    /// Whether these web pages may read answers.
    pub cors: Cors,
}

/// Whether web pages of [`Listener::origins`] may read answers (Fetch Standard, CORS protocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cors {
    /// No CORS header is ever sent.
    Off,
    /// Preflights are answered and answers carry CORS headers.
    On,
}

/// A certificate chain and its key, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the gateway's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// One server behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Where the server is.
    pub backend: Backend,
    /// The server's policy, for callers whose grant has none of its own. Without either, every call is denied.
    pub policy: Option<PathBuf>,
    /// Whether denied calls are kept back.
    pub enforcement: Enforcement,
    /// The lock that its tools are held to, if there is one.
    pub locked: Option<LockPlan>,
    /// URIs of the folders that it hears of when it asks a client for its roots, unless the policy lets the client answer.
    pub roots: Vec<String>,
    /// The hints of tools that clients are served where the server's are missing or wrong; `None` leaves them as declared.
    pub hints: Option<HintPlan>,
}

/// A lock, and how strictly it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockPlan {
    /// The file; its entry is the one with the server's name.
    pub path: PathBuf,
    /// What becomes of calls of tools that are not as they were locked.
    pub on_change: OnChange,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Behind a URL.
    Http(HttpTarget),
    /// A command that is run.
    Stdio(Children),
}

/// A command, and how many children of it there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Children {
    /// The command, with the whole environment that it gets.
    pub target: StdioTarget,
    /// Whom a child serves.
    pub per: Per,
    /// How long a child may get no request before it is ended.
    pub idle: Duration,
    /// How many times a child that died is started again while its session lasts.
    pub restarts: u32,
}

/// Whom one child of a stdio server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// One session.
    Session,
    /// All requests of one grant.
    Grant,
}

/// Why a text cannot be part of a listener; holds the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadListener {
    /// The text is no address.
    #[error("`{0}` is not an address to listen on")]
    Address(String),
    /// The text is no name of a host.
    #[error("`{0}` is not the name of a host")]
    Host(String),
    /// The text is no origin.
    #[error("`{0}` is not an origin")]
    Origin(String),
}

impl BadListener {
    /// How the operator has to write it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Address(_) => "an address is an IP and a port, such as `127.0.0.1:8787` or `[::1]:8787`",
            Self::Host(_) => "a host is a name without scheme and port, such as `gateway.example.com`",
            Self::Origin(_) => "an origin is a scheme, a host and a port if it is unusual: `https://app.example.com`",
        }
    }
}

/// Reads an address to listen on: an IP and a port, or `localhost:PORT`.
///
/// # Errors
/// The text is no address.
pub fn listen_address(text: &str) -> Result<SocketAddr, BadListener> {
    let number = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    number.as_deref().unwrap_or(text).parse().map_err(|_| BadListener::Address(text.to_owned()))
}

/// Reads the name of a host as `Host` has it, in lower case and without port.
///
/// # Errors
/// The text is no name of a host.
pub fn host_name(text: &str) -> Result<String, BadListener> {
    let bad = || BadListener::Host(text.to_owned());
    let is_name =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte));
    let authority: http::uri::Authority = text.parse().map_err(|_| bad())?;
    // A colon outside of brackets is a port.
    if !is_name || authority.port().is_some() || authority.as_str().ends_with(':') {
        return Err(bad());
    }
    Ok(authority.host().to_ascii_lowercase())
}

/// Reads an origin as browsers send it (RFC 6454, section 6.2).
///
/// # Errors
/// The text is no origin, or one that every page can have (`null`).
pub fn origin(text: &str) -> Result<String, BadListener> {
    let bad = || BadListener::Origin(text.to_owned());
    let url = url::Url::parse(text).map_err(|_| bad())?;
    let is_plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.has_host();
    let serialized = url.origin().ascii_serialization();
    if !is_plain || serialized == "null" || !url.username().is_empty() || url.password().is_some() {
        return Err(bad());
    }
    Ok(serialized)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::fmt::Debug + ToString>(
        read: impl Fn(&str) -> Result<T, BadListener>,
        rows: &[(&str, Option<&str>)],
    ) {
        for (text, expected) in rows {
            assert_eq!(read(text).ok().map(|value| value.to_string()).as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn addresses_are_numbers_with_a_port() {
        check(
            listen_address,
            &[
                ("127.0.0.1:8787", Some("127.0.0.1:8787")),
                ("localhost:0", Some("127.0.0.1:0")),
                ("[::1]:80", Some("[::1]:80")),
                ("0.0.0.0:80", Some("0.0.0.0:80")),
                ("8787", None),
                (":8787", None),
                ("example.com:80", None),
                ("127.0.0.1", None),
            ],
        );
    }

    #[test]
    fn hosts_have_neither_scheme_nor_port() {
        check(
            host_name,
            &[
                ("Gateway.Example.com", Some("gateway.example.com")),
                ("[::1]", Some("[::1]")),
                ("10.0.0.1", Some("10.0.0.1")),
                ("a.example:80", None),
                ("a.example:", None),
                ("https://a.example", None),
                ("user@a.example", None),
                ("a b", None),
                ("*", None),
                ("", None),
            ],
        );
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        check(
            origin,
            &[
                ("https://App.example.com", Some("https://app.example.com")),
                ("https://app.example.com:443/", Some("https://app.example.com")),
                ("http://localhost:6274", Some("http://localhost:6274")),
                ("https://app.example.com/path", None),
                ("app.example.com", None),
                ("null", None),
                ("*", None),
                ("data:text/plain,x", None),
                ("https://me@app.example.com", None),
            ],
        );
    }
}
