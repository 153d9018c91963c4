//! What every store of counters and approvals must do, whatever it is made of.

#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

use crate::clock::Timestamp;
use crate::model::ToolName;
use crate::policy::{
    Answer, Answered, ApprovalRequest, ApprovalState, ApprovalStore, Binding, CLOCK_JUMP_MS_MAX, COUNT_MAX, Charge,
    CounterKey, GRANT_PENDING_MAX, LimitStore, MemoryStore, Reserve, SHOWN_BYTES_MAX, Scope, Settlement, StoreError,
    Usage, Window,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::sync::Arc;

pub(super) fn charge(name: &str, window: &str, amount: u64, max: u64) -> Charge {
    let counter = CounterKey {
        server: Arc::from("s"),
        scope: Scope::Grant,
        value: Arc::from("local"),
        name: Arc::from(name),
        window: Window::parse(window).unwrap(),
    };
    Charge { counter, amount, max }
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

pub(super) fn held(outcomes: &[Reserve]) -> Vec<bool> {
    outcomes.iter().map(|outcome| matches!(outcome, Reserve::Held(_))).collect()
}

pub(super) fn question(tool: &str) -> ApprovalRequest {
    let hash = "0".repeat(64);
    let (grant, server) = ("local".to_owned(), "s".to_owned());
    let binding = Binding {
        grant,
        server,
        tool: ToolName::new(tool),
        definition: hash.clone(),
        arguments: hash.clone(),
        policy: hash,
    };
    let (rule, message) = ("/tools/t/approval".to_owned(), "sure? \"\u{e4}\"".to_owned());
    ApprovalRequest { binding, rule, message, ttl_s: 300, arguments: Some("{\"secret\":1}".to_owned()) }
}

/// Every promise about counters, each on a store of its own; the guard of a store lives as long as it is used.
pub(super) fn limits<G, S: LimitStore>(mut store: impl FnMut() -> (G, S)) {
    for promise in [
        a_call_is_charged_for_all_or_nothing,
        the_largest_counts_are_exact,
        units_go_back_in_their_own_window_only,
        more_is_never_given_back_than_was_taken,
        a_clock_that_steps_back_reopens_nothing,
        a_clock_that_jumps_is_refused_until_it_is_reset,
        counters_are_listed_and_reset_one_by_one,
        windows_are_those_of_the_policy,
        counters_differ_in_every_part,
        parallel_calls_never_exceed_the_maximum,
    ] {
        let (_guard, store) = store();
        promise(&store);
    }
}

/// Every promise about approvals.
pub(super) fn approvals<G, S: ApprovalStore>(mut store: impl FnMut() -> (G, S)) {
    for promise in [an_approval_is_good_for_one_call, approvals_lapse, questions_are_bounded, one_of_many_takes_it] {
        let (_guard, store) = store();
        promise(&store);
    }
}

fn a_call_is_charged_for_all_or_nothing(store: &dyn LimitStore) {
    let calls = vec![
        vec![charge("a", "day", 1, 2), charge("b", "day", 1, 1)],
        vec![charge("a", "day", 1, 2), charge("b", "day", 1, 1)],
        vec![charge("a", "day", 1, 2)],
        vec![charge("a", "day", 1, 2)],
        vec![charge("a", "day", 0, 2)],
        vec![],
    ];
    let now = at(1_700_000_000);
    let outcomes = store.reserve(now, &calls).unwrap();
    assert_eq!(held(&outcomes), [true, false, true, false, true, true]);
    let resets = Window::Day.span(now).1;
    assert_eq!(outcomes[1], Reserve::Refused { charge: 1, used: 1, resets, now });
    assert_eq!(outcomes[3], Reserve::Refused { charge: 0, used: 2, resets, now });
    let usage = store.usage(now, &[charge("a", "day", 0, 0), charge("b", "day", 0, 0)]).unwrap();
    assert_eq!(usage.iter().map(|usage| (usage.used, usage.resets)).collect::<Vec<_>>(), [(2, resets), (1, resets)]);
    assert_eq!(store.reserve(now, &[]).unwrap(), []);
}

fn the_largest_counts_are_exact(store: &dyn LimitStore) {
    // Beyond 2^53 a floating point number would take neighbours for one.
    let (large, used) = ((1 << 53) + 1, |name: &str| store.usage(at(0), &[charge(name, "day", 0, 0)]).unwrap()[0].used);
    for (name, amount, max, expected) in [
        ("a", large, large, true),
        ("a", 1, large, false),
        ("a", 1, large + 1, true),
        ("a", 1, large + 1, false),
        ("b", COUNT_MAX, COUNT_MAX, true),
        ("b", 1, COUNT_MAX, false),
        ("b", COUNT_MAX, COUNT_MAX, false),
        ("b", 0, COUNT_MAX, true),
        ("c", COUNT_MAX, COUNT_MAX - 1, false),
        ("c", COUNT_MAX - 1, COUNT_MAX, true),
        ("c", 1, COUNT_MAX, true),
        ("d", 9_999_999_999, COUNT_MAX, true),
        ("d", 1, COUNT_MAX, true),
        ("d", 10_000_000_001, COUNT_MAX, true),
    ] {
        let outcomes = store.reserve(at(0), &[vec![charge(name, "day", amount, max)]]).unwrap();
        assert_eq!(held(&outcomes), [expected], "{name} + {amount} ≤ {max}");
    }
    assert_eq!([used("a"), used("b"), used("c"), used("d")], [large + 1, COUNT_MAX, COUNT_MAX, 20_000_000_001]);
    let counter = charge("d", "day", 0, 0).counter;
    for (amount, expected) in [(1, 20_000_000_000), (1, 19_999_999_999), (10_000_000_000, 9_999_999_999)] {
        let receipt = crate::policy::Receipt { counter: counter.clone(), window_start: at(0), amount };
        store.settle(at(0), &[Settlement { receipts: vec![receipt] }]).unwrap();
        assert_eq!(used("d"), expected);
    }
}

fn units_go_back_in_their_own_window_only(store: &dyn LimitStore) {
    let reserve = |now| store.reserve(now, &[vec![charge("a", "minute", 1, 1)]]).unwrap().remove(0);
    let Reserve::Held(receipts) = reserve(at(30)) else { unreachable!() };
    assert_eq!(receipts[0].window_start, at(0));
    assert_eq!(held(&[reserve(at(59))]), [false]);
    store.settle(at(59), &[Settlement { receipts: receipts.clone() }]).unwrap();
    assert_eq!(held(&[reserve(at(59))]), [true]);
    assert_eq!(held(&[reserve(at(60))]), [true], "a new window");
    store.settle(at(60), &[Settlement { receipts }]).unwrap();
    assert_eq!(held(&[reserve(at(61))]), [false], "a unit of the last window is not given back in this one");
}

fn more_is_never_given_back_than_was_taken(store: &dyn LimitStore) {
    let outcomes = store.reserve(at(0), &[vec![charge("a", "day", 3, 9)], vec![charge("a", "day", 5, 9)]]).unwrap();
    let settlements: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Reserve::Held(receipts) => Settlement { receipts },
            Reserve::Refused { .. } => unreachable!(),
        })
        .collect();
    let used = || store.usage(at(0), &[charge("a", "day", 0, 0)]).unwrap()[0].used;
    store.settle(at(0), &settlements[..1]).unwrap();
    assert_eq!(used(), 5);
    store.settle(at(0), &settlements[1..]).unwrap();
    store.settle(at(0), &settlements).unwrap();
    assert_eq!(used(), 0, "never below zero");
    store.settle(at(0), &[]).unwrap();
}

fn a_clock_that_steps_back_reopens_nothing(store: &dyn LimitStore) {
    let reserve = |now| held(&store.reserve(now, &[vec![charge("a", "minute", 1, 1)]]).unwrap())[0];
    assert!(reserve(at(1_000_000)));
    assert!(!reserve(at(1_000_000 - 3600)));
    // Even if the counter was deleted meanwhile: the store goes by the latest time that it has seen.
    let later = 7 * 24 * 3600;
    store.reserve(at(1_000_000 + later), &[vec![charge("b", "minute", 1, 1)]]).unwrap();
    let resets = store.usage(at(1_000_000), &[charge("a", "minute", 1, 1)]).unwrap()[0].resets;
    assert!(resets > at(1_000_000 + later));
}

fn a_clock_that_jumps_is_refused_until_it_is_reset(store: &dyn LimitStore) {
    let reserve = |now| store.reserve(now, &[vec![charge("a", "minute", 1, 9)]]);
    let (start, year) = (1_700_000_000, CLOCK_JUMP_MS_MAX / 1000);
    assert_eq!(held(&reserve(at(start)).unwrap()), [true]);
    // On the bound, and one second past it.
    assert!(matches!(reserve(at(start + year + 1)), Err(StoreError::Unavailable(why)) if why.contains("no calendar")));
    for decade in [at(start + 10 * year), at(start - 10 * year)] {
        assert!(reserve(decade).is_err());
        assert!(store.usage(decade, &[charge("a", "minute", 1, 9)]).is_err());
    }
    // One look has filled nothing.
    assert_eq!(store.usage(at(start), &[charge("a", "minute", 1, 9)]).unwrap()[0].used, 1);
    assert_eq!(held(&reserve(at(start + year)).unwrap()), [true]);
    assert_eq!(store.stored().unwrap().0, at(start + year));
    // That was wrong too: the time comes back, and with it the counters' own window, once both are reset.
    store.reset_clock(at(start + 60)).unwrap();
    let (latest, stored) = store.stored().unwrap();
    assert_eq!((latest, stored.len(), stored[0].starts > latest), (at(start + 60), 1, true));
    store.reset(&[stored[0].counter.clone()]).unwrap();
    let resets = Window::Minute.span(at(start + 60)).1;
    assert_eq!(store.usage(at(start + 60), &[charge("a", "minute", 1, 9)]).unwrap()[0], Usage { used: 0, resets });
}

fn counters_are_listed_and_reset_one_by_one(store: &dyn LimitStore) {
    let names = ["a", "b \"[,]\" \u{e4}*", "c"];
    let charges: Vec<_> = names.iter().map(|name| charge(name, "6h", 3, 9)).collect();
    store.reserve(at(1_700_000_000), std::slice::from_ref(&charges)).unwrap();
    let listed = || {
        let mut stored = store.stored().unwrap().1;
        stored.sort_by(|a, b| a.counter.cmp(&b.counter));
        stored.into_iter().map(|stored| (stored.counter.name.to_string(), stored.used)).collect::<Vec<_>>()
    };
    assert_eq!(listed(), names.map(|name| (name.to_owned(), 3)));
    store.reset(&[charges[1].counter.clone()]).unwrap();
    assert_eq!(listed(), [names[0], names[2]].map(|name| (name.to_owned(), 3)));
    store.reset(&[charges[0].counter.clone(), charges[2].counter.clone()]).unwrap();
    assert_eq!(listed(), []);
    store.reset(&[]).unwrap();
}

fn windows_are_those_of_the_policy(store: &dyn LimitStore) {
    // Times that ascend, because a store does not go back: the ends of months, leap days, Mondays, the first days.
    for seconds in [
        0,
        86_399,
        3 * 86_400,
        4 * 86_400,
        58 * 86_400,
        68_169_600,
        951_782_400,
        951_868_799,
        951_868_800,
        1_709_164_800,
        1_709_251_199,
        1_709_251_200,
        1_735_689_599,
        1_735_689_600,
        1_795_132_800,
        4_107_542_399,
        4_107_542_400,
        253_402_300_799,
    ] {
        let now = Timestamp::from_millis(seconds * 1000 + 999);
        // Years go by between two of them.
        store.reset_clock(now).unwrap();
        for window in ["minute", "hour", "day", "week", "month", "1s", "90s", "15m", "6h", "8784h"] {
            let charge = charge(window, window, 1, 1_000);
            let (starts, ends) = charge.counter.window.span(now);
            let outcomes = store.reserve(now, &[vec![charge.clone()]]).unwrap();
            let Reserve::Held(receipts) = &outcomes[0] else { unreachable!() };
            assert_eq!(receipts[0].window_start, starts, "{window} at {seconds}");
            assert_eq!(store.usage(now, &[charge]).unwrap()[0].resets, ends, "{window} at {seconds}");
        }
    }
}

fn counters_differ_in_every_part(store: &dyn LimitStore) {
    let one = charge("a", "day", 1, 1);
    let key = &one.counter;
    let others = [
        CounterKey { server: "t".into(), ..key.clone() },
        CounterKey { scope: Scope::Session, ..key.clone() },
        CounterKey { value: "local\",\"a".into(), ..key.clone() },
        CounterKey { name: "b".into(), ..key.clone() },
        CounterKey { name: "a \r\n{x}\0\u{e4}".into(), ..key.clone() },
        CounterKey { window: Window::Hour, ..key.clone() },
    ];
    let calls: Vec<_> =
        [key].into_iter().chain(&others).map(|k| vec![Charge { counter: k.clone(), ..one.clone() }]).collect();
    assert!(held(&store.reserve(at(0), &calls).unwrap()).iter().all(|held| *held));
    assert!(held(&store.reserve(at(0), &calls).unwrap()).iter().all(|held| !*held));
}

fn parallel_calls_never_exceed_the_maximum(store: &dyn LimitStore) {
    let charge = charge("a", "day", 1, 100);
    let total: usize = std::thread::scope(|scope| {
        let worker = || {
            let reserve = |_: &i32| store.reserve(at(0), &[vec![charge.clone()]]).unwrap();
            (0..32).filter(|n| matches!(reserve(n)[..], [Reserve::Held(_)])).count()
        };
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(total, 100);
}

fn an_approval_is_good_for_one_call(store: &dyn ApprovalStore) {
    let (asked, key) = (question("t"), question("t").binding.key());
    assert_eq!(store.find(at(0), &key).unwrap(), None);
    let first = store.request(at(0), &asked).unwrap();
    assert_eq!(
        (first.state, &first.request, first.created, first.expires),
        (ApprovalState::Pending, &asked, at(0), at(300))
    );
    assert_eq!(store.request(at(1), &asked).unwrap().id, first.id, "the same call is the same question");
    assert!(!store.take(at(1), &key).unwrap(), "nobody has answered");
    assert!(matches!(store.decide(at(2), &first.id, Answer::Approve).unwrap(), Answered::Done(_)));
    assert!(matches!(store.decide(at(2), &first.id, Answer::Deny).unwrap(), Answered::TooLate(_)));
    assert_eq!(store.find(at(3), &key).unwrap().unwrap().state, ApprovalState::Approved);
    assert!(!store.take(at(3), &question("other").binding.key()).unwrap());
    assert!(store.take(at(3), &key).unwrap());
    assert!(!store.take(at(3), &key).unwrap());
    assert_eq!(store.find(at(3), &key).unwrap(), None);
    let used = store.get(at(3), &first.id).unwrap().unwrap();
    assert_eq!(
        (used.state, used.request.arguments),
        (ApprovalState::Used, None),
        "values are kept no longer than needed"
    );
    let second = store.request(at(4), &asked).unwrap();
    assert_ne!(second.id, first.id);
    assert!(matches!(store.decide(at(5), &second.id, Answer::Deny).unwrap(), Answered::Done(_)));
    assert_eq!(store.request(at(6), &asked).unwrap().state, ApprovalState::Denied, "a no stays a no until it lapses");
    assert!(!store.take(at(6), &key).unwrap());
    assert_eq!(store.list(at(6)).unwrap().iter().map(|kept| &kept.id).collect::<Vec<_>>(), [&first.id, &second.id]);
    assert_eq!(store.decide(at(6), "nothing", Answer::Deny).unwrap(), Answered::Unknown);
    assert_eq!(store.get(at(6), "nothing").unwrap(), None);
    let third = store.request(at(400), &asked).unwrap();
    let withdrawn = store.decide(at(401), &third.id, Answer::Withdraw).unwrap();
    let Answered::Done(withdrawn) = withdrawn else { unreachable!("{withdrawn:?}") };
    assert_eq!((withdrawn.state, &withdrawn.request.arguments), (ApprovalState::Withdrawn, &None));
    assert!(matches!(store.decide(at(402), &third.id, Answer::Approve).unwrap(), Answered::TooLate(_)));
    assert_eq!(store.find(at(402), &key).unwrap(), None);
    let fourth = store.request(at(403), &asked).unwrap();
    assert_ne!(fourth.id, third.id, "the same call again is another question");
    let long = ApprovalRequest { arguments: Some("x".repeat(SHOWN_BYTES_MAX)), ..question("long") };
    let kept = store.request(at(406), &long).unwrap().id;
    assert_eq!(store.get(at(406), &kept).unwrap().unwrap().request, long, "it is kept whole");
}

fn approvals_lapse(store: &dyn ApprovalStore) {
    let key = question("t").binding.key();
    let asked = store.request(at(0), &question("t")).unwrap();
    assert!(matches!(store.decide(at(300), &asked.id, Answer::Approve).unwrap(), Answered::TooLate(_)));
    let asked = store.request(at(300), &question("t")).unwrap();
    store.decide(at(599), &asked.id, Answer::Approve).unwrap();
    assert!(store.find(at(898), &key).unwrap().is_some(), "an approval lives as long as the question did");
    assert!(!store.take(at(899), &key).unwrap());
    assert_eq!(store.get(at(899), &asked.id).unwrap().unwrap().state, ApprovalState::Expired);
}

fn questions_are_bounded(store: &dyn ApprovalStore) {
    let first = store.request(at(0), &question("t0")).unwrap();
    for number in 1..GRANT_PENDING_MAX {
        store.request(at(0), &question(&format!("t{number}"))).unwrap();
    }
    let full = Err(StoreError::TooManyQuestions(GRANT_PENDING_MAX));
    assert_eq!(store.request(at(1), &question("more")), full);
    assert!(store.request(at(1), &question("t0")).is_ok(), "one that waits already may be asked again");
    let mut other = question("more");
    "another".clone_into(&mut other.binding.grant);
    assert!(store.request(at(1), &other).is_ok(), "one grant's questions stop no other's");
    store.decide(at(1), &first.id, Answer::Deny).unwrap();
    assert!(store.request(at(1), &question("more")).is_ok(), "one that is answered makes room");
    assert_eq!(store.request(at(1), &question("yet more")), full);
    assert!(store.request(at(301), &question("yet more")).is_ok(), "those that lapsed do not count");
}

fn one_of_many_takes_it(store: &dyn ApprovalStore) {
    let key = question("t").binding.key();
    let asked = store.request(at(0), &question("t")).unwrap();
    store.decide(at(0), &asked.id, Answer::Approve).unwrap();
    let taken: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(|| store.take(at(1), &key).unwrap())).collect();
        workers.into_iter().map(|worker| usize::from(worker.join().unwrap())).sum()
    });
    assert_eq!(taken, 1);
}

/// Whatever is asked of a store and of one in memory, they answer alike.
pub(super) fn decides_like_memory<G, S: LimitStore>(cases: u32, store: impl Fn() -> (G, S)) {
    let step = (0_u64..300, prop::collection::vec((0_usize..3, 0_u64..4, 0_u64..8), 1..3), any::<bool>());
    let steps = prop::collection::vec(step, 1..20);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(cases));
    let outcome = runner.run(&steps, |steps| {
        let (_guard, one) = store();
        let two = MemoryStore::default();
        for (seconds, charges, give_back) in steps {
            // A clock that steps back now and then.
            let now = at(1_000_000 + seconds);
            let mut charges: Vec<Charge> = charges
                .iter()
                .map(|(name, amount, max)| charge(["a", "b", "c"][*name], "minute", *amount, *max))
                .collect();
            charges.dedup_by_key(|charge| charge.counter.clone());
            let batch = [charges.clone(), charges];
            let answers = one.reserve(now, &batch).unwrap();
            prop_assert_eq!(&answers, &two.reserve(now, &batch).unwrap());
            if give_back {
                for answer in answers {
                    if let Reserve::Held(receipts) = answer {
                        for store in [&one as &dyn LimitStore, &two] {
                            store.settle(now, &[Settlement { receipts: receipts.clone() }]).unwrap();
                        }
                    }
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn the_store_in_memory_keeps_the_contract() {
    limits(|| ((), MemoryStore::new()));
    approvals(|| ((), MemoryStore::new()));
}
