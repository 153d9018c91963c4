//! Which server a message of the client is for, and under which name or id that server knows what it speaks of.

use super::super::Server;
use super::super::body::Answer;
use super::super::mcp_headers::SESSION;
use super::super::pledge;
use super::super::refusal::Refusal;
use super::super::refusal::accepted;
use super::ask::{Ask, is_stream};
use super::cursor::Cursor;
use super::edit::{at, changed, put, text_at};
use super::flights::To;
use super::gathered_stream::{GatheredStream, gathered};
use super::learned::{Age, Listed};
use super::lists::{List, PROMPTS, RESOURCES, TEMPLATES, TOOLS, list_of};
use super::pipe::Pipe;
use super::replies::{done, failed, quoted};
use super::request::{ClientRequest, line_of};
use super::{Answered, names};
use crate::gateway::audit::Route;
use crate::gateway::exchange::{is_listed, request, shown_uri};
use crate::gateway::identity::Identity;
use crate::gateway::mediate::lock;
use crate::gateway::task_owners::TaskOwner;
use crate::mcp::envelope::{Id, Message, Passage, ToolCall, receive};
use crate::policy::{Caller, OtherSession};
use bytes::Bytes;
use http::{Response, StatusCode};
use std::sync::Arc;

type AskedRoute = (Arc<Server>, Identity);

impl ClientRequest {
    /// Takes what a message of the client pledges, under the names that tools have at this endpoint. A name that was not
    /// listed, and does not tell its tool, stands for none.
    pub(super) fn pledge(&mut self, message: &Message) -> Result<(), Refusal> {
        let place = |name: &str| {
            let (server, rest) = names::split(name)?;
            let known = if names::is_shortened(rest) { self.memory.name(server, TOOLS.key, rest) } else { None };
            Some((server.to_owned(), known.unwrap_or_else(|| rest.to_owned())))
        };
        let Some(pledge) = pledge::read(&self.head.headers, message, place)? else { return Ok(()) };
        let course = self.session.as_ref().map(|session| OtherSession::Joint(Arc::clone(&session.course)));
        let mut caller = Caller { server: "".into(), grant: self.whose().grant, session: None, course, pledge: None };
        pledge::keep(&self.gateway.decider, &mut caller, Route::Combined, pledge, message)?;
        self.pledge = caller.pledge;
        Ok(())
    }

    fn needs_session(&self, id: &Id) -> Result<(), Refusal> {
        if self.session.is_some() || self.is_stateless {
            return Ok(());
        }
        Err(Refusal::new(StatusCode::BAD_REQUEST, "a request without session: begin with `initialize`").to(id))
    }

    /// A call of a tool. It is judged where it goes on, under the server's own name for the tool.
    pub(super) async fn call(self, id: &Id, call: &ToolCall) -> Result<Answered, Refusal> {
        self.needs_session(id)?;
        let line = String::from_utf8_lossy(call.line());
        Arc::new(self).named(id, TOOLS, call.name().as_str(), "tools/call", &line).await
    }

    /// Any other request.
    pub(super) async fn request(self, id: &Id, passage: &Passage) -> Result<Answered, Refusal> {
        let method = passage.method().unwrap_or_default();
        if method == "initialize" {
            return Ok(Box::pin(Arc::new(self).initialize(id, passage)).await);
        }
        self.needs_session(id)?;
        if let Some(session) = &self.session {
            // Until it is known whose it is.
            session.flights.begin(id, To::All);
        }
        if let Some(list) = list_of(method) {
            let (id, params) = (id.clone(), passage.params().map(str::to_owned));
            let listed = gathered(self, |turn| async move { turn.list(&id, params.as_deref(), list).await });
            return Ok(Box::pin(listed).await);
        }
        let line = String::from_utf8_lossy(passage.line());
        let named = |path: &[&str]| text_at(&line, path).unwrap_or_default();
        match method {
            "server/discover" => Ok(Box::pin(self.discover(id, line_of(passage.line()))).await),
            "ping" => Ok(done(id, "{}")),
            "prompts/get" => {
                Box::pin(Arc::new(self).named(id, PROMPTS, &named(&["params", "name"]), method, &line)).await
            }
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                Box::pin(Arc::new(self).resource(id, &named(&["params", "uri"]), passage)).await
            }
            "completion/complete" => Box::pin(Arc::new(self).complete(id, &line)).await,
            "tasks/get" | "tasks/result" | "tasks/cancel" | "tasks/update" => {
                Box::pin(Arc::new(self).task(id, &named(&["params", "taskId"]), method, &line)).await
            }
            "logging/setLevel" if self.session.is_some() => Ok(Box::pin(self.set_level(id, passage)).await),
            "subscriptions/listen" if self.is_stateless => Box::pin(self.subscribe(id, &line)).await,
            _ => {
                self.nowhere(method, None, None);
                let mut response = failed(id, -32601, "method not found");
                if self.is_stateless {
                    // As that revision has it (MCP 2026-07-28, streamable HTTP).
                    *response.status_mut() = StatusCode::NOT_FOUND;
                }
                Ok(response)
            }
        }
    }

    /// Hands a request on to the server that it is for.
    async fn to(self: &Arc<Self>, id: &Id, (server, who): &AskedRoute, ask: &Ask<'_>) -> Result<Answered, Refusal> {
        if let Some(session) = &self.session {
            session.flights.begin(id, To::Server(server.name.as_str().to_owned()));
        }
        let sent = self.ask(server, who, ask).await;
        let (mut head, body) = sent.map_err(|refusal| refusal.to(id))?.into_parts();
        // The server's session is its own and the gateway's business.
        head.headers.remove(&SESSION);
        let leg = self.leg(server, who);
        if is_stream(&head.headers) {
            let cursor =
                Cursor::Answer { server: server.name.as_str().into(), last: String::new(), request: id.clone() };
            let gathered_stream =
                GatheredStream::one(Pipe::new(leg, body, Some(id.clone())), self.session.is_some().then_some(cursor));
            return Ok(Response::from_parts(head, Answer::stream(gathered_stream)));
        }
        if let Answer::Whole(Some(message)) = &body
            && memchr::memmem::find(message, b"askId").is_some()
            && let Ok(received) = receive(message)
        {
            leg.learn_task(&received);
        }
        Ok(Response::from_parts(head, body))
    }

    /// The server and its own name for a tool or prompt.
    async fn original(self: &Arc<Self>, id: &Id, list: List, name: &str) -> Option<(&AskedRoute, String)> {
        let (server, rest) = names::split(name)?;
        let asked = self.server(server)?;
        let mut original = self.memory.name(server, list.key, rest);
        if original.is_none() {
            // Another gateway listed it, or none did yet.
            let _ = self.items(&asked.0, &asked.1, id, list).await;
            original = self.memory.name(server, list.key, rest);
        }
        let original = original?;
        if list.key == TOOLS.key && names::is_shortened(rest) {
            // A shortened name that was listed once, and is hidden now, is like one that never was: only who is told of
            // a tool knows what it is called here.
            let policy = self.gateway.policy(&asked.1, &asked.0)?;
            return is_listed(&policy, &original).then_some((asked, original));
        }
        Some((asked, original))
    }

    /// A request that names a tool or a prompt goes to its server, under the name that it has there.
    async fn named(
        self: &Arc<Self>,
        id: &Id,
        list: List,
        name: &str,
        method: &str,
        line: &str,
    ) -> Result<Answered, Refusal> {
        let kind = if list.key == TOOLS.key { "tool" } else { "prompt" };
        let unknown = || {
            self.nowhere(method, names::split(name).map(|(server, _)| server), Some(name.to_owned()));
            Ok(failed(id, -32602, &format!("Unknown {kind}: {name}")))
        };
        let Some((asked, original)) = self.original(id, list, name).await else { return unknown() };
        let Some(body) = put(line, &["params", "name"], &quoted(&original)) else { return unknown() };
        let ask = Ask::named(method, &original, body.into());
        // A server may act on a call twice, and the policy counts it twice: it is the client's to call again.
        let ask = if list.key == TOOLS.key { ask.once() } else { ask };
        self.to(id, asked, &ask).await
    }

    /// A resource is its server's: the one that lists it, else the one whose template can make it.
    async fn resource(self: &Arc<Self>, id: &Id, uri: &str, passage: &Passage) -> Result<Answered, Refusal> {
        let method = passage.method().unwrap_or_default();
        let Some(asked) = self.place(id, uri).await else {
            self.nowhere(method, None, Some(shown_uri(uri)));
            return Ok(failed(id, -32602, "Resource not found"));
        };
        if let Some(session) = self.session.as_ref().filter(|_| method != "resources/read") {
            lock(&session.wishes).note(asked.0.name.as_str(), passage);
        }
        self.to(id, asked, &Ask::named(method, uri, line_of(passage.line()))).await
    }

    /// The server that a resource is of. Lists are read when they are needed, and then remembered.
    pub(super) async fn place(self: &Arc<Self>, id: &Id, uri: &str) -> Option<&AskedRoute> {
        let offering = self.offering("resources");
        if let [only] = offering.as_slice() {
            return Some(only);
        }
        let names: Vec<&str> = offering.iter().map(|(server, _)| server.name.as_str()).collect();
        let found = || self.memory.place(uri, &names).and_then(|name| self.server(name));
        self.look(id, &offering, RESOURCES, Age::Known).await;
        self.look(id, &offering, TEMPLATES, Age::Known).await;
        if let Some(found) = found() {
            return Some(found);
        }
        // It may be new.
        self.look(id, &offering, RESOURCES, Age::Fresh).await;
        self.look(id, &offering, TEMPLATES, Age::Fresh).await;
        found()
    }

    /// Reads the lists of servers that are not known so well.
    async fn look(self: &Arc<Self>, id: &Id, servers: &[&AskedRoute], list: List, needed: Age) {
        let listed = if list.key == RESOURCES.key { Listed::Resources } else { Listed::Templates };
        let unknown = servers.iter().filter(|(server, _)| self.memory.age(server.name.as_str(), listed) > needed);
        let looks = unknown.map(|(server, who)| async move { (server, self.items(server, who, id, list).await) });
        for (server, items) in futures_util::future::join_all(looks).await {
            if let Err(why) = items {
                self.missing(server.name.as_str(), &why);
            }
        }
    }

    /// A completion is asked of the server whose prompt or resource it is for.
    async fn complete(self: &Arc<Self>, id: &Id, line: &str) -> Result<Answered, Refusal> {
        const METHOD: &str = "completion/complete";
        let of = |member: &str| text_at(line, &["params", "ref", member]);
        if of("type").as_deref() == Some("ref/resource") {
            let uri = of("uri").unwrap_or_default();
            let offering = self.offering("resources");
            self.look(id, &offering, TEMPLATES, Age::Known).await;
            let names: Vec<&str> = offering.iter().map(|(server, _)| server.name.as_str()).collect();
            let asked = match self.memory.place_of_template(&uri, &names).and_then(|name| self.server(name)) {
                Some(asked) => Some(asked),
                None => self.place(id, &uri).await,
            };
            let Some(asked) = asked else {
                self.nowhere(METHOD, None, Some(shown_uri(&uri)));
                return Ok(failed(id, -32602, "Resource not found"));
            };
            return self.to(id, asked, &Ask::unnamed(METHOD, Bytes::from(line.to_owned()))).await;
        }
        let name = of("name").unwrap_or_default();
        let unknown = || {
            self.nowhere(METHOD, names::split(&name).map(|(server, _)| server), Some(name.clone()));
            Ok(failed(id, -32602, &format!("Unknown prompt: {name}")))
        };
        let Some((asked, original)) = self.original(id, PROMPTS, &name).await else { return unknown() };
        let Some(body) = put(line, &["params", "ref", "name"], &quoted(&original)) else { return unknown() };
        self.to(id, asked, &Ask::unnamed(METHOD, body.into())).await
    }

    /// A task is asked of the server that handed it out.
    async fn task(self: &Arc<Self>, id: &Id, task: &str, method: &str, line: &str) -> Result<Answered, Refusal> {
        let what = match self.owner_of(id, task).await {
            Some(TaskOwner::One(name)) => match self.server(&name) {
                Some(asked) => {
                    return self.to(id, asked, &Ask::named(method, task, Bytes::from(line.to_owned()))).await;
                }
                None => "there is no such task",
            },
            Some(TaskOwner::Several) => "two servers have handed out this task id, and nobody can tell which is meant",
            None => "there is no such task",
        };
        self.nowhere(method, None, Some(task.to_owned()));
        Ok(failed(id, -32602, what))
    }

    /// Which server handed a task out. Where another gateway has seen that, or it was long ago, the store says so, or else
    /// a server that knows the task.
    pub(super) async fn owner_of(self: &Arc<Self>, id: &Id, task: &str) -> Option<TaskOwner> {
        if self.tasks().of(task).is_none() {
            let own = self.servers().filter(|(server, who)| {
                let (label, grant) = (Arc::clone(&server.label), Some(Arc::clone(&who.grant)));
                let caller = Caller { server: label, grant, session: None, course: None, pledge: None };
                let are_of = server.shared.tasks().map(|tasks| tasks.are_of(&caller, [task]));
                // A store that cannot say anything lets the server's own gate say so.
                matches!(are_of, Some(Ok(are_own)) if are_own == [true])
            });
            own.for_each(|(server, _)| {
                self.tasks().learn(task, server.name.as_str());
            });
        }
        if let Some(known) = self.tasks().of(task) {
            return Some(known);
        }
        let meta = self.meta.iter().map(|meta| format!(",\"_meta\":{meta}")).collect::<String>();
        let body = request(id, "tasks/get", &format!("\"taskId\":{}{meta}", quoted(task)));
        let asked = self.offering("tasks");
        for (server, part) in self.ask_all(asked.into_iter(), &Ask::named("tasks/get", task, body), id).await {
            if part.result.is_some() {
                self.tasks().learn(task, server.name.as_str());
            }
        }
        self.tasks().of(task)
    }

    /// All servers with a log hear what the client wants of it.
    async fn set_level(self, id: &Id, passage: &Passage) -> Answered {
        if let Some(session) = &self.session {
            lock(&session.wishes).note("", passage);
        }
        let (id, line) = (id.clone(), line_of(passage.line()));
        gathered(self, |turn| async move {
            let ask = Ask::unnamed("logging/setLevel", line);
            let parts = turn.ask_all(turn.offering("logging").into_iter(), &ask, &id).await;
            match parts.first() {
                None => failed(&id, -32601, "method not found"),
                Some(_) if parts.iter().any(|(_, part)| part.result.is_some()) => done(&id, "{}"),
                Some((_, refused)) => super::super::refusal::json(StatusCode::OK, refused.message.to_vec()),
            }
        })
        .await
    }

    /// A notification goes to whom it concerns.
    pub(super) async fn tell(self, passage: &Passage) -> Answered {
        let ignored = || self.gateway.decider.dropped(&self.whose(), "client", "news that concerns no server");
        let Some(session) = &self.session else {
            ignored();
            return accepted();
        };
        let line = String::from_utf8_lossy(passage.line());
        let method = passage.method().unwrap_or_default();
        let only = |name: &str, line: String| self.server(name).map(|asked| (asked, Bytes::from(line)));
        let told: Vec<(&AskedRoute, Bytes)> = match method {
            // Of a question, under the token that its server gave it.
            "notifications/progress" => {
                let token = at(&line, &["params", "progressToken"]);
                let question = token.as_ref().and_then(|(token, _)| session.questions.in_progress(&Id::parse(token)?));
                let told = token.zip(question).and_then(|((_, span), question)| {
                    only(&question.server, changed(&line, vec![(span, question.token?)]))
                });
                told.into_iter().collect()
            }
            // What the client does for one server is no concern of the others.
            "notifications/tasks/status" => {
                let owner = text_at(&line, &["params", "taskId"]).and_then(|task| session.questions.task_of(&task));
                owner.and_then(|owner| only(&owner, line.into_owned())).into_iter().collect()
            }
            "notifications/cancelled" => {
                let id = at(&line, &["params", "requestId"]).and_then(|(id, _)| Id::parse(id));
                let all = || self.servers().map(|asked| (asked, line_of(passage.line()))).collect();
                match id.and_then(|id| session.flights.of(&id)) {
                    Some(To::Server(name)) => only(&name, line.into_owned()).into_iter().collect(),
                    Some(To::All) => all(),
                    None => Vec::new(),
                }
            }
            _ => {
                lock(&session.wishes).note("", passage);
                self.servers().map(|asked| (asked, line_of(passage.line()))).collect()
            }
        };
        if told.is_empty() {
            ignored();
        }
        let telling = told.into_iter().map(|((server, who), body)| {
            let ask = Ask::unnamed(method, body);
            let turn = &self;
            async move {
                // A notification has no answer, and a server that is gone is told of when something is asked.
                let _ = tokio::time::timeout(super::ask::PART_WAIT, turn.ask(server, who, &ask)).await;
            }
        });
        futures_util::future::join_all(telling).await;
        accepted()
    }

    /// The client answers a question: the server that asked hears it, under the id that it asked with. What nobody waits
    /// for goes nowhere.
    pub(super) async fn reply(self, id: &Id, passage: &Passage) -> Answered {
        let asked = self.session.as_ref().and_then(|session| Some((session, session.questions.answered(id)?)));
        let Some((session, question)) = asked else {
            self.gateway.decider.dropped(&self.whose(), "client", "foreign reply");
            return accepted();
        };
        let line = String::from_utf8_lossy(passage.line());
        let mut original = Vec::new();
        question.id.write(&mut original);
        let body = put(&line, &["id"], &String::from_utf8_lossy(&original));
        if let Some(((server, who), body)) = self.server(&question.server).zip(body) {
            if let Some(task) = text_at(&line, &["result", "task", "taskId"]) {
                session.questions.took_up(&task, &question.server);
            }
            if let Err(refusal) = self.ask(server, who, &Ask::unnamed("", body.into()).once()).await {
                self.missing(&question.server, refusal.message());
            }
        }
        accepted()
    }
}
