//! `mcpol status`: ask a running gateway about itself.

use super::{Failure, output, project};
use crate::cli::{StatusArgs, StatusFormat};
use crate::exit::Exit;
use crate::gateway::status::{STATUS_VERSION, Status};
use crate::mcp::ConnectError;
use crate::mcp::http::{Follow, HttpClient};
use crate::report::{document_line, status_table};
use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Where operators look if nothing is said.
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8788);
/// Largest account that is read, in bytes.
const STATUS_BYTES_MAX: usize = 4 << 20;
/// How long the gateway may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Cursor to the upper left corner, and everything below it gone.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

pub(super) fn run(args: &StatusArgs) -> Result<Exit, Failure> {
    let address = address(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(output::internal)?;
    let client = client(address)?;
    loop {
        let asked = runtime.block_on(async { tokio::time::timeout(ANSWER_WAIT, ask(&client)).await });
        let body = asked.map_err(|_| gone(address, "it does not answer"))??;
        show(args, address, &body)?;
        if !args.watch {
            return Ok(Exit::Clean);
        }
        std::thread::sleep(args.every);
    }
}

fn address(args: &StatusArgs) -> Result<SocketAddr, Failure> {
    if let Some(address) = args.admin {
        return Ok(address);
    }
    let project = project::find(args.config.as_deref())?;
    match (project.as_ref().and_then(project::Project::admin), &args.config) {
        (Some(address), _) => Ok(address),
        (None, None) => Ok(ADMIN_DEFAULT),
        (None, Some(path)) => {
            let message = format!("`{}` opens no address for operators", path.display());
            Err(Failure::usage(message).with_help("add `admin = \"127.0.0.1:8788\"` under `[gateway]`"))
        }
    }
}

fn client(address: SocketAddr) -> Result<HttpClient, Failure> {
    // An unspecified address is one to listen on, not one to go to.
    let address = match address {
        SocketAddr::V4(it) if it.ip().is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), it.port()),
        SocketAddr::V6(it) if it.ip().is_unspecified() => {
            SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), it.port())
        }
        other => other,
    };
    let url = url::Url::parse(&format!("http://{address}/status")).map_err(output::internal)?;
    HttpClient::plain(&url).map_err(|error| Failure::usage(error.to_string()))
}

async fn ask(client: &HttpClient) -> Result<bytes::Bytes, Failure> {
    let failed = |error: ConnectError| match (client.url().host_str(), client.url().port_or_known_default()) {
        (Some(host), Some(port)) => no_gateway(&format!("{host}:{port}"), "nothing listens there"),
        (_, _) => Failure::usage(error.to_string()),
    };
    let mut reply =
        client.send(http::Method::GET, None, &[("Accept", "application/json")], Follow::Yes).await.map_err(failed)?;
    if reply.status() != 200 {
        return Err(no_gateway(client.url().authority(), "what answers there is no mcpol gateway"));
    }
    reply.bytes(STATUS_BYTES_MAX).await.map_err(|error| Failure::usage(error.to_string()).with_exit(Exit::Unreachable))
}

fn gone(address: SocketAddr, why: &str) -> Failure {
    no_gateway(&address.to_string(), why)
}

fn no_gateway(address: &str, why: &str) -> Failure {
    Failure::usage(format!("no gateway can be asked at {address}: {why}"))
        .with_exit(Exit::Unreachable)
        .with_help("start it with `--admin 127.0.0.1:8788`, or name its address with `mcpol status --admin ADDR:PORT`")
}

fn show(args: &StatusArgs, address: SocketAddr, body: &[u8]) -> Result<(), Failure> {
    let status: Status = serde_json::from_slice(body)
        .ok()
        .filter(|status: &Status| status.version == STATUS_VERSION)
        .ok_or_else(|| gone(address, "what answers there speaks another version"))?;
    match args.format {
        // Printed from what was read, so that only what the format promises gets out.
        StatusFormat::Json => output::json(&document_line(&status).map_err(output::internal)?),
        StatusFormat::Table => {
            let table = status_table(&status, &address.to_string(), output::terminal_width());
            let clear = if args.watch && std::io::stdout().is_terminal() { CLEAR } else { "" };
            output::coloured(&format!("{clear}{table}"))
        }
    }
}
