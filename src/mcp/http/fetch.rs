//! One request to an address that is no MCP endpoint, and the whole answer: keys of an issuer, an authorization server.

use super::client::{HttpClient, unread};
use super::redirect::Follow;
use crate::mcp::error::ConnectError;
use crate::mcp::target::redacted;
use bytes::Bytes;
use http::{Request, Response};
use url::Url;

/// Sends a request and reads the answer to its end, at most `max_bytes` of it.
///
/// # Errors
/// No answer, a redirect that is not followed, or a body that is longer.
pub async fn fetch(
    request: Request<Vec<u8>>,
    follow: Follow,
    max_bytes: usize,
) -> Result<Response<Vec<u8>>, ConnectError> {
    let (head, body) = request.into_parts();
    let bad = || ConnectError::BadTarget("an address that is no http or https URL".to_owned());
    let url = Url::parse(&head.uri.to_string()).map_err(|_| bad())?;
    let client = HttpClient::plain(&url)?;
    let (answer, mut held) = client.pass(head.method, head.headers, Bytes::from(body), follow).await?;
    let body = held.whole(max_bytes).await.map_err(|why| unread(why, &redacted(&url), max_bytes))?;
    Ok(Response::from_parts(answer, body.to_vec()))
}
