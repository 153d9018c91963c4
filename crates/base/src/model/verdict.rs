//! What the rules say about a tool: the class, the evidence for it, and findings beside it.

use super::{BlastRadius, Category, Flag, Listing, RiskLevel};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A tool's class with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verdict {
    /// What the tool does at worst.
    pub category: Category,
    /// The worse of the category's nature and the blast radius.
    pub risk: RiskLevel,
    /// How much one wrong call can cost.
    pub blast_radius: BlastRadius,
    /// What else is true of it.
    pub flags: BTreeSet<Flag>,
    /// How sure the rules are of the category.
    pub confidence: Confidence,
    /// One or two sentences for a person: why this class.
    pub reason: String,
    /// Everything that spoke for or against, strongest first.
    pub evidence: Vec<Evidence>,
    /// Contradictions and warnings about this tool.
    pub findings: Vec<Finding>,
}

/// How much the evidence agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Hardly any evidence, or evidence that disagrees.
    Low,
    /// One good piece of evidence.
    Medium,
    /// Strong evidence that agrees.
    High,
}

/// One piece of evidence, quoted from the tool's own definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evidence {
    /// Id of the rule that spoke.
    pub rule: String,
    /// Which part of the definition.
    pub source: EvidenceSource,
    /// The text that matched, verbatim (unescaped) and bounded in length.
    pub quote: String,
    /// What it speaks for, for example `Delete`, `blast high`, `flag egress`.
    pub says: String,
    /// Its weight; zero where the rule decides flags or radius only.
    pub weight: u32,
}

/// The part of a tool definition that a piece of evidence is quoted from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "part", content = "of", rename_all = "snake_case")]
pub enum EvidenceSource {
    /// `name`
    Name,
    /// `title` or `annotations.title`
    Title,
    /// `description`
    Description,
    /// A parameter of the input schema, by its dotted path.
    Parameter(String),
    /// The input schema as a whole.
    Schema,
    /// An annotation, by its key.
    Annotation(String),
    /// An extra member of the definition, such as `httpMethod`.
    Extension(String),
    /// The user's own override, with its reason as the quote.
    Override,
}

/// How much a finding matters. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Worth looking at before allowing the tool.
    Warning,
    /// Do not allow the tool before this is explained.
    Error,
}

/// Something a person should look at, beside the class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// Stable id, for example `annotation-contradicts`.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence for people, with quotes escaped.
    pub message: String,
    /// The tool it is about, as declared; empty when it is about the server or the whole set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tool: String,
}

/// A listing with a verdict for every tool.
#[derive(Clone, Debug)]
pub struct Classified {
    /// What the server answered.
    pub listing: Listing,
    /// One verdict a tool, in the order of `listing.tools`.
    pub verdicts: Vec<Verdict>,
    /// Findings about the server as a whole.
    pub findings: Vec<Finding>,
}

impl Classified {
    /// The verdicts, with what is found of one tool only when the server's tools are looked at together (a name that is
    /// declared twice) among the tool's findings.
    pub fn verdicts_with_all_findings(&self) -> Vec<Verdict> {
        let mut verdicts = self.verdicts.clone();
        for (tool, verdict) in self.listing.tools.iter().zip(&mut verdicts) {
            let of_tool = self.findings.iter().filter(|finding| finding.tool == tool.name.as_str());
            verdict.findings.extend(of_tool.cloned());
        }
        verdicts
    }
}

/// Most tools that one finding about the whole set names.
pub const FINDING_TOOLS_MAX: usize = 100;

/// Something that shows only when several tools are looked at together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SetFinding {
    /// Stable id, for example `lethal-trifecta`.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence for people that names a few of the tools, with quotes escaped.
    pub message: String,
    /// The tools it is about, sorted, at most [`FINDING_TOOLS_MAX`].
    pub tools: Vec<ToolReference>,
}

/// One tool of one server, and the part that it plays in a finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolReference {
    /// The part, for example `private_data`, `untrusted_content`, `way_out`, `same_name`.
    pub role: String,
    /// The server, as it is called here.
    pub server: String,
    /// The tool, as declared.
    pub tool: String,
}
