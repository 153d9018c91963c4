//! Where a Redis is, as its URL says. The password is used and never shown.

use crate::mcp::target::Secret;
use std::fmt;
use std::path::{Path, PathBuf};
use url::Url;

/// The port of Redis where the URL names none.
const PORT_DEFAULT: u16 = 6379;
/// Highest database number that a URL may name; Redis has 16 unless told otherwise.
const DATABASE_MAX: i64 = 65_535;

/// A Redis server and database. Its text holds neither user nor password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    pub(super) database: i64,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) files: RedisTls,
}

/// PEM files for an encrypted connection. They are read again for every connection that is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RedisTls {
    /// Certificates of the authorities that are trusted, instead of those of the system.
    pub(super) authorities: Option<PathBuf>,
    /// Our own certificate with its chain, and its key, for a server that asks who connects.
    pub(super) own: Option<(PathBuf, PathBuf)>,
}

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// `redis:`
    Plain,
    /// `rediss:`, with the certificate checked.
    Tls,
}

/// A URL that is no address of a Redis. The text never holds the URL: there may be a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Redis URL {0}")]
pub struct BadAddress(&'static str);

impl BadAddress {
    /// The next step.
    pub fn help() -> &'static str {
        "write `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` for TLS, with `?ca=FILE` for an \
         authority of your own"
    }
}

impl RedisAddress {
    /// Whether a text is meant as a URL: that of a Redis, or one that is refused, since a password may stand in it, and the
    /// name of a file is shown.
    pub fn is_meant(text: &str) -> bool {
        let is_scheme = |scheme: &str| {
            scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
    }

    /// Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`; `rediss` asks for TLS, and may name files for it:
    /// `?ca=FILE&cert=FILE&key=FILE`.
    ///
    /// # Errors
    /// It is something else; the error does not repeat it.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let url = Url::parse(text).map_err(|_| BadAddress("cannot be read"))?;
        let encryption = match url.scheme() {
            "redis" => Encryption::Plain,
            "rediss" => Encryption::Tls,
            _ => return Err(BadAddress("does not begin with `redis://` or `rediss://`")),
        };
        if url.fragment().is_some() {
            return Err(BadAddress("has a fragment, which has no meaning here"));
        }
        let files = RedisTls::of(&url)?;
        if encryption == Encryption::Plain && url.query().is_some() {
            return Err(BadAddress("has a query, which `rediss://` only has a meaning for"));
        }
        // The brackets of an IPv6 address belong to the URL, not to the address.
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(BadAddress("names no host"));
        }
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => number
                .parse()
                .ok()
                .filter(|number| *number <= DATABASE_MAX)
                .ok_or(BadAddress("has no such database"))?,
            _ => return Err(BadAddress("has a path that is no number of a database")),
        };
        let part = |text: &str| decoded(text).ok_or(BadAddress("has a user or password that is not UTF-8"));
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(PORT_DEFAULT),
            encryption,
            database,
            user: Some(part(url.username())?).filter(|user| !user.is_empty()),
            password: url.password().map(part).transpose()?.map(Secret::new),
            files,
        })
    }

    /// Lets the paths of its files begin at this folder.
    pub fn begin_at(&mut self, folder: &Path) {
        let files = &mut self.files;
        let own = files.own.iter_mut().flat_map(|(certificate, key)| [certificate, key]);
        files.authorities.iter_mut().chain(own).for_each(|path| *path = folder.join(&path));
    }
}

impl RedisTls {
    fn of(url: &Url) -> Result<Self, BadAddress> {
        let (mut authorities, mut certificate, mut key) = (None, None, None);
        for (name, value) in url.query_pairs() {
            let place = match &*name {
                "ca" => &mut authorities,
                "cert" => &mut certificate,
                "key" => &mut key,
                _ => return Err(BadAddress("has a query that is not made of `ca`, `cert` and `key`")),
            };
            if value.is_empty() || place.replace(PathBuf::from(&*value)).is_some() {
                return Err(BadAddress("names no file in its query, or one thing twice"));
            }
        }
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Self { authorities, own: Some((certificate, key)) }),
            (None, None) => Ok(Self { authorities, own: None }),
            (Some(_), None) | (None, Some(_)) => Err(BadAddress("needs `cert` and `key` together")),
        }
    }
}

/// The text that percent-encoding stands for (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<String> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        rest = match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                out.push(hex(*high)? * 16 + hex(*low)?);
                after
            }
            _ => {
                out.push(*first);
                tail
            }
        };
    }
    String::from_utf8(out).ok()
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.encryption {
            Encryption::Plain => "redis",
            Encryption::Tls => "rediss",
        };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}/{}", self.host, self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;

    #[test]
    fn every_part_of_a_url_is_read() {
        let address = RedisAddress::parse("rediss://ali%20ce:p%40ss%2Fword%@[::1]:7000/12").unwrap();
        let expected = RedisAddress {
            host: "::1".to_owned(),
            port: 7000,
            encryption: Encryption::Tls,
            database: 12,
            user: Some("ali ce".to_owned()),
            password: Some(Secret::new("p@ss/word%")),
            files: RedisTls::default(),
        };
        assert_eq!(address, expected);
        assert_eq!(address.to_string(), "rediss://[::1]:7000/12");
        let plain = RedisAddress::parse("redis://:pw@localhost").unwrap();
        assert_eq!((plain.user, plain.port, plain.database), (None, 6379, 0));
        assert!(RedisAddress::parse("redis://h/65535").is_ok() && RedisAddress::parse("redis://h/65536").is_err());
        assert!(RedisAddress::parse("redis://:%ff@h").is_err());
    }

    #[test]
    fn files_of_an_encrypted_connection_stand_in_the_query_and_begin_at_the_folder() {
        let files = |text: &str| {
            let mut address = RedisAddress::parse(text)?;
            address.begin_at(Path::new("/etc"));
            Ok::<_, BadAddress>(address.files)
        };
        let path = |text: &str| PathBuf::from(text);
        let expected = RedisTls { authorities: Some(path("/etc/my ca.pem")), own: None };
        assert_eq!(files("rediss://h?ca=my%20ca.pem"), Ok(expected));
        let expected =
            RedisTls { authorities: Some(path("/ca.pem")), own: Some((path("/etc/a.pem"), path("/etc/a.key"))) };
        assert_eq!(files("rediss://h/1?key=a.key&ca=/ca.pem&cert=a.pem"), Ok(expected));
        for text in [
            "redis://h?ca=a.pem",
            "redis://h?",
            "rediss://h?cert=a.pem",
            "rediss://h?key=a.pem",
            "rediss://h?ca=",
            "rediss://h?ca=a.pem&ca=b.pem",
            "rediss://h?insecure=true",
            "rediss://h#insecure",
        ] {
            assert!(files(text).is_err(), "{text}");
        }
    }
}
