//! What sessions have called and pledged, in the SQLite file.

#[cfg(test)]
pub(super) mod contract;

use super::SqliteStore;
use super::rows::integer;
use super::sqlite::advance_clock;
use crate::clock::Timestamp;
use crate::policy::{COURSE_KEPT_MS, Course, CourseKey, CourseStore, News, StoreError};
use rusqlite::{Connection, Error, OptionalExtension as _, params};
use std::sync::Arc;

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS courses (
    key TEXT PRIMARY KEY,
    course BLOB NOT NULL,
    grown INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS courses_by_time ON courses (grown);
";

impl CourseStore for SqliteStore {
    fn course(&self, now: Timestamp, key: &CourseKey) -> Result<Arc<Course>, StoreError> {
        self.transact(|connection| {
            advance_clock(connection, now)?;
            read(connection, key).map(Arc::new)
        })
    }

    fn grow(&self, now: Timestamp, key: &CourseKey, news: &News<'_>) -> Result<Arc<Course>, StoreError> {
        self.transact(|connection| {
            let now = advance_clock(connection, now)?;
            let mut course = read(connection, key)?;
            if course.grow(now, key.lapses(), news) {
                connection
                    .prepare_cached("DELETE FROM courses WHERE grown <= ?1")?
                    .execute([integer(now.millis().saturating_sub(COURSE_KEPT_MS))])?;
                connection
                    .prepare_cached(
                        "INSERT INTO courses (key, course, grown) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE
                             SET course = excluded.course, grown = excluded.grown",
                    )?
                    .execute(params![key.text(), course.to_bytes(), integer(now.millis())])?;
            }
            Ok(Arc::new(course))
        })
    }
}

fn read(connection: &Connection, key: &CourseKey) -> Result<Course, Error> {
    let kept: Option<Vec<u8>> = connection
        .prepare_cached("SELECT course FROM courses WHERE key = ?1")?
        .query_row([key.text()], |row| row.get(0))
        .optional()?;
    let course = kept.map(|bytes| Course::parse(&bytes)).transpose();
    course.map(Option::unwrap_or_default).map_err(|damaged| Error::ToSqlConversionFailure(damaged.into()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]
    use super::*;
    use crate::policy::MemoryStore;

    #[test]
    fn stores_keep_the_contract() {
        contract::all(|| ((), MemoryStore::new()));
        contract::all(|| {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::new(folder.path().join("state.db"));
            (folder, store)
        });
    }

    #[test]
    fn another_process_knows_a_session_and_so_does_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        contract::is_known_elsewhere(|| SqliteStore::new(folder.path().join("state.db")));
    }

    #[test]
    fn what_cannot_be_read_is_no_empty_course() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let (store, key, now) = (SqliteStore::new(&path), CourseKey::of(Some("s"), "g"), contract::at(0));
        store.grow(now, &key, &contract::called("fetch")).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.execute("UPDATE courses SET course = x'00'", []).unwrap();
        assert!(matches!(store.course(now, &key), Err(StoreError::Damaged(_))));
        assert!(matches!(store.grow(now, &key, &contract::called("fetch")), Err(StoreError::Damaged(_))));
    }
}
