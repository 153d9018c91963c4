//! From a tool definition to a verdict with evidence, by rule files. Pure.

pub mod findings;

use crate::model::{BlastRadius, Category, Classified, Confidence, Flag, Listing, RiskLevel, Verdict};

/// The rules that a classification uses: lexicons, rules, weights, floors. Built once.
#[derive(Clone, Debug)]
pub struct RuleSet {}

/// How to classify.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Withhold the server's annotations from the rules.
    pub ignore_annotations: bool,
}

static BUILTIN: RuleSet = RuleSet {};

impl RuleSet {
    /// The rules inside the binary, read on first use.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }
}

/// A verdict for every tool of one server.
pub fn classify(_rules: &RuleSet, listing: Listing, options: &Options) -> Classified {
    let unknown = Verdict {
        category: Category::Execute,
        risk: RiskLevel::High,
        blast_radius: BlastRadius::High,
        flags: [Flag::Unclassified].into(),
        confidence: Confidence::Low,
        reason: "No rule spoke: unknown is not harmless.".to_owned(),
        evidence: Vec::new(),
        findings: Vec::new(),
    };
    let mut classified = Classified { verdicts: vec![unknown; listing.tools.len()], listing, findings: Vec::new() };
    findings::attach(&mut classified, options);
    classified
}
