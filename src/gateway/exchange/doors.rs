//! Doors beside `tools/call`: which rule speaks of a message, and what it says. One table of the protocol's methods says
//! what a message is about; one function decides for the client's messages, and one for the server's.

use crate::gateway::audit::Route;
use crate::gateway::filter::Nothing;
use crate::gateway::grant_tasks::GrantTasks;
use crate::gateway::reply::INTERNAL_ERROR;
use crate::mcp::envelope::{INPUT_REQUESTS, Passage};
use crate::mcp::json::{self, Members, nearly_known, string_value};
use crate::mcp::protocol::{Feature, Method, Offer, Subject};
use crate::mcp::walk::{elements, member, members};
use crate::policy::{Caller, Denial, DenialCode, Door, Mode, Opening, Policy};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// JSON-RPC's method not found.
const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC's invalid params, which MCP servers answer for what they do not have.
const INVALID_PARAMS: i32 = -32602;

/// What becomes of messages whose method no revision of the protocol knows and no policy lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnknownMethods {
    /// They are forwarded, and logged.
    Forward,
    /// They are refused, and logged: method not found.
    Refuse,
    /// Those of exactly these methods are forwarded, and the others refused.
    Listed(Arc<BTreeSet<String>>),
}

impl UnknownMethods {
    /// What is said about everything that is no tool, by a policy and by the gateway, for an operator.
    pub fn beside_in_words(&self, policy: &Policy) -> String {
        format!("{}, {}", policy.beside_in_words(), self.in_words(policy))
    }

    /// What becomes of unknown methods under a policy: `unknown methods refused`.
    fn in_words(&self, policy: &Policy) -> String {
        let words = match (self, policy.unknown_methods_in_words()) {
            (Self::Forward, _) => "forwarded".to_owned(),
            (Self::Refuse, None) => "refused".to_owned(),
            (Self::Refuse, Some(words)) => words,
            (Self::Listed(methods), None) => format!("{} allowed by the gateway", methods.len()),
            (Self::Listed(methods), Some(words)) => format!("{words}, and {} by the gateway", methods.len()),
        };
        format!("unknown methods {words}")
    }

    /// Whether a message goes on; never one that a server could take for a known method.
    fn forwards(&self, method: &str) -> bool {
        let is_meant = match self {
            Self::Forward => true,
            Self::Refuse => false,
            Self::Listed(methods) => methods.contains(method),
        };
        is_meant && Method::taken_for(method).is_none()
    }
}

/// Who asks, and what is known of him.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The caller's policy as it is now; without one everything is refused.
    pub policy: Option<&'a Policy>,
    /// The server, grant and session.
    pub caller: &'a Caller,
    /// The way between client and server.
    pub way: Route,
    /// What the gateway says of unknown methods beside the policy.
    pub unknown: &'a UnknownMethods,
    /// Whether a tool that the caller was shown and may call names this `ui://` resource; without one, whether some tool may
    /// name any.
    pub is_shown_with_tool: &'a dyn Fn(Option<&str>) -> bool,
    /// Whose the server's tasks are.
    pub tasks: Option<&'a GrantTasks>,
}

impl fmt::Debug for Asker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("caller", self.caller).field("way", &self.way).finish_non_exhaustive()
    }
}

/// What a rule says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorRuling {
    /// What the message names, as the log shows it.
    pub name: Option<String>,
    /// Id of the rule.
    pub rule: Cow<'static, str>,
    /// Why it does not go on; in shadow mode it goes on all the same.
    pub denial: Option<Denial>,
    /// The error for its sender, if it does not go on and was a request.
    pub refusal: DoorRefusal,
    /// Whether the refusal is only logged.
    pub is_shadow: bool,
}

/// The error for a request that does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorRefusal {
    /// The JSON-RPC code.
    pub code: i32,
    /// Its message.
    pub message: String,
}

impl DoorRuling {
    /// Whether the message goes on.
    pub fn passes(&self) -> bool {
        self.denial.is_none() || self.is_shadow
    }
}

/// What an object asks the client for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Within {
    /// For these things, each with its method and what a rule says of it; mostly none.
    Asks(Vec<(String, DoorRuling)>),
    /// What it asks for has no single reading.
    Unclear,
}

impl Within {
    /// Whether the client may be told all of it.
    pub fn passes(&self) -> bool {
        match self {
            Self::Asks(asked) => asked.iter().all(|(_, ruling)| ruling.passes()),
            Self::Unclear => false,
        }
    }
}

/// Whether a message of a client is a request or news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageForm {
    /// It has an id, and gets an answer.
    Request,
    /// It has none.
    News,
}

impl Asker<'_> {
    fn ruling(&self, name: Option<String>, opening: Opening, refusal: DoorRefusal) -> DoorRuling {
        // Whose a task is no shadow mode can change: it would hand one grant's results to another.
        let is_shadow = self.policy.is_some_and(|policy| policy.mode() == Mode::Shadow);
        match opening {
            Opening::Open(rule) => DoorRuling { name, rule: rule.into(), denial: None, refusal, is_shadow },
            Opening::Unsaid => DoorRuling { name, rule: Cow::Borrowed("(default)"), denial: None, refusal, is_shadow },
            Opening::Closed(denial) => {
                let rule = Cow::Owned(denial.rule.clone());
                DoorRuling { name, rule, denial: Some(denial), refusal, is_shadow }
            }
        }
    }

    fn opening(&self, door: Door<'_>) -> Opening {
        let Some(policy) = self.policy else { return Opening::Closed(Denial::no_policy()) };
        match (policy.opening(door), door) {
            // The interface of a tool that may be called belongs to it.
            (Opening::Closed(denial), Door::Resource(uri))
                if denial.code != DenialCode::Hidden
                    && uri.starts_with("ui://")
                    && (self.is_shown_with_tool)(Some(uri)) =>
            {
                Opening::Open("(resource of a tool)")
            }
            (Opening::Closed(_), Door::Any(Offer::Resources)) if (self.is_shown_with_tool)(None) => {
                Opening::Open("(resource of a tool)")
            }
            (opening, _) => opening,
        }
    }

    /// What a rule says of a client's message that is no call; `None` where none speaks of it.
    pub fn message(&self, passage: &Passage, form: MessageForm) -> Option<DoorRuling> {
        let method = passage.method().unwrap_or_default();
        let params = passage.params().unwrap_or_default();
        let known = match form {
            MessageForm::Request => Method::asked_by_client(method),
            MessageForm::News => Method::told_by_client(method),
        };
        let Some(known) = known else { return Some(self.unknown(method)) };
        if form == MessageForm::Request
            && let Some(ruling) = self.volunteered(params)
        {
            return Some(ruling);
        }
        let named = || known.named_by.and_then(|name| text_of(params, name));
        // What names no resource is about whatever the server takes it to be about: it passes where every one does.
        let any = || self.policy.filter(|policy| !policy.holds_resources()).map(|_| String::new());
        match known.subject {
            Subject::Resource => {
                let Some(uri) = named().or_else(any) else { return Some(self.doubt(None, no_resource())) };
                Some(self.ruling(Some(shown_uri(&uri)), self.opening(Door::Resource(&uri)), no_resource()))
            }
            Subject::Prompt => {
                let Some(name) = named() else { return Some(self.doubt(None, no_prompt(""))) };
                let refusal = no_prompt(&name);
                Some(self.ruling(Some(name.clone()), self.opening(Door::Prompt(&name)), refusal))
            }
            Subject::Completion => Some(self.completion(params)),
            Subject::Subscription => self.subscription(params),
            Subject::Task if form == MessageForm::Request => self.task(&text_of(params, "taskId").unwrap_or_default()),
            Subject::Client(feature) if form == MessageForm::News => {
                let opening = self.feature(feature);
                let refusal = DoorRefusal { code: METHOD_NOT_FOUND, message: String::new() };
                Some(self.ruling(None, opening, refusal))
            }
            Subject::Task | Subject::Client(_) | Subject::TaskList | Subject::Protocol | Subject::Changed(_) => None,
        }
    }

    fn unknown(&self, method: &str) -> DoorRuling {
        let refusal = DoorRefusal { code: METHOD_NOT_FOUND, message: "method not found".to_owned() };
        let opening = match self.opening(Door::Unknown(method)) {
            Opening::Closed(denial) if self.policy.is_some() && self.unknown.forwards(method) => {
                debug_assert_eq!(denial.code, DenialCode::MethodUnknown);
                Opening::Open("(unknown methods are forwarded)")
            }
            opening => opening,
        };
        self.ruling(None, opening, refusal)
    }

    /// What names its matter in no way, or in two: to some server it could be about what is closed.
    fn doubt(&self, name: Option<String>, refusal: DoorRefusal) -> DoorRuling {
        let message = "it can be read in two ways, or in none".to_owned();
        let (code, rule) = (DenialCode::NotListed, "(doubt)".to_owned());
        let denial = Denial { code, rule, message, retry_after_s: None, detail: None };
        self.ruling(name, Opening::Closed(denial), refusal)
    }

    /// What `params.ref` names must be open, whatever kind it says that it is.
    fn completion(&self, params: &str) -> DoorRuling {
        let (reference, _) = member(params, "ref").unwrap_or_default();
        let (uri, name) = (text_of(reference, "uri"), text_of(reference, "name"));
        let is_doubtful = members(reference).any(|(literal, _)| {
            string_value(literal).is_none_or(|name| nearly_known(name.as_bytes(), &["type", "uri", "name"]))
        });
        let is_resource = text_of(reference, "type").as_deref() == Some("ref/resource");
        let refusal = if is_resource { no_resource() } else { no_prompt(name.as_deref().unwrap_or_default()) };
        let shown = uri.as_deref().map(shown_uri).or_else(|| name.clone());
        let mut openings = Vec::new();
        if let Some(uri) = &uri {
            let door = if uri.contains('{') { Door::Template(uri) } else { Door::Resource(uri) };
            openings.push(self.opening(door));
        }
        // The title of a reference to a resource is no prompt's name.
        if let Some(name) = name.as_deref().filter(|_| !is_resource || uri.is_none()) {
            openings.push(self.opening(Door::Prompt(name)));
        }
        if openings.is_empty() || is_doubtful {
            return self.doubt(shown, refusal);
        }
        let is_closed = |opening: &Opening| matches!(opening, Opening::Closed(_));
        let at = openings.iter().position(is_closed).unwrap_or(0);
        self.ruling(shown, openings.swap_remove(at), refusal)
    }

    /// Every resource and task that a subscription names must be open; `None` where it names none.
    fn subscription(&self, params: &str) -> Option<DoorRuling> {
        let (filter, _) = member(params, "notifications")?;
        if !names_plainly(filter) {
            return Some(self.doubt(None, no_resource()));
        }
        let texts = |name: &str| -> Vec<String> {
            let (list, _) = member(filter, name).unwrap_or_default();
            elements(list).map(|at| string_value(&list[at]).unwrap_or_default().into_owned()).collect()
        };
        let mut found = None;
        for uri in texts("resourceSubscriptions") {
            let ruling = self.ruling(Some(shown_uri(&uri)), self.opening(Door::Resource(&uri)), no_resource());
            if ruling.denial.is_some() {
                return Some(ruling);
            }
            found = found.or(Some(ruling));
        }
        let tasks: BTreeSet<String> = texts("taskIds").into_iter().collect();
        let Some(ruling) = (!tasks.is_empty()).then(|| self.tasks(&tasks)).flatten() else { return found };
        if ruling.denial.is_some() { Some(ruling) } else { found.or(Some(ruling)) }
    }

    fn task(&self, task: &str) -> Option<DoorRuling> {
        self.tasks(&BTreeSet::from([task.to_owned()]))
    }

    /// Tasks are their grant's, all of them or none is asked about; `None` only where no client is served.
    fn tasks(&self, tasks: &BTreeSet<String>) -> Option<DoorRuling> {
        let closed = |code, rule: &str, message: &str, detail| {
            let (rule, message) = (rule.to_owned(), message.to_owned());
            Opening::Closed(Denial { code, rule, message, retry_after_s: None, detail })
        };
        let mut refusal = DoorRefusal { code: INVALID_PARAMS, message: "there is no such task".to_owned() };
        let own = self.tasks?.are_of(self.caller, tasks.iter().map(String::as_str));
        let foreign =
            own.as_ref().ok().and_then(|own| tasks.iter().zip(own).find_map(|(task, own)| (!own).then_some(task)));
        let shown = foreign.or(tasks.first()).cloned();
        let opening = match own {
            Ok(_) if foreign.is_none() => Opening::Open("(own task)"),
            Ok(_) => closed(DenialCode::TaskForeign, "(foreign task)", "this grant has not begun the task", None),
            Err(error) => {
                refusal = DoorRefusal { code: INTERNAL_ERROR, message: TASKS_UNKNOWN.to_owned() };
                closed(DenialCode::StateUnavailable, "(foreign task)", TASKS_UNKNOWN, Some(error.to_string()))
            }
        };
        Some(DoorRuling { is_shadow: false, ..self.ruling(shown, opening, refusal) })
    }

    /// A client that answers in a request what the server did not ask for may widen what the server works in.
    pub fn volunteered(&self, params: &str) -> Option<DoorRuling> {
        let (responses, _) = member(params, "inputResponses")?;
        let is_roots = |name: &str| {
            string_value(name).is_none_or(|name| name == "roots" || nearly_known(name.as_bytes(), &["roots"]))
        };
        let gives_roots = members(responses).any(|(_, span)| members(&responses[span]).any(|(name, _)| is_roots(name)));
        let opening = self.feature(Feature::Roots);
        let refusal = DoorRefusal { code: INVALID_PARAMS, message: "this client's roots are not taken".to_owned() };
        gives_roots.then(|| self.ruling(None, opening, refusal)).filter(|ruling| ruling.denial.is_some())
    }

    /// What is said of something that a server asks its client for. Over HTTP a client's roots are not taken unless the
    /// policy says so: a caller could widen the folders that the server works in.
    pub fn feature(&self, feature: Feature) -> Opening {
        match self.opening(Door::Client(feature)) {
            Opening::Unsaid if self.way.is_http() => Opening::Closed(Denial {
                code: DenialCode::ClientDenied,
                rule: OPERATORS_ROOTS.to_owned(),
                message: "over HTTP the roots are the operator's".to_owned(),
                retry_after_s: None,
                detail: None,
            }),
            opening => opening,
        }
    }

    /// What a rule says of a server's request to its client; `None` where none speaks of it.
    pub fn asked_by_server(&self, method: &str) -> Option<DoorRuling> {
        let refusal = || DoorRefusal { code: METHOD_NOT_FOUND, message: "method not found".to_owned() };
        let Some(known) = Method::asked_by_server(method) else { return Some(self.unknown(method)) };
        match known.subject {
            Subject::Client(feature) => Some(self.ruling(None, self.feature(feature), refusal())),
            Subject::Protocol
            | Subject::Resource
            | Subject::Prompt
            | Subject::Completion
            | Subject::Task
            | Subject::TaskList
            | Subject::Subscription
            | Subject::Changed(_) => None,
        }
    }

    /// What rules say of a server's news: one ruling on the news itself, or one on each thing that it asks the client for.
    pub fn told_by_server(&self, method: &str, params: &str) -> Vec<DoorRuling> {
        let Some(known) = Method::told_by_server(method) else { return vec![self.unknown(method)] };
        let named = || known.named_by.and_then(|name| text_of(params, name)).unwrap_or_default();
        // It has no answer.
        let refusal = || DoorRefusal { code: METHOD_NOT_FOUND, message: String::new() };
        let ruling = match known.subject {
            Subject::Task => self.task(&text_of(params, "taskId").unwrap_or_default()),
            Subject::Resource => {
                let uri = named();
                Some(self.ruling(Some(shown_uri(&uri)), self.opening(Door::Resource(&uri)), refusal()))
            }
            Subject::Client(feature) => Some(self.ruling(None, self.feature(feature), refusal())),
            Subject::Changed(offer) => Some(self.ruling(None, self.opening(Door::Any(offer)), refusal())),
            Subject::Protocol | Subject::Prompt | Subject::Completion | Subject::TaskList | Subject::Subscription => {
                None
            }
        };
        match (ruling, self.asked_within(params)) {
            (Some(ruling), _) if ruling.denial.is_some() => vec![ruling],
            // What reaches the client as it came has no line of its own, but what it is asked for has.
            (_, Within::Unclear) => vec![self.doubt(None, refusal())],
            (_, Within::Asks(asked)) => {
                asked.into_iter().map(|(method, ruling)| DoorRuling { name: Some(method), ..ruling }).collect()
            }
        }
    }

    /// What a result, a task or news of one asks the client for, and what the task in it does.
    pub fn asked_within(&self, object: &str) -> Within {
        let mut asked = Vec::new();
        let objects = std::iter::once(object).chain(values(object, "task").map(|(_, task)| task));
        for object in objects {
            let mut meant = values(object, INPUT_REQUESTS);
            let Some((is_exact, requests)) = meant.next() else { continue };
            let scanned = json::scan(requests, Members::Everywhere, &mut Nothing);
            let is_plain = requests.starts_with('{') && scanned.is_ok_and(|seen| seen.flaw.is_none());
            if meant.next().is_some() || !is_exact || !is_plain {
                return Within::Unclear;
            }
            asked.extend(self.input_requests(object));
        }
        Within::Asks(asked)
    }

    /// What rules say of what a result asks the client for (`inputRequests`, from 2026-07-28), each with its method.
    pub fn input_requests(&self, result: &str) -> Vec<(String, DoorRuling)> {
        let (requests, _) = member(result, "inputRequests").unwrap_or_default();
        let asked = members(requests).filter_map(|(_, span)| {
            let method = text_of(&requests[span], "method").unwrap_or_default();
            let ruling = self.asked_by_server(&method)?;
            Some((method, ruling))
        });
        asked.collect()
    }

    /// Whether something that a server offers is in its lists for the caller.
    pub fn sees(&self, door: Door<'_>) -> bool {
        let is_shadow = self.policy.is_some_and(|policy| policy.mode() == Mode::Shadow);
        is_shadow || !matches!(self.opening(door), Opening::Closed(_))
    }
}

/// The rule that answers a server's question for roots over HTTP.
pub const OPERATORS_ROOTS: &str = "(operator's roots)";

/// Whether what a subscription is for has one reading: lists of names where names belong, and no names elsewhere. A server
/// that is not strict finds names in a text, in keys, and under members that nobody knows.
pub fn names_plainly(filter: &str) -> bool {
    const NAMED: [&str; 2] = ["resourceSubscriptions", "taskIds"];
    let is_plain = |(literal, span): (&str, Range<usize>)| match (string_value(literal), &filter[span]) {
        (Some(name), list) if NAMED.contains(&&*name) => {
            list.starts_with('[') && elements(list).all(|at| list[at].starts_with('"'))
        }
        (Some(name), value) => !nearly_known(name.as_bytes(), &NAMED) && matches!(value, "true" | "false" | "null"),
        (None, _) => false,
    };
    filter.starts_with('{') && members(filter).all(is_plain)
}

/// What a client hears that asks for a task while the store cannot say whose it is.
pub const TASKS_UNKNOWN: &str = "whose the task is cannot be told at the moment";

/// The values of the members that some client takes for the one of this name, and whether each has just this name.
fn values<'o>(object: &'o str, name: &'static str) -> impl Iterator<Item = (bool, &'o str)> {
    members(object).filter_map(move |(literal, span)| {
        let found = string_value(literal)?;
        let is_exact = found == name;
        (is_exact || nearly_known(found.as_bytes(), &[name])).then(|| (is_exact, &object[span]))
    })
}

fn text_of(object: &str, name: &str) -> Option<String> {
    string_value(member(object, name)?.0).map(Cow::into_owned)
}

fn no_resource() -> DoorRefusal {
    DoorRefusal { code: INVALID_PARAMS, message: "Resource not found".to_owned() }
}

fn no_prompt(name: &str) -> DoorRefusal {
    DoorRefusal { code: INVALID_PARAMS, message: format!("Unknown prompt: {name}") }
}

/// A URI as the log shows it: without user and query, where secrets are.
pub fn shown_uri(uri: &str) -> String {
    let place = uri.split(['?', '#']).next().unwrap_or_default();
    match place.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => place.to_owned(),
    }
}
