//! What becomes of a call: limits, time-outs, the policy of now, the log.

use super::server::Act;
use super::way::Who;
use super::{Back, Cell, Era, Front, Setup};
use crate::gateway::{passed, refusal};
use serde_json::{Value, json};
use std::time::Duration;

pub fn a_call_is_answered_and_a_refused_one_never_sent(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}, "bad": {"action": "deny", "reason": "not today"}})));
    let mut client = cell.client();
    let reply = client.ask_tool("good", &json!({"n": 1}));
    passed(&reply);
    assert_eq!(reply["result"]["content"][0]["text"], "ran good");
    assert!(refusal(&client.ask_tool("bad", &json!({}))).contains("not today"));
    assert_eq!(client.ask_tool("none", &json!({}))["error"]["code"], -32602);
    assert_eq!(client.rest(), Vec::<Value>::new());
    assert_eq!((cell.calls("good"), cell.calls("bad"), cell.calls("none")), (1, 0, 0));
}

pub fn a_limit_holds_for_all_clients_of_a_grant(cell: &dyn Fn(&Setup) -> Cell) {
    let limits = json!([{"counter": "work", "window": "8784h", "max": 2, "scope": "grant"}]);
    let cell = cell(&Setup::of(&json!({"work": {"limits": limits}})).grants());
    let (mut one, mut two, mut other) = (cell.client(), cell.client(), cell.client_of(Who::Bob));
    passed(&one.ask_tool("work", &json!({})));
    passed(&two.ask_tool("work", &json!({})));
    let reply = one.ask_tool("work", &json!({}));
    refusal(&reply);
    assert_eq!(reply["result"]["_meta"]["io.github.mcpol/decision"]["code"], "limit_exceeded");
    refusal(&two.ask_tool("work", &json!({})));
    passed(&other.ask_tool("work", &json!({})));
    assert_eq!(cell.calls("work"), 3);
}

pub fn a_limit_of_a_session_is_each_sessions_own(cell: &dyn Fn(&Setup) -> Cell) {
    let limits = json!([{"counter": "work", "window": "8784h", "max": 1, "scope": "session"}]);
    let cell = cell(&Setup::of(&json!({"work": {"limits": limits}})));
    let (mut one, mut two) = (cell.client(), cell.client());
    for client in [&mut one, &mut two] {
        passed(&client.ask_tool("work", &json!({})));
        refusal(&client.ask_tool("work", &json!({})));
    }
    assert_eq!(cell.calls("work"), 2);
}

pub fn an_unanswered_call_is_given_up_and_the_server_told(cell: &dyn Fn(&Setup) -> Cell) {
    let limits = json!([{"counter": "held", "window": "8784h", "max": 1, "scope": "grant"}]);
    let rules = json!({"held": {"limits": limits}, "good": {}});
    // Long enough for the one that is answered.
    let cell = cell(&Setup::of(&rules).holding(&["held"]).call_timeout(5));
    let mut client = cell.client();
    let reply = client.ask_tool("held", &json!({}));
    assert!(reply.get("error").is_some(), "{reply}");
    let asked = cell.server.held("held", |seen| seen.calls("held"));
    if cell.way.back == Back::Url && cell.way.era == Era::Stateless && cell.way.front != Front::Stdio {
        cell.server.sees("the end of its connection", |seen| seen.is_end && seen.link == asked.seen.link);
    } else {
        cell.server.sees("that it is given up", |seen| seen.withdraws(&asked.seen.message["id"]));
    }
    asked.answer(&json!({"content": []}));
    // Where the machine is very slow this one may be given up as well; then another is made.
    let mut tries = std::iter::repeat_with(|| client.ask_tool("good", &json!({}))).take(10);
    passed(&tries.find(|reply| reply.get("error").is_none()).unwrap());
    // It was sent, and counts.
    refusal(&client.ask_tool("held", &json!({})));
    assert_eq!(client.rest(), Vec::<Value>::new());
}

pub fn only_a_message_that_belongs_to_the_call_keeps_it_alive(cell: &dyn Fn(&Setup) -> Cell) {
    // What is said again and again is no more than a comment, until nobody listens.
    let setup = Setup::of(&json!({"chatty": {}})).call_timeout(1).script(|asked| {
        if !asked.seen.calls("chatty") {
            return Act::Usual;
        }
        asked.raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
        while asked.comment() {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Act::Said
    });
    let cell = cell(&setup);
    let reply = cell.client().ask_tool("chatty", &json!({}));
    assert!(reply.get("error").is_some(), "{reply}");
}

pub fn every_call_is_held_to_the_policy_of_now(cell: &dyn Fn(&Setup) -> Cell) {
    let policy = |one: &str, other: &str| json!({"version": "1", "default": "deny", "tools": {one: {}, other: {"action": "deny", "reason": "not now"}}});
    let cell = cell(&Setup::policy(&policy("a", "b")));
    let mut client = cell.client();
    passed(&client.ask_tool("a", &json!({})));
    refusal(&client.ask_tool("b", &json!({})));
    cell.set_policy(&policy("b", "a"));
    refusal(&client.ask_tool("a", &json!({})));
    passed(&client.ask_tool("b", &json!({})));
    assert_eq!(client.names(), ["b"]);
}

pub fn every_line_of_the_log_says_whose_it_is(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"good": {}, "chatty": {}})).grants().script(|asked| {
        if asked.seen.calls("chatty") {
            asked.say(&json!({"jsonrpc": "2.0", "id": 4711, "result": {}}));
        }
        Act::Usual
    });
    let cell = cell(&setup);
    let mut client = cell.client_of(Who::Bob);
    passed(&client.ask_tool("good", &json!({})));
    client.ask_tool("none", &json!({}));
    client.ask("tools/call", &json!({"name": 5}));
    passed(&client.ask_tool("chatty", &json!({})));
    if cell.way.front != Front::Joint {
        client.ask("x/unknown", &json!({}));
    }
    cell.logs_nth(2, "an outcome", |line| line["event"] == "outcome");
    for line in cell.log() {
        // What concerns all callers alike names none.
        if !["start", "stop", "reload"].contains(&line["event"].as_str().unwrap()) {
            assert_eq!(line["grant"], "bob", "{line}");
            assert!(line["way"].is_string(), "{line}");
            // What has no single reading names no server at the endpoint of all servers.
            if line["event"] != "refused" || cell.way.front != Front::Joint {
                assert_eq!(line["server"], "one", "{line}");
            }
        }
    }
}
