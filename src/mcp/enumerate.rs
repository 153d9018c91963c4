//! Connect to a server and ask for all that it offers, whichever era of the protocol it speaks.
//!
//! `initialize` comes first, because every server seen takes it; what it answers or refuses decides what comes next. A
//! server that knows only revisions without handshake says so, and is asked with `server/discover`.

use super::environment::Home;
use super::error::{ConnectError, Traces};
use super::extras::{Collected, not_listed};
use super::message::{self, ErrorObject, Request, ServerAnswer};
use super::pages::{self, EmptyCursor, Walk, object};
use super::protocol::STATELESS_VERSION;
use super::remote::HttpWire;
use super::stdio::StdioWire;
use super::target::{Target, redacted};
use super::tools::Tools;
use crate::model::{
    ExtraKind, Extras, Greeting, Listing, Note, Offered, Package, SERVER_INFO_KEY, ServerInfo, ServerSource,
};
use crate::text::escape;
use rmcp::model::{ErrorCode, ProtocolVersion};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a server that has refused `initialize` may take to answer `server/discover`.
const DISCOVER_WAIT: Duration = Duration::from_secs(10);
/// How long a server may take for prompts, resources and templates together, once its tools are there.
const EXTRAS_WAIT: Duration = Duration::from_secs(15);

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Tools, prompts, resources and resource templates.
    Everything,
    /// Tools alone.
    Tools,
}

/// How to ask a server.
#[derive(Clone, Debug)]
pub struct EnumerateOptions {
    /// For one server altogether, downloads of its package included.
    pub timeout: Duration,
    /// The path of this very binary: with it, commands end even if we are killed. Its `main` must call
    /// [`super::supervise::run_if_asked`] first.
    pub launcher: Option<PathBuf>,
    /// The home directory that commands see.
    pub home: Home,
    /// `capabilities` that we declare: some servers show more tools to clients that offer more.
    pub capabilities: Value,
    /// What to ask for.
    pub wanted: Wanted,
}

impl EnumerateOptions {
    /// No launcher, a scratch home, no capabilities, everything that the server offers.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, launcher: None, home: Home::Scratch, capabilities: json!({}), wanted: Wanted::Everything }
    }

    /// Names of the capabilities that we declare.
    fn declared(&self) -> impl Iterator<Item = &str> {
        self.capabilities.as_object().into_iter().flatten().map(|(name, _)| name.as_str())
    }
}

/// What is going on, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The command is started or the client is set up.
    Starting,
    /// The first request is out.
    Waiting,
    /// The two ends have agreed.
    Connected {
        /// What the server calls itself.
        server: Option<ServerInfo>,
    },
    /// A page of tools has arrived.
    Listed {
        /// Tools so far.
        tools: usize,
        /// Pages so far.
        pages: usize,
    },
    /// Prompts, resources or templates are asked for.
    Extras(ExtraKind),
    /// The connection is closed or the process is ended.
    Ending,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Waiting => f.write_str("waiting for the first answer"),
            Self::Connected { server: Some(server) } if !server.name.is_empty() => {
                write!(f, "connected to {} {}", escape(&server.name), escape(&server.version))
            }
            Self::Connected { .. } => f.write_str("connected"),
            Self::Listed { tools, pages } => {
                write!(f, "{tools} tool{}", if *tools == 1 { "" } else { "s" })?;
                if *pages > 1 { write!(f, " on {pages} pages") } else { Ok(()) }
            }
            Self::Extras(kind) => write!(f, "asking for {kind}s"),
            Self::Ending => f.write_str("closing"),
        }
    }
}

/// Asks one server for its tools. Dropping the future ends a command with everything that it started.
///
/// # Errors
/// The server could not be reached or did not give a list that can be believed to be whole.
pub async fn enumerate(
    target: &Target,
    options: &EnumerateOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Listing, ConnectError> {
    progress(Progress::Starting);
    let deadline = Instant::now() + options.timeout;
    let mut talk = Talk {
        target,
        options,
        progress,
        deadline,
        next_id: 1,
        wire: Wire::open(target, options)?,
        beside: BTreeMap::new(),
    };
    let outcome = talk.listing().await;
    progress(Progress::Ending);
    talk.wire.close().await;
    outcome
}

enum Wire {
    Stdio(Box<StdioWire>),
    Http(Box<HttpWire>),
}

impl Wire {
    fn open(target: &Target, options: &EnumerateOptions) -> Result<Self, ConnectError> {
        Ok(match target {
            Target::Stdio(target) => Self::Stdio(Box::new(StdioWire::start(target, options)?)),
            Target::Http(target) => Self::Http(Box::new(HttpWire::new(target)?)),
        })
    }

    async fn exchange(
        &mut self,
        request: &Request,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<ServerAnswer, ConnectError> {
        match self {
            Self::Stdio(wire) => wire.exchange(request, progress).await,
            Self::Http(wire) => wire.exchange(request, progress).await,
        }
    }

    fn traces(&self) -> Traces {
        match self {
            Self::Stdio(wire) => wire.traces(),
            Self::Http(_) => Traces::default(),
        }
    }

    fn explain(&self, method: &'static str) -> Option<ConnectError> {
        match self {
            Self::Stdio(wire) => wire.explain(method),
            Self::Http(wire) => wire.explain(method),
        }
    }

    fn notes(&self) -> Vec<Note> {
        match self {
            Self::Stdio(wire) => wire.notes(),
            Self::Http(wire) => wire.notes(),
        }
    }

    async fn close(self) {
        match self {
            Self::Stdio(wire) => wire.close().await,
            Self::Http(wire) => wire.close().await,
        }
    }
}

struct Talk<'a> {
    target: &'a Target,
    options: &'a EnumerateOptions,
    progress: &'a (dyn Fn(Progress) + Sync),
    deadline: Instant,
    next_id: u64,
    wire: Wire,
    /// What lists said beside their entries.
    beside: BTreeMap<String, Vec<Value>>,
}

/// What both ends know once they have agreed.
struct Agreement {
    version: String,
    lifecycle: Lifecycle,
    server_info: Option<ServerInfo>,
    greeting: Greeting,
    capabilities: Option<Box<RawValue>>,
    instructions: Option<String>,
}

impl Agreement {
    /// Whether the server's capabilities have this member.
    fn declares(&self, capability: &str) -> bool {
        let capabilities = self.capabilities.as_ref();
        let capabilities = capabilities.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
        capabilities.is_some_and(|capabilities| capabilities.get(capability).is_some_and(|it| !it.is_null()))
    }

    fn empty_cursor(&self) -> EmptyCursor {
        match self.lifecycle {
            Lifecycle::Handshake => EmptyCursor::End,
            Lifecycle::Stateless => EmptyCursor::Cursor,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifecycle {
    /// `initialize`, then requests.
    Handshake,
    /// Every request says everything in `_meta`.
    Stateless,
}

/// The parts of an `initialize` or `server/discover` result that a listing keeps. All of it may be missing or wrong.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAgreement {
    protocol_version: Option<Value>,
    supported_versions: Option<Value>,
    server_info: Option<Value>,
    capabilities: Option<Box<RawValue>>,
    instructions: Option<Value>,
    #[serde(rename = "_meta")]
    meta: Option<Value>,
}

impl Talk<'_> {
    async fn listing(&mut self) -> Result<Listing, ConnectError> {
        let mut agreement = self.agree().await?;
        (self.progress)(Progress::Connected { server: agreement.server_info.clone() });
        let (tools, mut notes) = self.tools(&agreement).await?;
        let extras = match self.options.wanted {
            Wanted::Everything => self.extras(&agreement, &mut notes).await,
            Wanted::Tools => Extras::not_recorded(),
        };
        let unreadable = tools.unreadable();
        let (tools, odd) = tools.finish();
        notes.extend(self.wire.notes());
        notes.extend(odd);
        notes.extend(self.declared());
        agreement.greeting.add_lists(std::mem::take(&mut self.beside), agreement.server_info.as_ref());
        Ok(Listing {
            server: self.target.server().clone(),
            source: source_of(self.target),
            protocol_version: Some(agreement.version),
            server_info: agreement.server_info,
            greeting: Some(agreement.greeting),
            capabilities: agreement.capabilities,
            client_capabilities: Some(self.options.declared().map(str::to_owned).collect()),
            instructions: agreement.instructions,
            tools,
            unreadable,
            extras,
            notes,
        })
    }

    async fn tools(&mut self, agreement: &Agreement) -> Result<(Tools, Vec<Note>), ConnectError> {
        const METHOD: &str = "tools/list";
        let mut walk = Walk::new(METHOD, "tools", pages::TOOLS, agreement.empty_cursor());
        let (mut tools, mut notes, mut cursor) = (Tools::default(), Vec::new(), None);
        loop {
            match self.page(METHOD, cursor.as_deref(), agreement, self.deadline).await? {
                ServerAnswer::Result(result) => {
                    let page = walk.take(&result)?;
                    tools.take(&page.entries, page.repeated);
                    cursor = page.next;
                }
                // A server without tools need not know the method.
                ServerAnswer::Error(refusal)
                    if is_unknown_method(&refusal) && !agreement.declares("tools") && cursor.is_none() =>
                {
                    let message = "the server declares no tools and does not list any".to_owned();
                    notes.push(Note { code: "no_tools".to_owned(), message });
                }
                ServerAnswer::Error(refusal) => return Err(self.refused(METHOD, &refusal).await),
            }
            (self.progress)(Progress::Listed { tools: tools.count(), pages: walk.pages() });
            if cursor.is_none() {
                notes.extend(self.walked(walk));
                return Ok((tools, notes));
            }
        }
    }

    /// Everything beside tools. The tools are there already, so that nothing in here fails the listing: what the server
    /// declares and does not list is noted, and known as such.
    async fn extras(&mut self, agreement: &Agreement, notes: &mut Vec<Note>) -> Extras {
        let deadline = self.deadline.min(Instant::now() + EXTRAS_WAIT);
        let mut extras = Extras::not_recorded();
        for kind in ExtraKind::ALL {
            let offered = if agreement.declares(kind.capability()) {
                (self.progress)(Progress::Extras(kind));
                match self.extra(kind, agreement, deadline, notes).await {
                    Ok(offered) => offered,
                    Err(error) => {
                        notes.push(not_listed(kind, &error));
                        Offered::Refused
                    }
                }
            } else {
                Offered::Listed(Vec::new())
            };
            extras.set(kind, offered);
        }
        extras
    }

    async fn extra(
        &mut self,
        kind: ExtraKind,
        agreement: &Agreement,
        deadline: Instant,
        notes: &mut Vec<Note>,
    ) -> Result<Offered, ConnectError> {
        let mut walk = Walk::new(kind.method(), kind.member(), pages::EXTRAS, agreement.empty_cursor());
        let (mut collected, mut cursor) = (Collected::new(kind), None);
        loop {
            match self.page(kind.method(), cursor.as_deref(), agreement, deadline).await? {
                ServerAnswer::Result(result) => {
                    let page = walk.take(&result)?;
                    collected.take(&page.entries, page.repeated);
                    cursor = page.next;
                }
                // Many servers declare `resources` and know only some of its methods: they have none of the rest.
                ServerAnswer::Error(refusal) if is_unknown_method(&refusal) && cursor.is_none() => {}
                ServerAnswer::Error(refusal) => return Err(self.refused(kind.method(), &refusal).await),
            }
            if cursor.is_none() {
                let (offered, odd) = collected.finish();
                notes.extend(self.walked(walk));
                notes.extend(odd);
                return Ok(offered);
            }
        }
    }

    /// Keeps what a whole list said beside its entries; returns what was odd about it.
    fn walked(&mut self, walk: Walk) -> Vec<Note> {
        let (notes, beside) = walk.finish();
        self.beside.extend(beside);
        notes
    }

    async fn page(
        &mut self,
        method: &'static str,
        cursor: Option<&str>,
        agreement: &Agreement,
        deadline: Instant,
    ) -> Result<ServerAnswer, ConnectError> {
        let stateless = (agreement.lifecycle == Lifecycle::Stateless).then_some(&self.options.capabilities);
        let request = message::list(self.next_id(), method, cursor, stateless);
        self.ask(&request, deadline).await
    }

    async fn agree(&mut self) -> Result<Agreement, ConnectError> {
        let newest = ProtocolVersion::LATEST_WITH_INITIALIZE;
        let refusal = match self.initialize(newest.as_str()).await? {
            Ok(agreement) => return Ok(agreement),
            Err(refusal) => refusal,
        };
        let supported = refusal.supported_versions();
        let stateless = supported.iter().any(|version| version == STATELESS_VERSION);
        let older = supported.iter().filter(|v| message::is_known_with_handshake(v) && *v != newest.as_str()).max();
        match older {
            Some(older) if !stateless => match self.initialize(older).await? {
                Ok(agreement) => Ok(agreement),
                Err(again) => Err(self.refused("initialize", &again).await),
            },
            None if !stateless && !supported.is_empty() => {
                Err(ConnectError::UnsupportedVersion { offered: supported.join(", ") })
            }
            Some(_) | None => self.discover_after(&refusal).await,
        }
    }

    /// The outer error ends the listing; the inner one is the server's refusal, which may lead somewhere.
    async fn initialize(&mut self, version: &str) -> Result<Result<Agreement, ErrorObject>, ConnectError> {
        let request = message::initialize(self.next_id(), version, &self.options.capabilities);
        let result = match self.ask(&request, self.deadline).await? {
            ServerAnswer::Error(refusal) => return Ok(Err(refusal)),
            ServerAnswer::Result(result) => result,
        };
        let wire: WireAgreement = parse(request.method, &result)?;
        let version = text(wire.protocol_version.as_ref()).unwrap_or_default();
        let lifecycle = if message::is_known_with_handshake(&version) {
            Lifecycle::Handshake
        } else if version == STATELESS_VERSION {
            Lifecycle::Stateless
        } else {
            let offered = if version.is_empty() { "(none)".to_owned() } else { format!("`{version}`") };
            return Err(ConnectError::UnsupportedVersion { offered });
        };
        match &mut self.wire {
            Wire::Stdio(wire) => wire.notify(message::initialized()),
            Wire::Http(wire) => {
                wire.set_version(&version);
                let notified = timeout_at(self.deadline, wire.notify(message::initialized())).await;
                notified.map_err(|_| self.timed_out("notifications/initialized", self.deadline))??;
            }
        }
        Ok(Ok(Agreement {
            version,
            lifecycle,
            server_info: wire.server_info.as_ref().map(server_info),
            greeting: Greeting::of_result(&result),
            capabilities: wire.capabilities,
            instructions: text(wire.instructions.as_ref()),
        }))
    }

    async fn discover_after(&mut self, refusal: &ErrorObject) -> Result<Agreement, ConnectError> {
        match self.discover().await {
            Ok(Some(agreement)) => return Ok(agreement),
            Err(error @ ConnectError::UnsupportedVersion { .. }) => return Err(error),
            Ok(None) => {}
            // A server that ends after it has refused `initialize` is asked again, the other way round.
            Err(_) if matches!(self.wire, Wire::Stdio(_)) => {
                let fresh = Wire::open(self.target, self.options)?;
                std::mem::replace(&mut self.wire, fresh).close().await;
                if let Ok(Some(agreement)) = self.discover().await {
                    return Ok(agreement);
                }
            }
            Err(_) => {}
        }
        Err(self.refused("initialize", refusal).await)
    }

    /// `None` is a refusal.
    async fn discover(&mut self) -> Result<Option<Agreement>, ConnectError> {
        let request = message::discover(self.next_id(), &self.options.capabilities);
        let deadline = self.deadline.min(Instant::now() + DISCOVER_WAIT);
        let result = match self.ask(&request, deadline).await? {
            ServerAnswer::Error(_) => return Ok(None),
            ServerAnswer::Result(result) => result,
        };
        let wire: WireAgreement = parse(request.method, &result)?;
        let supported = wire.supported_versions.as_ref().and_then(Value::as_array);
        let offered: Vec<_> = supported.into_iter().flatten().filter_map(Value::as_str).collect();
        if !offered.contains(&STATELESS_VERSION) {
            return Err(ConnectError::UnsupportedVersion { offered: offered.join(", ") });
        }
        if let Wire::Http(wire) = &mut self.wire {
            wire.set_version(STATELESS_VERSION);
        }
        let info = wire.meta.as_ref().and_then(|meta| meta.get(SERVER_INFO_KEY));
        Ok(Some(Agreement {
            version: STATELESS_VERSION.to_owned(),
            lifecycle: Lifecycle::Stateless,
            server_info: info.or(wire.server_info.as_ref()).map(server_info),
            greeting: Greeting::of_result(&result),
            capabilities: wire.capabilities,
            instructions: text(wire.instructions.as_ref()),
        }))
    }

    async fn ask(&mut self, request: &Request, deadline: Instant) -> Result<ServerAnswer, ConnectError> {
        match timeout_at(deadline, self.wire.exchange(request, self.progress)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.timed_out(request.method, deadline)),
        }
    }

    fn timed_out(&self, method: &'static str, deadline: Instant) -> ConnectError {
        let after = self.options.timeout.saturating_sub(self.deadline.saturating_duration_since(deadline));
        let no_answer = || ConnectError::TimedOut { method, after, traces: self.wire.traces() };
        self.wire.explain(method).unwrap_or_else(no_answer)
    }

    async fn refused(&self, method: &'static str, refusal: &ErrorObject) -> ConnectError {
        if let Wire::Stdio(wire) = &self.wire {
            wire.hear_out().await;
        }
        ConnectError::Refused {
            method,
            code: refusal.code(),
            message: refusal.message().to_owned(),
            traces: self.wire.traces(),
        }
    }

    /// Capabilities change what a server lists, so a scan that declares any says so.
    fn declared(&self) -> Option<Note> {
        let names: Vec<_> = self.options.declared().map(|name| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| Note {
            code: "declared_capabilities".to_owned(),
            message: format!("asked as a client with {}", names.join(", ")),
        })
    }

    fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

/// Where a target is, with nothing in it that is secret.
pub fn source_of(target: &Target) -> ServerSource {
    match target {
        Target::Stdio(target) => ServerSource::Command {
            argv: target.shown_argv(),
            env: target.env.keys().cloned().collect(),
            // A package may be a git address with a token in it.
            package: Package::of_command(&target.shown_argv()),
        },
        Target::Http(target) => {
            ServerSource::Url { url: redacted(&target.url), headers: target.headers.keys().cloned().collect() }
        }
    }
}

fn parse(method: &'static str, result: &RawValue) -> Result<WireAgreement, ConnectError> {
    let read = object(result).and_then(|_| serde_json::from_str(result.get()).map_err(|error| error.to_string()));
    read.map_err(|detail| ConnectError::InvalidAnswer {
        method,
        detail,
        quote: result.get().chars().take(512).collect(),
    })
}

fn server_info(value: &Value) -> ServerInfo {
    ServerInfo {
        name: text(value.get("name")).unwrap_or_default(),
        title: text(value.get("title")),
        version: text(value.get("version")).unwrap_or_default(),
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

fn is_unknown_method(refusal: &ErrorObject) -> bool {
    refusal.code() == i64::from(ErrorCode::METHOD_NOT_FOUND.0)
}
