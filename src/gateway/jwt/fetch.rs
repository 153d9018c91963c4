//! Getting an issuer's keys: from a file, or over HTTPS, bounded in size and time.

use super::keys::KeySet;
use super::settings::Jwks;
use crate::mcp::ConnectError;
use crate::mcp::http::{Follow, fetch, is_sealed};
use crate::mcp::target::redacted;
use crate::problem::reason;
use std::io::Read as _;
use std::time::Duration;
use url::Url;

/// Largest set of keys, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// How long an issuer may take, from the connection to the last byte.
pub const FETCH_WAIT: Duration = Duration::from_secs(4);

/// Reads the keys, wherever they are.
///
/// # Errors
/// A fragment that says what is wrong, and where.
pub(super) fn keys(place: &Jwks) -> Result<KeySet, String> {
    let (shown, text) = match place {
        Jwks::File(path) => (path.display().to_string(), read(path)),
        Jwks::Url(url) => (redacted(url), download(url)),
    };
    let text = text.map_err(|why| format!("cannot read the keys of the issuer at `{shown}`: {why}"))?;
    KeySet::parse(&text).map_err(|why| format!("cannot use the keys of the issuer at `{shown}`: {why}"))
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let file = crate::gateway::regular_file::open_regular(path).map_err(|error| reason(&error))?;
    let mut text = Vec::new();
    // One byte past the bound is enough to see that there are too many.
    file.take(KEY_SET_BYTES_MAX as u64 + 1).read_to_end(&mut text).map_err(|error| reason(&error))?;
    within_bound(text)
}

fn within_bound(text: Vec<u8>) -> Result<Vec<u8>, String> {
    if text.len() > KEY_SET_BYTES_MAX { Err(format!("more than {KEY_SET_BYTES_MAX} bytes")) } else { Ok(text) }
}

fn download(url: &Url) -> Result<Vec<u8>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no event loop: {}", reason(&error)))?;
    let answer = runtime.block_on(async { tokio::time::timeout(FETCH_WAIT, get(url)).await });
    answer.unwrap_or_else(|_| Err(format!("no answer within {} s", FETCH_WAIT.as_secs())))
}

async fn get(url: &Url) -> Result<Vec<u8>, String> {
    if !is_sealed(url) {
        return Err("it is neither `https` nor on this machine".to_owned());
    }
    let request = http::Request::get(url.as_str()).header("accept", "application/json").body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    // The address stands in the message already, without its query.
    let answer = fetch(request, Follow::Yes, KEY_SET_BYTES_MAX).await.map_err(|error| match error {
        ConnectError::Unreachable { detail, .. } | ConnectError::Tls { detail, .. } => detail,
        other => other.to_string(),
    })?;
    if answer.status() != http::StatusCode::OK {
        return Err(format!("the answer is {}", answer.status()));
    }
    Ok(answer.into_body())
}
