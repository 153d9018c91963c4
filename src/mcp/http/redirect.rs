//! The rule of redirects, the one for scans, logins and every way of the gateway: 307 and 308 within the origin are
//! followed and remembered, anything else is refused with the address to use, and a tool call is never sent twice.

use crate::mcp::error::ConnectError;
use crate::mcp::target::redacted;
use http::header::LOCATION;
use http::{StatusCode, response};
use url::Url;

/// Redirects followed for one request.
pub const REDIRECTS_MAX: usize = 5;

/// Whether a request may be sent once more to another path of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It changes nothing that must not be changed twice.
    Yes,
    /// A tool call: the next one goes to where the server has sent this one on to.
    Never,
    /// The caller decides: the redirect is the answer.
    Shown,
}

/// Where the answer to a request that went to `from` sends it on to.
///
/// # Errors
/// It is a redirect that is not followed.
pub(super) fn target_of(from: &Url, head: &response::Parts) -> Result<Url, ConnectError> {
    let refused = |to: String| ConnectError::Redirected { url: redacted(from), to };
    let to = head.headers.get(LOCATION).ok_or_else(|| refused("an address that it does not name".to_owned()))?;
    let to = to.to_str().ok().and_then(|to| from.join(to).ok());
    let to = to.ok_or_else(|| refused("an address that is not valid".to_owned()))?;
    // Other statuses turn the request into a GET in most clients: what the server means by them cannot be told.
    let keeps_method = matches!(head.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    // No other origin may see the headers or the messages.
    if keeps_method && from.origin() == to.origin() { Ok(to) } else { Err(refused(redacted(&to))) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;

    #[test]
    fn only_what_stays_at_home_and_keeps_its_method_is_followed() {
        let check = |status: u16, from: &str, to: Option<&str>, expected: Result<&str, &str>| {
            let mut response = http::Response::builder().status(status);
            if let Some(to) = to {
                response = response.header(LOCATION, to);
            }
            let (head, ()) = response.body(()).unwrap().into_parts();
            let found = target_of(&Url::parse(from).unwrap(), &head);
            let found = found.map(String::from).map_err(|error| error.to_string());
            let expected =
                expected.map(str::to_owned).map_err(|to| format!("{from} redirects to {to}, which was not followed"));
            assert_eq!(found, expected, "{status} {to:?}");
        };
        let (plain, secure) = ("http://a.example/mcp", "https://a.example/mcp");
        check(307, plain, Some("/mcp/"), Ok("http://a.example/mcp/"));
        check(308, secure, Some("https://a.example/v2?x=1"), Ok("https://a.example/v2?x=1"));
        check(301, plain, Some("/mcp/"), Err("http://a.example/mcp/"));
        check(302, plain, Some("/mcp/"), Err("http://a.example/mcp/"));
        check(303, plain, Some("/mcp/"), Err("http://a.example/mcp/"));
        check(307, plain, Some(secure), Err(secure));
        check(307, secure, Some(plain), Err(plain));
        check(307, secure, Some("https://b.example/mcp?token=hush"), Err("https://b.example/mcp"));
        check(307, secure, Some("https://a.example:8443/mcp"), Err("https://a.example:8443/mcp"));
        check(307, plain, Some("http://"), Err("an address that is not valid"));
        check(307, plain, None, Err("an address that it does not name"));
    }
}
