//! The pictures in README.md are real output: each `console` block is its command and what that prints today.

use crate::harness::{Sandbox, repository};

/// Columns of the pictures.
const COLUMNS: &str = "110";

/// README.md with every `console` block printed anew.
fn drawn(readme: &str) -> String {
    let sandbox = Sandbox::new().with_env("COLUMNS", COLUMNS);
    let (mut out, mut rest, mut blocks) = (String::new(), readme, 0);
    while let Some(at) = rest.find("```console\n$ mcpol ") {
        let command_at = at + "```console\n$ mcpol ".len();
        let command_end = command_at + rest[command_at..].find('\n').unwrap();
        let args: Vec<_> = rest[command_at..command_end].split_whitespace().collect();
        let (stdout, _) = sandbox.run(&args).both(0);
        out.push_str(&rest[..=command_end]);
        out.push_str(stdout.trim_end());
        out.push_str("\n```");
        rest = &rest[command_end..];
        rest = &rest[rest.find("\n```").unwrap() + "\n```".len()..];
        blocks += 1;
    }
    assert!(blocks >= 2, "{blocks} console blocks");
    out + rest
}

/// `MCPOL_UPDATE_README=1 cargo test readme` draws them anew.
#[test]
fn pictures_are_current() {
    let path = repository().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let drawn = drawn(&readme);
    let update = std::env::var_os("MCPOL_UPDATE_README").is_some();
    if update {
        std::fs::write(&path, &drawn).unwrap();
    }
    assert!(update || readme == drawn, "README.md is out of date: run `MCPOL_UPDATE_README=1 cargo test readme`");
}

#[test]
fn exit_codes_are_those_of_the_program() {
    use mcpol::exit::Exit::{Clean, Findings, Internal, Interrupted, Nothing, Unreachable, Usage};
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let table = readme.split("## Exit codes").nth(1).unwrap().split("##").next().unwrap();
    let listed: Vec<u8> = table.lines().filter_map(|line| line.split('|').nth(1)?.trim().parse().ok()).collect();
    let codes = [Clean, Findings, Usage, Unreachable, Nothing, Internal, Interrupted].map(|exit| exit.code());
    assert_eq!(listed, codes);
}
