//! What is particular to a server behind a URL: redirects, content types, headers, proxies.

use super::server::{Act, Server};
use super::way::{ITSELF, Who};
use super::{Cell, Era, Front, Setup};
use crate::gateway::http::header;
use crate::gateway::{passed, refusal};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub fn a_redirect_within_the_origin_is_followed_while_connecting(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"good": {}})).script(|asked| {
        if asked.seen.path() != "/mcp" {
            return Act::Usual;
        }
        asked.respond("307 Temporary Redirect", &["Location: /moved"], "");
        Act::Said
    });
    let cell = cell(&setup);
    passed(&cell.client().ask_tool("good", &json!({})));
    assert_eq!((cell.calls("good"), cell.server.sees("it", |seen| seen.calls("good")).path()), (1, "/moved"));
}

pub fn a_call_is_never_sent_again_for_a_redirect(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"good": {}})).script(|asked| {
        if !asked.seen.calls("good") {
            return Act::Usual;
        }
        asked.respond("308 Permanent Redirect", &["Location: /moved-for-good"], "");
        Act::Said
    });
    let cell = cell(&setup);
    let reply = cell.client().ask_tool("good", &json!({}));
    assert!(reply["error"]["message"].as_str().unwrap_or_default().contains("/moved-for-good"), "{reply}");
    cell.server.sees("the call", |seen| seen.calls("good"));
    assert_eq!(cell.calls("good"), 1);
}

pub fn nobody_is_led_to_another_origin(cell: &dyn Fn(&Setup) -> Cell) {
    let elsewhere = Server::start(&json!([]), Arc::new(|_| Act::Usual), Duration::from_secs(1));
    let target = elsewhere.url.clone();
    let setup = Setup::of(&json!({"good": {}})).script(move |asked| {
        if asked.seen.message == Value::Null {
            return Act::Usual;
        }
        asked.respond("307 Temporary Redirect", &[&format!("Location: {target}")], "");
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.stranger();
    let reply = match (cell.way.front, cell.way.era) {
        (Front::Stdio | Front::Http, Era::Session) => client.ask("initialize", &client.greeting()),
        (Front::Stdio | Front::Http, Era::Stateless) => client.ask_tool("good", &json!({})),
        // The other server is there.
        (Front::Joint, _) => {
            client.greet();
            client.ask_tool("good", &json!({}))
        }
    };
    assert!(reply.get("error").is_some(), "{reply}");
    assert_eq!(elsewhere.all().len(), 0);
}

pub fn every_json_is_json(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"good": {}})).script(|asked| {
        if !asked.seen.calls("good") {
            return Act::Usual;
        }
        let result = json!({"content": [], "resultType": "complete"});
        let reply = json!({"jsonrpc": "2.0", "id": asked.seen.message["id"], "result": result});
        asked.respond("200 OK", &["Content-Type: application/vnd.scripted+json; charset=utf-8"], &reply.to_string());
        Act::Said
    });
    let cell = cell(&setup);
    let reply = cell.client().ask_tool("good", &json!({}));
    assert_eq!(reply["result"]["content"], json!([]), "{reply}");
}

pub fn a_name_that_no_header_can_hold_is_encoded(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"gr\u{fc}n": {}})));
    let mut client = cell.client();
    let name = client.listed_name();
    passed(&client.ask("tools/call", &json!({"name": name, "arguments": {}})));
    let seen = cell.server.sees("the call", |seen| seen.calls("gr\u{fc}n"));
    assert_eq!(header(&seen.head, "mcp-name"), Some("=?base64?Z3LDvG4=?="), "{}", seen.head);
}

pub fn a_session_that_the_server_has_lost_begins_anew_and_no_call_is_sent_twice(cell: &dyn Fn(&Setup) -> Cell) {
    let lost = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: no valid session"}}"#;
    let (sessions, forgotten) = (Arc::new(Mutex::new(BTreeSet::new())), Arc::new(Mutex::new(0)));
    let (known, times) = (Arc::clone(&sessions), Arc::clone(&forgotten));
    let setup = Setup::of(&json!({"good": {}})).script(move |asked| {
        let (Some(session), false) = (header(&asked.seen.head, "mcp-session-id"), asked.seen.is_end) else {
            return Act::Usual;
        };
        let (mut known, mut times) = (known.lock().unwrap(), times.lock().unwrap());
        let number = asked.seen.message["params"]["arguments"]["number"].as_u64();
        if *times < 2 && number == Some(*times + 1) {
            known.insert(session.to_owned());
            *times += 1;
        }
        if !known.contains(session) {
            return Act::Usual;
        }
        // Servers say it in two ways.
        let status = if *times == 1 { "404 Not Found" } else { "400 Bad Request" };
        asked.respond(status, &["Content-Type: application/json"], lost);
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    for number in [1, 1, 2, 2] {
        let reply = client.ask_tool("good", &json!({"number": number}));
        if reply.get("result").is_none() {
            // Judged and counted once, a call is not sent once more.
            assert!(reply["error"]["message"].as_str().unwrap_or_default().contains("a new one has begun"), "{reply}");
        }
    }
    passed(&client.ask_tool("good", &json!({})));
    assert_eq!((*forgotten.lock().unwrap(), sessions.lock().unwrap().len()), (2, 2));
    cell.server.nth(3, "a greeting", |seen| seen.method() == "initialize");
    assert_eq!(cell.calls("good"), 5, "each call once");
}

pub fn a_server_that_begins_anew_hears_what_lasts(cell: &dyn Fn(&Setup) -> Cell) {
    let lost = Mutex::new(None);
    let setup = Setup::policy(&json!({"version": "1", "default": "allow", "tools": {}})).script(move |asked| {
        let session = header(&asked.seen.head, "mcp-session-id").unwrap_or_default().to_owned();
        let mut lost = lost.lock().unwrap();
        if asked.seen.calls("lose") && lost.is_none() {
            *lost = Some(session.clone());
            if session.is_empty() {
                asked.crash();
                return Act::Said;
            }
        }
        if !session.is_empty() && *lost == Some(session) {
            asked.respond("404 Not Found", &["Content-Type: application/json"], "{}");
            return Act::Said;
        }
        if asked.seen.method() != "resources/list" {
            return Act::Usual;
        }
        asked.reply(&json!({"resources": [{"uri": "note://1", "name": "n"}]}));
        Act::Said
    });
    let cell = cell(&setup.restart(1));
    let mut client = cell.client();
    for (method, params) in [
        ("logging/setLevel", json!({"level": "debug"})),
        ("logging/setLevel", json!({"level": "error"})),
        ("resources/subscribe", json!({"uri": "note://1"})),
    ] {
        let reply = client.ask(method, &params);
        assert!(reply.get("result").is_some(), "{reply}");
    }
    client.ask_tool("lose", &json!({}));
    passed(&client.ask_tool("good", &json!({})));
    cell.server.nth(2, "the level", |seen| seen.message["params"]["level"] == "error");
    cell.server.nth(2, "the subscription", |seen| seen.method() == "resources/subscribe");
    assert_eq!(cell.server.count(|seen| seen.message["params"]["level"] == "debug"), 1);
    let rest = client.rest();
    assert!(rest.iter().all(|message| message.get("id").is_none()), "{rest:?}");
}

pub fn arguments_are_repeated_in_the_headers_that_the_schema_names(cell: &dyn Fn(&Setup) -> Cell) {
    let tool = |name: &str, header: &str| {
        let region = json!({"type": "string", "x-mcp-header": header});
        json!({"name": name, "inputSchema": {"type": "object", "properties": {"region": region}}})
    };
    let setup = Setup::of(&json!({"good": {}, "odd": {}}));
    let cell = cell(&setup.listing(&json!([tool("good", "Region"), tool("odd", "no header")])));
    let mut client = cell.client();
    client.ask("tools/list", &json!({}));
    for (place, expected) in [("eu", "eu"), ("Z\u{fc}rich", "=?base64?WsO8cmljaA==?=")] {
        passed(&client.ask_tool("good", &json!({"region": place})));
        let is_it =
            |seen: &super::server::Seen| seen.calls("good") && seen.message["params"]["arguments"]["region"] == place;
        let seen = cell.server.sees("the call", is_it);
        assert_eq!(header(&seen.head, "mcp-param-region"), Some(expected), "{}", seen.head);
    }
    for (tool, arguments) in [("good", json!({"region": null})), ("odd", json!({"region": "eu"}))] {
        passed(&client.ask_tool(tool, &arguments));
        let is_it = |seen: &super::server::Seen| seen.calls(tool) && seen.message["params"]["arguments"] == arguments;
        let seen = cell.server.sees("the call", is_it);
        assert!(!seen.head.to_ascii_lowercase().contains("mcp-param-"), "{}", seen.head);
    }
}

pub fn a_server_on_this_machine_is_reached_without_a_proxy(cell: &dyn Fn(&Setup) -> Cell) {
    // Nothing listens there.
    let cell = cell(&Setup::of(&json!({"good": {}})).proxy(None, "http://127.0.0.1:1"));
    passed(&cell.client().ask_tool("good", &json!({})));
}

pub fn a_server_elsewhere_is_reached_through_the_proxy(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}})).proxy(Some("http://scripted.example/mcp"), ITSELF));
    passed(&cell.client().ask_tool("good", &json!({})));
    let seen = cell.server.sees("the call", |seen| seen.calls("good"));
    assert_eq!(seen.path(), "http://scripted.example/mcp");
}

fn with_header(name: &str, header: &str) -> Value {
    let region = json!({"type": "string", "x-mcp-header": header});
    json!({"name": name, "inputSchema": {"type": "object", "properties": {"region": region, "note": {"type": "string"}}}})
}

pub fn a_call_that_is_refused_for_its_headers_is_made_once_more_and_counted_again(cell: &dyn Fn(&Setup) -> Cell) {
    let limits = json!([{"counter": "c", "window": "8784h", "max": 3}]);
    let setup = Setup::of(&json!({"good": {"limits": limits}})).script(|asked| {
        if !asked.seen.calls("good") || header(&asked.seen.head, "mcp-param-region").is_some() {
            return Act::Usual;
        }
        let error = json!({"code": -32020, "message": "missing Mcp-Param-Region"});
        let reply = json!({"jsonrpc": "2.0", "id": asked.seen.message["id"], "error": error});
        asked.respond("400 Bad Request", &["Content-Type: application/json"], &reply.to_string());
        Act::Said
    });
    let cell = cell(&setup.listing(&json!([with_header("good", "Region")])));
    // Nothing was listed yet, so the header is not known.
    let mut client = cell.client();
    passed(&client.ask_tool("good", &json!({"region": "eu"})));
    assert_eq!(cell.calls("good"), 2);
    passed(&client.ask_tool("good", &json!({"region": "us"})));
    refusal(&client.ask_tool("good", &json!({"region": "us"})));
    assert_eq!(cell.calls("good"), 3, "the second try of the first call was counted as well");
}

pub fn a_tool_that_wants_impossible_headers_is_not_listed(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"good": {}, "odd": {}}));
    let cell = cell(&setup.listing(&json!([with_header("odd", "no header"), with_header("good", "Region")])));
    assert_eq!(cell.client().names(), ["good"]);
}

pub fn headers_that_contradict_the_arguments_are_refused(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}})).listing(&json!([with_header("good", "Region")])));
    let mut client = cell.client();
    assert_eq!(client.names(), ["good"]);
    let arguments = json!({"region": "eu", "note": "admin"});
    for stated in ["us", "admin", "=?base64?dXM=?="] {
        client.set_headers(&[&format!("Mcp-Param-Region: {stated}")]);
        let reply = client.ask_tool("good", &arguments);
        assert_eq!(reply["error"]["code"], -32020, "{stated}: {reply}");
        client.unset_headers("Mcp-Param-");
    }
    client.set_headers(&["Mcp-Param-Note: admin"]);
    let reply = client.ask_tool("good", &arguments);
    assert_eq!(reply["error"]["code"], -32020, "{reply}");
    client.unset_headers("Mcp-Param-");
    assert_eq!(cell.calls("good"), 0);
    client.set_headers(&["Mcp-Param-Region: =?base64?ZXU=?="]);
    passed(&client.ask_tool("good", &arguments));
    let seen = cell.server.sees("the call", |seen| seen.calls("good"));
    if !cell.way.is_command() {
        assert_eq!(header(&seen.head, "mcp-param-region"), Some("eu"), "{}", seen.head);
    }
}

pub fn what_a_header_names_is_what_the_body_names(cell: &dyn Fn(&Setup) -> Cell) {
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
    let read = cell.client().ask("resources/read", &json!({"uri": "note://1", "name": "other"}));
    assert_eq!(read["result"]["contents"][0]["text"], "read", "{read}");
    let seen = cell.server.sees("the request", |seen| seen.method() == "resources/read");
    assert_eq!(header(&seen.head, "mcp-name"), Some("note://1"), "{}", seen.head);
}

pub fn a_server_hears_no_headers_but_those_that_the_gateway_writes(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}})));
    let mut client = cell.client();
    let session = cell.server.all().iter().find_map(|seen| header(&seen.head, "mcp-session-id").map(str::to_owned));
    client.set_headers(&[
        "Connection: x-named, traceparent",
        "X-Named: 1",
        "Mcp_Session_Id: another",
        "Mcp_Method: tools/list",
        "Content_Type: application/json; charset=utf-7",
        "Cookie: a=b",
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Host: elsewhere.example",
        "Forwarded: for=10.0.0.1",
        "X-Original-URL: /admin",
        "X-Rewrite-URL: /admin",
        "X-HTTP-Method-Override: DELETE",
        "X-Method-Override: GET",
        "Content-Encoding: identity",
        "Accept-Charset: utf-7",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate: a=1",
    ]);
    client.set_content_type("application/json; charset=UTF-8");
    passed(&client.ask_tool("good", &json!({})));
    let seen = cell.server.sees("the call", |seen| seen.calls("good"));
    let known = [
        "host",
        "content-length",
        "content-type",
        "accept",
        "accept-encoding",
        "user-agent",
        "mcp-session-id",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "tracestate",
    ];
    let names: Vec<String> =
        seen.head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase())).collect();
    for name in &names {
        assert!(known.contains(&name.as_str()), "{name} in {}", seen.head);
    }
    assert_eq!(header(&seen.head, "content-type"), Some("application/json"), "{}", seen.head);
    assert_eq!(header(&seen.head, "accept-encoding"), Some("identity"), "{}", seen.head);
    assert!(header(&seen.head, "user-agent").is_some_and(|agent| agent.starts_with("mcpol/")), "{}", seen.head);
    assert!(names.contains(&"tracestate".to_owned()), "{}", seen.head);
    if cell.way.era == Era::Session {
        assert!(header(&seen.head, "mcp-session-id").is_some_and(|id| session.is_none_or(|session| id == session)));
    }
}

pub fn a_body_is_said_to_be_json_and_nothing_more(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}})));
    let mut client = cell.client();
    // What a reader of UTF-7 finds in it is a call of another tool.
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":900,"method":"tools/call","params":{{"name":"{}","arguments":{{"x":"+ACI-"}}}}}}"#,
        cell.way.tool("good")
    );
    for kind in [
        "application/json; charset=utf-7",
        "application/json; charset*0=utf-7",
        "application/json; charset*=utf-8''utf-7",
        "application/json; charset=utf-8; charset*0=utf-7",
        "application/json; charset=utf-8; x=y",
        "application/json; charset=\"utf-7\"",
        "text/plain; charset=utf-7",
        "application/vnd.mcp+json",
    ] {
        client.set_content_type(kind);
        client.raw(&body, &cell.way.tool("good"));
        assert_eq!(client.ended(0), 415, "{kind}");
    }
    assert_eq!(cell.calls("good"), 0);
    client.set_content_type("application/json;charset=\"utf-8\"");
    passed(&client.ask_tool("good", &json!({})));
}

pub fn no_cookie_passes_and_answers_are_what_they_were_read_as(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"good": {}})).script(|asked| {
        if !asked.seen.calls("good") {
            return Act::Usual;
        }
        let result = json!({"content": [], "resultType": "complete"});
        let reply = json!({"jsonrpc": "2.0", "id": asked.seen.message["id"], "result": result}).to_string();
        let headers = [
            "Content-Type: application/json; charset*0=utf-7",
            "Content-Encoding: identity",
            "Set-Cookie: a=b",
            "Set-Cookie2: a=b",
            "Refresh: 0; url=https://elsewhere.example",
            "Location: https://elsewhere.example",
        ];
        asked.respond("200 OK", &headers, &reply);
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    let call = client.call("good", &json!({}));
    let reply = client.reply(call);
    assert_eq!(reply["result"]["content"], json!([]), "{reply}");
    let head = client.head(call);
    assert_eq!(header(&head, "content-type"), Some("application/json"), "{head}");
    for name in ["set-cookie", "set-cookie2", "refresh", "location", "content-encoding"] {
        assert_eq!(header(&head, name), None, "{head}");
    }
}

pub fn a_session_is_its_grants_at_every_gateway(cell: &dyn Fn(&Setup) -> Cell) {
    let mut cell = cell(&Setup::of(&json!({"work": {}})).grants());
    passed(&cell.client_of(Who::Alice).ask_tool("work", &json!({})));
    let seen = cell.server.sees("the call", |seen| seen.calls("work"));
    let session = format!("Mcp-Session-Id: {}", header(&seen.head, "mcp-session-id").unwrap());
    let with_session = |cell: &Cell, who: Who| {
        let mut client = cell.stranger_of(who);
        client.set_headers(&[&session]);
        client
    };
    for _ in 0..2 {
        let mut bob = with_session(&cell, Who::Bob);
        let call = bob.call("work", &json!({}));
        assert_eq!(bob.ended(call), 404);
        passed(&with_session(&cell, Who::Alice).ask_tool("work", &json!({})));
        cell.another_gateway();
    }
    assert_eq!(cell.calls("work"), 3);
}

pub fn no_session_opens_while_nobody_can_say_whose_it_is(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"work": {}})).grants());
    let mut before = cell.client_of(Who::Alice);
    passed(&before.ask_tool("work", &json!({})));
    let state = rusqlite::Connection::open(cell.folder().join("state/state.db")).unwrap();
    state.execute("DROP TABLE tasks", []).unwrap();
    let mut client = cell.stranger_of(Who::Alice);
    let opening = client.greeting();
    let opening = client.request("initialize", &opening);
    assert_eq!(client.ended(opening), 503);
    let head = client.head(opening);
    assert_eq!(header(&head, "mcp-session-id"), None, "{head}");
    cell.says(&client, "tasks");
    // What was open goes on.
    passed(&before.ask_tool("work", &json!({})));
}
