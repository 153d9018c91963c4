//! What every store of tasks must do, whatever it is made of.

#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

use super::*;

pub(in crate::state) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

/// Every promise, each on a store of its own; the guard of a store lives as long as it is used.
pub(in crate::state) fn all<G, S: TaskStore>(mut store: impl FnMut() -> (G, S)) {
    for promise in [
        a_task_is_the_grants_that_began_it,
        a_task_of_two_grants_is_neithers,
        what_is_claimed_is_one_grants,
        tasks_of_a_grant_are_bounded,
    ] {
        let (_guard, store) = store();
        promise(&store);
    }
}

fn own(store: &dyn TaskStore, task: &TaskKey, grant: &str) -> bool {
    let answers = store.are_of(at(0), std::slice::from_ref(task), grant).unwrap();
    assert_eq!(answers.len(), 1);
    answers[0]
}

fn a_task_is_the_grants_that_began_it(store: &dyn TaskStore) {
    let odd = ["", "t", "t\0", "*?[a]\\", "one two\r\n{x}", "\u{e4}\u{202e}", "\"],[\"", &"x".repeat(100_000)];
    for (number, id) in odd.iter().enumerate() {
        let task = TaskKey::of("s", id);
        assert!(!own(store, &task, "alice"));
        store.begin(at(0), &task, "alice").unwrap();
        // Once more, as a server may say it in every answer.
        store.begin(at(1), &task, "alice").unwrap();
        for grant in ["bob", "alic", "alice ", "Alice", "", "one alice"] {
            assert!(!own(store, &task, grant), "{number} {grant}");
        }
        assert!(own(store, &task, "alice"), "{number}");
        assert!(!own(store, &TaskKey::of("other", id), "alice"), "{number}");
    }
    assert_ne!(TaskKey::of("ab", "c"), TaskKey::of("a", "bc"));
    let tasks = [TaskKey::of("s", "never"), TaskKey::of("s", "t"), TaskKey::of("s", "t")];
    assert_eq!(store.are_of(at(0), &tasks, "alice").unwrap(), [false, true, true]);
    assert_eq!(store.are_of(at(0), &[], "alice").unwrap(), Vec::<bool>::new());
    // Names that an issuer of tokens chose.
    for grant in ["", "jwt:\u{e4} one:several\r\n", "several"] {
        let task = TaskKey::of("s", &format!("of {grant}"));
        store.begin(at(2), &task, grant).unwrap();
        assert!(own(store, &task, grant) && !own(store, &task, "alice"), "{grant:?}");
    }
}

fn a_task_of_two_grants_is_neithers(store: &dyn TaskStore) {
    let task = TaskKey::of("s", "t");
    store.begin(at(0), &task, "alice").unwrap();
    assert!(own(store, &task, "alice"));
    for next in ["bob", "alice", "bob", "carol"] {
        store.begin(at(0), &task, next).unwrap();
        for grant in ["alice", "bob", "carol"] {
            assert!(!own(store, &task, grant), "{next} {grant}");
        }
    }
}

fn what_is_claimed_is_one_grants(store: &dyn TaskStore) {
    let key = TaskKey::of("s", "session");
    let claim = |grant: &str, how: Claim| store.claim(at(0), &key, grant, how).unwrap();
    // Whoever names it first has it, and naming it again changes nothing.
    for (grant, how, expected) in [
        ("alice", Claim::Named, true),
        ("bob", Claim::Named, false),
        ("alice", Claim::Named, true),
        // The server gives the same id out once more.
        ("bob", Claim::Given, true),
        ("alice", Claim::Named, false),
        ("bob", Claim::Named, true),
        ("bob", Claim::Given, true),
    ] {
        assert_eq!(claim(grant, how), expected, "{grant} {how:?}");
        let owner = if grant == "alice" && expected || grant == "bob" && !expected { "alice" } else { "bob" };
        assert!(own(store, &key, owner), "{grant} {how:?}");
    }
    // What two grants have begun is nobody's to name.
    let task = TaskKey::of("s", "t");
    store.begin(at(0), &task, "alice").unwrap();
    store.begin(at(0), &task, "bob").unwrap();
    assert!(!store.claim(at(0), &task, "alice", Claim::Named).unwrap());
}

fn tasks_of_a_grant_are_bounded(store: &dyn TaskStore) {
    let task = |number: usize| TaskKey::of("s", &number.to_string());
    store.begin(at(0), &TaskKey::of("s", "of bob"), "bob").unwrap();
    for number in 0..GRANT_TASKS_MAX {
        store.begin(at(number as u64), &task(number), "alice").unwrap();
    }
    assert!(own(store, &task(0), "alice"));
    store.begin(at(GRANT_TASKS_MAX as u64), &task(GRANT_TASKS_MAX), "alice").unwrap();
    assert!(!own(store, &task(0), "alice") && own(store, &task(1), "alice"));
    assert!(own(store, &task(GRANT_TASKS_MAX), "alice"));
    assert!(own(store, &TaskKey::of("s", "of bob"), "bob"), "one grant's tasks take no room of another's");
}

/// For stores that go by the time which they are given.
pub(in crate::state) fn a_task_is_forgotten_in_time(store: &dyn TaskStore) {
    let (old, new) = (TaskKey::of("s", "old"), TaskKey::of("s", "new"));
    store.begin(at(0), &old, "alice").unwrap();
    store.begin(at(1), &new, "alice").unwrap();
    let tasks = [old, new];
    assert_eq!(store.are_of(at(TASK_KEPT_MS - 1), &tasks, "alice").unwrap(), [true, true]);
    assert_eq!(store.are_of(at(TASK_KEPT_MS), &tasks, "alice").unwrap(), [false, true]);
    // What is forgotten is free for another grant.
    store.begin(at(TASK_KEPT_MS), &tasks[0], "bob").unwrap();
    assert_eq!(store.are_of(at(TASK_KEPT_MS), &tasks, "bob").unwrap(), [true, false]);
}
