//! The server's end over streamable HTTP: each message is a POST, answers come as JSON or as a stream of events.
//!
//! The only part of the gateway that needs a runtime, so it has one of its own, on one thread.

use super::answers::Answers;
use super::mediate::Mediator;
use super::outbox::Outbox;
use super::session::Event;
use crate::clock;
use crate::mcp::ConnectError;
use crate::mcp::envelope::{Id, MESSAGE_BYTES_MAX, Message, admit, receive};
use crate::mcp::http::{ContentKind, HttpClient, HttpReply, header};
use crate::mcp::json::{compact, string_value};
use crate::mcp::sse::SseParser;
use crate::mcp::target::HttpTarget;
use crate::mcp::walk::member;
use reqwest::Method;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;

/// Messages that may wait to be sent.
const QUEUE_MAX: usize = 256;
/// Requests that may be open at the same time.
const OPEN_MAX: usize = 256;
/// Between two tries to listen for what the server sends unasked.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);
/// How long the server may take to hear that a session is over.
const GOODBYE: Duration = Duration::from_secs(1);

/// Takes lines for a server behind a URL.
pub type Lines = tokio::sync::mpsc::Sender<Vec<u8>>;

/// What all requests of a session share.
struct Shared {
    client: HttpClient,
    mediator: Arc<Mediator>,
    outbox: Outbox,
    session: Mutex<Option<String>>,
    version: Mutex<Option<String>>,
}

/// What of a message decides about its headers and its answer.
struct Head {
    id: Option<Id>,
    method: Option<String>,
    /// The tool, prompt or resource that it names.
    name: Option<String>,
    version: Option<String>,
}

/// Starts the thread that talks to the server. It ends after the sender of lines is dropped and the last answer came, and
/// says so.
///
/// # Errors
/// The target cannot be used, or the thread cannot be started.
pub fn start(
    target: &HttpTarget,
    mediator: Arc<Mediator>,
    outbox: Outbox,
    events: Sender<Event>,
) -> Result<Lines, ConnectError> {
    let client = HttpClient::new(target)?;
    let cannot = |error: std::io::Error| ConnectError::BadTarget(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let (sender, receiver) = channel(QUEUE_MAX);
    let (session, version) = (Mutex::default(), Mutex::default());
    let shared = Arc::new(Shared { client, mediator, outbox, session, version });
    let work = move || {
        runtime.block_on(forward(shared, receiver));
        // Nobody waits for it any more if this fails.
        let _ = events.send(Event::ServerClosed(0));
    };
    std::thread::Builder::new().name("to-server".to_owned()).spawn(work).map_err(cannot)?;
    Ok(sender)
}

async fn forward(shared: Arc<Shared>, mut lines: Receiver<Vec<u8>>) {
    let (mut open, mut listening) = (JoinSet::new(), JoinSet::new());
    while let Some(line) = lines.recv().await {
        let head = Head::of(&line);
        match head.method.as_deref() {
            // What comes next needs the session that these two make.
            Some("initialize") => shared.post(line, head).await,
            Some("notifications/initialized") => {
                shared.post(line, head).await;
                let shared = Arc::clone(&shared);
                listening.spawn(async move { shared.listen().await });
            }
            _ => {
                while open.len() >= OPEN_MAX {
                    open.join_next().await;
                }
                let shared = Arc::clone(&shared);
                open.spawn(async move { shared.post(line, head).await });
            }
        }
        while open.try_join_next().is_some() {}
    }
    while open.join_next().await.is_some() {}
    listening.shutdown().await;
    if shared.session().is_some() {
        let headers = shared.headers(&Head::none());
        let headers = borrowed(&headers);
        let goodbye = shared.client.send(Method::DELETE, None, &headers);
        // A server that keeps a session longer than needed is no concern of the client.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}

impl Head {
    fn none() -> Self {
        Self { id: None, method: None, name: None, version: None }
    }

    fn of(line: &[u8]) -> Self {
        let text = |params: Option<&str>, name: &str| {
            params
                .and_then(|params| member(params, name))
                .and_then(|(literal, _)| Some(string_value(literal)?.into_owned()))
        };
        let version = |params: Option<&str>| {
            let meta = params.and_then(|params| member(params, "_meta"))?.0;
            text(Some(meta), "io.modelcontextprotocol/protocolVersion")
        };
        match admit(line) {
            Ok(Message::Call(id, call)) => {
                let line = std::str::from_utf8(call.line()).unwrap_or_default();
                let params = member(line, "params").map(|(params, _)| params);
                let name = Some(call.name().as_str().to_owned());
                Self { id: Some(id), method: Some("tools/call".to_owned()), name, version: version(params) }
            }
            Ok(Message::Request(id, passage)) => {
                let name = text(passage.params(), "name").or_else(|| text(passage.params(), "uri"));
                let method = passage.method().map(str::to_owned);
                Self { id: Some(id), method, name, version: version(passage.params()) }
            }
            Ok(Message::Notification(passage)) => {
                let method = passage.method().map(str::to_owned);
                Self { method, version: version(passage.params()), ..Self::none() }
            }
            Ok(Message::Reply(..)) | Err(_) => Self::none(),
        }
    }
}

fn borrowed<'h>(headers: &'h [(&'static str, String)]) -> Vec<(&'h str, &'h str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

impl Shared {
    fn session(&self) -> Option<String> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn headers(&self, head: &Head) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Accept", "application/json, text/event-stream".to_owned())];
        if let Some(session) = self.session() {
            headers.push((header::SESSION_ID, session));
        }
        let agreed = self.version.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(version) = head.version.clone().or(agreed) {
            headers.push((header::PROTOCOL_VERSION, version));
        }
        if head.version.is_some() {
            // The stateless revisions say in headers what the body says; a server compares the two.
            headers.extend(head.method.clone().map(|method| (header::METHOD, method)));
            headers.extend(head.name.clone().filter(|name| fits_header(name)).map(|name| (header::NAME, name)));
        }
        headers
    }

    async fn post(&self, line: Vec<u8>, head: Head) {
        let mut headers = self.headers(&head);
        headers.push(("Content-Type", "application/json".to_owned()));
        let why = match self.client.send(Method::POST, Some(line), &borrowed(&headers)).await {
            Ok(mut reply) => {
                let is_first = head.method.as_deref() == Some("initialize");
                if is_first && let Some(session) = reply.header(header::SESSION_ID) {
                    *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.to_owned());
                }
                match self.read(&mut reply, is_first).await {
                    Ok(()) => format!("the server answered with HTTP status {} and no reply", reply.status()),
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        // Whatever came, a request is answered by now.
        if let Some(id) = &head.id {
            self.deliver(self.mediator.unanswered(id, &why));
        }
    }

    async fn read(&self, reply: &mut HttpReply, is_first: bool) -> Result<(), ConnectError> {
        match reply.kind() {
            ContentKind::Json => {
                let body = reply.bytes(MESSAGE_BYTES_MAX).await?;
                self.arrived(&body, is_first);
            }
            ContentKind::EventStream => {
                let mut parser = SseParser::new(MESSAGE_BYTES_MAX);
                while let Some(chunk) = reply.chunk().await? {
                    parser.feed(&chunk).map_err(|_| ConnectError::TooLong { max_bytes: MESSAGE_BYTES_MAX })?;
                    while let Some(event) = parser.next_event() {
                        self.arrived(event.data.as_bytes(), is_first);
                    }
                }
            }
            ContentKind::Html | ContentKind::Other => {}
        }
        Ok(())
    }

    /// One message in the body of an answer, on as many lines as the server liked.
    fn arrived(&self, message: &[u8], is_first: bool) {
        let line = match std::str::from_utf8(message) {
            Ok(text) => compact(text).into_bytes(),
            Err(_) => message.to_vec(),
        };
        if is_first
            && let Ok(received) = receive(&line)
            && let Some((literal, _)) = received.result().and_then(|result| member(result, "protocolVersion"))
        {
            let version =
                string_value(literal).filter(|version| fits_header(version)).map(|version| version.into_owned());
            *self.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
        }
        self.deliver(self.mediator.from_server(&line, clock::now()));
    }

    fn deliver(&self, answers: Answers) {
        self.outbox.write(&answers.effects.to_client);
        self.mediator.log_ended(clock::now(), answers.ended);
    }

    /// Listens for what the server sends unasked, for as long as the session lasts. Many servers offer no such stream.
    async fn listen(&self) {
        loop {
            let mut headers = self.headers(&Head::none());
            if let Some(accept) = headers.first_mut() {
                accept.1 = "text/event-stream".to_owned();
            }
            match self.client.send(Method::GET, None, &borrowed(&headers)).await {
                Ok(mut reply) if reply.status() == 200 && reply.kind() == ContentKind::EventStream => {
                    // A stream that breaks is opened again.
                    let _ = self.read(&mut reply, false).await;
                }
                Ok(_) => return,
                Err(_) => {}
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }
}

/// Whether a text may stand in a header as it is.
fn fits_header(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && text.trim() == text
}
