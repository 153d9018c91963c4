//! Clients' files that are changed: their texts before and after, what is shown of that, and the writing.

use super::super::load::config::is_secret;
use super::super::write::{Existing, atomically, has_other_names, in_place};
use super::super::{Failure, output};
use super::kept::{WrapStore, real};
use crate::clients::{self, Configured, Front, Inputs, Replaced, ValueKind, Written};
use crate::mcp::target::{Target, looks_like_a_secret, names_a_secret};
use crate::model::ServerName;
use crate::problem::reason;
use crate::text::escape;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
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
    /// What is changed of each entry. Nothing else of the file is shown.
    pieces: Vec<(ServerName, Replaced)>,
}

impl Changes {
    /// The text of a file as it will be.
    pub fn text(&mut self, file: &Path) -> Result<&str, String> {
        self.change(file).map(|change| change.after.as_str())
    }

    fn change(&mut self, file: &Path) -> Result<&mut FileChange, String> {
        if !self.files.contains_key(file) {
            let text = clients::text_of(file).map_err(|problem| problem.message)?;
            self.files.insert(file.to_owned(), FileChange { before: text.clone(), after: text, pieces: Vec::new() });
        }
        self.files.get_mut(file).ok_or_else(|| "it is gone".to_owned())
    }

    /// Puts another text in the place of a file's: it differs in this piece of an entry.
    pub fn put(&mut self, entry: &Configured, after: String, piece: &Replaced) -> Result<(), String> {
        let change = self.change(Path::new(&entry.file))?;
        // The name of the first member that changes belongs to it for a reader.
        let head = after.find(&piece.after).and_then(|at| after.get(..at)).unwrap_or_default();
        let key = head.rsplit(['\n', '{', ',']).next().unwrap_or_default().trim_start();
        let shown = Replaced { before: format!("{key}{}", piece.before), after: format!("{key}{}", piece.after) };
        change.after = after;
        change.pieces.push((entry.name.clone(), shown));
        Ok(())
    }

    /// Puts the gateway in front of an entry.
    pub fn wrap(&mut self, entry: &Configured, front: &Front) -> Result<Replaced, String> {
        let text = self.text(Path::new(&entry.file))?;
        let (after, piece) =
            clients::put_in_front(&entry.file, text, entry, front).map_err(|error| error.to_string())?;
        self.put(entry, after, &piece)?;
        Ok(piece)
    }

    /// Whether no file changes.
    pub fn is_empty(&self) -> bool {
        self.files.values().all(|change| change.before == change.after)
    }

    /// What is changed, without the values that the entries hand to their servers.
    pub fn shown(&self) -> String {
        let mut text = String::new();
        for (path, change) in &self.files {
            if change.pieces.is_empty() {
                continue;
            }
            let _ = writeln!(text, "{}", escape(&path.to_string_lossy()));
            let Some(values) = values(path, [&change.before, &change.after]) else {
                let _ = writeln!(text, "(not shown: it cannot be told what in it is a secret)");
                continue;
            };
            for (server, piece) in &change.pieces {
                let (before, after) = (masked(&piece.before, &values), masked(&piece.after, &values));
                let diff = similar::TextDiff::from_lines(before.as_str(), after.as_str());
                let _ = writeln!(text, "@@ {} @@", escape(server.as_str()));
                for line in diff.iter_all_changes() {
                    let _ = writeln!(text, "{}{}", line.tag(), escape(line.value().trim_end_matches(['\r', '\n'])));
                }
            }
        }
        text.push('\n');
        text
    }

    /// Keeps a copy of every file as it is.
    pub fn back_up(&self, kept: &WrapStore) -> Result<(), Failure> {
        for (path, change) in self.changed() {
            kept.back_up(path, &change.before)?;
        }
        Ok(())
    }

    /// Writes every file, through links to where it is, with the permissions that it has. Answers those that were left as
    /// they are, without links; the others are written all the same.
    pub fn write(&self) -> Vec<(PathBuf, Failure)> {
        let left = |(path, change): (&PathBuf, &FileChange)| Some((real(path), Self::write_one(path, change).err()?));
        self.changed().filter_map(left).collect()
    }

    fn write_one(path: &Path, change: &FileChange) -> Result<(), Failure> {
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
        // A file in the place of one of several names would leave the other names with the old text.
        if has_other_names(&real) {
            in_place(&real, &change.after)?;
        } else {
            atomically(&real, &change.after, Existing::Replace)?;
        }
        output::people(&format!("wrote {}\n", escape(&path.to_string_lossy())));
        Ok(())
    }

    fn changed(&self) -> impl Iterator<Item = (&PathBuf, &FileChange)> {
        self.files.iter().filter(|(_, change)| change.before != change.after)
    }
}

/// What is not to be seen of a file, longest first: every variable and header, and of arguments and addresses what is or
/// holds a secret. `None` where the file cannot be read any more, or a value is written in a way that cannot be found in its
/// text.
fn values(path: &Path, texts: [&String; 2]) -> Option<Vec<String>> {
    let config = clients::load(path, &Inputs::new()).ok()?;
    let mut values = BTreeSet::new();
    for server in &config.servers {
        for value in &server.values {
            let text = value.value.reveal();
            let is_handed = matches!(value.kind, ValueKind::Env | ValueKind::Header);
            if is_handed || names_a_secret(&value.name) || looks_like_a_secret(text) || is_secret(value) {
                let spelled = spellings(text);
                let is_there = |spelling: &Vec<String>| {
                    spelling.iter().all(|part| texts.iter().any(|text| text.contains(part.as_str())))
                };
                if value.written == Written::Literally && !spelled.iter().any(is_there) {
                    return None;
                }
                values.extend(spelled.into_iter().flatten());
            }
        }
        if let Target::Stdio(target) = &server.target {
            let hidden = target.argv.iter().zip(target.shown_argv()).filter(|(word, shown)| **word != *shown);
            values.extend(hidden.map(|(word, _)| word.clone()));
        }
    }
    let mut values: Vec<String> = values.into_iter().filter(|value| !value.is_empty()).collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    Some(values)
}

/// The ways in which a value may stand in a file, each as the parts that are found there: as it is, with the escapes of JSON,
/// and over several lines with the indentation of the file.
fn spellings(value: &str) -> [Vec<String>; 3] {
    let escaped = serde_json::Value::from(value).to_string();
    let escaped = escaped.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
    let lines = value.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
    [vec![value.to_owned()], vec![escaped.to_owned()], lines.collect()]
}

/// A text without these values. A short one is taken out where it is a whole text or ends a line: it may stand anywhere
/// else by chance.
fn masked(text: &str, values: &[String]) -> String {
    values.iter().fold(text.to_owned(), |text, value| {
        if value.len() >= MASKED_BYTES_MIN {
            return text.replace(value.as_str(), "…");
        }
        let quoted = ['"', '\'']
            .iter()
            .fold(text, |text, quote| text.replace(&format!("{quote}{value}{quote}"), &format!("{quote}…{quote}")));
        quoted.replace(&format!(": {value}\n"), ": …\n").replace(&format!(": {value}\r"), ": …\r")
    })
}
