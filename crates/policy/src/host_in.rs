//! `host_in`: whether a URL's host is one of a list, with the URL read as the WHATWG says and nothing left to guess.

// Addresses as values, from `core`: nothing here opens a socket.
use core::net::{IpAddr, Ipv6Addr};
use url::{Host, Url};

/// A host that URLs may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostRule {
    /// This host, in lower case and ASCII, without a dot at the end.
    Exact(String),
    /// Every host below this one, at any depth, but not itself.
    Below(String),
    /// This address, in whatever notation.
    Address(IpAddr),
}

impl HostRule {
    /// Reads the value of a condition.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a host");
        let (below, host) = match text.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, text),
        };
        if host.contains('*') {
            return Err(format!("`{text}`: a star stands at the beginning, before a dot, or nowhere"));
        }
        match Host::parse(bracketed(host).as_deref().unwrap_or(host)).map_err(|_| bad())? {
            Host::Domain(domain) => {
                let domain = without_dot(&domain).to_owned();
                match (domain.is_empty(), below) {
                    (true, _) => Err(bad()),
                    (false, true) => Ok(Self::Below(domain)),
                    (false, false) => Ok(Self::Exact(domain)),
                }
            }
            Host::Ipv4(_) | Host::Ipv6(_) if below => Err(bad()),
            Host::Ipv4(address) => Ok(Self::Address(address.into())),
            Host::Ipv6(address) => Ok(Self::Address(IpAddr::from(address).to_canonical())),
        }
    }

    /// Whether one of the rules allows the URL; `None` where the text is no plain http(s) URL that every reader would
    /// take to the same host.
    pub fn any_allows(rules: &[Self], text: &str) -> Option<bool> {
        // The WHATWG drops tabs and line breaks and reads `\` as `/`; other readers do not.
        if text.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let after_scheme = text.split_once(':').map(|(_, rest)| rest)?;
        if !matches!(url.scheme(), "http" | "https") || !after_scheme.starts_with("//") {
            return None;
        }
        let written = after_scheme.trim_start_matches('/').split('/').next().unwrap_or_default();
        // Some readers look for user names up to the first slash, past `?` and `#`.
        if written.contains('@') || after_scheme.starts_with("///") {
            return None;
        }
        let authority = written.split(['?', '#']).next().unwrap_or_default();
        if !authority.starts_with('[') && !authority.chars().all(is_plain_as_written) {
            return None;
        }
        Some(match url.host()? {
            Host::Domain(domain) => {
                if !domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
                    return None;
                }
                let domain = without_dot(domain);
                rules.iter().any(|rule| match rule {
                    Self::Exact(host) => host == domain,
                    Self::Below(host) => {
                        domain.strip_suffix(host.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
                    }
                    Self::Address(_) => false,
                })
            }
            Host::Ipv4(address) => lists(rules, address.into()),
            Host::Ipv6(address) => lists(rules, IpAddr::from(address).to_canonical()),
        })
    }
}

/// Whether a character of a host and port, as written, is one that all readers of URLs take for a part of them: in ASCII
/// letters, digits, `.`, `_`, `-` and the colon of a port, elsewhere whatever every revision of IDNA maps alike. Others
/// end the host, or are decoded, for some readers.
fn is_plain_as_written(c: char) -> bool {
    match c {
        // Sharp s, final sigma and the two joiners are the characters that the revisions of IDNA treat differently.
        '\u{df}' | '\u{1e9e}' | '\u{3c2}' | '\u{200c}' | '\u{200d}' => false,
        _ => !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':'),
    }
}

fn lists(rules: &[HostRule], address: IpAddr) -> bool {
    rules.contains(&HostRule::Address(address))
}

fn without_dot(domain: &str) -> &str {
    domain.strip_suffix('.').unwrap_or(domain)
}

/// An IPv6 address stands in brackets in a URL; in a policy it may stand without.
fn bracketed(host: &str) -> Option<String> {
    host.parse::<Ipv6Addr>().is_ok().then(|| format!("[{host}]"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use proptest::prelude::*;

    fn check(rules: &[&str], url: &str, expected: Option<bool>) {
        let rules: Vec<_> = rules.iter().map(|rule| HostRule::parse(rule).unwrap()).collect();
        assert_eq!(HostRule::any_allows(&rules, url), expected, "{url:?}");
    }

    #[test]
    fn the_host_counts_and_not_what_looks_like_it() {
        let rules = ["example.com", "*.example.org", "127.0.0.1", "bücher.example", "::1"];
        for (url, expected) in [
            ("https://example.com/a?b#c", Some(true)),
            ("HTTP://EXAMPLE.com:8443", Some(true)),
            ("https://example.com.", Some(true)),
            ("https://example.com.evil.net", Some(false)),
            ("https://notexample.com", Some(false)),
            ("https://a.example.com", Some(false)),
            ("https://a.b.example.org", Some(true)),
            ("https://example.org", Some(false)),
            ("https://.example.org", Some(false)),
            ("https://evilexample.org", Some(false)),
            ("https://example.com@evil.net", None),
            ("https://user:password@example.com", None),
            ("https://@example.com", None),
            ("https://evil.net/@example.com", Some(false)),
            ("https://evil.net?x=@example.com", None),
            ("https://example.com#@evil.net", None),
            ("https://example.com?x=1#y", Some(true)),
            ("http://127.0.0.2;.example.org/", None),
            ("http://evil.net;.example.org/", None),
            ("http://evil.net&.example.org", None),
            ("http://evil.net,.example.org", None),
            ("http://evil.net'.example.org", None),
            ("http://evil.net%2eexample.org", None),
            ("http://evil.net%23.example.org", None),
            ("http://{evil}.example.org", None),
            ("http://a_b-c.example.org", Some(true)),
            ("http://fa\u{df}.example.org", None),
            ("http://a\u{200d}.example.org", None),
            ("http://evil.net\u{ff0f}.example.org", None),
            ("http://evil.net\u{3002}example.org", Some(true)),
            ("http://example.com:/", Some(true)),
            ("http://[::1]:80/", Some(true)),
            ("http://127.0.0.1:80/", Some(true)),
            ("http://2130706433/", Some(true)),
            ("http://0177.0.0.1/", Some(true)),
            ("http://0x7f.1/", Some(true)),
            ("http://[::ffff:127.0.0.1]/", Some(true)),
            ("http://[::1]/", Some(true)),
            ("http://10.0.0.1/", Some(false)),
            ("http://[::2]/", Some(false)),
            ("https://xn--bcher-kva.example/", Some(true)),
            ("https://BÜCHER.example/", Some(true)),
            ("https://ex\u{ff41}mple.com/", Some(true)),
            ("ftp://example.com/", None),
            ("file:///etc/passwd", None),
            ("javascript:alert(1)", None),
            ("example.com", None),
            ("//example.com", None),
            ("https:example.com", None),
            ("https:///example.com", None),
            ("https://example.com\\@evil.net", None),
            (" https://example.com", None),
            ("https://exam\tple.com", None),
            ("https://example.com\n", None),
            ("https://", None),
            ("", None),
        ] {
            check(&rules, url, expected);
        }
    }

    #[test]
    fn an_address_is_listed_in_any_notation() {
        check(&["0x7f000001"], "http://127.0.0.1/", Some(true));
        check(&["[::ffff:127.0.0.1]"], "http://127.1/", Some(true));
        check(&["example.com"], "http://127.0.0.1/", Some(false));
    }

    #[test]
    fn hosts_are_plain() {
        for bad in ["", "*", "*.", "a.*.b", "*example.com", "https://example.com", "a/b", "*.127.0.0.1", "a b", "."] {
            assert!(HostRule::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// Whatever ends a host for some reader, no host passes that is another one up to there.
        #[test]
        fn no_character_ends_the_host_elsewhere(c in any::<char>()) {
            let rules = [HostRule::Below("example.com".to_owned())];
            let url = format!("http://127.0.0.2{c}.example.com/");
            if HostRule::any_allows(&rules, &url) == Some(true) {
                prop_assert!(c.is_alphanumeric() || matches!(c, '.' | '_' | '-') || !c.is_ascii(), "{c:?}");
                // Read with its NFKC form, the host is a single one as well.
                crate::text::decompose(c, |part| assert!(!"/\\?#@:;%&".contains(part), "{c:?}"));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}") {
            let rules = [HostRule::Exact("example.com".to_owned())];
            let _ = HostRule::any_allows(&rules, &text);
            let _ = HostRule::any_allows(&rules, &format!("http://{text}"));
            let _ = HostRule::parse(&text);
        }
    }
}
