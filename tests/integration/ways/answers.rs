//! Whose an answer is: ids, replies that nobody asked for, servers that die.

use super::server::Act;
use super::{Cell, Front, Setup};
use crate::gateway::passed;
use serde_json::{Value, json};

pub fn replies_that_nobody_asked_for_are_dropped_and_logged(cell: &dyn Fn(&Setup) -> Cell) {
    let setup = Setup::of(&json!({"chatty": {}})).script(|asked| {
        if !asked.seen.calls("chatty") {
            return Act::Usual;
        }
        let id = asked.seen.message["id"].clone();
        let reply = |id: Value, text: &str| {
            json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}], "resultType": "complete"}})
        };
        asked.say(&reply(json!(4711), "never asked"));
        asked.say(&reply(json!("nobody's"), "not this id"));
        asked.say(&reply(id.clone(), "first"));
        asked.finish(&reply(id, "second"));
        Act::Said
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    let reply = client.ask_tool("chatty", &json!({}));
    assert_eq!(reply["result"]["content"][0]["text"], "first", "{reply}");
    assert_eq!(client.rest(), Vec::<Value>::new());
    cell.logs("what was dropped", |line| line["event"] == "dropped" && line["what"].to_string().contains("repl"));
}

pub fn an_id_in_flight_is_refused(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"held": {}, "good": {}})).holding(&["held"]));
    let mut client = cell.client();
    let call = client.call("held", &json!({}));
    let held = cell.server.held("the call", |seen| seen.calls("held"));
    client.request_as(call, "tools/call", &json!({"name": cell.way.tool("good"), "arguments": {}}));
    let refused = client.reply(call);
    assert!(refused.get("error").is_some(), "{refused}");
    held.answer(&json!({"content": [{"type": "text", "text": "held"}]}));
    assert_eq!(client.reply(call)["result"]["content"][0]["text"], "held");
    assert_eq!(cell.calls("good"), 0);
}

pub fn clients_that_use_the_same_ids_and_tokens_do_not_disturb_each_other(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"held": {}})).holding(&["held"]));
    let (mut one, mut two) = (cell.client(), cell.client());
    let name = cell.way.tool("held");
    for (client, who) in [(&mut one, "one"), (&mut two, "two")] {
        let params = json!({"name": name, "arguments": {"who": who}, "_meta": {"progressToken": "p"}});
        client.request_as(77, "tools/call", &params);
    }
    let held = |who: &str| {
        cell.server.held(who, |seen| seen.calls("held") && seen.message["params"]["arguments"]["who"] == who)
    };
    // The second one's server speaks first.
    for (client, who) in [(&mut two, "two"), (&mut one, "one")] {
        let mut asked = held(who);
        let token = &asked.seen.message["params"]["_meta"]["progressToken"];
        let params = json!({"progressToken": token, "progress": 1, "message": who});
        asked.say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
        asked.answer(&json!({"content": [{"type": "text", "text": who}], "resultType": "complete"}));
        let reply = client.reply(77);
        assert_eq!(reply["result"]["content"][0]["text"], who, "{reply}");
        let told = client.hears("progress", |it| it["method"] == "notifications/progress");
        assert_eq!((&told["params"]["progressToken"], &told["params"]["message"]), (&json!("p"), &json!(who)));
    }
    assert_eq!((one.rest(), two.rest()), (vec![], vec![]));
}

pub fn an_id_is_free_when_its_client_has_hung_up(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"held": {}, "good": {}})).holding(&["held"]));
    let (mut one, mut two) = (cell.client(), cell.client());
    one.request_as(77, "tools/call", &json!({"name": cell.way.tool("held"), "arguments": {}}));
    let held = cell.server.held("the call", |seen| seen.calls("held"));
    one.hang_up(77);
    // Another client of the same grant, and where there are sessions of another one.
    two.request_as(77, "tools/call", &json!({"name": cell.way.tool("good"), "arguments": {}}));
    let reply = two.reply(77);
    passed(&reply);
    held.answer(&json!({"content": [{"type": "text", "text": "late"}], "resultType": "complete"}));
    assert_eq!(two.rest(), Vec::<Value>::new(), "the late answer reaches no other request");
}

fn crashing() -> Setup {
    Setup::of(&json!({"held": {}, "crash": {}, "good": {}})).script(|asked| {
        if asked.seen.calls("crash") {
            asked.crash();
            return Act::Said;
        }
        if asked.seen.calls("held") { Act::Held } else { Act::Usual }
    })
}

pub fn a_crash_answers_every_call_in_flight_and_no_call_is_made_twice(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&crashing().restart(1));
    let mut client = cell.client();
    let held = client.call("held", &json!({}));
    cell.server.held("the call", |seen| seen.calls("held"));
    let crash = client.call("crash", &json!({}));
    for call in [held, crash] {
        let reply = client.reply(call);
        assert!(reply.get("error").is_some(), "{reply}");
    }
    passed(&client.ask_tool("good", &json!({})));
    assert_eq!((cell.calls("held"), cell.calls("crash"), cell.calls("good")), (1, 1, 1));
}

pub fn a_server_that_is_silent_in_its_second_handshake_holds_nobody_up(cell: &dyn Fn(&Setup) -> Cell) {
    let greeted = std::sync::atomic::AtomicUsize::new(0);
    let setup = crashing().restart(1).call_timeout(2).patience(30);
    let setup = setup.script(move |asked| {
        if asked.seen.calls("crash") {
            asked.crash();
            return Act::Said;
        }
        let again =
            asked.seen.method() == "initialize" && greeted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0;
        if again { Act::Held } else { Act::Usual }
    });
    let cell = cell(&setup);
    let mut client = cell.client();
    let crash = client.call("crash", &json!({}));
    let reply = client.reply(crash);
    assert!(reply.get("error").is_some(), "{reply}");
    let (call, list) = (client.call("good", &json!({})), client.request("tools/list", &json!({})));
    cell.server.held("a second handshake", |seen| seen.method() == "initialize");
    let reply = client.reply(call);
    assert!(reply.get("error").is_some(), "{reply}");
    let reply = client.reply(list);
    // At the combined endpoint a server that does not answer is left out.
    let is_left_out = cell.way.front == Front::Joint && reply["result"]["tools"] == json!([]);
    assert!(reply.get("error").is_some() || is_left_out, "{reply}");
    assert_eq!(cell.calls("good"), 0);
}

pub fn a_gateway_that_ends_lets_calls_in_flight_end_and_takes_its_server_along(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"held": {}})).holding(&["held"]));
    let mut client = cell.client();
    let call = client.call("held", &json!({}));
    let held = cell.server.held("the call", |seen| seen.calls("held"));
    let link = held.seen.link;
    cell.terminate(&client);
    held.answer(&json!({"content": [{"type": "text", "text": "in time"}], "resultType": "complete"}));
    let reply = client.reply(call);
    assert_eq!(reply["result"]["content"][0]["text"], "in time", "{reply}");
    cell.server.sees("the end", |seen| seen.is_end && seen.link == link);
}
