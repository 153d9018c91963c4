//! What one viewer has been shown of a server's tools: calls are held to the lock, to the schema and to the list itself by
//! the newest list that this very viewer was shown, and by nobody else's.
//!
//! What is not known here is asked of the server again, so whatever is forgotten costs a question and opens nothing.

use super::schema::{Schema, Schemas, essence};
use crate::catalog::drift::{Essence, Reviewed};
use crate::gateway::audit::Whose;
use crate::gateway::desk::Desk;
use crate::gateway::locked::Guard;
use crate::mcp::walk::member;
use crate::policy::{ArgumentSchema, Policy, ToolChange, Visibility};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tools of one list that are remembered at most; further ones count as new, and as without a schema.
pub const LISTED_TOOLS_MAX: usize = 10_000;
/// Schemas of one list that are kept at most, in bytes together; calls of tools beyond are denied where the policy wants
/// their arguments held to a schema.
pub const SCHEMA_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Whether a policy lets a tool be listed.
pub fn is_listed(policy: &Policy, tool: &str) -> bool {
    policy.visible(tool) == Visibility::Listed
}

/// What is kept of a tool's schema.
#[derive(Clone, Debug, Default)]
enum Kept {
    /// Nothing, as the policy did not ask for it when the list came.
    #[default]
    Nothing,
    Schema(Arc<Schema>),
    /// There is none that can be relied on: it is missing, too long, or listed in two ways.
    Doubt,
}

/// One tool of a list.
#[derive(Debug, Default)]
struct Shown {
    /// What each of its definitions says, where a lock wants to know.
    essences: BTreeSet<Essence>,
    schema: Kept,
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
    /// What it says, as a lock compares it.
    pub essence: bool,
    /// The schema, and where schemas are kept.
    pub schema: Option<&'k Schemas>,
}

impl Listing {
    /// Takes one tool of a page.
    pub fn take(&mut self, name: &str, definition: &str, keep: Keep<'_>) {
        if self.tools.len() >= LISTED_TOOLS_MAX && !self.tools.contains_key(name) {
            return;
        }
        let shown = self.tools.entry(name.to_owned()).or_default();
        if keep.essence {
            // What cannot be read is like nothing that was reviewed.
            shown.essences.insert(essence(definition).unwrap_or_else(Essence::unknown));
        }
        let Some(schemas) = keep.schema else { return };
        let schema = member(definition, "inputSchema").map(|(schema, _)| schema);
        let schema = schema.filter(|schema| self.schema_bytes + schema.len() <= SCHEMA_BYTES_MAX);
        shown.schema = match (&shown.schema, schema) {
            (Kept::Nothing, Some(schema)) => {
                self.schema_bytes += schema.len();
                Kept::Schema(schemas.of(schema))
            }
            (Kept::Schema(known), Some(schema)) if *known.text == *schema => return,
            (Kept::Nothing | Kept::Schema(_) | Kept::Doubt, _) => Kept::Doubt,
        };
    }

    /// Whether it names a tool. True for all once there are too many to remember.
    pub fn names(&self, tool: &str) -> bool {
        self.tools.len() >= LISTED_TOOLS_MAX || self.tools.contains_key(tool)
    }

    /// The tools in it, in no order.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }
}

/// A list that is under way.
#[derive(Debug, Default)]
pub struct Coming {
    /// What has come of it.
    pub listing: Listing,
    generation: u64,
}

impl Coming {
    /// A list that is asked for at this moment.
    pub fn asked(now: Moment) -> Self {
        Self { listing: Listing::default(), generation: now.generation }
    }
}

/// A moment at which a view is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time.
    pub at: Instant,
    /// How often the server has taken its list back by then; what was listed before says nothing any more.
    pub generation: u64,
}

/// A list that is whole.
#[derive(Debug)]
struct Whole {
    listing: Arc<Listing>,
    since: Instant,
    generation: u64,
}

/// What one viewer has been shown.
#[derive(Debug, Default)]
pub struct View {
    /// The newest list that is whole.
    newest: Option<Whole>,
    /// The client's list that is under way; of two at a time the one that began later.
    client: Option<Coming>,
    /// How long a list counts for the lock; for ever where the server's word that its tools have changed always arrives.
    age_max: Option<Duration>,
}

impl View {
    /// A view whose lists count for so long only.
    pub fn aging(age_max: Duration) -> Self {
        Self { age_max: Some(age_max), ..Self::default() }
    }

    /// A page of the client's list; `first` is the generation in which a first page was asked for, `more` whether others
    /// follow. The last page of a list that another overtook completes nothing. Answers a list that came as one page.
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

    /// A list has come as a whole that was asked for in this generation. One that the server took back meanwhile says
    /// nothing.
    pub fn whole(&mut self, generation: u64, listing: Arc<Listing>, now: Moment) {
        if generation == now.generation {
            self.newest = Some(Whole { listing, since: now.at, generation });
        }
    }

    /// A list that the gateway has asked for on behalf of the viewer is whole.
    pub fn complete(&mut self, Coming { listing, generation }: Coming, now: Moment) {
        self.whole(generation, Arc::new(listing), now);
    }

    /// Nothing of what was shown counts any more.
    pub fn clear(&mut self) {
        (self.newest, self.client) = (None, None);
    }

    fn whole_of(&self, now: Moment) -> Option<&Whole> {
        self.newest.as_ref().filter(|whole| whole.generation == now.generation)
    }

    /// The newest list that is whole; none before the first, and none after the server took it back.
    pub fn newest(&self, now: Moment) -> Option<&Arc<Listing>> {
        self.whole_of(now).map(|whole| &whole.listing)
    }

    /// What the newest list that has a tool says of it: a page of a list that is not whole yet knows more than the list
    /// before.
    fn shown(&self, tool: &str, now: Moment) -> Option<&Shown> {
        let coming = self.client.as_ref().and_then(|client| client.listing.tools.get(tool));
        coming.or_else(|| self.newest(now)?.tools.get(tool))
    }

    /// How a tool differs from what was reviewed, by the newest list; one that is too old says nothing.
    pub fn change(&self, tool: &str, reviewed: &Reviewed, now: Moment) -> Option<ToolChange> {
        let newer = self.client.as_ref().and_then(|client| client.listing.tools.get(tool));
        let newer = newer.and_then(|shown| reviewed.change(tool, &shown.essences));
        let is_new =
            |whole: &&Whole| self.age_max.is_none_or(|max| now.at.saturating_duration_since(whole.since) < max);
        let Some(whole) = self.whole_of(now).filter(is_new) else { return newer.or(Some(ToolChange::Unseen)) };
        let none = BTreeSet::new();
        newer.or_else(|| reviewed.change(tool, whole.listing.tools.get(tool).map_or(&none, |shown| &shown.essences)))
    }

    /// The schema for a call's arguments, where the policy wants one: as it was locked, else as it was shown last.
    fn schema(&self, policy: &Policy, guard: Option<&Guard>, tool: &str, now: Moment) -> Option<Arc<ArgumentSchema>> {
        if !policy.wants_schema(tool) {
            return None;
        }
        if let Some(locked) = guard.and_then(|guard| guard.schema(tool)) {
            return locked.compiled();
        }
        match &self.shown(tool, now)?.schema {
            Kept::Schema(schema) => schema.compiled(),
            Kept::Nothing | Kept::Doubt => None,
        }
    }

    /// Whether only a list can tell what becomes of a call of this tool.
    pub fn wants_list(&self, policy: &Policy, guard: Option<&Guard>, tool: &str, now: Moment) -> bool {
        if !is_listed(policy, tool) {
            return false;
        }
        if guard.is_some_and(|guard| self.change(tool, &guard.reviewed(), now) == Some(ToolChange::Unseen)) {
            return true;
        }
        if policy.wants_schema(tool) && guard.and_then(|guard| guard.schema(tool)).is_none() {
            return match self.shown(tool, now) {
                Some(shown) => matches!(shown.schema, Kept::Nothing),
                None => self.newest(now).is_none(),
            };
        }
        policy.hides_among_allowed(tool) && self.newest(now).is_none() && self.shown(tool, now).is_none()
    }

    /// What the lists say against a call of this tool, whatever a lock does about it. Where the policy hides tools among
    /// those that it allows, one that the server does not list may be a hidden one by another name.
    fn against(&self, policy: &Policy, guard: Option<&Guard>, tool: &str, now: Moment) -> Option<ToolChange> {
        if policy.hides_among_allowed(tool)
            && self.newest(now).is_some_and(|listing| !listing.names(tool))
            && self.shown(tool, now).is_none()
        {
            return Some(ToolChange::Unlisted);
        }
        self.change(tool, &guard?.reviewed(), now)
    }
}

/// What the lists say of a called tool.
#[derive(Debug, Default)]
pub struct Facts {
    /// The schema for the arguments, where the policy wants one.
    pub schema: Option<Arc<ArgumentSchema>>,
    /// What is to be held against the call.
    pub change: Option<ToolChange>,
}

impl View {
    /// What the lists say of a called tool, and what the lock makes of it: a change that is only to be said is said.
    pub fn facts(
        &self,
        policy: &Policy,
        guard: Option<&Guard>,
        tool: &str,
        now: Moment,
        (whose, desk): (&Whose, &Desk),
    ) -> Facts {
        let change = self.against(policy, guard, tool, now).and_then(|change| match (change, guard) {
            (ToolChange::Unlisted, _) | (_, None) => Some(change),
            (_, Some(guard)) => guard.refuses(change, tool, is_listed(policy, tool), whose, desk),
        });
        Facts { schema: self.schema(policy, guard, tool, now), change }
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
