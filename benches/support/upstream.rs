//! A server behind a URL that answers as fast as hyper can, and as little as the protocol allows.
//!
//! The tool decides how it answers: `pay` in JSON, `pay_stream` as an event, `big` and `big_stream` with 1 MiB.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The text of a big result, in bytes.
pub const BIG_BYTES: usize = 1 << 20;

/// What is prepared once.
struct Answers {
    tools: String,
    big: String,
    sessions: AtomicU64,
}

/// Listens on a free port of loopback, prints it, and answers until the process is ended. Lists the four tools and
/// `more` others.
pub fn serve(more: usize) {
    let mut tools = String::new();
    for name in ["pay", "pay_stream", "big", "big_stream"] {
        write!(tools, r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}},"#).unwrap();
    }
    for tool in 0..more {
        let properties: Vec<String> = (0..5)
            .map(|argument| format!(r#""a{argument}":{{"type":"integer","description":"Number {argument} of it"}}"#))
            .collect();
        write!(
            tools,
            r#"{{"name":"tool_{tool}","description":"Does what tool {tool} does","inputSchema":{{"type":"object","properties":{{{}}}}}}},"#,
            properties.join(",")
        )
        .unwrap();
    }
    tools.pop();
    let answers = Arc::new(Answers { tools, big: "x".repeat(BIG_BYTES), sessions: AtomicU64::new(1) });
    super::server::run(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(one(&answers, request).await) }
    });
}

async fn one(answers: &Answers, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let bare = |status: StatusCode| {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = status;
        response
    };
    match *request.method() {
        Method::POST => {}
        Method::DELETE => return bare(StatusCode::OK),
        _ => return bare(StatusCode::METHOD_NOT_ALLOWED),
    }
    let Ok(body) = request.into_body().collect().await else { return bare(StatusCode::BAD_REQUEST) };
    let body = body.to_bytes();
    let holds = |text: &str| memchr::memmem::find(&body, text.as_bytes()).is_some();
    // Our own load generator writes the id where it is found at once, and gateways keep members in their order.
    let Some(id) = memchr::memmem::find(&body, b"\"id\":").map(|at| &body[at + 5..]) else {
        return bare(StatusCode::ACCEPTED);
    };
    let id = String::from_utf8_lossy(&id[..memchr::memchr(b',', id).unwrap_or(0)]).into_owned();
    let (result, session) = if holds(r#""tools/call""#) {
        let text = if holds(r#""name":"big"#) { answers.big.as_str() } else { "done" };
        (format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#), None)
    } else if holds(r#""tools/list""#) {
        (format!(r#"{{"tools":[{}]}}"#, answers.tools), None)
    } else {
        let number = answers.sessions.fetch_add(1, Ordering::Relaxed);
        let info = r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"fast","version":"1"}}"#;
        (info.to_owned(), Some(format!("session-{number:032}")))
    };
    let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let response = Response::builder();
    let mut response = if holds("_stream\"") {
        let event = format!("event: message\ndata: {message}\n\n");
        response.header("content-type", "text/event-stream").body(Full::new(Bytes::from(event)))
    } else {
        response.header("content-type", "application/json").body(Full::new(Bytes::from(message)))
    }
    .unwrap();
    if let Some(session) = session {
        response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
    }
    response
}
