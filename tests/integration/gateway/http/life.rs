//! Reload and end: nobody's session is dropped by the one, and everything in flight is let finish by the other.

use super::*;

#[test]
fn a_new_policy_counts_for_the_next_call_and_a_bad_one_does_not() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let served = Served::relay(&sandbox, &[], &upstream);
    let mut connection = served.open();
    let mut ask = |tool: &str| {
        connection.post(&[], &CALL.replace("good", tool));
        connection.reply().json()
    };
    passed(&ask("good"));
    sandbox.write("policy.json", &only(json!({"hidden": {}})).to_string());
    served.hear("policy reloaded");
    passed(&ask("hidden"));
    assert_eq!(ask("good")["error"]["code"], -32602);
    sandbox.write("policy.json", "{");
    served.hear("the old policy stays in force");
    passed(&ask("hidden"));
}

#[test]
fn calls_in_flight_end_before_the_gateway_does() {
    let sandbox = usual();
    let (open, gate) = channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let upstream = Upstream::start(move |asked, stream| {
        if asked.head.starts_with("GET") {
            stream.write_all(format!("{STREAM}: alive\n").as_bytes()).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
            return;
        }
        let _ = gate.lock().unwrap().recv_timeout(Duration::from_secs(LINE_SECONDS_MAX));
        stream.write_all(ordinary(asked).as_bytes()).unwrap();
    });
    let mut served = Served::relay(&sandbox, &[], &upstream);
    let (mut listening, mut calling) = (served.open(), served.open());
    listening.get(&[]);
    listening.head();
    listening.until(": alive");
    upstream.next();
    calling.post(&[], CALL);
    upstream.next();
    terminate(served.child.id());
    // Streams that would last for ever end, and nobody new is let in.
    assert_eq!(listening.chunk(), None);
    open.send(()).unwrap();
    passed(&calling.reply().json());
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(&served.address).is_err());
    let log = sandbox.read("state/audit.jsonl");
    assert!(log.lines().last().unwrap().contains("\"event\":\"stop\""), "{log}");
    sandbox.run(&["audit", "verify"]).quiet(0);
}

#[test]
fn a_call_that_does_not_end_in_time_is_kept() {
    let sandbox = usual();
    let upstream = Upstream::start(|_, stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut served = Served::relay(&sandbox, &[], &upstream);
    let mut calling = served.open();
    calling.post(&[], CALL);
    upstream.next();
    terminate(served.child.id());
    // Whoever asks twice does not want to wait.
    served.hear_nothing_for_a_second_signal();
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    assert!(sandbox.read("state/audit.jsonl").contains("client_gone"));
}

impl Served {
    fn hear_nothing_for_a_second_signal(&self) {
        // The listener is closed first; then the second signal is the second one for sure.
        while TcpStream::connect(&self.address).is_ok() {
            std::thread::yield_now();
        }
        terminate(self.child.id());
    }
}

#[test]
fn a_call_that_waited_for_a_person_is_judged_by_the_policy_of_now() {
    let sandbox = sandbox(&only(json!({"good": {"action": "require_approval"}})));
    let upstream = Upstream::answering(ordinary);
    let served = Served::relay(&sandbox, &[], &upstream);
    let mut connection = served.open();
    connection.post(&[], CALL);
    let id = approvals::waiting(&sandbox);
    sandbox.write("policy.json", &only(json!({"good": {"action": "deny", "reason": "not any more"}})).to_string());
    served.hear("policy reloaded");
    sandbox.run(&["approvals", "approve", &id]).both(0);
    assert!(refusal(&connection.reply().json()).contains("not any more"));
    upstream.uncalled();
}

/// A call of a client that wants to hear of progress.
const TOLD: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","arguments":{},"_meta":{"progressToken":"p"}}}"#;

#[test]
fn a_client_that_asked_for_progress_hears_that_its_call_waits_for_a_person() {
    let events = |answer: &str| events_response(&format!(": alive\n\nid: 5\ndata: {answer}\n\n"));
    for (answer, last) in [
        (json_response(DONE), format!("event: message\ndata: {DONE}\n\n")),
        (events(DONE), format!(": alive\n\nid: 5\ndata: {DONE}\n\n")),
    ] {
        let sandbox = sandbox(&only(json!({"good": {"action": "require_approval"}})));
        let upstream = Upstream::answering(move |_| answer.clone());
        let served = Served::relay(&sandbox, &[], &upstream);
        let mut connection = served.open();
        connection.post(&[], TOLD);
        let (status, head) = connection.head();
        assert_eq!((status, header(&head, "content-type")), (200, Some("text/event-stream")));
        let told = connection.until("waiting for approval");
        assert!(told.contains(r#""progressToken":"p","progress":0.000001"#), "{told}");
        let id = approvals::waiting(&sandbox);
        assert!(told.contains(&id), "{told} names {id}");
        upstream.uncalled();
        sandbox.run(&["approvals", "approve", &id]).both(0);
        let mut rest = String::new();
        while let Some(chunk) = connection.chunk() {
            rest.push_str(&chunk);
        }
        assert!(rest.ends_with(&last), "{rest:?}");
    }
}

#[test]
fn who_denies_a_call_ends_its_stream_with_a_refusal_and_a_client_that_goes_withdraws_it() {
    let sandbox = sandbox(&only(json!({"good": {"action": "require_approval"}})));
    let upstream = Upstream::answering(ordinary);
    let served = Served::relay(&sandbox, &[], &upstream);
    let mut connection = served.open();
    connection.post(&[], TOLD);
    assert_eq!(connection.head().0, 200);
    let id = approvals::waiting(&sandbox);
    sandbox.run(&["approvals", "deny", &id]).both(0);
    assert!(connection.until("POLICY DENIED").contains("\"id\":1"));
    let mut connection = served.open();
    connection.post(&[], &TOLD.replace("{}", r#"{"again":1}"#));
    assert_eq!(connection.head().0, 200);
    let id = approvals::waiting(&sandbox);
    drop(connection);
    served.end();
    sandbox.run(&["approvals", "approve", &id]).both(0);
    upstream.uncalled();
}

#[test]
fn a_client_that_takes_no_events_gets_its_answer_in_one_piece() {
    let sandbox = sandbox(&only(json!({"good": {"action": "require_approval"}})));
    let upstream = Upstream::answering(ordinary);
    let served = Served::relay(&sandbox, &[], &upstream);
    let mut connection = served.open();
    connection.post(&["Accept: application/json"], TOLD);
    let id = approvals::waiting(&sandbox);
    sandbox.run(&["approvals", "approve", &id]).both(0);
    passed(&connection.reply().json());
}
