//! Tests of admission: rows by hand, and a property that compares with parsers of other habits.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its own data must fail")]

use super::*;
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess};
use std::fmt;

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
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}"#, Reason::Params, id(1)),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, Reason::Version, id(1)),
        (r#"{"id":1,"method":"ping"}"#, Reason::Version, id(1)),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, Reason::Version, id(1)),
        (r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#, Reason::CallWithoutId, ReplyTo::Nobody),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Reason::Array, ReplyTo::Nobody),
        ("5", Reason::NotAnObject, ReplyTo::Nobody),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#, Fatal::Trailing(41).into(), id(1)),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, Fatal::Truncated.into(), id(1)),
        ("\u{feff}{}", Fatal::ByteOrderMark.into(), ReplyTo::Unknown),
        ("hello", Fatal::Syntax(0).into(), ReplyTo::Unknown),
    ] {
        assert_eq!(refused(line), Some((reason, reply_to)), "{line}");
    }
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

/// A JSON value with every member kept, read by serde: independent of the scanner under test.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = Tree;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Bool(value))
            }
            #[expect(clippy::cast_precision_loss, reason = "how a reader with floats only sees it")]
            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Number(value as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "how a reader with floats only sees it")]
            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Number(value as f64))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Number(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Tree::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Object(members))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// How a reader finds a member.
#[derive(Clone, Copy, Debug)]
enum Habit {
    First,
    Last,
    IgnoringCase,
    EndingAtNul,
}

impl Habit {
    fn member<'t>(self, tree: &'t Tree, wanted: &str) -> Option<&'t Tree> {
        let Tree::Object(members) = tree else { return None };
        let folded = |name: &str| name.to_uppercase().to_lowercase();
        let mut found = members.iter().filter(|(name, _)| match self {
            Self::First | Self::Last => name == wanted,
            Self::IgnoringCase => folded(name) == folded(wanted),
            Self::EndingAtNul => name.split('\0').next() == Some(wanted),
        });
        match self {
            Self::First | Self::EndingAtNul => found.next(),
            Self::Last | Self::IgnoringCase => found.next_back(),
        }
        .map(|(_, value)| value)
    }

    /// What a server with this habit would run: method, id, tool, and the arguments `x` and `y`.
    fn reading(self, tree: &Tree) -> Vec<Option<Tree>> {
        let member = |tree: Option<&Tree>, name: &str| tree.and_then(|tree| self.member(tree, name)).cloned();
        let params = self.member(tree, "params");
        let arguments = params.and_then(|params| self.member(params, "arguments"));
        vec![
            member(Some(tree), "method"),
            member(Some(tree), "id"),
            member(Some(tree), "result"),
            member(params, "name"),
            member(params, "_meta"),
            member(arguments, "x"),
            member(arguments, "y"),
        ]
    }
}

/// The promise of admission, for any bytes: nothing goes on, or one line with one reading, which is the one judged.
fn one_reading(line: &[u8]) -> Result<(), TestCaseError> {
    let Some(out) = forwarded(line) else { return Ok(()) };
    let text = std::str::from_utf8(&out).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert!(!text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']), "{text:?}");
    prop_assert_eq!(text.as_bytes().first(), Some(&0x7b), "not an object");
    // A number that no float holds is the only JSON that serde_json does not take.
    let Ok(tree) = serde_json::from_str::<Tree>(text) else {
        prop_assert!(text.contains(['e', 'E']) || text.len() > 300, "{text}");
        return Ok(());
    };
    let reading = Habit::First.reading(&tree);
    for habit in [Habit::Last, Habit::IgnoringCase, Habit::EndingAtNul] {
        if matches!(reading[0], Some(Tree::Text(ref method)) if method == "tools/call") {
            prop_assert_eq!(&habit.reading(&tree), &reading, "{:?} {}", habit, text);
        } else {
            // Of other messages the members of the protocol must be read alike.
            prop_assert_eq!(&habit.reading(&tree)[..5], &reading[..5], "{:?} {}", habit, text);
        }
    }
    match admit(&out).map_err(|bad| TestCaseError::fail(format!("{bad:?} {text}")))? {
        Message::Call(_, call) => {
            prop_assert_eq!(call.line(), out.as_slice());
            prop_assert_eq!(&reading[0], &Some(Tree::Text("tools/call".to_owned())));
            prop_assert_eq!(&reading[3], &Some(Tree::Text(call.name().as_str().to_owned())));
            if let Some(arguments) = call.arguments() {
                let arguments: Tree = serde_json::from_str(arguments).unwrap();
                prop_assert_eq!(Habit::First.member(&arguments, "x"), reading[5].as_ref());
            }
        }
        Message::Request(_, passage) | Message::Notification(passage) | Message::Reply(_, passage) => {
            prop_assert_eq!(passage.line(), out.as_slice());
            prop_assert!(reading[0] != Some(Tree::Text("tools/call".to_owned())));
        }
    }
    Ok(())
}

/// Lines made of pieces that parsers quarrel about.
fn quarrelsome() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "jsonrpc",
        "id",
        "method",
        "params",
        "result",
        "error",
        "name",
        "arguments",
        "_meta",
        "x",
        "y",
        "X",
        "Name",
        "NAME",
        "Id",
        "METHOD",
        "m\\u0065thod",
        "name\\u0000",
        "na\\u0000me",
        "argument\u{17f}",
        "parm\u{0430}s",
        "x\\u0000",
        "\\u0078",
        "Method",
        "Params",
        "_META",
    ]);
    let leaf = prop::sample::select(vec![
        "\"2.0\"",
        "\"tools/call\"",
        "\"tools/list\"",
        "\"Tools/Call\"",
        "1",
        "1.0",
        "null",
        "\"a\"",
        "\"b\"",
        "{}",
        "[]",
        "NaN",
        "\"\\ud800\"",
        "-0",
        "1e999",
        "\"\u{2028}\"",
        "true",
        "\"notifications/cancelled\"",
    ]);
    let space = prop::sample::select(vec!["", "", "", "", " ", "\r", "\t", "\u{a0}", "\u{feff}"]);
    let object = |value: BoxedStrategy<String>, name: BoxedStrategy<&'static str>| {
        prop::collection::vec((name, value), 0..7).prop_map(|members| {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        })
    };
    let value = leaf.prop_map(str::to_owned).boxed();
    let inner = prop_oneof![value.clone(), object(value.clone(), name.clone().boxed())].boxed();
    let middle = prop_oneof![value, object(inner, name.clone().boxed())].boxed();
    // Most lines begin as a good call does, so that what comes after is looked at.
    let head = prop::sample::select(vec![
        "\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"",
        "\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"a\"}",
        "\"jsonrpc\":\"2.0\",\"id\":1",
        "\"jsonrpc\":\"2.0\"",
    ]);
    (head, prop::collection::vec((name, space, middle), 0..4)).prop_map(|(head, members)| {
        let mut line = format!("{{{head}");
        for (name, space, value) in members {
            line.push_str(&format!(",{space}\"{name}\":{value}"));
        }
        line.push('}');
        line.into_bytes()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_is_forwarded_has_one_reading(line in quarrelsome()) {
        one_reading(&line)?;
    }

    #[test]
    fn bytes_changed_at_random_have_one_reading_or_none(
        line in quarrelsome(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut line = line;
        for (at, byte) in changes {
            let at = at.index(line.len());
            line[at] = byte;
        }
        one_reading(&line)?;
    }

    #[test]
    fn calls_made_by_a_client_library_pass(name in ".{0,20}", text in ".{0,40}", number in any::<i32>()) {
        let line = serde_json::json!({"jsonrpc": "2.0", "id": number, "method": "tools/call",
            "params": {"name": name, "arguments": {"text": text, "n": number}}});
        let Ok(Message::Call(id, call)) = admit(line.to_string().as_bytes()) else { panic!("not admitted: {line}") };
        prop_assert_eq!((id, call.name().as_str()), (Id::Integer(number.into()), name.as_str()));
    }
}
