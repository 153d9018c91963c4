//! A server behind a URL: streamable HTTP, or the older pair of an event stream and a second endpoint.

use super::enumerate::Progress;
use super::error::{ConnectError, Traces};
use super::http::older::may_be_older;
use super::http::{ContentKind, Follow, HttpClient, HttpReply, header};
use super::message::{self, Incoming, Request, ServerAnswer, UnreadableMessage};
use super::replies::Replies;
use super::sse::{Block, Blocks, Position};
use super::stdio::{MESSAGE_BYTES_MAX, REPLIES_MAX};
use super::target::HttpTarget;
use crate::model::Note;
use http::Method;
use std::time::Duration;

/// How often a stream that broke before the answer is taken up again.
const RESUMES_MAX: usize = 5;
/// How long the end of a session may take.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

const ACCEPT_BOTH: (&str, &str) = ("Accept", "application/json, text/event-stream");
const ACCEPT_STREAM: (&str, &str) = ("Accept", "text/event-stream");
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A connection to an endpoint.
pub(super) struct HttpWire {
    client: HttpClient,
    transport: RemoteTransport,
    session: Option<String>,
    version: Option<String>,
    answers: Replies,
    replies: usize,
    odd_type: bool,
}

enum RemoteTransport {
    Streamable,
    /// The deprecated transport: requests go to a second endpoint, everything comes back over one stream.
    StreamAndEndpoint(Box<Older>),
}

struct Older {
    stream: EventStream,
    endpoint: HttpClient,
}

struct EventStream {
    reply: HttpReply,
    blocks: Blocks,
    position: Position,
}

impl HttpWire {
    /// Prepares a connection; nothing is sent yet.
    pub fn new(target: &HttpTarget) -> Result<Self, ConnectError> {
        let client = HttpClient::new(target)?;
        Ok(Self {
            client,
            transport: RemoteTransport::Streamable,
            session: None,
            version: None,
            answers: Replies::default(),
            replies: 0,
            odd_type: false,
        })
    }

    /// The revision that all later requests name.
    pub fn set_version(&mut self, version: &str) {
        self.version = Some(version.to_owned());
    }

    /// Sends a request and waits for its answer; answers the server's own requests meanwhile.
    pub async fn exchange(
        &mut self,
        request: &Request,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<ServerAnswer, ConnectError> {
        if self.version.is_none() {
            progress(Progress::Waiting);
        }
        if matches!(self.transport, RemoteTransport::StreamAndEndpoint(_)) {
            return self.exchange_over_stream(request).await;
        }
        let reply = self.post(&request.body, Some(request)).await?;
        let (status, kind) = (reply.status(), reply.kind());
        if let Some(session) = reply.header(header::SESSION_ID) {
            self.session = Some(session.to_owned());
        }
        match kind {
            ContentKind::EventStream if status < 300 => self.answer_in_stream(reply, request).await,
            ContentKind::Json | ContentKind::EventStream | ContentKind::Html | ContentKind::Other => {
                self.answer_in_body(reply, kind, request).await
            }
        }
    }

    /// Sends a message that wants no answer.
    pub async fn notify(&mut self, body: Vec<u8>) -> Result<(), ConnectError> {
        let reply = match &self.transport {
            RemoteTransport::Streamable => self.post(&body, None).await?,
            RemoteTransport::StreamAndEndpoint(older) => {
                // Its answer, which it should not have, would come over the one stream; here it stays with its request.
                self.answers.notified();
                older.endpoint.send(Method::POST, Some(body), &[JSON], Follow::Yes).await?
            }
        };
        // Some servers refuse a notification that they do not know and go on all the same.
        if reply.status() == 401 { Err(self.client.refusal(reply).await) } else { Ok(()) }
    }

    /// What was odd about this connection.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = self.answers.notes();
        let mut note =
            |code: &str, message: &str| notes.push(Note { code: code.to_owned(), message: message.to_owned() });
        if matches!(self.transport, RemoteTransport::StreamAndEndpoint(_)) {
            note("deprecated_transport", "the server speaks the deprecated HTTP+SSE transport");
        }
        if self.odd_type {
            note("odd_content_type", "the server calls its answers something else than JSON or an event stream");
        }
        notes
    }

    /// Why a request has no answer, where what came instead says it.
    pub fn explain(&self, method: &'static str) -> Option<ConnectError> {
        self.answers.explain(method, &Traces::default())
    }

    /// Ends the session, if there is one.
    pub async fn close(self) {
        if self.session.is_none() {
            return;
        }
        let headers = self.headers(None);
        let headers = borrowed(&headers);
        let goodbye = self.client.send(Method::DELETE, None, &headers, Follow::Yes);
        // Servers may refuse this (405), and one that does not answer will forget the session by itself.
        let _ = tokio::time::timeout(CLOSE_WAIT, goodbye).await;
    }

    fn headers(&self, request: Option<&Request>) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        let stateless = request.and_then(|request| request.stateless_version);
        if let Some(session) = self.session.as_ref().filter(|_| stateless.is_none()) {
            headers.push((header::SESSION_ID, session.clone()));
        }
        if let Some(version) = stateless.or(self.version.as_deref()) {
            headers.push((header::PROTOCOL_VERSION, version.to_owned()));
        }
        // These must equal the body. `Mcp-Name` goes with methods that a listing does not use.
        if let Some(request) = request.filter(|_| stateless.is_some()) {
            headers.push((header::METHOD, request.method.to_owned()));
        }
        headers
    }

    async fn post(&self, body: &[u8], request: Option<&Request>) -> Result<HttpReply, ConnectError> {
        let own = self.headers(request);
        let mut headers = borrowed(&own);
        headers.extend([ACCEPT_BOTH, JSON]);
        self.client.send(Method::POST, Some(body.to_vec()), &headers, Follow::Yes).await
    }

    async fn answer_in_body(
        &mut self,
        mut reply: HttpReply,
        kind: ContentKind,
        request: &Request,
    ) -> Result<ServerAnswer, ConnectError> {
        let status = reply.status();
        let body = reply.bytes(MESSAGE_BYTES_MAX).await?;
        let is_error = !(200..300).contains(&status);
        // Whatever it is called: a body that holds the answer is the answer.
        match message::read(&body) {
            Ok(messages) => {
                if let Some(answer) = self.sort(messages, request).await? {
                    self.odd_type |= kind != ContentKind::Json;
                    return Ok(answer);
                }
                if let Some(error) = self.explain(request.method).filter(|_| !is_error) {
                    return Err(error);
                }
            }
            Err(UnreadableMessage::Broken(detail)) if !is_error => return Err(invalid(request, detail, &body)),
            Err(UnreadableMessage::Broken(_) | UnreadableMessage::Junk) => {}
        }
        if kind == ContentKind::Json && !is_error && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            let detail = "not valid JSON".to_owned();
            return Err(invalid(request, detail, &body));
        }
        let refusal = self.client.refusal_with(&reply, kind, &body);
        // The specification's sign of a server that is older than streamable HTTP: a 4xx to `initialize`.
        if may_be_older(request.method, status)
            && request.method == "initialize"
            && let Some(transport) = self.older_transport().await?
        {
            self.transport = transport;
            return self.exchange_over_stream(request).await;
        }
        Err(refusal)
    }

    async fn answer_in_stream(&mut self, reply: HttpReply, request: &Request) -> Result<ServerAnswer, ConnectError> {
        let mut stream = EventStream::new(reply, Position::default());
        for resumes in 0..=RESUMES_MAX {
            let broken = loop {
                match stream.next_event().await {
                    Ok(Some(event)) => {
                        if let Some(answer) = self.take_event(&event, request).await? {
                            return Ok(answer);
                        }
                    }
                    Ok(None) => break None,
                    Err(error @ ConnectError::Broken { .. }) => break Some(error),
                    Err(error) => return Err(error),
                }
            };
            let ended = || {
                self.explain(request.method)
                    .or(broken)
                    .unwrap_or_else(|| self.client.refusal_with(&stream.reply, ContentKind::EventStream, b""))
            };
            let Some(id) = stream.position.last_id().map(str::to_owned) else { return Err(ended()) };
            if resumes == RESUMES_MAX {
                return Err(ended());
            }
            stream.position.pause().rest().await;
            let own = self.headers(Some(request));
            let mut headers = borrowed(&own);
            headers.extend([ACCEPT_STREAM, (header::LAST_EVENT_ID, id.as_str())]);
            let reply = self.client.send(Method::GET, None, &headers, Follow::Yes).await?;
            if reply.kind() != ContentKind::EventStream {
                return Err(self.client.refusal(reply).await);
            }
            // The position goes on, so that the last id survives a stream without events.
            stream = EventStream::new(reply, stream.position);
        }
        Err(self.client.refusal_with(&stream.reply, ContentKind::EventStream, b""))
    }

    /// Opens the event stream of the deprecated transport; `None` if the server offers none.
    async fn older_transport(&self) -> Result<Option<RemoteTransport>, ConnectError> {
        let reply = self.client.send(Method::GET, None, &[ACCEPT_STREAM], Follow::Yes).await?;
        if reply.kind() != ContentKind::EventStream || reply.status() != 200 {
            return Ok(None);
        }
        let mut stream = EventStream::new(reply, Position::default());
        while let Some(event) = stream.next_event().await? {
            if event.kind() != b"endpoint" {
                continue;
            }
            let bad = || ConnectError::BadTarget("the server names an endpoint that is no address".to_owned());
            let endpoint = self
                .client
                .url()
                .join(String::from_utf8_lossy(&event.data().unwrap_or_default()).trim())
                .map_err(|_| bad())?;
            let endpoint = self.client.at(endpoint).map_err(|error| match error {
                ConnectError::Redirected { url, to } => ConnectError::ForeignEndpoint { url, to },
                other => other,
            })?;
            return Ok(Some(RemoteTransport::StreamAndEndpoint(Box::new(Older { stream, endpoint }))));
        }
        Ok(None)
    }

    async fn exchange_over_stream(&mut self, request: &Request) -> Result<ServerAnswer, ConnectError> {
        let RemoteTransport::StreamAndEndpoint(mut older) =
            std::mem::replace(&mut self.transport, RemoteTransport::Streamable)
        else {
            return Err(ConnectError::BadTarget("the event stream is gone".to_owned()));
        };
        let Older { stream, endpoint } = &mut *older;
        let answer = self.race_stream(stream, endpoint, request).await;
        self.transport = RemoteTransport::StreamAndEndpoint(older);
        answer
    }

    /// Posts and reads at the same time: a server may fill the stream before it acknowledges the post.
    async fn race_stream(
        &mut self,
        stream: &mut EventStream,
        endpoint: &HttpClient,
        request: &Request,
    ) -> Result<ServerAnswer, ConnectError> {
        let post = endpoint.send(Method::POST, Some(request.body.clone()), &[JSON], Follow::Yes);
        tokio::pin!(post);
        let mut posted = false;
        loop {
            tokio::select! {
                event = stream.next_event() => match event? {
                    Some(event) => {
                        let (answer, replies) = self.read_event(&event, request)?;
                        for reply in replies {
                            endpoint.send(Method::POST, Some(reply), &[JSON], Follow::Yes).await?;
                        }
                        if let Some(answer) = answer {
                            return Ok(answer);
                        }
                    }
                    None => {
                        let ended = || self.client.refusal_with(&stream.reply, ContentKind::EventStream, b"");
                        return Err(self.explain(request.method).unwrap_or_else(ended));
                    }
                },
                reply = &mut post, if !posted => {
                    posted = true;
                    let reply = reply?;
                    if reply.status() >= 300 {
                        return Err(endpoint.refusal(reply).await);
                    }
                }
            }
        }
    }

    async fn take_event(&mut self, event: &Block, request: &Request) -> Result<Option<ServerAnswer>, ConnectError> {
        let (answer, replies) = self.read_event(event, request)?;
        self.post_replies(replies).await?;
        Ok(answer)
    }

    async fn sort(&mut self, messages: Vec<Incoming>, request: &Request) -> Result<Option<ServerAnswer>, ConnectError> {
        let (answer, replies) = self.sorted(messages, request);
        self.post_replies(replies).await?;
        Ok(answer)
    }

    async fn post_replies(&self, replies: Vec<Vec<u8>>) -> Result<(), ConnectError> {
        for reply in replies {
            self.post(&reply, None).await?;
        }
        Ok(())
    }

    fn read_event(
        &mut self,
        event: &Block,
        request: &Request,
    ) -> Result<(Option<ServerAnswer>, Vec<Vec<u8>>), ConnectError> {
        let data = event.data().unwrap_or_default();
        match message::read(&data) {
            Ok(messages) => Ok(self.sorted(messages, request)),
            Err(UnreadableMessage::Junk) => Ok((None, Vec::new())),
            Err(UnreadableMessage::Broken(detail)) => Err(invalid(request, detail, &data)),
        }
    }

    /// The answer to our request, and our replies to the server's.
    fn sorted(&mut self, messages: Vec<Incoming>, request: &Request) -> (Option<ServerAnswer>, Vec<Vec<u8>>) {
        let (mut found, mut replies) = (None, Vec::new());
        for message in messages {
            match message {
                Incoming::Answer { id, answer } => found = self.answers.take(request, id, answer).or(found),
                Incoming::Request { id, method } if self.replies < REPLIES_MAX => {
                    self.replies += 1;
                    replies.push(message::reply_to(&id, &method));
                }
                Incoming::Request { .. } | Incoming::Notification => {}
            }
        }
        (found, replies)
    }
}

impl EventStream {
    fn new(reply: HttpReply, position: Position) -> Self {
        Self { reply, blocks: Blocks::new(MESSAGE_BYTES_MAX), position }
    }

    /// The next event with data.
    async fn next_event(&mut self) -> Result<Option<Block>, ConnectError> {
        loop {
            let too_long = |_| ConnectError::TooLong { max_bytes: MESSAGE_BYTES_MAX };
            while let Some(block) = self.blocks.next_block().map_err(too_long)? {
                self.position.take(&block);
                if block.data().is_some() {
                    return Ok(Some(block));
                }
            }
            let Some(chunk) = self.reply.chunk().await? else { return Ok(None) };
            self.blocks.feed(&chunk);
        }
    }
}

fn invalid(request: &Request, detail: String, body: &[u8]) -> ConnectError {
    let quote = String::from_utf8_lossy(&body[..body.len().min(512)]).into_owned();
    ConnectError::InvalidAnswer { method: request.method, detail, quote }
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
