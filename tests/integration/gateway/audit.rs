//! The log, read back by the commands that people use.

use super::*;

fn logged() -> Sandbox {
    let sandbox = sandbox(&only(json!({"list_tasks": {}, "create_task": {"action": "deny", "reason": "no"}})));
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    for id in 1..=3 {
        passed(&gateway.ask_tool(id, "list_tasks", &json!({"status": "hunter2"})));
    }
    refusal(&gateway.ask_tool(4, "create_task", &json!({"title": "hunter2"})));
    assert_eq!(gateway.close().0, Some(0));
    sandbox
}

#[test]
fn nothing_secret_is_in_it_and_every_decision_is() {
    let sandbox = logged();
    assert!(!(sandbox.read("state/audit.jsonl") + &sandbox.read("state/audit.refused.jsonl")).contains("hunter2"));
    let log = log(&sandbox);
    assert_eq!(events(&log, "decision").len(), 4);
    assert_eq!(events(&log, "outcome").len(), 3);
    assert_eq!(events(&log, "decision")[3]["keys"], json!(["title"]));
}

#[test]
fn tail_show_stats_and_verify_read_it() {
    let sandbox = logged();
    let tail = sandbox.run(&["audit", "tail", "-n", "3"]).quiet(0);
    assert_eq!(tail.lines().count(), 3, "{tail}");
    let id = events(&log(&sandbox), "decision")[3].clone();
    let id = format!("{}-{}", id["session"].as_str().unwrap(), id["decision"]);
    let shown = sandbox.run(&["audit", "show", &id]).quiet(0);
    assert!(shown.contains("create_task") && shown.contains("action_denied"), "{shown}");
    let stats = sandbox.run(&["audit", "stats"]).quiet(0);
    assert!(stats.contains("        3         0           0  list_tasks"), "{stats}");
    assert!(stats.contains("p99"), "{stats}");
    let json: Value = serde_json::from_str(&sandbox.run(&["audit", "stats", "--json"]).quiet(0)).unwrap();
    assert_eq!(json["tools"]["create_task"]["denied"], 1);
    let verified = sandbox.run(&["audit", "verify"]).quiet(0);
    assert!(verified.contains("1 sessions: the chain holds"), "{verified}");
    for (file, from, to) in
        [("state/audit.refused.jsonl", "\"deny\"", "\"allow\""), ("state/audit.jsonl", "list_tasks", "read_tasks")]
    {
        let text = sandbox.read(file);
        sandbox.write(file, &text.replacen(from, to, 1));
        let (out, _) = sandbox.run(&["audit", "verify"]).both(1);
        assert!(out.contains("was changed"), "{file}: {out}");
        sandbox.write(file, &text);
    }
    // Beginning with the third line, as after a rotation; but no rotation has left its files here.
    let text = sandbox.read("state/audit.jsonl");
    let cut: Vec<&str> = text.lines().skip(2).collect();
    sandbox.write("state/audit.jsonl", &(cut.join("\n") + "\n"));
    let (out, _) = sandbox.run(&["audit", "verify"]).both(1);
    assert!(out.contains("MISSING AT THE FRONT: 2 lines of 1 sessions") && !out.contains("the chain holds"), "{out}");
    for number in 1..=5 {
        sandbox.write(&format!("state/audit.jsonl.{number}"), "");
    }
    sandbox.write("state/audit.jsonl.5", &(text.lines().skip(2).collect::<Vec<_>>().join("\n") + "\n"));
    sandbox.write("state/audit.jsonl", "");
    let out = sandbox.run(&["audit", "verify"]).quiet(0);
    assert!(out.contains("MISSING AT THE FRONT") && out.contains("what is left holds together"), "{out}");
}

#[test]
fn a_log_that_is_not_there_is_said() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["audit", "verify"]).refused(4).contains("there is no audit log"));
    assert!(sandbox.run(&["audit", "show", "x"]).refused(4).contains("help:"));
}
