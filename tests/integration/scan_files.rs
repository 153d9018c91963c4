//! `mcpol scan --tools`: saved lists in, every output format out.

use crate::harness::{Sandbox, repository};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

const FORMATS: [&str; 4] = ["table", "json", "ndjson", "markdown"];

/// Tools with words that a terminal, a table or a Markdown page could stumble over.
fn hostile() -> Value {
    json!([
        {"name": "delete_文件", "description": "删除文件。删除之后无法恢复，请谨慎使用这个工具来删除任何文件，包括目录中的所有内容。"},
        {"name": "get_\u{1b}[31mred\u{202e}", "description": "Get\u{9b}5m \u{200b}| a | `thing` <script>alert(1)</script> [x](http://e.example)\n\n# No"},
        {"name": "list_".to_owned() + &"very_long_name_".repeat(12), "description": "List things. ".repeat(200)},
        {"name": "run_command", "description": "Run a shell command.", "inputSchema": {"type": "object", "properties": {"command": {"type": "string"}}}},
        {"name": "🎉"},
    ])
}

fn lists() -> Vec<(&'static str, Value)> {
    let simple = json!([{"name": "get_task", "description": "Get a task."}, {"name": "delete_task", "description": "Delete a task."}]);
    vec![
        ("b.json", json!({"server": "tasks", "tools": simple})),
        ("a.json", json!({"slug": "hostile", "tools": hostile()})),
        ("c.json", json!({"result": {"tools": [{"name": "send_mail", "description": "Send a mail to anyone."}]}})),
    ]
}

fn with_lists() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, list) in lists() {
        sandbox.write(&format!("lists/{name}"), &list.to_string());
    }
    sandbox
}

#[test]
fn the_same_tools_give_the_same_bytes_whatever_their_order() {
    let sandbox = with_lists();
    let reversed = |list: &Value| {
        let mut list = list.clone();
        let tools = if list.get("result").is_some() { &mut list["result"]["tools"] } else { &mut list["tools"] };
        tools.as_array_mut().unwrap().reverse();
        list
    };
    let mut lines: Vec<String> = lists().iter().map(|(_, list)| reversed(list).to_string()).collect();
    // In a file of lines the unnamed list would be called after its line, so it gets the name that its file gives it.
    lines[2] =
        json!({"slug": "c", "tools": [{"name": "send_mail", "description": "Send a mail to anyone."}]}).to_string();
    lines.rotate_left(1);
    let text = lines.join("\n");
    let files = sandbox.run(&["scan", "--tools", "lists", "--format", "ndjson"]).quiet(0);
    let stdin = sandbox.run_with(&["scan", "--tools", "-", "--format", "ndjson"], text.as_bytes()).quiet(0);
    assert_eq!(files, stdin);
    for (name, list) in lists() {
        sandbox.write(&format!("other/{name}"), &reversed(&list).to_string());
    }
    for format in FORMATS {
        let one = sandbox.run(&["scan", "--tools", "lists/a.json", "lists/b.json", "--format", format]).quiet(0);
        let two = sandbox.run(&["scan", "--tools", "other/b.json", "other/a.json", "--format", format]).quiet(0);
        assert_eq!(one, two.replace("other/", "lists/"), "{format}");
    }
}

#[test]
fn ndjson_has_one_object_a_tool_with_the_promised_members() {
    let out = with_lists().run(&["scan", "--tools", "lists", "--format", "ndjson"]).quiet(0);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Two in `b.json`, five in `a.json`, one in `c.json`.
    assert_eq!(lines.len(), 2 + 5 + 1);
    for line in &lines {
        for member in [
            "server",
            "tool",
            "category",
            "risk",
            "blast_radius",
            "flags",
            "tokens",
            "confidence",
            "evidence",
            "findings",
        ] {
            assert!(line.get(member).is_some(), "{member} in {line}");
        }
    }
    let names: Vec<_> =
        lines.iter().map(|line| (line["server"].as_str().unwrap(), line["tool"].as_str().unwrap())).collect();
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn what_tools_cost_a_model_is_told_of_each_of_a_server_and_of_all() {
    let sandbox = with_lists();
    let report = sandbox.run(&["scan", "--tools", "lists", "--format", "json"]).quiet(0);
    let report: Value = serde_json::from_str(&report).unwrap();
    let servers = report["servers"].as_array().unwrap();
    for server in servers {
        let tools = server["tools"].as_array().unwrap();
        let sum: u64 = tools.iter().map(|tool| tool["tokens"].as_u64().unwrap()).sum();
        assert!(sum > 0 && server["summary"]["tokens"] == sum, "{server}");
    }
    let table = sandbox.run(&["scan", "--tools", "lists"]).quiet(0);
    assert_eq!(table.matches(" tokens").count(), servers.len() + 1, "each server, and all of them: {table}");
}

#[test]
fn json_lines_and_records_satisfy_the_published_schemas() {
    let sandbox = with_lists();
    let schema = |name: &str| {
        let text = std::fs::read_to_string(repository().join(format!("schemas/{name}.schema.json"))).unwrap();
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    let check = |validator: &jsonschema::Validator, text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    };
    check(&schema("scan"), &sandbox.run(&["scan", "--tools", "lists", "--format", "json"]).quiet(0));
    let lines = sandbox.run(&["scan", "--tools", "lists", "--format", "ndjson"]).quiet(0);
    let line_schema = schema("scan-line");
    lines.lines().for_each(|line| check(&line_schema, line));
    sandbox.run(&["scan", "--tools", "lists", "--format", "json", "--save", "saved"]).quiet(0);
    check(&schema("record"), &sandbox.read("saved/tasks.json"));
}

#[test]
fn every_line_of_the_table_fits_the_terminal() {
    for columns in ["60", "80", "99", "100", "120", "200"] {
        let sandbox = with_lists().with_env("COLUMNS", columns);
        for extra in [&[][..], &["--explain"]] {
            let args = [&["scan", "--tools", "lists"], extra].concat();
            let table = sandbox.run(&args).quiet(0);
            let widest = table.lines().map(|line| line.width()).max().unwrap();
            assert!(widest <= columns.parse().unwrap(), "{columns} {extra:?}: {widest}\n{table}");
            assert!(!table.contains("  \n") && !table.contains(" \n"), "no white space at the ends of lines\n{table}");
        }
    }
}

#[test]
fn hostile_text_drives_neither_terminal_nor_page() {
    let sandbox = with_lists();
    for format in FORMATS {
        for extra in [&[][..], &["--explain"]] {
            let args = [&["scan", "--tools", "lists", "--format", format], extra].concat();
            let out = sandbox.run(&args).quiet(0);
            for forbidden in ['\u{1b}', '\u{9b}', '\u{202e}', '\u{200b}', '\r', '\u{7}'] {
                assert!(!out.contains(forbidden), "{format}: {forbidden:?}\n{out}");
            }
            assert!(format != "markdown" || !out.contains("<script>"), "{out}");
        }
    }
    let name = hostile()[1]["name"].as_str().unwrap().to_owned();
    let out = sandbox.run(&["explain", &name, "--tools", "lists", "--json"]).quiet(0);
    assert!(!out.contains('\u{202e}') && !out.contains('\u{9b}'), "{out}");
    let explained: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(explained["explained"][0]["tool"], hostile()[1]["name"], "a program reads the name to the letter");
}

#[test]
fn exit_codes_are_as_promised_and_formats_never_change_them() {
    let sandbox = with_lists();
    sandbox.write("broken.json", "{\"tools\": [\n}");
    sandbox.write("none.json", "{\"other\": 1}");
    sandbox.write("empty.json", "{\"server\": \"nobody\", \"tools\": []}");
    for format in FORMATS {
        let scan = |args: &[&str]| sandbox.run(&[&["scan", "--format", format], args].concat());
        scan(&["--tools", "lists"]).quiet(0);
        scan(&["--tools", "lists", "--fail-on", "critical"]).quiet(1);
        scan(&["--tools", "lists/c.json", "--fail-on", "critical"]).quiet(0);
        let (_, said) = scan(&["--tools", "empty.json", "--fail-on", "low"]).both(4);
        assert!(said.contains("nothing to look at: the server lists no tool"), "{said}");
        scan(&["--tools", "lists", "--fail-on", "terrible"]).refused(2);
        let (out, said) = scan(&["--tools", "lists/b.json", "broken.json", "none.json", "gone.json"]).both(2);
        assert!(out.contains("delete"), "the good file is still shown: {out}");
        for problem in
            ["broken.json:2:1: not readable as JSON", "none.json:1:1: no tool list in here", "gone.json: no such file"]
        {
            assert!(said.contains(problem), "{problem}: {said}");
        }
    }
}

#[test]
fn a_file_of_bad_lines_shows_the_first_problems_and_counts_the_rest() {
    let sandbox = Sandbox::new();
    for (bad, more) in [(50, None), (51, Some("help: 1 more not shown"))] {
        sandbox.write("bad.jsonl", &"{\"other\": 1}\n".repeat(bad));
        let said = sandbox.run(&["scan", "--tools", "bad.jsonl", "--format", "ndjson"]).refused(2);
        assert_eq!(said.matches("bad.jsonl:").count(), 50, "{said}");
        assert_eq!(said.contains("more not shown"), more.is_some(), "{said}");
        assert!(said.contains(more.unwrap_or_default()), "{said}");
    }
}

#[test]
fn records_are_taken_back_and_saved_again_without_a_changed_byte() {
    let sandbox = with_lists();
    sandbox.run(&["scan", "--tools", "lists", "--format", "json", "--save", "one"]).quiet(0);
    sandbox.run(&["scan", "--tools", "one", "--format", "json", "--save", "two"]).quiet(0);
    for name in ["hostile.json", "tasks.json", "c.json"] {
        assert_eq!(sandbox.read(&format!("one/{name}")), sandbox.read(&format!("two/{name}")), "{name}");
    }
    let before = sandbox.run(&["scan", "--tools", "one", "--format", "ndjson"]).quiet(0);
    assert_eq!(before, sandbox.run(&["scan", "--tools", "lists", "--format", "ndjson"]).quiet(0));
}

#[test]
fn a_reader_that_goes_away_is_not_an_error() {
    use std::process::Stdio;
    let sandbox = with_lists();
    for format in FORMATS {
        let mut child = sandbox
            .command(&["scan", "--tools", "lists", "--format", format])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{format}");
    }
}
