//! What a session has pledged: it calls nothing else.

use super::client::Client;
use super::way::Who;
use super::{Cell, Era, Front, Setup, Way};
use crate::gateway::http::header;
use crate::gateway::{passed, refusal};
use serde_json::{Value, json};

const MEMBER: &str = "io.github.mcpol/pledge";

fn setup() -> Setup {
    Setup::of(&json!({"good": {}, "fine": {}, "send": {}}))
}

/// Calls a tool in a request that pledges.
#[track_caller]
fn ask_pledging(client: &mut Client, way: Way, tool: &str, pledge: &[&str]) -> Value {
    let pledge: Vec<String> = pledge.iter().map(|tool| way.tool(tool)).collect();
    client.ask("tools/call", &json!({"name": way.tool(tool), "arguments": {}, "_meta": {MEMBER: pledge}}))
}

#[track_caller]
fn pledged(reply: &Value) {
    assert_eq!(reply["result"]["_meta"]["io.github.mcpol/decision"]["code"], "pledged", "{reply}");
    refusal(reply);
}

/// Whether what is pledged once holds from then on: there is something that it can hold for.
fn lasts(way: Way) -> bool {
    way.era == Era::Session || way.front == Front::Stdio
}

pub fn a_session_calls_nothing_but_what_it_has_pledged(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&setup());
    let way = cell.way;
    let (mut client, mut other) = (cell.client(), cell.client());
    passed(&client.ask_tool("send", &json!({})));
    passed(&ask_pledging(&mut client, way, "good", &["good", "fine"]));
    if lasts(way) {
        let refused = ask_pledging(&mut client, way, "send", &["good", "send"]);
        pledged(&refused);
        assert!(refusal(&refused).contains("has pledged to call only `good`"), "{refused}");
        // Both pledges count, and neither can be taken back.
        passed(&client.ask_tool("good", &json!({})));
        pledged(&client.ask_tool("fine", &json!({})));
        pledged(&ask_pledging(&mut client, way, "send", &["send"]));
        pledged(&client.ask_tool("good", &json!({})));
        let line = cell.logs("the pledge", |line| line["event"] == "pledged");
        assert_eq!((&line["tools"], &line["count"]), (&json!("one/fine one/good"), &json!(2)));
    } else {
        pledged(&ask_pledging(&mut client, way, "send", &["good"]));
        passed(&client.ask_tool("send", &json!({})));
    }
    passed(&other.ask_tool("send", &json!({})));
}

pub fn a_pledge_may_come_with_the_greeting(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&setup());
    for _ in 0..2 {
        let mut client = cell.stranger();
        let mut greeting = client.greeting();
        greeting["_meta"] = json!({MEMBER: {"tools": [cell.way.tool("good")]}});
        let reply = client.ask("initialize", &greeting);
        assert!(reply.get("result").is_some(), "{reply}");
        client.notify("notifications/initialized", &json!({}));
        passed(&client.ask_tool("good", &json!({})));
        pledged(&client.ask_tool("send", &json!({})));
    }
    passed(&cell.client().ask_tool("send", &json!({})));
    assert_eq!(cell.calls("send"), 1);
}

pub fn a_pledge_may_come_in_a_header(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&setup());
    let mut client = cell.stranger();
    let names = format!("Mcpol-Pledge: {}, {}", cell.way.tool("good"), cell.way.tool("fine"));
    client.set_headers(&[&names]);
    client.greet();
    passed(&client.ask_tool("good", &json!({})));
    pledged(&client.ask_tool("send", &json!({})));
    client.unset_headers("Mcpol-Pledge");
    let reply = client.ask_tool("send", &json!({}));
    if lasts(cell.way) {
        pledged(&reply)
    } else {
        passed(&reply)
    }
    let heads: Vec<String> = cell.server.all().iter().map(|seen| seen.head.to_lowercase()).collect();
    assert!(!heads.iter().any(|head| head.contains("mcpol-pledge")), "{heads:?}");
}

pub fn what_is_no_pledge_is_refused(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&setup());
    let mut client = cell.client();
    for pledge in [json!("good"), json!([1]), json!({"tool": ["good"]}), json!(null), json!(vec!["t"; 1001])] {
        let params = json!({"name": cell.way.tool("good"), "arguments": {}, "_meta": {MEMBER: pledge}});
        let reply = client.ask("tools/call", &params);
        assert_eq!(reply["error"]["code"], -32602, "{reply}");
    }
    assert_eq!(cell.calls("good"), 0);
    passed(&client.ask_tool("good", &json!({})));
}

pub fn every_gateway_knows_what_a_session_has_pledged(cell: &dyn Fn(&Setup) -> Cell) {
    let mut cell = cell(&setup());
    let way = cell.way;
    passed(&ask_pledging(&mut cell.client(), way, "good", &["good"]));
    let seen = cell.server.sees("the call", |seen| seen.calls("good"));
    let session = format!("Mcp-Session-Id: {}", header(&seen.head, "mcp-session-id").unwrap());
    for _ in 0..2 {
        cell.another_gateway();
        let mut client = cell.stranger_of(Who::Alice);
        client.set_headers(&[&session]);
        passed(&client.ask_tool("good", &json!({})));
        pledged(&client.ask_tool("send", &json!({})));
    }
    assert_eq!(cell.calls("send"), 0);
}
