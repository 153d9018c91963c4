//! Questions about what is no tool call, as people ask them: by a URI, a name or a method.

use super::doors::Door;
use crate::mcp::protocol::{Method, Subject};

/// What a person asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside<'q> {
    /// A resource by its URI, or a template of resources: a text with a `{`.
    Resource(&'q str),
    /// A prompt by its name.
    Prompt(&'q str),
    /// A method that no revision of the protocol knows, or one by which a server asks something of its client or tells it
    /// of another list.
    Method(&'q str),
}

impl<'q> Beside<'q> {
    /// The question for the policy.
    ///
    /// # Errors
    /// No rule speaks of the method; the text says what decides about it.
    pub fn door(self) -> Result<Door<'q>, String> {
        let method = match self {
            Self::Resource(uri) if uri.contains('{') => return Ok(Door::Template(uri)),
            Self::Resource(uri) => return Ok(Door::Resource(uri)),
            Self::Prompt(name) => return Ok(Door::Prompt(name)),
            Self::Method(method) => method,
        };
        let Some(known) = Method::of(method) else { return Ok(Door::Unknown(method)) };
        let by = match known.subject {
            Subject::Client(feature) => return Ok(Door::Client(feature)),
            Subject::Changed(offer) => return Ok(Door::Any(offer)),
            Subject::Resource | Subject::Subscription => "is decided by the resource: ask about its URI",
            Subject::Prompt => "is decided by the prompt: ask about its name",
            Subject::Completion => "is decided by the resource or prompt that it completes: ask about that",
            Subject::Task | Subject::TaskList => "passes for the tasks of the grant that began them",
            Subject::Protocol if known.kind == crate::mcp::protocol::Kind::Call => {
                "is decided by the tool: ask about its name"
            }
            Subject::Protocol => "belongs to the protocol, and no rule speaks of it",
        };
        Err(format!("`{method}` {by}"))
    }

    /// The question in words: `resource note://1`.
    pub fn in_words(self) -> String {
        match self {
            Self::Resource(uri) if uri.contains('{') => format!("template {uri}"),
            Self::Resource(uri) => format!("resource {uri}"),
            Self::Prompt(name) => format!("prompt {name}"),
            Self::Method(method) => format!("method {method}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::protocol::{Feature, METHODS};

    #[test]
    fn a_question_finds_its_rule_or_is_told_what_decides() {
        for (question, expected) in [
            (Beside::Resource("n://1"), Ok(Door::Resource("n://1"))),
            (Beside::Resource("n://{id}"), Ok(Door::Template("n://{id}"))),
            (Beside::Prompt("p"), Ok(Door::Prompt("p"))),
            (Beside::Method("acme/x"), Ok(Door::Unknown("acme/x"))),
            (Beside::Method("Tools/Call"), Ok(Door::Unknown("Tools/Call"))),
            (Beside::Method("roots/list"), Ok(Door::Client(Feature::Roots))),
            (Beside::Method("elicitation/create"), Ok(Door::Client(Feature::Elicitation))),
            (Beside::Method("tools/call"), Err("is decided by the tool")),
            (Beside::Method("resources/read"), Err("is decided by the resource")),
            (Beside::Method("ping"), Err("no rule speaks of it")),
        ] {
            let found = question.door();
            let is_expected = match (&found, expected) {
                (Ok(door), Ok(expected)) => *door == expected,
                (Err(said), Err(expected)) => said.contains(expected),
                (_, _) => false,
            };
            assert!(is_expected, "{question:?}: {found:?}");
        }
        assert!(METHODS.iter().all(|method| !matches!(Beside::Method(method.name).door(), Ok(Door::Unknown(_)))));
    }
}
