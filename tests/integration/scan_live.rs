//! `mcpol scan` of live servers: commands, configurations, the sample server; consent and exit codes.

use crate::harness::{Sandbox, repository};
use serde_json::{Value, json};

/// A configuration whose servers are the sample server inside the binary under test and a command that is missing.
fn configuration() -> Value {
    json!({"mcpServers": {
        "good": {"command": env!("CARGO_BIN_EXE_mcpol"), "args": ["sample-server"]},
        "gone": {"command": "mcpol-test-no-such-command"},
    }})
}

#[test]
fn a_header_given_twice_is_a_mistake() {
    let sandbox = crate::harness::Sandbox::new().with_env("TOKEN", "t");
    let scan = |more: &[&str]| sandbox.run(&[&["scan", "http://127.0.0.1:1/mcp"], more].concat()).refused(2);
    let said = scan(&["--header", "X-Key: a", "--header", "x-key: b"]);
    assert!(said.contains("the header `x-key` is given twice"), "{said}");
    let said = scan(&["--header", "authorization: a", "--bearer-env", "TOKEN"]);
    assert!(said.contains("`Authorization` is given twice") && said.contains("--bearer-env"), "{said}");
}

#[test]
fn with_no_argument_the_sample_server_is_scanned_and_said_so() {
    let (table, said) = Sandbox::new().run(&["scan"]).both(0);
    assert!(said.contains("scanning the sample server") && said.contains("mcpol scan -- npx"), "{said}");
    assert!(table.contains("pause_focus_session") && table.contains("16 tools"), "{table}");
}

#[test]
fn a_command_after_two_dashes_is_its_own_consent() {
    let sandbox = Sandbox::new();
    let args = ["scan", "--format", "ndjson", "--name", "mine", "--", env!("CARGO_BIN_EXE_mcpol"), "sample-server"];
    let out = sandbox.run(&args).quiet(0);
    assert_eq!(out.lines().count(), 16);
    assert!(out.lines().all(|line| line.contains("\"server\":\"mine\"")), "{out}");
    assert_eq!(out, sandbox.run(&args).quiet(0), "the same bytes again");
}

#[test]
fn commands_of_a_configuration_are_not_run_without_consent() {
    let sandbox = Sandbox::new();
    let marker = sandbox.dir().join("ran");
    let config = json!({"mcpServers": {"touchy": {"command": "touch", "args": [marker], "env": {"SOME_KEY": "hush-hush-hush"}}}});
    sandbox.write("mcp.json", &config.to_string());
    let said = sandbox.run(&["scan", "--config", "mcp.json"]).refused(2);
    assert!(said.contains("touchy") && said.contains("touch ") && said.contains("SOME_KEY"), "{said}");
    assert!(said.contains("help: add `--yes`"), "{said}");
    assert!(!said.contains("hush"), "values of variables are never shown: {said}");
    assert!(!marker.exists(), "nothing was run");
}

#[test]
fn one_failing_server_spoils_nothing_and_is_exit_3() {
    let sandbox = Sandbox::new();
    sandbox.write("mcp.json", &configuration().to_string());
    for format in ["table", "json", "ndjson", "markdown"] {
        let args = ["scan", "--config", "mcp.json", "--yes", "--format", format, "--fail-on", "low"];
        let (out, said) = sandbox.run(&args).both(3);
        assert!(out.contains("delete_task") || out.contains("delete\\_task"), "{out}");
        assert!(said.contains("error: gone: command `mcpol-test-no-such-command` does not exist"), "{said}");
    }
    sandbox.run(&["scan", "--config", "mcp.json", "--yes", "--server", "good"]).quiet(0);
}

#[test]
fn of_several_servers_that_failed_each_has_a_line_and_more_where_it_is_wanted() {
    let sandbox = Sandbox::new();
    let failing = |text: &str| json!({"command": "sh", "args": ["-c", format!("echo {text} >&2; exit 3")]});
    let config = json!({"mcpServers": {"a": failing("first-words"), "b": failing("second-words")}});
    sandbox.write("mcp.json", &config.to_string());
    let args = ["scan", "--config", "mcp.json", "--yes"];
    let (_, said) = sandbox.run(&args).both(3);
    assert_eq!(said.matches("error: ").count(), 2, "{said}");
    assert!(said.lines().count() == 3 && said.contains("--verbose") && !said.contains("first-words"), "{said}");
    let (_, said) = sandbox.run(&[&args[..], &["--verbose"]].concat()).both(3);
    assert!(said.contains("stderr: first-words") && said.contains("stderr: second-words"), "{said}");
    // Of one alone everything is said at once.
    let (_, said) = sandbox.run(&[&args[..], &["--server", "a"]].concat()).both(3);
    assert!(said.contains("stderr: first-words"), "{said}");
}

#[test]
fn what_only_reads_shares_a_line_and_counts_take_a_line_a_server() {
    let sandbox = Sandbox::new();
    let scan = |more: &[&str]| sandbox.run(&[&["scan", "-q"], more].concat()).quiet(0);
    let folded = scan(&[]);
    assert!(folded.contains("Read      4 that only read (--all): get_focus_stats, get_task,"), "{folded}");
    assert!(folded.contains("get_daily_tip !"), "a reader with a finding has a row: {folded}");
    let all = scan(&["--all"]);
    assert!(all.contains("get_task\n") && !all.contains("that only read"), "{all}");
    let risky = scan(&["--min-risk", "high"]);
    assert!(risky.contains("email_tasks") && !risky.contains("add_comment"), "{risky}");
    assert!(risky.contains("10 tools below high risk"), "{risky}");
    let counts = scan(&["--summary"]);
    let row: Vec<_> = counts.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["sample", "16", "3", "3", "5", "5", "2", "950"]);
    assert!(counts.lines().all(|line| line.chars().count() <= 80), "{counts}");
    let said = sandbox.run(&["scan", "--summary", "--format", "json"]).refused(2);
    assert!(said.contains("--summary is for the table"), "{said}");
}

#[test]
fn colours_are_written_where_they_are_asked_for() {
    let scan = |colour: &str| Sandbox::new().run(&["scan", "--quiet", "--color", colour]).quiet(0);
    assert!(scan("always").contains("\u{1b}[") && !scan("never").contains('\u{1b}'));
    assert!(!scan("auto").contains('\u{1b}'), "a pipe is no terminal");
}

#[test]
fn names_that_a_configuration_does_not_have_are_told_with_near_ones() {
    let sandbox = Sandbox::new();
    sandbox.write("mcp.json", &configuration().to_string());
    let said = sandbox.run(&["scan", "--config", "mcp.json", "--yes", "--server", "god"]).refused(2);
    assert!(said.contains("no server `god`") && said.contains("did you mean `good`?"), "{said}");
    sandbox.write("bad.json", "{\"mcpServers\": {\n  \"a\": }}");
    let said = sandbox.run(&["scan", "--config", "bad.json", "--yes"]).both(2).1;
    assert!(said.contains("bad.json:2:8"), "line and column: {said}");
    sandbox.run(&["scan", "--server", "x"]).refused(2);
}

#[test]
fn what_is_configured_on_this_machine_is_named_and_not_run() {
    let sandbox = Sandbox::new().with_writable_home();
    // The settings of an editor that has no servers are nobody's servers.
    std::fs::create_dir_all(sandbox.home().join(".gemini")).unwrap();
    std::fs::write(sandbox.home().join(".gemini/settings.json"), r#"{"theme": "x"}"#).unwrap();
    let (_, said) = sandbox.run(&["scan"]).both(0);
    assert!(said.contains("scanning the sample server") && !said.contains("MCP clients"), "{said}");
    std::fs::create_dir(sandbox.home().join(".cursor")).unwrap();
    std::fs::write(sandbox.home().join(".cursor/mcp.json"), configuration().to_string()).unwrap();
    let (table, said) = sandbox.run(&["scan"]).both(0);
    assert!(table.contains("pause_focus_session") && said.contains("the 2 servers of MCP clients here"), "{said}");
    sandbox.run(&["scan", "--discover"]).refused(2);
    let nowhere = Sandbox::new().run(&["scan", "--discover"]).refused(4);
    assert!(nowhere.contains("no server is configured") && nowhere.contains("help: "), "{nowhere}");
    assert!(nowhere.contains("places; not here: Claude Desktop, ") && nowhere.contains("LibreChat"), "{nowhere}");
    let (table, _) = sandbox.run(&["scan", "--discover", "--yes"]).both(3);
    assert!(table.contains("pause_focus_session"), "{table}");
}

#[test]
fn a_secret_in_an_argument_is_a_finding_and_is_neither_shown_nor_saved() {
    let sandbox = Sandbox::new();
    let script = format!("exec '{}' sample-server", env!("CARGO_BIN_EXE_mcpol"));
    let secrets = [
        "3f9a8c7b6d5e4f3a3f9a8c7b",
        "hunter22hunter22",
        "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
        "1a2b3c4d5e6f7a8b9c0d",
        "a9b8c7d6e5f4a3b2c1d0",
        "pw-of-the-database",
    ];
    let args = [
        "-c".to_owned(),
        script,
        "--api-key".to_owned(),
        secrets[0].to_owned(),
        format!("--url=https://me:{}@h.example/x", secrets[1]),
        format!("https://{}@h.example/x", secrets[2]),
        format!("https://h.example/s/{}/mcp", secrets[3]),
        json!({"nested": {"apiKey": secrets[4]}}).to_string(),
        format!("--database=Server=db;Password={}", secrets[5]),
    ];
    sandbox.write("mcp.json", &json!({"mcpServers": {"s": {"command": "sh", "args": args}}}).to_string());
    for format in ["table", "json", "markdown"] {
        let args = ["scan", "--config", "mcp.json", "--yes", "--format", format, "--save", "saved"];
        let (out, said) = sandbox.run(&args).both(0);
        let all = [out, said, sandbox.read("saved/s.json")].join("\n");
        assert!(all.contains("--api-key") || all.contains("\\--api-key"), "{all}");
        assert!(all.contains("secret-in-config"), "{all}");
        assert!(secrets.iter().all(|secret| !all.contains(secret)), "{all}");
    }
    sandbox.run(&["lock", "--config", "mcp.json", "--yes"]).both(0);
    let lock = sandbox.read("mcpol.lock");
    assert!(secrets.iter().all(|secret| !lock.contains(secret)), "{lock}");
    // The address of a server may hold one too; nobody answers there, and it is not said.
    let key = "sk-ak-SUPERSECRETabcdef0123456789";
    let url = format!("http://127.0.0.1:1/api/s/{key}/mcp");
    sandbox.write("url.json", &json!({"mcpServers": {"u": {"url": url}}}).to_string());
    for args in [&["scan", "--config", "url.json"][..], &["scan", &url]] {
        let (out, said) = sandbox.run(args).both(3);
        assert!(!format!("{out}{said}").contains(key) && said.contains("/api/s/redacted/mcp"), "{said}");
    }
}

#[test]
fn wrong_targets_say_what_would_be_right() {
    let sandbox = Sandbox::new();
    sandbox.write("list.json", "[]");
    let check = |args: &[&str], expected: &str| {
        let said = sandbox.run(&[&["scan"], args].concat()).refused(2);
        assert!(said.contains(expected), "{args:?}: {said}");
    };
    check(
        &["list.json"],
        "help: to read a saved tool list: `--tools list.json`; a client's configuration: `--config list.json`",
    );
    check(&["ftp://example.com"], "`ftp://example.com` is not an http or https URL");
    check(&["http://127.0.0.1:9", "--bearer-env", "MCPOL_NOT_SET"], "`MCPOL_NOT_SET` of --bearer-env is not set");
    check(&["http://127.0.0.1:9", "--header", "nonsense"], "must be `Name: value`");
    check(&["--env", "A_NOT_SET", "--env", "B_NOT_SET", "--", "true"], "variables `A_NOT_SET`, `B_NOT_SET` of --env");
    check(&["--header", "A: b", "--", "true"], "<URL>");
    check(&["--env", "HOME", "--tools", "list.json"], "--env is for a command, and none is given");
    check(&["--name", "x", "--tools", "list.json"], "--name is for a URL or a command, and none is given");
    check(&["--name", "", "--", "true"], "--name");
    check(&["--", ""], "the command after `--` is empty");
}

#[test]
fn the_sample_server_answers_every_listed_tool_to_an_independent_reader() {
    // Its definitions are read here from the file, not from the binary.
    let text = std::fs::read_to_string(repository().join("src/sample/tools.json")).unwrap();
    let tools: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<_> = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let sandbox = Sandbox::new();
    let request = |id: usize, method: &str, params: Value| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string() + "\n"
    };
    let mut input = request(
        0,
        "initialize",
        json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}),
    );
    input.push_str("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    for (at, name) in names.iter().enumerate() {
        input.push_str(&request(at + 1, "tools/call", json!({"name": name, "arguments": {}})));
    }
    let out = sandbox.run_with(&["sample-server"], input.as_bytes()).quiet(0);
    let replies: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(replies.len(), names.len() + 1);
    for (at, reply) in replies.iter().enumerate() {
        assert_eq!(reply["id"], json!(at));
        assert!(at == 0 || reply["result"]["content"][0]["text"].is_string(), "{reply}");
    }
}
