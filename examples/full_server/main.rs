//! An MCP server that uses every feature of the protocol: what the official conformance suite asks of a server, by the
//! names that it asks for. `tests/conformance.sh` runs the suite against it, directly and through the gateway.
//!
//! ```text
//! full_server --era legacy [--port PORT]    sessions, server-sent requests: up to 2025-11-25
//! full_server --era modern [--port PORT]    stateless: 2026-07-28
//! full_server --era legacy|modern --stdio   the same over standard input and output
//! ```
//! It listens on loopback only, prints its URL, and ends when its standard input does.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "an example that cannot go on should say so and stop")]
#![expect(deprecated, reason = "the older revisions have logging, sampling and roots, and clients still use them")]

mod answers;
mod offers;
mod rounds;
mod server;
mod tasks;
mod tools;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use rmcp::ServiceExt as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
pub(crate) use server::Era;
use server::{Server, Shared};
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// What the middleware reads of a request at most, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// How long clients are told to wait before they come back to a stream.
const RETRY: Duration = Duration::from_millis(200);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| arguments.iter().skip_while(|argument| *argument != flag).nth(1);
    let era = match value("--era").map(String::as_str) {
        Some("legacy") => Era::Legacy,
        Some("modern") => Era::Modern,
        _ => {
            println!("usage: full_server --era legacy|modern [--port PORT | --stdio]");
            std::process::exit(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    if arguments.iter().any(|argument| argument == "--stdio") {
        return runtime.block_on(async {
            let server = Server::new(era, Arc::new(Shared::new()));
            let session = server.serve(rmcp::transport::stdio()).await.expect("the client begins a session");
            session.waiting().await.expect("the session ends in order");
        });
    }
    let port = value("--port").map_or(0, |port| port.parse().expect("the port is a number"));
    std::thread::spawn(|| {
        // Whoever started this holds the other end: no server is left behind when a script is killed.
        std::io::stdin().read_to_end(&mut Vec::new()).expect("standard input can be read");
        std::process::exit(0);
    });
    runtime.block_on(run(era, port));
}

async fn run(era: Era, port: u16) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the port is free");
    println!("http://{}/mcp", listener.local_addr().expect("a listener has an address"));
    serve(era, listener).await;
}

/// Serves all who connect, until it is dropped.
pub(crate) async fn serve(era: Era, listener: tokio::net::TcpListener) {
    let shared = Arc::new(Shared::new());
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.sse_retry = Some(RETRY);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(era == Era::Legacy)
        .with_sse_retry(Some(RETRY))
        .with_stateless_protocol_metadata_required(era == Era::Modern);
    let service =
        StreamableHttpService::new(move || Ok(Server::new(era, Arc::clone(&shared))), Arc::new(sessions), config);
    let router = axum::Router::new().nest_service("/mcp", service).layer(axum::middleware::from_fn(cut));
    axum::serve(listener, router).await.expect("the listener works");
}

/// Ends the answer to `test_reconnection` after its first event: the client has to come back for the rest with
/// `Last-Event-ID`. The SDK keeps what follows, but has no way for a tool to hang up on its own client.
async fn cut(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let asked = memchr::memmem::find(&body, b"\"test_reconnection\"").is_some();
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !asked {
        return response;
    }
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, Body::from_stream(body.into_data_stream().take(1)))
}
