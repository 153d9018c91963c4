//! What a scan found, as the types that every output format is made from and that the JSON Schemas are generated from.

use super::document::Document;
use crate::catalog::canonical_extra;
use crate::model::{
    BlastRadius, Category, Classified, Confidence, Evidence, Extra, ExtraKind, Extras, Finding, Fingerprint, Flag,
    Greeting, Note, Offered, RiskLevel, ServerInfo, ServerName, ServerSource, SetFinding, ToolDefinition, Verdict,
};
use crate::tokens;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The value of `version` in JSON and NDJSON: it grows when a member changes its meaning or goes away.
pub const SCAN_VERSION: u32 = 1;

/// The result of `mcpol scan --format json`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol scan")]
pub struct ScanReport<'a> {
    /// Version of this format.
    pub version: u32,
    /// In the order of their names, then sources.
    pub servers: Vec<ScannedServer<'a>>,
    /// Findings that show only when several tools or servers are looked at together, worst first.
    pub set_findings: Vec<SetFinding>,
    /// Servers that could not be listed.
    pub failed: Vec<Failed>,
}

impl Document for ScanReport<'_> {
    const SCHEMA: &'static str = "scan";
    const COMMAND: &'static str = "scan";
}

/// One server and its tools.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ScannedServer<'a> {
    /// What the server is called here.
    #[schemars(with = "String")]
    pub server: &'a ServerName,
    /// Where it was found.
    pub source: &'a ServerSource,
    /// The clients that have it configured, where a configuration led to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found_in: Vec<FoundIn>,
    /// Negotiated protocol revision, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<&'a str>,
    /// What the server calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_info: Option<&'a ServerInfo>,
    /// What else it says of itself, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greeting: Option<&'a Greeting>,
    /// Counts.
    pub summary: Summary,
    /// Sorted by name, then by fingerprint.
    pub tools: Vec<ScannedTool<'a>>,
    /// Prompts, sorted by name; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Vec<ScannedExtra<'a>>>,
    /// Resources, sorted by URI; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<ScannedExtra<'a>>>,
    /// Resource templates, sorted by URI template; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_templates: Option<Vec<ScannedExtra<'a>>>,
    /// What the server declares that it offers and does not list.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub unlisted: BTreeSet<ExtraKind>,
    /// Findings about the server as a whole, its prompts, resources and templates included.
    pub findings: Vec<&'a Finding>,
    /// What was odd on the way.
    pub notes: Vec<&'a Note>,
}

/// A place where a server is configured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
pub struct FoundIn {
    /// The client, by its name.
    pub client: String,
    /// The client's file, and the project that the entry is for where it is for one.
    pub file: String,
}

/// One prompt, resource or template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
pub struct ScannedExtra<'a> {
    /// What tells it from others of its kind, as declared: a prompt's name, a resource's URI, a template's URI template.
    pub key: &'a str,
    /// SHA-256 over the definition in canonical form, 64 hexadecimal digits.
    pub fingerprint: String,
}

/// One tool and its verdict.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct ScannedTool<'a> {
    /// The server that offers it.
    #[schemars(with = "String")]
    pub server: &'a ServerName,
    /// The tool's name, as declared.
    pub tool: &'a str,
    /// What the tool does at worst.
    pub category: Category,
    /// The worse of the category's nature and the blast radius.
    pub risk: RiskLevel,
    /// How much one wrong call can cost.
    pub blast_radius: BlastRadius,
    /// What else is true of it.
    pub flags: &'a BTreeSet<Flag>,
    /// What its definition costs a model with every request, in tokens: an estimate (`docs/tokens.md`).
    pub tokens: u64,
    /// How sure the rules are of the category.
    pub confidence: Confidence,
    /// Why this class, for a person.
    pub reason: &'a str,
    /// Everything that spoke for or against, strongest first.
    pub evidence: &'a [Evidence],
    /// Contradictions and warnings about this tool.
    pub findings: &'a [Finding],
    /// SHA-256 over the definition in canonical form, 64 hexadecimal digits.
    pub fingerprint: String,
}

/// One line of `mcpol scan --format ndjson`: a tool, with the version of the format.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol scan line")]
pub struct ScanLine<'a> {
    /// Version of this format.
    pub version: u32,
    /// The tool.
    #[serde(flatten)]
    pub tool: ScannedTool<'a>,
}

/// A server that could not be listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
pub struct Failed {
    /// What the server is called here.
    #[schemars(with = "String")]
    pub server: ServerName,
    /// What went wrong and the next step, for people.
    pub error: String,
}

/// Counts over the tools of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Summary {
    /// Tools, one listed twice counted twice.
    pub tools: usize,
    /// Tools a category.
    #[schemars(with = "BTreeMap<String, usize>")]
    pub categories: BTreeMap<Category, usize>,
    /// Tools a risk level.
    #[schemars(with = "BTreeMap<String, usize>")]
    pub risks: BTreeMap<RiskLevel, usize>,
    /// What the definitions of all tools cost a model with every request, in tokens: an estimate (`docs/tokens.md`).
    pub tokens: u64,
    /// Findings about the tools and about the server.
    pub findings: usize,
    /// Prompts; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<usize>,
    /// Resources; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<usize>,
    /// Resource templates; absent where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_templates: Option<usize>,
}

impl<'a> ScanReport<'a> {
    /// A view of `classified`, which is sorted already; `set_findings` are those of the whole set.
    pub fn new(classified: &'a [Classified], set_findings: Vec<SetFinding>, failed: &[Failed]) -> Self {
        let mut failed = failed.to_vec();
        failed.sort();
        Self {
            version: SCAN_VERSION,
            servers: classified.iter().map(ScannedServer::new).collect(),
            set_findings,
            failed,
        }
    }

    /// With the places where each server is configured, in the order of the servers.
    #[must_use]
    pub fn found_in(mut self, places: Vec<Vec<FoundIn>>) -> Self {
        self.servers.iter_mut().zip(places).for_each(|(server, places)| server.found_in = places);
        self
    }
}

impl<'a> ScannedServer<'a> {
    /// The view of one classified server.
    pub fn new(classified: &'a Classified) -> Self {
        let listing = &classified.listing;
        let pairs = listing.tools.iter().zip(&classified.verdicts);
        let mut tools: Vec<_> = pairs.map(|(tool, verdict)| ScannedTool::new(&listing.server, tool, verdict)).collect();
        tools.sort_by(|a, b| (a.tool, &a.fingerprint).cmp(&(b.tool, &b.fingerprint)));
        let mut findings: Vec<_> = classified.findings.iter().collect();
        findings.sort();
        let mut notes: Vec<_> = listing.notes.iter().collect();
        notes.sort();
        let [prompts, resources, resource_templates] = ExtraKind::ALL.map(|kind| extras(&listing.extras, kind));
        let unlisted = ExtraKind::ALL.into_iter().filter(|kind| matches!(listing.extras.of(*kind), Offered::Refused));
        let count = |listed: &Option<Vec<ScannedExtra<'_>>>| listed.as_ref().map(Vec::len);
        let mut summary = Summary::of(&tools, findings.len());
        (summary.prompts, summary.resources) = (count(&prompts), count(&resources));
        summary.resource_templates = count(&resource_templates);
        Self {
            server: &listing.server,
            source: &listing.source,
            found_in: Vec::new(),
            protocol_version: listing.protocol_version.as_deref(),
            server_info: listing.server_info.as_ref(),
            greeting: listing.greeting.as_ref(),
            summary,
            tools,
            prompts,
            resources,
            resource_templates,
            unlisted: unlisted.collect(),
            findings,
            notes,
        }
    }

    /// Everything beside tools, by kind; a kind that is not known has none.
    pub fn extras(&self) -> [(ExtraKind, &[ScannedExtra<'a>]); 3] {
        [
            (ExtraKind::Prompt, self.prompts.as_deref().unwrap_or_default()),
            (ExtraKind::Resource, self.resources.as_deref().unwrap_or_default()),
            (ExtraKind::Template, self.resource_templates.as_deref().unwrap_or_default()),
        ]
    }

    /// The tools for people: worst first, then by name.
    pub fn worst_first(&self) -> Vec<&ScannedTool<'a>> {
        let mut tools: Vec<_> = self.tools.iter().collect();
        tools.sort_by(|a, b| {
            let badness = |tool: &ScannedTool<'_>| (tool.risk, tool.blast_radius, tool.category);
            badness(b).cmp(&badness(a)).then_with(|| a.tool.cmp(b.tool)).then_with(|| a.fingerprint.cmp(&b.fingerprint))
        });
        tools
    }
}

fn extras(extras: &Extras, kind: ExtraKind) -> Option<Vec<ScannedExtra<'_>>> {
    let Offered::Listed(listed) = extras.of(kind) else { return None };
    let one = |extra: &'_ Extra| -> String {
        let definition = canonical_extra(serde_json::from_str(extra.raw.get()).unwrap_or_default());
        Fingerprint::of(&definition).as_str().to_owned()
    };
    let mut scanned: Vec<_> =
        listed.iter().map(|extra| ScannedExtra { key: &extra.key, fingerprint: one(extra) }).collect();
    scanned.sort();
    Some(scanned)
}

impl<'a> ScannedTool<'a> {
    /// The view of one tool.
    pub fn new(server: &'a ServerName, tool: &'a ToolDefinition, verdict: &'a Verdict) -> Self {
        Self {
            server,
            tool: tool.name.as_str(),
            category: verdict.category,
            risk: verdict.risk,
            blast_radius: verdict.blast_radius,
            flags: &verdict.flags,
            tokens: tokens::estimate(tool),
            confidence: verdict.confidence,
            reason: &verdict.reason,
            evidence: &verdict.evidence,
            findings: &verdict.findings,
            fingerprint: tool.fingerprint().as_str().to_owned(),
        }
    }
}

impl<'a> ScanLine<'a> {
    /// The line of one tool.
    pub fn new(tool: ScannedTool<'a>) -> Self {
        Self { version: SCAN_VERSION, tool }
    }
}

impl Summary {
    fn of(tools: &[ScannedTool<'_>], server_findings: usize) -> Self {
        let mut summary = Self { tools: tools.len(), findings: server_findings, ..Self::default() };
        for tool in tools {
            *summary.categories.entry(tool.category).or_default() += 1;
            *summary.risks.entry(tool.risk).or_default() += 1;
            summary.tokens += tool.tokens;
            summary.findings += tool.findings.len();
        }
        summary
    }
}
