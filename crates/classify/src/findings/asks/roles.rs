//! What the parts of a sentence do, and the words that tell: rule data by language in `rules/asks/words/`.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What a part of a sentence does, what the sentence is made like, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub(crate) enum Role {
    // Who speaks to whom, and how.
    /// The one that is to read the text: the assistant, the model.
    Assistant,
    /// The second person.
    You,
    /// The person at the keyboard, or other people.
    User,
    /// The server's makers, in the first person.
    Us,
    /// Says that something has to be done.
    Must,
    /// Says that it is done each time.
    Each,
    /// Says that it comes first.
    Before,
    /// Says that it comes in addition, or afterwards.
    After,
    /// Says from when, until when, at which hour.
    Later,
    /// Speaks of the session or the machine.
    Session,
    /// Says under which condition.
    IfFound,
    /// Asks for it nicely.
    Polite,
    /// Says that it is urgent.
    Urgency,
    /// Says on whose word.
    Authority,
    /// Says that somebody has agreed.
    Consent,
    // Keeping it from the person.
    /// Negates.
    Not,
    /// Makes known.
    Tell,
    /// Asks for leave.
    Ask,
    /// Keeps out of sight.
    Hush,
    /// Has something said that is not so.
    Lie,
    // Acts.
    /// Puts content into something.
    Carry,
    /// Takes content to somewhere else.
    Send,
    /// Gets at content.
    Reach,
    /// Makes a value out of content.
    Derive,
    /// Runs a program.
    Run,
    /// Calls a tool.
    Call,
    /// Changes.
    Alter,
    /// Removes.
    Destroy,
    /// Takes a protection away.
    Disable,
    /// Gives rights.
    Grant,
    /// Spends money.
    Buy,
    /// Speaks up for something in public.
    Advocate,
    /// Installs.
    Install,
    /// Writes down to stay.
    Store,
    // What is wanted, and where it goes.
    /// The conversation, the system prompt, the other tools: what the assistant alone has.
    Context,
    /// Passwords, tokens, keys.
    Secret,
    /// What is nobody's business about a person.
    Personal,
    /// Files and folders of the person.
    PlacePrivate,
    /// Mailboxes, calendars, notes of the person.
    StorePrivate,
    /// What the machine tells about itself.
    Environment,
    /// Files and records of any kind.
    File,
    /// All of it, unchanged.
    Whole,
    /// Tools other than this one.
    OtherTool,
    /// What is read at every start: settings, memories, hooks.
    Settings,
    /// What the assistant says and writes.
    Answer,
    /// An argument, in so many words.
    Argument,
    /// Where something is delivered.
    Destination,
    // Shape of an order.
    /// Markup that poses as a message of the system, or one that a person does not see.
    Tag,
    /// Sets earlier orders aside.
    Override,
    /// Has a text obeyed.
    Obey,
    /// Speaks of an error, a lock or an expiry.
    Fault,
    /// Says what happens otherwise.
    Consequence,
    /// Says what it is good for.
    Excuse,
    /// Speaks of versions and updates.
    Version,
    /// A command line.
    Shell,
    /// Speaks of an encoding.
    CodeTalk,
    /// Praises.
    Praise,
    /// Speaks of other tools as rivals.
    Rivals,
    /// Says that they are bad.
    Blame,
    /// Bends what a person is told or advised.
    Manipulate,
    // What honest texts say.
    /// When to use the tool.
    HUse,
    /// What it returns.
    HReturn,
    /// An example.
    HExample,
    /// A default.
    HDefault,
    /// What a value has to look like.
    HConstraint,
    /// Leaves it to the person, or says what is not done.
    Restraint,
    /// Where an id comes from.
    ObtainId,
    /// How the server knows its user.
    OwnAuth,
    /// Speaks of attacks.
    Threat,
    /// Name of a parameter that takes whatever is put into it.
    SideChannel,
    // How the sentence is made.
    /// An act is ordered, without a subject.
    Imperative,
    /// An act has to be done.
    MustAct,
    /// An act is forbidden.
    NotAct,
    /// Telling is forbidden.
    NotTell,
    /// Asking is forbidden.
    NotAsk,
    /// Names a parameter of the tool.
    OwnParameter,
    /// Names one of its parameters that takes anything.
    OwnSideChannel,
    /// Has a name that is none of the tool's.
    OtherName,
    /// Has a URL.
    Url,
    /// Has a mail address.
    MailAddress,
    /// Something goes to an address.
    ToAddress,
    /// The path of a file.
    Path,
    /// The name of a variable of the environment that holds a secret.
    SecretVariable,
    /// The number of a ticket or rule.
    Reference,
    /// A part stands in quotation marks.
    Quoted,
    /// A command or assignment stands in code.
    Code,
    /// None of the words of the tool's name, title, first sentence and parameters.
    OffTopic,
    /// Many of them.
    OnTopic,
    /// Was encoded, or spelled so that it hides.
    Encoded,
    /// Is of few words.
    Short,
    /// What is wanted is the tool's own business, as its name, title or first sentence says.
    OwnBusiness,
    /// Nothing of what is wanted is.
    Foreign,
    /// The tool is about attacks.
    AboutThreats,
    // Where it stands.
    /// First sentence of a description.
    First,
    /// Of a parameter.
    Parameter,
    /// The parameter is required.
    Required,
    /// Value of an enum, default or example.
    Value,
    /// A title.
    Title,
    /// Instructions of the server.
    Instructions,
    /// A prompt.
    Prompt,
    /// A resource.
    Resource,
    /// The output schema.
    Output,
    // What stands close by.
    /// Telling is forbidden, or something is kept out of sight.
    NearHush,
    /// Something private is wanted.
    NearWanted,
    /// Something is taken elsewhere.
    NearMove,
    /// An authority, or a consent.
    NearAuthority,
    /// Markup of the system.
    NearTag,
    /// An error.
    NearFault,
    /// Encoded text, or talk of it.
    NearCode,
    /// Leaves it to the person.
    NearRestraint,
    // Several of the above taken together.
    /// Content is moved.
    Moves,
    /// Harm is done.
    Harms,
    /// Something is kept from the person.
    Hides,
    /// The assistant is pressed.
    Presses,
    /// Says when, or how far.
    Scopes,
    /// An act is ordered.
    Orders,
    /// Says into what.
    Into,
    /// Speaks as honest texts do.
    Honest,
    // What stands together within a few words.
    /// Content is moved, and it is what is wanted.
    MovesWanted,
    /// Content is fetched, and it is what is wanted.
    ReachesWanted,
    /// Content is moved into a parameter.
    MovesInto,
    /// Content is sent to an address.
    SendsTo,
    /// The user is not told.
    UserNotTold,
    /// The assistant is the one that acts.
    AssistantActs,
    /// The user is said to have agreed.
    UserAgreed,
    /// Another tool is bent.
    ToolBent,
    /// All of what is wanted.
    AllWanted,
    /// What is wanted is the value of the parameter.
    ValueWanted,
    /// The user's own word, or a rule, does not count.
    RuleBroken,
    /// Harm is done to what is not the tool's.
    HarmsOther,
    /// Orders for each call or each other tool.
    EachAct,
    /// What is wanted goes into a parameter.
    WantedInto,
}

/// Roles that are taken together as one.
pub(crate) const GROUPS: [(Role, Roles); 8] = [
    (Role::Moves, Roles::of(&[Role::Carry, Role::Send, Role::Derive, Role::ToAddress])),
    (
        Role::Harms,
        Roles::of(&[
            Role::Destroy,
            Role::Disable,
            Role::Grant,
            Role::Buy,
            Role::Install,
            Role::Advocate,
            Role::Shell,
            Role::Manipulate,
        ]),
    ),
    (Role::Hides, Roles::of(&[Role::Hush, Role::NotTell, Role::NotAsk, Role::Lie])),
    (
        Role::Presses,
        Roles::of(&[
            Role::Authority,
            Role::Consent,
            Role::Fault,
            Role::Consequence,
            Role::Urgency,
            Role::Polite,
            Role::Override,
            Role::Excuse,
        ]),
    ),
    (
        Role::Scopes,
        Roles::of(&[Role::Each, Role::Before, Role::After, Role::Later, Role::Session, Role::IfFound, Role::Whole]),
    ),
    (Role::Orders, Roles::of(&[Role::Imperative, Role::MustAct])),
    (
        Role::Into,
        Roles::of(&[
            Role::OwnParameter,
            Role::OwnSideChannel,
            Role::Argument,
            Role::Answer,
            Role::Destination,
            Role::ToAddress,
            Role::Parameter,
        ]),
    ),
    (
        Role::Honest,
        Roles::of(&[
            Role::HUse,
            Role::HReturn,
            Role::HExample,
            Role::HDefault,
            Role::HConstraint,
            Role::Restraint,
            Role::ObtainId,
            Role::OwnAuth,
        ]),
    ),
];

impl Role {
    /// What it is in a list of what a sentence does; none, where it says nothing to a reader.
    pub(crate) const fn in_words(self) -> Option<&'static str> {
        Some(match self {
            Self::Assistant => "addresses the assistant",
            Self::Must => "obliges",
            Self::Each => "each time",
            Self::Before => "before anything else",
            Self::Later => "at a time of its own",
            Self::IfFound => "under a condition",
            Self::Polite => "by a favour",
            Self::Urgency => "in haste",
            Self::Authority => "on an authority",
            Self::Consent => "by a claimed consent",
            Self::Hush => "kept out of sight",
            Self::Lie => "told otherwise",
            Self::Carry => "content carried along",
            Self::Send => "content sent away",
            Self::Reach => "content fetched",
            Self::Derive => "a value made of content",
            Self::Run => "a program run",
            Self::Alter => "a change",
            Self::Destroy => "a deletion",
            Self::Disable => "a protection switched off",
            Self::Grant => "rights given away",
            Self::Buy => "money spent",
            Self::Advocate => "praise in public",
            Self::Install => "software installed",
            Self::Store => "something written to stay",
            Self::Context => "the assistant's own context",
            Self::Secret => "secrets",
            Self::Personal => "a person's data",
            Self::PlacePrivate => "private files",
            Self::StorePrivate => "private mail, notes or calendars",
            Self::Environment => "the machine",
            Self::Whole => "all of it",
            Self::OtherTool => "other tools",
            Self::Settings => "what later sessions read",
            Self::Answer => "the assistant's answer",
            Self::Destination => "a recipient",
            Self::Tag => "posed as a system message",
            Self::Override => "earlier orders set aside",
            Self::Obey => "a text to be obeyed",
            Self::Fault => "a claimed fault",
            Self::Consequence => "a threat of failure",
            Self::Excuse => "a pretext",
            Self::Version => "a claimed update",
            Self::Shell => "a command line",
            Self::Praise => "praise of itself",
            Self::Rivals => "against other tools",
            Self::Blame => "others called bad",
            Self::Manipulate => "advice bent",
            Self::CodeTalk => "an encoding",
            Self::MustAct => "an act demanded",
            Self::Imperative => "an act ordered",
            Self::NotTell => "not to be told",
            Self::NotAsk => "not to be asked",
            Self::OwnSideChannel => "an argument that takes anything",
            Self::OtherName => "another tool's name",
            Self::Url => "an address",
            Self::MailAddress => "a mail address",
            Self::ToAddress => "an address to send to",
            Self::Path => "a path",
            Self::SecretVariable => "a variable with a secret",
            Self::Encoded => "hidden by its spelling",
            Self::NearHush => "kept quiet close by",
            Self::Us => "for its makers",
            Self::MovesWanted => "private content carried away",
            Self::ReachesWanted => "private content fetched",
            Self::MovesInto => "content put into an argument",
            Self::SendsTo => "content sent to an address",
            Self::UserNotTold => "the user not told",
            Self::AssistantActs => "the assistant to act",
            Self::UserAgreed => "a consent that is claimed",
            Self::ToolBent => "another tool bent",
            Self::AllWanted => "all of what is private",
            Self::ValueWanted => "private content as an argument",
            Self::RuleBroken => "rules set aside",
            Self::HarmsOther => "harm beyond the job",
            Self::EachAct => "at every call",
            Self::WantedInto => "private content into an argument",
            Self::User => "the user",
            Self::You
            | Self::After
            | Self::Session
            | Self::Not
            | Self::Tell
            | Self::Ask
            | Self::Call
            | Self::File
            | Self::Argument
            | Self::HUse
            | Self::HReturn
            | Self::HExample
            | Self::HDefault
            | Self::HConstraint
            | Self::Restraint
            | Self::ObtainId
            | Self::OwnAuth
            | Self::Threat
            | Self::SideChannel
            | Self::NotAct
            | Self::OwnParameter
            | Self::Reference
            | Self::Quoted
            | Self::Code
            | Self::OffTopic
            | Self::OnTopic
            | Self::Short
            | Self::OwnBusiness
            | Self::Foreign
            | Self::AboutThreats
            | Self::First
            | Self::Parameter
            | Self::Required
            | Self::Value
            | Self::Title
            | Self::Instructions
            | Self::Prompt
            | Self::Resource
            | Self::Output
            | Self::NearWanted
            | Self::NearMove
            | Self::NearAuthority
            | Self::NearTag
            | Self::NearFault
            | Self::NearCode
            | Self::NearRestraint
            | Self::Moves
            | Self::Harms
            | Self::Hides
            | Self::Presses
            | Self::Scopes
            | Self::Orders
            | Self::Into
            | Self::Honest => return None,
        })
    }
}

/// Acts that change or move something.
pub(crate) const ACTS: Roles = Roles::of(&[
    Role::Carry,
    Role::Send,
    Role::Reach,
    Role::Run,
    Role::Alter,
    Role::Destroy,
    Role::Disable,
    Role::Grant,
    Role::Buy,
    Role::Advocate,
    Role::Install,
    Role::Store,
]);

/// What is wanted of a person, an assistant or a machine.
pub(crate) const WANTED: Roles = Roles::of(&[
    Role::Context,
    Role::Secret,
    Role::Personal,
    Role::PlacePrivate,
    Role::StorePrivate,
    Role::Environment,
    Role::Settings,
]);

/// How many roles there are.
pub(crate) const ROLES: usize = 132;

/// Every role, in order.
const ALL: [Role; ROLES] = [
    Role::Assistant,
    Role::You,
    Role::User,
    Role::Us,
    Role::Must,
    Role::Each,
    Role::Before,
    Role::After,
    Role::Later,
    Role::Session,
    Role::IfFound,
    Role::Polite,
    Role::Urgency,
    Role::Authority,
    Role::Consent,
    Role::Not,
    Role::Tell,
    Role::Ask,
    Role::Hush,
    Role::Lie,
    Role::Carry,
    Role::Send,
    Role::Reach,
    Role::Derive,
    Role::Run,
    Role::Call,
    Role::Alter,
    Role::Destroy,
    Role::Disable,
    Role::Grant,
    Role::Buy,
    Role::Advocate,
    Role::Install,
    Role::Store,
    Role::Context,
    Role::Secret,
    Role::Personal,
    Role::PlacePrivate,
    Role::StorePrivate,
    Role::Environment,
    Role::File,
    Role::Whole,
    Role::OtherTool,
    Role::Settings,
    Role::Answer,
    Role::Argument,
    Role::Destination,
    Role::Tag,
    Role::Override,
    Role::Obey,
    Role::Fault,
    Role::Consequence,
    Role::Excuse,
    Role::Version,
    Role::Shell,
    Role::CodeTalk,
    Role::Praise,
    Role::Rivals,
    Role::Blame,
    Role::Manipulate,
    Role::HUse,
    Role::HReturn,
    Role::HExample,
    Role::HDefault,
    Role::HConstraint,
    Role::Restraint,
    Role::ObtainId,
    Role::OwnAuth,
    Role::Threat,
    Role::SideChannel,
    Role::Imperative,
    Role::MustAct,
    Role::NotAct,
    Role::NotTell,
    Role::NotAsk,
    Role::OwnParameter,
    Role::OwnSideChannel,
    Role::OtherName,
    Role::Url,
    Role::MailAddress,
    Role::ToAddress,
    Role::Path,
    Role::SecretVariable,
    Role::Reference,
    Role::Quoted,
    Role::Code,
    Role::OffTopic,
    Role::OnTopic,
    Role::Encoded,
    Role::Short,
    Role::OwnBusiness,
    Role::Foreign,
    Role::AboutThreats,
    Role::First,
    Role::Parameter,
    Role::Required,
    Role::Value,
    Role::Title,
    Role::Instructions,
    Role::Prompt,
    Role::Resource,
    Role::Output,
    Role::NearHush,
    Role::NearWanted,
    Role::NearMove,
    Role::NearAuthority,
    Role::NearTag,
    Role::NearFault,
    Role::NearCode,
    Role::NearRestraint,
    Role::Moves,
    Role::Harms,
    Role::Hides,
    Role::Presses,
    Role::Scopes,
    Role::Orders,
    Role::Into,
    Role::Honest,
    Role::MovesWanted,
    Role::ReachesWanted,
    Role::MovesInto,
    Role::SendsTo,
    Role::UserNotTold,
    Role::AssistantActs,
    Role::UserAgreed,
    Role::ToolBent,
    Role::AllWanted,
    Role::ValueWanted,
    Role::RuleBroken,
    Role::HarmsOther,
    Role::EachAct,
    Role::WantedInto,
];

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Roles {
    low: u128,
    high: u128,
}

impl Roles {
    const fn one(role: Role) -> Self {
        let at = role as u32;
        if at < u128::BITS { Self { low: 1 << at, high: 0 } } else { Self { low: 0, high: 1 << (at - u128::BITS) } }
    }

    pub(crate) const fn of(roles: &[Role]) -> Self {
        let (mut of, mut at) = (Self { low: 0, high: 0 }, 0);
        while at < roles.len() {
            of = of.union(Self::one(roles[at]));
            at += 1;
        }
        of
    }

    pub(crate) const fn has(self, role: Role) -> bool {
        self.meets(Self::one(role))
    }

    pub(crate) const fn meets(self, other: Self) -> bool {
        self.low & other.low != 0 || self.high & other.high != 0
    }

    pub(crate) const fn contains(self, other: Self) -> bool {
        self.low & other.low == other.low && self.high & other.high == other.high
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self { low: self.low & other.low, high: self.high & other.high }
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self { low: self.low | other.low, high: self.high | other.high }
    }

    pub(crate) fn add(&mut self, role: Role) {
        *self = self.union(Self::one(role));
    }

    pub(crate) fn add_if(&mut self, role: Role, is_so: bool) {
        if is_so {
            self.add(role);
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Role> {
        let (mut low, mut high) = (self.low, self.high);
        std::iter::from_fn(move || {
            let at = if low != 0 { low.trailing_zeros() } else { u128::BITS + high.trailing_zeros() };
            if low != 0 {
                low &= low - 1
            } else {
                high &= high.wrapping_sub(1)
            }
            ALL.get(at as usize).copied()
        })
    }
}

/// The role of this name in the rule data.
pub(crate) fn named(name: &str) -> Result<Role, Error> {
    Role::deserialize(name.into_deserializer())
}

/// How a word has to stand in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// By itself.
    Whole,
    /// At the beginning of a word.
    Start,
    /// Anywhere: scripts without blanks between words.
    Anywhere,
}

/// A word of the lexicon in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordHit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) role: Role,
}

/// All words in one automaton.
#[derive(Debug)]
pub(crate) struct Lexicon {
    finder: AhoCorasick,
    words: Vec<(Role, Standing)>,
}

pub(super) const FILES: [&str; 10] = [
    include_str!("../../../rules/asks/words/en.toml"),
    include_str!("../../../rules/asks/words/de.toml"),
    include_str!("../../../rules/asks/words/fr.toml"),
    include_str!("../../../rules/asks/words/es.toml"),
    include_str!("../../../rules/asks/words/pt.toml"),
    include_str!("../../../rules/asks/words/it.toml"),
    include_str!("../../../rules/asks/words/ru.toml"),
    include_str!("../../../rules/asks/words/zh.toml"),
    include_str!("../../../rules/asks/words/ja.toml"),
    include_str!("../../../rules/asks/words/other.toml"),
];

/// The lexicon inside the binary. A test holds that it is valid; were it not, no request would be found by its words.
pub(crate) static LEXICON: LazyLock<Option<Lexicon>> = LazyLock::new(|| Lexicon::new(&FILES).ok());

/// Forms of an English verb: `send`, `sends`, `sended`, `sending`.
fn forms(verb: &str) -> Vec<String> {
    let stem = verb.strip_suffix('e').unwrap_or(verb);
    let third = match verb.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        _ if verb.ends_with(['s', 'x', 'z']) || verb.ends_with("ch") || verb.ends_with("sh") => format!("{verb}es"),
        _ => format!("{verb}s"),
    };
    vec![verb.to_owned(), third, format!("{stem}ed"), format!("{stem}ing")]
}

impl Lexicon {
    /// From TOML files of words by role.
    ///
    /// # Errors
    /// A file that is no such table, or a role that there is not.
    pub(crate) fn new(files: &[&str]) -> Result<Self, String> {
        let (mut patterns, mut words) = (Vec::new(), Vec::new());
        for file in files {
            let roles: BTreeMap<Role, Vec<String>> = toml::from_str(file).map_err(|error| error.to_string())?;
            for (role, entries) in roles {
                for entry in entries {
                    let (entry, is_open) = entry.strip_suffix('*').map_or((entry.as_str(), false), |stem| (stem, true));
                    let (entry, is_verb) = entry.strip_suffix('+').map_or((entry, false), |verb| (verb, true));
                    // Scripts without blanks, and those that join articles and endings to the word.
                    let bounds = if entry.chars().any(|c| matches!(c, '\u{600}'..='\u{6ff}' | '\u{1100}'..)) {
                        Standing::Anywhere
                    } else if is_open {
                        Standing::Start
                    } else {
                        Standing::Whole
                    };
                    let all = if is_verb { forms(entry) } else { vec![entry.to_owned()] };
                    for form in all {
                        patterns.push(form);
                        words.push((role, bounds));
                    }
                }
            }
        }
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA));
        let finder = builder.build(&patterns).map_err(|error| error.to_string())?;
        Ok(Self { finder, words })
    }

    /// Words in a text of lower case.
    pub(crate) fn hits<'t>(&self, text: &'t str) -> impl Iterator<Item = WordHit> + use<'_, 't> {
        self.finder.find_overlapping_iter(text).filter_map(|found| {
            let (role, bounds) = self.words[found.pattern().as_usize()];
            let (start, end) = (found.start(), found.end());
            let stands = match bounds {
                Standing::Anywhere => true,
                Standing::Start => is_start(text, start),
                Standing::Whole => is_start(text, start) && is_end(text, end),
            };
            stands.then_some(WordHit { start, end, role })
        })
    }

    /// The roles of the words in a text of lower case.
    pub(crate) fn roles(&self, text: &str) -> Roles {
        let mut roles = Roles::default();
        self.hits(text).for_each(|hit| roles.add(hit.role));
        roles
    }
}

/// No letter or digit before the word, where it begins with one.
fn is_start(text: &str, start: usize) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !letter(text[start..].chars().next()) || !letter(text[..start].chars().next_back())
}

/// No letter or digit after the word, where it ends with one.
fn is_end(text: &str, end: usize) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !letter(text[..end].chars().next_back()) || !letter(text[end..].chars().next())
}
