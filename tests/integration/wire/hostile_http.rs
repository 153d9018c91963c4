//! What servers behind URLs do: each answer is played by a small HTTP server on this machine.

use super::{codes, http, list, names};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use mcpol::exit::Exit;
use mcpol::mcp::target::{HttpTarget, Secret, Target};
use mcpol::model::ServerName;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What came in: method, path, headers, body.
#[derive(Clone)]
struct Seen {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Value,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The JSON-RPC method of the body.
    fn call(&self) -> &str {
        self.body["method"].as_str().unwrap_or("")
    }

    fn answer(&self, result: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": self.body["id"], "result": result})
    }

    /// What a plain server answers to each method.
    fn plain(&self) -> Option<Value> {
        match self.call() {
            "initialize" => Some(self.answer(&json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}))),
            "tools/list" => Some(self.answer(&json!({"tools": [{"name": "a", "inputSchema": {"type": "object"}}]}))),
            _ => None,
        }
    }
}

type Behaviour = Arc<dyn Fn(&Seen) -> Response + Send + Sync>;

/// A server on a port of its own that remembers what it was asked.
struct Scripted {
    base: String,
    log: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    async fn start(behaviour: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let state = (Arc::new(behaviour) as Behaviour, Arc::clone(&log));
        let router = axum::Router::new().fallback(respond).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, log }
    }

    fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    async fn story(&self, path: &str) -> String {
        let error = list(http(&format!("{}{path}", self.base))).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Unreachable);
        // Ports differ from run to run.
        error.render().replace(&self.base, "http://here")
    }
}

async fn respond(State((behaviour, log)): State<(Behaviour, Arc<Mutex<Vec<Seen>>>)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let seen = Seen { method: parts.method, path: parts.uri.to_string(), headers: parts.headers, body };
    log.lock().unwrap().push(seen.clone());
    behaviour(&seen)
}

fn json_reply(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn stream_reply(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], text).into_response()
}

fn status(code: u16) -> Response {
    StatusCode::from_u16(code).unwrap().into_response()
}

fn page(code: u16, kind: &str, text: &str) -> Response {
    (StatusCode::from_u16(code).unwrap(), [(header::CONTENT_TYPE, kind.to_owned())], text.to_owned()).into_response()
}

/// A server whose only fault is what `other` does; `None` is the plain answer.
async fn plain_but(other: impl Fn(&Seen) -> Option<Response> + Send + Sync + 'static) -> Scripted {
    Scripted::start(move |seen| {
        other(seen).unwrap_or_else(|| seen.plain().map_or_else(|| status(202), |answer| json_reply(&answer)))
    })
    .await
}

#[tokio::test]
async fn plain_json_without_sessions_is_enough() {
    let server = plain_but(|_| None).await;
    let listing = list(http(&server.base)).await.unwrap();
    assert_eq!((names(&listing), codes(&listing)), (vec!["a"], vec![]));
    let seen = server.seen();
    let calls: Vec<_> = seen.iter().map(Seen::call).collect();
    assert_eq!(calls, ["initialize", "notifications/initialized", "tools/list"]);
    assert_eq!(seen[0].header("mcp-protocol-version"), None);
    assert_eq!(seen[2].header("mcp-protocol-version"), Some("2025-11-25"));
    assert_eq!(seen[2].header("accept"), Some("application/json, text/event-stream"));
    assert!(seen.iter().all(|seen| seen.header("mcp-method").is_none()), "these are of a later revision");
}

#[tokio::test]
async fn a_session_is_kept_and_ended() {
    let server = plain_but(|seen| {
        let mut reply = json_reply(&seen.plain()?);
        if seen.call() == "initialize" {
            reply.headers_mut().insert("Mcp-Session-Id", "s-1".parse().unwrap());
        } else if seen.header("mcp-session-id") != Some("s-1") {
            return Some(status(400));
        }
        Some(reply)
    })
    .await;
    list(http(&server.base)).await.unwrap();
    let last = server.seen().pop().unwrap();
    assert_eq!((last.method.clone(), last.header("mcp-session-id")), (Method::DELETE, Some("s-1")));
}

#[tokio::test]
async fn an_event_stream_carries_the_answer_among_other_things() {
    let server = plain_but(|seen| {
        let answer = seen.plain()?;
        let ping = json!({"jsonrpc": "2.0", "id": "p", "method": "ping"});
        let note = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
        let rest = json!({"jsonrpc": "2.0", "method": "too/late"});
        Some(stream_reply(format!(
            ": hello\r\n\r\nevent: message\r\ndata: {ping}\r\n\r\ndata: {note}\n\ndata: nonsense\n\ndata: {answer}\n\ndata: {rest}\n\n"
        )))
    })
    .await;
    assert_eq!(names(&list(http(&server.base)).await.unwrap()), ["a"]);
    let pongs =
        server.seen().iter().filter(|seen| seen.body == json!({"jsonrpc": "2.0", "id": "p", "result": {}})).count();
    assert_eq!(pongs, 2);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_taken_up_where_it_was() {
    let server = plain_but(|seen| match (seen.method.as_str(), seen.call()) {
        ("POST", "tools/list") => Some(stream_reply("id: 7\nretry: 1\ndata:\n\n".to_owned())),
        ("GET", _) => {
            assert_eq!(seen.header("last-event-id"), Some("7"));
            let answer = json!({"jsonrpc": "2.0", "id": 2, "result": {"tools": [{"name": "later"}]}});
            Some(stream_reply(format!("data: {answer}\n\n")))
        }
        _ => None,
    })
    .await;
    assert_eq!(names(&list(http(&server.base)).await.unwrap()), ["later"]);

    let endless =
        plain_but(|seen| (seen.call() != "initialize").then(|| stream_reply("id: 7\nretry: 1\n\n".to_owned()))).await;
    assert!(endless.story("").await.contains("an event stream without an answer"));
    assert_eq!(endless.seen().iter().filter(|seen| seen.method == Method::GET).count(), 5);
}

#[tokio::test]
async fn a_server_without_handshake_gets_headers_that_equal_the_body() {
    let server = plain_but(|seen| {
        Some(match seen.call() {
            "initialize" => {
                let error = json!({"code": -32022, "message": "Unsupported protocol version", "data": {"supported": ["2026-07-28"]}});
                page(400, "application/json", &json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string())
            }
            call => {
                assert_eq!(seen.header("mcp-method"), Some(call));
                assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"));
                assert_eq!(seen.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
                match call {
                    "server/discover" => json_reply(&seen.answer(&json!({"supportedVersions": ["2026-07-28"], "capabilities": {}}))),
                    _ => json_reply(&seen.plain()?),
                }
            }
        })
    })
    .await;
    let listing = list(http(&server.base)).await.unwrap();
    assert_eq!((names(&listing), listing.protocol_version.as_deref()), (vec!["a"], Some("2026-07-28")));
    assert_eq!(server.seen().len(), 3, "no notification and no session in this revision");
}

/// The stream of the deprecated transport, fed by what is posted to its second endpoint.
async fn older_server(endpoint: &'static str) -> Scripted {
    let (events, feed) = tokio::sync::mpsc::unbounded_channel::<String>();
    let feed = Mutex::new(Some(feed));
    Scripted::start(move |seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/sse") => {
            events.send(format!("event: endpoint\ndata: {endpoint}\n\n")).unwrap();
            let feed = feed.lock().unwrap().take().unwrap();
            let chunks = futures_util::stream::unfold(feed, |mut feed| async move {
                let chunk = feed.recv().await?;
                Some((Ok::<_, std::io::Error>(chunk), feed))
            });
            ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(chunks)).into_response()
        }
        ("POST", "/messages?session=1") => {
            if let Some(answer) = seen.plain() {
                events.send(format!("event: message\ndata: {answer}\n\n")).unwrap();
            }
            status(202)
        }
        ("POST", "/sse") => page(404, "text/html", "<pre>Cannot POST /sse</pre>"),
        _ => status(405),
    })
    .await
}

#[tokio::test]
async fn the_deprecated_transport_is_the_last_fallback() {
    let server = older_server("/messages?session=1").await;
    let listing = list(http(&format!("{}/sse", server.base))).await.unwrap();
    assert_eq!((names(&listing), codes(&listing)), (vec!["a"], vec!["deprecated_transport"]));

    let server = older_server("http://elsewhere.example/messages").await;
    let story = server.story("/sse").await;
    let said = "the event stream of http://here/sse names http://elsewhere.example/messages as its endpoint, which is another server";
    assert!(story.starts_with(said), "{story}");
    assert!(story.contains("if you trust that address, scan `http://elsewhere.example/sse`"), "{story}");
}

#[tokio::test]
async fn answers_under_another_id_or_without_a_result_are_told_for_what_they_are() {
    let server = plain_but(|seen| {
        let mut answer = seen.plain()?;
        answer["id"] = json!(77);
        Some(json_reply(&answer))
    })
    .await;
    let story = server.story("/mcp").await;
    assert!(story.starts_with("the server answered `initialize` under the id `77`"), "{story}");
    let server = plain_but(|seen| (seen.call() == "tools/list").then(|| json_reply(&seen.answer(&Value::Null)))).await;
    let story = server.story("/mcp").await;
    assert!(story.starts_with("the answer to `tools/list` is not valid: the result is null"), "{story}");
}

#[tokio::test]
async fn what_clients_may_stumble_over_is_noted() {
    let server = plain_but(|seen| {
        let mut answer = seen.plain()?;
        answer["id"] = json!(answer["id"].to_string());
        Some(page(200, "text/plain", &answer.to_string()))
    })
    .await;
    let listing = list(http(&server.base)).await.unwrap();
    assert_eq!((names(&listing), codes(&listing)), (vec!["a"], vec!["id_as_text", "odd_content_type"]));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (code, kind, body, expected, help) in [
        (401, "text/plain", "", "http://here/mcp wants a token (HTTP 401)", "--bearer-env VAR"),
        (
            403,
            "text/plain",
            "Access denied",
            "http://here/mcp refuses this client (HTTP 403): `Access denied`",
            "use `localhost` in the URL",
        ),
        (
            404,
            "text/html",
            "<title>Not Found</title>",
            "http://here/mcp answered HTTP 404: `Not Found`",
            "`/mcp` or `/sse`",
        ),
        (500, "text/plain", "boom", "http://here/mcp answered HTTP 500: `boom`", "later"),
        (
            200,
            "text/html",
            "<html><title>Welcome</title>",
            "http://here/mcp is not an MCP endpoint: it answered with an HTML page: `Welcome`",
            "`/mcp`",
        ),
        (
            200,
            "text/plain",
            "OK",
            "http://here/mcp is not an MCP endpoint: it answered with plain text: `OK`",
            "`/mcp`",
        ),
        (
            200,
            "application/json",
            "{\"ok\":true}",
            "http://here/mcp is not an MCP endpoint: it answered with JSON that is no MCP message",
            "`/mcp`",
        ),
        (200, "application/json", "{\"ok\":", "the answer to `initialize` is not valid: not valid JSON", "defect"),
        (202, "text/plain", "", "http://here/mcp is not an MCP endpoint: it answered with plain text", "`/mcp`"),
        (
            400,
            "application/json",
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,\"message\":\"no\"}}",
            "the server refused `initialize`: no (-32000)",
            "",
        ),
    ] {
        let server = Scripted::start(move |_| page(code, kind, body)).await;
        let story = server.story("/mcp").await;
        assert!(story.starts_with(expected) && story.contains(help), "{code} {kind} {body}\n{story}");
    }
}

#[tokio::test]
async fn a_token_is_sent_and_never_shown() {
    let server = plain_but(|_| Some(status(401))).await;
    let target = |value: &str| {
        Target::Http(HttpTarget {
            server: ServerName::new("remote"),
            url: url::Url::parse(&format!("{}/mcp?key=hush-query", server.base)).unwrap(),
            headers: BTreeMap::from([("Authorization".to_owned(), Secret::new(value))]),
            token: None,
            forward_headers: Vec::new(),
        })
    };
    let error = list(target("Bearer hush")).await.unwrap_err();
    assert_eq!(server.seen()[0].header("authorization"), Some("Bearer hush"));
    assert!(error.render().contains("the token that was sent is not accepted"), "{}", error.render());
    let bad = list(target("Bearer hush\n")).await.unwrap_err();
    assert_eq!(bad.exit(), Exit::Usage);
    for text in [error.render(), format!("{error:?}"), bad.render(), format!("{bad:?}")] {
        assert!(!text.contains("hush"), "{text}");
    }
}

#[tokio::test]
async fn redirects_are_followed_at_home_and_nowhere_else() {
    let redirect = |to: &'static str| {
        move |seen: &Seen| {
            (seen.path == "/old").then(|| (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response())
        }
    };
    let server = plain_but(redirect("/new")).await;
    assert_eq!(names(&list(http(&format!("{}/old", server.base))).await.unwrap()), ["a"]);

    let server = plain_but(redirect("https://other.example/mcp?token=hush")).await;
    let story = server.story("/old").await;
    assert!(
        story.starts_with("http://here/old redirects to https://other.example/mcp, which was not followed\n"),
        "{story}"
    );
    assert!(story.contains("use it in place of this one: https://other.example/mcp"), "{story}");

    let server = plain_but(redirect("/old")).await;
    assert!(server.story("/old").await.contains("one address after the other"));
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_to_be() {
    let (_kept, nobody) = crate::harness::deaf();
    let error = list(http(&format!("http://{nobody}/mcp"))).await.unwrap_err();
    assert!(
        error.render().starts_with(&format!("cannot connect to http://{nobody}/mcp: connection refused")),
        "{}",
        error.render()
    );

    let plain = plain_but(|_| None).await;
    let secure = plain.base.replace("http://", "https://");
    let error = list(http(&secure)).await.unwrap_err().render();
    let expected = format!(
        "no secure connection to {secure}/: the other end does not speak TLS\n  help: if the server speaks plain http"
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn bodies_stop_at_their_bound() {
    let server = plain_but(|seen| {
        (seen.call() == "tools/list").then(|| {
            let block = axum::body::Bytes::from(vec![b' '; 1024 * 1024]);
            let blocks = (0..100).map(move |_| Ok::<_, std::io::Error>(block.clone()));
            let kind = if seen.path == "/stream" { "text/event-stream" } else { "application/json" };
            ([(header::CONTENT_TYPE, kind)], Body::from_stream(futures_util::stream::iter(blocks))).into_response()
        })
    })
    .await;
    for path in ["/json", "/stream"] {
        assert!(server.story(path).await.starts_with("the server sent one message of more than 32 MiB"));
    }
}

#[tokio::test]
async fn a_server_that_never_answers_runs_into_the_timeout() {
    let server = plain_but(|seen| {
        (seen.call() == "tools/list").then(|| {
            let nothing = futures_util::stream::pending::<Result<String, std::io::Error>>();
            ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(nothing)).into_response()
        })
    })
    .await;
    let mut said = String::new();
    // Where a machine is very slow, `initialize` is answered too late for the first.
    for seconds in [1.5, 15.0] {
        let options = mcpol::mcp::EnumerateOptions::new(std::time::Duration::from_secs_f64(seconds));
        said = mcpol::mcp::enumerate(&http(&server.base), &options, &|_| ()).await.unwrap_err().render();
        if said.starts_with(&format!("no answer to `tools/list` within {seconds} s")) {
            return;
        }
    }
    panic!("{said}");
}
