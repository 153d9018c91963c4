//! The roles that `asks` reads sentences for, and the words of each, which are rule data: `rules/asks/words.toml`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What a part of a sentence does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(super) enum Role {
    /// Speaks to the assistant, or of it.
    Address,
    /// Says that something has to be done.
    Obligation,
    /// Says on whose authority, or by whose consent.
    Authority,
    /// Says after how long, how many calls, or in which later session.
    Timing,
    /// The conversation, the system prompt, the other tools: what the assistant alone has.
    OwnContext,
    /// Passwords, tokens, keys, cards.
    Secret,
    /// Files, histories and folders of the person.
    PrivatePlace,
    /// Takes content somewhere.
    Carry,
    /// Makes content known.
    Reveal,
    /// Gets at content, or starts something.
    Command,
    /// A place in the answer.
    Place,
    /// An argument, in so many words.
    Argument,
    /// Keeps something from the person, or does without their word.
    Conceal,
    /// Tools other than this one.
    OtherTool,
    /// Says what another tool's arguments have to be.
    Imposed,
    /// What later sessions read, or what starts by itself.
    Persist,
    /// Writes.
    WriteInto,
    /// Has a text obeyed.
    FollowIt,
    /// Speaks of an error, an expiry or an update.
    ErrorTalk,
    /// A command line, or switching a protection off.
    Execute,
    /// Poses as a message of the system.
    SystemTalk,
    /// Lifts restrictions.
    Unbound,
    /// Praises the tool beyond measure.
    Praise,
    /// Praise that no honest text needs.
    Boast,
    /// Speaks of all other tools.
    Rivals,
    /// Says that others are bad.
    Blame,
    /// The name of the model that calls.
    OwnName,
    /// Another model, which the tool calls.
    ModelCalled,
    /// Says what is not to be carried.
    Negated,
    /// Has this very tool used.
    UseThis,
    /// Orders, whatever the circumstances.
    Whatever,
}

/// What a tool's job, or what is wanted, is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Subject {
    Chat,
    Secret,
    File,
    Environment,
    Mail,
    Settings,
    Security,
}

/// How an address begins.
pub(super) const ADDRESSES: [&str; 4] = ["http://", "https://", "ftp://", "ws://"];

/// The words, by what they do and by what they are about.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    /// Words by which a tool's job, or what is wanted, is known to be about something.
    pub subjects: BTreeMap<Subject, Vec<String>>,
    /// Words by role.
    pub roles: BTreeMap<Role, Vec<String>>,
}

/// The rule data inside the binary. A test holds that it is valid; were it not, no request would be found by its words.
pub(super) static KNOWN: LazyLock<Words> =
    LazyLock::new(|| toml::from_str(include_str!("../../rules/asks/words.toml")).unwrap_or_default());
