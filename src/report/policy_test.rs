//! Results of policy tests: failures with what was expected and what came, a summary, the rules that nothing tests.

use super::document::Document;
use super::grid::grid;
use super::words::count;
use crate::policy::{Case, CaseResult};
use crate::text::escape;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A run of test cases.
pub struct PolicyTest<'t> {
    /// The file of cases as the user named it.
    pub file: &'t str,
    /// The cases, in order.
    pub cases: &'t [Case],
    /// What became of each.
    pub results: &'t [CaseResult],
    /// Rules that decided none of them.
    pub unexercised: &'t BTreeSet<&'t str>,
}

/// What became of the cases of a policy (`mcpol policy test --format json`).
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol policy test")]
pub(super) struct TestDocument<'t> {
    /// Always `mcpol-policy-test`.
    format: &'static str,
    /// Version of this format.
    version: u32,
    /// How many cases came out as they say.
    passed: usize,
    /// How many did not.
    failed: usize,
    /// In the order of the file.
    cases: Vec<TestRecord<'t>>,
    /// Ids of rules that decided none of them.
    unexercised: &'t BTreeSet<&'t str>,
}

/// One case.
#[derive(Serialize, schemars::JsonSchema)]
struct TestRecord<'t> {
    /// What it shows.
    name: &'t str,
    /// The tool that is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'t str>,
    /// The resource that is read, or the template that is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'t str>,
    /// The prompt that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'t str>,
    /// The method that is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'t str>,
    /// Whether it came out as it says.
    passed: bool,
    /// `allow`, `deny` or `ask`.
    expected: &'t str,
    /// The rule that is expected to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_rule: Option<&'t str>,
    /// What came out: `allow`, `deny` or `ask`.
    decision: &'t str,
    /// The rule that decided.
    rule: &'t str,
}

impl Document for TestDocument<'_> {
    const SCHEMA: &'static str = "policy-test";
    const COMMAND: &'static str = "policy test";
}

impl PolicyTest<'_> {
    /// The document for machines.
    pub fn document(&self) -> impl Document + '_ {
        let failed = self.failed().len();
        let cases = self.cases.iter().zip(self.results).map(|(case, result)| TestRecord {
            name: &case.name,
            tool: case.tool.as_deref(),
            resource: case.resource.as_deref(),
            prompt: case.prompt.as_deref(),
            method: case.method.as_deref(),
            passed: case.agrees(result),
            expected: case.expect.as_str(),
            expected_rule: case.rule.as_deref(),
            decision: result.decision.as_str(),
            rule: &result.rule,
        });
        TestDocument {
            format: "mcpol-policy-test",
            version: 1,
            passed: self.cases.len() - failed,
            failed,
            cases: cases.collect(),
            unexercised: self.unexercised,
        }
    }

    fn failed(&self) -> Vec<(&Case, &CaseResult)> {
        self.cases.iter().zip(self.results).filter(|(case, result)| !case.agrees(result)).collect()
    }
}

/// For people.
pub fn policy_test_table(test: &PolicyTest<'_>, columns: usize) -> String {
    let mut out = String::new();
    let failed = test.failed();
    let row = |(case, result): &(&Case, &CaseResult)| {
        let rule = case.rule.as_deref().unwrap_or("any rule");
        vec![
            "FAIL".to_owned(),
            format!(
                "{}\nexpected {} by {}\n   found {} by {}",
                escape(&case.name),
                case.expect.as_str(),
                escape(rule),
                result.decision.as_str(),
                escape(&result.rule)
            ),
        ]
    };
    if !failed.is_empty() {
        let rows: Vec<Vec<String>> = failed.iter().map(row).collect();
        out.push_str(&grid(&["", "CASE"], &rows, &[1], columns));
        out.push('\n');
    }
    if !test.unexercised.is_empty() {
        let _ = writeln!(out, "no case is decided by {}:", count(test.unexercised.len(), "rule"));
        for rule in test.unexercised {
            let _ = writeln!(out, "  {}", escape(rule));
        }
        out.push('\n');
    }
    let (word, colour) = if failed.is_empty() { ("ok", AnsiColor::Green) } else { ("failed", AnsiColor::Red) };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    let passed = test.cases.len() - failed.len();
    let _ = writeln!(out, "{style}{word}{style:#}: {} passed, {} failed ({})", passed, failed.len(), escape(test.file));
    out
}
