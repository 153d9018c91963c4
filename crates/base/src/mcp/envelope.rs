//! The JSON-RPC envelope: what a message is, read strictly and once.
//!
//! Admission answers one question about a line from a client: is there exactly one way to read it? Whatever a parser on
//! the other side could read differently from us (the first of two members or the last, `Name` as `name`, three lines
//! where we saw one) is refused and never forwarded. What passes is forwarded as the very tokens that were judged.

pub use super::id::{ID_BYTES_MAX, Id};
use super::json::{self, Fatal, Flaw, Members, PROTOTYPE, Seen, TOP, Tag, Visitor, nearly_known, string_value};
pub use super::protocol::PROTOCOL_VERSIONS;
use super::protocol::{METHODS, is_stateless};
pub use super::received::{Arrival, INPUT_REQUESTS, Received};
pub use super::refusal::{MESSAGE_BYTES_MAX, Malformed, Reason, ReplyTo};
use super::walk::member;
use crate::model::ToolName;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// A `tools/call` request that was read strictly. What is judged and what is forwarded are the same bytes. Clones share
/// them.
#[derive(Clone, Debug)]
pub struct ToolCall(Arc<CallParts>);

#[derive(Debug)]
struct CallParts {
    text: Box<str>,
    synthetic: bool,
    name: ToolName,
    arguments: Option<Range<usize>>,
    progress_token: Option<Range<usize>>,
    revision: Option<Range<usize>>,
    pledge: Option<Range<usize>>,
    brings_responses: bool,
}

impl ToolCall {
    /// A call that no client sent: for `explain`, policy tests and replay.
    pub fn synthetic(name: ToolName, arguments: Option<String>) -> Self {
        let span = arguments.as_ref().map(|text| 0..text.len());
        Self(Arc::new(CallParts {
            text: arguments.unwrap_or_default().into(),
            synthetic: true,
            name,
            arguments: span,
            progress_token: None,
            revision: None,
            pledge: None,
            brings_responses: false,
        }))
    }

    /// `params.name`, decoded.
    pub fn name(&self) -> &ToolName {
        &self.0.name
    }

    /// `params.arguments` as JSON text; absent when the member is.
    pub fn arguments(&self) -> Option<&str> {
        self.0.text.get(self.0.arguments.clone()?)
    }

    /// `params._meta.progressToken` as JSON text, if the client wants to hear of progress.
    pub fn progress_token(&self) -> Option<&str> {
        self.0.text.get(self.0.progress_token.clone()?)
    }

    /// `params` as JSON text.
    pub fn params(&self) -> Option<&str> {
        Some(member(std::str::from_utf8(self.line()).ok()?, "params")?.0)
    }

    /// Whether the call brings answers to what a server has asked its client (`params.inputResponses`, from 2026-07-28).
    pub fn brings_responses(&self) -> bool {
        self.0.brings_responses
    }

    /// Whether the call names a revision without handshake and session.
    pub fn is_stateless(&self) -> bool {
        self.revision().is_some_and(|revision| is_stateless(&revision))
    }

    /// The revision of the protocol that the call names, decoded.
    pub fn revision(&self) -> Option<Cow<'_, str>> {
        string_value(self.0.text.get(self.0.revision.clone()?)?)
    }

    /// The message to forward, without line break; empty for a synthetic call.
    pub fn line(&self) -> &[u8] {
        if self.0.synthetic { &[] } else { self.0.text.as_bytes() }
    }
}

/// Any other message from a client: forwarded as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    text: String,
    method: Option<Box<str>>,
    params: Option<Range<usize>>,
    revision: Option<Range<usize>>,
    pledge: Option<Range<usize>>,
}

impl Passage {
    /// The message to forward, without line break.
    pub fn line(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The method; absent for a reply.
    pub fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    /// `params` as JSON text.
    pub fn params(&self) -> Option<&str> {
        self.text.get(self.params.clone()?)
    }

    /// The revision of the protocol that the message names in `_meta`, decoded.
    pub fn revision(&self) -> Option<Cow<'_, str>> {
        string_value(self.text.get(self.revision.clone()?)?)
    }
}

/// A message from a client that has exactly one reading.
#[derive(Clone, Debug)]
pub enum Message {
    /// A request for a tool to run.
    Call(Id, ToolCall),
    /// Any other request.
    Request(Id, Passage),
    /// A notification.
    Notification(Passage),
    /// An answer to a request of the server.
    Reply(Id, Passage),
}

impl Message {
    /// The id of a request; a reply has that of the server's request, and none of its own.
    pub fn id(&self) -> Option<&Id> {
        match self {
            Self::Call(id, _) | Self::Request(id, _) => Some(id),
            Self::Notification(_) | Self::Reply(..) => None,
        }
    }

    /// The message to forward, without line break.
    pub fn line(&self) -> &[u8] {
        match self {
            Self::Call(_, call) => call.line(),
            Self::Request(_, passage) | Self::Notification(passage) | Self::Reply(_, passage) => passage.line(),
        }
    }

    /// The method; absent for a reply.
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::Call(..) => Some("tools/call"),
            Self::Request(_, passage) | Self::Notification(passage) | Self::Reply(_, passage) => passage.method(),
        }
    }

    /// `params` as JSON text.
    pub fn params(&self) -> Option<&str> {
        match self {
            Self::Call(_, call) => call.params(),
            Self::Request(_, passage) | Self::Notification(passage) | Self::Reply(_, passage) => passage.params(),
        }
    }

    /// The revision of the protocol that the message names in `_meta`, decoded.
    pub fn revision(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Call(_, call) => call.revision(),
            Self::Request(_, passage) | Self::Notification(passage) | Self::Reply(_, passage) => passage.revision(),
        }
    }

    /// What the message pledges in `params._meta` ([`PLEDGE_MEMBER`]), as JSON text.
    pub fn pledge(&self) -> Option<&str> {
        match self {
            Self::Call(_, call) => call.0.text.get(call.0.pledge.clone()?),
            Self::Request(_, passage) | Self::Notification(passage) | Self::Reply(_, passage) => {
                passage.text.get(passage.pledge.clone()?)
            }
        }
    }

    /// `params._meta.progressToken` of a request as JSON text, if the client wants to hear of progress.
    pub fn progress_token(&self) -> Option<&str> {
        match self {
            Self::Call(_, call) => call.progress_token(),
            Self::Request(_, passage) => Some(member(member(passage.params()?, "_meta")?.0, "progressToken")?.0),
            Self::Notification(_) | Self::Reply(..) => None,
        }
    }
}

const MESSAGE_MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
const PARAMS_MEMBERS: [&str; 12] = [
    "name",
    "arguments",
    "_meta",
    "task",
    "uri",
    "cursor",
    "requestId",
    "protocolVersion",
    "inputResponses",
    "taskId",
    "ref",
    "notifications",
];
const META_MEMBERS: [&str; 3] = ["progressToken", VERSION_MEMBER, PLEDGE_MEMBER];
/// The member of `_meta` by which a session pledges to call some tools only.
pub const PLEDGE_MEMBER: &str = "io.github.mcpol/pledge";
const VERSION_MEMBER: &str = "io.modelcontextprotocol/protocolVersion";
/// Places that admission wants to know.
#[derive(Default)]
struct Fields {
    spans: [Option<Range<usize>>; TAGS],
    nearly_known: bool,
    prototype: bool,
    /// Why a reader may find other members of the message itself than a strict one does.
    envelope: Option<Reason>,
    ids: usize,
    brings_responses: bool,
    asks_client: bool,
    tells_task: bool,
}

const JSONRPC: Tag = 2;
const ID: Tag = 3;
const METHOD: Tag = 4;
const PARAMS: Tag = 5;
const RESULT: Tag = 6;
const ERROR: Tag = 7;
const NAME: Tag = 8;
const ARGUMENTS: Tag = 9;
const META: Tag = 10;
const TASK: Tag = 11;
const PROGRESS: Tag = 12;
const REVISION: Tag = 13;
const PLEDGE: Tag = 14;
const TAGS: usize = 15;

impl Fields {
    /// Notes a member by which an object asks the client for something, to a client that ignores case as well.
    fn input(&mut self, name: &[u8]) {
        self.asks_client |= name == INPUT_REQUESTS.as_bytes() || nearly_known(name, &[INPUT_REQUESTS]);
    }

    fn near(&mut self, name: &[u8], known: &[&str]) -> Tag {
        self.nearly_known |= nearly_known(name, known);
        self.prototype |= name == PROTOTYPE.as_bytes();
        0
    }
}

impl Visitor for Fields {
    fn member(&mut self, within: Tag, name: &[u8]) -> Tag {
        match (within, name) {
            (TOP, b"jsonrpc") => JSONRPC,
            (TOP, b"id") => {
                self.ids += 1;
                ID
            }
            (TOP, b"method") => METHOD,
            (TOP, b"params") => PARAMS,
            (TOP, b"result") => RESULT,
            (TOP, b"error") => ERROR,
            (TOP, _) => {
                if nearly_known(name, &MESSAGE_MEMBERS) {
                    self.envelope = Some(Reason::NearlyKnownMember);
                } else if name == PROTOTYPE.as_bytes() {
                    self.envelope = Some(Reason::Prototype);
                }
                self.near(name, &MESSAGE_MEMBERS)
            }
            (PARAMS, b"name") => NAME,
            (PARAMS, b"arguments") => ARGUMENTS,
            (PARAMS, b"_meta") => META,
            (PARAMS, b"task") => TASK,
            (PARAMS, b"inputResponses") => {
                self.brings_responses = true;
                0
            }
            (PARAMS, _) => self.near(name, &PARAMS_MEMBERS),
            (RESULT, _) => {
                self.input(name);
                self.tells_task |= matches!(name, b"task" | b"taskId");
                self.prototype |= name == PROTOTYPE.as_bytes();
                if name == b"task" || nearly_known(name, &["task"]) { TASK } else { 0 }
            }
            // The task in a result, as a call begins it or as it stands.
            (TASK, _) => {
                self.input(name);
                self.prototype |= name == PROTOTYPE.as_bytes();
                0
            }
            (META, b"progressToken") => PROGRESS,
            (META, _) if name == VERSION_MEMBER.as_bytes() => REVISION,
            (META, _) if name == PLEDGE_MEMBER.as_bytes() => PLEDGE,
            (META, _) => self.near(name, &META_MEMBERS),
            _ => 0,
        }
    }

    fn value(&mut self, tag: Tag, span: Range<usize>) {
        if let Some(place) = self.spans.get_mut(usize::from(tag)) {
            place.get_or_insert(span);
        }
    }
}

/// A scanned message, its text borrowed.
struct Parts<'a> {
    text: &'a str,
    fields: Fields,
}

impl<'a> Parts<'a> {
    fn get(&self, tag: Tag) -> Option<&'a str> {
        self.text.get(self.span(tag)?)
    }

    fn span(&self, tag: Tag) -> Option<Range<usize>> {
        self.fields.spans.get(usize::from(tag))?.clone()
    }

    fn id(&self) -> Option<Id> {
        if self.fields.ids == 1 { Id::parse(self.get(ID)?) } else { None }
    }

    /// Whom to tell that this message is refused. `whole` is whether the scan reached the end.
    fn reply_to(&self, whole: bool) -> ReplyTo {
        let answers = self.get(RESULT).is_some() || self.get(ERROR).is_some();
        match self.id() {
            Some(_) if answers && self.get(METHOD).is_none() => ReplyTo::Nobody,
            Some(id) => ReplyTo::Id(id),
            // A batch, or a value that is no message at all, may hold requests: somebody may wait.
            None if whole && self.fields.ids == 0 && self.is(TOP, b'{') => ReplyTo::Nobody,
            None => ReplyTo::Unknown,
        }
    }

    fn is(&self, tag: Tag, first: u8) -> bool {
        self.get(tag).is_none_or(|text| text.as_bytes().first() == Some(&first))
    }
}

/// Reads one line from a client, without its line break.
///
/// # Errors
/// There is more than one way to read the line, or none.
pub fn admit(line: &[u8]) -> Result<Message, Malformed> {
    if line.len() > MESSAGE_BYTES_MAX {
        return Err(Malformed { reply_to: ReplyTo::Unknown, reason: Reason::TooLong });
    }
    let Ok(text) = std::str::from_utf8(line) else {
        // Only to find out whom to tell: the replaced text goes nowhere.
        let lossy = String::from_utf8_lossy(line);
        let (parts, scanned) = parts(&lossy, Members::Everywhere);
        return Err(Malformed { reply_to: parts.reply_to(scanned.is_ok()), reason: Reason::Utf8 });
    };
    let (found, scanned) = parts(text, Members::Everywhere);
    let refuse = |reason| Malformed { reply_to: found.reply_to(scanned.is_ok()), reason };
    let seen = scanned.map_err(|fatal| refuse(fatal.into()))?;
    let checked = check(&found, seen).map_err(refuse)?;
    let separators = json::has_line_separator(text);
    if !seen.space && !separators {
        return Ok(build(&found, checked));
    }
    // Same tokens, without what stands between them: a carriage return there is one line to us and the end of a line
    // to a server that reads with universal newlines. Raw line separators inside strings become escapes for the same
    // reason; policies judge the text that is forwarded.
    let mut text = json::compact(text);
    if separators {
        text = json::escape_line_separators(&text);
    }
    let (found, _) = parts(&text, Members::Everywhere);
    Ok(build(&found, checked))
}

fn parts(text: &str, members: Members) -> (Parts<'_>, Result<Seen, Fatal>) {
    let mut fields = Fields::default();
    let scanned = json::scan(text, members, &mut fields);
    (Parts { text, fields }, scanned)
}

/// What kind of message it is, once nothing is left to doubt.
enum Checked {
    Call(Id, ToolName),
    Request(Id, Box<str>),
    Notification(Box<str>),
    Reply(Id),
}

fn check(found: &Parts<'_>, seen: Seen) -> Result<Checked, Reason> {
    match found.get(TOP).and_then(|text| text.as_bytes().first()) {
        Some(b'{') => {}
        Some(b'[') => return Err(Reason::Array),
        _ => return Err(Reason::NotAnObject),
    }
    if let Some(flaw) = seen.flaw {
        return Err(flaw.into());
    }
    if found.fields.nearly_known {
        return Err(Reason::NearlyKnownMember);
    }
    if found.fields.prototype {
        return Err(Reason::Prototype);
    }
    if found.get(JSONRPC) != Some("\"2.0\"") {
        return Err(Reason::Version);
    }
    let id = match found.get(ID) {
        Some(_) => Some(found.id().ok_or(Reason::Id)?),
        None => None,
    };
    let (result, error) = (found.get(RESULT).is_some(), found.get(ERROR).is_some());
    let Some(method) = found.get(METHOD) else {
        if result == error {
            return Err(Reason::Shape);
        }
        if !found.is(ERROR, b'{') {
            return Err(Reason::Error);
        }
        return Ok(Checked::Reply(id.ok_or(Reason::Id)?));
    };
    if result || error {
        return Err(Reason::Shape);
    }
    let method = string_value(method).ok_or(Reason::Method)?;
    // U+FEFF is white space to JavaScript's `trim`.
    let trimmed = method.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\0' | '\u{feff}'));
    let is_near = |guarded: &&str| trimmed == *guarded || nearly_known(trimmed.as_bytes(), &[guarded]);
    let mut guarded = METHODS.iter().filter(|method| method.is_guarded()).map(|method| method.name);
    // A server that compares loosely must not be reached past the gateway.
    if guarded.find(is_near).is_some_and(|guarded| guarded != method) {
        return Err(Reason::NearlyKnownMethod);
    }
    if method == "tools/call" {
        let name = check_call(found, seen)?;
        return Ok(Checked::Call(id.ok_or(Reason::CallWithoutId)?, name));
    }
    if !found.is(PARAMS, b'{') && found.get(PARAMS) != Some("null") {
        return Err(Reason::Params);
    }
    check_meta(found)?;
    Ok(match id {
        Some(id) => Checked::Request(id, method.into()),
        None => Checked::Notification(method.into()),
    })
}

fn check_call(found: &Parts<'_>, seen: Seen) -> Result<ToolName, Reason> {
    // A server may decode arguments into a structure whose members it matches without regard to case. Two members that
    // it takes for one would be judged as two here, so a call may not have them at any depth.
    if seen.near_duplicate {
        return Err(Reason::NearDuplicate);
    }
    if seen.nul_in_name {
        return Err(Reason::NulInName);
    }
    if seen.prototype {
        return Err(Reason::Prototype);
    }
    if found.get(PARAMS).is_none() || !found.is(PARAMS, b'{') {
        return Err(Reason::Params);
    }
    let name = found.get(NAME).and_then(string_value).ok_or(Reason::Name)?;
    if name.contains('\0') {
        return Err(Reason::NulInToolName);
    }
    if !found.is(ARGUMENTS, b'{') {
        return Err(Reason::Arguments);
    }
    if !found.is(TASK, b'{') {
        return Err(Reason::Task);
    }
    check_meta(found)?;
    Ok(ToolName::new(name))
}

fn check_meta(found: &Parts<'_>) -> Result<(), Reason> {
    if !found.is(META, b'{') {
        return Err(Reason::Meta);
    }
    if found.get(PROGRESS).is_some_and(|token| Id::parse(token).is_none()) {
        return Err(Reason::ProgressToken);
    }
    // The stateless revisions name their version in every request.
    match found.get(REVISION).map(string_value) {
        Some(Some(version)) if PROTOCOL_VERSIONS.contains(&&*version) => Ok(()),
        Some(_) => Err(Reason::ProtocolVersion),
        None => Ok(()),
    }
}

fn build(found: &Parts<'_>, checked: Checked) -> Message {
    let passage = |method| Passage {
        text: found.text.to_owned(),
        method,
        params: found.span(PARAMS),
        revision: found.span(REVISION),
        pledge: found.span(PLEDGE),
    };
    match checked {
        Checked::Call(id, name) => Message::Call(
            id,
            ToolCall(Arc::new(CallParts {
                text: found.text.into(),
                synthetic: false,
                name,
                arguments: found.span(ARGUMENTS),
                progress_token: found.span(PROGRESS),
                revision: found.span(REVISION),
                pledge: found.span(PLEDGE),
                brings_responses: found.fields.brings_responses,
            })),
        ),
        Checked::Request(id, method) => Message::Request(id, passage(Some(method))),
        Checked::Notification(method) => Message::Notification(passage(Some(method))),
        Checked::Reply(id) => Message::Reply(id, passage(None)),
    }
}

/// Reads one line from a server. Results are not looked into: only what says whose answer this is must be unambiguous.
///
/// # Errors
/// The line is no JSON-RPC message, or the client could read its envelope differently.
pub fn receive(line: &[u8]) -> Result<Received<'_>, Malformed> {
    let nobody = |reason| Malformed { reply_to: ReplyTo::Nobody, reason };
    if line.len() > MESSAGE_BYTES_MAX {
        return Err(nobody(Reason::TooLong));
    }
    let text = std::str::from_utf8(line).map_err(|_| nobody(Reason::Utf8))?;
    let (mut found, scanned) = parts(text, Members::Tagged);
    let seen = scanned.map_err(|fatal| nobody(fatal.into()))?;
    let compact;
    let mut out = Cow::Borrowed(text);
    if seen.carriage_return {
        compact = json::compact(text);
        found = parts(&compact, Members::Tagged).0;
        out = Cow::Owned(compact.clone());
    }
    let id = found.id();
    let refuse = |reason| Malformed { reply_to: id.clone().map_or(ReplyTo::Nobody, ReplyTo::Id), reason };
    // Half a pair is what every reader of JSON reads, each in its own way; the others are two messages, or none.
    if let Some(flaw @ (Flaw::DuplicateMember | Flaw::NotFinite)) = seen.flaw {
        return Err(refuse(flaw.into()));
    }
    match found.get(TOP).and_then(|text| text.as_bytes().first()) {
        Some(b'{') => {}
        Some(b'[') => return Err(nobody(Reason::Array)),
        _ => return Err(nobody(Reason::NotAnObject)),
    }
    if found.get(JSONRPC) != Some("\"2.0\"") {
        return Err(nobody(Reason::Version));
    }
    // A client that ignores case would take `ID` for the id, and one server's answer for another's.
    if let Some(reason) = found.fields.envelope.take() {
        return Err(refuse(reason));
    }
    // Nor does a client that copies members one by one find what is written where one stands (of the message's own
    // objects; what a result holds further in is data).
    if found.fields.prototype {
        return Err(refuse(Reason::Prototype));
    }
    let (result, error) = (found.get(RESULT).is_some(), found.get(ERROR).is_some());
    let arrival = match (found.get(METHOD), result, error) {
        (Some(method), false, false) => {
            let method: Box<str> = string_value(method).ok_or_else(|| refuse(Reason::Method))?.into();
            match found.get(ID) {
                Some(_) => Arrival::Request(id.ok_or_else(|| nobody(Reason::Id))?, method),
                None => Arrival::Notification(method),
            }
        }
        (None, true, false) => Arrival::Result(id.ok_or_else(|| nobody(Reason::Id))?),
        (None, false, true) => Arrival::Error(id.ok_or_else(|| nobody(Reason::Id))?),
        _ => return Err(refuse(Reason::Shape)),
    };
    Ok(Received {
        arrival,
        result: found.span(RESULT),
        params: found.span(PARAMS),
        text: out,
        asks_client: found.fields.asks_client,
        tells_task: found.fields.tells_task,
    })
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
