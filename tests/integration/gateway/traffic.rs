//! What flows, what is filtered, and how refusals look.

use super::*;

fn some() -> Value {
    json!({"version": "1", "default": "deny", "hide": ["delete_task"], "tools": {
        "list_tasks": {}, "create_task": {"deny_if": [{"conditions": [{"path": "args.title", "op": "contains", "value": "secret"}], "on_deny": "no secrets"}]},
        "buy_focus_credits": {"action": "deny", "reason": "ask a person"}}})
}

fn names(reply: &Value) -> Vec<&str> {
    reply["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[test]
fn only_what_can_be_called_is_listed_and_to_the_letter() {
    let sandbox = sandbox(&some());
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    let reply = gateway.ask(1, "tools/list", &json!({}));
    assert_eq!(names(&reply), ["list_tasks", "create_task"]);
    assert_eq!(gateway.close().0, Some(0));
    // A server's page with odd spacing, numbers and members.
    let kept = r#"{"name":"list_tasks", "x-n":1.0e2,"inputSchema":{"type":"object"}, "ünknown":null}"#;
    let script = format!(
        "read -r a; printf '%s\\n' '{{\"id\":1,\"jsonrpc\":\"2.0\",\"result\":{{\"tools\":[{{\"name\":\"rm\"}},{kept}],\"nextCursor\":\"2\",\"ttlMs\":900}}}}'
        read -r b; printf '%s\\n' '{{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{{\"tools\":[{{\"name\":\"delete_task\"}}],\"_meta\":{{}}}}}}'
        read -r c; printf '%s\\n' '{{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{{\"tools\":[],\"tools\":[{{\"name\":\"rm\"}}]}}}}'; read -r d"
    );
    let mut gateway = Gateway::script(&sandbox, &[], &script);
    gateway.send(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let expected = format!(r#"{{"id":1,"jsonrpc":"2.0","result":{{"tools":[{kept}],"nextCursor":"2","ttlMs":0}}}}"#);
    assert_eq!(gateway.line(), expected);
    gateway.send(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"2"}}"#);
    assert_eq!(gateway.line(), r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[],"_meta":{}}}"#);
    gateway.send(r#"{"jsonrpc":"2.0","id":3,"method":"tools/list"}"#);
    assert_eq!(gateway.message()["error"]["code"], -32603, "a list with two readings is an error");
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn refusals_say_what_would_pass_and_hidden_tools_do_not_exist() {
    let sandbox = sandbox(&some());
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    passed(&gateway.ask_tool(1, "list_tasks", &json!({})));
    let reply = gateway.ask_tool(2, "create_task", &json!({"title": "a secret"}));
    assert_eq!(refusal(&reply), "[POLICY DENIED] no secrets");
    assert!(reply["result"].get("structuredContent").is_none());
    let decision = &reply["result"]["_meta"]["io.github.mcpol/decision"];
    assert_eq!(decision["rule"], "/tools/create_task/deny_if/args.title-contains");
    assert_eq!(refusal(&gateway.ask_tool(3, "buy_focus_credits", &json!({}))), "[POLICY DENIED] ask a person");
    let line = |gateway: &mut Gateway, tool: &str| {
        gateway.call(4, tool, &json!({}));
        gateway.line().replace(tool, "TOOL")
    };
    let hidden = line(&mut gateway, "delete_task");
    assert_eq!(hidden, line(&mut gateway, "no_such_tool"));
    assert_eq!(hidden, r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32602,"message":"Unknown tool: TOOL"}}"#);
    assert_eq!(gateway.close().0, Some(0));
    let log = log(&sandbox);
    let rules: Vec<&str> = events(&log, "decision").iter().map(|entry| entry["rule"].as_str().unwrap()).collect();
    assert_eq!(rules[3..], ["(hidden)", "(default deny)"]);
}

#[test]
fn refusals_of_the_stateless_revision_carry_a_result_type() {
    let sandbox = sandbox(&some());
    let mut gateway = Gateway::sample(&sandbox, &[]);
    let meta = |version: &str| {
        json!({"name": "buy_focus_credits", "arguments": {}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"}}})
    };
    let reply = gateway.ask(1, "tools/call", &meta("2026-07-28"));
    refusal(&reply);
    assert_eq!(reply["result"]["resultType"], "complete");
    let reply = gateway.ask(2, "tools/call", &meta("2030-01-01"));
    assert_eq!(reply["error"]["code"], -32600, "a version whose rules nobody knows: {reply}");
    assert_eq!(gateway.close().0, Some(0));
}

/// Everything that is no tool call reaches the other side to the letter, both ways.
#[test]
fn all_else_flows_to_the_letter_where_the_policy_opens_it() {
    let sandbox = sandbox(&open_beside(json!({})));
    // Everything heard comes back as the text of a notification, after requests of the server's own.
    let script = r#"echo '{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[],"_meta":{"x":1.0}}}'
        echo '{"jsonrpc":"2.0","id":"1","method":"roots/list"}'
        while read -r line; do printf '%s\n' "$line" >> heard; echo '{"jsonrpc":"2.0","method":"heard"}'; done"#;
    let mut gateway = Gateway::script(&sandbox, &[], script);
    assert_eq!(
        gateway.line(),
        r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[],"_meta":{"x":1.0}}}"#
    );
    assert_eq!(gateway.line(), r#"{"jsonrpc":"2.0","id":"1","method":"roots/list"}"#);
    let lines = [
        r#"{"jsonrpc":"2.0","id":1,"result":{"role":"assistant","n":1e400}}"#,
        r#"{"jsonrpc":"2.0","id":"1","error":{"code":-32601,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:b","_meta":{"progressToken":"p"}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"x/unknown","params":{"a":{"A":1,"a":2}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#,
    ];
    for line in lines {
        gateway.send(line);
        assert_eq!(gateway.message()["method"], "heard");
    }
    // An answer to a request that the server never made, or made once only, goes nowhere.
    gateway.send(lines[0]);
    gateway.send(r#"{"jsonrpc":"2.0","method":"notifications/last"}"#);
    assert_eq!(gateway.message()["method"], "heard");
    assert_eq!(gateway.close().0, Some(0));
    let heard = sandbox.read("heard");
    assert_eq!(heard.lines().take(lines.len()).collect::<Vec<_>>(), lines);
    assert_eq!(heard.lines().count(), lines.len() + 1);
    let decided = |method: &str| {
        let log = log(&sandbox);
        log.iter().filter(|line| line["event"] == "decision" && line["method"] == method).count()
    };
    for method in ["sampling/createMessage", "roots/list", "resources/read", "x/unknown", "notifications/last"] {
        assert_eq!(decided(method), 1, "{method}");
    }
}

#[test]
fn unknown_methods_are_refused_unless_they_are_forwarded() {
    let sandbox = sandbox(&some());
    for (args, is_forwarded) in [
        (&[][..], false),
        (&["--unknown-methods", "forward"], true),
        (&["--unknown-methods", "x/unknown,y"], true),
        (&["--unknown-methods", "x/unknow"], false),
    ] {
        let script = r#"while read -r line; do echo '{"jsonrpc":"2.0","id":1,"result":{}}'; done"#;
        let mut gateway = Gateway::script(&sandbox, args, script);
        assert_eq!(gateway.ask(1, "x/unknown", &json!({}))["error"]["code"] == -32601, !is_forwarded);
        assert_eq!(gateway.ask(1, "tools//call", &json!({"name": "list_tasks"}))["error"]["code"], -32601);
        assert_eq!(gateway.close().0, Some(0));
    }
}

#[test]
fn what_passes_out_of_turn_is_never_forwarded() {
    let sandbox = sandbox(&json!({"version": "1", "default": "allow", "tools": {}}));
    let mut gateway = Gateway::script(&sandbox, &[], "while read -r line; do printf '%s\\n' \"$line\" >> heard; done");
    for line in [
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}]"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"a"}}"#,
        r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"a"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"Method":"tools/call","params":{"name":"a"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"TOOLS/CALL","params":{"name":"a"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":NaN}}}"#,
    ] {
        gateway.send(line);
    }
    gateway.send_bytes(b"{\"jsonrpc\":\"2.0\",\r\"id\":1,\r\"method\":\"ping\"}\n");
    assert_eq!(gateway.close().0, Some(0));
    assert_eq!(sandbox.read("heard"), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
}

#[test]
fn shadow_mode_forwards_everything_and_says_so() {
    let sandbox = sandbox(&some());
    let mut gateway = Gateway::sample(&sandbox, &["--shadow"]);
    gateway.initialize();
    assert!(names(&gateway.ask(1, "tools/list", &json!({}))).contains(&"delete_task"));
    assert!(gateway.ask_tool(2, "delete_task", &json!({"id": 1})).get("result").is_some());
    let (code, _, stderr) = gateway.close();
    assert!(code == Some(0) && stderr.contains("SHADOW"), "{stderr}");
    let log = log(&sandbox);
    let decision = events(&log, "decision")[0];
    assert_eq!((&decision["verdict"], &decision["rule"]), (&json!("would_deny"), &json!("(hidden)")));
}

#[test]
fn the_first_list_shows_what_the_policy_got_wrong() {
    let sandbox = sandbox(&only(json!({"list_tasks": {}, "list_task": {}})));
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    for id in 1..=2 {
        gateway.ask(id, "tools/list", &json!({}));
    }
    let (_, _, stderr) = gateway.close();
    assert!(stderr.contains("does not list: `list_task` (did you mean `list_tasks`?)"), "{stderr}");
    assert_eq!(stderr.matches("does not list").count(), 1);
    assert!(stderr.starts_with("mcpol: "), "{stderr}");
    assert!(stderr.contains("2 allowed, 0 limited"), "{stderr}");
}

#[test]
fn a_dry_run_starts_nothing() {
    let sandbox = sandbox(&some());
    let out = sandbox.run(&["enforce", "--policy", "policy.json", "--dry-run"]).quiet(0);
    for line in ["buy_focus_credits  refused", "delete_task        hidden", "list_tasks         allowed"] {
        assert!(out.contains(line), "{out}");
    }
    assert!(!sandbox.dir().join("state").exists());
}

#[test]
fn a_policy_that_is_wrong_stops_it_before_the_server_starts() {
    let sandbox = sandbox(&json!({"version": "2", "default": "maybe"}));
    let stderr = sandbox.run(&["enforce", "--policy", "policy.json", "--", "touch", "started"]).refused(2);
    assert!(stderr.contains("policy.json") && stderr.matches("/default").count() == 1, "{stderr}");
    let stderr = sandbox.run(&["enforce", "--policy", "none.json", "--", "touch", "started"]).refused(2);
    assert!(stderr.contains("cannot read policy `none.json`") && stderr.contains("help:"), "{stderr}");
    assert!(!sandbox.dir().join("started").exists());
}

#[test]
fn a_hidden_tool_is_answered_like_one_that_nobody_has_also_where_the_rest_is_allowed() {
    let sandbox = sandbox(&json!({"version": "1", "default": "allow", "hide": ["delete_task"], "tools": {}}));
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    let mut line = |tool: &str| {
        gateway.call(4, tool, &json!({}));
        gateway.line().replace(tool, "TOOL")
    };
    // The client has not listed the tools: the gateway has to, or it could not tell which name nobody has.
    let unknown = line("no_such_tool");
    assert_eq!(unknown, r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32602,"message":"Unknown tool: TOOL"}}"#);
    assert_eq!(line("delete_task"), unknown);
    assert!(line("list_tasks").contains("result"), "what the policy does not name is allowed");
    assert_eq!(gateway.close().0, Some(0));
    let log = log(&sandbox);
    let rules: Vec<&str> = events(&log, "decision").iter().map(|entry| entry["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["(not listed)", "(hidden)", "(default allow)"]);
}

#[test]
fn a_schema_that_a_reloaded_policy_wants_is_asked_for() {
    let sandbox = sandbox(&only(json!({"create_task": {}})));
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    gateway.ask(1, "tools/list", &json!({}));
    sandbox.write("policy.json", &only(json!({"create_task": {"validate": "schema"}, "get_task": {}})).to_string());
    assert_eq!(gateway.message()["method"], "notifications/tools/list_changed");
    refusal(&gateway.ask_tool(2, "create_task", &json!({"title": 5})));
    passed(&gateway.ask_tool(3, "create_task", &json!({"title": "a"})));
    assert_eq!(gateway.close().0, Some(0));
}
