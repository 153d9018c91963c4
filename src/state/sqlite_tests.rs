//! Tests of the SQLite store, beside what it has in common with the others: processes share it, what ended long ago is
//! deleted, damage and locks are errors.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]

use super::*;
use crate::state::contract::{self, at, charge, held};

fn store() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::new(folder.path().join("state/state.db"));
    (folder, store)
}

#[test]
fn it_keeps_the_contract() {
    contract::limits(store);
    contract::approvals(store);
    contract::decides_like_memory(40, store);
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
fn questions_that_lapse_at_once_do_not_fill_the_disk() {
    let (_folder, store) = store();
    let asked = approvals::LAPSED_MAX + 100;
    for second in 0..asked {
        let request = ApprovalRequest { ttl_s: 1, ..contract::question(&second.to_string()) };
        store.request(at(second * 2), &request).unwrap();
    }
    let count = |what: &str| -> i64 {
        let query = format!("SELECT count({what}) FROM approvals");
        store.transact(|connection| connection.query_row(&query, [], |row| row.get(0))).unwrap()
    };
    assert_eq!(count("*"), approvals::LAPSED_MAX as i64 + 1, "the newest and the last that lapsed");
    assert_eq!(count("arguments"), 1, "nobody will be asked about the others");
}

#[test]
fn the_log_stays_small_where_somebody_tidies_up() {
    let (_folder, store) = store();
    let log = || std::fs::metadata(format!("{}-wal", store.path().display())).unwrap().len();
    let commit = |count: u64| {
        for _ in 0..count {
            store.reserve(at(0), &[vec![charge("a", "day", 1, 1_000_000)]]).unwrap();
        }
    };
    // While calls keep coming nothing waits for the disk, up to a bound.
    store.tidy();
    commit(TIDY_COMMITS);
    store.tidy();
    let once = log();
    commit(TIDY_COMMITS);
    assert!(log() > once * 3 / 2, "{} after {once}", log());
    // A look that finds nothing new is the moment to copy.
    for _ in 0..3 {
        store.tidy();
        store.tidy();
        commit(TIDY_COMMITS);
        assert!(log() < once * 5 / 2, "{} after {once}", log());
    }
    commit(TIDY_COMMITS_BUSY);
    let full = log();
    store.tidy();
    commit(TIDY_COMMITS);
    assert_eq!(log(), full, "it is written from its beginning again");
}

#[test]
fn no_call_begins_the_log_anew() {
    let (_folder, store) = store();
    let commit = || store.reserve(at(0), &[vec![charge("a", "day", 1, 1_000_000)]]).unwrap();
    // What tells one beginning of the log from the next (SQLite's file format, section 4.1): two salts.
    let salts = || std::fs::read(format!("{}-wal", store.path().display())).unwrap()[16..24].to_vec();
    for _ in 0..TIDY_COMMITS {
        commit();
    }
    let before = salts();
    store.tidy();
    assert_eq!(salts(), before, "calls may still be coming");
    store.tidy();
    let tidied = salts();
    assert_ne!(tidied, before, "the log has begun anew");
    commit();
    assert_eq!(salts(), tidied);
}

#[test]
fn two_processes_never_exceed_a_maximum_together() {
    let (folder, _) = store();
    let path = folder.path().join("state.db");
    // On a disk that stalls, the others hold the file for longer than one waits. That is refused, counts nothing, and
    // is tried again here until it was decided.
    let decided = |own: &SqliteStore| loop {
        match own.reserve(at(0), &[vec![charge("a", "day", 1, 64)]]) {
            Err(StoreError::Unavailable(_)) => {}
            decided => return held(&decided.unwrap())[0],
        }
    };
    let total: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let own = SqliteStore::new(path.clone());
                    (0..20).filter(|_| decided(&own)).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
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
