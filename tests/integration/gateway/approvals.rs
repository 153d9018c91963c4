//! Calls that wait for a person at another terminal.

use super::*;

fn asking() -> Value {
    only(json!({"create_task": {"approval": {"message": "really?", "ttl_s": 600}}}))
}

/// The id of the one approval that waits; asks until there is one.
pub fn waiting(sandbox: &Sandbox) -> String {
    let deadline = std::time::Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
    loop {
        let (out, _) = sandbox.run(&["approvals", "list"]).both(0);
        if let Some(line) = out.lines().next() {
            return line.split(' ').next().unwrap().to_owned();
        }
        assert!(std::time::Instant::now() < deadline, "nothing waits");
    }
}

#[test]
fn a_call_waits_and_passes_once_when_it_is_approved() {
    let sandbox = sandbox(&asking());
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    gateway.call(1, "create_task", &json!({"title": "first \u{1b}[31m"}));
    // Everything else goes on meanwhile.
    assert!(gateway.ask(2, "ping", &json!({})).get("result").is_some());
    let id = waiting(&sandbox);
    let shown = sandbox.run(&["approvals", "show", &id]).quiet(0);
    assert!(shown.contains("create_task") && shown.contains("really?") && shown.contains("first"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let (_, said) = sandbox.run(&["approvals", "approve", &id]).both(0);
    assert!(said.contains("this one call of create_task"), "{said}");
    passed(&gateway.reply());
    let stderr = sandbox.run(&["approvals", "approve", &id]).refused(2);
    assert!(stderr.contains("used already"), "{stderr}");
    // The same call again is another question.
    gateway.call(3, "create_task", &json!({"title": "first \u{1b}[31m"}));
    let second = waiting(&sandbox);
    assert_ne!(second, id);
    sandbox.run(&["approvals", "deny", &second]).both(0);
    assert!(refusal(&gateway.reply()).contains("a person refused"));
    assert_eq!(gateway.close().0, Some(0));
    let log = log(&sandbox);
    let verdicts: Vec<&str> = events(&log, "decision").iter().map(|entry| entry["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["ask", "allow", "ask", "deny"]);
}

#[test]
fn nobody_answers_and_the_call_may_be_tried_again_once_approved() {
    let sandbox = sandbox(&asking());
    let mut gateway = Gateway::sample(&sandbox, &["--approval-wait", "0.1"]);
    gateway.initialize();
    let reply = gateway.ask_tool(1, "create_task", &json!({"title": "a"}));
    let id = waiting(&sandbox);
    // A model that reads it must not learn how to approve: it may have a shell.
    let said = refusal(&reply);
    assert!(said.contains(&format!("approval {id}")) && said.contains("a person must decide"), "{said}");
    assert!(!said.contains("mcpol") && !said.contains("approve ") && !said.contains("://"), "{said}");
    assert_eq!(reply["result"]["_meta"]["io.github.mcpol/decision"]["code"], "approval_required");
    sandbox.run(&["approvals", "approve", &id]).both(0);
    // Bound to the arguments.
    refusal(&gateway.ask_tool(2, "create_task", &json!({"title": "b"})));
    passed(&gateway.ask_tool(3, "create_task", &json!({"title": "a"})));
    refusal(&gateway.ask_tool(4, "create_task", &json!({"title": "a"})));
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn who_waited_longer_than_the_question_lives_is_told_of_one_that_can_be_answered() {
    let sandbox = sandbox(&only(json!({"create_task": {"approval": {"message": "really?", "ttl_s": 1}}})));
    let mut gateway = Gateway::sample(&sandbox, &["--approval-wait", "60"]);
    gateway.initialize();
    let params = json!({"name": "create_task", "arguments": {"title": "a"}, "_meta": {"progressToken": 1}});
    gateway.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string());
    let told = gateway.message()["params"]["message"].as_str().unwrap().to_owned();
    let lapsed = told.rsplit(' ').next().unwrap();
    let reply = gateway.reply();
    assert!(refusal(&reply).contains("a person must decide") && !refusal(&reply).contains(lapsed), "{reply} {lapsed}");
    assert_eq!(gateway.close().0, Some(0));
}

/// Everything in the call's params is shown and approved, but the progress token.
#[test]
fn approved_is_what_was_shown() {
    let sandbox = sandbox(&asking());
    let mut gateway = Gateway::sample(&sandbox, &["--approval-wait", "0.1"]);
    gateway.initialize();
    let call = |gateway: &mut Gateway, id: u64, beside: &Value| {
        let mut params = json!({"name": "create_task", "arguments": {"title": "a", "n": 1.50}});
        params.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
        gateway.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string());
        loop {
            let message = gateway.message();
            if message["id"] == id {
                break message;
            }
        }
    };
    let beside = json!({"task": {"ttl": 5}, "requestState": "sealed", "_meta": {"x": 1}});
    refusal(&call(&mut gateway, 1, &beside));
    let id = waiting(&sandbox);
    let shown = sandbox.run(&["approvals", "show", &id]).quiet(0);
    for part in ["\"title\": \"a\"", "\"n\": 1.5", "\"ttl\": 5", "\"requestState\": \"sealed\"", "\"x\": 1"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    sandbox.run(&["approvals", "approve", &id]).both(0);
    for (number, other) in [
        json!({}),
        json!({"task": {"ttl": 6}, "requestState": "sealed", "_meta": {"x": 1}}),
        json!({"task": {"ttl": 5}, "requestState": "other", "_meta": {"x": 1}}),
        json!({"task": {"ttl": 5}, "requestState": "sealed", "_meta": {"x": 2}}),
        json!({"task": {"ttl": 5}, "requestState": "sealed", "_meta": {"x": 1}, "inputResponses": {}}),
    ]
    .iter()
    .enumerate()
    {
        refusal(&call(&mut gateway, 10 + number as u64, other));
    }
    let same = json!({"task": {"ttl": 5}, "requestState": "sealed", "_meta": {"progressToken": "p", "x": 1}});
    assert!(call(&mut gateway, 20, &same)["result"]["isError"] != true, "the token says nothing to the tool");
    let long = gateway.ask_tool(30, "create_task", &json!({"title": "x".repeat(70_000)}));
    assert!(refusal(&long).contains("64 KiB"), "{long}");
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn a_grant_with_too_many_questions_hears_why_and_no_path() {
    let sandbox = sandbox(&asking());
    let mut gateway = Gateway::sample(&sandbox, &["--approval-wait", "0"]);
    gateway.initialize();
    let ask = |gateway: &mut Gateway, number: u64| {
        let reply = gateway.ask_tool(number, "create_task", &json!({"title": number.to_string()}));
        refusal(&reply).to_owned()
    };
    for number in 1..=50 {
        assert!(ask(&mut gateway, number).contains("has not yet"));
    }
    let said = ask(&mut gateway, 51);
    assert!(said.contains("50 such questions wait") && !said.contains('/') && !said.contains("disk"), "{said}");
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn a_call_that_waits_can_be_withdrawn() {
    let sandbox = sandbox(&asking());
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    gateway.call(1, "create_task", &json!({"title": "a"}));
    let id = waiting(&sandbox);
    gateway.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    assert!(gateway.ask(2, "ping", &json!({})).get("result").is_some());
    let late = sandbox.run(&["approvals", "approve", &id]);
    assert!(late.both(2).1.contains("is withdrawn already"));
    let (code, lines, _) = gateway.close();
    assert_eq!((code, lines), (Some(0), vec![]), "a withdrawn call gets no answer and is not made");
}

#[test]
fn whoever_asked_for_progress_hears_at_once_that_the_call_waits() {
    let sandbox = sandbox(&asking());
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    let params = json!({"name": "create_task", "arguments": {"title": "a"}, "_meta": {"progressToken": "p"}});
    gateway.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string());
    let told = gateway.message();
    assert_eq!((&told["method"], &told["params"]["progressToken"]), (&json!("notifications/progress"), &json!("p")));
    // The server's own progress begins later, and must not seem to go back.
    assert!(told["params"]["progress"].as_f64().is_some_and(|progress| progress > 0.0 && progress < 0.1), "{told}");
    let id = waiting(&sandbox);
    assert!(told["params"]["message"].as_str().is_some_and(|text| text.contains(&id)), "{told}");
    sandbox.run(&["approvals", "approve", &id]).both(0);
    passed(&gateway.message());
    assert_eq!(gateway.close().0, Some(0));
}

#[test]
fn a_call_that_waits_when_the_client_leaves_is_answered_and_not_made() {
    let sandbox = sandbox(&asking());
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    gateway.call(1, "create_task", &json!({"title": "a"}));
    waiting(&sandbox);
    let (code, lines, _) = gateway.close();
    assert_eq!((code, lines.len()), (Some(0), 1), "{lines:?}");
    assert!(lines[0].contains(r#""id":1,"error""#) && lines[0].contains("the gateway has ended"), "{lines:?}");
    assert_eq!(events(&log(&sandbox), "outcome").len(), 0);
}

#[test]
fn looking_where_nothing_was_asked_makes_no_file() {
    let sandbox = sandbox(&asking());
    let (out, said) = sandbox.run(&["approvals", "list"]).both(0);
    assert_eq!((out.as_str(), said.as_str()), ("", "No call waits for approval.\n"));
    assert!(sandbox.run(&["approvals", "approve", "nothing"]).refused(2).contains("there is no approval `nothing`"));
    assert!(!sandbox.dir().join("state").exists());
}
