//! Proxies that the environment names (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, as curl reads them): for
//! servers elsewhere, and never for one on this machine.

use super::is_loopback;
use crate::mcp::error::ConnectError;
use crate::mcp::target::redacted;
use http::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

/// The proxy on the way to one server.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    /// Its host, without the brackets of an IPv6 address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it is spoken to over TLS.
    pub speaks_tls: bool,
    /// `Proxy-Authorization`, where its address has a user.
    pub authorization: Option<HeaderValue>,
}

impl Proxy {
    /// The proxy that the environment names for a server, if any.
    ///
    /// # Errors
    /// It is one that is not spoken here (SOCKS).
    pub fn of_environment(server: &Url) -> Result<Option<Self>, ConnectError> {
        if is_loopback(server) { Ok(None) } else { Self::among(&Matcher::from_env(), server) }
    }

    fn among(proxies: &Matcher, server: &Url) -> Result<Option<Self>, ConnectError> {
        let found = server.as_str().parse().ok().and_then(|server| proxies.intercept(&server));
        let Some(found) = found else { return Ok(None) };
        let uri = found.uri();
        let speaks_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => {
                return Err(ConnectError::BadTarget(format!(
                    "the environment names a `{}` proxy for {}: only `http` and `https` proxies can be used",
                    crate::text::excerpt(other.unwrap_or_default(), 20),
                    redacted(server)
                )));
            }
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if speaks_tls { 443 } else { 80 });
        Ok(Some(Self { host, port, speaks_tls, authorization: found.basic_auth().cloned() }))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;

    #[test]
    fn a_proxy_is_used_for_what_it_is_named_for() {
        let proxies = Matcher::builder()
            .http("http://me:pw@proxy.example:3128")
            .https("https://[::1]")
            .no("inside.example, 10.0.0.0/8")
            .build();
        let check = |server: &str, expected: Option<(&str, u16, bool, bool)>| {
            let found = Proxy::among(&proxies, &Url::parse(server).unwrap()).unwrap();
            let found = found.as_ref().map(|it| (it.host.as_str(), it.port, it.speaks_tls, it.authorization.is_some()));
            assert_eq!(found, expected, "{server}");
        };
        check("http://a.example/mcp", Some(("proxy.example", 3128, false, true)));
        check("https://a.example/mcp", Some(("::1", 443, true, false)));
        check("https://api.inside.example/mcp", None);
        check("http://10.1.2.3/mcp", None);
        let socks = Matcher::builder().all("socks5://proxy.example:1080").build();
        let refused = Proxy::among(&socks, &Url::parse("https://a.example/mcp?key=1").unwrap()).unwrap_err();
        assert!(refused.to_string().contains("a `socks5` proxy for https://a.example/mcp:"), "{refused}");
    }

    #[test]
    fn a_server_on_this_machine_needs_none() {
        for server in ["http://localhost:1/mcp", "http://127.0.0.9/mcp", "https://[::1]/mcp"] {
            assert!(Proxy::of_environment(&Url::parse(server).unwrap()).unwrap().is_none(), "{server}");
        }
    }
}
