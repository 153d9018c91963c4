//! Where a server comes from: packages without a version, unencrypted connections, secrets written out.

use super::kinds::finding;
use super::secrets;
use crate::model::{Finding, Package, ServerSource, Severity};
use crate::text::excerpt;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Shortest value that can be a secret worth the name, in bytes.
const SECRET_BYTES_MIN: usize = 8;
/// Most names that a message lists.
const NAMED_MAX: usize = 5;
/// Longest name inside a message, in characters.
const NAME_CHARS_MAX: usize = 60;

/// How tokens of well-known services begin, and how long they are at least. Published by the services so that scanners
/// can find them.
const TOKEN_PREFIXES: [(&str, usize); 34] = [
    ("sk-", 20),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("sk_test_", 16),
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xapp-", 20),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 35),
    ("ya29.", 20),
    ("hf_", 30),
    ("npm_", 30),
    ("pypi-", 30),
    ("dop_v1_", 30),
    ("PMAK-", 30),
    ("ntn_", 30),
    ("secret_", 30),
    ("lin_api_", 30),
    ("shpat_", 30),
    ("SG.", 40),
    ("whsec_", 20),
    ("eyJhbGciOi", 40),
    ("tvly-", 20),
    ("figd_", 20),
    ("-----BEGIN ", 20),
];
/// Words in the name of a variable, header or option that make its value a secret.
const SECRET_WORDS: [&str; 19] = [
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "access-key",
    "accesskey",
    "private_key",
    "private-key",
    "credential",
    "authorization",
    "auth_key",
    // Connection strings of Azure.
    "accountkey",
    "sharedaccesskey",
];
/// Words that make such a name harmless again: where the secret is, not what it is.
const HARMLESS_WORDS: [&str; 12] = [
    "path",
    "file",
    "_url",
    "endpoint",
    "_name",
    "_id",
    "max_token",
    "max-token",
    "token_limit",
    "count",
    "_uri",
    "expir",
];

/// Findings about a server's command or URL.
pub(super) fn of_source(source: &ServerSource) -> Vec<Finding> {
    let mut found = Vec::new();
    match source {
        ServerSource::Command { argv, package, .. } => {
            let package = package.clone().or_else(|| Package::of_command(argv));
            found.extend(package.as_ref().and_then(unpinned));
            found.extend(secret_in_config("the command line", &secret_arguments(argv)));
            found.extend(argv.iter().find_map(|argument| plain_http(argument)));
        }
        ServerSource::Url { url, .. } => found.extend(plain_http(url)),
        ServerSource::File { .. } | ServerSource::Sample => {}
    }
    found
}

fn unpinned(package: &Package) -> Option<Finding> {
    if package.version.is_some() {
        return None;
    }
    let name = excerpt(&package.name, NAME_CHARS_MAX);
    let served =
        |pinned| format!("`{name}` runs in whatever version its registry serves that day; pin it as `{name}{pinned}`");
    let message = match package.registry.as_str() {
        "git" => format!("`{name}` runs as its branch or tag is that day; name one commit, by all its 40 digits"),
        "oci" => served("@sha256:…"),
        _ => served("@VERSION"),
    };
    Some(finding("unpinned-package", Severity::Warning, "", message))
}

/// A URL with the scheme http to another machine.
fn plain_http(url: &str) -> Option<Finding> {
    // Only what is an http URL from its first letter: an argument may hold anything.
    let is_http = url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let parsed = is_http.then(|| url::Url::parse(url).ok())??;
    let host = parsed.host_str()?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let local = address.map_or_else(
        |_| host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
        |address| address.is_loopback() || address.is_unspecified(),
    );
    // `host.docker.internal` is this machine seen from a container.
    if local || host == "host.docker.internal" {
        return None;
    }
    let message = format!("speaks unencrypted HTTP with `{}`; use https", excerpt(host, NAME_CHARS_MAX));
    Some(finding("plain-http", Severity::Warning, "", message))
}

/// Whether a value of this name is a secret that is written out. A reference (`${TOKEN}`, `${input:key}`, `$TOKEN`,
/// `%TOKEN%`, `{env:TOKEN}`), a placeholder (`<your token>`, `YOUR_API_KEY`, `xxx`) and a short word are not.
///
/// `name` is the environment variable, the header, or the option that the value belongs to; empty if there is none.
pub fn literal_secret(name: &str, value: &str) -> bool {
    let bare = ["Bearer ", "bearer ", "Basic ", "basic ", "Token ", "token "];
    let value = bare.iter().find_map(|scheme| value.strip_prefix(scheme)).unwrap_or(value).trim();
    if is_placeholder(value) {
        return false;
    }
    if TOKEN_PREFIXES.iter().any(|(prefix, length)| value.starts_with(prefix) && value.len() >= *length)
        || has_password(value)
    {
        return true;
    }
    names_a_secret_value(name)
        && value.len() >= SECRET_BYTES_MIN
        && !value.contains(char::is_whitespace)
        && !value.starts_with('/')
        && !value.starts_with("http")
        && !matches!(
            value.to_ascii_lowercase().as_str(),
            "disabled" | "required" | "optional" | "keychain" | "anonymous"
        )
}

/// Whether the name of a variable, member or part says that its value is a secret.
pub(super) fn names_a_secret_value(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // An account is no count.
    let harmless = name.replace("account", "");
    SECRET_WORDS.iter().any(|word| name.contains(word)) && !HARMLESS_WORDS.iter().any(|word| harmless.contains(word))
}

/// The finding for secrets written out in `place`, for example `the environment`. Names only, never values.
pub fn secret_in_config(place: &str, names: &BTreeSet<String>) -> Option<Finding> {
    if names.is_empty() {
        return None;
    }
    let mut shown: Vec<_> =
        names.iter().take(NAMED_MAX).map(|name| format!("`{}`", excerpt(name, NAME_CHARS_MAX))).collect();
    if names.len() > NAMED_MAX {
        shown.push(format!("{} more", names.len() - NAMED_MAX));
    }
    let message = format!("{place} holds a secret written out ({}); refer to a variable instead", shown.join(", "));
    Some(finding("secret-in-config", Severity::Warning, "", message))
}

/// The names of options whose value, as `--option value`, `--option=value` or `NAME=value`, is a secret.
pub fn secret_arguments(argv: &[String]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, argument) in argv.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| argv[before].as_str());
        let option = if before.starts_with('-') { before } else { "" };
        if argument.starts_with("--") || (!argument.contains("://") && argument.contains('=')) {
            if let Some((name, value)) = argument.split_once('=')
                && literal_secret(name, value)
            {
                names.insert(name.to_owned());
            }
        } else if let Some((name, value)) = argument.split_once(": ") {
            // `--header "Authorization: Bearer …"`, as mcp-remote takes it.
            if literal_secret(name, value) {
                names.insert(name.to_owned());
            }
        } else if literal_secret(option, argument) {
            names.insert(if option.is_empty() { format!("argument {at}") } else { option.to_owned() });
        }
        let value =
            argument.split_once('=').filter(|(name, _)| name.starts_with('-')).map_or(argument.as_str(), |it| it.1);
        names.extend(secrets::inside(value, "").into_iter().flat_map(|masked| masked.names));
    }
    names
}

/// A URL with a password in it: `postgres://user:secret@host/db`.
fn has_password(value: &str) -> bool {
    value.contains("://")
        && url::Url::parse(value)
            .is_ok_and(|url| url.password().is_some_and(|password| !is_placeholder(password) && password.len() > 2))
        && !value.contains("user:password@")
        && !value.contains("user:pass@")
}

pub(super) fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let starts = [
        "$",
        "%",
        "{",
        "<",
        "[",
        "your",
        "my-",
        "my_",
        "example",
        "changeme",
        "change-me",
        "replace",
        "insert",
        "todo",
        "dummy",
        "op://",
        "vault:",
    ];
    let same = value.chars().next().is_some_and(|first| value.chars().all(|c| c == first));
    value.is_empty()
        || starts.iter().any(|start| lower.starts_with(start))
        || same
        || lower.contains("xxxx")
        || lower.contains("${")
        || lower.contains("your_")
        || lower.contains("your-")
        || lower.contains("...")
        || lower.contains('…')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Vec<Finding> {
        let argv = line.split(' ').map(|word| word.replace('+', " ")).collect();
        of_source(&ServerSource::Command { argv, env: BTreeSet::new(), package: None })
    }

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let found = command(line);
        assert_eq!(found.iter().map(|finding| finding.id.as_str()).collect::<Vec<_>>(), expected, "{line}");
    }

    #[test]
    fn commands_are_pinned_encrypted_and_free_of_secrets() {
        check("npx -y some-server", &["unpinned-package"]);
        check("npx -y some-server@1.2.3", &[]);
        check("npx -y github:o/r", &["unpinned-package"]);
        check("deno run -A npm:some-mcp", &["unpinned-package"]);
        check("node server.js", &[]);
        check("npx -y mcp-remote@0.1.0 http://example.org/mcp", &["plain-http"]);
        check("npx -y mcp-remote@0.1.0 http://localhost:3000/mcp", &[]);
        check("server --api-key 3f9a8c7b6d5e4f3a", &["secret-in-config"]);
        check("server --api-key=3f9a8c7b6d5e4f3a", &["secret-in-config"]);
        check("server --api-key ${API_KEY}", &[]);
        check("server --token-file /run/secrets/token", &[]);
        check("server --header Authorization:+Bearer+3f9a8c7b6d5e4f3a", &["secret-in-config"]);
        check("server postgres://app:hunter22@db/app", &["secret-in-config"]);
        check("server postgres://localhost/app", &[]);
        check("server {\"apiKey\":\"3f9a8c7b6d5e4f3a\"}", &["secret-in-config"]);
        check("server --config={\"apiKey\":\"${API_KEY}\"}", &[]);
        check("server --db=Server=db;Password=pw", &["secret-in-config"]);
        check("npx -y mcp-remote@0.1.0 https://h.example/s/3f9a8c7b6d5e4f3a3f9a/mcp", &["secret-in-config"]);
        check("docker run -e TOKEN=3f9a8c7b6d5e4f3a img@sha256:0", &["secret-in-config"]);
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        for (url, expected) in [
            ("http://example.org/mcp", true),
            ("HTTP://192.168.1.4:8080/", true),
            ("https://example.org/mcp", false),
            ("http://127.0.0.1:8080/", false),
            ("http://127.8.8.8/", false),
            ("http://[::1]:8080/", false),
            ("http://localhost/", false),
            ("http://mcp.localhost/", false),
            ("http://localhost.example.org/", true),
        ] {
            assert_eq!(plain_http(url).is_some(), expected, "{url}");
        }
    }

    #[test]
    fn a_value_is_a_secret_by_its_looks_or_its_name() {
        for (name, value, expected) in [
            ("GITHUB_TOKEN", "ghp_0123456789abcdefghijklmnopqrstuvwxyz", true),
            ("anything", "ghp_0123456789abcdefghijklmnopqrstuvwxyz", true),
            ("Authorization", "Bearer 0123456789abcdef", true),
            ("API_KEY", "0123456789abcdef", true),
            ("API_KEY", "${API_KEY}", false),
            ("API_KEY", "${input:api-key}", false),
            ("API_KEY", "$API_KEY", false),
            ("API_KEY", "%API_KEY%", false),
            ("API_KEY", "<your key>", false),
            ("API_KEY", "YOUR_API_KEY_HERE", false),
            ("API_KEY", "xxxxxxxxxxxxxxxx", false),
            ("API_KEY", "short", false),
            ("Authorization", "Bearer ${TOKEN}", false),
            ("MAX_TOKENS", "1000000000", false),
            ("TOKEN_FILE", "secrets/token.txt", false),
            ("LOG_LEVEL", "information", false),
            ("DATABASE_URL", "postgres://app:hunter22@db/app", true),
            ("DATABASE_URL", "postgres://app:${PASSWORD}@db/app", false),
            ("DATABASE_URL", "postgres://db/app", false),
        ] {
            assert_eq!(literal_secret(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn values_never_reach_the_message() {
        let found = command("server --api-key 3f9a8c7b6d5e4f3a");
        assert_eq!(
            found[0].message,
            "the command line holds a secret written out (`--api-key`); refer to a variable instead"
        );
    }
}
