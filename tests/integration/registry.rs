//! Servers that an MCP registry names: a registry of our own on loopback that answers as the published API (v0.1) has it,
//! and a runner that starts the sample server in place of a package.

use crate::harness::Sandbox;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The entry that the tests ask for.
const NAME: &str = "io.example/focus";

/// A registry of MCP servers and of npm packages, in one.
struct Registry {
    url: String,
    answers: Arc<Mutex<BTreeMap<String, Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    /// One that has nothing yet.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answers, asked) = (Arc::<Mutex<BTreeMap<String, Value>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (known, heard) = (Arc::clone(&answers), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                one(stream.unwrap(), &known, &heard);
            }
        });
        Self { url, answers, asked }
    }

    /// Has an answer for a path and query.
    fn has(&self, path: &str, answer: Value) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Has an entry (`ServerResponse`) under its version and, as the newest, under `latest`.
    fn has_entry(&self, version: &str, status: &str, more: &Value) {
        let mut server = json!({"name": NAME, "description": "Keeps the focus", "title": "Sample tasks and focus timer", "version": version,
            "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"});
        for (key, value) in more.as_object().unwrap() {
            server[key] = value.clone();
        }
        let official = json!({"status": status, "statusMessage": "see io.example/other", "isLatest": true,
            "publishedAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"});
        let answer = json!({"server": server, "_meta": {"io.modelcontextprotocol.registry/official": official}});
        for version in [version, "latest"] {
            self.has(
                &format!("/v0.1/servers/io.example%2Ffocus/versions/{version}?include_deleted=true"),
                answer.clone(),
            );
        }
    }

    /// A package of npm that is described by this registry too.
    fn package(&self, more: &Value) -> Value {
        let mut package = json!({"registryType": "npm", "registryBaseUrl": self.url, "identifier": "@example/focus",
            "version": "1.2.0", "transport": {"type": "stdio"}});
        for (key, value) in more.as_object().unwrap() {
            package[key] = value.clone();
        }
        json!({"packages": [package]})
    }

    /// Describes that package as npm does.
    fn describes(&self, described: Value) {
        self.has("/@example%2Ffocus/1.2.0", described);
    }

    /// The paths that were asked for so far.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn one(stream: TcpStream, answers: &Mutex<BTreeMap<String, Value>>, asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    for line in lines {
        if line.unwrap().is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap().to_owned();
    let answer = answers.lock().unwrap().get(&path).cloned();
    asked.lock().unwrap().push(path);
    let (status, body) = match answer {
        Some(answer) => ("200 OK", answer.to_string()),
        None => ("404 Not Found", json!({"error": "Server not found"}).to_string()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let _ = (&stream).write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

/// A sandbox where `npx` starts the sample server, and writes down what it was called with.
fn place() -> Sandbox {
    let sandbox = Sandbox::new();
    let bin = sandbox.dir().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let called = sandbox.dir().join("called");
    let script = format!(
        "#!/bin/sh\necho \"$* KEY=$KEY\" >>'{}'\nexec '{}' sample-server\n",
        called.display(),
        env!("CARGO_BIN_EXE_mcpol")
    );
    let runner = bin.join("npx");
    std::fs::write(&runner, script).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&runner, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", bin.display());
    sandbox.with_env("PATH", &path)
}

fn findings(report: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(report).unwrap();
    let found = report["servers"][0]["findings"].as_array().unwrap().clone();
    let of_registry = found.iter().filter(|it| it["id"].as_str().unwrap().starts_with("registry-"));
    of_registry.map(|it| format!("{} {}: {}", it["id"], it["severity"], it["message"]).replace('"', "")).collect()
}

#[test]
fn an_entry_is_pinned_confirmed_and_scanned() {
    let (registry, sandbox) = (Registry::start(), place());
    let wanted = json!({"environmentVariables": [{"name": "KEY", "isRequired": true, "isSecret": true}],
        "packageArguments": [{"type": "named", "name": "--region", "value": "eu"}]});
    registry.has_entry("1.2.0", "active", &registry.package(&wanted));
    registry.describes(json!({"name": "@example/focus", "version": "1.2.0", "mcpName": NAME, "license": "MIT",
        "homepage": "https://focus.example", "repository": {"type": "git", "url": "https://example.org/focus"}}));
    let at = ["--registry-url", registry.url.as_str()];
    let scan =
        |more: &[&str]| sandbox.run(&[&["scan", "--format", "json", "--registry", NAME], &at[..], more].concat());

    // Nothing is run unasked, and what it needs is named.
    let said = scan(&["--env", "KEY=hush-hush"]).refused(2);
    assert!(said.contains("npx -y @example/focus@1.2.0 --region eu") && said.contains("--yes"), "{said}");
    assert!(!said.contains("hush") && !sandbox.dir().join("called").exists(), "{said}");
    let (_, said) = scan(&["--yes"]).both(3);
    assert!(said.contains("--input KEY=VALUE"), "{said}");
    assert!(!sandbox.dir().join("called").exists(), "{said}");

    let out = scan(&["--yes", "--save", "records", "--env", "KEY=hush-hush"]).quiet(0);
    assert_eq!(findings(&out), Vec::<String>::new());
    assert_eq!(sandbox.read("called"), "-y @example/focus@1.2.0 --region eu KEY=hush-hush\n");
    let record: Value = serde_json::from_str(&sandbox.read("records/focus.json")).unwrap();
    assert_eq!(record["package"]["licence"], "MIT");
    assert_eq!(record["package"]["repository"], "https://example.org/focus");
    assert_eq!(record["source"]["package"]["version"], "1.2.0");
    assert!(!record.to_string().contains("hush"), "{record}");
    // The record reads back as it is.
    sandbox.run(&["scan", "--tools", "records", "--save", "again", "--format", "json"]).quiet(0);
    assert_eq!(sandbox.read("again/focus.json"), sandbox.read("records/focus.json"));
    let asked = registry.asked();
    assert!(asked.iter().all(|path| path.starts_with("/v0.1/servers/io.example%2Ffocus/") || path.starts_with("/@")));
}

#[test]
fn what_registry_and_package_say_differently_is_found() {
    let (registry, sandbox) = (Registry::start(), place());
    registry.has_entry("1.3.0", "deprecated", &registry.package(&json!({})));
    registry.describes(json!({"version": "1.2.0", "mcpName": "io.other/focus", "deprecated": "moved"}));
    let name = format!("{NAME}@1.3.0");
    let args = ["scan", "--format", "json", "--registry", &name, "--registry-url", &registry.url, "--yes"];
    let found = findings(&sandbox.run(&args).quiet(0));
    for expected in [
        "registry-withdrawn warning: the registry calls `io.example/focus` `1.3.0` deprecated: “see io.example/other”",
        "registry-withdrawn warning: its authors have withdrawn this version of the package `@example/focus`: “moved”",
        "registry-differs error: the registry gives `io.example/focus` the package `@example/focus`, which says that it belongs to `io.other/focus`",
        "registry-differs note: the entry is of version `1.3.0`, its package of `1.2.0`",
    ] {
        assert!(found.iter().any(|it| it == expected), "{expected} in {found:#?}");
    }
    registry.has_entry("1.3.0", "deleted", &registry.package(&json!({})));
    let found = findings(&sandbox.run(&args).quiet(0));
    assert!(found.iter().any(|it| it.starts_with("registry-withdrawn error:")), "{found:?}");
    sandbox.run(&[&args[..], &["--fail-on", "critical"]].concat()).quiet(1);
}

#[test]
fn an_entry_chooses_nobody_else_to_be_asked() {
    let (registry, elsewhere, sandbox) = (Registry::start(), Registry::start(), place());
    registry.has_entry("1.2.0", "active", &registry.package(&json!({"registryBaseUrl": elsewhere.url})));
    let args = ["scan", "--format", "json", "--registry", NAME, "--registry-url", &registry.url, "--yes"];
    let (_, said) = sandbox.run(&args).both(0);
    assert!(said.contains("`@example/focus` was not compared with its entry"), "{said}");
    assert_eq!(elsewhere.asked(), Vec::<String>::new());
}

#[test]
fn what_a_registry_does_not_have_is_said_with_what_it_has() {
    let (registry, sandbox) = (Registry::start(), place());
    let scan = |name: &str| sandbox.run(&["scan", "--registry", name, "--registry-url", &registry.url, "--yes"]);
    let said = scan(NAME).refused(2);
    assert!(said.contains("it has no such entry") && said.contains("namespace included"), "{said}");
    let entry = |name: &str| json!({"server": {"name": name, "description": "d", "version": "1.0.0"}});
    registry.has(
        "/v0.1/servers?search=focus&version=latest&limit=5",
        json!({"servers": [entry("com.example/focus"), entry("io.x/focus")], "metadata": {"count": 2}}),
    );
    let said = scan(NAME).refused(2);
    assert!(said.contains("help: it has `com.example/focus`, `io.x/focus`"), "{said}");
    // An answer about another entry chooses nothing.
    let path = "/v0.1/servers/io.example%2Ffocus/versions/latest?include_deleted=true";
    registry.has(path, entry("io.x/focus"));
    assert!(scan(NAME).refused(3).contains("it answered with `io.x/focus@1.0.0`"));
    registry.has(path, json!({"server": {"name": NAME, "description": "d", "version": "1.0.0",
        "packages": [{"registryType": "mcpb", "identifier": "https://x.example/y.mcpb", "transport": {"type": "stdio"}}]}}));
    assert!(scan(NAME).refused(2).contains("nothing that can be started here: packages of `mcpb`"));
    assert!(!sandbox.dir().join("called").exists());
    // What names no entry, and a way that others could listen on, are refused before anything is asked.
    registry.asked();
    assert!(scan("focus").refused(2).contains("namespace/name"));
    let plain = ["scan", "--registry", NAME, "--registry-url", "http://registry.example"];
    assert!(sandbox.run(&plain).refused(2).contains("is not encrypted"));
    assert_eq!(registry.asked(), Vec::<String>::new());
}
