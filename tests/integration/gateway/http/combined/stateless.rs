//! The revision without sessions: every request is routed by itself, and one subscription is one with every server.

use super::*;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

const REVISION: &str = "MCP-Protocol-Version: 2026-07-28";

fn meta() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}})
}

fn modern(method: &str, mut params: Value) -> String {
    params["_meta"] = meta();
    request(method, &params)
}

fn headers(method: &str, name: Option<&str>) -> Vec<String> {
    let name = name.map(|name| format!("Mcp-Name: {name}"));
    [REVISION.to_owned(), format!("Mcp-Method: {method}")].into_iter().chain(name).collect()
}

#[track_caller]
fn ask(served: &Served, method: &str, name: Option<&str>, params: Value) -> Value {
    let headers = headers(method, name);
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    served.post(&headers, &modern(method, params)).last()
}

/// A server of the revision without sessions, and what a test lets it say to whoever subscribes.
fn listening(name: &'static str, accepts: Value) -> (Upstream, Sender<String>) {
    let (sender, words) = channel::<String>();
    let words = Mutex::new(words);
    let server = scripted(name, move |asked, stream| {
        let message = asked.message();
        let reply = |result: Value| {
            json_response(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
        };
        match message["method"].as_str() {
            Some("server/discover") => {
                let capabilities =
                    json!({"tools": {"listChanged": name == "one"}, "resources": {"subscribe": name == "two"}});
                let result = json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities, "instructions": format!("I am {name}."), "resultType": "complete"});
                stream.write_all(reply(result).as_bytes()).is_ok()
            }
            Some("subscriptions/listen") => {
                let params = json!({"notifications": accepts, "_meta": {"io.modelcontextprotocol/subscriptionId": message["id"]}});
                let first =
                    json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params});
                stream.write_all(format!("{STREAM}{}", event(&first)).as_bytes()).unwrap();
                while let Ok(word) = words.lock().unwrap().recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)) {
                    if word == "end" || stream.write_all(word.as_bytes()).is_err() {
                        break;
                    }
                }
                stream.shutdown(Shutdown::Both).is_ok()
            }
            _ => false,
        }
    });
    (server, sender)
}

fn told(method: &str, id: i64, mut params: Value) -> String {
    params["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": id});
    event(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
}

#[test]
fn what_the_servers_offer_is_told_as_one_and_a_server_of_the_other_era_is_left_out() {
    let ((one, _), (two, _), old) = (listening("one", json!({})), listening("two", json!({})), named("old"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url), ("old", &old.url)]);
    let found = ask(&served, "server/discover", None, json!({}));
    let result = &found["result"];
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["capabilities"], json!({"tools": {"listChanged": true}, "resources": {"subscribe": true}}));
    assert_eq!(result["instructions"], "## one\n\nI am one.\n\n## two\n\nI am two.\n");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcpol");
    assert_eq!((&result["resultType"], &result["cacheScope"]), (&json!("complete"), &json!("private")));
}

#[test]
fn one_subscription_is_one_with_every_server_and_is_acknowledged_once() {
    let (one, to_one) = listening("one", json!({"toolsListChanged": true, "promptsListChanged": true}));
    let (two, to_two) =
        listening("two", json!({"toolsListChanged": true, "resourceSubscriptions": ["two://r", "else"]}));
    let old = says("old", |message| (message["method"] == "subscriptions/listen").then(|| json!({})));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url), ("old", &old.url)]);
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": ["one://r", "two://r", "nobody://r"]});
    let names = headers("subscriptions/listen", None);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut listening = served.open();
    listening.post(&names, &modern("subscriptions/listen", json!({"notifications": wanted})));
    let (status, head) = listening.head();
    assert_eq!((status, header(&head, "content-type")), (200, Some("text/event-stream")));
    // Only what was asked for is acknowledged, whatever a server says.
    let first = last_message(&listening.until("\n\n"));
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(
        first["params"]["notifications"],
        json!({"toolsListChanged": true, "resourceSubscriptions": ["two://r"]})
    );
    assert_eq!(first["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7);
    // Each server is asked for its own resources.
    for (server, expected) in [(&one, json!(["one://r"])), (&two, json!(["two://r"]))] {
        let asked =
            std::iter::repeat_with(|| server.next().message()).find(|it| it["method"] == "subscriptions/listen");
        let asked = asked.unwrap();
        assert_eq!((&asked["id"], &asked["params"]["notifications"]["resourceSubscriptions"]), (&json!(7), &expected));
        assert_eq!(asked["params"]["_meta"], meta());
    }
    to_one.send(told("notifications/prompts/list_changed", 7, json!({}))).unwrap();
    to_one.send(told("notifications/tools/list_changed", 8, json!({}))).unwrap();
    to_one.send(told("notifications/tools/list_changed", 7, json!({"n": 1.0}))).unwrap();
    let text = listening.until("tools/list_changed");
    assert!(!text.contains("prompts") && text.contains("1.0"), "{text}");
    to_two.send(told("notifications/resources/updated", 7, json!({"uri": "else"}))).unwrap();
    to_two.send(told("notifications/resources/updated", 7, json!({"uri": "two://r"}))).unwrap();
    assert!(!listening.until("resources/updated").contains("else"));
    // A server that comes back may have changed meanwhile.
    to_one.send("end".to_owned()).unwrap();
    assert_eq!(
        last_message(&listening.until("tools/list_changed"))["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        7
    );
    // The gateway ends subscriptions in order.
    drop((to_one, to_two));
    assert_eq!(served.end(), Some(0));
    let mut rest = String::new();
    while let Some(chunk) = listening.chunk() {
        rest.push_str(&chunk);
    }
    let over = last_message(&rest);
    assert_eq!((&over["id"], &over["result"]["resultType"]), (&json!(7), &json!("complete")));
    assert_eq!(over["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], 7);
}

#[test]
fn a_subscription_that_the_client_closes_is_closed_at_every_server() {
    let (seen, closed) = channel();
    let seen = Mutex::new(seen);
    let seen = Arc::new(seen);
    let server = |name: &'static str| {
        let seen = Arc::clone(&seen);
        scripted(name, move |asked, stream| {
            if asked.message()["method"] != "subscriptions/listen" {
                return false;
            }
            let first = told(
                "notifications/subscriptions/acknowledged",
                7,
                json!({"notifications": {"toolsListChanged": true}}),
            );
            stream.write_all(format!("{STREAM}{first}").as_bytes()).unwrap();
            // Returns when the gateway closes its end.
            let _ = stream.read_to_end(&mut Vec::new());
            seen.lock().unwrap().send(name).is_ok()
        })
    };
    let (one, two) = (server("one"), server("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let names = headers("subscriptions/listen", None);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut listening = served.open();
    listening.post(&names, &modern("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})));
    listening.head();
    listening.until("acknowledged");
    drop(listening);
    let wait = || closed.recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)).unwrap();
    let mut both = [wait(), wait()];
    both.sort_unstable();
    assert_eq!(both, ["one", "two"]);
}

#[test]
fn a_call_that_needs_more_input_goes_on_at_its_server_with_its_state_untouched() {
    let one = named("one");
    let two = says("two", |message| {
        let asks = message["method"] == "tools/call" && message["params"].get("inputResponses").is_none();
        asks.then(|| json!({"resultType": "input_required", "requestState": "sealed \u{e9}", "inputRequests": {"q": {"method": "roots/list"}}}))
    });
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let first = ask(&served, "tools/call", Some("two__good"), json!({"name": "two__good", "arguments": {}}));
    assert_eq!(first["result"]["requestState"], "sealed \u{e9}");
    while two.asked.try_recv().is_ok() {}
    let answers = json!({"q": {"roots": [], "n": 1.0}});
    let again =
        json!({"name": "two__good", "arguments": {}, "requestState": "sealed \u{e9}", "inputResponses": answers});
    let last = ask(&served, "tools/call", Some("two__good"), again.clone());
    assert_eq!(last["result"]["content"][0]["text"], "two: \"good\"");
    let mut expected = again;
    expected["name"] = json!("good");
    expected["_meta"] = meta();
    let asked = two.next();
    assert_eq!(asked.message()["params"], expected);
    assert!(asked.body.contains("1.0"), "{}", asked.body);
}

#[test]
fn a_server_may_not_ask_where_nobody_could_tell_whose_question_it_was() {
    let one = scripted("one", |asked, stream| {
        let message = asked.message();
        if message["method"] != "tools/call" {
            return false;
        }
        let events = [
            json!({"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage", "params": {}}),
            json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1}}),
            json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}),
        ];
        let text: String = events.iter().map(event).collect();
        stream.write_all(events_response(&text).as_bytes()).is_ok()
    });
    let two = named("two");
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let names = headers("tools/call", Some("one__good"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let reply = served.post(&names, &modern("tools/call", json!({"name": "one__good"})));
    assert!(reply.body.contains("progress") && !reply.body.contains("sampling"), "{reply:?}");
    assert_eq!(reply.last()["result"], json!({"content": []}));
}

#[test]
fn a_task_without_session_is_asked_of_its_server() {
    let server = |name: &'static str| {
        says(name, move |message| match message["method"].as_str()? {
            "tools/call" => Some(json!({"resultType": "task", "taskId": format!("of {name}"), "status": "working"})),
            "tasks/get" | "tasks/update" | "tasks/cancel" => {
                Some(json!({"resultType": "complete", "of": name, "asked": message["params"]["taskId"]}))
            }
            _ => None,
        })
    };
    let (one, two) = (server("one"), server("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    ask(&served, "tools/call", Some("two__good"), json!({"name": "two__good"}));
    methods(&one);
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let answer = ask(&served, method, Some("of two"), json!({"taskId": "of two"}));
        assert_eq!((&answer["result"]["of"], &answer["result"]["asked"]), (&json!("two"), &json!("of two")));
    }
    assert!(methods(&one).is_empty());
}

#[test]
fn a_client_of_both_eras_learns_that_only_the_older_one_is_spoken() {
    let (one, two) = (modernless("one"), modernless("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    assert_eq!(ask(&served, "server/discover", None, json!({}))["error"]["code"], -32601);
    assert_eq!(served.post(&[], INITIALIZE).status, 200);
    let names = headers("no/such/method", None);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let unknown = served.post(&names, &modern("no/such/method", json!({})));
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (404, &json!(-32601)));
}

/// A server that does not know `server/discover`.
fn modernless(name: &'static str) -> Upstream {
    scripted(name, |asked, stream| {
        let message = asked.message();
        let error =
            json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "method not found"}});
        message["method"] == "server/discover" && stream.write_all(json_response(&error.to_string()).as_bytes()).is_ok()
    })
}
