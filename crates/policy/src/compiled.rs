//! A policy ready to judge calls: rules by tool name, conditions compiled, counters of each tool put together.

use super::condition::Test;
use super::document::{Action, Document, Limit, Mode, Refund, Scope, Unlisted};
use super::doors::Doors;
use super::flows::{FlowRule, Following};
use super::path::ArgumentPath;
use super::store::CounterKey;
use super::window::Window;
use super::word::Words;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// A checked policy. Made by [`parse`](super::parse) only.
#[derive(Debug)]
pub struct Policy {
    pub(super) document: Document,
    pub(super) hash: String,
    pub(super) hidden: FxHashSet<String>,
    pub(super) tools: FxHashMap<String, Tool>,
    /// The rules for every call; its `id` and charges are those of a tool that is not listed.
    pub(super) everything: Tool,
    pub(super) doors: Doors,
    pub(super) flows: Vec<FlowRule>,
    /// Stands for the server in the key of a counter that all servers share.
    pub(super) nothing: Arc<str>,
    /// Whether any tool is hidden by name.
    hides_some: bool,
    validates_some: bool,
    /// Whether any tool's calls may have to be approved.
    approves_some: bool,
    /// The folded names of the tools that the policy names, where it allows those that it does not name.
    folded: FxHashSet<String>,
    shadow: Shadow,
}

/// Whether the whole policy is looked at only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shadow {
    AsWritten,
    Everything,
}

/// The compiled rules of one tool.
#[derive(Debug)]
pub(super) struct Tool {
    /// `/tools/NAME`, or `(default allow)`.
    pub id: Arc<str>,
    pub action: Option<Action>,
    pub reason: Option<String>,
    pub mode: Option<Mode>,
    pub validate: bool,
    pub require: Vec<Rule>,
    pub deny_if: Vec<Rule>,
    pub approval: Option<ApprovalRule>,
    /// The counters of a call: the tool's and those for all tools.
    pub counters: Vec<Counter>,
    /// What the flows say of it; nothing where there are none.
    pub following: Following,
}

/// An entry of `require` or `deny_if`.
#[derive(Debug)]
pub(super) struct Rule {
    pub id: String,
    pub tests: Vec<Test>,
    pub on_deny: Option<String>,
}

/// When a person is asked.
#[derive(Debug)]
pub(super) struct ApprovalRule {
    pub id: String,
    pub when: Vec<Test>,
    pub message: String,
    pub ttl_s: u64,
}

/// What a call does to one counter. Limits that name one counter share it: a call adds to it once for each source, and
/// must stay below the smallest maximum.
#[derive(Debug)]
pub(super) struct Counter {
    pub name: Arc<str>,
    pub scope: Scope,
    pub window: Window,
    pub scale: u32,
    /// Whether an error in answer gives a call back.
    pub refund: Option<Refund>,
    /// Where amounts are taken from; empty: the call counts 1.
    pub sources: Vec<ArgumentPath>,
    /// The limit with the smallest maximum.
    pub rule: String,
    pub on_deny: Option<String>,
    /// In the unit of the argument, for people.
    pub max: u64,
    /// In units of the counter: `max` × 10^scale.
    pub max_scaled: u64,
}

/// A limit as the parser hands it over.
pub(super) struct CheckedLimit {
    pub limit: Limit,
    pub window: Window,
    pub source: Option<ArgumentPath>,
    pub rule: String,
    pub max_scaled: u64,
}

/// How a tool appears to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// In `tools/list`; whether a call passes depends on it.
    Listed,
    /// Not in `tools/list`, because no call can ever pass; a call is refused with the reason.
    Refused,
    /// Not in `tools/list`; a call is answered as if there were no such tool.
    Hidden,
}

/// How many tools a policy lists, by what it says about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Allowed without any rule.
    pub allowed: usize,
    /// Allowed within limits, conditions or after approval.
    pub limited: usize,
    /// Listed, but no call can pass.
    pub refused: usize,
    /// Hidden by name.
    pub hidden: usize,
}

impl Policy {
    pub(super) fn new(
        document: Document,
        hash: String,
        tools: FxHashMap<String, Tool>,
        everything: Tool,
        flows: Vec<FlowRule>,
    ) -> Self {
        let hidden: FxHashSet<String> = document.hide.iter().cloned().collect();
        let hides_some = !hidden.is_empty() || tools.values().any(|rules| rules.action == Some(Action::Hide));
        let (nothing, shadow) = (Arc::from(""), Shadow::AsWritten);
        let validates_some = tools.values().any(|rules| rules.validate);
        let approves_some = tools.values().chain([&everything]).any(Tool::may_ask);
        let folded = match document.default {
            Unlisted::Allow => tools.keys().chain(&hidden).map(|name| crate::text::folded(name)).collect(),
            Unlisted::Deny => FxHashSet::default(),
        };
        let doors = Doors::of(&document);
        Self {
            doors,
            flows,
            document,
            hash,
            hidden,
            tools,
            everything,
            nothing,
            hides_some,
            validates_some,
            approves_some,
            folded,
            shadow,
        }
    }

    /// The document, as checked.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// SHA-256 of the document's canonical JSON, 64 hexadecimal digits: white space and the order of members do not
    /// count.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// How a tool appears. In shadow mode everything is listed.
    pub fn visible(&self, tool: &str) -> Visibility {
        if self.mode_of(tool) == Mode::Shadow {
            return Visibility::Listed;
        }
        self.appearance(tool)
    }

    /// How a tool would appear if every decision were enforced.
    pub fn appearance(&self, tool: &str) -> Visibility {
        let rules = self.tools.get(tool);
        if self.hides(tool) || (rules.is_none() && self.document.default == Unlisted::Deny) {
            return Visibility::Hidden;
        }
        let always = |rule: &Rule| rule.tests.is_empty();
        let refused = rules.is_some_and(|rules| rules.action == Some(Action::Deny) || rules.deny_if.iter().any(always))
            || self.everything.deny_if.iter().any(always);
        if refused { Visibility::Refused } else { Visibility::Listed }
    }

    pub(super) fn hides(&self, tool: &str) -> bool {
        (!self.hidden.is_empty() && (self.hidden.contains(tool) || self.hidden.contains("*")))
            || self.tools.get(tool).is_some_and(|rules| rules.action == Some(Action::Hide))
    }

    /// Whether a call of this tool must be answered as one of a hidden tool where the server has no such tool: the policy
    /// hides some tools and allows what it does not name, and two ways to say no would tell which exist.
    pub fn hides_among_allowed(&self, tool: &str) -> bool {
        self.hides_some
            && self.document.default == Unlisted::Allow
            && !self.tools.contains_key(tool)
            && !self.hides(tool)
            && self.mode_of(tool) == Mode::Enforce
    }

    /// Whether a call of this tool must be refused unless the server lists it under this very name: the policy allows
    /// what it does not name, and some servers take the name for one that it does name, and has rules for.
    pub fn may_be_named_otherwise(&self, tool: &str) -> bool {
        !self.folded.is_empty()
            && !self.names(tool)
            && self.mode_of(tool) == Mode::Enforce
            && self.folded.contains(&crate::text::folded(tool))
    }

    /// Whether decisions about a tool are enforced.
    pub fn mode_of(&self, tool: &str) -> Mode {
        if self.shadow == Shadow::Everything {
            return Mode::Shadow;
        }
        self.tools.get(tool).and_then(|rules| rules.mode).or(self.document.mode).unwrap_or(Mode::Enforce)
    }

    /// Whether decisions are enforced that are about no tool.
    pub fn mode(&self) -> Mode {
        match self.shadow {
            Shadow::Everything => Mode::Shadow,
            Shadow::AsWritten => self.document.mode.unwrap_or(Mode::Enforce),
        }
    }

    /// The same policy with every decision logged and none enforced.
    #[must_use]
    pub fn in_shadow(self) -> Self {
        Self { shadow: Shadow::Everything, ..self }
    }

    /// Whether calls are held to what the server lists: to a schema, to a definition as it was when a person was asked, or to
    /// the names alone.
    pub fn wants_lists(&self) -> bool {
        self.holds_all_to_lists() || self.approves_some
    }

    fn holds_all_to_lists(&self) -> bool {
        self.validates_some || (self.hides_some && self.document.default == Unlisted::Allow)
    }

    /// Whether a call of this tool is held to what the server lists.
    pub fn wants_lists_for(&self, tool: &str) -> bool {
        self.holds_all_to_lists() || self.wants_approval(tool) || self.may_be_named_otherwise(tool)
    }

    /// Whether a call of the tool is held against its input schema.
    pub fn wants_schema(&self, tool: &str) -> bool {
        self.tools.get(tool).is_some_and(|rules| rules.validate)
    }

    /// Whether any call of the tool may have to be approved.
    pub fn wants_approval(&self, tool: &str) -> bool {
        self.rules_of(tool).is_some_and(Tool::may_ask)
    }

    /// Whether a rule of the tool's own asks a person, whatever its session has called before.
    pub fn asks_by_itself(&self, tool: &str) -> bool {
        self.tools.get(tool).is_some_and(|rules| rules.approval.is_some())
    }

    /// The rules that a call of the tool is judged by, if any call can pass.
    pub(super) fn rules_of(&self, tool: &str) -> Option<&Tool> {
        match (self.tools.get(tool), self.document.default) {
            (Some(rules), _) => Some(rules),
            (None, Unlisted::Allow) => Some(&self.everything),
            (None, Unlisted::Deny) => None,
        }
    }

    /// What a call of the tool leaves in the course of its session.
    pub fn leaves(&self, tool: &str) -> Words {
        self.rules_of(tool).map_or(Words::NONE, |rules| rules.following.leaves)
    }

    /// Whether there are rules about the course of a session.
    pub fn has_flows(&self) -> bool {
        !self.flows.is_empty()
    }

    /// The tools that the policy names, in `tools` or `hide`, sorted, without `*`.
    pub fn tool_names(&self) -> std::collections::BTreeSet<&str> {
        let hidden = self.document.hide.iter().map(String::as_str).filter(|name| *name != "*");
        self.document.tools.keys().map(String::as_str).chain(hidden).collect()
    }

    /// Whether the policy names the tool, in `tools` or `hide`.
    pub fn names(&self, tool: &str) -> bool {
        self.tools.contains_key(tool) || self.hidden.contains(tool)
    }

    /// The most that a counter may reach, in units of the counter, and its decimals: the smallest maximum of the limits
    /// that share it. Looks through all tools.
    pub fn most(&self, key: &CounterKey) -> Option<(u64, u32)> {
        let all = self.tools.values().chain([&self.everything]).flat_map(|tool| &tool.counters);
        let same =
            |counter: &&Counter| counter.name == key.name && counter.scope == key.scope && counter.window == key.window;
        all.filter(same).map(|counter| (counter.max_scaled, counter.scale)).min()
    }

    /// How many tools the policy lists, by what it says about them.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for name in self.tool_names() {
            let slot = match self.appearance(name) {
                Visibility::Hidden => &mut summary.hidden,
                Visibility::Refused => &mut summary.refused,
                Visibility::Listed if self.tools.get(name).is_some_and(Tool::is_free) => &mut summary.allowed,
                Visibility::Listed => &mut summary.limited,
            };
            *slot += 1;
        }
        summary
    }
}

impl Tool {
    /// Whether a person may have to be asked about a call.
    fn may_ask(&self) -> bool {
        self.approval.is_some() || self.following.asks
    }

    /// Whether no rule of its own can refuse a call.
    pub fn is_free(&self) -> bool {
        !self.validate
            && self.require.is_empty()
            && self.deny_if.is_empty()
            && self.approval.is_none()
            && !self.following.is_sink()
            && self.counters.iter().all(|counter| counter.rule.starts_with("/all_tools/"))
    }
}

impl Counter {
    /// Puts limits together by counter, in the order in which the counters are first named.
    pub fn group<'l>(limits: impl Iterator<Item = &'l CheckedLimit>) -> Vec<Self> {
        let mut counters: Vec<Self> = Vec::new();
        for checked in limits {
            let limit = &checked.limit;
            let Some(known) = counters.iter_mut().find(|counter| *counter.name == *limit.counter) else {
                counters.push(Self {
                    name: Arc::from(limit.counter.as_str()),
                    scope: limit.scope,
                    window: checked.window,
                    scale: limit.scale,
                    refund: limit.refund,
                    sources: checked.source.iter().cloned().collect(),
                    rule: checked.rule.clone(),
                    on_deny: limit.on_deny.clone(),
                    max: limit.max,
                    max_scaled: checked.max_scaled,
                });
                continue;
            };
            if let Some(source) = &checked.source
                && !known.sources.contains(source)
            {
                known.sources.push(source.clone());
            }
            if checked.max_scaled < known.max_scaled {
                known.rule.clone_from(&checked.rule);
                known.on_deny.clone_from(&limit.on_deny);
                (known.max, known.max_scaled) = (limit.max, checked.max_scaled);
            }
        }
        counters
    }
}
