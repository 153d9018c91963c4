//! A server behind a URL, and a client that knows of standard streams only.

use super::*;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Sender;

/// Answers every request on a connection of its own; what was asked goes to the receiver: request line, headers, body.
fn serve(answer: fn(&Value) -> (&'static str, String)) -> (String, Receiver<String>) {
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

fn one(stream: TcpStream, answer: fn(&Value) -> (&'static str, String), seen: &Sender<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let (status, text) = match serde_json::from_str(&body) {
        Ok(message) => answer(&message),
        Err(_) => ("405 Method Not Allowed", String::new()),
    };
    seen.send(format!("{head}\n{body}")).unwrap();
    let kind = if text.starts_with("event:") { "text/event-stream" } else { "application/json" };
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nMcp-Session-Id: s1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    (&stream).write_all(reply.as_bytes()).unwrap();
}

fn answer(message: &Value) -> (&'static str, String) {
    let reply = |result: Value| json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
    match (message["method"].as_str().unwrap_or_default(), message["params"]["name"].as_str().unwrap_or_default()) {
        ("initialize", _) => ("200 OK", format!("{:#}", reply(json!({"protocolVersion": "2025-06-18"})))),
        ("tools/list", _) => {
            let list = reply(json!({"tools": [{"name": "good"}, {"name": "hidden"}]}));
            let progress = json!({"jsonrpc": "2.0", "method": "notifications/message"});
            ("200 OK", format!("event: message\ndata: {progress}\n\nevent: message\ndata: {list}\n\n"))
        }
        ("tools/call", "good") => ("200 OK", reply(json!({"content": []})).to_string()),
        ("tools/call", "broken") => ("500 Internal Server Error", "{}".to_owned()),
        _ => ("202 Accepted", String::new()),
    }
}

#[test]
fn messages_become_requests_and_every_answer_comes_back() {
    let sandbox = sandbox(&only(json!({"good": {}, "broken": {}})));
    let (url, seen) = serve(answer);
    let mut gateway = Gateway::run(sandbox.command(&["enforce", "--policy", "policy.json", "--upstream", &url]));
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
    let seen: Vec<String> = seen.try_iter().collect();
    assert!(!seen.iter().any(|request| request.contains("hidden")), "{seen:?}");
    let call = seen.iter().find(|request| request.contains("tools/call")).unwrap().to_ascii_lowercase();
    assert!(call.contains("mcp-session-id: s1") && call.contains("mcp-protocol-version: 2025-06-18"), "{call}");
    assert!(seen.last().unwrap().starts_with("DELETE /mcp"), "{seen:?}");
}

#[test]
fn a_server_that_is_not_there_is_an_error_for_each_request() {
    let sandbox = sandbox(&only(json!({})));
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", free.local_addr().unwrap());
    drop(free);
    let mut gateway = Gateway::run(sandbox.command(&["enforce", "--policy", "policy.json", "--upstream", &url]));
    let reply = gateway.ask(1, "ping", &json!({}));
    assert!(reply["error"]["message"].as_str().unwrap().contains("cannot connect"), "{reply}");
    assert_eq!(gateway.close().0, Some(0));
    let stderr = sandbox.run(&["enforce", "--policy", "policy.json", "--upstream", "not a url"]).refused(2);
    assert!(stderr.contains("is not an http or https URL"), "{stderr}");
}
