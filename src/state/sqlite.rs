//! Counters, approvals, grants and tasks in one SQLite file that every gateway of a user shares.
//!
//! WAL with `synchronous = NORMAL`: a committed transaction is in the system's cache, so it outlives a `kill -9` of any
//! process; only a power cut may take the last ones, and then the counters of those seconds with the calls. Every
//! transaction is `IMMEDIATE`: it holds the only write lock before it reads, so no two processes decide on one count.

use super::rows::{Row, integer, millis, read, write};
use super::{approvals, courses, grants, tasks};
use crate::clock::Timestamp;
use crate::policy::{
    Answer, Answered, Approval, ApprovalRequest, ApprovalStore, Charge, CounterKey, LimitStore, Receipt, Reserve,
    Settlement, StoreError, StoredCounter, Usage, advance,
};
use rusqlite::{Connection, Error, ErrorCode};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a transaction waits for another process before the call is denied.
pub const BUSY_TIMEOUT: Duration = Duration::from_millis(2000);
/// Bytes of a page of a new file. A transaction copies each page that it changes, and a row is short.
const PAGE_BYTES: i64 = 1024;
/// Pages that SQLite may keep in memory; the whole database is rarely larger.
const CACHE_PAGES: i64 = 256;
/// Transactions after which [`LimitStore::tidy`] copies the write-ahead log into the file, if none has been made since it
/// last looked. Copying waits for the disk, which a call must not, and holds up the calls that come meanwhile.
const TIDY_COMMITS: u64 = 500;
/// The same if calls keep coming.
const TIDY_COMMITS_BUSY: u64 = 16_000;
/// Pages in the write-ahead log at which a transaction copies it itself, because nobody has tidied up.
const CHECKPOINT_PAGES: i64 = 32_000;
/// Counters whose window ended this long ago are deleted, in milliseconds, so that the file does not grow with time.
const KEEP_ENDED_MS: u64 = 24 * 3600 * 1000;
/// How far the stored clock may lag behind, in milliseconds: it is written that often at most.
const CLOCK_STEP_MS: u64 = 1000;
/// Marks our files; SQLite keeps it in the header.
const APPLICATION_ID: i64 = 0x6d63_706f;
/// The layout of the tables; 1 had no grants, 2 no definitions of tools among the approvals, 3 no tasks, and 4 no courses
/// of sessions.
const LAYOUT: i64 = 5;
/// What leads from layout 2 to 3.
const DEFINITIONS: &str = "ALTER TABLE approvals ADD COLUMN definition TEXT NOT NULL DEFAULT '';";

const TABLES: &str = "
CREATE TABLE counters (
    key TEXT PRIMARY KEY,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    used INTEGER NOT NULL CHECK (used >= 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), now INTEGER NOT NULL) STRICT;
INSERT INTO clock VALUES (1, 0);
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    state INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ttl INTEGER NOT NULL,
    grant_name TEXT NOT NULL,
    server TEXT NOT NULL,
    tool TEXT NOT NULL,
    definition TEXT NOT NULL,
    arguments_hash TEXT NOT NULL,
    policy TEXT NOT NULL,
    rule TEXT NOT NULL,
    message TEXT NOT NULL,
    arguments TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX approvals_by_key ON approvals (key, created);
";

/// The shared store. It is opened when it is first needed, and again after an error: a store that is back works again.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
    reader: Mutex<Option<grants::GrantReader>>,
    /// Connections opened and grants written by this process; see [`SqliteStore::edition`].
    changes: AtomicU64,
    /// Transactions since the log was last copied into the file.
    commits: AtomicU64,
    /// How many there were when [`LimitStore::tidy`] last looked.
    looked: AtomicU64,
    keeper: Mutex<Option<Connection>>,
}

impl SqliteStore {
    /// A store in this file, which is made with its folder at first use, for the owner only.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            connection: Mutex::new(None),
            reader: Mutex::new(None),
            changes: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            looked: AtomicU64::new(0),
            keeper: Mutex::new(None),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs one transaction.
    pub(super) fn transact<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let mut slot = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let result = (|| {
            let connection = match slot.take() {
                Some(connection) => connection,
                None => {
                    self.changes.fetch_add(1, Ordering::Relaxed);
                    open(&self.path)?
                }
            };
            // An error, or a thread that panics, drops the connection, which rolls back. These two statements are
            // prepared once: reading them anew each time would be a quarter of the transaction.
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let value = work(&connection)?;
            connection.prepare_cached("COMMIT")?.execute([])?;
            self.commits.fetch_add(1, Ordering::Relaxed);
            *slot = Some(connection);
            Ok(value)
        })();
        result.map_err(|error: rusqlite::Error| self.explain(&error))
    }

    /// Looks a grant up, on a connection of its own: it never waits for a transaction, and what was found stays good for
    /// as long as nobody else writes.
    pub(super) fn read_grants<T>(
        &self,
        work: impl FnOnce(&mut grants::GrantReader) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let edition = self.edition();
        let mut slot = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let result = (|| {
            let reader = match slot.take() {
                Some(reader) => slot.insert(reader),
                None => slot.insert(grants::GrantReader::new(open(&self.path)?)),
            };
            reader.refresh(edition);
            work(reader)
        })();
        result.map_err(|error: rusqlite::Error| {
            *slot = None;
            self.explain(&error)
        })
    }

    /// Grants have been written by this process.
    pub(super) fn granted(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// What changes when anybody may have written a grant: other processes, by the version of the data as the connection
    /// sees it that all our own counting goes through, and this one by its own count. The reader's own connection would
    /// take every count for a change. `None` while that connection is busy: nobody knows then.
    fn edition(&self) -> Option<(i64, u64)> {
        let mut slot = self.connection.try_lock().ok()?;
        if slot.is_none() {
            self.changes.fetch_add(1, Ordering::Relaxed);
            *slot = open(&self.path).ok();
        }
        let mut statement = slot.as_ref()?.prepare_cached("PRAGMA data_version").ok()?;
        let version = statement.query_row([], |row| row.get(0)).ok()?;
        Some((version, self.changes.load(Ordering::Relaxed)))
    }

    fn explain(&self, error: &rusqlite::Error) -> StoreError {
        let path = self.path.display();
        if let Error::ToSqlConversionFailure(jump) = error
            && let Some(jump) = jump.downcast_ref::<StoreError>()
        {
            return jump.clone();
        }
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::TypeMismatch
                | ErrorCode::ConstraintViolation,
            ) => StoreError::Damaged(format!("`{path}`: {error}; move the file away to start with empty counters")),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unavailable(format!(
                "`{path}` was locked by another process for {} s",
                BUSY_TIMEOUT.as_secs()
            )),
            Some(ErrorCode::DiskFull) => StoreError::Unavailable(format!("the disk of `{path}` is full")),
            Some(_) => StoreError::Unavailable(format!("`{path}`: {error}")),
            // Not SQLite but we found the content wrong.
            None => StoreError::Damaged(format!("`{path}`: {error}; move the file away to start with empty counters")),
        }
    }
}

fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    // SQLite makes files by the umask; these hold what was called and when. Its other files take the mode of this one.
    // What goes wrong here shows when SQLite opens the file.
    if let Some(folder) = path.parent() {
        let _ = super::make_private_folder(folder);
    }
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // A pipe in its place would not open before a process reads from it.
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    drop(options.open(path));
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(32);
    // It says something to a file that is still empty only.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", CACHE_PAGES)?;
    let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if layout != LAYOUT {
        make_tables(&connection)?;
    }
    Ok(connection)
}

fn make_tables(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    // Another process may have been faster.
    let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let wanting: Option<&[&str]> = match (layout, tables) {
        (0, 0) => {
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            Some(&[TABLES, grants::TABLES, tasks::TABLES, courses::TABLES])
        }
        (1, _) => Some(&[grants::TABLES, DEFINITIONS, tasks::TABLES, courses::TABLES]),
        (2, _) => Some(&[DEFINITIONS, tasks::TABLES, courses::TABLES]),
        (3, _) => Some(&[tasks::TABLES, courses::TABLES]),
        (4, _) => Some(&[courses::TABLES]),
        (LAYOUT, _) => Some(&[]),
        (_, _) => None,
    };
    if let Some(wanting) = wanting {
        wanting.iter().try_for_each(|tables| connection.execute_batch(tables))?;
        connection.pragma_update(None, "user_version", LAYOUT)?;
    }
    connection.execute_batch("COMMIT")?;
    if wanting.is_none() {
        return Err(rusqlite::Error::InvalidColumnName(format!("not a state file of this version (layout {layout})")));
    }
    Ok(())
}

/// The later of now and the latest time that this store has seen: a clock that steps back must not reopen a window
/// whose counter was deleted meanwhile.
pub(super) fn advance_clock(connection: &Connection, now: Timestamp) -> Result<Timestamp, rusqlite::Error> {
    let stored: i64 =
        connection.prepare_cached("SELECT now FROM clock WHERE one = 1")?.query_row([], |row| row.get(0))?;
    let stored = millis(stored)?;
    let later =
        advance(Timestamp::from_millis(stored), now).map_err(|jump| Error::ToSqlConversionFailure(jump.into()))?;
    if now.millis() >= stored.saturating_add(CLOCK_STEP_MS) {
        connection.prepare_cached("UPDATE clock SET now = ?1 WHERE one = 1")?.execute([integer(now.millis())])?;
        // Once a second at most, and an index is not worth it: the table holds one row a counter in use.
        connection
            .prepare_cached("DELETE FROM counters WHERE ends < ?1")?
            .execute([integer(now.millis().saturating_sub(KEEP_ENDED_MS))])?;
    }
    Ok(later)
}

impl LimitStore for SqliteStore {
    fn tidy(&self) {
        let commits = self.commits.load(Ordering::Relaxed);
        let is_quiet = self.looked.swap(commits, Ordering::Relaxed) == commits;
        if commits < if is_quiet { TIDY_COMMITS } else { TIDY_COMMITS_BUSY } {
            return;
        }
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_none() {
            *keeper = open(&self.path).ok();
        }
        let copied =
            keeper.as_ref().map(|connection| connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())));
        match copied {
            Some(Ok(())) => {
                self.commits.store(0, Ordering::Relaxed);
                // The first transaction after a copy begins the log anew and waits for the disk to have its header:
                // milliseconds that no call shall wait. It must write something, and what it writes is as it was. Where
                // it fails, a call meets the same error by itself.
                let _ = self.transact(|connection| {
                    // It may be that of a later program by now, which has written the file anew.
                    let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
                    connection.pragma_update(None, "user_version", layout)
                });
            }
            // It is tried again, and at the latest a transaction does it for itself.
            Some(Err(_)) | None => *keeper = None,
        }
    }

    fn reserve(&self, now: Timestamp, batch: &[Vec<Charge>]) -> Result<Vec<Reserve>, StoreError> {
        self.transact(|connection| {
            let now = advance_clock(connection, now)?;
            // Each counter is read once and written once, however many calls of the batch count on it.
            let mut rows: FxHashMap<&CounterKey, (String, Row)> = FxHashMap::default();
            for charge in batch.iter().flatten() {
                if let Entry::Vacant(place) = rows.entry(&charge.counter) {
                    let text = charge.counter.text();
                    let row = read(connection, now, &charge.counter, &text)?;
                    place.insert((text, row));
                }
            }
            let mut outcomes = Vec::with_capacity(batch.len());
            for charges in batch {
                let fits = |charge: &Charge| {
                    let used = rows.get(&charge.counter).map_or(u64::MAX, |(_, row)| row.used);
                    used.checked_add(charge.amount).is_some_and(|sum| sum <= charge.max)
                };
                if let Some(charge) = charges.iter().position(|charge| !fits(charge)) {
                    let row = rows.get(&charges[charge].counter);
                    let starts = row.map_or(now, |(_, row)| row.starts);
                    outcomes.push(Reserve::Refused {
                        charge,
                        used: row.map_or(0, |(_, row)| row.used),
                        resets: charges[charge].counter.window.span(starts).1,
                        now,
                    });
                    continue;
                }
                let mut receipts = Vec::with_capacity(charges.len());
                for charge in charges {
                    if let Some((_, row)) = rows.get_mut(&charge.counter) {
                        row.used += charge.amount;
                        row.changed = true;
                        let (counter, amount) = (charge.counter.clone(), charge.amount);
                        receipts.push(Receipt { counter, window_start: row.starts, amount });
                    }
                }
                outcomes.push(Reserve::Held(receipts));
            }
            for (key, (text, row)) in rows.into_iter().filter(|(_, (_, row))| row.changed) {
                write(connection, key, &text, row)?;
            }
            Ok(outcomes)
        })
    }

    fn settle(&self, now: Timestamp, batch: &[Settlement]) -> Result<(), StoreError> {
        self.transact(|connection| {
            let now = advance_clock(connection, now)?;
            for receipt in batch.iter().flat_map(|settlement| &settlement.receipts) {
                let text = receipt.counter.text();
                let row = read(connection, now, &receipt.counter, &text)?;
                // In the window in which it was reserved only: the next one never had this unit.
                if row.starts == receipt.window_start && row.used > 0 {
                    let used = row.used.saturating_sub(receipt.amount);
                    write(connection, &receipt.counter, &text, Row { used, ..row })?;
                }
            }
            Ok(())
        })
    }

    fn usage(&self, now: Timestamp, charges: &[Charge]) -> Result<Vec<Usage>, StoreError> {
        self.transact(|connection| {
            let now = advance_clock(connection, now)?;
            charges
                .iter()
                .map(|charge| {
                    let row = read(connection, now, &charge.counter, &charge.counter.text())?;
                    Ok(Usage { used: row.used, resets: charge.counter.window.span(row.starts).1 })
                })
                .collect()
        })
    }

    fn stored(&self) -> Result<(Timestamp, Vec<StoredCounter>), StoreError> {
        self.transact(|connection| {
            let latest: i64 = connection.query_row("SELECT now FROM clock WHERE one = 1", [], |row| row.get(0))?;
            let mut statement = connection.prepare("SELECT key, starts, used FROM counters")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            let stored = rows.filter_map(|row: Result<(String, i64, i64), _>| {
                let read = row.and_then(|(key, starts, used)| Ok((key, millis(starts)?, millis(used)?)));
                let (key, starts, used) = match read {
                    Ok(read) => read,
                    Err(error) => return Some(Err(error)),
                };
                // A key of a later version is none of ours.
                let counter = CounterKey::parse(&key)?;
                Some(Ok(StoredCounter { counter, starts: Timestamp::from_millis(starts), used }))
            });
            Ok((Timestamp::from_millis(millis(latest)?), stored.collect::<Result<_, _>>()?))
        })
    }

    fn reset(&self, counters: &[CounterKey]) -> Result<(), StoreError> {
        self.transact(|connection| {
            let mut statement = connection.prepare("DELETE FROM counters WHERE key = ?1")?;
            counters.iter().try_for_each(|counter| statement.execute([counter.text()]).map(drop))
        })
    }

    fn reset_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        self.transact(|connection| {
            connection.execute("UPDATE clock SET now = ?1 WHERE one = 1", [integer(now.millis())]).map(drop)
        })
    }
}

impl ApprovalStore for SqliteStore {
    fn request(&self, now: Timestamp, request: &ApprovalRequest) -> Result<Approval, StoreError> {
        self.transact(|connection| approvals::request(connection, now, request))?
    }

    fn find(&self, now: Timestamp, key: &str) -> Result<Option<Approval>, StoreError> {
        self.transact(|connection| approvals::find(connection, now, key))
    }

    fn take(&self, now: Timestamp, key: &str) -> Result<bool, StoreError> {
        self.transact(|connection| approvals::take(connection, now, key))
    }

    fn get(&self, now: Timestamp, id: &str) -> Result<Option<Approval>, StoreError> {
        self.transact(|connection| approvals::get(connection, now, id))
    }

    fn list(&self, now: Timestamp) -> Result<Vec<Approval>, StoreError> {
        self.transact(|connection| approvals::list(connection, now))
    }

    fn decide(&self, now: Timestamp, id: &str, answer: Answer) -> Result<Answered, StoreError> {
        self.transact(|connection| approvals::decide(connection, now, id, answer))
    }
}

#[cfg(test)]
#[path = "sqlite_tests.rs"]
mod tests;
