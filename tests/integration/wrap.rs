//! `mcpol wrap`, `unwrap` and `clients`: files of clients before, while and after the gateway stands in front.

use crate::gateway::http::Served;
use crate::harness::Sandbox;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::Stdio;

const MCPOL: &str = env!("CARGO_BIN_EXE_mcpol");

/// A home with the files of four clients in three syntaxes, all with the sample server.
fn machine() -> (Sandbox, Vec<(PathBuf, String)>) {
    let sandbox = Sandbox::new().with_writable_home();
    let home = sandbox.home();
    let files = vec![
        (
            home.join(".cursor/mcp.json"),
            format!(
                "{{\"mcpServers\":{{\"tasks\":{{\"command\":\"{MCPOL}\",\"args\":[\"sample-server\"],\"env\":{{\"TASKS_TOKEN\":\"hush-hush-hush-hush\"}}}},\
                 \"gone\":{{\"command\":\"mcpol-test-no-such-command\"}}}}}}"
            ),
        ),
        (
            home.join(".config/Code/User/mcp.json"),
            format!(
                "{{\r\n  // the one for every day\r\n  \"servers\": {{\r\n    \"tasks\": {{\r\n      \"command\": \"{MCPOL}\",\r\n      \"args\": [\r\n        \"sample-server\", // inside\r\n      ],\r\n    }},\r\n  }},\r\n}}\r\n"
            ),
        ),
        (
            home.join(".codex/config.toml"),
            format!(
                "model = 'x' # mine\n\n[mcp_servers.\"tasks\"]\ncommand = '{MCPOL}'\nargs = ['sample-server']\n\n[tui]\n"
            ),
        ),
        (
            home.join(".config/goose/config.yaml"),
            format!(
                "# mine\nextensions:\n  tasks:\n    type: stdio\n    cmd: {MCPOL}\n    args:\n      - sample-server\n    enabled: true\n  developer:\n    type: builtin\n    enabled: true\n"
            ),
        ),
    ];
    for (path, text) in &files {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    (sandbox, files)
}

fn texts(files: &[(PathBuf, String)]) -> Vec<String> {
    files.iter().map(|(path, _)| std::fs::read_to_string(path).unwrap()).collect()
}

fn before(files: &[(PathBuf, String)]) -> Vec<String> {
    files.iter().map(|(_, text)| text.clone()).collect()
}

/// Starts what an entry says, and answers what the server behind it answered to each request.
fn through(sandbox: &Sandbox, args: &[String], requests: &[Value]) -> Vec<Value> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut child =
        sandbox.command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let hello =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let first = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello});
    let mut answers = Vec::new();
    for (id, request) in std::iter::once(&first).chain(requests).enumerate() {
        let mut request = request.clone();
        (request["jsonrpc"], request["id"]) = (json!("2.0"), json!(id));
        writeln!(stdin, "{request}").unwrap();
        let answer = lines.by_ref().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let answer = answer.into_iter().find(|answer| answer["id"] == json!(id)).unwrap();
        if id == 0 {
            writeln!(stdin, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).unwrap();
        } else {
            answers.push(answer);
        }
    }
    drop(stdin);
    child.wait().unwrap();
    answers
}

#[test]
fn every_file_is_wrapped_works_and_gets_its_bytes_back() {
    let (sandbox, files) = machine();
    let (shown, said) = sandbox.run(&["wrap", "--yes"]).both(3);
    assert!(said.contains("gone: command `mcpol-test-no-such-command` does not exist"), "{said}");
    assert!(said.contains("wrapped 4 servers in 4 files") && shown.contains("3 critical"), "{shown}{said}");
    assert!(shown.contains("+") && !shown.contains("hush-hush"), "the diff without secrets: {shown}");
    // What each client starts now is the gateway, and it holds the policy.
    let cursor: Value = serde_json::from_str(&texts(&files)[0]).unwrap();
    let entry = &cursor["mcpServers"]["tasks"];
    assert_eq!(
        (entry["command"].as_str(), entry["env"]["TASKS_TOKEN"].as_str()),
        (Some(MCPOL), Some("hush-hush-hush-hush"))
    );
    assert_eq!(cursor["mcpServers"]["gone"], json!({"command": "mcpol-test-no-such-command"}), "left as it was");
    let args: Vec<String> = serde_json::from_value(entry["args"].clone()).unwrap();
    let answers = through(
        &sandbox,
        &args,
        &[
            json!({"method": "tools/list"}),
            json!({"method": "tools/call", "params": {"name": "list_tasks", "arguments": {}}}),
            json!({"method": "tools/call", "params": {"name": "delete_task", "arguments": {"id": 1}}}),
        ],
    );
    let listed: Vec<_> =
        answers[0]["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    assert!(listed.contains(&json!("list_tasks")) && !listed.contains(&json!("delete_task")), "{listed:?}");
    assert!(answers[1]["result"]["content"].is_array() && answers[2]["error"].is_object(), "{answers:?}");
    for policy in ["cursor", "vs-code", "codex", "goose"] {
        let folder = sandbox.home().join(".config/mcpol").join(policy);
        assert!(folder.join("tasks.policy.json").is_file() && folder.join("tasks.lock").is_file(), "{policy}");
    }
    // What is wrapped is looked through, and not wrapped again.
    let (table, said) = sandbox.run(&["scan", "--discover", "--yes", "--server", "tasks"]).both(0);
    assert!(table.contains("delete_task"), "what the gateway hides is seen: {table}{said}");
    let wrapped = texts(&files);
    let said = sandbox.run(&["wrap", "--yes", "--server", "tasks"]).refused(0);
    assert!(said.contains("`tasks` of Cursor is wrapped already") && said.contains("nothing to do"), "{said}");
    assert_eq!(texts(&files), wrapped, "nothing is written twice");
    let table = sandbox.run(&["clients"]).quiet(0);
    assert!(
        table.contains("Goose") && table.contains("5 servers, 4 wrapped") && table.contains("3 critical"),
        "{table}"
    );
    let (_, said) = sandbox.run(&["unwrap", "--yes"]).both(0);
    assert!(said.contains("unwrapped 4 servers"), "{said}");
    assert_eq!(texts(&files), before(&files));
    sandbox.run(&["unwrap", "--yes"]).refused(4);
}

#[test]
fn what_the_user_edits_meanwhile_stays_and_the_policy_counts_again() {
    let (sandbox, files) = machine();
    sandbox.run(&["wrap", "--yes", "--client", "vs-code"]).both(0);
    assert_eq!(texts(&files)[2..], before(&files)[2..], "the other clients' files are not touched");
    let policy = sandbox.home().join(".config/mcpol/vs-code/tasks.policy.json");
    std::fs::write(&policy, r#"{"version": "1", "default": "deny", "tools": {}}"#).unwrap();
    let path = &files[1].0;
    let edited = |text: &str| {
        text.replace("// the one for every day", "// for Sundays")
            .replace("},\r\n  },", "},\r\n    \"new\": {\"command\": \"x\"},\r\n  },")
    };
    std::fs::write(path, edited(&std::fs::read_to_string(path).unwrap())).unwrap();
    sandbox.run(&["unwrap", "--yes"]).both(0);
    assert_eq!(std::fs::read_to_string(path).unwrap(), edited(&files[1].1));
    std::fs::write(path, &files[1].1).unwrap();
    let (shown, _) = sandbox.run(&["wrap", "--yes", "--client", "vs-code"]).both(0);
    assert!(shown.contains("(from before)"), "{shown}");
    assert!(std::fs::read_to_string(&policy).unwrap().contains("\"tools\": {}"), "the user's policy stays");
    sandbox.run(&["unwrap", "--yes"]).both(0);
    sandbox.run(&["wrap", "--yes", "--client", "vs-code", "--force"]).both(0);
    assert!(std::fs::read_to_string(&policy).unwrap().contains("list_tasks"));
    // An entry that was laid out anew is read for what stood there.
    let text = std::fs::read_to_string(path).unwrap().replace("        \"", "  \"");
    std::fs::write(path, text).unwrap();
    sandbox.run(&["unwrap", "--yes"]).both(0);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(&format!("\"command\": \"{MCPOL}\"")) && !text.contains("enforce"), "{text}");
}

#[test]
fn nothing_is_written_unasked() {
    let (sandbox, files) = machine();
    let said = sandbox.run(&["wrap"]).refused(2);
    assert!(said.contains("not run without consent"), "{said}");
    let (shown, _) = sandbox.run(&["wrap", "--yes", "--dry-run", "--client", "codex"]).both(0);
    assert!(shown.contains("-command = ") && shown.contains("+command = "), "{shown}");
    assert_eq!(texts(&files), before(&files));
    assert!(!sandbox.home().join(".config/mcpol").exists(), "a dry run writes nothing");
    sandbox.run(&["wrap", "--yes", "--client", "codex"]).both(0);
    let said = sandbox.run(&["unwrap"]).both(4).1;
    assert!(said.contains("`--yes` writes it"), "{said}");
    assert!(texts(&files)[2].contains("enforce"));
    let said = sandbox.run(&["wrap", "--client", "cursr"]).refused(2);
    assert!(said.contains("did you mean `cursor`?"), "{said}");
    sandbox.run(&["wrap", "--yes", "--client", "zed"]).refused(4);
}

#[cfg(unix)]
#[test]
fn links_and_permissions_stay_and_what_is_kept_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (sandbox, files) = machine();
    let (link, real) = (&files[0].0, sandbox.dir().join("dotfiles.json"));
    std::fs::rename(link, &real).unwrap();
    std::os::unix::fs::symlink(&real, link).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    sandbox.run(&["wrap", "--yes", "--server", "tasks", "--client", "cursor"]).both(0);
    assert!(link.is_symlink() && std::fs::read_to_string(&real).unwrap().contains("enforce"));
    assert_eq!(mode(&real), 0o640);
    let folder = sandbox.home().join(".config/mcpol");
    let backups: Vec<_> =
        std::fs::read_dir(folder.join("backups")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(backups.len(), 1);
    assert_eq!(std::fs::read_to_string(&backups[0]).unwrap(), files[0].1);
    assert_eq!((mode(&backups[0]), mode(&folder.join("wrapped.json")), mode(&folder)), (0o600, 0o600, 0o700));
    sandbox.run(&["unwrap", "--yes"]).both(0);
    assert!(link.is_symlink());
    assert_eq!((std::fs::read_to_string(&real).unwrap(), mode(&real)), (files[0].1.clone(), 0o640));
    // A file that may not be written is left alone.
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o440)).unwrap();
    let said = sandbox.run(&["wrap", "--yes", "--server", "tasks", "--client", "cursor"]).both(2).1;
    assert!(said.contains("it may not be written"), "{said}");
    assert_eq!(std::fs::read_to_string(&real).unwrap(), files[0].1);
}

#[test]
fn two_projects_with_servers_of_one_name_have_policies_of_their_own() {
    let sandbox = Sandbox::new().with_writable_home();
    for project in ["one", "two"] {
        let entry = json!({"mcpServers": {"tasks": {"command": MCPOL, "args": ["sample-server"]}}});
        sandbox.write(&format!("{project}/.mcp.json"), &entry.to_string());
    }
    sandbox.run(&["wrap", "--yes", "--config", "one/.mcp.json"]).both(0);
    sandbox.run(&["wrap", "--yes", "--config", "two/.mcp.json", "--profile", "read-only"]).both(0);
    assert!(sandbox.read("one/.mcp.json").contains("claude-code/tasks.policy.json"));
    assert!(sandbox.read("two/.mcp.json").contains("claude-code/tasks-2.policy.json"));
    // Files on record are found again from any folder.
    let (_, said) = sandbox.run_in("one", &["unwrap", "--yes"]).both(0);
    assert!(said.contains("unwrapped 2 servers"), "{said}");
    assert!(!sandbox.read("one/.mcp.json").contains("enforce") && !sandbox.read("two/.mcp.json").contains("enforce"));
}

#[test]
fn nothing_is_shown_of_a_file_but_what_changes_and_of_that_no_value() {
    let sandbox = Sandbox::new().with_writable_home();
    let entry = format!(
        r#"{{"command": "{MCPOL}", "args": ["sample-server"], "env": {{"PW": "q7", "CREDS": "plain words", "COOKIE": "a\"b-c"}}}}"#
    );
    // All of it in one line, with keys beside the servers and between them.
    let text = format!(
        r#"{{"primaryApiKey": "context-one", "mcpServers": {{"tasks": {entry}, "other": {entry}}}, "apiKey": "context-two"}}"#
    );
    sandbox.write("one/.mcp.json", &text);
    let unseen = |shown: &str| {
        for hidden in ["context-one", "context-two", "q7", "plain words", "b-c"] {
            assert!(!shown.contains(hidden), "{hidden}: {shown}");
        }
    };
    let (shown, said) = sandbox.run(&["wrap", "--yes", "--config", "one/.mcp.json"]).both(0);
    assert!(shown.contains("@@ tasks @@") && shown.contains("enforce"), "{shown}");
    unseen(&(shown + &said));
    let (shown, said) = sandbox.run(&["unwrap", "--yes", "--config", "one/.mcp.json"]).both(0);
    assert!(shown.contains("@@ other @@"), "{shown}");
    unseen(&(shown + &said));
    assert_eq!(sandbox.read("one/.mcp.json"), text);
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_written_keeps_no_other_from_being_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new().with_writable_home();
    for project in ["a", "b"] {
        let entry = json!({"mcpServers": {project: {"command": MCPOL, "args": ["sample-server"]}}});
        sandbox.write(&format!("{project}/.mcp.json"), &entry.to_string());
    }
    let lock = |mode| {
        let path = sandbox.dir().join("a/.mcp.json");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let both = ["--yes", "--config", "a/.mcp.json", "--config", "b/.mcp.json"];
    lock(0o444);
    let said = sandbox.run(&[&["wrap"], &both[..]].concat()).both(2).1;
    assert!(said.contains("a/.mcp.json` was left as it is") && said.contains("wrapped 1 server in 1 file"), "{said}");
    assert!(!sandbox.read("a/.mcp.json").contains("enforce") && sandbox.read("b/.mcp.json").contains("enforce"));
    lock(0o644);
    sandbox.run(&[&["wrap"], &both[..]].concat()).both(0);
    lock(0o444);
    let said = sandbox.run(&[&["unwrap"], &both[..]].concat()).both(2).1;
    assert!(said.contains("unwrapped 1 server"), "{said}");
    assert!(sandbox.read("a/.mcp.json").contains("enforce") && !sandbox.read("b/.mcp.json").contains("enforce"));
    lock(0o644);
    sandbox.run(&[&["unwrap"], &both[..]].concat()).both(0);
    assert!(!sandbox.read("a/.mcp.json").contains("enforce"));
}

#[test]
fn a_gateway_that_wrap_did_not_put_there_stays() {
    let sandbox = Sandbox::new().with_writable_home();
    let args = json!(["enforce", "--policy", "mine.json", "--", MCPOL, "sample-server"]);
    let text = json!({"mcpServers": {"own": {"command": MCPOL, "args": args}}}).to_string();
    sandbox.write(".mcp.json", &text);
    let said = sandbox.run(&["unwrap", "--yes", "--config", ".mcp.json"]).refused(4);
    assert!(said.contains("was not put there by `mcpol wrap`"), "{said}");
    assert_eq!(sandbox.read(".mcp.json"), text);
}

#[test]
fn a_policy_from_before_is_not_taken_for_another_server_or_profile() {
    let sandbox = Sandbox::new().with_writable_home();
    let entry = |args: Value| json!({"mcpServers": {"tasks": {"command": MCPOL, "args": args}}}).to_string();
    let wrap = ["wrap", "--yes", "--config", ".mcp.json"];
    sandbox.write(".mcp.json", &entry(json!(["sample-server"])));
    sandbox.run(&wrap).both(0);
    sandbox.run(&["unwrap", "--yes"]).both(0);
    let said = sandbox.run(&[&wrap[..], &["--profile", "read-only"]].concat()).both(3).1;
    assert!(said.contains("of which the profile is not known") && said.contains("--force"), "{said}");
    // Another server under the same name: its tools are not those of the lock.
    let lock = sandbox.home().join(".config/mcpol/claude-code/tasks.lock");
    let mut locked: Value = serde_json::from_slice(&std::fs::read(&lock).unwrap()).unwrap();
    locked["servers"][0]["tools"].as_array_mut().unwrap().pop();
    std::fs::write(&lock, locked.to_string()).unwrap();
    let said = sandbox.run(&wrap).both(3).1;
    assert!(said.contains("is not what the lock from before has"), "{said}");
    assert!(!sandbox.read(".mcp.json").contains("enforce"));
    sandbox.run(&[&wrap[..], &["--force"]].concat()).both(0);
    assert!(sandbox.read(".mcp.json").contains("enforce"));
}

#[test]
fn where_all_is_wrapped_there_is_nothing_to_do_and_that_is_no_failure() {
    let (sandbox, _) = machine();
    sandbox.run(&["wrap", "--yes", "--client", "codex"]).both(0);
    let said = sandbox.run(&["wrap", "--yes", "--client", "codex"]).refused(0);
    assert!(said.contains("`tasks` of Codex is wrapped already") && said.contains("nothing to do"), "{said}");
    assert_eq!(sandbox.run(&["wrap", "--yes", "--quiet", "--client", "codex"]).refused(0), "");
}

#[cfg(unix)]
#[test]
fn the_other_names_of_a_file_and_its_owner_stay() {
    use std::os::unix::fs::MetadataExt as _;
    let (sandbox, files) = machine();
    let (file, other) = (&files[2].0, sandbox.dir().join("other-name.toml"));
    // Only root can give a file away: for anybody else it stays whose it is, and that is looked at all the same.
    let _ = std::os::unix::fs::chown(file, Some(4321), Some(4321));
    std::fs::hard_link(file, &other).unwrap();
    let owner = |path: &PathBuf| std::fs::metadata(path).map(|found| (found.uid(), found.gid())).unwrap();
    let before = owner(file);
    sandbox.run(&["wrap", "--yes", "--client", "codex"]).both(0);
    assert!(std::fs::read_to_string(&other).unwrap().contains("enforce"), "both names have the new text");
    assert_eq!((owner(file), owner(&other)), (before, before));
    std::fs::remove_file(&other).unwrap();
    // With one name alone, another file comes into its place.
    sandbox.run(&["unwrap", "--yes"]).both(0);
    assert_eq!((std::fs::read_to_string(file).unwrap(), owner(file)), (files[2].1.clone(), before));
}

#[test]
fn a_key_in_an_address_is_not_put_among_arguments() {
    let sandbox = Sandbox::new().with_writable_home();
    let key = "sk-ak-SUPERSECRETabcdef0123456789";
    sandbox.write("p.json", r#"{"version": "1", "default": "allow"}"#);
    let served = ["enforce", "--policy", "p.json", "--listen", "127.0.0.1:0", "--state", "memory:", "--audit", "none"];
    let server = Served::run(sandbox.command(&[&served[..], &["--", MCPOL, "sample-server"]].concat()));
    let address = format!("http://{}/mcp?api_key={key}", server.address);
    let text = json!({"mcpServers": {"remote": {"url": address}}}).to_string();
    sandbox.write(".mcp.json", &text);
    let (out, said) = sandbox.run(&["wrap", "--yes", "--config", ".mcp.json"]).both(3);
    assert!(said.contains("its address holds a key"), "{said}");
    assert!(!format!("{out}{said}").contains(key), "{out}{said}");
    assert_eq!(sandbox.read(".mcp.json"), text);
}

#[test]
fn one_process_at_a_time_changes_what_is_kept() {
    let (sandbox, files) = machine();
    let folder = sandbox.home().join(".config/mcpol");
    std::fs::create_dir_all(&folder).unwrap();
    let turn = std::fs::File::create(folder.join(".turn")).unwrap();
    turn.lock().unwrap();
    let said = sandbox.run(&["wrap", "--yes", "--client", "codex"]).refused(2);
    assert!(said.contains("another `mcpol wrap` or `unwrap` is at work"), "{said}");
    assert_eq!(texts(&files), before(&files));
    // Looking needs no turn.
    sandbox.run(&["wrap", "--yes", "--dry-run", "--client", "codex"]).both(0);
    drop(turn);
    sandbox.run(&["wrap", "--yes", "--client", "codex"]).both(0);
}

#[test]
fn a_value_over_several_lines_is_not_shown() {
    let sandbox = Sandbox::new().with_writable_home();
    let files = [
        (
            "codex/.codex/config.toml",
            format!(
                "[mcp_servers.tasks]\ncommand = '{MCPOL}'\nargs = ['sample-server']\n\
                 env = {{ PRIVATE_KEY = \"\"\"first-secret-line\nsecond-secret-line\"\"\", OTHER = \"esc\\u0061ped-secret\" }}\n"
            ),
        ),
        (
            "goose/goose/config.yaml",
            format!(
                "extensions:\n  tasks:\n    type: stdio\n    cmd: {MCPOL}\n    args: [sample-server]\n    envs:\n      PRIVATE_KEY: |\n        first-secret-line\n        second-secret-line\n"
            ),
        ),
    ];
    for (name, text) in files {
        sandbox.write(name, &text);
        let (shown, said) = sandbox.run(&["wrap", "--yes", "--config", name]).both(0);
        for hidden in ["first-secret", "second-secret", "ped-secret"] {
            assert!(!format!("{shown}{said}").contains(hidden), "{name}: {hidden}: {shown}{said}");
        }
        assert!(sandbox.read(name).contains("enforce"), "{shown}{said}");
        sandbox.run(&["unwrap", "--yes", "--config", name]).both(0);
        assert_eq!(sandbox.read(name), text);
    }
}

#[test]
fn the_own_file_of_the_gateway_is_no_client() {
    let sandbox = Sandbox::new();
    let text = format!("[servers.tasks]\ncommand = [\"{MCPOL}\", \"sample-server\"]\n");
    sandbox.write("mcpol.toml", &text);
    let said = sandbox.run(&["wrap", "--yes", "--config", "mcpol.toml"]).refused(2);
    assert!(said.contains("the gateway's own configuration"), "{said}");
    assert_eq!(sandbox.read("mcpol.toml"), text);
}
