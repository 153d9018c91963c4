//! What lasts, streams and calls that wait for a person, is served for as long as whoever asked may call the server.

use super::callers::{Issuer, LIVES, granted, issued_by, open};
use super::*;
use crate::harness::in_time;

/// Says a word and answers nothing more, but for `initialize`.
const SERVER: &str = r#"
while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}\n' "$id" ;;
    *'"tools/call"'*) printf '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}\n' ;;
    *'"method":"subscriptions/listen"'*) printf '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"begun","_meta":{"io.modelcontextprotocol/subscriptionId":%s}}}\n' "$id" ;;
  esac
done
"#;

const SLOW: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","arguments":{},"_meta":{"progressToken":7}}}"#;

/// Begins a stream for everything but `initialize`, and leaves it open.
fn lasting() -> Upstream {
    Upstream::start(|asked, stream| {
        if asked.message()["method"] == "initialize" {
            let session = format!("s-{}", header(&asked.head, "x-tag").unwrap_or("1"));
            stream.write_all(ordinary(asked).replace("s-1", &session).as_bytes()).unwrap();
            return;
        }
        stream.write_all(STREAM.as_bytes()).unwrap();
        let word = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#;
        stream.write_all(format!("id: 1\ndata: {word}\n\n").as_bytes()).unwrap();
        let mut rest = Vec::new();
        // Returns when the gateway closes its end.
        let _ = stream.read_to_end(&mut rest);
    })
}

/// What is left of a stream, to its end.
#[track_caller]
fn rest(connection: &mut Connection) -> String {
    let mut all = String::new();
    while let Some(chunk) = connection.chunk() {
        all.push_str(&chunk);
    }
    all
}

#[track_caller]
fn listen(served: &Served, headers: &[&str]) -> Connection {
    let mut connection = served.open();
    connection.get(headers);
    assert_eq!(connection.head().0, 200);
    connection
}

/// A call whose answer has begun and lasts.
#[track_caller]
fn call(served: &Served, headers: &[&str]) -> Connection {
    let mut connection = served.open();
    connection.post(headers, SLOW);
    let (status, head) = connection.head();
    assert_eq!((status, header(&head, "content-type")), (200, Some("text/event-stream")));
    connection.until("notifications/progress");
    connection
}

#[test]
fn a_token_that_is_taken_back_ends_its_streams_and_no_others() {
    let upstream = lasting();
    for server in [&["--upstream", &upstream.url, "--forward-header", "X-Tag"][..], &["--", "sh", "-c", SERVER]] {
        let sandbox = usual();
        let served = Served::start(&sandbox, &[&["--grants", "--name", "one"], server].concat());
        let (alice, bob) = (granted(&sandbox, "alice", &[]), granted(&sandbox, "bob", &[]));
        let of_alice = open(&served, &alice);
        let reply = served.post(
            &[&bob, "X-Tag: 2"],
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
        );
        let of_bob = format!("Mcp-Session-Id: {}", reply.header("mcp-session-id").expect("a session"));
        let (mut hers, mut his) = (listen(&served, &[&alice, &of_alice]), listen(&served, &[&bob, &of_bob]));
        let (mut her_call, mut his_call) = (call(&served, &[&alice, &of_alice]), call(&served, &[&bob, &of_bob]));
        let revoke = |name: &str| drop(sandbox.run(&["grant", "revoke", name]).both(0));
        revoke("alice");
        assert!(!rest(&mut hers).contains("error"), "{server:?}");
        let ended = rest(&mut her_call);
        assert!(ended.contains("\"id\":1,\"error\"") && ended.contains("no longer good"), "{server:?} {ended}");
        // His went on until now.
        revoke("bob");
        rest(&mut his);
        assert!(rest(&mut his_call).contains("no longer good"));
        assert_eq!(served.end(), Some(0));
        let log = log(&sandbox);
        let outcomes: Vec<_> = events(&log, "outcome").iter().map(|it| it["outcome"].clone()).collect();
        if server[0] == "--upstream" {
            assert_eq!(outcomes, ["revoked", "revoked"]);
        }
    }
}

#[test]
fn a_subscription_ends_with_its_token() {
    let upstream = lasting();
    let headers = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: subscriptions/listen"];
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {"_meta": meta}});
    for server in [&["--upstream", &upstream.url][..], &["--", "sh", "-c", SERVER]] {
        let sandbox = usual();
        let served = Served::start(&sandbox, &[&["--grants", "--name", "one"], server].concat());
        let alice = granted(&sandbox, "alice", &[]);
        let mut connection = served.open();
        connection.post(&[&headers[..], &[&alice]].concat(), &body.to_string());
        assert_eq!(connection.head().0, 200);
        connection.until("notifications/");
        sandbox.run(&["grant", "revoke", "alice"]).both(0);
        assert!(rest(&mut connection).contains("no longer good"), "{server:?}");
    }
}

#[test]
fn streams_of_callers_without_token_end_when_tokens_are_needed() {
    let (sandbox, upstream) = (usual(), lasting());
    let served = Served::relay(&sandbox, &["--name", "one"], &upstream);
    let mut listening = listen(&served, &[]);
    granted(&sandbox, "alice", &[]);
    rest(&mut listening);
}

#[test]
fn streams_end_with_the_issuers_token() {
    // Clocks may differ by so much.
    const LEEWAY_SECONDS: i64 = 30;
    let (sandbox, upstream, issuer) = (usual(), lasting(), Issuer::start());
    let served = Served::relay(&sandbox, &issued_by(&issuer.web.url), &upstream);
    let (carl, mut listening) = in_time(LIVES, |seconds| {
        let carl = issuer.header("k", seconds.parse::<i64>().unwrap() - LEEWAY_SECONDS, &json!({}));
        let mut listening = served.open();
        listening.get(&[&carl]);
        (listening.head().0 == 200).then_some((carl, listening))
    });
    listening.until("notifications/progress");
    rest(&mut listening);
    assert_eq!(served.post(&[&carl], CALL).status, 401);
}

#[test]
fn streams_end_with_their_server() {
    let (sandbox, upstream) = (usual(), lasting());
    let config = |name: &str| {
        format!(
            "[gateway]\nlisten = \"127.0.0.1:0\"\nstate = \"memory:\"\naudit = \"none\"\n\
             [servers.{name}]\nurl = \"{}\"\npolicy = \"policy.json\"\n",
            upstream.url
        )
    };
    sandbox.write("mcpol.toml", &config("one"));
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let mut listening = listen(&served, &[]);
    sandbox.write("mcpol.toml", &config("two"));
    rest(&mut listening);
}

#[test]
fn a_call_that_waits_for_a_person_does_not_go_on_with_a_token_that_was_taken_back() {
    let (upstream, heard) = (Upstream::answering(ordinary), "heard.txt");
    let server = SERVER.replace("while read -r line; do", "while read -r line; do echo \"$line\" >> heard.txt");
    for server in [&["--upstream", &upstream.url][..], &["--", "sh", "-c", &server]] {
        let sandbox = sandbox(&only(json!({"good": {"action": "require_approval"}})));
        let served = Served::start(&sandbox, &[&["--grants", "--name", "one"], server].concat());
        let alice = granted(&sandbox, "alice", &[]);
        let session = open(&served, &alice);
        let mut connection = served.open();
        connection.post(&[&alice, &session], CALL);
        let id = approvals::waiting(&sandbox);
        sandbox.run(&["grant", "revoke", "alice"]).both(0);
        assert_eq!(connection.reply().status, 401, "{server:?}");
        sandbox.run(&["approvals", "approve", &id]).both(0);
        assert_eq!(served.end(), Some(0));
        let asked = upstream.asked.try_iter().map(|asked| asked.body);
        let told = std::fs::read_to_string(sandbox.dir().join(heard)).unwrap_or_default();
        assert!(!asked.chain([told]).any(|body| body.contains("tools/call")), "{server:?}");
    }
}

#[test]
fn lists_on_a_stream_that_is_open_are_filtered_by_the_policy_of_now() {
    let sandbox = sandbox(&only(json!({"good": {}, "hidden": {}})));
    let (tell, told) = channel::<()>();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::start(move |asked, stream| {
        if asked.head.starts_with("POST") {
            // The answer comes where the stream is taken up again.
            stream.write_all(events_response("id: 1\ndata:\n\n").as_bytes()).unwrap();
            return;
        }
        stream.write_all(STREAM.as_bytes()).unwrap();
        for id in 1..=2 {
            let list = json!({"jsonrpc": "2.0", "id": id, "result": {"tools": [{"name": "hidden"}, {"name": "good"}]}});
            stream.write_all(format!("data: {list}\n\n").as_bytes()).unwrap();
            told.lock().unwrap().recv().unwrap();
        }
    });
    let served = Served::relay(&sandbox, &[], &upstream);
    for id in 1..=2 {
        served.post(&[], &json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"}).to_string());
    }
    let mut listening = listen(&served, &["Last-Event-ID: 1"]);
    assert!(listening.until("good").contains("hidden"));
    sandbox.write("policy.json", &only(json!({"good": {}})).to_string());
    served.hear("policy reloaded");
    tell.send(()).unwrap();
    assert!(!listening.until("good").contains("hidden"));
    tell.send(()).unwrap();
}

/// Lists what `good` is, once it is told to.
fn listing_when_told() -> (Upstream, std::sync::mpsc::Sender<()>) {
    let (tell, told) = channel::<()>();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::answering(move |asked| {
        if asked.message()["method"] == "tools/list" {
            told.lock().unwrap().recv().unwrap();
        }
        ordinary(asked)
    });
    (upstream, tell)
}

#[test]
fn a_call_that_waits_for_a_list_is_judged_by_what_holds_when_the_list_is_there() {
    for is_revoked in [false, true] {
        let sandbox = sandbox(&only(json!({"good": {"validate": "schema"}})));
        let (upstream, tell) = listing_when_told();
        let served = Served::relay(&sandbox, &["--grants", "--name", "one"], &upstream);
        let alice = granted(&sandbox, "alice", &[]);
        let mut connection = served.open();
        connection.post(&[&alice], CALL);
        assert_eq!(upstream.next().message()["method"], "tools/list");
        if is_revoked {
            sandbox.run(&["grant", "revoke", "alice"]).both(0);
            assert_eq!(connection.reply().status, 401);
            tell.send(()).unwrap();
        } else {
            sandbox.write("policy.json", &only(json!({"good": {"action": "deny", "reason": "narrowed"}})).to_string());
            served.hear("policy reloaded");
            tell.send(()).unwrap();
            assert!(refusal(&connection.reply().last()).contains("narrowed"));
        }
        assert_eq!(served.end(), Some(0));
        assert!(!upstream.asked.try_iter().any(|asked| asked.body.contains("tools/call")));
    }
}

#[test]
fn a_call_whose_body_takes_its_time_does_not_go_on_with_a_token_that_was_taken_back() {
    /// How long a token that was looked up is good for a body that has not arrived.
    const IDENTITY_AGE_MAX: Duration = Duration::from_secs(1);
    let upstream = Upstream::answering(ordinary);
    let server = json!({"url": upstream.url, "policy": "policy.json"});
    for (servers, tool) in [(json!({"one": server}), "good"), (json!({"one": server, "two": server}), "one__good")] {
        let sandbox = usual();
        let gateway = json!({"listen": "127.0.0.1:0", "audit": "none", "require_grants": true});
        sandbox.write("mcpol.toml", &toml::to_string(&json!({"gateway": gateway, "servers": servers})).unwrap());
        let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
        let alice = granted(&sandbox, "alice", &[]);
        let modern =
            [&alice, "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", &format!("Mcp-Name: {tool}")];
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
        let params = json!({"name": tool, "arguments": {}, "_meta": meta});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
        let mut connection = served.open();
        let (head, rest) = call.split_at(1);
        connection
            .post(&[&modern[..], &[&format!("Content-Length: {}", call.len()), "Expect: 100-continue"]].concat(), head);
        // The token was looked up, and the gateway waits for the body.
        assert_eq!(connection.head().0, 100);
        passed(&served.ask(&modern, &call));
        sandbox.run(&["grant", "revoke", "alice"]).both(0);
        // Nothing is said; only the time has to pass.
        let _ = served.said.lock().unwrap().recv_timeout(IDENTITY_AGE_MAX);
        connection.write(rest);
        assert_eq!(connection.reply().status, 401, "{tool}");
    }
}

#[test]
fn a_call_of_a_command_that_waits_for_a_person_is_judged_by_the_policy_that_its_grant_has_now() {
    let sandbox = usual();
    sandbox.write("asks.json", &only(json!({"good": {"action": "require_approval"}})).to_string());
    sandbox.write("narrow.json", &only(json!({"good": {"action": "deny", "reason": "narrowed"}})).to_string());
    let config = |policy: &str| {
        toml::to_string(&json!({
            "gateway": {"listen": "127.0.0.1:0", "audit": "none"},
            "servers": {"one": {"command": ["sh", "-c", SERVER.replace("${", "$${")], "policy": "policy.json"}},
            "grants": {"alice": {"servers": ["one"], "policy": policy, "token_sha256": children::ALICE_SHA256}},
        }))
        .unwrap()
    };
    sandbox.write("mcpol.toml", &config("asks.json"));
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let session = open(&served, children::ALICE);
    let mut connection = served.open();
    connection.post(&[children::ALICE, &session], CALL);
    approvals::waiting(&sandbox);
    sandbox.write("mcpol.toml", &config("narrow.json"));
    served.hear("mcpol.toml reloaded");
    assert!(refusal(&connection.reply().last()).contains("narrowed"));
}

#[test]
fn streams_of_all_servers_together_end_with_the_token() {
    let acknowledged = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true}}}"#;
    let upstream = Upstream::start(move |asked, stream| {
        let message = asked.message();
        if message["method"] == "initialize" || message["method"] == "notifications/initialized" {
            stream.write_all(ordinary(asked).as_bytes()).unwrap();
            return;
        }
        stream.write_all(STREAM.as_bytes()).unwrap();
        stream.write_all(format!("id: 1\ndata: {acknowledged}\n\n").as_bytes()).unwrap();
        let mut rest = Vec::new();
        // Returns when the gateway closes its end.
        let _ = stream.read_to_end(&mut rest);
    });
    let sandbox = usual();
    let mut text = "[gateway]\nlisten = \"127.0.0.1:0\"\naudit = \"none\"\nrequire_grants = true\n".to_owned();
    for name in ["one", "two"] {
        text.push_str(&format!("[servers.{name}]\nurl = \"{}\"\npolicy = \"policy.json\"\n", upstream.url));
    }
    sandbox.write("mcpol.toml", &text);
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let alice = granted(&sandbox, "alice", &["--server", "two"]);
    let session = open(&served, &alice);
    let mut listening = listen(&served, &[&alice, &session]);
    let mut subscribed = served.open();
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let params = json!({"notifications": {"toolsListChanged": true}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params});
    let headers = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: subscriptions/listen"];
    subscribed.post(&[&headers[..], &[&alice]].concat(), &body.to_string());
    assert_eq!(subscribed.head().0, 200);
    subscribed.until("acknowledged");
    sandbox.run(&["grant", "revoke", "alice"]).both(0);
    rest(&mut listening);
    rest(&mut subscribed);
    assert_eq!(served.post(&[&alice, &session], CALL).status, 401);
}
