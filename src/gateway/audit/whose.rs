//! Whose a line of the log is: the server, the grant and the way between them.

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

/// Whose a line is. What concerns all servers or all grants alike names none.
#[derive(Clone, Debug, Default)]
pub struct Whose {
    /// The server.
    pub server: Option<Arc<str>>,
    /// The grant.
    pub grant: Option<Arc<str>>,
    /// The way.
    pub way: Option<Route>,
}

impl Whose {
    /// The gateway's own.
    pub fn gateway() -> Self {
        Self::default()
    }

    /// A server's, whoever calls it.
    pub fn server(server: &Arc<str>) -> Self {
        Self { server: Some(Arc::clone(server)), ..Self::default() }
    }

    /// A caller's.
    pub fn caller(caller: &Caller, way: Route) -> Self {
        Self { server: Some(Arc::clone(&caller.server)), grant: caller.grant.clone(), way: Some(way) }
    }

    /// What a person is told the server's name with.
    pub fn server_name(&self) -> &str {
        self.server.as_deref().unwrap_or_default()
    }
}
