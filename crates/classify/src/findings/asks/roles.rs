//! What the parts of a sentence do.

use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error;

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

/// The role of this name in the rule data.
pub(crate) fn named(name: &str) -> Result<Role, Error> {
    Role::deserialize(name.into_deserializer())
}
