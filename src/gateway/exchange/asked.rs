//! What a client asked of a server, as far as the meaning of the server's answer depends on it.

use super::flight::Flight;
use crate::mcp::envelope::Passage;
use crate::mcp::json::string_value;
use crate::mcp::protocol::{Kind, Method};
use crate::mcp::walk::member;
use crate::model::ExtraKind;

/// What a client asked of a server.
#[derive(Debug)]
pub enum Asked {
    /// A `tools/call` that was forwarded.
    Call(Flight),
    /// A page of the list of tools.
    List {
        /// For the first page, which has no cursor: how often the server had taken its list back when the page was
        /// asked for. `None` for later pages.
        first: Option<u64>,
    },
    /// `initialize` or `server/discover`: what the server says of itself.
    Greeting,
    /// A page of the list of prompts, resources or templates.
    Offers(ExtraKind),
    /// The tasks of the server.
    Tasks,
    /// One prompt by its name, or one resource by its URI.
    Fetch(ExtraKind, String),
    /// Anything else.
    Other,
}

impl Asked {
    /// What a request other than a call asks; `None` for a method that no known revision lets a client ask.
    /// `generation` returns how often the server has taken its list back.
    pub fn of(passage: &Passage, generation: impl FnOnce() -> u64) -> Option<Self> {
        Some(match Method::asked_by_client(passage.method()?)?.kind {
            Kind::ToolList => {
                let is_first = passage.params().and_then(|params| member(params, "cursor")).is_none();
                Self::List { first: is_first.then(generation) }
            }
            Kind::Initialize | Kind::Discover => Self::Greeting,
            Kind::Request => Self::beside_tools(passage),
            Kind::Call | Kind::Subscription | Kind::Notification => Self::Other,
        })
    }

    /// What the same answer means when it comes once more: a call is settled by then, and of a list it is not known which
    /// page it was.
    pub fn once_more(&self) -> Self {
        match self {
            Self::Call(_) | Self::Other => Self::Other,
            Self::Tasks => Self::Tasks,
            Self::List { .. } => Self::List { first: None },
            Self::Greeting => Self::Greeting,
            Self::Offers(kind) => Self::Offers(*kind),
            Self::Fetch(kind, key) => Self::Fetch(*kind, key.clone()),
        }
    }

    /// What a request asks of what is offered beside tools.
    fn beside_tools(passage: &Passage) -> Self {
        let method = passage.method().unwrap_or_default();
        if let Some(kind) = ExtraKind::ALL.into_iter().find(|kind| kind.method() == method) {
            return Self::Offers(kind);
        }
        let kind = match method {
            "tasks/list" => return Self::Tasks,
            "prompts/get" => ExtraKind::Prompt,
            "resources/read" => ExtraKind::Resource,
            _ => return Self::Other,
        };
        let literal = passage.params().and_then(|params| member(params, kind.key())).map(|(literal, _)| literal);
        // One without a key is no prompt or resource that was reviewed.
        Self::Fetch(kind, literal.and_then(string_value).map(String::from).unwrap_or_default())
    }
}
