//! One request to an address that is no MCP endpoint, and the whole answer: keys of an issuer, an authorization server.

use super::client::HttpClient;
use super::redirect::Follow;
use crate::mcp::error::ConnectError;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
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
    let (answer, held) = client.pass(head.method, head.headers, Bytes::from(body), follow).await?;
    let body = Limited::new(held, max_bytes).collect().await.map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            ConnectError::TooLong { max_bytes }
        } else {
            ConnectError::Broken { url: crate::mcp::target::redacted(&url), detail: super::innermost(&*error) }
        }
    })?;
    Ok(Response::from_parts(answer, body.to_bytes().to_vec()))
}
