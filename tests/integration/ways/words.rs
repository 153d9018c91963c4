//! Messages that are no calls, and messages that are none: what passes along the way, and what never does.

use super::server::Act;
use super::{Cell, Era, Front, Setup};
use crate::gateway::{passed, refusal};
use serde_json::{Value, json};

pub fn a_result_passes_as_it_was_sent(cell: &dyn Fn(&Setup) -> Cell) {
    let result = json!({"content": [{"type": "text", "text": "\u{e9}\u{2028}\"\\".repeat(20_000)}], "isError": true,
        "structuredContent": {"A": 1, "a": 9_007_199_254_740_991_u64, "": [null, -0.5]}, "unknown": {"x": []},
        "resultType": "complete"});
    let sent = result.clone();
    let setup = Setup::of(&json!({"large": {}})).script(move |asked| {
        if !asked.seen.calls("large") {
            return Act::Usual;
        }
        asked.reply(&sent);
        Act::Said
    });
    let cell = cell(&setup);
    let reply = cell.client().ask_tool("large", &json!({}));
    assert!(reply["result"] == result, "{}", reply.to_string().chars().take(500).collect::<String>());
}

pub fn what_is_no_call_reaches_the_server_and_its_answer_the_client(cell: &dyn Fn(&Setup) -> Cell) {
    let policy = json!({"version": "1", "default": "allow", "tools": {}});
    let setup = Setup::policy(&policy).script(|asked| {
        let result = match asked.seen.method() {
            "resources/list" => json!({"resources": [{"uri": "note://1", "name": "n"}], "resultType": "complete"}),
            "resources/read" => {
                json!({"contents": [{"uri": "note://1", "text": "read"}], "resultType": "complete"})
            }
            _ => return Act::Usual,
        };
        asked.reply(&result);
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    let listed = client.ask("resources/list", &json!({}));
    assert_eq!(listed["result"]["resources"][0]["uri"], "note://1", "{listed}");
    let read = client.ask("resources/read", &json!({"uri": "note://1"}));
    assert_eq!(read["result"]["contents"][0]["text"], "read", "{read}");
    cell.server.sees("the request", |seen| seen.method() == "resources/read");
}

pub fn what_a_server_says_along_the_way_is_heard(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"chatty": {}})).script(|asked| {
        if asked.seen.calls("chatty") {
            let token = asked.seen.message["params"]["_meta"]["progressToken"].clone();
            let params = json!({"progressToken": token, "progress": 1, "message": "half way"});
            asked.say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
        }
        Act::Usual
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    let params = json!({"name": cell.way.tool("chatty"), "arguments": {}, "_meta": {"progressToken": "t"}});
    let call = client.request("tools/call", &params);
    let told = client.hears("progress", |it| it["method"] == "notifications/progress");
    assert_eq!((&told["params"]["progressToken"], &told["params"]["message"]), (&json!("t"), &json!("half way")));
    passed(&client.reply(call));
}

pub fn what_can_be_read_in_two_ways_is_never_sent(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}})));
    let mut client = cell.client();
    let name = cell.way.tool("good");
    let before = cell.server.all().len();
    for (number, params) in [
        format!(r#"{{"name":"{name}","name":"{name}","arguments":{{}}}}"#),
        format!(r#"{{"name":"{name}","NAME":"x","arguments":{{}}}}"#),
        format!(r#"{{"name":"{name}","arguments":{{"a":1,"\u0061":2}}}}"#),
        format!(r#"{{"name":"{name}","arguments":{{"a":1,"A":2}}}}"#),
        format!(r#"{{"name":"{name}","arguments":{{"__proto__":{{}}}}}}"#),
        format!(r#"{{"name":["{name}"],"arguments":{{}}}}"#),
    ]
    .into_iter()
    .enumerate()
    {
        let id = 100 + number;
        client.raw(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#), &name);
        let reply = client.hears("a refusal", |it| it.get("error").is_some());
        assert!(reply["id"] == id || reply["id"].is_null(), "{reply}");
    }
    passed(&client.ask_tool("good", &json!({})));
    let calls = cell.server.all().split_off(before).into_iter().filter(|seen| seen.method() == "tools/call").count();
    assert_eq!(calls, 1);
}

pub fn an_answer_that_the_server_never_asked_for_goes_nowhere(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}})));
    let mut client = cell.client();
    client.answer(r#"{"jsonrpc":"2.0","id":4711,"result":{"roots":[]}}"#);
    passed(&client.ask_tool("good", &json!({})));
    cell.server.never("the answer", |seen| seen.message.get("result").is_some());
    // Over HTTP what names no session where a command has them is refused before it is read.
    let is_it = |line: &Value| match line["event"].as_str().unwrap_or_default() {
        "dropped" => line["from"] == "client" && line["what"] == "foreign reply",
        "refused" => cell.way.is_command() && cell.way.era == Era::Stateless,
        _ => false,
    };
    cell.logs("the drop", is_it);
}

pub fn a_question_of_the_server_is_answered_once(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"curious": {}})).script(|asked| {
        if !asked.seen.calls("curious") {
            return Act::Usual;
        }
        asked.say(&json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {}}));
        Act::Held
    });
    let cell = cell(&setup);
    let mut client = cell.client_with(&json!({"elicitation": {}}));
    let call = client.call("curious", &json!({}));
    let question = client.hears("the question", |it| it["method"] == "elicitation/create");
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}).to_string();
    client.answer(&answer);
    client.answer(&answer);
    let is_answer = |seen: &super::server::Seen| seen.message["id"] == "q" && seen.message.get("result").is_some();
    cell.server.sees("the answer", is_answer);
    cell.server.held("the call", |seen| seen.calls("curious")).answer(&json!({"content": []}));
    passed(&client.reply(call));
    passed(&client.ask("ping", &json!({})));
    assert_eq!(cell.server.count(is_answer), 1);
}

pub fn an_answer_that_cannot_be_read_is_an_error_at_once(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"odd": {}, "good": {}})).script(|asked| {
        if !asked.seen.calls("odd") {
            return Act::Usual;
        }
        let id = &asked.seen.message["id"];
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}},"result":{{"content":[1]}}}}"#);
        asked.finish_text(&text);
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    let reply = client.ask_tool("odd", &json!({}));
    assert!(reply.get("error").is_some(), "{reply}");
    passed(&client.ask_tool("good", &json!({})));
    assert_eq!(client.rest(), Vec::<Value>::new());
}

pub fn a_list_with_two_readings_is_never_shown(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"good": {}})).script(|asked| {
        if asked.seen.method() != "tools/list" {
            return Act::Usual;
        }
        let id = &asked.seen.message["id"];
        let list = r#"{"tools":[{"name":"good"}],"tools":[{"name":"hidden"}],"resultType":"complete"}"#;
        asked.finish_text(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{list}}}"#));
        Act::Said
    });
    let cell = cell(&setup);
    let reply = cell.client().ask("tools/list", &json!({}));
    // At the combined endpoint a server whose list cannot be read is left out.
    let is_left_out = cell.way.front == Front::Joint && reply["result"]["tools"] == json!([]);
    assert!(reply.get("error").is_some() || is_left_out, "{reply}");
}

/// An answer as it goes out, and a part of what the client is to hear of it.
type Broken = (&'static str, fn(&str) -> Vec<u8>, &'static str);

const BROKEN: [Broken; 10] = [
    (
        "utf8",
        |id| [format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"x":""#).as_bytes(), b"\xff\"}}"].concat(),
        "UTF-8",
    ),
    ("cut", |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":["#).into_bytes(), "too early"),
    (
        "syntax",
        |id| format!(r#"{{"jsonrpc":"2.0","result":{{"content":[01]}},"id":{id}}}"#).into_bytes(),
        "not valid JSON",
    ),
    (
        "deep",
        |id| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":{}{}}}}}"#, "[".repeat(300), "]".repeat(300))
                .into_bytes()
        },
        "nested deeper",
    ),
    (
        "mark",
        |id| format!("\u{feff}{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[]}}}}").into_bytes(),
        "byte order mark",
    ),
    ("batch", |id| format!(r#"[{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}}}}]"#).into_bytes(), "not valid"),
    ("version", |id| format!(r#"{{"id":{id},"result":{{"content":[]}}}}"#).into_bytes(), "jsonrpc"),
    (
        "nan",
        |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[],"x":NaN}}}}"#).into_bytes(),
        "a number that JSON does not have",
    ),
    // As a server writes an id that it holds as a double.
    ("double", |id| format!(r#"{{"jsonrpc":"2.0","id":{id}.0,"result":{{"content":[]}}}}"#).into_bytes(), "`id`"),
    (
        "twice",
        |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[]}},"id":{id}}}"#).into_bytes(),
        "two members",
    ),
];

pub fn whatever_an_answer_looks_like_there_is_one_reply_that_says_what_was_wrong(cell: &dyn Fn(&Setup) -> Cell) {
    let rules: serde_json::Map<String, Value> = BROKEN
        .iter()
        .map(|(name, ..)| ((*name).to_owned(), json!({})))
        .chain([("good".to_owned(), json!({}))])
        .collect();
    let setup = Setup::of(&Value::Object(rules)).script(|asked| {
        let Some((_, answer, _)) = BROKEN.iter().find(|(name, ..)| asked.seen.calls(name)) else { return Act::Usual };
        asked.finish_bytes(&answer(&asked.seen.message["id"].to_string()));
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    for (name, _, part) in BROKEN {
        let reply = client.ask_tool(name, &json!({}));
        let message = reply["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(part), "{name}: {reply}");
        cell.logs("the same sentence", |line| line["what"].as_str().is_some_and(|what| message.ends_with(what)));
        cell.says(&client, part);
    }
    passed(&client.ask_tool("good", &json!({})));
    assert_eq!(client.rest(), Vec::<Value>::new());
}

/// An error as a server writes it that could not tell what it was asked.
const UNNAMED: [&str; 2] = [
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"who asked?"}}"#,
    r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"who asked?"}}"#,
];

pub fn an_error_that_names_no_request_answers_the_only_one(cell: &dyn Fn(&Setup) -> Cell) {
    let rules = json!({"null": {"rate_limit": {"max": 1, "window": 31_622_400}}, "none": {}, "good": {}});
    let setup = Setup::of(&rules).script(|asked| {
        let Some(at) = ["null", "none"].iter().position(|name| asked.seen.calls(name)) else { return Act::Usual };
        asked.finish_text(UNNAMED[at]);
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    // Before that it could be the answer to the end of the handshake.
    passed(&client.ask_tool("good", &json!({})));
    for name in ["null", "none"] {
        let reply = client.ask_tool(name, &json!({}));
        assert!(reply["error"]["message"].as_str().is_some_and(|text| text.contains("who asked?")), "{name}: {reply}");
    }
    refusal(&client.ask_tool("null", &json!({})));
    passed(&client.ask_tool("good", &json!({})));
    assert_eq!(client.rest(), Vec::<Value>::new());
}

pub fn a_result_that_names_no_request_answers_the_only_one_with_an_error(cell: &dyn Fn(&Setup) -> Cell) {
    const NAMELESS: [&str; 4] = ["null", "[1]", "1.5", "{}"];
    let setup = Setup::of(
        &json!({"odd": {"limits": [{"counter": "odd", "window": "8784h", "max": 4, "scope": "grant"}]}, "good": {}}),
    )
    .script(|asked| {
        if !asked.seen.calls("odd") {
            return Act::Usual;
        }
        let at = asked.seen.message["params"]["arguments"]["at"].as_u64().unwrap() as usize;
        asked.finish_text(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[]}}}}"#, NAMELESS[at]));
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    // Before that it could be the answer to the end of the handshake.
    passed(&client.ask_tool("good", &json!({})));
    for at in 0..NAMELESS.len() {
        let reply = client.ask_tool("odd", &json!({"at": at}));
        let message = reply["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("names no request") || message.contains("`id`"), "{at}: {reply}");
    }
    refusal(&client.ask_tool("odd", &json!({"at": 0})));
    passed(&client.ask_tool("good", &json!({})));
    assert_eq!(client.rest(), Vec::<Value>::new());
}

pub fn a_server_that_answers_news_with_errors_works_all_the_same(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"slow": {}, "good": {}})).script(|asked| {
        if asked.seen.calls("slow") {
            return Act::Held;
        }
        if asked.seen.method().starts_with("notifications/") {
            asked.say_text(UNNAMED[0]);
            return Act::Said;
        }
        Act::Usual
    }));
    let mut client = cell.client();
    let slow = client.call("slow", &json!({}));
    let held = cell.server.held("the call", |seen| seen.calls("slow"));
    // It is the only request, and the error is not its answer.
    client.notify("notifications/progress", &json!({"progressToken": "none", "progress": 1}));
    cell.logs_nth(2, "both errors", |line| {
        line["event"] == "dropped" && line["what"].as_str().is_some_and(|what| what.contains("who asked?"))
    });
    held.answer(&json!({"content": [{"type": "text", "text": "slowly"}], "resultType": "complete"}));
    assert_eq!(client.reply(slow)["result"]["content"][0]["text"], "slowly");
    passed(&client.ask_tool("good", &json!({})));
    assert_eq!(client.rest(), Vec::<Value>::new());
}

pub fn an_error_that_could_be_for_either_of_two_requests_is_said_and_answers_none(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"one": {}, "two": {}, "good": {}})).holding(&["one", "two"]));
    let mut client = cell.client();
    let calls = ["one", "two"].map(|name| (client.call(name, &json!({})), name));
    let mut held = calls.map(|(_, name)| cell.server.held(name, |seen| seen.calls(name)));
    held[0].say_text(UNNAMED[0]);
    let what = "the server answered with an error that names no request -32700: who asked?";
    cell.logs("the error", |line| line["event"] == "dropped" && line["what"] == what);
    cell.says(&client, what);
    for (asked, (call, name)) in held.into_iter().zip(calls) {
        asked.answer(&json!({"content": [{"type": "text", "text": name}], "resultType": "complete"}));
        assert_eq!(client.reply(call)["result"]["content"][0]["text"], name);
    }
    assert_eq!(client.rest(), Vec::<Value>::new());
}

pub fn what_servers_read_otherwise_is_doubt(cell: &dyn Fn(&Setup) -> Cell) {
    let rule = |op: &str, path: &str, value: Value| json!({"require": [{"path": path, "op": op, "value": value}]});
    let refuse = |op: &str, path: &str, value: Value| json!({"deny_if": [{"path": path, "op": op, "value": value}]});
    let rules = json!({
        "equal": refuse("eq", "args.n", json!(12345)),
        "less": rule("lt", "args.n", json!(100)),
        "text": refuse("eq", "args.t", json!("secret")),
        "path": rule("path_within", "args.p", json!("/data")),
        "host": rule("host_in", "args.u", json!(["*.example.com"])),
        "schema": {"validate": "schema"},
    });
    let tools: Vec<Value> = rules
        .as_object()
        .unwrap()
        .keys()
        .map(|name| json!({"name": name, "inputSchema": {"type": "object", "properties": {"to": {"enum": ["me"]}}}}))
        .collect();
    let cell = cell(&Setup::of(&rules).listing(&tools.into()));
    let mut client = cell.client();
    assert_eq!(client.names().len(), 6);
    let meta = match cell.way.era {
        Era::Session => String::new(),
        Era::Stateless => format!(
            r#","_meta":{{"io.modelcontextprotocol/protocolVersion":"{}","io.modelcontextprotocol/clientInfo":{{"name":"t","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}"#,
            super::client::STATELESS
        ),
    };
    let call = |client: &mut super::client::Client, id: u64, tool: &str, arguments: &str| {
        let name = cell.way.tool(tool);
        client.raw(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{arguments}{meta}}}}}"#), &name);
        client.reply(id)
    };
    for (number, (tool, bad, good)) in [
        ("equal", r#"{"n":12345.00000000000000001}"#, r#"{"n":12346}"#),
        ("less", r#"{"n":99.99999999999999999999}"#, r#"{"n":99.99}"#),
        ("text", r#"{"t":"secret\u0000"}"#, r#"{"t":"other"}"#),
        ("path", "{\"p\":\"/data/\u{ff0e}\u{ff0e}/etc\"}", r#"{"p":"/data/x"}"#),
        ("path", r#"{"p":"/data/x\n"}"#, r#"{"p":"/data/y"}"#),
        ("host", r#"{"u":"http://127.0.0.2;.example.com/"}"#, r#"{"u":"http://a.example.com/"}"#),
        ("schema", r#"{"To":"you"}"#, r#"{"to":"me"}"#),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, before) = (500 + 2 * number as u64, cell.calls(tool));
        refusal(&call(&mut client, id, tool, bad));
        assert_eq!(cell.calls(tool), before, "{bad}");
        passed(&call(&mut client, id + 1, tool, good));
    }
}

pub fn the_rules_of_a_tool_hold_for_every_spelling_that_no_list_shows(cell: &dyn Fn(&Setup) -> Cell) {
    let policy = json!({"version": "1", "default": "allow", "tools": {"echo": {"action": "deny", "reason": "no"}}});
    let cell = cell(&Setup::policy(&policy).listing(&json!([super::way::tool("echo"), super::way::tool("other")])));
    let mut client = cell.client();
    for name in ["Echo", "echo ", "echo\u{200b}", "\u{ff45}cho", "e-cho", "%65cho"] {
        let reply = client.ask_tool(name, &json!({}));
        assert_eq!(reply["error"]["code"], -32602, "{name:?}: {reply}");
    }
    passed(&client.ask_tool("other", &json!({})));
    assert_eq!(cell.server.count(|seen| seen.method() == "tools/call"), 1);
}
