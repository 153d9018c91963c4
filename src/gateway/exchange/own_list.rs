//! The gateway's own `tools/list`: asked when a call needs what only a list can tell, and its client has been shown
//! none that counts. The call waits for it; no client ever sees it.

use super::answer::Shared;
use super::view::{Coming, Keep, View};
use crate::gateway::audit::Whose;
use crate::gateway::decider::Decider;
use crate::gateway::filter::filter;
use crate::gateway::said::Said;
use crate::mcp::envelope::{Id, Message, Passage, ToolCall, admit};
use crate::mcp::http::parameters::speaks_of_headers;
use crate::mcp::json::string_value;
use crate::mcp::walk::{member, members};
use crate::policy::Policy;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Most lists that one call waits for: a server may take each one back as soon as it was sent.
pub const LISTS_MAX: u8 = 2;
/// How long a list may take to come, all its pages together.
pub const LIST_WAIT: Duration = Duration::from_secs(30);
/// Most pages of one list.
pub const PAGES_MAX: u32 = 1_000;

/// A list that the gateway asks for on behalf of one client.
#[derive(Debug)]
pub struct OwnList {
    coming: Coming,
    /// `_meta` of every page's request, in revisions without a handshake.
    meta: Option<String>,
    /// The cursor of the next page, as JSON; `None` before the first page.
    cursor: Option<String>,
    pages: u32,
}

impl OwnList {
    /// A list that this call waits for, asked for at this time. In revisions without a session each request for a page
    /// repeats what `_meta` of the call says of the client.
    pub fn asked(call: &ToolCall, shared: &Shared, at: Instant) -> Self {
        let meta = call.is_stateless().then(|| meta_of(call)).flatten();
        Self { coming: Coming::asked(shared.moment(at)), meta, cursor: None, pages: 0 }
    }

    /// The request for the next page, under this id, which must need no escapes; `None` if it is no valid message,
    /// which a strange cursor or `_meta` could make it.
    pub fn request(&self, id: &str) -> Option<(Id, Passage)> {
        let mut params = Vec::new();
        params.extend(self.cursor.iter().map(|cursor| format!("\"cursor\":{cursor}")));
        params.extend(self.meta.iter().map(|meta| format!("\"_meta\":{meta}")));
        let params = params.join(",");
        let line = format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"tools/list","params":{{{params}}}}}"#);
        match admit(line.as_bytes()) {
            Ok(Message::Request(id, passage)) => Some((id, passage)),
            Ok(_) | Err(_) => None,
        }
    }

    /// Takes a page that has come, and returns whether more follow. `is_locked`: the lock compares its definitions.
    ///
    /// # Errors
    /// The page has no single reading, or there are more than [`PAGES_MAX`]; the text says which.
    pub fn page(
        &mut self,
        result: &str,
        policy: Option<&Policy>,
        is_locked: bool,
        shared: &Shared,
    ) -> Result<bool, String> {
        let page = filter(result, |_, _| true).map_err(|error| error.to_string())?;
        let repeats = speaks_of_headers(result);
        for (name, span) in &page.tools {
            let wants = policy.is_some_and(|policy| policy.wants_schema(name));
            let interface = policy.is_some_and(Policy::holds_resources);
            let essence = is_locked || policy.is_some_and(|policy| policy.wants_approval(name));
            let keep = Keep { essence, schema: wants.then_some(&shared.schemas), repeats, interface };
            self.coming.listing.take(name, &result[span.clone()], keep);
        }
        self.pages += 1;
        self.cursor = member(result, "nextCursor").map(|(cursor, _)| cursor.to_owned()).filter(|_| page.more);
        match (page.more, self.pages >= PAGES_MAX) {
            (true, true) => Err(format!("more than {PAGES_MAX} pages")),
            (more, _) => Ok(more),
        }
    }

    /// Makes this list, whose pages have all come, the newest one of the client's view.
    pub fn whole(self, view: &mut View, shared: &Shared, at: Instant) {
        view.complete(self.coming, shared.moment(at));
    }
}

/// Logs that a server did not list its tools, and tells the operator unless `told` says that it was done.
pub fn not_listed(decider: &Decider, whose: &Whose, why: &str, told: &AtomicBool) {
    let text = format!("the server did not list its tools: {}", crate::text::excerpt(why, 200));
    decider.dropped(whose, "server", &text);
    if !told.swap(true, Ordering::Relaxed) {
        decider.notice(&Said::warning(text).of(whose.server_name()));
    }
}

/// The members of a call's `_meta` that begin with `io.modelcontextprotocol/`: revision, client and capabilities. Not
/// its progress token, which is the call's own.
fn meta_of(call: &ToolCall) -> Option<String> {
    let (meta, _) = member(call.params()?, "_meta")?;
    let about = |name: &str| string_value(name).is_some_and(|name| name.starts_with("io.modelcontextprotocol/"));
    let kept: Vec<String> =
        members(meta).filter(|(name, _)| about(name)).map(|(name, span)| format!("{name}:{}", &meta[span])).collect();
    Some(format!("{{{}}}", kept.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_of_the_session_what_the_call_says() {
        let line = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{},"_meta":{"progressToken":5,"io.modelcontextprotocol/protocolVersion":"2026-07-28","x":1,"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let call = match admit(line) {
            Ok(Message::Call(_, call)) => Some(call),
            _ => None,
        };
        let expected = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        assert_eq!(call.and_then(|call| meta_of(&call)).as_deref(), Some(expected));
    }
}
