//! What a client is shown, and what its calls are held to because of it.

use super::server::Act;
use super::way::{Who, tool};
use super::{Cell, Era, Setup};
use crate::gateway::{open_beside, passed, refusal};
use serde_json::{Value, json};

pub fn every_page_lists_what_may_be_called_and_nothing_else(cell: &dyn Fn(&Setup) -> Cell) {
    let rules = json!({"a": {}, "b": {"deny_if": []}, "c": {"action": "deny", "reason": "no"}, "d": {}});
    let setup = Setup::of(&rules).script(|asked| {
        let page = match (asked.seen.method(), &asked.seen.message["params"]["cursor"]) {
            ("tools/list", Value::Null) => json!({"tools": [tool("z"), tool("a"), tool("c")], "nextCursor": "é 2"}),
            ("tools/list", _) => json!({"tools": [tool("y"), tool("d"), tool("b")]}),
            _ => return Act::Usual,
        };
        asked.reply(&page);
        Act::Said
    });
    let cell = cell(&setup);
    assert_eq!(cell.client().names(), ["a", "d", "b"]);
}

fn typed(kind: &str) -> Value {
    let properties = json!({"a": {"type": kind}});
    json!([{"name": "t", "inputSchema": {"type": "object", "properties": properties}}])
}

/// Two that see lists of their own: two sessions, or two grants where there are none.
fn viewers(cell: &Cell) -> (super::client::Client, super::client::Client) {
    match cell.way.era {
        Era::Session => (cell.client(), cell.client()),
        Era::Stateless => (cell.client(), cell.client_of(Who::Bob)),
    }
}

pub fn a_schema_that_is_loosened_for_another_viewer_is_not_loosened_for_this_one(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"t": {"validate": "schema"}})).listing(&typed("integer")).grants());
    let (mut one, mut two) = viewers(&cell);
    assert_eq!(one.names(), ["t"]);
    cell.server.set_tools(&typed("string"));
    assert_eq!(two.names(), ["t"]);
    passed(&two.ask_tool("t", &json!({"a": "x"})));
    refusal(&one.ask_tool("t", &json!({"a": "x"})));
    passed(&one.ask_tool("t", &json!({"a": 1})));
    assert_eq!(cell.calls("t"), 2);
}

pub fn a_schema_holds_as_it_was_last_shown(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"t": {"validate": "schema"}})).listing(&typed("integer")));
    let mut client = cell.client();
    assert_eq!(client.names(), ["t"]);
    passed(&client.ask_tool("t", &json!({"a": 1})));
    refusal(&client.ask_tool("t", &json!({"a": "x"})));
    cell.server.set_tools(&typed("string"));
    assert_eq!(client.names(), ["t"]);
    refusal(&client.ask_tool("t", &json!({"a": 1})));
    passed(&client.ask_tool("t", &json!({"a": "x"})));
}

pub fn a_schema_that_was_never_shown_is_asked_for(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"t": {"validate": "schema"}})).listing(&typed("integer")));
    let mut client = cell.client();
    refusal(&client.ask_tool("t", &json!({"a": "x"})));
    passed(&client.ask_tool("t", &json!({"a": 1})));
    // The gateway's own list is no message of the client's.
    assert_eq!(client.rest(), Vec::<Value>::new());
}

fn with(name: &str, member: &str, value: Value) -> Value {
    let mut definition = tool(name);
    definition[member] = value;
    definition
}

pub fn what_is_not_as_it_was_locked_is_neither_listed_nor_called(cell: &dyn Fn(&Setup) -> Cell) {
    let other = json!({"name": "work", "description": "Does other work.", "inputSchema": {"type": "object"}});
    let setup = Setup::policy(&json!({"version": "1", "default": "allow", "tools": {}}))
        .locked(&json!([tool("good"), tool("work"), tool("meta"), tool("odd"), tool("icon")]))
        .listing(&json!([
            tool("good"),
            other,
            tool("fresh"),
            with("meta", "_meta", json!({"note": "Obey."})),
            with("odd", "x-note", json!("Obey.")),
            with("icon", "icons", json!([{"src": "https://elsewhere.example/i"}]))
        ]));
    let cell = cell(&setup);
    let mut client = cell.client();
    passed(&client.ask_tool("good", &json!({})));
    for name in ["work", "fresh", "meta", "odd", "icon"] {
        let reply = client.ask_tool(name, &json!({}));
        refusal(&reply);
        assert_eq!(reply["result"]["_meta"]["io.github.mcpol/decision"]["rule"], "(tool changed)");
    }
    assert_eq!(client.names(), ["good"]);
    assert_eq!((cell.calls("work"), cell.calls("fresh")), (0, 0));
}

pub fn a_name_that_is_listed_twice_is_refused_whole(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::policy(&json!({"version": "1", "default": "allow", "tools": {}}))
        .locked(&json!([tool("good"), tool("work")]))
        .listing(&json!([tool("work"), tool("good"), tool("work")]));
    let cell = cell(&setup);
    let mut client = cell.client();
    assert_eq!(client.names(), ["good"]);
    let reply = client.ask_tool("work", &json!({}));
    // At the common endpoint a name that was not listed is none.
    let is_refused = reply["result"]["_meta"]["io.github.mcpol/decision"]["rule"] == "(tool changed)";
    assert!(is_refused || reply["error"]["code"] == -32602, "{reply}");
    passed(&client.ask_tool("good", &json!({})));
    assert_eq!(cell.calls("work"), 0);
}

pub fn missing_and_wrong_hints_are_filled_in_where_the_operator_wants_it(cell: &dyn Fn(&Setup) -> Cell) {
    let zones = json!({"name": "list_zones", "description": "List all time zones", "inputSchema": {"type": "object"}});
    let note = json!({"name": "delete_note", "description": "Delete a note", "inputSchema": {"type": "object"},
        "annotations": {"title": "Note", "readOnlyHint": true}});
    let tools = json!([zones, note, tool("frobnicator")]);
    let policy = json!({"version": "1", "default": "allow", "tools": {}});
    // The lock is of what the server says, and every call is held to it.
    let setup = Setup::policy(&policy).locked(&tools).listing(&tools).annotate("correct");
    let cell = cell(&setup);
    let mut client = cell.client();
    for _ in 0..2 {
        let listed = client.ask("tools/list", &json!({}));
        let of = |name: &str| {
            let mut tools = listed["result"]["tools"].as_array().into_iter().flatten();
            let tool = tools.find(|tool| tool["name"] == cell.way.tool(name));
            tool.unwrap_or_else(|| panic!("{name}: {listed}"))["annotations"].clone()
        };
        let read = json!({"readOnlyHint": true, "destructiveHint": false, "openWorldHint": false});
        let removal = json!({"title": "Note", "readOnlyHint": false, "destructiveHint": true, "idempotentHint": true,
            "openWorldHint": false});
        assert_eq!((of("list_zones"), of("delete_note"), of("frobnicator")), (read, removal, Value::Null), "{listed}");
    }
    passed(&client.ask_tool("delete_note", &json!({})));
    let told: Vec<_> = cell.log().into_iter().filter(|line| line["event"] == "hints_filled").collect();
    assert_eq!(told.len(), 2, "each once: {told:#?}");
    let words =
        "readOnlyHint: false (declared true), destructiveHint: true, idempotentHint: true, openWorldHint: false";
    assert!(told.iter().any(|line| line["tool"] == "delete_note" && line["hints"] == words), "{told:#?}");
}

pub fn what_is_offered_beside_tools_is_as_it_was_locked(cell: &dyn Fn(&Setup) -> Cell) {
    let resource = |uri: &str, text: &str| json!({"uri": uri, "name": "n", "description": text});
    let list = json!({"tools": [tool("good")], "resources": [resource("note://1", "One."), resource("note://2", "Two.")],
        "resourceTemplates": [{"name": "t", "uriTemplate": "file:///docs/{name}"}]});
    let setup = Setup::policy(&open_beside(json!({"good": {}}))).locked_list(&list).script(move |asked| {
        let uri = asked.seen.message["params"]["uri"].clone();
        let result = match asked.seen.method() {
            "resources/list" => json!({"resources": [resource("note://1", "One."), resource("note://2", "Obey."),
                resource("note://3", "Three.")], "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}),
            "resources/templates/list" => {
                json!({"resourceTemplates": [{"name": "t", "uriTemplate": "file:///docs/{name}"},
                {"name": "any", "uriTemplate": "file:///{+any}"}],
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private"})
            }
            "resources/read" => json!({"contents": [{"uri": uri, "text": "text"}], "resultType": "complete",
                "ttlMs": 0, "cacheScope": "private"}),
            _ => return Act::Usual,
        };
        asked.reply(&result);
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    let listed = client.ask("resources/list", &json!({}));
    let uris: Vec<_> = listed["result"]["resources"].as_array().unwrap().iter().map(|it| it["uri"].clone()).collect();
    assert_eq!(uris, ["note://1"], "neither what says something else nor what is new");
    let templates = client.ask("resources/templates/list", &json!({}));
    let kept = json!([{"name": "t", "uriTemplate": "file:///docs/{name}"}]);
    assert_eq!(templates["result"]["resourceTemplates"], kept, "{templates}");
    for (uri, is_read) in
        [("note://1", true), ("file:///docs/a", true), ("note://3", false), ("file:///etc/passwd", false)]
    {
        let read = client.ask("resources/read", &json!({"uri": uri}));
        assert_eq!(read["result"]["contents"].is_array(), is_read, "{uri}: {read}");
        assert_eq!(read["error"].is_object(), !is_read, "{uri}: {read}");
    }
}

pub fn a_task_is_asked_of_the_server_that_handed_it_out(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"long": {}})).script(|asked| {
        let task = json!({"taskId": "t-1", "status": "working", "createdAt": "2026-01-01T00:00:00Z",
            "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": null, "pollInterval": 1});
        let result = match asked.seen.method() {
            "tools/call" => json!({"task": task}),
            "tasks/get" => task,
            "tasks/result" => json!({"content": [{"type": "text", "text": "done at last"}]}),
            _ => return Act::Usual,
        };
        asked.reply(&result);
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    let begun = client.ask("tools/call", &json!({"name": cell.way.tool("long"), "arguments": {}, "task": {}}));
    let task = begun["result"]["task"]["taskId"].clone();
    assert!(task.is_string(), "{begun}");
    assert_eq!(client.ask("tasks/get", &json!({"taskId": task}))["result"]["status"], "working");
    let result = client.ask("tasks/result", &json!({"taskId": task}));
    assert_eq!(result["result"]["content"][0]["text"], "done at last", "{result}");
    assert_eq!(cell.calls("long"), 1);
}
