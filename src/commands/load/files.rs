//! Saved tool lists: files, directories of them, and standard input.

use super::super::Failure;
use super::{Configuration, Item};
use crate::catalog;
use crate::model::Listing;
use crate::problem::{Problem, reason};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// Bytes read from a file at a time.
const READ_BYTES: usize = 1 << 18;

/// Reads every file and hands over what is in it, files in the order of their paths, each once.
///
/// # Errors
/// Whatever `on` returned; reading stops there.
pub(super) fn each(paths: &[PathBuf], on: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut files = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            match catalog::tool_list_files(path) {
                Ok(found) if found.is_empty() => {
                    let message = "no `.json`, `.jsonl` or `.ndjson` file in this directory";
                    on(Item::Problem(problem(path, message.to_owned())))?;
                }
                Ok(found) => files.extend(found),
                Err(error) => on(Item::Problem(problem(path, reason(&error))))?,
            }
        } else {
            files.insert(path.clone());
        }
    }
    for path in files {
        // What `on` returns cannot leave the reader, so the first failure is kept and nothing more is handed over.
        let mut outcome = Ok(());
        let mut hand_over = |found: Result<Listing, Problem>| {
            if outcome.is_ok() {
                outcome = on(found
                    .map_or_else(Item::Problem, |listing| Item::Listing(Box::new(listing), Configuration::default())));
            }
        };
        let read = if path == Path::new("-") {
            catalog::read(io::stdin().lock(), "-", &mut hand_over)
        } else {
            File::open(&path).and_then(|file| {
                let input = BufReader::with_capacity(READ_BYTES, file);
                catalog::read(input, &path.to_string_lossy(), &mut hand_over)
            })
        };
        outcome?;
        if let Err(error) = read {
            on(Item::Problem(problem(&path, reason(&error))))?;
        }
    }
    Ok(())
}

fn problem(path: &Path, message: String) -> Problem {
    Problem { file: path.to_string_lossy().into_owned(), place: None, pointer: String::new(), message, help: None }
}
