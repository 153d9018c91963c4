//! How many poisoned definitions `instructs-model` finds, and how many honest look-alikes it takes for one.
//!
//! `cargo test -p mcpol-classify --test poison -- --nocapture` prints the figures by kind and what is missed.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
#![expect(clippy::print_stdout, reason = "figures for who runs it with `--nocapture`")]

use mcpol_base::model::{
    Classified, Extra, ExtraKind, Extras, Finding, Listing, ServerName, ServerSource, Severity, ToolDefinition,
};
use mcpol_classify::{Options, RuleSet, classify, findings};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const POISONED: &str = include_str!("fixtures/poison/poisoned.jsonl");
const LOOKALIKES: &str = include_str!("fixtures/poison/lookalikes.jsonl");

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap()
}

fn listing(tools: Vec<ToolDefinition>, instructions: Option<String>) -> Listing {
    Listing {
        server: ServerName::new("server"),
        source: ServerSource::Sample,
        protocol_version: None,
        server_info: None,
        greeting: None,
        capabilities: None,
        client_capabilities: None,
        instructions,
        tools,
        unreadable: 0,
        extras: Extras::not_recorded(),
        notes: Vec::new(),
    }
}

fn findings_of(line: &Value) -> Vec<Finding> {
    let extra = |kind, value: &Value| findings::of_extra(&Extra::parse(kind, &raw(value)).unwrap());
    let object = line.as_object().unwrap();
    let found = object.iter().find_map(|(key, value)| match key.as_str() {
        "tool" => {
            let tool = ToolDefinition::parse(&raw(value)).unwrap();
            let Classified { verdicts, findings, .. } =
                classify(RuleSet::builtin(), listing(vec![tool], None), &Options::default());
            Some(verdicts.into_iter().flat_map(|verdict| verdict.findings).chain(findings).collect())
        }
        "instructions" => {
            let text = value.as_str().unwrap().to_owned();
            Some(classify(RuleSet::builtin(), listing(Vec::new(), Some(text)), &Options::default()).findings)
        }
        "prompt" => Some(extra(ExtraKind::Prompt, value)),
        "resource" => Some(extra(ExtraKind::Resource, value)),
        "resourceTemplate" => Some(extra(ExtraKind::Template, value)),
        _ => None,
    });
    found.unwrap()
}

/// How many were found, and how many there are, of each kind.
type Kinds = BTreeMap<String, (usize, usize)>;

/// The kinds; and what was found and what was not, by id.
fn measure(lines: &str) -> (Kinds, Vec<String>, Vec<String>) {
    let mut kinds = Kinds::new();
    let (mut hit, mut missed) = (Vec::new(), Vec::new());
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let line: Value = serde_json::from_str(line).unwrap();
        let found = findings_of(&line);
        let speaks = |finding: &&Finding| finding.severity > Severity::Note && finding.id == "instructs-model";
        let first = found.iter().find(speaks);
        let count = kinds.entry(line["kind"].as_str().unwrap().to_owned()).or_default();
        count.0 += usize::from(first.is_some());
        count.1 += 1;
        let id = line["id"].as_str().unwrap();
        match first {
            Some(finding) => hit.push(format!("{id}: {}", finding.message)),
            None => missed.push(format!("{id}: {}", line["why"].as_str().unwrap_or_default())),
        }
    }
    (kinds, hit, missed)
}

#[test]
fn poisoned_definitions_are_found_and_look_alikes_are_not() {
    let (kinds, hit, missed) = measure(POISONED);
    println!("poisoned: {} of {} found", hit.len(), hit.len() + missed.len());
    kinds.iter().for_each(|(kind, (found, all))| println!("  {kind:<20} {found} of {all}"));
    missed.iter().for_each(|line| println!("  missed {line}"));
    let (_, alarms, quiet) = measure(LOOKALIKES);
    println!("look-alikes: {} of {} called poisoned", alarms.len(), alarms.len() + quiet.len());
    alarms.iter().for_each(|line| println!("  alarm {line}"));
    assert!(hit.len() * 100 >= (hit.len() + missed.len()) * FOUND_PERCENT_MIN, "{missed:#?}");
    assert!(alarms.len() <= ALARMS_MAX, "{alarms:#?}");
}

/// What the rules reach today: to be raised with them, never lowered.
const FOUND_PERCENT_MIN: usize = 22;
const ALARMS_MAX: usize = 3;
