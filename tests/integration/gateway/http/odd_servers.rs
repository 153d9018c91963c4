//! What real servers send beside the specification: what a scan forgives the gateway forgives, or names in its one answer,
//! whether the client speaks HTTP or has standard streams only.

use super::*;

/// A thing that a server does, and how it answers calls.
type Row = (&'static str, fn(&Asked) -> String);

/// What comes back for a call, over standard streams and over HTTP, from a server behind a URL that answers calls so.
fn both(sandbox: &Sandbox, answer: fn(&Asked) -> String, line: &str) -> [Value; 2] {
    let server = || {
        Upstream::answering(move |asked| match asked.message()["method"].as_str() {
            Some("tools/call" | "tools/list") => answer(asked),
            Some(_) | None => ordinary(asked),
        })
    };
    let (one, two) = (server(), server());
    let mut streams = Gateway::run(sandbox.command(&["enforce", "--policy", "policy.json", "--upstream", &one.url]));
    streams.initialize();
    streams.send(line);
    let over_streams = streams.reply();
    assert_eq!(streams.close().0, Some(0));
    let headers = ["MCP-Protocol-Version: 2025-06-18"];
    [over_streams, Served::relay(sandbox, &[], &two).post(&headers, line).last()]
}

#[test]
fn an_answer_that_is_meant_for_the_call_is_its_answer() {
    let rows: [Row; 4] = [
        ("text for a number", |_| json_response(r#"{"jsonrpc":"2.0","id":"1","result":{"content":[]}}"#)),
        ("text for a number in events", |_| {
            events_response("data: {\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"content\":[]}}\n\n")
        }),
        ("a relative of JSON", |_| response("200 OK", &["Content-Type: application/mcp+json; v=1"], DONE)),
        ("JSON in capitals", |_| response("200 OK", &["Content-Type: Application/JSON"], DONE)),
    ];
    for (what, answer) in rows {
        for reply in both(&usual(), answer, CALL) {
            assert_eq!(reply, json!({"jsonrpc": "2.0", "id": 1, "result": {"content": []}}), "{what}");
        }
    }
    // A command is forgiven the same.
    let script =
        "read -r a; printf '%s\\n' '{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"content\":[]}}'; read -r b";
    let sandbox = usual();
    let mut gateway = Gateway::script(&sandbox, &[], script);
    assert_eq!(gateway.ask_tool(1, "good", &json!({}))["result"], json!({"content": []}));
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn an_error_in_the_answer_to_a_post_is_about_that_post() {
    const LOST: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"the words of the server"}}"#;
    let rows: [Row; 3] = [
        ("400", |_| response("400 Bad Request", &["Content-Type: application/json"], LOST)),
        ("400 under an id of its own", |_| {
            let body = LOST.replace("null", "\"server-error\"");
            response("400 Bad Request", &["Content-Type: application/json"], &body)
        }),
        ("200", |_| json_response(LOST)),
    ];
    for (what, answer) in rows {
        for reply in both(&usual(), answer, CALL) {
            assert_eq!(
                reply["error"],
                json!({"code": -32000, "message": "the words of the server"}),
                "{what}: {reply}"
            );
        }
    }
}

#[test]
fn a_body_that_is_neither_json_nor_events_is_named() {
    let rows: [Row; 3] = [
        ("the content type `text/plain`", |_| response("200 OK", &["Content-Type: text/plain"], DONE)),
        ("an HTML page", |_| response("200 OK", &["Content-Type: text/html"], "<p>")),
        ("no content type", |_| response("200 OK", &[], DONE)),
    ];
    for (name, answer) in rows {
        for reply in both(&usual(), answer, CALL) {
            let message = reply["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains(name) && message.contains("neither JSON nor a stream"), "{name}: {reply}");
            assert_eq!(reply["id"], 1);
        }
    }
}

#[test]
fn a_name_that_no_header_can_hold_is_encoded() {
    let sandbox = sandbox(&only(json!({"caf\u{e9} ": {}})));
    let upstream = Upstream::answering(ordinary);
    let mut gateway =
        Gateway::run(sandbox.command(&["enforce", "--policy", "policy.json", "--upstream", &upstream.url]));
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    passed(&gateway.ask(1, "tools/call", &json!({"name": "caf\u{e9} ", "arguments": {}, "_meta": meta})));
    let asked = upstream.next();
    assert_eq!(header(&asked.head, "mcp-method"), Some("tools/call"));
    assert_eq!(header(&asked.head, "mcp-name"), Some("=?base64?Y2Fmw6kg?="));
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn a_batch_is_refused_in_so_many_words() {
    let sandbox = usual();
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.send(r#"[{"jsonrpc":"2.0","id":2,"method":"tools/list"},{"jsonrpc":"2.0","id":3,"method":"ping"}]"#);
    let reply = gateway.message();
    assert_eq!((&reply["id"], &reply["error"]["code"]), (&Value::Null, &json!(-32600)));
    assert!(reply["error"]["message"].as_str().unwrap().contains("batches are not taken"), "{reply}");
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn a_redirect_elsewhere_is_refused_with_the_address_for_the_operator_alone() {
    let sandbox = usual();
    let upstream =
        Upstream::answering(|_| response("307 Temporary Redirect", &["Location: https://b.example/mcp?key=hush"], ""));
    let served = Served::relay(&sandbox, &[], &upstream);
    let reply = served.post(&[], CALL);
    assert_eq!(reply.status, 502);
    assert!(reply.body.contains("redirects to an address that is not followed") && !reply.body.contains("b.example"));
    let said = served.hear("use it in place of this one");
    assert!(said.contains("https://b.example/mcp") && !said.contains("hush"), "{said}");
}

#[test]
fn a_secure_server_elsewhere_is_asked_for_through_a_tunnel() {
    let proxy = Upstream::answering(|_| response("403 Forbidden", &[], ""));
    let named = proxy.url.trim_end_matches("/mcp").replace("http://", "http://me:pw@");
    let sandbox = usual().with_env("HTTPS_PROXY", &named);
    let served = Served::start(&sandbox, &["--upstream", "https://scripted.example/mcp"]);
    let reply = served.post(&[], CALL);
    assert!(reply.body.contains("answered HTTP 403"), "{reply:?}");
    let asked = proxy.next();
    assert!(asked.head.starts_with("CONNECT scripted.example:443 HTTP/1.1"), "{}", asked.head);
    assert_eq!(header(&asked.head, "proxy-authorization"), Some("Basic bWU6cHc="));
    let story = sandbox.run(&["scan", "https://scripted.example/mcp"]).both(3).1;
    assert!(story.contains("answered HTTP 403"), "{story}");
    assert!(proxy.next().head.starts_with("CONNECT scripted.example:443"));
}

#[test]
fn a_server_of_the_older_transport_is_named() {
    let answer = |asked: &Asked| {
        if asked.head.starts_with("GET") {
            return events_response("event: endpoint\ndata: /messages?session=1\n\n");
        }
        response("405 Method Not Allowed", &["Content-Type: text/plain"], "GET only")
    };
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    let (sandbox, one, two) = (usual(), Upstream::answering(answer), Upstream::answering(answer));
    let mut streams = Gateway::run(sandbox.command(&["enforce", "--policy", "policy.json", "--upstream", &one.url]));
    streams.send(hello);
    let over_streams = streams.reply();
    // A client that goes on all the same hears the reason again, and not a bare status.
    streams.send(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#);
    let later = streams.reply();
    assert_eq!(streams.close().0, Some(0));
    for reply in [over_streams, later, Served::relay(&sandbox, &[], &two).post(&[], hello).last()] {
        let message = reply["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("speaks HTTP+SSE"), "{reply}");
    }
}
