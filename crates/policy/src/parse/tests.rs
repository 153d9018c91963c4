//! What is accepted, what is refused, and how it is said.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

use super::*;

/// Every problem as `line:column pointer: message | help`.
fn problems(text: &str) -> Vec<String> {
    let Err(problems) = parse(text, "p.json") else { return vec!["accepted".to_owned()] };
    problems
        .into_iter()
        .map(|problem| {
            let place = problem.place.unwrap();
            let help = problem.help.map(|help| format!(" | {help}")).unwrap_or_default();
            format!("{}:{} {}: {}{help}", place.line, place.column, problem.pointer, problem.message)
        })
        .collect()
}

/// A policy with one tool `t`.
fn tool(rules: &str) -> String {
    format!(r#"{{"version":"1","default":"deny","tools":{{"t":{rules}}}}}"#)
}

fn check(rules: &str, expected: &str) {
    let found = problems(&tool(rules));
    assert!(found.iter().any(|problem| problem.contains(expected)), "{rules}\n  {found:?}");
}

#[test]
fn all_problems_are_reported_at_once_in_order() {
    let text = "{\n  \"version\": 1,\n  \"defualt\": \"deny\",\n  \"tools\": {\n    \"a\": { \"limits\": [ {\"counter\": \"c\", \"window\": \"fortnight\", \"max\": -1} ] },\n    \"a\": {},\n    \"*\": {}\n  }\n}\n";
    let found = problems(text);
    let expected = [
        "1:1 : `default` is missing | add",
        "2:14 /version: 1 is not a version | the only version is `\"1\"`, in quotes",
        "3:3 /defualt: `defualt` is not a member here | did you mean `default`?",
        "5:51 /tools/a/limits/0/window: `fortnight` is not a window | use `minute`",
        "5:71 /tools/a/limits/0/max: -1 is not an integer from 0",
        "6:5 /tools/a: this member occurs twice",
        "7:5 /tools/*: `*` is not a tool | rules for every call stand in `all_tools`",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn every_wrong_member_is_refused_with_a_next_step() {
    for (rules, expected) in [
        ("[]", "this is an array, not an object"),
        (r#"{"requires":[]}"#, "did you mean `require`?"),
        (r#"{"deny_if":{}}"#, "this is an object, not a list"),
        (r#"{"deny_if":[{"condition":[]}]}"#, "did you mean `conditions`?"),
        (r#"{"deny_if":[{}]}"#, "`conditions` is missing"),
        (r#"{"deny_if":[{"path":"args.a","op":"gt"}]}"#, "missing: `value`"),
        (r#"{"deny_if":[{"path":"args.a","op":"grater","value":1}]}"#, "`grater` is not an operator"),
        (
            r#"{"deny_if":[{"path":"args.a","op":"gt","value":"1"}]}"#,
            "`gt` compares with a number, and this is a string",
        ),
        (r#"{"deny_if":[{"path":"amount","op":"gt","value":1}]}"#, "did you mean `args.amount`?"),
        (r#"{"deny_if":[{"path":"args.a[0]","op":"gt","value":1}]}"#, "JSON Pointer such as"),
        (r#"{"deny_if":[{"path":"args.a","op":"eq","value":null}]}"#, "use `exists`"),
        (r#"{"deny_if":[{"path":"args.a","op":"in","value":[]}]}"#, "a list with something in it"),
        (r#"{"deny_if":[{"path":"args.a","op":"exists","value":"yes"}]}"#, "takes `true` or `false`"),
        (r#"{"deny_if":[{"path":"args.a","op":"regex","value":"(?=x)"}]}"#, "look-around"),
        (r#"{"deny_if":[{"path":"args.a","op":"type","value":"text"}]}"#, "`text` is not a type"),
        (r#"{"deny_if":[{"path":"args.a","op":"gt","value":1e401}]}"#, "exponent from -400 to 400"),
        (r#"{"deny_if":[{"conditions":[],"id":"x"},{"conditions":[],"id":"x"}]}"#, "`x` names two rules"),
        (r#"{"limits":[{"counter":"c","window":"day"}]}"#, "`max` is missing"),
        (r#"{"limits":[{"counter":"c","window":"day","max":1.5}]}"#, "1.5 is not an integer"),
        (r#"{"limits":[{"counter":"c","window":"day","max":9223372036854775808}]}"#, "is not an integer"),
        (r#"{"limits":[{"counter":"c","window":"day","max":1,"scope":"user"}]}"#, "`user` is not a scope"),
        (r#"{"limits":[{"counter":"c","window":"day","max":1,"scale":2}]}"#, "says nothing without"),
        (
            r#"{"limits":[{"counter":"c","window":"day","max":1,"increment_from":"args.a[*]"}]}"#,
            "does not name one value",
        ),
        (
            r#"{"limits":[{"counter":"c","window":"day","max":1},{"counter":"c","window":"hour","max":1}]}"#,
            "window `day`",
        ),
        (
            r#"{"limits":[{"counter":"c","window":"day","max":1},{"counter":"c","window":"day","max":1,"scope":"session"}]}"#,
            "scope `grant`",
        ),
        (
            r#"{"limits":[{"counter":"c","window":"day","max":1},{"counter":"c","window":"day","max":1,"increment_from":"args.a"}]}"#,
            "no `increment_from`",
        ),
        (r#"{"rate_limit":"10 per minute"}"#, "is not a rate"),
        (r#"{"rate_limit":{"max":1,"window":0}}"#, "0 is not an integer from 1"),
        (r#"{"rate_limit":10}"#, "this is a number, not a rate"),
        (r#"{"action":"block"}"#, "is not an action"),
        (r#"{"validate":true}"#, "this is a boolean"),
        (r#"{"mode":"audit"}"#, "is not a mode"),
        (r#"{"approval":{"ttl_s":0}}"#, "0 is not an integer from 1 to 604800"),
    ] {
        check(rules, expected);
    }
}

#[test]
fn broken_json_says_where_and_what_to_do() {
    for (text, expected) in [
        ("", "1:1 : the text ends too early"),
        ("{\n // note\n}", "2:2 : expected a member name in double quotes | JSON has no comments"),
        ("{\"version\":\"1\",}", "1:16 : expected a member name in double quotes | remove the comma before it"),
        ("\u{feff}{}", "1:1 : expected a JSON value | remove the byte order mark"),
        ("[]", "1:1 : this is an array, not an object"),
    ] {
        assert!(problems(text)[0].starts_with(expected), "{:?}", problems(text));
    }
}

#[test]
fn sizes_are_bounded_at_and_one_past() {
    let entries = |n: usize| tool(&format!(r#"{{"deny_if":[{}]}}"#, vec![r#"{"conditions":[]}"#; n].join(",")));
    assert_eq!(problems(&entries(POLICY_ENTRIES_MAX)), ["accepted"]);
    assert!(problems(&entries(POLICY_ENTRIES_MAX + 1))[0].contains("65 entries"));
    let tools = |n: usize| {
        let names: Vec<_> = (0..n).map(|i| format!("\"t{i}\":{{}}")).collect();
        format!(r#"{{"version":"1","default":"deny","tools":{{{}}}}}"#, names.join(","))
    };
    assert_eq!(problems(&tools(POLICY_TOOLS_MAX)), ["accepted"]);
    assert!(problems(&tools(POLICY_TOOLS_MAX + 1))[0].contains("at most 10000 tools"));
    let padded = |n: usize| {
        let text = tool("{}");
        format!("{text}{}", " ".repeat(n - text.len()))
    };
    assert_eq!(problems(&padded(POLICY_BYTES_MAX)), ["accepted"]);
    assert!(parse(&padded(POLICY_BYTES_MAX + 1), "p").is_err());
    let deep = |n: usize| {
        let value = format!("{}{}", "[".repeat(n), "]".repeat(n));
        tool(&format!(r#"{{"deny_if":[{{"path":"args.a","op":"eq","value":{value}}}]}}"#))
    };
    assert_eq!(problems(&deep(POLICY_DEPTH_MAX - 5)), ["accepted"]);
    assert!(problems(&deep(POLICY_DEPTH_MAX - 4))[0].contains("nested too deeply"));
}

#[test]
fn rules_are_named_by_what_they_look_at() {
    let text = tool(
        r#"{"require":[{"path":"args.reason","op":"exists","value":true}],
            "deny_if":[{"conditions":[{"path":"args.amount","op":"gt","value":1}]},
                       {"conditions":[{"path":"args.amount","op":"gt","value":2}]},
                       {"conditions":[]},{"conditions":[],"id":"never"}],
            "limits":[{"counter":"spend","window":"day","max":1},{"counter":"spend","window":"day","max":2}],
            "rate_limit":"1/minute"}"#,
    );
    let policy = parse(&text, "p").unwrap();
    let tool = &policy.tools["t"];
    let ids: Vec<_> = tool.require.iter().chain(&tool.deny_if).map(|rule| rule.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "/tools/t/require/args.reason-exists",
            "/tools/t/deny_if/args.amount-gt",
            "/tools/t/deny_if/args.amount-gt-2",
            "/tools/t/deny_if/always",
            "/tools/t/deny_if/never"
        ]
    );
    let counters: Vec<_> = tool.counters.iter().map(|c| (&*c.name, c.rule.as_str(), c.max)).collect();
    assert_eq!(counters, [("spend", "/tools/t/limits/spend", 1), ("t_rate", "/tools/t/limits/t_rate", 1)]);
}

#[test]
fn the_hash_ignores_layout_and_order_of_members() {
    let hash = |text: &str| parse(text, "p").unwrap().hash().to_owned();
    let plain = hash(r#"{"version":"1","default":"deny","hide":["a","b"]}"#);
    assert_eq!(plain, hash("{ \"default\" : \"deny\",\n \"hide\":[\"a\",\"b\"], \"version\":\"1\" }"));
    assert_ne!(plain, hash(r#"{"version":"1","default":"deny","hide":["b","a"]}"#));
    assert_eq!(plain.len(), 64);
}

#[test]
fn what_is_for_people_is_no_part_of_the_hash() {
    let hash = |text: &str| parse(text, "p").unwrap().hash().to_owned();
    let plain = r#"{"version":"1","default":"deny","all_tools":{"limits":[{"counter":"c","window":"day","max":1}]},
        "tools":{"comment":{"deny_if":[{"conditions":[]}]},"t":{"require":[{"path":"args.a","op":"eq","value":{"comment":1}}]}}}"#;
    let commented = r#"{"$schema":"https://example.com/s.json","description":"d","comment":"c","version":"1","default":"deny",
        "all_tools":{"limits":[{"comment":"why","counter":"c","window":"day","max":1}]},
        "tools":{"comment":{"comment":"why","deny_if":[{"comment":"why","conditions":[]}]},
            "t":{"require":[{"path":"args.a","op":"eq","value":{"comment":1},"comment":"why"}]}}}"#;
    assert_eq!(hash(plain), hash(commented));
    // A tool of that name, and a value that is compared, are no comments.
    assert_ne!(hash(plain), hash(&plain.replace(r#""comment":{"deny_if":[{"conditions":[]}]},"#, "")));
    assert_ne!(hash(plain), hash(&plain.replace(r#"{"comment":1}"#, r#"{"comment":2}"#)));
    let problems = parse(r#"{"version":"1","default":"deny","comment":1}"#, "p").unwrap_err();
    assert_eq!(problems[0].pointer, "/comment");
}
