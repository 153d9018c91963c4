//! Tests of configurations: what is read, what is refused, and the messages.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use super::*;
use crate::classify::annotated::Filling;
use crate::gateway::exchange::UnknownMethods;
use crate::gateway::identity::{KnownBy, SubjectRule};
use crate::gateway::plan::{Backend, Cors, Per};
use crate::gateway::reload::Enforcement;
use crate::state::TokenHash;
use proptest::prelude::{any, proptest};
use std::sync::Arc;
use std::time::Duration;

const POLICY: &str = r#"{"version": "1", "default": "deny", "tools": {"read": {}}}"#;

const HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn environment(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("hush-hush".to_owned()),
        "LINES" => Some("a\nb".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// A folder with `policy.json`, `cert.pem` and the configuration.
fn folder(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.json"), POLICY).unwrap();
    std::fs::write(folder.path().join("cert.pem"), "").unwrap();
    let path = folder.path().join("mcpol.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(text: &str) -> Result<Checked, Vec<String>> {
    let (folder, path) = folder(text);
    let shown = format!("{}/", folder.path().display());
    load(&path, &environment).map_err(|error| match error {
        BadConfig::Invalid { problems, .. } => {
            problems.iter().map(|problem| problem.to_string().replace(&shown, "")).collect()
        }
        error @ BadConfig::Unreadable { .. } => vec![error.to_string()],
    })
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    let problems = read(text).err().unwrap_or_default();
    assert_eq!(problems, expected, "{text}");
}

#[track_caller]
fn warned(text: &str, expected: &[&str]) {
    let warnings = read(text).unwrap().warnings;
    let shown: Vec<_> = warnings.iter().map(|warning| format!("{} {}", warning.pointer, warning.message)).collect();
    assert_eq!(shown, expected, "{text}");
}

const WHOLE: &str = r#"
[gateway]
listen = "127.0.0.1:9000"
admin = "[::1]:9001"
state = "redis://:${TOKEN}@db.example:6379/1"
audit = "logs/audit.jsonl"
tls = { cert = "cert.pem", key = "cert.pem" }
hosts = ["Gateway.example.com", "other.example"]
origins = ["https://app.example.com"]
require_grants = true
call_timeout = "5m"
approval_wait = "30s"
unknown_methods = "refuse"
drain = "1m"
cors = true

[servers.github]
url = "https://api.example.com/mcp"
headers = { Authorization = "Bearer ${TOKEN}", X-Team = "blue" }
policy = "policy.json"

[servers.files]
command = ["npx", "-y", "files", "--key=${TOKEN}"]
env = { TOKEN = "${TOKEN}", MODE = "" }
cwd = "work"
policy = "policy.json"
per = "grant"
idle = "10m"
restart = 3
shadow = true

[grants.alice]
servers = ["github", "files"]
policy = "policy.json"
token_sha256 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
expires = 2027-06-30

[grants.bob]
servers = ["files"]
subject = "bob@example.com"

[jwt]
jwks = "https://issuer.example/.well-known/jwks.json"
issuer = "https://issuer.example/"
audience = "mcpol"
grant_claim = "team"
require_grant = true

[[disable]]
id = "not checked here"
"#;

#[test]
fn hints_are_filled_in_by_what_the_file_says_of_classes() {
    let text = |corrections: &str| {
        format!(
            "{corrections}\n[servers.a]\nurl = \"http://a.example\"\npolicy = \"policy.json\"\nannotate = \"fill\"\n"
        )
    };
    let correction = "[[override]]\nserver = \"a\"\ntool = \"t\"\ncategory = \"Write\"\nreason = \"It logs.\"\n";
    let config = read(&text(correction)).unwrap().config;
    let plan = config.plan.servers.values().next().unwrap().hints.clone().unwrap();
    assert_eq!((plan.filling, plan.settings.overrides.len()), (Filling::Missing, 1));
    let misspelt = text("[[disable]]\nid = \"name.lst\"\nreason = \"?\"\n");
    assert!(read(&misspelt).err().unwrap()[0].contains("name.lst"), "what is switched off is checked");
    refused(
        "[servers.a]\nurl = \"http://a.example\"\npolicy = \"policy.json\"\nannotate = \"yes\"\n",
        &["mcpol.toml:4:12  servers.a.annotate: `yes` is not known here\n  help: write `fill` or `correct`"],
    );
}

#[test]
fn a_whole_configuration_is_read_with_paths_from_its_folder_and_values_from_variables() {
    let (folder, path) = folder(WHOLE);
    let Checked { config, warnings } = load(&path, &environment).unwrap();
    assert_eq!(warnings, []);
    let Plan { listener, servers, settings, drain, reloading: _ } = &config.plan;
    assert_eq!(listener.address.to_string(), "127.0.0.1:9000");
    assert_eq!(config.admin.unwrap().to_string(), "[::1]:9001");
    assert_eq!(config.state.as_ref().unwrap().to_string(), "redis://db.example:6379/1");
    assert_eq!(config.audit, AuditPlace::File(folder.path().join("logs/audit.jsonl")));
    assert_eq!(listener.tls.as_ref().unwrap().cert, folder.path().join("cert.pem"));
    assert_eq!(listener.hosts.iter().collect::<Vec<_>>(), ["gateway.example.com", "other.example"]);
    assert_eq!((config.token_rule, listener.cors), (TokenRule::Always, Cors::On));
    assert_eq!((settings.call_timeout, *drain), (Some(Duration::from_secs(300)), Duration::from_secs(60)));
    let server = |name: &str| &servers[&crate::model::ServerName::new(name)];
    let Backend::Http(github) = &server("github").backend else { unreachable!("it has a URL") };
    assert_eq!(github.headers["Authorization"].reveal(), "Bearer hush-hush");
    let Backend::Stdio(files) = &server("files").backend else { unreachable!("it has a command") };
    assert_eq!(files.target.shown_argv(), ["npx", "-y", "files", "…"]);
    assert_eq!(files.target.argv[3], "--key=hush-hush");
    assert_eq!((files.target.env["TOKEN"].reveal(), files.target.env["MODE"].reveal()), ("hush-hush", ""));
    assert_eq!((files.per, files.restarts, files.idle), (Per::Grant, 3, Duration::from_secs(600)));
    assert_eq!(server("files").enforcement, Enforcement::Shadow);
    assert_eq!(server("files").policy, Some(folder.path().join("policy.json")));
    assert_eq!(config.policies.len(), 1, "one file is read once");
    let [alice, bob] = config.grants.as_slice() else { unreachable!("two grants") };
    assert_eq!(alice.known_by, KnownBy::Token(TokenHash::parse(&"a".repeat(64)).unwrap()));
    assert_eq!((&bob.known_by, &bob.policy), (&KnownBy::Subject("bob@example.com".to_owned()), &None));
    assert_eq!(alice.policy.as_deref(), folder.path().join("policy.json").to_str());
    assert_eq!(alice.expires, crate::policy::parse_utc("2027-07-01"), "the last day counts to its end");
    let jwt = config.jwt.as_ref().unwrap();
    assert_eq!((&*jwt.grant_claim, jwt.subjects), ("team", SubjectRule::Granted));
    assert!(!format!("{config:?}").contains("hush"), "no secret shows in debug output");
}

#[test]
fn unknown_methods_are_a_word_or_a_list_as_in_a_policy() {
    let with = |value: &str| {
        format!(
            "[gateway]\nunknown_methods = {value}\n[servers.a]\nurl = \"http://127.0.0.1:1/mcp\"\npolicy = \"policy.json\"\n"
        )
    };
    for (value, expected) in [
        ("\"forward\"", UnknownMethods::Forward),
        ("\"refuse\"", UnknownMethods::Refuse),
        ("[\"acme/search\"]", UnknownMethods::Listed(Arc::new(["acme/search".to_owned()].into()))),
    ] {
        assert_eq!(read(&with(value)).unwrap().config.plan.settings.unknown_methods, expected);
    }
    for (value, expected) in [
        ("[\"tools/call\"]", "`tools/call` is known"),
        ("[\"Tools//Call\"]", "servers may take it for `tools/call`"),
        ("[\"acme/*\"]", "is a pattern"),
        ("\"all\"", "is not known here"),
        ("true", "must be a text"),
    ] {
        let problems = read(&with(value)).err().unwrap_or_default();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{value}: {problems:?}");
    }
}

#[test]
fn what_is_left_out_has_careful_defaults() {
    let config = read("[servers.a]\nurl = \"http://127.0.0.1:1/mcp\"\npolicy = \"policy.json\"\n").unwrap().config;
    let Plan { listener, servers, settings, drain, reloading: _ } = &config.plan;
    assert_eq!(listener.address.to_string(), "127.0.0.1:8787");
    assert_eq!((config.admin, &config.state, &listener.tls), (None, &None, &None));
    assert_eq!((config.token_rule, listener.cors), (TokenRule::WhereGranted, Cors::Off));
    assert_eq!((settings.call_timeout, drain.as_secs()), (Some(Duration::from_secs(600)), 5));
    let server = servers.values().next().unwrap();
    assert_eq!(server.enforcement, Enforcement::AsWritten);
}

#[test]
fn every_problem_is_told_at_once_with_its_place_and_the_nearest_name() {
    refused(
        "[gatway]\nlisten = \"x\"\n\n[gateway]\nlisten = \"8787\"\nadmin = 8788\nhost = []\nhosts = [\"https://x\"]\n\
         origins = [\"*\"]\ncall_timeout = \"soon\"\n\n[servers.github]\nurl = \"ftp://x\"\npolicy = \"none.json\"\n\
         polcy = \"\"\n\n[servers.both]\nurl = \"http://x/mcp\"\ncommand = [\"x\"]\n\n[servers.neither]\n\n\
         [grants.alice]\nservers = [\"githib\"]\ntoken_sha256 = \"my-token\"\n\n[jwt]\njwks = \"http://x.example/\"\n",
        &[
            "mcpol.toml:1:2: unknown section `gatway`\n  help: did you mean `gateway`?",
            "mcpol.toml:5:10  gateway.listen: `8787` is not an address to listen on\n  help: an address is an IP and a port, such as `127.0.0.1:8787` or `[::1]:8787`",
            "mcpol.toml:6:9  gateway.admin: must be a text, not a whole number",
            "mcpol.toml:7:1  gateway: unknown key `host`\n  help: did you mean `hosts`?",
            "mcpol.toml:8:10  gateway.hosts: `https://x` is not the name of a host\n  help: a host is a name without scheme and port, such as `gateway.example.com`",
            "mcpol.toml:9:12  gateway.origins: `*` is not an origin\n  help: an origin is a scheme, a host and a port if it is unusual: `https://app.example.com`",
            "mcpol.toml:10:16  gateway.call_timeout: `soon` is no length of time up to a week\n  help: write it as `30s`, `10m` or `2h`",
            "mcpol.toml:13:7  servers.github.url: `ftp://x` is no http or https URL\n  help: write for example `https://mcp.example.com/mcp`",
            "mcpol.toml:14:10  servers.github.policy: cannot read `none.json`: no such file or directory\n  help: `mcpol gen-policy -o FILE …` writes one; relative paths begin at the configuration's folder",
            "mcpol.toml:15:1  servers.github: unknown key `polcy`\n  help: did you mean `policy`?",
            "mcpol.toml:17:1  servers.both: has both `url` and `command`\n  help: keep the one that reaches the server",
            "mcpol.toml:21:1  servers.neither: has neither `url` nor `command`\n  help: add `url = \"https://…\"` or `command = [\"PROGRAM\", …]`",
            "mcpol.toml:24:12  grants.alice.servers: no server `githib` is configured\n  help: did you mean `github`?",
            "mcpol.toml:25:16  grants.alice.token_sha256: is no SHA-256\n  help: write its 64 hexadecimal digits; or leave the grant out here and make it with `mcpol grant create`",
            "mcpol.toml:27:1  jwt: `audience` is missing",
            "mcpol.toml:27:1  jwt: `issuer` is missing",
            "mcpol.toml:28:8  jwt.jwks: `http://x.example/` is no https URL\n  help: whoever can change the keys on their way can issue tokens: use https or a file",
        ],
    );
}

#[test]
fn a_variable_that_is_missing_is_told_by_its_name_alone() {
    let server = |value: &str| format!("[servers.a]\nurl = \"http://x/mcp\"\nheaders = {{ Key = \"{value}\" }}\n");
    refused(
        &server("${TOKEN} ${NONE}"),
        &["mcpol.toml:3:19  servers.a.headers.Key: the environment variable `NONE` is not set\n  \
           help: export `NONE` where `mcpol enforce` is started"],
    );
    refused(
        &server("${EMPTY}"),
        &["mcpol.toml:3:19  servers.a.headers.Key: the environment variable `EMPTY` is empty\n  \
           help: export `EMPTY` with a value where `mcpol enforce` is started"],
    );
    refused(&server("${LINES}"), &["mcpol.toml:3:19  servers.a.headers.Key: has characters that no header may have"]);
}

proptest! {
    #[test]
    fn no_value_of_a_variable_ever_shows(before in "[ -~]{0,12}", after in "[ -~]{0,12}") {
        let quoted = toml::Value::String(format!("{before}${{TOKEN}}{after}")).to_string();
        let text = format!(
            "[gateway]\nlisten = {quoted}\nadmin = {quoted}\nstate = {quoted}\n[servers.a]\nurl = {quoted}\n\
             headers = {{ A = {quoted}, \"B C\" = {quoted} }}\npolicy = {quoted}\n[servers.b]\ncommand = [{quoted}]\n\
             env = {{ A = {quoted} }}\n[grants.g]\nservers = [{quoted}]\ntoken_sha256 = {quoted}\n"
        );
        let shown = match read(&text) {
            Ok(checked) => format!("{checked:?}"),
            Err(problems) => problems.join("\n"),
        };
        assert!(!shown.contains("hush-hush"), "{text}\n{shown}");
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = read(&text);
        let _ = read(&format!("[servers]\n{text}"));
    }
}

#[test]
fn secrets_that_are_written_out_are_warned_of() {
    let server = |rest: &str| format!("[servers.a]\nurl = \"http://x/mcp\"\npolicy = \"policy.json\"\n{rest}\n");
    let message = "holds a secret that everybody who can read this file knows";
    warned(
        &server("headers = { Authorization = \"Bearer 0123456789abcdef\" }"),
        &[&format!("servers.a.headers.Authorization {message}")],
    );
    warned(&server("headers = { Authorization = \"Bearer ${TOKEN}\", X-Team = \"blue\" }"), &[]);
    warned(
        "[servers.a]\ncommand = [\"x\"]\npolicy = \"policy.json\"\nenv = { API_KEY = \"0123456789abcdef\" }\n",
        &[&format!("servers.a.env.API_KEY {message}")],
    );
}

#[test]
fn a_server_that_can_do_nothing_is_warned_of() {
    let server = "[servers.a]\nurl = \"http://x/mcp\"\n";
    warned(server, &["servers.a has no policy, so every call is refused unless a grant brings one"]);
    warned(
        &format!("{server}[grants.g]\nservers = [\"a\"]\npolicy = \"policy.json\"\ntoken_sha256 = \"{HASH}\"\n"),
        &[],
    );
}

#[test]
fn an_open_listener_needs_grants() {
    let server = "[servers.a]\nurl = \"http://x/mcp\"\npolicy = \"policy.json\"\n";
    let open = format!("[gateway]\nlisten = \"0.0.0.0:8787\"\n{server}");
    refused(
        &open,
        &["mcpol.toml:2:10  gateway.listen: `0.0.0.0:8787` can be reached from other machines, and callers need no \
           grant\n  help: add `require_grants = true`, `[grants.NAME]` or `[jwt]`, or listen on `127.0.0.1`"],
    );
    let grant = format!("[grants.g]\nservers = [\"a\"]\ntoken_sha256 = \"{HASH}\"\n");
    for more in [&*grant, "[jwt]\njwks = \"cert.pem\"\nissuer = \"i\"\naudience = \"a\"\n"] {
        warned(&format!("{open}{more}"), &[]);
        // On an address that other machines reach, servers without a grant ask for tokens too.
        assert_eq!(read(&format!("{open}{more}")).unwrap().config.token_rule, TokenRule::Always, "{more}");
    }
    warned(&format!("[gateway]\nlisten = \"0.0.0.0:8787\"\nrequire_grants = true\n{server}"), &[]);
    let admin = "can be reached from other machines, and asks nobody who they are";
    warned(&format!("[gateway]\nadmin = \"0.0.0.0:1\"\n{server}"), &[&format!("gateway.admin {admin}")]);
}

#[test]
fn the_caller_of_a_grant_is_known_in_one_way_that_nobody_else_has() {
    let servers = "[servers.a]\nurl = \"http://x/mcp\"\npolicy = \"policy.json\"\n";
    let issuer = "[jwt]\njwks = \"cert.pem\"\nissuer = \"i\"\naudience = \"a\"\n";
    let grant = |name: &str, lines: &str| format!("[grants.{name}]\nservers = [\"a\"]\n{lines}");
    let text = |grants: &[String]| format!("{issuer}{}{servers}", grants.concat());
    let (token, subject) = (format!("token_sha256 = \"{HASH}\"\n"), "subject = \"bob\"\n");
    assert_eq!(read(&text(&[grant("a", &token), grant("b", subject)])).unwrap().config.grants.len(), 2);
    refused(
        &text(&[grant("a", &format!("{token}{subject}"))]),
        &["mcpol.toml:8:11  grants.a: has both `token_sha256` and `subject`\n  help: keep the one that its caller is \
           known by"],
    );
    refused(
        &text(&[grant("a", "")]),
        &[
            "mcpol.toml:5:1  grants.a: has neither `token_sha256` nor `subject`\n  help: add `token_sha256 = \"…\"`, or \
           `subject = \"…\"` for tokens of the issuer in `[jwt]`",
        ],
    );
    refused(
        &text(&[grant("a", "subject = 7\n")]),
        &["mcpol.toml:7:11  grants.a.subject: must be a text, not a whole number"],
    );
    for (lines, key) in [(&*token, "token_sha256"), (subject, "subject")] {
        let problem = format!(
            "mcpol.toml:8:1  grants.b.{key}: is that of `a` too\n  help: every grant needs a caller of its own"
        );
        refused(&text(&[grant("a", lines), grant("b", lines)]), &[&problem]);
    }
    refused(
        &format!("{servers}{}", grant("a", subject)),
        &[
            "mcpol.toml:6:11  grants.a.subject: is somebody whom an issuer knows, and there is none\n  help: add `[jwt]`, or \
           use `token_sha256`",
        ],
    );
    let long = |bytes: usize| text(&[grant("a", &format!("subject = \"{}\"\n", "n".repeat(bytes)))]);
    assert!(read(&long(256)).is_ok());
    refused(
        &long(257),
        &["mcpol.toml:7:11  grants.a.subject: is nobody's name: 1 to 256 bytes, and no hidden characters"],
    );
}

#[test]
fn names_of_servers_split_from_their_tools_in_one_way() {
    for (name, expected) in [
        ("github", true),
        ("a", true),
        ("A-b_c9", true),
        ("", false),
        ("a__b", false),
        ("a_", false),
        ("_a", false),
        ("-a", false),
        ("a.b", false),
        ("a/b", false),
        ("ä", false),
    ] {
        assert_eq!(servers::check_server_name(name).is_ok(), expected, "{name}");
    }
    assert!(servers::check_server_name(&"a".repeat(SERVER_NAME_CHARS_MAX)).is_ok());
    assert!(servers::check_server_name(&"a".repeat(SERVER_NAME_CHARS_MAX + 1)).is_err());
    let two = "[servers.a]\nurl = \"http://x/\"\n[servers.A]\nurl = \"http://x/\"\n";
    refused(two, &["mcpol.toml:1:10  servers.a: `A` and `a` differ in case only\n  help: rename one of them"]);
}

#[test]
fn problems_of_a_policy_are_told_with_its_own_places_and_once() {
    let (folder, path) = folder(
        "[servers.a]\nurl = \"http://x/\"\npolicy = \"bad.json\"\n[servers.b]\nurl = \"http://x/\"\npolicy = \"bad.json\"\n",
    );
    std::fs::write(folder.path().join("bad.json"), "{\"version\": \"2\", \"default\": \"deny\"}").unwrap();
    let Err(BadConfig::Invalid { problems, .. }) = load(&path, &environment) else { unreachable!("it is not valid") };
    let places: Vec<_> =
        problems.iter().map(|problem| (problem.file.ends_with("bad.json"), &*problem.pointer)).collect();
    assert_eq!(places, [(true, "/version")]);
}

#[test]
fn bounds_hold() {
    let server = "[servers.a]\nurl = \"http://x/\"\npolicy = \"policy.json\"\n#";
    let fill = |bytes: usize| format!("{server}{}", "x".repeat(bytes - server.len()));
    assert!(read(&fill(CONFIG_BYTES_MAX)).is_ok());
    refused(&fill(CONFIG_BYTES_MAX + 1), &[&format!("mcpol.toml:1:1: longer than {CONFIG_BYTES_MAX} bytes")]);
    let servers = |count: usize| -> String {
        (0..count).map(|n| format!("[servers.s{n}]\nurl = \"http://x/\"\npolicy = \"policy.json\"\n")).collect()
    };
    assert!(read(&servers(SERVERS_MAX)).is_ok());
    assert!(read(&servers(SERVERS_MAX + 1)).err().unwrap()[0].contains("257 entries, and 256 are the most"));
    let hosts = |count: usize| {
        let list = vec!["\"a.example\""; count].join(",");
        format!("[gateway]\nhosts = [{list}]\n[servers.a]\nurl = \"http://x/\"\npolicy = \"policy.json\"\n")
    };
    assert!(read(&hosts(LIST_MAX)).is_ok());
    assert!(read(&hosts(LIST_MAX + 1)).is_err());
}

#[test]
fn the_schema_knows_what_the_reader_knows() {
    let schema: serde_json::Value = serde_json::from_str(&schema_text()).unwrap();
    let keys = |table: &str| -> Vec<String> {
        schema["$defs"][table]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    for (section, table) in [
        ("gateway", "Gateway"),
        ("gateway.tls", "Tls"),
        ("servers.a", "Server"),
        ("servers.a.sandbox", "Sandbox"),
        ("grants.a", "Grant"),
        ("jwt", "Jwt"),
    ] {
        let problems = read(&format!("[{section}]\n\"?\" = 1\n")).err().unwrap().join("\n");
        let (_, known) = problems.split_once("unknown key `?`\n  help: known keys are ").unwrap();
        let mut known: Vec<_> = known.lines().next().unwrap().split(", ").map(str::to_owned).collect();
        known.sort();
        let mut described = keys(table);
        described.sort();
        assert_eq!(known, described, "{section}");
    }
    let whole: serde_json::Value = toml::from_str::<toml::Table>(WHOLE)
        .map(|mut table| {
            // JSON has no dates, and the list sections are checked elsewhere.
            table.remove("disable");
            table["grants"]["alice"].as_table_mut().unwrap().insert("expires".to_owned(), "2027-06-30".into());
            serde_json::to_value(table).unwrap()
        })
        .unwrap();
    let checker = jsonschema::validator_for(&schema).unwrap();
    assert_eq!(checker.iter_errors(&whole).map(|error| error.to_string()).collect::<Vec<_>>(), [""; 0]);
}
