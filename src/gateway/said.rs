//! A line for the operator: how much it matters, which server it is about, who says it, and in which words. How it is
//! written is up to whoever shows it.

use std::borrow::Cow;

/// How much a line matters to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Good to know.
    Info,
    /// Something is not as it should be, and the gateway goes on as it is configured.
    Warning,
    /// Something that the gateway was asked to do cannot be done.
    Error,
}

impl Level {
    /// The word in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Who says a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The gateway.
    Gateway,
    /// The server, on its standard error.
    Server,
}

/// One line, or several that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// How much it matters.
    pub level: Level,
    /// Name of the server that it is about, if it is about one.
    pub server: Option<Cow<'a, str>>,
    /// Who says it.
    pub speaker: Speaker,
    /// The words; not escaped.
    pub text: Cow<'a, str>,
}

impl<'a> Said<'a> {
    fn new(level: Level, text: impl Into<Cow<'a, str>>) -> Self {
        Self { level, server: None, speaker: Speaker::Gateway, text: text.into() }
    }

    /// Good to know.
    pub fn info(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Level::Info, text)
    }

    /// Not as it should be.
    pub fn warning(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Level::Warning, text)
    }

    /// Cannot be done.
    pub fn error(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Level::Error, text)
    }

    /// A line of a server's standard error.
    pub fn by_server(server: impl Into<Cow<'a, str>>, line: impl Into<Cow<'a, str>>) -> Self {
        Self { speaker: Speaker::Server, ..Self::info(line) }.of(server)
    }

    /// It is about this server; about none if the name is empty.
    #[must_use]
    pub fn of(self, server: impl Into<Cow<'a, str>>) -> Self {
        let server = server.into();
        Self { server: (!server.is_empty()).then_some(server), ..self }
    }
}
