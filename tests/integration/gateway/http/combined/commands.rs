//! Servers that run as commands, at the endpoint of all: a child for each session and server, none of which hears another.

use super::*;

/// Says its name; says `ask`, and it asks back with an id that its twin uses too; says `die`, and it does.
const SERVER: &str = r#"
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}}}}\n' "$id" ;;
    *'"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"good"},{"name":"ask"},{"name":"die"}]}}\n' "$id" ;;
    *'"die"'*) exit 7 ;;
    *'"ask"'*) printf '{"jsonrpc":"2.0","id":"q","method":"roots/list"}\n{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}\n' "$id" ;;
    *'"id":"q"'*) printf '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"thanks from NAME"}}\n' ;;
    *'"tools/call"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"NAME %s"}]}}\n' "$id" "$$" ;;
  esac
done
"#;

fn start_commands() -> (Sandbox, Served) {
    let sandbox = Sandbox::new();
    let mut text = String::from("[gateway]\nlisten = \"127.0.0.1:0\"\nstate = \"memory:\"\naudit = \"none\"\n");
    for name in ["one", "two"] {
        sandbox.write(&format!("{name}.sh"), &SERVER.replace("NAME", name));
        let script = sandbox.dir().join(format!("{name}.sh"));
        text.push_str(&format!("[servers.{name}]\ncommand = [\"sh\", {script:?}]\npolicy = \"policy.json\"\n"));
    }
    sandbox.write("policy.json", r#"{"version": "1", "default": "allow", "client": {"roots": "allow"}}"#);
    sandbox.write("mcpol.toml", &text);
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    (sandbox, served)
}

fn call(served: &Served, session: &str, tool: &str) -> Reply {
    served.post(&[session], &request("tools/call", &json!({"name": tool, "arguments": {}})))
}

fn text(reply: &Reply) -> String {
    reply.last()["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned()
}

#[test]
fn what_commands_ask_and_say_reaches_one_client_and_its_answers_the_right_command() {
    let (_sandbox, served) = start_commands();
    let session = session(&served);
    let mut listening = served.open();
    listening.get(&[&session]);
    assert_eq!(listening.head().0, 200);
    let asked = ["one__ask", "two__ask"]
        .map(|tool| served.post(&[&session], &request("tools/call", &json!({"name": tool}))).status);
    assert_eq!(asked, [200, 200]);
    let mut said = listening.until("roots/list");
    while said.matches("roots/list").count() < 2 {
        said.push_str(&listening.until("roots/list"));
    }
    let questions: Vec<Value> =
        said.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    assert_ne!(questions[0]["id"], questions[1]["id"], "{questions:?}");
    for question in questions.iter().rev() {
        let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}});
        assert_eq!(served.post(&[&session], &reply.to_string()).status, 202);
        let thanks = last_message(&listening.until("thanks"));
        let logger = thanks["params"]["logger"].as_str().unwrap();
        assert_eq!(thanks["params"]["data"], format!("thanks from {logger}"));
    }
}

#[test]
fn a_command_that_has_ended_is_started_for_the_next_call_and_its_twin_goes_on() {
    let (_sandbox, served) = start_commands();
    let session = session(&served);
    let mut listening = served.open();
    listening.get(&[&session]);
    assert_eq!(listening.head().0, 200);
    let before = ["one__good", "two__good"].map(|tool| text(&call(&served, &session, tool)));
    assert!(before[0].starts_with("one ") && before[1].starts_with("two "), "{before:?}");
    assert!(call(&served, &session, "one__die").last()["error"]["message"].as_str().unwrap().contains("status 7"));
    served.hear("exited with status 7");
    // A call that comes while it is being buried may find it dying; the next finds another one.
    let mut calls = std::iter::repeat_with(|| call(&served, &session, "one__good")).take(1000);
    let after = text(&calls.find(|reply| reply.last().get("result").is_some()).unwrap());
    assert!(after.starts_with("one ") && after != before[0], "{after}");
    assert_eq!(text(&call(&served, &session, "two__good")), before[1]);
    listening.until("notifications/tools/list_changed");
    // It is listened to again as well.
    assert_eq!(call(&served, &session, "one__ask").status, 200);
    assert_eq!(served.end(), Some(0));
}

#[test]
fn a_command_speaks_to_the_latest_stream_and_when_that_is_closed_to_the_one_before() {
    let (_sandbox, served) = start_commands();
    let session = session(&served);
    let listen = || {
        let mut connection = served.open();
        connection.get(&[&session]);
        assert_eq!(connection.head().0, 200);
        connection
    };
    let (mut first, mut second) = (listen(), listen());
    let ask = || assert_eq!(call(&served, &session, "one__ask").status, 200);
    let answer = |question: &Value| {
        let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}});
        assert_eq!(served.post(&[&session], &reply.to_string()).status, 202);
    };
    ask();
    answer(&last_message(&second.until("roots/list")));
    second.until("thanks");
    drop(second);
    // What is asked before the gateway sees that this one is closed is lost with it; the same question again is refused,
    // and the command says so to whoever listens.
    let (sender, heard) = channel();
    let reading = std::thread::spawn(move || sender.send(first.until("thanks")).unwrap());
    let asked = (0..10_000).any(|_| {
        ask();
        heard.try_recv().is_ok()
    });
    assert!(asked);
    reading.join().unwrap();
}
