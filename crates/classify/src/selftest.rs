//! The tests beside the rules: small tools that a rule must speak about, or keep silent about.

use super::format::WireTool;
use super::judge::{Bench, judge};
use super::load::Entry;
use super::{Options, RuleSet, server};
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
        let domains = server::domains(&self.compiled, &server::Prefix::default(), [&tool]);
        let verdict = judge(&self.compiled, bench, &tool, 0, domains, &Options::default()).verdict;
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
#[expect(clippy::unwrap_used, reason = "a test that cannot read its own rule must fail")]
mod tests {
    use super::super::load::{Body, RuleKind};
    use super::*;

    #[test]
    fn built_in_rules_have_no_problems() {
        let problems: Vec<String> = RuleSet::lint(&[]).iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    #[test]
    fn every_reading_states_a_principle_or_where_it_was_learnt() {
        let entries = RuleSet::builtin().layers.entries.values();
        let idle: Vec<&str> = entries
            .filter(|entry| match &entry.body {
                Body::Rule(rule) => entry.kind == RuleKind::Reading && rule.principle.is_none() && rule.from.is_empty(),
                Body::Class(_) | Body::Verbs(_) => false,
            })
            .map(Entry::id)
            .collect();
        assert!(idle.is_empty(), "{idle:?}");
    }

    #[test]
    fn an_exception_by_a_loose_word_is_refused_on_what_raises() {
        let rule = |kind: &str, says: &str, exception: &str| {
            format!(
                "[[{kind}]]\nid = \"x\"\nwhy = \"x\"\n{says}\nwhen = [{{ verb = [\"send\"] }}]\nunless = [{{ {exception} }}]\n\
                 [[{kind}.tests.match]]\nname = \"send\"\n[[{kind}.tests.ignore]]\nname = \"get\"\n"
            )
        };
        let refused = |text: &str| RuleSet::lint(&[("x.toml", text)]).iter().any(|p| p.message.contains("loose word"));
        for (kind, says) in [
            ("trait", "flags = [\"egress\"]"),
            ("radius", "at_least = \"high\""),
            ("radius", "step = \"up\""),
            ("evidence", "category = \"Execute\"\nweight = 10"),
            ("reading", "category = \"Delete\""),
        ] {
            for field in ["any", "first", "text", "claim"] {
                assert!(refused(&rule(kind, says, &format!("{field} = [\"report\"]"))), "{kind} {field}");
            }
            assert!(!refused(&rule(kind, says, "object = [\"report\"]")), "{kind}");
            assert!(!refused(&rule(kind, says, "parameter = { head = [\"draft\"] }")), "{kind}");
        }
        assert!(!refused(&rule("trait", "flags = [\"reversible\"]", "any = [\"report\"]")));
        assert!(!refused(&rule("radius", "step = \"down\"", "text = [\"report\"]")));
    }

    #[test]
    fn what_was_written_from_a_fold_is_left_out_there_alone() {
        let known = "[[reading]]\nid = \"x\"\nwhy = \"x\"\ncategory = \"Delete\"\nrank = 99\nfrom = [1]\n\
            when = [{ verb = [\"get\"], object = [\"zorp\"] }]\n\
            [[reading.tests.match]]\nname = \"get_zorp\"\n[[reading.tests.ignore]]\nname = \"get_thing\"\n";
        let rules = RuleSet::load(&[("x.toml", known)]).unwrap();
        for fold in 0..crate::eval::FOLDS {
            assert_eq!(rules.without_fold(fold).rule("x").is_none(), fold == 1);
        }
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
