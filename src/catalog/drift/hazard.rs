//! Parameters and values that make an opening worse: whoever fills them in decides what is run, touched, reached or
//! forced.

use std::fmt;

/// What a parameter hands to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hazard {
    /// Code, a command, a statement.
    Code,
    /// A place in a file system.
    Path,
    /// A URL or host.
    Url,
    /// Who receives something.
    Recipient,
    /// A switch that sets a safeguard aside, or a value that destroys.
    Force,
}

/// Words before `code` and `expression` that make something harmless of them.
const HARMLESS: [&str; 16] = [
    "area", "country", "cron", "currency", "error", "exit", "language", "locale", "postal", "promo", "region",
    "response", "state", "status", "time", "zip",
];
const CODE: [&str; 18] = [
    "bash",
    "cmd",
    "code",
    "command",
    "commands",
    "cypher",
    "eval",
    "exec",
    "expression",
    "function",
    "javascript",
    "program",
    "python",
    "script",
    "scripts",
    "shell",
    "sql",
    "statement",
];
const PATH: [&str; 16] = [
    "cwd",
    "dest",
    "destination",
    "dir",
    "directory",
    "file",
    "filename",
    "filepath",
    "files",
    "folder",
    "glob",
    "output",
    "path",
    "paths",
    "root",
    "workdir",
];
const URL: [&str; 13] = [
    "callback",
    "endpoint",
    "host",
    "hostname",
    "href",
    "link",
    "origin",
    "proxy",
    "uri",
    "url",
    "urls",
    "webhook",
    "websocket",
];
const RECIPIENT: [&str; 14] = [
    "address",
    "attendees",
    "bcc",
    "cc",
    "channel",
    "chat",
    "email",
    "emails",
    "invitees",
    "phone",
    "recipient",
    "recipients",
    "share",
    "to",
];
const FORCE: [&str; 20] = [
    "admin",
    "bypass",
    "cascade",
    "delete",
    "destructive",
    "disable",
    "force",
    "insecure",
    "override",
    "overwrite",
    "privileged",
    "prune",
    "purge",
    "recursive",
    "skip",
    "sudo",
    "trust",
    "unrestricted",
    "unsafe",
    "wipe",
];
/// Values of an enum that turn a tool into something worse than its neighbours.
const VALUES: [&str; 24] = [
    "admin", "all", "delete", "deploy", "destroy", "drop", "eval", "exec", "execute", "force", "kill", "owner",
    "prune", "public", "purge", "remove", "reset", "root", "run", "shell", "stop", "sudo", "truncate", "wipe",
];

impl Hazard {
    /// What a parameter of this dotted path takes, by the words of its last part.
    pub fn of_parameter(path: &str) -> Option<Self> {
        let words = words(last_name(path));
        let any = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
        // What a compound is, its last word says: a `folderUid` is an id and no folder.
        let last = |known: &[&str]| words.last().is_some_and(|word| known.contains(&word.as_str()));
        [
            (Self::Code, last(&CODE) && !any(&HARMLESS)),
            (Self::Recipient, last(&RECIPIENT)),
            (Self::Url, last(&URL)),
            (Self::Path, last(&PATH)),
            (Self::Force, any(&FORCE)),
        ]
        .into_iter()
        .find_map(|(hazard, holds)| holds.then_some(hazard))
    }

    /// Whether a new value of an enum is one that destroys, runs or opens.
    pub fn of_value(value: &str) -> Option<Self> {
        words(value).first().filter(|word| VALUES.contains(&word.as_str())).map(|_| Self::Force)
    }

    /// What an agent can do with such a parameter, after `an agent can now `.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Code => "hand over code or a command to run",
            Self::Path => "choose which file or directory is touched",
            Self::Url => "choose which address is reached",
            Self::Recipient => "choose who receives something",
            Self::Force => "set a safeguard aside",
        }
    }
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Code => "takes code",
            Self::Path => "takes a path",
            Self::Url => "takes a URL",
            Self::Recipient => "takes a recipient",
            Self::Force => "forces",
        })
    }
}

/// The last part of a dotted path, without `[*]`.
pub fn last_name(path: &str) -> &str {
    path.rsplit(['.', '/'])
        .map(|part| part.trim_end_matches("[*]"))
        .find(|part| !part.is_empty() && *part != "*")
        .unwrap_or(path)
}

/// The words of an identifier in lower case: `snake_case`, `camelCase`, `kebab-case`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() {
            before = ' ';
            continue;
        }
        let begins = before == ' ' || (before.is_lowercase() && c.is_uppercase());
        match words.last_mut() {
            Some(word) if !begins => word.extend(c.to_lowercase()),
            _ => words.push(c.to_lowercase().collect()),
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_handed_over() {
        let check = |path, expected| assert_eq!(Hazard::of_parameter(path), expected, "{path}");
        check("script", Some(Hazard::Code));
        check("options.outputPath", Some(Hazard::Path));
        check("items[*].callback_url", Some(Hazard::Url));
        check("message.to", Some(Hazard::Recipient));
        check("force", Some(Hazard::Force));
        check("skipValidation", Some(Hazard::Force));
        check("countryCode", None);
        check("folderUid", None);
        check("webhookHeaders", None);
        check("query", None);
        check("forceful", None);
        check("page", None);
    }

    #[test]
    fn values_that_destroy_are_known_by_their_first_word() {
        assert_eq!(Hazard::of_value("delete_all"), Some(Hazard::Force));
        assert_eq!(Hazard::of_value("undelete"), None);
        assert_eq!(Hazard::of_value("list"), None);
    }
}
