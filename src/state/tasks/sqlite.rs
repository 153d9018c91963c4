//! Tasks in the SQLite file.

use super::{Claim, GRANT_TASKS_MAX, TASK_KEPT_MS, TaskKey, TaskStore};
use crate::clock::Timestamp;
use crate::policy::StoreError;
use crate::state::SqliteStore;
use crate::state::rows::integer;
use crate::state::sqlite::advance_clock;
use rusqlite::{Connection, Error, params};

/// `doubtful` is 1 where another grant has begun a task of the same id.
pub(in crate::state) const TABLES: &str = "
CREATE TABLE tasks (
    key TEXT PRIMARY KEY,
    grant_name TEXT NOT NULL,
    doubtful INTEGER NOT NULL,
    begun INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_grant ON tasks (grant_name, begun);
CREATE INDEX tasks_by_time ON tasks (begun);
";

impl TaskStore for SqliteStore {
    fn begin(&self, now: Timestamp, task: &TaskKey, grant: &str) -> Result<(), StoreError> {
        self.transact(|connection| {
            let now = swept(connection, now)?;
            note(connection, now, task, grant)
        })
    }

    fn claim(&self, now: Timestamp, key: &TaskKey, grant: &str, how: Claim) -> Result<bool, StoreError> {
        self.transact(|connection| {
            let now = swept(connection, now)?;
            if how == Claim::Given {
                connection.prepare_cached("DELETE FROM tasks WHERE key = ?1")?.execute([key.as_str()])?;
            }
            let is_others: bool = connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM tasks WHERE key = ?1 AND (grant_name <> ?2 OR doubtful <> 0))",
                )?
                .query_row(params![key.as_str(), grant], |row| row.get(0))?;
            if !is_others {
                note(connection, now, key, grant)?;
            }
            Ok(!is_others)
        })
    }

    fn are_of(&self, now: Timestamp, tasks: &[TaskKey], grant: &str) -> Result<Vec<bool>, StoreError> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        self.transact(|connection| {
            let now = advance_clock(connection, now)?;
            let since = integer(now.millis().saturating_sub(TASK_KEPT_MS));
            let mut statement = connection.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM tasks WHERE key = ?1 AND grant_name = ?2 AND doubtful = 0 AND begun > ?3)",
            )?;
            tasks.iter().map(|task| statement.query_row(params![task.as_str(), grant, since], |row| row.get(0))).collect()
        })
    }
}

/// The time of the store, without what is over by then.
fn swept(connection: &Connection, now: Timestamp) -> Result<Timestamp, Error> {
    let now = advance_clock(connection, now)?;
    connection
        .prepare_cached("DELETE FROM tasks WHERE begun <= ?1")?
        .execute([integer(now.millis().saturating_sub(TASK_KEPT_MS))])?;
    Ok(now)
}

fn note(connection: &Connection, now: Timestamp, task: &TaskKey, grant: &str) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO tasks (key, grant_name, doubtful, begun) VALUES (?1, ?2, 0, ?3) ON CONFLICT (key) DO UPDATE
                     SET doubtful = max(doubtful, grant_name <> excluded.grant_name), begun = excluded.begun",
        )?
        .execute(params![task.as_str(), grant, integer(now.millis())])?;
    connection
        .prepare_cached(
            "DELETE FROM tasks WHERE key IN (SELECT key FROM tasks WHERE grant_name = ?1
                     ORDER BY begun DESC, key LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![grant, integer(GRANT_TASKS_MAX as u64)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]
    use super::super::contract;
    use super::*;

    #[test]
    fn they_keep_the_contract() {
        contract::all(|| {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::new(folder.path().join("state.db"));
            (folder, store)
        });
        let folder = tempfile::tempdir().unwrap();
        contract::a_task_is_forgotten_in_time(&SqliteStore::new(folder.path().join("state.db")));
    }

    #[test]
    fn another_process_knows_them_and_so_does_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = || SqliteStore::new(folder.path().join("state.db"));
        let (one, two, task, now) = (store(), store(), TaskKey::of("s", "t"), Timestamp::from_millis(1_000));
        one.begin(now, &task, "alice").unwrap();
        let tasks = [task];
        assert_eq!(two.are_of(now, &tasks, "alice").unwrap(), [true]);
        drop((one, two));
        assert_eq!(store().are_of(now, &tasks, "alice").unwrap(), [true]);
        assert_eq!(store().are_of(now, &tasks, "bob").unwrap(), [false]);
    }
}
