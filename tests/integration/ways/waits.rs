//! Calls that wait for a person, are taken back, or are left alone by their client.

use super::server::Act;
use super::way::tool;
use super::{Cell, Setup};
use crate::gateway::{passed, refusal};
use serde_json::{Value, json};

fn asking() -> Setup {
    Setup::of(&json!({"asks": {"approval": {"message": "really?", "ttl_s": 600}}, "good": {}}))
}

pub fn an_approved_call_is_sent_once_and_a_refused_one_never(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&asking());
    let mut client = cell.client();
    let call = client.call("asks", &json!({"n": 1}));
    let question = cell.question(1);
    assert_eq!(cell.calls("asks"), 0);
    // Everything else goes on meanwhile.
    passed(&client.ask_tool("good", &json!({})));
    cell.approve(&question);
    passed(&client.reply(call));
    let call = client.call("asks", &json!({"n": 2}));
    cell.run(&["approvals", "deny", &cell.question(2)]);
    assert!(refusal(&client.reply(call)).contains("a person refused"));
    assert_eq!(cell.calls("asks"), 1);
}

pub fn a_question_that_nobody_answers_is_a_refusal_and_may_be_answered_later(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&asking().approval_wait(1));
    let mut client = cell.client();
    let reply = client.ask_tool("asks", &json!({"n": 1}));
    let question = cell.question(1);
    assert!(refusal(&reply).contains(&question), "{reply}");
    cell.approve(&question);
    // It is good for the very same call.
    refusal(&client.ask_tool("asks", &json!({"n": 2})));
    passed(&client.ask_tool("asks", &json!({"n": 1})));
    assert_eq!(cell.calls("asks"), 1);
}

pub fn an_approval_is_of_the_definition_that_the_client_was_shown(cell: &dyn Fn(&Setup) -> Cell) {
    let other = |text: &str| json!([{"name": "asks", "description": text, "inputSchema": {"type": "object"}}]);
    // Nobody answers in time.
    let early = cell(&asking().approval_wait(1).listing(&other("Reads.")));
    let mut client = early.client();
    assert_eq!(client.names(), ["asks"]);
    refusal(&client.ask_tool("asks", &json!({"n": 1})));
    early.approve(&early.question(1));
    early.server.set_tools(&other("Deletes."));
    assert_eq!(client.names(), ["asks"]);
    refusal(&client.ask_tool("asks", &json!({"n": 1})));
    assert_ne!(early.question(2), early.question(1));
    assert_eq!(early.calls("asks"), 0);
    // The old one is back, and so is the answer about it.
    early.server.set_tools(&other("Reads."));
    assert_eq!(client.names(), ["asks"]);
    passed(&client.ask_tool("asks", &json!({"n": 1})));
    // It changes while a person thinks.
    let late = cell(&asking().listing(&other("Reads.")));
    let mut client = late.client();
    let call = client.call("asks", &json!({"n": 1}));
    let question = late.question(1);
    late.server.set_tools(&other("Deletes."));
    assert_eq!(client.names(), ["asks"]);
    late.approve(&question);
    let reply = client.reply(call);
    assert!(!refusal(&reply).contains(&question), "{reply}");
    assert_eq!(late.calls("asks"), 0);
}

pub fn an_approval_holds_whatever_the_trace_and_nothing_goes_on_unseen(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&asking().approval_wait(1));
    let mut client = cell.client();
    let traced = |span: u64, more: &str| {
        let meta = json!({"traceparent": format!("00-{span:032x}-{span:016x}-01"), "tracestate": format!("v={span}"),
            "baggage": format!("amount={span}"), "example.com/x": more});
        json!({"name": cell.way.tool("asks"), "arguments": {}, "_meta": meta})
    };
    refusal(&client.ask("tools/call", &traced(1, "a")));
    let question = cell.question(1);
    assert!(cell.run(&["approvals", "show", &question]).contains("amount=1"));
    cell.approve(&question);
    refusal(&client.ask("tools/call", &traced(1, "b")));
    passed(&client.ask("tools/call", &traced(2, "a")));
    let sent = cell.server.nth(1, "the call", |seen| seen.calls("asks")).message["params"]["_meta"].clone();
    assert_eq!(sent["example.com/x"], "a");
    for name in ["traceparent", "tracestate", "baggage"] {
        assert!(sent.get(name).is_none(), "no person saw this {name}: {sent}");
    }
    // What was shown goes on.
    let call = traced(3, "c");
    refusal(&client.ask("tools/call", &call));
    let asked = cell.logs_nth(3, "a question", |line| line["verdict"] == "ask");
    cell.approve(asked["approval"].as_str().unwrap());
    passed(&client.ask("tools/call", &call));
    let sent = cell.server.nth(2, "the call", |seen| seen.calls("asks")).message["params"]["_meta"].clone();
    assert_eq!((&sent["baggage"], &sent["tracestate"]), (&json!("amount=3"), &json!("v=3")));
}

pub fn a_call_that_is_withdrawn_while_it_waits_is_never_sent(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&asking());
    let mut client = cell.client();
    let call = client.call("asks", &json!({"n": 1}));
    let question = cell.question(1);
    client.withdraw(call);
    cell.asks_nothing();
    cell.approve_late(&question);
    passed(&client.ask_tool("good", &json!({})));
    cell.server.never("the call", |seen| seen.calls("asks"));
    cell.server.never("that it was withdrawn", |seen| seen.method() == "notifications/cancelled");
}

pub fn the_request_of_a_call_that_is_withdrawn_while_it_waits_ends_at_once(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&asking());
    let mut client = cell.client();
    let call = client.call("asks", &json!({"n": 1}));
    cell.question(1);
    client.withdraw(call);
    client.ended(call);
    // And its id is free.
    client.request_as(call, "ping", &json!({}));
    let reply = client.reply(call);
    assert!(reply.get("result").is_some(), "{reply}");
}

pub fn a_call_whose_client_hangs_up_while_it_waits_is_not_sent_and_may_be_tried_again(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&asking());
    let mut client = cell.client();
    let call = client.call("asks", &json!({"n": 1}));
    let question = cell.question(1);
    client.hang_up(call);
    if client.is_http() {
        // What comes after it is answered: the gateway has seen that the connection was closed.
        for _ in 0..3 {
            passed(&client.ask_tool("good", &json!({})));
        }
    } else {
        client.is_over();
        client = cell.client();
    }
    cell.approve(&question);
    // Another call that waited and was approved later is made; this one would have been before it.
    let call = client.call("asks", &json!({"n": 2}));
    cell.approve(&cell.question(2));
    passed(&client.reply(call));
    assert_eq!(cell.calls("asks"), 1);
    passed(&client.ask_tool("asks", &json!({"n": 1})));
    assert_eq!(cell.calls("asks"), 2);
}

pub fn a_call_that_is_withdrawn_in_flight_ends_at_once_and_its_answer_goes_nowhere(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"held": {}, "good": {}})).holding(&["held"]));
    let mut client = cell.client();
    let call = client.call("held", &json!({}));
    let held = cell.server.held("the call", |seen| seen.calls("held"));
    client.withdraw(call);
    cell.server.sees("that it was withdrawn", |seen| seen.withdraws(&held.seen.message["id"]));
    if client.is_http() {
        client.ended(call);
    }
    held.answer(&json!({"content": [{"type": "text", "text": "late"}]}));
    passed(&client.ask_tool("good", &json!({})));
    assert_eq!(client.rest(), Vec::<Value>::new());
}

pub fn an_old_answer_never_reaches_a_new_call(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"held": {}, "good": {}})).holding(&["held"]));
    let mut client = cell.client();
    let call = client.call("held", &json!({}));
    let held = cell.server.held("the call", |seen| seen.calls("held"));
    client.withdraw(call);
    // An answer that comes before the gateway has read this is in time.
    if client.is_http() {
        client.ended(call);
    } else {
        cell.server.sees("that it was withdrawn", |seen| seen.withdraws(&held.seen.message["id"]));
    }
    let name = cell.way.tool("good");
    client.request_as(call, "tools/call", &json!({"name": name, "arguments": {}}));
    held.answer(&json!({"content": [{"type": "text", "text": "late"}]}));
    // Refused, or answered with its own answer.
    let reply = client.reply(call);
    assert!(reply.get("error").is_some() || reply["result"]["content"][0]["text"] == "ran good", "{reply}");
    assert_eq!(client.rest(), Vec::<Value>::new());
}

pub fn a_call_that_is_withdrawn_while_it_waits_for_a_list_is_never_sent(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"strict": {"validate": "schema"}, "good": {}}))
        .script(|asked| if asked.seen.method() == "tools/list" { Act::Held } else { Act::Usual });
    let cell = cell(&setup);
    let mut client = cell.client();
    let call = client.call("strict", &json!({}));
    // The gateway asks for itself.
    let list = cell.server.held("a list", |seen| seen.method() == "tools/list");
    client.withdraw(call);
    if !client.is_http() {
        // A line after it is answered: the gateway has read both.
        passed(&client.ask_tool("good", &json!({})));
    }
    list.answer(&json!({"tools": [tool("strict"), tool("good")], "resultType": "complete"}));
    for _ in 0..2 {
        passed(&client.ask_tool("good", &json!({})));
    }
    cell.server.never("the call", |seen| seen.calls("strict"));
    cell.server.never("that it was withdrawn", |seen| seen.method() == "notifications/cancelled");
}
