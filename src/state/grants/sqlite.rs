//! Grants in the SQLite file, and what a gateway remembers of them between requests.

use super::{GRANTS_MAX, Grant, GrantCreated, GrantName, GrantRevoked, GrantState, GrantStore, TokenHash};
use crate::clock::Timestamp;
use crate::policy::StoreError;
use crate::state::SqliteStore;
use crate::state::rows::{integer, millis};
use rusqlite::{Connection, Error, OptionalExtension as _, Row, params};
use std::collections::{BTreeSet, HashMap};

pub(in crate::state) const TABLES: &str = "
CREATE TABLE grants (
    name TEXT PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    servers TEXT NOT NULL,
    policy TEXT,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE granted_servers (server TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
";

const COLUMNS: &str = "name, token, servers, policy, created, expires, revoked";

/// Answers remembered at most; what has not been asked for since the last change is not worth more.
const REMEMBERED_MAX: usize = 4096;

/// A connection that only reads, and what it has read since anybody may have written a grant. `PRAGMA data_version`
/// tells that from shared memory, without looking at the file: a grant that another process revokes is gone for the
/// next request.
#[derive(Debug)]
pub(in crate::state) struct GrantReader {
    connection: Connection,
    edition: Option<(i64, u64)>,
    by_token: HashMap<TokenHash, Option<Grant>>,
    servers: HashMap<String, bool>,
}

impl GrantReader {
    pub(in crate::state) fn new(connection: Connection) -> Self {
        Self { connection, edition: None, by_token: HashMap::new(), servers: HashMap::new() }
    }

    /// Forgets what may have changed.
    pub(in crate::state) fn refresh(&mut self, edition: Option<(i64, u64)>) {
        if edition.is_none() || edition != self.edition || self.by_token.len() + self.servers.len() >= REMEMBERED_MAX {
            self.by_token.clear();
            self.servers.clear();
            self.edition = edition;
        }
    }

    fn find(&mut self, token: &TokenHash) -> Result<Option<Grant>, Error> {
        if let Some(known) = self.by_token.get(token) {
            return Ok(known.clone());
        }
        let found = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM grants WHERE token = ?1"))?
            .query_row([token.hex()], grant)
            .optional()?;
        self.by_token.insert(*token, found.clone());
        Ok(found)
    }

    fn any_for(&mut self, server: &str) -> Result<bool, Error> {
        if let Some(known) = self.servers.get(server) {
            return Ok(*known);
        }
        let found: bool = self
            .connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM granted_servers WHERE server = ?1)")?
            .query_row([server], |row| row.get(0))?;
        self.servers.insert(server.to_owned(), found);
        Ok(found)
    }
}

fn grant(row: &Row<'_>) -> Result<Grant, Error> {
    let wrong = |column| Error::InvalidColumnType(0, column, rusqlite::types::Type::Text);
    let time = |value: Option<i64>| value.map(|value| millis(value).map(Timestamp::from_millis)).transpose();
    let name: String = row.get("name")?;
    let token: String = row.get("token")?;
    let servers: String = row.get("servers")?;
    Ok(Grant {
        name: GrantName::parse(&name).map_err(|_| wrong("name".to_owned()))?,
        servers: serde_json::from_str::<BTreeSet<String>>(&servers).map_err(|_| wrong("servers".to_owned()))?,
        policy: row.get("policy")?,
        token: TokenHash::parse(&token).ok_or_else(|| wrong("token".to_owned()))?,
        created: Timestamp::from_millis(millis(row.get("created")?)?),
        expires: time(row.get("expires")?)?,
        revoked: time(row.get("revoked")?)?,
    })
}

fn by_name(connection: &Connection, name: &GrantName) -> Result<Option<Grant>, Error> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM grants WHERE name = ?1"))?
        .query_row([name.as_str()], grant)
        .optional()
}

fn insert(connection: &Connection, grant: &Grant) -> Result<(), Error> {
    let servers =
        serde_json::to_string(&grant.servers).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))?;
    let time = |value: Option<Timestamp>| value.map(|value| integer(value.millis()));
    connection
        .prepare_cached(&format!(
            "INSERT INTO grants ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO UPDATE SET
             token = ?2, servers = ?3, policy = ?4, created = ?5, expires = ?6, revoked = ?7"
        ))?
        .execute(params![
            grant.name.as_str(),
            grant.token.hex(),
            servers,
            grant.policy,
            integer(grant.created.millis()),
            time(grant.expires),
            time(grant.revoked),
        ])?;
    let mut statement = connection.prepare_cached("INSERT OR IGNORE INTO granted_servers (server) VALUES (?1)")?;
    for server in &grant.servers {
        statement.execute([server])?;
    }
    Ok(())
}

impl GrantStore for SqliteStore {
    fn create(&self, now: Timestamp, grant: &Grant) -> Result<GrantCreated, StoreError> {
        let created = self.transact(|connection| {
            let known = by_name(connection, &grant.name)?;
            if let Some(known) = known.clone().filter(|known| known.state(now) == GrantState::Active) {
                return Ok(Some(GrantCreated::Exists(known)));
            }
            let kept: i64 = connection.query_row("SELECT count(*) FROM grants", [], |row| row.get(0))?;
            if known.is_none() && kept >= integer(GRANTS_MAX as u64) {
                return Ok(None);
            }
            insert(connection, grant)?;
            Ok(Some(GrantCreated::Done))
        })?;
        self.granted();
        created.ok_or_else(super::full)
    }

    fn list(&self) -> Result<Vec<Grant>, StoreError> {
        self.transact(|connection| {
            connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM grants ORDER BY name"))?
                .query_map([], grant)?
                .collect()
        })
    }

    fn revoke(&self, now: Timestamp, name: &GrantName) -> Result<GrantRevoked, StoreError> {
        let revoked = self.transact(|connection| {
            let Some(known) = by_name(connection, name)? else { return Ok(GrantRevoked::Unknown) };
            if known.revoked.is_some() {
                return Ok(GrantRevoked::Already(known));
            }
            let revoked = Grant { revoked: Some(now), ..known };
            insert(connection, &revoked)?;
            Ok(GrantRevoked::Done(revoked))
        })?;
        self.granted();
        Ok(revoked)
    }

    fn find(&self, token: &TokenHash) -> Result<Option<Grant>, StoreError> {
        self.read_grants(|reader| reader.find(token))
    }

    fn any_for(&self, server: &str) -> Result<bool, StoreError> {
        self.read_grants(|reader| reader.any_for(server))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]
    use super::super::contract;
    use super::*;
    use crate::state::{TaskKey, TaskStore as _};

    #[test]
    fn they_keep_the_contract() {
        contract::all(|| {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::new(folder.path().join("state.db"));
            (folder, store)
        });
    }

    #[test]
    fn another_process_revokes_for_the_next_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let (gateway, other) = (SqliteStore::new(&path), SqliteStore::new(&path));
        let (grant, now) = (contract::grant("alice", &["s"]), Timestamp::from_millis(1));
        assert_eq!(gateway.find(&grant.token).unwrap(), None);
        assert!(!gateway.any_for("s").unwrap());
        other.create(now, &grant).unwrap();
        // Twice: the second answer is a remembered one.
        for _ in 0..2 {
            assert_eq!(gateway.find(&grant.token).unwrap().unwrap().state(now), GrantState::Active);
            assert!(gateway.any_for("s").unwrap());
        }
        other.revoke(now, &grant.name).unwrap();
        assert_eq!(gateway.find(&grant.token).unwrap().unwrap().state(now), GrantState::Revoked);
    }

    #[test]
    fn a_file_of_the_layout_before_gets_its_tables() {
        let (grants, definitions) =
            ("DROP TABLE grants; DROP TABLE granted_servers;", "ALTER TABLE approvals DROP COLUMN definition;");
        let tasks = "DROP TABLE tasks;";
        for (layout, before) in [
            (1, format!("{tasks}{grants}{definitions}")),
            (2, format!("{tasks}{definitions}")),
            (3, tasks.to_owned()),
            (4, String::new()),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.db");
            let (asked, now) = (crate::state::contract::question("t"), Timestamp::from_millis(1));
            crate::policy::ApprovalStore::request(&SqliteStore::new(&path), now, &asked).unwrap();
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch(&format!("DROP TABLE courses;{before}PRAGMA user_version = {layout};")).unwrap();
            drop(connection);
            let store = SqliteStore::new(&path);
            store.create(now, &contract::grant("alice", &["s"])).unwrap();
            assert!(store.any_for("s").unwrap());
            let known = crate::policy::ApprovalStore::list(&store, now).unwrap();
            let expected = if layout < 3 { "" } else { asked.binding.definition.as_str() };
            assert_eq!((known.len(), known[0].request.binding.definition.as_str()), (1, expected));
            let task = [TaskKey::of("s", "t")];
            store.begin(now, &task[0], "alice").unwrap();
            assert_eq!(store.are_of(now, &task, "alice").unwrap(), [true]);
        }
    }

    #[test]
    fn a_damaged_grant_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::new(folder.path().join("state.db"));
        let grant = contract::grant("alice", &["s"]);
        store.create(Timestamp::from_millis(1), &grant).unwrap();
        store.transact(|connection| connection.execute("UPDATE grants SET servers = '7'", [])).unwrap();
        assert!(matches!(store.find(&grant.token), Err(StoreError::Damaged(_))));
        // Mended, and it works again.
        store.transact(|connection| connection.execute("UPDATE grants SET servers = '[\"s\"]'", [])).unwrap();
        assert!(store.find(&grant.token).unwrap().is_some());
    }
}
