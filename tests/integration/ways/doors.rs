//! Doors beside `tools/call`: what a policy does not open stays shut on every way, and each decision has its line.

use super::client::Client;
use super::server::{Act, Seen};
use super::way::{Who, tool};
use super::{Back, Cell, Era, Front, Setup};
use crate::gateway::passed;
use serde_json::{Value, json};

/// A server that offers resources, a template and prompts, and answers whatever it is asked.
fn offering(setup: Setup) -> Setup {
    setup.script(|asked| {
        let result = match asked.seen.method() {
            "resources/list" => json!({"resources": [{"uri": "note://1", "name": "a"}, {"uri": "note://2", "name": "b"},
                {"uri": "ui://app", "name": "c"}, {"uri": "ui://other", "name": "d"}]}),
            "resources/templates/list" => json!({"resourceTemplates": [
                {"name": "docs", "uriTemplate": "file:///docs/{name}"}, {"name": "any", "uriTemplate": "file:///{+path}"}]}),
            "resources/read" => json!({"contents": [{"uri": asked.seen.message["params"]["uri"], "text": "read"}]}),
            "prompts/list" => json!({"prompts": [{"name": "good"}, {"name": "bad"}]}),
            "prompts/get" => json!({"messages": [{"role": "user", "content": {"type": "text", "text": "do"}}]}),
            "completion/complete" => json!({"completion": {"values": ["x"]}}),
            "resources/subscribe" => json!({}),
            _ => return Act::Usual,
        };
        let mut result = result;
        for (name, value) in [("resultType", json!("complete")), ("ttlMs", json!(60_000)), ("cacheScope", json!("public"))] {
            result[name] = value;
        }
        asked.reply(&result);
        Act::Said
    })
}

/// The server's own name of a prompt as the client knows it.
fn prompt(cell: &Cell, name: &str) -> String {
    cell.way.tool(name)
}

#[track_caller]
fn is_error(reply: &Value) {
    assert!(reply["error"].is_object() && reply.get("result").is_none(), "{reply}");
}

/// The line about a decision on a message.
#[track_caller]
fn decided(cell: &Cell, verdict: &str, method: &str, name: Option<&str>) -> Value {
    cell.logs(&format!("{verdict} of {method} {name:?}"), |line| {
        line["event"] == "decision"
            && line["verdict"] == verdict
            && line["method"] == method
            && name.is_none_or(|name| line["name"] == name)
    })
}

pub fn what_a_policy_does_not_name_is_shut_beside_tools_too(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&offering(Setup::of(&json!({"work": {}}))));
    let mut client = cell.client();
    is_error(&client.ask("resources/read", &json!({"uri": "note://1"})));
    let name = prompt(&cell, "good");
    is_error(&client.ask("prompts/get", &json!({"name": name})));
    is_error(&client.ask(
        "completion/complete",
        &json!({"ref": {"type": "ref/prompt", "name": name},
        "argument": {"name": "a", "value": ""}}),
    ));
    for list in ["resources/list", "resources/templates/list", "prompts/list"] {
        let listed = client.ask(list, &json!({}));
        let entries: usize =
            listed["result"].as_object().unwrap().values().filter_map(Value::as_array).map(Vec::len).sum();
        assert_eq!(entries, 0, "{list}: {listed}");
    }
    passed(&client.ask_tool("work", &json!({})));
    for method in ["resources/read", "prompts/get", "completion/complete"] {
        cell.server.never("what is not allowed", |seen| seen.method() == method);
    }
    let line = decided(&cell, "deny", "resources/read", Some("note://1"));
    assert_eq!(line["code"], "not_listed", "{line}");
    if cell.way.front != Front::Joint {
        // There neither is found in what the servers list.
        assert_eq!((&line["rule"], &line["server"]), (&json!("(default deny)"), &json!("one")), "{line}");
        decided(&cell, "deny", "completion/complete", Some("good"));
    }
    // Where the name says whose it is, it is its server's.
    let line = decided(&cell, "deny", "prompts/get", Some("good"));
    assert_eq!((&line["rule"], &line["server"]), (&json!("(default deny)"), &json!("one")), "{line}");
}

pub fn what_no_server_has_is_logged_as_refused(cell: &dyn Fn(&Setup) -> Cell) {
    let policy = json!({"version": "1", "default": "deny", "tools": {"work": {}}});
    let cell = cell(&Setup::policy(&policy));
    let mut client = cell.client();
    is_error(&client.ask("tools/call", &json!({"name": "three__work", "arguments": {}})));
    is_error(&client.ask("prompts/get", &json!({"name": "three__p"})));
    is_error(&client.ask("resources/subscribe", &json!({"uri": "note://user:secret@x/?key=secret"})));
    cell.logs("the tool", |line| line["tool"] == "three__work" && line["verdict"] == "deny");
    decided(&cell, "deny", "prompts/get", Some("three__p"));
    decided(&cell, "deny", "resources/subscribe", Some("note://x/"));
    for name in cell.log() {
        assert!(!name.to_string().contains("secret"), "{name}");
    }
}

pub fn a_list_beside_tools_holds_what_may_be_taken_and_nothing_else(cell: &dyn Fn(&Setup) -> Cell) {
    let policy = json!({"version": "1", "default": "deny", "tools": {"work": {}, "hidden": {"action": "hide"}},
        "resources": {"allow": ["note://1", "file:///docs/*"], "hide": ["file:///docs/secret/*"]},
        "prompts": {"allow": ["good"]}});
    let mut with_interface = tool("work");
    with_interface["_meta"] = json!({"ui": {"resourceUri": "ui://app"}});
    let mut hidden = tool("hidden");
    hidden["_meta"] = json!({"ui/resourceUri": "ui://other"});
    let cell = cell(&offering(Setup::policy(&policy).listing(&json!([with_interface, hidden]))));
    let mut client = cell.client();
    assert_eq!(client.names(), ["work"]);
    let keys = |client: &mut super::client::Client, method: &str, list: &str, key: &str| -> Vec<String> {
        let listed = client.ask(method, &json!({}));
        let entries = listed["result"][list].as_array().unwrap_or_else(|| panic!("{listed}")).clone();
        entries.iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&mut client, "resources/list", "resources", "uri"), ["note://1", "ui://app"]);
    assert_eq!(
        keys(&mut client, "resources/templates/list", "resourceTemplates", "uriTemplate"),
        ["file:///docs/{name}"]
    );
    if cell.way.front != Front::Joint {
        // There the server must declare prompts to be asked for them.
        assert_eq!(keys(&mut client, "prompts/list", "prompts", "name"), [prompt(&cell, "good")]);
    }
    for (uri, is_read) in [
        ("note://1", true),
        ("file:///docs/a", true),
        ("file:///docs/b/../a", true),
        ("ui://app", true),
        ("note://2", false),
        ("ui://other", false),
        ("file:///docs/../etc/passwd", false),
        ("file:///docs/%2e%2e/etc/passwd", false),
        ("file:///docs/..%2fetc/passwd", false),
        ("file:///docs/secret/a", false),
        ("file:///docs/SECRET/a", false),
    ] {
        let read = client.ask("resources/read", &json!({"uri": uri}));
        assert_eq!(read["result"]["contents"].is_array(), is_read, "{uri}: {read}");
        let is_it = |seen: &Seen| seen.method() == "resources/read" && seen.message["params"]["uri"] == uri;
        assert_eq!(cell.server.count(is_it), usize::from(is_read), "{uri}");
    }
    decided(&cell, "allow", "resources/read", Some("file:///docs/a"));
    decided(&cell, "deny", "resources/read", Some("note://2"));
    for (name, is_taken) in [("good", true), ("bad", false), ("Good", false)] {
        let got = client.ask("prompts/get", &json!({"name": prompt(&cell, name)}));
        assert_eq!(got["result"]["messages"].is_array(), is_taken, "{name}: {got}");
    }
    for (reference, is_completed) in [
        (json!({"type": "ref/prompt", "name": prompt(&cell, "good")}), true),
        (json!({"type": "ref/prompt", "name": prompt(&cell, "bad")}), false),
        (json!({"type": "ref/resource", "uri": "file:///docs/{name}"}), true),
        (json!({"type": "ref/resource", "uri": "file:///{+path}"}), false),
    ] {
        let params = json!({"ref": reference, "argument": {"name": "name", "value": ""}});
        let completed = client.ask("completion/complete", &params);
        assert_eq!(completed["result"]["completion"].is_object(), is_completed, "{params}: {completed}");
    }
    if cell.way.era == Era::Session {
        for (uri, is_told) in [("note://1", true), ("note://2", false)] {
            let told = client.ask("resources/subscribe", &json!({"uri": uri}));
            assert_eq!(told["result"].is_object(), is_told, "{uri}: {told}");
        }
    }
}

pub fn a_method_that_no_revision_knows_never_passes_but_by_its_exact_name(cell: &dyn Fn(&Setup) -> Cell) {
    let policy = json!({"version": "1", "default": "deny", "tools": {"work": {}},
        "unknown_methods": ["acme/search", "notifications/acme"]});
    let cell = cell(&Setup::policy(&policy).script(|asked| {
        if asked.seen.method() != "acme/search" {
            return Act::Usual;
        }
        asked.reply(&json!({"found": true}));
        Act::Said
    }));
    let mut client = cell.client();
    let call = json!({"name": cell.way.tool("work"), "arguments": {}});
    let strange = ["tools/call2", "callTool", "tools//call", "tools%2Fcall", "tools／call", "acme/Search", "x"];
    for method in strange {
        let reply = client.ask(method, &call);
        is_error(&reply);
        cell.server.never("a strange request", |seen| seen.method() == method);
    }
    for method in ["notifications/strange", "resources/subscribe", "tools/list", "notifications//cancelled"] {
        client.notify(method, &json!({"uri": "note://1", "requestId": 1}));
    }
    client.notify("notifications/acme", &json!({"x": 1}));
    // The endpoint over all servers cannot tell whose a request is that it does not know.
    if cell.way.front != Front::Joint {
        assert_eq!(client.ask("acme/search", &json!({}))["result"]["found"], true);
        decided(&cell, "allow", "acme/search", None);
    }
    let line = decided(&cell, "deny", "tools//call", None);
    assert_eq!((&line["rule"], &line["code"]), (&json!("(unknown method)"), &json!("method_unknown")), "{line}");
    passed(&client.ask_tool("work", &json!({})));
    for method in ["notifications/strange", "resources/subscribe", "notifications//cancelled"] {
        cell.server.never("strange news", |seen| seen.method() == method);
    }
    // News without a session is not taken where servers have sessions.
    if cell.way.era == Era::Session
        || cell.way.front == Front::Stdio
        || cell.way.back == Back::Url && cell.way.front == Front::Http
    {
        decided(&cell, "deny", "notifications/strange", None);
        cell.server.sees("news of its own", |seen| seen.method() == "notifications/acme");
    }
}

/// A server that asks its client this while it works, and says in its result what it heard.
fn asking(setup: Setup, method: &'static str) -> Setup {
    setup.script(move |asked| {
        if asked.seen.message.get("method").is_none() {
            // The client's answer, or the gateway's.
            return Act::Usual;
        }
        if !asked.seen.calls("work") {
            return Act::Usual;
        }
        asked.say(&json!({"jsonrpc": "2.0", "id": "q-1", "method": method, "params": {}}));
        Act::Held
    })
}

/// What the server hears in answer to its question, and whether the client was asked. The client's own answer is
/// `{"roots": [], "of": "client"}`.
fn asked_of_client(cell: &Cell, method: &str) -> (Value, bool) {
    let mut client = cell.client_with(&json!({"roots": {}, "sampling": {}, "elicitation": {}}));
    let call = client.call("work", &json!({}));
    let held = cell.server.held("the call", |seen| seen.calls("work"));
    let is_answer = |seen: &super::server::Seen| seen.message["id"] == "q-1" && seen.message.get("method").is_none();
    let is_asked =
        decided_either(cell, method) == "allow" && !cell.log().iter().any(|line| line["rule"] == "(operator's roots)");
    if is_asked {
        let question = client.hears("the question", |it| it["method"] == method);
        let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": [], "of": "client"}});
        client.answer(&answer.to_string());
    }
    let answer = cell.server.sees("an answer", is_answer).message;
    held.answer(&json!({"content": [], "resultType": "complete"}));
    passed(&client.reply(call));
    (answer, is_asked)
}

fn decided_either(cell: &Cell, method: &str) -> String {
    let line = cell.logs("a decision", |line| line["event"] == "decision" && line["method"] == method);
    line["verdict"].as_str().unwrap().to_owned()
}

pub fn a_server_asks_its_client_what_the_policy_lets_it(cell: &dyn Fn(&Setup) -> Cell) {
    for (client, method, expected) in [
        (json!({}), "sampling/createMessage", false),
        (json!({"sampling": "allow"}), "sampling/createMessage", true),
        (json!({}), "elicitation/create", true),
        (json!({"elicitation": "deny"}), "elicitation/create", false),
        (json!({"roots": "allow"}), "roots/list", true),
        (json!({"roots": "deny"}), "roots/list", false),
    ] {
        let policy = json!({"version": "1", "default": "deny", "tools": {"work": {}}, "client": client});
        let cell = cell(&asking(Setup::policy(&policy), method));
        let (answer, is_asked) = asked_of_client(&cell, method);
        assert_eq!(is_asked, expected, "{method} {policy}: {answer}");
        assert_eq!(answer["error"].is_object(), !expected, "{method} {policy}: {answer}");
    }
}

pub fn over_http_the_folders_of_a_server_are_the_operators(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&asking(Setup::of(&json!({"work": {}})), "roots/list"));
    let (answer, is_asked) = asked_of_client(&cell, "roots/list");
    assert_eq!(is_asked, cell.way.front == Front::Stdio, "{answer}");
    let of_operator = json!({"roots": [{"uri": "file:///srv/of-operator"}]});
    let expected = if is_asked { json!({"roots": [], "of": "client"}) } else { of_operator };
    assert_eq!(answer["result"], expected);
}

pub fn a_result_asks_the_client_for_what_the_policy_lets_it(cell: &dyn Fn(&Setup) -> Cell) {
    for (client, method, is_asked) in [
        (json!({}), "sampling/createMessage", false),
        (json!({"sampling": "allow"}), "sampling/createMessage", true),
        (json!({"elicitation": "deny"}), "elicitation/create", false),
        (json!({}), "elicitation/create", true),
        (json!({"roots": "allow"}), "roots/list", true),
        (json!({"roots": "deny"}), "roots/list", false),
    ] {
        let policy = json!({"version": "1", "default": "deny", "tools": {"work": {}}, "client": client});
        let cell = cell(&Setup::policy(&policy).script(move |asked| {
            if !asked.seen.calls("work") {
                return Act::Usual;
            }
            let requests = json!({"q": {"method": method, "params": {}}});
            asked.reply(&json!({"resultType": "input_required", "inputRequests": requests, "requestState": "s"}));
            Act::Said
        }));
        let mut client = cell.client();
        let reply = client.ask_tool("work", &json!({}));
        assert_eq!(reply["result"]["inputRequests"].is_object(), is_asked, "{method}: {reply}");
        assert_eq!(reply["error"].is_object(), !is_asked, "{method}: {reply}");
        assert_eq!(decided_either(&cell, method), if is_asked { "allow" } else { "deny" });
    }
}

pub fn nothing_is_asked_of_a_client_within_something_else(cell: &dyn Fn(&Setup) -> Cell) {
    let asks =
        |method: &str| json!({"q": {"method": method, "params": {"messages": [], "message": "", "mode": "url"}}});
    let result = move |case: &str| {
        let sampling = asks("sampling/createMessage");
        match case {
            "flat" => json!({"resultType": "input_required", "inputRequests": sampling}),
            "task" => json!({"task": {"taskId": "t", "status": "input_required", "inputRequests": sampling}}),
            "other case" => json!({"Task": {"taskId": "t", "inputrequests": sampling}}),
            "prototype" => json!({"content": [], "__proto__": {"inputRequests": sampling}}),
            "prototype of a task" => json!({"task": {"taskId": "t", "__proto__": {"inputRequests": sampling}}}),
            _ => json!({"content": [], "resultType": "complete"}),
        }
    };
    let setup = Setup::policy(
        &json!({"version": "1", "default": "deny", "client": {"elicitation": "allow"}, "tools": {"work": {}}}),
    );
    let cell = cell(&setup.script(move |asked| {
        if !asked.seen.calls("work") {
            return Act::Usual;
        }
        let case = asked.seen.message["params"]["arguments"]["case"].as_str().unwrap().to_owned();
        let news = |method: &str| {
            let params = json!({"taskId": "t", "status": "input_required", "inputRequests": asks(method)});
            json!({"jsonrpc": "2.0", "method": "notifications/tasks", "params": params})
        };
        match case.as_str() {
            "begin" => asked.reply(&json!({"resultType": "task", "taskId": "t", "task": {"taskId": "t", "status": "working"}})),
            "news" => {
                let within = json!({"jsonrpc": "2.0", "method": "notifications/tasks",
                    "params": {"taskId": "t", "task": {"taskId": "t", "inputRequests": asks("sampling/createMessage")}}});
                for message in [news("sampling/createMessage"), within, news("elicitation/create")] {
                    asked.say(&message);
                }
                asked.reply(&result(""));
            }
            case => asked.reply(&result(case)),
        }
        Act::Said
    }));
    let mut client = cell.client();
    let begun = client.ask_tool("work", &json!({"case": "begin"}));
    assert!(begun.get("result").is_some(), "{begun}");
    for case in ["flat", "task", "other case", "prototype", "prototype of a task"] {
        let reply = client.ask_tool("work", &json!({"case": case}));
        assert!(reply.get("error").is_some() && !reply.to_string().contains("createMessage\""), "{case}: {reply}");
    }
    passed(&client.ask_tool("work", &json!({"case": "news"})));
    // What the policy allows is heard, and it was the last that was said.
    client.hears("what may be asked", |message| message.to_string().contains("elicitation/create"));
    let rest = client.rest();
    assert!(!rest.iter().any(|message| message.to_string().contains("sampling")), "{rest:?}");
    decided(&cell, "deny", "notifications/tasks", Some("sampling/createMessage"));
    decided(&cell, "allow", "notifications/tasks", Some("elicitation/create"));
}

pub fn a_client_hears_no_news_of_what_it_may_not_take(cell: &dyn Fn(&Setup) -> Cell) {
    let news = [
        ("notifications/resources/updated", json!({"uri": "note://2"})),
        ("notifications/resources/updated", json!({"uri": "NOTE://1/../2"})),
        ("notifications/resources/updated", json!({})),
        ("notifications/resources/list_changed", json!({})),
        ("notifications/prompts/list_changed", json!({})),
        ("notifications/elicitation/complete", json!({"elicitationId": "e"})),
        ("notifications/resources/updated", json!({"uri": "note://1"})),
    ];
    let part = json!({"resources": {"allow": ["note://1"]}, "client": {"elicitation": "deny"}});
    let none = json!({"client": {"elicitation": "deny"}});
    let all = json!({"resources": "allow", "prompts": "allow"});
    for (beside, heard) in [(part, vec![3, 6]), (none, vec![]), (all, vec![0, 1, 2, 3, 4, 5, 6])] {
        let mut policy = json!({"version": "1", "default": "deny", "tools": {"work": {}}});
        policy.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        let said = news.clone();
        let cell = cell(&Setup::policy(&policy).script(move |asked| {
            if asked.seen.calls("work") {
                for (method, params) in &said {
                    asked.say(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
                }
            }
            Act::Usual
        }));
        let mut client = cell.client();
        // No tool has an interface, which would be a resource.
        assert_eq!(client.names(), ["work"]);
        passed(&client.ask_tool("work", &json!({})));
        let told: Vec<(String, Value)> = client
            .rest()
            .into_iter()
            .map(|it| (it["method"].as_str().unwrap_or_default().to_owned(), it["params"].clone()))
            .collect();
        let expected: Vec<(String, Value)> =
            heard.iter().map(|at: &usize| (news[*at].0.to_owned(), news[*at].1.clone())).collect();
        assert_eq!(told, expected, "{policy}");
        if heard.is_empty() {
            decided(&cell, "deny", "notifications/resources/list_changed", None);
            decided(&cell, "deny", "notifications/resources/updated", Some("note://2"));
        }
    }
}

pub fn an_error_asks_the_client_for_what_the_policy_lets_it(cell: &dyn Fn(&Setup) -> Cell) {
    let asking = |status: &'static str| {
        move |asked: &mut super::server::Asked| {
            if !asked.seen.calls("work") {
                return Act::Usual;
            }
            let wanted =
                json!([{"mode": "url", "elicitationId": "e", "url": "https://elsewhere.example/", "message": "go"}]);
            let error = json!({"code": -32042, "message": "open it", "data": {"elicitations": wanted}});
            let reply = json!({"jsonrpc": "2.0", "id": asked.seen.message["id"], "error": error}).to_string();
            if status == "200 OK" || asked.seen.head.is_empty() {
                asked.finish_text(&reply);
            } else {
                asked.respond(status, &["Content-Type: application/json"], &reply);
            }
            Act::Said
        }
    };
    for (client, is_asked) in [(json!({}), true), (json!({"elicitation": "deny"}), false)] {
        for status in ["200 OK", "400 Bad Request"] {
            let policy = json!({"version": "1", "default": "deny", "tools": {"work": {}}, "client": client});
            let cell = cell(&Setup::policy(&policy).script(asking(status)));
            let mut client = cell.client();
            let reply = client.ask_tool("work", &json!({}));
            assert!(reply["error"].is_object(), "{reply}");
            assert_eq!(reply.to_string().contains("elsewhere"), is_asked, "{status}: {reply}");
            assert_eq!(decided_either(&cell, "elicitation/create"), if is_asked { "allow" } else { "deny" });
        }
    }
}

pub fn what_names_its_matter_in_two_ways_is_refused(cell: &dyn Fn(&Setup) -> Cell) {
    // All is allowed but for what is hidden, so that only the doubt speaks against it.
    let policy = json!({"version": "1", "default": "allow", "tools": {}, "resources": {"hide": ["note://2"]}});
    let cell = cell(&offering(Setup::policy(&policy)));
    let mut client = cell.client();
    let argument = json!({"name": "a", "value": ""});
    let open = json!({"type": "ref/resource", "uri": "note://1"});
    let hidden = json!({"type": "ref/resource", "uri": "note://2"});
    for (method, params) in [
        ("resources/read", json!({"uri": ["note://2"]})),
        ("resources/read", json!({})),
        ("prompts/get", json!({"name": {"name": "bad"}})),
        ("completion/complete", json!({"ref": open, "Ref": hidden, "argument": argument})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/resource", "uri": "note://1", "URI": "note://2"}, "argument": argument}),
        ),
        ("completion/complete", json!({"ref": {"type": "ref/resource"}, "argument": argument})),
        ("subscriptions/listen", json!({"notifications": {"ResourceSubscriptions": ["note://2"]}})),
        ("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": "note://2"}})),
        ("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": {"note://2": true}}})),
        ("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": [["note://2"]]}})),
        ("subscriptions/listen", json!({"notifications": {"other": ["note://2"]}})),
        ("subscriptions/listen", json!({"notifications": ["note://2"]})),
        (
            "subscriptions/listen",
            json!({"notifications": {}, "Notifications": {"resourceSubscriptions": ["note://2"]}}),
        ),
    ] {
        let id = client.request(method, &params);
        let reply = client.hears("a refusal", |it| it.get("error").is_some());
        assert!(reply["id"] == id || reply["id"].is_null(), "{method} {params}: {reply}");
        cell.server.never("what is in doubt", |seen| seen.method() == method);
    }
    passed(&client.ask_tool("work", &json!({})));
}

pub fn nothing_is_asked_of_a_client_that_cannot_be_logged(cell: &dyn Fn(&Setup) -> Cell) {
    let policy = json!({"version": "1", "default": "deny", "client": {"sampling": "allow"}});
    // No rule speaks of a ping, so that nothing of it is logged on its way there.
    let setup = Setup::policy(&policy).audit("/dev/full").script(|asked| {
        if asked.seen.method() != "ping" {
            return Act::Usual;
        }
        let requests = json!({"q": {"method": "sampling/createMessage", "params": {}}});
        asked.reply(&json!({"resultType": "input_required", "inputRequests": requests, "requestState": "s"}));
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    let reply = client.ask("ping", &json!({}));
    assert!(reply["error"]["message"].as_str().is_some_and(|text| text.contains("cannot be logged")), "{reply}");
    cell.says(&client, "cannot write the audit log");
}

pub fn a_client_cannot_bring_folders_that_nobody_asked_for(cell: &dyn Fn(&Setup) -> Cell) {
    let policy = json!({"version": "1", "default": "deny", "tools": {"work": {}}, "client": {"roots": "deny"},
        "prompts": "allow"});
    let cell = cell(&offering(Setup::policy(&policy)));
    let mut client = cell.client();
    let brought = json!({"q": {"roots": [{"uri": "file:///"}]}});
    for params in [
        json!({"name": cell.way.tool("work"), "arguments": {}, "inputResponses": brought}),
        json!({"name": cell.way.tool("work"), "arguments": {}, "inputResponses": {"q": {"Roots": []}}}),
    ] {
        let reply = client.ask("tools/call", &params);
        assert_eq!(reply["result"]["isError"], true, "{reply}");
    }
    is_error(&client.ask("prompts/get", &json!({"name": prompt(&cell, "good"), "inputResponses": brought})));
    client.notify("notifications/roots/list_changed", &json!({}));
    passed(&client.ask_tool("work", &json!({})));
    assert_eq!(cell.calls("work"), 1);
    cell.server.never("roots", |seen| seen.message["params"].get("inputResponses").is_some());
    cell.server.never("news of roots", |seen| seen.method() == "notifications/roots/list_changed");
}

pub fn a_task_is_its_grants(cell: &dyn Fn(&Setup) -> Cell) {
    let task = |id: &str| {
        json!({"taskId": id, "status": "working", "createdAt": "2026-01-01T00:00:00Z",
        "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttl": null})
    };
    let setup = Setup::of(&json!({"long": {}})).grants().script(move |asked| {
        let result = match asked.seen.method() {
            "tools/call" => json!({"task": task(asked.seen.message["params"]["arguments"]["id"].as_str().unwrap())}),
            "tasks/list" => json!({"tasks": [task("t-alice"), task("t-bob")]}),
            "tasks/get" | "tasks/cancel" => task(asked.seen.message["params"]["taskId"].as_str().unwrap()),
            "tasks/result" => json!({"content": [{"type": "text", "text": "done"}]}),
            _ => return Act::Usual,
        };
        asked.reply(&result);
        Act::Said
    });
    let mut cell = cell(&setup);
    let (mut alice, mut bob) = (cell.client_of(Who::Alice), cell.client_of(Who::Bob));
    for (client, id) in [(&mut alice, "t-alice"), (&mut bob, "t-bob")] {
        let params = json!({"name": cell.way.tool("long"), "arguments": {"id": id}, "task": {}});
        let begun = client.ask("tools/call", &params);
        assert_eq!(begun["result"]["task"]["taskId"], id, "{begun}");
    }
    tasks_are_kept_apart(&cell, alice, bob);
    // Who was the gateway then does not matter: the grants and the server are the same.
    cell.another_gateway();
    let (alice, bob) = (cell.client_of(Who::Alice), cell.client_of(Who::Bob));
    tasks_are_kept_apart(&cell, alice, bob);
}

/// Each of two grants has a task.
fn tasks_are_kept_apart(cell: &Cell, mut alice: Client, mut bob: Client) {
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let own = alice.ask(method, &json!({"taskId": "t-alice"}));
        assert!(own["result"].is_object(), "{method}: {own}");
        let is_it = |seen: &Seen| seen.method() == method;
        let before = cell.server.count(is_it);
        is_error(&bob.ask(method, &json!({"taskId": "t-alice"})));
        is_error(&bob.ask(method, &json!({"taskId": "t-never"})));
        assert_eq!(cell.server.count(is_it), before, "{method}");
    }
    if cell.way.front == Front::Joint {
        // Its list has those of servers that declare tasks.
        return;
    }
    let listed = bob.ask("tasks/list", &json!({}));
    let ids: Vec<_> = listed["result"]["tasks"].as_array().unwrap().iter().map(|it| it["taskId"].clone()).collect();
    assert_eq!(ids, ["t-bob"], "{listed}");
}
