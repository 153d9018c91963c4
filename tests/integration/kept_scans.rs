//! What follows a scan need not start the same servers again: what is kept, who goes by it, and who never does.

use crate::harness::Sandbox;
use serde_json::json;
use std::path::PathBuf;

const MCPOL: &str = env!("CARGO_BIN_EXE_mcpol");

/// A server that leaves a line in `starts` whenever it is started.
fn command() -> [String; 3] {
    ["sh".to_owned(), "-c".to_owned(), format!("echo x >> starts; exec '{MCPOL}' sample-server")]
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let cache = sandbox.dir().join("cache").to_string_lossy().into_owned();
    sandbox.with_env("MCPOL_CACHE", &cache)
}

fn starts(sandbox: &Sandbox) -> usize {
    std::fs::read_to_string(sandbox.dir().join("starts")).unwrap_or_default().lines().count()
}

/// Runs a command at the server; what is said.
#[track_caller]
fn at_server(sandbox: &Sandbox, args: &[&str], code: i32) -> String {
    let command = command();
    let server = ["--name", "s", "--", &command[0], &command[1], &command[2]];
    sandbox.run(&[args, &server].concat()).both(code).1
}

fn kept(sandbox: &Sandbox) -> Vec<PathBuf> {
    let all = std::fs::read_dir(sandbox.dir().join("cache/scans")).into_iter().flatten();
    all.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "json")).collect()
}

/// Whether it is said that the answer is from a scan, however long ago that is by now.
fn says_so(said: &str) -> bool {
    said.lines()
        .any(|line| line.starts_with("note: `s` is from a scan ") && line.ends_with(" ago; --fresh scans again"))
}

#[test]
fn what_follows_a_scan_starts_nothing_again_unless_that_is_asked_for() {
    let sandbox = sandbox();
    at_server(&sandbox, &["scan"], 0);
    assert_eq!((starts(&sandbox), kept(&sandbox).len()), (1, 1));
    for args in [
        &["gen-policy", "-o", "policy.json"][..],
        &["lock", "--policy", "policy.json"],
        &["explain", "list_tasks"],
        &["annotate"],
    ] {
        let said = at_server(&sandbox, args, 0);
        assert!(says_so(&said), "{args:?}: {said}");
        assert_eq!(starts(&sandbox), 1, "{args:?}");
    }
    // What is locked from a kept scan is what the server says.
    let lock = sandbox.read("mcpol.lock");
    let said = at_server(&sandbox, &["lock", "--policy", "policy.json", "--force", "--fresh"], 0);
    assert_eq!((starts(&sandbox), said.contains("from a scan")), (2, false), "{said}");
    assert_eq!(sandbox.read("mcpol.lock"), lock);
}

#[test]
fn a_check_a_scan_and_what_is_accepted_go_by_what_the_server_says_now() {
    let sandbox = sandbox();
    for (times, args) in
        [&["scan"][..], &["scan"], &["lock", "--fresh"], &["check"], &["lock", "--update"]].iter().enumerate()
    {
        let said = at_server(&sandbox, args, 0);
        assert!(!said.contains("from a scan"), "{args:?}: {said}");
        assert_eq!(starts(&sandbox), times + 1, "{args:?}");
    }
    // A saved list is read, and never kept.
    sandbox.write("list.json", r#"{"server":"s","tools":[{"name":"list_tasks"}]}"#);
    let before = kept(&sandbox).len();
    sandbox.run(&["gen-policy", "--tools", "list.json"]).both(0);
    assert_eq!(kept(&sandbox).len(), before);
}

#[test]
fn nobody_is_asked_to_agree_where_nothing_is_run() {
    let sandbox = sandbox();
    let [program, option, script] = command();
    let config =
        json!({"mcpServers": {"s": {"command": program, "args": [option, script], "env": {"KEY": "hush-hush"}}}});
    sandbox.write(".cursor/mcp.json", &config.to_string());
    let at_config = |args: &[&str]| sandbox.run(&[args, &["--config", ".cursor/mcp.json"]].concat());
    let refused = at_config(&["gen-policy"]).refused(2);
    assert!(refused.contains("not run without consent"), "{refused}");
    let (table, _) = at_config(&["scan", "--yes"]).both(0);
    assert!(table.contains("Cursor (.cursor/mcp.json for "), "{table}");
    let (_, said) = at_config(&["gen-policy"]).both(0);
    assert!(says_so(&said) && !said.contains("runs their commands"), "{said}");
    assert_eq!(starts(&sandbox), 1);
    let text = std::fs::read_to_string(&kept(&sandbox)[0]).unwrap();
    assert!(!text.contains("hush-hush"), "{text}");
    // With another value it is another server.
    sandbox.write(".cursor/mcp.json", &config.to_string().replace("hush-hush", "hush"));
    assert!(at_config(&["gen-policy"]).refused(2).contains("not run without consent"));
}

#[test]
fn a_broken_cache_is_none_and_can_be_switched_off() {
    let sandbox = sandbox();
    at_server(&sandbox, &["scan"], 0);
    std::fs::write(&kept(&sandbox)[0], "{").unwrap();
    let said = at_server(&sandbox, &["gen-policy"], 0);
    assert_eq!((starts(&sandbox), said.contains("from a scan"), said.contains("cache")), (2, false, false), "{said}");
    // Asked anew, it is kept anew.
    assert!(says_so(&at_server(&sandbox, &["gen-policy"], 0)));
    let sandbox = sandbox.with_env("MCPOL_CACHE", "off");
    at_server(&sandbox, &["gen-policy"], 0);
    assert_eq!(starts(&sandbox), 3);
    let file = sandbox.write("file", "");
    let sandbox = sandbox.with_env("MCPOL_CACHE", &file.to_string_lossy());
    let said = at_server(&sandbox, &["gen-policy"], 0);
    assert_eq!((starts(&sandbox), said.contains("cache")), (4, false), "{said}");
}
