//! What the clients of a machine would start: their files, folders, variables, inputs and switches.

use crate::harness::Sandbox;
use serde_json::json;
use std::path::Path;

/// A server of one tool that is called after what the shell prints for `$what`, so that a scan shows what it was given.
fn telling(what: &str) -> serde_json::Value {
    let script = format!(
        r#"while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case $line in
    *'"initialize"'*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"protocolVersion":"2025-06-18","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"s","version":"1"}}}}}}\n' "$id" ;;
    *'"tools/list"'*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"tools":[{{"name":"get_%s","inputSchema":{{"type":"object"}}}}]}}}}\n' "$id" "{what}" ;;
  esac
done"#
    );
    json!({"command": "sh", "args": ["-c", script]})
}

fn put(sandbox: &Sandbox, path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(path.starts_with(sandbox.home()) || path.starts_with(sandbox.dir()));
    std::fs::write(path, text).unwrap();
}

fn merged(mut entry: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    for (name, value) in more.as_object().unwrap() {
        entry[name] = value.clone();
    }
    entry
}

#[test]
fn servers_of_a_project_start_in_its_folder_with_its_file_of_variables() {
    let sandbox = Sandbox::new();
    let entry = merged(telling("$(basename \"$PWD\")_$WORD"), json!({"envFile": "${workspaceFolder}/.env"}));
    sandbox.write("shop/.vscode/mcp.json", &json!({"servers": {"a": entry}}).to_string());
    sandbox.write("shop/.env", "WORD=from_file\n");
    let out = sandbox.run(&["scan", "--config", "shop/.vscode/mcp.json", "--yes"]).quiet(0);
    assert!(out.contains("get_shop_from_file"), "{out}");
}

#[test]
fn what_a_client_asks_for_is_given_by_its_id() {
    let sandbox = Sandbox::new();
    let entry = merged(telling("$T"), json!({"env": {"T": "${input:tok}"}}));
    sandbox.write(".vscode/mcp.json", &json!({"inputs": [{"id": "tok"}], "servers": {"a": entry}}).to_string());
    let args = ["scan", "--config", ".vscode/mcp.json", "--yes"];
    let said = sandbox.run(&args).refused(3);
    assert!(said.contains("`input:tok`") && said.contains("with `--input tok=VALUE`"), "{said}");
    let out = sandbox.run(&[&args[..], &["--input", "tok=given"]].concat()).quiet(0);
    assert!(out.contains("get_given"), "{out}");
    sandbox.run(&[&args[..], &["--input", "=x"]].concat()).refused(2);
}

#[test]
fn the_same_server_of_two_clients_is_asked_once_and_its_clients_are_named() {
    let sandbox = Sandbox::new().with_writable_home();
    let file =
        json!({"mcpServers": {"time": telling("x"), "here": {"command": "sh", "args": ["server.sh"]}}}).to_string();
    put(&sandbox, &sandbox.home().join(".cursor/mcp.json"), &file);
    put(&sandbox, &sandbox.home().join(".lmstudio/mcp.json"), &file);
    let args = ["scan", "--discover", "--yes", "--server", "time"];
    let (out, said) = sandbox.run(&args).both(0);
    assert_eq!(out.matches("get_x").count(), 1, "{out}");
    assert!(said.contains("`time` is the same in Cursor and LM Studio: looked at once"), "{said}");
    // The same words in the folders of two projects are two servers.
    for project in ["one", "two"] {
        let entry = json!({"mcpServers": {"here": {"command": "sh", "args": ["server.sh"]}}});
        sandbox.write(&format!("{project}/.mcp.json"), &entry.to_string());
        sandbox.write(&format!("{project}/server.sh"), telling(project)["args"][1].as_str().unwrap());
    }
    let args = ["scan", "--config", "one/.mcp.json", "--config", "two/.mcp.json", "--yes", "--format", "ndjson"];
    let (out, _) = sandbox.run(&args).both(0);
    assert!(out.contains("get_one") && out.contains("get_two"), "{out}");
}

#[test]
fn what_claude_code_switches_off_beside_a_project_is_not_started() {
    let sandbox = Sandbox::new().with_writable_home();
    let marker = sandbox.dir().join("ran");
    let off = json!({"command": "touch", "args": [marker]});
    sandbox.write("shop/.mcp.json", &json!({"mcpServers": {"a": telling("a"), "off": off}}).to_string());
    sandbox.write("shop/.claude/settings.local.json", r#"{"disabledMcpjsonServers": ["off"]}"#);
    let (out, said) = sandbox.run(&["scan", "--config", "shop/.mcp.json", "--yes"]).both(0);
    assert!(out.contains("get_a") && said.contains("`off` is left out: it is disabled") && !marker.exists(), "{said}");
    std::fs::remove_dir_all(sandbox.dir().join("shop/.claude")).unwrap();
    let project = sandbox.dir().join("shop").canonicalize().unwrap();
    let own = json!({"projects": {project.to_str().unwrap(): {"disabledMcpjsonServers": ["off"]}}});
    put(&sandbox, &sandbox.home().join(".claude.json"), &own.to_string());
    sandbox.run(&["scan", "--config", project.join(".mcp.json").to_str().unwrap(), "--yes"]).both(0);
    assert!(!marker.exists());
}

#[test]
fn a_header_whose_value_is_in_a_variable_never_stands_in_the_arguments() {
    let sandbox = Sandbox::new().with_env("KEY", "v");
    let scan = |more: &[&str]| sandbox.run(&[&["scan", "http://127.0.0.1:1/mcp"], more].concat());
    let said = scan(&["--header-env", "X-Key=NOT_SET"]).refused(2);
    assert!(said.contains("`NOT_SET` of --header-env is not set"), "{said}");
    let said = scan(&["--header-env", "X-Key=KEY", "--header", "x-key: b"]).refused(2);
    assert!(said.contains("is given twice"), "{said}");
    let said = scan(&["--header-env", "X-Key"]).refused(2);
    assert!(said.contains("must be `Name=VAR`"), "{said}");
}
