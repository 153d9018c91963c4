//! Servers that fail: every request gets one answer all the same, and limits err on the strict side.

use super::*;
use crate::harness::in_time;

#[track_caller]
fn check(answer: &str, status: u16, expected: &str) {
    let (sandbox, answer) = (usual(), answer.to_owned());
    let upstream = Upstream::start(move |_, stream| {
        stream.write_all(answer.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    });
    let served = Served::relay(&sandbox, &[], &upstream);
    let reply = served.post(&[], CALL);
    assert_eq!(reply.status, status, "{reply:?}");
    assert!(reply.body.contains(expected), "{reply:?}");
    assert!(!reply.body.contains("evil"), "{reply:?}");
    // A call that may have been received is not sent twice.
    upstream.next();
    upstream.quiet();
}

#[test]
fn whatever_a_server_does_there_is_one_answer() {
    let foreign = json_response(r#"{"jsonrpc":"2.0","id":2,"result":{"evil":1}}"#);
    for (answer, status, expected) in [
        ("", 502, "without an answer"),
        ("nonsense\r\n\r\n", 502, "without an answer"),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", 502, "HTTP status 101"),
        ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"evil", 502, "broke off"),
        (&foreign, 502, "not for this request"),
        (&json_response("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"result\":\"evil\"}"), 200, "not valid"),
        (&json_response("[]"), 502, "not valid"),
        (&response("200 OK", &["Content-Type: text/html"], "<p>evil"), 502, "neither JSON nor"),
        (&response("200 OK", &[], DONE), 502, "neither JSON nor"),
        (&response("202 Accepted", &[], ""), 502, "neither JSON nor"),
        (&response("302 Found", &["Location: http://evil.example/"], "evil"), 502, "redirects"),
        (&response("500 Internal Server Error", &["Content-Type: text/plain"], "out of order"), 500, "out of order"),
        (&response("404 Not Found", &["Content-Type: application/json"], r#"{"error":"gone"}"#), 404, "gone"),
        (
            &response(
                "500 Oops",
                &["Content-Type: application/json"],
                r#"{"jsonrpc":"2.0","id":2,"result":{"evil":1}}"#,
            ),
            502,
            "not for this request",
        ),
        (
            &response(
                "500 Oops",
                &["Content-Type: application/json"],
                r#"{"jsonrpc":"2.0","id":2,"res\u0075lt":{"evil":1}}"#,
            ),
            502,
            "not for this request",
        ),
        (
            &response(
                "400 Bad Request",
                &["Content-Type: application/json"],
                r#"{"jsonrpc":"2.0","id":1,"res\u0075lt":{"evil":1},"error":{}}"#,
            ),
            400,
            "not valid",
        ),
        (STREAM, 200, "without an answer"),
        (&format!("{STREAM}data: {{\"jsonrpc\""), 200, "without an answer"),
    ] {
        check(answer, status, expected);
    }
}

#[test]
fn a_stream_that_can_be_taken_up_again_ends_without_an_error() {
    let sandbox = usual();
    let upstream = Upstream::start(|_, stream| {
        stream.write_all(format!("{STREAM}id: 1\ndata:\n\n").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    });
    let served = Served::relay(&sandbox, &[], &upstream);
    assert_eq!(served.post(&[], CALL).body, "id: 1\ndata:\n\n");
}

#[test]
fn a_server_that_is_not_there_costs_nothing() {
    let sandbox = usual();
    let (_kept, free) = crate::harness::deaf();
    let served = Served::start(&sandbox, &["--upstream", &format!("http://{free}/mcp"), "--name", "files"]);
    let body = CALL.replace("good", "limited");
    for _ in 0..20 {
        let reply = served.post(&[], &body);
        assert_eq!(reply.status, 502, "{reply:?}");
        assert_eq!(reply.json()["id"], 1);
    }
    served.end();
    let upstream = Upstream::answering(ordinary);
    let served = Served::relay(&sandbox, &["--name", "files"], &upstream);
    passed(&served.ask(&[], &body));
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    for (head, status) in [("", 504), (STREAM, 200)] {
        let sandbox = usual();
        let upstream = Upstream::start(move |_, stream| {
            stream.write_all(head.as_bytes()).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        in_time(CALL_TIMEOUTS, |seconds| {
            let served = Served::relay(&sandbox, &["--call-timeout", seconds], &upstream);
            let reply = served.post(&[], CALL);
            assert!(reply.body.contains(&format!("not answered within {seconds} s")), "{reply:?}");
            // The head of a stream may be too late.
            (reply.status == status).then_some(())
        });
    }
}

#[test]
fn connections_are_used_again() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let served = Served::relay(&sandbox, &[], &upstream);
    let mut connection = served.open();
    for _ in 0..10 {
        connection.post(&[], CALL);
        assert_eq!(connection.reply().status, 200);
    }
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_log_that_cannot_be_written_stops_every_call() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let served = Served::relay(&sandbox, &["--audit", "/dev/full"], &upstream);
    assert!(refusal(&served.ask(&[], CALL)).contains("cannot be logged"));
    upstream.quiet();
}

/// In how many seconds a call is given up; see [`in_time`].
const CALL_TIMEOUTS: [&str; 3] = ["0.2", "2", "20"];

/// Whether the first that a server has seen by now is the call: it may be given up before it gets there.
fn is_asked(upstream: &Upstream) -> bool {
    upstream.asked.try_recv().is_ok_and(|asked| asked.message()["method"] == "tools/call")
}

/// What reaches a server that takes a call and stays silent in one of three ways.
fn silent(how: &'static str) -> Upstream {
    Upstream::start(move |asked, stream| {
        if asked.message()["method"] != "tools/call" {
            stream.write_all(response("202 Accepted", &[], "").as_bytes()).unwrap();
            return;
        }
        stream.write_all(how.as_bytes()).unwrap();
        let mut rest = Vec::new();
        // Returns when the gateway closes its end.
        let _ = stream.read_to_end(&mut rest);
    })
}

/// Without a head, without an event, without the end of a body.
const SILENCES: [&str; 3] =
    ["", STREAM, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"];

#[test]
fn a_call_that_is_given_up_is_withdrawn_in_its_session() {
    let headers = ["Mcp-Session-Id: s-1", "MCP-Protocol-Version: 2025-06-18"];
    for how in SILENCES {
        let told = in_time(CALL_TIMEOUTS, |seconds| {
            let (sandbox, upstream) = (usual(), silent(how));
            let served = Served::relay(&sandbox, &["--call-timeout", seconds], &upstream);
            let reply = served.post(&headers, CALL);
            assert!(reply.body.contains(&format!("has not answered within {seconds} s")), "{how:?} {reply:?}");
            is_asked(&upstream).then(|| upstream.next())
        });
        assert_eq!(told.message()["method"], "notifications/cancelled", "{how:?}");
        assert_eq!(told.message()["params"]["requestId"], 1);
        for line in headers {
            let (name, value) = line.split_once(": ").unwrap();
            assert_eq!(header(&told.head, name), Some(value), "{told:?}");
        }
    }
}

#[test]
fn without_a_session_the_closed_connection_says_it() {
    let headers = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: good"];
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let params = json!({"name": "good", "arguments": {}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    for how in SILENCES {
        let (upstream, rest) = in_time(CALL_TIMEOUTS, |seconds| {
            let (closed, seen) = channel();
            let sandbox = usual();
            let upstream = Upstream::start(move |_, stream| {
                stream.write_all(how.as_bytes()).unwrap();
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
                closed.send(rest.len()).unwrap();
            });
            let served = Served::relay(&sandbox, &["--call-timeout", seconds], &upstream);
            let reply = served.post(&headers, &body);
            assert!(reply.body.contains("has not answered"), "{how:?} {reply:?}");
            if !is_asked(&upstream) {
                return None;
            }
            let rest = seen.recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)).expect("the connection stays open");
            Some((upstream, rest))
        });
        assert_eq!(rest, 0, "{how:?}");
        upstream.quiet();
    }
}
