//! Numbers and counters as they stand in the SQLite file.

use crate::clock::Timestamp;
use crate::policy::CounterKey;
use rusqlite::{Connection, OptionalExtension as _, params};

/// A number as SQLite stores it; what is larger than its largest saturates, which no time and no count reaches.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A stored number that must not be negative.
pub(super) fn millis(value: i64) -> Result<u64, rusqlite::Error> {
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, value))
}

/// A counter in one window.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Start of the counter's window.
    pub starts: Timestamp,
    pub used: u64,
    /// Whether it has to be written.
    pub changed: bool,
}

/// Reads a counter in its window: the one of now, or a later one that it is in already.
pub(super) fn read(
    connection: &Connection,
    now: Timestamp,
    key: &CounterKey,
    text: &str,
) -> Result<Row, rusqlite::Error> {
    let (starts, _) = key.window.span(now);
    let stored: Option<(i64, i64)> = connection
        .prepare_cached("SELECT starts, used FROM counters WHERE key = ?1")?
        .query_row([text], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match stored {
        Some((stored, used)) if millis(stored)? >= starts.millis() => {
            Ok(Row { starts: Timestamp::from_millis(millis(stored)?), used: millis(used)?, changed: false })
        }
        _ => Ok(Row { starts, used: 0, changed: false }),
    }
}
/// Writes a counter.
pub(super) fn write(connection: &Connection, key: &CounterKey, text: &str, row: Row) -> Result<(), rusqlite::Error> {
    let (_, ends) = key.window.span(row.starts);
    connection
        .prepare_cached(
            "INSERT INTO counters (key, starts, ends, used) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (key) DO UPDATE SET starts = ?2, ends = ?3, used = ?4",
        )?
        .execute(params![text, integer(row.starts.millis()), integer(ends.millis()), integer(row.used)])?;
    Ok(())
}
