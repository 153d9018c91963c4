//! A rule about the course of a session as it is written, and the words of the taxonomy that it speaks of.

use crate::model::{Category, Flag};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// A rule about the course of a session: once calls of some kinds of tools were made, calls of others want a person, or are
/// refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Flow {
    /// Anything for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A session falls under the rule once tools with all of these were called in it: one tool with all, or several.
    pub after: Vec<Word>,
    /// From then on calls of a tool with any of these are stopped.
    pub then: Vec<Word>,
    /// What becomes of them.
    pub action: FlowAction,
    /// Only calls in which a value of four characters or more stands that tools with a word of `after` have returned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub seen: bool,
    /// How long a call counts where there are no sessions, for all calls of a grant: a span such as `90s`, `15m`, `6h`, at
    /// most a week; an hour if absent. In a session it counts to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*[smh]$"))]
    pub within: Option<String>,
    /// What the model is told, and the person who is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last part of the rule's id in logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What becomes of a call that a flow stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowAction {
    /// A person must agree to it.
    RequireApproval,
    /// It is refused.
    Deny,
}

/// A word of the taxonomy that flows speak of: a flag, or the name of a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word {
    /// What else is true of a tool.
    Flag(Flag),
    /// The worst thing that a call does.
    Category(Category),
}

impl Word {
    /// Every word: the flags, then the categories.
    pub fn all() -> impl Iterator<Item = Self> {
        Flag::ALL.iter().copied().map(Self::Flag).chain(Category::ALL.iter().copied().map(Self::Category))
    }

    /// The word in policy.json.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flag(flag) => flag.as_str(),
            Self::Category(category) => category.as_str(),
        }
    }

    /// Reads a word of policy.json.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|word| word.as_str() == text)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no word of the taxonomy"))
    }
}

impl JsonSchema for Word {
    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let words: Vec<&str> = Self::all().map(Self::as_str).collect();
        schemars::json_schema!({
            "description": "A word of the taxonomy: a flag of a tool, or its category.",
            "type": "string",
            "enum": words
        })
    }
}

/// A set of words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words(u32);

impl Words {
    /// No word.
    pub const NONE: Self = Self(0);

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The words, in order.
    pub fn iter(self) -> impl Iterator<Item = Word> {
        Word::all().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, word)| word)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Word> for Words {
    fn from_iter<I: IntoIterator<Item = Word>>(words: I) -> Self {
        let bit = |word: Word| Word::all().position(|known| known == word).map_or(0, |bit| 1 << bit);
        Self(words.into_iter().map(bit).fold(0, |all, bit| all | bit))
    }
}
