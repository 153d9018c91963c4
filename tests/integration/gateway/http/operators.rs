//! What operators have of a gateway over HTTP: lines with time and level, the health of each server, why a token was
//! refused, what a service manager hears; and what clients without a token are told.

use super::*;
use std::os::unix::net::UnixDatagram;

const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const POLICY: &str = r#"{"version": "1", "default": "deny", "tools": {"good": {}}}"#;

fn configured(text: &str) -> Sandbox {
    let sandbox = Sandbox::new().with_writable_home();
    sandbox.write("policy.json", POLICY);
    sandbox.write("mcpol.toml", text);
    sandbox
}

fn config(url: &str, more: &str) -> String {
    format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstate = \"memory:\"\naudit = \"audit.jsonl\"\n\
         [servers.one]\nurl = \"{url}\"\npolicy = \"policy.json\"\n{more}"
    )
}

fn launch(sandbox: &Sandbox) -> (Served, String) {
    let served = Served::launch(sandbox, &["enforce", "--config", "mcpol.toml", "--log-format", "json"]);
    let line: Value = serde_json::from_str(&served.hear("operators: http://")).unwrap();
    let address = line["message"].as_str().unwrap().split("://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (served, address)
}

fn get(address: &str, path: &str) -> Reply {
    let mut connection = Connection::open(address);
    connection.send(&format!("GET {path}"), &["Host: gate.example:1"], &[], "");
    connection.reply()
}

fn operators_get(address: &str, path: &str) -> Reply {
    let mut connection = Connection::open(address);
    connection.send(&format!("GET {path}"), &["Host: localhost"], &[], "");
    connection.reply()
}

fn called(served: &Served, headers: &[&str]) -> Reply {
    served.post(headers, CALL)
}

/// Lines of the log about one kind of event.
fn logged(sandbox: &Sandbox, event: &str) -> Vec<Value> {
    let text = sandbox.read("audit.jsonl");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == event).collect()
}

#[test]
fn a_server_that_is_gone_or_ill_and_comes_back_is_told_everywhere() {
    // Refuses the first two requests in the way of what stands in front of a server that is away.
    let asked = AtomicUsize::new(0);
    let upstream = Upstream::answering(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ => ordinary(request),
    });
    let sandbox = configured(&config(&upstream.url, ""));
    let (served, admin) = launch(&sandbox);
    let state = || -> Value {
        serde_json::from_str::<Value>(&operators_get(&admin, "/status").body).unwrap()["servers"]["one"]["health"]
            .clone()
    };
    assert_eq!(state(), json!({"state": "unknown", "since_s": null, "failures": 0, "error": null}));
    let page = || operators_get(&admin, "/metrics").body;
    assert!(!page().contains("mcpol_upstream_up{"), "nothing is known before the first request");

    called(&served, &[]);
    let line: Value = serde_json::from_str(&served.hear("cannot be reached")).unwrap();
    assert_eq!((&line["level"], &line["server"], &line["from"]), (&json!("error"), &json!("one"), &json!("mcpol")));
    called(&served, &[]);
    let seen = state();
    assert_eq!((&seen["state"], &seen["failures"]), (&json!("down"), &json!(2)));
    assert_eq!(seen["error"], "it answers with HTTP 503");
    assert!(page().contains(r#"mcpol_upstream_up{server="one"} 0"#), "{}", page());
    assert!(page().contains(r#"mcpol_upstream_failures_total{server="one"} 2"#), "{}", page());
    let table = sandbox.run(&["status", "--admin", &admin]).quiet(0);
    assert!(table.contains("down  one does not answer") && table.contains("HTTP 503"), "{table}");
    // The others are served, so the gateway is ready.
    assert_eq!(operators_get(&admin, "/readyz").status, 200);

    passed(&called(&served, &[]).last());
    let line: Value = serde_json::from_str(&served.hear("answers again")).unwrap();
    assert_eq!((&line["level"], &line["server"]), (&json!("info"), &json!("one")));
    assert_eq!((state()["state"].clone(), state()["error"].clone()), (json!("up"), Value::Null));
    assert!(page().contains(r#"mcpol_upstream_up{server="one"} 1"#), "{}", page());
    assert_eq!(served.end(), Some(0));
    assert_eq!(logged(&sandbox, "upstream_down").len(), 1, "told once, however many requests fail");
    assert_eq!(logged(&sandbox, "upstream_down")[0]["reason"], "it answers with HTTP 503");
    assert_eq!(logged(&sandbox, "upstream_up")[0]["server"], "one");
}

#[test]
fn a_command_that_ends_by_itself_is_down_until_one_answers() {
    let toml = "[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstate = \"memory:\"\naudit = \"none\"\n\
                [servers.one]\ncommand = [\"no-such-program-at-all\"]\npolicy = \"policy.json\"\n";
    let sandbox = configured(toml);
    let (served, admin) = launch(&sandbox);
    assert_eq!(served.post(&[], HELLO).status, 502);
    served.hear("no-such-program-at-all");
    let status: Value = serde_json::from_str(&operators_get(&admin, "/status").body).unwrap();
    let health = &status["servers"]["one"]["health"];
    assert!(health["state"] == "down" && health["failures"].as_u64() >= Some(1), "{health}");
    assert!(health["error"].as_str().unwrap().starts_with("it "), "{health}");
    assert_eq!(served.end(), Some(0));

    let sandbox =
        configured(&toml.replace("no-such-program-at-all", "sh\", \"server.sh").replace("none", "audit.jsonl"));
    sandbox.write("server.sh", ENDS_WHEN_CALLED);
    let (served, admin) = launch(&sandbox);
    let is_up = |value: &str| {
        let page = operators_get(&admin, "/metrics").body;
        assert!(page.contains(&format!("mcpol_upstream_up{{server=\"one\"}} {value}")), "{page}");
    };
    let opened = served.post(&[], HELLO);
    assert_eq!(opened.status, 200, "{opened:?}");
    is_up("1");
    let session = format!("Mcp-Session-Id: {}", opened.header("mcp-session-id").unwrap());
    let ended = called(&served, &[&session]);
    assert!(ended.body.contains("exited with status 7"), "{ended:?}");
    is_up("0");
    assert_eq!(served.post(&[], HELLO).status, 200);
    is_up("1");
    assert_eq!(served.end(), Some(0));
    let text = sandbox.read("audit.jsonl");
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone());
    let changes: Vec<_> = events.filter(|event| event == "upstream_down" || event == "upstream_up").collect();
    assert_eq!(changes, ["upstream_down", "upstream_up"], "what the gateway answers itself is no word of the server");
}

const ENDS_WHEN_CALLED: &str = r#"
while read -r line; do
  case "$line" in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}' ;;
    *'"tools/call"'*) exit 7 ;;
  esac
done
"#;

#[test]
fn the_log_tells_why_a_token_was_refused_and_never_the_token() {
    let upstream = Upstream::answering(ordinary);
    let hash = sha256("old-token");
    let grant = format!("[grants.old]\nservers = [\"one\"]\nexpires = 2020-01-01\ntoken_sha256 = \"{hash}\"\n");
    let sandbox = configured(&config(&upstream.url, &grant));
    let (served, _) = launch(&sandbox);
    let mut answers = Vec::new();
    for headers in [
        &[][..],
        &["Authorization: Bearer some-token"],
        &["Authorization: Bearer old-token"],
        &["Authorization: Basic some-token"],
    ] {
        let reply = called(&served, headers);
        assert_eq!(reply.status, 401);
        answers.push((reply.header("www-authenticate").unwrap().to_owned(), reply.json()));
    }
    assert_eq!(answers[1], answers[2], "the client cannot tell the cases apart");
    let message = answers[0].1["error"]["message"].as_str().unwrap();
    assert!(message.contains("ask the operator of this gateway") && !message.contains("mcpol grant"), "{message}");
    assert!(!answers[0].0.contains("resource_metadata"), "{answers:?}");
    assert_eq!(served.end(), Some(0));
    let words: Vec<_> = logged(&sandbox, "refused").iter().map(|line| line["token"].clone()).collect();
    assert_eq!(words, ["missing", "unknown", "expired", "malformed"]);
    let log = sandbox.read("audit.jsonl");
    assert!(!log.contains("some-token") && !log.contains("old-token"), "{log}");
}

/// As `sha256sum` prints it.
fn sha256(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn clients_that_look_for_a_login_read_whom_to_ask() {
    let upstream = Upstream::answering(ordinary);
    let sandbox = configured(
        &config(&upstream.url, "").replace("[servers", "require_grants = true\nhosts = [\"gate.example\"]\n[servers"),
    );
    let (served, _) = launch(&sandbox);
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration",
        "/register",
        "/authorize",
        "/token",
    ] {
        let reply = get(&served.address, path);
        assert_eq!(reply.status, 404, "{path}");
        let words = reply.json()["error_description"].as_str().unwrap().to_owned();
        assert!(reply.json()["error"].is_string() && words.contains("ask the operator"), "{path}: {words}");
    }
    assert!(get(&served.address, "/registers").json()["error"].is_object(), "another path is another matter");
    upstream.quiet();
    assert_eq!(served.end(), Some(0));
}

#[test]
fn an_issuer_is_found_by_the_metadata_of_the_resource() {
    let upstream = Upstream::answering(ordinary);
    let keys: Value = serde_json::from_str(include_str!("../../../fixtures/jwt/rsa.json")).unwrap();
    let keys = keys["jwks"].to_string();
    let jwt = "[jwt]\njwks = \"keys.json\"\nissuer = \"https://issuer.example/\"\naudience = \"AUDIENCE\"\n";
    for (audience, resource, place) in [
        (
            "mcpol",
            "http://gate.example:1/mcp/one",
            "http://gate.example:1/.well-known/oauth-protected-resource/mcp/one",
        ),
        (
            "https://public.example/mcp",
            "https://public.example/mcp",
            "https://public.example/.well-known/oauth-protected-resource/mcp/one",
        ),
    ] {
        let text = config(&upstream.url, &jwt.replace("AUDIENCE", audience));
        let sandbox = configured(&text.replace("[servers", "hosts = [\"gate.example\"]\n[servers"));
        sandbox.write("keys.json", &keys);
        let (served, _) = launch(&sandbox);
        let reply = get(&served.address, "/mcp/one");
        assert_eq!(reply.status, 401);
        let header = reply.header("www-authenticate").unwrap().to_owned();
        assert!(
            header.starts_with("Bearer ") && header.ends_with(&format!("resource_metadata=\"{place}\"")),
            "{header}"
        );
        let path = place.split_once("//").unwrap().1.split_once('/').unwrap().1;
        let reply = get(&served.address, &format!("/{path}"));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let metadata = reply.json();
        assert_eq!(metadata["resource"], resource);
        assert_eq!(metadata["authorization_servers"], json!(["https://issuer.example/"]));
        assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
        // What is not served has no metadata, and nobody can register here.
        assert_eq!(get(&served.address, "/.well-known/oauth-protected-resource/mcp/other").status, 404);
        let words = get(&served.address, "/register").json()["error_description"].as_str().unwrap().to_owned();
        assert!(words.contains("https://issuer.example/"), "{words}");
        assert_eq!(served.end(), Some(0));
    }
    upstream.quiet();
}

#[test]
fn a_service_manager_hears_that_clients_can_connect_and_that_the_gateway_ends() {
    let upstream = Upstream::answering(ordinary);
    let sandbox = configured(&config(&upstream.url, ""));
    let path = sandbox.dir().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(LINE_SECONDS_MAX))).unwrap();
    let hear = || {
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut command = sandbox.command(&["enforce", "--config", "mcpol.toml"]);
    command.env("NOTIFY_SOCKET", &path);
    let served = Served::run(command);
    assert_eq!(hear(), "READY=1\n");
    passed(&called(&served, &[]).last());
    assert_eq!(served.end(), Some(0));
    assert_eq!(hear(), "STOPPING=1\n");
}

#[test]
fn new_versions_of_a_policy_are_counted_under_a_configuration_too() {
    let upstream = Upstream::answering(ordinary);
    let sandbox = configured(&config(&upstream.url, ""));
    let (served, admin) = launch(&sandbox);
    sandbox.write("policy.json", &POLICY.replace("good", "better"));
    let line: Value = serde_json::from_str(&served.hear("policy reloaded")).unwrap();
    assert_eq!(line["level"], "warning", "another tool passes now");
    sandbox.write("policy.json", "{");
    let line: Value = serde_json::from_str(&served.hear("the old policy stays in force")).unwrap();
    assert_eq!(line["level"], "error");
    let page = operators_get(&admin, "/metrics").body;
    assert!(page.contains("mcpol_reloads_total{outcome=\"taken\"} 1"), "{page}");
    assert!(page.contains("mcpol_reloads_total{outcome=\"refused\"} 1"), "{page}");
    assert_eq!(served.end(), Some(0));
}
