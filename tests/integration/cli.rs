//! What holds for every subcommand: help, version, usage errors.

use crate::harness::Sandbox;

const SUBCOMMANDS: [&str; 28] = [
    "scan",
    "explain",
    "annotate",
    "catalog",
    "gen-policy",
    "policy",
    "rules",
    "lock",
    "check",
    "clients",
    "wrap",
    "unwrap",
    "init",
    "schema",
    "config",
    "enforce",
    "login",
    "logout",
    "grant",
    "audit",
    "approvals",
    "limits",
    "status",
    "demo",
    "sample-server",
    "completions",
    "man",
    "help",
];

#[test]
fn version_is_one_line() {
    assert_eq!(Sandbox::new().run(&["--version"]).quiet(0), format!("mcpol {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_lists_every_subcommand_and_each_has_its_own() {
    let sandbox = Sandbox::new();
    let help = sandbox.run(&["--help"]).quiet(0);
    let mut listed: Vec<_> = help
        .lines()
        .take_while(|line| *line != "Options:")
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    listed.sort_unstable();
    let mut all = SUBCOMMANDS;
    all.sort_unstable();
    assert_eq!(listed, all);
    for name in SUBCOMMANDS.iter().filter(|name| **name != "help") {
        let text = sandbox.run(&[name, "--help"]).quiet(0);
        assert!(text.contains(&format!("Usage: mcpol {name}")), "{text}");
    }
}

#[test]
fn a_wrong_argument_is_exit_2() {
    let sandbox = Sandbox::new();
    let said = sandbox.run(&["scam"]).refused(2);
    assert!(said.contains("'scan'"), "the nearest subcommand is named: {said}");
    sandbox.run(&["scan", "--no-such-flag"]).refused(2);
}

#[test]
fn a_secret_in_a_wrong_argument_is_not_printed() {
    let sandbox = Sandbox::new();
    sandbox.write("policy.json", r#"{"version": "1", "default": "deny"}"#);
    for args in [
        &["--upstream", "ftp://me:hush@h/x"][..],
        &["--upstream", "http://127.0.0.1:99999/hush"],
        &["--upstream", "http://127.0.0.1:1/", "--header", "Authorization Bearer hush"],
        &["--upstream", "http://127.0.0.1:1/", "--header", "Auth or: Bearer hush"],
        &["--upstream", "http://127.0.0.1:1/", "--header", "A: hush\u{1}"],
        &["--upstream", "http://127.0.0.1:1/", "--state", "postgres://me:hush@h/0"],
    ] {
        let said = sandbox.run(&[&["enforce", "--policy", "policy.json"], args].concat()).refused(2);
        assert!(!said.contains("hush"), "{args:?}: {said}");
    }
}
