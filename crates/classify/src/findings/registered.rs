//! What an MCP registry says of a server, held against what its package and the server say of themselves.

use super::kinds::finding;
use crate::model::{Finding, Severity};
use crate::text::excerpt;

/// Longest quote of a name, title or version in a message, in characters.
const QUOTE_CHARS_MAX: usize = 100;
/// Longest quote of a reason that somebody gives, in characters.
const REASON_CHARS_MAX: usize = 300;

/// What becomes of an entry of a registry (`status`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EntryStatus {
    /// It is meant to be used, or the registry does not say.
    #[default]
    Active,
    /// Its authors ask to use something else.
    Deprecated,
    /// It was taken out: by its authors, or for what it does.
    Deleted,
    /// A word that this program does not know.
    Other(String),
}

/// An entry of an MCP registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `namespace/name`.
    pub name: String,
    /// The server's version.
    pub version: String,
    /// The name for people.
    pub title: Option<String>,
    /// What becomes of it.
    pub status: EntryStatus,
    /// Why, as the registry says.
    pub status_message: Option<String>,
}

/// What the package of an entry says of itself in its own registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageClaims {
    /// The package's name, as it is shown.
    pub package: String,
    /// The entry of the MCP registry that the package says it belongs to (`mcpName`, `mcp-name:`).
    pub mcp_name: Option<String>,
    /// The version that is installed.
    pub version: Option<String>,
    /// Why it should not be used any more, where its authors say so (npm's `deprecated`, PyPI's `yanked`).
    pub withdrawn: Option<String>,
}

/// What stands against an entry: it was withdrawn, or its package and the server that was started say something else.
/// `server_title` is what the server calls itself for people.
pub fn of_registry(entry: &Entry, package: Option<&PackageClaims>, server_title: Option<&str>) -> Vec<Finding> {
    const WITHDRAWN: &str = "registry-withdrawn";
    const DIFFERS: &str = "registry-differs";
    let mut found = Vec::new();
    let mut say = |id, severity, message: String| found.push(finding(id, severity, "", message));
    let quoted = |text: &str| format!("`{}`", excerpt(text, QUOTE_CHARS_MAX));
    let (name, version) = (quoted(&entry.name), quoted(&entry.version));
    let reason =
        |text: Option<&str>| text.map_or(String::new(), |it| format!(": “{}”", excerpt(it.trim(), REASON_CHARS_MAX)));
    let why = reason(entry.status_message.as_deref().filter(|text| !text.trim().is_empty()));
    match &entry.status {
        EntryStatus::Active => {}
        EntryStatus::Deprecated => {
            say(WITHDRAWN, Severity::Warning, format!("the registry calls {name} {version} deprecated{why}"));
        }
        EntryStatus::Deleted => {
            say(WITHDRAWN, Severity::Error, format!("{name} {version} was deleted from the registry{why}"));
        }
        EntryStatus::Other(status) => {
            let status = quoted(status);
            say(
                WITHDRAWN,
                Severity::Warning,
                format!("the registry has {name} {version} under the status {status}{why}"),
            );
        }
    }
    if let Some(claims) = package {
        let package = quoted(&claims.package);
        if let Some(why) = &claims.withdrawn {
            let why = reason(Some(why).filter(|it| !it.trim().is_empty()).map(String::as_str));
            say(
                WITHDRAWN,
                Severity::Warning,
                format!("its authors have withdrawn this version of the package {package}{why}"),
            );
        }
        match &claims.mcp_name {
            Some(own) if *own == entry.name => {}
            Some(own) => say(
                DIFFERS,
                Severity::Error,
                format!(
                    "the registry gives {name} the package {package}, which says that it belongs to {}",
                    quoted(own)
                ),
            ),
            None => say(
                DIFFERS,
                Severity::Warning,
                format!("the registry gives {name} the package {package}, which names no entry that it belongs to"),
            ),
        }
        if let Some(installed) = claims.version.as_ref().filter(|installed| **installed != entry.version) {
            let installed = quoted(installed);
            say(DIFFERS, Severity::Note, format!("the entry is of version {version}, its package of {installed}"));
        }
    }
    let other = |title: &&str| entry.title.as_deref().is_some_and(|known| known.trim() != title.trim());
    if let (Some(listed), Some(own)) = (&entry.title, server_title.filter(other)) {
        let (listed, own) = (quoted(listed), quoted(own));
        say(DIFFERS, Severity::Note, format!("the registry calls the server {listed}, it calls itself {own}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "io.example/weather";

    #[track_caller]
    fn check(
        status: EntryStatus,
        claims: Option<PackageClaims>,
        title: Option<&str>,
        expected: &[(&str, Severity, &str)],
    ) {
        let entry = Entry {
            name: NAME.to_owned(),
            version: "1.2.0".to_owned(),
            title: Some("Weather".to_owned()),
            status,
            status_message: Some("use\u{202e} another".to_owned()),
        };
        let found = of_registry(&entry, claims.as_ref(), title);
        let shown: Vec<_> = found.iter().map(|it| (it.id.as_str(), it.severity, it.message.as_str())).collect();
        assert_eq!(shown.len(), expected.len(), "{shown:?}");
        for (one, (id, severity, part)) in shown.iter().zip(expected) {
            assert!(one.0 == *id && one.1 == *severity && one.2.contains(part), "{one:?}, expected {part}");
            assert!(!one.2.contains('\u{202e}'), "{one:?}");
        }
    }

    fn claims() -> PackageClaims {
        PackageClaims {
            package: "@example/weather".to_owned(),
            mcp_name: Some(NAME.to_owned()),
            version: Some("1.2.0".to_owned()),
            withdrawn: None,
        }
    }

    #[test]
    fn an_entry_whose_package_agrees_has_no_finding() {
        check(EntryStatus::Active, Some(claims()), Some("Weather"), &[]);
        check(EntryStatus::Active, None, None, &[]);
    }

    #[test]
    fn what_was_withdrawn_is_said() {
        let id = "registry-withdrawn";
        check(EntryStatus::Deprecated, None, None, &[(id, Severity::Warning, "deprecated: “use")]);
        check(EntryStatus::Deleted, None, None, &[(id, Severity::Error, "was deleted")]);
        check(EntryStatus::Other("held".to_owned()), None, None, &[(id, Severity::Warning, "status `held`")]);
        let yanked = PackageClaims { withdrawn: Some(String::new()), ..claims() };
        check(EntryStatus::Active, Some(yanked), None, &[(id, Severity::Warning, "withdrawn this version")]);
    }

    #[test]
    fn what_is_said_differently_is_said() {
        let id = "registry-differs";
        let other = PackageClaims { mcp_name: Some("io.other/weather".to_owned()), ..claims() };
        check(EntryStatus::Active, Some(other), None, &[(id, Severity::Error, "belongs to `io.other/weather`")]);
        let silent = PackageClaims { mcp_name: None, ..claims() };
        check(EntryStatus::Active, Some(silent), None, &[(id, Severity::Warning, "names no entry")]);
        let older = PackageClaims { version: Some("1.1.0".to_owned()), ..claims() };
        check(EntryStatus::Active, Some(older), None, &[(id, Severity::Note, "its package of `1.1.0`")]);
        check(EntryStatus::Active, Some(claims()), Some("Banking"), &[(id, Severity::Note, "calls itself `Banking`")]);
    }
}
