//! Answers of a registry: one entry (`ServerResponse`), or a page of them (`ServerList`).

use super::EntryName;
use crate::classify::findings::registered::{Entry, EntryStatus};
use crate::text::excerpt;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An entry, and its `server.json` to the letter.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What is said of the server.
    pub entry: Entry,
    /// How it is started or reached: the member `server` as received.
    pub server: Box<RawValue>,
    /// Where its packages are said to be.
    pub packages: Vec<ListedPackage>,
}

/// A package of an entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedPackage {
    /// `npm`, `pypi`, `oci` …
    #[serde(default)]
    pub registry_type: String,
    /// Where that registry is said to be, where it is not the usual one.
    pub registry_base_url: Option<String>,
    /// The package's name there.
    #[serde(default)]
    pub identifier: String,
}

/// An answer that is no entry, or not the one that was asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEntry {
    /// It is not of the published form.
    #[error("its answer is no entry of a registry (API v0.1)")]
    Form,
    /// It is about something else.
    #[error("it answered with `{0}`")]
    Other(String),
}

/// `ServerResponse`; what is of use of it.
#[derive(Deserialize)]
struct WireResponse {
    server: Box<RawValue>,
    #[serde(rename = "_meta")]
    meta: Option<WireMeta>,
}

#[derive(Deserialize)]
struct WireServer {
    name: String,
    version: String,
    title: Option<String>,
    #[serde(default)]
    packages: Vec<ListedPackage>,
}

#[derive(Deserialize)]
struct WireMeta {
    #[serde(rename = "io.modelcontextprotocol.registry/official")]
    official: Option<WireOfficial>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOfficial {
    status: Option<String>,
    status_message: Option<String>,
}

#[derive(Deserialize)]
struct WireList {
    servers: Vec<WireListed>,
}

#[derive(Deserialize)]
struct WireListed {
    server: WireNamed,
}

#[derive(Deserialize)]
struct WireNamed {
    name: String,
}

/// Reads the answer to a question for one entry.
///
/// # Errors
/// It is none, or that of another name or version.
pub fn read(body: &[u8], asked: &EntryName) -> Result<Answer, NotAnEntry> {
    let response: WireResponse = serde_json::from_slice(body).map_err(|_| NotAnEntry::Form)?;
    let server: WireServer = serde_json::from_str(response.server.get()).map_err(|_| NotAnEntry::Form)?;
    // A registry that answers another question than it was asked would choose what is run.
    let is_version = asked.version().is_none_or(|version| version == server.version || version == "latest");
    if server.name != asked.name() || !is_version {
        return Err(NotAnEntry::Other(excerpt(&format!("{}@{}", server.name, server.version), 120)));
    }
    let official = response.meta.and_then(|meta| meta.official);
    let (status, status_message) = official.map_or((None, None), |it| (it.status, it.status_message));
    let status = match status.as_deref() {
        None | Some("active") => EntryStatus::Active,
        Some("deprecated") => EntryStatus::Deprecated,
        Some("deleted") => EntryStatus::Deleted,
        Some(other) => EntryStatus::Other(other.to_owned()),
    };
    let entry = Entry { name: server.name, version: server.version, title: server.title, status, status_message };
    Ok(Answer { entry, server: response.server, packages: server.packages })
}

/// The names in a page of entries, each once and in its order; none in what is no such page.
pub fn candidates(body: &[u8]) -> Vec<String> {
    let list: Option<WireList> = serde_json::from_slice(body).ok();
    let mut names: Vec<String> = Vec::new();
    for listed in list.into_iter().flat_map(|list| list.servers) {
        if !names.contains(&listed.server.name) {
            names.push(listed.server.name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

    use super::*;

    fn status_of(meta: &str) -> EntryStatus {
        let body = format!(r#"{{"server":{{"name":"a/b","description":"d","version":"1.0.0"}}{meta}}}"#);
        read(body.as_bytes(), &"a/b".parse().unwrap()).unwrap().entry.status
    }

    #[test]
    fn the_status_is_the_registrys() {
        let official = |status: &str| {
            format!(
                r#","_meta":{{"io.modelcontextprotocol.registry/official":{{"status":"{status}","isLatest":true}}}}"#
            )
        };
        assert_eq!(status_of(""), EntryStatus::Active);
        assert_eq!(status_of(r#","_meta":{"x.example/y":{"status":"deleted"}}"#), EntryStatus::Active);
        assert_eq!(status_of(&official("active")), EntryStatus::Active);
        assert_eq!(status_of(&official("deprecated")), EntryStatus::Deprecated);
        assert_eq!(status_of(&official("deleted")), EntryStatus::Deleted);
        assert_eq!(status_of(&official("held")), EntryStatus::Other("held".to_owned()));
    }

    #[test]
    fn only_what_was_asked_for_is_an_answer() {
        let check = |body: &str, asked: &str| read(body.as_bytes(), &asked.parse().unwrap()).map(|it| it.entry.version);
        let body = r#"{"server":{"name":"a/b","description":"d","version":"1.0.0"}}"#;
        assert_eq!(check(body, "a/b"), Ok("1.0.0".to_owned()));
        assert_eq!(check(body, "a/b@1.0.0"), Ok("1.0.0".to_owned()));
        assert_eq!(check(body, "a/b@1.0.1"), Err(NotAnEntry::Other("a/b@1.0.0".to_owned())));
        assert_eq!(check(body, "a/c"), Err(NotAnEntry::Other("a/b@1.0.0".to_owned())));
        for bad in ["", "{}", "[]", "null", r#"{"server":{}}"#, r#"{"name":"a/b","version":"1.0.0"}"#] {
            assert_eq!(check(bad, "a/b"), Err(NotAnEntry::Form), "{bad}");
        }
    }

    #[test]
    fn candidates_are_named_once() {
        let page = r#"{"servers":[{"server":{"name":"a/b"}},{"server":{"name":"c/d"}},{"server":{"name":"a/b"}}]}"#;
        assert_eq!(candidates(page.as_bytes()), ["a/b", "c/d"]);
        assert_eq!(candidates(b"<html>"), Vec::<String>::new());
    }
}
