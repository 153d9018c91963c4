//! Promises that hold for every policy and every call.

use super::{call, caller, policy, tool};
use crate::clock::Timestamp;
use crate::memory::MemoryStore;
use crate::{
    Decision, Ending, Facts, Judgement, LimitStore, Policy, Request, Settlement, gate, gate_batch, judge, parse,
};
use proptest::prelude::*;

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        (-20i64..20).prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,2})\\.[0-9]{1,3}",
        "[1-9][0-9]{0,2}e-?[0-9]{1,2}",
        "[a-c/.%]{0,6}".prop_map(|text| format!("\"{text}\"")),
        Just("\"https://example.com/\"".to_owned()),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn arguments() -> impl Strategy<Value = String> {
    prop::collection::btree_map("[a-c]", json(), 0..4).prop_map(|members| {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

fn condition() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        Just("args"),
        Just("args.a"),
        Just("args.b.a"),
        Just("args.a[*]"),
        Just("args.b[*].c"),
        Just("args:/c/0")
    ];
    let test = prop_oneof![
        (prop_oneof![Just("eq"), Just("neq"), Just("contains"), Just("not_contains")], json())
            .prop_filter("null is never equal", |(_, value)| value != "null")
            .prop_map(|(op, value)| format!(r#""op":"{op}","value":{value}"#)),
        (prop_oneof![Just("lt"), Just("lte"), Just("gt"), Just("gte")], -20i64..20)
            .prop_map(|(op, value)| format!(r#""op":"{op}","value":{value}"#)),
        any::<bool>().prop_map(|value| format!(r#""op":"exists","value":{value}"#)),
        "[a-c]{1,2}".prop_map(|value| format!(r#""op":"regex","value":"{value}""#)),
        (0u32..4).prop_map(|value| format!(r#""op":"length_lte","value":{value}"#)),
        Just(r#""op":"type","value":["string","integer"]"#.to_owned()),
        Just(r#""op":"path_within","value":"/a""#.to_owned()),
        Just(r#""op":"host_in","value":["example.com"]"#.to_owned()),
    ];
    (path, test).prop_map(|(path, test)| format!(r#"{{"path":"{path}",{test}}}"#))
}

fn rules() -> impl Strategy<Value = String> {
    let entries = || {
        prop::collection::vec(prop::collection::vec(condition(), 0..3), 0..3).prop_map(|entries| {
            let entries: Vec<_> =
                entries.iter().map(|list| format!(r#"{{"conditions":[{}]}}"#, list.join(","))).collect();
            format!("[{}]", entries.join(","))
        })
    };
    let limit = prop_oneof![
        Just(String::new()),
        (0u64..4).prop_map(|max| format!(r#","limits":[{{"counter":"c","window":"day","max":{max}}}]"#)),
        (0u64..40).prop_map(|max| {
            format!(r#","limits":[{{"counter":"n","window":"15m","max":{max},"increment_from":"args.a","scale":2}}]"#)
        }),
        Just(r#","rate_limit":{"max":3,"window":60}"#.to_owned()),
        Just(r#","action":"require_approval","reason":"ask""#.to_owned()),
        Just(r#","approval":{"when":[{"path":"args.a","op":"gt","value":1}]},"mode":"shadow""#.to_owned()),
    ];
    (entries(), entries(), limit)
        .prop_map(|(require, deny_if, limit)| format!(r#"{{"require":{require},"deny_if":{deny_if}{limit}}}"#))
}

fn outcome(judgement: &Judgement<'_>) -> String {
    match judgement {
        Judgement::Deny(denial) => format!("{denial:?}"),
        Judgement::Pass(bill) => format!("{:?}", bill.charges),
        Judgement::WantsApproval(need) => format!("{} {:?}", need.rule, need.bill.as_ref().map(|bill| &bill.charges)),
    }
}

/// Texts of numbers, many of them so close to a bound that doubles do not tell the two apart.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|99|100|12345|9007199254740992|9007199254740993)(\\.(0{12,22}1|9{12,22}|5))?",
        "-?[1-9](\\.[0-9]{1,20})?e-?(3[0-4][0-9]|[0-9]{1,2})",
    ]
}

/// Whether a call passes with this condition as the only entry of a list.
fn passes(list: &str, op: &str, value: &str, argument: &str) -> bool {
    let policy = tool(&format!(r#"{{"{list}":[{{"path":"args.a","op":"{op}","value":{value}}}]}}"#));
    let judged = judge(&policy, &caller(), &call("t", &format!("{{\"a\":{argument}}}")), Facts::default());
    matches!(judged, Judgement::Pass(_))
}

proptest! {
    /// Whatever passes by the exact rule passes by the rule of a reader with doubles as well.
    #[test]
    fn no_number_passes_that_a_reader_with_doubles_would_refuse(bound in number(), argument in number(), which in 0usize..6) {
        let (x, y): (f64, f64) = (argument.parse().unwrap_or(f64::NAN), bound.parse().unwrap_or(f64::NAN));
        let (op, holds) =
            [("lt", x < y), ("lte", x <= y), ("gt", x > y), ("gte", x >= y), ("eq", x == y), ("neq", x != y)][which];
        prop_assert!(!passes("require", op, &bound, &argument) || holds, "{} {} {}", argument, op, bound);
        prop_assert!(!passes("deny_if", op, &bound, &argument) || !holds, "{} {} {}", argument, op, bound);
        let (list, nested) = (format!("[{bound}]"), format!("{{\"b\":[{argument}]}}"));
        let (items, inside) = (format!("[{argument}]"), format!("{{\"b\":[{bound}]}}"));
        prop_assert!(!passes("deny_if", "in", &list, &argument) || x != y);
        prop_assert!(!passes("deny_if", "contains", &bound, &items) || x != y);
        prop_assert!(!passes("deny_if", "eq", &inside, &nested) || x != y);
    }

    /// Whatever passes is the same text to a reader that ends it at NUL.
    #[test]
    fn no_text_passes_that_a_reader_that_cuts_at_nul_would_refuse(text in "[ab\u{0}]{0,5}", value in "[ab]{1,3}", which in 0usize..4) {
        let cut = text.split('\0').next().unwrap_or_default();
        let (op, holds) = [
            ("eq", cut == value),
            ("starts_with", cut.starts_with(&value)),
            ("ends_with", cut.ends_with(&value)),
            ("contains", cut.contains(&value)),
        ][which];
        let (argument, value) = (serde_json::Value::from(text).to_string(), format!("\"{value}\""));
        prop_assert!(!passes("require", op, &value, &argument) || holds);
        prop_assert!(!passes("deny_if", op, &value, &argument) || !holds);
    }

    /// Whatever satisfies the schema satisfies it for a reader that finds members without regard to case.
    #[test]
    fn no_arguments_pass_a_schema_that_a_reader_without_case_would_refuse(
        members in prop::collection::btree_map("(to|To|TO|tO|other|Other)", "(me|you)", 0..4),
        is_nested in any::<bool>(),
    ) {
        use serde_json::{Value, json};
        let inner = json!({"type": "object", "properties": {"to": {"enum": ["me"]}}});
        let schema = if is_nested { json!({"properties": {"in": {"allOf": [{"$ref": "#/$defs/i"}]}}, "$defs": {"i": inner}}) } else { inner };
        let schema = crate::ArgumentSchema::compile(&schema).map_err(TestCaseError::fail)?;
        let arguments: Value = members.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect::<serde_json::Map<_, _>>().into();
        let arguments = if is_nested { json!({"in": arguments}) } else { arguments };
        if schema.check(&arguments.to_string()).is_ok() {
            prop_assert!(members.iter().all(|(name, value)| !name.eq_ignore_ascii_case("to") || value == "me"));
        }
    }
}

proptest! {
    #[test]
    fn what_is_unlisted_or_hidden_never_passes(rules in rules(), name in "[a-z*_]{0,4}", arguments in arguments()) {
        let text = format!(r#"{{"version":"1","default":"deny","hide":["h"],"tools":{{"t":{rules},"h":{{}}}}}}"#);
        let policy = policy(&text);
        prop_assume!(name != "t");
        let judged = judge(&policy, &caller(), &call(&name, &arguments), Facts::default());
        prop_assert!(matches!(judged, Judgement::Deny(denial) if denial.is_unknown_tool()));
    }

    #[test]
    fn a_printed_policy_reads_the_same(first in rules(), second in rules()) {
        let text = format!(r#"{{"version":"1","default":"allow","mode":"enforce","hide":["x","*"],"tools":{{"t":{first},"u":{second}}}}}"#);
        // The two tools may use one counter differently.
        if let Ok(policy) = parse(&text, "p") {
            let printed = policy.document().print();
            let again = parse(&printed, "p").map_err(|problems| TestCaseError::fail(format!("{problems:?}\n{printed}")))?;
            prop_assert_eq!(policy.document(), again.document());
            prop_assert_eq!(printed, again.document().print());
        }
    }

    #[test]
    fn unrelated_rules_change_no_judgement(rules in rules(), arguments in arguments()) {
        let alone = tool(&rules);
        let (before, after) = (r#""a":{"action":"deny"}"#, r#""z":{"deny_if":[{"conditions":[]}]}"#);
        for order in [format!(r#"{before},"t":{rules},{after}"#), format!(r#"{after},{before},"t":{rules}"#)] {
            let among = policy(&format!(r#"{{"tools":{{{order}}},"default":"deny","version":"1"}}"#));
            let judged = |policy: &Policy| outcome(&judge(policy, &caller(), &call("t", &arguments), Facts::default()));
            prop_assert_eq!(judged(&alone), judged(&among));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}", name in "\\PC{0,8}", arguments in "\\PC{0,30}") {
        let _ = parse(&text, "p");
        let policy = tool(r#"{"require":[{"path":"args.a[*]","op":"host_in","value":"a"}]}"#);
        let _ = judge(&policy, &caller(), &call(&name, &arguments), Facts::default());
        let _ = judge(&policy, &caller(), &call("t", &arguments), Facts::default());
    }

    #[test]
    fn no_policy_like_text_panics(rules in rules(), cut in any::<prop::sample::Index>(), with in "[\\[\\]{}\",:0a]{0,2}") {
        let text = format!(r#"{{"version":"1","default":"deny","tools":{{"t":{rules}}}}}"#);
        let at = cut.index(text.len());
        let _ = parse(&format!("{}{with}{}", &text[..at], &text[at..]), "p");
    }

    #[test]
    fn a_maximum_is_never_exceeded_and_a_refusal_spends_nothing(
        steps in prop::collection::vec((0u64..3, 0u64..6, 0u64..50, any::<bool>()), 1..60),
    ) {
        let policy = tool(r#"{"limits":[{"counter":"a","window":"minute","max":4},{"counter":"b","window":"15m","max":12,"increment_from":"args.n"}]}"#);
        let (store, caller) = (MemoryStore::new(), caller());
        let mut open = Vec::new();
        let mut now = 0;
        for (advance, amount, back, settle) in steps {
            now += advance * 20;
            // The clock may step back at any time.
            let seen = Timestamp::from_millis(now.saturating_sub(back) * 1000);
            let arguments = format!("{{\"n\":{amount}}}");
            let charges = match judge(&policy, &caller, &call("t", &arguments), Facts::default()) {
                Judgement::Pass(bill) => bill.charges,
                Judgement::Deny(_) | Judgement::WantsApproval(_) => Vec::new(),
            };
            let before = store.usage(seen, &charges).unwrap_or_default();
            let request = Request { caller: &caller, call: call("t", &arguments), facts: Facts::default() };
            let decision = gate(&policy, &store, &store, &store, seen, request);
            let after = store.usage(seen, &charges).unwrap_or_default();
            let spent = [(4, 1), (12, amount)];
            for (index, (max, amount)) in spent.into_iter().enumerate() {
                prop_assert!(after[index].used <= max);
                let expected = if matches!(decision, Decision::Allow(_)) { amount } else { 0 };
                prop_assert_eq!(after[index].used, before[index].used + expected);
            }
            if let Decision::Allow(permit) = decision {
                open.push(permit.into_parts().1);
            }
            if settle && let Some(reservation) = open.pop() {
                let settlement: Vec<Settlement> = reservation.end(Ending::NotSent).into_iter().collect();
                let _ = store.settle(seen, &settlement);
            }
        }
    }

    #[test]
    fn a_batch_decides_as_its_calls_one_after_another(amounts in prop::collection::vec(0u64..6, 1..12)) {
        let policy = tool(r#"{"limits":[{"counter":"a","window":"day","max":5},{"counter":"b","window":"day","max":9,"increment_from":"args.n"}]}"#);
        let (together, apart, caller) = (MemoryStore::new(), MemoryStore::new(), caller());
        let now = Timestamp::from_millis(0);
        let request = |n: &u64| Request { caller: &caller, call: call("t", &format!("{{\"n\":{n}}}")), facts: Facts::default() };
        let allowed = |decision: &Decision| matches!(decision, Decision::Allow(_));
        let batch: Vec<bool> = gate_batch(&policy, &together, &together, &together, now, amounts.iter().map(request).collect()).iter().map(allowed).collect();
        let single: Vec<bool> = amounts.iter().map(|n| allowed(&gate(&policy, &apart, &apart, &apart, now, request(n)))).collect();
        prop_assert_eq!(batch, single);
    }
}
