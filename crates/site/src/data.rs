//! The data of each page as JSON, for programs.

use crate::attack::Attack;
use crate::grade::Grade;
use crate::model::{
    BlastRadius, Category, Confidence, Evidence, Finding, Flag, Package, RiskLevel, ServerInfo, SetFinding,
};
use crate::rule;
use crate::server::{Server, Tool};
use crate::survey::{Survey, Victims};
use mcpol_classify::hints::Advice;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// The value of `version` in every file: it grows when a member changes its meaning.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct ToolData<'a> {
    format: &'static str,
    version: u32,
    server: &'a str,
    tool: &'a str,
    definition: &'a RawValue,
    category: Category,
    risk: RiskLevel,
    blast_radius: BlastRadius,
    flags: &'a BTreeSet<Flag>,
    confidence: Confidence,
    reason: &'a str,
    evidence: &'a [Evidence],
    findings: &'a [Finding],
    annotations: &'a [Advice],
    tokens: u64,
    attacks: Vec<&'static str>,
    policy: Option<Box<RawValue>>,
}

/// The data of a tool's page.
pub(crate) fn tool(tool: &Tool<'_, '_>) -> String {
    let verdict = tool.verdict;
    let policy = rule::document(tool).and_then(|text| RawValue::from_string(text.trim_end().to_owned()).ok());
    print(&ToolData {
        format: "mcpol-catalogue-tool",
        version: VERSION,
        server: tool.server.name(),
        tool: tool.definition.name.as_str(),
        definition: &tool.definition.raw,
        category: verdict.category,
        risk: verdict.risk,
        blast_radius: verdict.blast_radius,
        flags: &verdict.flags,
        confidence: verdict.confidence,
        reason: &verdict.reason,
        evidence: &verdict.evidence,
        findings: &verdict.findings,
        annotations: tool.server.hints.get(tool.at).map_or(&[], |advice| advice.hints.as_slice()),
        tokens: tool.server.tokens.get(tool.at).copied().unwrap_or_default(),
        attacks: Attack::all()
            .iter()
            .filter(|attack| attack.access(verdict).is_some())
            .map(|attack| attack.id)
            .collect(),
        policy,
    })
}

#[derive(Serialize)]
struct ServerData<'a> {
    format: &'static str,
    version: u32,
    server: &'a str,
    server_info: Option<&'a ServerInfo>,
    package: Option<&'a Package>,
    protocol_version: Option<&'a str>,
    licence: Option<&'a str>,
    homepage: Option<&'a str>,
    repository: Option<&'a str>,
    grade: &'a Grade,
    tokens: u64,
    tools: Vec<ToolLine<'a>>,
    findings: Vec<&'a Finding>,
    flows: &'a [SetFinding],
    changes: Vec<ChangeData<'a>>,
}

#[derive(Serialize)]
struct ToolLine<'a> {
    tool: &'a str,
    page: String,
    category: Category,
    risk: RiskLevel,
    blast_radius: BlastRadius,
    flags: &'a BTreeSet<Flag>,
    findings: &'a [Finding],
    tokens: u64,
}

#[derive(Serialize)]
struct ChangeData<'a> {
    from: &'a str,
    to: &'a str,
    code: &'a str,
    tool: Option<&'a str>,
    message: &'a str,
}

/// The data of a server's page.
pub(crate) fn server(server: &Server<'_>, slug: &str) -> String {
    let listing = &server.classified.listing;
    let tools = server.worst_first().into_iter().map(|tool| ToolLine {
        tool: tool.definition.name.as_str(),
        page: format!("{slug}/{}.html", tool.slug),
        category: tool.verdict.category,
        risk: tool.verdict.risk,
        blast_radius: tool.verdict.blast_radius,
        flags: &tool.verdict.flags,
        findings: &tool.verdict.findings,
        tokens: server.tokens.get(tool.at).copied().unwrap_or_default(),
    });
    let about = &server.about;
    let changes = about.changes.iter().flat_map(|versions| {
        versions.changes.iter().map(|change| ChangeData {
            from: &versions.from,
            to: &versions.to,
            code: &change.code,
            tool: change.tool.as_deref(),
            message: &change.message,
        })
    });
    print(&ServerData {
        format: "mcpol-catalogue-server",
        version: VERSION,
        server: server.name(),
        server_info: listing.server_info.as_ref(),
        package: listing.source.package(),
        protocol_version: listing.protocol_version.as_deref(),
        licence: about.licence.as_deref(),
        homepage: about.homepage.as_deref(),
        repository: about.repository.as_deref(),
        grade: &server.grade,
        tokens: server.tokens.iter().sum(),
        tools: tools.collect(),
        findings: server.own_findings().collect(),
        flows: &server.flows,
        changes: changes.collect(),
    })
}

#[derive(Serialize)]
struct AttackData<'a> {
    format: &'static str,
    version: u32,
    attack: &'a str,
    title: &'a str,
    summary: &'a str,
    steps: &'a [String],
    findings: &'a [String],
    command: Option<&'a str>,
    incidents: Vec<IncidentData<'a>>,
    meets: &'a [String],
    shows: Option<&'a str>,
    /// How many tools of the catalogue give it what it needs, and some of them.
    tools: usize,
    some: Vec<String>,
}

#[derive(Serialize)]
struct IncidentData<'a> {
    date: &'a str,
    what: &'a str,
    publisher: &'a str,
    source: &'a str,
}

/// The data of an attack's page.
pub(crate) fn attack(survey: &Survey, attack: &Attack, (count, some): &Victims<'_>) -> String {
    let incidents = attack.incident.iter().map(|it| IncidentData {
        date: &it.date,
        what: &it.what,
        publisher: &it.publisher,
        source: &it.source,
    });
    print(&AttackData {
        format: "mcpol-catalogue-attack",
        version: VERSION,
        attack: attack.id,
        title: &attack.title,
        summary: &attack.summary,
        steps: &attack.steps,
        findings: &attack.findings,
        command: attack.command.as_deref(),
        incidents: incidents.collect(),
        meets: &attack.meets,
        shows: attack.shows.as_deref(),
        tools: *count,
        some: some.iter().filter_map(|tool| Some(format!("{}/{}", survey.server_of(tool)?.name, tool.name))).collect(),
    })
}

#[derive(Serialize)]
struct IndexData<'a> {
    format: &'static str,
    version: u32,
    servers: Vec<ServerLine<'a>>,
}

#[derive(Serialize)]
struct ServerLine<'a> {
    server: &'a str,
    page: String,
    registry: &'a str,
    version: &'a str,
    grade: &'static str,
    tools: usize,
    worst: Option<RiskLevel>,
    tokens: u64,
}

/// The data of the first page.
pub(crate) fn index(survey: &Survey, order: &[usize]) -> String {
    let line = |at: &usize| {
        let entry = survey.servers.get(*at)?;
        Some(ServerLine {
            server: &entry.name,
            page: format!("servers/{}.html", entry.slug),
            registry: &entry.registry,
            version: &entry.version,
            grade: entry.grade.as_str(),
            tools: entry.tools.len(),
            worst: entry.worst,
            tokens: entry.tokens,
        })
    };
    print(&IndexData { format: "mcpol-catalogue", version: VERSION, servers: order.iter().filter_map(line).collect() })
}

/// Pretty JSON in which nothing hides.
fn print(value: &impl Serialize) -> String {
    // Texts, numbers and texts that were read as JSON always have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    crate::text::visible_json(&text).into_owned()
}
