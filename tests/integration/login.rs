//! `mcpol login`: OAuth with a scripted server, from the browser's address or a device code to a call with a token that was
//! renewed.

use crate::harness::Sandbox;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// One request as the scripted server saw it.
struct Asked {
    line: String,
    head: String,
    body: String,
}

/// An MCP server that asks for a login, and its authorization server, in one.
struct Site {
    url: String,
    seen: Receiver<Asked>,
}

/// What an authorization server does about device codes.
#[derive(Clone)]
enum Devices {
    /// It knows none.
    None,
    /// It knows none, and its metadata names this endpoint on another machine, unencrypted.
    Elsewhere(&'static str),
    /// It answers this to requests for a code, and this to polls, one after the other and then the last again.
    Answering(Value, Vec<(&'static str, Value)>),
}

impl Site {
    fn start() -> Self {
        Self::with(Devices::None)
    }

    fn with(devices: Devices) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (sender, seen) = channel();
        let (site, polls) = (origin.clone(), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (sender, site, devices, polls) =
                    (sender.clone(), site.clone(), devices.clone(), Arc::clone(&polls));
                std::thread::spawn(move || {
                    one(stream.unwrap(), &sender, |asked| {
                        by_device(asked, &site, &devices, &polls).unwrap_or_else(|| answer(asked, &site))
                    });
                });
            }
        });
        Self { url: format!("{origin}/mcp"), seen }
    }

    /// Everything that was asked so far.
    fn asked(&self) -> Vec<Asked> {
        self.seen.try_iter().collect()
    }
}

/// Status, further headers and body of an answer.
type Reply = (&'static str, String, String);

fn one(stream: TcpStream, seen: &Sender<Asked>, answer: impl FnOnce(&Asked) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut head, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut line).unwrap();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&header);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let asked = Asked { line: line.trim().to_owned(), head, body: String::from_utf8(body).unwrap() };
    let (status, headers, text) = answer(&asked);
    // Heard of before it is answered, so that a test which has the answer finds it.
    let _ = seen.send(asked);
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = (&stream).write_all(reply.as_bytes());
}

/// What is answered otherwise where device codes are known.
fn by_device(asked: &Asked, site: &str, devices: &Devices, polls: &AtomicUsize) -> Option<Reply> {
    let path = asked.line.split(' ').nth(1).unwrap();
    let reply = |status, value: &Value| Some((status, String::new(), value.to_string()));
    let (code, answers) = match devices {
        Devices::None => return None,
        Devices::Elsewhere(endpoint) if path == "/.well-known/oauth-authorization-server" => {
            let (status, _, text) = answer(asked, site);
            let mut metadata: Value = serde_json::from_str(&text).unwrap();
            metadata[*endpoint] = "http://login.example/here".into();
            return reply(status, &metadata);
        }
        Devices::Elsewhere(_) => return None,
        Devices::Answering(code, answers) => (code, answers),
    };
    match path {
        "/.well-known/oauth-authorization-server" => {
            let (status, _, text) = answer(asked, site);
            let mut metadata: Value = serde_json::from_str(&text).unwrap();
            metadata["device_authorization_endpoint"] = format!("{site}/device").into();
            reply(status, &metadata)
        }
        "/device" => reply("200 OK", code),
        "/token" if asked.body.contains("device_code") => {
            let (status, value) = &answers[polls.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
            reply(status, value)
        }
        _ => None,
    }
}

fn answer(asked: &Asked, site: &str) -> Reply {
    let mut words = asked.line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let ok = |value: Value| ("200 OK", String::new(), value.to_string());
    match (method, path) {
        ("GET", "/.well-known/oauth-protected-resource" | "/.well-known/oauth-protected-resource/mcp") => ok(json!({
            "resource": format!("{site}/mcp"), "authorization_servers": [site], "scopes_supported": ["mail"],
        })),
        ("GET", "/.well-known/oauth-authorization-server") => ok(json!({
            "issuer": site,
            "authorization_endpoint": format!("{site}/authorize"),
            "token_endpoint": format!("{site}/token"),
            "registration_endpoint": format!("{site}/register"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        })),
        ("POST", "/register") => {
            let asked: Value = serde_json::from_str(&asked.body).unwrap();
            ok(json!({"client_id": "client-7", "redirect_uris": asked["redirect_uris"]}))
        }
        ("GET", "/authorize") => {
            let redirect = parameter(query, "redirect_uri").unwrap();
            let state = parameter(query, "state").unwrap();
            let challenge = parameter(query, "code_challenge").unwrap();
            assert_eq!(parameter(query, "code_challenge_method").as_deref(), Some("S256"));
            // The code carries the challenge, so that this server needs no memory.
            ("302 Found", format!("Location: {redirect}?code=code-{challenge}&state={state}\r\n"), String::new())
        }
        ("POST", "/token") => match parameter(&asked.body, "grant_type").as_deref() {
            Some("authorization_code") => {
                let verifier = parameter(&asked.body, "code_verifier").unwrap();
                let code = parameter(&asked.body, "code").unwrap();
                if code != format!("code-{}", challenge_of(&verifier)) {
                    return ("400 Bad Request", String::new(), json!({"error": "invalid_grant"}).to_string());
                }
                ok(
                    json!({"access_token": "access-1", "refresh_token": "refresh-1", "token_type": "Bearer", "expires_in": 0}),
                )
            }
            Some("refresh_token") if parameter(&asked.body, "refresh_token").as_deref() == Some("refresh-1") => ok(
                json!({"access_token": "access-2", "refresh_token": "refresh-2", "token_type": "Bearer", "expires_in": 3600}),
            ),
            _ => ("400 Bad Request", String::new(), json!({"error": "invalid_grant"}).to_string()),
        },
        (_, "/mcp") if !asked.head.to_ascii_lowercase().contains("authorization: bearer access-2") => {
            let challenge = format!(
                "WWW-Authenticate: Bearer resource_metadata=\"{site}/.well-known/oauth-protected-resource\"\r\n"
            );
            ("401 Unauthorized", challenge, String::new())
        }
        ("GET" | "DELETE", "/mcp") => ("405 Method Not Allowed", String::new(), String::new()),
        ("POST", "/mcp") => {
            let message: Value = serde_json::from_str(&asked.body).unwrap();
            match message["method"].as_str() {
                Some("initialize") => {
                    let result = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                        "serverInfo": {"name": "site", "version": "1"}});
                    ok(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
                }
                Some("tools/list") => {
                    let tools = json!({"tools": [{"name": "read_mail", "inputSchema": {"type": "object"}}]});
                    ok(json!({"jsonrpc": "2.0", "id": message["id"], "result": tools}))
                }
                Some(_) if message.get("id").is_some() => {
                    let error = json!({"code": -32601, "message": "method not found"});
                    ok(json!({"jsonrpc": "2.0", "id": message["id"], "error": error}))
                }
                _ => ("202 Accepted", String::new(), String::new()),
            }
        }
        _ => ("404 Not Found", String::new(), String::new()),
    }
}

/// BASE64URL(SHA256(verifier)), RFC 7636, section 4.2.
fn challenge_of(verifier: &str) -> String {
    use sha2::{Digest as _, Sha256};
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in Sha256::digest(verifier.as_bytes()).chunks(3) {
        let mut block = [0_u8; 4];
        block[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(block);
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}

fn parameter(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// What a browser does with an address, without following: status line and `Location`.
fn browse(address: &str) -> (String, Option<String>) {
    let url = url::Url::parse(address).unwrap();
    let authority = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(&authority).unwrap();
    let target = &address[address.find(&authority).unwrap() + authority.len()..];
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let location = text.lines().find_map(|line| line.strip_prefix("Location: ")).map(str::to_owned);
    (text.lines().next().unwrap().to_owned(), location)
}

/// A sandbox with a state of its own, and a proxy in its environment that leads nowhere: what is on this machine is reached
/// without it.
fn behind_a_proxy() -> Sandbox {
    let sandbox = Sandbox::new().with_env("MCPOL_STATE_DIR", "state");
    ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"]
        .into_iter()
        .fold(sandbox, |sandbox, name| sandbox.with_env(name, "http://127.0.0.1:9"))
}

#[test]
fn a_login_in_the_browser_lets_other_commands_in_until_it_is_forgotten() {
    let (site, sandbox) = (Site::start(), behind_a_proxy());
    let refused = sandbox.run(&["scan", &site.url]).both(3);
    assert!(!format!("{refused:?}").contains("access-"));
    let mut login = sandbox.command(&["login", &site.url]);
    let mut login = login.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(login.stderr.take().unwrap());
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "no address in: {said}");
        said.push_str(&line);
        if line.trim().starts_with("http://") {
            break line.trim().to_owned();
        }
    };
    assert!(parameter(address.split_once('?').unwrap().1, "scope").unwrap().contains("mail"), "{address}");
    let (_, back) = browse(&address);
    let back = back.unwrap();
    // Somebody else on this machine guesses first; then something that is not meant for us; then the browser.
    let forged = back.replace("state=", "state=x");
    assert!(browse(&forged).0.contains("400"));
    assert!(browse(&format!("{}/favicon.ico", back.split("/callback").next().unwrap())).0.contains("404"));
    assert!(browse(&back).0.contains("200"));
    stderr.read_to_string(&mut said).unwrap();
    assert!(login.wait().unwrap().success(), "{said}");
    assert!(said.contains("Logged in at http://127.0.0.1:"), "{said}");
    let mut stdout = String::new();
    login.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
    site.asked();
    // The token that the login brought is over at once: it is renewed before it is used.
    let (out, words) = sandbox.run(&["scan", "--format", "ndjson", &site.url]).both(0);
    assert!(out.contains("read_mail"), "{out}\n{words}");
    let asked = site.asked();
    assert!(asked.iter().any(|asked| asked.line.starts_with("POST /token") && asked.body.contains("resource=")));
    assert!(!asked.iter().any(|asked| asked.head.contains("access-1")), "never with the one that is over");
    let shown = said + &out + &words;
    assert!(!shown.contains("access-") && !shown.contains("refresh-"), "{shown}");
    let files: Vec<_> =
        std::fs::read_dir(sandbox.dir().join("state/logins")).unwrap().map(|file| file.unwrap()).collect();
    assert!(!files.is_empty());
    #[cfg(unix)]
    for file in &files {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    let (_, words) = sandbox.run(&["logout", &site.url]).both(0);
    assert!(words.contains("is forgotten"), "{words}");
    let (_, words) = sandbox.run(&["scan", &site.url]).both(3);
    assert!(words.contains("mcpol login"), "{words}");
    let (_, words) = sandbox.run(&["logout", &site.url]).both(0);
    assert!(words.contains("There is no login"), "{words}");
}

#[test]
fn a_server_that_is_not_named_right_is_refused() {
    let sandbox = Sandbox::new().with_env("MCPOL_STATE_DIR", "state");
    assert!(sandbox.run(&["login", "github"]).refused(2).contains("is no URL"));
    sandbox.write("p.json", r#"{"version":"1","default":"deny"}"#);
    let config = "[gateway]\nlisten = \"127.0.0.1:0\"\n[servers.files]\ncommand = [\"true\"]\npolicy = \"p.json\"\n";
    sandbox.write("mcpol.toml", config);
    let error = sandbox.run(&["login", "files"]).refused(2);
    assert!(error.contains("is a command"), "{error}");
    let error = sandbox.run(&["login", "github"]).refused(2);
    assert!(error.contains("names no server `github`"), "{error}");
}

#[test]
fn nothing_secret_goes_where_others_could_listen() {
    for endpoint in ["token_endpoint", "registration_endpoint", "authorization_endpoint"] {
        let (site, sandbox) =
            (Site::with(Devices::Elsewhere(endpoint)), Sandbox::new().with_env("MCPOL_STATE_DIR", "state"));
        let said = sandbox.run(&["login", &site.url]).refused(3);
        assert!(said.contains("no https URL"), "{endpoint}: {said}");
        assert!(!said.contains("login.example"), "{said}");
    }
}

/// What a server answers that is asked for a device code, with some of it replaced.
fn code(changes: Value) -> Value {
    let mut code = json!({"device_code": "device-5", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 1,
        "verification_uri": "https://login.example/device"});
    for (name, value) in changes.as_object().unwrap() {
        code[name] = value.clone();
    }
    code
}

fn no(error: &str) -> (&'static str, Value) {
    ("400 Bad Request", json!({"error": error, "error_description": "\u{1b}[31mbecause"}))
}

#[test]
fn a_login_by_device_code_waits_for_a_person_elsewhere_and_is_kept_as_any_other() {
    let token =
        json!({"access_token": "access-1", "refresh_token": "refresh-1", "token_type": "Bearer", "expires_in": 0});
    let polls = vec![
        no("authorization_pending"),
        // Some say so with a status of success.
        ("200 OK", json!({"error": "slow_down"})),
        ("200 OK", token),
    ];
    let shown =
        json!({"user_code": "\u{1b}[31mWDJB-MJHT", "verification_uri_complete": "https://login.example/device?c=1"});
    let site = Site::with(Devices::Answering(code(shown), polls));
    let sandbox = behind_a_proxy();
    let said = sandbox.run(&["login", "--device", &site.url]).refused(0);
    for part in
        ["\n  https://login.example/device\n", "WDJB-MJHT\n", "device?c=1\n", "good for 10 minutes", "Logged in at"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains('\u{1b}') && !said.contains("access-") && !said.contains("device-5"), "{said}");
    let asked = site.asked();
    let bodies = |path: &str| -> Vec<String> {
        let line = format!("POST {path} ");
        asked.iter().filter(|asked| asked.line.starts_with(&line)).map(|asked| asked.body.clone()).collect()
    };
    let registered: Value = serde_json::from_str(&bodies("/register")[0]).unwrap();
    assert_eq!(registered["grant_types"][0], "urn:ietf:params:oauth:grant-type:device_code");
    assert_eq!(registered["token_endpoint_auth_method"], "none");
    let device = &bodies("/device")[0];
    for (name, value) in [("client_id", "client-7"), ("scope", "mail"), ("resource", &site.url)] {
        assert_eq!(parameter(device, name).as_deref(), Some(value), "{device}");
    }
    let polled = bodies("/token");
    assert_eq!(polled.len(), 3);
    for poll in &polled {
        for (name, value) in [("client_id", "client-7"), ("device_code", "device-5"), ("resource", &site.url)] {
            assert_eq!(parameter(poll, name).as_deref(), Some(value), "{poll}");
        }
    }
    // Renewed before it is used, by the client that has it.
    let (out, words) = sandbox.run(&["scan", "--format", "ndjson", &site.url]).both(0);
    assert!(out.contains("read_mail"), "{out}\n{words}");
    assert!(site.asked().iter().any(|asked| asked.body.contains("refresh-1") && asked.body.contains("client-7")));
    assert!(sandbox.run(&["logout", &site.url]).both(0).1.contains("is forgotten"));
}

#[test]
fn a_login_by_device_code_that_comes_to_nothing_says_why_and_keeps_nothing() {
    let waits = || vec![no("authorization_pending")];
    let answering = |changes: Value, polls: Vec<(&'static str, Value)>| Devices::Answering(code(changes), polls);
    for (devices, expected) in [
        (Devices::None, "knows no device codes\n  help: leave out --device"),
        (answering(json!({}), vec![no("access_denied")]), "the login was refused: somebody said no"),
        (answering(json!({}), vec![no("expired_token")]), "nobody entered the code in time"),
        (answering(json!({"expires_in": 0}), waits()), "nobody entered the code in time"),
        (answering(json!({}), vec![no("invalid_client")]), "invalid_client"),
        (answering(json!({}), vec![("200 OK", json!({"token": "access-1"}))]), "cannot be understood"),
        (answering(json!({"interval": 301}), waits()), "asked every 301 s only"),
        (answering(json!({"interval": u64::MAX}), vec![no("slow_down")]), "asked every 18446744073709551615 s only"),
        (answering(json!({"verification_uri": "javascript:alert(1)"}), waits()), "none of the web"),
        (answering(json!({"error": "unauthorized_client"}), waits()), "unauthorized_client"),
        (answering(json!({"filling": "x".repeat(256 * 1024)}), waits()), "more than 262144 bytes"),
    ] {
        let (site, sandbox) = (Site::with(devices), Sandbox::new().with_env("MCPOL_STATE_DIR", "state"));
        let said = sandbox.run(&["login", "--device", &site.url]).refused(3);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains('\u{1b}') && !said.contains("access-") && !said.contains("device-5"), "{said}");
        assert!(!sandbox.dir().join("state/logins").exists());
    }
}
