//! Where a server is and what is handed to it on purpose.

use crate::classify::findings::secrets;
use crate::model::ServerName;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// A server to connect to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A child process over stdio.
    Stdio(StdioTarget),
    /// A URL over streamable HTTP, or HTTP+SSE as the last fallback.
    Http(HttpTarget),
}

/// A command to run. Its `Debug` shows what [`StdioTarget::shown_argv`] shows.
#[derive(Clone, PartialEq, Eq)]
pub struct StdioTarget {
    /// What the server is called here.
    pub server: ServerName,
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// Environment variables passed on purpose, beside the few that programs need to start.
    pub env: BTreeMap<String, Secret>,
    /// Working directory, if not ours.
    pub cwd: Option<PathBuf>,
    /// What it is held to beyond the rights of our user.
    pub confinement: Confinement,
    /// Positions in `argv` that hold the value of a variable: used, but never shown or stored.
    pub hidden: BTreeSet<usize>,
}

impl StdioTarget {
    /// A command with nothing passed on purpose.
    pub fn new(server: ServerName, argv: Vec<String>) -> Self {
        Self { server, argv, env: BTreeMap::new(), cwd: None, confinement: Confinement::NONE, hidden: BTreeSet::new() }
    }

    /// The command as it may be shown and stored: `…` stands for values of variables and for what looks like a secret.
    pub fn shown_argv(&self) -> Vec<String> {
        let mut after_secret_option = false;
        let mut shown = Vec::with_capacity(self.argv.len());
        for (position, argument) in self.argv.iter().enumerate() {
            let option = argument.starts_with('-');
            let hide = self.hidden.contains(&position) || (after_secret_option && !option);
            after_secret_option = is_secret_option(argument);
            shown.push(if hide { "…".to_owned() } else { without_secret(argument) });
        }
        shown
    }
}

/// What a command is held to beyond the rights of the user that this process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// The user that it runs as; without one ours.
    pub user: Option<u32>,
    /// The group likewise. With a user, it has no other.
    pub group: Option<u32>,
    /// The files that it may reach; without it those that its user may.
    pub sandbox: Option<FileSandbox>,
}

impl Confinement {
    /// Nothing.
    pub const NONE: Self = Self { user: None, group: None, sandbox: None };
}

/// Files that a command may reach, beside those that a program needs to start (Landlock; Linux only).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSandbox {
    /// Files and directories that it may read, and run programs from.
    pub read: Vec<PathBuf>,
    /// Files and directories that it may also change.
    pub write: Vec<PathBuf>,
}

impl fmt::Debug for StdioTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StdioTarget")
            .field("server", &self.server)
            .field("argv", &self.shown_argv())
            .field("env", &self.env)
            .field("cwd", &self.cwd)
            .field("confinement", &self.confinement)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// Calls the server otherwise from now on.
    pub fn rename(&mut self, name: ServerName) {
        match self {
            Self::Stdio(target) => target.server = name,
            Self::Http(target) => target.server = name,
        }
    }

    /// What the server is called here.
    pub fn server(&self) -> &ServerName {
        match self {
            Self::Stdio(target) => &target.server,
            Self::Http(target) => &target.server,
        }
    }
}

/// Whether the name of an option, variable, header or query member says that its value is a secret.
pub fn names_a_secret(name: &str) -> bool {
    let words: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    let has = |word: &str| words.split(' ').any(|known| known == word);
    let glued = words.replace(' ', "");
    ["token", "secret", "password", "passwd", "apikey", "accesskey", "privatekey", "credential", "connectionstring"]
        .iter()
        .any(|sign| glued.contains(sign))
        || ["key", "pat", "pwd", "pass", "auth", "authorization", "bearer", "jwt", "dsn"].iter().any(|word| has(word))
}

/// Whether a value has the shape of a well-known kind of secret, whatever its name.
pub fn looks_like_a_secret(value: &str) -> bool {
    const PREFIXES: [&str; 18] = [
        "sk-",
        "sk_live_",
        "rk_live_",
        "ghp_",
        "gho_",
        "ghs_",
        "ghu_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "xapp-",
        "AKIA",
        "AIza",
        "eyJ",
        "npm_",
        "pypi-",
        "ntn_",
    ];
    let value = value.strip_prefix("Bearer ").unwrap_or(value);
    value.len() >= 16 && PREFIXES.iter().any(|prefix| value.starts_with(prefix)) && !value.contains(char::is_whitespace)
}

/// Whether the argument after this one is a secret.
fn is_secret_option(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains('=') && names_a_secret(argument)
}

/// One argument without the secret that it may hold. A command line for a shell (`sh -c '…'`) is looked at word by word.
fn without_secret(argument: &str) -> String {
    if argument.contains(' ') && !argument.contains("://") && secrets::inside(argument, "…").is_some() {
        return word_without_secret(argument);
    }
    if argument.contains(' ') && !is_named_secret(argument) {
        let mut after_secret_option = false;
        let words = argument.split(' ').map(|word| {
            let hide = after_secret_option && !word.starts_with('-') && !word.is_empty();
            after_secret_option = is_secret_option(word) || (after_secret_option && word.is_empty());
            if hide { "…".to_owned() } else { word_without_secret(word) }
        });
        return words.collect::<Vec<_>>().join(" ");
    }
    word_without_secret(argument)
}

/// Whether the argument as a whole is a name and a secret: `NAME=…`, or a header.
fn is_named_secret(argument: &str) -> bool {
    let named = |sign| argument.split_once(sign).is_some_and(|(name, _)| !name.contains(' ') && names_a_secret(name));
    named('=') || (named(':') && !argument.contains("://"))
}

fn word_without_secret(argument: &str) -> String {
    // What holds a secret among other things is shown without it: JSON, parts of a connection string.
    let (option, value) = match argument.split_once('=').filter(|(name, _)| name.starts_with('-')) {
        Some((option, value)) => (Some(option), value),
        None => (None, argument),
    };
    if !value.contains("://")
        && let Some(masked) = secrets::inside(value, "…")
    {
        return option.map_or_else(|| masked.text.clone(), |option| format!("{option}={}", masked.text));
    }
    // `--url=https://TOKEN@host/`
    if let Some((name, value)) = argument.split_once('=')
        && !name.contains("://")
        && let Ok(url) = url::Url::parse(value)
        && url.has_host()
        && (has_user_info(&url) || secrets::inside(value, "").is_some())
    {
        return format!("{name}={}", redacted(&url));
    }
    if let Ok(url) = url::Url::parse(argument)
        && url.has_host()
        && (has_user_info(&url)
            || url.query_pairs().any(|(name, _)| names_a_secret(&name))
            || secrets::inside(argument, "").is_some())
    {
        return redacted(&url);
    }
    if let Some((name, value)) = argument.split_once('=')
        && (names_a_secret(name) || looks_like_a_secret(value))
    {
        return format!("{name}=…");
    }
    // `Authorization: Bearer …`, as mcp-remote and others take it.
    if let Some((name, _)) = argument.split_once(':')
        && !argument.contains("://")
        && names_a_secret(name)
    {
        return format!("{name}: …");
    }
    if looks_like_a_secret(argument) {
        return "…".to_owned();
    }
    argument.to_owned()
}

/// A user name alone may be a token (`https://TOKEN@host`); `git` is the one that everybody has.
fn has_user_info(url: &url::Url) -> bool {
    url.password().is_some() || !matches!(url.username(), "" | "git")
}

/// An endpoint to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// What the server is called here.
    pub server: ServerName,
    /// `http` or `https`.
    pub url: url::Url,
    /// Headers sent with every request.
    pub headers: BTreeMap<String, Secret>,
    /// The token of a login, sent as `Authorization: Bearer` with every request.
    pub token: Option<LiveToken>,
    /// Headers of clients that go on to the server.
    pub forward_headers: Vec<http::HeaderName>,
}

/// A token that is replaced while we run, before it ends. Never shown.
#[derive(Clone)]
pub struct LiveToken(Arc<RwLock<Secret>>);

impl LiveToken {
    /// A token.
    pub fn new(token: Secret) -> Self {
        Self(Arc::new(RwLock::new(token)))
    }

    /// Puts another in its place, for the next request.
    pub fn set(&self, token: Secret) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// The token of now, for the one place that needs it.
    pub fn get(&self) -> Secret {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Which token it is at the moment is no part of what a target is.
impl PartialEq for LiveToken {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for LiveToken {}

impl fmt::Debug for LiveToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A value that is used but never shown: its `Debug` prints three dots, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a value from being shown.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The address without what may be secret or is never sent: user-info, query, fragment, and keys in the path.
pub fn redacted(url: &url::Url) -> String {
    let mut shown = url.clone();
    secrets::mask_path(&mut shown, "redacted");
    // These fail only for addresses without a host, which have none of them.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.to_string()
}

/// A text that was meant as an address and may be none, without what may be secret in it: of one that cannot be read no
/// more than its scheme is shown.
pub fn shown_address(text: &str) -> String {
    let url = url::Url::parse(text).ok().filter(url::Url::has_host);
    match (url, text.split_once("://")) {
        // In its own spelling where there is nothing to hide.
        (Some(url), _) if redacted(&url) == url.as_str() => text.to_owned(),
        (Some(url), _) => redacted(&url),
        (None, Some((scheme, _))) => format!("{scheme}://…"),
        (None, None) => without_secret(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_what_is_no_address_are_not_shown() {
        for (text, expected) in [
            ("ftp://me:hush@h/x?y=hush", "ftp://h/x"),
            ("http://127.0.0.1:99999/hush", "http://…"),
            ("http://[::hush/", "http://…"),
            ("https://", "https://…"),
            ("ftp://h", "ftp://h"),
            ("tools.json", "tools.json"),
            ("--api-key=hush", "--api-key=…"),
        ] {
            assert_eq!(shown_address(text), expected, "{text}");
        }
    }

    #[test]
    fn secrets_in_a_command_are_not_shown() {
        for (argument, expected) in [
            ("--api-key=abc", "--api-key=…"),
            ("--header=Authorization: Bearer abc", "--header=Authorization: …"),
            ("Authorization: Bearer abc", "Authorization: …"),
            ("ghp_0123456789abcdef", "…"),
            ("postgres://me:pw@db/x?sslmode=on", "postgres://db/x"),
            ("https://a.example/mcp?api_key=1", "https://a.example/mcp"),
            ("https://ghp_0123456789abcdef@a.example/x", "https://a.example/x"),
            ("--url=https://ghp_0123456789abcdef@a.example/x", "--url=https://a.example/x"),
            ("DATABASE_URL=postgres://me:pw@db/x", "DATABASE_URL=postgres://db/x"),
            ("ssh://git@a.example/x", "ssh://git@a.example/x"),
            ("--api-key=two words", "--api-key=…"),
            ("A=1 TOKEN=abc run --token abc --port 80", "A=1 TOKEN=… run --token … --port 80"),
            ("echo last words >&2; exit 3", "echo last words >&2; exit 3"),
            ("https://a.example/mcp?page=1", "https://a.example/mcp?page=1"),
            ("C:\\key", "C:\\key"),
            ("https://a.example/s/3f9a8c7b6d5e4f3a3f9a/mcp", "https://a.example/s/redacted/mcp"),
            ("--url=https://a.example/s/3f9a8c7b6d5e4f3a3f9a/mcp", "--url=https://a.example/s/redacted/mcp"),
            ("--config={\"apiKey\":\"3f9a8c7b6d5e4f3a\"}", "--config={\"apiKey\":\"…\"}"),
            ("{\"port\": 80, \"apiKey\": \"3f9a8c7b6d5e4f3a\"}", "{\"apiKey\":\"…\",\"port\":80}"),
            ("Server=db;Password=pw", "Server=db;Password=…"),
            ("@scope/package@1.2", "@scope/package@1.2"),
        ] {
            assert_eq!(without_secret(argument), expected);
        }
        let argv = ["run", "--token", "abc", "--port", "80", "value"].map(str::to_owned).to_vec();
        let mut target = StdioTarget::new(ServerName::new("s"), argv);
        target.hidden.insert(5);
        assert_eq!(target.shown_argv(), ["run", "--token", "…", "--port", "80", "…"]);
    }

    #[test]
    fn names_of_secrets_are_recognised_by_their_words() {
        for name in ["GITHUB_TOKEN", "apiKey", "X-Api-Key", "--db-password", "Authorization", "AUTH", "OPENAI_API_KEY"]
        {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["AUTHOR", "KEYBOARD", "monkey", "PATH", "LOG_LEVEL", "compass", "tokio"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn a_secret_never_shows_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "…");
    }
}
