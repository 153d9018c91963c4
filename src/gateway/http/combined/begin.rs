//! The beginning: `initialize`, which begins a session with every server and one that stands for all, `server/discover`
//! of the revision without sessions, and the beginning anew with a server that has lost its session.

use super::super::Server;
use super::super::mcp_headers::SESSION;
use super::super::sessions::label;
use super::Answered;
use super::ask::{Ask, PART_WAIT, Part, post, read};
use super::edit::text_at;
use super::gathered_stream::gathered;
use super::offers::{carried, instructions, joined};
use super::piece::Piece;
use super::replies::{done, failed, quoted};
use super::request::{ClientRequest, line_of};
use super::sessions::{CombinedSession, SessionEnd};
use crate::clock;
use crate::gateway::audit::{Route, Whose};
use crate::gateway::identity::Identity;
use crate::gateway::mediate::lock;
use crate::mcp::envelope::{Id, Message, Passage, admit};
use crate::mcp::json::string_value;
use crate::mcp::protocol::{STATELESS_VERSION, is_stateless};
use crate::mcp::walk::{elements, member};
use crate::policy::{Caller, OtherSession, Pledge};
use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest capabilities of a server that are believed, in bytes: they are kept for each session.
const CAPABILITIES_BYTES_MAX: usize = 64 * 1024;
/// What is said of a server that refuses.
const REFUSES: &str = "it refuses to begin a session";

impl ClientRequest {
    /// Begins a session with every server, and one that stands for all of them.
    pub(super) async fn initialize(self: Arc<Self>, id: &Id, passage: &Passage) -> Answered {
        let hello = line_of(passage.line());
        let parts = self.ask_all(self.servers(), &Ask::unnamed("initialize", hello.clone()).once(), id).await;
        let (mut ends, mut guides) = (BTreeMap::new(), Vec::new());
        for (server, part) in &parts {
            match end_of(part) {
                Ok(end) => {
                    guides.extend(guide(server, part));
                    ends.insert(server.name.as_str().to_owned(), end);
                }
                Err(why) => self.missing(server.name.as_str(), why),
            }
        }
        // The oldest revision that a server chose: what it has, all have.
        let Some(version) = ends.values().map(|end: &SessionEnd| end.version.clone()).min() else {
            return failed(id, -32603, "no server could be reached");
        };
        let capabilities = joined(ends.values().map(|end| &*end.capabilities));
        let grant = self.callers.first().map(|(_, who)| Arc::clone(&who.grant)).unwrap_or_default();
        let Some(session) = self.gateway.combined.sessions.open(CombinedSession::new(Arc::clone(&grant), ends, hello))
        else {
            return failed(id, -32603, "no session can be opened");
        };
        if let Some(pledge) = &self.pledge {
            let course = Some(OtherSession::Joint(label(session.as_bytes())));
            let mut caller = Caller { server: "".into(), grant: Some(grant), session: None, course, pledge: None };
            let pledge = Pledge::clone(pledge);
            if let Err(refused) = self.gateway.decider.pledge(clock::now(), &mut caller, Route::Combined, pledge) {
                self.gateway.combined.sessions.close(&session);
                return failed(id, -32603, &refused.to_string());
            }
        }
        let result = format!(
            "{{\"protocolVersion\":{},\"capabilities\":{capabilities},\"serverInfo\":{}{}}}",
            quoted(&version),
            ourselves(),
            said(guides)
        );
        let mut response = done(id, &result);
        if let Ok(value) = HeaderValue::from_str(&session) {
            response.headers_mut().insert(SESSION, value);
        }
        response
    }

    /// What the servers of the revision without sessions offer together.
    pub(super) async fn discover(self, id: &Id, line: Bytes) -> Answered {
        let id = id.clone();
        gathered(self, |turn| async move {
            let parts = turn.ask_all(turn.servers(), &Ask::unnamed("server/discover", line), &id).await;
            let (mut capabilities, mut guides) = (Vec::new(), Vec::new());
            for (server, part) in &parts {
                let Some(result) = part.result.as_ref().filter(|result| speaks_stateless(result)) else {
                    turn.missing(server.name.as_str(), "it does not speak the revision without sessions");
                    continue;
                };
                capabilities.push(capabilities_of(result));
                guides.extend(guide(server, part));
            }
            if capabilities.is_empty() {
                // Servers of the other era do not know the method; clients that speak both take that for a hint.
                let code = if parts.is_empty() { -32603 } else { -32601 };
                return failed(&id, code, "no server could be reached that speaks this revision");
            }
            let result = format!(
                "{{\"supportedVersions\":[\"{STATELESS_VERSION}\"],\"capabilities\":{},\"serverInfo\":{}{},\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\",\"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{}}}}}",
                joined(capabilities.iter()),
                ourselves(),
                said(guides),
                ourselves()
            );
            done(&id, &result)
        })
        .await
    }

    /// Begins anew with a server that has lost its session, as the client began: the client need not know, unless the
    /// server has become another one.
    pub(super) async fn renew(&self, server: &Arc<Server>, who: &Identity, lost: &SessionEnd) -> Result<(), String> {
        let (Some(session), name) = (&self.session, server.name.as_str()) else {
            return Err("there is no session".to_owned());
        };
        let _renewing = lost.renewing.lock().await;
        if session.end(name).is_none_or(|end| end.id != lost.id) {
            // Another request was faster.
            return Ok(());
        }
        if session.is_over() {
            return Err("the client has ended it".to_owned());
        }
        let hello = session.hello.as_ref().ok_or("the client's `initialize` was too long to be kept")?;
        let Ok(Message::Request(id, _)) = admit(hello) else { return Err(REFUSES.to_owned()) };
        let alone = Arc::new(self.without_session());
        let hello = post(&self.gateway, server, who.clone(), alone.head_alone(None), hello.clone());
        let part = read(&alone, server, who, hello, &id).await?;
        let end = SessionEnd { renewing: Arc::clone(&lost.renewing), ..end_of(&part).map_err(str::to_owned)? };
        if end.version != lost.version {
            return Err("it speaks another revision now".to_owned());
        }
        let tells =
            |list: &&str| lost.capabilities.get(list).and_then(|it| it.get("listChanged")) == Some(&true.into());
        let changed = ["tools", "prompts", "resources"].into_iter().filter(tells);
        session.questions.forget(name);
        self.memory.forget_places(name);
        let (wishes, id) = (lock(&session.wishes).clone(), Id::Text("mcpol".into()));
        let level = wishes.level(|| id.clone()).filter(|_| end.offers("logging"));
        let uris = wishes.subscriptions(name, || id.clone());
        for body in wishes.initialized().cloned().into_iter().chain(level).chain(uris) {
            // One after the other, as the client said them; a server that is gone again is told of at the next request.
            if self.tell_again(server, who, &end, body).await.is_err() {
                break;
            }
        }
        // Only now for other requests: no request may come before the server knows that the client is ready.
        session.put_end(name, end);
        for list in changed {
            let line = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{list}/list_changed\"}}");
            session.tell(Piece::ours(line.as_bytes()));
        }
        let whose = Whose { server: Some(name.into()), ..self.whose() };
        self.gateway.decider.audit().repeated(clock::now(), "session_renewed", &whose, |line| line);
        Ok(())
    }

    /// Says to a server again what the client has said before; what it answers is not for the client.
    async fn tell_again(
        &self,
        server: &Arc<Server>,
        who: &Identity,
        end: &SessionEnd,
        body: Bytes,
    ) -> Result<(), String> {
        let sent = post(&self.gateway, server, who.clone(), self.head_alone(Some(end)), body.clone());
        if let Ok(Message::Request(id, _)) = admit(&body) {
            return read(&Arc::new(self.without_session()), server, who, sent, &id).await.map(drop);
        }
        let sent = tokio::time::timeout(PART_WAIT, sent).await;
        sent.map_err(|_| "it does not answer".to_owned())?.map(drop).map_err(|refusal| refusal.message().to_owned())
    }
}

/// The session that a server has begun.
fn end_of(part: &Part) -> Result<SessionEnd, &'static str> {
    let Some(result) = &part.result else { return Err(REFUSES) };
    let version = text_at(result, &["protocolVersion"]).filter(|version| !is_stateless(version));
    let version = version.ok_or("it speaks no revision with sessions")?;
    Ok(SessionEnd {
        id: part.headers.get(&SESSION).cloned(),
        version,
        capabilities: Arc::new(capabilities_of(result)),
        renewing: Arc::default(),
    })
}

fn capabilities_of(result: &str) -> Value {
    let capabilities = member(result, "capabilities").map(|(text, _)| text);
    let capabilities = capabilities.filter(|text| text.len() <= CAPABILITIES_BYTES_MAX);
    let capabilities = capabilities.and_then(|text| serde_json::from_str(text).ok());
    capabilities.map_or(Value::Null, |capabilities| carried(&capabilities))
}

fn speaks_stateless(result: &str) -> bool {
    member(result, "supportedVersions").is_none_or(|(versions, _)| {
        elements(versions).any(|span| string_value(&versions[span]).as_deref() == Some(STATELESS_VERSION))
    })
}

fn guide(server: &Arc<Server>, part: &Part) -> Option<(Arc<Server>, String)> {
    Some((Arc::clone(server), text_at(part.result.as_ref()?, &["instructions"])?))
}

fn said(guides: Vec<(Arc<Server>, String)>) -> String {
    let all = guides.iter().map(|(server, text)| (server.name.as_str(), text.clone()));
    instructions(all).map(|text| format!(",\"instructions\":{}", quoted(&text))).unwrap_or_default()
}

fn ourselves() -> String {
    format!("{{\"name\":\"mcpol\",\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_believed_up_to_a_bound() {
        let empty = r#"{"tools":{"x":""}}"#.len();
        for (bytes, is_believed) in [(CAPABILITIES_BYTES_MAX, true), (CAPABILITIES_BYTES_MAX + 1, false)] {
            let text = format!(r#"{{"capabilities":{{"tools":{{"x":"{}"}}}}}}"#, "y".repeat(bytes - empty));
            assert_eq!(capabilities_of(&text).get("tools").is_some(), is_believed);
        }
    }

    #[test]
    fn a_server_speaks_the_revision_without_sessions_if_it_says_so_or_says_nothing() {
        for (result, expected) in [
            (r#"{"supportedVersions":["2025-11-25","2026-07-28"]}"#, true),
            (r#"{"supportedVersions":["2025-11-25"]}"#, false),
            (r#"{"supportedVersions":[]}"#, false),
            ("{}", true),
        ] {
            assert_eq!(speaks_stateless(result), expected, "{result}");
        }
    }
}
