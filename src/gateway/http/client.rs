//! What goes to a server behind a URL: a call with a permit only, and everything else as it was admitted.

use crate::gateway::exchange::Cleared;
use crate::mcp::ConnectError;
use crate::mcp::envelope::{Id, Passage};
use crate::mcp::http::{Follow, Held, HttpClient};
use bytes::Bytes;
use http::{HeaderMap, Method, response};

/// What goes to a server. Calls get in once they are cleared only, and everything else as it was admitted.
#[derive(Debug)]
pub struct Outgoing {
    body: Bytes,
    follow: Follow,
}

impl Outgoing {
    /// A call. A [`Passage`] is never one.
    pub fn call(call: &Cleared) -> Self {
        Self { body: Bytes::copy_from_slice(call.line()), follow: Follow::Never }
    }

    /// Any other message.
    pub fn pass(passage: &Passage) -> Self {
        Self { body: Bytes::copy_from_slice(passage.line()), follow: Follow::Yes }
    }

    /// The news that a request is given up.
    pub fn cancel(id: &Id, reason: &str) -> Self {
        let mut line = Vec::new();
        crate::gateway::reply::cancelled(&mut line, id, reason);
        Self { body: line.into(), follow: Follow::Yes }
    }

    /// The gateway's own answer to a question of the server.
    pub fn answer(message: Vec<u8>) -> Self {
        Self { body: message.into(), follow: Follow::Yes }
    }

    /// Nothing: for GET and DELETE.
    pub fn nothing() -> Self {
        Self { body: Bytes::new(), follow: Follow::Yes }
    }

    /// Sends it, with the client's headers as far as they go on.
    ///
    /// # Errors
    /// There is no answer; [`ConnectError::may_have_arrived`] says whether the server may have received it.
    pub async fn send(
        self,
        client: &HttpClient,
        method: Method,
        headers: HeaderMap,
    ) -> Result<(response::Parts, Held), ConnectError> {
        client.pass(method, headers, self.body, self.follow).await
    }
}
