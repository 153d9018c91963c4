//! Limits hold across calls, processes and deaths.

use super::*;

const ECHO: &str = r#"while read -r line; do id=${line#*\"id\":}; id=${id%%,*}; printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}\n' "$id"; done"#;

/// At most `max` calls of `work` in a window that does not end during a test.
fn limited(max: u64) -> Value {
    only(json!({"work": {"limits": [{"counter": "work", "window": "8784h", "max": max, "scope": "grant"}]}}))
}

#[test]
fn a_limit_is_told_with_the_time_to_retry() {
    let sandbox = sandbox(&limited(2));
    let mut gateway = Gateway::script(&sandbox, &[], ECHO);
    for id in 1..=2 {
        passed(&gateway.ask_tool(id, "work", &json!({})));
    }
    let reply = gateway.ask_tool(3, "work", &json!({}));
    assert!(refusal(&reply).contains("retry in"), "{reply}");
    let decision = &reply["result"]["_meta"]["io.github.mcpol/decision"];
    assert_eq!(decision["code"], "limit_exceeded");
    assert!(decision["retry_after_s"].as_u64().is_some_and(|seconds| seconds <= 8784 * 3600), "{reply}");
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn two_gateways_on_one_counter_never_exceed_it() {
    let sandbox = sandbox(&limited(64));
    let mut gateways: Vec<Gateway> = (0..2).map(|_| Gateway::script(&sandbox, &[], ECHO)).collect();
    for gateway in &mut gateways {
        for id in 0..64 {
            gateway.call(id, "work", &json!({}));
        }
    }
    let mut allowed = 0;
    for gateway in gateways {
        for _ in 0..64 {
            let reply = gateway.reply();
            allowed += usize::from(reply["result"].get("isError").is_none());
        }
        assert_eq!(gateway.close().0, Some(0));
    }
    assert_eq!(allowed, 64);
}

#[test]
fn memory_counts_for_one_process_only() {
    let sandbox = sandbox(&limited(1));
    for _ in 0..2 {
        let mut gateway = Gateway::script(&sandbox, &["--state", "memory:"], ECHO);
        passed(&gateway.ask_tool(1, "work", &json!({})));
        refusal(&gateway.ask_tool(2, "work", &json!({})));
        assert_eq!(gateway.close().0, Some(0));
    }
}

#[test]
fn what_was_sent_stays_spent_whatever_the_server_replies() {
    let sandbox = sandbox(&limited(2));
    let script = r#"read -r a; echo '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}'
        read -r a; echo '{"jsonrpc":"2.0","id":2,"result":{"content":[],"isError":true}}'; read -r a"#;
    let mut gateway = Gateway::script(&sandbox, &[], script);
    assert_eq!(gateway.ask_tool(1, "work", &json!({}))["error"]["code"], -32602);
    passed(&gateway.ask_tool(2, "work", &json!({})));
    refusal(&gateway.ask_tool(3, "work", &json!({})));
    assert_eq!(gateway.close().0, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_gateway_killed_in_the_middle_of_a_call_keeps_what_it_spent() {
    let sandbox = sandbox(&limited(1));
    let mut gateway = Gateway::script(
        &sandbox,
        &[],
        "read -r a; echo '{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}'; read -r a",
    );
    gateway.call(1, "work", &json!({}));
    assert_eq!(gateway.message()["method"], "notifications/message");
    gateway.child.kill().unwrap();
    let mut gateway = Gateway::script(&sandbox, &[], ECHO);
    refusal(&gateway.ask_tool(1, "work", &json!({})));
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn a_damaged_state_file_denies_and_says_how_to_repair_it() {
    let sandbox = sandbox(&only(json!({"free": {}, "work": {"rate_limit": "5/minute"}})));
    sandbox.write("state/state.db", &"not a database at all ".repeat(500));
    let mut gateway = Gateway::script(&sandbox, &[], ECHO);
    let reply = gateway.ask_tool(1, "work", &json!({}));
    refusal(&reply);
    assert_eq!(reply["result"]["_meta"]["io.github.mcpol/decision"]["code"], "state_unavailable");
    passed(&gateway.ask_tool(2, "free", &json!({})));
    let (code, _, stderr) = gateway.close();
    assert_eq!(code, Some(0));
    assert!(stderr.contains("move the file away"), "{stderr}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_for_the_log_denies_calls_and_nothing_else() {
    let sandbox = sandbox(&limited(1));
    let mut gateway = Gateway::script(&sandbox, &["--audit", "/dev/full"], ECHO);
    let reply = gateway.ask_tool(1, "work", &json!({}));
    refusal(&reply);
    assert_eq!(reply["result"]["_meta"]["io.github.mcpol/decision"]["code"], "state_unavailable");
    assert!(gateway.ask(2, "ping", &json!({})).get("result").is_some());
    let (_, _, stderr) = gateway.close();
    assert!(stderr.contains("cannot write the audit log"), "{stderr}");
    // The unit was given back: the call was never sent.
    let mut gateway = Gateway::script(&sandbox, &[], ECHO);
    passed(&gateway.ask_tool(1, "work", &json!({})));
    assert_eq!(gateway.close().0, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_for_the_counters_denies_limited_calls_and_nothing_else() {
    let sandbox = sandbox(&only(json!({"free": {}, "work": {"rate_limit": {"max": 100_000, "window": 31_622_400}}})));
    let gateway = |shell: &str| {
        let mut command = std::process::Command::new("sh");
        let binary = env!("CARGO_BIN_EXE_mcpol");
        let enforce = format!(
            "{shell} exec {binary} enforce --policy policy.json --audit none --name scripted -- sh -c \"$ECHO\""
        );
        command.args(["-c", &enforce]).current_dir(sandbox.dir()).env("ECHO", ECHO);
        command.env("MCPOL_STATE_DIR", sandbox.dir().join("state"));
        Gateway::run(command)
    };
    // No file may grow beyond 100 KiB, as on a disk that is full; the signal that the system sends ends no gateway.
    let mut full = gateway("ulimit -f 200;");
    let mut allowed = 0;
    let refused = loop {
        let reply = full.ask_tool(allowed, "work", &json!({}));
        if reply["result"].get("isError").is_some() {
            break reply;
        }
        allowed += 1;
        assert!(allowed < 5000, "the disk never got full");
    };
    assert_eq!(refused["result"]["_meta"]["io.github.mcpol/decision"]["code"], "state_unavailable", "{refused}");
    passed(&full.ask_tool(9_000, "free", &json!({})));
    assert!(full.ask(9_001, "ping", &json!({})).get("result").is_some());
    assert_eq!(full.close().0, Some(0));
    // Nothing is damaged: with room the counter goes on where it was.
    let mut roomy = gateway("");
    passed(&roomy.ask_tool(1, "work", &json!({})));
    assert_eq!(roomy.close().0, Some(0));
    let state = rusqlite::Connection::open(sandbox.dir().join("state/state.db")).unwrap();
    let used: i64 = state.query_row("SELECT max(used) FROM counters", [], |row| row.get(0)).unwrap();
    assert_eq!(used, allowed as i64 + 1);
}

#[test]
fn counters_are_seen_and_set_to_nothing_by_hand() {
    let sandbox = sandbox(&limited(1));
    assert_eq!(sandbox.run(&["limits", "list"]).both(0).1, "No limit counts anything at the moment.\n");
    let mut gateway = Gateway::script(&sandbox, &[], ECHO);
    passed(&gateway.ask_tool(1, "work", &json!({})));
    refusal(&gateway.ask_tool(2, "work", &json!({})));
    let list = || sandbox.run(&["limits", "list"]).both(0).0;
    assert!(list().starts_with("           1  scripted  work  grant local  a 8784h, until 20"), "{}", list());
    let rows: Value = serde_json::from_str(&sandbox.run(&["limits", "list", "--json"]).quiet(0)).unwrap();
    assert_eq!((&rows["counters"][0]["used"], &rows["counters"][0]["ahead"]), (&json!(1), &json!(false)));
    assert!(sandbox.run(&["limits", "reset"]).refused(2).contains("--all"));
    for other in [["--server", "other"], ["--grant", "other"], ["--session", "local"], ["--counter", "other"]] {
        assert_eq!(sandbox.run(&[&["limits", "reset"], &other[..]].concat()).both(4).1, "0 counters set to nothing.\n");
    }
    refusal(&gateway.ask_tool(3, "work", &json!({})));
    sandbox.run(&["limits", "reset", "--server", "scripted", "--grant", "local", "--counter", "work"]).both(0);
    assert_eq!(list(), "");
    passed(&gateway.ask_tool(4, "work", &json!({})));
    refusal(&gateway.ask_tool(5, "work", &json!({})));
    sandbox.run(&["limits", "reset", "--all"]).both(0);
    passed(&gateway.ask_tool(6, "work", &json!({})));
    assert_eq!(gateway.close().0, Some(0));
    assert!(sandbox.run(&["limits", "list", "--state", "memory:"]).refused(2).contains("memory"));
}

#[test]
fn after_a_clock_that_was_wrong_an_operator_sets_it_right() {
    const YEAR: i64 = 366 * 86_400_000;
    let daily = json!({"counter": "work", "window": "day", "max": 2, "scope": "grant"});
    let sandbox = sandbox(&only(json!({"work": {"limits": [daily]}})));
    let mut gateway = Gateway::script(&sandbox, &[], ECHO);
    passed(&gateway.ask_tool(1, "work", &json!({})));
    let state = rusqlite::Connection::open(sandbox.dir().join("state/state.db")).unwrap();
    let seen = |ahead: i64| {
        let now: i64 = state.query_row("SELECT now FROM clock", [], |row| row.get(0)).unwrap();
        state.execute("UPDATE clock SET now = ?1", [now + ahead]).unwrap();
        state.execute("UPDATE counters SET starts = starts + ?1, ends = ends + ?1", [ahead]).unwrap();
    };
    // What a gateway leaves behind that has run ten years from now.
    seen(10 * YEAR);
    let reply = gateway.ask_tool(2, "work", &json!({}));
    assert_eq!(reply["result"]["_meta"]["io.github.mcpol/decision"]["code"], "state_unavailable", "{reply}");
    assert!(!reply.to_string().contains("mcpol limits"), "the model is told no command: {reply}");
    let (out, err) = sandbox.run(&["limits", "list"]).both(0);
    assert!(out.contains("AHEAD") && err.contains("are refused") && err.contains("reset --clock"), "{out}{err}");
    let (_, err) = sandbox.run(&["limits", "reset", "--clock"]).both(0);
    assert!(err.contains("1 counters set to nothing"), "{err}");
    for id in 3..=4 {
        passed(&gateway.ask_tool(id, "work", &json!({})));
    }
    refusal(&gateway.ask_tool(5, "work", &json!({})));
    // Half a year is no jump, and sets every limit to that time.
    seen(YEAR / 2);
    refusal(&gateway.ask_tool(6, "work", &json!({})));
    sandbox.run(&["limits", "reset", "--clock"]).both(0);
    passed(&gateway.ask_tool(7, "work", &json!({})));
    let (_, _, stderr) = gateway.close();
    assert!(stderr.contains("no calendar explains"), "{stderr}");
}
