//! Tests of admission, rows by hand. That readers of other habits agree is held by the gateway's tests on bytes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its own data must fail")]

use super::*;
use proptest::prelude::*;

fn call(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
}

fn refused(line: &str) -> Option<(Reason, ReplyTo)> {
    admit(line.as_bytes()).err().map(|malformed| (malformed.reason, malformed.reply_to))
}

#[track_caller]
fn check_refused(line: &str, reason: Reason) {
    assert_eq!(refused(line).map(|(reason, _)| reason), Some(reason), "{line}");
}

fn forwarded(line: &[u8]) -> Option<Vec<u8>> {
    Some(match admit(line).ok()? {
        Message::Call(_, call) => call.line().to_vec(),
        Message::Request(_, passage) | Message::Reply(_, passage) | Message::Notification(passage) => {
            passage.line().to_vec()
        }
    })
}

#[test]
fn calls_with_two_readings_are_refused() {
    for (params, reason) in [
        (r#"{"name":"a","name":"b"}"#, Flaw::DuplicateMember.into()),
        (r#"{"name":"a","\u006eame":"b"}"#, Flaw::DuplicateMember.into()),
        (r#"{"name":"a","arguments":{"x":1,"x":2}}"#, Flaw::DuplicateMember.into()),
        (r#"{"name":"a","arguments":{"x":[{"y":1,"y":2}]}}"#, Flaw::DuplicateMember.into()),
        (r#"{"name":"a","Name":"b"}"#, Reason::NearlyKnownMember),
        (r#"{"NAME":"b"}"#, Reason::NearlyKnownMember),
        (r#"{"name":"a","argument\u017f":{}}"#, Reason::NearlyKnownMember),
        ("{\"name\":\"a\",\"argument\u{17f}\":{}}", Reason::NearlyKnownMember),
        ("{\"name\":\"a\",\"tas\u{212a}\":{}}", Reason::NearlyKnownMember),
        (r#"{"name":"a","name\u0000":"b"}"#, Reason::NearlyKnownMember),
        (r#"{"name":"a","name\u0000x":"b"}"#, Reason::NearlyKnownMember),
        (r#"{"name":"a","arguments":{"amount":1,"AMOUNT":2}}"#, Reason::NearDuplicate),
        (r#"{"name":"a","arguments":{"amount\u0000":1}}"#, Reason::NulInName),
        (r#"{"name":"a","arguments":{"__proto__":{"amount":1}}}"#, Reason::Prototype),
        (r#"{"name":"a","arguments":{"x":[{"\u005f_proto__":{}}]}}"#, Reason::Prototype),
        (r#"{"name":"a","__proto__":{"arguments":{}}}"#, Reason::Prototype),
        (r#"{"name":"a\u0000b"}"#, Reason::NulInToolName),
        (r#"{"name":"a","arguments":{"x":NaN}}"#, Flaw::NotFinite.into()),
        (r#"{"name":"a","arguments":{"x":"\ud800"}}"#, Flaw::LoneSurrogate.into()),
        (r#"{"name":5}"#, Reason::Name),
        (r#"{"name":null}"#, Reason::Name),
        (r#"{"arguments":{}}"#, Reason::Name),
        (r#"{"name":"a","arguments":[]}"#, Reason::Arguments),
        (r#"{"name":"a","arguments":null}"#, Reason::Arguments),
        (r#"{"name":"a","arguments":"{}"}"#, Reason::Arguments),
        (r#"{"name":"a","_meta":[]}"#, Reason::Meta),
        (r#"{"name":"a","_meta":{"progressToken":1.5}}"#, Reason::ProgressToken),
        (r#"{"name":"a","_meta":{"progressToken":1,"ProgressToken":2}}"#, Reason::NearlyKnownMember),
        (r#"{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":"1999-01-01"}}"#, Reason::ProtocolVersion),
        (r#"{"name":"a","task":true}"#, Reason::Task),
        (r#"["a"]"#, Reason::Params),
        ("null", Reason::Params),
        (r#""a""#, Reason::Params),
    ] {
        check_refused(&call(params), reason);
        assert_eq!(refused(&call(params)).unwrap().1, ReplyTo::Id(Id::Integer(1)), "{params}");
    }
}

#[test]
fn envelopes_with_two_readings_are_refused() {
    let id = |id: i64| ReplyTo::Id(Id::Integer(id));
    for (line, reason, reply_to) in [
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, Flaw::DuplicateMember.into(), ReplyTo::Unknown),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, Flaw::DuplicateMember.into(), id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"x"}"#, Reason::NearlyKnownMember, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","PARAMS":{}}"#, Reason::NearlyKnownMember, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, Reason::Shape, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}"#, Reason::Shape, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, Reason::Shape, ReplyTo::Nobody),
        (r#"{"jsonrpc":"2.0","id":1}"#, Reason::Shape, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"error":"x"}"#, Reason::Error, ReplyTo::Nobody),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Reason::Id, ReplyTo::Unknown),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, Reason::Id, ReplyTo::Unknown),
        (r#"{"jsonrpc":"2.0","id":1e0,"method":"ping"}"#, Reason::Id, ReplyTo::Unknown),
        (r#"{"jsonrpc":"2.0","id":-0,"method":"ping"}"#, Reason::Id, ReplyTo::Unknown),
        (r#"{"jsonrpc":"2.0","id":9007199254740992,"method":"ping"}"#, Reason::Id, ReplyTo::Unknown),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, Reason::Id, ReplyTo::Unknown),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, Reason::Id, ReplyTo::Unknown),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, Reason::Method, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{}}"#, Reason::NearlyKnownMethod, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":" tools/call","params":{}}"#, Reason::NearlyKnownMethod, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call\u0000","params":{}}"#, Reason::NearlyKnownMethod, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"\ufefftools/call","params":{}}"#, Reason::NearlyKnownMethod, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","__proto__":{}}"#, Reason::Prototype, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"__proto__":{"name":"a"}}}"#, Reason::Prototype, id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}"#, Reason::Params, id(1)),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, Reason::Version, id(1)),
        (r#"{"id":1,"method":"ping"}"#, Reason::Version, id(1)),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, Reason::Version, id(1)),
        (r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#, Reason::CallWithoutId, ReplyTo::Nobody),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Reason::Array, ReplyTo::Unknown),
        ("5", Reason::NotAnObject, ReplyTo::Unknown),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#, Fatal::Trailing(41).into(), id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, Fatal::Truncated.into(), id(1)),
        ("\u{feff}{}", Fatal::ByteOrderMark.into(), ReplyTo::Unknown),
        ("hello", Fatal::Syntax(0).into(), ReplyTo::Unknown),
    ] {
        assert_eq!(refused(line), Some((reason, reply_to)), "{line}");
    }
}

#[test]
fn a_message_has_as_many_values_as_a_tree_may_have() {
    // The message, `jsonrpc`, `id`, `method`, `params`, `name`, `arguments` and `a` are values too.
    let with = |count: usize, value: &str| {
        let values = vec![value; count - 8].join(",");
        // The id comes last: it is told all the same.
        format!(
            r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"t","arguments":{{"a":[{values}]}}}},"id":1}}"#
        )
    };
    for value in ["0", "[]", "\"\""] {
        assert!(admit(with(json::VALUES_MAX, value).as_bytes()).is_ok());
        assert_eq!(
            refused(&with(json::VALUES_MAX + 1, value)),
            Some((Flaw::TooMany.into(), ReplyTo::Id(Id::Integer(1))))
        );
    }
    // Each object with one member is two.
    let half = (json::VALUES_MAX - 8) / 2;
    assert!(admit(with(half + 8, r#"{"b":1}"#).as_bytes()).is_ok());
    assert!(admit(with(half + 9, r#"{"b":1}"#).as_bytes()).is_err());
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut line = call(r#"{"name":"a"}"#).into_bytes();
    let at = line.len() - 4;
    line[at] = 0xff;
    let malformed = admit(&line).unwrap_err();
    assert_eq!((malformed.reason, malformed.reply_to), (Reason::Utf8, ReplyTo::Id(Id::Integer(1))));
    let utf16: Vec<u8> = call(r#"{"name":"a"}"#).encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(admit(&utf16).is_err());
    // An overlong `/` (RFC 3629, section 3).
    assert_eq!(admit(b"{\"jsonrpc\":\"2.0\",\"method\":\"a\xc0\xaf\"}").unwrap_err().reason, Reason::Utf8);
}

#[test]
fn messages_are_bounded() {
    let frame = call(r#"{"name":"a","arguments":{"x":""}}"#).len();
    let line = |bytes: usize| call(&format!(r#"{{"name":"a","arguments":{{"x":"{}"}}}}"#, "x".repeat(bytes - frame)));
    assert!(admit(line(MESSAGE_BYTES_MAX).as_bytes()).is_ok());
    check_refused(&line(MESSAGE_BYTES_MAX + 1), Reason::TooLong);
    let id = |bytes: usize| format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(bytes - 2));
    assert!(admit(id(ID_BYTES_MAX).as_bytes()).is_ok());
    check_refused(&id(ID_BYTES_MAX + 1), Reason::Id);
}

#[test]
fn what_passes_is_forwarded_to_the_letter() {
    for line in [
        r#"{"jsonrpc":"2.0","id":"a\u0041","method":"tools/call","params":{"name":"\u0061","arguments":{"n":1e400,"big":123456789012345678901234567890,"s":"\/"},"extra":[1.0,-0]},"more":null}"#,
        r#"{"method":"x/unknown","jsonrpc":"2.0","id":-5,"params":null}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1}}"#,
        r#"{"jsonrpc":"2.0","id":0,"result":{"roots":[]}}"#,
        r#"{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1,"A":2}}"#,
    ] {
        assert_eq!(forwarded(line.as_bytes()).as_deref(), Some(line.as_bytes()), "{line}");
    }
}

#[test]
fn nothing_between_tokens_is_forwarded() {
    let line = "\t{ \"jsonrpc\" : \"2.0\",\r\"id\":1, \"method\":\"tools/call\",\"params\":{\"name\": \"a b\" ,\"arguments\":{\"x\": 1}}}\r";
    let Ok(Message::Call(_, call)) = admit(line.as_bytes()) else { panic!("not admitted") };
    assert_eq!(
        std::str::from_utf8(call.line()).unwrap(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a b","arguments":{"x":1}}}"#
    );
    assert_eq!((call.name().as_str(), call.arguments()), ("a b", Some(r#"{"x":1}"#)));
}

#[test]
fn line_separators_inside_strings_become_escapes() {
    let line = call("{\"name\":\"a\",\"arguments\":{\"x\":\"1\u{2028}2\u{85}3\"}}");
    let Ok(Message::Call(_, call)) = admit(line.as_bytes()) else { panic!("not admitted") };
    assert_eq!(call.arguments(), Some(r#"{"x":"1\u20282\u00853"}"#));
    assert!(call.line().is_ascii());
}

#[test]
fn synthetic_calls_have_arguments_and_no_line() {
    let call = ToolCall::synthetic(ToolName::new("a"), Some("{\"x\":1}".to_owned()));
    assert_eq!((call.arguments(), call.line(), call.progress_token()), (Some("{\"x\":1}"), &[][..], None));
}

#[test]
fn a_servers_lines_are_told_apart() {
    let arrival = |line: &str| receive(line.as_bytes()).map(|received| received.arrival).map_err(|bad| bad.reason);
    let id = Id::Integer(1);
    for (line, expected) in [
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Ok(Arrival::Result(id.clone()))),
        (r#"{"result":{"a":{"x":1,"x":2}},"id":1,"jsonrpc":"2.0"}"#, Ok(Arrival::Result(id.clone()))),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, Ok(Arrival::Error(id.clone()))),
        (r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#, Ok(Arrival::Request(id, "roots/list".into()))),
        (r#"{"jsonrpc":"2.0","method":"a"}"#, Ok(Arrival::Notification("a".into()))),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#, Err(Flaw::DuplicateMember.into())),
        (r#"{"jsonrpc":"2.0","id":"\ud800","id":2,"result":{}}"#, Err(Flaw::DuplicateMember.into())),
        (r#"{"jsonrpc":"2.0","id":1,"ID":2,"result":{}}"#, Err(Reason::NearlyKnownMember)),
        (r#"{"jsonrpc":"2.0","id":1,"id\u0000x":2,"result":{}}"#, Err(Reason::NearlyKnownMember)),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"__proto__":{"method":"a"}}"#, Err(Reason::Prototype)),
        (r#"{"jsonrpc":"2.0","method":"a","params":{"Name":1,"__proto__":2}}"#, Err(Reason::Prototype)),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"method":"a"}"#, Err(Reason::Shape)),
        (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, Err(Reason::Id)),
        (r#"{"level":"info"}"#, Err(Reason::Version)),
        ("ready on port 5", Err(Fatal::Syntax(0).into())),
    ] {
        assert_eq!(arrival(line), expected, "{line}");
    }
    let received = receive(b"{\"jsonrpc\":\"2.0\",\r\"id\":1,\"result\":{\"a\": \"\\r\"}}").unwrap();
    assert_eq!(received.text, r#"{"jsonrpc":"2.0","id":1,"result":{"a":"\r"}}"#);
    assert_eq!(received.result(), Some(r#"{"a":"\r"}"#));
}

proptest! {
    #[test]
    fn calls_made_by_a_client_library_pass(name in "[^\0]{0,20}", text in ".{0,40}", number in any::<i32>()) {
        let line = serde_json::json!({"jsonrpc": "2.0", "id": number, "method": "tools/call",
            "params": {"name": name, "arguments": {"text": text, "n": number}}});
        let Ok(Message::Call(id, call)) = admit(line.to_string().as_bytes()) else { panic!("not admitted: {line}") };
        prop_assert_eq!((id, call.name().as_str()), (Id::Integer(number.into()), name.as_str()));
    }
}
