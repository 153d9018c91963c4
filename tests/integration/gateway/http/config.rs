//! `mcpol enforce --config`: a whole set of servers, what operators see of it, and what a collector of telemetry gets.

use super::*;
use crate::documents::document;
use crate::harness::Run;

const POLICY: &str = r#"{"version": "1", "default": "deny", "tools": {"good": {},
    "limited": {"limits": [{"counter": "few", "window": "day", "max": 5, "scope": "grant"}]}}}"#;

fn configured(text: &str) -> Sandbox {
    let sandbox = Sandbox::new().with_env("COLUMNS", "80");
    sandbox.write("policy.json", POLICY);
    sandbox.write("mcpol.toml", text);
    sandbox
}

fn config(urls: &[(&str, &str)]) -> String {
    let mut text = String::from(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nstate = \"memory:\"\naudit = \"none\"\n",
    );
    for (name, url) in urls {
        text.push_str(&format!("[servers.{name}]\nurl = \"{url}\"\npolicy = \"policy.json\"\n"));
    }
    text
}

fn call(served: &Served, server: &str, tool: &str) -> Reply {
    let mut connection = served.open();
    let body = CALL.replace("good", tool);
    let usual = [
        "Host: localhost",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        &format!("Content-Length: {}", body.len()),
    ];
    connection.send(&format!("POST /mcp/{server}"), &usual, &[], &body);
    connection.reply()
}

/// The gateway and where its operators look.
fn start(sandbox: &Sandbox) -> (Served, String) {
    let served = Served::launch(sandbox, &["enforce", "--config", "mcpol.toml"]);
    let line = served.hear("operators: http://");
    let address = line.split("://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    (served, address)
}

fn get(address: &str, path: &str) -> Reply {
    let mut connection = Connection::open(address);
    connection.send(&format!("GET {path}"), &["Host: localhost"], &[], "");
    connection.reply()
}

/// Waits until the page of metrics has all of these lines: how a call ended is counted while its answer is on its way.
#[track_caller]
fn metrics_have(admin: &str, lines: &[&str]) {
    let deadline = std::time::Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
    loop {
        let page = get(admin, "/metrics").body;
        let Some(missing) = lines.iter().find(|line| !page.contains(**line)) else { return };
        assert!(std::time::Instant::now() < deadline, "{missing}\n{page}");
    }
}

#[test]
fn each_server_is_served_at_its_name_and_operators_see_it() {
    let (a, b) = (Upstream::answering(ordinary), Upstream::answering(ordinary));
    let sandbox = configured(&config(&[("one", &a.url), ("two", &b.url)]));
    let (served, admin) = start(&sandbox);
    passed(&call(&served, "one", "good").last());
    a.next();
    b.quiet();
    for _ in 0..5 {
        passed(&call(&served, "two", "limited").last());
    }
    assert!(refusal(&call(&served, "two", "limited").last()).contains("limit"));
    assert_eq!(call(&served, "three", "good").status, 404);
    assert_eq!((get(&admin, "/healthz").status, get(&admin, "/readyz").body), (200, "ready\n".to_owned()));
    metrics_have(
        &admin,
        &[
            r#"mcpol_decisions_total{server="one",tool="good",outcome="allow",rule="/tools/good"} 1"#,
            r#"mcpol_decisions_total{server="two",tool="limited",outcome="deny",rule="/tools/limited/limits/few"} 1"#,
            r#"mcpol_calls_ended_total{server="two",outcome="result"} 5"#,
            r#"mcpol_upstream_duration_seconds_count{server="two"} 5"#,
            r#"mcpol_added_duration_seconds_count{server="one"} 1"#,
            r#"mcpol_pending_calls{server="two"} 0"#,
            r#"mcpol_refused_requests_total{reason="unknown_path_or_session"} 1"#,
        ],
    );
    let status = |args: &[&str]| -> Run { sandbox.run(&[&["status", "--admin", &admin], args].concat()) };
    let json = document("status", "status", &status(&["--format", "json"]).quiet(0));
    assert_eq!((&json["servers"]["two"]["allowed"], &json["servers"]["two"]["denied"]), (&json!(5), &json!(1)));
    assert_eq!((&json["counters"][0]["counter"], &json["counters"][0]["percent"]), (&json!("few"), &json!(100)));
    let table = status(&[]).quiet(0);
    assert!(table.contains("few a day") && table.lines().all(|line| line.chars().count() <= 80), "{table}");
    // The clients' address shows none of it.
    assert_eq!(get(&served.address, "/metrics").status, 404);
}

#[test]
fn a_good_new_version_takes_over_and_a_bad_one_is_refused() {
    let (a, b) = (Upstream::answering(ordinary), Upstream::answering(ordinary));
    let sandbox = configured(&config(&[("one", &a.url)]));
    let (served, admin) = start(&sandbox);
    passed(&call(&served, "one", "good").last());
    sandbox.write("mcpol.toml", &config(&[("one", "ftp://nowhere")]));
    let said = served.hear("the old configuration stays in force");
    assert!(said.contains("is not valid"), "{said}");
    assert!(served.hear("servers.one.url").contains("is no http or https URL"));
    passed(&call(&served, "one", "good").last());
    let newer = config(&[("one", &a.url), ("two", &b.url)]).replace("audit = \"none\"", "audit = \"-\"");
    sandbox.write("mcpol.toml", &newer);
    assert!(served.hear("mcpol.toml reloaded").contains("2 servers; new: two"));
    assert!(served.hear("started again").ends_with("gateway.audit"));
    passed(&call(&served, "two", "good").last());
    passed(&call(&served, "one", "good").last());
    sandbox.write("mcpol.toml", &config(&[("two", &b.url)]));
    assert!(served.hear("mcpol.toml reloaded").contains("gone: one"));
    assert_eq!(call(&served, "one", "good").status, 404);
    let page = get(&admin, "/metrics").body;
    assert!(page.contains("mcpol_reloads_total{outcome=\"taken\"} 2"), "{page}");
    assert!(page.contains("mcpol_reloads_total{outcome=\"refused\"} 1"), "{page}");
    assert_eq!(served.end(), Some(0));
}

#[test]
fn a_dry_run_shows_the_whole_set_in_eighty_columns_and_starts_nothing() {
    let upstream = Upstream::answering(ordinary);
    let hash = "0".repeat(64);
    let text = format!(
        "{}headers = {{ Authorization = \"Bearer ${{KEY}}\" }}\n[grants.alice]\nservers = [\"one\"]\ntoken_sha256 = \"{hash}\"\n\
         expires = 2027-06-30\n[[disable]]\nid = \"unpinned-package\"\nreason = \"x\"\n",
        config(&[("one", &upstream.url)])
    );
    let sandbox = configured(&text).with_env("KEY", "hush-hush");
    let shown = sandbox.run(&["enforce", "--config", "mcpol.toml", "--dry-run"]).quiet(0);
    for part in
        ["listen", "memory", "one", "policy.json", "1 allowed, 1 limited", "alice", "until 2027-07-01", &upstream.url]
    {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(!shown.contains("hush") && shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    upstream.quiet();
    // A grant with a policy of its own: what that says, wherever its path begins.
    assert!(!shown.contains("of their own"), "{shown}");
    let sandbox = configured(&text.replace("servers = [\"one\"]", "servers = [\"one\"]\npolicy = \"alice.json\""));
    let sandbox = sandbox.with_env("KEY", "hush-hush");
    sandbox.write(
        "alice.json",
        r#"{"version": "1", "default": "allow", "hide": ["drop"], "prompts": "deny", "tools": {}}"#,
    );
    let shown = sandbox.run(&["enforce", "--config", "mcpol.toml", "--dry-run"]).quiet(0);
    let (_, own) = shown.split_once("by policies of their own").expect(&shown);
    for part in ["alice: 1 hidden, the rest allowed", "prompts denied", "unknown methods"] {
        assert!(own.contains(part), "{part}\n{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let sandbox = configured(&text);
    let (out, said) = sandbox.run(&["enforce", "--config", "mcpol.toml", "--dry-run"]).both(2);
    assert_eq!(out, "");
    assert!(said.contains("the environment variable `KEY` is not set\n  help: export `KEY`"), "{said}");
}

#[test]
fn without_a_gateway_status_says_what_to_do() {
    let sandbox = Sandbox::new();
    let (_kept, address) = crate::harness::deaf();
    let said = sandbox.run(&["status", "--admin", &address.to_string()]).refused(3);
    assert!(said.contains("nothing listens there") && said.contains("help: start it with `--admin"), "{said}");
    sandbox.write("mcpol.toml", "[gateway]\n");
    let said = sandbox.run(&["status", "--config", "mcpol.toml"]).refused(2);
    assert!(said.contains("opens no address for operators"), "{said}");
}

#[test]
fn spans_go_to_the_collector_that_the_environment_names_and_carry_no_arguments() {
    let (upstream, collector) = (Upstream::answering(ordinary), Upstream::answering(|_| response("200 OK", &[], "")));
    let place = collector.url.trim_end_matches("/mcp").to_owned();
    let sandbox = configured(&config(&[("one", &upstream.url)])).with_env("OTEL_EXPORTER_OTLP_ENDPOINT", &place);
    let (served, _) = start(&sandbox);
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    let body = CALL.replace("{}", r#"{"path":"hush-hush"}"#);
    let mut connection = served.open();
    connection.send(
        "POST /mcp/one",
        &["Host: localhost", "Content-Type: application/json", "Accept: application/json, text/event-stream"],
        &[parent, &format!("Content-Length: {}", body.len())],
        &body,
    );
    passed(&connection.reply().last());
    let asked = upstream.next();
    assert!(asked.head.to_ascii_lowercase().contains(parent), "it goes on as it came: {}", asked.head);
    assert_eq!(served.end(), Some(0));
    let sent: Vec<_> = collector.asked.try_iter().collect();
    let traces: Vec<_> = sent.iter().filter(|asked| asked.head.starts_with("POST /v1/traces ")).collect();
    assert!(traces.iter().any(|asked| asked.body.contains("tools/call good")), "{sent:?}");
    assert!(sent.iter().any(|asked| asked.head.starts_with("POST /v1/metrics ")), "{sent:?}");
    assert!(!sent.iter().any(|asked| asked.body.contains("hush")), "{sent:?}");
}

/// Answers calls; one of `broken` with an error, one of `die` not at all.
const SERVER: &str = r#"
while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}\n' "$id" ;;
    *'"broken"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32050,"message":"hush-hush"}}\n' "$id" ;;
    *'"die"'*) exit 7 ;;
    *'"tools/call"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}\n' "$id" ;;
  esac
done
"#;

#[test]
fn requests_to_a_command_are_counted_timed_and_traced_as_those_to_a_url() {
    let collector = Upstream::answering(|_| response("200 OK", &[], ""));
    let place = collector.url.trim_end_matches("/mcp").to_owned();
    let text = json!({
        "gateway": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "state": "memory:", "audit": "none",
            "unknown_methods": "refuse"},
        "servers": {"one": {"command": ["sh", "server.sh"], "policy": "policy.json"}},
    });
    let sandbox = configured(&toml::to_string(&text).unwrap()).with_env("OTEL_EXPORTER_OTLP_ENDPOINT", &place);
    let limits = json!([{"counter": "few", "window": "8784h", "max": 1, "scope": "grant"}]);
    let tools = json!({"good": {}, "limited": {"limits": limits}, "broken": {}, "die": {}});
    sandbox.write("policy.json", &only(tools).to_string());
    sandbox.write("server.sh", SERVER);
    let (served, admin) = start(&sandbox);
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let session = format!("Mcp-Session-Id: {}", served.post(&[], initialize).header("mcp-session-id").unwrap());
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    let body = CALL.replace("{}", r#"{"path":"hush-hush"}"#);
    passed(&served.ask(&[&session, parent], &body));
    let call = |tool: &str| served.ask(&[&session], &CALL.replace("good", tool));
    passed(&call("limited"));
    assert!(refusal(&call("limited")).contains("limit"));
    assert_eq!(call("broken")["error"]["code"], -32050);
    assert_eq!(served.ask(&[&session], r#"{"jsonrpc":"2.0","id":9,"method":"x/y"}"#)["error"]["code"], -32601);
    assert!(call("die")["error"]["message"].as_str().unwrap().contains("status 7"));
    metrics_have(
        &admin,
        &[
            r#"mcpol_calls_ended_total{server="one",outcome="upstream_gone"} 1"#,
            r#"mcpol_added_duration_seconds_count{server="one"} 4"#,
            r#"mcpol_upstream_duration_seconds_count{server="one"} 4"#,
            r#"mcpol_calls_ended_total{server="one",outcome="result"} 2"#,
            r#"mcpol_calls_ended_total{server="one",outcome="error"} 1"#,
            r#"mcpol_pending_calls{server="one"} 0"#,
        ],
    );
    assert_eq!(served.end(), Some(0));
    let sent: Vec<_> = collector.asked.try_iter().collect();
    let of = |path: &str| -> String {
        let to = format!("POST {path} ");
        sent.iter().filter(|asked| asked.head.starts_with(&to)).map(|asked| asked.body.clone()).collect()
    };
    let (traces, metrics) = (of("/v1/traces"), of("/v1/metrics"));
    // initialize, good, limited twice, broken, x/y and die.
    assert_eq!(traces.matches("mcp.method.name").count(), 7, "{traces:?}");
    for part in [
        "tools/call good",
        "/tools/limited/limits/few",
        "mcpol.decision",
        "tool_error",
        "-32050",
        "-32601",
        "upstream_gone",
    ] {
        assert!(traces.contains(part), "{part}: {traces:?}");
    }
    assert_eq!(traces.matches("mcpol.grant").count(), 5, "one for each call");
    assert!(metrics.contains("mcp.server.operation.duration"), "{metrics:?}");
    assert!(!traces.contains("hush") && !metrics.contains("hush") && !traces.contains("abandoned"), "{traces:?}");
}
