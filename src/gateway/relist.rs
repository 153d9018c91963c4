//! The gateway's own `tools/list`: asked when a call needs what only a list can tell, and the client has not asked for one
//! yet. The call waits for it; the client never sees it.

use super::answers::Answers;
use super::filter::filter;
use super::locked::Arriving;
use super::mediate::{Effects, Mediator, Taken, is_listed, lock};
use super::pending::Kind;
use crate::clock::Timestamp;
use crate::mcp::envelope::{Id, Message, Received, ToolCall, admit};
use crate::mcp::json::string_value;
use crate::mcp::walk::{member, members};
use crate::policy::{Policy, ToolChange};
use std::time::{Duration, Instant};

/// Calls that may wait for a list at the same time; more are decided on without one.
pub const PARKED_MAX: usize = 256;
/// Lists that one call waits for at most: a server may take each one back as soon as it was sent.
pub const LISTS_MAX: u8 = 2;
/// How long a list may take, all its pages together.
pub const LIST_WAIT: Duration = Duration::from_secs(30);
/// Pages of one list at most.
pub const PAGES_MAX: u32 = 1_000;

/// The list that is asked for, and the calls that wait for it.
#[derive(Debug, Default)]
pub(super) struct Relist {
    parked: Vec<Parked>,
    flight: Option<Flight>,
    /// Calls that have waited and are being decided on.
    resuming: usize,
    asked: u64,
    /// Whether a person was told that a list did not come.
    told: bool,
}

/// A call that waits for a list.
#[derive(Debug)]
struct Parked {
    taken: Taken,
    /// The approval that it has waited for already.
    asked: Option<String>,
}

/// A list on its way.
#[derive(Debug)]
struct Flight {
    id: Id,
    since: Instant,
    pages: u32,
    /// `_meta` of every page's request, in revisions without a handshake.
    meta: Option<String>,
    arriving: Arriving,
}

impl Mediator {
    /// How a call's tool differs from what was reviewed; `None` as well where that is only said.
    pub(super) fn change(&self, policy: &Policy, tool: &str, now: Timestamp) -> Option<ToolChange> {
        if policy.hides_among_allowed(tool) {
            let tools = lock(&self.tools);
            if tools.is_known() && !tools.names_tool(tool) {
                return Some(ToolChange::Unlisted);
            }
        }
        let guard = self.guard.as_ref()?;
        let change = lock(&self.listed).change(tool, &guard.reviewed())?;
        guard.refuses(change, tool, is_listed(policy, tool), self.server(), &self.desk, now)
    }

    /// Whether only a list can tell what becomes of a call.
    pub(super) fn wants_list(&self, policy: &Policy, taken: &Taken) -> bool {
        let tool = taken.call.name().as_str();
        if taken.lists >= LISTS_MAX || !is_listed(policy, tool) {
            return false;
        }
        let unseen = self
            .guard
            .as_ref()
            .is_some_and(|guard| lock(&self.listed).change(tool, &guard.reviewed()) == Some(ToolChange::Unseen));
        let (schema, hides) = (policy.wants_schema(tool), policy.hides_among_allowed(tool));
        unseen
            || ((schema || hides) && {
                let tools = lock(&self.tools);
                !tools.is_known() && (schema || !tools.names_tool(tool))
            })
    }

    /// Lets a call wait for a list, and asks for one. Gives the call back where that cannot be done.
    pub(super) fn park(&self, mut taken: Taken, asked: Option<&str>, effects: &mut Effects) -> Option<Taken> {
        let mut relist = lock(&self.relist);
        if relist.parked.len() >= PARKED_MAX {
            return Some(taken);
        }
        if relist.flight.is_none() {
            let meta = taken.call.is_stateless().then(|| meta_of(&taken.call)).flatten();
            let arriving = lock(&self.listed).arriving();
            let since = Instant::now();
            relist.flight = self.ask(&mut relist.asked, None, meta.as_deref(), effects).map(|id| Flight {
                id,
                since,
                pages: 0,
                meta,
                arriving,
            });
            if relist.flight.is_none() {
                return Some(taken);
            }
        }
        match lock(&self.pending).get_mut(&taken.id) {
            // Withdrawn by a message that arrived with it.
            Some(entry) if entry.cancelled => {}
            // The server does not know of it, as of a call that waits for a person.
            Some(entry) => {
                entry.kind = Kind::Waiting;
                taken.lists += 1;
                relist.parked.push(Parked { taken, asked: asked.map(str::to_owned) });
                return None;
            }
            None => return None,
        }
        lock(&self.pending).end(&taken.id);
        None
    }

    /// Sends the request for a page.
    fn ask(&self, asked: &mut u64, cursor: Option<&str>, meta: Option<&str>, effects: &mut Effects) -> Option<Id> {
        *asked += 1;
        let mut params = Vec::new();
        params.extend(cursor.map(|cursor| format!("\"cursor\":{cursor}")));
        params.extend(meta.map(|meta| format!("\"_meta\":{meta}")));
        let params = params.join(",");
        let line =
            format!(r#"{{"jsonrpc":"2.0","id":"mcpol-list-{asked}","method":"tools/list","params":{{{params}}}}}"#);
        let Ok(Message::Request(id, passage)) = admit(line.as_bytes()) else { return None };
        // A client that has a request of this very name in flight has to wait for its own answer first.
        lock(&self.pending).begin(&id, Kind::OwnList, Instant::now()).ok()?;
        effects.to_server.pass(&passage);
        Some(id)
    }

    /// Whether calls wait for a list, or for what follows from it.
    pub(super) fn awaits_list(&self) -> bool {
        let relist = lock(&self.relist);
        relist.flight.is_some() || relist.resuming > 0
    }

    /// A page of our own list has come.
    pub(super) fn own_list(&self, id: &Id, received: &Received<'_>, now: Timestamp, answers: &mut Answers) {
        let result = received.result().unwrap_or_default();
        let page = filter(result, |_, _| true).map_err(|error| error.to_string());
        let policy = self.policy();
        let mut failed = None;
        {
            let mut relist = lock(&self.relist);
            let relist = &mut *relist;
            let Some(flight) = relist.flight.as_mut().filter(|flight| flight.id == *id) else { return };
            flight.pages += 1;
            match page {
                Ok(page) if flight.pages <= PAGES_MAX => {
                    let mut tools = lock(&self.tools);
                    for (name, span) in &page.tools {
                        let definition = &result[span.clone()];
                        flight.arriving.take(name, definition);
                        tools.take(name, policy.wants_schema(name).then_some(definition));
                    }
                    if page.more {
                        let cursor = member(result, "nextCursor").map(|(cursor, _)| cursor.to_owned());
                        let meta = flight.meta.clone();
                        match self.ask(&mut relist.asked, cursor.as_deref(), meta.as_deref(), &mut answers.effects) {
                            Some(id) => {
                                flight.id = id;
                                return;
                            }
                            None => failed = Some("the next page cannot be asked for".to_owned()),
                        }
                    } else {
                        tools.known();
                        lock(&self.listed).complete(std::mem::take(&mut flight.arriving));
                    }
                }
                Ok(_) => failed = Some(format!("more than {PAGES_MAX} pages")),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => self.resume(now, &mut answers.effects),
            Some(why) => self.own_list_failed(&why, now, &mut answers.effects),
        }
    }

    /// Our own list will not come: what waits for it is decided on without it.
    pub(super) fn own_list_failed(&self, why: &str, now: Timestamp, effects: &mut Effects) {
        let text = format!("the server did not list its tools: {}", crate::text::excerpt(why, 200));
        self.audit().repeated(now, "dropped", |line| line.text("from", "server").text("what", &text));
        let told = {
            let mut relist = lock(&self.relist);
            relist.parked.iter_mut().for_each(|parked| parked.taken.lists = LISTS_MAX);
            std::mem::replace(&mut relist.told, true)
        };
        if !told {
            self.notice(&text);
        }
        self.resume(now, effects);
    }

    /// Gives up a list that takes too long.
    pub(super) fn look_at_list(&self, now: Timestamp, effects: &mut Effects) {
        let late = {
            let relist = lock(&self.relist);
            let late = relist.flight.as_ref().filter(|flight| flight.since.elapsed() >= LIST_WAIT);
            late.map(|flight| flight.id.clone())
        };
        let Some(id) = late else { return };
        if lock(&self.pending).end(&id).is_some() {
            effects.to_server.cancel(&id, "no answer in time");
        }
        self.own_list_failed(&format!("no answer within {} s", LIST_WAIT.as_secs()), now, effects);
    }

    /// Brings what waited for a list to the desk; what the client withdrew meanwhile is left out.
    fn resume(&self, now: Timestamp, effects: &mut Effects) {
        let parked = {
            let mut relist = lock(&self.relist);
            relist.flight = None;
            relist.resuming += relist.parked.len();
            std::mem::take(&mut relist.parked)
        };
        for Parked { taken, asked } in parked {
            self.decide_later(taken, now, asked.as_deref(), effects);
            lock(&self.relist).resuming -= 1;
        }
    }
}

/// `_meta` of a call as far as it is about the session: version, client and capabilities, and not the call's progress.
pub(super) fn meta_of(call: &ToolCall) -> Option<String> {
    let line = std::str::from_utf8(call.line()).ok()?;
    let (params, _) = member(line, "params")?;
    let (meta, _) = member(params, "_meta")?;
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
