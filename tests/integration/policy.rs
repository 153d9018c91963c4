//! `gen-policy`, `policy` and `explain --policy` as a person or a CI job runs them.

use crate::harness::Sandbox;
use serde_json::{Value, json};

/// A server of tasks, with one tool of every kind.
fn tools() -> String {
    let schema =
        |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required});
    json!({"server": "tasks", "tools": [
        {"name": "ticktick_get_task", "description": "Get a task by its id.", "inputSchema": schema(json!({"id": {"type": "string"}}), json!(["id"]))},
        {"name": "ticktick_create_task", "description": "Create a new task.", "inputSchema": schema(json!({"title": {"type": "string"}, "priority": {"type": "integer"}}), json!(["title"]))},
        {"name": "ticktick_delete_task", "description": "Delete a task permanently.", "inputSchema": schema(json!({"id": {"type": "string"}}), json!(["id"]))},
        {"name": "ticktick_pause_focus_session", "description": "Pause the current focus session"},
        {"name": "create_charge", "description": "Charge a customer's card.", "inputSchema": schema(json!({"amount": {"type": "integer"}, "currency": {"type": "string"}, "reason": {"type": "string"}}), json!(["amount"]))},
    ]})
    .to_string()
}

fn with_tools() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("tools.json", &tools());
    sandbox
}

const PAUSE: &str = r#"{
  "version": "1",
  "default": "deny",
  "tools": {
    "ticktick_pause_focus_session": {
      "limits": [
        {
          "counter": "ticktick_pause_focus_session_rate",
          "window": "minute",
          "max": 10,
          "scope": "grant"
        }
      ]
    }
  }
}
"#;

#[test]
fn one_tool_gets_exactly_its_rule() {
    let run =
        with_tools().run(&["gen-policy", "--tools", "tools.json", "--only", "ticktick_pause_focus_session", "--quiet"]);
    assert_eq!(run.quiet(0), PAUSE);
}

#[test]
fn a_policy_is_never_overwritten_by_accident() {
    let sandbox = with_tools();
    let write = |more: &[&str]| {
        let mut args =
            vec!["gen-policy", "--tools", "tools.json", "--only", "ticktick_pause_focus_session", "-q", "-o", "p.json"];
        args.extend(more);
        sandbox.run(&args)
    };
    sandbox.write("p.json", "mine");
    assert!(write(&[]).refused(2).contains("`--force` overwrites it"));
    assert_eq!(sandbox.read("p.json"), "mine");
    write(&["--force"]).quiet(0);
    assert_eq!(sandbox.read("p.json"), PAUSE);
    // Nothing is left beside it.
    assert_eq!(std::fs::read_dir(sandbox.dir()).unwrap().count(), 2);
}

#[test]
fn the_review_says_what_each_tool_got_and_why() {
    let sandbox = with_tools().with_env("COLUMNS", "80");
    let (policy, review) = sandbox.run(&["gen-policy", "--tools", "tools.json", "--notes", "notes.md"]).both(0);
    assert!(serde_json::from_str::<Value>(&policy).is_ok());
    assert!(review.contains("tasks: 5 tools"), "{review}");
    assert!(review.lines().all(|line| line.chars().count() <= 80), "{review}");
    let notes = sandbox.read("notes.md");
    assert_eq!(notes.lines().filter(|line| line.starts_with("| ")).count(), 5 + 1, "{notes}");
}

#[test]
fn a_merge_keeps_what_the_owner_wrote() {
    let sandbox = with_tools();
    sandbox.write(
        "old.json",
        r#"{"version":"1","default":"deny","tools":{"ticktick_get_task":{"action":"deny"},"gone":{}}}"#,
    );
    let (_, review) =
        sandbox.run(&["gen-policy", "--tools", "tools.json", "--merge", "old.json", "-o", "old.json"]).both(0);
    assert!(review.contains("4 added, 1 kept as they were, 1 no longer on the server"), "{review}");
    let merged: Value = serde_json::from_str(&sandbox.read("old.json")).unwrap();
    assert_eq!(merged["tools"]["ticktick_get_task"], json!({"action": "deny"}));
    assert_eq!(merged["tools"]["gone"], json!({}));
}

#[test]
fn several_servers_get_a_file_each() {
    let sandbox = with_tools();
    sandbox.write("other.json", r#"{"server": "../../evil", "tools": [{"name": "get_x", "description": "Get x."}]}"#);
    let both = ["gen-policy", "-q", "--tools", "tools.json", "other.json"];
    assert!(sandbox.run(&both).refused(2).contains("-o DIR"));
    sandbox.run(&[&both[..], &["-o", "out"]].concat()).quiet(0);
    let mut names: Vec<_> =
        std::fs::read_dir(sandbox.dir().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| !name.to_str().unwrap().contains('/')), "{names:?}");
}

#[test]
fn wrong_names_are_corrected() {
    let sandbox = with_tools();
    let said = sandbox.run(&["gen-policy", "--tools", "tools.json", "--only", "ticktick_get_tsak"]).refused(2);
    assert!(said.contains("did you mean `ticktick_get_task`?"), "{said}");
}
