//! Tests of the SQLite store: never over the maximum, whoever asks; damage and locks are errors; answers are used once.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]

use super::*;
use crate::model::ToolName;
use crate::policy::{ApprovalState, Binding, Scope, Window};
use crate::state::{MemoryStore, PENDING_MAX};
use proptest::prelude::*;
use std::sync::Arc;

fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::new(folder.path().join("state/state.db"));
    (folder, store)
}

fn charge(name: &str, window: &str, amount: u64, max: u64) -> Charge {
    let counter = CounterKey {
        server: Arc::from("s"),
        scope: Scope::Grant,
        value: Arc::from("local"),
        name: Arc::from(name),
        window: Window::parse(window).unwrap(),
    };
    Charge { counter, amount, max }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn held(outcomes: &[Reserve]) -> Vec<bool> {
    outcomes.iter().map(|outcome| matches!(outcome, Reserve::Held(_))).collect()
}

#[test]
fn a_call_is_charged_for_all_or_nothing() {
    let (_folder, store) = store();
    let calls = vec![
        vec![charge("a", "day", 1, 2), charge("b", "day", 1, 1)],
        vec![charge("a", "day", 1, 2), charge("b", "day", 1, 1)],
        vec![charge("a", "day", 1, 2)],
        vec![charge("a", "day", 1, 2)],
        vec![charge("a", "day", 0, 2)],
    ];
    let outcomes = store.reserve(at(1_700_000_000), &calls).unwrap();
    assert_eq!(held(&outcomes), [true, false, true, false, true]);
    assert!(matches!(outcomes[1], Reserve::Refused { charge: 1, used: 1, .. }), "{:?}", outcomes[1]);
    let usage = store.usage(at(1_700_000_000), &[charge("a", "day", 0, 0), charge("b", "day", 0, 0)]).unwrap();
    assert_eq!(usage.iter().map(|usage| usage.used).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn the_largest_counts_do_not_overflow() {
    let (_folder, store) = store();
    let max = crate::policy::COUNT_MAX;
    let outcomes =
        store.reserve(at(0), &[vec![charge("a", "day", max, max)], vec![charge("a", "day", 1, max)]]).unwrap();
    assert_eq!(held(&outcomes), [true, false]);
}

#[test]
fn units_go_back_in_their_own_window_only() {
    let (_folder, store) = store();
    let reserve = |now| store.reserve(now, &[vec![charge("a", "minute", 1, 1)]]).unwrap().remove(0);
    let Reserve::Held(receipts) = reserve(at(30)) else { unreachable!() };
    assert_eq!(held(&[reserve(at(59))]), [false]);
    store.settle(at(59), &[Settlement { receipts: receipts.clone() }]).unwrap();
    assert_eq!(held(&[reserve(at(59))]), [true]);
    assert_eq!(held(&[reserve(at(60))]), [true], "a new window");
    store.settle(at(60), &[Settlement { receipts }]).unwrap();
    assert_eq!(held(&[reserve(at(61))]), [false], "a unit of the last window is not given back in this one");
}

#[test]
fn a_clock_that_steps_back_reopens_nothing() {
    let (_folder, store) = store();
    let reserve = |now| held(&store.reserve(now, &[vec![charge("a", "minute", 1, 1)]]).unwrap())[0];
    assert!(reserve(at(1_000_000)));
    assert!(!reserve(at(1_000_000 - 3600)));
    // Even if the counter was deleted meanwhile: the store goes by the latest time that it has seen.
    let later = KEEP_ENDED_MS / 1000 * 7;
    store.reserve(at(1_000_000 + later), &[vec![charge("b", "minute", 1, 1)]]).unwrap();
    let resets = store.usage(at(1_000_000), &[charge("a", "minute", 1, 1)]).unwrap()[0].resets;
    assert!(resets > at(1_000_000 + later));
}

#[test]
fn counters_that_ended_long_ago_are_deleted() {
    let (_folder, store) = store();
    for minute in 0..200 {
        let name = format!("counter {minute}");
        store.reserve(at(minute * 3600), &[vec![charge(&name, "minute", 1, 1)]]).unwrap();
    }
    let rows: i64 = store
        .transact(|connection| connection.query_row("SELECT count(*) FROM counters", [], |row| row.get(0)))
        .unwrap();
    assert!(rows <= 26, "{rows}");
}

#[test]
fn two_processes_never_exceed_a_maximum_together() {
    let (folder, _) = store();
    let path = folder.path().join("state.db");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || {
                let own = SqliteStore::new(path);
                (0..20).filter(|_| held(&own.reserve(at(0), &[vec![charge("a", "day", 1, 64)]]).unwrap())[0]).count()
            })
        })
        .collect();
    let total: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(total, 64);
}

#[test]
fn a_count_outlives_its_process() {
    let (_folder, store) = store();
    store.reserve(at(0), &[vec![charge("a", "day", 1, 1)]]).unwrap();
    // As a killed process would: nothing is closed.
    let other = SqliteStore::new(store.path());
    assert_eq!(held(&other.reserve(at(0), &[vec![charge("a", "day", 1, 1)]]).unwrap()), [false]);
}

#[test]
fn a_damaged_file_is_an_error_that_says_what_to_do() {
    let (_folder, store) = store();
    store.reserve(at(0), &[vec![charge("a", "day", 1, 1)]]).unwrap();
    drop(store.connection.lock().unwrap().take());
    std::fs::write(store.path(), "this is no database, however long one looks at it ".repeat(200)).unwrap();
    let error = store.reserve(at(0), &[vec![charge("a", "day", 1, 9)]]).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(what) if what.contains("move the file away")), "{error}");
    // Moving it away is all that it takes.
    std::fs::remove_file(store.path()).unwrap();
    assert!(store.reserve(at(0), &[vec![charge("a", "day", 1, 9)]]).is_ok());
}

#[test]
fn what_does_not_add_up_is_damage() {
    let (_folder, store) = store();
    store.reserve(at(0), &[vec![charge("a", "day", 1, 9)]]).unwrap();
    store
        .transact(|connection| {
            connection.execute_batch("PRAGMA ignore_check_constraints = ON; UPDATE counters SET used = -5")
        })
        .unwrap();
    assert!(matches!(store.reserve(at(0), &[vec![charge("a", "day", 1, 9)]]), Err(StoreError::Damaged(_))));
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    assert!(matches!(SqliteStore::new(other).usage(at(0), &[]), Err(StoreError::Damaged(_))));
}

#[test]
fn a_locked_file_is_unavailable() {
    let (_folder, store) = store();
    store.usage(at(0), &[]).unwrap();
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(store.usage(at(0), &[]), Err(StoreError::Unavailable(_))));
    other.execute_batch("ROLLBACK").unwrap();
    assert!(store.usage(at(0), &[]).is_ok());
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, store) = store();
    store.usage(at(0), &[]).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.path()), 0o600);
    assert_eq!(mode(store.path().parent().unwrap()), 0o700);
    let wal = PathBuf::from(format!("{}-wal", store.path().display()));
    assert_eq!(mode(&wal), 0o600);
}

fn question(tool: &str) -> ApprovalRequest {
    let hash = "0".repeat(64);
    let (grant, server) = ("local".to_owned(), "s".to_owned());
    let binding = Binding { grant, server, tool: ToolName::new(tool), arguments: hash.clone(), policy: hash };
    let (rule, message) = ("/tools/t/approval".to_owned(), "sure?".to_owned());
    ApprovalRequest { binding, rule, message, ttl_s: 300, arguments: Some("{\"secret\":1}".to_owned()) }
}

#[test]
fn an_approval_is_good_for_one_call() {
    let (_folder, store) = store();
    let (asked, key) = (question("t"), question("t").binding.key());
    let first = store.request(at(0), &asked).unwrap();
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
    assert_eq!((used.state, used.request.arguments), (ApprovalState::Used, None));
    assert_ne!(store.request(at(4), &asked).unwrap().id, first.id);
    assert_eq!(store.decide(at(4), "nothing", Answer::Deny).unwrap(), Answered::Unknown);
}

#[test]
fn approvals_lapse() {
    let (_folder, store) = store();
    let key = question("t").binding.key();
    let asked = store.request(at(0), &question("t")).unwrap();
    assert!(matches!(store.decide(at(300), &asked.id, Answer::Approve).unwrap(), Answered::TooLate(_)));
    let asked = store.request(at(300), &question("t")).unwrap();
    store.decide(at(599), &asked.id, Answer::Approve).unwrap();
    assert!(store.find(at(898), &key).unwrap().is_some(), "an approval lives as long as the question did");
    assert!(!store.take(at(899), &key).unwrap());
    assert_eq!(store.get(at(899), &asked.id).unwrap().unwrap().state, ApprovalState::Expired);
}

#[test]
fn questions_are_bounded() {
    let (_folder, store) = store();
    for number in 0..PENDING_MAX {
        store.request(at(0), &question(&format!("t{number}"))).unwrap();
    }
    assert!(matches!(store.request(at(1), &question("more")), Err(StoreError::Unavailable(_))));
    assert!(store.request(at(301), &question("more")).is_ok(), "those that lapsed do not count");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever is asked of both stores, they answer alike.
    #[test]
    fn sqlite_and_memory_decide_alike(
        steps in prop::collection::vec(
            (0_u64..300, prop::collection::vec((0_usize..3, 0_u64..4, 0_u64..8), 1..3), any::<bool>()),
            1..20,
        ),
    ) {
        let (_folder, sqlite) = store();
        let memory = MemoryStore::default();
        for (seconds, charges, give_back) in steps {
            // A clock that steps back now and then.
            let now = at(1_000_000 + seconds);
            let mut charges: Vec<Charge> =
                charges.iter().map(|(name, amount, max)| charge(["a", "b", "c"][*name], "minute", *amount, *max)).collect();
            charges.dedup_by_key(|charge| charge.counter.clone());
            let batch = [charges.clone(), charges];
            let one = sqlite.reserve(now, &batch).unwrap();
            let two = memory.reserve(now, &batch).unwrap();
            prop_assert_eq!(held(&one), held(&two));
            if give_back {
                for (store, outcomes) in [(&sqlite as &dyn LimitStore, one), (&memory, two)] {
                    for outcome in outcomes {
                        if let Reserve::Held(receipts) = outcome {
                            store.settle(now, &[Settlement { receipts }]).unwrap();
                        }
                    }
                }
            }
        }
    }
}
