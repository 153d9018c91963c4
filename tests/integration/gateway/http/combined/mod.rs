//! `/mcp` with several servers: one list, one session, and every call judged as at the server's own endpoint.

mod asking;
mod commands;
mod routes;
mod stateless;
mod streams;

use super::*;

const POLICY: &str = r#"{"version": "1", "default": "deny", "resources": "allow", "prompts": "allow", "client": {"sampling": "allow", "roots": "allow"}, "hide": ["secret"], "tools": {"good": {}, "refused": {"action": "deny", "reason": "not today"},
    "a.tool.with.a.name.that.is.far.too.long.for.every.client.there.is.and.more": {}}}"#;
const LONG: &str = "a.tool.with.a.name.that.is.far.too.long.for.every.client.there.is.and.more";

/// A server that says its name in everything.
fn named(name: &'static str) -> Upstream {
    Upstream::answering(move |asked| answer(name, asked))
}

/// The same, with a script that may answer in its place; it says whether it has.
fn scripted(name: &'static str, script: impl Fn(&Asked, &mut TcpStream) -> bool + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |asked, stream| {
        if !script(asked, stream) {
            // A gateway that has gone is what some tests are about.
            let _ = stream.write_all(answer(name, asked).as_bytes());
        }
    })
}

/// The same, where the script answers with whole responses.
fn says(name: &'static str, script: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) -> Upstream {
    scripted(name, move |asked, stream| {
        let message = asked.message();
        let Some(result) = script(&message) else { return false };
        let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        stream.write_all(json_response(&reply.to_string()).as_bytes()).is_ok()
    })
}

fn answer(name: &str, asked: &Asked) -> String {
    let message = asked.message();
    let reply = |result: Value| {
        let headers = ["Content-Type: application/json", &format!("Mcp-Session-Id: session-of-{name}")];
        response("200 OK", &headers, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
    };
    if asked.head.starts_with("GET") {
        return response("405 Method Not Allowed", &[], "");
    }
    match message["method"].as_str() {
        Some("initialize") => reply(json!({"protocolVersion": "2025-06-18", "capabilities": {
            "tools": {"listChanged": true}, "prompts": {}, "resources": {}, "logging": {}},
            "serverInfo": {"name": name, "version": "1"}})),
        Some("tools/list") if message["params"]["cursor"] == "2" => reply(json!({"tools": [{"name": LONG}]})),
        Some("tools/list") => {
            reply(json!({"tools": [{"name": "good", "x": 1.0}, {"name": "secret"}], "nextCursor": "2"}))
        }
        Some("prompts/list") => reply(json!({"prompts": [{"name": "greet"}, {"name": "greet with spaces"}]})),
        Some("resources/list") => reply(json!({"resources": [{"uri": format!("{name}://r"), "name": "r"}]})),
        Some("resources/templates/list") => {
            reply(json!({"resourceTemplates": [{"uriTemplate": format!("{name}://t/{{id}}"), "name": "t"}]}))
        }
        Some("tools/call") => {
            reply(json!({"content": [{"type": "text", "text": format!("{name}: {}", message["params"]["name"])}]}))
        }
        Some("prompts/get" | "resources/read" | "completion/complete") => {
            reply(json!({"from": name, "params": message["params"]}))
        }
        Some(_) if message.get("id").is_some() => reply(json!({})),
        _ => response("202 Accepted", &[], ""),
    }
}

/// What each server has asked for since the last look, by method; `initialize` and the like left out.
fn methods(server: &Upstream) -> Vec<String> {
    let method = |asked: Asked| asked.message()["method"].as_str().map(str::to_owned);
    server.asked.try_iter().filter_map(method).filter(|method| !method.contains("initialize")).collect()
}

/// Begins a session; the header that names it.
#[track_caller]
fn session(served: &Served) -> String {
    let begun = served.post(&[], INITIALIZE);
    let header = format!("Mcp-Session-Id: {}", begun.header("mcp-session-id").unwrap_or_else(|| panic!("{begun:?}")));
    assert_eq!(served.post(&[&header], r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).status, 202);
    header
}

/// The last message of a stream so far.
#[track_caller]
fn last_message(text: &str) -> Value {
    let data = text.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap_or_else(|| panic!("{text:?}"));
    serde_json::from_str(data).unwrap()
}

/// The last id of a stream so far, as a header.
#[track_caller]
fn last_id(text: &str) -> String {
    let id = text.lines().rev().find_map(|line| line.strip_prefix("id: ")).unwrap_or_else(|| panic!("{text:?}"));
    format!("Last-Event-ID: {id}")
}

fn event(message: &Value) -> String {
    format!("data: {message}\n\n")
}

fn start(urls: &[(&str, &str)]) -> (Sandbox, Served) {
    let mut text = String::from("[gateway]\nlisten = \"127.0.0.1:0\"\nstate = \"memory:\"\naudit = \"audit.jsonl\"\n");
    for (name, url) in urls {
        text.push_str(&format!("[servers.{name}]\nurl = \"{url}\"\npolicy = \"policy.json\"\n"));
    }
    let sandbox = sandbox(&serde_json::from_str(POLICY).unwrap());
    sandbox.write("mcpol.toml", &text);
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    (sandbox, served)
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"sampling":{}},"clientInfo":{"name":"c","version":"1"}}}"#;

fn request(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
}

#[test]
fn one_session_reaches_all_servers_and_each_judges_its_own() {
    let (one, two) = (named("one"), named("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let begun = served.post(&[], INITIALIZE);
    let offered = json!({"logging": {}, "prompts": {}, "resources": {}, "tools": {"listChanged": true}});
    assert_eq!(begun.json()["result"]["capabilities"], offered);
    assert_eq!(begun.json()["result"]["serverInfo"]["name"], "mcpol");
    assert_eq!(one.next().body, INITIALIZE, "servers hear what the client says of itself");
    two.next();
    let session = format!("Mcp-Session-Id: {}", begun.header("mcp-session-id").unwrap());
    let ask = |method: &str, params: Value| served.ask(&[&session], &request(method, &params));
    assert_eq!(served.post(&[&session], r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).status, 202);
    for server in [&one, &two] {
        assert_eq!(server.next().message()["method"], "notifications/initialized");
    }
    let tools = ask("tools/list", json!({}));
    let names: Vec<_> =
        tools["result"]["tools"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names[0], names[2]), (4, "one__good", "two__good"), "{names:?}");
    assert!(names[1].starts_with("one___") && names[1].len() <= 64, "{names:?}");
    assert_eq!(tools["result"]["tools"][0]["x"].to_string(), "1.0", "what a server says of a tool is kept");
    let text = |reply: Value| reply["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
    assert_eq!(text(ask("tools/call", json!({"name": "two__good", "arguments": {}}))), "two: \"good\"");
    let long = text(ask("tools/call", json!({"name": names[1], "arguments": {}})));
    assert_eq!(long, format!("one: {LONG:?}"));
    let refused = ask("tools/call", json!({"name": "one__refused"}));
    assert!(refusal(&refused).contains("not today"));
    assert_eq!(ask("tools/call", json!({"name": "one__secret"}))["error"]["code"], -32602);
    for unknown in ["good", "three__good", "__good", ""] {
        assert_eq!(ask("tools/call", json!({"name": unknown}))["error"]["code"], -32602, "{unknown}");
    }
    assert_eq!(ask("prompts/get", json!({"name": "two__greet"}))["result"]["params"]["name"], "greet");
    assert_eq!(ask("resources/read", json!({"uri": "two://r"}))["result"]["from"], "two");
    assert_eq!(ask("resources/read", json!({"uri": "three://r"}))["error"]["code"], -32602);
    assert_eq!(ask("ping", json!({}))["result"], json!({}));
    let sessions: Vec<_> =
        two.asked.try_iter().map(|asked| header(&asked.head, "mcp-session-id").map(str::to_owned)).collect();
    assert!(sessions.iter().all(|id| id.as_deref() == Some("session-of-two")), "{sessions:?}");
    let mut ending = served.open();
    ending.send("DELETE /mcp", &["Host: localhost", &session], &[], "");
    assert_eq!(ending.reply().status, 204);
    assert_eq!(served.post(&[&session], &request("ping", &json!({}))).status, 404);
    assert_eq!(served.post(&[], &request("tools/list", &json!({}))).status, 400);
}

#[test]
fn a_server_that_is_down_does_not_hide_the_others() {
    let one = named("one");
    let (_kept, gone) = crate::harness::deaf();
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &format!("http://{gone}/mcp"))]);
    let begun = served.post(&[], INITIALIZE);
    let session = format!("Mcp-Session-Id: {}", begun.header("mcp-session-id").unwrap());
    let tools = served.ask(&[&session], &request("tools/list", &json!({})));
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 2);
}

#[test]
fn requests_without_sessions_are_routed_too() {
    let (one, two) = (named("one"), named("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let ask = |method: &str, name: Option<&str>, mut params: Value| {
        params["_meta"] = meta.clone();
        let mut headers = vec!["MCP-Protocol-Version: 2026-07-28".to_owned(), format!("Mcp-Method: {method}")];
        headers.extend(name.map(|name| format!("Mcp-Name: {name}")));
        let headers: Vec<_> = headers.iter().map(String::as_str).collect();
        served.ask(&headers, &request(method, &params))
    };
    let tools = ask("tools/list", None, json!({}));
    assert_eq!(
        (tools["result"]["tools"].as_array().unwrap().len(), &tools["result"]["resultType"]),
        (4, &json!("complete"))
    );
    while one.asked.try_recv().is_ok() {}
    let called = ask("tools/call", Some("one__good"), json!({"name": "one__good", "arguments": {}}));
    assert_eq!(called["result"]["content"][0]["text"], "one: \"good\"");
    let asked = one.next();
    assert_eq!(header(&asked.head, "mcp-name"), Some("good"));
    assert_eq!(asked.message()["params"]["_meta"], meta);
}
