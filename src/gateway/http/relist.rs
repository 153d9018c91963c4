//! The gateway's own `tools/list` to a server behind a URL: asked when a call needs what only a list can tell, and no
//! client has asked for one yet. The call waits for it; no client ever sees it.

use super::Server;
use super::client::Outgoing;
use super::mcp_headers::{EITHER, METHOD, NAME, SESSION};
use super::refusal::{Refusal, unauthorized};
use super::seen_tools::{Seen, Viewer};
use super::trip::Trip;
use super::url_answer::collect;
use super::url_table::UrlServer;
use crate::gateway::exchange::{Facts, LIST_WAIT, LISTS_MAX, OwnList, is_listed, not_listed};
use crate::gateway::identity::Unauthorized;
use crate::mcp::envelope::{Arrival, Id, MESSAGE_BYTES_MAX, Message, ToolCall, receive};
use crate::mcp::http::{ContentKind, Held, named_kind};
use crate::mcp::protocol::TOOLS_CHANGED;
use crate::mcp::sse::Blocks;
use crate::policy::Policy;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

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

impl UrlServer {
    /// What the caller has seen listed, where its calls are held to that, or no list was compared with the policy yet.
    pub(super) fn seen(
        &self,
        server: &Server,
        policy: Option<&Policy>,
        viewer: &Viewer,
        message: &Message,
    ) -> Option<Arc<Seen>> {
        // Tools name resources that may be read with them.
        let names = |policy: &Policy| !matches!(message, Message::Call(..)) && policy.holds_resources();
        let wants = server.guard().is_some()
            || policy.is_some_and(|policy| policy.wants_lists() || names(policy))
            || server.shared.wants_names();
        wants.then(|| self.seen_tools.of(viewer.clone()))
    }

    /// The policy for a call, and what the decider is told of its tool beside the name; asks the server for its list where
    /// only that can tell.
    ///
    /// # Errors
    /// The server has forgotten the session, or the caller may not call it any more.
    pub(super) async fn informed(
        &self,
        trip: &Trip,
        policy: Option<Arc<Policy>>,
        call: &ToolCall,
    ) -> Result<(Option<Arc<Policy>>, Facts), Refusal> {
        let (guard, tool) = (trip.to.server.guard().map(|guard| &**guard), call.name().as_str());
        let held = |policy: &Arc<Policy>| guard.is_some() || trip.repeats.are_stated() || policy.wants_lists_for(tool);
        let policy = match policy {
            Some(policy) if held(&policy) => policy,
            policy => return Ok((policy, Facts::default())),
        };
        // The policy may hold calls to lists only since this one came.
        let seen = trip.to.seen.clone().unwrap_or_else(|| self.seen_tools.of(trip.to.viewer.clone()));
        if !wants_list(trip, &seen, &policy, tool) {
            let facts = facts(trip, &seen, &policy, tool);
            return Ok((Some(policy), facts));
        }
        // In a box: few calls take this way, and all of them would keep room for it.
        let waiting = Box::pin(async {
            let token_watch = trip.to.gateway.token_watches.of(&trip.to.server, &trip.to.holder);
            tokio::select! {
                asked = self.ask(trip, &seen, &policy, call) => asked?,
                () = token_watch.ended() => return Err(unauthorized(&Unauthorized::Revoked)),
            }
            Ok(token_watch.who())
        });
        let who = waiting.await?;
        // That may have taken a while, and the policy may be another one by now.
        let policy = trip.to.gateway.policy(&who, &trip.to.server);
        let facts = policy.as_ref().map(|policy| facts(trip, &seen, policy, tool)).unwrap_or_default();
        Ok((policy, facts))
    }

    /// Asks the server for its list, or waits for the call that asks already.
    async fn ask(&self, trip: &Trip, seen: &Seen, policy: &Policy, call: &ToolCall) -> Result<(), Refusal> {
        for _ in 0..LISTS_MAX {
            match self.list_for(trip, seen, policy, call).await {
                Ok(()) if wants_list(trip, seen, policy, call.name().as_str()) => {}
                Ok(()) | Err(NoList::Known) => break,
                Err(NoList::Failed(why)) => {
                    let whose = trip.to.server.whose(&trip.to.holder.who);
                    not_listed(&trip.to.server.decider, &whose, &why, &self.asking.told);
                    break;
                }
                Err(NoList::NoSession) => {
                    return Err(Refusal::new(StatusCode::NOT_FOUND, "there is no such session"));
                }
            }
        }
        Ok(())
    }

    /// Sees to it that there is a list: asks for it, or waits for the call that has asked already.
    async fn list_for(&self, trip: &Trip, seen: &Seen, policy: &Policy, call: &ToolCall) -> Result<(), NoList> {
        let failures = seen.failures();
        let listing = async {
            let _turn = seen.asking.lock().await;
            if !wants_list(trip, seen, policy, call.name().as_str()) {
                return Ok(());
            }
            if seen.failures() != failures {
                return Err(NoList::Known);
            }
            let listed = self.list(trip, seen, policy, call).await;
            if listed.is_err() {
                seen.failed();
            }
            listed
        };
        tokio::time::timeout(LIST_WAIT, listing).await.unwrap_or_else(|_| {
            seen.failed();
            Err(NoList::Failed(format!("no answer within {} s", LIST_WAIT.as_secs())))
        })
    }

    /// Asks for all pages, with the headers of the call that waits for them.
    async fn list(&self, trip: &Trip, seen: &Seen, policy: &Policy, call: &ToolCall) -> Result<(), NoList> {
        let failed = |why: &dyn std::fmt::Display| NoList::Failed(why.to_string());
        let (headers, shared, is_locked) =
            (headers_of(&trip.headers), &trip.to.server.shared, trip.to.server.guard().is_some());
        let mut list = OwnList::asked(call, shared, Instant::now());
        loop {
            let (prefix, number) = (&self.asking.prefix, self.asking.asked.fetch_add(1, Ordering::Relaxed));
            let Some((id, passage)) = list.request(&format!("{prefix}-{number}")) else {
                return Err(failed(&"the next page cannot be asked for"));
            };
            let sent = Outgoing::pass(&passage).send(&self.upstream, Method::POST, headers.clone()).await;
            trip.to.server.heard(&sent);
            let (head, held) = sent.map_err(|error| failed(&error.without_address()))?;
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
            if !list.page(result, Some(policy), is_locked, shared).map_err(NoList::Failed)? {
                list.whole(&mut seen.view(), shared, Instant::now());
                return Ok(());
            }
        }
    }

    /// The answer in a stream of events. What else is in it goes nowhere: no client has asked for any of it.
    async fn answer_among(trip: &Trip, mut held: Held, id: &Id) -> Result<Bytes, String> {
        let mut blocks = Blocks::new(MESSAGE_BYTES_MAX);
        while let Some(frame) = held.frame().await {
            let frame = frame.map_err(|_| "its answer broke off".to_owned())?;
            blocks.feed(frame.data_ref().map_or(&[], |bytes| bytes));
            while let Some(block) = blocks.next_block().map_err(|_| "its answer is too long".to_owned())? {
                let Some(data) = block.data().filter(|_| block.is_message()) else { continue };
                let Ok(received) = receive(&data) else { continue };
                match &received.arrival {
                    Arrival::Result(to) | Arrival::Error(to) if to == id => {
                        return Ok(Bytes::copy_from_slice(&data));
                    }
                    Arrival::Notification(method) if &**method == TOOLS_CHANGED => {
                        trip.to.server.shared.take_lists_back();
                    }
                    _ => {}
                }
            }
        }
        Err("it ended the stream without an answer".to_owned())
    }
}

/// Whether only a list can tell what becomes of a call.
fn wants_list(trip: &Trip, seen: &Seen, policy: &Policy, tool: &str) -> bool {
    let (server, guard) = (&trip.to.server, trip.to.server.guard().map(|guard| &**guard));
    let (view, now) = (seen.view(), server.shared.moment(Instant::now()));
    view.wants_list(policy, guard, tool, now)
        || (trip.repeats.are_stated() && is_listed(policy, tool) && view.newest(now).is_none())
}

fn facts(trip: &Trip, seen: &Seen, policy: &Policy, tool: &str) -> Facts {
    let (server, guard) = (&trip.to.server, trip.to.server.guard().map(|guard| &**guard));
    let (now, whose) = (server.shared.moment(Instant::now()), server.whose(&trip.to.holder.who));
    seen.view().facts(policy, guard, tool, now, (&whose, &server.decider))
}

/// The headers of a call as they are for a list.
fn headers_of(call: &HeaderMap) -> HeaderMap {
    let mut headers = call.clone();
    headers.remove(NAME);
    if headers.contains_key(&METHOD) {
        headers.insert(METHOD, HeaderValue::from_static("tools/list"));
    }
    headers.insert(ACCEPT, EITHER);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    #[test]
    fn a_list_is_asked_for_with_the_headers_of_the_call_but_for_what_is_about_the_call() {
        let call: HeaderMap = [
            ("accept", "application/json"),
            ("mcp-session-id", "s"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "t"),
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
