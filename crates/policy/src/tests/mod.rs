//! What the language promises, as rows and as properties.
#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

mod conditions;
mod doors;
mod flows;
mod limits;
mod properties;

use super::*;
use crate::clock::Timestamp;
use crate::mcp::envelope::ToolCall;
use crate::memory::MemoryStore;
use crate::model::ToolName;
use std::sync::Arc;

pub(super) fn policy(text: &str) -> Policy {
    parse(text, "p.json").unwrap_or_else(|problems| panic_with(&problems))
}

#[expect(clippy::panic, reason = "a test may stop at what should not happen")]
fn panic_with(problems: &[crate::problem::Problem]) -> Policy {
    panic!("{problems:#?}")
}

/// A policy with one tool `t`, default deny.
pub(super) fn tool(rules: &str) -> Policy {
    policy(&format!(r#"{{"version":"1","default":"deny","tools":{{"t":{rules}}}}}"#))
}

pub(super) fn call(name: &str, arguments: &str) -> ToolCall {
    ToolCall::synthetic(ToolName::new(name), (!arguments.is_empty()).then(|| arguments.to_owned()))
}

pub(super) fn caller() -> Caller {
    Caller {
        server: Arc::from("s"),
        grant: Some(Arc::from("g")),
        session: Some(Arc::from("x")),
        course: None,
        pledge: None,
    }
}

/// `allow`, `ask`, or the code and rule of the denial.
pub(super) fn decide(policy: &Policy, name: &str, arguments: &str) -> String {
    let store = MemoryStore::new();
    decide_with(policy, &store, 0, name, arguments)
}

pub(super) fn decide_with(policy: &Policy, store: &MemoryStore, seconds: u64, name: &str, arguments: &str) -> String {
    let caller = caller();
    let request = Request { caller: &caller, call: call(name, arguments), facts: Facts::default() };
    match gate(policy, store, store, store, Timestamp::from_millis(seconds * 1000), request) {
        Decision::Allow(permit) => match permit.would_deny() {
            Some(denial) => format!("shadow {} {}", denial.code, denial.rule),
            None => "allow".to_owned(),
        },
        Decision::Deny(denial) => format!("{} {}", denial.code, denial.rule),
        Decision::Ask(pending) => format!("ask {}", pending.rule),
    }
}

#[test]
fn the_first_denial_wins_in_the_order_of_the_table() {
    let policy = policy(
        r#"{"version":"1","default":"deny","hide":["rm"],
        "all_tools":{"require":[{"path":"args.who","op":"exists","value":true}],"deny_if":[{"path":"args.bad","op":"eq","value":true}],
                     "limits":[{"counter":"calls","window":"minute","max":2}]},
        "tools":{"rm":{},"read":{},"no":{"action":"deny","reason":"closed"},"gone":{"action":"hide"},
          "pay":{"require":[{"path":"args.why","op":"exists","value":true}],"deny_if":[{"path":"args.n","op":"gt","value":5}],
                 "approval":{"when":[{"path":"args.n","op":"gte","value":3}]}},
          "ask":{"action":"require_approval","reason":"please"},
          "checked":{"validate":"schema"}}}"#,
    );
    for (name, arguments, expected) in [
        ("rm", "{}", "hidden (hidden)"),
        ("gone", "{}", "hidden (hidden)"),
        ("other", "{}", "not_listed (default deny)"),
        ("no", "{}", "action_denied /tools/no/action"),
        ("checked", "{}", "schema_invalid /tools/checked/validate"),
        ("read", "{}", "require_failed /all_tools/require/args.who-exists"),
        ("pay", "{}", "require_failed /tools/pay/require/args.why-exists"),
        ("pay", r#"{"why":"x"}"#, "require_failed /all_tools/require/args.who-exists"),
        ("pay", r#"{"why":"x","who":"y","n":6,"bad":true}"#, "condition_denied /tools/pay/deny_if/args.n-gt"),
        ("pay", r#"{"why":"x","who":"y","n":5,"bad":true}"#, "condition_denied /all_tools/deny_if/args.bad-eq"),
        ("pay", r#"{"why":"x","who":"y","n":5}"#, "ask /tools/pay/approval"),
        ("pay", r#"{"why":"x","who":"y","n":"5"}"#, "condition_denied /tools/pay/deny_if/args.n-gt"),
        ("pay", r#"{"why":"x","who":"y","n":2}"#, "allow"),
        ("ask", r#"{"who":"y"}"#, "ask /tools/ask/approval"),
        ("read", r#"{"who":"y"}"#, "allow"),
        ("read", "{", "arguments_invalid (arguments)"),
        ("read", r#"{"who":"y","who":"z"}"#, "arguments_invalid (arguments)"),
    ] {
        assert_eq!(decide(&policy, name, arguments), expected, "{name} {arguments}");
    }
    let visible = |name| policy.visible(name);
    assert_eq!(
        [visible("read"), visible("no"), visible("rm"), visible("other")],
        [Visibility::Listed, Visibility::Refused, Visibility::Hidden, Visibility::Hidden]
    );
}

#[test]
fn a_changed_tool_is_refused_before_its_rules_are_read() {
    let policy = tool(r#"{"deny_if":[{"conditions":[]}]}"#);
    let caller = caller();
    for change in [ToolChange::New, ToolChange::Changed, ToolChange::Gone, ToolChange::Unseen] {
        let facts = Facts { change: Some(change), ..Facts::default() };
        let judgement = judge(&policy, &caller, &call("t", "{}"), facts);
        assert!(matches!(judgement, Judgement::Deny(denial) if denial.code == DenialCode::ToolChanged));
    }
}

#[test]
fn default_allow_still_obeys_the_rules_for_all() {
    let policy = policy(
        r#"{"version":"1","default":"allow","all_tools":{"deny_if":[{"path":"args.x","op":"eq","value":1}],"limits":[{"counter":"c","window":"day","max":1}]}}"#,
    );
    let store = MemoryStore::new();
    assert_eq!(decide_with(&policy, &store, 0, "a", r#"{"x":1}"#), "condition_denied /all_tools/deny_if/args.x-eq");
    assert_eq!(decide_with(&policy, &store, 0, "a", ""), "allow");
    assert_eq!(decide_with(&policy, &store, 0, "b", ""), "limit_exceeded /all_tools/limits/c");
}

#[test]
fn hide_all_hides_all() {
    let policy = policy(r#"{"version":"1","default":"allow","hide":["*"],"tools":{"a":{}}}"#);
    assert_eq!(decide(&policy, "a", ""), "hidden (hidden)");
    assert_eq!(decide(&policy, "b", ""), "hidden (hidden)");
}

#[test]
fn shadow_mode_decides_and_forwards() {
    let policy = policy(
        r#"{"version":"1","default":"deny","mode":"shadow","tools":{"t":{"rate_limit":"1/minute"},"u":{"mode":"enforce","action":"deny"},"v":{"action":"require_approval"}}}"#,
    );
    let store = MemoryStore::new();
    let decide = |name: &str| decide_with(&policy, &store, 0, name, "{}");
    assert_eq!(decide("t"), "allow");
    assert_eq!(decide("t"), "shadow limit_exceeded /tools/t/limits/t_rate");
    assert_eq!(decide("u"), "action_denied /tools/u/action");
    assert_eq!(decide("v"), "shadow approval_required /tools/v/approval");
    assert_eq!(decide("w"), "shadow not_listed (default deny)");
    assert_eq!(policy.visible("w"), Visibility::Listed);
    let everything = tool(r#"{"mode":"enforce","action":"deny"}"#).in_shadow();
    assert_eq!(self::decide(&everything, "t", ""), "shadow action_denied /tools/t/action");
}

#[test]
fn an_approval_is_good_for_one_call_of_its_very_arguments() {
    let policy = tool(r#"{"action":"require_approval","limits":[{"counter":"c","window":"day","max":2}]}"#);
    let store = MemoryStore::new();
    let caller = caller();
    let now = Timestamp::from_millis(0);
    let ask = |arguments: &str| {
        let request = Request { caller: &caller, call: call("t", arguments), facts: Facts::default() };
        gate(&policy, &store, &store, &store, now, request)
    };
    let Decision::Ask(pending) = ask(r#"{"a":1,"b":2}"#) else { unreachable!() };
    let request = ApprovalRequest {
        binding: pending.binding.clone(),
        rule: pending.rule.clone(),
        message: pending.message.clone(),
        ttl_s: pending.ttl_s,
        arguments: pending.call.arguments().map(str::to_owned),
    };
    let approval = store.request(now, &request).unwrap();
    assert_eq!(store.request(now, &request).unwrap().id, approval.id);
    assert!(matches!(ask(r#"{"a":1,"b":2}"#), Decision::Ask(_)));
    assert!(matches!(store.decide(now, &approval.id, Answer::Approve).unwrap(), Answered::Done(_)));
    assert!(matches!(store.decide(now, &approval.id, Answer::Deny).unwrap(), Answered::TooLate(_)));
    // Other arguments, even the same number spelled otherwise, are another call.
    assert!(matches!(ask(r#"{"a":1.0,"b":2}"#), Decision::Ask(_)));
    // The order of members and white space are not.
    assert!(matches!(ask(r#"{ "b": 2, "a": 1 }"#), Decision::Allow(_)));
    assert!(matches!(ask(r#"{"a":1,"b":2}"#), Decision::Ask(_)));
    // Refused by a person.
    let again = store.request(now, &request).unwrap();
    assert_ne!(again.id, approval.id);
    store.decide(now, &again.id, Answer::Deny).unwrap();
    assert!(matches!(ask(r#"{"a":1,"b":2}"#), Decision::Deny(denial) if denial.code == DenialCode::ApprovalDenied));
    // Lapsed.
    let late = Timestamp::from_millis(300_000);
    assert!(store.find(late, &request.binding.key()).unwrap().is_none());
}

#[test]
fn two_equal_calls_in_one_batch_share_no_approval() {
    let policy = tool(r#"{"action":"require_approval","limits":[{"counter":"c","window":"day","max":9}]}"#);
    let store = MemoryStore::new();
    let caller = caller();
    let now = Timestamp::from_millis(0);
    let binding = binding(&policy, &caller, &call("t", ""), None);
    let request = ApprovalRequest { binding, rule: String::new(), message: String::new(), ttl_s: 60, arguments: None };
    let id = store.request(now, &request).unwrap().id;
    store.decide(now, &id, Answer::Approve).unwrap();
    let request = || Request { caller: &caller, call: call("t", ""), facts: Facts::default() };
    let decisions = gate_batch(&policy, &store, &store, &store, now, vec![request(), request()]);
    assert!(matches!(decisions[..], [Decision::Allow(_), Decision::Ask(_)]), "{decisions:?}");
    let Judgement::WantsApproval(need) = judge(&policy, &caller, &call("t", ""), Facts::default()) else {
        unreachable!()
    };
    // The call that found the approval used gave its unit back.
    assert_eq!(store.usage(now, &need.bill.unwrap().charges).unwrap()[0].used, 1);
}

#[test]
fn a_store_that_fails_denies() {
    struct Broken;
    impl LimitStore for Broken {
        fn reserve(&self, _: Timestamp, _: &[Vec<Charge>]) -> Result<Vec<Reserve>, StoreError> {
            Err(StoreError::Unavailable("disk full".to_owned()))
        }
        fn settle(&self, _: Timestamp, _: &[Settlement]) -> Result<(), StoreError> {
            Ok(())
        }
        fn usage(&self, _: Timestamp, _: &[Charge]) -> Result<Vec<Usage>, StoreError> {
            Err(StoreError::Unavailable("disk full".to_owned()))
        }
        fn stored(&self) -> Result<(Timestamp, Vec<StoredCounter>), StoreError> {
            Err(StoreError::Unavailable("disk full".to_owned()))
        }
        fn reset(&self, _: &[CounterKey]) -> Result<(), StoreError> {
            Err(StoreError::Unavailable("disk full".to_owned()))
        }
        fn reset_clock(&self, _: Timestamp) -> Result<(), StoreError> {
            Err(StoreError::Unavailable("disk full".to_owned()))
        }
    }
    let policy = policy(r#"{"version":"1","default":"deny","tools":{"t":{"rate_limit":"1/minute"},"free":{}}}"#);
    let (caller, memory) = (caller(), MemoryStore::new());
    let decide = |name: &str| {
        let request = Request { caller: &caller, call: call(name, ""), facts: Facts::default() };
        gate(&policy, &Broken, &memory, &memory, Timestamp::from_millis(0), request)
    };
    assert!(matches!(decide("t"), Decision::Deny(denial) if denial.code == DenialCode::StateUnavailable));
    assert!(matches!(decide("free"), Decision::Allow(_)));
}
