//! What the revisions of the protocol say, each once: which revisions there are, which of them have no sessions, and
//! the methods with what is special about each.

use crate::text::folded;
use std::collections::HashMap;
use std::sync::LazyLock;

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

/// Says that the server has another list of tools than before.
pub const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

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

/// What a client lets a server ask of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Texts of the client's model (`sampling/createMessage`).
    Sampling,
    /// Answers of the person at the client (`elicitation/create`).
    Elicitation,
    /// The folders that the client lets the server work in (`roots/list`).
    Roots,
}

impl Feature {
    /// Every feature, in order.
    pub const ALL: [Self; 3] = [Self::Sampling, Self::Elicitation, Self::Roots];

    /// The word in policy.json, in a client's capabilities and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sampling => "sampling",
            Self::Elicitation => "elicitation",
            Self::Roots => "roots",
        }
    }
}

/// What a server has lists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offer {
    /// Tools.
    Tools,
    /// Prompts.
    Prompts,
    /// Resources and their templates.
    Resources,
}

/// What a message beside `tools/call` is about: which of a policy's rules speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The protocol itself, and lists: no rule.
    Protocol,
    /// The resource that `named_by` names.
    Resource,
    /// The prompt that `named_by` names.
    Prompt,
    /// What `params.ref` names: a prompt, or a resource or template.
    Completion,
    /// The task that `params.taskId` names.
    Task,
    /// The tasks of the server.
    TaskList,
    /// What a subscription is to tell of.
    Subscription,
    /// That the server has another list than before.
    Changed(Offer),
    /// What a client lets a server ask of it.
    Client(Feature),
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
    /// What such a message is about.
    pub subject: Subject,
}

const fn method(name: &'static str, kind: Kind, sender: Sender, since: &'static str) -> Method {
    Method { name, kind, sender, since, named_by: None, name_is_due: false, subject: Subject::Protocol }
}

const fn about(method: Method, subject: Subject) -> Method {
    Method { subject, ..method }
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
    use Subject::{Completion, Prompt, Resource, Task, TaskList};
    const SAMPLING: Subject = Subject::Client(Feature::Sampling);
    const ASKING: Subject = Subject::Client(Feature::Elicitation);
    const ROOTS: Subject = Subject::Client(Feature::Roots);
    [
        due(named(method("tools/call", Call, Client, FIRST), "name")),
        method("tools/list", ToolList, Client, FIRST),
        method("initialize", Initialize, Client, FIRST),
        method("server/discover", Discover, Client, STATELESS_VERSION),
        method("ping", Request, Both, FIRST),
        method("resources/list", Request, Client, FIRST),
        method("resources/templates/list", Request, Client, FIRST),
        about(due(named(method("resources/read", Request, Client, FIRST), "uri")), Resource),
        about(named(method("resources/subscribe", Request, Client, FIRST), "uri"), Resource),
        about(named(method("resources/unsubscribe", Request, Client, FIRST), "uri"), Resource),
        method("prompts/list", Request, Client, FIRST),
        about(due(named(method("prompts/get", Request, Client, FIRST), "name")), Prompt),
        about(method("completion/complete", Request, Client, FIRST), Completion),
        method("logging/setLevel", Request, Client, FIRST),
        about(method("tasks/list", Request, Both, TASKS), TaskList),
        about(named(method("tasks/get", Request, Both, TASKS), "taskId"), Task),
        about(method("tasks/result", Request, Both, TASKS), Task),
        about(named(method("tasks/update", Request, Client, STATELESS_VERSION), "taskId"), Task),
        about(named(method("tasks/cancel", Request, Both, TASKS), "taskId"), Task),
        about(method("subscriptions/listen", Subscription, Client, STATELESS_VERSION), Subject::Subscription),
        // Servers ask it; clients that asked a server were let through from the beginning.
        about(method("roots/list", Request, Both, FIRST), ROOTS),
        about(method("sampling/createMessage", Request, Server, FIRST), SAMPLING),
        about(method("elicitation/create", Request, Server, ELICITATION), ASKING),
        method("notifications/initialized", Notification, Client, FIRST),
        method("notifications/cancelled", Notification, Both, FIRST),
        method("notifications/progress", Notification, Both, FIRST),
        about(method("notifications/roots/list_changed", Notification, Client, FIRST), ROOTS),
        about(method("notifications/tasks/status", Notification, Both, TASKS), Task),
        about(method("notifications/tasks", Notification, Server, STATELESS_VERSION), Task),
        method("notifications/message", Notification, Server, FIRST),
        about(method(TOOLS_CHANGED, Notification, Server, FIRST), Subject::Changed(Offer::Tools)),
        about(
            method("notifications/prompts/list_changed", Notification, Server, FIRST),
            Subject::Changed(Offer::Prompts),
        ),
        about(
            method("notifications/resources/list_changed", Notification, Server, FIRST),
            Subject::Changed(Offer::Resources),
        ),
        about(named(method("notifications/resources/updated", Notification, Server, FIRST), "uri"), Resource),
        about(method("notifications/elicitation/complete", Notification, Server, TASKS), ASKING),
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

    /// The method of this name, if it is news that a client may tell a server.
    pub fn told_by_client(name: &str) -> Option<&'static Self> {
        Self::of(name).filter(|method| method.kind == Kind::Notification && method.sender != Sender::Server)
    }

    /// The method of this name, if a server may ask it of a client.
    pub fn asked_by_server(name: &str) -> Option<&'static Self> {
        Self::of(name).filter(|method| method.kind != Kind::Notification && method.sender != Sender::Client)
    }

    /// The method of this name, if it is news that a server may tell a client.
    pub fn told_by_server(name: &str) -> Option<&'static Self> {
        Self::of(name).filter(|method| method.kind == Kind::Notification && method.sender != Sender::Client)
    }

    /// The known method that a loose reader takes this name for: by its letters and digits alone, without regard to
    /// case, width and percent-encoding. A method's own name is taken for itself.
    pub fn taken_for(name: &str) -> Option<&'static Self> {
        static BY_LETTERS: LazyLock<HashMap<String, &Method>> =
            LazyLock::new(|| METHODS.iter().map(|method| (folded(method.name), method)).collect());
        BY_LETTERS.get(&folded(name)).copied()
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
    fn each_side_tells_and_asks_what_is_its_own() {
        type Known = fn(&str) -> Option<&'static Method>;
        let who: [(&str, Known); 4] = [
            ("client asks", Method::asked_by_client),
            ("client tells", Method::told_by_client),
            ("server asks", Method::asked_by_server),
            ("server tells", Method::told_by_server),
        ];
        for (name, expected) in [
            ("ping", &["client asks", "server asks"][..]),
            ("tools/call", &["client asks"]),
            ("elicitation/create", &["server asks"]),
            ("notifications/roots/list_changed", &["client tells"]),
            ("notifications/progress", &["client tells", "server tells"]),
            ("notifications/message", &["server tells"]),
            ("resources/Read", &[]),
        ] {
            let found: Vec<_> = who.iter().filter(|(_, of)| of(name).is_some()).map(|(word, _)| *word).collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_loose_reader_takes_each_method_for_itself_and_spellings_of_it_for_it() {
        for method in &METHODS {
            assert_eq!(Method::taken_for(method.name).map(|found| found.name), Some(method.name));
        }
        for (name, expected) in [
            ("Tools//Call", Some("tools/call")),
            ("tools%2Fcall", Some("tools/call")),
            ("resources.read", Some("resources/read")),
            ("Notifications/Roots/ListChanged", Some("notifications/roots/list_changed")),
            ("tools/call2", None),
            ("acme/search", None),
            ("", None),
        ] {
            assert_eq!(Method::taken_for(name).map(|method| method.name), expected, "{name}");
        }
    }

    #[test]
    fn only_revisions_from_the_stateless_one_on_are_stateless() {
        let stateless: Vec<_> = PROTOCOL_VERSIONS.into_iter().filter(|version| is_stateless(version)).collect();
        assert_eq!(stateless, [STATELESS_VERSION]);
    }
}
