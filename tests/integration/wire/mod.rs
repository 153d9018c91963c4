//! Listing servers: over stdio and HTTP, well-behaved ones written with another SDK and hostile ones of our own.

mod hostile_http;
mod hostile_stdio;
mod lives;
mod peers;
mod processes;
pub mod scripted;

use mcpol::mcp::target::{HttpTarget, StdioTarget, Target};
use mcpol::mcp::{ConnectError, EnumerateOptions, enumerate};
use mcpol::model::{Listing, ServerName};
use std::collections::BTreeMap;
use std::time::Duration;

/// Long enough that only a server that never answers meets it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Lists a target with a scratch home and no capabilities.
pub async fn list(target: impl Into<Target>) -> Result<Listing, ConnectError> {
    enumerate(&target.into(), &EnumerateOptions::new(PATIENCE), &|_| ()).await
}

/// A server that plays a script of [`scripted`] over stdio.
pub fn stdio(script: &str) -> Target {
    Target::Stdio(scripted::target(script))
}

/// A server behind a URL, without headers.
pub fn http(url: &str) -> Target {
    Target::Http(HttpTarget {
        server: ServerName::new("remote"),
        url: url::Url::parse(url).unwrap(),
        headers: BTreeMap::new(),
        token: None,
        forward_headers: Vec::new(),
    })
}

/// A command with nothing passed on purpose.
pub fn command(argv: &[&str]) -> Target {
    Target::Stdio(StdioTarget::new(ServerName::new("local"), argv.iter().map(|&word| word.to_owned()).collect()))
}

/// The names of the tools, in the order received.
pub fn names(listing: &Listing) -> Vec<&str> {
    listing.tools.iter().map(|tool| tool.name.as_str()).collect()
}

/// The codes of the notes but that for junk, which every scripted server earns by the banner of the test runner.
pub fn codes(listing: &Listing) -> Vec<&str> {
    listing.notes.iter().map(|note| note.code.as_str()).filter(|code| *code != "junk_on_stdout").collect()
}
