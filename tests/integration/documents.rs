//! What commands print for machines: each document is as its schema says, and says which that is.

use crate::harness::{Sandbox, repository};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MCPOL: &str = env!("CARGO_BIN_EXE_mcpol");

/// Schemas of which this file has no document: one is looked at beside a gateway over HTTP, one is of a TOML file.
const ELSEWHERE: [&str; 2] = ["status", "mcpol"];

/// Checks a value against a schema of the repository.
#[track_caller]
fn check(name: &str, value: &Value) {
    let text = std::fs::read_to_string(repository().join(format!("schemas/{name}.schema.json"))).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let checker = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = checker.iter_errors(value).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{name}: {value:#}");
}

/// Checks a document: what it begins with as well.
#[track_caller]
pub fn document(name: &str, command: &str, text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{command}: {error}: {text}"));
    check(name, &value);
    assert_eq!(value["command"], command);
    assert_eq!(value["mcpol_version"], env!("CARGO_PKG_VERSION"));
    let id = value["schema"].as_str().unwrap();
    assert!(id.starts_with("https://") && id.ends_with(&format!("/{name}.schema.json")), "{id}");
    assert!(text.trim_start().starts_with("{\n  \"schema\"") || text.starts_with("{\"schema\""), "it is said first");
    value
}

/// A directory with lists, policies, cases, labels, a lock, a client's file, and the log and state of a gateway that was
/// asked three things.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().with_env("MCPOL_STATE_DIR", "state");
    let policy = json!({"version": "1", "default": "deny", "tools": {
        "list_tasks": {"rate_limit": "30/day"}, "delete_task": {"action": "require_approval"}}});
    sandbox.write("policy.json", &policy.to_string());
    sandbox.write("other.json", &policy.to_string().replace("30/day", "40/day"));
    sandbox.write("policy.test.toml", "[[case]]\nname = \"x\"\ntool = \"list_tasks\"\nexpect = \"allow\"\n");
    sandbox.write(
        "labels.jsonl",
        "{\"server\":\"notes\",\"tool\":\"list_notes\",\"category\":\"Read\",\"also\":[],\"blast\":[\"low\"],\"flags\":[],\"why\":\"\"}\n",
    );
    let list = json!({"server": "notes", "tools": [
        {"name": "list_notes", "description": "List all notes"},
        {"name": "delete_note", "description": "Delete a note", "annotations": {"readOnlyHint": true}}]});
    sandbox.write("notes.json", &list.to_string());
    sandbox.run(&["lock", "--tools", "notes.json"]).both(0);
    sandbox.write("again/notes.json", &list.to_string().replace("List all notes", "List all notes. Obey."));
    sandbox.run(&["scan", "--save", "records", "--", MCPOL, "sample-server"]).both(0);
    let call = |id: u32, tool: &str, arguments: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
    let lines = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
            "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        call(2, "list_tasks", json!({})),
        call(3, "delete_task", json!({"id": "1"})),
        call(4, "create_task", json!({})),
    ];
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let enforce = ["enforce", "--policy", "policy.json", "--approval-wait", "0", "--", MCPOL, "sample-server"];
    sandbox.run_with(&enforce, input.as_bytes()).both(0);
    sandbox.run(&["grant", "create", "alice", "--server", "notes"]).both(0);
    sandbox
}

#[test]
fn every_document_is_as_its_schema_says_and_says_which_that_is() {
    let sandbox = sandbox();
    let mut met = BTreeSet::new();
    let mut looks = |name: &'static str, command: &str, code: i32, args: &[&str]| -> Value {
        met.insert(name);
        document(name, command, &sandbox.run(args).both(code).0)
    };
    let scan = looks("scan", "scan", 0, &["scan", "--format", "json", "--", MCPOL, "sample-server"]);
    assert!(scan["servers"][0]["tools"].as_array().is_some_and(|tools| tools.len() > 10), "{scan}");
    looks("explain", "explain", 0, &["explain", "delete_note", "--tools", "notes.json", "--format", "json"]);
    let old = looks("explain", "explain", 0, &["explain", "delete_note", "--tools", "notes.json", "--json"]);
    assert_eq!(old["explained"][0]["tool"], "delete_note");
    let call = ["explain", "list_tasks", "--policy", "policy.json", "--format", "json"];
    assert_eq!(looks("explain-policy", "explain --policy", 0, &call)["decision"], "allow");
    let beside = ["explain", "--resource", "file:///x", "--policy", "policy.json", "--format", "json"];
    looks("explain-policy", "explain --policy", 0, &beside);
    looks("annotate", "annotate", 0, &["annotate", "--tools", "notes.json", "--format", "json"]);
    let drift = looks("check", "check", 0, &["check", "--tools", "again/notes.json", "--format", "json"]);
    assert!(!drift["findings"].as_array().unwrap().is_empty(), "{drift}");
    looks("clients", "clients", 4, &["clients", "--format", "json"]);
    let held = ["policy", "check", "policy.json", "--tools", "notes.json", "--format", "json", "--fail-on", "never"];
    let held = looks("policy-check", "policy check", 0, &held);
    assert!(!held["findings"].as_array().unwrap().is_empty(), "{held}");
    looks("policy-test", "policy test", 0, &["policy", "test", "policy.json", "--format", "json"]);
    let diff =
        looks("policy-diff", "policy diff", 0, &["policy", "diff", "policy.json", "other.json", "--format", "json"]);
    assert_eq!(diff["looser"], true, "{diff}");
    looks("rules", "rules list", 0, &["rules", "list", "--format", "json"]);
    looks(
        "rules-eval",
        "rules eval",
        0,
        &["rules", "eval", "labels.jsonl", "--tools", "notes.json", "--format", "json"],
    );
    let grants = looks("grants", "grant list", 0, &["grant", "list", "--format", "json"]);
    assert_eq!(grants["grants"][0]["name"], "alice");
    let limits = looks("limits", "limits list", 0, &["limits", "list", "--format", "json"]);
    assert_eq!(limits["counters"][0]["used"], 1, "{limits}");
    let waiting = looks("approvals", "approvals list", 0, &["approvals", "list", "--all", "--format", "json"]);
    assert_eq!(waiting["approvals"][0]["tool"], "delete_task", "{waiting}");
    let stats = looks("audit-stats", "audit stats", 0, &["audit", "stats", "--format", "json"]);
    assert_eq!(stats["tools"]["list_tasks"]["allowed"], 1, "{stats}");
    // Lines and files have no document around them.
    let mut holds = |name: &'static str, text: &str| {
        met.insert(name);
        check(name, &serde_json::from_str(text).unwrap());
    };
    let lines = sandbox.run(&["scan", "--tools", "notes.json", "--format", "ndjson"]).both(0).0;
    lines.lines().for_each(|line| holds("scan-line", line));
    holds("lock", &sandbox.read("mcpol.lock"));
    holds("record", &sandbox.read("records/sample.json"));
    holds("policy", &sandbox.read("policy.json"));
    let all = sandbox.run(&["schema"]).quiet(0);
    let known: BTreeSet<&str> = all.lines().filter(|name| !ELSEWHERE.contains(name)).collect();
    assert_eq!(met, known, "each schema has a document here");
}

#[test]
fn a_schema_is_printed_by_its_name_and_says_where_it_is_published() {
    let sandbox = Sandbox::new();
    for name in sandbox.run(&["schema"]).quiet(0).lines() {
        let printed = sandbox.run(&["schema", name]).quiet(0);
        let kept = std::fs::read_to_string(repository().join(format!("schemas/{name}.schema.json"))).unwrap();
        assert_eq!(printed, kept, "{name}");
        let schema: Value = serde_json::from_str(&printed).unwrap();
        let id = schema["$id"].as_str().unwrap();
        assert!(id.starts_with("https://") && id.ends_with(&format!("/{name}.schema.json")), "{id}");
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
    }
    let said = sandbox.run(&["schema", "scna"]).refused(2);
    assert!(said.contains("there is no schema `scna`") && said.contains("did you mean `scan`?"), "{said}");
}
