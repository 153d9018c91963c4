//! A server's source without what may be a secret, fit to be written into a file that is committed.

use crate::classify::findings::secrets;
use crate::classify::findings::source::literal_secret;
use crate::model::ServerSource;
use std::borrow::Cow;

/// What stands where a secret was.
pub const REDACTED: &str = "[redacted]";

/// The same source; arguments that look like secrets, and user-info and query of URLs among them, are replaced.
pub fn source(source: &ServerSource) -> ServerSource {
    match source {
        ServerSource::Command { argv, env, package } => {
            ServerSource::Command { argv: arguments(argv), env: env.clone(), package: package.clone() }
        }
        ServerSource::Url { url: full, headers } => {
            ServerSource::Url { url: url(full).into_owned(), headers: headers.clone() }
        }
        ServerSource::File { .. } | ServerSource::Sample => source.clone(),
    }
}

/// A command line without secrets: `--api-key VALUE`, `--token=VALUE`, values that look like tokens, passwords in URLs.
fn arguments(argv: &[String]) -> Vec<String> {
    let mut option = "";
    let mut out = Vec::with_capacity(argv.len());
    for argument in argv {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with('-') => (Some(name), value),
            _ => (None, argument.as_str()),
        };
        // What holds more than a secret keeps the rest; any other value goes as a whole.
        let inside = || secrets::inside(value, REDACTED).filter(|_| !value.contains("://"));
        let shown = match url(value) {
            Cow::Owned(cleaned) => cleaned,
            Cow::Borrowed(_) if literal_secret(name.unwrap_or(option).trim_start_matches('-'), value) => {
                REDACTED.to_owned()
            }
            Cow::Borrowed(plain) => inside().map_or_else(|| plain.to_owned(), |masked| masked.text),
        };
        out.push(name.map_or_else(|| shown.clone(), |name| format!("{name}={shown}")));
        option = if argument.starts_with('-') && name.is_none() { argument } else { "" };
    }
    out
}

/// A URL without password, query and keys in its path; any other text as it is.
fn url(text: &str) -> Cow<'_, str> {
    let Ok(mut parsed) = url::Url::parse(text) else { return Cow::Borrowed(text) };
    // A user name alone may be a token; `git` is the one that everybody has.
    let user = !matches!(parsed.username(), "" | "git") && parsed.password().is_none();
    if parsed.cannot_be_a_base() || !parsed.has_host() {
        return Cow::Borrowed(text);
    }
    let key = secrets::mask_path(&mut parsed, "redacted");
    if !(key || user || parsed.password().is_some() || parsed.query().is_some()) {
        return Cow::Borrowed(text);
    }
    // Only a URL without a host refuses these, and then there is no password to hide.
    if user {
        let _ = parsed.set_username("redacted");
    }
    if parsed.password().is_some() {
        let _ = parsed.set_password(Some("redacted"));
    }
    if parsed.query().is_some() {
        parsed.set_query(Some("redacted"));
    }
    Cow::Owned(parsed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(argv: &str, expected: &str) {
        let argv: Vec<String> = argv.split(' ').map(str::to_owned).collect();
        assert_eq!(arguments(&argv).join(" "), expected);
    }

    #[test]
    fn secrets_in_arguments_are_left_out() {
        check("npx -y x --api-key 0123456789abcdef0123", "npx -y x --api-key [redacted]");
        check("npx x --token=0123456789abcdef0123", "npx x --token=[redacted]");
        check("npx x postgresql://u:secret-word@db/app", "npx x postgresql://u:redacted@db/app");
        check("npx x https://ghp_secret@h/mcp", "npx x https://redacted@h/mcp");
        check("npx x https://h/s/3f9a8c7b6d5e4f3a3f9a/mcp", "npx x https://h/s/redacted/mcp");
        check("npx x --config={\"apiKey\":\"3f9a8c7b6d5e4f3a\"}", "npx x --config={\"apiKey\":\"[redacted]\"}");
        check("npx x Server=db;Password=pw", "npx x Server=db;Password=[redacted]");
        check("npx x --url=https://h/mcp?key=abc", "npx x --url=https://h/mcp?redacted");
    }

    #[test]
    fn the_rest_stays_to_the_letter() {
        check("npx -y @scope/server@1.2.3 /srv/data --read-only", "npx -y @scope/server@1.2.3 /srv/data --read-only");
        check("uvx --with mcp<2 server", "uvx --with mcp<2 server");
        check("uvx ssh://git@h/repository", "uvx ssh://git@h/repository");
        check("x https://h/mcp", "x https://h/mcp");
    }
}
