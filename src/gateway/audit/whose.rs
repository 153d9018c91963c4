//! What a line of the log concerns: the server, the grant and the way between them.

use crate::policy::Caller;
use std::sync::Arc;

/// The way between a client and a server: how the client is connected, and where the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Over standard streams to a command.
    StdioCommand,
    /// Over standard streams to a URL.
    StdioUrl,
    /// Over HTTP to a command.
    HttpCommand,
    /// Over HTTP to a URL.
    HttpUrl,
    /// Over HTTP to all servers together.
    Combined,
}

impl Route {
    /// Whether the client is connected over HTTP.
    pub const fn is_http(self) -> bool {
        match self {
            Self::StdioCommand | Self::StdioUrl => false,
            Self::HttpCommand | Self::HttpUrl | Self::Combined => true,
        }
    }

    /// Whether the server is a command.
    pub const fn is_command(self) -> bool {
        match self {
            Self::StdioCommand | Self::HttpCommand => true,
            Self::StdioUrl | Self::HttpUrl | Self::Combined => false,
        }
    }

    /// The word in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StdioCommand => "stdio_command",
            Self::StdioUrl => "stdio_url",
            Self::HttpCommand => "http_command",
            Self::HttpUrl => "http_url",
            Self::Combined => "combined",
        }
    }
}

/// What a line of the log concerns. A line about all servers or all grants names none of them.
#[derive(Clone, Debug, Default)]
pub struct Whose {
    /// The server's name.
    pub server: Option<Arc<str>>,
    /// Name of the grant in whose name the client calls.
    pub grant: Option<Arc<str>>,
    /// The way between client and server.
    pub way: Option<Route>,
}

impl Whose {
    /// A line about the gateway as a whole.
    pub fn gateway() -> Self {
        Self::default()
    }

    /// A line about a server, not about one of its clients.
    pub fn server(server: &Arc<str>) -> Self {
        Self { server: Some(Arc::clone(server)), ..Self::default() }
    }

    /// A line about one caller of a server.
    pub fn caller(caller: &Caller, way: Route) -> Self {
        Self { server: Some(Arc::clone(&caller.server)), grant: caller.grant.clone(), way: Some(way) }
    }

    /// The server's name, as notices to the operator and the meter use it; empty if the line names none.
    pub fn server_name(&self) -> &str {
        self.server.as_deref().unwrap_or_default()
    }
}
