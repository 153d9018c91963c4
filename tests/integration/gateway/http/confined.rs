//! Commands that are held to more than the rights of the gateway's user: another user, and files that they may reach.

use super::*;

/// Tries what its arguments name, and says with the answer to every call what came of it: who it is, what it could read and
/// write, and whether it could signal its parent.
const SERVER: &str = r#"
outside=$1; inside=$2
try() { if "$@" >/dev/null 2>&1; then printf yes; else printf no; fi; }
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}\n' "$id" ;;
    *'"tools/call"'*)
      said="user $(id -u) group $(id -g) groups $(id -G | tr ' ' '+') home $HOME"
      said="$said; read outside $(try cat "$outside/secret"), write outside $(try sh -c "echo x > '$outside/made'")"
      said="$said; read inside $(try cat "$inside/given"), write inside $(try sh -c "echo x > '$inside/made'")"
      said="$said; signal $(try kill -0 $PPID)"
      printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}\n' "$id" "$said" ;;
  esac
done
"#;

/// What the command says, under these keys of its section; `read` and `write` stand for the folder inside.
fn said(keys: &str) -> (Sandbox, String) {
    let sandbox = usual();
    sandbox.write("outside/secret", "s");
    let inside = sandbox.write("inside/given", "g").parent().unwrap().to_owned();
    let outside = sandbox.dir().join("outside");
    let quoted = |text: &str| format!("'''\n{text}'''");
    sandbox.write(
        "mcpol.toml",
        &format!(
            "[gateway]\nlisten = \"127.0.0.1:0\"\nstate = \"memory:\"\naudit = \"none\"\n[servers.one]\ncommand = [\"sh\", \
             \"-c\", {}, \"sh\", \"{}\", \"{}\"]\npolicy = \"policy.json\"\nper = \"grant\"\n{keys}\n",
            quoted(SERVER),
            outside.display(),
            inside.display(),
        ),
    );
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let reply = children::in_a_session(&served, CALL);
    assert_eq!(served.end(), Some(0));
    let text = reply["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
    (sandbox, text)
}

#[cfg(target_os = "linux")]
#[test]
fn a_sandbox_opens_what_it_names_and_nothing_else() {
    // A kernel without it: the configuration says so, and does not start.
    if mcpol::mcp::supervise::sandbox_is_there().is_err() {
        let sandbox = usual();
        sandbox.write("mcpol.toml", "[servers.one]\ncommand = [\"sh\"]\nsandbox = {}\n");
        let problems = sandbox.run(&["enforce", "--config", "mcpol.toml"]).refused(2);
        assert!(problems.contains("servers.one.sandbox: cannot be had here"), "{problems}");
        return;
    }
    for (keys, outside, read, write) in [
        ("", "yes, write outside yes", "yes", "yes"),
        ("sandbox = {}", "no, write outside no", "no", "no"),
        ("sandbox = { read = [\"inside\"] }", "no, write outside no", "yes", "no"),
        ("sandbox = { write = [\"inside\"] }", "no, write outside no", "yes", "yes"),
        ("sandbox = { read = [\"outside/secret\"], write = [\"inside\"] }", "yes, write outside no", "yes", "yes"),
    ] {
        let (_sandbox, said) = said(keys);
        let expected = format!("; read outside {outside}; read inside {read}, write inside {write}; signal ");
        assert!(said.contains(&expected), "{keys}: {said}\n{expected}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_runs_as_the_user_that_is_named() {
    let root = rustix::process::geteuid().is_root();
    let own = rustix::process::geteuid().as_raw();
    if root {
        let (_sandbox, as_nobody) = said("user = \"nobody\"");
        assert!(as_nobody.starts_with("user 65534 group 65534 groups 65534 home /"), "{as_nobody}");
        assert!(!as_nobody.contains("home /tmp") && as_nobody.ends_with("signal no"), "{as_nobody}");
        // The folders of the test are root's.
        assert!(as_nobody.contains("write outside no") && as_nobody.contains("write inside no"), "{as_nobody}");
        let (_sandbox, in_group) = said("user = \"65534\"\ngroup = \"0\"\nenv = { HOME = \"/elsewhere\" }");
        assert!(in_group.starts_with("user 65534 group 0 groups 0 home /elsewhere"), "{in_group}");
    } else {
        let sandbox = usual();
        sandbox.write("mcpol.toml", "[servers.one]\ncommand = [\"sh\"]\npolicy = \"policy.json\"\nuser = \"root\"\n");
        let (_, warned) = sandbox.run(&["enforce", "--config", "mcpol.toml", "--dry-run"]).both(0);
        assert!(warned.contains("only root can give it"), "{own}: {warned}");
    }
}

#[test]
fn what_cannot_be_had_is_a_problem_and_nothing_starts() {
    let sandbox = usual();
    for (keys, problem) in [
        ("user = \"nobody-of-this-name\"", "is no user of this system"),
        ("group = \"no-such-group\"", "is no group of this system"),
        ("sandbox = { read = [\"not/there\"] }", "is not there"),
        ("sandbox = { reed = [\".\"] }", "unknown key `reed`"),
        ("sandbox = true", "must be a table"),
    ] {
        sandbox.write("mcpol.toml", &format!("[servers.one]\ncommand = [\"sh\"]\npolicy = \"policy.json\"\n{keys}\n"));
        let problems = sandbox.run(&["enforce", "--config", "mcpol.toml"]).refused(2);
        assert!(problems.contains(problem), "{keys}: {problems}");
    }
    sandbox.write("mcpol.toml", "[servers.one]\nurl = \"http://127.0.0.1:9/mcp\"\nuser = \"0\"\nsandbox = {}\n");
    let problems = sandbox.run(&["enforce", "--config", "mcpol.toml"]).refused(2);
    for key in ["user", "sandbox"] {
        assert!(problems.contains(&format!("`{key}` is for servers with `command`")), "{problems}");
    }
}

#[test]
fn files_that_the_server_or_others_can_change_are_said() {
    let sandbox = usual();
    let policy = sandbox.dir().join("policy.json");
    let dry = |args: &[&str]| sandbox.run(&[&["enforce", "--dry-run"], args].concat()).both(0).1;
    let flags = ["--policy", "policy.json", "--", "server", "--root=."];
    let said = dry(&flags);
    assert!(said.contains("warning: policy `policy.json` lies below `"), "{said}");
    assert!(
        said.contains("which the server's arguments name") && said.contains("the server's working directory"),
        "{said}"
    );
    assert!(said.contains("warning: log `") && said.contains("warning: state `"), "{said}");
    let config = |keys: &str| {
        let text =
            format!("[servers.one]\ncommand = [\"server\"]\ncwd = \"inside\"\npolicy = \"policy.json\"\n{keys}\n");
        sandbox.write("mcpol.toml", &text);
    };
    sandbox.write("inside/own.json", &sandbox.read("policy.json"));
    config("");
    assert_eq!(dry(&["--config", "mcpol.toml"]), "");
    config("[gateway]\naudit = \"inside/log.jsonl\"");
    assert!(dry(&["--config", "mcpol.toml"]).contains("log `"), "the log");
    config("[servers.two]\ncommand = [\"server\", \"inside\"]\ncwd = \"inside\"\npolicy = \"inside/own.json\"");
    assert!(dry(&["--config", "mcpol.toml"]).contains("inside/own.json` lies below"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(sandbox.run(&["policy", "check", "policy.json"]).both(0).1, "");
        std::fs::set_permissions(&policy, std::fs::Permissions::from_mode(0o666)).unwrap();
        let said = sandbox.run(&["policy", "check", "policy.json"]).both(0).1;
        assert!(said.contains("warning: policy `policy.json` can be changed by everybody"), "{said}");
        config("");
        assert!(dry(&["--config", "mcpol.toml"]).contains("can be changed by everybody"));
    }
    // And at the start.
    let mut gateway = Gateway::sample(&sandbox, &[]);
    gateway.initialize();
    assert!(gateway.close().2.contains("warning: policy `policy.json` lies below"));
}
