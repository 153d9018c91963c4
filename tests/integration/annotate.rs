//! `mcpol annotate`: hints that tools deserve beside those that they declare, in every format, and a list filled in.

use crate::harness::Sandbox;
use serde_json::{Value, json};

/// One tool without hints, one with a wrong one, one that its definition does not decide.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let tools = json!({"server": "notes", "tools": [
        {"name": "list_notes", "description": "List all notes"},
        {"name": "delete_note", "description": "Delete a note", "annotations": {"readOnlyHint": true}},
        {"name": "frobnicator"},
    ]});
    sandbox.write("notes.json", &tools.to_string());
    sandbox
}

fn hints(tool: &Value) -> Vec<(Value, Value)> {
    tool["hints"].as_array().unwrap().iter().map(|hint| (hint["deserved"].clone(), hint["standing"].clone())).collect()
}

#[test]
fn machines_get_each_hint_with_the_words_that_it_rests_on() {
    let text = sandbox().run(&["annotate", "--tools", "notes.json", "--format", "json"]).quiet(0);
    let report: Value = serde_json::from_str(&text).unwrap();
    let tools = &report["servers"][0]["tools"];
    let expected = [(true, "missing"), (false, "missing")].map(|(value, standing)| (json!(value), json!(standing)));
    assert_eq!(hints(&tools[0])[..2], expected);
    let expected = [(false, "wrong"), (true, "missing")].map(|(value, standing)| (json!(value), json!(standing)));
    assert_eq!(hints(&tools[1])[..2], expected);
    assert_eq!(tools[1]["hints"][0]["quote"], "Delete a note");
    assert!(hints(&tools[2]).iter().all(|hint| *hint == (Value::Null, json!("unsure"))), "{tools}");
    assert_eq!(tools[0]["proposed_title"], "List notes");
    let schema = std::fs::read_to_string(crate::harness::repository().join("schemas/annotate.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert!(jsonschema::is_valid(&schema, &report), "{report}");
}

#[test]
fn people_get_a_table_that_fits_and_a_sum() {
    let text = sandbox().run(&["annotate", "--tools", "notes.json"]).quiet(0);
    for words in ["false, not true", "readOnlyHint: it removes something", "3 tools: 0 right", " 1 wrong"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn what_fails_is_said_and_chosen() {
    let sandbox = sandbox();
    let run = |more: &[&str]| sandbox.run(&[&["annotate", "--tools", "notes.json"], more].concat());
    let _ = run(&["--fail-on", "wrong"]).quiet(1);
    let _ = run(&["--fail-on", "missing"]).quiet(1);
    let text = run(&["--profile", "claude-directory", "--format", "sarif", "--fail-on", "missing"]).quiet(1);
    let sarif: Value = serde_json::from_str(&text).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let of = |rule: &str| results.iter().filter(|result| result["ruleId"] == rule).count();
    assert_eq!((of("directory-lacks"), of("hint-wrong"), of("hint-missing")), (3, 1, 0), "{text}");
    let said = run(&["--profile", "claude-directry"]).refused(2);
    assert!(
        said.contains("no directory is called `claude-directry`") && said.contains("`claude-directory`?"),
        "{said}"
    );
    let markdown = run(&["--format", "markdown"]).quiet(0);
    assert!(markdown.contains("| delete\\_note | false, not true | \\+ true |"), "{markdown}");
}

#[test]
fn a_list_is_filled_in_and_then_nothing_is_missing() {
    let sandbox = sandbox();
    let run = |args: &[&str]| sandbox.run(&[&["annotate", "--tools", "notes.json"], args].concat());
    let _ = run(&["--apply", "filled.json"]).quiet(0);
    let said = run(&["--apply", "filled.json"]).refused(2);
    assert!(said.contains("`filled.json` exists") && said.contains("--force"), "{said}");
    let filled: Value = serde_json::from_str(&sandbox.read("filled.json")).unwrap();
    assert_eq!(filled["tools"][0]["annotations"]["readOnlyHint"], true);
    assert_eq!(filled["tools"][1]["annotations"]["readOnlyHint"], true, "what is declared stays");
    assert_eq!(filled["tools"][2]["annotations"], json!({"title": "Frobnicator"}), "nothing is made up");
    let again = ["annotate", "--tools", "filled.json", "--fail-on"];
    let _ = sandbox.run(&[&again[..], &["wrong"]].concat()).quiet(1);
    let _ = run(&["--apply", "filled.json", "--correct", "--force"]).quiet(0);
    let _ = sandbox.run(&[&again[..], &["missing"]].concat()).quiet(0);
}

#[test]
fn the_list_of_several_servers_is_not_written_as_one() {
    let sandbox = sandbox();
    sandbox.write("other.json", &json!({"server": "other", "tools": [{"name": "list_x"}]}).to_string());
    let said = sandbox.run(&["annotate", "--tools", "notes.json", "other.json", "--apply", "out.json"]).refused(2);
    assert!(said.contains("several were named") && !sandbox.dir().join("out.json").exists(), "{said}");
}
