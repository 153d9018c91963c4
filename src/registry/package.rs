//! What the package of an entry says of itself in the registry that it is downloaded from: npm or PyPI.

use super::answer::ListedPackage;
use super::{AskError, Registry, get};
use crate::classify::findings::registered::PackageClaims;
use crate::model::{Package, Published};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use url::Url;

const NPM: &str = "https://registry.npmjs.org";
const PYPI: &str = "https://pypi.org";
/// What a README of PyPI has in front of the name of the entry that its package belongs to.
const MARK: &str = "mcp-name:";
/// Longest licence that is the name of one and not its text, in bytes.
const LICENCE_BYTES_MAX: usize = 100;

/// Where a package is described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a registry of npm's kind.
    Npm(Url),
    /// In a registry of PyPI's kind.
    PyPi(Url),
}

/// What a package's registry says.
#[derive(Clone, Debug)]
pub struct Described {
    /// What can be held against the entry.
    pub claims: PackageClaims,
    /// What a record keeps.
    pub published: Published,
}

/// Where a package of an entry is described. `npm` is the registry that npm is configured for, where it is known. `None`
/// where nothing is known of its kind of registry, or the entry names one that is neither the usual one nor of the MCP
/// registry's own origin: an entry must not choose whom this machine asks.
pub fn place(package: &Package, listed: &[ListedPackage], from: &Registry, npm: Option<&str>) -> Option<Place> {
    let entry = listed.iter().find(|it| it.registry_type == package.registry && it.identifier == package.name);
    let usual = match package.registry.as_str() {
        "npm" => NPM,
        "pypi" => PYPI,
        _ => return None,
    };
    let named = entry.and_then(|it| it.registry_base_url.as_deref()).map(|base| base.trim_end_matches('/'));
    let base = match named.filter(|named| *named != usual) {
        Some(named) => Url::parse(named).ok().filter(|url| from.is_own(url))?,
        None => Url::parse(npm.filter(|_| usual == NPM).unwrap_or(usual)).ok()?,
    };
    let base = base.as_str().trim_end_matches('/');
    let part = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let version = package.version.as_deref();
    Some(if usual == NPM {
        // A scope's `@` stands as it is, its slash does not.
        let name = part(&package.name).replace("%40", "@");
        Place::Npm(Url::parse(&format!("{base}/{name}/{}", part(version.unwrap_or("latest")))).ok()?)
    } else {
        let version = version.map_or(String::new(), |version| format!("/{}", part(version)));
        Place::PyPi(Url::parse(&format!("{base}/pypi/{}{version}/json", part(&package.name))).ok()?)
    })
}

/// Asks what a package says of itself.
///
/// # Errors
/// See [`AskError`].
pub async fn describe(package: &Package, place: &Place) -> Result<Described, AskError> {
    let form = || AskError::NotAnEntry(super::NotAnEntry::Form);
    match place {
        Place::Npm(url) => of_npm(package, &get(url.clone()).await?).ok_or_else(form),
        Place::PyPi(url) => of_pypi(package, &get(url.clone()).await?).ok_or_else(form),
    }
}

/// package.json of one version, as npm's registry has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireNpm {
    version: Option<String>,
    mcp_name: Option<String>,
    deprecated: Option<Value>,
    license: Option<Value>,
    homepage: Option<Value>,
    repository: Option<Value>,
}

#[derive(Deserialize)]
struct WirePyPi {
    info: WireInfo,
}

#[derive(Deserialize)]
struct WireInfo {
    version: Option<String>,
    description: Option<String>,
    license_expression: Option<String>,
    license: Option<String>,
    home_page: Option<String>,
    project_urls: Option<BTreeMap<String, Option<String>>>,
    #[serde(default)]
    yanked: bool,
    yanked_reason: Option<String>,
}

fn of_npm(package: &Package, body: &[u8]) -> Option<Described> {
    let wire: WireNpm = serde_json::from_slice(body).ok()?;
    let text = |value: &Option<Value>, member: &str| {
        let value = value.as_ref()?;
        value.as_str().or_else(|| value.get(member)?.as_str()).map(str::to_owned)
    };
    // `false` and an empty text take the mark back.
    let withdrawn = match &wire.deprecated {
        None | Some(Value::Null | Value::Bool(false)) => None,
        Some(Value::String(why)) => Some(why.clone()).filter(|why| !why.is_empty()),
        Some(_) => Some(String::new()),
    };
    let claims = PackageClaims {
        package: package.name.clone(),
        mcp_name: wire.mcp_name,
        version: wire.version.clone(),
        withdrawn,
    };
    let published = Published {
        package: Package { version: wire.version, ..package.clone() },
        licence: text(&wire.license, "type").and_then(|it| name_of_licence(&it)),
        homepage: text(&wire.homepage, "url"),
        repository: text(&wire.repository, "url"),
    };
    Some(Described { claims, published })
}

fn of_pypi(package: &Package, body: &[u8]) -> Option<Described> {
    let WirePyPi { info } = serde_json::from_slice(body).ok()?;
    let withdrawn = info.yanked.then(|| info.yanked_reason.unwrap_or_default());
    let mcp_name = info.description.as_deref().and_then(marked);
    let claims = PackageClaims { package: package.name.clone(), mcp_name, version: info.version.clone(), withdrawn };
    let links = info.project_urls.unwrap_or_default();
    let link = |names: &[&str]| {
        let known = links.iter().find(|(name, _)| names.iter().any(|it| name.eq_ignore_ascii_case(it)));
        known.and_then(|(_, url)| url.clone())
    };
    let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let published = Published {
        package: Package { version: info.version, ..package.clone() },
        licence: filled(info.license_expression).or(info.license).and_then(|it| name_of_licence(&it)),
        homepage: filled(info.home_page).or_else(|| link(&["Homepage", "Home"])),
        repository: link(&["Repository", "Source", "Source Code", "GitHub", "Code"]),
    };
    Some(Described { claims, published })
}

/// The name behind the mark of a README; where it stands more than once, the first one counts.
fn marked(readme: &str) -> Option<String> {
    let after = &readme[readme.find(MARK)? + MARK.len()..];
    let name = after.split_whitespace().next()?.trim_end_matches("-->");
    (!name.is_empty()).then(|| name.to_owned())
}

/// What fits into a line; some packages have the licence's whole text there.
fn name_of_licence(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= LICENCE_BYTES_MAX && !text.contains('\n')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

    use super::*;

    fn package(registry: &str, name: &str) -> Package {
        Package { registry: registry.to_owned(), name: name.to_owned(), version: Some("1.0.0".to_owned()) }
    }

    #[test]
    fn an_entry_does_not_choose_whom_this_machine_asks() {
        let from = Registry::at("https://registry.example/mcp").unwrap();
        let check = |of: Package, base: Option<&str>, npm: Option<&str>, expected: Option<&str>| {
            let listed = ListedPackage {
                registry_type: of.registry.clone(),
                registry_base_url: base.map(str::to_owned),
                identifier: of.name.clone(),
            };
            let found = place(&of, &[listed], &from, npm).map(|place| match place {
                Place::Npm(url) | Place::PyPi(url) => url.to_string(),
            });
            assert_eq!(found.as_deref(), expected, "{base:?}");
        };
        let scoped = || package("npm", "@a/b");
        check(scoped(), None, None, Some("https://registry.npmjs.org/@a%2Fb/1.0.0"));
        check(scoped(), Some("https://registry.npmjs.org/"), None, Some("https://registry.npmjs.org/@a%2Fb/1.0.0"));
        check(scoped(), None, Some("https://mirror.example/npm/"), Some("https://mirror.example/npm/@a%2Fb/1.0.0"));
        check(scoped(), Some("https://registry.example/npm"), None, Some("https://registry.example/npm/@a%2Fb/1.0.0"));
        check(scoped(), Some("http://169.254.169.254"), None, None);
        check(scoped(), Some("https://elsewhere.example"), None, None);
        check(package("pypi", "x"), None, Some("https://mirror.example"), Some("https://pypi.org/pypi/x/1.0.0/json"));
        check(package("oci", "x"), None, None, None);
    }

    #[test]
    fn what_npm_says_is_read() {
        let body = r#"{"name":"@a/b","version":"1.0.0","mcpName":"io.a/b","license":{"type":"MIT"},
            "repository":{"type":"git","url":"https://example.org/a"},"deprecated":"gone"}"#;
        let found = of_npm(&package("npm", "@a/b"), body.as_bytes()).unwrap();
        assert_eq!(found.claims.mcp_name.as_deref(), Some("io.a/b"));
        assert_eq!(found.claims.withdrawn.as_deref(), Some("gone"));
        assert_eq!(found.published.licence.as_deref(), Some("MIT"));
        assert_eq!(found.published.repository.as_deref(), Some("https://example.org/a"));
        let kept = of_npm(&package("npm", "b"), br#"{"deprecated":false,"license":"ISC"}"#).unwrap();
        assert_eq!((kept.claims.withdrawn, kept.published.licence.as_deref()), (None, Some("ISC")));
        assert!(of_npm(&package("npm", "b"), b"[]").is_none());
    }

    #[test]
    fn what_pypi_says_is_read() {
        let body = r##"{"info":{"version":"1.0.0","description":"# B\n<!-- mcp-name: io.a/b-->\nmcp-name: io.c/d","yanked":true,
            "license":"MIT License\n\nCopyright","project_urls":{"source":"https://example.org/b"}}}"##;
        let found = of_pypi(&package("pypi", "b"), body.as_bytes()).unwrap();
        assert_eq!(found.claims.mcp_name.as_deref(), Some("io.a/b"));
        assert_eq!(found.claims.withdrawn.as_deref(), Some(""));
        assert_eq!((found.published.licence, found.published.homepage), (None, None));
        assert_eq!(found.published.repository.as_deref(), Some("https://example.org/b"));
    }
}
