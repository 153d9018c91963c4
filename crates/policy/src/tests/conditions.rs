//! Operators at their edges: what `require` and what `deny_if` make of each value.

use super::{call, caller, tool};
use crate::{Facts, Judgement, judge};

/// Whether the condition lets a call pass, as the only entry of `require` and of `deny_if`.
fn check(op: &str, value: &str, argument: &str, require_passes: bool, deny_if_fires: bool) {
    check_at("args.a", op, value, &format!("{{\"a\":{argument}}}"), require_passes, deny_if_fires);
}

fn check_at(path: &str, op: &str, value: &str, arguments: &str, require_passes: bool, deny_if_fires: bool) {
    let passes = |list: &str| {
        let policy = tool(&format!(r#"{{"{list}":[{{"path":"{path}","op":"{op}","value":{value}}}]}}"#));
        matches!(judge(&policy, &caller(), &call("t", arguments), Facts::default()), Judgement::Pass(_))
    };
    let found = (passes("require"), !passes("deny_if"));
    let arguments: String = arguments.chars().take(80).collect();
    assert_eq!(found, (require_passes, deny_if_fires), "{path} {op} {value} with {arguments}: (require, deny_if)");
}

/// The value holds, or it does not.
const YES: (bool, bool) = (true, true);
const NO: (bool, bool) = (false, false);
/// Present, but not comparable: nothing passes.
const DOUBT: (bool, bool) = (false, true);

#[test]
fn amounts_cannot_slip_past_by_type() {
    for (argument, expected) in [
        ("10001", YES),
        ("10000", NO),
        ("10000.00000000000000000001", DOUBT),
        ("9999.99999999999999999999", DOUBT),
        ("10000.000000000002", YES),
        ("1e5", YES),
        ("1e400", YES),
        ("1e401", DOUBT),
        ("-0", NO),
        ("9007199254740993", YES),
        ("\"999999\"", DOUBT),
        ("[999999]", DOUBT),
        ("{}", DOUBT),
        ("true", DOUBT),
        ("null", NO),
    ] {
        check("gt", "10000", argument, expected.0, expected.1);
    }
    // Absent, and no arguments at all.
    check_at("args.a", "gt", "10000", "{}", false, false);
    check_at("args.a", "gt", "10000", "", false, false);
    let long = |digits: usize| format!("{{\"a\":{}}}", "9".repeat(digits));
    check_at("args.a", "gt", "10000", &long(200), true, true);
    check_at("args.a", "gt", "10000", &long(201), false, true);
}

#[test]
fn numbers_are_equal_by_value() {
    for (value, argument, expected) in [
        ("1", "1.0", YES),
        ("1", "1e0", YES),
        ("0.1", "0.10", YES),
        ("0", "-0", YES),
        ("9007199254740992", "9007199254740993", DOUBT),
        ("12345", "12345.00000000000000001", DOUBT),
        ("12345.00000000000000001", "12345.00000000000000001", YES),
        ("{\"x\":[12345]}", "{\"x\":[12345.00000000000000001]}", DOUBT),
        ("{\"x\":[12345],\"y\":1}", "{\"x\":[12345.00000000000000001],\"y\":2}", NO),
        ("\"a\"", "\"a\\u0000\"", DOUBT),
        ("\"a\"", "\"\\u0000a\"", DOUBT),
        ("[\"a\"]", "[\"b\\u0000\"]", DOUBT),
        ("1", "\"1\"", NO),
        ("1", "true", NO),
        ("\"a\"", "\"A\"", NO),
        ("{\"x\":[1,null]}", "{\"x\":[1.0,null]}", YES),
        ("{\"x\":1,\"y\":2}", "{\"y\":2,\"x\":1}", YES),
        ("[1,2]", "[2,1]", NO),
        ("1", "1e999", DOUBT),
        ("[1]", "[1e999]", DOUBT),
    ] {
        check("eq", value, argument, expected.0, expected.1);
        let negated = if expected == DOUBT { DOUBT } else { (!expected.0, !expected.1) };
        check("neq", value, argument, negated.0, negated.1);
        check("in", &format!("[\"other\",{value}]"), argument, expected.0, expected.1);
        check("not_in", &format!("[\"other\",{value}]"), argument, negated.0, negated.1);
    }
    // Missing is neither equal nor unequal.
    for op in ["eq", "neq"] {
        check(op, "1", "null", false, false);
    }
}

#[test]
fn orders_hold_at_the_bound_and_beside_it() {
    for (op, below, at, above) in
        [("lt", YES, NO, NO), ("lte", YES, YES, NO), ("gt", NO, NO, YES), ("gte", NO, YES, YES)]
    {
        for (argument, expected) in [("4.99", below), ("5.0", at), ("5.01", above)] {
            check(op, "5", argument, expected.0, expected.1);
        }
    }
}

#[test]
fn presence_is_not_null() {
    for (argument, there) in [("1", true), ("\"\"", true), ("false", true), ("[]", true), ("null", false)] {
        check("exists", "true", argument, there, there);
        check("exists", "false", argument, !there, !there);
    }
    check_at("args.a", "exists", "false", "{}", true, true);
    check_at("args.a.b", "exists", "true", r#"{"a":"text"}"#, false, true);
    check_at("args", "exists", "true", "", false, false);
    check_at("args", "exists", "true", "{}", true, true);
}

#[test]
fn texts_are_compared_as_texts() {
    for (op, value, argument, expected) in [
        ("regex", r#""^a+$""#, r#""aaa""#, YES),
        ("regex", r#""b""#, r#""abc""#, YES),
        ("regex", r#""^a$""#, r#""a\n""#, NO),
        ("regex", r#""1""#, "1", DOUBT),
        ("not_regex", r#""b""#, r#""abc""#, NO),
        ("not_regex", r#""b""#, "[\"b\"]", DOUBT),
        ("contains", r#""b""#, r#""abc""#, YES),
        ("contains", r#""b""#, r#"["a","b"]"#, YES),
        ("contains", r#""b""#, r#"["ab"]"#, NO),
        ("contains", "1", "[1.0]", YES),
        ("contains", "1", r#""1""#, DOUBT),
        ("contains", "1", "[1e999]", DOUBT),
        ("contains", "1", "[1.00000000000000000001]", DOUBT),
        ("contains", "1", "[1.00000000000000000001,1]", YES),
        ("contains", r#""a""#, r#""a\u0000b""#, DOUBT),
        ("not_contains", r#""b""#, r#""a\u0000b""#, DOUBT),
        ("regex", r#""^[a-z]+$""#, r#""a\u0000""#, DOUBT),
        ("not_regex", r#""b""#, r#""a\u0000""#, DOUBT),
        ("starts_with", r#""a""#, r#""a\u0000""#, DOUBT),
        ("ends_with", r#""b""#, r#""a\u0000b""#, DOUBT),
        ("length_gte", "2", r#""a\u0000b""#, DOUBT),
        ("type", r#""string""#, r#""a\u0000b""#, DOUBT),
        ("contains", r#""b""#, "{}", DOUBT),
        ("not_contains", r#""b""#, r#""abc""#, NO),
        ("not_contains", r#""b""#, "[]", YES),
        ("starts_with", r#""ab""#, r#""abc""#, YES),
        ("starts_with", r#""ab""#, r#""ABC""#, NO),
        ("starts_with", r#""1""#, "12", DOUBT),
        ("ends_with", r#""bc""#, r#""abc""#, YES),
        ("ends_with", r#""bc""#, r#""bcd""#, NO),
        ("length_lte", "2", r#""éé""#, YES),
        ("length_lte", "2", r#""ééé""#, NO),
        ("length_gte", "2", "[1]", NO),
        ("length_gte", "2", "[1,2]", YES),
        ("length_lte", "2", "12", DOUBT),
        ("length_lte", "2", "{}", DOUBT),
        ("type", r#""integer""#, "1.0", YES),
        ("type", r#""integer""#, "1.5", NO),
        ("type", r#""integer""#, "1e999", DOUBT),
        ("type", r#""integer""#, "1.00000000000000000001", DOUBT),
        ("type", r#""number""#, "1.00000000000000000001", YES),
        ("type", r#"["string","number"]"#, "1.5", YES),
        ("type", r#""string""#, "[\"a\"]", NO),
        ("type", r#""string""#, "null", NO),
        ("path_within", r#""/data""#, r#""/data/x""#, YES),
        ("path_within", r#""/data""#, r#""/database""#, NO),
        ("path_within", r#""/data""#, r#""/data/../etc""#, DOUBT),
        ("path_within", r#"["/a","/b"]"#, r#""/b/x""#, YES),
        ("path_within", r#""/data""#, r#"["/data/x"]"#, DOUBT),
        ("host_in", r#""example.com""#, r#""https://example.com/x""#, YES),
        ("host_in", r#"["*.example.com"]"#, r#""https://example.com/x""#, NO),
        ("host_in", r#""example.com""#, r#""https://example.com@evil.net""#, DOUBT),
        ("host_in", r#""example.com""#, "1", DOUBT),
    ] {
        check(op, value, argument, expected.0, expected.1);
    }
}

#[test]
fn strings_over_64_kib_are_a_wrong_type() {
    let text = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes));
    for (op, value) in
        [("regex", r#""x""#), ("contains", r#""x""#), ("neq", r#""y""#), ("length_gte", "1"), ("type", r#""string""#)]
    {
        check_at("args.a", op, value, &text(64 * 1024), true, true);
        check_at("args.a", op, value, &text(64 * 1024 + 1), false, true);
    }
    check_at("args.a", "exists", "true", &text(64 * 1024 + 1), true, true);
}

#[test]
fn every_element_must_satisfy_and_any_may_refuse() {
    for (path, arguments, expected) in [
        ("args.i[*].p", r#"{"i":[{"p":20},{"p":30}]}"#, YES),
        ("args.i[*].p", r#"{"i":[{"p":1},{"p":2}]}"#, NO),
        ("args.i[*].p", r#"{"i":[{"p":1},{"p":20}]}"#, DOUBT),
        ("args.i[*].p", r#"{"i":[{"p":1},{"p":"20"}]}"#, DOUBT),
        ("args.i[*].p", r#"{"i":[{"p":20},{}]}"#, DOUBT),
        ("args.i[*].p", r#"{"i":[{"p":20},7]}"#, DOUBT),
        ("args.i[*].p", r#"{"i":[]}"#, NO),
        ("args.i[*].p", r#"{"i":null}"#, NO),
        ("args.i[*].p", "{}", NO),
        ("args.i[*].p", r#"{"i":{"p":1}}"#, DOUBT),
        ("args.i[*].p", r#"{"i":"x"}"#, DOUBT),
        ("args.i[*][*]", r#"{"i":[[20],[30,40]]}"#, YES),
        ("args.i[*][*]", r#"{"i":[[20],[]]}"#, DOUBT),
        ("args:/i/0/p", r#"{"i":[{"p":20}]}"#, YES),
        ("args.p", r#"{"p":20}"#, YES),
        ("args.o.p", r#"{"o":[{"p":20}]}"#, DOUBT),
        ("args.o.p", r#"{"o":"20"}"#, DOUBT),
        ("args.o.p", r#"{"o":null}"#, NO),
    ] {
        check_at(path, "gt", "10", arguments, expected.0, expected.1);
    }
    check_at("args.i[*]", "exists", "true", r#"{"i":[1,null]}"#, false, true);
    check_at("args.i[*]", "exists", "false", r#"{"i":[1,null]}"#, false, true);
}

#[test]
fn all_conditions_of_an_entry_count_together() {
    let policy = tool(
        r#"{"deny_if":[{"conditions":[{"path":"args.n","op":"gt","value":5},{"path":"args.to","op":"eq","value":"x"}]}]}"#,
    );
    let passes = |arguments: &str| {
        matches!(judge(&policy, &caller(), &call("t", arguments), Facts::default()), Judgement::Pass(_))
    };
    assert!(passes(r#"{"n":6,"to":"y"}"#));
    assert!(passes(r#"{"n":5,"to":"x"}"#));
    assert!(!passes(r#"{"n":6,"to":"x"}"#));
    assert!(!passes(r#"{"n":"6","to":"x"}"#));
}
