//! What a command sees of the machine and of the gateway, and what it can leave behind there.

use super::{Cell, Setup};
use crate::gateway::{Gateway, only, passed, refusal};
use crate::wire::scripted::{LIVES, SEES};
use serde_json::json;

pub fn a_call_of_more_values_than_a_tree_may_have_is_refused_at_once(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}})));
    let mut client = cell.client();
    passed(&client.ask_tool("good", &json!({"n": vec![0; 100_000]})));
    let reply = client.ask_tool("good", &json!({"n": vec![0; 250_000]}));
    assert!(reply["error"]["message"].as_str().unwrap_or_default().contains("more than 250000 values"), "{reply}");
    assert_eq!(cell.calls("good"), 1);
}

pub fn what_a_new_policy_loosens_is_in_the_log(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}, "bad": {"action": "deny"}})));
    let mut client = cell.client();
    passed(&client.ask_tool("good", &json!({})));
    cell.set_policy(&only(json!({"good": {}, "bad": {}})));
    let line = cell.logs("the news", |line| line["event"] == "reload");
    assert_eq!(line["looser"], 1, "{line}");
    assert!(line["first"].as_str().unwrap().starts_with("bad: was always refused"), "{line}");
    passed(&client.ask_tool("bad", &json!({})));
    cell.set_policy(&only(json!({"good": {}})));
    cell.logs("news of nothing looser", |line| line["event"] == "reload" && line.get("looser").is_none());
}

pub fn a_pipe_in_the_policys_place_holds_nobody_up(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}, "bad": {"action": "deny"}})));
    let mut client = cell.client();
    passed(&client.ask_tool("good", &json!({})));
    let (pipe, policy) = (cell.folder().join("pipe"), cell.folder().join("policy.json"));
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::fs::rename(&pipe, &policy).unwrap();
    let line = cell.logs("its refusal", |line| line["event"] == "reload_refused");
    assert!(line["reason"].as_str().unwrap().contains("no regular file"), "{line}");
    passed(&client.ask_tool("good", &json!({})));
    refusal(&client.ask_tool("bad", &json!({})));
    std::fs::remove_file(&policy).unwrap();
    cell.set_policy(&only(json!({"good": {"action": "deny"}})));
    refusal(&client.ask_tool("good", &json!({})));
}

pub fn without_reloads_the_policy_of_the_start_holds(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}, "bad": {"action": "deny"}})).flags(&["--no-reload"]));
    let mut client = cell.client();
    passed(&client.ask_tool("good", &json!({})));
    // Another gateway on the same file sees the change, so the first could have by then.
    let mut other = Gateway::sample(cell.sandbox(), &["--name", "other"]);
    other.initialize();
    cell.set_policy(&only(json!({"bad": {}})));
    other.close();
    passed(&client.ask_tool("good", &json!({})));
    refusal(&client.ask_tool("bad", &json!({})));
}

pub fn a_command_sees_nothing_that_is_the_gateways_own(cell: &dyn Fn(&Setup) -> Cell) {
    let own = &[
        ("MCPOL_STATE", "memory:"),
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hush"),
        ("MCPOL_ANYTHING", "hush"),
    ];
    let cell = cell(&Setup::of(&json!({"good": {}})).variables(own).telling());
    let mut client = cell.client();
    passed(&client.ask_tool("good", &json!({})));
    let sees = cell.server.sees("what it sees", |seen| seen.method() == SEES).message;
    let names: Vec<_> = sees["params"]["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&"PATH"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("MCPOL_") || name.starts_with("OTEL_")), "{names:?}");
}

pub fn what_a_command_has_put_into_a_session_of_its_own_ends_with_the_gateway(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"good": {}})).telling());
    let mut client = cell.client();
    passed(&client.ask_tool("good", &json!({})));
    let left = cell.server.sees("the process", |seen| seen.method() == LIVES).link;
    cell.terminate(&client);
    cell.server.sees("its end", |seen| seen.is_end && seen.link == left);
}

pub fn what_a_command_has_put_into_a_session_of_its_own_ends_with_the_command(cell: &dyn Fn(&Setup) -> Cell) {
    let cell = cell(&Setup::of(&json!({"held": {}})).holding(&["held"]).telling());
    let mut client = cell.client();
    let asked = client.call("held", &json!({}));
    let held = cell.server.held("held", |seen| seen.calls("held"));
    let left = cell.server.sees("the process", |seen| seen.method() == LIVES).link;
    held.crash();
    assert!(client.reply(asked).get("error").is_some());
    cell.server.sees("its end", |seen| seen.is_end && seen.link == left);
}
