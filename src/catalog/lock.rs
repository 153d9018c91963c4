//! `mcpol.lock`: what was reviewed. One entry a server, one a tool, with the definition itself, so that a later reader
//! sees what changed and not only that a hash did.
//!
//! The file holds no time, no host and no secret. Servers stand in the order of their names, tools too.

use super::normal::{self, PartFingerprints, Parts};
use super::record::{recorded, unlisted};
use crate::model::{
    BlastRadius, Category, Classified, Extra, ExtraKind, Extras, Fingerprint, Flag, Greeting, Listing, Offered,
    RiskLevel, ServerInfo, ServerName, ServerSource, ToolDefinition, Verdict,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The value of `format` in every lock.
pub const LOCK_FORMAT: &str = "mcpol-lock";
/// The value of `version`: it grows when a member changes its meaning.
pub const LOCK_VERSION: u32 = 1;

/// A whole lock in memory. Locks of whole registries are read server by server instead ([`super::LockFile`]).
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "mcpol.lock")]
pub struct Lock {
    /// Always `mcpol-lock`.
    pub format: String,
    /// Version of this format.
    pub version: u32,
    /// SHA-256 over the rules that the classes were made with, the user's layers and overrides included.
    pub rules: String,
    /// Sorted by name, then by source.
    pub servers: Vec<LockedServer>,
}

/// One server as it was reviewed.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedServer {
    /// What the server is called here.
    #[schemars(with = "String")]
    pub server: ServerName,
    /// Where it was found; secrets in arguments and URLs are left out.
    pub source: ServerSource,
    /// Negotiated protocol revision, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<String>,
    /// What the server calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_info: Option<ServerInfo>,
    /// What else it says of itself. Absent where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<Greeting>,
    /// Capabilities that the client declared when it asked: some servers offer more tools to more capable clients.
    /// Absent where a saved list did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_capabilities: Option<BTreeSet<String>>,
    /// The server's `instructions` to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The server's `capabilities` as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, serde_json::Value>>")]
    pub capabilities: Option<Box<RawValue>>,
    /// Prompts as received, sorted by name. Absent where nobody asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<BTreeMap<String, serde_json::Value>>>")]
    pub prompts: Option<Vec<Box<RawValue>>>,
    /// Resources as received, sorted by URI. Absent where nobody asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<BTreeMap<String, serde_json::Value>>>")]
    pub resources: Option<Vec<Box<RawValue>>>,
    /// Resource templates as received, sorted by URI template. Absent where nobody asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<BTreeMap<String, serde_json::Value>>>")]
    pub resource_templates: Option<Vec<Box<RawValue>>>,
    /// What the server declared that it offers and did not list.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unlisted: BTreeSet<ExtraKind>,
    /// SHA-256 of the policy that was in force when this was reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Path of that policy from the folder of the lock, with `/` between its parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<String>,
    /// How many entries of the server's list are no tools, or cannot be read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreadable_tools: usize,
    /// SHA-256 over the instructions, the number of unreadable entries and, of every tool, the fingerprints and the
    /// class; where they are recorded, also over the capabilities, the server's name and title, what else it says of
    /// itself, prompts, resources and templates: a seal against editing by hand.
    pub fingerprint: String,
    /// Sorted by name; a name that the server lists twice stands here twice.
    pub tools: Vec<LockedTool>,
}

/// One tool as it was reviewed.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockedTool {
    /// The name, as declared.
    pub name: String,
    /// What the tool does at worst.
    pub category: Category,
    /// The worse of the category's nature and the blast radius.
    pub risk: RiskLevel,
    /// How much one wrong call can cost.
    pub blast_radius: BlastRadius,
    /// What else is true of it.
    pub flags: BTreeSet<Flag>,
    /// SHA-256 of each part in canonical form.
    pub fingerprints: PartFingerprints,
    /// The definition as received, its members sorted by key.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub definition: Box<RawValue>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn owned(definitions: Option<Vec<&RawValue>>) -> Option<Vec<Box<RawValue>>> {
    definitions.map(|definitions| definitions.into_iter().map(RawValue::to_owned).collect())
}

impl Lock {
    /// A lock of servers, in the order that the file has.
    pub fn new(rules: String, mut servers: Vec<LockedServer>) -> Self {
        servers.sort_by_cached_key(LockedServer::order);
        Self { format: LOCK_FORMAT.to_owned(), version: LOCK_VERSION, rules, servers }
    }
}

impl LockedServer {
    /// What is written down about a classified server.
    pub fn of(classified: &Classified, policy: Option<&str>) -> Self {
        let listing = &classified.listing;
        let pairs = listing.tools.iter().zip(&classified.verdicts);
        let mut tools: Vec<_> = pairs.map(|(tool, verdict)| LockedTool::of(tool, verdict)).collect();
        tools.sort_by(|a, b| (&a.name, &a.fingerprints).cmp(&(&b.name, &b.fingerprints)));
        let mut locked = Self { policy: policy.map(str::to_owned), tools, ..Self::unjudged(listing) };
        locked.seal();
        locked
    }

    /// What a listing says of itself, without tools.
    pub fn unjudged(listing: &Listing) -> Self {
        Self {
            server: listing.server.clone(),
            source: super::redact::source(&listing.source),
            protocol_version: listing.protocol_version.clone(),
            server_info: listing.server_info.clone(),
            greeting: listing.greeting.clone(),
            client_capabilities: listing.client_capabilities.clone(),
            instructions: listing.instructions.clone(),
            capabilities: listing.capabilities.clone(),
            prompts: owned(recorded(&listing.extras, ExtraKind::Prompt)),
            resources: owned(recorded(&listing.extras, ExtraKind::Resource)),
            resource_templates: owned(recorded(&listing.extras, ExtraKind::Template)),
            unlisted: unlisted(&listing.extras),
            policy: None,
            policy_file: None,
            unreadable_tools: listing.unreadable,
            fingerprint: String::new(),
            tools: Vec::new(),
        }
    }

    /// Computes `fingerprint` again after tools or instructions were replaced.
    pub fn seal(&mut self) {
        self.fingerprint = self.computed_fingerprint();
    }

    /// The fingerprint that the tools and instructions should have.
    pub fn computed_fingerprint(&self) -> String {
        let tools: Vec<_> = self
            .tools
            .iter()
            .map(|tool| json!([tool.fingerprints, tool.category, tool.risk, tool.blast_radius, tool.flags]))
            .collect();
        let mut parts = vec![json!(self.instructions), json!(self.unreadable_tools), json!(tools)];
        // Locks of earlier days have none of this, and keep the seal that they have.
        let kinds = ExtraKind::ALL.map(|kind| self.definitions(kind));
        if self.capabilities.is_some() || !self.unlisted.is_empty() || kinds.iter().any(Option::is_some) {
            let value = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).unwrap_or_default();
            let list = |definitions: &[Box<RawValue>]| -> Vec<Value> {
                definitions.iter().map(|definition| normal::extra(value(definition))).collect()
            };
            let capabilities = self.capabilities.as_deref().map(value);
            let info = self.server_info.as_ref().map(|info| (&info.name, &info.title));
            parts.push(json!([capabilities, info, kinds.map(|kind| kind.map(list)), self.unlisted]));
        }
        if let Some(greeting) = &self.greeting {
            parts.push(json!({"greeting": greeting, "server_info": self.server_info}));
        }
        Fingerprint::of(&Value::Array(parts)).as_str().to_owned()
    }

    /// The recorded definitions of a kind; `None` where it is not recorded.
    pub fn definitions(&self, kind: ExtraKind) -> Option<&[Box<RawValue>]> {
        match kind {
            ExtraKind::Prompt => self.prompts.as_deref(),
            ExtraKind::Resource => self.resources.as_deref(),
            ExtraKind::Template => self.resource_templates.as_deref(),
        }
    }

    /// Replaces the recorded definitions of a kind.
    pub fn set_definitions(&mut self, kind: ExtraKind, definitions: Option<Vec<Box<RawValue>>>) {
        match kind {
            ExtraKind::Prompt => self.prompts = definitions,
            ExtraKind::Resource => self.resources = definitions,
            ExtraKind::Template => self.resource_templates = definitions,
        }
    }

    /// What is recorded of prompts, resources and templates. A definition that is none any more is left out.
    pub fn extras(&self) -> Extras {
        let mut extras = Extras::not_recorded();
        for kind in ExtraKind::ALL {
            match self.definitions(kind) {
                Some(definitions) => {
                    let parsed = definitions.iter().filter_map(|raw| Extra::parse(kind, raw).ok());
                    extras.set(kind, Offered::Listed(parsed.collect()));
                }
                None if self.unlisted.contains(&kind) => extras.set(kind, Offered::Refused),
                None => {}
            }
        }
        extras
    }

    /// Whether the listing declares the same tools and says the same to the model, in whatever order.
    pub fn declares_the_same(&self, listing: &Listing) -> bool {
        if self.instructions != listing.instructions
            || self.unreadable_tools != listing.unreadable
            || self.tools.len() != listing.tools.len()
        {
            return false;
        }
        let mut prints: Vec<_> = listing.tools.iter().map(|tool| Parts::of(tool).fingerprints()).collect();
        let mut locked: Vec<_> = self.tools.iter().map(|tool| &tool.fingerprints).collect();
        prints.sort();
        locked.sort();
        prints.iter().eq(locked)
    }

    /// What a lock is sorted by.
    pub fn order(&self) -> (String, String) {
        // A source holds only text and sets of text: it always has a JSON form.
        (self.server.as_str().to_owned(), serde_json::to_string(&self.source).unwrap_or_default())
    }

    /// The reviewed definitions as a listing again, so that other rules can judge them. A definition that is no tool
    /// any more is left out.
    pub fn listing(&self) -> Listing {
        let tools = self.tools.iter().filter_map(|tool| ToolDefinition::parse(&tool.definition).ok());
        Listing {
            server: self.server.clone(),
            source: self.source.clone(),
            protocol_version: self.protocol_version.clone(),
            server_info: self.server_info.clone(),
            greeting: self.greeting.clone(),
            capabilities: self.capabilities.clone(),
            client_capabilities: self.client_capabilities.clone(),
            instructions: self.instructions.clone(),
            tools: tools.collect(),
            unreadable: self.unreadable_tools,
            extras: self.extras(),
            notes: Vec::new(),
        }
    }
}

impl LockedTool {
    /// What is written down about one tool.
    pub fn of(tool: &ToolDefinition, verdict: &Verdict) -> Self {
        Self {
            name: tool.name.as_str().to_owned(),
            category: verdict.category,
            risk: verdict.risk,
            blast_radius: verdict.blast_radius,
            flags: verdict.flags.clone(),
            fingerprints: Parts::of(tool).fingerprints(),
            definition: tool.raw.clone(),
        }
    }

    /// The parts of the definition in canonical form.
    pub fn parts(&self) -> Parts {
        Parts::of_value(serde_json::from_str(self.definition.get()).unwrap_or_default())
    }
}
