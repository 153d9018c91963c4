//! What a client without a good token is told: who issues tokens, as metadata of a protected resource (RFC 9728), or,
//! where no issuer is configured, whom to ask for one. Clients that look for a login show these words to their users.

use super::body::Answer;
use super::refusal::{Refusal, json};
use crate::gateway::jwt::Jwt;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use serde_json::json;
use url::Url;

/// Where metadata of a protected resource is; the resource's path follows.
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
/// Other places where clients look for a login at a server that wants a token; paths may follow the first two.
const LOGINS: [&str; 5] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/register",
    "/authorize",
    "/token",
];
/// For users whose client finds no login. It names no command: a model may read it.
const ASK: &str = "a valid token is needed: ask the operator of this gateway for one, and send it as `Authorization: Bearer TOKEN`; there is no login here";

/// What the gateway tells clients about tokens.
#[derive(Debug)]
pub struct TokenHelp {
    issuer: Option<KnownIssuer>,
    /// How the listener is spoken to.
    scheme: &'static str,
}

#[derive(Debug)]
struct KnownIssuer {
    issuer: Url,
    audience: String,
    /// The audience, where it is the address by which clients know the gateway.
    resource: Option<Url>,
}

/// What of a request says by which address its client knows the gateway.
#[derive(Clone, Debug)]
pub struct AskedAddress {
    uri: Uri,
    host: Option<HeaderValue>,
}

impl AskedAddress {
    /// Of this request. `Host` has been checked before.
    pub fn of(head: &Parts) -> Self {
        Self { uri: head.uri.clone(), host: head.headers.get(header::HOST).cloned() }
    }
}

impl TokenHelp {
    /// For a gateway with this issuer, if it has one; `tls` is whether the listener speaks it.
    pub fn new(jwt: Option<&Jwt>, tls: bool) -> Self {
        let url = |text: &str| Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        // An issuer that is no address is nowhere to log in.
        let issuer = jwt.and_then(|jwt| {
            let (issuer, audience) = (url(&jwt.issuer)?, jwt.audience.clone());
            Some(KnownIssuer { issuer, resource: url(&audience), audience })
        });
        Self { issuer, scheme: if tls { "https" } else { "http" } }
    }

    /// By which address the client of a request knows the gateway, where a refusal may have to name it.
    pub fn asked(&self, head: &Parts) -> Option<AskedAddress> {
        self.issuer.as_ref().map(|_| AskedAddress::of(head))
    }

    /// The answer to a client that looks for a login; `None` if the request is for something else.
    /// `serves` says whether the gateway has an endpoint at a path.
    pub(super) fn answer(
        &self,
        head: &Parts,
        serves: impl FnOnce(&str) -> bool,
    ) -> Option<Result<Response<Answer>, Refusal>> {
        let path = head.uri.path();
        let below = |place: &str| {
            let rest = path.strip_prefix(place)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(rest)
        };
        if let Some(rest) = below(RESOURCE) {
            let is_ours = rest.is_empty() || serves(rest);
            return Some(match &self.issuer {
                Some(issuer) if is_ours && head.method == Method::GET => {
                    Ok(self.metadata(issuer, &AskedAddress::of(head), rest))
                }
                Some(_) | None => Err(self.nowhere()),
            });
        }
        let looks = LOGINS.iter().take(2).any(|place| below(place).is_some()) || LOGINS.contains(&path);
        looks.then(|| Err(self.nowhere()))
    }

    fn nowhere(&self) -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "a login was looked for").with_description(self.words())
    }

    fn words(&self) -> String {
        match &self.issuer {
            Some(KnownIssuer { issuer, audience, .. }) => {
                format!("a valid token is needed: one that `{issuer}` has issued for `{audience}`")
            }
            None => ASK.to_owned(),
        }
    }

    /// The metadata of what is at `path`.
    fn metadata(&self, issuer: &KnownIssuer, asked: &AskedAddress, path: &str) -> Response<Answer> {
        let resource = match &issuer.resource {
            Some(audience) => audience.as_str().to_owned(),
            None => self.address(issuer, asked, path),
        };
        let text = json!({
            "resource": resource,
            "authorization_servers": [issuer.issuer.as_str()],
            "bearer_methods_supported": ["header"],
            "resource_name": "mcpol",
        });
        json(StatusCode::OK, text.to_string().into_bytes())
    }

    /// A path of the gateway as its clients know it.
    fn address(&self, issuer: &KnownIssuer, asked: &AskedAddress, path: &str) -> String {
        match &issuer.resource {
            // What stands in front of the gateway may take TLS off, and only the operator knows of it.
            Some(audience) => format!("{}{path}", audience.origin().ascii_serialization()),
            None => {
                let host = asked.host.as_ref().and_then(|host| host.to_str().ok());
                let host = host.or_else(|| asked.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default();
                format!("{}://{host}{path}", self.scheme)
            }
        }
    }

    /// Adds to the refusal of a token how one is had. Which of its flaws a token has is not told.
    pub fn complete(&self, refusal: Refusal, asked: Option<&AskedAddress>) -> Refusal {
        if refusal.status() != StatusCode::UNAUTHORIZED {
            return refusal;
        }
        let place = |(issuer, asked): (&KnownIssuer, &AskedAddress)| {
            self.address(issuer, asked, &format!("{RESOURCE}{}", asked.uri.path()))
        };
        refusal.with_token_help(self.words(), self.issuer.as_ref().zip(asked).map(place).as_deref())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;
    use crate::gateway::identity::SubjectRule;
    use crate::gateway::jwt::Jwks;

    fn help(issuer: &str, audience: &str, tls: bool) -> TokenHelp {
        let jwt = Jwt {
            jwks: Jwks::File("keys.json".into()),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            grant_claim: "sub".to_owned(),
            subjects: SubjectRule::Any,
        };
        TokenHelp::new(Some(&jwt), tls)
    }

    #[test]
    fn addresses_are_those_of_the_audience_or_those_that_the_client_uses() {
        let asked =
            AskedAddress { uri: Uri::from_static("/mcp/one"), host: Some(HeaderValue::from_static("gate:8787")) };
        for (audience, tls, expected) in [
            ("mcpol", false, "http://gate:8787/mcp/one"),
            ("mcpol", true, "https://gate:8787/mcp/one"),
            ("https://gate.example.com/mcp", false, "https://gate.example.com/mcp/one"),
        ] {
            let help = help("https://issuer.example.com", audience, tls);
            assert_eq!(help.address(help.issuer.as_ref().unwrap(), &asked, "/mcp/one"), expected);
        }
        assert!(help("an issuer", "mcpol", true).issuer.is_none(), "nowhere to log in");
    }
}
