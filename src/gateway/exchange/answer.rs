//! What a server's answer means: what the client gets of it, what the client has been shown with it, what is settled.
//! It moves no bytes and tells no one: the driver brings the view and the time, and logs and shows the notes.

use super::asked::Asked;
use super::doors::{Asker, DoorRefusal, TASKS_UNKNOWN, UnknownMethods, Within};
use super::memo::{Around, Memo, Under};
use super::note::Note;
use super::outcome::CallOutcome;
use super::schema::Schemas;
use super::served_hints::{HintPlan, ServedHints};
use super::view::{Keep, Listing, Moment, View, is_listed};
use crate::clock::Timestamp;
use crate::gateway::audit::Route;
use crate::gateway::filter::{Page, entries, filter};
use crate::gateway::grant_tasks::GrantTasks;
use crate::gateway::locked::{Guard, OnChange, TOLD_MAX};
use crate::gateway::reply;
use crate::mcp::envelope::{Arrival, Id, PROTOCOL_VERSIONS, Received, ReplyTo};
use crate::mcp::http::parameters::{BadParameters, parameters, speaks_of_headers};
use crate::mcp::json::{nearly_known, string_value};
use crate::mcp::walk::{elements, member, members};
use crate::model::ExtraKind;
use crate::policy::{Caller, Door, Policy};
use crate::text::excerpt;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What becomes of one message of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The message goes on to the client as it came.
    Pass,
    /// This message goes on to the client in its place, without line break.
    Replace(Vec<u8>),
    /// The client gets nothing.
    Drop,
}

impl Fate {
    /// What becomes of the answer to the request with this id once its notes are logged: one that asks the client for
    /// something does not go on if that cannot be.
    #[must_use]
    pub fn once_noted(self, id: &Id, noted: Result<(), DoorRefusal>) -> Self {
        match noted {
            Ok(()) => self,
            Err(refused) => Self::Replace(error(id, &refused.message)),
        }
    }
}

/// What all clients of one server share.
#[derive(Debug, Default)]
pub struct Shared {
    /// The input schemas that the server has listed.
    pub schemas: Schemas,
    /// The lists that the server sent last, and what became of them.
    pub memo: Memo,
    /// Whether a whole list was compared with the tools that the policy names.
    compared: AtomicBool,
    /// Whose the server's tasks are.
    tasks: Option<GrantTasks>,
    /// The server is behind a URL, where calls repeat arguments in headers.
    is_behind_url: bool,
    /// Tools that were left out of a list for what they want of headers, as the operator was told.
    told: Mutex<BTreeSet<String>>,
    /// How often the server has taken its list of tools back; a list from an earlier count says nothing any more.
    generation: AtomicU64,
    /// Where the operator lets the server work for clients whose own roots are not taken.
    roots: Mutex<Arc<[String]>>,
    /// The hints of tools that clients are served where the server's are missing or wrong, if the operator wants that.
    hints: Mutex<Option<Arc<ServedHints>>>,
}

impl Shared {
    /// What the clients of a server behind a URL share.
    pub fn behind_url(tasks: GrantTasks) -> Self {
        Self { tasks: Some(tasks), is_behind_url: true, ..Self::default() }
    }

    /// What the clients of a command share. It may keep its tasks where the commands of other grants find them.
    pub fn of_command(tasks: GrantTasks) -> Self {
        Self { tasks: Some(tasks), ..Self::default() }
    }

    /// Whose the server's tasks are; `None` where nobody has said that they are anyone's.
    pub fn tasks(&self) -> Option<&GrantTasks> {
        self.tasks.as_ref()
    }

    /// Why a tool must be left out of lists: a client over HTTP has to exclude one whose input schema wants headers that
    /// cannot be (MCP 2026-07-28, custom headers from tool parameters).
    fn unfit(&self, definition: &str) -> Option<BadParameters> {
        if self.is_behind_url { parameters(definition).err() } else { None }
    }

    /// A line for the operator about a tool that is left out, once for each name.
    fn left_out(&self, name: &str, why: &BadParameters) -> Option<Note> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX || !told.insert(name.to_owned()) {
            return None;
        }
        Some(Note::Notice(format!("tool `{}` is left out of the list: {why}", excerpt(name, 60))))
    }

    /// Whether the next list is to be read even where no call is held to lists: its names are still to be compared with
    /// the policy's.
    pub fn wants_names(&self) -> bool {
        !self.compared.load(Ordering::Relaxed)
    }

    /// How often the server has taken its list of tools back; a list from an earlier count says nothing any more.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes that the server has told one of its clients that its list has changed, or was started again: what it
    /// listed before says nothing any more.
    pub fn take_lists_back(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The URIs in which the operator lets the server work.
    pub fn roots(&self) -> Arc<[String]> {
        Arc::clone(&self.roots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other URIs in force.
    pub fn set_roots(&self, roots: Arc<[String]>) {
        *self.roots.lock().unwrap_or_else(PoisonError::into_inner) = roots;
    }

    /// The hints that clients are served in place of missing or wrong ones, if they are.
    pub fn hints(&self) -> Option<Arc<ServedHints>> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other hints in force; `clock` tells the time. Those by an equal plan stay.
    pub fn set_hints(&self, plan: Option<&HintPlan>, clock: fn() -> Timestamp) {
        let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        if hints.as_ref().map(|hints| hints.plan()) != plan {
            *hints = plan.map(|plan| Arc::new(ServedHints::new(plan.clone(), clock)));
        }
    }

    /// The moment `at`, with the generation of now.
    pub fn moment(&self, at: Instant) -> Moment {
        Moment { at, generation: self.generation() }
    }
}

/// The client that an answer is for, and what it is judged by.
#[derive(Clone, Copy, Debug)]
pub struct AnswerFor<'v> {
    /// The caller's policy as it is now; without one the caller sees nothing. Needed only where [`needs_policy`] says so.
    pub policy: Option<&'v Arc<Policy>>,
    /// The server, grant and session.
    pub caller: &'v Caller,
    /// The way between client and server.
    pub way: Route,
    /// What the gateway says of unknown methods.
    pub unknown: &'v UnknownMethods,
    /// The lock that the server is held to, if there is one.
    pub guard: Option<&'v Guard>,
    /// What the client has been shown; `None` where no call is held to lists.
    pub view: Option<&'v Mutex<View>>,
    /// What all clients of the server share.
    pub shared: &'v Shared,
    /// When the answer came.
    pub at: Instant,
}

impl AnswerFor<'_> {
    /// What a list is read under for the client; `None` for a caller without a policy, who sees nothing.
    fn under(&self) -> Option<Under> {
        let policy = Arc::clone(self.policy?);
        Some(Under { policy, reviewed: self.guard.map(Guard::reviewed), hints: self.shared.hints() })
    }

    /// The client as someone whom rules beside those of tools speak of.
    fn asker<T>(&self, work: impl FnOnce(&Asker<'_>) -> T) -> T {
        let is_shown_with_tool = |uri: Option<&str>| {
            self.policy.zip(self.view).is_some_and(|(policy, view)| {
                let view = view.lock().unwrap_or_else(PoisonError::into_inner);
                view.has_interface(uri, policy, self.shared.moment(self.at))
            })
        };
        work(&Asker {
            policy: self.policy.map(|policy| &**policy),
            caller: self.caller,
            way: self.way,
            unknown: self.unknown,
            is_shown_with_tool: &is_shown_with_tool,
            tasks: self.shared.tasks(),
        })
    }
}

/// Whether the meaning of an answer depends on the caller's policy.
pub fn needs_policy(asked: &Asked, received: &Received<'_>) -> bool {
    match asked {
        Asked::List { .. } | Asked::Offers(_) => true,
        Asked::Call(_) | Asked::Greeting | Asked::Tasks | Asked::Fetch(..) | Asked::Other => {
            received.asks_client() || matches!(received.arrival, Arrival::Error(_))
        }
    }
}

/// A JSON-RPC error (-32603) in place of the server's answer, without line break.
pub fn error(id: &Id, message: &str) -> Vec<u8> {
    let mut out = Vec::new();
    reply::error(&mut out, &ReplyTo::Id(id.clone()), reply::INTERNAL_ERROR, message);
    out.pop();
    out
}

/// The error text that a client gets in place of an answer that has no single reading.
pub fn invalid(reason: &dyn std::fmt::Display) -> String {
    format!("the server's answer is not valid: {reason}")
}

/// Takes the server's answer to a request: settles the call, if it was one, and returns what the client gets.
pub fn answer(
    mut asked: Asked,
    id: &Id,
    received: &Received<'_>,
    viewer: &AnswerFor<'_>,
    notes: &mut Vec<Note>,
) -> Fate {
    let is_error = matches!(received.arrival, Arrival::Error(_));
    let is_call = matches!(asked, Asked::Call(_));
    let mut unnoted = None;
    if let Asked::Call(mut flight) = asked {
        let outcome = if is_error { CallOutcome::Error } else { CallOutcome::Result };
        unnoted = flight.returned(received).err();
        flight.end(outcome, received.text.len());
        asked = Asked::Other;
    }
    if let Some(failed) = unnoted {
        notes.push(Note::Dropped(format!("answer, as what it holds cannot be noted: {failed}")));
        return Fate::Replace(error(id, "the answer is held back, as what it holds cannot be noted at the moment"));
    }
    let instead =
        if is_error { asks_by_error(id, received, viewer, notes) } else { asks_client(id, received, viewer, notes) };
    if let Some(instead) = instead {
        return instead;
    }
    if let Some(tasks) = viewer.shared.tasks().filter(|_| is_call)
        && let Some(task) = received.task()
        && let Err(error) = tasks.begun(viewer.caller, &task)
    {
        // The call was made: to say anything else would have it made again.
        notes.push(Note::Notice(format!("a task cannot be noted, so nobody may ask for it: {error}")));
    }
    match asked {
        Asked::List { first } if !is_error => list(first, id, received, viewer, notes),
        Asked::Greeting if !is_error => greeting(id, received, viewer, notes),
        Asked::Offers(kind) if !is_error => offers(kind, id, received, viewer, notes),
        Asked::Tasks if !is_error => tasks(id, received, viewer, notes),
        Asked::Fetch(kind, key) if !is_error => fetched(kind, &key, id, viewer, notes),
        Asked::Call(_)
        | Asked::List { .. }
        | Asked::Greeting
        | Asked::Offers(_)
        | Asked::Tasks
        | Asked::Fetch(..)
        | Asked::Other => Fate::Pass,
    }
}

/// What a client gets of a result that asks it for something which it is not to be asked for; `None` where the result is
/// no such one.
fn asks_client(id: &Id, received: &Received<'_>, viewer: &AnswerFor<'_>, notes: &mut Vec<Note>) -> Option<Fate> {
    if !received.asks_client() {
        return None;
    }
    let result = received.result()?;
    let Within::Asks(asked) = viewer.asker(|asker| asker.asked_within(result)) else {
        notes.push(Note::Dropped("a result that asks for input".to_owned()));
        let message = invalid(&"what it asks for has no single reading");
        return Some(Fate::Replace(self::error(id, &message)));
    };
    let hash = viewer.policy.map_or("", |policy| policy.hash());
    let mut refused = None;
    for (method, ruling) in asked {
        if !ruling.passes() {
            refused = refused.or_else(|| Some(format!("the server asks for {method}, which is not allowed")));
        }
        notes.push(Note::Ruled(method, hash.to_owned(), Box::new(ruling)));
    }
    refused.map(|message| Fate::Replace(self::error(id, &message)))
}

/// The code of an error by which a server asks the client to open an address (URL elicitation, from 2025-11-25).
const URL_WANTED: f64 = -32042.0;

/// What a client gets of an error that asks it to open an address, where it is not to be asked for anything; `None` where
/// the error is no such one.
fn asks_by_error(id: &Id, received: &Received<'_>, viewer: &AnswerFor<'_>, notes: &mut Vec<Note>) -> Option<Fate> {
    const METHOD: &str = "elicitation/create";
    let (error, _) = member(&received.text, "error")?;
    let is_near = |name: &str| name == "elicitations" || nearly_known(name.as_bytes(), &["elicitations"]);
    let lists = |data: &str| members(data).any(|(it, _)| string_value(it).is_none_or(|name| is_near(&name)));
    let is_code = |value: &str| value.parse::<f64>().is_ok_and(|code| (code - URL_WANTED).abs() < 0.5);
    // Whichever of two members of one name a client takes.
    if !members(error).any(|(_, span)| is_code(&error[span.clone()]) || lists(&error[span])) {
        return None;
    }
    let ruling = viewer.asker(|asker| asker.asked_by_server(METHOD))?;
    let refused = (!ruling.passes()).then(|| format!("the server asks for {METHOD}, which is not allowed"));
    let hash = viewer.policy.map_or("", |policy| policy.hash()).to_owned();
    notes.push(Note::Ruled(METHOD.to_owned(), hash, Box::new(ruling)));
    refused.map(|message| Fate::Replace(self::error(id, &message)))
}

/// What a client may see of a page of tasks: its grant's own.
fn tasks(id: &Id, received: &Received<'_>, viewer: &AnswerFor<'_>, notes: &mut Vec<Note>) -> Fate {
    let Some(tasks) = viewer.shared.tasks() else { return Fate::Pass };
    let id_of = |task: &str| Some(string_value(member(task, "taskId")?.0)?.into_owned());
    let (listed, _) = received.result().and_then(|result| member(result, "tasks")).unwrap_or_default();
    let listed: BTreeSet<String> = elements(listed).filter_map(|at| id_of(&listed[at])).collect();
    match tasks.are_of(viewer.caller, listed.iter().map(String::as_str)) {
        Ok(are_own) => {
            let own: BTreeSet<&String> =
                listed.iter().zip(are_own).filter_map(|(task, own)| own.then_some(task)).collect();
            let is_shown = |task: &str| {
                let is_own = id_of(task).is_some_and(|task| own.contains(&task));
                is_own && viewer.asker(|asker| asker.asked_within(task)).passes()
            };
            kept(id, received, "tasks", notes, is_shown)
        }
        Err(failed) => {
            notes.push(Note::Dropped(format!("list of tasks, as nobody knows whose they are: {failed}")));
            Fate::Replace(error(id, TASKS_UNKNOWN))
        }
    }
}

/// A page without the entries of a list that the client may not see.
fn kept(
    id: &Id,
    received: &Received<'_>,
    list: &'static str,
    notes: &mut Vec<Note>,
    keep: impl Fn(&str) -> bool,
) -> Fate {
    let (result, span) = (received.result().unwrap_or_default(), received.result_span().unwrap_or_default());
    match entries(result, list, keep) {
        Ok(None) => Fate::Pass,
        Ok(Some(page)) => {
            let text = received.text.as_bytes();
            Fate::Replace([&text[..span.start], page.as_bytes(), &text[span.end..]].concat())
        }
        Err(reason) => {
            notes.push(Note::Dropped(format!("list of {list}")));
            Fate::Replace(error(id, &reason.to_string()))
        }
    }
}

/// What a client may see of a page of prompts, resources or templates: what its policy lets it take, and what is as it
/// was locked.
fn offers(kind: ExtraKind, id: &Id, received: &Received<'_>, viewer: &AnswerFor<'_>, notes: &mut Vec<Note>) -> Fate {
    let by_policy = viewer.asker(|asker| {
        kept(id, received, kind.member(), notes, |entry| {
            let key = member(entry, kind.key()).and_then(|(literal, _)| string_value(literal));
            // What has no key no rule can speak of.
            key.is_some_and(|key| {
                asker.sees(match kind {
                    ExtraKind::Prompt => Door::Prompt(&key),
                    ExtraKind::Resource => Door::Resource(&key),
                    ExtraKind::Template => Door::Template(&key),
                })
            })
        })
    });
    let Some(guard) = viewer.guard else { return by_policy };
    let (text, is_same) = match &by_policy {
        Fate::Replace(message) => (Cow::Owned(String::from_utf8_lossy(message).into_owned()), false),
        Fate::Pass | Fate::Drop => (Cow::Borrowed(&*received.text), true),
    };
    // Where the policy's part is an error there is no result.
    let Some((result, span)) = member(&text, "result") else { return by_policy };
    match guard.offers(kind, result, notes) {
        Ok(None) if is_same => Fate::Pass,
        Ok(None) => by_policy,
        Ok(Some(page)) => Fate::Replace([&text[..span.start], &page, &text[span.end..]].concat().into_bytes()),
        Err(reason) => {
            notes.push(Note::Dropped(format!("list of {kind}s")));
            Fate::Replace(error(id, &reason.to_string()))
        }
    }
}

/// What a client gets of a prompt or resource: nothing of one that was not reviewed.
fn fetched(kind: ExtraKind, key: &str, id: &Id, viewer: &AnswerFor<'_>, notes: &mut Vec<Note>) -> Fate {
    match viewer.guard {
        Some(guard) if !guard.hands_out(kind, key, notes) => {
            notes.push(Note::Dropped(format!("{kind} that was not reviewed")));
            Fate::Replace(error(id, &format!("this {kind} was not reviewed")))
        }
        Some(_) | None => Fate::Pass,
    }
}

/// What a client gets of the answer to `initialize` or `server/discover`: with a lock, instructions that were not
/// reviewed are replaced by an empty text. A server that chose a revision which the gateway does not know gets an error
/// in its place, since its messages cannot be judged.
fn greeting(id: &Id, received: &Received<'_>, viewer: &AnswerFor<'_>, notes: &mut Vec<Note>) -> Fate {
    if let Some(version) = unknown_version(received) {
        let message = format!("the server speaks protocol version `{version}`, which this gateway does not know");
        notes.push(Note::Notice(message.clone()));
        return Fate::Replace(error(id, &message));
    }
    match viewer.guard.map_or(Ok(None), |guard| guard.greeting(received, notes)) {
        Ok(None) => Fate::Pass,
        Ok(Some(instead)) => Fate::Replace(instead),
        Err(unreadable) => {
            notes.push(Note::Dropped("greeting".to_owned()));
            Fate::Replace(error(id, &unreadable.to_string()))
        }
    }
}

/// The revision that a server chose, at most 40 characters of it, if the gateway does not know it.
fn unknown_version(received: &Received<'_>) -> Option<String> {
    let (literal, _) = member(received.result()?, "protocolVersion")?;
    let version = string_value(literal).unwrap_or_default();
    (!PROTOCOL_VERSIONS.contains(&&*version)).then(|| crate::text::excerpt(&version, 40))
}

/// What a client may see of a page of the list of tools: what its policy and the lock let it see.
fn list(first: Option<u64>, id: &Id, received: &Received<'_>, viewer: &AnswerFor<'_>, notes: &mut Vec<Note>) -> Fate {
    let (result, span) = (received.result().unwrap_or_default(), received.result_span().unwrap_or_default());
    let text = received.text.as_bytes();
    let instead = |result: &str| Fate::Replace([&text[..span.start], result.as_bytes(), &text[span.end..]].concat());
    let AnswerFor { policy, guard, shared, .. } = *viewer;
    let under = viewer.under();
    if let Some((under, generation)) = under.as_ref().zip(first)
        && let Some(known) = shared.memo.known(under, result)
        && let Some(seen) = saw(viewer, known.seen)
    {
        seen(generation);
        return instead(&known.shown);
    }
    let (left_out, repeats) = (RefCell::new(Vec::new()), speaks_of_headers(result));
    let strict = guard.filter(|guard| guard.on_change() == OnChange::Deny);
    let doubled = strict.map(|_| doubled(first, result, viewer)).unwrap_or_default();
    let may_see = |name: &str, definition: &str| {
        if !policy.is_some_and(|policy| is_listed(policy, name))
            || !guard.is_none_or(|guard| guard.lists(name, definition))
            || doubled.contains(name)
        {
            return false;
        }
        let unfit = if repeats { shared.unfit(definition) } else { None };
        left_out.borrow_mut().extend(unfit.as_ref().and_then(|why| shared.left_out(name, why)));
        unfit.is_none()
    };
    let mut page = match filter(result, may_see) {
        Ok(page) => page,
        Err(reason) => {
            notes.push(Note::Dropped("tool list".to_owned()));
            return Fate::Replace(error(id, &reason.to_string()));
        }
    };
    notes.extend(left_out.into_inner());
    let beside = guard.and_then(|guard| guard.beside(&page.result, "tools/list", "tools", notes));
    page.result = beside.unwrap_or(page.result);
    let seen = see(first, result, &page, viewer, notes);
    let hints = under.as_ref().and_then(|under| under.hints.as_deref());
    if let Some(hints) = hints {
        let filled = hints.fill(&viewer.caller.server, result, &page.result, notes);
        page.result = filled.unwrap_or(page.result);
    }
    if let Some(under) = under.as_ref()
        && first.is_some()
        && hints.is_none_or(ServedHints::is_lasting)
        && !page.more
    {
        let around = match &received.text {
            Cow::Borrowed(text) => member(text, "id").and_then(|(_, id)| Around::of(text, id, span.clone())),
            // White space was taken out, so the next message of the server cannot be compared with this text.
            Cow::Owned(_) => None,
        };
        shared.memo.keep(under.clone(), (result, around), &page.result, seen);
    }
    instead(&page.result)
}

/// Names that this page, or it and the pages before it, define more than once.
fn doubled(first: Option<u64>, result: &str, viewer: &AnswerFor<'_>) -> BTreeSet<String> {
    let (mut once, mut doubled) = (BTreeSet::new(), BTreeSet::new());
    let Some((tools, _)) = member(result, "tools") else { return doubled };
    // A first page begins another list.
    let view = viewer.view.filter(|_| first.is_none()).map(|view| view.lock().unwrap_or_else(PoisonError::into_inner));
    for definition in elements(tools) {
        let name = member(&tools[definition], "name").and_then(|(name, _)| string_value(name));
        let Some(name) = name.map(Cow::into_owned) else { continue };
        if view.as_ref().is_some_and(|view| view.has_come(&name)) || !once.insert(name.clone()) {
            doubled.insert(name);
        }
    }
    doubled
}

/// What a client gets of a whole list that the server has sent before, if the whole message but its id is the same to
/// the byte: it is then not parsed again.
pub fn same_list(asked: &Asked, id: &Id, text: &[u8], viewer: &AnswerFor<'_>) -> Option<Vec<u8>> {
    let Asked::List { first: Some(generation) } = asked else { return None };
    let (known, message) = viewer.shared.memo.known_message(&viewer.under()?, id, text)?;
    saw(viewer, known.seen)?(*generation);
    Some(message)
}

/// A function that notes that the client was shown this kept list; `None` where the list was kept without what calls of
/// this client are held to.
fn saw(viewer: &AnswerFor<'_>, seen: Option<Arc<Listing>>) -> Option<impl FnOnce(u64)> {
    let (view, now) = (viewer.view, viewer.shared.moment(viewer.at));
    if view.is_some() && seen.is_none() {
        return None;
    }
    Some(move |generation| {
        if let Some((view, seen)) = view.zip(seen) {
            view.lock().unwrap_or_else(PoisonError::into_inner).whole(generation, seen, now);
        }
    })
}

/// Keeps what a page says of the tools in the client's view. Returns the list if it came as one page.
fn see(
    first: Option<u64>,
    result: &str,
    page: &Page,
    viewer: &AnswerFor<'_>,
    notes: &mut Vec<Note>,
) -> Option<Arc<Listing>> {
    let now = viewer.shared.moment(viewer.at);
    let mut view = viewer.view?.lock().unwrap_or_else(PoisonError::into_inner);
    let repeats = speaks_of_headers(result);
    let whole = view.page(first, page.more, now, |listing| {
        let mut kept = page.kept.iter().peekable();
        for (name, span) in &page.tools {
            let is_shown = kept.next_if(|kept| kept.start == span.start).is_some();
            let wants = is_shown && viewer.policy.is_some_and(|policy| policy.wants_schema(name));
            let interface = is_shown && viewer.policy.is_some_and(|policy| policy.holds_resources());
            let schema = wants.then_some(&viewer.shared.schemas);
            let is_approved = is_shown && viewer.policy.is_some_and(|policy| policy.wants_approval(name));
            let keep = Keep { essence: viewer.guard.is_some() || is_approved, schema, repeats, interface };
            listing.take(name, &result[span.clone()], keep);
        }
    });
    if !page.more
        && let Some((policy, listing)) = viewer.policy.zip(view.newest(now))
        && !viewer.shared.compared.swap(true, Ordering::Relaxed)
    {
        notes.extend(unknown_tools(policy, listing).map(Note::Notice));
    }
    whole
}

/// A notice of tools that the policy names and the server does not list, the first five by name.
fn unknown_tools(policy: &Policy, listing: &Listing) -> Option<String> {
    let unknown: Vec<&str> = policy.tool_names().into_iter().filter(|name| !listing.names(name)).collect();
    if unknown.is_empty() {
        return None;
    }
    let mut known: Vec<&str> = listing.tools().collect();
    known.sort_unstable();
    let mut words = Vec::new();
    for name in unknown.iter().take(5) {
        let shown = crate::text::excerpt(name, 60);
        words.push(match crate::text::nearest(name, known.iter().copied()) {
            Some(near) => format!("`{shown}` (did you mean `{}`?)", crate::text::excerpt(near, 60)),
            None => format!("`{shown}`"),
        });
    }
    let more = if unknown.len() > 5 { format!(" and {} more", unknown.len() - 5) } else { String::new() };
    Some(format!("the policy names tools that the server does not list: {}{more}", words.join(", ")))
}
