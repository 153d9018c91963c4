//! The stream that a client listens on: all servers' as one, taken up again where each of them was.

use super::*;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

/// A server with a stream on which a test speaks; it is over when the test lets go of its end.
fn speaking(name: &'static str) -> (Upstream, Sender<String>) {
    let (sender, words) = channel::<String>();
    let words = Mutex::new(words);
    let server = scripted(name, move |asked, stream| {
        if !asked.head.starts_with("GET") {
            return false;
        }
        stream.write_all(STREAM.as_bytes()).unwrap();
        while let Ok(word) = words.lock().unwrap().recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)) {
            if word == "end" {
                break;
            }
            stream.write_all(word.as_bytes()).unwrap();
        }
        stream.shutdown(Shutdown::Both).is_ok()
    });
    (server, sender)
}

fn news(id: &str, data: &str) -> String {
    format!(
        "id: {id}\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"data\":\"{data}\",\"n\":1.0}}}}\n\n"
    )
}

/// The next request for a stream that reaches a server.
#[track_caller]
fn next_get(server: &Upstream) -> Asked {
    loop {
        let asked = server.next();
        if asked.head.starts_with("GET") {
            return asked;
        }
    }
}

#[test]
fn one_stream_carries_what_all_servers_say_and_goes_on_where_each_of_them_was() {
    let ((one, to_one), (two, to_two), three) = (speaking("one"), speaking("two"), named("three"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url), ("three", &three.url)]);
    let session = session(&served);
    let mut listening = served.open();
    listening.get(&[&session]);
    let (status, head) = listening.head();
    assert_eq!((status, header(&head, "content-type")), (200, Some("text/event-stream")));
    assert_eq!(header(&next_get(&one).head, "mcp-session-id"), Some("session-of-one"));
    next_get(&two);
    to_one.send(news("7", "from one")).unwrap();
    let first = listening.until("from one");
    let message = last_message(&first);
    assert_eq!(message["params"]["logger"], "one");
    assert_eq!(message["params"]["n"].to_string(), "1.0");
    to_two.send(format!(": alive\n{}", news("a\u{e9}b", "from two"))).unwrap();
    let second = listening.until("from two");
    assert!(second.contains(": alive\n"), "{second}");
    // Nothing may be answered here: what another server was asked for is not this one's to answer.
    to_one
        .send(format!(
            "id: 8\n{}",
            event(&json!({"jsonrpc": "2.0", "id": 7, "result": {"tools": [{"name": "secret"}]}}))
        ))
        .unwrap();
    to_one.send(event(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))).unwrap();
    let third = listening.until("list_changed");
    assert!(!third.contains("result"), "{third}");
    // Each is taken up again where it was.
    drop(listening);
    for server in [&to_one, &to_two] {
        server.send("end".to_owned()).unwrap();
    }
    let mut again = served.open();
    again.get(&[&session, &last_id(&[&*first, &*second, &*third].concat())]);
    assert_eq!(again.head().0, 200);
    let resumed = [next_get(&one), next_get(&two)].map(|asked| header(&asked.head, "last-event-id").map(str::to_owned));
    assert_eq!(resumed, [Some("8".to_owned()), Some("a\u{e9}b".to_owned())]);
    // A server whose stream ends is listened to again, and does not disturb the others.
    to_one.send(format!("retry: 60\n{}", news("9", "nine"))).unwrap();
    assert!(!again.until("nine").contains("retry"));
    to_one.send("end".to_owned()).unwrap();
    assert_eq!(header(&next_get(&one).head, "last-event-id"), Some("9"));
    to_two.send(news("c", "still here")).unwrap();
    again.until("still here");
    to_one.send(news("10", "and back")).unwrap();
    again.until("and back");
    // An operator who ends the gateway does not wait for streams.
    assert_eq!(served.end(), Some(0));
    assert!(again.chunk().is_none());
}

#[test]
fn an_id_that_was_not_given_out_is_refused_and_a_stream_needs_a_session_and_a_server_that_has_one() {
    let (one, two) = (named("one"), named("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let long = format!("Last-Event-ID: {}", "a".repeat(9000));
    for (headers, expected) in [
        (&[][..], 400),
        (&["Mcp-Session-Id: 00"], 404),
        (&[&session, "Last-Event-ID: 7"], 400),
        (&[&session, &long], 400),
        (&[&session, "Accept: application/json"], 406),
        // Neither server has a stream.
        (&[&session], 405),
    ] {
        let mut connection = served.open();
        connection.get(headers);
        assert_eq!(connection.reply().status, expected, "{headers:?}");
    }
}

#[test]
fn an_answer_goes_on_at_the_server_that_gives_it_and_nothing_else_is_answered_there() {
    let one = scripted("one", |asked, stream| {
        if asked.head.starts_with("GET") {
            let foreign = event(&json!({"jsonrpc": "2.0", "id": 8, "result": {}}));
            let own = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "at last"}]}});
            let text = format!("id: b\n{foreign}id: c\n{}", event(&own));
            return stream.write_all(events_response(&text).as_bytes()).is_ok();
        }
        if asked.message()["method"] != "tools/call" {
            return false;
        }
        stream.write_all(events_response("id: a\nretry: 9\ndata:\n\n").as_bytes()).is_ok()
    });
    let two = named("two");
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let begun = served.post(&[&session], &request("tools/call", &json!({"name": "one__good"})));
    assert!(begun.body.contains("retry: 9\n") && !begun.body.contains("jsonrpc"), "{begun:?}");
    methods(&two);
    let mut again = served.open();
    again.get(&[&session, &last_id(&begun.body)]);
    let resumed = again.reply();
    assert_eq!(resumed.last()["result"]["content"][0]["text"], "at last");
    assert!(!resumed.body.contains("\"id\":8"), "{resumed:?}");
    assert_eq!(header(&next_get(&one).head, "last-event-id"), Some("a"));
    two.quiet();
    // From its end on, the same request and the same server again.
    let mut once_more = served.open();
    once_more.get(&[&session, &last_id(&resumed.body)]);
    assert_eq!(once_more.reply().status, 200);
    assert_eq!(header(&next_get(&one).head, "last-event-id"), Some("c"));
}

#[test]
fn a_server_that_has_lost_its_session_begins_anew_and_hears_what_the_client_wants() {
    let lost = std::sync::Arc::new(AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&lost);
    let one = scripted("one", move |asked, stream| {
        let message = asked.message();
        let sessions = seen.load(Ordering::SeqCst);
        if message["method"] == "initialize" {
            let result = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": true}, "logging": {}, "resources": {"subscribe": true}}});
            let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
            let headers = ["Content-Type: application/json", &format!("Mcp-Session-Id: number-{sessions}")];
            return stream.write_all(response("200 OK", &headers, &reply).as_bytes()).is_ok();
        }
        let is_current = header(&asked.head, "mcp-session-id") == Some(&*format!("number-{sessions}"));
        !is_current && stream.write_all(response("404 Not Found", &[], "").as_bytes()).is_ok()
    });
    let (two, to_two) = speaking("two");
    let (sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let ask = |method: &str, params: Value| served.ask(&[&session], &request(method, &params));
    ask("logging/setLevel", json!({"level": "debug"}));
    ask("resources/subscribe", json!({"uri": "one://r"}));
    let mut listening = served.open();
    listening.get(&[&session]);
    assert_eq!(listening.head().0, 200);
    // It has no stream; from here on nobody asks it for one.
    next_get(&one);
    lost.store(1, Ordering::SeqCst);
    methods(&one);
    // The list is asked for once more in the new session; the client hears that it may be another one.
    let tools = ask("tools/list", json!({}));
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 4, "{tools}");
    let mut heard = methods(&one);
    assert_eq!(heard.last().map(String::as_str), Some("tools/list"));
    // They come over connections of their own, and may be noted in another order.
    heard.sort_unstable();
    assert_eq!(heard, ["logging/setLevel", "resources/subscribe", "tools/list", "tools/list", "tools/list"]);
    listening.until("notifications/tools/list_changed");
    // A call is not repeated for the client: it was judged once, and counts once.
    lost.store(2, Ordering::SeqCst);
    let call = request("tools/call", &json!({"name": "one__good"}));
    let failed = served.post(&[&session], &call);
    assert_eq!(failed.status, 502);
    let said = failed.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(said.contains("`one` has lost the session") && said.contains("ask again"), "{said}");
    assert_eq!(methods(&one).iter().filter(|method| *method == "tools/call").count(), 1);
    let text = served.ask(&[&session], &call)["result"]["content"][0]["text"].clone();
    assert_eq!(text, "one: \"good\"");
    to_two.send(news("1", "undisturbed")).unwrap();
    listening.until("undisturbed");
    assert_eq!(served.end(), Some(0));
    assert_eq!(sandbox.read("audit.jsonl").matches("session_renewed").count(), 2);
}

#[test]
fn a_server_that_is_gone_is_named_and_the_others_go_on() {
    let gone = std::sync::Arc::new(AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&gone);
    let one = scripted("one", move |_, stream| {
        seen.load(Ordering::SeqCst) > 0 && stream.write_all(response("404 Not Found", &[], "").as_bytes()).is_ok()
    });
    let two = named("two");
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    gone.store(1, Ordering::SeqCst);
    let failed = served.post(&[&session], &request("tools/call", &json!({"name": "one__good"})));
    assert_eq!(failed.status, 502);
    assert!(failed.json()["error"]["message"].as_str().unwrap().contains("server `one` is gone"), "{failed:?}");
    assert_eq!(failed.json()["id"], 7);
    let tools = served.ask(&[&session], &request("tools/list", &json!({})));
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 2, "{tools}");
    let called = served.ask(&[&session], &request("tools/call", &json!({"name": "two__good"})));
    assert_eq!(called["result"]["content"][0]["text"], "two: \"good\"");
}

#[test]
fn several_streams_go_on_beside_each_other_until_the_session_ends() {
    let ((one, to_one), two) = (speaking("one"), named("two"));
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let listen = || {
        let mut connection = served.open();
        connection.get(&[session.as_str()]);
        assert_eq!(connection.head().0, 200);
        next_get(&one);
        connection
    };
    let mut streams = [listen(), listen()];
    methods(&one);
    let mut ending = served.open();
    ending.send("DELETE /mcp", &["Host: localhost", &session], &[], "");
    assert_eq!(ending.reply().status, 204);
    for stream in &mut streams {
        while stream.chunk().is_some() {}
        to_one.send("end".to_owned()).unwrap();
    }
    let asked: Vec<Asked> = one.asked.try_iter().collect();
    let heard = |asked: &Asked| asked.head.starts_with("GET") || asked.message()["method"] == "initialize";
    assert!(!asked.iter().any(heard), "nobody begins or listens anew for a client that has gone: {asked:?}");
}

#[test]
fn a_server_that_does_not_know_an_event_is_listened_to_from_now_on() {
    let one = scripted("one", |asked, stream| {
        if !asked.head.starts_with("GET") {
            return false;
        }
        if header(&asked.head, "last-event-id").is_some() {
            return stream.write_all(response("400 Bad Request", &[], "").as_bytes()).is_ok();
        }
        let text = format!("{STREAM}{}", news("5", "from now on"));
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).is_ok()
    });
    let two = named("two");
    let (_sandbox, served) = start(&[("one", &one.url), ("two", &two.url)]);
    let session = session(&served);
    let mut listening = served.open();
    listening.get(&[&session]);
    assert_eq!(listening.head().0, 200);
    let first = listening.until("from now on");
    drop(listening);
    let mut again = served.open();
    again.get(&[&session, &last_id(&first)]);
    assert_eq!(again.head().0, 200);
    again.until("from now on");
    // The same where the gateway comes back by itself: the id is taken back.
    let text = again.until("from now on");
    let taken_back = text.find("id: \n").unwrap_or_else(|| panic!("{text:?}"));
    assert!(text[taken_back..].contains("from now on"));
}

#[test]
fn a_server_that_says_nothing_before_it_has_something_to_tell_keeps_nobody_waiting() {
    let (sender, words) = channel::<String>();
    let words = Mutex::new(words);
    let silent = scripted("silent", move |asked, stream| {
        if !asked.head.starts_with("GET") {
            return false;
        }
        let word = words.lock().unwrap().recv_timeout(Duration::from_secs(LINE_SECONDS_MAX)).unwrap();
        stream.write_all(format!("{STREAM}{word}").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).is_ok()
    });
    let (one, to_one) = speaking("one");
    let (_sandbox, served) = start(&[("one", &one.url), ("silent", &silent.url)]);
    let session = session(&served);
    let mut listening = served.open();
    listening.get(&[&session]);
    assert_eq!(listening.head().0, 200);
    to_one.send(news("1", "first")).unwrap();
    listening.until("first");
    sender.send(news("2", "at last")).unwrap();
    listening.until("at last");
}
