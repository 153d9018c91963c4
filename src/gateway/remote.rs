//! The server's end over streamable HTTP: each message is a POST, answers come as JSON or as a stream of events.
//!
//! The only part of the gateway that needs a runtime, so it has one of its own, on one thread.

mod called_again;

use super::alive::belongs;
use super::answers::Answers;
use super::event::Event;
use super::exchange::{LISTED_TOOLS_MAX, invalid};
use super::mediate::{Mediator, lock};
use super::pipe_writer::PipeWriter;
use super::said::Said;
use super::shipment::Unsent;
use crate::clock;
use crate::mcp::ConnectError;
use crate::mcp::envelope::{Id, MESSAGE_BYTES_MAX, Message, Received, admit, receive};
use crate::mcp::framing::lines_of;
use crate::mcp::http::mirror::{encoded, name_of};
use crate::mcp::http::older::{OLDER, is_message, may_be_older, speaks_older};
use crate::mcp::http::parameters::{self, Parameter, parameters};
use crate::mcp::http::readdress::{Place, has_lost_session, readdressed};
use crate::mcp::http::{ContentKind, Follow, HttpClient, HttpReply, header, named_kind};
use crate::mcp::json::{compact, string_value};
use crate::mcp::sse::{Block, Blocks, Position};
use crate::mcp::target::HttpTarget;
use crate::mcp::unreadable::{Seems, seems};
use crate::mcp::walk::{elements, member};
use bytes::Bytes;
use http::Method;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;

/// Messages that may wait to be sent.
const QUEUE_MAX: usize = 256;
/// Requests that may be open at the same time.
const OPEN_MAX: usize = 256;
/// Lines of the gateway's own that may wait for room among those for the server; what it says beyond is left out.
const SAYING_MAX: usize = 1024;
/// Tries to go on with a stream that bring nothing, in a row.
const RESUMES_MAX: u32 = 5;
/// How long the server may take to hear that a session is over.
const GOODBYE: Duration = Duration::from_secs(1);

/// What may come in answer to a message.
const EITHER: &str = "application/json, text/event-stream";

/// Takes lines for a server behind a URL.
pub type Lines = tokio::sync::mpsc::Sender<Vec<u8>>;

/// What all requests of a session share.
struct SharedSession {
    client: HttpClient,
    mediator: Arc<Mediator>,
    client_writer: PipeWriter,
    /// The operator was told that the server redirects elsewhere.
    redirect_told: AtomicBool,
    /// Whether the server speaks the older transport: what it refuses later is refused for that.
    is_older: AtomicBool,
    session: Mutex<Option<String>>,
    version: Mutex<Option<String>>,
    /// What calls of a tool repeat in headers, by its name, as the server listed it last.
    parameters: Mutex<HashMap<String, Arc<[Parameter]>>>,
    /// Calls that the server has refused for their headers, and that were made once more.
    called_again: Mutex<HashSet<Id>>,
    /// Lists that were asked for because of such a refusal.
    relists: AtomicU64,
    /// Held while a session that the server has forgotten is opened anew.
    renewing: tokio::sync::Mutex<()>,
    /// For what the gateway itself has to say. Weak: the session is over when all others have let go.
    lines: tokio::sync::mpsc::WeakSender<Vec<u8>>,
    /// How much of that waits for room.
    saying: Arc<AtomicUsize>,
}

/// How far a stream of events was read.
#[derive(Debug, Default)]
struct StreamProgress {
    position: Position,
    /// Events since the stream was last opened.
    events: u32,
    /// What is wrong with an answer that cannot be read.
    wrong: Option<String>,
}

/// What of a message decides about its headers and its answer.
struct MessageHead {
    id: Option<Id>,
    method: Option<String>,
    /// What it names, as a header holds it.
    name: Option<String>,
    version: Option<String>,
    /// Headers that repeat arguments of a call.
    parameters: Vec<(String, String)>,
}

/// Starts the thread that talks to the server. It ends after the sender of lines is dropped and the last answer came, and
/// says so.
///
/// # Errors
/// The target cannot be used, or the thread cannot be started.
pub fn start(
    target: &HttpTarget,
    mediator: Arc<Mediator>,
    client_writer: PipeWriter,
    events: Sender<Event>,
) -> Result<Lines, ConnectError> {
    let client = HttpClient::new(target)?;
    let cannot = |error: std::io::Error| ConnectError::BadTarget(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let (sender, receiver) = channel(QUEUE_MAX);
    let shared = Arc::new(SharedSession {
        client,
        mediator,
        client_writer,
        redirect_told: AtomicBool::new(false),
        is_older: AtomicBool::new(false),
        session: Mutex::default(),
        version: Mutex::default(),
        parameters: Mutex::default(),
        called_again: Mutex::default(),
        relists: AtomicU64::new(0),
        renewing: tokio::sync::Mutex::default(),
        lines: sender.downgrade(),
        saying: Arc::default(),
    });
    let work = move || {
        runtime.block_on(forward(shared, receiver));
        // The session waits for it no more if this fails.
        let _ = events.send(Event::ServerClosed("closed the connection".to_owned()));
    };
    std::thread::Builder::new().name("to-server".to_owned()).spawn(work).map_err(cannot)?;
    Ok(sender)
}

async fn forward(shared: Arc<SharedSession>, mut lines: Receiver<Vec<u8>>) {
    let (mut open, mut listening) = (JoinSet::new(), JoinSet::new());
    while let Some(line) = lines.recv().await {
        let head = shared.head(&line);
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
        let headers = shared.headers(&MessageHead::none(), EITHER);
        let headers = borrowed(&headers);
        let goodbye = shared.client.send(Method::DELETE, None, &headers, Follow::Yes);
        // A server that keeps a session longer than needed is no concern of the client.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}

impl MessageHead {
    fn none() -> Self {
        Self { id: None, method: None, name: None, version: None, parameters: Vec::new() }
    }

    fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }
}

type Headers = Vec<(Cow<'static, str>, String)>;

fn borrowed(headers: &Headers) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (&**name, value.as_str())).collect()
}

impl SharedSession {
    fn session(&self) -> Option<String> {
        lock(&self.session).clone()
    }

    fn head(&self, line: &[u8]) -> MessageHead {
        let Ok(message) = admit(line) else { return MessageHead::none() };
        let parameters = match &message {
            Message::Call(_, call) if call.is_stateless() => lock(&self.parameters).get(call.name().as_str()).cloned(),
            _ => None,
        };
        let arguments = parameters.and_then(|parameters| {
            let (arguments, _) = member(message.params()?, "arguments")?;
            Some(parameters::headers(&parameters, arguments))
        });
        MessageHead {
            id: message.id().cloned(),
            method: message.method().map(str::to_owned),
            name: name_of(&message).map(|name| encoded(&name).into_owned()),
            version: message.revision().map(Cow::into_owned),
            parameters: arguments.unwrap_or_default(),
        }
    }

    fn headers(&self, head: &MessageHead, accept: &str) -> Headers {
        let mut headers: Headers = vec![("Accept".into(), accept.to_owned())];
        headers.extend(self.session().map(|session| (header::SESSION_ID.into(), session)));
        let version = head.version.clone().or_else(|| lock(&self.version).clone());
        headers.extend(version.map(|version| (header::PROTOCOL_VERSION.into(), version)));
        if head.version.is_some() {
            // The stateless revisions say in headers what the body says; a server compares the two.
            headers.extend(head.method.clone().map(|method| (header::METHOD.into(), method)));
            headers.extend(head.name.clone().map(|name| (header::NAME.into(), name)));
            headers.extend(head.parameters.iter().map(|(name, value)| (name.clone().into(), value.clone())));
        }
        headers
    }

    async fn post(&self, line: Vec<u8>, head: MessageHead) {
        let why = match self.exchange(line, &head).await {
            Ok(Done::With(why)) => why,
            // It is on its way once more, as another request.
            Ok(Done::CalledAgain) => return,
            Err(error) => self.said(&error),
        };
        // Whatever came, a request is answered by now.
        if let Some(id) = &head.id {
            lock(&self.called_again).remove(id);
            self.deliver(self.mediator.unanswered(id, &why));
        }
    }

    /// What the client hears of a server that has not answered; where the server redirects elsewhere the operator hears
    /// the address, once.
    fn said(&self, error: &ConnectError) -> String {
        if let ConnectError::Redirected { .. } = error
            && !self.redirect_told.swap(true, Ordering::Relaxed)
        {
            self.mediator.notice(Said::error(error.render()));
        }
        error.without_address()
    }

    /// Sends a message and reads what comes for it.
    async fn exchange(&self, line: Vec<u8>, head: &MessageHead) -> Result<Done, ConnectError> {
        let used = self.session().filter(|_| !head.is("initialize"));
        let may_be_needed = used.is_some() || (head.is("tools/call") && head.version.is_some());
        let again = may_be_needed.then(|| line.clone());
        let mut reply = self.send(line, head).await?;
        let mut refusal = self.refusal(&mut reply).await?;
        if let (Some(body), Some(used), Some(line)) = (&refusal, used, &again)
            && has_lost_session(reply.status(), body)
            && self.renew(&used).await?
        {
            if head.is("tools/call") {
                // It was judged and counted once, and the server may have begun it all the same.
                let what = "the server has lost the session, and a new one has begun; call the tool again";
                return Ok(Done::With(what.to_owned()));
            }
            reply = self.send(line.clone(), head).await?;
            refusal = self.refusal(&mut reply).await?;
        }
        if let (Some(body), Some(line)) = (&refusal, again)
            && reply.status() == 400
            && called_again::names_headers(body)
            && self.call_again(line, head).await
        {
            return Ok(Done::CalledAgain);
        }
        if let Some(body) = refusal {
            if !is_message(&body) {
                if may_be_older(head.method.as_deref().unwrap_or_default(), reply.status()) {
                    self.is_older.store(speaks_older(&self.client).await, Ordering::Relaxed);
                }
                if self.is_older.load(Ordering::Relaxed) {
                    return Ok(Done::With(OLDER.to_owned()));
                }
            }
            return Ok(Done::With(self.refused(&reply, &body, head)));
        }
        let mut place = StreamProgress::default();
        let mut read = self.read(&mut reply, head, &mut place).await;
        // The stateless revisions know no streams that go on.
        if head.version.is_none() && reply.kind() == ContentKind::EventStream {
            read = self.go_on(head, read, &mut place).await;
        }
        read?;
        if let Some(wrong) = place.wrong {
            return Ok(Done::With(wrong));
        }
        Ok(Done::With(match reply.kind() {
            ContentKind::Json | ContentKind::EventStream => {
                format!("the server answered with HTTP status {} and no reply", reply.status())
            }
            ContentKind::Html | ContentKind::Other => format!(
                "the server answered with HTTP status {} and {}, which is neither JSON nor a stream of events",
                reply.status(),
                named_kind(reply.headers())
            ),
        }))
    }

    /// The body of an answer that is a refusal by its status; `None` for any other answer, which is left unread.
    async fn refusal(&self, reply: &mut HttpReply) -> Result<Option<Bytes>, ConnectError> {
        if (200..300).contains(&reply.status()) {
            return Ok(None);
        }
        match reply.kind() {
            ContentKind::Json => reply.bytes(MESSAGE_BYTES_MAX).await.map(Some),
            ContentKind::EventStream | ContentKind::Html | ContentKind::Other => Ok(Some(Bytes::new())),
        }
    }

    /// A refusal of HTTP: the error in it is about the request, whatever id it has. Answers what to say if there is none.
    fn refused(&self, reply: &HttpReply, body: &[u8], head: &MessageHead) -> String {
        if let Some(id) = &head.id {
            let meant = std::str::from_utf8(body).ok().and_then(|text| readdressed(text, id, Place::InRefusal));
            let _ = self.arrived(meant.as_deref().map_or(body, str::as_bytes), &MessageHead::none());
        }
        format!("the server answered with HTTP status {} and no reply", reply.status())
    }

    async fn send(&self, line: Vec<u8>, head: &MessageHead) -> Result<HttpReply, ConnectError> {
        let mut headers = self.headers(head, EITHER);
        headers.push(("Content-Type".into(), "application/json".to_owned()));
        let follow = if head.is("tools/call") { Follow::Never } else { Follow::Yes };
        let reply = self.client.send(Method::POST, Some(line), &borrowed(&headers), follow).await?;
        if head.is("initialize")
            && let Some(session) = reply.header(header::SESSION_ID)
        {
            *lock(&self.session) = Some(session.to_owned());
        }
        Ok(reply)
    }

    /// Opens a new session in place of one that the server has forgotten, as the specification wants of a client; ours
    /// knows of no sessions. Answers whether there is another one now.
    async fn renew(&self, lost: &str) -> Result<bool, ConnectError> {
        let _turn = self.renewing.lock().await;
        if self.session().as_deref() != Some(lost) {
            return Ok(self.session().is_some());
        }
        let Some(hello) = self.mediator.replay() else { return Ok(false) };
        (*lock(&self.session), *lock(&self.version)) = (None, None);
        self.mediator.notice(Said::info("the server has forgotten the session; opening another one"));
        self.say_again(hello.bytes()).await?;
        self.say_again(self.mediator.initialized_again().bytes()).await?;
        Ok(self.session().is_some())
    }

    /// Says to the server again what the client has said before, one line after the other.
    async fn say_again(&self, lines: &[u8]) -> Result<(), ConnectError> {
        for line in lines_of(lines) {
            let line = line.strip_suffix(b"\n").unwrap_or(line).to_vec();
            let head = self.head(&line);
            let mut reply = self.send(line, &head).await?;
            let read = self.read(&mut reply, &head, &mut StreamProgress::default()).await;
            if let Some(id) = &head.id {
                // The client heard the first answer, and waits for no second one.
                drop(self.mediator.unanswered(id, ""));
            }
            read?;
        }
        Ok(())
    }

    /// Goes on with the stream of a request that ended before the answer came (streamable HTTP, resumability).
    async fn go_on(
        &self,
        head: &MessageHead,
        mut read: Result<(), ConnectError>,
        place: &mut StreamProgress,
    ) -> Result<(), ConnectError> {
        let Some(id) = &head.id else { return read };
        let mut tries = 0;
        while self.mediator.waits_for(id) && tries < RESUMES_MAX && !matches!(read, Err(ConnectError::TooLong { .. })) {
            let Some(last) = place.position.last_id().map(str::to_owned) else { break };
            place.position.pause().rest().await;
            tries += 1;
            place.events = 0;
            match self.open(Some(last)).await {
                Ok(Some(mut reply)) => {
                    read = self.read(&mut reply, head, place).await;
                    if place.events > 0 {
                        tries = 0;
                    }
                }
                Ok(None) => break,
                Err(error) => read = Err(error),
            }
        }
        read
    }

    /// Opens a stream of what the server sends, from an event on if one is named. `None` if it offers none.
    async fn open(&self, last: Option<String>) -> Result<Option<HttpReply>, ConnectError> {
        let mut headers = self.headers(&MessageHead::none(), "text/event-stream");
        headers.extend(last.filter(|id| fits_header(id)).map(|id| (header::LAST_EVENT_ID.into(), id)));
        let reply = self.client.send(Method::GET, None, &borrowed(&headers), Follow::Yes).await?;
        Ok((reply.status() == 200 && reply.kind() == ContentKind::EventStream).then_some(reply))
    }

    /// Reads an answer to this message, or a stream on which the gateway listens.
    async fn read(
        &self,
        reply: &mut HttpReply,
        asked: &MessageHead,
        place: &mut StreamProgress,
    ) -> Result<(), ConnectError> {
        match reply.kind() {
            ContentKind::Json => {
                let body = reply.bytes(MESSAGE_BYTES_MAX).await?;
                place.wrong = self.arrived(&body, asked);
            }
            ContentKind::EventStream => {
                let too_long = |_| ConnectError::TooLong { max_bytes: MESSAGE_BYTES_MAX };
                let mut blocks = Blocks::default();
                while let Some(chunk) = reply.chunk().await? {
                    blocks.feed(&chunk);
                    while let Some(block) = blocks.next_block().map_err(too_long)? {
                        if let Some(data) = block.data().filter(|data| block.is_message() && !data.is_empty()) {
                            place.events += 1;
                            place.wrong = self.arrived(&data, asked);
                        }
                        place.position.take(&block);
                        // Only this request waits here, and it must not wait for another answer.
                        if place.wrong.is_some() && asked.id.is_some() && seems_broken(&block) {
                            return Ok(());
                        }
                    }
                }
            }
            ContentKind::Html | ContentKind::Other => {}
        }
        Ok(())
    }

    /// One message in the body of an answer, on as many lines as the server liked. Answers what is wrong with it, if it
    /// cannot be read.
    fn arrived(&self, message: &[u8], asked: &MessageHead) -> Option<String> {
        let line = match std::str::from_utf8(message) {
            Ok(text) => {
                let text = compact(text);
                let meant = asked.id.as_ref().and_then(|asked| readdressed(&text, asked, Place::InAnswer));
                meant.unwrap_or(text).into_bytes()
            }
            Err(_) => message.to_vec(),
        };
        // StreamProgress is known by its token, wherever it comes.
        if let Some(id) = &asked.id
            && memchr::memmem::find(&line, b"\"method\"").is_some()
            && receive(&line).is_ok_and(|received| belongs(&received, None))
        {
            self.mediator.is_alive(id);
        }
        if (asked.is("initialize") || asked.is("tools/list"))
            && let Ok(received) = receive(&line)
        {
            self.learn(&received);
        }
        let wrong = receive(&line).err().map(|malformed| invalid(&malformed.reason));
        self.deliver(self.mediator.from_server(&line, clock::now()));
        wrong
    }

    /// Keeps of a greeting the version that the server speaks, and of a list what calls repeat in headers.
    fn learn(&self, received: &Received<'_>) {
        let Some(result) = received.result() else { return };
        if let Some((literal, _)) = member(result, "protocolVersion") {
            let version = string_value(literal).filter(|version| fits_header(version)).map(Cow::into_owned);
            *lock(&self.version) = version;
        }
        let Some((tools, _)) = member(result, "tools").filter(|(tools, _)| tools.starts_with('[')) else { return };
        let mut known = lock(&self.parameters);
        for definition in elements(tools).map(|place| &tools[place]) {
            let Some(name) = member(definition, "name").and_then(|(name, _)| string_value(name)) else { continue };
            // A tool that wants what may not be is left out of the list, and its calls repeat nothing.
            let found = parameters(definition).unwrap_or_default();
            if found.is_empty() {
                known.remove(&*name);
            } else if known.len() < LISTED_TOOLS_MAX {
                known.insert(name.into_owned(), found.into());
            }
        }
    }

    fn deliver(&self, mut answers: Answers) {
        loop {
            self.client_writer.write(&answers.effects.to_client);
            self.mediator.log_ended(clock::now());
            let count = answers.effects.to_server.lines().count();
            if self.saying.fetch_add(count, Ordering::Relaxed) + count <= SAYING_MAX {
                break;
            }
            // A server that asks without end does not hear all that the gateway has to say to it.
            self.saying.fetch_sub(count, Ordering::Relaxed);
            answers = self.mediator.not_sent(&answers.effects.to_server, Unsent::Busy);
        }
        for line in answers.effects.to_server.lines() {
            let (lines, line, saying) = (self.lines.upgrade(), line.to_vec(), Arc::clone(&self.saying));
            // The task that reads an answer must not wait for room.
            tokio::spawn(async move {
                if let Some(lines) = lines {
                    // A session that is over has nothing more to say.
                    let _ = lines.send(line).await;
                }
                saying.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    /// Listens for what the server sends unasked, for as long as the session lasts. Many servers offer no such stream.
    async fn listen(&self) {
        let (mut place, mut offered) = (StreamProgress::default(), false);
        let mut pause = place.position.pause();
        loop {
            match self.open(place.position.last_id().map(str::to_owned)).await {
                // A stream that breaks is opened again, and goes on where it broke.
                Ok(Some(mut reply)) => {
                    offered = true;
                    drop(self.read(&mut reply, &MessageHead::none(), &mut place).await);
                    pause = place.position.pause();
                }
                // One that was there before may come back, with another session perhaps, from its beginning.
                Ok(None) if offered => {
                    place.position.begin_anew();
                    pause = pause.longer();
                }
                Ok(None) => return,
                Err(_) => pause = pause.longer(),
            }
            pause.rest().await;
        }
    }
}

/// How the exchange of a message ended.
enum Done {
    /// With this to say, if there was no reply.
    With(String),
    /// A call was made once more.
    CalledAgain,
}

/// Whether the data of an event was meant as a message that answers.
fn seems_broken(block: &Block) -> bool {
    block.is_message()
        && block
            .data()
            .is_some_and(|data| matches!(seems(&data), Seems::Broken | Seems::Answers(_) | Seems::Unnamed(_)))
}

/// Whether a text may stand in a header as it is.
fn fits_header(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && text.trim() == text
}
