//! What servers ask the client, with ids that may be equal: every answer goes to the server that asked, and nowhere else.

use super::*;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

/// A server whose calls ask the client first, always under the same id and token, and answer with what the client said.
fn asking(name: &'static str) -> Upstream {
    let (sender, replies) = channel::<String>();
    let (sender, replies): (Mutex<Sender<String>>, _) = (Mutex::new(sender), Mutex::new(replies));
    scripted(name, move |asked, stream| {
        let message = asked.message();
        if message.get("method").is_none() && !asked.head.starts_with("GET") {
            sender.lock().unwrap().send(asked.body.clone()).unwrap();
            return false;
        }
        if message["method"] != "tools/call" {
            return false;
        }
        let question = r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"_meta":{"progressToken":1},"x":1.0}}"#;
        stream.write_all(format!("{STREAM}data: {question}\n\n").as_bytes()).unwrap();
        let reply = replies.lock().unwrap().recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)).unwrap();
        let text = json!({"content": [{"type": "text", "text": reply}]});
        let last = json!({"jsonrpc": "2.0", "id": message["id"], "result": text});
        stream.write_all(event(&last).as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
        true
    })
}

/// Calls a tool and waits until its server asks.
fn call(served: &Served, session: &str, tool: &str) -> (Connection, Value) {
    let mut connection = served.open();
    connection.post(&[session], &request("tools/call", &json!({"name": tool, "arguments": {}})));
    assert_eq!(connection.head().0, 200);
    let question = last_message(&connection.until("createMessage"));
    (connection, question)
}

#[test]
fn equal_ids_of_two_servers_are_answered_by_the_right_replies() {
    let (one, two) = (asking("one"), asking("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let (session, stranger) = (session(&served), session(&served));
    let (mut first, of_one) = call(&served, &session, "one__good");
    let (mut second, of_two) = call(&served, &session, "two__good");
    assert_ne!(of_one["id"], of_two["id"]);
    assert_eq!(of_one["params"]["x"].to_string(), "1.0", "the rest stays to the letter");
    for question in [&of_one, &of_two] {
        assert_eq!(question["params"]["_meta"]["progressToken"], question["id"]);
    }
    while one.asked.try_recv().is_ok() || two.asked.try_recv().is_ok() {}
    // Progress goes where the question came from, under the token that it came with.
    let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": of_two["id"], "progress": 5}});
    assert_eq!(served.post(&[&session], &progress.to_string()).status, 202);
    assert_eq!(two.next().message()["params"], json!({"progressToken": 1, "progress": 5}));
    // What nobody waits for, or another session, goes nowhere.
    let reply =
        |id: &Value, text: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"said":"{text}","y":2.0}}}}"#);
    for (session, id) in [(&stranger, &of_one["id"]), (&session, &json!(77)), (&session, &json!("1"))] {
        assert_eq!(served.post(&[session], &reply(id, "nobody")).status, 202);
    }
    one.quiet();
    two.quiet();
    assert_eq!(served.post(&[&session], &reply(&of_two["id"], "for two")).status, 202);
    assert_eq!(served.post(&[&session], &reply(&of_one["id"], "for one")).status, 202);
    for (connection, server, text) in [(&mut first, &one, "for one"), (&mut second, &two, "for two")] {
        let result = last_message(&connection.until("content"));
        let heard = result["result"]["content"][0]["text"].as_str().unwrap();
        assert_eq!(heard, reply(&json!(1), text), "its own id, and the rest to the letter");
        assert_eq!(header(&server.next().head, "mcp-session-id"), Some(&*format!("session-of-{}", &text[4..])));
    }
    // A second answer to the same question.
    assert_eq!(served.post(&[&session], &reply(&of_one["id"], "again")).status, 202);
    one.quiet();
}

#[test]
fn a_question_that_is_taken_back_is_known_to_the_client_by_its_id() {
    let one = scripted("one", |asked, stream| {
        let message = asked.message();
        if message["method"] != "tools/call" {
            return false;
        }
        let cancel =
            |id: Value| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        let events = [
            json!({"jsonrpc": "2.0", "id": "first", "method": "elicitation/create", "params": {}}),
            cancel(json!("never asked")),
            cancel(json!("first")),
            json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}),
        ];
        let text: String = events.iter().map(event).collect();
        stream.write_all(events_response(&text).as_bytes()).is_ok()
    });
    let two = named("two");
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let reply = served.post(&[&session], &request("tools/call", &json!({"name": "one__good"})));
    let messages: Vec<Value> =
        reply.body.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    assert_eq!(messages.len(), 3, "{messages:#?}");
    assert_eq!(messages[1]["params"]["requestId"], messages[0]["id"]);
    assert_ne!(messages[0]["id"], "first");
    methods(&one);
    let late = json!({"jsonrpc": "2.0", "id": messages[0]["id"], "result": {}});
    assert_eq!(served.post(&[&session], &late.to_string()).status, 202);
    one.quiet();
}

#[test]
fn questions_beside_a_list_reach_the_client_before_the_list_does() {
    let (sender, replies) = channel::<()>();
    let (sender, replies): (Mutex<Sender<()>>, _) = (Mutex::new(sender), Mutex::new(replies));
    let one = scripted("one", move |asked, stream| {
        let message = asked.message();
        if message.get("method").is_none() {
            sender.lock().unwrap().send(()).unwrap();
        }
        if message["method"] != "tools/list" {
            return false;
        }
        let question = json!({"jsonrpc": "2.0", "id": 7, "method": "roots/list"});
        stream.write_all(format!("{STREAM}{}", event(&question)).as_bytes()).unwrap();
        replies.lock().unwrap().recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)).unwrap();
        let last = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": [{"name": "good"}]}});
        stream.write_all(event(&last).as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).is_ok()
    });
    let two = named("two");
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let mut connection = served.open();
    connection.post(&[&session], &request("tools/list", &json!({})));
    assert_eq!(connection.head().0, 200);
    let question = last_message(&connection.until("roots/list"));
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}});
    assert_eq!(served.post(&[&session], &reply.to_string()).status, 202);
    let list = last_message(&connection.until("tools\""));
    assert_eq!(list["id"], 7);
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 3, "{list}");
    assert!(connection.chunk().is_none(), "the stream ends with the answer");
}

#[test]
fn tasks_of_the_client_are_seen_by_the_server_that_asked_for_them_only() {
    let asks = |method: &'static str, id: i64, task: &'static str| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"taskId": task}});
    let server = move |name| {
        scripted(name, move |asked, stream| {
            let message = asked.message();
            if message["method"] != "tools/call" {
                return false;
            }
            let events = [
                json!({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {"task": {}}}),
                asks("tasks/get", 2, "task-1"),
                json!({"jsonrpc": "2.0", "id": 3, "method": "tasks/list"}),
                json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}}),
            ];
            let text: String = events.iter().map(event).collect();
            stream.write_all(events_response(&text).as_bytes()).is_ok()
        })
    };
    let (one, two) = (server("one"), server("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let call = |tool: &str| {
        let reply = served.post(&[&session], &request("tools/call", &json!({"name": tool})));
        let methods =
            reply.body.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
        methods.filter(|message| message.get("method").is_some()).collect::<Vec<_>>()
    };
    let asked = call("one__good");
    assert_eq!(asked.len(), 1, "no task is known yet: {asked:?}");
    let task =
        json!({"jsonrpc": "2.0", "id": asked[0]["id"], "result": {"task": {"taskId": "task-1", "status": "working"}}});
    assert_eq!(served.post(&[&session], &task.to_string()).status, 202);
    let asked = call("one__good");
    assert!(asked.iter().any(|message| message["method"] == "tasks/get"), "{asked:?}");
    assert!(!asked.iter().any(|message| message["method"] == "tasks/list"), "{asked:?}");
    while two.asked.try_recv().is_ok() {}
    let asked = call("two__good");
    assert!(!asked.iter().any(|message| message["method"] == "tasks/get"), "{asked:?}");
    // The other server is told so, under its own id.
    let refused: Vec<Value> =
        std::iter::repeat_with(|| two.next().message()).filter(|it| it.get("error").is_some()).take(2).collect();
    assert!(refused.iter().any(|it| it["id"] == 2) && refused.iter().any(|it| it["id"] == 3), "{refused:?}");
    let status = json!({"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": {"taskId": "task-1", "status": "completed"}});
    assert_eq!(served.post(&[&session], &status.to_string()).status, 202);
    // Between calls and what was refused, which comes on connections of its own.
    let told = std::iter::repeat_with(|| one.next().message()).find(|it| it["method"] == "notifications/tasks/status");
    assert_eq!(told, Some(status));
    two.quiet();
}

#[test]
fn a_request_is_withdrawn_at_the_server_that_it_went_to() {
    let (one, two) = (asking("one"), named("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let (_call, question) = call(&served, &session, "one__good");
    methods(&one);
    methods(&two);
    let cancel = |id: i64| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    for id in [7, 8] {
        assert_eq!(served.post(&[&session], &cancel(id).to_string()).status, 202);
    }
    assert_eq!(methods(&one), ["notifications/cancelled"]);
    assert!(methods(&two).is_empty());
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {}});
    served.post(&[&session], &reply.to_string());
    // What all were asked, all hear of.
    served.ask(&[&session], &request("prompts/list", &json!({})));
    methods(&one);
    methods(&two);
    assert_eq!(served.post(&[&session], &cancel(7).to_string()).status, 202);
    assert_eq!(
        (methods(&one), methods(&two)),
        (vec!["notifications/cancelled".to_owned()], vec!["notifications/cancelled".to_owned()])
    );
}
