//! Streams of events: passed on as they come and as they are, with every list filtered wherever it turns up.

use super::*;

/// A gate that a test opens when the client has seen what came before.
fn gate() -> (std::sync::mpsc::Sender<()>, impl Fn() + Send + Sync) {
    let (sender, receiver) = channel();
    let receiver = std::sync::Mutex::new(receiver);
    (sender, move || {
        let _ = receiver.lock().unwrap().recv_timeout(Duration::from_secs(LINE_SECONDS_MAX));
    })
}

#[test]
fn the_first_event_arrives_before_the_last_is_sent() {
    let (open, wait) = gate();
    let first = ": hello\nid: 7\r\nretry: 10\nx-unknown: y\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n";
    let last = format!("id: 8\ndata: {DONE}\n\n");
    let (sandbox, end) = (usual(), last.clone());
    let upstream = Upstream::start(move |_, stream| {
        stream.write_all(STREAM.as_bytes()).unwrap();
        stream.write_all(first.as_bytes()).unwrap();
        wait();
        stream.write_all(end.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
    });
    let served = Served::relay(&sandbox, &[], &upstream);
    let mut connection = served.open();
    connection.post(&[], CALL);
    let (status, head) = connection.head();
    assert_eq!((status, header(&head, "content-type")), (200, Some("text/event-stream")));
    let mut all = connection.until("notifications/message");
    open.send(()).unwrap();
    while let Some(chunk) = connection.chunk() {
        all.push_str(&chunk);
    }
    assert_eq!(all, format!("{first}{last}"), "to the byte");
}

#[test]
fn an_event_of_ten_mebibytes_passes() {
    let result = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [], "x": "y".repeat(10 * 1024 * 1024 - 100)}});
    let body = format!("data: {result}\n\n");
    let (sandbox, sent) = (usual(), body.clone());
    let upstream = Upstream::answering(move |_| events_response(&sent));
    let served = Served::relay(&sandbox, &[], &upstream);
    assert!(served.post(&[], CALL).body == body);
}

#[test]
fn lists_are_filtered_in_every_stream() {
    let list =
        json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "hidden"}, {"name": "good", "x": 1.0}]}});
    let escaped = list.to_string().replace("\"tools\"", "\"to\\u006fls\"");
    let split =
        format!("id: 3\r\ndata: {{\"jsonrpc\":\"2.0\",\"id\":1,\r\ndata: \"result\":{}}}\r\n\r\n", list["result"]);
    for body in [format!("event: message\nid: 3\ndata: {list}\n\n"), split, format!("\u{feff}data: {escaped}\n\n")] {
        let (sandbox, sent) = (usual(), body.clone());
        let upstream = Upstream::answering(move |_| events_response(&sent));
        let served = Served::relay(&sandbox, &[], &upstream);
        let reply = served.post(&[], r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        assert!(reply.body.contains("good") && !reply.body.contains("hidden"), "{body:?} gave {reply:?}");
        let events: Vec<Value> = messages_of(&reply.body);
        assert_eq!(events.len(), 1, "each line of the message is a line of the event: {reply:?}");
        // The same on a stream that is taken up again, which can be where its events have ids.
        let get = |headers: &[&str]| {
            let mut connection = served.open();
            connection.get(headers);
            connection.reply()
        };
        let resumed = get(&["Last-Event-ID: 2"]);
        assert!(!resumed.body.contains("hidden"), "{body:?} gave {resumed:?}");
        assert_eq!(resumed.body.contains("good"), body.contains("id: 3"), "{body:?} gave {resumed:?}");
        assert_eq!(resumed.body.contains("id: 3"), body.contains("id: 3"));
        // On a stream that is none such, nothing is answered.
        let listening = get(&[]);
        assert!(!listening.body.contains("good") && !listening.body.contains("hidden"), "{body:?} gave {listening:?}");
    }
}

#[test]
fn a_stream_that_is_taken_up_again_answers_what_was_asked_there_and_nothing_else() {
    let foreign = |id: u64| {
        let result = json!({"TOOLS": [{"name": "hidden"}], "Tools": [{"name": "hidden"}], "content": []});
        format!("id: 9\ndata: {}\n\n", json!({"jsonrpc": "2.0", "id": id, "result": result}))
    };
    let second = format!("id: 9\ndata: {DONE}\n\n");
    let sandbox = usual();
    let upstream = Upstream::answering(move |asked| match asked.head.starts_with("GET") {
        true => events_response(&format!("{}{}{}{}{}", foreign(7), foreign(1), foreign(1), second, foreign(8))),
        // It breaks off before the answer.
        false => events_response("id: 1\ndata:\n\n"),
    });
    let served = Served::relay(&sandbox, &[], &upstream);
    let body = served.post(&[], CALL).body;
    assert!(!body.contains("\"id\":1"), "the answer comes elsewhere: {body}");
    let get = |headers: &[&str]| {
        let mut connection = served.open();
        connection.get(headers);
        messages_of(&connection.reply().body)
    };
    assert_eq!(get(&[]), Vec::<Value>::new());
    // Once more as well, where the client has lost it.
    for _ in 0..2 {
        let answers = get(&["Last-Event-ID: 1"]);
        assert_eq!(answers.iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>(), [json!(1)]);
        assert!(answers[0]["result"].get("TOOLS").is_some(), "the first, and no other: {answers:?}");
    }
}

#[test]
fn a_list_that_cannot_be_read_is_never_passed_on() {
    for result in [r#"{"tools":[{"name":"good"}],"tools":[{"name":"hidden"}]}"#, r#"{"tools":{"name":"hidden"}}"#] {
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        for response in [json_response(&message), events_response(&format!("data: {message}\n\n"))] {
            let sandbox = usual();
            let upstream = Upstream::answering(move |_| response.clone());
            let served = Served::relay(&sandbox, &[], &upstream);
            let reply = served.post(&[], r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
            assert!(reply.body.contains("-32603") && !reply.body.contains("hidden"), "{reply:?}");
        }
    }
}

#[test]
fn foreign_replies_are_dropped_and_the_own_one_comes_once() {
    let foreign = DONE.replace("\"id\":1", "\"id\":2");
    let body = format!("data: {foreign}\n\ndata: {DONE}\n\ndata: {DONE}\n\ndata: junk\n\n");
    let sandbox = usual();
    let upstream = Upstream::answering(move |_| events_response(&body));
    let served = Served::relay(&sandbox, &[], &upstream);
    assert_eq!(served.post(&[], CALL).body, format!("data: {DONE}\n\n"));
    served.end();
    assert!(sandbox.read("state/audit.jsonl").contains("foreign reply"));
}

#[test]
fn closing_the_stream_reaches_the_server() {
    let (seen, closed) = channel();
    let sandbox = usual();
    let upstream = Upstream::start(move |_, stream| {
        stream.write_all(STREAM.as_bytes()).unwrap();
        stream.write_all(b": alive\n").unwrap();
        let mut rest = Vec::new();
        // Returns when the gateway closes its end.
        let _ = stream.read_to_end(&mut rest);
        seen.send(()).unwrap();
    });
    let served = Served::relay(&sandbox, &[], &upstream);
    for get in [false, true] {
        let mut connection = served.open();
        if get {
            connection.get(&[])
        } else {
            connection.post(&[], CALL)
        }
        connection.head();
        connection.until(": alive");
        drop(connection);
        closed.recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)).expect("the server was not told");
    }
    served.end();
    assert!(sandbox.read("state/audit.jsonl").contains("client_gone"));
}

#[test]
fn what_a_server_asks_of_the_client_comes_through_and_back() {
    let sandbox = usual();
    let question = r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#;
    let upstream = Upstream::answering(move |asked| match asked.head.starts_with("GET") {
        true => events_response(&format!("data: {question}\n\n")),
        false => ordinary(asked),
    });
    let served = Served::relay(&sandbox, &[], &upstream);
    let mut connection = served.open();
    connection.get(&["Mcp-Session-Id: s-1"]);
    assert_eq!(connection.reply().body, format!("data: {question}\n\n"));
    assert_eq!(header(&upstream.next().head, "mcp-session-id"), Some("s-1"));
    let answer = r#"{"jsonrpc":"2.0","id":"q","result":{"roots":[]}}"#;
    assert_eq!(served.post(&["Mcp-Session-Id: s-1"], answer).status, 202);
    assert_eq!(upstream.next().body, answer);
}

#[test]
fn a_client_that_listens_hears_that_tools_appear_otherwise() {
    let sandbox = usual();
    let upstream = Upstream::start(|_, stream| {
        stream.write_all(STREAM.as_bytes()).unwrap();
        stream.write_all(b": alive\n").unwrap();
        let mut rest = Vec::new();
        // Returns when the gateway closes its end.
        let _ = stream.read_to_end(&mut rest);
    });
    let served = Served::relay(&sandbox, &[], &upstream);
    let mut connection = served.open();
    connection.get(&[]);
    assert_eq!(connection.head().0, 200);
    connection.until(": alive");
    for tools in [json!({}), json!({"good": {}})] {
        sandbox.write("policy.json", &only(tools).to_string());
        let heard = connection.until("\n\n");
        assert!(heard.contains("notifications/tools/list_changed"), "{heard}");
    }
}

#[test]
fn no_stream_leads_a_client_of_the_older_transport_past_the_gateway() {
    let sandbox = usual();
    let body = format!(
        "event: endpoint\nid: 7\ndata: http://127.0.0.1:1/messages?session=1\n\nevent: endpoint\ndata: /x\n\n\
        data: http://127.0.0.1:1/y\n\n: alive\n\nevent: other\ndata: {DONE}\n\nevent: message\ndata: {DONE}\n\n"
    );
    let upstream = Upstream::answering(move |_| events_response(&body));
    let served = Served::relay(&sandbox, &[], &upstream);
    let heard = served.post(&[], CALL).body;
    assert!(
        heard.matches("\"id\":1").count() == 1
            && heard.contains(DONE)
            && heard.contains(": alive")
            && heard.contains("id: 7"),
        "{heard}"
    );
    assert!(!["endpoint", "messages", "/x", "/y", "event: other"].iter().any(|part| heard.contains(part)), "{heard}");
    let mut listening = served.open();
    listening.get(&[]);
    listening.head();
    let heard = listening.until(": alive");
    assert!(!heard.contains("endpoint") && !heard.contains("127.0.0.1:1"), "{heard}");
    served.end();
    assert!(sandbox.read("state/audit.jsonl").contains("event of another kind"));
}
