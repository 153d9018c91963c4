//! Clients' files that are changed: their texts before and after, what is shown of that, and the writing.

use super::super::load::config::is_secret;
use super::super::write::{Existing, atomically};
use super::super::{Failure, output};
use super::kept::WrapStore;
use crate::clients::{self, Configured, Front, Inputs, Replaced};
use crate::mcp::target::{looks_like_a_secret, names_a_secret};
use crate::problem::reason;
use crate::text::escape;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Shortest value that is kept from the screen by its name alone, in bytes; a shorter one stands everywhere.
const MASKED_BYTES_MIN: usize = 4;

/// Files that are to be changed, by the names that they were found under.
#[derive(Default)]
pub(super) struct Changes {
    files: BTreeMap<PathBuf, FileChange>,
}

struct FileChange {
    before: String,
    after: String,
}

impl Changes {
    /// The text of a file as it will be.
    pub fn text(&mut self, file: &Path) -> Result<&mut String, String> {
        if !self.files.contains_key(file) {
            let text = clients::text_of(file).map_err(|problem| problem.message)?;
            self.files.insert(file.to_owned(), FileChange { before: text.clone(), after: text });
        }
        let change = self.files.get_mut(file).ok_or("it is gone")?;
        Ok(&mut change.after)
    }

    /// Puts the gateway in front of an entry.
    pub fn wrap(&mut self, entry: &Configured, front: &Front) -> Result<Replaced, String> {
        let text = self.text(Path::new(&entry.file))?;
        let (after, piece) =
            clients::put_in_front(&entry.file, text, entry, front).map_err(|error| error.to_string())?;
        *text = after;
        Ok(piece)
    }

    /// Whether no file changes.
    pub fn is_empty(&self) -> bool {
        self.files.values().all(|change| change.before == change.after)
    }

    /// The differences, without the secrets that the files hold.
    pub fn shown(&self) -> String {
        let mut text = String::new();
        for (path, change) in &self.files {
            let mut secrets = secrets(path);
            secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
            let masked = |text: &str| secrets.iter().fold(text.to_owned(), |text, it| text.replace(it.as_str(), "…"));
            let (before, after) = (masked(&change.before), masked(&change.after));
            let diff = similar::TextDiff::from_lines(before.as_str(), after.as_str());
            let name = path.to_string_lossy();
            for line in diff.unified_diff().context_radius(1).header(&name, &name).to_string().lines() {
                text.push_str(&escape(line));
                text.push('\n');
            }
        }
        text
    }

    /// Keeps a copy of every file as it is.
    pub fn back_up(&self, kept: &WrapStore) -> Result<(), Failure> {
        for (path, change) in self.changed() {
            kept.back_up(path, &change.before)?;
        }
        Ok(())
    }

    /// Writes every file, through links to where it is, with the permissions that it has.
    pub fn write(&self) -> Result<(), Failure> {
        for (path, change) in self.changed() {
            let shown = path.display();
            let cannot = |why: String| Failure::usage(format!("`{shown}` was left as it is: {why}"));
            let real = path.canonicalize().map_err(|error| cannot(reason(&error)))?;
            let now = clients::text_of(&real).map_err(|problem| cannot(problem.message))?;
            if now != change.before {
                return Err(cannot("it was changed meanwhile".to_owned()).with_help("run the same again"));
            }
            let permissions = std::fs::metadata(&real).map_err(|error| cannot(reason(&error)))?.permissions();
            if permissions.readonly() {
                return Err(cannot("it may not be written".to_owned()));
            }
            atomically(&real, &change.after, Existing::Replace)?;
            output::people(&format!("wrote {}\n", escape(&path.to_string_lossy())));
        }
        Ok(())
    }

    fn changed(&self) -> impl Iterator<Item = (&PathBuf, &FileChange)> {
        self.files.iter().filter(|(_, change)| change.before != change.after)
    }
}

/// The values in a file that are not to be seen.
fn secrets(path: &Path) -> Vec<String> {
    let Ok(config) = clients::load(path, &Inputs::new()) else { return Vec::new() };
    let values = config.servers.iter().flat_map(|server| &server.values);
    values
        .filter(|value| {
            let text = value.value.reveal();
            text.len() >= MASKED_BYTES_MIN
                && (names_a_secret(&value.name) || looks_like_a_secret(text) || is_secret(value))
        })
        .map(|value| value.value.reveal().to_owned())
        .collect()
}
