//! How many poisoned definitions `instructs-model` finds, and how many honest look-alikes it takes for one.
//!
//! `cargo test -p mcpol-classify --test poison -- --nocapture` prints the figures by kind and what is missed. With
//! `MCPOL_POISON=DIR` it prints the figures alone of `poisoned.jsonl` and `lookalikes.jsonl` in another folder, for sets that
//! stay unread.

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
const LEARNED_POISONED: &str = include_str!("fixtures/poison/learned-poisoned.jsonl");
const LEARNED_LOOKALIKES: &str = include_str!("fixtures/poison/learned-lookalikes.jsonl");

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

/// Prints how many of each kind were found, and says how many in all.
fn print_kinds(what: &str, kinds: &Kinds) -> (usize, usize) {
    let (found, all) = kinds.values().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    println!("{what}: {found} of {all} called poisoned");
    kinds.iter().for_each(|(kind, (found, all))| println!("  {kind:<20} {found} of {all}"));
    (found, all)
}

#[track_caller]
fn check(poisoned: &str, lookalikes: &str, percent_min: usize, alarms_max: usize) {
    let (kinds, _, missed) = measure(poisoned);
    let (found, all) = print_kinds("poisoned", &kinds);
    missed.iter().for_each(|line| println!("  missed {line}"));
    let (_, alarms, quiet) = measure(lookalikes);
    println!("look-alikes: {} of {} called poisoned", alarms.len(), alarms.len() + quiet.len());
    alarms.iter().for_each(|line| println!("  alarm {line}"));
    assert!(found * 100 >= all * percent_min, "{missed:#?}");
    assert!(kinds.values().all(|(found, all)| found * 2 >= *all), "a kind with less than half: {kinds:#?}");
    assert!(alarms.len() <= alarms_max, "{alarms:#?}");
}

#[test]
fn poisoned_definitions_are_found_and_look_alikes_are_not() {
    check(POISONED, LOOKALIKES, FOUND_PERCENT_MIN, ALARMS_MAX);
}

#[test]
fn what_the_table_was_learned_from_is_still_told_apart() {
    check(LEARNED_POISONED, LEARNED_LOOKALIKES, LEARNED_PERCENT_MIN, ALARMS_MAX);
}

#[test]
fn another_folder_is_counted_where_one_is_named() {
    let Some(folder) = std::env::var_os("MCPOL_POISON").map(std::path::PathBuf::from) else { return };
    for what in ["poisoned", "lookalikes"] {
        let text = std::fs::read_to_string(folder.join(what).with_extension("jsonl")).unwrap();
        print_kinds(what, &measure(&text).0);
    }
}

/// What the table reaches today: to be raised with it, never lowered.
const FOUND_PERCENT_MIN: usize = 90;
const LEARNED_PERCENT_MIN: usize = 70;
const ALARMS_MAX: usize = 3;
