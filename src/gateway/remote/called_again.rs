//! Calls that a server behind a URL has refused for their headers: made once more, with the headers that its list wants now
//! (MCP 2026-07-28, custom headers from tool parameters).

use super::{MessageHead, SharedSession};
use crate::clock;
use crate::gateway::exchange::{OwnList, Shared};
use crate::gateway::mediate::lock;
use crate::mcp::ConnectError;
use crate::mcp::envelope::{Arrival, Id, MESSAGE_BYTES_MAX, Message, admit, receive};
use crate::mcp::http::ContentKind;
use crate::mcp::sse::Blocks;
use crate::mcp::walk::member;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The code with which a server says that headers do not match the body.
const HEADER_MISMATCH: i32 = -32020;

impl SharedSession {
    /// Makes a call once more that the server has refused for its headers, after a look at its list (MCP 2026-07-28, custom
    /// headers from tool parameters). It is another call to the policy: judged and counted again. Answers whether it is
    /// made.
    pub(super) async fn call_again(&self, line: Vec<u8>, head: &MessageHead) -> bool {
        let (Some(id), true) = (&head.id, head.is("tools/call") && head.version.is_some()) else { return false };
        if !lock(&self.called_again).insert(id.clone()) {
            return false;
        }
        let Ok(Message::Call(_, call)) = admit(&line) else { return false };
        let mut list = OwnList::asked(&call, &Shared::default(), Instant::now());
        loop {
            let number = self.relists.fetch_add(1, Ordering::Relaxed);
            let Some((id, passage)) = list.request(&format!("mcpol-headers-{number}")) else { return false };
            let Ok(page) = self.page(&id, passage.line()).await else { return false };
            let Ok(received) = receive(&page) else { return false };
            self.learn(&received);
            match list.page(received.result().unwrap_or_default(), None, false, &Shared::default()) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return false,
            }
        }
        match self.mediator.made_again(id, &line, clock::now()) {
            Some(answers) => {
                self.deliver(answers);
                true
            }
            None => false,
        }
    }

    /// A page of a list that the gateway asks for itself; empty where there is none.
    async fn page(&self, id: &Id, line: &[u8]) -> Result<Vec<u8>, ConnectError> {
        let mut reply = self.send(line.to_vec(), &self.head(line)).await?;
        let is_it = |data: &[u8]| {
            receive(data).is_ok_and(|received| matches!(&received.arrival, Arrival::Result(to) if to == id))
        };
        match reply.kind() {
            ContentKind::Json => Ok(reply.bytes(MESSAGE_BYTES_MAX).await?.to_vec()),
            ContentKind::EventStream => {
                let too_long = |_| ConnectError::TooLong { max_bytes: MESSAGE_BYTES_MAX };
                let mut blocks = Blocks::default();
                while let Some(chunk) = reply.chunk().await? {
                    blocks.feed(&chunk);
                    while let Some(block) = blocks.next_block().map_err(too_long)? {
                        if let Some(data) = block.data().filter(|data| is_it(data)) {
                            return Ok(data.into_owned());
                        }
                    }
                }
                Ok(Vec::new())
            }
            ContentKind::Html | ContentKind::Other => Ok(Vec::new()),
        }
    }
}

/// Whether a server refuses a request for its headers (MCP 2026-07-28, streamable HTTP).
pub(super) fn names_headers(body: &[u8]) -> bool {
    let code = || {
        let text = std::str::from_utf8(body).ok()?;
        member(member(text, "error")?.0, "code")?.0.parse::<i32>().ok()
    };
    code() == Some(HEADER_MISMATCH)
}
