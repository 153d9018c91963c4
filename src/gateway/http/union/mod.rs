//! All servers at one endpoint, for clients that want one URL. Every request goes on to a server as if the client had sent
//! it to that server's own endpoint, so grants, policies, limits, approvals and the log are the same.
//!
//! Carried: `initialize` and `server/discover`, lists of tools, prompts, resources and templates as one page each, calls,
//! prompts, reading of resources, with everything that a server streams while it answers. Not carried: what servers send
//! or ask unasked (the GET stream, subscriptions, sampling, elicitation and roots of the revisions with sessions); servers
//! are told that the client offers none of it.

mod names;
mod part;
mod replies;

use super::body::{self, Answer};
use super::refusal::Refusal;
use super::relay::not_admitted;
use super::{Gateway, Server, Table, front, mirror};
use crate::gateway::identity::Identity;
use crate::mcp::envelope::{Id, MESSAGE_BYTES_MAX, Message, Passage, ToolCall, admit};
use crate::mcp::http::header;
use crate::mcp::json::string_value;
use crate::mcp::walk::{elements, member};
use base64::Engine as _;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use part::{PART_WAIT, Part, end, part, send};
use replies::{accepted, done, failed, quoted};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;

/// Sessions that are kept; the one that was not used for longest goes first.
pub const SESSIONS_MAX: usize = 4096;
/// Pages of one server's list that are read.
pub const PAGES_MAX: usize = 100;
/// Shortened names that are remembered.
pub const NAMES_MAX: usize = 50_000;
/// Random bytes of a session id: more than anybody can guess.
const SESSION_ID_BYTES: usize = 24;
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What is kept for the common endpoint.
#[derive(Debug, Default)]
pub struct Union {
    sessions: Mutex<HashMap<Box<str>, Session>>,
    /// What shortened names stand for: server, kind of list, the rest of the name.
    names: Mutex<HashMap<(String, &'static str, String), String>>,
}

/// One session of a client, which is one session with each server.
#[derive(Clone, Debug)]
struct Session {
    grant: Arc<str>,
    ends: Arc<BTreeMap<String, End>>,
    used: Instant,
}

/// The session with one server.
#[derive(Clone, Debug, Default)]
struct End {
    id: Option<HeaderValue>,
    version: Option<HeaderValue>,
}

/// A list that all servers have a part of.
struct List {
    method: &'static str,
    key: &'static str,
    is_renamed: bool,
}

const LISTS: [List; 4] = [
    List { method: "tools/list", key: "tools", is_renamed: true },
    List { method: "prompts/list", key: "prompts", is_renamed: true },
    List { method: "resources/list", key: "resources", is_renamed: false },
    List { method: "resources/templates/list", key: "resourceTemplates", is_renamed: false },
];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request of a client while it is served.
struct Turn {
    gateway: Arc<Gateway>,
    head: Parts,
    callers: Vec<(Arc<Server>, Identity)>,
    session: Option<Session>,
    is_stateless: bool,
    /// `_meta` of the client's request, which says who it is in the revision without sessions.
    meta: Option<String>,
}

/// Serves one request at the common endpoint.
///
/// # Errors
/// It is refused before any server hears of it, or the one server that it is for cannot be reached.
pub(super) async fn serve(
    gateway: &Arc<Gateway>,
    table: &Table,
    head: Parts,
    body: Incoming,
) -> Result<Response<Answer>, Refusal> {
    let callers = callers(gateway, table, &head).await?;
    let grant = callers.first().map(|(_, who)| Arc::clone(&who.grant)).unwrap_or_default();
    match head.method {
        Method::POST => {}
        Method::DELETE => return end_session(gateway, &callers, &grant, head).await,
        _ => {
            let what = "the common endpoint has no stream of its own; a server's own endpoint has";
            let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, what);
            return Err(refusal.with_header(ALLOW, HeaderValue::from_static("POST, DELETE")));
        }
    }
    front::content(&head.headers)?;
    let _seat = gateway.seats.take(&grant)?;
    let (bytes, _taken) = body::read(body, &gateway.room).await?;
    let message = admit(&bytes).map_err(|malformed| not_admitted(&malformed, &head.headers))?;
    drop(bytes);
    mirror::check(&head.headers, &message)?;
    let session = match session_id(&head.headers)? {
        None => None,
        Some(id) => {
            let session = gateway.union.take(id, &grant);
            Some(session.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no such session"))?)
        }
    };
    let is_stateless = match &message {
        Message::Call(_, call) => call.is_stateless(),
        Message::Request(_, passage) | Message::Notification(passage) | Message::Reply(_, passage) => {
            passage.revision().is_some()
        }
    };
    let params = match &message {
        Message::Call(_, call) => {
            std::str::from_utf8(call.line()).ok().and_then(|line| Some(member(line, "params")?.0))
        }
        Message::Request(_, passage) => passage.params(),
        Message::Notification(_) | Message::Reply(..) => None,
    };
    let meta = params.and_then(|params| member(params, "_meta")).map(|(meta, _)| meta.to_owned());
    let turn = Turn { gateway: Arc::clone(gateway), head, callers, session, is_stateless, meta };
    match message {
        Message::Call(id, call) => turn.call(&id, &call).await,
        Message::Request(id, passage) => turn.request(&id, &passage).await,
        Message::Notification(passage) => {
            turn.tell(&passage).await;
            Ok(accepted())
        }
        // No server can ask anything here, so nobody waits for it.
        Message::Reply(..) => Ok(accepted()),
    }
}

/// A client ends its session, and with it those with all servers.
async fn end_session(
    gateway: &Arc<Gateway>,
    callers: &[(Arc<Server>, Identity)],
    grant: &Arc<str>,
    mut head: Parts,
) -> Result<Response<Answer>, Refusal> {
    let id = session_id(&head.headers)?.map(str::to_owned).unwrap_or_default();
    let unknown = || Refusal::new(StatusCode::NOT_FOUND, "there is no such session");
    let session = gateway.union.take(&id, grant).ok_or_else(unknown)?;
    lock(&gateway.union.sessions).remove(id.as_str());
    head.headers.remove(&SESSION);
    let ends = callers.iter().filter_map(|(server, who)| {
        let id = session.ends.get(server.name.as_str())?.id.clone()?;
        let mut head = head.clone();
        head.headers.insert(SESSION, id);
        Some(end(server, who, head))
    });
    futures_util::future::join_all(ends).await;
    let mut response = Response::new(Answer::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// The server's session is its own and the gateway's business.
fn without_session(mut response: Response<Answer>) -> Response<Answer> {
    response.headers_mut().remove(&SESSION);
    response
}

/// The servers that whoever asks may call, each with who that is there.
async fn callers(gateway: &Arc<Gateway>, table: &Table, head: &Parts) -> Result<Vec<(Arc<Server>, Identity)>, Refusal> {
    let (mut callers, mut refused) = (Vec::new(), None);
    for server in table.servers.values() {
        match gateway.who(head, server).await {
            Ok(who) => callers.push((Arc::clone(server), who)),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    match (callers.is_empty(), refused) {
        (true, Some(refusal)) => Err(refusal),
        (_, _) => Ok(callers),
    }
}

fn session_id(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut ids = headers.get_all(&SESSION).iter();
    match (ids.next(), ids.next()) {
        (None, _) => Ok(None),
        (Some(id), None) => Ok(Some(id.to_str().unwrap_or_default())),
        (Some(_), Some(_)) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, format!("more than one {} header", header::SESSION_ID)))
        }
    }
}

impl Union {
    fn take(&self, id: &str, grant: &Arc<str>) -> Option<Session> {
        let mut sessions = lock(&self.sessions);
        let session = sessions.get_mut(id).filter(|session| session.grant == *grant)?;
        session.used = Instant::now();
        Some(session.clone())
    }

    fn open(&self, grant: Arc<str>, ends: BTreeMap<String, End>) -> Option<String> {
        let mut bytes = [0; SESSION_ID_BYTES];
        getrandom::fill(&mut bytes).ok()?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| id.clone());
            oldest.and_then(|id| sessions.remove(&id));
        }
        sessions.insert(id.as_str().into(), Session { grant, ends: Arc::new(ends), used: Instant::now() });
        Some(id)
    }

    fn remember(&self, server: &str, key: &'static str, name: &str, joined: &str) {
        let Some((_, rest)) = names::split(joined).filter(|(_, rest)| names::is_shortened(rest)) else {
            return;
        };
        let mut names = lock(&self.names);
        if names.len() >= NAMES_MAX {
            // They are learnt again from the servers' lists.
            names.clear();
        }
        names.insert((server.to_owned(), key, rest.to_owned()), name.to_owned());
    }

    fn name(&self, server: &str, key: &'static str, rest: &str) -> Option<String> {
        if !names::is_shortened(rest) {
            return Some(rest.to_owned());
        }
        lock(&self.names).get(&(server.to_owned(), key, rest.to_owned())).cloned()
    }
}

impl Turn {
    /// The head of a request to one server.
    fn head_for(&self, server: &Server) -> Parts {
        let mut head = self.head.clone();
        head.headers.remove(&SESSION);
        head.headers.remove(CONTENT_LENGTH);
        if let Some(end) = self.session.as_ref().and_then(|session| session.ends.get(server.name.as_str())) {
            end.id.iter().for_each(|id| drop(head.headers.insert(SESSION, id.clone())));
            end.version.iter().for_each(|version| drop(head.headers.insert(VERSION, version.clone())));
        }
        head
    }

    /// The servers of this client: in a session those that took part in its beginning.
    fn servers(&self) -> impl Iterator<Item = &(Arc<Server>, Identity)> {
        let ends = self.session.as_ref().map(|session| Arc::clone(&session.ends));
        self.callers
            .iter()
            .filter(move |(server, _)| ends.as_ref().is_none_or(|ends| ends.contains_key(server.name.as_str())))
    }

    /// Asks all servers at the same time. Those that fail are said, and do not hide the others.
    async fn ask_all(&self, id: &Id, line: &str) -> Vec<(String, Part)> {
        let mut asked = JoinSet::new();
        for (server, who) in self.servers() {
            let (gateway, server, who) = (Arc::clone(&self.gateway), Arc::clone(server), who.clone());
            let (head, body, id) = (self.head_for(&server), Bytes::from(line.to_owned()), id.clone());
            asked.spawn(async move {
                let name = server.name.as_str().to_owned();
                (name, part(send(gateway, server, who, head, body), &id).await)
            });
        }
        let mut parts = Vec::new();
        while let Some(joined) = asked.join_next().await {
            match joined {
                Ok((name, Ok(part))) => parts.push((name, part)),
                Ok((name, Err(why))) => self.missing(&name, &why),
                Err(_) => {}
            }
        }
        parts.sort_by(|(a, _), (b, _)| a.cmp(b));
        parts
    }

    fn missing(&self, server: &str, why: &str) {
        let desk = &self.gateway.desk;
        desk.audit().repeated(crate::clock::now(), "dropped", |line| {
            line.text("from", "server")
                .text("server", server)
                .text("what", "no part at the common endpoint")
                .text("reason", why)
        });
    }

    async fn tell(&self, passage: &Passage) {
        for (server, who) in self.servers() {
            if self.session.is_none() {
                return;
            }
            let body = Bytes::copy_from_slice(passage.line());
            let sent = send(Arc::clone(&self.gateway), Arc::clone(server), who.clone(), self.head_for(server), body);
            // A notification has no answer, and a server that is gone is told of when something is asked.
            let _ = tokio::time::timeout(PART_WAIT, sent).await;
        }
    }

    async fn request(&self, id: &Id, passage: &Passage) -> Result<Response<Answer>, Refusal> {
        let method = passage.method().unwrap_or_default();
        if self.session.is_none() && !self.is_stateless && method != "initialize" {
            let what = "a request without session: begin with `initialize`";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, what).to(id));
        }
        if let Some(list) = LISTS.iter().find(|list| list.method == method) {
            return Ok(self.list(id, passage.params(), list).await);
        }
        let line = String::from_utf8_lossy(passage.line());
        match method {
            "initialize" => Ok(self.initialize(id, passage).await),
            "server/discover" => Ok(self.discover(id, &line).await),
            "ping" => Ok(done(id, "{}")),
            "prompts/get" => {
                let name = passage.params().and_then(|params| string_value(member(params, "name")?.0));
                let name = name.map(std::borrow::Cow::into_owned).unwrap_or_default();
                self.named(id, &LISTS[1], &name, &line).await
            }
            "resources/read" => self.read(id, passage, &line).await,
            _ => Ok(failed(id, -32601, "method not found")),
        }
    }

    async fn call(&self, id: &Id, call: &ToolCall) -> Result<Response<Answer>, Refusal> {
        if self.session.is_none() && !self.is_stateless {
            let what = "a request without session: begin with `initialize`";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, what).to(id));
        }
        let line = String::from_utf8_lossy(call.line());
        self.named(id, &LISTS[0], call.name().as_str(), &line).await
    }

    /// A request that names a tool or a prompt goes to its server, under the name that it has there.
    async fn named(&self, id: &Id, list: &List, name: &str, line: &str) -> Result<Response<Answer>, Refusal> {
        let kind = if list.key == "tools" { "tool" } else { "prompt" };
        let unknown = || failed(id, -32602, &format!("Unknown {kind}: {name}"));
        let Some((server, rest)) = names::split(name) else { return Ok(unknown()) };
        let Some((server, who)) = self.servers().find(|(known, _)| known.name.as_str() == server) else {
            return Ok(unknown());
        };
        let union = &self.gateway.union;
        let mut original = union.name(server.name.as_str(), list.key, rest);
        if original.is_none() {
            // Another gateway listed it, or nobody did yet.
            let _ = self.items(server, who, id, list).await;
            original = union.name(server.name.as_str(), list.key, rest);
        }
        let Some(original) = original else { return Ok(unknown()) };
        let Some((params, outer)) = member(line, "params") else { return Ok(unknown()) };
        let Some((_, inner)) = member(params, "name") else { return Ok(unknown()) };
        let (start, end) = (outer.start + inner.start, outer.start + inner.end);
        let body = [&line[..start], &quoted(&original), &line[end..]].concat();
        let mut head = self.head_for(server);
        if head.headers.contains_key(&NAME) {
            head.headers.insert(NAME, header_of(&original)?);
        }
        let sent = send(Arc::clone(&self.gateway), Arc::clone(server), who.clone(), head, Bytes::from(body)).await;
        sent.map(without_session)
    }

    /// A resource is read from the server that lists it; where none does, from the first that has it.
    async fn read(&self, id: &Id, passage: &Passage, line: &str) -> Result<Response<Answer>, Refusal> {
        let uri = passage.params().and_then(|params| string_value(member(params, "uri")?.0));
        let uri = uri.map(std::borrow::Cow::into_owned).unwrap_or_default();
        let mut owner = None;
        for (server, who) in self.servers() {
            let items = self.items(server, who, id, &LISTS[2]).await.unwrap_or_default();
            let lists = |item: &String| {
                member(item, "uri").and_then(|(literal, _)| string_value(literal)).is_some_and(|it| it == uri)
            };
            if items.iter().any(lists) {
                owner = Some((server, who));
                break;
            }
        }
        if owner.is_none() {
            for (server, who) in self.servers() {
                let templates = self.items(server, who, id, &LISTS[3]).await.unwrap_or_default();
                if templates.iter().any(|item| fits_template(item, &uri)) {
                    owner = Some((server, who));
                    break;
                }
            }
        }
        let Some((server, who)) = owner else { return Ok(failed(id, -32602, "Resource not found")) };
        let body = Bytes::from(line.to_owned());
        let sent = send(Arc::clone(&self.gateway), Arc::clone(server), who.clone(), self.head_for(server), body).await;
        sent.map(without_session)
    }

    /// The lists of all servers as one page.
    async fn list(&self, id: &Id, params: Option<&str>, list: &List) -> Response<Answer> {
        if params.and_then(|params| member(params, "cursor")).is_some_and(|(cursor, _)| cursor != "null") {
            return failed(id, -32602, "no such cursor: the list has one page");
        }
        let asked =
            self.servers().map(|(server, who)| async move { (server, self.items(server, who, id, list).await) });
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        for (server, items) in futures_util::future::join_all(asked).await {
            match items {
                Ok(items) => all.extend(items),
                Err(why) => self.missing(server.name.as_str(), &why),
            }
        }
        if list.is_renamed {
            // Two that a client could not tell apart are both left out: neither may stand for the other.
            let name = |item: &String| member(item, "name").map(|(literal, _)| literal.to_owned());
            let twice: BTreeSet<_> = all.iter().filter_map(name).filter(|name| !seen.insert(name.clone())).collect();
            all.retain(|item| name(item).is_some_and(|name| !twice.contains(&name)));
        }
        let typed =
            if self.is_stateless { ",\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"" } else { "" };
        done(id, &format!("{{\"{}\":[{}]{typed}}}", list.key, all.join(",")))
    }

    /// Begins a session with every server, and one that stands for all of them.
    async fn initialize(&self, id: &Id, passage: &Passage) -> Response<Answer> {
        let of = |name| passage.params().and_then(|params| member(params, name)).map(|(value, _)| value);
        let version = of("protocolVersion").unwrap_or("\"2025-11-25\"");
        let client = of("clientInfo").unwrap_or("{\"name\":\"unknown\",\"version\":\"0\"}");
        let mut line = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
        id.write(&mut line);
        // Whatever a server could ask of the client would not find its way back.
        let params = format!("{{\"protocolVersion\":{version},\"capabilities\":{{}},\"clientInfo\":{client}}}");
        line.extend_from_slice(format!(",\"method\":\"initialize\",\"params\":{params}}}").as_bytes());
        let parts = self.ask_all(id, &String::from_utf8_lossy(&line)).await;
        let (mut ends, mut results) = (BTreeMap::new(), Vec::new());
        for (name, part) in parts {
            let Some(result) = part.result else {
                self.missing(&name, "it refuses to begin a session");
                continue;
            };
            let version = member(&result, "protocolVersion").and_then(|(literal, _)| string_value(literal));
            let version = version.and_then(|version| HeaderValue::from_str(&version).ok());
            ends.insert(name, End { id: part.headers.get(&SESSION).cloned(), version });
            results.push(result);
        }
        // The oldest revision that a server chose: what it has, all have.
        let versions = ends.values().filter_map(|end| end.version.as_ref()?.to_str().ok());
        let Some(version) = versions.min().map(str::to_owned) else {
            return failed(id, -32603, "no server could be reached");
        };
        let grant = self.callers.first().map(|(_, who)| Arc::clone(&who.grant)).unwrap_or_default();
        let Some(session) = self.gateway.union.open(grant, ends) else {
            return failed(id, -32603, "no session can be opened");
        };
        let result = format!(
            "{{\"protocolVersion\":{},\"capabilities\":{},\"serverInfo\":{}}}",
            quoted(&version),
            merged(&results),
            ourselves()
        );
        let mut response = done(id, &result);
        if let Ok(value) = HeaderValue::from_str(&session) {
            response.headers_mut().insert(SESSION, value);
        }
        response
    }

    async fn discover(&self, id: &Id, line: &str) -> Response<Answer> {
        let parts = self.ask_all(id, line).await;
        let results: Vec<_> = parts.into_iter().filter_map(|(_, part)| part.result).collect();
        if results.is_empty() {
            return failed(id, -32603, "no server could be reached that speaks this revision");
        }
        let result = format!(
            "{{\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{},\"serverInfo\":{},\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\"}}",
            merged(&results),
            ourselves()
        );
        done(id, &result)
    }

    /// One server's list, all pages of it.
    async fn items(&self, server: &Arc<Server>, who: &Identity, id: &Id, list: &List) -> Result<Vec<String>, String> {
        let base: Vec<String> = self.meta.iter().map(|meta| format!("\"_meta\":{meta}")).collect();
        let (mut cursor, mut items, mut bytes) = (None::<String>, Vec::new(), 0);
        for _ in 0..PAGES_MAX {
            let mut parts = base.clone();
            parts.extend(cursor.take().map(|cursor| format!("\"cursor\":{cursor}")));
            let mut line = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
            id.write(&mut line);
            line.extend_from_slice(
                format!(",\"method\":\"{}\",\"params\":{{{}}}}}", list.method, parts.join(",")).as_bytes(),
            );
            let mut head = self.head_for(server);
            head.headers.remove(&NAME);
            if head.headers.contains_key(header::METHOD) {
                head.headers.insert(HeaderName::from_static("mcp-method"), HeaderValue::from_static(list.method));
            }
            let sent = send(Arc::clone(&self.gateway), Arc::clone(server), who.clone(), head, Bytes::from(line));
            let Some(result) = part(sent, id).await?.result else {
                return if items.is_empty() { Err("it has no such list".to_owned()) } else { Ok(items) };
            };
            let Some((array, _)) = member(&result, list.key) else { return Err("its list cannot be read".to_owned()) };
            for span in elements(array) {
                let item = &array[span];
                bytes += item.len();
                if bytes > MESSAGE_BYTES_MAX {
                    return Err("its list is too long".to_owned());
                }
                items.push(self.renamed(server, list, item));
            }
            match member(&result, "nextCursor") {
                Some((literal, _)) if literal.starts_with('"') => cursor = Some(literal.to_owned()),
                _ => return Ok(items),
            }
        }
        Err("its list has too many pages".to_owned())
    }

    fn renamed(&self, server: &Server, list: &List, item: &str) -> String {
        let Some((literal, span)) = member(item, "name").filter(|_| list.is_renamed) else { return item.to_owned() };
        let Some(name) = string_value(literal) else { return item.to_owned() };
        let joined = names::joined(server.name.as_str(), &name);
        self.gateway.union.remember(server.name.as_str(), list.key, &name, &joined);
        [&item[..span.start], &quoted(&joined), &item[span.end..]].concat()
    }
}

/// What of the servers' capabilities is carried: that there are tools, prompts or resources, and nothing that comes
/// unasked.
fn merged(results: &[String]) -> String {
    let has = |name: &&str| {
        results.iter().any(|result| member(result, "capabilities").and_then(|(all, _)| member(all, name)).is_some())
    };
    let all: Vec<_> = ["prompts", "resources", "tools"]
        .iter()
        .filter(|name| has(name))
        .map(|name| format!("\"{name}\":{{}}"))
        .collect();
    format!("{{{}}}", all.join(","))
}

fn ourselves() -> String {
    format!("{{\"name\":\"mcpol\",\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"))
}

/// Whether a template (RFC 6570) can make this URI, going by what stands before its first expression.
fn fits_template(item: &str, uri: &str) -> bool {
    let template = member(item, "uriTemplate").and_then(|(literal, _)| string_value(literal));
    template.is_some_and(|template| uri.starts_with(template.split('{').next().unwrap_or_default()))
}

/// A name in a header, encoded where a header could not hold it (MCP 2026-07-28, streamable HTTP).
fn header_of(name: &str) -> Result<HeaderValue, Refusal> {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic()) && !name.starts_with("=?");
    let text = if plain {
        name.to_owned()
    } else {
        format!("=?base64?{}?=", base64::engine::general_purpose::STANDARD.encode(name))
    };
    HeaderValue::from_str(&text).map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "the name fits in no header"))
}
