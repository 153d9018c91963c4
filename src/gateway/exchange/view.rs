//! What one client has been shown of a server's tools: its calls are held to the lock, to the schema and to the list by
//! the newest list that this client was shown, never by another client's. A list that is not known here is asked of the
//! server again, so what is forgotten costs a request and opens nothing.

use super::schema::{Schema, Schemas, essence};
use crate::catalog::drift::{Essence, Reviewed};
use crate::gateway::audit::Whose;
use crate::gateway::decider::Decider;
use crate::gateway::locked::Guard;
use crate::mcp::http::parameters::{Parameter, parameters};
use crate::mcp::json::string_value;
use crate::mcp::walk::member;
use crate::policy::{ArgumentSchema, Policy, ToolChange, Visibility};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most tools of one list that are remembered. Further ones count as listed, but as without a schema and, with a lock,
/// as changed.
pub const LISTED_TOOLS_MAX: usize = 10_000;
/// Most bytes of schemas that are kept of one list, all together. Calls of tools whose schema is beyond are denied
/// where the policy wants their arguments held to it.
pub const SCHEMA_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest URI of a tool's interface that is kept, in bytes.
const INTERFACE_BYTES_MAX: usize = 8 * 1024;

/// Whether a policy lets a tool be listed.
pub fn is_listed(policy: &Policy, tool: &str) -> bool {
    policy.visible(tool) == Visibility::Listed
}

/// What is kept of a tool's schema.
#[derive(Clone, Debug, Default)]
enum KeptSchema {
    /// No schema, as the policy did not ask for it when the list came.
    #[default]
    Nothing,
    Schema(Arc<Schema>),
    /// No schema that can be relied on: it is missing, too long, or listed in two ways.
    Doubt,
}

/// What one list says of a tool.
#[derive(Debug, Default)]
struct Shown {
    /// What each definition of this name says, as a lock compares it; empty where neither a lock nor an approval needs it.
    essences: BTreeSet<Essence>,
    schema: KeptSchema,
    /// What its calls repeat in headers; `None` where two definitions differ in that, or want what may not be.
    parameters: Option<Arc<[Parameter]>>,
    /// The list has several definitions of this name.
    is_doubled: bool,
    /// The resource with its interface, as its `_meta` names it.
    interface: Option<Box<str>>,
}

impl Shown {
    /// What an approval of a call is bound to; `None` where it was not kept.
    fn definition(&self) -> Option<[u8; 32]> {
        Essence::of_all(&self.essences)
    }

    /// How the tool differs from what was reviewed. Nobody can tell which of several definitions of one name a call runs.
    fn change(&self, tool: &str, reviewed: &Reviewed) -> Option<ToolChange> {
        if self.is_doubled && reviewed.has(tool) {
            return Some(ToolChange::Changed);
        }
        reviewed.change(tool, &self.essences)
    }
}

/// One list of tools, whole or as far as its pages have come.
#[derive(Debug, Default)]
pub struct Listing {
    tools: HashMap<String, Shown>,
    schema_bytes: usize,
}

/// What is kept of a tool's definition beside the name.
#[derive(Clone, Copy, Debug)]
pub struct Keep<'k> {
    /// Whether what it says is kept, as a lock compares it and as approvals are bound to it.
    pub essence: bool,
    /// Where the input schema is kept; `None` where the policy does not want it.
    pub schema: Option<&'k Schemas>,
    /// Whether the page speaks of headers that repeat arguments; most do not, and are not looked through for them.
    pub repeats: bool,
    /// Whether the resource is kept that its `_meta` names as its interface.
    pub interface: bool,
}

impl Listing {
    /// Takes one tool of a page; `definition` is its JSON text.
    pub fn take(&mut self, name: &str, definition: &str, keep: Keep<'_>) {
        if self.tools.len() >= LISTED_TOOLS_MAX && !self.tools.contains_key(name) {
            return;
        }
        let parameters: Option<Arc<[Parameter]>> =
            if keep.repeats { parameters(definition).ok().map(Into::into) } else { Some(Arc::default()) };
        let shown = match self.tools.entry(name.to_owned()) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                known.is_doubled = true;
                known.parameters = known.parameters.take().filter(|known| parameters.as_ref() == Some(known));
                known
            }
            Entry::Vacant(new) => new.insert(Shown { parameters, ..Shown::default() }),
        };
        if keep.essence {
            // A definition that cannot be read differs from everything that was reviewed.
            shown.essences.insert(essence(definition).unwrap_or_else(Essence::unknown));
        }
        if keep.interface {
            shown.interface = interface_of(definition);
        }
        let Some(schemas) = keep.schema else { return };
        let schema = member(definition, "inputSchema").map(|(schema, _)| schema);
        let schema = schema.filter(|schema| self.schema_bytes + schema.len() <= SCHEMA_BYTES_MAX);
        shown.schema = match (&shown.schema, schema) {
            (KeptSchema::Nothing, Some(schema)) => {
                self.schema_bytes += schema.len();
                KeptSchema::Schema(schemas.of(schema))
            }
            (KeptSchema::Schema(known), Some(schema)) if *known.text == *schema => return,
            (KeptSchema::Nothing | KeptSchema::Schema(_) | KeptSchema::Doubt, _) => KeptSchema::Doubt,
        };
    }

    /// Whether the list has this tool. True for every name once it has [`LISTED_TOOLS_MAX`], as others were forgotten:
    /// a call then never counts as one of an unlisted tool.
    pub fn names(&self, tool: &str) -> bool {
        self.tools.len() >= LISTED_TOOLS_MAX || self.tools.contains_key(tool)
    }

    /// Whether a tool that the policy lists names this resource, or without one any, as its interface.
    fn has_interface(&self, uri: Option<&str>, policy: &Policy) -> bool {
        let is_it = |interface: &str| uri.is_none_or(|uri| uri == interface);
        self.tools.iter().any(|(name, shown)| shown.interface.as_deref().is_some_and(is_it) && is_listed(policy, name))
    }

    /// The names of the tools that are remembered, in no order.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }
}

/// A list whose pages have not all come yet, and the generation that its first page was asked for in.
#[derive(Debug, Default)]
pub struct Coming {
    /// What has come of the list.
    pub listing: Listing,
    generation: u64,
}

impl Coming {
    /// An empty list that is asked for at this moment.
    pub fn asked(now: Moment) -> Self {
        Self { listing: Listing::default(), generation: now.generation }
    }
}

/// A moment at which a view is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The point in time.
    pub at: Instant,
    /// How often the server has taken its list back by then; a list of an earlier generation says nothing any more.
    pub generation: u64,
}

/// A list whose pages have all come, when that was, and the generation that its first page was asked for in.
#[derive(Debug)]
struct Whole {
    listing: Arc<Listing>,
    since: Instant,
    generation: u64,
}

/// What one client has been shown of a server's tools.
#[derive(Debug, Default)]
pub struct View {
    /// The newest list whose pages have all come.
    newest: Option<Whole>,
    /// The list that the client is asking for page by page; of two at a time the one that began later.
    client: Option<Coming>,
    /// How long a list counts for the lock. For ever if `None`: where the server's `list_changed` always arrives.
    age_max: Option<Duration>,
}

impl View {
    /// A view whose lists count for the lock until they are this old.
    pub fn aging(age_max: Duration) -> Self {
        Self { age_max: Some(age_max), ..Self::default() }
    }

    /// Takes a page that the client was shown. `first` is the generation that a first page was asked for in, `None` for
    /// later pages; `more` says whether others follow. A last page completes the list that began last, or nothing if
    /// none is under way. Returns a list that came as one page.
    pub fn page(
        &mut self,
        first: Option<u64>,
        more: bool,
        now: Moment,
        fill: impl FnOnce(&mut Listing),
    ) -> Option<Arc<Listing>> {
        if let Some(generation) = first {
            self.client = Some(Coming { listing: Listing::default(), generation });
        }
        let client = self.client.as_mut()?;
        fill(&mut client.listing);
        if more {
            return None;
        }
        let Coming { listing, generation } = self.client.take()?;
        let listing = Arc::new(listing);
        self.whole(generation, Arc::clone(&listing), now);
        first.map(|_| listing)
    }

    /// Makes a list the newest one. It was asked for in `generation`: one that the server has taken back since is
    /// dropped.
    pub fn whole(&mut self, generation: u64, listing: Arc<Listing>, now: Moment) {
        if generation == now.generation {
            self.newest = Some(Whole { listing, since: now.at, generation });
        }
    }

    /// Makes a list the newest one that the gateway has asked for on behalf of the client.
    pub fn complete(&mut self, Coming { listing, generation }: Coming, now: Moment) {
        self.whole(generation, Arc::new(listing), now);
    }

    /// Forgets all lists.
    pub fn clear(&mut self) {
        (self.newest, self.client) = (None, None);
    }

    fn whole_of(&self, now: Moment) -> Option<&Whole> {
        self.newest.as_ref().filter(|whole| whole.generation == now.generation)
    }

    /// Whether an earlier page of the list that the client is being shown has this tool.
    pub fn has_come(&self, tool: &str) -> bool {
        self.client.as_ref().is_some_and(|client| client.listing.tools.contains_key(tool))
    }

    /// The newest whole list; `None` before the first, and after the server took it back.
    pub fn newest(&self, now: Moment) -> Option<&Arc<Listing>> {
        self.whole_of(now).map(|whole| &whole.listing)
    }

    /// Whether a tool that the client was shown, and that its policy lists, names this resource as its interface. Without a
    /// resource, whether some tool may name any: unless a list tells, one may.
    pub fn has_interface(&self, uri: Option<&str>, policy: &Policy, now: Moment) -> bool {
        self.client.as_ref().is_some_and(|client| client.listing.has_interface(uri, policy))
            || match self.newest(now) {
                Some(listing) => listing.has_interface(uri, policy),
                None => uri.is_none() && policy.lists_any_tool(),
            }
    }

    /// What the newest list that has a tool says of it. A page of a list that is not whole yet is newer than the last
    /// whole list.
    fn shown(&self, tool: &str, now: Moment) -> Option<&Shown> {
        let coming = self.client.as_ref().and_then(|client| client.listing.tools.get(tool));
        coming.or_else(|| self.newest(now)?.tools.get(tool))
    }

    /// The newest whole list, if it is not too old for the lock.
    fn fresh(&self, now: Moment) -> Option<&Whole> {
        let is_new =
            |whole: &&Whole| self.age_max.is_none_or(|max| now.at.saturating_duration_since(whole.since) < max);
        self.whole_of(now).filter(is_new)
    }

    /// What an approval of a call of this tool is bound to: its definition in the newest list, which is not too old. Of one
    /// that the list has not it is nothing.
    fn definition(&self, tool: &str, now: Moment) -> Option<[u8; 32]> {
        let coming = self.client.as_ref().and_then(|client| client.listing.tools.get(tool));
        coming.or_else(|| self.fresh(now)?.listing.tools.get(tool))?.definition()
    }

    /// Whether only a list can tell what a question to a person about this tool would be about.
    fn wants_definition(&self, policy: &Policy, tool: &str, now: Moment) -> bool {
        policy.wants_approval(tool)
            && self.definition(tool, now).is_none()
            && self.fresh(now).is_none_or(|whole| whole.listing.tools.contains_key(tool))
    }

    /// How a tool differs from what was reviewed, by the newest list that has it; a whole list that is too old says
    /// nothing.
    pub fn change(&self, tool: &str, reviewed: &Reviewed, now: Moment) -> Option<ToolChange> {
        let newer = self.client.as_ref().and_then(|client| client.listing.tools.get(tool));
        let newer = newer.and_then(|shown| shown.change(tool, reviewed));
        let Some(whole) = self.fresh(now) else { return newer.or(Some(ToolChange::Unseen)) };
        newer.or_else(|| match whole.listing.tools.get(tool) {
            Some(shown) => shown.change(tool, reviewed),
            None => reviewed.change(tool, &BTreeSet::new()),
        })
    }

    /// The schema for a call's arguments, where the policy wants one: the locked one, else the one shown last.
    fn schema(&self, policy: &Policy, guard: Option<&Guard>, tool: &str, now: Moment) -> Option<Arc<ArgumentSchema>> {
        if !policy.wants_schema(tool) {
            return None;
        }
        if let Some(locked) = guard.and_then(|guard| guard.schema(tool)) {
            return locked.compiled();
        }
        match &self.shown(tool, now)?.schema {
            KeptSchema::Schema(schema) => schema.compiled(),
            KeptSchema::Nothing | KeptSchema::Doubt => None,
        }
    }

    /// What calls of a tool repeat in headers, as the newest list has it; `None` where that cannot be told.
    pub fn parameters(&self, tool: &str, now: Moment) -> Option<Arc<[Parameter]>> {
        self.shown(tool, now)?.parameters.clone()
    }

    /// Whether the gateway must ask for a list before it can decide on a call of this tool.
    pub fn wants_list(&self, policy: &Policy, guard: Option<&Guard>, tool: &str, now: Moment) -> bool {
        if !is_listed(policy, tool) {
            return false;
        }
        if guard.is_some_and(|guard| self.change(tool, &guard.reviewed(), now) == Some(ToolChange::Unseen)) {
            return true;
        }
        if self.wants_definition(policy, tool, now) {
            return true;
        }
        if policy.wants_schema(tool) && guard.and_then(|guard| guard.schema(tool)).is_none() {
            return match self.shown(tool, now) {
                Some(shown) => matches!(shown.schema, KeptSchema::Nothing),
                None => self.newest(now).is_none(),
            };
        }
        (policy.hides_among_allowed(tool) || policy.may_be_named_otherwise(tool))
            && self.newest(now).is_none()
            && self.shown(tool, now).is_none()
    }

    /// What the lists say against a call of this tool. Where the policy hides tools among those that it allows, a tool
    /// that the server does not list may be a hidden one under another name; and where it allows what it does not name,
    /// a name that no list shows may be one that has rules, spelled otherwise.
    fn against(&self, policy: &Policy, guard: Option<&Guard>, tool: &str, now: Moment) -> Option<ToolChange> {
        if self.shown(tool, now).is_none() {
            let is_unlisted = self.newest(now).is_some_and(|listing| !listing.names(tool));
            if (is_unlisted && policy.hides_among_allowed(tool)) || policy.may_be_named_otherwise(tool) {
                return Some(ToolChange::Unlisted);
            }
        }
        self.change(tool, &guard?.reviewed(), now)
    }
}

/// The resource that a definition's `_meta` names as the tool's interface (MCP Apps): one of the scheme `ui`.
fn interface_of(definition: &str) -> Option<Box<str>> {
    let (meta, _) = member(definition, "_meta")?;
    let nested = member(meta, "ui").and_then(|(ui, _)| member(ui, "resourceUri"));
    let (literal, _) = nested.or_else(|| member(meta, "ui/resourceUri"))?;
    string_value(literal).filter(|uri| uri.starts_with("ui://") && uri.len() <= INTERFACE_BYTES_MAX).map(Into::into)
}

/// What the lists that a client was shown say of a tool that it calls.
#[derive(Debug, Default)]
pub struct Facts {
    /// The schema for the arguments, where the policy wants one.
    pub schema: Option<Arc<ArgumentSchema>>,
    /// How the tool differs from the lock or the list, if the call is to be refused for it.
    pub change: Option<ToolChange>,
    /// What the newest list says of the tool, as a hash, where approvals are bound to it.
    pub definition: Option<[u8; 32]>,
    /// What calls of the tool repeat in headers, where that is known.
    pub parameters: Option<Arc<[Parameter]>>,
}

impl View {
    /// What the lists say of a tool that the client calls. A change that the lock only warns of is logged and told
    /// here, and not among the facts.
    pub fn facts(
        &self,
        policy: &Policy,
        guard: Option<&Guard>,
        tool: &str,
        now: Moment,
        (whose, decider): (&Whose, &Decider),
    ) -> Facts {
        let change = self.against(policy, guard, tool, now).and_then(|change| match (change, guard) {
            (ToolChange::Unlisted, _) | (_, None) => Some(change),
            (_, Some(guard)) => guard.refuses(change, tool, is_listed(policy, tool), whose, decider),
        });
        Facts {
            schema: self.schema(policy, guard, tool, now),
            change,
            definition: if policy.wants_approval(tool) { self.definition(tool, now) } else { None },
            parameters: self.parameters(tool, now),
        }
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
