//! A server that does what it should not. This very test binary plays it, as a child process and by name of a script.
//!
//! Started that way it first prints the test runner's banner to standard output, as many a real server prints its own.

use super::lives::{connection_to, grandchild, hold, hold_connection_of, outlives, start_detached, start_grandchild};
use mcpol::mcp::target::{Secret, StdioTarget};
use mcpol::model::ServerName;
use serde_json::{Value, json};
use std::io::{BufRead as _, Read as _, Write as _};

/// The variable that names the script.
pub const SCRIPT: &str = "SCRIPTED_SERVER";
/// A port of the test, for scripts that hold a connection as a sign of life.
pub const PORT: &str = "SCRIPTED_PORT";

/// Has the script `wire` tell the test first what it sees of the gateway, and leave a process in a session of its own behind.
pub const TELLS: &str = "SCRIPTED_TELLS";
/// The methods of what it then tells.
pub const SEES: &str = "test/sees";
/// What the process with a session of its own says when it lives.
pub const LIVES: &str = "test/lives";

/// The command that plays a script.
pub fn target(script: &str) -> StdioTarget {
    let program = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let arguments = ["--exact", "wire::scripted::play", "--ignored", "--nocapture"].map(str::to_owned);
    let argv = std::iter::once(program).chain(arguments).collect();
    let mut target = StdioTarget::new(ServerName::new(script), argv);
    target.env.insert(SCRIPT.to_owned(), Secret::new(script));
    target
}

#[test]
#[ignore = "plays the server for other tests"]
fn play() {
    let script = std::env::var(SCRIPT).unwrap_or_else(|_| "plain".to_owned());
    let mut server = Server;
    match script.as_str() {
        "plain" => server.serve(|_| tools(&["a", "b"])),
        "junk" => server.junk(),
        "notifications" => server.notifications(),
        "asks_back" => server.asks_back(),
        "stray_answers" => server.stray_answers(),
        "batch" => server.batch(),
        "twice" => server.serve(|_| json!({"tools": [tool("a"), {"name": "a", "inputSchema": {}}, tool("A")]})),
        "odd_tools" => server.serve(|_| odd_tools()),
        "extra_keys" => server.serve(|_| extra_keys()),
        "pages" => server.serve(pages),
        "cursor_loop" => server.serve(|_| json!({"tools": [tool("a")], "nextCursor": "again"})),
        "empty_cursor" => server.serve(|_| json!({"tools": [tool("a")], "nextCursor": ""})),
        "empty_cursor_modern" => server.empty_cursor_modern(),
        "answers_notifications" => server.answers_notifications(),
        "other_id" => server.other_id(),
        "null_result" => server.serve(|_| Value::Null),
        "everything" => server.everything(),
        "declares_and_refuses" => server.declares_and_refuses(),
        "dies_of_resources" => server.dies_of_resources(),
        "endless" => server.serve(endless),
        "large" => server.large(),
        "hundred_megabytes" => server.hundred_megabytes(),
        "capabilities" => server.capabilities(),
        "anonymous" => server.anonymous(),
        "environment" => server.environment(),
        "refuses_list" => server.refuses_list(),
        "no_tools" => server.no_tools(),
        "no_list" => server.serve(|_| json!({"items": []})),
        "dies_at_import" => dies_at_import(),
        "exits_with_7" => exit_saying("cannot reach the database\n", 7),
        "exits_between" => server.exits_between(),
        "silent" => server.wait_for_end(),
        "serves_http" => server.serves_http(),
        "http_on_stdout" => server.say("HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n"),
        "content_length" => server.say("Content-Length: 46\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"),
        "invalid_json" => server.say("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":}}"),
        "version_of_tomorrow" => server.version("2030-01-01"),
        "version_of_1999" => server.refuses_version(&["1999-01-01"]),
        "only_2024" => server.only_2024(),
        "modern" => server.modern(),
        "modern_that_leaves" => server.modern_that_leaves(),
        "refuses_everything" => server.refuses_everything(),
        "sdk_legacy" => super::peers::serve_stdio(false),
        "sdk_modern" => super::peers::serve_stdio(true),
        "slow" => server.slow(),
        "stays" => server.stays(),
        "outlives" => outlives(),
        "detaches" => server.detaches(),
        "detached" => hold_connection_of(LIVES),
        "grandchild" => grandchild(),
        "wire" => is_played_elsewhere(),
        other => panic!("no script `{other}`"),
    }
    // Anything more would be the test runner speaking to the client.
    std::process::exit(0);
}

struct Server;

/// A tool with a schema.
fn tool(name: &str) -> Value {
    json!({"name": name, "description": format!("Gets {name}"), "inputSchema": {"type": "object"}})
}

fn tools(names: &[&str]) -> Value {
    json!({"tools": names.iter().map(|name| tool(name)).collect::<Vec<_>>()})
}

fn odd_tools() -> Value {
    json!({"tools": [
        {"name": "no_schema"}, {"name": "no type", "inputSchema": {}}, {"name": ""}, {"title": "nameless"}, 5, null,
        {"name": "hints", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": "yes"}},
        {"name": "foreign", "inputSchema": {"$ref": "http://127.0.0.1:9/schema.json"}},
        {"name": "\u{202e}lanigiro", "description": "x".repeat(34_000), "inputSchema": {"type": "object"}},
        tool("last")
    ]})
}

fn extra_keys() -> Value {
    json!({"ttlMs": 5, "cacheScope": "private", "tools": [{
        "name": "a", "inputSchema": {"type": "object"}, "httpMethod": "DELETE", "x-big": 12345678901234567890_u64,
        "annotations": {"path": "/pets/{id}", "readOnlyHint": true}
    }]})
}

/// Three pages, the cursors of which look like anything but numbers.
fn pages(params: &Value) -> Value {
    match params.get("cursor").map(|cursor| cursor.as_str().unwrap()) {
        None => json!({"tools": [tool("a")], "nextCursor": "{\"p\": 2}"}),
        Some("{\"p\": 2}") => json!({"tools": [], "nextCursor": "\u{e9} 3"}),
        Some("\u{e9} 3") => json!({"tools": [tool("b")], "nextCursor": null}),
        Some(other) => panic!("nobody gave cursor {other}"),
    }
}

fn endless(params: &Value) -> Value {
    let page: u64 = params.get("cursor").map_or(0, |cursor| cursor.as_str().unwrap().parse().unwrap());
    json!({"tools": [tool(&format!("t{page}"))], "nextCursor": (page + 1).to_string()})
}

fn dies_at_import() {
    let traceback = "Traceback (most recent call last):\n  File \"/x/server.py\", line 3, in <module>\n    from mcp.server.fastmcp import FastMCP\nModuleNotFoundError: No module named 'mcp.server.fastmcp'\n";
    exit_saying(traceback, 1);
}

fn exit_saying(words: &str, status: i32) {
    std::io::stderr().write_all(words.as_bytes()).unwrap();
    std::process::exit(status);
}

/// Hands everything on to the test and back, which plays the server where it can see both sides. Ends with the test's end
/// of the connection, as a server that crashes.
fn is_played_elsewhere() {
    let mut to_test = connection_to(PORT);
    let mut from_test = to_test.try_clone().unwrap();
    if std::env::var_os(TELLS).is_some() {
        let names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
        writeln!(to_test, "{}", json!({"method": SEES, "params": {"names": names}})).unwrap();
        start_detached();
    }
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_test, &mut std::io::stdout());
        std::process::exit(7);
    });
    let _ = std::io::copy(&mut std::io::stdin(), &mut to_test);
}

impl Server {
    fn say(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A client that has seen enough closes the pipe.
        if out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    fn send(&self, message: &Value) {
        self.say(&message.to_string());
    }

    /// The next message from the client; the process ends when there is none.
    fn receive(&self) -> Value {
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).unwrap() == 0 {
            std::process::exit(0);
        }
        serde_json::from_str(&line).unwrap()
    }

    /// The next request, which must have this method; notifications before it are skipped.
    fn expect(&self, method: &str) -> Value {
        let request = self.request();
        assert_eq!(request["method"], method, "{request}");
        request
    }

    fn request(&self) -> Value {
        loop {
            let message = self.receive();
            if message.get("id").is_some() && message.get("method").is_some() {
                return message;
            }
        }
    }

    fn answer(&self, request: &Value, result: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}));
    }

    fn refuse(&self, request: &Value, code: i64, message: &str, data: Value) {
        let error = json!({"code": code, "message": message, "data": data});
        self.send(&json!({"jsonrpc": "2.0", "id": request["id"], "error": error}));
    }

    fn handshake(&self) {
        let request = self.expect("initialize");
        self.answer(&request, &self.info(request["params"]["protocolVersion"].as_str().unwrap()));
        assert_eq!(self.receive()["method"], "notifications/initialized");
    }

    fn info(&self, version: &str) -> Value {
        json!({"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "scripted", "version": "1"},
               "instructions": "be careful"})
    }

    fn wait_for_end(&self) {
        loop {
            self.receive();
        }
    }

    /// A handshake, then every `tools/list` answered from its parameters.
    fn serve(&mut self, list: impl Fn(&Value) -> Value) {
        self.handshake();
        loop {
            let request = self.expect("tools/list");
            self.answer(&request, &list(&request["params"]));
        }
    }

    fn junk(&mut self) {
        self.say("Starting up\u{2026} \u{1b}[32mok\u{1b}[0m\r\n\r\n{\"level\":\"info\",\"msg\":\"ready\"}");
        self.handshake();
        let request = self.expect("tools/list");
        self.say("[1, 2]\n> {not json\n{\"jsonrpc\": \"1.0\", \"id\": 2, \"result\": {}}");
        self.answer(&request, &tools(&["a"]));
    }

    fn notifications(&mut self) {
        self.handshake();
        let request = self.expect("tools/list");
        for _ in 0..5000 {
            self.send(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
            self.send(
                &json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}),
            );
        }
        self.answer(&request, &tools(&["a"]));
    }

    fn asks_back(&mut self) {
        let request = self.expect("initialize");
        self.send(&json!({"jsonrpc": "2.0", "id": "early", "method": "ping"}));
        assert_eq!(self.receive(), json!({"jsonrpc": "2.0", "id": "early", "result": {}}));
        self.answer(&request, &self.info("2025-11-25"));
        let request = self.expect("tools/list");
        self.send(&json!({"jsonrpc": "2.0", "id": 2, "method": "roots/list"}));
        assert_eq!(self.receive(), json!({"jsonrpc": "2.0", "id": 2, "result": {"roots": []}}));
        self.send(&json!({"jsonrpc": "2.0", "id": 9, "method": "sampling/createMessage", "params": {}}));
        assert_eq!(self.receive()["error"]["code"], -32601);
        self.answer(&request, &tools(&["a"]));
    }

    fn stray_answers(&mut self) {
        self.handshake();
        let request = self.expect("tools/list");
        self.send(&json!({"jsonrpc": "2.0", "id": 77, "result": {"tools": [tool("stray")]}}));
        // Some servers answer with the id as a string.
        let id = request["id"].to_string();
        self.send(&json!({"jsonrpc": "2.0", "id": id, "result": tools(&["a"])}));
        self.wait_for_end();
    }

    fn batch(&mut self) {
        self.handshake();
        let request = self.expect("tools/list");
        let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": tools(&["a"])});
        self.send(&json!([{"jsonrpc": "2.0", "method": "notifications/message", "params": {}}, answer]));
    }

    fn large(&mut self) {
        for _ in 0..25 {
            std::io::stderr().write_all(&[b'e'; 1024]).unwrap();
        }
        self.serve(|_| {
            let text = "x".repeat(6_400);
            let tools = (0..344).map(|n| json!({"name": format!("t{n}"), "description": text, "inputSchema": {}}));
            json!({"tools": tools.collect::<Vec<_>>()})
        });
    }

    fn hundred_megabytes(&mut self) {
        self.handshake();
        self.expect("tools/list");
        let mut out = std::io::stdout().lock();
        let block = vec![b'['; 1024 * 1024];
        for _ in 0..100 {
            // The client hangs up long before the end.
            if out.write_all(&block).is_err() {
                std::process::exit(0);
            }
        }
    }

    fn capabilities(&mut self) {
        let request = self.expect("initialize");
        let more = request["params"]["capabilities"].get("roots").is_some();
        self.answer(&request, &self.info("2025-06-18"));
        let request = self.expect("tools/list");
        self.answer(&request, &tools(if more { &["a", "with_roots"] } else { &["a"] }));
    }

    fn anonymous(&mut self) {
        let request = self.expect("initialize");
        self.answer(&request, &json!({"protocolVersion": "2025-06-18", "serverInfo": {"name": 5, "version": ""}}));
        let request = self.expect("tools/list");
        self.answer(&request, &tools(&["a"]));
    }

    /// Tools named after what the process sees of the client's environment.
    fn environment(&mut self) {
        let home = std::env::var("HOME").unwrap();
        std::fs::write(std::path::Path::new(&home).join("cache"), "x").unwrap();
        let names: Vec<String> = std::env::vars().map(|(name, _)| name).chain([format!("home:{home}")]).collect();
        self.serve(|_| tools(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    }

    fn refuses_list(&mut self) {
        self.handshake();
        let request = self.expect("tools/list");
        std::io::stderr().write_all(b"no API key: set EXAMPLE_KEY\n").unwrap();
        self.refuse(&request, -32603, "Internal error", Value::Null);
        self.wait_for_end();
    }

    fn no_tools(&mut self) {
        let request = self.expect("initialize");
        self.answer(&request, &json!({"protocolVersion": "2025-06-18", "capabilities": {"prompts": {}}}));
        let request = self.expect("tools/list");
        self.refuse(&request, -32601, "Method not found", Value::Null);
        let request = self.expect("prompts/list");
        self.answer(&request, &json!({"prompts": []}));
    }

    fn exits_between(&mut self) {
        self.handshake();
        self.expect("tools/list");
        exit_saying("panic: licence expired\n", 3);
    }

    fn serves_http(&mut self) {
        std::io::stderr().write_all(b"Server listening on http://localhost:3000/mcp\n").unwrap();
        self.wait_for_end();
    }

    fn version(&mut self, version: &str) {
        let request = self.expect("initialize");
        self.answer(&request, &self.info(version));
        self.wait_for_end();
    }

    fn refuses_version(&mut self, supported: &[&str]) {
        let request = self.expect("initialize");
        let data = json!({"supported": supported, "requested": request["params"]["protocolVersion"]});
        self.refuse(&request, -32602, "Unsupported protocol version", data);
    }

    fn only_2024(&mut self) {
        self.refuses_version(&["2024-11-05"]);
        let request = self.expect("initialize");
        assert_eq!(request["params"]["protocolVersion"], "2024-11-05");
        self.answer(&request, &self.info("2024-11-05"));
        let request = self.expect("tools/list");
        self.answer(&request, &tools(&["a"]));
    }

    /// The refusal that a server gives whose only revision has no handshake.
    fn refuse_handshake(&self, request: &Value) {
        let data = json!({"supported": ["2026-07-28"], "requested": "2025-11-25"});
        self.refuse(request, -32022, "Unsupported protocol version", data);
    }

    fn modern(&mut self) {
        let request = self.expect("initialize");
        self.refuse_handshake(&request);
        self.modern_after_handshake();
    }

    fn modern_after_handshake(&mut self) {
        let request = self.expect("server/discover");
        let meta = |request: &Value| {
            let meta = &request["params"]["_meta"];
            assert_eq!(meta["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
            assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "mcpol");
            assert_eq!(meta["io.modelcontextprotocol/clientCapabilities"], json!({}));
        };
        meta(&request);
        let info = json!({"io.modelcontextprotocol/serverInfo": {"name": "modern", "version": "2"}});
        self.answer(
            &request,
            &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                    "ttlMs": 0, "cacheScope": "private", "_meta": info}),
        );
        let request = self.expect("tools/list");
        meta(&request);
        let mut list = tools(&["a"]);
        list["resultType"] = "complete".into();
        self.answer(&request, &list);
        self.wait_for_end();
    }

    /// Ends after it has refused `initialize`, as a server does that ends with its first session.
    fn modern_that_leaves(&mut self) {
        let request = self.request();
        if request["method"] == "initialize" {
            self.refuse_handshake(&request);
            std::process::exit(0);
        }
        assert_eq!(request["method"], "server/discover");
        self.answer(
            &request,
            &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}),
        );
        let request = self.expect("tools/list");
        self.answer(&request, &tools(&["a"]));
        self.wait_for_end();
    }

    /// A first page whose cursor is empty, and a second one behind it.
    fn empty_cursor_modern(&mut self) {
        let request = self.expect("initialize");
        self.refuse_handshake(&request);
        let request = self.expect("server/discover");
        let result =
            json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}});
        self.answer(&request, &result);
        let request = self.expect("tools/list");
        assert_eq!(request["params"].get("cursor"), None);
        self.answer(&request, &json!({"tools": [tool("a")], "nextCursor": ""}));
        let request = self.expect("tools/list");
        assert_eq!(request["params"]["cursor"], "");
        self.answer(&request, &tools(&["b"]));
        self.wait_for_end();
    }

    /// Answers the notification with an error that has no id, before it answers the list.
    fn answers_notifications(&mut self) {
        self.handshake();
        let error = json!({"code": -32601, "message": "Method not found"});
        self.send(&json!({"jsonrpc": "2.0", "id": null, "error": error}));
        let request = self.expect("tools/list");
        self.answer(&request, &tools(&["a"]));
        self.wait_for_end();
    }

    /// Answers under ids of its own.
    fn other_id(&mut self) {
        self.handshake();
        self.expect("tools/list");
        self.send(&json!({"jsonrpc": "2.0", "id": "list-1", "result": tools(&["a"])}));
    }

    /// A handshake that declares prompts and resources, and the tools.
    fn declares_extras(&mut self) {
        let request = self.expect("initialize");
        let mut info = self.info("2025-11-25");
        info["capabilities"] = json!({"tools": {}, "prompts": {}, "resources": {}});
        self.answer(&request, &info);
        let request = self.expect("tools/list");
        self.answer(&request, &tools(&["a"]));
    }

    fn everything(&mut self) {
        self.declares_extras();
        let request = self.expect("prompts/list");
        self.answer(&request, &json!({"prompts": [{"name": "p1"}, {"title": "nameless"}], "nextCursor": "2"}));
        let request = self.expect("prompts/list");
        assert_eq!(request["params"]["cursor"], "2");
        self.answer(&request, &json!({"prompts": [{"name": "p2", "arguments": [{"name": "x"}]}]}));
        let request = self.expect("resources/list");
        self.answer(
            &request,
            &json!({"resources": [{"name": "r", "uri": "file:///r", "x-more": 1.0}], "nextCursor": "a"}),
        );
        let request = self.expect("resources/list");
        self.answer(
            &request,
            &json!({"resources": [{"name": "r", "uri": "file:///r", "x-more": 1.0}], "nextCursor": "a"}),
        );
        let request = self.expect("resources/templates/list");
        self.answer(&request, &json!({"resourceTemplates": [{"name": "t", "uriTemplate": "file:///{path}"}]}));
        self.wait_for_end();
    }

    /// Declares resources and knows no such method; its prompts it will not list.
    fn declares_and_refuses(&mut self) {
        self.declares_extras();
        let request = self.expect("prompts/list");
        self.refuse(&request, -32603, "no token", Value::Null);
        for method in ["resources/list", "resources/templates/list"] {
            let request = self.expect(method);
            self.refuse(&request, -32601, "Method not found", Value::Null);
        }
        self.wait_for_end();
    }

    fn dies_of_resources(&mut self) {
        self.declares_extras();
        let request = self.expect("prompts/list");
        self.answer(&request, &json!({"prompts": {}}));
        self.expect("resources/list");
    }

    fn refuses_everything(&mut self) {
        loop {
            let request = self.request();
            self.refuse(&request, -32000, "go away", Value::Null);
        }
    }

    /// Reads nothing before the test says so, as a package runner does that downloads first.
    fn slow(&mut self) {
        let mut stream = connection_to(PORT);
        stream.read_exact(&mut [0]).unwrap();
        self.serve(|_| tools(&["a"]));
    }

    /// Answers, starts a process that leaves group and session, and ends with its input.
    fn detaches(&mut self) {
        start_detached();
        self.serve(|_| tools(&["a"]));
    }

    /// Answers, starts a process of its own, and outlives its pipes; both hold a connection to the test.
    fn stays(&mut self) {
        start_grandchild();
        let to_test = connection_to(PORT);
        self.handshake();
        let request = self.expect("tools/list");
        self.answer(&request, &tools(&["a"]));
        hold(to_test);
    }
}
