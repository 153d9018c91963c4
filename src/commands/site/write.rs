//! The directory that a site is written into: only ever one of ours.

use super::super::Failure;
use crate::problem::reason;
use mcpol_site::SiteFile;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What every site has at its top, and how it begins.
const MARK: (&str, &str) = ("index.json", "{\n  \"format\": \"mcpol-catalogue\"");
/// When each entry of the feed was written first.
const SEEN: &str = "feed.json";
/// The folders whose pages are ours alone.
const FOLDERS: [&str; 3] = ["servers", "attacks", "policies"];

/// Names at the top of which there are more or fewer, depending on the records.
const NUMBERED: [(&str, &str); 2] = [("servers-", ".html"), ("sitemap", ".xml")];

/// A directory that is a site of ours, or becomes one.
pub(super) struct SiteFolder {
    top: PathBuf,
    /// Everything that this run has written.
    written: Mutex<BTreeSet<String>>,
}

impl SiteFolder {
    /// Makes the directory, where it is not there.
    ///
    /// # Errors
    /// It holds something else than a site, or cannot be made.
    pub fn open(top: &Path) -> Result<Self, Failure> {
        let shown = top.display();
        let cannot =
            |error: std::io::Error| Failure::usage(format!("cannot use the directory `{shown}`: {}", reason(&error)));
        std::fs::create_dir_all(top).map_err(cannot)?;
        let is_empty = std::fs::read_dir(top).map_err(cannot)?.next().is_none();
        if !is_empty && !is_site(top) {
            return Err(Failure::usage(format!("`{shown}` holds something else than a site of mcpol"))
                .with_help("name a new directory, an empty one, or one that `mcpol catalog build` has made"));
        }
        Ok(Self { top: top.to_owned(), written: Mutex::default() })
    }

    /// Writes files; one whose bytes would not change is not touched.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, files: Vec<SiteFile>) -> Result<(), Failure> {
        for SiteFile { path, text } in &files {
            let place = self.top.join(path);
            let cannot = |error: std::io::Error| {
                Failure::usage(format!("cannot write `{}`: {}", place.display(), reason(&error)))
            };
            if let Some(folder) = place.parent() {
                std::fs::create_dir_all(folder).map_err(cannot)?;
            }
            if std::fs::read(&place).ok().as_deref() != Some(text.as_bytes()) {
                std::fs::write(&place, text).map_err(cannot)?;
            }
        }
        if let Ok(mut written) = self.written.lock() {
            written.extend(files.into_iter().map(|file| file.path));
        }
        Ok(())
    }

    /// When each entry of the feed was written first, as an earlier run has noted it.
    pub fn seen(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.top.join(SEEN)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Notes when each entry of the feed was written first.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&self, seen: &BTreeMap<String, String>) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(seen).map_err(super::super::output::internal)? + "\n";
        self.write(vec![SiteFile { path: SEEN.to_owned(), text }])
    }

    /// Removes pages of an earlier run that this one did not write, in the folders that are ours alone.
    ///
    /// # Errors
    /// A page cannot be removed.
    pub fn sweep(self) -> Result<(), Failure> {
        let written = self.written.into_inner().unwrap_or_default();
        for folder in FOLDERS {
            sweep(&self.top, folder, &written)?;
        }
        let cannot =
            |error: std::io::Error| Failure::usage(format!("cannot tidy `{}`: {}", self.top.display(), reason(&error)));
        for entry in std::fs::read_dir(&self.top).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = NUMBERED.iter().any(|(head, tail)| name.starts_with(head) && name.ends_with(tail));
            if is_ours && !written.contains(&name) && entry.file_type().map_err(cannot)?.is_file() {
                std::fs::remove_file(entry.path()).map_err(cannot)?;
            }
        }
        Ok(())
    }
}

/// Whether a directory is a site of ours.
pub(in crate::commands) fn is_site(top: &Path) -> bool {
    std::fs::read_to_string(top.join(MARK.0)).is_ok_and(|text| text.starts_with(MARK.1))
}

fn sweep(top: &Path, folder: &str, written: &BTreeSet<String>) -> Result<(), Failure> {
    let place = top.join(folder);
    // What is no folder, or leads elsewhere, is not ours.
    if place.is_symlink() || !place.is_dir() {
        return Ok(());
    }
    let cannot =
        |error: std::io::Error| Failure::usage(format!("cannot tidy `{}`: {}", place.display(), reason(&error)));
    for entry in std::fs::read_dir(&place).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{folder}/{name}");
        if entry.file_type().map_err(cannot)?.is_dir() {
            sweep(top, &path, written)?;
            // A folder that is not empty stays.
            let _ = std::fs::remove_dir(entry.path());
        } else if !written.contains(&path) && (name.ends_with(".html") || name.ends_with(".json")) {
            std::fs::remove_file(entry.path()).map_err(cannot)?;
        }
    }
    Ok(())
}
