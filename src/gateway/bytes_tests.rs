//! The gateway's promise on bytes: whatever a client writes, what reaches the server is nothing, or messages that every
//! reader reads alike and that the policy permits; and whatever a server writes, each open request of the client gets
//! one answer and no more. The fuzzers in `fuzz/` run the same checks.

#![expect(clippy::unwrap_used, reason = "a test that cannot make a session must fail")]

#[path = "../../fuzz/readings.rs"]
mod readings;
#[path = "../../fuzz/replies.rs"]
mod replies;

use super::audit::{Audit, Destination, Route};
use super::decider::Decider;
use super::exchange::UnknownMethods;
use super::mediate::{Mediator, Settings};
use crate::clock::Timestamp;
use crate::policy::{Caller, Policy, parse};
use crate::state::MemoryStore;
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| Arc::new(parse(readings::POLICY, "policy.json").unwrap()));

/// A session under the policy that the readings are checked against, with a request of the server that the client may
/// answer.
fn session() -> Mediator {
    let store = Arc::new(MemoryStore::default());
    let audit = Audit::open(&Destination::Nowhere, None, "s".to_owned()).unwrap();
    let decider = Decider::new(Arc::clone(&store) as _, store, audit, Box::new(|_| ()));
    let caller =
        Caller { server: "s".into(), grant: Some("g".into()), session: Some("i".into()), course: None, pledge: None };
    let settings =
        Settings { call_timeout: None, approval_wait: Duration::ZERO, unknown_methods: UnknownMethods::Forward };
    let mediator = Mediator::new(Arc::clone(&POLICY), Arc::new(decider), (caller, Route::StdioCommand), settings);
    mediator.from_server(br#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#, Timestamp::from_millis(0));
    mediator
}

fn forwarded(bytes: &[u8]) -> Vec<u8> {
    session().from_client(bytes, Timestamp::from_millis(0)).to_server.bytes().to_vec()
}

fn holds(bytes: &[u8]) -> Result<(), TestCaseError> {
    readings::check(&forwarded(bytes)).map_err(TestCaseError::fail)
}

/// Names that parsers read differently, as they stand between quotes.
fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "jsonrpc",
        "id",
        "method",
        "params",
        "result",
        "error",
        "name",
        "arguments",
        "_meta",
        "task",
        "x",
        "y",
        "z",
        "t",
        "X",
        "Y",
        "Z",
        "Name",
        "NAME",
        "Id",
        "METHOD",
        "Method",
        "Params",
        "_META",
        "Arguments",
        "argument\u{17f}",
        "tas\u{212a}",
        "m\\u0065thod",
        "\\u0078",
        "\\u0079",
        "name\\u0000",
        "na\\u0000me",
        "x\\u0000",
        "\\u0000y",
        "x\\u0000y",
        "parm\u{0430}s",
        "__proto__",
        "\\u005f_proto__",
        "constructor",
        "progressToken",
        "\u{feff}name",
        "name ",
        "",
    ])
}

fn leaf() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "\"2.0\"",
        "\"tools/call\"",
        "\"tools/list\"",
        "\"Tools/Call\"",
        "\"tools\\/call\"",
        "\"tools/call\\u0000\"",
        "1",
        "1.0",
        "1e0",
        "2",
        "null",
        "\"a\"",
        "\"b\"",
        "\"\\u0061\"",
        "\"a\\u0000\"",
        "{}",
        "[]",
        "NaN",
        "\"\\ud800\"",
        "-0",
        "1e999",
        "\"\u{2028}\"",
        "\"\u{85}\"",
        "true",
        "99.99999999999999999999",
        "99.5",
        "100",
        "\"secret\"",
        "\"secret\\u0000\"",
        "\"s\\u0000ecret\"",
        "\"notifications/cancelled\"",
        "9007199254740993",
        "01",
        "\"",
        "{\"x\":2}",
        "{\"y\":2}",
        "{\"name\":\"b\"}",
        "{\"name\":\"a\",\"arguments\":{\"x\":1}}",
        "[{\"x\":1,\"x\":2}]",
    ])
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", "", "", " ", "\r", "\n", "\t", "\u{a0}", "\u{feff}", "\u{b}", "\0"])
}

/// Members of an object: those of a valid message, with others put in anywhere.
fn members(good: Vec<String>) -> impl Strategy<Value = String> {
    let more = prop::collection::vec((any::<prop::sample::Index>(), name(), leaf(), space()), 0..3);
    more.prop_map(move |more| {
        let mut all = good.clone();
        for (at, name, value, space) in more {
            all.insert(at.index(all.len() + 1), format!("{space}\"{name}\":{space}{value}"));
        }
        format!("{{{}}}", all.join(","))
    })
}

/// Client lines that are nearly a call that passes.
fn nearly_a_call() -> impl Strategy<Value = String> {
    let arguments = members(vec!["\"x\":1".to_owned()]);
    let params = arguments.prop_flat_map(|arguments| {
        members(vec!["\"name\":\"a\"".to_owned(), format!("\"arguments\":{arguments}"), "\"_meta\":{}".to_owned()])
    });
    params.prop_flat_map(|params| {
        members(vec![
            "\"jsonrpc\":\"2.0\"".to_owned(),
            "\"id\":1".to_owned(),
            "\"method\":\"tools/call\"".to_owned(),
            format!("\"params\":{params}"),
        ])
    })
}

/// Client lines that are nearly any other message.
fn nearly_a_message() -> impl Strategy<Value = String> {
    let good = prop::sample::select(vec![
        vec!["\"id\":1", "\"result\":{}"],
        vec!["\"id\":1", "\"method\":\"tools/list\""],
        vec!["\"method\":\"notifications/x\"", "\"params\":{}"],
        vec!["\"id\":2", "\"method\":\"x\"", "\"params\":{\"name\":\"b\"}"],
    ]);
    good.prop_flat_map(|good| {
        members(std::iter::once("\"jsonrpc\":\"2.0\"").chain(good).map(str::to_owned).collect::<Vec<_>>())
    })
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![3 => nearly_a_call(), 1 => nearly_a_message()]
}

#[test]
fn the_good_call_passes_and_the_check_is_not_blind() {
    let good = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1}}}"#;
    assert_eq!(forwarded(&[good.as_slice(), b"\n"].concat()), [good.as_slice(), b"\n"].concat());
    assert_eq!(readings::check(good).map_err(|why| why.contains("half")), Err(true));
    let call = |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#) + "\n";
    for params in [
        r#"{"name":"b","arguments":{"x":1}}"#,
        r#"{"name":"a","arguments":{"x":2}}"#,
        r#"{"name":"a","arguments":{"x":1,"y":1}}"#,
        r#"{"name":"a","arguments":{"x":1,"x":1}}"#,
        r#"{"name":"a","arguments":{"x":1,"X":2}}"#,
        r#"{"name":"a","arguments":{"x\u0000":2,"x":1}}"#,
        r#"{"name":"a","arguments":{"x":1,"Y":1}}"#,
        r#"{"name":"a","arguments":{"x":1,"z":99.99999999999999999999}}"#,
        r#"{"name":"a","arguments":{"x":1,"t":"secret\u0000"}}"#,
        r#"{"name":"a","arguments":{"x":1,"__proto__":{"y":1}}}"#,
        r#"{"name\u0000":"b","name":"a","arguments":{"x":1}}"#,
        "{\"name\":\"a\",\"arguments\":{\"x\":1,\"z\":\"\u{2028}\"}}",
        "{\"name\":\"a\",\r\"arguments\":{\"x\":1}}",
    ] {
        assert!(readings::check(call(params).as_bytes()).is_err(), "{params}");
        assert_eq!(readings::check(&forwarded(call(params).as_bytes())), Ok(()), "{params}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn whatever_is_forwarded_has_one_reading_and_is_permitted(lines in prop::collection::vec(line(), 1..3)) {
        holds(format!("{}\n", lines.join("\n")).as_bytes())?;
    }

    #[test]
    fn so_have_bytes_changed_at_random(
        line in line(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut line = line.into_bytes();
        for (at, byte) in changes {
            let at = at.index(line.len());
            line[at] = byte;
        }
        line.push(b'\n');
        holds(&line)?;
    }
}

/// What the client gets for its open requests when the server writes this and ends.
fn heard(bytes: &[u8]) -> Result<(), String> {
    let mediator = session();
    let now = Timestamp::from_millis(0);
    mediator.from_client(replies::ASKED.as_bytes(), now);
    let heard = mediator.from_server(bytes, now).effects;
    let rest = mediator.upstream_gone("the server has ended").effects;
    readings::check(heard.to_server.bytes())?;
    replies::check(&heard.to_client, &rest.to_client)
}

#[test]
fn what_one_client_takes_for_another_answer_than_the_next_does_not_pass() {
    for line in [
        r#"{"jsonrpc":"2.0","id":1,"ID":2,"result":{"tools":[{"name":"b"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"METHOD":"roots/list"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"__proto__":{"id":2}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a","Name":"b"}]}}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a"}],"tools":[{"name":"b"}]}}"#,
    ] {
        assert_eq!(heard(line.as_bytes()), Ok(()), "{line}");
    }
}

/// Server lines that are nearly an answer to one of the open requests, or a message of the server's own.
fn nearly_an_answer() -> impl Strategy<Value = String> {
    let good = prop::sample::select(vec![
        vec!["\"id\":1", "\"result\":{\"content\":[]}"],
        vec!["\"id\":\"1\"", "\"result\":{}"],
        vec!["\"id\":2", "\"result\":{\"tools\":[{\"name\":\"b\"},{\"name\":\"a\"}]}"],
        vec!["\"id\":2", "\"result\":{\"tools\":[{\"name\":\"a\",\"Name\":\"b\"}]}"],
        vec!["\"id\":2", "\"result\":{\"tools\":[{\"name\":\"a\"}],\"tools\":[{\"name\":\"b\"}]}"],
        vec!["\"id\":3", "\"result\":{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}}"],
        vec!["\"id\":1", "\"error\":{\"code\":-32603,\"message\":\"no\"}"],
        vec!["\"id\":4", "\"result\":{}"],
        vec!["\"method\":\"notifications/message\"", "\"params\":{}"],
        vec!["\"id\":1", "\"method\":\"roots/list\""],
    ]);
    good.prop_flat_map(|good| {
        members(std::iter::once("\"jsonrpc\":\"2.0\"").chain(good).map(str::to_owned).collect::<Vec<_>>())
    })
}

/// Ways to break an answer so that it can no longer be read, and its id can still be told.
fn broken(id: &str, kind: usize) -> Vec<u8> {
    let text = match kind {
        0 => return [format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":\"").as_bytes(), b"\xff\"}"].concat(),
        1 => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"a\":"),
        2 => format!("{{\"jsonrpc\":\"2.0\",\"result\":[01],\"id\":{id}}}"),
        3 => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{}{}}}", "[".repeat(500), "]".repeat(500)),
        4 => format!("\u{feff}{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}"),
        5 => format!("[{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}]"),
        _ => format!("{{\"id\":{id},\"result\":{{}}}}"),
    };
    text.into_bytes()
}

#[test]
fn the_check_of_answers_is_not_blind() {
    let answer = |id: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n");
    let all: String = ["1", "\"1\"", "2", "3"].map(answer).concat();
    assert_eq!(replies::check(all.as_bytes(), b""), Ok(()));
    assert_eq!(replies::check(b"", all.as_bytes()), Ok(()));
    assert!(replies::check(all.as_bytes(), answer("1").as_bytes()).is_err(), "a second answer");
    assert!(replies::check(format!("{all}{}", answer("4")).as_bytes(), b"").is_err(), "never asked");
    assert!(replies::check(answer("1").as_bytes(), b"").is_err(), "three are missing");
    assert!(replies::check(format!("{all}ready\n").as_bytes(), b"").is_err(), "no message");
    let tools =
        |tools: &str| all.replace("\"id\":2,\"result\":{}", &format!("\"id\":2,\"result\":{{\"tools\":[{tools}]}}"));
    assert_eq!(replies::check(tools("{\"name\":\"a\"}").as_bytes(), b""), Ok(()));
    assert!(replies::check(tools("{\"name\":\"a\"},{\"name\":\"b\"}").as_bytes(), b"").is_err());
    assert!(replies::check(tools("{\"name\":\"a\",\"name\":\"b\"}").as_bytes(), b"").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn each_open_request_has_one_answer_whatever_the_server_says(
        lines in prop::collection::vec(nearly_an_answer(), 0..6),
    ) {
        heard(lines.join("\n").as_bytes()).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn a_broken_answer_whose_id_can_be_told_is_answered_at_once(
        kinds in prop::collection::vec(0usize..7, 4),
        order in Just(["1", "\"1\"", "2", "3"]).prop_shuffle(),
    ) {
        let mediator = session();
        let now = Timestamp::from_millis(0);
        mediator.from_client(replies::ASKED.as_bytes(), now);
        for (id, kind) in order.iter().zip(kinds) {
            let heard = mediator.from_server(&broken(id, kind), now).effects.to_client;
            let heard = String::from_utf8(heard).unwrap();
            prop_assert!(heard.contains(&format!("\"id\":{id},\"error\"")) && heard.lines().count() == 1, "{}", heard);
        }
    }

    #[test]
    fn and_whatever_bytes_are_changed_at_random(
        lines in prop::collection::vec(nearly_an_answer(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = lines.join("\n").into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        heard(&bytes).map_err(TestCaseError::fail)?;
    }
}
