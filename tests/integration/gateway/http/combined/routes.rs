//! What a session carries to which server: resources, completion, the log's level, tasks; and what one grant may know.

use super::*;

#[test]
fn a_resource_is_found_without_asking_everybody_each_time() {
    let (one, two) = (named("one"), named("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let ask = |method: &str, params: Value| served.ask(&[&session], &request(method, &params));
    methods(&one);
    methods(&two);
    let read = |uri: &str| ask("resources/read", json!({"uri": uri, "x": 1.0}));
    assert_eq!(read("two://r")["result"], json!({"from": "two", "params": {"uri": "two://r", "x": 1.0}}));
    assert_eq!(methods(&one), ["resources/list", "resources/templates/list"]);
    methods(&two);
    assert_eq!(read("two://r")["result"]["from"], "two");
    assert_eq!(read("one://r")["result"]["from"], "one");
    assert_eq!(read("two://t/7")["result"]["from"], "two");
    assert_eq!(methods(&one), ["resources/read"]);
    assert_eq!(methods(&two), ["resources/read", "resources/read"]);
    // What nobody lists may be new, and is looked for where the lists are a few seconds old.
    assert_eq!(read("three://r")["error"]["code"], -32602);
    methods(&one);
    methods(&two);
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        assert_eq!(ask(method, json!({"uri": "two://r"}))["result"], json!({}));
        assert_eq!(methods(&two), [method]);
    }
    assert!(methods(&one).is_empty());
}

#[test]
fn a_list_that_changed_is_read_again() {
    let one = scripted("one", |asked, stream| {
        let message = asked.message();
        if message["method"] != "tools/call" {
            return false;
        }
        let events = [
            json!({"jsonrpc": "2.0", "method": "notifications/resources/list_changed"}),
            json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}),
        ];
        let text: String = events.iter().map(event).collect();
        stream.write_all(events_response(&text).as_bytes()).is_ok()
    });
    let two = named("two");
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    served.ask(&[&session], &request("resources/read", &json!({"uri": "one://r"})));
    methods(&one);
    methods(&two);
    let changed = served.post(&[&session], &request("tools/call", &json!({"name": "one__good"})));
    assert!(changed.body.contains("list_changed"), "{changed:?}");
    served.ask(&[&session], &request("resources/read", &json!({"uri": "one://r"})));
    assert_eq!(methods(&one), ["tools/call", "resources/list", "resources/templates/list", "resources/read"]);
    assert!(methods(&two).is_empty());
}

#[test]
fn completion_and_the_level_of_the_log_go_where_they_belong() {
    let one = named("one");
    let two = says("two", |message| {
        let capabilities = json!({"tools": {}, "prompts": {}, "resources": {}, "completions": {}});
        (message["method"] == "initialize")
            .then(|| json!({"protocolVersion": "2025-06-18", "capabilities": capabilities}))
    });
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let ask = |method: &str, params: Value| served.ask(&[&session], &request(method, &params));
    let prompts = ask("prompts/list", json!({}));
    let names: Vec<_> =
        prompts["result"]["prompts"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    let complete = |reference: Value| {
        ask("completion/complete", json!({"ref": reference, "argument": {"name": "a", "value": "x"}}))
    };
    let prompt = |name: &str| complete(json!({"type": "ref/prompt", "name": name}));
    assert_eq!(prompt("two__greet")["result"]["params"]["ref"], json!({"type": "ref/prompt", "name": "greet"}));
    let shortened = names.iter().find(|name| name.starts_with("one___")).unwrap();
    assert_eq!(prompt(shortened)["result"]["params"]["ref"]["name"], "greet with spaces");
    for unknown in ["greet", "three__greet", "one___0000000000000000"] {
        assert_eq!(prompt(unknown)["error"]["code"], -32602, "{unknown}");
    }
    for uri in ["two://t/{id}", "two://t/7", "two://r"] {
        let completed = complete(json!({"type": "ref/resource", "uri": uri}));
        assert_eq!(
            (&completed["result"]["from"], &completed["result"]["params"]["ref"]["uri"]),
            (&json!("two"), &json!(uri))
        );
    }
    methods(&one);
    methods(&two);
    assert_eq!(ask("logging/setLevel", json!({"level": "error"}))["result"], json!({}));
    assert_eq!(methods(&one), ["logging/setLevel"]);
    assert!(methods(&two).is_empty(), "it has no log");
    assert_eq!(ask("no/such/method", json!({}))["error"]["code"], -32601);
}

/// A server whose calls become tasks of this id.
fn working(name: &'static str, task: &'static str) -> Upstream {
    says(name, move |message| match message["method"].as_str()? {
        "initialize" => Some(
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "tasks": {"list": {}, "cancel": {}}}}),
        ),
        "tools/call" => Some(json!({"task": {"taskId": task, "status": "working"}})),
        "tasks/list" => Some(json!({"tasks": [{"taskId": task, "of": name}]})),
        "tasks/get" | "tasks/result" | "tasks/cancel" => {
            (message["params"]["taskId"] == task).then(|| json!({"taskId": task, "of": name}))
        }
        _ => None,
    })
}

#[test]
fn a_task_is_asked_of_the_server_that_handed_it_out() {
    let (one, two) = (working("one", "first"), working("two", "second"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let ask = |method: &str, params: Value| served.ask(&[&session], &request(method, &params));
    // A task is for the grant that has begun it.
    assert!(ask("tasks/get", json!({"taskId": "first"})).get("error").is_some());
    for name in ["one__good", "two__good"] {
        ask("tools/call", json!({"name": name, "task": {"ttl": 1}}));
    }
    methods(&one);
    methods(&two);
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        assert_eq!(ask(method, json!({"taskId": "second"}))["result"]["of"], "two", "{method}");
        assert_eq!(methods(&two), [method]);
    }
    assert!(methods(&one).is_empty());
    let tasks = ask("tasks/list", json!({}));
    assert_eq!(tasks["result"]["tasks"], json!([{"taskId": "first", "of": "one"}, {"taskId": "second", "of": "two"}]));
    assert_eq!(ask("tasks/result", json!({"taskId": "first"}))["result"]["of"], "one");
}

#[test]
fn a_task_whose_id_two_servers_have_handed_out_is_asked_of_neither() {
    let (one, two) = (working("one", "same"), working("two", "same"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let ask = |method: &str, params: Value| served.ask(&[&session], &request(method, &params));
    ask("tools/call", json!({"name": "one__good", "task": {}}));
    assert_eq!(ask("tasks/get", json!({"taskId": "same"}))["result"]["of"], "one");
    ask("tools/call", json!({"name": "two__good", "task": {}}));
    methods(&one);
    methods(&two);
    let said = ask("tasks/cancel", json!({"taskId": "same"}))["error"]["message"].as_str().unwrap().to_owned();
    assert!(said.contains("two servers"), "{said}");
    assert!(methods(&one).is_empty() && methods(&two).is_empty());
    // What nobody handed out is looked for, and found nowhere.
    assert_eq!(ask("tasks/cancel", json!({"taskId": "other"}))["error"]["code"], -32602);
    assert!(!methods(&one).contains(&"tasks/cancel".to_owned()));
}

#[test]
fn instructions_stand_under_the_names_of_their_servers() {
    let server = |name: &'static str, text: Option<&'static str>| {
        says(name, move |message| {
            let mut result = json!({"protocolVersion": "2025-06-18", "capabilities": {}});
            text.iter().for_each(|text| result["instructions"] = json!(text));
            (message["method"] == "initialize").then_some(result)
        })
    };
    let servers = [server("b", Some("Be quick.\n")), server("a", Some("Be \"kind\".")), server("c", None)];
    let (_sandbox, served) = start(&[("b", &servers[0].url), ("a", &servers[1].url), ("c", &servers[2].url)]);
    let begun = served.ask(&[], INITIALIZE);
    assert_eq!(begun["result"]["instructions"], "## a\n\nBe \"kind\".\n\n## b\n\nBe quick.\n");
}

#[test]
fn a_server_of_the_other_era_is_left_out_of_a_session() {
    let one = named("one");
    let two = says("two", |message| {
        (message["method"] == "initialize")
            .then(|| json!({"protocolVersion": "2026-07-28", "capabilities": {"tools": {}}}))
    });
    let (sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let tools = served.ask(&[&session], &request("tools/list", &json!({})));
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 2);
    assert_eq!(served.ask(&[&session], &request("tools/call", &json!({"name": "two__good"})))["error"]["code"], -32602);
    assert_eq!(served.end(), Some(0));
    assert!(sandbox.read("audit.jsonl").contains("it speaks no revision with sessions"), "the log says why");
}

/// A token and its hash.
const ALICE: &str = "Authorization: Bearer mcpol_token-of-alice";
const ALICE_SHA256: &str = "94ab40bd3046a011c7dc0958533f817d5ddb97550ae32845f4283490c56ff317";
const BOB: &str = "Authorization: Bearer mcpol_token-of-bob";
const BOB_SHA256: &str = "98b342f20586292e7745bea37791378d33d58886f1b7f89998c053ab95134852";

#[test]
fn a_grant_sees_its_own_servers_and_nothing_of_what_another_was_shown() {
    let (one, two) = (named("one"), named("two"));
    let grants = format!(
        "[grants.alice]\nservers = [\"one\", \"two\"]\npolicy = \"alice.json\"\ntoken_sha256 = \"{ALICE_SHA256}\"\n\
         [grants.bob]\nservers = [\"one\"]\ntoken_sha256 = \"{BOB_SHA256}\"\n"
    );
    let mut text = String::from("[gateway]\nlisten = \"127.0.0.1:0\"\nstate = \"memory:\"\naudit = \"none\"\n");
    for (name, url) in [("one", &one.url), ("two", &two.url)] {
        text.push_str(&format!("[servers.{name}]\nurl = \"{url}\"\npolicy = \"policy.json\"\n"));
    }
    let sandbox = Sandbox::new();
    sandbox.write("policy.json", &json!({"version": "1", "default": "allow", "hide": [LONG]}).to_string());
    sandbox.write("alice.json", r#"{"version": "1", "default": "allow"}"#);
    sandbox.write("mcpol.toml", &(text + &grants));
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let open = |token: &str| {
        let begun = served.post(&[token], INITIALIZE);
        format!("Mcp-Session-Id: {}", begun.header("mcp-session-id").unwrap_or_else(|| panic!("{begun:?}")))
    };
    let (alice, bob) = (open(ALICE), open(BOB));
    let names = |token: &str, session: &str| {
        let tools = served.ask(&[token, session], &request("tools/list", &json!({})));
        let tools = tools["result"]["tools"].as_array().unwrap().iter();
        tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of_alice = names(ALICE, &alice);
    assert_eq!(of_alice.len(), 6);
    assert_eq!(names(BOB, &bob), ["one__good", "one__secret"]);
    let call = |name: &str| served.ask(&[BOB, &bob], &request("tools/call", &json!({"name": name})));
    // A hidden tool whose shortened name another grant was shown is like one that nobody has.
    let hidden = of_alice.iter().find(|name| name.starts_with("one___")).unwrap();
    let unknown = format!("{}0", &hidden[..hidden.len() - 1]);
    methods(&one);
    let replies =
        [call(hidden).to_string().replace(hidden, "NAME"), call(&unknown).to_string().replace(&unknown, "NAME")];
    assert_eq!(replies[0], replies[1]);
    assert!(!replies[0].contains("far.too.long") && !methods(&one).contains(&"tools/call".to_owned()));
    assert_eq!(call("two__good")["error"]["code"], -32602);
    // Where resources are is learnt by each grant for itself.
    methods(&two);
    served.ask(&[ALICE, &alice], &request("resources/read", &json!({"uri": "two://r"})));
    assert!(!methods(&two).is_empty());
    served.post(&[BOB, &bob], &request("resources/read", &json!({"uri": "two://r"})));
    assert!(methods(&two).is_empty());
    // A session is its grant's.
    assert_eq!(served.post(&[BOB, &alice], &request("ping", &json!({}))).status, 404);
}

#[test]
fn a_tool_that_was_listed_and_is_hidden_now_is_like_one_that_never_was() {
    let (one, two) = (named("one"), named("two"));
    let (sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let tools = served.ask(&[&session], &request("tools/list", &json!({})));
    let name = tools["result"]["tools"][1]["name"].as_str().unwrap().to_owned();
    let call = |name: &str| served.ask(&[&session], &request("tools/call", &json!({"name": name})));
    assert!(call(&name)["result"].is_object());
    sandbox.write(
        "policy.json",
        &json!({"version": "1", "default": "deny", "hide": [LONG], "tools": {"good": {}}}).to_string(),
    );
    served.hear("policy reloaded");
    let unknown = format!("{}0", &name[..name.len() - 1]);
    assert_eq!(call(&name).to_string().replace(&name, "NAME"), call(&unknown).to_string().replace(&unknown, "NAME"));
}
