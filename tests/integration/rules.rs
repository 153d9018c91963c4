//! `mcpol rules` and `mcpol.toml`: lists, problems, measurements, overrides.

use super::harness::{Sandbox, repository};
use serde_json::Value;

const TOOLS: &str = r#"{"server": "files", "tools": [
  {"name": "read_file", "description": "Read a file", "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}}},
  {"name": "delete_file", "description": "Delete a file", "annotations": {"readOnlyHint": true}}
]}"#;

const LABELS: &str = r#"{"server": "files", "tool": "read_file", "category": "Read", "blast": ["medium"]}
{"server": "files", "tool": "delete_file", "category": "Read", "blast": ["low"]}
"#;

const RULE: &str = "[[reading]]\nid = \"acme-rotate-label\"\nwhy = \"only changes how a label is shown\"\ncategory = \"Write\"\nrank = 30\n\
    when = [{ verb = [\"rotate\"], object = [\"label\"] }]\n[[reading.tests.match]]\nname = \"rotate_label\"\ndescription = \"Rotate a label\"\n\
    is = \"Write medium\"\n[[reading.tests.ignore]]\nname = \"rotate_key\"\ndescription = \"Rotate a key\"\n";

fn scanned(sandbox: &Sandbox, more: &[&str]) -> Value {
    let args = [&["scan", "--tools", "tools.json", "--format", "json"], more].concat();
    serde_json::from_str(&sandbox.run(&args).both(0).0).unwrap()
}

fn tool<'a>(scan: &'a Value, name: &str) -> &'a Value {
    let servers = scan["servers"].as_array().unwrap();
    servers.iter().flat_map(|server| server["tools"].as_array().unwrap()).find(|tool| tool["tool"] == name).unwrap()
}

#[test]
fn the_builtin_rules_are_listed_and_hold() {
    let sandbox = Sandbox::new();
    let list = sandbox.run(&["rules", "list"]).quiet(0);
    assert!(list.lines().all(|line| line.chars().count() <= 80), "fits 80 columns");
    assert!(
        list.contains("\nsteer-running  reading · Execute\n")
            && list.contains("\nplain-http  finding · at worst warning\n")
    );
    let json: Value = serde_json::from_str(&sandbox.run(&["rules", "list", "--format", "json"]).quiet(0)).unwrap();
    assert!(json["rules"].as_array().unwrap().len() > 100);
    assert!(
        json["rules"].as_array().unwrap().iter().all(|rule| rule["why"].as_str().is_some_and(|why| !why.is_empty()))
    );
    assert!(sandbox.run(&["rules", "lint"]).quiet(0).ends_with(": no problem\n"));
    assert!(sandbox.run(&["rules", "test"]).quiet(0).ends_with(": all hold\n"));
}

#[test]
fn a_rule_is_explained_with_its_tests_and_a_finding_with_its_advice() {
    let sandbox = Sandbox::new();
    let page = sandbox.run(&["rules", "explain", "steer-running"]).quiet(0);
    for part in ["  why ", "  says        Execute\n", "As written:\n", "[[reading.tests.match]]"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("pause-stored"), "one rule only:\n{page}");
    assert!(sandbox.run(&["rules", "explain", "plain-http"]).quiet(0).contains("CWE-319"));
    let error = sandbox.run(&["rules", "explain", "plain-htp"]).refused(2);
    assert_eq!(error, "error: no rule or finding has the id `plain-htp`\n  help: did you mean `plain-http`?\n");
}

#[test]
fn a_directory_of_rules_adds_and_replaces() {
    let sandbox = Sandbox::new();
    sandbox.write("mine/label.toml", RULE);
    assert!(sandbox.run(&["rules", "test", "--rules", "mine"]).quiet(0).ends_with(": all hold\n"));
    let page = sandbox.run(&["rules", "explain", "acme-rotate-label", "--rules", "mine"]).quiet(0);
    assert!(page.contains("mine/label.toml:1"), "{page}");
    // A later layer wins by id, and its test shows that it does.
    sandbox.write("later/label.toml", &RULE.replace("category = \"Write\"", "category = \"Execute\""));
    let (out, _) = sandbox.run(&["rules", "test", "--rules", "mine", "--rules", "later"]).both(1);
    assert!(
        out.contains("later/label.toml:1  acme-rotate-label: `rotate_label`: Write medium expected, Execute"),
        "{out}"
    );
}

#[test]
fn every_problem_of_the_rule_files_is_told_at_once() {
    let sandbox = Sandbox::new();
    sandbox.write("mine/a.toml", "[[reading]]\nid = \"x\"\n");
    sandbox.write("mine/b.toml", "[[raduis]]\nid = \"y\"\n");
    let error = sandbox.run(&["rules", "lint", "--rules", "mine"]).refused(2);
    assert!(error.starts_with("error: there are 2 problems with the rules\n"), "{error}");
    assert!(error.contains("mine/a.toml:1:1") && error.contains("mine/b.toml:1:3"), "{error}");
    assert!(error.contains("did you mean `radius`?"), "{error}");
    assert!(sandbox.run(&["rules", "lint", "--rules", "nowhere"]).refused(2).contains("nowhere"));
    std::fs::create_dir(sandbox.dir().join("empty")).unwrap();
    assert!(sandbox.run(&["rules", "lint", "--rules", "empty"]).refused(2).contains("holds no `.toml` file"));
}

#[test]
fn rules_are_measured_against_labels() {
    let sandbox = Sandbox::new();
    sandbox.write("tools.json", TOOLS);
    sandbox.write("labels.jsonl", LABELS);
    let eval = ["rules", "eval", "labels.jsonl", "--tools", "tools.json"];
    let report = sandbox.run(&eval).quiet(0);
    assert!(
        report.starts_with("2 labelled tools, 0 without a tool\ncategory exact       50.0 %  (1 of 2)\n"),
        "{report}"
    );
    assert!(report.contains("\ncategory differs (1)\n  files delete_file: Read low, judged Delete high\n"), "{report}");
    assert!(report.lines().all(|line| line.chars().count() <= 80), "{report}");
    let (_, error) = sandbox.run(&[&eval[..], &["--min-category", "60"]].concat()).both(1);
    assert_eq!(error, "category: 50.0 % is below the 60 % asked for\n");
    sandbox.run(&[&eval[..], &["--min-category", "50", "--min-radius", "50"]].concat()).quiet(0);
    let json: Value =
        serde_json::from_str(&sandbox.run(&[&eval[..], &["--format", "json"]].concat()).quiet(0)).unwrap();
    assert_eq!((&json["labels"], &json["exact"]), (&Value::from(2), &Value::from(1)));
    assert!(report.contains("\nhints, where said") && report.contains("\nreadOnlyHint "), "{report}");
    let hints = json["hints"]["readOnlyHint"].as_object().unwrap();
    assert_eq!(hints.values().filter_map(Value::as_u64).sum::<u64>(), 2, "each label decides it: {json}");
    // What a tool deserves is not measured where it may rest on what the tool claims.
    let trusting = sandbox.run(&[&eval[..], &["--with-annotations"]].concat()).quiet(0);
    assert!(!trusting.contains("hints, where said"), "{trusting}");
    let short = sandbox.run(&[&eval[..], &["--misses", "0"]].concat()).quiet(0);
    assert!(!short.contains("delete_file"), "{short}");
}

#[test]
fn wrong_labels_are_refused_with_their_lines() {
    let sandbox = Sandbox::new();
    sandbox.write("tools.json", TOOLS);
    sandbox.write("labels.jsonl", "{\"server\": \"files\"}\n\nnot json\n");
    let error = sandbox.run(&["rules", "eval", "labels.jsonl", "--tools", "tools.json"]).refused(2);
    assert!(error.contains("labels.jsonl:1:") && error.contains("labels.jsonl:3:"), "{error}");
    sandbox.write("labels.jsonl", &LABELS.replace("files", "other"));
    assert!(
        sandbox
            .run(&["rules", "eval", "labels.jsonl", "--tools", "tools.json"])
            .refused(4)
            .contains("no label met a tool")
    );
}

#[test]
fn an_override_wins_shows_its_reason_and_expires() {
    let sandbox = Sandbox::new();
    sandbox.write("tools.json", TOOLS);
    let before = scanned(&sandbox, &[]);
    let delete = tool(&before, "delete_file");
    assert_eq!(
        (delete["category"].as_str(), &delete["findings"][0]["id"]),
        (Some("Delete"), &Value::from("annotation-contradicts"))
    );

    let text = "[[override]]\nserver = \"files\"\ntool = \"delete_file\"\ncategory = \"Write\"\nblast_radius = \"low\"\nreason = \"keeps versions\"\n";
    sandbox.write("mcpol.toml", text);
    let after = scanned(&sandbox, &[]);
    let delete = tool(&after, "delete_file");
    assert_eq!((&delete["category"], &delete["risk"]), (&Value::from("Write"), &Value::from("medium")));
    assert_eq!(delete["evidence"][0]["quote"], "keeps versions");

    sandbox.write("mcpol.toml", &format!("{text}expires = 2020-01-31\n"));
    let (out, error) = sandbox.run(&["scan", "--tools", "tools.json", "--format", "json"]).both(0);
    assert_eq!(tool(&serde_json::from_str(&out).unwrap(), "delete_file")["category"], "Delete");
    assert_eq!(
        error,
        "warning: mcpol.toml:1: the override of `delete_file` of `files` expired on 2020-01-31 and does not apply\n"
    );

    sandbox.write("other.toml", &text.replace("delete_file", "delete_fil"));
    let (_, error) = sandbox.run(&["scan", "--tools", "tools.json", "--settings", "other.toml"]).both(0);
    assert_eq!(error, "warning: other.toml:1: `files` has no tool `delete_fil`; did you mean `delete_file`?\n");
}

#[test]
fn a_finding_or_a_rule_can_be_switched_off_with_a_reason() {
    let sandbox = Sandbox::new();
    sandbox.write("tools.json", TOOLS);
    sandbox.write("mcpol.toml", "[[disable]]\nid = \"annotation-contradicts\"\nreason = \"known\"\n\n[[disable]]\nid = \"steer-running\"\nreason = \"known\"\n");
    let scan = scanned(&sandbox, &[]);
    assert_eq!(tool(&scan, "delete_file")["findings"].as_array().map_or(0, Vec::len), 0);
}

#[test]
fn settings_with_mistakes_are_refused_with_all_of_them() {
    let sandbox = Sandbox::new();
    sandbox.write("tools.json", TOOLS);
    sandbox.write("mcpol.toml", "[[override]]\nserver = \"files\"\ncategory = \"Reed\"\nreason = \"x\"\n\n[[disable]]\nid = \"plain-htp\"\nreason = \"x\"\n");
    let error = sandbox.run(&["scan", "--tools", "tools.json"]).refused(2);
    let expected = "error: the settings are not valid\n  mcpol.toml:1:1  override[0]: `tool` is missing\n  mcpol.toml:3:12  override[0].category: \
                    `Reed` is not one of Read, Write, Execute, Delete\n  help: did you mean `Read`?\n  mcpol.toml:7:6  disable[0].id: no rule or \
                    finding has the id `plain-htp`\n  help: did you mean `plain-http`?\n";
    assert_eq!(error, expected);
    assert!(
        sandbox.run(&["scan", "--tools", "tools.json", "--settings", "gone.toml"]).refused(2).contains("gone.toml")
    );
}

#[test]
fn every_finding_is_documented_and_the_rule_in_the_docs_holds() {
    let text = std::fs::read_to_string(repository().join("docs/findings.md")).unwrap();
    for kind in mcpol::classify::findings::KINDS {
        assert!(text.contains(&format!("\n## {}\n", kind.id)), "docs/findings.md has no section `{}`", kind.id);
    }
    let rules = std::fs::read_to_string(repository().join("docs/rules.md")).unwrap();
    let blocks: Vec<&str> = rules.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let sandbox = Sandbox::new();
    sandbox.write("tools.json", TOOLS);
    sandbox.write("docs.toml", blocks[0]);
    assert!(
        sandbox.run(&["scan", "--tools", "tools.json", "--settings", "docs.toml"]).both(0).1.contains("sync_folder")
    );
    sandbox.write("mine/docs.toml", blocks[1]);
    assert!(sandbox.run(&["rules", "test", "--rules", "mine"]).quiet(0).ends_with(": all hold\n"));
}
