//! Whatever a client asks, it hears the same with the gateway as without it, line by line. What real servers offer beyond
//! this is compared by `tests/real-gateway.sh`.

use super::*;
use crate::wire::scripted;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{},"progressToken":"é"}"#;

/// Requests of a session with a handshake. The answer to each is waited for.
fn legacy() -> Vec<String> {
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{"name":"t","version":"1"}}}"#;
    let mut lines = vec![hello.to_owned(), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned()];
    lines.extend(asks("\"_meta\":{\"progressToken\":7}"));
    lines
}

/// Requests that each say for themselves what the handshake said.
fn modern() -> Vec<String> {
    asks(META)
}

fn asks(meta: &str) -> Vec<String> {
    let request = |id: &str, method: &str, params: &str| {
        let comma = if params.is_empty() { "" } else { "," };
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}{meta}}}}}"#)
    };
    vec![
        request("1", "ping", ""),
        request("\"two\"", "server/discover", ""),
        request("3", "tools/list", ""),
        request("4", "tools/call", r#""name":"add","arguments":{"a":1,"b":2}"#),
        request("\"4\"", "tools/call", r#""name":"add","arguments":{"b":-2147483648,"a":0},"unknown":[1.0]"#),
        request("5", "tools/call", r#""name":"add","arguments":{"a":"x"}"#),
        request("6", "tools/call", r#""name":"list_tasks","arguments":{"status":"open"}"#),
        request("7", "tools/call", r#""name":"no such tool""#),
        request("8", "resources/list", ""),
        request("9", "resources/read", r#""uri":"a:b""#),
        request("10", "prompts/get", r#""name":"p","arguments":{}"#),
        request(
            "11",
            "completion/complete",
            r#""ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}"#,
        ),
        request("12", "logging/setLevel", r#""level":"debug""#),
        request("14", "x/unknown", r#""a":{"A":1,"a":2}"#),
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":999}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","method":"notifications/unknown","params":{"a":[]}}"#.to_owned(),
        request("15", "ping", ""),
    ]
}

/// What is heard: everything that is a message, up to the answer to the last request.
fn heard(mut client: Gateway, lines: &[String]) -> Vec<String> {
    let mut heard = Vec::new();
    for line in lines {
        client.send(line);
        let asked: Value = serde_json::from_str(line).unwrap();
        while asked.get("id").is_some() {
            let line = client.line();
            // The test runner that plays the server has a banner.
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            heard.push(line);
            if message.get("id") == asked.get("id") {
                break;
            }
        }
    }
    drop(client.stdin.take());
    heard
}

fn check(argv: &[&str], script: Option<&str>, lines: &[String]) {
    // A limit on everything, so that calls go the whole way.
    let limits = json!([{"counter": "calls", "window": "day", "max": 1000, "scope": "grant"}]);
    let sandbox = sandbox(
        &json!({"version": "1", "default": "allow", "unknown_methods": "forward", "all_tools": {"limits": limits}, "tools": {}}),
    );
    let sandbox = match script {
        Some(script) => sandbox.with_env(scripted::SCRIPT, script),
        None => sandbox,
    };
    let mut direct = sandbox.command(&[]);
    direct = {
        let mut command = std::process::Command::new(argv[0]);
        command.args(&argv[1..]).envs(direct.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    // The one thing that the gateway changes: a list that hangs on a policy is nobody else's.
    let private = |line: String| {
        ["tools", "resources", "resourceTemplates", "prompts"].into_iter().fold(line, |line, list| {
            let of = |scope: &str| format!("\"cacheScope\":\"{scope}\",\"{list}\"");
            line.replace(&of("public"), &of("private"))
        })
    };
    let directly: Vec<String> = heard(Gateway::run(direct), lines).into_iter().map(private).collect();
    let through = heard(Gateway::start(&sandbox, &[], argv), lines);
    assert_eq!(directly.len(), lines.iter().filter(|line| line.contains("\"id\":")).count(), "{directly:#?}");
    assert_eq!(through, directly);
}

#[test]
fn the_sample_server_is_the_same_with_and_without_it() {
    for lines in [legacy(), modern()] {
        check(&[env!("CARGO_BIN_EXE_mcpol"), "sample-server"], None, &lines);
    }
}

#[test]
fn the_sdks_servers_are_the_same_with_and_without_it() {
    for (script, lines) in [("sdk_legacy", legacy()), ("sdk_modern", modern())] {
        let target = scripted::target(script);
        let argv: Vec<&str> = target.argv.iter().map(String::as_str).collect();
        check(&argv, Some(script), &lines);
    }
}
