//! One row a mistake: what is found, how bad it is, and where.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

use super::*;
use crate::code::Code;
use crate::model::{BlastRadius, Category, Confidence, Flag, RiskLevel};
use serde_json::json;

fn tools() -> Vec<(ToolDefinition, Verdict)> {
    let verdict = |category, flags: &[Flag]| Verdict {
        category,
        risk: RiskLevel::High,
        blast_radius: BlastRadius::High,
        flags: flags.iter().copied().collect(),
        confidence: Confidence::High,
        reason: String::new(),
        evidence: Vec::new(),
        findings: Vec::new(),
    };
    let tool = |value: serde_json::Value| {
        ToolDefinition::parse(&serde_json::value::RawValue::from_string(value.to_string()).unwrap()).unwrap()
    };
    vec![
        (
            tool(json!({"name": "pay", "inputSchema": {"type": "object", "required": ["amount"], "properties": {
                "amount": {"type": "integer"}, "currency": {"type": "string", "enum": ["eur", "usd"]},
                "note": {"type": "string", "default": "none"}, "to": {"type": "object", "properties": {"iban": {"type": "string"}}},
                "tags": {"type": "array", "items": {"type": "string"}}, "any": {}}}})),
            verdict(Category::Execute, &[Flag::Financial]),
        ),
        (tool(json!({"name": "remove", "inputSchema": {"type": "object"}})), verdict(Category::Delete, &[])),
        (tool(json!({"name": "read", "inputSchema": {"$ref": "https://example.com/x"}})), verdict(Category::Read, &[])),
    ]
}

/// Every finding as `severity check pointer`.
fn found(text: &str) -> Vec<String> {
    let policy = crate::parse(text, "p").unwrap();
    let tools = tools();
    let subjects: Vec<Subject<'_>> = tools.iter().map(|(tool, verdict)| (tool, Some(verdict))).collect();
    let against = Against { tools: &subjects, offers: &[], listed: &[] };
    let lints = check(&policy, &Places::of(text), Some(&against));
    lints
        .iter()
        .filter(|lint| lint.code != Code::P023)
        .map(|lint| format!("{:?} {} {}", lint.severity, lint.code, lint.pointer))
        .collect()
}

fn check_pay(rules: &str, expected: &[&str]) {
    let text = format!(r#"{{"version":"1","default":"deny","tools":{{"pay":{rules}}}}}"#);
    assert_eq!(found(&text), expected, "{rules}");
}

#[test]
fn each_mistake_is_found_where_it_stands() {
    let limit = r#""limits":[{"counter":"pay_rate","window":"minute","max":1}]"#;
    let deny = |condition: &str| format!(r#"{{"deny_if":[{{"conditions":[{condition}]}}]}}"#);
    for (rules, expected) in [
        ("{}".to_owned(), &["Error P003 /tools/pay"][..]),
        (format!("{{{limit}}}"), &[]),
        (deny(r#"{"path":"args.amout","op":"gt","value":5}"#), &["Error P022 /tools/pay/deny_if/0/conditions/0/path"]),
        (r#"{"deny_if":[{"path":"args.amout","op":"gt","value":5}]}"#.to_owned(), &["Error P022 /tools/pay/deny_if/0/path"]),
        (deny(r#"{"path":"args.amount","op":"regex","value":"^5$"}"#), &["Error P021 /tools/pay/deny_if/0/conditions/0/path"]),
        (deny(r#"{"path":"args.amount","op":"eq","value":"5"}"#), &["Error P021 /tools/pay/deny_if/0/conditions/0/path"]),
        (deny(r#"{"path":"args.amount","op":"gt","value":5}"#), &[]),
        (deny(r#"{"path":"args.amount.x","op":"gt","value":5}"#), &["Error P021 /tools/pay/deny_if/0/conditions/0/path"]),
        (deny(r#"{"path":"args.to.ibam","op":"exists","value":true}"#), &["Error P022 /tools/pay/deny_if/0/conditions/0/path"]),
        (deny(r#"{"path":"args.to.iban","op":"exists","value":true}"#), &[]),
        (deny(r#"{"path":"args.tags[*]","op":"eq","value":"x"}"#), &[]),
        (deny(r#"{"path":"args.any.x[*].y","op":"eq","value":"x"}"#), &[]),
        (deny(r#"{"path":"args.note","op":"contains","value":"x"}"#), &["Warning P016 /tools/pay/deny_if/0/conditions/0/path"]),
        (
            r#"{"require":[{"path":"args.note","op":"exists","value":true}],"deny_if":[{"path":"args.note","op":"contains","value":"x"}]}"#.to_owned(),
            &[],
        ),
        (
            r#"{"require":[{"path":"args.currency","op":"in","value":["eur","ust"]}]}"#.to_owned(),
            &["Warning P024 /tools/pay/require/0/value"],
        ),
        (r#"{"require":[{"path":"args.note","op":"regex","value":"a+"}]}"#.to_owned(), &["Warning P017 /tools/pay/require/0/value"]),
        (r#"{"require":[{"path":"args.note","op":"regex","value":"^a|b$"}]}"#.to_owned(), &["Warning P017 /tools/pay/require/0/value"]),
        (r#"{"require":[{"path":"args.note","op":"regex","value":"^(?:a|b)$"}]}"#.to_owned(), &[]),
        (
            r#"{"limits":[{"counter":"pay_sum","window":"day","max":9,"increment_from":"args.note"}]}"#.to_owned(),
            &["Error P021 /tools/pay/limits/0/increment_from"],
        ),
        (
            r#"{"rate_limit":"10/minute","limits":[{"counter":"pay_h","window":"hour","max":600}]}"#.to_owned(),
            &["Warning P014 /tools/pay/limits/0"],
        ),
        (
            r#"{"rate_limit":"601/hour","limits":[{"counter":"pay_m","window":"minute","max":10}]}"#.to_owned(),
            &["Warning P014 /tools/pay/rate_limit"],
        ),
        (r#"{"rate_limit":"599/hour","limits":[{"counter":"pay_m","window":"minute","max":10}]}"#.to_owned(), &[]),
        (
            r#"{"require":[{"path":"args.currency","op":"neq","value":"usd"}]}"#.to_owned(),
            &["Warning P012 /tools/pay/require/0/op"],
        ),
        (
            r#"{"require":[{"conditions":[{"path":"args.currency","op":"not_in","value":["usd"]}]},{"path":"args.currency","op":"type","value":"string"}]}"#.to_owned(),
            &[],
        ),
        (
            r#"{"require":[{"path":"args.amount","op":"gt","value":10}],"deny_if":[{"path":"args.amount","op":"gt","value":10.0}]}"#.to_owned(),
            &["Error P011 /tools/pay"],
        ),
        (
            r#"{"require":[{"path":"args.amount","op":"lte","value":10}],"deny_if":[{"path":"args.amount","op":"gt","value":10}]}"#.to_owned(),
            &[],
        ),
        (
            r#"{"require":[{"path":"args.note","op":"exists","value":true},{"path":"args.note","op":"exists","value":false}]}"#.to_owned(),
            &["Error P011 /tools/pay"],
        ),
        (r#"{"deny_if":[{"conditions":[]},{"conditions":[],"id":"x"}]}"#.to_owned(), &["Warning P018 /tools/pay/deny_if/1"]),
        (r#"{"require":[{"conditions":[]}]}"#.to_owned(), &["Warning P018 /tools/pay/require/0"]),
        (format!(r#"{{"action":"deny",{limit}}}"#), &["Warning P018 /tools/pay/action"]),
        (format!(r#"{{"reason":"x",{limit}}}"#), &["Note P018 /tools/pay/reason"]),
        (
            r#"{"limits":[{"counter":"pay_m","window":"minute","max":10},{"counter":"pay_h","window":"hour","max":600}]}"#.to_owned(),
            &["Warning P014 /tools/pay/limits/1"],
        ),
        (
            r#"{"limits":[{"counter":"pay_m","window":"minute","max":10},{"counter":"pay_h","window":"hour","max":599}]}"#.to_owned(),
            &[],
        ),
        (format!(r#"{{"mode":"shadow",{limit}}}"#), &["Error P003 /tools/pay", "Warning P020 /tools/pay/mode"]),
    ] {
        check_pay(&rules, expected);
    }
}

#[test]
fn tools_that_do_not_exist_or_are_left_out_are_named() {
    let all = |default: &str, hide: &str, tools: &str| {
        found(&format!(r#"{{"version":"1","default":"{default}","hide":[{hide}],"tools":{{{tools}}}}}"#))
    };
    assert_eq!(all("deny", "", r#""raed":{}"#), ["Error P002 /tools/raed"]);
    assert_eq!(all("deny", r#""remov""#, ""), ["Warning P002 /hide/0"]);
    assert_eq!(all("allow", r#""remov","pay""#, ""), ["Error P003 /default", "Error P002 /hide/0"]);
    assert_eq!(all("deny", r#""pay""#, r#""pay":{}"#), ["Warning P013 /tools/pay"]);
    assert_eq!(all("deny", "", r#""read":{"validate":"schema"}"#), ["Error P019 /tools/read/validate"]);
    assert_eq!(all("deny", "", r#""remove":{}"#), ["Error P003 /tools/remove"]);
    assert_eq!(all("deny", r#""remove""#, r#""read":{}"#), [""; 0]);
}

#[test]
fn conditions_for_all_tools_are_held_against_every_tool() {
    let all = |rules: &str| {
        let rest = r#""hide":["remove"],"tools":{"pay":{"rate_limit":"1/day"},"read":{}}"#;
        found(&format!(r#"{{"version":"1","default":"deny","all_tools":{{{rules}}},{rest}}}"#))
    };
    // `read` does not say what its arguments are, so only `pay` can be wrong.
    assert_eq!(all(r#""deny_if":[{"path":"args.amount","op":"gt","value":5}]"#), [""; 0]);
    assert_eq!(
        all(r#""deny_if":[{"path":"args.amount","op":"regex","value":"^x$"}]"#),
        ["Warning P021 /all_tools/deny_if/0/path"]
    );
    assert_eq!(
        all(r#""require":[{"path":"args.reason","op":"exists","value":true}]"#),
        ["Warning P011 /all_tools/require/0/path"]
    );
    let one = |rules: &str| {
        let rest = r#""hide":["remove","read"],"tools":{"pay":{"rate_limit":"1/day"}}"#;
        found(&format!(r#"{{"version":"1","default":"deny","all_tools":{{{rules}}},{rest}}}"#))
    };
    assert_eq!(
        one(r#""deny_if":[{"path":"args.amout","op":"gt","value":5}]"#),
        ["Error P022 /all_tools/deny_if/0/path"]
    );
}

#[test]
fn places_are_those_of_the_text() {
    let text = "{\"version\":\"1\",\n \"default\":\"deny\",\n \"tools\":{\"pay\":{\"deny_if\":[\n  {\"path\":\"args.amout\",\"op\":\"gt\",\"value\":5}]}}}";
    let policy = crate::parse(text, "p").unwrap();
    let tools = tools();
    let subjects: Vec<Subject<'_>> = tools.iter().map(|(tool, verdict)| (tool, Some(verdict))).collect();
    let against = Against { tools: &subjects, offers: &[], listed: &[] };
    let lints = check(&policy, &Places::of(text), Some(&against));
    let lint = lints.iter().find(|lint| lint.code == Code::P022).unwrap();
    let (start, end) = lint.place.unwrap();
    assert_eq!(((start.line, start.column), (end.line, end.column)), ((4, 4), (4, 23)));
    assert_eq!(lint.help.as_deref(), Some("did you mean `args.amount`?"));
}

#[test]
fn only_our_own_words_are_not_portable() {
    let found = |text: &str| -> Vec<String> {
        let policy = crate::parse(text, "p").unwrap();
        check_portable(&policy, &Places::of(text)).into_iter().map(|lint| lint.pointer).collect()
    };
    let portable = r#"{"version":"1","default":"deny","hide":["x"],"all_tools":{"limits":[{"counter":"c","window":"day","max":1}]},
        "tools":{"t":{"require":[{"path":"args.a","op":"regex","value":"a"}],"deny_if":[{"conditions":[],"on_deny":"no","id":"i"}]}}}"#;
    assert_eq!(found(portable), [""; 0]);
    let ours = r#"{"version":"1","default":"deny","mode":"enforce","all_tools":{"deny_if":[]},
        "tools":{"t":{"action":"allow","rate_limit":"1/day","require":[{"path":"args.a","op":"host_in","value":"a"}],
        "limits":[{"counter":"d","window":"day","max":1,"scale":1,"increment_from":"args.n"}]}}}"#;
    assert_eq!(
        found(ours),
        ["/mode", "/tools/t/action", "/tools/t/rate_limit", "/tools/t/require/0/op", "/tools/t/limits/0/scale"]
    );
}

#[test]
fn a_flow_that_decides_nothing_and_flags_that_leave_something_out_are_told() {
    let text = |flow: &str, flags: &str| {
        format!(
            r#"{{"version":"1","default":"deny","flows":[{flow}],"tools":{{"pay":{{"action":"require_approval","flags":{flags}}}}}}}"#
        )
    };
    let flow = r#"{"after":["untrusted_content"],"then":["financial"],"action":"deny"}"#;
    assert_eq!(found(&text(flow, r#"["financial"]"#)), Vec::<String>::new());
    assert_eq!(found(&text(flow, r#"["untrusted_content"]"#)), ["Warning P029 /tools/pay/flags"]);
    assert_eq!(found(&text(flow, "[]")), ["Warning P028 /flows/0", "Warning P029 /tools/pay/flags"]);
    // Without flags it is unclassified.
    let open = r#"{"after":["unclassified"],"then":["unclassified"],"action":"deny"}"#;
    let unsaid = format!(
        r#"{{"version":"1","default":"deny","flows":[{open}],"tools":{{"pay":{{"action":"require_approval"}}}}}}"#
    );
    assert_eq!(found(&unsaid), Vec::<String>::new());
    assert_eq!(found(&text(open, "[]")), ["Warning P028 /flows/0"]);
}
