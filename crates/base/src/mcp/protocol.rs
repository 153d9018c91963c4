//! What the revisions of the protocol say, each once: which revisions there are, which of them have no sessions, and
//! the methods with what is special about each.

/// The revisions of the protocol that are known here, oldest first.
pub const PROTOCOL_VERSIONS: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", STATELESS_VERSION];

/// The first revision without handshake and sessions: each request says for itself what `initialize` said before, and
/// over HTTP its headers repeat what the body says.
pub const STATELESS_VERSION: &str = "2026-07-28";

/// Whether requests of this revision stand for themselves, without handshake and session. Revisions are dates, so that
/// their order is that of their texts.
pub fn is_stateless(revision: &str) -> bool {
    revision >= STATELESS_VERSION
}

/// Who may send a message of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
    /// Either.
    Both,
}

/// What a message of a method is, and for a request what its answer means to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request for a tool to run; it passes the gate only.
    Call,
    /// A request for a page of the list of tools.
    ToolList,
    /// The request that begins a session.
    Initialize,
    /// The request that begins without a session.
    Discover,
    /// A request whose answer is a stream that lasts.
    Subscription,
    /// Any other request.
    Request,
    /// A notification.
    Notification,
}

/// One method of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// As messages name it.
    pub name: &'static str,
    /// What such a message is.
    pub kind: Kind,
    /// Who may send it.
    pub sender: Sender,
    /// The first revision that has it.
    pub since: &'static str,
    /// The member of `params` that the header `Mcp-Name` repeats, if any.
    pub named_by: Option<&'static str>,
    /// Whether a stateless request over HTTP must carry that header.
    pub name_is_due: bool,
}

const fn method(name: &'static str, kind: Kind, sender: Sender, since: &'static str) -> Method {
    Method { name, kind, sender, since, named_by: None, name_is_due: false }
}

const fn named(method: Method, by: &'static str) -> Method {
    Method { named_by: Some(by), ..method }
}

const fn due(method: Method) -> Method {
    Method { name_is_due: true, ..method }
}

const FIRST: &str = PROTOCOL_VERSIONS[0];
const ELICITATION: &str = "2025-06-18";
const TASKS: &str = "2025-11-25";

/// All methods of all known revisions.
pub static METHODS: [Method; 36] = {
    use Kind::{Call, Discover, Initialize, Notification, Request, Subscription, ToolList};
    use Sender::{Both, Client, Server};
    [
        due(named(method("tools/call", Call, Client, FIRST), "name")),
        method("tools/list", ToolList, Client, FIRST),
        method("initialize", Initialize, Client, FIRST),
        method("server/discover", Discover, Client, STATELESS_VERSION),
        method("ping", Request, Both, FIRST),
        method("resources/list", Request, Client, FIRST),
        method("resources/templates/list", Request, Client, FIRST),
        due(named(method("resources/read", Request, Client, FIRST), "uri")),
        named(method("resources/subscribe", Request, Client, FIRST), "uri"),
        named(method("resources/unsubscribe", Request, Client, FIRST), "uri"),
        method("prompts/list", Request, Client, FIRST),
        due(named(method("prompts/get", Request, Client, FIRST), "name")),
        method("completion/complete", Request, Client, FIRST),
        method("logging/setLevel", Request, Client, FIRST),
        method("tasks/list", Request, Both, TASKS),
        named(method("tasks/get", Request, Both, TASKS), "taskId"),
        method("tasks/result", Request, Both, TASKS),
        named(method("tasks/update", Request, Client, STATELESS_VERSION), "taskId"),
        named(method("tasks/cancel", Request, Both, TASKS), "taskId"),
        method("subscriptions/listen", Subscription, Client, STATELESS_VERSION),
        // Servers ask it; clients that asked a server were let through from the beginning.
        method("roots/list", Request, Both, FIRST),
        method("sampling/createMessage", Request, Server, FIRST),
        method("elicitation/create", Request, Server, ELICITATION),
        method("notifications/initialized", Notification, Client, FIRST),
        method("notifications/cancelled", Notification, Both, FIRST),
        method("notifications/progress", Notification, Both, FIRST),
        method("notifications/roots/list_changed", Notification, Client, FIRST),
        method("notifications/tasks/status", Notification, Both, TASKS),
        method("notifications/tasks", Notification, Server, STATELESS_VERSION),
        method("notifications/message", Notification, Server, FIRST),
        method("notifications/tools/list_changed", Notification, Server, FIRST),
        method("notifications/prompts/list_changed", Notification, Server, FIRST),
        method("notifications/resources/list_changed", Notification, Server, FIRST),
        method("notifications/resources/updated", Notification, Server, FIRST),
        method("notifications/elicitation/complete", Notification, Server, TASKS),
        method("notifications/subscriptions/acknowledged", Notification, Server, STATELESS_VERSION),
    ]
};

impl Method {
    /// The method of this very name.
    pub fn of(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// The method of this name, if a client may ask it of a server.
    pub fn asked_by_client(name: &str) -> Option<&'static Self> {
        Self::of(name).filter(|method| method.kind != Kind::Notification && method.sender != Sender::Server)
    }

    /// Whether the gateway looks into such messages: one that a server takes for such a message by a looser comparison
    /// must not be reached past the gateway.
    pub fn is_guarded(&self) -> bool {
        match self.kind {
            Kind::Call | Kind::ToolList | Kind::Initialize => true,
            Kind::Discover | Kind::Subscription | Kind::Request | Kind::Notification => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_method_stands_once_and_says_a_known_revision() {
        let names: BTreeSet<_> = METHODS.iter().map(|method| method.name).collect();
        assert_eq!(names.len(), METHODS.len());
        for method in &METHODS {
            assert!(PROTOCOL_VERSIONS.contains(&method.since), "{}", method.name);
            let is_news = method.name.starts_with("notifications/");
            assert_eq!(is_news, method.kind == Kind::Notification, "{}", method.name);
            assert!(method.named_by.is_some() || !method.name_is_due, "{}", method.name);
        }
        assert!(PROTOCOL_VERSIONS.is_sorted());
    }

    #[test]
    fn a_client_asks_what_is_a_request_and_not_the_servers_alone() {
        for (name, may) in [
            ("tools/call", true),
            ("ping", true),
            ("roots/list", true),
            ("sampling/createMessage", false),
            ("notifications/cancelled", false),
            ("tools/Call", false),
            ("", false),
        ] {
            assert_eq!(Method::asked_by_client(name).is_some(), may, "{name}");
        }
    }

    #[test]
    fn only_revisions_from_the_stateless_one_on_are_stateless() {
        let stateless: Vec<_> = PROTOCOL_VERSIONS.into_iter().filter(|version| is_stateless(version)).collect();
        assert_eq!(stateless, [STATELESS_VERSION]);
    }
}
