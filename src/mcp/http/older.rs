//! Servers of the transport that streamable HTTP replaced (HTTP+SSE, 2024-11-05): how they are told, and what is said.

use super::ContentKind;
use super::client::HttpClient;
use super::redirect::Follow;
use crate::mcp::envelope::MESSAGE_BYTES_MAX;
use crate::mcp::sse::Blocks;
use crate::mcp::walk::member;
use http::Method;
use std::time::Duration;

/// How long such a server may take to name its second endpoint.
const ENDPOINT_WAIT: Duration = Duration::from_secs(5);
/// What a client hears, where a scan can speak to the server and the gateway does not.
pub const OLDER: &str = "the server speaks HTTP+SSE, the transport that streamable HTTP replaced, and the gateway does \
                         not: look for its address of streamable HTTP, which often ends in `/mcp`";

/// Whether the answer to the first request may be that of such a server: the specification's sign is a 4xx.
pub fn may_be_older(method: &str, status: u16) -> bool {
    matches!(method, "initialize" | "server/discover") && matches!(status, 400 | 404 | 405 | 406 | 415)
}

/// Whether the body of a refusal is a message: then the server has understood what it was asked.
pub fn is_message(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| member(text, "jsonrpc").is_some())
}

/// Whether a server names a second endpoint in an event stream, as only the older transport does.
pub async fn speaks_older(client: &HttpClient) -> bool {
    let looking = async {
        let sent = client.send(Method::GET, None, &[("Accept", "text/event-stream")], Follow::Yes).await;
        let mut reply = sent.ok().filter(|reply| reply.status() == 200 && reply.kind() == ContentKind::EventStream)?;
        let mut blocks = Blocks::new(MESSAGE_BYTES_MAX);
        while let Some(chunk) = reply.chunk().await.ok()? {
            blocks.feed(&chunk);
            while let Some(block) = blocks.next_block().ok()? {
                if block.data().is_some() {
                    return Some(block.kind() == b"endpoint");
                }
            }
        }
        None
    };
    tokio::time::timeout(ENDPOINT_WAIT, looking).await.is_ok_and(|is_older| is_older == Some(true))
}
