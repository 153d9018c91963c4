//! `mcpol catalog search|show|stats|diff|serve`: questions to a directory of records, and a site shown on this machine.

use crate::harness::{Sandbox, repository};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

const TIMERS: &str = r#"{"server":"timers","package":"@example/timers","registry":"npm","version":"2.0.0","tools":[
    {"name":"pauseTimer","description":"Pause a timer"},{"name":"delete_timer","description":"Delete a timer"}]}"#;

/// A sandbox with two records, and a place for the index.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let cache = sandbox.dir().join("cache");
    let sandbox = sandbox.with_env("MCPOL_CACHE", cache.to_str().unwrap());
    sandbox.write("records/timers.json", TIMERS);
    sandbox.write("records/mail.json", r#"{"server":"a/mail","tools":[{"name":"send_mail","description":"Send a mail to any address","inputSchema":{"type":"object","properties":{"to":{"type":"string"}}}}]}"#);
    sandbox
}

fn names(json: &str) -> Vec<String> {
    let hits: Value = serde_json::from_str(json).unwrap();
    let name = |hit: &Value| format!("{}/{}", hit["server"].as_str().unwrap(), hit["tool"].as_str().unwrap());
    hits.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_search_sees_what_the_records_say_now() {
    let sandbox = sandbox();
    let search = |more: &[&str]| {
        let args = [&["catalog", "search", "--records", "records", "--json"], more].concat();
        names(&sandbox.run(&args).quiet(0))
    };
    assert_eq!(search(&["timer", "pause"]), ["timers/pauseTimer"]);
    assert_eq!(search(&["--category", "Delete"]), ["timers/delete_timer"]);
    assert_eq!(search(&["--flag", "egress"]), ["a/mail/send_mail"]);
    sandbox.write("records/timers.json", &TIMERS.replace("Delete a timer", "Delete a timer, and its stopwatch"));
    assert_eq!(search(&["stopwatch"]), ["timers/delete_timer"]);
    let table = sandbox.run(&["catalog", "search", "--records", "records", "timer"]).quiet(0);
    assert!(table.contains("critical") && table.contains("timers/delete_timer"), "{table}");
    let none = sandbox.run(&["catalog", "search", "--records", "records", "unheard"]).quiet(4);
    assert_eq!(none, "nothing was found\n");
    let said = sandbox.run(&["catalog", "search", "--records", "nowhere", "x"]).refused(2);
    assert!(said.contains("cannot read `nowhere`"), "{said}");
}

#[test]
fn a_server_and_a_tool_are_shown_by_their_names() {
    let sandbox = sandbox();
    let show = |what: &str| sandbox.run(&["catalog", "show", "--records", "records", what]);
    assert!(show("timers").quiet(0).contains("pauseTimer"));
    assert!(show("a/mail").quiet(0).contains("send_mail"));
    assert!(show("a/mail/send_mail").quiet(0).contains("Evidence, strongest first"));
    assert!(show("timer").refused(4).contains("did you mean `timers`?"));
    assert!(show("timers/pauseTimers").refused(4).contains("did you mean `pauseTimer`?"));
    let json = sandbox.run(&["catalog", "show", "--records", "records", "timers/pauseTimer", "--json"]).quiet(0);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()[0]["category"], "Execute");
}

#[test]
fn counts_are_those_of_the_records() {
    let sandbox = sandbox();
    let json = sandbox.run(&["catalog", "stats", "--records", "records", "--json"]).quiet(0);
    let counts: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&counts["servers"], &counts["tools"]), (&Value::from(2), &Value::from(3)));
    assert_eq!(counts["categories"], serde_json::json!({"Delete": 1, "Execute": 1, "Write": 1}));
    assert_eq!(counts["registries"], serde_json::json!({"": 1, "npm": 1}));
    let text = sandbox.run(&["catalog", "stats", "--records", "records"]).quiet(0);
    assert!(text.starts_with("2 servers, 3 tools\n") && text.contains("1  npm"), "{text}");
}

#[test]
fn two_versions_are_told_apart() {
    let sandbox = sandbox();
    sandbox.write("before/timers.json", &TIMERS.replace("Pause a timer", "Get a timer").replace("2.0.0", "1.0.0"));
    sandbox.write("before/gone.json", r#"{"server":"gone","tools":[{"name":"x"}]}"#);
    let said = sandbox.run(&["catalog", "diff", "before", "records"]).quiet(1);
    for expected in ["timers: D010", "gone: gone", "a/mail: new, 1 tool"] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert_eq!(sandbox.run(&["catalog", "diff", "records", "records"]).quiet(0), "");
}

#[test]
fn a_site_is_shown_on_this_machine_alone() {
    let sandbox = sandbox();
    let said = sandbox.run(&["catalog", "serve", "records", "--port", "0"]).refused(2);
    assert!(said.contains("is no site of mcpol"), "{said}");
    let records = repository().join("tests/site/records");
    sandbox.run(&["-q", "catalog", "build", records.to_str().unwrap(), "-o", "site"]).quiet(0);
    let mut child = sandbox.command(&["catalog", "serve", "--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let ask = |request: &str, host: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    };
    let first = ask("GET /", &address);
    assert!(first.starts_with("HTTP/1.1 200 OK") && first.contains("What MCP servers can do"), "{first}");
    assert!(ask("HEAD /style.css", &address).contains("text/css"));
    assert!(ask("GET /", "attacker.example").starts_with("HTTP/1.1 421 "));
    assert!(ask("GET /../records/timers.json", &address).starts_with("HTTP/1.1 404 "));
    assert!(ask("POST /", &address).starts_with("HTTP/1.1 405 "));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_policy_and_a_lock_need_no_running_server() {
    let sandbox = sandbox();
    let catalog = ["--catalog", "timers", "--catalog-dir", "records"];
    let args = |head: &[&'static str]| [head, &catalog].concat();
    let policy = sandbox.run(&args(&["gen-policy", "-q"])).quiet(0);
    assert_eq!(serde_json::from_str::<Value>(&policy).unwrap()["hide"], serde_json::json!(["delete_timer"]));
    sandbox.run(&args(&["lock"])).both(0);
    assert!(sandbox.read("mcpol.lock").contains("pauseTimer"));
    let said = sandbox.run(&["gen-policy", "--catalog", "timer", "--catalog-dir", "records"]).refused(2);
    assert!(said.contains("no record of a server `timer`") && said.contains("did you mean `timers`?"), "{said}");
}
