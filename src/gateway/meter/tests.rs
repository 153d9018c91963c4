//! Tests of the counts and of the page that shows them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail")]

use super::*;
use crate::mcp::envelope::{Message, admit};
use crate::policy::{Caller, Decision, Facts, Request, gate, parse};
use crate::state::MemoryStore;
use proptest::prelude::{any, proptest};
use std::collections::BTreeSet;

const POLICY: &str = r#"{"version": "1", "default": "deny", "hide": ["wipe"], "tools": {"read": {},
    "pay": {"limits": [{"counter": "spend", "window": "day", "max": 50, "scope": "grant", "increment_from": "args.eur", "scale": 2}]}}}"#;

fn policy() -> Policy {
    parse(POLICY, "policy.json").unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

fn tools(server: &ServerMeter) -> BTreeSet<String> {
    server.decisions().into_iter().map(|series| series.tool).collect()
}

proptest! {
    #[test]
    fn names_that_the_policy_does_not_know_are_never_labels(names in proptest::collection::vec(any::<String>(), 0..50)) {
        let meter = Meter::new(at(0));
        let (server, policy) = (meter.server("s"), policy());
        for name in names.iter().map(String::as_str).chain(["read", "wipe"]) {
            server.decided(at(0), Some(&policy), name, Outcome::Deny, "(default deny)");
            server.decided(at(0), None, name, Outcome::Deny, "(no policy)");
        }
        let known = ["(other)", "pay", "read", "wipe"];
        assert!(tools(&server).iter().all(|tool| known.contains(&tool.as_str())));
        assert_eq!(server.total(Outcome::Deny), 2 * (names.len() as u64 + 2));
    }
}

#[test]
fn series_beyond_the_bound_share_one() {
    let meter = Meter::new(at(0));
    let server = meter.server("s");
    for number in 0..SERIES_MAX {
        server.decided(at(0), None, "x", Outcome::Allow, &format!("/rule/{number}"));
    }
    assert!(!server.decisions().iter().any(|series| series.rule == OTHER));
    for number in 0..3 {
        server.decided(at(0), None, "x", Outcome::Allow, &format!("/late/{number}"));
    }
    let series = server.decisions();
    assert_eq!(series.len(), SERIES_MAX + 1);
    let shared = series.iter().find(|series| series.rule == OTHER).map(|series| series.count);
    assert_eq!(shared, Some(3));
    assert_eq!(server.last_minute(at(59)).0, SERIES_MAX as u64 + 3);
}

#[test]
fn what_is_held_is_given_back_however_it_ends() {
    let meter = Meter::new(at(0));
    let server = meter.server("s");
    let (session, call) = (server.session(), server.call());
    let ended = std::thread::spawn({
        let server = Arc::clone(&server);
        move || {
            let _held = server.call();
            assert_eq!(server.pending(), 2);
            panic!("a call that ends in the worst way");
        }
    });
    assert!(ended.join().is_err());
    assert_eq!((server.sessions(), server.pending()), (1, 1));
    drop((session, call));
    assert_eq!((server.sessions(), server.pending()), (0, 0));
    assert!(Arc::ptr_eq(&server, &meter.server("s")));
}

#[test]
fn counters_that_calls_touch_are_known_with_their_maximum() {
    let meter = Meter::new(at(0));
    let (server, policy, store) = (meter.server("s"), policy(), MemoryStore::default());
    let by = |policy: &Policy, grant: &str, second: u64| {
        let line = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"eur":1.5}}}"#;
        let Ok(Message::Call(_, call)) = admit(line) else { panic!("this is a call") };
        let caller =
            Caller { server: "s".into(), grant: Some(grant.into()), session: None, course: None, pledge: None };
        let request = Request { caller: &caller, call, facts: Facts::default() };
        let Decision::Allow(permit) = gate(policy, &store, &store, &store, at(second), request) else {
            panic!("it fits")
        };
        server.charged(at(second), policy, permit.reservation());
    };
    let call = |grant: &str, second: u64| by(&policy, grant, second);
    call("alice", 0);
    call("alice", 1);
    let touched = server.touched();
    let [counter] = touched.as_slice() else { panic!("one counter: {touched:?}") };
    assert_eq!((&*counter.key.name, &*counter.key.value, counter.max, counter.scale), ("spend", "alice", 5000, 2));
    for number in 0..TOUCHED_MAX {
        call(&format!("grant-{number}"), 10 + number as u64);
    }
    let touched = server.touched();
    assert_eq!(touched.len(), TOUCHED_MAX);
    assert!(!touched.iter().any(|counter| &*counter.key.value == "alice"), "the oldest went");
    // An edited policy counts by its own maximum from the next call on.
    let edited = parse(&POLICY.replace("\"max\": 50", "\"max\": 70"), "policy.json").unwrap();
    by(&edited, "bob", 5000);
    by(&edited, "bob", 5001);
    let of_bob: Vec<u64> = server.touched().iter().filter(|of| &*of.key.value == "bob").map(|of| of.max).collect();
    assert_eq!(of_bob, [7000]);
}

/// One sample of a page: name, labels, value.
type Sample = (String, BTreeMap<String, String>, f64);

/// Reads a page as strictly as OpenMetrics 1.0 is written: every sample belongs to the family announced before it, has
/// a suffix that its type allows, and labels in quotes with the three escapes; the page ends with `# EOF`.
fn parse_page(page: &str) -> Vec<Sample> {
    let body = page.strip_suffix("# EOF\n").expect_page("it ends with # EOF");
    let (mut family, mut kind, mut seen, mut samples) = (String::new(), String::new(), BTreeSet::new(), Vec::new());
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name, value) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match what {
                "HELP" => {
                    assert!(seen.insert(name.to_owned()), "family `{name}` is announced once");
                    family = name.to_owned();
                }
                "TYPE" => kind = value.to_owned(),
                "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                _ => panic!("unknown comment: {line}"),
            }
            assert_eq!(name, family, "{line}");
            continue;
        }
        let (name, labels, value) = parse_sample(line);
        let suffix = name.strip_prefix(&family).expect_page(line);
        let allowed: &[&str] = match kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_sum", "_count", "_bucket"],
            _ => panic!("unknown type {kind}"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        assert_eq!(suffix == "_bucket", labels.contains_key("le"), "{line}");
        samples.push((name, labels, value));
    }
    let keys: BTreeSet<_> = samples.iter().map(|(name, labels, _)| (name.clone(), labels.clone())).collect();
    assert_eq!(keys.len(), samples.len(), "every series stands there once");
    samples
}

fn parse_sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect_page(line);
    let name = &line[..end];
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    assert!(name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()), "{line}");
    let (mut labels, mut rest) = (BTreeMap::new(), &line[end..]);
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.starts_with('}') {
            let (key, value) = inside.split_once("=\"").expect_page(line);
            assert!(!key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{line}");
            let (mut text, mut chars) = (String::new(), value.char_indices());
            let after = loop {
                match chars.next().expect_page(line) {
                    (at, '"') => break at + 1,
                    (_, '\\') => text.push(match chars.next().expect_page(line).1 {
                        'n' => '\n',
                        c @ ('\\' | '"') => c,
                        _ => panic!("unknown escape: {line}"),
                    }),
                    (_, c) => text.push(c),
                }
            };
            assert!(labels.insert(key.to_owned(), text).is_none(), "{line}");
            inside = &value[after..];
            inside = inside.strip_prefix(',').unwrap_or(inside);
        }
        rest = &inside[1..];
    }
    let value = rest.strip_prefix(' ').expect_page(line).parse().unwrap();
    (name.to_owned(), labels, value)
}

trait ExpectPage<T> {
    fn expect_page(self, what: &str) -> T;
}

impl<T> ExpectPage<T> for Option<T> {
    #[track_caller]
    fn expect_page(self, what: &str) -> T {
        self.unwrap_or_else(|| panic!("not OpenMetrics: {what}"))
    }
}

#[test]
fn the_page_is_read_by_a_strict_parser_and_says_what_was_counted() {
    let meter = Arc::new(Meter::new(at(0)));
    let odd = "a \"quoted\" \\ name\n\u{202e}";
    let policy = parse(
        &format!(r#"{{"version":"1","default":"deny","tools":{{{odd:?}:{{}}}}}}"#).replace("\\u{202e}", "\u{202e}"),
        "p",
    );
    let (files, odd_server) = (meter.server("files"), meter.server(odd));
    let policy = policy.unwrap();
    for _ in 0..3 {
        files.decided(at(0), Some(&policy), odd, Outcome::Allow, "/tools/odd");
    }
    files.decided(at(0), Some(&policy), "made up", Outcome::Deny, "(default deny)");
    files.forwarded(Duration::from_micros(20));
    files.forwarded(Duration::from_micros(30));
    files.call_ended(CallOutcome::Result, Duration::from_millis(2));
    files.call_ended(CallOutcome::Timeout, Duration::from_secs(600));
    let _held = (files.session(), files.call(), odd_server.session());
    meter.store_error();
    meter.reloaded();
    meter.refused_request("unauthorized");
    let page = exposition(&meter).unwrap();
    let samples = parse_page(&page);
    let find = |name: &str, labels: &[(&str, &str)]| {
        let has = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| found.get(*key).is_some_and(|found| found == value))
        };
        let found: Vec<_> = samples.iter().filter(|(known, found, _)| known == name && has(found)).collect();
        let [(_, _, value)] = found.as_slice() else { panic!("one sample `{name}` {labels:?}: {page}") };
        *value
    };
    let shown = &*crate::text::escape(odd);
    assert_eq!(find("mcpol_decisions_total", &[("server", "files"), ("tool", shown), ("outcome", "allow")]), 3.0);
    let other = [("tool", "(other)"), ("rule", "(default deny)"), ("outcome", "deny")];
    assert_eq!(find("mcpol_decisions_total", &other), 1.0);
    assert_eq!(find("mcpol_calls_ended_total", &[("outcome", "timeout")]), 1.0);
    assert_eq!(find("mcpol_added_duration_seconds_count", &[("server", "files")]), 2.0);
    assert_eq!(find("mcpol_added_duration_seconds_bucket", &[("server", "files"), ("le", "0.000025")]), 1.0);
    assert_eq!(find("mcpol_upstream_duration_seconds_sum", &[("server", "files")]), 600.002);
    assert_eq!(find("mcpol_upstream_duration_seconds_bucket", &[("server", "files"), ("le", "+Inf")]), 2.0);
    assert_eq!(find("mcpol_upstream_duration_seconds_count", &[("server", shown)]), 0.0);
    assert_eq!(find("mcpol_pending_calls", &[("server", "files")]), 1.0);
    assert_eq!(find("mcpol_sessions", &[("server", shown)]), 1.0);
    assert_eq!(find("mcpol_store_errors_total", &[]), 1.0);
    assert_eq!(find("mcpol_reloads_total", &[("outcome", "taken")]), 1.0);
    assert_eq!(find("mcpol_refused_requests_total", &[("reason", "unauthorized")]), 1.0);
    assert_eq!(find("mcpol_start_time_seconds", &[]), 1_700_000_000.0);
    assert_eq!(find("mcpol_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
}
