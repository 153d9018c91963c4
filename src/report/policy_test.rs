//! Results of policy tests: failures with what was expected and what came, a summary, the rules that nothing tests.

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

#[derive(Serialize)]
struct TestDocument<'t> {
    format: &'static str,
    version: u32,
    passed: usize,
    failed: usize,
    cases: Vec<TestRecord<'t>>,
    unexercised: &'t BTreeSet<&'t str>,
}

#[derive(Serialize)]
struct TestRecord<'t> {
    name: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'t str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'t str>,
    passed: bool,
    expected: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_rule: Option<&'t str>,
    decision: &'t str,
    rule: &'t str,
}

impl PolicyTest<'_> {
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

/// One JSON document.
///
/// # Errors
/// It cannot be printed, which is a defect.
pub fn policy_test_json(test: &PolicyTest<'_>) -> Result<String, serde_json::Error> {
    let failed = test.failed().len();
    let cases = test.cases.iter().zip(test.results).map(|(case, result)| TestRecord {
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
    let document = TestDocument {
        format: "mcpol-policy-test",
        version: 1,
        passed: test.cases.len() - failed,
        failed,
        cases: cases.collect(),
        unexercised: test.unexercised,
    };
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}
