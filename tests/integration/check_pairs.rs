//! Two versions each of real servers that the codes were not tuned on: every change is told, and nine in ten of the errors
//! and warnings are right, by each of two readers. Who they are, and what was said of each finding:
//! `tests/fixtures/drift/pairs/README.md`.

use crate::harness::{Sandbox, repository};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Fewest pairs, and of a hundred errors and warnings how many must be right, and how many judged at all: a rule that
/// moves may bring one that was never read.
const PAIRS_MIN: usize = 16;
const RIGHT_MIN: usize = 90;
const JUDGED_MIN: usize = 85;

fn read(file: &str) -> String {
    std::fs::read_to_string(repository().join("tests/fixtures/drift/pairs").join(file)).unwrap()
}

/// The readers whose verdicts are counted, in the order of their columns; what one of them has not read, a third has.
const READERS: [&str; 2] = ["first", "second"];

/// A finding of one tool: pair, code, tool, severity, sentence. Another severity or sentence is another finding, which
/// nobody has read.
type Read = [String; 5];

/// Whether each of the readers called a finding right.
fn verdicts() -> BTreeMap<Read, [bool; READERS.len()]> {
    let rows = read("verdicts.tsv");
    let mut found = BTreeMap::new();
    for line in rows.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        assert_eq!(cells.len(), 11, "{line}");
        let (third, mut said) = (cells[9], [false; READERS.len()]);
        for (at, right) in said.iter_mut().enumerate() {
            let (verdict, why) = (cells[5 + 2 * at], cells[6 + 2 * at]);
            let (verdict, why) = if verdict == "-" { (third, cells[10]) } else { (verdict, why) };
            assert!(matches!(verdict, "right" | "wrong") && !why.is_empty(), "{line}");
            *right = verdict == "right";
        }
        let finding = [cells[0], cells[1], cells[2], cells[3], cells[4]].map(str::to_owned);
        assert!(found.insert(finding, said).is_none(), "twice: {line}");
    }
    found
}

/// What a finding says of one tool: without the tool's name, and without the others that it was folded with.
fn sentence(message: &str, tool: &str) -> String {
    let alone =
        message.find(" tools (`").and_then(|at| message[..at].rfind(": ")).map_or(message, |end| &message[..end]);
    alone.strip_prefix(&format!("`{tool}` ")).unwrap_or(alone).to_owned()
}

fn tools(list: &Value) -> BTreeMap<String, &Value> {
    list["tools"].as_array().unwrap().iter().map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool)).collect()
}

/// What nobody can miss in a tool: its words and the names of its parameters.
fn face(tool: &Value) -> (Vec<String>, BTreeSet<String>) {
    let words = tool["description"].as_str().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let names = tool["inputSchema"]["properties"].as_object();
    (words, names.into_iter().flatten().map(|(name, _)| name.clone()).collect())
}

#[test]
fn of_pairs_that_nobody_tuned_for_nine_in_ten_alarms_are_right_and_no_change_is_missed() {
    let verdicts = verdicts();
    let files = std::fs::read_dir(repository().join("tests/fixtures/drift/pairs")).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let pairs: BTreeSet<String> = files.filter_map(|file| Some(file.strip_suffix("-old.json")?.to_owned())).collect();
    assert!(pairs.len() >= PAIRS_MIN, "{} pairs", pairs.len());
    let (mut judged, mut right, mut wrong) = (0, [0; READERS.len()], [const { Vec::new() }; READERS.len()]);
    let mut unread = Vec::new();
    for pair in pairs {
        let sandbox = Sandbox::new();
        let (old, new) = (read(&format!("{pair}-old.json")), read(&format!("{pair}-new.json")));
        sandbox.write("list.json", &old);
        sandbox.run(&["lock", "--tools", "list.json"]).both(0);
        sandbox.write("list.json", &new);
        let found = sandbox.run(&["check", "--tools", "list.json", "--fail-on", "never", "--format", "json"]).quiet(0);
        let report: Value = serde_json::from_str(&found).unwrap();
        let mut told = String::new();
        for finding in report["findings"].as_array().unwrap() {
            let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            let several = finding["tools"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let mut about: Vec<String> = several.map(str::to_owned).collect();
            if about.is_empty() {
                about.push(text("tool"));
            }
            told.push_str(&text("message"));
            told.push_str(&format!(" `{}` ", about.join("` `")));
            if text("severity") == "note" {
                continue;
            }
            for tool in about {
                let sentence = sentence(&text("message"), &tool);
                let it = [pair.clone(), text("code"), tool, text("severity"), sentence];
                let Some(said) = verdicts.get(&it) else {
                    unread.push(it.join("\t"));
                    continue;
                };
                judged += 1;
                for at in 0..READERS.len() {
                    if said[at] { right[at] += 1 } else { wrong[at].push(it[..3].join(" ")) }
                }
            }
        }
        let (old, new): (Value, Value) = (serde_json::from_str(&old).unwrap(), serde_json::from_str(&new).unwrap());
        let (old, new) = (tools(&old), tools(&new));
        for name in old.keys().chain(new.keys()) {
            let same = old.get(name).zip(new.get(name)).is_some_and(|(old, new)| face(old) == face(new));
            assert!(same || told.contains(&format!("`{name}`")), "{pair}: nothing is said of `{name}`");
        }
    }
    assert!(
        judged * 100 >= (judged + unread.len()) * JUDGED_MIN,
        "read these and add a line for each to verdicts.tsv:\n{}",
        unread.join("\n")
    );
    for ((reader, right), wrong) in READERS.into_iter().zip(right).zip(wrong) {
        let is_enough = right * 100 >= judged * RIGHT_MIN;
        assert!(is_enough, "{reader} reader: {right} of {judged} are right; wrong are:\n{}", wrong.join("\n"));
    }
}
