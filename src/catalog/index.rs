//! What a directory of records says, in an SQLite file with full text: derived from the records, brought up to date by what
//! changed, and thrown away without a loss.

use super::{public_source, read, tool_list_files};
use crate::model::{BlastRadius, Category, Classified, Flag, Listing, RiskLevel};
use crate::problem::Problem;
use crate::text::excerpt;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Of the index itself: another one is thrown away.
const VERSION: &str = "1";
/// Longest wait for another process that brings the same index up to date.
const BUSY: Duration = Duration::from_secs(60);
/// Longest part of a description that is found and shown, in characters.
const ABOUT_CHARS_MAX: usize = 300;
/// Most words of a search.
pub const WORDS_MAX: usize = 12;
/// Servers that are judged at the same time.
const AT_ONCE: usize = 64;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, bytes INTEGER NOT NULL, changed INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS servers (id INTEGER PRIMARY KEY, file TEXT NOT NULL, server TEXT NOT NULL, registry TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS tools (id INTEGER PRIMARY KEY, file TEXT NOT NULL, server TEXT NOT NULL, tool TEXT NOT NULL,
        category TEXT NOT NULL, risk INTEGER NOT NULL, radius TEXT NOT NULL, flags TEXT NOT NULL, findings TEXT NOT NULL,
        about TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS findings (file TEXT NOT NULL, finding TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS servers_file ON servers (file);
    CREATE INDEX IF NOT EXISTS servers_name ON servers (server);
    CREATE INDEX IF NOT EXISTS tools_file ON tools (file);
    CREATE INDEX IF NOT EXISTS findings_file ON findings (file);
    CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (tool, server, about, tokenize = 'unicode61', prefix = '2 3');
";

/// Why an index could not be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The database said no.
    #[error("the index cannot be used: {0}")]
    Database(#[from] rusqlite::Error),
    /// The directory of records could not be read.
    #[error("the records cannot be read: {}", crate::problem::reason(.0))]
    Records(#[from] io::Error),
}

/// What a search asks for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Words, all of which must begin a word of the name, the server or the description.
    pub words: Vec<String>,
    /// Only tools of this category.
    pub category: Option<Category>,
    /// Only tools of this risk, or a worse one.
    pub risk: Option<RiskLevel>,
    /// Only tools with this flag.
    pub flag: Option<Flag>,
    /// Only tools with a finding of this id.
    pub finding: Option<String>,
    /// Most hits.
    pub limit: usize,
}

/// One tool that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// The server, as it is called here.
    pub server: String,
    /// The tool, as declared.
    pub tool: String,
    /// What it does at worst.
    pub category: String,
    /// How strict the default must be.
    pub risk: String,
    /// How much one wrong call can cost.
    pub blast_radius: String,
    /// What else is true of it.
    pub flags: Vec<String>,
    /// Ids of its findings.
    pub findings: Vec<String>,
    /// The beginning of its description, escaped.
    pub about: String,
}

/// How much there is of what: each by its word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CatalogueCounts {
    /// Servers.
    pub servers: u64,
    /// Tools.
    pub tools: u64,
    /// Tools by category.
    pub categories: BTreeMap<String, u64>,
    /// Tools by risk.
    pub risks: BTreeMap<String, u64>,
    /// Servers by registry; the empty word is none that is known.
    pub registries: BTreeMap<String, u64>,
    /// Tools, or servers, by finding.
    pub findings: BTreeMap<String, u64>,
}

/// An index of one directory of records.
pub struct Index {
    connection: Connection,
}

/// Judges some servers.
pub type JudgeAll<'j> = &'j dyn Fn(Vec<Listing>) -> Vec<Classified>;

impl Index {
    /// Opens the index in a file, or one in memory where there is no place for a file. A file that is none is replaced.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn open(file: Option<&Path>) -> Result<Self, IndexError> {
        let Some(file) = file else { return Ok(Self { connection: prepared(Connection::open_in_memory()?)? }) };
        match Connection::open(file).and_then(prepared) {
            Ok(connection) => Ok(Self { connection }),
            Err(error) if is_broken(&error) => {
                // Whatever it held can be made again.
                for companion in ["", "-wal", "-shm"] {
                    let mut name = file.as_os_str().to_owned();
                    name.push(companion);
                    let _ = std::fs::remove_file(name);
                }
                Ok(Self { connection: prepared(Connection::open(file)?)? })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Brings the index up to date with a directory: files that are new or another size or age are read, those that are
    /// gone are forgotten. `rules` tells one set of rules from another; answers what is wrong with files.
    ///
    /// # Errors
    /// The directory cannot be read, or the index not be written.
    pub fn update(&mut self, directory: &Path, rules: &str, judge: JudgeAll<'_>) -> Result<Vec<Problem>, IndexError> {
        let made_with = format!("{VERSION} {rules}");
        let files = tool_list_files(directory)?;
        let now = files.iter().filter_map(|path| Some((path.to_string_lossy().into_owned(), state(path)?)));
        let now: BTreeMap<String, (i64, i64)> = now.collect();
        // Mostly nothing has changed, and then no other process has to wait.
        if known_rules(&self.connection)?.as_deref() == Some(made_with.as_str())
            && known_files(&self.connection)? == now
        {
            return Ok(Vec::new());
        }
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        if known_rules(&transaction)?.as_deref() != Some(made_with.as_str()) {
            for table in ["files", "servers", "tools", "findings", "words"] {
                transaction.execute(&format!("DELETE FROM {table}"), [])?;
            }
            transaction.execute("INSERT OR REPLACE INTO meta VALUES ('rules', ?1)", [&made_with])?;
        }
        let mut before = known_files(&transaction)?;
        let (mut problems, mut waiting) = (Vec::new(), Vec::new());
        for path in files {
            let name = path.to_string_lossy().into_owned();
            let Some(state) = now.get(&name).copied() else { continue };
            if before.remove(&name) == Some(state) {
                continue;
            }
            forget(&transaction, &name)?;
            let reader = BufReader::with_capacity(1 << 18, File::open(&path)?);
            let problems_before = problems.len();
            read(reader, &name, &mut |found| match found {
                Ok(listing) => waiting.push((name.clone(), listing)),
                Err(problem) => problems.push(problem),
            })?;
            // A file that is not valid is read again, and said again, the next time.
            if problems.len() == problems_before {
                transaction.execute("INSERT INTO files VALUES (?1, ?2, ?3)", params![name, state.0, state.1])?;
            }
            if waiting.len() >= AT_ONCE {
                keep(&transaction, std::mem::take(&mut waiting), judge)?;
            }
        }
        keep(&transaction, waiting, judge)?;
        for gone in before.keys() {
            forget(&transaction, gone)?;
        }
        transaction.commit()?;
        Ok(problems)
    }

    /// The tools that fit, the best first; without words the riskiest first.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn search(&self, query: &Query) -> Result<Vec<Hit>, IndexError> {
        let words: Vec<String> = query.words.iter().flat_map(|word| parts(word)).take(WORDS_MAX).collect();
        // Each word as a text of its own, so that nothing in it is taken for an operator.
        let matched = words.iter().map(|word| format!("\"{word}\"*")).collect::<Vec<_>>().join(" AND ");
        let from = if words.is_empty() {
            "FROM tools WHERE ?1 = ''"
        } else {
            "FROM words JOIN tools ON tools.id = words.rowid WHERE words MATCH ?1"
        };
        let order = if words.is_empty() {
            "risk DESC, tools.server, tools.tool"
        } else {
            "bm25(words, 8.0, 4.0, 1.0), risk DESC, tools.server, tools.tool"
        };
        let sql = format!(
            "SELECT tools.server, tools.tool, category, risk, radius, flags, findings, tools.about {from}
             AND (?2 = '' OR category = ?2) AND risk >= ?3 AND (?4 = '' OR instr(flags, ?4) > 0)
             AND (?5 = '' OR instr(findings, ?5) > 0) ORDER BY {order} LIMIT ?6"
        );
        let whole = |word: Option<&str>| word.map_or_else(String::new, |word| format!(" {word} "));
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map(
            params![
                matched,
                query.category.map_or("", Category::as_str),
                query.risk.map_or(0, |risk| risk as i64),
                whole(query.flag.map(Flag::as_str)),
                whole(query.finding.as_deref()),
                i64::try_from(query.limit).unwrap_or(i64::MAX)
            ],
            |row| {
                let risk: i64 = row.get(3)?;
                let list = |text: String| text.split_whitespace().map(str::to_owned).collect();
                Ok(Hit {
                    server: row.get(0)?,
                    tool: row.get(1)?,
                    category: row.get(2)?,
                    risk: usize::try_from(risk)
                        .ok()
                        .and_then(|at| RiskLevel::ALL.get(at))
                        .map_or("", |it| it.as_str())
                        .to_owned(),
                    blast_radius: row.get(4)?,
                    flags: list(row.get(5)?),
                    findings: list(row.get(6)?),
                    about: row.get(7)?,
                })
            },
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The files that hold a server of this name.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn files_of(&self, server: &str) -> Result<Vec<String>, IndexError> {
        let mut statement =
            self.connection.prepare("SELECT DISTINCT file FROM servers WHERE server = ?1 ORDER BY file")?;
        let rows = statement.query_map([server], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The names of all servers, sorted.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn servers(&self) -> Result<Vec<String>, IndexError> {
        let mut statement = self.connection.prepare("SELECT DISTINCT server FROM servers ORDER BY server")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How much there is of what.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn counts(&self) -> Result<CatalogueCounts, IndexError> {
        let one = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        let by = |sql: &str| -> Result<BTreeMap<String, u64>, rusqlite::Error> {
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
            rows.collect()
        };
        let names =
            RiskLevel::ALL.iter().map(|risk| format!("WHEN {} THEN '{risk}'", *risk as i64)).collect::<String>();
        Ok(CatalogueCounts {
            servers: one("SELECT count(*) FROM servers")?.unsigned_abs(),
            tools: one("SELECT count(*) FROM tools")?.unsigned_abs(),
            categories: by("SELECT category, count(*) FROM tools GROUP BY category")?,
            risks: by(&format!("SELECT CASE risk {names} END, count(*) FROM tools GROUP BY risk"))?,
            registries: by("SELECT registry, count(*) FROM servers GROUP BY registry")?,
            findings: by("SELECT finding, count(*) FROM findings GROUP BY finding")?,
        })
    }
}

/// Whether a file is no database, or a broken one: not whether it is busy, or may not be read.
fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt))
}

/// Sizes and ages of the files that an index knows.
fn known_files(connection: &Connection) -> rusqlite::Result<BTreeMap<String, (i64, i64)>> {
    let mut rows = connection.prepare("SELECT path, bytes, changed FROM files")?;
    let rows = rows.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

/// What an index was made with.
fn known_rules(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM meta WHERE key = 'rules'", [], |row| row.get(0)).optional()
}

fn prepared(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY)?;
    // It can be made again: a power cut may take the last changes.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")?;
    connection.execute_batch(TABLES)?;
    Ok(connection)
}

/// Size and age of a file: a file with both as before is taken for the same.
fn state(path: &Path) -> Option<(i64, i64)> {
    let found = std::fs::metadata(path).ok()?;
    let changed = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((i64::try_from(found.len()).ok()?, i64::try_from(changed.as_nanos()).ok()?))
}

fn forget(transaction: &Transaction<'_>, file: &str) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM words WHERE rowid IN (SELECT id FROM tools WHERE file = ?1)", [file])?;
    for table in ["tools", "servers", "findings"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE file = ?1"), [file])?;
    }
    transaction.execute("DELETE FROM files WHERE path = ?1", [file]).map(drop)
}

fn keep(transaction: &Transaction<'_>, found: Vec<(String, Listing)>, judge: JudgeAll<'_>) -> rusqlite::Result<()> {
    let (files, listings): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    for (file, classified) in files.iter().zip(judge(listings)) {
        let server = classified.listing.server.as_str();
        let source = public_source(&classified.listing.source);
        let registry = source.package().map_or("", |package| package.registry.as_str());
        transaction
            .prepare_cached("INSERT INTO servers (file, server, registry) VALUES (?1, ?2, ?3)")?
            .execute(params![file, server, registry])?;
        let mut finding = transaction.prepare_cached("INSERT INTO findings VALUES (?1, ?2)")?;
        let own = classified.findings.iter().filter(|finding| finding.tool.is_empty());
        for id in own.map(|finding| finding.id.as_str()).collect::<BTreeSet<_>>() {
            finding.execute(params![file, id])?;
        }
        for (tool, verdict) in classified.listing.tools.iter().zip(classified.verdicts_with_all_findings()) {
            let name = tool.name.as_str();
            let about = excerpt(tool.description.as_deref().unwrap_or_default().trim(), ABOUT_CHARS_MAX);
            let mut ids: Vec<&str> = verdict.findings.iter().map(|finding| finding.id.as_str()).collect();
            ids.sort_unstable();
            ids.dedup();
            for id in &ids {
                finding.execute(params![file, id])?;
            }
            let flags: Vec<&str> = verdict.flags.iter().map(|flag| flag.as_str()).collect();
            let (radius, risk) = (BlastRadius::as_str(verdict.blast_radius), verdict.risk as i64);
            transaction
                .prepare_cached(
                    "INSERT INTO tools (file, server, tool, category, risk, radius, flags, findings, about)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute(params![
                    file,
                    server,
                    name,
                    verdict.category.as_str(),
                    risk,
                    radius,
                    format!(" {} ", flags.join(" ")),
                    format!(" {} ", ids.join(" ")),
                    about
                ])?;
            transaction
                .prepare_cached("INSERT INTO words (rowid, tool, server, about) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![transaction.last_insert_rowid(), spaced(name), spaced(server), about])?;
        }
    }
    Ok(())
}

/// A name with a space before each capital that begins a word, so that its words can be found.
fn spaced(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    let mut last = ' ';
    for c in name.chars() {
        if c.is_uppercase() && last.is_lowercase() {
            out.push(' ');
        }
        out.push(c);
        last = c;
    }
    out
}

/// The words in what a person typed, without what the query language would take for its own.
fn parts(word: &str) -> Vec<String> {
    spaced(word).split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
    use super::*;
    use crate::classify::{Options, RuleSet, classify};

    fn judge(listings: Vec<Listing>) -> Vec<Classified> {
        listings.into_iter().map(|listing| classify(RuleSet::builtin(), listing, &Options::default())).collect()
    }

    fn found(index: &Index, query: &Query) -> Vec<String> {
        index.search(query).unwrap().into_iter().map(|hit| format!("{}/{}", hit.server, hit.tool)).collect()
    }

    fn query(words: &str) -> Query {
        Query { words: words.split(' ').map(str::to_owned).collect(), limit: 10, ..Query::default() }
    }

    #[test]
    fn what_changed_is_read_and_what_is_gone_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("index.db");
        let records = folder.path().join("records");
        std::fs::create_dir(&records).unwrap();
        let write = |name: &str, text: &str| std::fs::write(records.join(name), text).unwrap();
        write(
            "a.json",
            r#"{"server":"a","tools":[{"name":"pauseTimer","description":"Pause a timer"},{"name":"delete_all","description":"Delete all timers"}]}"#,
        );
        write("b.json", r#"{"server":"b","tools":[{"name":"list_timers","description":"List timers"}]}"#);
        let update = |rules| {
            let mut index = Index::open(Some(&file)).unwrap();
            assert!(index.update(&records, rules, &judge).unwrap().is_empty());
            index
        };
        let index = update("1");
        assert_eq!(found(&index, &query("pause tim")), ["a/pauseTimer"]);
        assert_eq!(found(&index, &query("a/pauseTimer")), ["a/pauseTimer"]);
        assert_eq!(
            found(&index, &Query { category: Some(Category::Delete), limit: 10, ..Query::default() }),
            ["a/delete_all"]
        );
        assert_eq!(found(&index, &Query { flag: Some(Flag::Bulk), ..query("timers") }), ["a/delete_all"]);
        assert_eq!(
            found(&index, &Query { risk: Some(RiskLevel::Critical), limit: 9, ..Query::default() }),
            ["a/delete_all"]
        );
        for odd in ["\"", "a OR b", "NEAR(a b)", "tool:", "*", "'; DROP TABLE tools; --"] {
            index.search(&query(odd)).unwrap();
        }
        assert_eq!(
            index.counts().unwrap().categories,
            BTreeMap::from([("Delete".into(), 1), ("Execute".into(), 1), ("Read".into(), 1)])
        );
        drop(index);
        write("a.json", r#"{"server":"a","tools":[{"name":"resume_timer","description":"Resume a timer again"}]}"#);
        std::fs::remove_file(records.join("b.json")).unwrap();
        let index = update("1");
        assert_eq!(found(&index, &query("timer")), ["a/resume_timer"]);
        assert_eq!(index.servers().unwrap(), ["a"]);
        drop(index);
        let index = update("2");
        assert_eq!(index.counts().unwrap().tools, 1);
        drop(index);
        std::fs::write(&file, "no database").unwrap();
        assert_eq!(found(&update("2"), &query("timer")), ["a/resume_timer"]);
    }
}
