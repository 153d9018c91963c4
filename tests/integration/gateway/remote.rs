//! A server behind a URL, and a client that knows of standard streams only.

use super::*;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;

/// What a server answers to the head of a request and the message in it (null without one): status, session, body.
type Answer = fn(&str, &Value) -> (&'static str, String, String);

/// Answers every request on a connection of its own; what was asked goes to the receiver: request line, headers, body.
fn serve(answer: Answer) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (sender, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            std::thread::spawn(move || one(stream.unwrap(), answer, &sender));
        }
    });
    (url, seen)
}

fn one(stream: TcpStream, answer: Answer, seen: &Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let (status, session, text) = answer(&head, &serde_json::from_str(&body).unwrap_or_default());
    // Whoever asked after the test has seen enough is not recorded.
    let _ = seen.send(format!("{head}\n{body}"));
    let kind = if text.starts_with(['e', 'i', 'd', ':']) { "text/event-stream" } else { "application/json" };
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nMcp-Session-Id: {session}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    (&stream).write_all(reply.as_bytes()).unwrap();
}

fn reply(message: &Value, result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string()
}

fn enforce(sandbox: &Sandbox, url: &str, options: &[&str]) -> Gateway {
    let args = [&["enforce", "--policy", "policy.json", "--upstream", url], options].concat();
    Gateway::run(sandbox.command(&args))
}

fn answer(head: &str, message: &Value) -> (&'static str, String, String) {
    let (status, text) = match (message["method"].as_str().unwrap_or_default(), &message["params"]["name"]) {
        // On several lines, as a body may be.
        ("initialize", _) => {
            let result = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": "2025-06-18"}});
            ("200 OK", format!("{result:#}"))
        }
        ("tools/list", _) => {
            let list = reply(message, &json!({"tools": [{"name": "good"}, {"name": "hidden"}]}));
            let log = json!({"jsonrpc": "2.0", "method": "notifications/message"});
            ("200 OK", format!("event: message\ndata: {log}\n\nevent: message\ndata: {list}\n\n"))
        }
        ("tools/call", name) if name == "good" => ("200 OK", reply(message, &json!({"content": []}))),
        // More questions than the gateway takes, and more of its own answers than may wait.
        ("tools/call", name) if name == "flood" => {
            let ping = |n: u32| json!({"jsonrpc": "2.0", "id": format!("z{n}"), "method": "ping"});
            let pings: String = (0..8_000).map(|n| format!("event: message\ndata: {}\n\n", ping(n))).collect();
            let last = reply(message, &json!({"content": []}));
            ("200 OK", format!("{pings}event: message\ndata: {last}\n\n"))
        }
        ("tools/call", name) if name == "broken" => ("500 Internal Server Error", "{}".to_owned()),
        _ if head.starts_with("get ") => ("405 Method Not Allowed", String::new()),
        _ => ("202 Accepted", String::new()),
    };
    (status, "s1".to_owned(), text)
}

#[test]
fn messages_become_requests_and_every_answer_comes_back() {
    let sandbox = sandbox(&only(json!({"good": {}, "broken": {}})));
    let (url, seen) = serve(answer);
    let mut gateway = enforce(&sandbox, &url, &[]);
    gateway.initialize();
    gateway.send(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    assert_eq!(gateway.message()["method"], "notifications/message");
    assert_eq!(gateway.message()["result"]["tools"], json!([{"name": "good"}]));
    passed(&gateway.ask_tool(2, "good", &json!({})));
    let reply = gateway.ask_tool(3, "broken", &json!({}));
    assert!(reply["error"]["message"].as_str().unwrap().contains("500"), "{reply}");
    assert_eq!(gateway.ask_tool(4, "hidden", &json!({}))["error"]["code"], -32602);
    let (code, lines, stderr) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]), "{stderr}");
    // The session's end is the last that is sent; the gateway waits a moment for it, and not for what it listened to.
    let patience = Duration::from_secs(LINE_SECONDS_MAX);
    let mut heard = Vec::new();
    while !heard.last().is_some_and(|request: &String| request.starts_with("delete /mcp")) {
        heard.push(seen.recv_timeout(patience).unwrap_or_else(|_| panic!("the session has no end: {heard:?}")));
    }
    let seen = heard;
    assert!(!seen.iter().any(|request| request.contains("hidden")), "{seen:?}");
    let call = seen.iter().find(|request| request.contains("tools/call")).unwrap();
    assert!(call.contains("mcp-session-id: s1") && call.contains("mcp-protocol-version: 2025-06-18"), "{call}");
}

#[test]
fn a_server_that_asks_without_end_keeps_nobody_waiting() {
    let sandbox = sandbox(&only(json!({"good": {}, "flood": {}})));
    let (url, _seen) = serve(answer);
    let mut gateway = enforce(&sandbox, &url, &[]);
    gateway.initialize();
    for (id, tool) in [(1, "flood"), (2, "good")] {
        gateway.call(id, tool, &json!({}));
        let reply =
            std::iter::repeat_with(|| gateway.message()).find(|it| it["id"] == id && it.get("method").is_none());
        passed(&reply.unwrap());
    }
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn a_server_that_is_not_there_is_an_error_for_each_request() {
    let sandbox = sandbox(&only(json!({})));
    let (_kept, free) = crate::harness::deaf();
    let url = format!("http://{free}/mcp");
    let mut gateway = enforce(&sandbox, &url, &[]);
    let reply = gateway.ask(1, "ping", &json!({}));
    assert!(reply["error"]["message"].as_str().unwrap().contains("cannot connect"), "{reply}");
    assert_eq!(gateway.close().0, Some(0));
    let stderr = sandbox.run(&["enforce", "--policy", "policy.json", "--upstream", "not a url"]).refused(2);
    assert!(stderr.contains("is not an http or https URL"), "{stderr}");
}

/// Ends the stream of a call before the answer, twice, and says more to whoever asks from where it broke.
fn breaking(head: &str, message: &Value) -> (&'static str, String, String) {
    let text = match message["method"].as_str() {
        Some("initialize") => reply(message, &json!({"protocolVersion": "2025-11-25"})),
        Some("tools/call") => "id: 7\nretry: 1\ndata:\n\n".to_owned(),
        _ if head.contains("last-event-id: 7\r\n") => {
            "id: 8\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n".to_owned()
        }
        _ if head.contains("last-event-id: 8\r\n") => {
            let answer = reply(&json!({"id": 1}), &json!({"content": []}));
            format!("id: 9\ndata: {answer}\n\nid: 10\ndata: {answer}\n\n")
        }
        _ => return ("405 Method Not Allowed", "s1".to_owned(), String::new()),
    };
    ("200 OK", "s1".to_owned(), text)
}

#[test]
fn a_stream_that_ends_before_the_answer_is_gone_on_with() {
    let sandbox = sandbox(&only(json!({"good": {}})));
    let (url, seen) = serve(breaking);
    let mut gateway = enforce(&sandbox, &url, &[]);
    gateway.initialize();
    gateway.call(1, "good", &json!({}));
    assert_eq!(gateway.message()["method"], "notifications/message");
    passed(&gateway.message());
    let (code, lines, stderr) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]), "{stderr}");
    let resumed: Vec<String> = seen.try_iter().filter(|request| request.contains("last-event-id")).collect();
    assert_eq!(resumed.len(), 2, "{resumed:?}");
    assert!(resumed.iter().all(|request| request.starts_with("get ") && request.contains("mcp-session-id: s1")));
}

#[test]
fn a_stream_that_cannot_be_gone_on_with_is_an_error() {
    fn ending(_: &str, message: &Value) -> (&'static str, String, String) {
        match message["method"].as_str() {
            // Without an id there is nowhere to go on from.
            Some("tools/call") => ("200 OK", "s1".to_owned(), ": nothing yet\n\n".to_owned()),
            _ => ("405 Method Not Allowed", "s1".to_owned(), String::new()),
        }
    }
    let sandbox = sandbox(&only(json!({"good": {}})));
    let (url, _seen) = serve(ending);
    let mut gateway = enforce(&sandbox, &url, &[]);
    let answer = gateway.ask_tool(1, "good", &json!({}));
    assert!(answer["error"]["message"].as_str().unwrap().contains("no reply"), "{answer}");
    assert_eq!(gateway.close().0, Some(0));
}

/// Knows the second session only: the first is forgotten as soon as it is open.
fn forgetting(head: &str, message: &Value) -> (&'static str, String, String) {
    static OPENED: AtomicU32 = AtomicU32::new(0);
    forgetting_from(&OPENED, head, message)
}

fn forgetting_from(opened: &AtomicU32, head: &str, message: &Value) -> (&'static str, String, String) {
    let session = |number: u32| format!("s{number}");
    match message["method"].as_str() {
        Some("initialize") => {
            let number = opened.fetch_add(1, Ordering::SeqCst) + 1;
            ("200 OK", session(number), reply(message, &json!({"protocolVersion": "2025-11-25"})))
        }
        Some("tools/call") if head.contains("mcp-session-id: s2") => {
            ("200 OK", session(2), reply(message, &json!({"content": []})))
        }
        Some("tools/call") => ("404 Not Found", session(1), String::new()),
        Some(_) => ("202 Accepted", session(1), String::new()),
        None => ("405 Method Not Allowed", session(1), String::new()),
    }
}

#[test]
fn a_session_that_the_server_has_forgotten_is_opened_anew_and_no_call_is_sent_twice() {
    let sandbox = sandbox(&only(json!({"good": {}})));
    let (url, seen) = serve(forgetting);
    let mut gateway = enforce(&sandbox, &url, &[]);
    gateway.initialize();
    let reply = gateway.ask_tool(1, "good", &json!({}));
    assert!(reply["error"]["message"].as_str().unwrap_or_default().contains("a new one has begun"), "{reply}");
    passed(&gateway.ask_tool(2, "good", &json!({})));
    let (code, lines, stderr) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]), "the client hears of no second handshake: {stderr}");
    let seen: Vec<String> = seen.try_iter().collect();
    let count = |what: &str| seen.iter().filter(|request| request.contains(what)).count();
    assert_eq!(
        (count("\"initialize\""), count("notifications/initialized"), count("tools/call")),
        (2, 2, 2),
        "{seen:?}"
    );
}

/// Knows the second session only, and says so as the example servers of the TypeScript SDK do.
fn refusing(head: &str, message: &Value) -> (&'static str, String, String) {
    const LOST: &str =
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: No valid session ID provided"}}"#;
    match forgetting_from(&REFUSING, head, message) {
        ("404 Not Found", session, _) => ("400 Bad Request", session, LOST.to_owned()),
        other => other,
    }
}

static REFUSING: AtomicU32 = AtomicU32::new(0);

#[test]
fn a_session_that_is_refused_in_words_is_opened_anew() {
    let sandbox = sandbox(&only(json!({"good": {}})));
    let (url, _seen) = serve(refusing);
    let mut gateway = enforce(&sandbox, &url, &[]);
    gateway.initialize();
    let reply = gateway.ask_tool(1, "good", &json!({}));
    assert!(reply["error"]["message"].as_str().unwrap_or_default().contains("a new one has begun"), "{reply}");
    passed(&gateway.ask_tool(2, "good", &json!({})));
    let (code, lines, stderr) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]), "{stderr}");
}
