//! The tests beside the rules: small tools that a rule must speak about, or keep silent about.

use super::format::WireTool;
use super::judge::{Bench, judge};
use super::load::Entry;
use super::{Options, RuleSet};
use crate::model::ToolDefinition;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A test beside a rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct TestFailure {
    /// Id of the rule.
    pub rule: String,
    /// File that the rule was read from.
    pub file: String,
    /// Line of the rule, from 1.
    pub line: usize,
    /// The test's tool name, and what was expected and found.
    pub what: String,
}

impl RuleSet {
    /// Runs all tests that stand beside the rules; empty means that all hold.
    pub fn self_test(&self) -> Vec<TestFailure> {
        let mut failures = Vec::new();
        let mut bench = Bench::default();
        for entry in self.layers.entries.values() {
            let Some(tests) = entry.tests() else { continue };
            for (tools, must) in [(&tests.matches, true), (&tests.ignores, false)] {
                for tool in tools {
                    if let Err(what) = self.run(&mut bench, entry, tool, must) {
                        let (rule, file) = (entry.id().to_owned(), entry.file.clone());
                        failures.push(TestFailure { rule, file, line: entry.place.line, what });
                    }
                }
            }
        }
        failures
    }

    fn run(&self, bench: &mut Bench, entry: &Entry, wire: &WireTool, must: bool) -> Result<(), String> {
        let tool = tool(wire).map_err(|problem| format!("`{}`: {problem}", wire.name))?;
        let verdict = judge(&self.compiled, bench, &tool, 0, &Options::default()).verdict;
        let spoke = bench
            .fired()
            .any(|index| self.compiled.rules.get(index as usize).is_some_and(|rule| *rule.id == *entry.id()));
        if spoke != must {
            let found = if spoke { "speaks" } else { "is silent" };
            return Err(format!("`{}`: the rule {found} ({} {})", wire.name, verdict.category, verdict.blast_radius));
        }
        let found = format!("{} {}", verdict.category, verdict.blast_radius);
        match &wire.is {
            Some(wanted) if *wanted != found => Err(format!("`{}`: {wanted} expected, {found} found", wire.name)),
            _ => Ok(()),
        }
    }
}

/// A tool definition in full from its short form. A parameter is `type`, `value|value`, either with `: description`.
fn tool(wire: &WireTool) -> Result<ToolDefinition, String> {
    let mut properties = Map::new();
    for (name, text) in &wire.input {
        let (kind, description) = text.split_once(": ").map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
        let mut schema = Map::new();
        if kind.contains('|') {
            schema.insert("enum".to_owned(), kind.split('|').collect());
        } else {
            schema.insert("type".to_owned(), kind.into());
        }
        if let Some(description) = description {
            schema.insert("description".to_owned(), description.into());
        }
        properties.insert(name.clone(), Value::Object(schema));
    }
    let mut object = Map::new();
    object.insert("name".to_owned(), wire.name.clone().into());
    for (key, text) in [("title", &wire.title), ("description", &wire.description)] {
        if let Some(text) = text {
            object.insert(key.to_owned(), text.clone().into());
        }
    }
    object.insert("inputSchema".to_owned(), json!({"type": "object", "properties": properties}));
    if !wire.annotations.is_empty() {
        object.insert("annotations".to_owned(), json!(wire.annotations));
    }
    for (key, value) in &wire.extensions {
        object.insert(key.clone(), value.clone().into());
    }
    let raw = RawValue::from_string(Value::Object(object).to_string()).map_err(|error| error.to_string())?;
    ToolDefinition::parse(&raw).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_rules_have_no_problems() {
        let problems: Vec<String> = RuleSet::lint(&[]).iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn tests_beside_the_rules_hold() {
        let failures: Vec<String> = RuleSet::builtin()
            .self_test()
            .iter()
            .map(|f| format!("{}:{} {}: {}", f.file, f.line, f.rule, f.what))
            .collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}
