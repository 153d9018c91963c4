//! Which tools of a live server are not as they were reviewed: what the gateway refuses with `--locked`.

use super::extras::as_read;
use super::greeting::ReviewedGreeting;
use super::template;
use crate::catalog::{LockedServer, Parts};
use crate::mcp::walk::member;
use crate::model::{Extra, ExtraKind, Fingerprint, Listing, ToolDefinition};
use crate::policy::ToolChange;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Every part that a model or a person goes by, as fingerprints of what is read in it: title, description, both schemas,
/// annotations, `_meta`, members that the specification does not know, and of icons the addresses. White space between
/// words changes none of them.
///
/// SHA-256 over all of them: a gateway keeps one for every tool of every session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Essence([u8; 32]);

impl Essence {
    /// Of a definition as it is listed now.
    pub fn of(tool: &ToolDefinition) -> Self {
        Self::of_parts(Parts::of(tool))
    }

    /// Of a definition that cannot be read: like none that was reviewed.
    pub fn unknown() -> Self {
        Self([0; 32])
    }

    /// Of all definitions of one name: their own if there is one; `None` if there is none.
    pub fn of_all(all: &BTreeSet<Self>) -> Option<[u8; 32]> {
        let mut each = all.iter();
        let first = each.next()?;
        let more: Vec<&Self> = each.collect();
        if more.is_empty() {
            return Some(first.0);
        }
        let mut hash = Sha256::new_with_prefix(first.0);
        more.into_iter().for_each(|other| hash.update(other.0));
        Some(hash.finalize().into())
    }

    fn of_parts(parts: Parts) -> Self {
        let mut parts = parts.as_read();
        if let Some(Value::Array(icons)) = parts.other.get_mut("icons") {
            // An address is fetched and may be shown; how large the picture is matters to no one.
            icons.iter_mut().for_each(|icon| *icon = icon.get("src").cloned().unwrap_or_default());
        }
        let prints = parts.fingerprints();
        let mut hash = Sha256::new();
        let parts = [
            &prints.title,
            &prints.description,
            &prints.input_schema,
            &prints.output_schema,
            &prints.annotations,
            &prints.other,
        ];
        for part in parts {
            // A part that is missing is not one that is empty, and none may end where another begins.
            hash.update(part.as_ref().map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            hash.update(part.as_deref().unwrap_or_default());
        }
        Self(hash.finalize().into())
    }
}

/// The tools of one server as they were reviewed, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    tools: HashMap<String, BTreeSet<Essence>>,
    /// The input schemas, as JSON; none of a name with several that differ.
    schemas: HashMap<String, Option<Box<str>>>,
    instructions: BTreeSet<String>,
    greeting: ReviewedGreeting,
    /// Fingerprints of what is offered beside tools, by key. A kind that the lock does not record has no entry.
    extras: BTreeMap<ExtraKind, HashMap<String, BTreeSet<String>>>,
}

impl Reviewed {
    /// What the entries of a lock say; several entries of one server count together.
    pub fn of<'a>(servers: impl IntoIterator<Item = &'a LockedServer>) -> Self {
        let mut reviewed = Self::default();
        for server in servers {
            reviewed.instructions.extend(server.instructions.clone());
            reviewed.greeting.add(server);
            for kind in ExtraKind::ALL {
                let Some(definitions) = server.definitions(kind) else { continue };
                let known = reviewed.extras.entry(kind).or_default();
                for extra in definitions.iter().filter_map(|raw| Extra::parse(kind, raw).ok()) {
                    known.entry(extra.key.clone()).or_default().insert(print(&extra));
                }
            }
            for tool in &server.tools {
                let essence = Essence::of_parts(tool.parts());
                reviewed.tools.entry(tool.name.clone()).or_default().insert(essence);
                let schema = member(tool.definition.get(), "inputSchema").map(|(schema, _)| schema);
                match reviewed.schemas.get_mut(&tool.name) {
                    Some(known) if known.as_deref() != schema => *known = None,
                    Some(_) => {}
                    None => drop(reviewed.schemas.insert(tool.name.clone(), schema.map(Into::into))),
                }
            }
        }
        reviewed
    }

    /// Whether these instructions to the model were reviewed; none at all need no review.
    pub fn instructs(&self, instructions: &str) -> bool {
        instructions.is_empty() || self.instructions.contains(instructions)
    }

    /// What else of the server's greeting was reviewed.
    pub fn greeting(&self) -> &ReviewedGreeting {
        &self.greeting
    }

    /// Whether the lock says anything of a kind of what is offered beside tools.
    pub fn records(&self, kind: ExtraKind) -> bool {
        self.extras.contains_key(&kind)
    }

    /// Whether a definition of this kind is one that was reviewed. Of a kind that the lock does not record every one is.
    pub fn offers(&self, kind: ExtraKind, definition: &RawValue) -> bool {
        let Some(known) = self.extras.get(&kind) else { return true };
        Extra::parse(kind, definition)
            .is_ok_and(|extra| known.get(&extra.key).is_some_and(|prints| prints.contains(&print(&extra))))
    }

    /// Whether a prompt of this name was reviewed.
    pub fn has_prompt(&self, name: &str) -> bool {
        self.extras.get(&ExtraKind::Prompt).is_none_or(|known| known.contains_key(name))
    }

    /// Whether a resource at this URI was reviewed, or a template that leads there.
    pub fn has_resource(&self, uri: &str) -> bool {
        let Some(known) = self.extras.get(&ExtraKind::Resource) else { return true };
        let Some(templates) = self.extras.get(&ExtraKind::Template) else { return true };
        known.contains_key(uri) || templates.keys().any(|template| template::leads_to(template, uri))
    }

    /// How many tools were reviewed.
    pub fn count(&self) -> usize {
        self.tools.len()
    }

    /// Whether a tool of this name was reviewed.
    pub fn has(&self, name: &str) -> bool {
        self.tools.contains_key(name)
    }

    /// What passes that another version of the lock would not have let pass, in words.
    pub fn accepts_beyond(&self, old: &Self) -> Vec<String> {
        let mut beyond = BTreeSet::new();
        for (name, known) in &self.tools {
            match old.tools.get(name) {
                None => beyond.insert(format!("{name}: accepted")),
                Some(before) if !known.is_subset(before) => beyond.insert(format!("{name}: accepted as it is now")),
                Some(_) => false,
            };
        }
        if !self.instructions.is_subset(&old.instructions) {
            beyond.insert("other instructions of the server: accepted".to_owned());
        }
        if self.greeting != old.greeting {
            beyond.insert("what the server says of itself: accepted as it is now".to_owned());
        }
        for (kind, before) in &old.extras {
            let Some(known) = self.extras.get(kind) else {
                beyond.insert(format!("every {}: accepted, as the lock has none any more", kind.as_str()));
                continue;
            };
            for (key, prints) in known {
                if !before.get(key).is_some_and(|before| prints.is_subset(before)) {
                    beyond.insert(format!("{} {key}: accepted", kind.as_str()));
                }
            }
        }
        beyond.into_iter().collect()
    }

    /// The input schema of a tool as it was reviewed, as JSON.
    pub fn schema(&self, name: &str) -> Option<&str> {
        self.schemas.get(name)?.as_deref()
    }

    /// How a tool with these definitions differs; no definition is one that is not listed. Of a name that is listed
    /// twice every definition must be one that was reviewed.
    pub fn change(&self, name: &str, listed: &BTreeSet<Essence>) -> Option<ToolChange> {
        match self.tools.get(name) {
            None => Some(ToolChange::New),
            Some(_) if listed.is_empty() => Some(ToolChange::Gone),
            Some(known) => (!listed.is_subset(known)).then_some(ToolChange::Changed),
        }
    }
}

fn print(extra: &Extra) -> String {
    Fingerprint::of(&Value::Object(as_read(extra))).as_str().to_owned()
}

/// The tools that are not as they were locked, by name; a tool that is not in the map is unchanged.
pub fn changes(was: &LockedServer, now: &Listing) -> BTreeMap<String, ToolChange> {
    let reviewed = Reviewed::of([was]);
    let mut listed: BTreeMap<&str, BTreeSet<Essence>> = BTreeMap::new();
    for tool in &now.tools {
        listed.entry(tool.name.as_str()).or_default().insert(Essence::of(tool));
    }
    for tool in &was.tools {
        listed.entry(&tool.name).or_default();
    }
    let changed =
        listed.into_iter().filter_map(|(name, listed)| Some((name.to_owned(), reviewed.change(name, &listed)?)));
    changed.collect()
}
