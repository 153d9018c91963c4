//! One difference, as every output shows it.

use super::schema::{Change, Kind};
use crate::code::Code;
use crate::model::{ExtraKind, ExtraName, Severity};
use crate::text::escape;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Where a difference is shown: a place in the lock or in the policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anchor {
    /// The server's entry in the lock.
    Server,
    /// The server's source in the lock.
    Source,
    /// The server's instructions in the lock.
    Instructions,
    /// What the server says of itself in the lock.
    Greeting,
    /// A part of a tool's entry in the lock.
    Tool {
        /// The tool's name in the lock.
        tool: String,
        /// The member, a path with `/`.
        part: &'static str,
    },
    /// A prompt, resource or template in the lock.
    Extra {
        /// What it is.
        kind: ExtraKind,
        /// Its key in the lock.
        key: String,
    },
    /// A place in the policy, by JSON Pointer.
    Policy(String),
}

impl Anchor {
    /// A part of a tool's entry in the lock.
    pub fn tool(tool: &str, part: &'static str) -> Self {
        Self::Tool { tool: tool.to_owned(), part }
    }
}

/// One difference. All text is escaped and bounded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drift {
    /// What the server is called here, verbatim.
    pub server: String,
    /// The tool, verbatim; none where it is about the server.
    pub tool: Option<String>,
    /// The prompt, resource or template; none where it is about the server or a tool.
    pub extra: Option<ExtraName>,
    /// What kind of difference.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// What is different, one sentence without full stop.
    pub message: String,
    /// What an agent could do tomorrow that it could not yesterday; empty where that is nothing.
    pub tomorrow: String,
    /// What the policy says about the tool; empty where there is no policy, or where it does not matter.
    pub policy: String,
    /// The piece of text before, where a text changed.
    pub was: String,
    /// The piece of text now.
    pub now: String,
    /// The changes of a schema, one by one.
    pub changes: Vec<Change>,
    /// What a list in the sentence is about and the changes do not hold, whole.
    pub listed: BTreeSet<String>,
    /// Fingerprint of what is compared as it is now, where the sentence need not hold all of it; else empty.
    pub state: String,
    /// Where it is shown.
    pub anchor: Anchor,
}

impl Drift {
    /// A difference with nothing but its sentence.
    pub fn new(code: Code, severity: Severity, server: &str, tool: Option<&str>, message: String) -> Self {
        Self {
            server: server.to_owned(),
            tool: tool.map(str::to_owned),
            extra: None,
            code,
            severity,
            message,
            tomorrow: String::new(),
            policy: String::new(),
            was: String::new(),
            now: String::new(),
            changes: Vec::new(),
            listed: BTreeSet::new(),
            state: String::new(),
            anchor: Anchor::Server,
        }
    }

    /// Notes where two versions of a text part.
    pub(super) fn say(&mut self, was: &str, now: &str) {
        (self.was, self.now) = super::words::difference(was, now);
    }

    /// The whole sentence: what is different, what follows, what the policy says.
    pub fn sentence(&self) -> String {
        let parts = [&self.message, &self.tomorrow, &self.policy];
        parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("; ")
    }

    /// Every parameter, value, address or name that the sentence is about, escaped: the sentence lists only the first few.
    pub fn names(&self) -> BTreeSet<String> {
        let of_changes = self.changes.iter().flat_map(|change| {
            let values = match &change.kind {
                Kind::Values(values) | Kind::FewerValues(values) => values.as_slice(),
                _ => &[],
            };
            [&change.path].into_iter().chain(values)
        });
        of_changes.chain(&self.listed).filter(|name| !name.is_empty()).map(|name| escape(name).into_owned()).collect()
    }

    /// What tells this difference from others and survives edits elsewhere: 32 hexadecimal digits over code, server,
    /// tool, what is different and the whole of what it is now, so that a further change of the same kind is another
    /// one; neither lines nor the policy's answer are part of it.
    pub fn fingerprint(&self) -> String {
        #[derive(Serialize)]
        struct Identity<'a>(&'a str, &'a str, Option<&'a str>, &'a str, &'a str, &'a str, &'a str);
        let tool = self.tool.as_deref();
        let identity =
            Identity(self.code.as_str(), &self.server, tool, &self.message, &self.was, &self.now, &self.state);
        // Text always has a JSON form, and JSON keeps the parts apart.
        let text = serde_json::to_string(&identity).unwrap_or_default();
        Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
