//! A sample MCP server, so that there is something to scan and to guard before any server is installed: tasks and a
//! focus timer, kept in memory, with tools of every category. It speaks both eras of the protocol over stdio.
//!
//! Nothing leaves the process: mail is only counted, files are written to a map, and the card does not exist.

mod state;

use serde_json::{Value, json};
use state::SampleState;
use std::io::{self, BufRead, Read as _, Write};

/// What the sample server is called here.
pub const NAME: &str = "sample";
/// Its tool definitions, a JSON array as `tools/list` returns it.
pub const TOOLS: &str = include_str!("tools.json");
/// Longest message taken from a client, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Revisions spoken after `initialize`, newest first.
const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The revision spoken without it.
const MODERN: &str = "2026-07-28";
/// Where a modern request says which revision it is in.
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";
const INSTRUCTIONS: &str = "A sample server with made-up tasks. Everything it does happens in its own memory.";

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
/// MCP 2026-07-28, `UnsupportedProtocolVersionError`.
const UNSUPPORTED_VERSION: i32 = -32022;

/// One server: its tools and what they have done so far.
#[derive(Debug)]
pub struct Sample {
    tools: Value,
    state: SampleState,
}

/// A JSON-RPC error in the making.
struct SampleError {
    code: i32,
    message: String,
    data: Option<Value>,
}

impl SampleError {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self { tools: serde_json::from_str(TOOLS).unwrap_or_default(), state: SampleState::default() }
    }
}

impl Sample {
    /// Answers one message; `None` where JSON-RPC wants no answer. The answer is one line without its line break.
    pub fn answer(&mut self, message: &[u8]) -> Option<String> {
        let message: Value = match serde_json::from_slice(message) {
            Ok(message) => message,
            Err(error) => return Some(refuse(&Value::Null, SampleError::new(PARSE_ERROR, error.to_string()))),
        };
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            // A reply to something we never asked, or no JSON-RPC at all.
            let is_reply = message.get("result").is_some() || message.get("error").is_some();
            let refusal = SampleError::new(INVALID_REQUEST, "expected a request with a `method`");
            return (!is_reply).then(|| refuse(message.get("id").unwrap_or(&Value::Null), refusal));
        };
        let id = message.get("id")?;
        let empty = json!({});
        let params = message.get("params").unwrap_or(&empty);
        Some(match self.result(method, params) {
            Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string(),
            Err(refusal) => refuse(id, refusal),
        })
    }

    fn result(&mut self, method: &str, params: &Value) -> Result<Value, SampleError> {
        let modern = era(params)?;
        let mut result = match method {
            "initialize" => return Ok(initialize(params)),
            "server/discover" => json!({
                "supportedVersions": [MODERN],
                "capabilities": {"tools": {}},
                "instructions": INSTRUCTIONS,
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": {SERVER_INFO_KEY: server_info()},
            }),
            "ping" => json!({}),
            "tools/list" => json!({"tools": self.tools}),
            "tools/call" => self.call(params)?,
            other => return Err(SampleError::new(METHOD_NOT_FOUND, format!("Method not found: {other}"))),
        };
        if let (true, Some(object)) = (modern || method == "server/discover", result.as_object_mut()) {
            object.insert("resultType".to_owned(), json!("complete"));
            if method == "tools/list" {
                object.insert("ttlMs".to_owned(), json!(0));
                object.insert("cacheScope".to_owned(), json!("private"));
            }
        }
        Ok(result)
    }

    fn call(&mut self, params: &Value) -> Result<Value, SampleError> {
        let name = params.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| SampleError::new(INVALID_PARAMS, "`name` must be a string"))?;
        let known = self.tools.as_array().into_iter().flatten().any(|tool| tool["name"] == name);
        if !known {
            return Err(SampleError::new(INVALID_PARAMS, format!("Unknown tool: {name}")));
        }
        let empty = json!({});
        let arguments = params.get("arguments").unwrap_or(&empty);
        let (text, is_error) = match self.state.call(name, arguments) {
            Ok(value) => (value.to_string(), false),
            Err(message) => (message, true),
        };
        Ok(json!({"content": [{"type": "text", "text": text}], "isError": is_error}))
    }
}

/// Serves until the input ends.
///
/// # Errors
/// The input could not be read or the output not written.
pub fn serve(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut sample = Sample::default();
    let mut line = Vec::new();
    let limit = u64::try_from(MESSAGE_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    while input.by_ref().take(limit).read_until(b'\n', &mut line)? > 0 {
        let answer = if line.len() > MESSAGE_BYTES_MAX && line.last() != Some(&b'\n') {
            input.skip_until(b'\n')?;
            Some(refuse(&Value::Null, SampleError::new(INVALID_REQUEST, "message longer than 1 MiB")))
        } else if line.trim_ascii().is_empty() {
            None
        } else {
            sample.answer(&line)
        };
        if let Some(answer) = answer {
            output.write_all(answer.as_bytes())?;
            output.write_all(b"\n")?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

/// Whether a request says that it is in the modern revision.
fn era(params: &Value) -> Result<bool, SampleError> {
    match params.get("_meta").and_then(|meta| meta.get(VERSION_KEY)) {
        None => Ok(false),
        Some(version) if version == MODERN => Ok(true),
        Some(version) => Err(SampleError {
            code: UNSUPPORTED_VERSION,
            message: "Unsupported protocol version".to_owned(),
            data: Some(json!({"supported": [MODERN], "requested": version})),
        }),
    }
}

fn initialize(params: &Value) -> Value {
    let asked = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
    let version = LEGACY.iter().find(|known| **known == asked).unwrap_or(&LEGACY[0]);
    json!({
        "protocolVersion": version,
        "capabilities": {"tools": {}},
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    })
}

fn server_info() -> Value {
    json!({"name": "mcpol-sample", "title": "Sample tasks and focus timer", "version": env!("CARGO_PKG_VERSION")})
}

fn refuse(id: &Value, refusal: SampleError) -> String {
    let mut error = json!({"code": refusal.code, "message": refusal.message});
    if let Some(data) = refusal.data {
        error["data"] = data;
    }
    json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

    use super::*;
    use std::collections::BTreeSet;

    fn ask(sample: &mut Sample, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string();
        let reply: Value = serde_json::from_str(&sample.answer(request.as_bytes()).unwrap()).unwrap();
        assert_eq!((&reply["jsonrpc"], &reply["id"]), (&json!("2.0"), &json!(7)));
        reply
    }

    fn call(sample: &mut Sample, name: &str, arguments: Value) -> (Value, bool) {
        let reply = ask(sample, "tools/call", json!({"name": name, "arguments": arguments}));
        let text = reply["result"]["content"][0]["text"].as_str().unwrap().to_owned();
        (serde_json::from_str(&text).unwrap_or(Value::String(text)), reply["result"]["isError"] == true)
    }

    #[test]
    fn both_eras_are_spoken() {
        let mut sample = Sample::default();
        for (asked, given) in [("2025-06-18", "2025-06-18"), ("2024-11-05", "2024-11-05"), ("1999-01-01", "2025-11-25")]
        {
            let reply = ask(&mut sample, "initialize", json!({"protocolVersion": asked}));
            assert_eq!(reply["result"]["protocolVersion"], given);
        }
        let meta = json!({"_meta": {VERSION_KEY: MODERN}});
        let found = ask(&mut sample, "server/discover", meta.clone());
        assert_eq!(found["result"]["supportedVersions"], json!([MODERN]));
        let list = ask(&mut sample, "tools/list", meta);
        assert_eq!((&list["result"]["resultType"], &list["result"]["ttlMs"]), (&json!("complete"), &json!(0)));
        assert!(ask(&mut sample, "tools/list", json!({}))["result"].get("resultType").is_none());
        let unknown = ask(&mut sample, "tools/list", json!({"_meta": {VERSION_KEY: "2030-01-01"}}));
        assert_eq!(unknown["error"]["code"], UNSUPPORTED_VERSION);
    }

    #[test]
    fn every_tool_of_the_list_does_something() {
        let tools: Value = serde_json::from_str(TOOLS).unwrap();
        let mut names = BTreeSet::new();
        for tool in tools.as_array().unwrap() {
            let name = tool["name"].as_str().unwrap();
            assert!(names.insert(name), "{name} is listed once");
            let arguments = json!({
                "task_id": 1, "title": "t", "text": "x", "query": "a", "to": "a@example.com", "path": "/exports/t.json",
                "amount": 100, "currency": "EUR", "minutes": 5,
            });
            let mut sample = Sample::default();
            call(&mut sample, "start_focus_session", json!({}));
            if name != "start_focus_session" {
                let (value, is_error) = call(&mut sample, name, arguments);
                assert!(!is_error, "{name}: {value}");
            }
        }
    }

    #[test]
    fn calls_change_the_state_and_bad_ones_say_why() {
        let mut sample = Sample::default();
        let before = call(&mut sample, "list_tasks", json!({})).0.as_array().unwrap().len();
        let (created, _) = call(&mut sample, "create_task", json!({"title": "write"}));
        let id = created["id"].clone();
        assert_eq!(call(&mut sample, "list_tasks", json!({})).0.as_array().unwrap().len(), before + 1);
        assert!(!call(&mut sample, "delete_task", json!({"task_id": id})).1);
        assert_eq!(call(&mut sample, "get_task", json!({"task_id": id})), (json!(format!("no task {id}")), true));
        assert_eq!(call(&mut sample, "pause_focus_session", json!({})), (json!("no focus session is running"), true));
        assert_eq!(call(&mut sample, "create_task", json!({})), (json!("`title` must be a string"), true));
        assert_eq!(ask(&mut sample, "tools/call", json!({"name": "rm"}))["error"]["code"], INVALID_PARAMS);
        assert_eq!(ask(&mut sample, "nope", json!({}))["error"]["code"], METHOD_NOT_FOUND);
    }

    #[test]
    fn what_is_no_request_is_refused_and_notifications_are_silent() {
        let mut sample = Sample::default();
        assert!(sample.answer(b"{oops").unwrap().contains("-32700"));
        assert!(sample.answer(b"[]").unwrap().contains("-32600"));
        assert!(sample.answer(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).is_none());
        assert!(sample.answer(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#).is_none());
    }

    #[test]
    fn long_messages_are_refused_and_the_next_is_served() {
        let ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
        let at = format!("{ping}{}\n", " ".repeat(MESSAGE_BYTES_MAX - ping.len()));
        let past = format!("{ping}{}\n{ping}\n", " ".repeat(MESSAGE_BYTES_MAX + 1 - ping.len()));
        let lines = |input: &str| {
            let mut out = Vec::new();
            serve(input.as_bytes(), &mut out).unwrap();
            String::from_utf8(out).unwrap().lines().map(|line| line.contains("\"result\"")).collect::<Vec<_>>()
        };
        assert_eq!(lines(&at), [true]);
        assert_eq!(lines(&past), [false, true]);
    }
}
