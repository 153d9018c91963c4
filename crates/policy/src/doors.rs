//! What a policy says beside tools: which resources may be read and which prompts taken, what the server may ask of the
//! client, which methods pass that no revision of the protocol knows.

use super::compiled::{Policy, Visibility};
use super::denial::{Denial, DenialCode};
use super::document::{Access, ClientRules, Document, Mode, Offers, UnknownMethods, UnknownWord, Unlisted};
use super::uri;
use crate::mcp::protocol::{Feature, Method, Offer};
use crate::text::{folded, loose};
use rustc_hash::FxHashSet;

/// Something beside a tool call that a policy is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door<'d> {
    /// The resource with this URI is read or subscribed to.
    Resource(&'d str),
    /// The template of resources with this text is listed, or completed.
    Template(&'d str),
    /// The prompt of this name is taken or completed.
    Prompt(&'d str),
    /// The server asks this of its client.
    Client(Feature),
    /// A message with this method, which no revision of the protocol knows.
    Unknown(&'d str),
    /// Something of this kind, whichever it is.
    Any(Offer),
}

/// What a policy says about a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It is open; the id of the rule that says so.
    Open(&'static str),
    /// It is closed.
    Closed(Denial),
    /// The policy says nothing, and who answers depends on how the client is connected: roots.
    Unsaid,
}

/// The rules for doors, compiled.
#[derive(Debug)]
pub(super) struct Doors {
    resources: Offered,
    prompts: Offered,
    client: ClientRules,
    unknown: UnknownRule,
    default: Unlisted,
}

/// Which of the things that a server offers may be taken.
#[derive(Debug)]
struct Offered {
    /// What is neither hidden nor held against `allow`.
    rest: Access,
    /// The rule that says so.
    rest_rule: &'static str,
    allow: Option<OfferNames>,
    hide: OfferNames,
    rules: OfferRules,
}

#[derive(Clone, Copy, Debug)]
struct OfferRules {
    what: &'static str,
    whole: &'static str,
    allow: &'static str,
    hide: &'static str,
    /// How what is hidden is compared.
    hidden: OfferForms,
}

#[derive(Clone, Copy, Debug)]
struct OfferForms {
    exact: fn(&str) -> Vec<String>,
    beginning: fn(&str) -> Vec<String>,
}

const AS_WRITTEN: OfferForms =
    OfferForms { exact: |name| vec![name.to_owned()], beginning: |name| vec![name.to_owned()] };

const RESOURCES: OfferRules = OfferRules {
    what: "resource",
    whole: "/resources",
    allow: "/resources/allow",
    hide: "/resources/hide",
    hidden: OfferForms { exact: uri::loose_exact, beginning: uri::loose_beginning },
};
const PROMPTS: OfferRules = OfferRules {
    what: "prompt",
    whole: "/prompts",
    allow: "/prompts/allow",
    hide: "/prompts/hide",
    hidden: OfferForms { exact: |name| vec![folded(name)], beginning: |name| vec![loose(name)] },
};

/// Exact names and beginnings.
#[derive(Debug, Default)]
struct OfferNames {
    exact: FxHashSet<String>,
    prefixes: Vec<String>,
    /// How many entries the policy has.
    written: usize,
}

#[derive(Debug)]
enum UnknownRule {
    Refused,
    Forwarded,
    Listed(FxHashSet<String>),
}

impl OfferNames {
    /// `form` is how a name, and how a beginning is compared.
    fn of(entries: &[String], form: OfferForms) -> Self {
        let mut names = Self { written: entries.len(), ..Self::default() };
        for entry in entries {
            match entry.strip_suffix('*') {
                Some(begin) => names.prefixes.extend((form.beginning)(begin)),
                None => names.exact.extend((form.exact)(entry)),
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    fn begins(&self, text: &str) -> bool {
        self.prefixes.iter().any(|prefix| text.starts_with(prefix.as_str()))
    }

    fn holds(&self, text: &str) -> bool {
        self.exact.contains(text) || self.begins(text)
    }
}

impl Offered {
    fn new(written: Option<&Offers>, default: Unlisted, rules: OfferRules) -> Self {
        let by_default = match default {
            Unlisted::Allow => (Access::Allow, "(default allow)"),
            Unlisted::Deny => (Access::Deny, "(default deny)"),
        };
        let none = (None, OfferNames::default());
        let ((rest, rest_rule), (allow, hide)) = match written {
            None => (by_default, none),
            Some(Offers::All(access)) => ((*access, rules.whole), none),
            Some(Offers::Some(lists)) => {
                let allow = lists.allow.as_ref().map(|allow| OfferNames::of(allow, AS_WRITTEN));
                (by_default, (allow, OfferNames::of(&lists.hide, rules.hidden)))
            }
        };
        Self { rest, rest_rule, allow, hide, rules }
    }

    fn verdict(&self, is_hidden: bool, is_allowed: impl FnOnce(&OfferNames) -> bool) -> Opening {
        let closed = |code, rule: &str| {
            Opening::Closed(Denial::new(code, rule, format!("this {} is not allowed", self.rules.what)))
        };
        if is_hidden {
            return closed(DenialCode::Hidden, self.rules.hide);
        }
        match (&self.allow, self.rest) {
            (Some(names), _) if is_allowed(names) => Opening::Open(self.rules.allow),
            (Some(_), _) => closed(DenialCode::NotListed, self.rules.allow),
            (None, Access::Allow) => Opening::Open(self.rest_rule),
            (None, Access::Deny) => closed(DenialCode::NotListed, self.rest_rule),
        }
    }

    fn resource(&self, uri: &str) -> Opening {
        let normal = uri::normal(uri);
        let is_it = |form: &String| self.hide.begins(form) || self.hide.exact.contains(form.trim_end_matches('/'));
        // Also as it is written, for a server that finds no steps in it.
        let hides = |normal: &String| uri::loose(normal).iter().chain(&uri::loose(uri)).any(is_it);
        // What could lead anywhere could lead to what is hidden.
        let is_hidden = !self.hide.is_empty() && normal.as_ref().is_none_or(hides);
        self.verdict(is_hidden, |allow| {
            allow.exact.contains(uri) || normal.as_ref().is_some_and(|normal| allow.begins(normal))
        })
    }

    fn template(&self, template: &str) -> Opening {
        let begin = uri::of_template(template);
        let is_hidden = uri::loose(&begin).iter().any(|form| self.hide.begins(form));
        self.verdict(is_hidden, |allow| allow.begins(&begin) || allow.exact.contains(template))
    }

    fn prompt(&self, name: &str) -> Opening {
        let is_hidden = self.hide.exact.contains(&folded(name)) || self.hide.begins(&loose(name));
        self.verdict(is_hidden, |allow| allow.holds(name))
    }

    /// Whether anything may be taken.
    fn any(&self) -> Opening {
        self.verdict(false, |allow| !allow.is_empty())
    }

    /// How much of it may be taken, in words.
    fn in_words(&self) -> String {
        let rest = match (&self.allow, self.rest) {
            (Some(allow), _) => format!("{} allowed", allow.written),
            (None, Access::Allow) => "allowed".to_owned(),
            (None, Access::Deny) => "denied".to_owned(),
        };
        if self.hide.is_empty() { rest } else { format!("{rest} but for {} hidden", self.hide.written) }
    }

    /// Whether everything passes, so that nothing need be looked at.
    fn is_open(&self) -> bool {
        self.hide.is_empty() && self.allow.is_none() && self.rest == Access::Allow
    }
}

impl Doors {
    pub(super) fn of(document: &Document) -> Self {
        let default = document.default;
        Self {
            resources: Offered::new(document.resources.as_ref(), default, RESOURCES),
            prompts: Offered::new(document.prompts.as_ref(), default, PROMPTS),
            client: document.client,
            unknown: match &document.unknown_methods {
                None | Some(UnknownMethods::All(UnknownWord::Refuse)) => UnknownRule::Refused,
                Some(UnknownMethods::All(UnknownWord::Forward)) => UnknownRule::Forwarded,
                Some(UnknownMethods::Some(names)) => UnknownRule::Listed(names.iter().cloned().collect()),
            },
            default,
        }
    }

    fn client(&self, feature: Feature) -> Opening {
        let (written, rule) = match feature {
            Feature::Sampling => (self.client.sampling, "/client/sampling"),
            Feature::Elicitation => (self.client.elicitation, "/client/elicitation"),
            Feature::Roots => (self.client.roots, "/client/roots"),
        };
        let closed = |rule: &str| {
            let message = format!("the server may not ask the client for {}", feature.as_str());
            Opening::Closed(Denial::new(DenialCode::ClientDenied, rule, message))
        };
        match (written, feature, self.default) {
            (Some(Access::Allow), _, _) => Opening::Open(rule),
            (Some(Access::Deny), _, _) => closed(rule),
            (None, Feature::Elicitation, _) => Opening::Open("(default)"),
            (None, Feature::Sampling, Unlisted::Allow) => Opening::Open("(default allow)"),
            (None, Feature::Sampling, Unlisted::Deny) => closed("(default deny)"),
            (None, Feature::Roots, _) => Opening::Unsaid,
        }
    }

    fn unknown(&self, method: &str) -> Opening {
        let is_listed = match &self.unknown {
            UnknownRule::Refused => false,
            UnknownRule::Forwarded => true,
            UnknownRule::Listed(names) => names.contains(method),
        };
        // A server that compares loosely would take it for the method that a rule speaks of.
        if is_listed && Method::taken_for(method).is_none() {
            return Opening::Open("/unknown_methods");
        }
        let message = "no revision of the protocol knows this method";
        Opening::Closed(Denial::new(DenialCode::MethodUnknown, "(unknown method)", message))
    }
}

impl Policy {
    /// How many of a server's resources and prompts may be taken, and what it may ask of the client, in words for an
    /// operator.
    pub fn beside_in_words(&self) -> String {
        let client = Feature::ALL.into_iter().filter_map(|feature| match self.opening(Door::Client(feature)) {
            Opening::Open(_) => Some(format!("{} allowed", feature.as_str())),
            Opening::Closed(_) => Some(format!("{} denied", feature.as_str())),
            // Who answers depends on how the client is connected.
            Opening::Unsaid => None,
        });
        format!(
            "resources {}, prompts {}, client {}",
            self.doors.resources.in_words(),
            self.doors.prompts.in_words(),
            client.collect::<Vec<_>>().join(", ")
        )
    }

    /// What becomes of methods that no revision of the protocol knows, in words for an operator; `None`: they are refused.
    pub fn unknown_methods_in_words(&self) -> Option<String> {
        match &self.doors.unknown {
            UnknownRule::Refused => None,
            UnknownRule::Forwarded => Some("forwarded".to_owned()),
            UnknownRule::Listed(names) if names.is_empty() => None,
            UnknownRule::Listed(names) => Some(format!("{} allowed", names.len())),
        }
    }

    /// What the policy says about something beside a tool call, as if every decision were enforced.
    pub fn opening(&self, door: Door<'_>) -> Opening {
        match door {
            Door::Resource(uri) => self.doors.resources.resource(uri),
            Door::Template(template) => self.doors.resources.template(template),
            Door::Prompt(name) => self.doors.prompts.prompt(name),
            Door::Client(feature) => self.doors.client(feature),
            Door::Unknown(method) => self.doors.unknown(method),
            Door::Any(Offer::Resources) => self.doors.resources.any(),
            Door::Any(Offer::Prompts) => self.doors.prompts.any(),
            Door::Any(Offer::Tools) if self.lists_any_tool() => Opening::Open("(some tool)"),
            Door::Any(Offer::Tools) => {
                Opening::Closed(Denial::new(DenialCode::NotListed, "(no tool)", "no tool may be called"))
            }
        }
    }

    /// Whether something that a server offers beside tools is in its lists. In shadow mode everything is.
    pub fn shows(&self, door: Door<'_>) -> bool {
        self.mode() == Mode::Shadow || matches!(self.opening(door), Opening::Open(_))
    }

    /// Whether some tool may be in the lists that a client sees.
    pub fn lists_any_tool(&self) -> bool {
        self.doors.default == Unlisted::Allow
            || self.document().tools.keys().any(|tool| self.visible(tool) == Visibility::Listed)
    }

    /// Whether some resource may be refused, so that it matters which of them tools name.
    pub fn holds_resources(&self) -> bool {
        !self.doors.resources.is_open()
    }
}
