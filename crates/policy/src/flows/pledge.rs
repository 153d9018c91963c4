//! What whoever drives an agent has said that its task needs: the session calls nothing else.

use crate::json::{self, Json};
use crate::text::{excerpt, percent_decoded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Longest pledge, in bytes, as it comes.
pub const PLEDGE_BYTES_MAX: usize = 64 * 1024;
/// Most tools of a pledge.
pub const PLEDGE_TOOLS_MAX: usize = 1000;
/// Names of tools in a refusal.
const NAMES_SHOWN_MAX: usize = 8;

/// The only tools that a session calls, each with its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pledge(BTreeSet<(String, String)>);

/// Why a pledge is none. What cannot be read narrows to nothing that anyone meant, so it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPledge {
    /// It is no list of names.
    #[error("a pledge is a list of tools' names")]
    NoList,
    /// It is too long.
    #[error("a pledge names at most {PLEDGE_TOOLS_MAX} tools in {} KiB", PLEDGE_BYTES_MAX / 1024)]
    TooLong,
}

impl Pledge {
    /// Reads a pledge in JSON: `["NAME"]` or `{"tools": ["NAME"]}`. `place` says which server and tool a name stands for;
    /// a name that stands for none allows nothing.
    ///
    /// # Errors
    /// It is something else, or too long.
    pub fn parse(text: &str, place: impl Fn(&str) -> Option<(String, String)>) -> Result<Self, BadPledge> {
        if text.len() > PLEDGE_BYTES_MAX {
            return Err(BadPledge::TooLong);
        }
        let node = json::parse(text, 3).map_err(|_| BadPledge::NoList)?;
        let list = match &node.json {
            Json::Object(members) => match members.as_slice() {
                [only] if only.name == "tools" => &only.value,
                _ => return Err(BadPledge::NoList),
            },
            _ => &node,
        };
        let Json::Array(items) = &list.json else { return Err(BadPledge::NoList) };
        let names: Option<Vec<&str>> = items.iter().map(json::Node::as_str).collect();
        Self::of(names.ok_or(BadPledge::NoList)?, place)
    }

    /// Reads the values of a header: names between commas, percent-encoded where they hold anything else than letters,
    /// digits and `_-.`.
    ///
    /// # Errors
    /// It is too long.
    pub fn of_header<'h>(
        values: impl IntoIterator<Item = &'h str>,
        place: impl Fn(&str) -> Option<(String, String)>,
    ) -> Result<Self, BadPledge> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        for value in values {
            bytes += value.len();
            names.extend(value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(percent_decoded));
        }
        if bytes > PLEDGE_BYTES_MAX {
            return Err(BadPledge::TooLong);
        }
        Self::of(names.iter().map(|name| &**name).collect(), place)
    }

    fn of(names: Vec<&str>, place: impl Fn(&str) -> Option<(String, String)>) -> Result<Self, BadPledge> {
        if names.len() > PLEDGE_TOOLS_MAX {
            return Err(BadPledge::TooLong);
        }
        Ok(Self(names.into_iter().filter_map(place).collect()))
    }

    /// A pledge of these tools, each with its server.
    pub fn of_tools(tools: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(tools.into_iter().collect())
    }

    /// Whether a tool may be called.
    pub fn allows(&self, server: &str, tool: &str) -> bool {
        self.0.iter().any(|(of, name)| of == server && name == tool)
    }

    /// Leaves what both allow; whether that is less than before.
    pub fn narrow(&mut self, other: &Self) -> bool {
        let before = self.0.len();
        self.0.retain(|entry| other.0.contains(entry));
        self.0.len() < before
    }

    /// What is left of a session's pledge for one request.
    #[must_use]
    pub fn narrowed(mut self, other: &Self) -> Self {
        self.narrow(other);
        self
    }

    /// The tools that may be called, each with its server, in order.
    pub fn tools(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(server, tool)| (server.as_str(), tool.as_str()))
    }

    /// How many tools may be called.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing may be called.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why another tool is refused, in one sentence.
    pub(crate) fn refusal(&self) -> String {
        let names: Vec<String> =
            self.0.iter().take(NAMES_SHOWN_MAX).map(|(_, tool)| format!("`{}`", excerpt(tool, 60))).collect();
        match (names.as_slice(), self.0.len().saturating_sub(NAMES_SHOWN_MAX)) {
            ([], _) => "this session has pledged to call no tool".to_owned(),
            (names, 0) => format!("this session has pledged to call only {}", names.join(", ")),
            (names, more) => format!("this session has pledged to call only {} and {more} more", names.join(", ")),
        }
    }
}
