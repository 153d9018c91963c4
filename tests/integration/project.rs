//! `mcpol.toml` for every command: the servers, the state and the log of the gateway that it describes.

use crate::harness::Sandbox;
use serde_json::{Value, json};

const MCPOL: &str = env!("CARGO_BIN_EXE_mcpol");

/// A working directory with a configuration of two servers, one of them with a variable, and its own state and log.
fn project() -> Sandbox {
    let sandbox = Sandbox::new().with_env("MCPOL_STATE_DIR", "elsewhere");
    sandbox.write(
        "mcpol.toml",
        &format!(
            "[gateway]\nstate = \"own.db\"\naudit = \"own.jsonl\"\n\n[servers.one]\ncommand = [\"{MCPOL}\", \"sample-server\"]\n\
             policy = \"one.json\"\n\n[servers.two]\ncommand = [\"sh\", \"-c\", \"exec $MCPOL sample-server\"]\n\
             env = {{ MCPOL = \"${{PROGRAM}}\" }}\n"
        ),
    );
    sandbox.write("one.json", &json!({"version": "1", "default": "deny", "tools": {"list_tasks": {}}}).to_string());
    sandbox
}

#[test]
fn a_grant_is_made_in_the_store_of_the_configuration_here() {
    let sandbox = project();
    let (token, said) = sandbox.run(&["grant", "create", "alice", "--server", "one"]).both(0);
    assert!(!token.is_empty() && said.contains("note: the state own.db of `mcpol.toml` in this directory"), "{said}");
    assert!(sandbox.dir().join("own.db").exists() && !sandbox.dir().join("elsewhere").exists());
    for args in
        [&["grant", "list"][..], &["grant", "list", "--config", "mcpol.toml"], &["grant", "list", "--state", "own.db"]]
    {
        let (list, _) = sandbox.run(args).both(0);
        assert!(list.contains("alice"), "{args:?}: {list}");
    }
    let (_, said) = sandbox.run(&["grant", "list", "--state", "other.db"]).both(0);
    assert!(said.contains("no grants"), "{said}");
    let (_, said) = sandbox.run(&["grant", "create", "bob", "--server", "onn"]).both(0);
    assert!(
        said.contains("warning: `mcpol.toml` has no server `onn`") && said.contains("did you mean `one`?"),
        "{said}"
    );
    for args in [&["approvals", "list"][..], &["limits", "list"]] {
        let (_, said) = sandbox.run(args).both(0);
        assert!(said.contains("the state own.db"), "{args:?}: {said}");
    }
    sandbox.run(&["grant", "list", "--config", "mcpol.toml", "--state", "x"]).refused(2);
    sandbox.write("else/mcpol.toml", "[overrides]\n");
    let said = sandbox.run(&["grant", "list", "--config", "else/mcpol.toml"]).refused(2);
    assert!(said.contains("says nothing about a gateway") && said.contains("mcpol init"), "{said}");
    assert_eq!(sandbox.run_in("else", &["grant", "list"]).refused(0).matches("own.db").count(), 0);
}

#[test]
fn a_log_is_read_where_the_configuration_here_puts_it() {
    let sandbox = project();
    let said = sandbox.run(&["audit", "tail"]).refused(4);
    assert!(said.contains("there is no audit log `own.jsonl`"), "{said}");
    sandbox.write("none.toml", "[gateway]\naudit = \"none\"\n");
    let said = sandbox.run(&["audit", "tail", "--config", "none.toml"]).refused(4);
    assert!(said.contains("the gateway of `none.toml` writes no audit log"), "{said}");
}

#[test]
fn a_state_that_cannot_be_told_is_not_guessed() {
    let sandbox = Sandbox::new();
    sandbox.write("mcpol.toml", "[gateway]\nstate = \"redis://:${PASSWORD}@h\"\n");
    let said = sandbox.run(&["grant", "create", "a", "--server", "s"]).refused(2);
    assert!(
        said.contains("does not tell where its gateway keeps state") && said.contains("`PASSWORD` is not set"),
        "{said}"
    );
}

#[test]
fn scan_lock_and_check_go_by_the_servers_of_the_configuration_here() {
    let sandbox = project().with_env("PROGRAM", MCPOL);
    let said = sandbox.run(&["scan"]).refused(2);
    assert!(
        said.contains("the servers of `mcpol.toml` in this directory") && said.contains("not run without consent"),
        "{said}"
    );
    let (out, _) = sandbox.run(&["scan", "--yes", "--format", "json"]).both(0);
    let report: Value = serde_json::from_str(&out).unwrap();
    let names: Vec<_> = report["servers"].as_array().unwrap().iter().map(|it| it["server"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(!out.contains("PROGRAM"), "{out}");
    let (_, said) = sandbox.run(&["lock", "--yes"]).both(0);
    assert!(said.contains("locked 32 tools of 2 servers"), "{said}");
    assert!(sandbox.read("mcpol.lock").contains("one.json"), "the policy that the file names is kept");
    let (_, said) = sandbox.run(&["check", "--yes"]).both(0);
    assert!(said.contains("the servers of `mcpol.toml`"), "{said}");
    // Without the variable the one server fails, and the other does not.
    let without = project();
    let (_, said) = without.run(&["scan", "--yes"]).both(3);
    assert!(said.contains("error: two: ") && said.contains("`PROGRAM`"), "{said}");
    // What is named otherwise is not the configuration's.
    let (out, said) = without.run(&["scan", "--", MCPOL, "sample-server"]).both(0);
    assert!(said.is_empty() && out.contains("16 tools"), "{said}");
}

#[test]
fn a_configuration_is_written_from_what_clients_have_and_every_step_after_it_works() {
    let sandbox = Sandbox::new().with_writable_home();
    std::fs::create_dir_all(sandbox.home().join(".cursor")).unwrap();
    let config = json!({"mcpServers": {
        "My Tasks!": {"command": MCPOL, "args": ["sample-server"], "env": {"LEVEL": "info", "API_TOKEN": "ghp_0123456789abcdefghijklmnopqrstuvwxyz"}},
        "remote": {"url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer hush-hush-hush"}},
    }});
    std::fs::write(sandbox.home().join(".cursor/mcp.json"), config.to_string()).unwrap();
    let said = sandbox.run(&["init", "--yes"]).refused(0);
    let text = sandbox.read("mcpol.toml");
    assert!(said.contains("wrote mcpol.toml with 2 servers") && said.contains("API_TOKEN"), "{said}");
    assert!(!text.contains("ghp_") && !text.contains("hush"), "no secret is written: {text}");
    assert!(text.contains("[servers.My-Tasks]  # from Cursor") && text.contains("LEVEL = \"info\""), "{text}");
    assert!(text.contains("API_TOKEN = \"${API_TOKEN}\"") && text.contains("${REMOTE_AUTHORIZATION}"), "{text}");
    let said = sandbox.run(&["init", "--yes"]).refused(2);
    assert!(said.contains("`mcpol.toml` exists") && said.contains("--force"), "{said}");
    // The policies are written by what goes by the file, and then it is valid.
    sandbox.run(&["init", "--yes", "--force", "--server", "My Tasks!", "--quiet"]).quiet(0);
    let said = sandbox.run(&["config", "check"]).refused(2);
    assert!(said.contains("policies/My-Tasks.json") && said.contains("`API_TOKEN` is not set"), "{said}");
    let sandbox = sandbox.with_env("API_TOKEN", "t");
    let (_, said) = sandbox.run(&["gen-policy", "--yes", "-o", "policies/"]).both(0);
    assert!(said.contains("the servers of `mcpol.toml`"), "{said}");
    let (table, _) = sandbox.run(&["config", "check"]).both(0);
    assert!(table.contains("My-Tasks") && table.contains("4 allowed"), "{table}");
    // The gateway takes the same file.
    let (same, _) = sandbox.run(&["enforce", "--config", "mcpol.toml", "--dry-run"]).both(0);
    assert_eq!(table, same);
}

#[test]
fn with_no_client_a_configuration_holds_examples() {
    let sandbox = Sandbox::new();
    let said = sandbox.run(&["init"]).refused(0);
    assert!(said.contains("0 servers") && said.contains("in the place of the examples"), "{said}");
    let text = sandbox.read("mcpol.toml");
    assert!(text.contains("# [servers.files]"), "{text}");
    // Without its comment marks an example is what the gateway takes.
    let live = text.replace("# [servers.files]", "[servers.files]").replace("# command", "command");
    sandbox.write("live.toml", &live);
    let (table, _) = sandbox.run(&["config", "check", "live.toml"]).both(0);
    assert!(table.contains("files"), "{table}");
    let schema: Value = serde_json::from_str(&sandbox.run(&["config", "schema"]).quiet(0)).unwrap();
    assert!(schema["properties"]["servers"].is_object(), "{schema}");
}

#[test]
fn what_a_scan_starts_is_what_the_gateway_would_start() {
    // Escapes, variables, folders: read by the gateway's own reader, and by that of clients' files.
    let sandbox = Sandbox::new().with_env("A", "from-here");
    let script =
        "test \"$X\" = '$${A} from-here' && test \"$(basename \"$PWD\")\" = below && exec \"$0\" sample-server";
    sandbox.write("below/keep", "");
    sandbox.write(
        "mcpol.toml",
        &format!(
            "[servers.s]\ncommand = [\"sh\", \"-c\", {script:?}, {MCPOL:?}]\ncwd = \"below\"\nenv = {{ X = \"$${{A}} ${{A}}\" }}\n"
        ),
    );
    let (table, _) = sandbox.run(&["scan", "--yes"]).both(0);
    assert!(table.contains("16 tools"), "{table}");
}

#[test]
fn the_lock_is_the_one_that_the_configuration_names() {
    let server = |name: &str, locked: &str| {
        format!("[servers.{name}]\ncommand = [\"{MCPOL}\", \"sample-server\"]\nlocked = \"{locked}\"\n")
    };
    let sandbox = Sandbox::new();
    sandbox.write("mcpol.toml", &server("one", "locks/one.lock"));
    std::fs::create_dir(sandbox.dir().join("locks")).unwrap();
    let said = sandbox.run(&["lock", "--yes"]).refused(0);
    assert!(said.contains("in locks/one.lock"), "{said}");
    sandbox.run(&["check", "--yes"]).both(0);
    assert!(!sandbox.dir().join("mcpol.lock").exists());
    sandbox.write("mcpol.toml", &(server("one", "locks/one.lock") + &server("two", "locks/two.lock")));
    let said = sandbox.run(&["lock", "--yes", "--force"]).refused(2);
    assert!(said.contains("the configuration names 2 locks") && said.contains("--server NAME"), "{said}");
    let said = sandbox.run(&["lock", "--yes", "--config", "mcpol.toml", "--server", "two"]).refused(0);
    assert!(said.contains("in locks/two.lock"), "{said}");
    sandbox.run(&["lock", "--yes", "--lock", "all.lock"]).refused(0);
}

#[test]
fn a_tool_is_explained_of_the_servers_of_the_configuration_here() {
    let sandbox = project().with_env("PROGRAM", MCPOL);
    let (text, said) = sandbox.run(&["explain", "list_tasks", "--yes"]).both(0);
    assert!(text.contains("on server one") && text.contains("on server two"), "{text}");
    assert!(said.contains("the servers of `mcpol.toml` in this directory"), "{said}");
    let (_, said) = sandbox.run(&["annotate", "--yes"]).both(0);
    assert!(said.contains("the servers of `mcpol.toml` in this directory"), "{said}");
}

#[test]
fn a_dry_run_tells_the_rules_of_each_server_in_words() {
    let sandbox = project().with_env("PROGRAM", MCPOL);
    let rules = json!({"version": "1", "default": "deny", "tools": {"list_tasks": {"rate_limit": "30/minute"}}});
    sandbox.write("one.json", &rules.to_string());
    for args in [&["enforce", "--config", "mcpol.toml", "--dry-run"][..], &["config", "check"]] {
        let (shown, _) = sandbox.run(args).both(0);
        assert!(shown.contains("rules of one\n  list_tasks  30 a minute"), "{shown}");
    }
}
