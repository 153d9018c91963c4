//! What is refused before a server hears of it, and with which status.

use super::*;

#[track_caller]
fn check(served: &Served, headers: &[&str], body: &str, status: u16) -> Reply {
    let reply = served.post(headers, body);
    assert_eq!(reply.status, status, "{headers:?} {}: {reply:?}", &body[..body.len().min(200)]);
    reply
}

#[test]
fn each_reason_has_its_status_and_no_server_hears_of_it() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let served = Served::relay(&sandbox, &[], &upstream);
    for (headers, status) in [
        (&["Host: evil.example"][..], 403),
        (&["Host:"], 400),
        (&["Origin: http://evil.example"], 403),
        (&["Origin: null"], 403),
        (&["Content-Type: text/plain"], 415),
        (&["Content-Type:"], 415),
        (&["Content-Type: application/json; charset=latin1"], 415),
        (&["Content-Encoding: gzip"], 415),
        (&["MCP-Protocol-Version: 1999-01-01"], 400),
        (&["Mcp-Method: tools/list"], 400),
        (&["Mcp-Name: other"], 400),
        (&["Mcp-Session-Id: a", "Mcp-Session-Id: b"], 400),
    ] {
        check(&served, headers, CALL, status);
    }
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","Name":"hidden"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"good"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"good"}}"#, -32600),
    ] {
        assert_eq!(check(&served, &[], body, 400).json()["error"]["code"], code, "{body}");
    }
    for (target, status) in
        [("PUT /mcp", 405), ("OPTIONS /mcp", 405), ("HEAD /mcp", 405), ("GET /other", 404), ("GET /mcpx", 404)]
    {
        let mut connection = served.open();
        connection.send(target, &["Host: localhost"], &[], "");
        let (found, head) = connection.head();
        assert_eq!(found, status, "{target}");
        if status == 405 {
            assert_eq!(header(&head, "allow"), Some("POST, GET, DELETE"));
        }
    }
    upstream.quiet();
    assert_eq!(served.end(), Some(0));
}

#[test]
fn bodies_and_headers_are_bounded() {
    const BODY_MAX: usize = 10 * 1024 * 1024;
    let (sandbox, upstream) = (usual(), Upstream::answering(|_| json_response(DONE)));
    let served = Served::relay(&sandbox, &[], &upstream);
    let empty = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","arguments":{"a":""}}}"#;
    let padded = |length: usize| {
        let (start, end) = empty.split_at(empty.len() - 4);
        format!("{start}{}{end}", "x".repeat(length - empty.len()))
    };
    let body = padded(BODY_MAX);
    check(&served, &[], &body, 200);
    assert_eq!(upstream.next().body, body);
    // One byte more is refused by what is announced, and by what comes if nothing is.
    check(&served, &[], &padded(BODY_MAX + 1), 413);
    let mut connection = served.open();
    connection.post(&["Content-Length:", "Transfer-Encoding: chunked"], "");
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
    for _ in 0..11 {
        // The gateway may have closed the connection already.
        let _ = connection.stream.write_all(chunk.as_bytes());
    }
    assert_eq!(connection.head().0, 413);
    let long = format!("X-Long: {}", "x".repeat(70_000));
    let mut connection = served.open();
    connection.get(&[&long]);
    assert_eq!(connection.head().0, 431);
    upstream.quiet();
}

#[test]
fn the_judged_text_is_what_the_server_gets() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let served = Served::relay(&sandbox, &[], &upstream);
    let spaced = "{ \"jsonrpc\": \"2.0\",\r\n \"id\": 1, \"method\": \"tools/call\",\r \"params\": {\"name\": \"good\", \"x\": 1.50, \"arguments\": {\"n\": 123456789012345678901234567890}}}";
    passed(&served.ask(&[], spaced));
    assert_eq!(
        upstream.next().body,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","x":1.50,"arguments":{"n":123456789012345678901234567890}}}"#
    );
}

#[test]
fn modern_requests_repeat_themselves_in_headers() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let served = Served::relay(&sandbox, &[], &upstream);
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"good","_meta":{meta}}}}}"#);
    let (version, method, name) = ("MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: good");
    for headers in [&[version, method][..], &[version, name], &[method, name], &[version, method, "Mcp-Name: hidden"]] {
        let reply = check(&served, headers, &body, 400).json();
        assert_eq!((&reply["error"]["code"], &reply["id"]), (&json!(-32020), &json!(7)), "{headers:?}");
    }
    upstream.quiet();
    passed(&served.ask(&[version, method, name], &body));
    let asked = upstream.next();
    for line in ["mcp-protocol-version: 2026-07-28", "mcp-method: tools/call", "mcp-name: good"] {
        assert!(asked.head.to_ascii_lowercase().contains(line), "{}", asked.head);
    }
    let unknown = body.replace("2026-07-28", "2030-01-01");
    let reply = check(&served, &["MCP-Protocol-Version: 2030-01-01"], &unknown, 400).json();
    assert_eq!(reply["error"]["code"], -32022);
    assert!(reply["error"]["data"]["supported"].as_array().unwrap().contains(&json!("2026-07-28")), "{reply}");
}

#[test]
fn pages_that_are_listed_may_read_answers_if_that_was_asked_for() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let origin = "Origin: https://app.example";
    let preflight = |served: &Served| {
        let mut connection = served.open();
        let wanted = [
            "Host: localhost",
            origin,
            "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: mcp-session-id",
        ];
        connection.send("OPTIONS /mcp", &wanted, &[], "");
        connection.reply()
    };
    let served = Served::relay(&sandbox, &["--origin", "https://app.example", "--cors"], &upstream);
    let reply = preflight(&served);
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-headers"), Some("mcp-session-id"));
    let reply = served.post(&[origin], CALL);
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
    check(&served, &["Origin: https://other.example"], CALL, 403);
    drop(served);
    let served = Served::relay(&sandbox, &["--origin", "https://app.example"], &upstream);
    assert_eq!(preflight(&served).status, 405);
    let reply = check(&served, &[origin], CALL, 200);
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[test]
fn others_are_served_with_tokens_only() {
    let sandbox = usual();
    let run = sandbox.run(&[
        "enforce",
        "--policy",
        "policy.json",
        "--upstream",
        "http://127.0.0.1:9/mcp",
        "--listen",
        "0.0.0.0:0",
    ]);
    let stderr = run.refused(2);
    assert!(stderr.contains("no token is asked") && stderr.contains("help: "), "{stderr}");
    let upstream = Upstream::answering(ordinary);
    let served = Served::relay(&sandbox, &["--grants", "--name", "files"], &upstream);
    let reply = check(&served, &[], CALL, 401);
    assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"), "{reply:?}");
    check(&served, &["Authorization: Bearer wrong"], CALL, 401);
    upstream.quiet();
    let token = sandbox.run(&["grant", "create", "alice", "--server", "files"]).both(0).0;
    let token = token.lines().find(|line| !line.trim().is_empty()).unwrap().trim().to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    passed(&served.ask(&[&bearer], CALL));
    assert_eq!(header(&upstream.next().head, "authorization"), None, "tokens of callers end here");
    sandbox.run(&["grant", "revoke", "alice"]).both(0);
    check(&served, &[&bearer], CALL, 401);
}
