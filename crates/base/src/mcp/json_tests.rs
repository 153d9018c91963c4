//! Tests of the scanner: rows by hand, and comparisons with serde_json.

use super::*;
use proptest::prelude::*;

struct Nothing;
impl Visitor for Nothing {
    fn member(&mut self, _: Tag, _: &[u8]) -> Tag {
        0
    }
    fn value(&mut self, _: Tag, _: Range<usize>) {}
}

fn check(text: &str) -> Result<Seen, Fatal> {
    scan(text, Members::Everywhere, &mut Nothing)
}

#[test]
fn what_is_no_json_is_refused() {
    for (text, fatal) in [
        ("", Fatal::Truncated),
        ("{", Fatal::Truncated),
        ("\"a", Fatal::Truncated),
        ("tru", Fatal::Truncated),
        ("[1,]", Fatal::Syntax(3)),
        ("{\"a\":1,}", Fatal::Syntax(7)),
        ("{a:1}", Fatal::Syntax(1)),
        ("01", Fatal::Trailing(1)),
        ("1.", Fatal::Truncated),
        (".5", Fatal::Syntax(0)),
        ("+1", Fatal::Syntax(0)),
        ("1e", Fatal::Truncated),
        ("\"\\x\"", Fatal::Syntax(2)),
        ("\"\u{1}\"", Fatal::Syntax(1)),
        ("\"a\rb\"", Fatal::Syntax(2)),
        ("{} {}", Fatal::Trailing(3)),
        ("\u{feff}{}", Fatal::ByteOrderMark),
        ("'a'", Fatal::Syntax(0)),
        ("[1 2]", Fatal::Syntax(3)),
        ("\u{a0}1", Fatal::Syntax(0)),
    ] {
        assert_eq!(check(text), Err(fatal), "{text:?}");
    }
}

#[test]
fn flaws_are_seen_and_the_scan_goes_on() {
    for (text, flaw) in [
        (r#"{"a":1,"a":2}"#, Flaw::DuplicateMember),
        (r#"{"a":1,"\u0061":2}"#, Flaw::DuplicateMember),
        (r#"[{"x":{"a":1,"b":2,"a":1}}]"#, Flaw::DuplicateMember),
        (r#"["\ud800"]"#, Flaw::LoneSurrogate),
        (r#"["\ud800\u0041"]"#, Flaw::LoneSurrogate),
        (r#"["\udc00"]"#, Flaw::LoneSurrogate),
        ("[NaN]", Flaw::NotFinite),
        ("[-Infinity]", Flaw::NotFinite),
    ] {
        assert_eq!(check(text).map(|seen| seen.flaw), Ok(Some(flaw)), "{text}");
    }
    assert_eq!(check(r#"["\ud83d\ude00",-0,1e5,-1.5E-3]"#), Ok(Seen::default()));
}

#[test]
fn large_objects_are_compared_like_small_ones() {
    for members in [PAIRWISE_MEMBERS_MAX, PAIRWISE_MEMBERS_MAX + 1, 500] {
        let mut names: Vec<String> = (0..members - 1).map(|n| format!("\"k{n}\":1")).collect();
        assert_eq!(check(&format!("{{{}}}", names.join(","))), Ok(Seen::default()));
        names.push("\"\\u006b0\":2".to_owned());
        let seen = check(&format!("{{{}}}", names.join(",")));
        assert_eq!(seen.map(|seen| seen.flaw), Ok(Some(Flaw::DuplicateMember)), "{members}");
        names.pop();
        names.push("\"\u{212a}0\":2".to_owned());
        let seen = check(&format!("{{{}}}", names.join(",")));
        assert_eq!(seen.map(|seen| (seen.flaw, seen.near_duplicate)), Ok((None, true)), "{members}");
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(check(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(check(&nested(DEPTH_MAX + 1)), Err(Fatal::TooDeep));
}

#[test]
fn names_that_only_some_readers_tell_apart_are_near() {
    let known = ["name", "task", "arguments"];
    for name in ["Name", "NAME", "ta\u{17f}k", "tas\u{212a}", "na\0me", "name\0x", "\0name", "arguments\0"] {
        assert!(nearly_known(name.as_bytes(), &known), "{name:?}");
    }
    for name in ["name", "names", "nam", "title", "наме"] {
        assert!(!nearly_known(name.as_bytes(), &known), "{name:?}");
    }
}

#[test]
fn compact_text_keeps_every_token() {
    assert_eq!(compact(" { \"a \\\" b\" :\r[ 1 , \" \" ] ,\"c\":\t-1e+5 }\n"), r#"{"a \" b":[1," "],"c":-1e+5}"#);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".*".prop_map(serde_json::Value::String),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::Array),
            prop::collection::btree_map(".{0,4}", inner, 0..16).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_printed_value_is_taken(value in json()) {
        let pretty = serde_json::to_string_pretty(&value).unwrap_or_default();
        let seen = check(&pretty);
        prop_assert!(matches!(seen, Ok(Seen { flaw: None, .. })), "{seen:?} {pretty}");
        prop_assert_eq!(compact(&pretty), value.to_string());
    }

    #[test]
    fn what_is_taken_is_json_to_serde_too(text in r#"[\[\]{},:"\\ua0-9eE+.\-\r\n \tnulltrefase\u{17f}]{0,24}"#) {
        if let Ok(Seen { flaw: None, .. }) = check(&text) {
            // Numbers beyond every float are JSON, but serde_json cannot hold them.
            let read = serde_json::from_str::<serde_json::Value>(&text);
            prop_assert!(read.as_ref().is_ok() || text.contains(['e', 'E']), "{:?} {:?}", text, read);
        }
    }

    #[test]
    fn strings_decode_as_serde_decodes_them(text in ".*") {
        let literal = serde_json::to_string(&text).unwrap_or_default();
        let value = string_value(&literal);
        prop_assert_eq!(value.as_deref(), Some(text.as_str()));
    }
}

proptest! {
    #[test]
    fn the_end_of_plain_text_is_found_wherever_it_is(
        bytes in proptest::collection::vec(prop_oneof![0x1e_u8..0x24, 0x5a_u8..0x5e, any::<u8>(), Just(b'a')], 0..90),
    ) {
        let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
        prop_assert_eq!(until_special(&bytes), bytes.iter().position(special).unwrap_or(bytes.len()));
    }
}
