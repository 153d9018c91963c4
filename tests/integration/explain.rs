//! `mcpol explain TOOL`: the verdict of one tool, and near names where there is none.

use crate::harness::Sandbox;
use serde_json::{Value, json};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let tools = json!({"server": "focus", "tools": [
        {"name": "pause_focus_session", "description": "Pause the current focus session"},
        {"name": "delete_task", "description": "Delete a task."},
    ]});
    sandbox.write("focus.json", &tools.to_string());
    sandbox
}

#[test]
fn the_verdict_is_explained_for_people_and_machines() {
    let sandbox = sandbox();
    let text = sandbox.run(&["explain", "delete_task", "--tools", "focus.json"]).quiet(0);
    for word in ["delete_task", "on server focus", "category", "blast radius", "risk", "flags", "Evidence"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let json = sandbox.run(&["explain", "delete_task", "--tools", "focus.json", "--json"]).quiet(0);
    let all = &serde_json::from_str::<Value>(&json).unwrap()["explained"];
    assert_eq!((&all[0]["server"], &all[0]["tool"]), (&json!("focus"), &json!("delete_task")));
}

#[test]
fn a_name_that_is_not_there_is_exit_2_with_near_ones() {
    let sandbox = sandbox();
    let said = sandbox.run(&["explain", "pause_focus_sesion", "--tools", "focus.json"]).refused(2);
    assert!(said.contains("no tool `pause_focus_sesion` on server `focus`"), "{said}");
    assert!(said.contains("help: did you mean `pause_focus_session`?"), "{said}");
    let said = sandbox.run(&["explain", "zzz", "--tools", "focus.json"]).refused(2);
    assert!(said.contains("help: `mcpol scan`"), "{said}");
}
