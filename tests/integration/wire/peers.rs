//! Independent peers: servers written with the official SDK, of both eras, over stdio and HTTP.

use super::{http, list, names, scripted};
use mcpol::mcp::target::Target;
use mcpol::model::Listing;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ProtocolVersion, ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt as _, schemars, tool, tool_handler, tool_router};
use std::borrow::Cow;

/// A server with two tools that knows some revisions.
#[derive(Clone, Debug)]
pub struct Peer {
    versions: &'static [ProtocolVersion],
}

/// Up to the last revision with a handshake.
const LEGACY: &[ProtocolVersion] = &[ProtocolVersion::V_2024_11_05, ProtocolVersion::V_2025_11_25];
/// Only the revision without one.
const MODERN: &[ProtocolVersion] = &[ProtocolVersion::V_2026_07_28];

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Sum {
    /// First summand
    a: i32,
    /// Second summand
    b: i32,
}

#[tool_router]
impl Peer {
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Sum { a, b }): Parameters<Sum>) -> String {
        (a + b).to_string()
    }

    #[tool(description = "Deletes everything", annotations(destructive_hint = true))]
    fn delete_all(&self) -> String {
        "gone".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Peer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build()).with_instructions("add with care")
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.versions)
    }
}

/// Serves over stdio until the client leaves; played by the child process.
pub fn serve_stdio(modern: bool) {
    let versions = if modern { MODERN } else { LEGACY };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        // A peer that refuses the handshake ends with an error, as a real server would.
        if let Ok(running) = (Peer { versions }).serve(rmcp::transport::stdio()).await {
            running.waiting().await.unwrap();
        }
    });
}

async fn serve_http(versions: &'static [ProtocolVersion], config: StreamableHttpServerConfig) -> String {
    let service: StreamableHttpService<Peer, LocalSessionManager> =
        StreamableHttpService::new(move || Ok(Peer { versions }), std::sync::Arc::default(), config);
    let router = axum::Router::new().nest_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn check(listing: &Listing, version: &str) {
    assert_eq!(names(listing), ["add", "delete_all"]);
    assert_eq!(listing.protocol_version.as_deref(), Some(version));
    assert_eq!(listing.instructions.as_deref(), Some("add with care"));
    assert!(listing.server_info.as_ref().is_some_and(|info| !info.name.is_empty()));
    let paths: Vec<_> = listing.tools[0].parameters.iter().map(|parameter| parameter.path.as_str()).collect();
    assert_eq!(paths, ["a", "b"]);
    assert_eq!(listing.tools[1].annotations.destructive, Some(true));
}

#[tokio::test]
async fn the_sdks_servers_are_listed_over_stdio() {
    for (script, version) in [("sdk_legacy", "2025-11-25"), ("sdk_modern", "2026-07-28")] {
        let listing = list(Target::Stdio(scripted::target(script))).await;
        check(&listing.unwrap_or_else(|error| panic!("{script}: {}", error.render())), version);
    }
}

#[tokio::test]
async fn the_sdks_servers_are_listed_over_http() {
    let config = StreamableHttpServerConfig::default;
    for (what, versions, config, version) in [
        ("sessions and event streams", LEGACY, config(), "2025-11-25"),
        (
            "no sessions, plain JSON",
            LEGACY,
            config().with_legacy_session_mode(false).with_json_response(true),
            "2025-11-25",
        ),
        ("no handshake", MODERN, config(), "2026-07-28"),
        (
            "no handshake, strict",
            MODERN,
            config().with_legacy_session_mode(false).with_stateless_protocol_metadata_required(true),
            "2026-07-28",
        ),
    ] {
        let url = serve_http(versions, config).await;
        let listing = list(http(&url)).await;
        check(&listing.unwrap_or_else(|error| panic!("{what}: {}", error.render())), version);
    }
}
