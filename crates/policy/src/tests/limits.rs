//! Counters: windows, scopes, increments, all or none, giving back.

use super::{call, caller, decide_with, policy, tool};
use crate::clock::Timestamp;
use crate::memory::MemoryStore;
use crate::{Caller, Decision, Denial, Ending, Facts, LimitStore, Request, gate, parse_utc};
use std::sync::Arc;

fn denial(policy: &crate::Policy, store: &MemoryStore, seconds: u64, arguments: &str) -> Option<Denial> {
    let caller = caller();
    let request = Request { caller: &caller, call: call("t", arguments), facts: Facts::default() };
    match gate(policy, store, store, store, Timestamp::from_millis(seconds * 1000), request) {
        Decision::Deny(denial) => Some(denial),
        Decision::Allow(_) | Decision::Ask(_) => None,
    }
}

#[test]
fn a_counter_starts_anew_with_its_window_and_never_before() {
    let policy = tool(r#"{"limits":[{"counter":"c","window":"minute","max":2}]}"#);
    let store = MemoryStore::new();
    let full = "limit_exceeded /tools/t/limits/c";
    for (seconds, expected) in
        [(0, "allow"), (59, "allow"), (59, full), (60, "allow"), (30, "allow"), (30, full), (119, full), (120, "allow")]
    {
        assert_eq!(decide_with(&policy, &store, seconds, "t", ""), expected, "at {seconds} s");
    }
}

#[test]
fn a_refusal_says_when_to_retry() {
    let policy = tool(r#"{"limits":[{"counter":"c","window":"minute","max":1}]}"#);
    let store = MemoryStore::new();
    assert_eq!(denial(&policy, &store, 10, ""), None);
    let refused = denial(&policy, &store, 18, "").unwrap();
    assert_eq!(refused.retry_after_s, Some(42));
    assert_eq!(refused.text(), "[POLICY DENIED] the limit of 1 call per minute is reached; retry in 42 s");
}

#[test]
fn a_maximum_of_zero_lets_nothing_pass() {
    let policy = tool(r#"{"limits":[{"counter":"c","window":"day","max":0}]}"#);
    let refused = denial(&policy, &MemoryStore::new(), 0, "").unwrap();
    assert_eq!(refused.retry_after_s, None);
}

#[test]
fn amounts_are_added_exactly_or_refused() {
    let plain = r#"{"limits":[{"counter":"c","window":"day","max":700,"increment_from":"args.n"}]}"#;
    let cents = r#"{"limits":[{"counter":"c","window":"day","max":700,"increment_from":"args.n","scale":2}]}"#;
    let invalid = "increment_invalid /tools/t/limits/c";
    let full = "limit_exceeded /tools/t/limits/c";
    for (rules, arguments, expected) in [
        (plain, r#"{"n":700}"#, "allow"),
        (plain, r#"{"n":7e2}"#, "allow"),
        (plain, r#"{"n":0}"#, "allow"),
        (plain, r#"{"n":-0}"#, "allow"),
        (plain, r#"{"n":701}"#, full),
        (plain, r#"{"n":0.99}"#, invalid),
        (plain, r#"{"n":-5}"#, invalid),
        (plain, r#"{"n":1e30}"#, invalid),
        (plain, r#"{"n":"700"}"#, invalid),
        (plain, r#"{"n":[1]}"#, invalid),
        (plain, r#"{"n":null}"#, invalid),
        (plain, "{}", invalid),
        (plain, "", invalid),
        (cents, r#"{"n":0.99}"#, "allow"),
        (cents, r#"{"n":700.00}"#, "allow"),
        (cents, r#"{"n":700.01}"#, full),
        (cents, r#"{"n":0.999}"#, invalid),
    ] {
        assert_eq!(decide_with(&tool(rules), &MemoryStore::new(), 0, "t", arguments), expected, "{arguments}");
    }
    // A hundred times 0.07 is exactly 7.
    let policy = tool(r#"{"limits":[{"counter":"c","window":"day","max":7,"increment_from":"args.n","scale":2}]}"#);
    let store = MemoryStore::new();
    for _ in 0..100 {
        assert_eq!(decide_with(&policy, &store, 0, "t", r#"{"n":0.07}"#), "allow");
    }
    let refused = denial(&policy, &store, 0, r#"{"n":0.01}"#).unwrap();
    assert!(refused.message.starts_with("`args.n` may add up to 7 per day, and 0.00 is left"), "{}", refused.message);
}

#[test]
fn limits_that_name_one_counter_share_it_and_a_call_counts_once() {
    let policy = policy(
        r#"{"version":"1","default":"deny",
        "all_tools":{"limits":[{"counter":"c","window":"day","max":5}]},
        "tools":{"t":{"limits":[{"counter":"c","window":"day","max":3},{"counter":"c","window":"day","max":4}]},"u":{}}}"#,
    );
    let store = MemoryStore::new();
    let decide = |name: &str| decide_with(&policy, &store, 0, name, "");
    assert_eq!([decide("t"), decide("u"), decide("t")], ["allow", "allow", "allow"]);
    assert_eq!(decide("t"), "limit_exceeded /tools/t/limits/c");
    assert_eq!([decide("u"), decide("u")], ["allow", "allow"]);
    assert_eq!(decide("u"), "limit_exceeded /all_tools/limits/c");
}

#[test]
fn two_amounts_of_one_counter_are_added_up() {
    let policy = tool(
        r#"{"limits":[{"counter":"c","window":"day","max":10,"increment_from":"args.a"},{"counter":"c","window":"day","max":10,"increment_from":"args.b"}]}"#,
    );
    let store = MemoryStore::new();
    assert_eq!(decide_with(&policy, &store, 0, "t", r#"{"a":6,"b":5}"#), "limit_exceeded /tools/t/limits/c");
    assert_eq!(decide_with(&policy, &store, 0, "t", r#"{"a":6,"b":4}"#), "allow");
    let huge = r#"{"a":9223372036854775807,"b":1}"#;
    assert_eq!(decide_with(&policy, &store, 0, "t", huge), "increment_invalid /tools/t/limits/c");
}

#[test]
fn the_second_limit_refuses_and_the_first_spends_nothing() {
    let policy = tool(
        r#"{"limits":[{"counter":"a","window":"day","max":3},{"counter":"b","window":"day","max":5,"increment_from":"args.n"}]}"#,
    );
    let store = MemoryStore::new();
    for _ in 0..10 {
        assert_eq!(decide_with(&policy, &store, 0, "t", r#"{"n":6}"#), "limit_exceeded /tools/t/limits/b");
    }
    for _ in 0..3 {
        assert_eq!(decide_with(&policy, &store, 0, "t", r#"{"n":1}"#), "allow");
    }
    assert_eq!(decide_with(&policy, &store, 0, "t", r#"{"n":1}"#), "limit_exceeded /tools/t/limits/a");
}

#[test]
fn each_scope_has_its_own_counter() {
    let store = MemoryStore::new();
    let decide = |scope: &str, caller: Caller| {
        let policy =
            tool(&format!(r#"{{"limits":[{{"counter":"{scope}","window":"day","max":1,"scope":"{scope}"}}]}}"#));
        let request = Request { caller: &caller, call: call("t", ""), facts: Facts::default() };
        match gate(&policy, &store, &store, &store, Timestamp::from_millis(0), request) {
            Decision::Allow(_) => "allow".to_owned(),
            Decision::Deny(denial) => denial.code.to_string(),
            Decision::Ask(_) => "ask".to_owned(),
        }
    };
    let who = |server: &str, grant: &str, session: &str| {
        let some = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
        Caller { server: Arc::from(server), grant: some(grant), session: some(session), course: None, pledge: None }
    };
    for (scope, caller, expected) in [
        ("grant", who("s", "g", "x"), "allow"),
        ("grant", who("s", "g", "y"), "limit_exceeded"),
        ("grant", who("s", "h", "x"), "allow"),
        ("grant", who("r", "g", "x"), "allow"),
        ("grant", who("s", "", "x"), "scope_unavailable"),
        ("session", who("s", "g", "x"), "allow"),
        ("session", who("s", "h", "x"), "limit_exceeded"),
        ("session", who("s", "g", ""), "scope_unavailable"),
        ("server", who("s", "g", "x"), "allow"),
        ("server", who("s", "", ""), "limit_exceeded"),
        ("server", who("r", "g", "x"), "allow"),
        ("global", who("s", "g", "x"), "allow"),
        ("global", who("r", "", ""), "limit_exceeded"),
    ] {
        assert_eq!(decide(scope, caller.clone()), expected, "{scope} {caller:?}");
    }
}

#[test]
fn what_was_not_used_comes_back_in_its_own_window_only() {
    let policy = tool(r#"{"limits":[{"counter":"c","window":"minute","max":1}]}"#);
    let store = MemoryStore::new();
    let caller = caller();
    let reserve = |seconds: u64| {
        let request = Request { caller: &caller, call: call("t", ""), facts: Facts::default() };
        match gate(&policy, &store, &store, &store, Timestamp::from_millis(seconds * 1000), request) {
            Decision::Allow(permit) => Some(permit.into_parts().1),
            Decision::Deny(_) | Decision::Ask(_) => None,
        }
    };
    let settle = |seconds: u64, reservation: crate::Reservation, ending: Ending| {
        let settlement: Vec<_> = reservation.end(ending).into_iter().collect();
        store.settle(Timestamp::from_millis(seconds * 1000), &settlement).unwrap();
    };
    // What was not sent comes back.
    settle(1, reserve(0).unwrap(), Ending::NotSent);
    // Anything else does not: a caller can provoke an error.
    settle(2, reserve(2).unwrap(), Ending::ErrorReply);
    assert!(reserve(3).is_none());
    // Given back after its window closed: the new window does not gain from it.
    let late = reserve(60).unwrap();
    let newer = reserve(120).unwrap();
    settle(121, late, Ending::NotSent);
    assert!(reserve(122).is_none());
    settle(123, newer, Ending::NotSent);
    assert!(reserve(124).is_some());
}

#[test]
fn an_error_gives_back_where_the_limit_says_so_and_nowhere_else() {
    let policy = tool(
        r#"{"limits":[{"counter":"tries","window":"minute","max":1,"refund":"error"},{"counter":"all","window":"minute","max":3}]}"#,
    );
    let (store, caller) = (MemoryStore::new(), caller());
    let now = Timestamp::from_millis(0);
    let reserve = || {
        let request = Request { caller: &caller, call: call("t", ""), facts: Facts::default() };
        match gate(&policy, &store, &store, &store, now, request) {
            Decision::Allow(permit) => Ok(permit.into_parts().1),
            Decision::Deny(denial) => Err(denial.rule),
            Decision::Ask(_) => Err("asked".to_owned()),
        }
    };
    for ending in [Ending::ErrorReply, Ending::ErrorReply, Ending::Kept] {
        let settlement: Vec<_> = reserve().unwrap().end(ending).into_iter().collect();
        store.settle(now, &settlement).unwrap();
    }
    assert_eq!(reserve().unwrap_err(), "/tools/t/limits/tries", "the last one was kept");
    let policy = |limits: &str| {
        crate::parse(&format!(r#"{{"version":"1","default":"deny","tools":{{"t":{{"limits":[{limits}]}}}}}}"#), "p")
    };
    for (limits, expected) in [
        (r#"{"counter":"c","window":"day","max":1,"refund":"always"}"#, "`always` is not a refund"),
        (
            r#"{"counter":"c","window":"day","max":1,"refund":"error","increment_from":"args.n"}"#,
            "`refund` is not possible",
        ),
        (
            r#"{"counter":"c","window":"day","max":1,"refund":"error"},{"counter":"c","window":"day","max":2}"#,
            "counter `c` is used with `refund` on line 1",
        ),
    ] {
        let problems = policy(limits).err().unwrap_or_default();
        assert!(problems.len() == 1 && problems[0].message.contains(expected), "{limits}: {problems:#?}");
    }
}

#[test]
fn windows_that_are_over_are_forgotten() {
    let policy = tool(r#"{"limits":[{"counter":"c","window":"minute","max":1,"scope":"session"}]}"#);
    let store = MemoryStore::new();
    let start = parse_utc("2026-11-23").unwrap();
    for session in 0..5000u64 {
        let caller = Caller {
            server: Arc::from("s"),
            grant: None,
            session: Some(Arc::from(session.to_string())),
            course: None,
            pledge: None,
        };
        let request = Request { caller: &caller, call: call("t", ""), facts: Facts::default() };
        let now = Timestamp::from_millis(start.millis() + session * 1000);
        assert!(matches!(gate(&policy, &store, &store, &store, now, request), Decision::Allow(_)));
    }
    assert!(store.counters() < 2000, "{}", store.counters());
}
