//! Files as they are in a git revision, by the git program.

use super::super::Failure;
use super::baseline::BASELINE_BYTES_MAX;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is done with a list: its path and its bytes.
pub(super) type OnList<'a> = dyn FnMut(&str, &[u8]) -> Result<(), Failure> + 'a;

/// A commit that is here.
pub(super) struct Revision {
    name: String,
    commit: String,
}

impl Revision {
    /// The commit of this name.
    ///
    /// # Errors
    /// It is none, or git is missing.
    pub fn find(name: &str) -> Result<Self, Failure> {
        // What begins with a dash would be an option to git.
        if name.starts_with('-') || name.contains(':') {
            return Err(Failure::usage(format!("`{name}` is no git revision")));
        }
        let wanted = format!("{name}^{{commit}}");
        let found = git(name, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
        if !found.status.success() {
            return Err(Failure::usage(format!("`{name}` is neither a file nor a git revision here"))
                .with_help("in CI a shallow clone holds one revision only: fetch the other one first"));
        }
        let commit = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        Ok(Self { name: name.to_owned(), commit })
    }

    /// A file as it was; `None` where the revision does not have it.
    ///
    /// # Errors
    /// It is longer than [`BASELINE_BYTES_MAX`] or no text.
    pub fn text(&self, path: &str) -> Result<Option<String>, Failure> {
        let shown = git(&self.name, &["show", &format!("{}:{}", self.commit, relative(path))])?;
        if !shown.status.success() {
            return Ok(None);
        }
        if shown.stdout.len() > BASELINE_BYTES_MAX {
            return Err(self.too_long(path));
        }
        let text = String::from_utf8(shown.stdout);
        text.map(Some).map_err(|_| Failure::usage(format!("`{path}` in `{}` is not UTF-8", self.name)))
    }

    /// The tool lists below a path as they were, in the order of their paths, each handed over with the path that it has
    /// here. A directory's own files only, as everywhere.
    ///
    /// # Errors
    /// Git failed, a file is longer than [`BASELINE_BYTES_MAX`], or whatever `on` returned.
    pub fn lists(&self, path: &Path, on: &mut OnList<'_>) -> Result<(), Failure> {
        let shown = path.to_string_lossy();
        let inside = relative(&shown);
        let listed = git(&self.name, &["ls-tree", "-r", "-z", &self.commit, "--", &inside])?;
        // A path outside of the repository was not known to it.
        let entries = if listed.status.success() { listed.stdout } else { Vec::new() };
        let mut files: Vec<(String, String)> = Vec::new();
        for entry in String::from_utf8_lossy(&entries).split('\0') {
            let Some((head, file)) = entry.split_once('\t') else { continue };
            let mut head = head.split(' ').skip(1);
            let (Some("blob"), Some(id)) = (head.next(), head.next()) else { continue };
            if is_list(Path::new(file), Path::new(inside.trim_start_matches("./"))) {
                files.push((id.to_owned(), file.to_owned()));
            }
        }
        if files.is_empty() {
            return Ok(());
        }
        let mut reader = Command::new("git")
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot(&self.name, &error))?;
        let read = self.read(&mut reader, &files, on);
        drop(reader.stdin.take());
        let _ = reader.wait();
        read
    }

    fn read(
        &self,
        reader: &mut std::process::Child,
        files: &[(String, String)],
        on: &mut OnList<'_>,
    ) -> Result<(), Failure> {
        let (Some(mut ask), Some(answers)) = (reader.stdin.take(), reader.stdout.take()) else { return Ok(()) };
        let mut answers = BufReader::new(answers);
        for (id, file) in files {
            let mut head = String::new();
            let mut bytes = Vec::new();
            let mut next = || {
                writeln!(ask, "{id}")?;
                ask.flush()?;
                answers.read_line(&mut head)?;
                let length = head.trim().rsplit(' ').next().and_then(|length| length.parse::<usize>().ok());
                let length = length.unwrap_or(usize::MAX);
                if length <= BASELINE_BYTES_MAX {
                    // With the line break that ends every answer.
                    answers.by_ref().take(length as u64 + 1).read_to_end(&mut bytes)?;
                }
                std::io::Result::Ok(length)
            };
            let length = next().map_err(|error| cannot(&self.name, &error))?;
            if length > BASELINE_BYTES_MAX {
                return Err(self.too_long(file));
            }
            bytes.truncate(length);
            on(file, &bytes)?;
        }
        Ok(())
    }

    fn too_long(&self, path: &str) -> Failure {
        Failure::usage(format!("`{path}` in `{}` is longer than {} MiB", self.name, BASELINE_BYTES_MAX >> 20))
    }
}

/// Whether a file is what a path names: the path itself, or a list right inside the directory.
fn is_list(file: &Path, path: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    let inside = if path == Path::new(".") { Path::new("") } else { path };
    file == path || (file.parent() == Some(inside) && matches!(extension, Some("json" | "jsonl" | "ndjson")))
}

/// A path as git wants it: from here where it is below here.
fn relative(path: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let below = Path::new(path).strip_prefix(&here).map(PathBuf::from).unwrap_or_else(|_| PathBuf::from(path));
    if below.is_absolute() {
        return below.to_string_lossy().into_owned();
    }
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    let parts: Vec<_> = parts.into_iter().filter(|part| part != ".").collect();
    if parts.is_empty() { ".".to_owned() } else { format!("./{}", parts.join("/")) }
}

fn git(revision: &str, arguments: &[&str]) -> Result<std::process::Output, Failure> {
    Command::new("git").args(arguments).stdin(Stdio::null()).output().map_err(|error| cannot(revision, &error))
}

fn cannot(revision: &str, error: &std::io::Error) -> Failure {
    let why = match error.kind() {
        std::io::ErrorKind::NotFound => "the git program is not installed".to_owned(),
        _ => error.to_string().to_lowercase(),
    };
    Failure::usage(format!("cannot look into `{revision}`: {why}"))
        .with_help("give a file instead: a lock, or a report with `--format json`")
}
