//! A server behind a URL: what passes, what comes back, and what is counted.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn calls_are_judged_and_answers_come_back() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let served = Served::relay(&sandbox, &[], &upstream);
    passed(&served.ask(&[], CALL));
    upstream.next();
    let denied = served.ask(&[], &CALL.replace("good", "hidden"));
    assert_eq!(denied["error"], json!({"code": -32602, "message": "Unknown tool: hidden"}));
    upstream.quiet();
    let list = served.ask(&[], r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    assert_eq!(list["result"]["tools"], json!([{"name": "good"}]));
    assert_eq!(served.post(&[], r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).status, 202);
}

#[test]
fn a_list_that_comes_again_is_filtered_again_and_answers_its_own_request() {
    let lists = AtomicUsize::new(0);
    let (sandbox, upstream) = (
        usual(),
        Upstream::answering(move |asked| {
            let id = asked.message()["id"].clone();
            let (id, extra) = match lists.fetch_add(1, Ordering::Relaxed) {
                3 => (json!("a stranger's"), "hidden"),
                4 => (id, "hiding"),
                _ => (id, "hidden"),
            };
            let tools = json!([{"name": "good"}, {"name": extra}]);
            json_response(&json!({"jsonrpc": "2.0", "id": id, "result": {"tools": tools}}).to_string())
        }),
    );
    let served = Served::relay(&sandbox, &[], &upstream);
    let list = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#);
    let ask = |id: &str| served.ask(&[], &list(id));
    for id in ["2", r#""two""#, "3"] {
        let expected: Value = serde_json::from_str(id).unwrap();
        let shown = ask(id);
        assert_eq!((&shown["id"], &shown["result"]["tools"]), (&expected, &json!([{"name": "good"}])));
    }
    assert_eq!(served.post(&[], &list("4")).status, 502);
    assert_eq!(ask("5")["result"]["tools"], json!([{"name": "good"}]));
}

#[test]
fn a_limit_holds_to_the_call_however_many_come_at_once() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let served = Served::relay(&sandbox, &[], &upstream);
    let body = CALL.replace("good", "limited");
    let allowed: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| (0..4).filter(|_| served.ask(&[], &body)["result"]["isError"] != true).count()))
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    assert_eq!(allowed, 10);
    assert_eq!(upstream.asked.try_iter().count(), 10);
}

#[test]
fn an_error_gives_back_where_the_limit_says_so_and_is_spent_elsewhere() {
    let (sandbox, upstream) = (
        usual(),
        Upstream::answering(|asked| {
            let fails = asked.message()["params"]["arguments"]["fail"] == true;
            let id = &asked.message()["id"];
            json_response(&match fails {
                true => json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": "no"}}).to_string(),
                false => json!({"jsonrpc": "2.0", "id": id, "result": {"content": [], "isError": true}}).to_string(),
            })
        }),
    );
    let limit = |counter: &str| json!({"counter": counter, "window": "8784h", "max": 10, "scope": "grant"});
    let mut back = limit("back");
    back["refund"] = "error".into();
    let tools = json!({"kept": {"limits": [limit("kept")]}, "back": {"limits": [back]}});
    sandbox.write("policy.json", &only(tools).to_string());
    let served = Served::relay(&sandbox, &[], &upstream);
    let call = |tool: &str, fail: bool| {
        let params = json!({"name": tool, "arguments": {"fail": fail}});
        served.ask(&[], &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string())
    };
    for _ in 0..20 {
        assert_eq!(call("back", true)["error"]["code"], -32000);
    }
    for _ in 0..10 {
        assert_eq!(call("back", false)["result"]["content"], json!([]));
        assert_eq!(call("kept", true)["error"]["code"], -32000);
    }
    for tool in ["back", "kept"] {
        assert!(refusal(&call(tool, false)).contains("limit"));
    }
}

#[test]
fn headers_that_the_operator_names_go_on_and_no_others() {
    let (sandbox, upstream) = (
        usual(),
        Upstream::answering(|_| {
            let headers = [
                "Content-Type: application/json",
                "X-Kept: 1",
                "Location: http://elsewhere.example",
                "Access-Control-Allow-Origin: *",
                "Mcp-Session-Id: s",
                "Keep-Alive: timeout=9",
            ];
            response("200 OK", &headers, DONE)
        }),
    );
    let options = ["--header", "X-Api-Key: secret", "--forward-header", "X-Own", "--forward-header", "x-hop"];
    let served = Served::relay(&sandbox, &options, &upstream);
    let own = ["X-Own: 2", "X-Other: 2", "Connection: x-hop", "X-Hop: 3", "Accept-Encoding: gzip", "X-Api-Key: forged"];
    let reply = served.post(&own, CALL);
    let asked = upstream.next().head;
    let host = upstream.url.trim_start_matches("http://").trim_end_matches("/mcp");
    for (name, value) in [
        ("x-own", Some("2")),
        ("x-other", None),
        ("x-hop", None),
        ("accept-encoding", Some("identity")),
        ("x-api-key", Some("secret")),
        ("host", Some(host)),
        ("content-type", Some("application/json")),
    ] {
        assert_eq!(header(&asked, name), value, "{name} in {asked}");
    }
    for (name, value) in [
        ("x-kept", Some("1")),
        ("mcp-session-id", Some("s")),
        ("location", None),
        ("access-control-allow-origin", None),
        ("keep-alive", None),
    ] {
        assert_eq!(reply.header(name), value, "{name} in {reply:?}");
    }
}

#[test]
fn sessions_are_the_servers_and_belong_to_whoever_opened_them() {
    let limits = json!([{"counter": "c", "window": "8784h", "max": 1, "scope": "session"}]);
    let sandbox = sandbox(&only(json!({"good": {"limits": limits}})));
    let upstream = Upstream::answering(|asked| match header(&asked.head, "mcp-session-id") {
        Some("gone") => response(
            "404 Not Found",
            &["Content-Type: application/json"],
            r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}"#,
        ),
        _ if asked.head.starts_with("DELETE") => response("204 No Content", &[], ""),
        _ => ordinary(asked),
    });
    let served = Served::relay(&sandbox, &[], &upstream);
    let opened =
        served.post(&[], r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#);
    assert_eq!(opened.header("mcp-session-id"), Some("s-1"));
    passed(&served.ask(&["Mcp-Session-Id: s-1"], CALL));
    assert!(refusal(&served.ask(&["Mcp-Session-Id: s-1"], CALL)).contains("limit"));
    // An id that no server gave out has no counters of its own, however often it is changed.
    assert!(refusal(&served.ask(&["Mcp-Session-Id: invented"], CALL)).contains("session"));
    // What the server says of a session comes through, body and all.
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    let gone = served.post(&["Mcp-Session-Id: gone"], list);
    assert_eq!((gone.status, &gone.json()["error"]["message"]), (404, &json!("Session not found")));
    let mut connection = served.open();
    connection.send("DELETE /mcp", &["Host: localhost"], &["Mcp-Session-Id: s-1"], "");
    assert_eq!(connection.reply().status, 204);
}

#[test]
fn what_a_server_asks_for_is_answered_and_judged_anew() {
    let (sandbox, upstream) = (
        usual(),
        Upstream::answering(|asked| {
            let result = match asked.message()["params"].get("requestState") {
                None => json!({"resultType": "input_required", "requestState": "st\u{e9}te", "inputRequests": {}}),
                Some(_) => json!({"resultType": "complete", "content": []}),
            };
            json_response(&json!({"jsonrpc": "2.0", "id": asked.message()["id"], "result": result}).to_string())
        }),
    );
    let served = Served::relay(&sandbox, &[], &upstream);
    let first = served.ask(&[], CALL);
    assert_eq!(first["result"]["resultType"], "input_required");
    upstream.next();
    let retry = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"good","arguments":{},"requestState":"st\u00e9te","inputResponses":{}}}"#;
    assert_eq!(served.ask(&[], retry)["result"]["resultType"], "complete");
    assert_eq!(upstream.next().body, retry, "to the letter");
    served.ask(&[], &retry.replace("good", "hidden"));
    upstream.quiet();
}
