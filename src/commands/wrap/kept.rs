//! What is kept of wrapped entries, in the configuration directory: where their policies are, and the bytes that stood in
//! the clients' files. Those may hold what the files hold, so nobody but the owner can read them.

use super::super::Failure;
use crate::clients::{Configured, Replaced};
use crate::problem::reason;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The list of records, in the configuration directory.
const FILE: &str = "wrapped.json";
/// Locked by the process that changes what is kept.
const TURN: &str = ".turn";
/// The folder of copies of clients' files, there too.
const BACKUPS: &str = "backups";

/// One entry that is or was wrapped.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::commands) struct WrappedEntry {
    pub client: String,
    /// The client's file, without links.
    pub file: PathBuf,
    /// The names on the way to the servers, in files that keep them in several places.
    pub section: Vec<String>,
    pub server: String,
    pub policy: PathBuf,
    pub lock: PathBuf,
    /// What stood in the file and what stands there now; `None` since it was unwrapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piece: Option<Replaced>,
}

impl WrappedEntry {
    /// Whether it is the record of this entry.
    pub fn is_of(&self, entry: &Configured) -> bool {
        self.key() == (real(&entry.file).as_path(), section(entry), entry.name.as_str())
    }

    fn key(&self) -> (&Path, &[String], &str) {
        (&self.file, &self.section, &self.server)
    }
}

/// The names on the way to the servers that an entry stands among.
pub(in crate::commands) fn section(entry: &Configured) -> &[String] {
    entry.path.split_last().map_or(&[], |(_, section)| section)
}

/// A file without links.
pub(in crate::commands) fn real(file: impl AsRef<Path>) -> PathBuf {
    let file = file.as_ref();
    file.canonicalize().unwrap_or_else(|_| file.to_owned())
}

/// The file of records.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrappedEntries {
    version: u32,
    entries: Vec<WrappedEntry>,
}

/// All that is kept.
pub(in crate::commands) struct WrapStore {
    folder: PathBuf,
    records: WrappedEntries,
    /// Held by the one process that changes what is kept.
    _turn: Option<std::fs::File>,
}

impl WrapStore {
    /// Reads what is kept; nothing where nothing was wrapped yet.
    ///
    /// # Errors
    /// There is no configuration directory, or the records are not as they were written.
    pub fn open() -> Result<Self, Failure> {
        let folder = crate::state::config_folder(|name| std::env::var_os(name)).map_err(|error| {
            Failure::usage(error.to_string()).with_help("set `MCPOL_CONFIG_DIR` to a directory of your own")
        })?;
        let path = folder.join(FILE);
        let records = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::usage(format!("cannot read `{}`: {error}", path.display()))
                    .with_help("it holds what `mcpol unwrap` goes by; the copies of clients' files lie beside it")
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                WrappedEntries { version: 1, ..WrappedEntries::default() }
            }
            Err(error) => {
                return Err(Failure::usage(format!("cannot read `{}`: {}", path.display(), reason(&error))));
            }
        };
        Ok(Self { folder, records, _turn: None })
    }

    /// The same, for the one process that will change it: until it ends no other may.
    ///
    /// # Errors
    /// As [`Self::open`]; or another process is changing it.
    pub fn open_to_change() -> Result<Self, Failure> {
        let folder = Self::open()?.folder;
        let path = folder.join(TURN);
        let cannot =
            |error: &std::io::Error| Failure::usage(format!("cannot write `{}`: {}", path.display(), reason(error)));
        crate::state::make_private_folder(&folder).map_err(|error| cannot(&error))?;
        let turn = std::fs::File::create(&path).map_err(|error| cannot(&error))?;
        match turn.try_lock() {
            // Read once more: another process may have written meanwhile.
            Ok(()) => Ok(Self { _turn: Some(turn), ..Self::open()? }),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(Failure::usage("another `mcpol wrap` or `unwrap` is at work")
                    .with_help("run the same again when it has ended"))
            }
            Err(std::fs::TryLockError::Error(error)) => Err(cannot(&error)),
        }
    }

    /// The configuration directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every entry that is or was wrapped.
    pub fn records(&self) -> impl Iterator<Item = &WrappedEntry> {
        self.records.entries.iter()
    }

    /// The record of an entry.
    pub fn of(&self, entry: &Configured) -> Option<&WrappedEntry> {
        self.records().find(|record| record.is_of(entry))
    }

    /// Notes entries, in the place of what was noted of them before.
    pub fn add(&mut self, records: impl Iterator<Item = WrappedEntry>) {
        for record in records {
            self.records.entries.retain(|known| known.key() != record.key());
            self.records.entries.push(record);
        }
    }

    /// Writes the records, for their owner alone.
    pub fn write(&self) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&self.records).map_err(super::super::output::internal)?;
        self.private(FILE, text.as_bytes())
    }

    /// Keeps a copy of a client's file, for its owner alone, and says where. The same bytes are kept once.
    pub fn back_up(&self, file: &Path, text: &str) -> Result<PathBuf, Failure> {
        let mark = crate::model::Fingerprint::of(&serde_json::json!([file.to_string_lossy(), text]));
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = format!(
            "{BACKUPS}/{}-{}",
            &mark.as_str().trim_start_matches("sha256:")[..12],
            name.trim_start_matches('.')
        );
        self.private(&name, text.as_bytes())?;
        Ok(self.folder.join(name))
    }

    fn private(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.folder.join(name);
        let folder = path.parent().unwrap_or(&self.folder);
        let cannot =
            |error: &std::io::Error| Failure::usage(format!("cannot write `{}`: {}", path.display(), reason(error)));
        crate::state::make_private_folder(folder).map_err(|error| cannot(&error))?;
        // A temporary file is its owner's alone, and stays so.
        let mut file =
            tempfile::Builder::new().prefix(".mcpol-").tempfile_in(folder).map_err(|error| cannot(&error))?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|error| cannot(&error))?;
        file.persist(&path).map(drop).map_err(|error| cannot(&error.error))
    }
}
