//! One server made ready for its pages: everything that several pages say of it, worked out once.

use crate::grade::{Grade, grade};
use crate::model::{Classified, Evidence, Finding, Parameter, SetFinding, Severity, ToolDefinition, Verdict};
use crate::slug::Slugs;
use crate::tokens;
use mcpol_classify::hints::{ToolAdvice, advise};
use mcpol_classify::{Options, RuleSet, findings, judge_like};
use mcpol_policy::{Document, Form, Policy, Recommendation, Review, Wishes, add_offers, generate, parse};
use std::collections::BTreeMap;

/// How servers were judged, and what the pages ask of it again.
pub struct Judges<'j> {
    /// The rules that the verdicts were reached with.
    pub rules: &'j RuleSet,
    /// The options that they were reached with.
    pub options: Options,
    /// Whether a kind of finding is switched off.
    pub is_off: &'j (dyn Fn(&str) -> bool + Sync),
    /// What an agent can do with a parameter that is worth a second look, after `an agent can `.
    pub signal: &'j (dyn Fn(&Parameter) -> Option<&'static str> + Sync),
}

/// What is known of a server beside its own answers.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The licence that its package declares.
    pub licence: Option<String>,
    /// Its page.
    pub homepage: Option<String>,
    /// Its source.
    pub repository: Option<String>,
    /// What is different from versions before, the newest first.
    pub changes: Vec<VersionChanges>,
}

/// What is different between two versions of a server.
#[derive(Clone, Debug)]
pub struct VersionChanges {
    /// The version before.
    pub from: String,
    /// The version after it.
    pub to: String,
    /// What is different, worst first.
    pub changes: Vec<VersionChange>,
}

/// One difference between two versions.
#[derive(Clone, Debug)]
pub struct VersionChange {
    /// How much it matters.
    pub severity: Severity,
    /// The code of `mcpol check` for it.
    pub code: String,
    /// The tool, as declared; none where it is about the server.
    pub tool: Option<String>,
    /// What is different, without full stop, escaped.
    pub message: String,
}

/// One server, ready.
pub struct Server<'a> {
    pub(crate) classified: &'a Classified,
    /// In the order of the tools, with all findings.
    pub(crate) verdicts: Vec<Verdict>,
    /// The name of each tool's page.
    pub(crate) slugs: Vec<String>,
    /// The estimated tokens of each definition.
    pub(crate) tokens: Vec<u64>,
    /// The annotations that each tool deserves.
    pub(crate) hints: Vec<ToolAdvice>,
    pub(crate) recommendation: Recommendation,
    pub(crate) reviews: BTreeMap<String, Review>,
    /// The policy as text, and as read back; none where it cannot be written.
    pub(crate) policy: Option<(String, Policy)>,
    pub(crate) grade: Grade,
    /// Paths in, through and out.
    pub(crate) flows: Vec<SetFinding>,
    pub(crate) about: About,
    /// For each tool what its parameters hand over.
    pub(crate) signals: Vec<BTreeMap<String, &'static str>>,
    /// Why each rule exists that spoke.
    pub(crate) whys: BTreeMap<String, String>,
}

/// One tool of a server that is ready.
#[derive(Clone, Copy)]
pub(crate) struct Tool<'s, 'a> {
    pub server: &'s Server<'a>,
    pub at: usize,
    pub definition: &'a ToolDefinition,
    pub verdict: &'s Verdict,
    pub slug: &'s str,
}

impl<'a> Server<'a> {
    /// Works out what the pages say of a server.
    pub fn new(classified: &'a Classified, about: About, judges: &Judges<'_>) -> Self {
        let listing = &classified.listing;
        let verdicts = classified.verdicts_with_all_findings();
        let judge = judge_like(judges.rules, listing, &judges.options);
        let wishes = Wishes { judge: Some(&judge), ..Wishes::standard(Form::Full) };
        let mut recommendation = generate(listing.tools.iter().zip(&verdicts), &wishes);
        let of_extras: Vec<_> = listing
            .extras
            .listed()
            .map(|extra| {
                let mut found = findings::of_extra(extra);
                found.retain(|finding| !(judges.is_off)(&finding.id));
                (extra, found)
            })
            .collect();
        add_offers(&mut recommendation, of_extras.iter().map(|(extra, found)| (*extra, found.as_slice())));
        let plain = Options { ignore_annotations: true, ..judges.options };
        let unbelieving = judge_like(judges.rules, listing, &plain);
        let hints = listing.tools.iter().map(|tool| advise(tool, &unbelieving(tool))).collect();
        let mut slugs = Slugs::default();
        let mut flows = findings::of_set(std::slice::from_ref(classified));
        flows.retain(|flow| flow.id == "lethal-trifecta" && !(judges.is_off)(&flow.id));
        let why = |evidence: &Evidence| Some((evidence.rule.clone(), judges.rules.rule(&evidence.rule)?.why));
        let signals = |tool: &ToolDefinition| {
            tool.parameters.iter().filter_map(|it| Some((it.path.clone(), (judges.signal)(it)?))).collect()
        };
        Self {
            slugs: listing.tools.iter().map(|tool| slugs.take(tool.name.as_str())).collect(),
            tokens: listing.tools.iter().map(tokens::estimate).collect(),
            hints,
            reviews: recommendation.review.iter().map(|review| (review.tool.clone(), review.clone())).collect(),
            policy: readable(&recommendation.document),
            grade: grade(classified, &verdicts),
            flows,
            about,
            signals: listing.tools.iter().map(signals).collect(),
            whys: verdicts.iter().flat_map(|verdict| &verdict.evidence).filter_map(why).collect(),
            recommendation,
            verdicts,
            classified,
        }
    }

    /// What the server is called here.
    pub(crate) fn name(&self) -> &'a str {
        self.classified.listing.server.as_str()
    }

    /// The tools in the order of the listing.
    pub(crate) fn tools<'s>(&'s self) -> impl Iterator<Item = Tool<'s, 'a>> {
        let each = self.classified.listing.tools.iter().zip(&self.verdicts).zip(&self.slugs).enumerate();
        each.map(move |(at, ((definition, verdict), slug))| Tool { server: self, at, definition, verdict, slug })
    }

    /// The tools, the worst first: by risk, then category, radius and name.
    pub(crate) fn worst_first<'s>(&'s self) -> Vec<Tool<'s, 'a>> {
        let mut tools: Vec<_> = self.tools().collect();
        let key = |tool: &Tool<'_, '_>| (tool.verdict.risk, tool.verdict.category, tool.verdict.blast_radius);
        tools.sort_by(|a, b| key(b).cmp(&key(a)).then_with(|| a.definition.name.cmp(&b.definition.name)));
        tools
    }

    /// Findings about the server that are about no tool of it.
    pub(crate) fn own_findings(&self) -> impl Iterator<Item = &'a Finding> {
        self.classified.findings.iter().filter(|finding| finding.tool.is_empty())
    }

    /// The registry and version of its package, where they are known.
    pub(crate) fn registry(&self) -> &'a str {
        self.classified.listing.source.package().map_or("", |package| package.registry.as_str())
    }

    /// The version of the package, or that which the server claims.
    pub(crate) fn version(&self) -> Option<&'a str> {
        let listing = &self.classified.listing;
        let package = listing.source.package().and_then(|package| package.version.as_deref());
        package.or_else(|| listing.server_info.as_ref().map(|info| info.version.as_str())).filter(|it| !it.is_empty())
    }
}

/// A document as text and read back: what is shown must be a policy.
pub(crate) fn readable(document: &Document) -> Option<(String, Policy)> {
    let text = crate::text::visible_json(&document.print()).into_owned();
    let policy = parse(&text, "policy.json").ok()?;
    Some((text, policy))
}
