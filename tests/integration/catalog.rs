//! The records in `catalog/` are what the rules of today make of the definitions in them. Whether the servers still say
//! the same is what `tests/real.sh` and `catalog/refresh --check` ask.

use crate::harness::{Sandbox, repository};
use std::path::{Path, PathBuf};

/// Records that one run of the program judges: few enough for its deadline on a slow machine.
const RECORDS_A_RUN: usize = 10;

#[test]
fn records_are_current() {
    let catalog = repository().join("catalog");
    assert!(stale_in(&catalog) >= 11);
    if catalog.join("older").is_dir() {
        stale_in(&catalog.join("older"));
    }
}

/// Judges the records of a folder anew, a few in each run, and fails where one is not the same. Returns how many there are.
fn stale_in(folder: &Path) -> usize {
    let sandbox = Sandbox::new();
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut records: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    records.sort();
    for part in records.chunks(RECORDS_A_RUN) {
        let files: Vec<&str> = part.iter().map(|path| path.to_str().unwrap()).collect();
        let args = [&["scan", "--format", "json", "--save", "again", "--tools"], &files[..]].concat();
        sandbox.run(&args).quiet(0);
    }
    for path in &records {
        let name = path.file_name().unwrap().to_str().unwrap();
        let stale = std::fs::read_to_string(path).unwrap() != sandbox.read(&format!("again/{name}"));
        let folder = folder.display();
        assert!(!stale, "{name} is stale: run `mcpol scan --summary --tools {folder} --save {folder}`");
    }
    records.len()
}
