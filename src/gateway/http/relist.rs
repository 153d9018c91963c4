//! The gateway's own `tools/list` to a server behind a URL: asked when a call needs what only a list can tell, and nobody
//! has asked for one yet. The call waits for it; no client ever sees it.

use super::blocks::Blocks;
use super::client::{Held, Outgoing};
use super::mcp_headers::{EITHER, LAST_EVENT_ID, METHOD, NAME, SESSION};
use super::refusal::Refusal;
use super::relay::{Relay, Trip};
use super::relay_answer::collect;
use super::sights::{Sight, Viewer};
use super::{Server, unauthorized};
use crate::clock;
use crate::gateway::filter::filter;
use crate::gateway::identity::{Identity, Unauthorized};
use crate::gateway::mediate::is_listed;
use crate::gateway::relist::{LIST_WAIT, LISTS_MAX, PAGES_MAX, meta_of};
use crate::mcp::envelope::{Arrival, Id, MESSAGE_BYTES_MAX, Message, ToolCall, admit, receive};
use crate::mcp::http::{ContentKind, named_kind};
use crate::mcp::walk::member;
use crate::policy::{Policy, ToolChange};
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Parameters of a call that are told in headers (MCP 2026-07-28, streamable HTTP).
const PARAMETER: &str = "mcp-param-";

/// What belongs to the questions to one server.
#[derive(Debug)]
pub struct Asking {
    /// Begins the ids of the questions, so that no client has a request of the same id in flight.
    prefix: String,
    asked: AtomicU64,
    told: AtomicBool,
}

impl Default for Asking {
    fn default() -> Self {
        let mut bytes = [0; 8];
        // Without randomness a client could choose the same ids, and would harm nobody but itself.
        let _ = getrandom::fill(&mut bytes);
        let prefix = format!("mcpol-list-{:016x}", u64::from_le_bytes(bytes));
        Self { prefix, asked: AtomicU64::new(0), told: AtomicBool::new(false) }
    }
}

/// Why there is no list.
#[derive(Debug)]
enum NoList {
    /// The server does not know the session.
    NoSession,
    /// Anything else, in words.
    Failed(String),
    /// Another call has asked meanwhile, in vain.
    Known,
}

impl Relay {
    /// What whoever calls has seen listed, where a lock wants to know.
    pub(super) fn sight(&self, server: &Server, headers: &HeaderMap, who: &Identity) -> Option<Arc<Sight>> {
        server.guard().map(|_| self.sight_of(headers, who))
    }

    fn sight_of(&self, headers: &HeaderMap, who: &Identity) -> Arc<Sight> {
        self.sights.of(match headers.get(&SESSION) {
            Some(session) => Viewer::session(session.as_bytes()),
            None => Viewer::Grant(Arc::clone(&who.grant)),
        })
    }

    /// The policy for a call, and what the desk is told of its tool beside the name; asks the server for its list where
    /// only that can tell.
    ///
    /// # Errors
    /// The server has forgotten the session, or the caller may not call it any more.
    pub(super) async fn informed(
        &self,
        trip: &Trip,
        policy: Option<Arc<Policy>>,
        call: &ToolCall,
    ) -> Result<(Option<Arc<Policy>>, Option<ToolChange>), Refusal> {
        let Some(policy) = policy else { return Ok((None, None)) };
        let tool = call.name().as_str();
        if !wants_list(trip, trip.sight.as_deref(), &policy, tool) {
            let change = Self::change(trip, &policy, tool);
            return Ok((Some(policy), change));
        }
        // In a box: few calls take this way, and all of them would keep room for it.
        let waiting = Box::pin(async {
            let lease = trip.gateway.leases.of(&trip.server, &trip.holder);
            tokio::select! {
                asked = self.ask(trip, &policy, call) => asked?,
                () = lease.ended() => return Err(unauthorized(&Unauthorized::Revoked)),
            }
            Ok(lease.who())
        });
        let who = waiting.await?;
        // That may have taken a while, and the policy may be another one by now.
        let policy = trip.gateway.policy(&who, &trip.server);
        let change = policy.as_ref().and_then(|policy| Self::change(trip, policy, tool));
        Ok((policy, change))
    }

    /// Asks the server for its list, or waits for whoever asks already.
    async fn ask(&self, trip: &Trip, policy: &Policy, call: &ToolCall) -> Result<(), Refusal> {
        let sight = trip.sight.clone().unwrap_or_else(|| self.sight_of(&trip.headers, &trip.holder.who));
        for _ in 0..LISTS_MAX {
            match self.list_for(trip, &sight, policy, call).await {
                Ok(()) if wants_list(trip, Some(&sight), policy, call.name().as_str()) => {}
                Ok(()) | Err(NoList::Known) => break,
                Err(NoList::Failed(why)) => {
                    self.list_failed(trip, &why);
                    break;
                }
                Err(NoList::NoSession) => {
                    return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such session"));
                }
            }
        }
        Ok(())
    }

    fn change(trip: &Trip, policy: &Policy, tool: &str) -> Option<ToolChange> {
        let server = &trip.server;
        if policy.hides_among_allowed(tool) {
            let tools = server.tools();
            if tools.is_known() && !tools.names_tool(tool) {
                return Some(ToolChange::Unlisted);
            }
        }
        let (guard, sight) = server.guard().zip(trip.sight.as_ref())?;
        let change = sight.change(tool, &guard.reviewed())?;
        guard.refuses(change, tool, is_listed(policy, tool), &server.label, &server.desk, clock::now())
    }

    fn list_failed(&self, trip: &Trip, why: &str) {
        let (server, text) =
            (&trip.server, format!("the server did not list its tools: {}", crate::text::excerpt(why, 200)));
        server.desk.audit().repeated(clock::now(), "dropped", |line| {
            line.text("from", "server").text("server", server.name.as_str()).text("what", &text)
        });
        if !self.asking.told.swap(true, Ordering::Relaxed) {
            server.desk.notice(&format!("{}: {text}", server.name));
        }
    }

    /// Sees to it that there is a list: asks for it, or waits for whoever has asked already.
    async fn list_for(&self, trip: &Trip, sight: &Sight, policy: &Policy, call: &ToolCall) -> Result<(), NoList> {
        let failures = sight.failures();
        let listing = async {
            let _turn = sight.asking.lock().await;
            if !wants_list(trip, Some(sight), policy, call.name().as_str()) {
                return Ok(());
            }
            if sight.failures() != failures {
                return Err(NoList::Known);
            }
            let listed = self.list(trip, sight, policy, call).await;
            if listed.is_err() {
                sight.failed();
            }
            listed
        };
        tokio::time::timeout(LIST_WAIT, listing).await.unwrap_or_else(|_| {
            sight.failed();
            Err(NoList::Failed(format!("no answer within {} s", LIST_WAIT.as_secs())))
        })
    }

    /// Asks for all pages, with the headers of whoever waits for them.
    async fn list(&self, trip: &Trip, sight: &Sight, policy: &Policy, call: &ToolCall) -> Result<(), NoList> {
        let failed = |why: &dyn std::fmt::Display| NoList::Failed(why.to_string());
        let meta = call.is_stateless().then(|| meta_of(call)).flatten();
        let headers = headers_of(&trip.headers);
        let mut arriving = sight.listed().arriving();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut params = Vec::new();
            params.extend(cursor.take().map(|cursor| format!("\"cursor\":{cursor}")));
            params.extend(meta.iter().map(|meta| format!("\"_meta\":{meta}")));
            let (prefix, number) = (&self.asking.prefix, self.asking.asked.fetch_add(1, Ordering::Relaxed));
            let line = format!(
                r#"{{"jsonrpc":"2.0","id":"{prefix}-{number}","method":"tools/list","params":{{{}}}}}"#,
                params.join(",")
            );
            let Ok(Message::Request(id, passage)) = admit(line.as_bytes()) else {
                return Err(failed(&"the next page cannot be asked for"));
            };
            let sent = self.upstream.send(Method::POST, headers.clone(), Outgoing::pass(&passage)).await;
            let (head, held) = sent.map_err(|error| failed(&error))?;
            if head.status == StatusCode::NOT_FOUND
                && let Some(session) = headers.get(&SESSION)
            {
                self.close(session.as_bytes());
                return Err(NoList::NoSession);
            }
            if !head.status.is_success() {
                return Err(failed(&format!("it answered with status {}", head.status.as_u16())));
            }
            let body = match ContentKind::of(&head.headers) {
                ContentKind::Json => collect(held, None).await.map_err(|(_, why)| failed(&why))?,
                ContentKind::EventStream => Self::answer_among(trip, held, &id).await.map_err(|why| failed(&why))?,
                ContentKind::Html | ContentKind::Other => {
                    let kind = named_kind(&head.headers);
                    return Err(failed(&format!(
                        "it answered with {kind}, which is neither JSON nor a stream of events"
                    )));
                }
            };
            let received = receive(&body).map_err(|malformed| failed(&malformed.reason))?;
            match &received.arrival {
                Arrival::Result(to) if *to == id => {}
                Arrival::Error(_) => return Err(failed(&"it answered with an error")),
                Arrival::Result(_) | Arrival::Request(..) | Arrival::Notification(_) => {
                    return Err(failed(&"its answer is not for this request"));
                }
            }
            let result = received.result().unwrap_or_default();
            let page = filter(result, |_, _| true).map_err(|error| failed(&error))?;
            {
                let mut tools = trip.server.tools();
                for (name, span) in &page.tools {
                    let definition = &result[span.clone()];
                    arriving.take(name, definition);
                    tools.take(name, policy.wants_schema(name).then_some(definition));
                }
                if !page.more {
                    tools.known();
                }
            }
            if !page.more {
                sight.listed().complete(arriving);
                return Ok(());
            }
            cursor = member(result, "nextCursor").map(|(cursor, _)| cursor.to_owned());
        }
        Err(failed(&format!("more than {PAGES_MAX} pages")))
    }

    /// The answer in a stream of events. What else is in it goes to nobody: no client has asked for any of it.
    async fn answer_among(trip: &Trip, mut held: Held, id: &Id) -> Result<Bytes, String> {
        let mut blocks = Blocks::new(MESSAGE_BYTES_MAX);
        while let Some(frame) = held.frame().await {
            let frame = frame.map_err(|_| "its answer broke off".to_owned())?;
            blocks.feed(frame.data_ref().map_or(&[], |bytes| bytes));
            while let Some(block) = blocks.next_block().map_err(|_| "its answer is too long".to_owned())? {
                let Some(data) = block.data() else { continue };
                let Ok(received) = receive(&data) else { continue };
                match &received.arrival {
                    Arrival::Result(to) | Arrival::Error(to) if to == id => {
                        return Ok(Bytes::copy_from_slice(&data));
                    }
                    Arrival::Notification(method) if &**method == "notifications/tools/list_changed" => {
                        trip.server.list_changed();
                    }
                    _ => {}
                }
            }
        }
        Err("it ended the stream without an answer".to_owned())
    }
}

/// Whether only a list can tell what becomes of a call.
fn wants_list(trip: &Trip, sight: Option<&Sight>, policy: &Policy, tool: &str) -> bool {
    if !is_listed(policy, tool) {
        return false;
    }
    let unseen = trip.server.guard().is_some_and(|guard| {
        sight.is_none_or(|sight| sight.change(tool, &guard.reviewed()) == Some(ToolChange::Unseen))
    });
    let (schema, hides) = (policy.wants_schema(tool), policy.hides_among_allowed(tool));
    unseen
        || ((schema || hides) && {
            let tools = trip.server.tools();
            !tools.is_known() && (schema || !tools.names_tool(tool))
        })
}

/// The headers of a call as they are for a list.
fn headers_of(call: &HeaderMap) -> HeaderMap {
    let mut headers = call.clone();
    let of_the_call: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(PARAMETER)).cloned().collect();
    for name in of_the_call.iter().chain([&NAME, &LAST_EVENT_ID]) {
        headers.remove(name);
    }
    if headers.contains_key(&METHOD) {
        headers.insert(METHOD, HeaderValue::from_static("tools/list"));
    }
    headers.insert(ACCEPT, EITHER);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_with_the_headers_of_the_call_but_for_what_is_about_the_call() {
        let call: HeaderMap = [
            ("accept", "application/json"),
            ("mcp-session-id", "s"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "t"),
            ("mcp-param-region", "eu"),
            ("x-tenant", "7"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
        let headers = headers_of(&call);
        let mut found: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        found.sort_unstable();
        let expected: [(&str, &[u8]); 4] = [
            ("accept", b"application/json, text/event-stream"),
            ("mcp-method", b"tools/list"),
            ("mcp-session-id", b"s"),
            ("x-tenant", b"7"),
        ];
        assert_eq!(found, expected);
    }
}
