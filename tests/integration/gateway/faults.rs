//! Servers and clients that misbehave: every request still gets one answer, and everything ends.

use super::*;

fn open() -> Sandbox {
    sandbox(&json!({"version": "1", "default": "allow", "tools": {}}))
}

fn result(id: u64, text: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
}

#[test]
fn a_server_that_crashes_leaves_no_call_without_an_answer() {
    let sandbox = open();
    let mut gateway = Gateway::script(&sandbox, &[], "read -r a; read -r b; echo last words >&2; exit 7");
    gateway.call(1, "t", &json!({}));
    gateway.call(2, "t", &json!({}));
    let (code, lines, stderr) = gateway.finish();
    assert_eq!(code, Some(3), "{stderr}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in lines {
        assert!(line.contains("exited with status 7") && line.contains("-32603"), "{line}");
    }
    assert!(stderr.contains("server: last words"), "{stderr}");
    assert_eq!(events(&log(&sandbox), "upstream_exit").len(), 1);
}

#[test]
fn a_server_that_closes_its_output_has_ended_though_its_process_lives_on() {
    let sandbox = open();
    let mut gateway = Gateway::script(&sandbox, &[], "read -r a; exec 1>&-; while :; do sleep 600; done");
    gateway.call(1, "t", &json!({}));
    let (code, lines, stderr) = gateway.finish();
    assert_eq!((code, lines.len()), (Some(3), 1), "{lines:?} {stderr}");
    assert!(lines[0].contains("closed its output") && stderr.contains("closed its output"), "{lines:?} {stderr}");
    assert_eq!(events(&log(&sandbox), "upstream_exit").len(), 1);
}

#[test]
fn a_server_is_started_again_and_hears_the_handshake_but_no_call_twice() {
    let sandbox = open();
    let script = r#"count=$(cat count 2>/dev/null || echo 0); echo $((count + 1)) > count
        while read -r line; do echo "$count $line" >> heard
        case $line in
            *'"initialize"'*) echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}';;
            *crash*) exit 1;;
            *tools/call*) echo '{"jsonrpc":"2.0","id":2,"result":{"content":[]}}';;
        esac; done"#;
    let mut gateway = Gateway::script(&sandbox, &["--restart", "1"], script);
    gateway.initialize();
    assert!(gateway.ask_tool(1, "crash", &json!({})).get("error").is_some());
    passed(&gateway.ask_tool(2, "work", &json!({})));
    let (code, lines, stderr) = gateway.close();
    assert_eq!((code, lines.len()), (Some(0), 0), "{lines:?} {stderr}");
    let heard = sandbox.read("heard");
    assert_eq!(heard.lines().filter(|line| line.starts_with("1 ")).count(), 3, "{heard}");
    assert_eq!(heard.matches("crash").count(), 1, "{heard}");
    assert_eq!(events(&log(&sandbox), "upstream_restart").len(), 1);
}

#[test]
fn a_server_that_dies_in_the_handshake_that_it_hears_again_answers_nobody() {
    let sandbox = open();
    let script = r#"read -r first; [ -e again ] && exit 1
        : > again; echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}'
        read -r initialized; read -r call; exit 1"#;
    let mut gateway = Gateway::script(&sandbox, &["--restart", "1"], script);
    gateway.initialize();
    assert!(gateway.ask_tool(1, "crash", &json!({})).get("error").is_some());
    let (code, lines, stderr) = gateway.finish();
    assert_eq!((code, lines), (Some(3), vec![]), "`initialize` has its answer: {stderr}");
}

#[test]
fn requests_that_the_server_withdraws_are_not_counted_for_ever() {
    let sandbox = open();
    let script = r#"i=0; while [ $i -lt 1100 ]; do
            echo "{\"jsonrpc\":\"2.0\",\"id\":$i,\"method\":\"roots/list\"}"
            echo "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":$i}}"
        i=$((i + 1)); done; cat > heard"#;
    let mut gateway = Gateway::script(&sandbox, &[], script);
    for id in 0..1100 {
        assert_eq!(gateway.message()["id"], id, "the server may ask as often as it likes");
        assert_eq!(gateway.message()["params"]["requestId"], id);
    }
    gateway.send(r#"{"jsonrpc":"2.0","id":5,"result":{"roots":[]}}"#);
    assert_eq!(gateway.close().0, Some(0));
    assert_eq!(sandbox.read("heard"), "", "an answer that nobody waits for goes nowhere");
}

#[test]
fn a_server_that_keeps_dying_is_given_up() {
    let sandbox = open();
    let gateway = Gateway::script(&sandbox, &["--restart", "2"], "exit 1");
    let (code, _, stderr) = gateway.finish();
    assert_eq!(code, Some(3));
    assert!(stderr.contains("starting the server again (2 of 2)"), "{stderr}");
}

#[test]
fn a_server_that_hangs_is_given_up_by_call_and_its_late_answer_is_dropped() {
    let sandbox = open();
    // The client hears of it first, and what it asks next may overtake what the server hears.
    let script = r#"read -r call; read -r one; read -r other; printf '%s\n' "$one" "$other" > heard
        echo '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'
        echo '{"jsonrpc":"2.0","id":2,"result":{}}'; read -r end"#;
    let mut gateway = Gateway::script(&sandbox, &["--call-timeout", "0.2"], script);
    let reply = gateway.ask_tool(1, "t", &json!({}));
    assert!(reply["error"]["message"].as_str().unwrap().contains("not answered within 0.2 s"), "{reply}");
    assert_eq!(gateway.ask(2, "ping", &json!({}))["id"], 2);
    assert_eq!(gateway.close().0, Some(0));
    assert!(sandbox.read("heard").contains("notifications/cancelled"));
    let log = log(&sandbox);
    assert!(events(&log, "dropped").iter().any(|entry| entry["what"] == "foreign reply"), "{log:?}");
    assert!(events(&log, "outcome").iter().any(|entry| entry["outcome"] == "timeout"), "{log:?}");
}

#[test]
fn only_the_first_answer_to_a_request_passes() {
    let sandbox = open();
    let script = format!(
        "read -r a; echo '{}'; echo '{}'; echo '{}'; echo 'ready on port 80'; echo '[]'; echo '{{\"level\":\"info\"}}'
        printf '%s' '{{\"jsonrpc\":\"2.0\",\"id\":1,\"resu'; echo; read -r b; echo '{}'; read -r c",
        result(1, "first"),
        result(1, "second"),
        result(99, "never asked"),
        result(2, "after")
    );
    let mut gateway = Gateway::script(&sandbox, &[], &script);
    assert_eq!(gateway.ask_tool(1, "t", &json!({}))["result"]["content"][0]["text"], "first");
    assert_eq!(gateway.ask_tool(2, "t", &json!({}))["result"]["content"][0]["text"], "after");
    let (code, lines, _) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]));
    assert_eq!(events(&log(&sandbox), "dropped").len(), 6);
}

#[test]
fn a_line_of_a_hundred_megabytes_costs_one_answer_and_little_memory() {
    let sandbox = open();
    let script = format!(
        "read -r a; printf '%s' '{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"'; head -c 100000000 /dev/zero | tr '\\0' x; echo '\"}}'
        read -r b; echo '{}'; read -r c",
        result(2, "after")
    );
    let mut gateway = Gateway::script(&sandbox, &[], &script);
    let reply = gateway.ask_tool(1, "t", &json!({}));
    assert!(reply["error"]["message"].as_str().unwrap().contains("longer than"), "{reply}");
    passed(&gateway.ask_tool(2, "t", &json!({})));
    if cfg!(target_os = "linux") {
        let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kib < 100_000, "{kib} KiB at the most");
    }
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn lines_over_the_bound_are_answered_wherever_the_id_stands() {
    let sandbox = open();
    // As servers in JavaScript write it: the id comes last.
    let script = format!(
        "read -r a; printf '%s' '{{\"result\":{{\"id\":7,\"x\":\"'; head -c 11000000 /dev/zero | tr '\\0' x
        echo '\"}},\"jsonrpc\":\"2.0\",\"id\":1}}'; read -r b; echo '{}'; read -r c",
        result(2, "after")
    );
    let mut gateway = Gateway::script(&sandbox, &[], &script);
    let reply = gateway.ask(1, "resources/read", &json!({"uri": "a:b"}));
    assert!(reply["error"]["message"].as_str().unwrap().contains("longer than"), "{reply}");
    let long = json!({"uri": "x".repeat(11_000_000)});
    let line = json!({"jsonrpc": "2.0", "method": "resources/read", "params": long, "z": 0}).to_string();
    gateway.send(&line.replace("\"z\":0", "\"id\":\"me\""));
    let reply = gateway.message();
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!("me"), &json!(-32600)), "{reply}");
    passed(&gateway.ask_tool(2, "t", &json!({})));
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn half_a_line_at_the_end_is_no_answer() {
    let sandbox = open();
    let script = r#"read -r a; printf '%s' '{"jsonrpc":"2.0","id":1,"result":{"content":[]'"#;
    let mut gateway = Gateway::script(&sandbox, &[], script);
    gateway.call(1, "t", &json!({}));
    let (code, lines, _) = gateway.finish();
    assert_eq!((code, lines.len()), (Some(3), 1), "{lines:?}");
    assert!(lines[0].contains(r#""id":1,"error""#), "{lines:?}");
}

#[test]
fn a_server_that_changes_its_list_is_filtered_anew() {
    let sandbox = sandbox(&json!({"version": "1", "default": "allow", "hide": ["rm"], "tools": {}}));
    let list = |id: u64, names: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[{names}]}}}}"#);
    let changed = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    let script = format!(
        "read -r a; echo '{}'; echo '{changed}'; read -r b; echo '{}'; read -r c",
        list(1, r#"{"name":"a"}"#),
        list(2, r#"{"name":"rm"},{"name":"b"}"#)
    );
    let mut gateway = Gateway::script(&sandbox, &[], &script);
    assert_eq!(gateway.ask(1, "tools/list", &json!({}))["result"]["tools"], json!([{"name": "a"}]));
    assert_eq!(gateway.line(), changed);
    assert_eq!(gateway.ask(2, "tools/list", &json!({}))["result"]["tools"], json!([{"name": "b"}]));
    assert_eq!(gateway.ask_tool(3, "rm", &json!({}))["error"]["code"], -32602);
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn large_results_pass_to_the_letter() {
    let sandbox = open();
    let script = "read -r a; printf '%s' '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{ \"x\" : \"'; head -c 1048576 /dev/zero | tr '\\0' x; echo '\" } }'; read -r b";
    let mut gateway = Gateway::script(&sandbox, &[], script);
    gateway.call(1, "t", &json!({}));
    assert_eq!(
        gateway.line(),
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{ \"x\" : \"{}\" }} }}", "x".repeat(1 << 20))
    );
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn floods_on_both_outputs_are_bounded_and_nothing_hangs() {
    let sandbox = open();
    let script = format!(
        "i=0; while [ $i -lt 3000 ]; do echo \"noise $i\"; echo \"noise $i\" >&2; i=$((i + 1)); done
        read -r a; echo '{}'; read -r b",
        result(1, "through")
    );
    let mut gateway = Gateway::script(&sandbox, &[], &script);
    assert_eq!(gateway.ask_tool(1, "t", &json!({}))["result"]["content"][0]["text"], "through");
    let (code, lines, stderr) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]));
    assert!(stderr.lines().filter(|line| line.starts_with("server: ")).count() <= 1000, "{}", stderr.len());
    assert!(events(&log(&sandbox), "dropped").len() < 100);
}

#[test]
fn ten_thousand_calls_at_once_are_all_answered() {
    let sandbox = sandbox(&json!({"version": "1", "default": "deny", "tools": {}}));
    let mut gateway = Gateway::sample(&sandbox, &[]);
    // Written before one answer is read: the gateway must not wait for us to read.
    for id in 0..10_000 {
        gateway.call(id, "t", &json!({"id": id}));
    }
    let mut ids: Vec<u64> = (0..10_000).map(|_| gateway.reply()["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..10_000).collect::<Vec<_>>());
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn a_client_that_sends_garbage_is_told_so_and_may_go_on() {
    let sandbox = open();
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    gateway.send("garbage");
    assert_eq!(gateway.message()["error"]["code"], -32700);
    gateway.send_bytes(b"\xff\xfe{\n");
    assert_eq!(gateway.message()["error"]["code"], -32700);
    gateway.send(r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"a","name":"b"}}"#);
    let reply = gateway.message();
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(5), &json!(-32600)));
    gateway.send_bytes(&[vec![b'x'; 11 << 20], b"\n".to_vec()].concat());
    assert_eq!(gateway.message()["error"]["code"], -32600);
    assert!(gateway.ask(6, "ping", &json!({})).get("result").is_some());
    assert_eq!(gateway.close().0, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn the_server_and_what_it_started_end_with_us() {
    for signal in ["-TERM", "-KILL"] {
        let sandbox = sandbox(&open_beside(json!({})));
        // It ignores its input, TERM and hang-ups, and starts another process that does the same.
        let script = "trap '' TERM HUP; (trap '' TERM HUP; sleep 300) & echo \"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"method\\\":\\\"$$\\\"}\"
            echo \"{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"method\\\":\\\"$!\\\"}\"; while :; do sleep 300; done";
        let gateway = Gateway::script(&sandbox, &[], script);
        let pids: Vec<String> = (0..2).map(|_| gateway.message()["method"].as_str().unwrap().to_owned()).collect();
        let status = std::process::Command::new("kill").args([signal, &gateway.pid().to_string()]).status().unwrap();
        assert!(status.success());
        let deadline = std::time::Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
        while pids.iter().any(|pid| runs(pid)) {
            assert!(std::time::Instant::now() < deadline, "{signal}: {pids:?} still run");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_call_that_is_withdrawn_before_it_left_is_not_made() {
    let sandbox = sandbox(&only(json!({"work": {"rate_limit": {"max": 1, "window": 31_622_400}}})));
    let script = format!("while read -r line; do printf '%s\n' \"$line\" >> heard; echo '{}'; done", result(2, "done"));
    let mut gateway = Gateway::script(&sandbox, &[], &script);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"work"}}"#;
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    // Written at once, they are read at once.
    gateway.send(&format!("{call}\n{cancel}"));
    assert!(gateway.ask_tool(9, "unknown", &json!({})).get("error").is_some());
    passed(&gateway.ask_tool(2, "work", &json!({})));
    let (code, lines, _) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]));
    assert_eq!(sandbox.read("heard").lines().count(), 1, "nor does the server hear that it was withdrawn");
    assert!(events(&log(&sandbox), "outcome").iter().any(|entry| entry["outcome"] == "cancelled"));
}

#[test]
fn the_last_message_may_lack_its_line_break() {
    let sandbox = open();
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    gateway.send_bytes(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let (code, lines, _) = gateway.close();
    assert_eq!((code, lines.len()), (Some(0), 1));
    assert!(lines[0].contains(r#""id":1"#) && lines[0].contains("result"), "{lines:?}");
}

#[test]
fn a_client_that_closes_early_ends_everything() {
    let sandbox = open();
    let mut gateway = Gateway::script(&sandbox, &[], "read -r a; sleep 300");
    gateway.call(1, "t", &json!({}));
    let (code, _, stderr) = gateway.close();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(events(&log(&sandbox), "stop").len(), 1);
}

#[test]
fn a_server_that_does_not_exist_is_said() {
    let sandbox = open();
    let gateway = Gateway::start(&sandbox, &[], &["no-such-command-at-all"]);
    let (code, lines, stderr) = gateway.finish();
    assert_eq!((code, lines), (Some(3), vec![]), "{stderr}");
    assert!(stderr.contains("`no-such-command-at-all`"), "{stderr}");
}

/// Dies at `crash`. Started again, it does `then` when it hears the handshake, before it answers.
fn fragile(then: &str) -> String {
    format!(
        r#"count=$(cat count 2>/dev/null || echo 0); echo $((count + 1)) > count; [ -e go ] || mkfifo go
        while read -r line; do echo "$count $line" >> heard; id=${{line#*\"id\":}}; id=${{id%%,*}}
        case "$count $line" in 1*'"initialize"'*) {then};; esac
        case $line in
            *'"initialize"'*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"protocolVersion":"2025-06-18"}}}}\n' "$id";;
            *crash*) exit 1;;
            *tools/call*) printf '{{"jsonrpc":"2.0","id":%s,"result":{{"content":[]}}}}\n' "$id";;
        esac; done"#
    )
}

#[test]
fn a_server_that_is_silent_in_the_handshake_it_hears_again_keeps_nobody_waiting_who_need_not() {
    let sandbox = sandbox(&only(json!({"crash": {}, "work": {}})));
    let script = fragile("while read -r more; do :; done");
    let mut gateway = Gateway::script(&sandbox, &["--restart", "1", "--call-timeout", "4"], &script);
    gateway.initialize();
    assert!(gateway.ask_tool(1, "crash", &json!({})).get("error").is_some());
    gateway.call(2, "work", &json!({}));
    gateway.send(r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#);
    gateway.call(4, "unknown", &json!({}));
    let replies: Vec<Value> = (0..3).map(|_| gateway.reply()).collect();
    assert_eq!(replies[0]["error"]["message"], "Unknown tool: unknown", "{replies:?}");
    for (reply, id) in replies[1..].iter().zip([3, 2]) {
        assert_eq!(reply["id"], id, "{replies:?}");
        assert!(reply["error"]["message"].as_str().unwrap().contains("started again"), "{replies:?}");
    }
    let (code, lines, stderr) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]), "{stderr}");
    assert!(!sandbox.read("heard").contains("work"));
}

#[test]
fn what_waits_for_a_server_that_answers_late_is_sent_then_and_what_was_withdrawn_is_not() {
    let sandbox = open();
    let mut gateway = Gateway::script(&sandbox, &["--restart", "1"], &fragile("read -r word < go"));
    gateway.initialize();
    assert!(gateway.ask_tool(1, "crash", &json!({})).get("error").is_some());
    for id in [2, 3, 4] {
        gateway.call(id, "work", &json!({}));
    }
    gateway.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#);
    // It is read once the handshake has come.
    std::fs::write(sandbox.dir().join("go"), "on\n").unwrap();
    let mut ids = [gateway.reply(), gateway.reply()].map(|reply| {
        passed(&reply);
        reply["id"].as_u64()
    });
    ids.sort_unstable();
    assert_eq!(ids, [Some(3), Some(4)]);
    let (code, lines, _) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]));
    let heard = sandbox.read("heard");
    let again: Vec<&str> = heard.lines().filter(|line| line.starts_with("1 ")).collect();
    assert_eq!(again.len(), 4, "{heard}");
    assert!(again[0].contains("\"initialize\"") && again[1].contains("notifications/initialized"), "{heard}");
}

#[test]
fn a_server_without_handshake_is_started_again_too() {
    let sandbox = open();
    let mut gateway = Gateway::script(&sandbox, &["--restart", "1"], &fragile("exit 2"));
    let call = |id: u64, tool: &str| {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        let params = json!({"name": tool, "arguments": {}, "_meta": meta});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
    };
    gateway.send(&call(1, "crash"));
    assert!(gateway.reply().get("error").is_some());
    gateway.send(&call(2, "work"));
    passed(&gateway.reply());
    assert_eq!(gateway.close().0, Some(0));
    assert!(!sandbox.read("heard").contains("initialize"));
}

#[test]
fn the_late_answer_to_a_call_that_was_given_up_reaches_no_later_one_with_its_id() {
    let sandbox = open();
    // The new call may be given up as well, on a machine that is slow; then there is another.
    let script = format!(
        "read -r call; read -r cancelled; read -r on; echo '{}'
        while read -r line; do case $line in *tools/call*) echo '{}';; esac; done",
        result(1, "late"),
        result(1, "new")
    );
    let mut gateway = Gateway::script(&sandbox, &["--call-timeout", "0.2"], &script);
    assert!(gateway.ask_tool(1, "t", &json!({})).get("error").is_some());
    let refused = gateway.ask_tool(1, "t", &json!({}));
    assert!(refused["error"]["message"].as_str().unwrap().contains("given up"), "{refused}");
    gateway.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    // Once the old answer has come, the id is free again.
    let reply = loop {
        let reply = gateway.ask_tool(1, "t", &json!({}));
        if reply.get("error").is_none() {
            break reply;
        }
    };
    assert_eq!(reply["result"]["content"][0]["text"], "new");
    assert_eq!(gateway.close().0, Some(0));
}

/// Waits for the answer to this request, whatever the server asks meanwhile.
fn answer_to(gateway: &Gateway, id: u64) -> Value {
    loop {
        let message = gateway.message();
        if message["id"] == id && message.get("method").is_none() {
            return message;
        }
    }
}

#[test]
fn a_server_that_asks_without_end_and_reads_nothing_keeps_nobody_waiting() {
    let sandbox = open();
    // More than the gateway takes, so that it answers, and more answers than a pipe holds.
    let script = r#"read -r call; i=0
        while [ $i -lt 20000 ]; do echo '{"jsonrpc":"2.0","id":"z'$i'","method":"ping"}'; i=$((i+1)); done
        echo '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'; exec sleep 600"#;
    let mut gateway = Gateway::script(&sandbox, &["--call-timeout", "2"], script);
    gateway.call(1, "t", &json!({}));
    // What the server says behind its questions is heard if it comes in time, and who gets no answer hears that.
    answer_to(&gateway, 1);
    gateway.call(2, "t", &json!({}));
    let reply = answer_to(&gateway, 2);
    assert!(reply["error"]["message"].as_str().is_some_and(|text| text.contains("not answered within 2 s")), "{reply}");
    http::terminate(gateway.pid());
    assert_eq!(gateway.finish().0, Some(0));
}

#[test]
fn a_server_that_reads_nothing_keeps_back_nothing_that_it_is_not_needed_for() {
    let sandbox = open();
    let mut gateway = Gateway::script(&sandbox, &["--call-timeout", "2"], "exec sleep 600");
    // More than a pipe holds.
    gateway.call(1, "t", &json!({"text": "x".repeat(300_000)}));
    gateway.send(r#"{"jsonrpc":"2.0","id":2,"method":"evil/method"}"#);
    // In either order: the time-out may be the first on a slow machine.
    let mut replies = [gateway.message(), gateway.message()];
    replies.sort_by_key(|reply| reply["id"].as_u64());
    let [late, refused] = replies;
    assert!(late["error"]["message"].as_str().is_some_and(|text| text.contains("not answered within 2 s")), "{late}");
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
    assert_eq!(gateway.close().0, Some(0));
}
