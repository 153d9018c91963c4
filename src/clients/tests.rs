//! Every client's form, every way an entry can be wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail")]

use super::*;
use crate::mcp::target::names_a_secret;

fn env(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "from-env".to_owned())
}

fn config(path: &str, text: &str) -> ConfigFile {
    let file = |path: &Path| {
        (path.ends_with(".env") || path.ends_with(".claude/settings.local.json"))
            .then(|| {
                if path.ends_with(".env") {
                    "E=from-file\nA=0\n".to_owned()
                } else {
                    r#"{"disabledMcpjsonServers": ["off"]}"#.to_owned()
                }
            })
            .ok_or_else(|| "no such file or directory".to_owned())
    };
    let input = |id: &str| (id == "given").then(|| "typed".to_owned());
    read(Path::new(path), text, &Around { env: &env, input: &input, file: &file, home: None })
}

fn client(id: &str) -> Client {
    Client::of_id(id).unwrap()
}

/// One line a server: client, name, where it is, what it gets.
fn summary(config: &ConfigFile) -> Vec<String> {
    let line = |server: &Configured| {
        let target = match &server.target {
            Target::Stdio(target) => {
                let env: Vec<_> =
                    target.env.iter().map(|(name, value)| format!(" {name}={}", value.reveal())).collect();
                format!("{}{}", target.argv.join(" "), env.concat())
            }
            Target::Http(target) => {
                let headers: Vec<_> =
                    target.headers.iter().map(|(name, value)| format!(" {name}: {}", value.reveal())).collect();
                format!("{}{}", target.url, headers.concat())
            }
        };
        format!("{}/{} {target}", server.client, server.name)
    };
    config.servers.iter().map(line).collect()
}

#[track_caller]
fn check(path: &str, text: &str, expected: &[&str]) {
    let got = config(path, text);
    assert_eq!(got.problems, [], "{path}");
    assert_eq!(summary(&got), expected, "{path}");
}

#[test]
fn every_client_keeps_its_servers_in_its_own_form() {
    check(
        "claude_desktop_config.json",
        r#"{"mcpServers": {"files": {"command": "npx", "args": ["-y", "x", "${TOKEN}"], "env": {"A": "1"}}}}"#,
        &["Claude Desktop/files npx -y x ${TOKEN} A=1"],
    );
    check(
        ".mcp.json",
        r#"{"mcpServers": {"a": {"type": "http", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer ${TOKEN}"}}}}"#,
        &["Claude Code/a https://a.example/mcp Authorization: Bearer from-env"],
    );
    check(
        "home/.claude.json",
        r#"{"numStartups": 3, "mcpServers": {"user": {"command": "u"}}, "projects": {"/src/shop": {"mcpServers":
           {"shop": {"command": "s"}, "off": {"command": "o"}}, "disabledMcpServers": ["off"], "history": []}, "/other": {}}}"#,
        &["Claude Code/user u", "Claude Code/shop s"],
    );
    check(
        ".cursor/mcp.json",
        r#"{"mcpServers": {"a": {"command": "c", "env": {"T": "${env:TOKEN}"}}}}"#,
        &["Cursor/a c T=from-env"],
    );
    check(
        ".vscode/mcp.json",
        "{\n// servers of this project\n\"inputs\": [{\"id\": \"k\"}],\n\"servers\": {\"a\": {\"type\": \"stdio\", \"command\": \"c\", \"env\": {\"K\": \"${env:TOKEN}\", \"N\": null}},},}",
        &["VS Code/a c K=from-env"],
    );
    check(
        "Code/User/settings.json",
        r#"{"editor.fontSize": 12, "mcp": {"servers": {"a": {"command": "c"}}}}"#,
        &["VS Code/a c"],
    );
    check(
        "Code/User/settings.json",
        r#"{"mcp.servers": {"a": {"url": "http://localhost:1/mcp"}}}"#,
        &["VS Code/a http://localhost:1/mcp"],
    );
    check(
        "windsurf/mcp_config.json",
        r#"{"mcpServers": {"a": {"serverUrl": "https://a.example/sse"}}}"#,
        &["Windsurf/a https://a.example/sse"],
    );
    check(
        ".gemini/settings.json",
        r#"{"theme": "x", "mcp": {"excluded": ["off"]}, "mcpServers": {"a": {"httpUrl": "https://a.example/mcp"}, "b": {"command": "c", "args": ["$TOKEN"]}, "off": {"command": "o"}}}"#,
        &["Gemini/a https://a.example/mcp", "Gemini/b c from-env"],
    );
    check(
        ".codex/config.toml",
        "model = \"x\"\n[mcp_servers.a]\ncommand = \"c\"\nargs = [\"--port\", \"80\"]\nenv = { A = \"1\" }\nenv_vars = [\"TOKEN\"]\n\n[mcp_servers.b]\nurl = \"https://b.example/mcp\"\nbearer_token_env_var = \"TOKEN\"\n[mcp_servers.c]\ncommand = \"c\"\nenabled = false\n",
        &["Codex/a c --port 80 A=1 TOKEN=from-env", "Codex/b https://b.example/mcp Authorization: Bearer from-env"],
    );
    check(
        "zed/settings.json",
        r#"{"context_servers": {"old": {"command": {"path": "p", "args": ["x"], "env": {"A": "1"}}, "settings": {}},
           "new": {"source": "custom", "command": "c", "args": []}, "ext": {"settings": {"k": 1}}}}"#,
        &["Zed/old p x A=1", "Zed/new c"],
    );
}

#[test]
fn every_shape_is_read() {
    check(
        ".config/opencode/opencode.jsonc",
        r#"{"mcp": {"a": {"type": "local", "command": ["c", "x"], "environment": {"K": "{env:TOKEN}"}, "enabled": true},
           "b": {"type": "remote", "url": "https://b.example/mcp"}, "off": {"type": "local", "command": ["o"], "enabled": false}}}"#,
        &["opencode/a c x K=from-env", "opencode/b https://b.example/mcp"],
    );
    check(
        ".config/crush/crush.json",
        r#"{"mcp": {"a": {"type": "stdio", "command": "c", "args": ["$TOKEN"]}}}"#,
        &["Crush/a c from-env"],
    );
    check(".config/amp/settings.json", r#"{"amp.mcpServers": {"a": {"command": "c"}}}"#, &["Amp/a c"]);
    check("plugin/.mcp.json", r#"{"s": {"command": "c"}}"#, &["Claude Code plugin/s c"]);
    check(
        "x.code-workspace",
        r#"{"folders": [], "settings": {"mcp": {"servers": {"s": {"command": "c"}}}}}"#,
        &["VS Code/s c"],
    );
    check(
        ".devcontainer/devcontainer.json",
        r#"{"image": "x", "customizations": {"vscode": {"mcp": {"servers": {"s": {"command": "c"}}}}}}"#,
        &["VS Code/s c"],
    );
    check(
        "goose/config.yaml",
        "GOOSE_MODEL: x\nextensions:\n  developer:\n    type: builtin\n    enabled: true\n  a:\n    type: stdio\n    cmd: c\n    args: [x, 80]\n    envs: {K: v}\n    env_keys: [TOKEN]\n    enabled: true\n  b:\n    type: streamable_http\n    uri: https://b.example/mcp\n    headers:\n      X-Key: k\n",
        &["Goose/a c x 80 K=v TOKEN=from-env", "Goose/b https://b.example/mcp X-Key: k"],
    );
    check(
        ".continue/mcpServers/x.yaml",
        "name: x\nmcpServers:\n  - name: a\n    command: c\n    args:\n      - -y\n    env:\n      K: ${{ secrets.TOKEN }}\n  - name: b\n    type: streamable-http\n    url: https://b.example/mcp\n    requestOptions:\n      headers:\n        X-Key: k\n",
        &["Continue/a c -y K=from-env", "Continue/b https://b.example/mcp X-Key: k"],
    );
    check(
        "librechat.yaml",
        "mcpServers:\n  a:\n    command: c\n    args: &x ['1']\n  b:\n    command: d\n    args: *x\n",
        &["LibreChat/a c 1", "LibreChat/b d 1"],
    );
    check(
        "bundle/manifest.json",
        r#"{"manifest_version": "0.3", "name": "n", "server": {"type": "node", "mcp_config": {"command": "node", "args": ["x.js"], "env": {"K": "${user_config.given}"}}}}"#,
        &["MCP bundle/n node x.js K=typed"],
    );
    check(
        "server.json",
        r#"{"name": "io.x/n", "version": "1", "packages": [{"registryType": "npm", "identifier": "@x/n", "version": "1.0.0", "transport": {"type": "stdio"},
           "packageArguments": [{"type": "named", "name": "--dir", "value": "d"}], "environmentVariables": [{"name": "given", "isRequired": true}, {"name": "O"}]},
           {"registryType": "oci", "identifier": "docker.io/x/n", "version": "2"}], "remotes": [{"type": "streamable-http", "url": "https://n.example/mcp"}]}"#,
        &[
            "MCP registry/io.x/n npx -y @x/n@1.0.0 --dir d given=typed",
            "MCP registry/io.x/n (2) docker run -i --rm docker.io/x/n:2",
            "MCP registry/io.x/n (3) https://n.example/mcp",
        ],
    );
}

#[test]
fn what_the_client_would_start_is_what_is_read() {
    // The file with variables, under what the entry says itself.
    check(
        "/src/shop/.vscode/mcp.json",
        r#"{"servers": {"a": {"command": "c", "envFile": "${workspaceFolder}/.env", "env": {"A": "1", "I": "${input:given}"}}}}"#,
        &["VS Code/a c A=1 E=from-file I=typed"],
    );
    let got = config(".vscode/mcp.json", r#"{"servers": {"a": {"command": "c", "envFile": "gone"}}}"#);
    assert!(got.problems[0].message.contains("cannot be read: no such file"), "{:?}", got.problems);
    // Variables passed on by name may be objects.
    check(
        ".codex/config.toml",
        "[mcp_servers.a]\ncommand = \"c\"\nenv_vars = [{ name = \"TOKEN\", source = \"local\" }]\n",
        &["Codex/a c TOKEN=from-env"],
    );
    assert_eq!(config(".codex/config.toml", "[mcp_servers.a]\ncommand = \"c\"\nenv_vars = [3]\n").problems.len(), 1);
    // Servers of a project start there, those of a user where the client starts.
    let cwd = |path: &str, entry: &str| {
        let got = config(path, &format!("{{\"mcpServers\": {{\"a\": {entry}}}}}"));
        let Target::Stdio(target) = &got.servers[0].target else { panic!("a command") };
        target.cwd.clone().map(|cwd| cwd.display().to_string())
    };
    assert_eq!(cwd("/src/shop/.mcp.json", r#"{"command": "c"}"#).as_deref(), Some("/src/shop"));
    assert_eq!(cwd("/src/shop/.cursor/mcp.json", r#"{"command": "c"}"#).as_deref(), Some("/src/shop"));
    assert_eq!(cwd("/src/shop/.mcp.json", r#"{"command": "c", "cwd": "tools"}"#).as_deref(), Some("/src/shop/tools"));
    assert_eq!(cwd("/h/.codeium/windsurf/mcp_config.json", r#"{"command": "c"}"#), None);
    assert_eq!(cwd("/h/x.json", r#"{"command": "c"}"#), None);
}

#[test]
fn servers_that_the_client_does_not_start_are_left_out() {
    for (path, text) in [
        (
            ".gemini/settings.json",
            r#"{"mcp": {"allowed": ["a"]}, "mcpServers": {"a": {"command": "c"}, "off": {"command": "o"}}}"#,
        ),
        (
            ".qwen/settings.json",
            r#"{"allowMCPServers": ["a"], "mcpServers": {"a": {"command": "c"}, "off": {"command": "o"}}}"#,
        ),
        (
            ".gemini/settings.json",
            r#"{"excludeMCPServers": ["off"], "mcpServers": {"a": {"command": "c"}, "off": {"command": "o"}}}"#,
        ),
        ("/src/shop/.mcp.json", r#"{"mcpServers": {"a": {"command": "c"}, "off": {"command": "o"}}}"#),
        ("f.json", r#"{"mcpServers": {"a": {"command": "off"}, "a": {"command": "c"}}}"#),
    ] {
        let got = config(path, text);
        let lines = summary(&got);
        assert!(
            lines.len() == 1 && lines[0].ends_with("/a c") && got.notes.len() == 1,
            "{path}: {lines:?} {:?}",
            got.notes
        );
    }
}

#[test]
fn an_unknown_file_is_recognised_by_its_content() {
    for (text, client) in [
        (r#"{"mcpServers": {"a": {"command": "${TOKEN}"}}}"#, Client::OTHER),
        (r#"{"servers": {"a": {"command": "${env:TOKEN}"}}}"#, client("vs-code")),
        (r#"{"context_servers": {}}"#, client("zed")),
        ("[mcp_servers.a]\ncommand = \"from-env\"", client("codex")),
    ] {
        let got = config("some.file", text);
        assert_eq!((got.client, got.recognised), (client, true), "{text}");
        assert!(summary(&got).iter().all(|line| line.ends_with("/a from-env")), "{text}");
    }
    for text in [r#"{"servers": ["a"]}"#, r#"{"servers": {"port": 80}}"#, "{}", "title = 'x'"] {
        assert!(!config("some.file", text).recognised, "{text}");
    }
}

#[test]
fn an_invalid_file_says_where() {
    for (text, place) in [
        ("{\n  \"mcpServers\": {\n    \"é\": {,}\n  }\n}", (3, 11)),
        ("{\"mcpServers\": {'a': {}}}", (1, 17)),
        ("[mcp_servers.a]\ncommand = c\n", (2, 11)),
        ("", (1, 1)),
    ] {
        let got = config("f", text);
        assert!(!got.recognised);
        let found = got.problems.first().and_then(|problem| problem.place);
        assert_eq!(found.map(|place| (place.line, place.column)), Some(place), "{text}\n{:?}", got.problems);
    }
}

#[test]
fn a_wrong_entry_is_a_problem_and_the_others_are_read() {
    for (entry, pointer, message) in [
        ("5", "/mcpServers/bad~1one", "not an object"),
        ("{}", "/mcpServers/bad~1one", "neither a `command` nor a `url`"),
        (r#"{"command": 5}"#, "/mcpServers/bad~1one/command", "not a string"),
        (r#"{"command": " "}"#, "/mcpServers/bad~1one/command", "empty"),
        (r#"{"command": "c", "args": "x"}"#, "/mcpServers/bad~1one/args", "not a list of strings"),
        (r#"{"command": "c", "args": ["x", {}]}"#, "/mcpServers/bad~1one/args/1", "not a string"),
        (r#"{"command": "c", "env": ["x"]}"#, "/mcpServers/bad~1one/env", "not an object of names and strings"),
        (r#"{"command": "c", "env": {"A": []}}"#, "/mcpServers/bad~1one/env/A", "not a string"),
        (r#"{"url": "nowhere"}"#, "/mcpServers/bad~1one/url", "not a URL: relative URL without a base"),
        (r#"{"url": "file:///x"}"#, "/mcpServers/bad~1one/url", "neither an http nor an https URL"),
    ] {
        let got = config(
            "f.json",
            &format!("{{\"mcpServers\": {{\n\"bad/one\": {entry},\n\"good\": {{\"command\": \"c\"}}}}}}"),
        );
        assert_eq!(summary(&got), ["MCP client/good c"], "{entry}");
        let problem = got.problems.first().unwrap();
        assert_eq!((got.problems.len(), problem.pointer.as_str(), problem.message.as_str()), (1, pointer, message));
        assert_eq!(problem.place.map(|place| place.line), Some(2));
    }
}

#[test]
fn disabled_entries_are_left_out_and_said_to_be() {
    let got = config(
        "f.json",
        r#"{"mcpServers": {"a": {"command": "c", "disabled": true}, "b": {"command": "c", "enabled": false}, "c": {"command": "c", "disabled": false}}}"#,
    );
    assert_eq!(summary(&got), ["MCP client/c c"]);
    let notes: Vec<_> = got.notes.iter().map(|note| note.message.as_str()).collect();
    assert_eq!(notes, ["`a` is left out: it is disabled", "`b` is left out: it is disabled"]);
}

#[test]
fn secrets_written_out_are_told_from_references_and_never_shown() {
    let text = r#"{"mcpServers": {
  "a": {"command": "c", "args": ["--api-key", "s3cr3t-a", "--url=s3cr3t-b", "${TOKEN}", "plain"], "env": {"A_TOKEN": "s3cr3t-c", "B_TOKEN": "${TOKEN}", "C": ""}},
  "b": {"url": "https://b.example/mcp?key=s3cr3t-d", "headers": {"Authorization": "Bearer s3cr3t-e"}}}}"#;
    let got = config(".mcp.json", text);
    let values: Vec<_> = got
        .servers
        .iter()
        .flat_map(|server| &server.values)
        .map(|value| format!("{:?} {} {:?} {}", value.kind, value.name, value.written, value.value.reveal()))
        .collect();
    assert_eq!(
        values,
        [
            "Argument --api-key Literally s3cr3t-a",
            "Argument --url Literally s3cr3t-b",
            "Argument argument 4 ByReference from-env",
            "Argument argument 5 Literally plain",
            "Env A_TOKEN Literally s3cr3t-c",
            "Env B_TOKEN ByReference from-env",
            "Env C Empty ",
            "Url key Literally s3cr3t-d",
            "Header Authorization Literally Bearer s3cr3t-e",
        ]
    );
    assert!(got.servers[0].values.iter().filter(|value| names_a_secret(&value.name)).count() == 3);
    assert_eq!(got.servers[0].values[0].place.map(|place| (place.line, place.column)), Some((2, 47)));
    for server in &got.servers {
        let shown = format!("{:?}", server.values);
        assert!(!shown.contains("s3cr3t") && !shown.contains("from-env"), "{shown}");
        let source = format!("{:?}", crate::mcp::source_of(&server.target));
        for secret in ["s3cr3t-a", "s3cr3t-c", "s3cr3t-d", "s3cr3t-e", "from-env"] {
            assert!(!source.contains(secret), "{source}");
        }
    }
}

#[test]
fn what_is_not_set_is_named() {
    let got = config(
        ".vscode/mcp.json",
        r#"{"servers": {"a": {"command": "c", "env": {"A": "${env:NOT_SET}", "B": "${input:key}"}}}}"#,
    );
    let missing: Vec<_> = got.servers[0].missing.iter().map(String::as_str).collect();
    assert_eq!(missing, ["NOT_SET", "input:key"]);
}

#[test]
fn files_on_disk_are_read_up_to_their_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.json");
    assert!(load(&path, &Inputs::new()).unwrap_err().message.starts_with("cannot be read"));
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert_eq!(load(&path, &Inputs::new()).unwrap_err().message, "not UTF-8");
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(load(&path, &Inputs::new()).unwrap_err().message, "no MCP servers in this file");
    let found = Found { client: client("vs-code"), path: path.clone(), project: None };
    assert!(load_found(&found, &Inputs::new()).unwrap().is_none());
    std::fs::write(&path, r#"{"mcpServers": {}}"#).unwrap();
    assert!(load(&path, &Inputs::new()).unwrap().servers.is_empty());
    std::fs::File::options().write(true).open(&path).unwrap().set_len(CONFIG_BYTES_MAX + 1).unwrap();
    assert_eq!(load(&path, &Inputs::new()).unwrap_err().message, "longer than 64 MiB");
}

proptest::proptest! {
    /// Whatever stands in a file: an answer, and no entry lost without a word.
    #[test]
    fn every_entry_is_read_left_out_or_a_problem(
        entries in proptest::collection::vec(
            "(5|null|\\[\\]|\\{\\}|\\{\"command\": ?(1|\"c\"|\\{\\})(, \"(args|env|cwd|disabled|enabled)\": ?(true|false|\"x\"|\\[\"\\$\\{A\\}\", 3\\]|\\{\"k\": \"\\$\"\\}))?\\}|\\{\"url\": \"https?:[/a-z.?=]{0,12}\"\\})",
            0..6,
        ),
        client in 0..5_usize,
    ) {
        let path = [".mcp.json", "claude_desktop_config.json", ".cursor/mcp.json", ".gemini/settings.json", "other.json"][client];
        let members: Vec<_> = entries.iter().enumerate().map(|(n, entry)| format!("\"s{n}\": {entry}")).collect();
        let got = config(path, &format!("{{\"mcpServers\": {{{}}}}}", members.join(",\n")));
        proptest::prop_assert_eq!(got.servers.len() + got.problems.len() + got.notes.len(), entries.len());
    }

    #[test]
    fn no_text_is_too_strange(text in "[ \\n{}\\[\\]\":,$a-z=/*#.\u{e9}\u{feff}]{0,80}") {
        let got = config("f", &text);
        proptest::prop_assert!(got.recognised || got.servers.is_empty());
    }
}
