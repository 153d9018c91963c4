//! Entries of every syntax and layout: what is written, and that every byte comes back.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail")]

use super::*;
use std::path::Path;

fn read(file: &str, text: &str) -> ConfigFile {
    let none = |_: &str| None;
    let file_of = |_: &Path| Err("not there".to_owned());
    super::read(Path::new(file), text, &Around { env: &none, input: &none, file: &file_of, home: None })
}

fn front(name: &str) -> Front {
    Front { program: "/bin/mcpol".to_owned(), words: vec!["enforce".to_owned(), "--name".to_owned(), name.to_owned()] }
}

/// What a client would start for an entry: words of the command, then variables.
fn started(file: &str, text: &str, name: &str) -> String {
    let config = read(file, text);
    assert_eq!(config.problems, [], "{text}");
    let server = config.servers.iter().find(|server| server.name.as_str() == name).unwrap();
    let Target::Stdio(target) = &server.target else { panic!("no command: {text}") };
    let env: Vec<_> = target.env.iter().map(|(name, value)| format!(" {name}={}", value.reveal())).collect();
    format!("{}{}", target.argv.join(" "), env.concat())
}

/// Wraps `a`, compares the text and what is started, and takes it back.
#[track_caller]
fn check(file: &str, text: &str, after: &str, argv: &str) {
    let config = read(file, text);
    let server = config.servers.iter().find(|server| server.name.as_str() == "a").unwrap();
    let (got, piece) = put_in_front(file, text, server, &front("a")).unwrap();
    assert_eq!(got, after);
    assert_eq!(started(file, &got, "a"), argv);
    assert_eq!(put_back(&got, &piece).as_deref(), Some(text));
    // What was added elsewhere meanwhile stays.
    let edited = format!("{got}\n");
    assert_eq!(put_back(&edited, &piece), Some(format!("{text}\n")));
}

const ARGV: &str = "/bin/mcpol enforce --name a -- npx -y x K=v";

#[test]
fn json_keeps_comments_order_and_layout() {
    check(
        ".cursor/mcp.json",
        "{\"mcpServers\":{\"a\":{\"env\":{\"K\":\"v\"},\"command\":\"npx\",\"args\":[\"-y\",\"x\"]}}}",
        "{\"mcpServers\":{\"a\":{\"env\":{\"K\":\"v\"},\"command\":\"/bin/mcpol\",\"args\":[\"enforce\", \"--name\", \"a\", \"--\", \"npx\", \"-y\",\"x\"]}}}",
        ARGV,
    );
    check(
        ".vscode/mcp.json",
        "{\r\n  // mine\r\n  \"servers\": {\r\n    \"a\": {\r\n      \"command\": \"npx\", // the runner\r\n      \"args\": [\r\n        \"-y\", // yes\r\n        \"x\",\r\n      ],\r\n      \"env\": { \"K\": \"v\" },\r\n    },\r\n  },\r\n}\r\n",
        "{\r\n  // mine\r\n  \"servers\": {\r\n    \"a\": {\r\n      \"command\": \"/bin/mcpol\", // the runner\r\n      \"args\": [\r\n        \"enforce\",\r\n        \"--name\",\r\n        \"a\",\r\n        \"--\",\r\n        \"npx\",\r\n        \"-y\", // yes\r\n        \"x\",\r\n      ],\r\n      \"env\": { \"K\": \"v\" },\r\n    },\r\n  },\r\n}\r\n",
        ARGV,
    );
    // Without arguments, and with none.
    check(
        "\u{feff}x.json".trim_start_matches('\u{feff}'),
        "\u{feff}{\"mcpServers\": {\n  \"a\": {\n    \"command\": \"é\"\n  }\n}}",
        "\u{feff}{\"mcpServers\": {\n  \"a\": {\n    \"command\": \"/bin/mcpol\",\n    \"args\": [\"enforce\", \"--name\", \"a\", \"--\", \"é\"]\n  }\n}}",
        "/bin/mcpol enforce --name a -- é",
    );
    check(
        "x.json",
        r#"{"mcpServers": {"a": {"command": "c", "args": []}}}"#,
        r#"{"mcpServers": {"a": {"command": "/bin/mcpol", "args": ["enforce", "--name", "a", "--", "c"]}}}"#,
        "/bin/mcpol enforce --name a -- c",
    );
    // The forms of opencode and of the older Zed.
    check(
        "opencode.json",
        r#"{"mcp": {"a": {"type": "local", "command": ["npx", "-y", "x"], "environment": {"K": "v"}}}}"#,
        r#"{"mcp": {"a": {"type": "local", "command": ["/bin/mcpol", "enforce", "--name", "a", "--", "npx", "-y", "x"], "environment": {"K": "v"}}}}"#,
        ARGV,
    );
    check(
        "zed/settings.json",
        r#"{"context_servers": {"a": {"command": {"path": "npx", "args": ["-y", "x"], "env": {"K": "v"}}}}}"#,
        r#"{"context_servers": {"a": {"command": {"path": "/bin/mcpol", "args": ["enforce", "--name", "a", "--", "npx", "-y", "x"], "env": {"K": "v"}}}}}"#,
        ARGV,
    );
}

#[test]
fn toml_keeps_tables_inline_tables_and_comments() {
    check(
        ".codex/config.toml",
        "model = 'x'\n\n[mcp_servers.a] # mine\ncommand = \"npx\" # the runner\nargs = [\n  \"-y\", # yes\n  'x',\n]\n[mcp_servers.a.env]\nK = \"v\"\n[other]\n",
        "model = 'x'\n\n[mcp_servers.a] # mine\ncommand = \"/bin/mcpol\" # the runner\nargs = [\n  \"enforce\",\n  \"--name\",\n  \"a\",\n  \"--\",\n  \"npx\",\n  \"-y\", # yes\n  'x',\n]\n[mcp_servers.a.env]\nK = \"v\"\n[other]\n",
        ARGV,
    );
    check(
        ".codex/config.toml",
        "[mcp_servers]\na = { command = \"c\", env = { K = \"v\" } }\n",
        "[mcp_servers]\na = { command = \"/bin/mcpol\", args = [\"enforce\", \"--name\", \"a\", \"--\", \"c\"], env = { K = \"v\" } }\n",
        "/bin/mcpol enforce --name a -- c K=v",
    );
    check(
        ".codex/config.toml",
        "mcp_servers.a.command = 'c'\nmcp_servers.b.command = 'd'\n",
        "mcp_servers.a.command = \"/bin/mcpol\"\nmcp_servers.a.args = [\"enforce\", \"--name\", \"a\", \"--\", \"c\"]\nmcp_servers.b.command = 'd'\n",
        "/bin/mcpol enforce --name a -- c",
    );
}

#[test]
fn yaml_keeps_blocks_flows_and_comments() {
    check(
        "goose/config.yaml",
        "extensions:\n  a:   # mine\n    type: stdio\n    cmd: npx # the runner\n    args:\n      - -y  # yes\n      - \"x\"\n    envs: {K: v}\n    enabled: true\n",
        "extensions:\n  a:   # mine\n    type: stdio\n    cmd: \"/bin/mcpol\" # the runner\n    args:\n      - \"enforce\"\n      - \"--name\"\n      - \"a\"\n      - \"--\"\n      - \"npx\"\n      - -y  # yes\n      - \"x\"\n    envs: {K: v}\n    enabled: true\n",
        ARGV,
    );
    // A list's item, arguments at the column of their name, one more item behind.
    check(
        ".continue/mcpServers/x.yaml",
        "mcpServers:\n- name: a\n  command: npx\n  args:\n  - -y\n  - x\n  env:\n    K: v\n- name: b\n  command: d\n",
        "mcpServers:\n- name: a\n  command: \"/bin/mcpol\"\n  args:\n  - \"enforce\"\n  - \"--name\"\n  - \"a\"\n  - \"--\"\n  - \"npx\"\n  - -y\n  - x\n  env:\n    K: v\n- name: b\n  command: d\n",
        ARGV,
    );
    check(
        ".continue/mcpServers/x.yaml",
        "mcpServers:\n  - command: c\n    name: a\n",
        "mcpServers:\n  - command: \"/bin/mcpol\"\n    args: [\"enforce\", \"--name\", \"a\", \"--\", \"c\"]\n    name: a\n",
        "/bin/mcpol enforce --name a -- c",
    );
    check(
        "librechat.yaml",
        "mcpServers: {a: {command: npx, args: [-y, 'x'], env: {K: v}}}\n",
        "mcpServers: {a: {command: \"/bin/mcpol\", args: [\"enforce\", \"--name\", \"a\", \"--\", \"npx\", -y, 'x'], env: {K: v}}}\n",
        ARGV,
    );
}

#[test]
fn a_url_becomes_a_command_whose_headers_are_variables() {
    const UPSTREAM: &str = "/bin/mcpol enforce --name a --upstream https://a.example/mcp";
    check(
        ".vscode/mcp.json",
        "{\"servers\": {\n  \"a\": {\n    \"type\": \"http\",\n    \"url\": \"https://a.example/mcp\",\n    \"headers\": {\n      // of mine\n      \"X-Key\": \"k ey\"\n    }\n  }\n}}\n",
        "{\"servers\": {\n  \"a\": {\n    \"type\": \"stdio\",\n    \"command\": \"/bin/mcpol\",\n    \"args\": [\"enforce\", \"--name\", \"a\", \"--upstream\", \"https://a.example/mcp\", \"--header-env\", \"X-Key=MCPOL_HEADER_X_KEY\"],\n    \"env\": {\n      // of mine\n      \"MCPOL_HEADER_X_KEY\": \"k ey\"\n    }\n  }\n}}\n",
        &format!("{UPSTREAM} --header-env X-Key=MCPOL_HEADER_X_KEY MCPOL_HEADER_X_KEY=k ey"),
    );
    check(
        "opencode.json",
        r#"{"mcp": {"a": {"type": "remote", "url": "https://a.example/mcp", "headers": {"X": "y"}}}}"#,
        r#"{"mcp": {"a": {"type": "local", "command": ["/bin/mcpol", "enforce", "--name", "a", "--upstream", "https://a.example/mcp", "--header-env", "X=MCPOL_HEADER_X"], "environment": {"MCPOL_HEADER_X": "y"}}}}"#,
        &format!("{UPSTREAM} --header-env X=MCPOL_HEADER_X MCPOL_HEADER_X=y"),
    );
    check(
        "goose/config.yaml",
        "extensions:\n  a:\n    type: streamable_http\n    uri: https://a.example/mcp\n    headers:\n      X: y\n",
        "extensions:\n  a:\n    type: \"stdio\"\n    cmd: \"/bin/mcpol\"\n    args: [\"enforce\", \"--name\", \"a\", \"--upstream\", \"https://a.example/mcp\", \"--header-env\", \"X=MCPOL_HEADER_X\"]\n    envs:\n      MCPOL_HEADER_X: y\n",
        &format!("{UPSTREAM} --header-env X=MCPOL_HEADER_X MCPOL_HEADER_X=y"),
    );
    check(
        ".continue/config.yaml",
        "mcpServers:\n  - name: a\n    url: https://a.example/mcp\n    requestOptions:\n      headers:\n        X: y\n",
        "mcpServers:\n  - name: a\n    command: \"/bin/mcpol\"\n    args: [\"enforce\", \"--name\", \"a\", \"--upstream\", \"https://a.example/mcp\", \"--header-env\", \"X=MCPOL_HEADER_X\"]\n    env: {\"MCPOL_HEADER_X\": \"y\"}\n",
        &format!("{UPSTREAM} --header-env X=MCPOL_HEADER_X MCPOL_HEADER_X=y"),
    );
    check(
        ".codex/config.toml",
        "[mcp_servers.a]\nurl = \"https://a.example/mcp\"\n[mcp_servers.a.http_headers]\nX = \"y\"\n",
        "[mcp_servers.a]\ncommand = \"/bin/mcpol\"\nargs = [\"enforce\", \"--name\", \"a\", \"--upstream\", \"https://a.example/mcp\", \"--header-env\", \"X=MCPOL_HEADER_X\"]\n[mcp_servers.a.env]\nMCPOL_HEADER_X = \"y\"\n",
        &format!("{UPSTREAM} --header-env X=MCPOL_HEADER_X MCPOL_HEADER_X=y"),
    );
    let text = "[mcp_servers.a]\nurl = \"https://a.example/mcp\"\nbearer_token_env_var = \"T\"\n";
    let server = &read(".codex/config.toml", text).servers[0];
    let (after, piece) = put_in_front(".codex/config.toml", text, server, &front("a")).unwrap();
    assert!(after.contains("\"--bearer-env\", \"T\"") && after.contains("env_vars = [\"T\"]"), "{after}");
    assert_eq!(put_back(&after, &piece).as_deref(), Some(text));
}

#[test]
fn what_cannot_be_changed_in_place_is_left_alone() {
    for (file, text, expected) in [
        ("librechat.yaml", "x: &e {command: c}\nmcpServers:\n  a: *e\n", "stands elsewhere"),
        ("librechat.yaml", "x: &e [1]\nmcpServers:\n  a:\n    command: c\n    args: *e\n", "stands elsewhere"),
        ("librechat.yaml", "mcpServers:\n  a:\n    command: >\n      c\n", "stands elsewhere"),
        (
            ".codex/config.toml",
            "[mcp_servers.a]\nurl = \"https://a.example/\"\nenv_http_headers = { X = \"Y\" }\n",
            "several places",
        ),
        (
            "x.json",
            r#"{"mcpServers": {"a": {"url": "https://a.example/", "headers": {"X": "y"}, "env": {}}}}"#,
            "several places",
        ),
        (
            "bundle/manifest.json",
            r#"{"name": "a", "server": {"mcp_config": {"command": "c"}}}"#,
            "no entry of a client",
        ),
    ] {
        let config = read(file, text);
        let server = config.servers.first().unwrap_or_else(|| panic!("{text}: {:?}", config.problems));
        let error = put_in_front(file, text, server, &front("a")).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_file_that_was_laid_out_anew_is_read_for_what_stood_there() {
    for (file, text) in [
        (".cursor/mcp.json", r#"{"mcpServers": {"a": {"command": "npx", "args": ["-y", "x"], "env": {"K": "v"}}}}"#),
        (
            "opencode.json",
            r#"{"mcp": {"a": {"type": "local", "command": ["npx", "-y", "x"], "environment": {"K": "v"}}}}"#,
        ),
        (".codex/config.toml", "[mcp_servers.a]\ncommand = \"npx\"\nargs = [\"-y\", \"x\"]\nenv = { K = \"v\" }\n"),
        (
            "goose/config.yaml",
            "extensions:\n  a:\n    type: stdio\n    cmd: npx\n    args:\n      - -y\n      - x\n    envs: {K: v}\n",
        ),
        ("librechat.yaml", "mcpServers:\n  a: {command: c}\n"),
    ] {
        let before = started(file, text, "a");
        let server = &read(file, text).servers[0];
        let (wrapped, _) = put_in_front(file, text, server, &front("a")).unwrap();
        let anew = wrapped.replace(", ", ",   ").replace("\n", "\n\n");
        let server = &read(file, &anew).servers[0];
        let (back, _) = take_away(file, &anew, server).unwrap();
        assert_eq!(started(file, &back, "a"), before, "{back}");
    }
}

proptest::proptest! {
    /// Whatever stands around and in an entry: after wrapping the file says the same of all else, and every byte comes back.
    #[test]
    fn every_byte_comes_back(
        space in "[ \\n\\t]{0,3}",
        comment in "(// [a-z\u{e9}]{0,6}\\n)?",
        args in proptest::collection::vec("[a-z\u{e9}\"\\\\{}$ ,:-]{0,6}", 0..4),
        command in "[a-z/\u{e9}]{1,8}",
        with_args in proptest::bool::ANY,
        end in "(,)?",
    ) {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let list: Vec<String> = args.iter().map(|word| format!("{space}{}", quoted(word))).collect();
        let args_member = if with_args { format!(",{comment}{space}\"args\":{space}[{}{space}]", list.join(",")) } else { String::new() };
        let text = format!(
            "{{{comment}\"mcpServers\":{space}{{\"z\":{{\"command\":\"z\"}},{comment}\"a\":{space}{{{space}\"command\":{space}{}{args_member}{end}{space}}}{end}}}{space}}}",
            quoted(&command),
        );
        let config = read("x.json", &text);
        proptest::prop_assert_eq!(config.servers.len(), 2, "{}", text);
        let server = config.servers.iter().find(|server| server.name.as_str() == "a").unwrap();
        let (after, piece) = put_in_front("x.json", &text, server, &front("a")).unwrap();
        let mut expected = vec!["/bin/mcpol", "enforce", "--name", "a", "--", &command];
        if with_args {
            expected.extend(args.iter().map(String::as_str));
        }
        let again = read("x.json", &after);
        let Target::Stdio(target) = &again.servers[1].target else { panic!("a command") };
        proptest::prop_assert_eq!(&target.argv, &expected);
        proptest::prop_assert_eq!(put_back(&after, &piece), Some(text));
    }
}
