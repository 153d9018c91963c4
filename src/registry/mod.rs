//! MCP registries (API v0.1): what an entry says of its server, and what the entry's package says of itself.
//!
//! Nothing is asked here but what the operator names: the registry, and for a package the registry that its runner would
//! download it from. Both answer what they like, so everything is bounded and nothing of it decides where else to ask.

mod answer;
mod name;
mod package;

pub use answer::{Answer, NotAnEntry, candidates, read};
pub use name::{EntryName, NotAName};
pub use package::{Described, Place, describe, place};

use crate::mcp::ConnectError;
use crate::mcp::http::{Follow, fetch, is_sealed};
use http::Request;
use url::Url;

/// The registry that is asked where none is named.
pub const OFFICIAL: &str = "https://registry.modelcontextprotocol.io";
/// Longest answer of a registry, in bytes; the description of one version of a popular package of PyPI has a few.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Entries that are asked for where one was not found.
const CANDIDATES_MAX: usize = 5;

/// Why a registry said nothing that is of use.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The address is none that can be asked.
    #[error("`{0}` is not the address of a registry")]
    Address(String),
    /// What comes from there could have been changed on the way, and it says which command to run.
    #[error("`{0}` is not encrypted, and what a registry answers is run")]
    Plain(String),
    /// It has no such entry.
    #[error("it has no such entry")]
    NotThere,
    /// It was not reached.
    #[error("{0}")]
    NotReached(#[from] ConnectError),
    /// It answered with another status.
    #[error("it answered with status {0}")]
    Status(u16),
    /// Its answer is none that this program knows.
    #[error("{0}")]
    NotAnEntry(#[from] NotAnEntry),
}

/// A registry, by the address that its paths begin with.
#[derive(Clone, Debug)]
pub struct Registry {
    base: Url,
}

impl Registry {
    /// The registry at an address.
    ///
    /// # Errors
    /// The address is no http or https URL, or would be reached over another machine without encryption.
    pub fn at(address: &str) -> Result<Self, AskError> {
        let base = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| AskError::Address(crate::mcp::target::shown_address(address)))?;
        if !is_sealed(&base) {
            return Err(AskError::Plain(crate::mcp::target::redacted(&base)));
        }
        Ok(Self { base })
    }

    /// The address, without user-info and query.
    pub fn shown(&self) -> String {
        crate::mcp::target::redacted(&self.base)
    }

    /// Whether an address is of the registry's own origin.
    pub fn is_own(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }

    /// The entry of a name, in the version that it asks for or the newest; one that was deleted as well.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn entry(&self, name: &EntryName) -> Result<Answer, AskError> {
        let part = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let version = part(name.version().unwrap_or("latest"));
        let path = format!("v0.1/servers/{}/versions/{version}?include_deleted=true", part(name.name()));
        Ok(read(&get(self.path(&path)?).await?, name)?)
    }

    /// Names of entries that a search for the last part of a name finds; none where the registry does not say.
    pub async fn like(&self, name: &EntryName) -> Vec<String> {
        let last = name.name().rsplit('/').next().unwrap_or_default();
        let words = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("search", last)
            .append_pair("version", "latest")
            .append_pair("limit", &CANDIDATES_MAX.to_string())
            .finish();
        let Ok(url) = self.path(&format!("v0.1/servers?{words}")) else { return Vec::new() };
        let answer = get(url).await.unwrap_or_default();
        let mut found = candidates(&answer);
        found.truncate(CANDIDATES_MAX);
        found
    }

    fn path(&self, rest: &str) -> Result<Url, AskError> {
        let mut base = self.base.clone();
        base.set_query(None);
        base.set_fragment(None);
        let text = format!("{}/{rest}", base.as_str().trim_end_matches('/'));
        Url::parse(&text).map_err(|_| AskError::Address(self.shown()))
    }
}

/// The body of a successful answer.
async fn get(url: Url) -> Result<Vec<u8>, AskError> {
    let request = Request::get(url.as_str()).header("Accept", "application/json").body(Vec::new());
    let request = request.map_err(|_| AskError::Address(crate::mcp::target::redacted(&url)))?;
    let answer = fetch(request, Follow::Yes, ANSWER_BYTES_MAX).await?;
    match answer.status().as_u16() {
        200 => Ok(answer.into_body()),
        404 | 410 => Err(AskError::NotThere),
        status => Err(AskError::Status(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_asked_over_a_sealed_way_alone() {
        for good in [OFFICIAL, "https://registry.example/base/", "http://127.0.0.1:8080", "http://localhost:1"] {
            assert!(Registry::at(good).is_ok(), "{good}");
        }
        assert!(matches!(Registry::at("http://registry.example"), Err(AskError::Plain(_))));
        for bad in ["", "registry.example", "file:///x", "ftp://x"] {
            assert!(matches!(Registry::at(bad), Err(AskError::Address(_))), "{bad}");
        }
    }
}
