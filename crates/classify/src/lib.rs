//! From a tool definition to a verdict with evidence, by rule files. Pure.

mod words;
mod format;
mod load;
mod vocabulary;
mod pattern;
mod compile;
mod lookup;
mod scan;
mod verbs;
mod judge;
mod reason;
mod ruleset;
mod server;
mod selftest;
mod explain;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot read its own tool must fail")]
mod promises;
pub mod annotated;
pub mod eval;
pub mod findings;
pub mod hints;
pub mod settings;

pub use explain::{Explanation, explain};
pub use judge::{EVIDENCE_MAX, QUOTE_BYTES_MAX};
pub use load::{RULE_FILE_BYTES_MAX, RULES_MAX, RuleKind};
pub use ruleset::{BUILTIN_FILES, RuleInfo, RuleSet};
pub use selftest::TestFailure;

use mcpol_base::{clock, model, problem, text};
use model::{BlastRadius, Category, Classified, Listing, ToolDefinition, Verdict};

/// How to classify.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Withhold the server's annotations from the rules.
    pub ignore_annotations: bool,
    /// Believe the annotations of this server: `readOnlyHint` may lower the category to Read.
    pub trust_annotations: bool,
}

/// A category with its blast radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// What the tool does at worst.
    pub category: Category,
    /// How much one wrong call can cost.
    pub blast_radius: BlastRadius,
}

/// A verdict and what led to it.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// With the server's annotations, unless they are withheld.
    pub verdict: Verdict,
    /// What it would be had the server declared no annotations.
    pub without_annotations: Class,
    /// Points a category, in the order of [`Category::ALL`], annotations aside.
    pub scores: [u32; 4],
}

pub use words::docstring;

/// An assessment for every tool of one server, in the order of the listing; each depends on the tool itself, on the set
/// of names and on what the server is about, not on the order of its tools.
pub fn assess(rules: &RuleSet, listing: &Listing, options: &Options) -> Vec<Assessment> {
    let compiled = &rules.compiled;
    let mut bench = judge::Bench::default();
    let prefix = server::prefix(compiled, listing);
    let domains = server::domains(compiled, &prefix, &listing.tools);
    let each = listing.tools.iter();
    let judge = |tool: &ToolDefinition| {
        judge::judge(compiled, &mut bench, tool, prefix.length_in(tool.name.as_str()), domains, options)
    };
    each.map(judge).collect()
}

/// Judges definitions as tools of one server, whether it declares them so or otherwise: for questions such as what a tool
/// would be without some values of an argument. Findings are not looked for.
pub fn judge_like<'r>(
    rules: &'r RuleSet,
    listing: &Listing,
    options: &'r Options,
) -> impl Fn(&ToolDefinition) -> Verdict + 'r {
    let compiled = &rules.compiled;
    let prefix = server::prefix(compiled, listing);
    let domains = server::domains(compiled, &prefix, &listing.tools);
    let bench = std::cell::RefCell::new(judge::Bench::default());
    move |tool| {
        let length = prefix.length_in(tool.name.as_str());
        judge::judge(compiled, &mut bench.borrow_mut(), tool, length, domains, options).verdict
    }
}

/// A verdict for every tool of one server.
pub fn classify(rules: &RuleSet, listing: Listing, options: &Options) -> Classified {
    let verdicts = assess(rules, &listing, options).into_iter().map(|assessment| assessment.verdict).collect();
    let mut classified = Classified { listing, verdicts, findings: Vec::new() };
    findings::attach(&mut classified, options);
    classified
}
