//! `mcpol grant`: tokens are shown once and kept nowhere, and what is taken back is gone.

use crate::harness::Sandbox;
use serde_json::Value;
use std::path::Path;

fn sandbox() -> Sandbox {
    Sandbox::new().with_env("MCPOL_STATE_DIR", "state")
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

fn listed(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.run(&["grant", "list", "--format", "json"]).quiet(0)).unwrap()
}

#[test]
fn a_token_stands_alone_on_stdout_and_in_no_file() {
    let sandbox = sandbox();
    let (out, said) = sandbox.run(&["grant", "create", "alice", "--server", "github", "--expires", "30d"]).both(0);
    let token = out.strip_suffix('\n').unwrap();
    assert!(token.starts_with("mcpol_") && token.len() == 49 && !token.contains(char::is_whitespace), "{out}");
    assert!(said.contains("Grant alice is good for github until 20") && !said.contains(token), "{said}");
    let kept = files(&sandbox.dir());
    assert!(!kept.is_empty());
    for path in kept {
        let bytes = std::fs::read(&path).unwrap();
        // Neither the token nor its random part alone.
        let secret = &token.as_bytes()["mcpol_".len()..];
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
    }
    assert!(!sandbox.run(&["grant", "list"]).quiet(0).contains(token));
}

#[test]
fn grants_are_listed_for_people_and_machines() {
    let sandbox = sandbox();
    let (out, said) = sandbox.run(&["grant", "list"]).both(0);
    assert_eq!(out, "");
    assert!(said.contains("There are no grants"), "{said}");
    assert_eq!(listed(&sandbox)["grants"], serde_json::json!([]));
    assert!(!sandbox.dir().join("state").exists(), "looking makes no file");
    sandbox.write("p.json", r#"{"version":"1","default":"deny"}"#);
    let create = |args: &[&str]| sandbox.run(&[&["grant", "create"], args].concat()).both(0);
    create(&["bob", "--server", "files", "--server", "mail", "--server", "files", "--policy", "p.json"]);
    create(&["alice", "--server", "files", "--expires", "2099-12-31"]);
    let list = listed(&sandbox);
    assert_eq!(list["format"], "mcpol-grants");
    assert_eq!(list["grants"][0]["name"], "alice");
    assert_eq!(list["grants"][0]["expires"], "2100-01-01T00:00:00Z", "the last day counts to its end");
    assert_eq!(list["grants"][1]["servers"], serde_json::json!(["files", "mail"]));
    assert_eq!(list["grants"][1]["policy"], sandbox.dir().join("p.json").to_str().unwrap());
    let table = sandbox.run(&["grant", "list"]).quiet(0);
    assert!(table.contains("until 2100-01-01 00:00") && table.contains("2 grants: 2 active"), "{table}");
}

#[test]
fn a_name_is_taken_until_it_is_revoked() {
    let sandbox = sandbox();
    let create = ["grant", "create", "alice", "--server", "files"];
    let (first, _) = sandbox.run(&create).both(0);
    let error = sandbox.run(&create).refused(2);
    assert!(error.contains("a grant `alice` already") && error.contains("mcpol grant revoke alice"), "{error}");
    let (out, said) = sandbox.run(&["grant", "revoke", "alice"]).both(0);
    assert_eq!((out.as_str(), said.contains("Grant alice is revoked; the next request")), ("", true), "{said}");
    let (_, said) = sandbox.run(&["grant", "revoke", "alice"]).both(0);
    assert!(said.contains("revoked already since 20"), "{said}");
    assert_eq!(listed(&sandbox)["grants"][0]["state"], "revoked");
    let (second, _) = sandbox.run(&create).both(0);
    assert_ne!(first, second);
    assert_eq!(listed(&sandbox)["grants"][0]["state"], "active");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_kept() {
    let sandbox = sandbox();
    sandbox.write("bad.json", "{}");
    for (args, expected) in [
        (&["create", "a b", "--server", "s"][..], "letters, digits"),
        (&["create", "jwt:a", "--server", "s"], "letters, digits"),
        (&["create", "a"], "--server"),
        (&["create", "a", "--server", ""], "1 to 256 bytes"),
        (&["create", "a", "--server", "s", "--expires", "soon"], "30d"),
        (&["create", "a", "--server", "s", "--expires", "2020-01-01"], "is over already"),
        (&["create", "a", "--server", "s", "--policy", "none.json"], "no such file"),
        (&["create", "a", "--server", "s", "--policy", "bad.json"], "not a valid policy"),
        (&["create", "a", "--server", "s", "--state", "memory:"], "grants in memory cannot be reached"),
        (&["create", "a", "--server", "s", "--state", "redis://:hush@/x"], "the Redis URL"),
        (&["revoke", "nobody"], "there is no grant `nobody`"),
    ] {
        let error = sandbox.run(&[&["grant"], args].concat()).refused(2);
        assert!(error.contains(expected) && !error.contains("hush"), "{args:?}: {error}");
    }
    assert!(!sandbox.dir().join("state").exists());
}

#[test]
fn the_state_may_be_named_by_option_or_environment() {
    let sandbox = sandbox().with_env("MCPOL_STATE", "from-environment.db");
    let create = |name: &str, options: &[&str]| {
        sandbox.run(&[&["grant", "create", name, "--server", "s"], options].concat()).both(0)
    };
    create("a", &[]);
    create("b", &["--state", "from-option.db"]);
    assert_eq!(listed(&sandbox)["grants"][0]["name"], "a");
    assert!(sandbox.dir().join("from-option.db").exists() && !sandbox.dir().join("state").exists());
}
