//! The records in `catalog/` are what the rules of today make of the definitions in them. Whether the servers still say
//! the same is what `tests/real.sh` asks.

use crate::harness::{Sandbox, repository};

#[test]
fn records_are_current() {
    let sandbox = Sandbox::new();
    let catalog = repository().join("catalog");
    let catalog_text = catalog.to_str().unwrap();
    sandbox.run(&["scan", "--tools", catalog_text, "--format", "json", "--save", "again"]).quiet(0);
    let mut records = 0;
    for entry in std::fs::read_dir(&catalog).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".json") {
            records += 1;
            let stale = std::fs::read_to_string(&path).unwrap() != sandbox.read(&format!("again/{name}"));
            assert!(!stale, "catalog/{name} is stale: run `cargo run -- scan --tools catalog --save catalog`");
        }
    }
    assert!(records >= 11, "{records} records");
}
