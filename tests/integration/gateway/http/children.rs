//! Stdio servers behind HTTP: a child for each session, and what one of them does is no concern of the others.

use super::*;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

/// A token and its hash.
pub(super) const ALICE: &str = "Authorization: Bearer mcpol_token-of-alice";
pub(super) const ALICE_SHA256: &str = "94ab40bd3046a011c7dc0958533f817d5ddb97550ae32845f4283490c56ff317";

const BOB: &str = "Authorization: Bearer mcpol_token-of-bob";
const BOB_SHA256: &str = "98b342f20586292e7745bea37791378d33d58886f1b7f89998c053ab95134852";

/// Answers every request with its process's number; says `die`, and it does; says `ask`, and it asks back first.
const SERVER: &str = r#"
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}\n' "$id" ;;
    *'"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"good"},{"name":"hidden"}]}}\n' "$id" ;;
    *'"die"'*) exit 7 ;;
    *'"ask"'*) printf '{"jsonrpc":"2.0","id":"q","method":"roots/list"}\n{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}\n' "$id" ;;
    *'"result":{"roots"'*) printf '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"thanks"}}\n' ;;
    *'"tools/call"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}\n' "$id" "$$" ;;
  esac
done
"#;

fn served(sandbox: &Sandbox, options: &[&str]) -> Served {
    Served::start(sandbox, &[options, &["--name", "scripted", "--", "sh", "-c", SERVER]].concat())
}

#[track_caller]
fn open(served: &Served) -> String {
    let reply = served.post(&[], INITIALIZE);
    assert_eq!(reply.status, 200, "{reply:?}");
    let session = reply.header("mcp-session-id").expect("a session").to_owned();
    assert!(session.len() >= 32, "{session}");
    let header = format!("Mcp-Session-Id: {session}");
    assert_eq!(served.post(&[&header], r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).status, 202);
    header
}

/// The answer to a request in a session of its own.
#[track_caller]
pub(super) fn in_a_session(served: &Served, body: &str) -> Value {
    served.ask(&[&open(served)], body)
}

fn text(reply: &Value) -> &str {
    reply["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{reply}"))
}

#[test]
fn each_session_has_a_child_of_its_own() {
    let sandbox = usual();
    let served = served(&sandbox, &[]);
    let (one, two) = (open(&served), open(&served));
    let (first, second) = (served.ask(&[&one], CALL), served.ask(&[&two], CALL));
    assert_ne!(text(&first), text(&second));
    assert_eq!(text(&served.ask(&[&one], CALL)), text(&first));
    let list = served.ask(&[&one], r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    assert_eq!(list["result"]["tools"], json!([{"name": "good"}]));
    assert_eq!(served.ask(&[&two], &CALL.replace("good", "hidden"))["error"]["code"], -32602);
    for headers in [&["Mcp-Session-Id: 00000000000000000000000000000000"][..], &["Mcp-Session-Id: \u{e9}"]] {
        assert_eq!(served.post(headers, CALL).status, 404);
    }
    assert_eq!(served.post(&[], CALL).status, 400, "calls need a session");
    let mut connection = served.open();
    connection.send("DELETE /mcp", &["Host: localhost"], &[&one], "");
    assert_eq!(connection.reply().status, 204);
    assert_eq!(served.post(&[&one], CALL).status, 404);
    assert_eq!(text(&served.ask(&[&two], CALL)), text(&second));
    assert_eq!(served.end(), Some(0));
}

#[test]
fn a_crash_is_seen_by_its_callers_only() {
    let sandbox = sandbox(&only(json!({"good": {}, "die": {}})));
    let served = served(&sandbox, &[]);
    let (one, two) = (open(&served), open(&served));
    let died = served.ask(&[&one], &CALL.replace("good", "die"));
    assert!(died["error"]["message"].as_str().unwrap().contains("status 7"), "{died}");
    served.hear("exited with status 7");
    // The session went with its server: the client has to begin a new one.
    let reply = served.post(&[&one], CALL);
    assert!([404, 502].contains(&reply.status), "{reply:?}");
    passed(&served.ask(&[&two], CALL));
    passed(&served.ask(&[&open(&served)], CALL));
}

#[test]
fn what_a_server_sends_unasked_reaches_whoever_listens() {
    let sandbox = sandbox(&open_beside(json!({"ask": {}})));
    let served = served(&sandbox, &[]);
    let one = open(&served);
    let mut listening = served.open();
    listening.get(&[&one]);
    assert_eq!(listening.head().0, 200);
    passed(&served.ask(&[&one], &CALL.replace("good", "ask")));
    listening.until("roots/list");
    assert_eq!(served.post(&[&one], r#"{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}"#).status, 202);
    listening.until("thanks");
}

#[test]
fn without_a_listener_it_comes_with_the_answer() {
    let sandbox = sandbox(&open_beside(json!({"ask": {}})));
    let served = served(&sandbox, &[]);
    let reply = served.post(&[&open(&served)], &CALL.replace("good", "ask"));
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    let (question, answer) = (reply.body.find("roots/list").unwrap(), reply.body.find("\"content\"").unwrap());
    assert!(question < answer, "{reply:?}");
}

#[test]
fn requests_without_sessions_share_a_child() {
    let sandbox = usual();
    let served = served(&sandbox, &[]);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let headers = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: good"];
    let first = served.ask(&headers, body);
    assert_eq!(text(&served.ask(&headers, body)), text(&first));
}

#[test]
fn a_command_that_does_not_exist_is_a_plain_failure() {
    let sandbox = usual();
    let served = Served::start(&sandbox, &["--", "no-such-program"]);
    let reply = served.post(&[], INITIALIZE);
    assert_eq!(reply.status, 502, "{reply:?}");
    served.hear("no-such-program");
}

#[test]
fn a_new_policy_reaches_sessions_that_are_open() {
    let sandbox = usual();
    let served = served(&sandbox, &[]);
    let one = open(&served);
    served.ask(&[&one], r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    let mut listening = served.open();
    listening.get(&[&one]);
    listening.head();
    sandbox.write("policy.json", &only(json!({"hidden": {}})).to_string());
    listening.until("notifications/tools/list_changed");
    passed(&served.ask(&[&one], &CALL.replace("good", "hidden")));
}

#[test]
fn all_sessions_of_a_grant_share_a_child_where_that_is_asked_for() {
    let sandbox = sandbox(&open_beside(json!({"good": {}, "ask": {}})));
    let config = toml::to_string(&json!({
        "gateway": {"listen": "127.0.0.1:0", "state": "memory:", "audit": "none"},
        "servers": {"scripted": {"command": ["sh", "-c", SERVER], "policy": "policy.json", "per": "grant"}},
    }));
    sandbox.write("mcpol.toml", &config.unwrap());
    let served = Served::run(sandbox.command(&["enforce", "--config", "mcpol.toml"]));
    let (one, two) = (open(&served), open(&served));
    assert_ne!(one, two);
    let (first, second) = (served.ask(&[&one], CALL), served.ask(&[&two], CALL));
    assert_eq!(text(&first), text(&second));
    // News is for all of them, and the end of one session is not the end of the other.
    let (mut hears, mut hears_too) = (served.open(), served.open());
    for (connection, session) in [(&mut hears, &one), (&mut hears_too, &two)] {
        connection.get(&[session]);
        assert_eq!(connection.head().0, 200);
    }
    served.ask(&[&one], &CALL.replace("good", "ask"));
    assert_eq!(served.post(&[&one], r#"{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}"#).status, 202);
    hears.until("thanks");
    hears_too.until("thanks");
    let mut connection = served.open();
    connection.send("DELETE /mcp", &["Host: localhost"], &[&one], "");
    assert_eq!(connection.reply().status, 204);
    assert_eq!(served.post(&[&one], CALL).status, 404);
    assert_eq!(text(&served.ask(&[&two], CALL)), text(&first));
}

#[test]
fn a_grant_is_held_to_its_new_policy_in_sessions_that_are_open() {
    let sandbox = sandbox(&only(json!({})));
    sandbox.write("wide.json", &only(json!({"good": {}})).to_string());
    sandbox.write("narrow.json", &only(json!({"good": {"action": "deny", "reason": "narrowed"}})).to_string());
    let config = |policy: &str| {
        toml::to_string(&json!({
            "gateway": {"listen": "127.0.0.1:0", "state": "memory:", "audit": "none"},
            "servers": {"scripted": {"command": ["sh", "-c", SERVER], "policy": "policy.json"}},
            "grants": {"alice": {"servers": ["scripted"], "policy": policy, "token_sha256": ALICE_SHA256}},
        }))
        .unwrap()
    };
    sandbox.write("mcpol.toml", &config("wide.json"));
    let served = Served::run(sandbox.command(&["enforce", "--config", "mcpol.toml"]));
    let opened = served.post(&[ALICE], INITIALIZE);
    let session = format!("Mcp-Session-Id: {}", opened.header("mcp-session-id").expect("a session"));
    let modern = [ALICE, "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: good"];
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    passed(&served.ask(&[ALICE, &session], CALL));
    passed(&served.ask(&modern, body));
    sandbox.write("mcpol.toml", &config("narrow.json"));
    served.hear("mcpol.toml reloaded");
    assert!(refusal(&served.ask(&[ALICE, &session], CALL)).contains("narrowed"));
    assert!(refusal(&served.ask(&modern, body)).contains("narrowed"));
}

/// Says what it must, and starts no other programs: many of it run at once.
const QUICK: &str = r#"
while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}\n' "$id" ;;
    *'"tools/call"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}\n' "$id" "$$" ;;
  esac
done
"#;

/// As in the table of docs/gateway.md.
const GRANT_CHILDREN_MAX: usize = 128;

#[test]
fn one_grant_leaves_children_to_the_others() {
    let sandbox = usual();
    let grant = |hash: &str| json!({"servers": ["scripted"], "token_sha256": hash});
    let config = json!({
        "gateway": {"listen": "127.0.0.1:0", "state": "memory:", "audit": "none"},
        "servers": {"scripted": {"command": ["sh", "-c", QUICK.replace("${", "$${")], "policy": "policy.json"}},
        "grants": {"alice": grant(ALICE_SHA256), "bob": grant(BOB_SHA256)},
    });
    sandbox.write("mcpol.toml", &toml::to_string(&config).unwrap());
    let served = Served::run(sandbox.command(&["enforce", "--config", "mcpol.toml"]));
    for number in 0..GRANT_CHILDREN_MAX {
        assert_eq!(served.post(&[ALICE], INITIALIZE).status, 200, "{number}");
    }
    let reply = served.post(&[ALICE], INITIALIZE);
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")), "{reply:?}");
    assert_eq!(served.post(&[BOB], INITIALIZE).status, 200);
}

#[test]
fn requests_that_come_at_once_start_one_child_for_all_of_them() {
    let sandbox = usual();
    let served = Served::start(&sandbox, &["--name", "scripted", "--", "sh", "-c", QUICK]);
    let call = |id: usize| {
        let headers = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: good"];
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        let params = json!({"name": "good", "arguments": {}, "_meta": meta});
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        text(&served.ask(&headers, &message.to_string())).to_owned()
    };
    let children: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..16)
            .map(|id| {
                scope.spawn({
                    let call = &call;
                    move || call(id)
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(children.len(), 1, "{children:?}");
}

/// Notes its number, and says no more than it must.
const NOTED: &str = r#"
echo $$ >> pids.txt
while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}\n' "$id" ;;
    *'"die"'*) exit 7 ;;
    *'"good"'*) printf '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}\n' ;;
  esac
done
"#;

fn noted(sandbox: &Sandbox, more: &Value) -> String {
    let mut server = json!({"command": ["sh", "-c", NOTED.replace("${", "$${")], "policy": "policy.json"});
    server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = toml::to_string(&json!({
        "gateway": {"listen": "127.0.0.1:0", "state": "memory:", "audit": "none"},
        "servers": {"scripted": server},
    }));
    let config = config.unwrap();
    sandbox.write("mcpol.toml", &config);
    config
}

/// Waits until every child that noted its number has ended.
#[track_caller]
fn until_all_have_ended(sandbox: &Sandbox, served: &Served) {
    let deadline = std::time::Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
    let noted = || std::fs::read_to_string(sandbox.dir().join("pids.txt")).unwrap_or_default();
    let runs = |pid: &&str| std::path::Path::new("/proc").join(pid).exists();
    while noted().lines().any(|pid| runs(&pid)) {
        assert!(std::time::Instant::now() < deadline, "{:?}", noted().lines().filter(runs).collect::<Vec<_>>());
        // Nothing is said; this only keeps the looks apart.
        let _ = served.said.lock().unwrap().recv_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_client_that_goes_away_while_its_server_starts_leaves_nothing_behind() {
    let sandbox = usual();
    noted(&sandbox, &json!({"idle": "1s"}));
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let come_and_go = || {
        for _ in 0..20 {
            let mut connection = served.open();
            connection.post(&[], INITIALIZE);
            connection.stream.shutdown(Shutdown::Both).unwrap();
        }
    };
    // At once, so that starting takes its time.
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(come_and_go))));
    let reply = served.post(&[], INITIALIZE);
    assert_eq!(reply.status, 200, "{reply:?}");
    until_all_have_ended(&sandbox, &served);
}

#[test]
fn a_request_from_before_its_server_was_replaced_starts_no_child_of_the_old_one() {
    let sandbox = usual();
    noted(&sandbox, &json!({}));
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let mut connection = served.open();
    let (head, rest) = INITIALIZE.split_at(1);
    connection.post(&[&format!("Content-Length: {}", INITIALIZE.len()), "Expect: 100-continue"], head);
    // The gateway knows which server it is for, and waits for the body.
    assert_eq!(connection.head().0, 100);
    noted(&sandbox, &json!({"env": {"MODE": "other"}}));
    served.hear("mcpol.toml reloaded");
    connection.write(rest);
    let reply = connection.reply();
    assert_eq!(reply.status, 503, "{reply:?}");
    until_all_have_ended(&sandbox, &served);
}

#[test]
fn each_client_of_a_shared_child_hears_that_it_has_died() {
    let sandbox = sandbox(&open_beside(json!({"good": {}})));
    noted(&sandbox, &json!({"per": "grant"}));
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let (one, two) = (open(&served), open(&served));
    let (mut first, mut second) = (served.open(), served.open());
    first.post(&[&one], CALL);
    second.post(&[&two], CALL);
    assert_eq!(served.post(&[&one], r#"{"jsonrpc":"2.0","method":"die"}"#).status, 202);
    for connection in [&mut first, &mut second] {
        let reply = connection.reply();
        // Its pipe may be found closed before it is known how it ended.
        let words = ["status 7", "the server is gone"];
        let is_told = [404, 502].contains(&reply.status) || words.iter().any(|word| reply.body.contains(word));
        assert!(is_told, "{reply:?}");
    }
}

/// Notes what it hears. It answers `held` only together with the next `good`, each with the id it was asked under.
const HOLDING: &str = r#"
held=
while read -r line; do
  printf '%s\n' "$line" >> heard.txt
  id=${line#*\"id\":}; id=${id%%,*}
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}\n' "$id" ;;
    *'"held"'*) held="$held $id"; printf '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}\n' "$id" ;;
    *'"good"'*) for each in $held "$id"; do printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}\n' "$each" "$each"; done; held= ;;
  esac
done
"#;

/// A gateway in front of [`HOLDING`], one child for all sessions of a grant.
fn holding(sandbox: &Sandbox, per: &str) -> Served {
    let config = toml::to_string(&json!({
        "gateway": {"listen": "127.0.0.1:0", "audit": "none"},
        "servers": {"scripted": {"command": ["sh", "-c", HOLDING.replace("${", "$${")], "policy": "policy.json", "per": per}},
    }));
    sandbox.write("mcpol.toml", &config.unwrap());
    Served::launch(sandbox, &["enforce", "--config", "mcpol.toml"])
}

fn held() -> String {
    CALL.replace("\"good\",\"arguments\":{}", "\"held\",\"arguments\":{},\"_meta\":{\"progressToken\":\"p\"}")
}

#[test]
fn the_wait_for_a_withdrawn_call_ends_and_its_late_answer_reaches_nobody() {
    for per in ["session", "grant"] {
        let sandbox = sandbox(&only(json!({"good": {}, "held": {}})));
        let served = holding(&sandbox, per);
        let one = open(&served);
        for accept in ["Accept: application/json", "Accept: application/json, text/event-stream"] {
            let mut connection = served.open();
            connection.post(&[&one, accept], &held());
            if accept.contains("event") {
                assert_eq!(connection.head().0, 200);
                connection.until("\"progressToken\"");
            }
            let withdrawn = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
            if accept.contains("event") {
                assert_eq!(served.post(&[&one], withdrawn).status, 202);
                assert_eq!(connection.chunk(), None, "the stream ends");
            } else {
                // It may come before the call does, and then withdraws nothing.
                let deadline = std::time::Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
                while !std::fs::read_to_string(sandbox.dir().join("heard.txt")).is_ok_and(|it| it.contains("\"held\""))
                {
                    assert!(std::time::Instant::now() < deadline);
                }
                assert_eq!(served.post(&[&one], withdrawn).status, 202);
                let reply = connection.reply();
                assert_eq!((reply.status, &*reply.body), (202, ""), "{reply:?}");
            }
            // The server answers what was withdrawn and then this one, which has the same id.
            let answer = served.ask(&[&one], CALL);
            let heard = sandbox.read("heard.txt");
            let asked = heard.lines().rev().find(|line| line.contains("\"good\"")).unwrap();
            assert!(asked.contains(&format!("\"id\":{},", text(&answer))), "{per} {answer} {asked}");
        }
    }
}

#[test]
fn a_client_that_does_not_wait_for_the_handshake_leaves_nothing_behind() {
    let sandbox = usual();
    let mute = "echo $$ >> pids.txt; while read -r line; do :; done";
    let served = Served::start(&sandbox, &["--name", "scripted", "--", "sh", "-c", mute]);
    let mut connection = served.open();
    connection.post(&[], INITIALIZE);
    let noted = || std::fs::read_to_string(sandbox.dir().join("pids.txt")).is_ok_and(|pids| pids.ends_with('\n'));
    let deadline = std::time::Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
    while !noted() {
        assert!(std::time::Instant::now() < deadline, "it never starts");
        // Nothing is said; this only keeps the looks apart.
        let _ = served.said.lock().unwrap().recv_timeout(Duration::from_millis(20));
    }
    connection.stream.shutdown(Shutdown::Both).unwrap();
    until_all_have_ended(&sandbox, &served);
}

/// As in docs/gateway.md.
const GRANT_SESSIONS_MAX: usize = 8_192;

#[test]
fn a_grant_that_opens_too_many_sessions_of_a_child_loses_its_oldest() {
    let sandbox = usual();
    noted(&sandbox, &json!({"per": "grant"}));
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let ping = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let (first, second) = (open(&served), open(&served));
    let mut connection = served.open();
    let mut last = String::new();
    for number in 2..=GRANT_SESSIONS_MAX {
        connection.post(&[], INITIALIZE);
        let reply = connection.reply();
        assert_eq!(reply.status, 200, "{number} {reply:?}");
        last = format!("Mcp-Session-Id: {}", reply.header("mcp-session-id").unwrap());
        if number == GRANT_SESSIONS_MAX - 1 {
            // The second one is in use.
            assert_eq!(served.post(&[&second], ping).status, 202);
        }
    }
    for (session, status) in [(&first, 404), (&second, 202), (&last, 202)] {
        assert_eq!(served.post(&[session], ping).status, status);
    }
}

#[test]
fn a_child_that_is_silent_in_the_handshake_it_hears_again_keeps_nobody_waiting_who_need_not() {
    let sandbox = sandbox(&only(json!({"good": {}, "die": {}})));
    let server = format!("[ -e again ] && while read -r line; do :; done; : > again; {SERVER}");
    let options = ["--restart", "1", "--call-timeout", "4", "--name", "scripted", "--", "sh", "-c", &server];
    let served = Served::start(&sandbox, &options);
    let one = open(&served);
    assert!(served.ask(&[&one], &CALL.replace("good", "die")).get("error").is_some());
    let (mut calls, mut pings) = (served.open(), served.open());
    calls.post(&[&one], CALL);
    pings.post(&[&one], r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#);
    let refused = served.ask(&[&one], &CALL.replace("good", "unknown").replace("\"id\":1", "\"id\":3"));
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    for connection in [&mut pings, &mut calls] {
        let reply = connection.reply().last();
        assert!(reply["error"]["message"].as_str().unwrap().contains("started again"), "{reply}");
    }
    assert_eq!(served.end(), Some(0));
}
