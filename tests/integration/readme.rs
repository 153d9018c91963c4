//! The pictures in README.md are real output: each `console` block is its command and what that prints today.

use crate::harness::{Sandbox, repository};

/// Columns of the pictures.
const COLUMNS: &str = "110";

/// Where the commands of the pictures run: with the catalogue, and nothing else.
fn place() -> Sandbox {
    let sandbox = Sandbox::new().with_env("COLUMNS", COLUMNS);
    std::os::unix::fs::symlink(repository().join("catalog"), sandbox.dir().join("catalog")).unwrap();
    sandbox
}

/// README.md with every `console` block printed anew: what goes to standard output, else what a person is told.
fn drawn(readme: &str) -> String {
    let sandbox = place();
    let (mut out, mut rest, mut blocks) = (String::new(), readme, 0);
    while let Some(at) = rest.find("```console\n$ mcpol ") {
        let command_at = at + "```console\n$ mcpol ".len();
        let command_end = command_at + rest[command_at..].find('\n').unwrap();
        let args: Vec<_> = rest[command_at..command_end].split_whitespace().collect();
        let (stdout, stderr) = sandbox.run(&args).both(0);
        out.push_str(&rest[..=command_end]);
        out.push_str(if stdout.is_empty() { &stderr } else { &stdout }.trim_end());
        out.push_str("\n```");
        rest = &rest[command_end..];
        rest = &rest[rest.find("\n```").unwrap() + "\n```".len()..];
        blocks += 1;
    }
    assert!(blocks >= 4, "{blocks} console blocks");
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

/// A text without the seconds that are left of a minute.
fn timeless(text: &str) -> String {
    let mut parts = text.split("retry in ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + "retry in " + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn the_third_act_is_as_the_demo_plays_it() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let picture = readme.split("```text\n").nth(1).unwrap().split("\n```").next().unwrap();
    let (played, _) = Sandbox::new().run(&["demo"]).both(0);
    assert!(timeless(&played).contains(&timeless(picture)), "{played}");
}

/// What the page calls first works where clients are configured, where one of their files is broken, and where nothing is.
#[test]
fn the_first_commands_work_on_every_machine() {
    for file in
        [None, Some(r#"{"mcpServers": {"a": {"command": "mcpol-test-no-such-command"}}}"#), Some("{"), Some("{}")]
    {
        let sandbox = Sandbox::new().with_writable_home();
        if let Some(text) = file {
            std::fs::create_dir(sandbox.home().join(".cursor")).unwrap();
            std::fs::write(sandbox.home().join(".cursor/mcp.json"), text).unwrap();
        }
        for command in ["demo", "scan"] {
            let (out, said) = sandbox.run(&[command]).both(0);
            assert!(out.contains("pause_focus_session"), "{file:?}: {said}");
        }
        let clients = sandbox.run(&["clients"]);
        assert!(matches!(clients.code, Some(0 | 2 | 4)), "{file:?}: {}", clients.stderr);
    }
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
