//! The signs of poisoned text as data: words by role, and the order and distance in which they make a sign.
//!
//! Published attacks since April 2025 (tool poisoning, full-schema poisoning, tool shadowing) are put together from a
//! small set of moves, listed in [`Cue`]. A sign is a few words in order, close together and inside one sentence.

/// The moves. Independent of each other, so that two of them say more than two words of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cue {
    /// Keeps something from the user.
    Secrecy,
    /// Sets aside what the model was told before.
    Override,
    /// Reaches for keys, credentials, the client's own configuration or the conversation.
    Secrets,
    /// Poses as a system message.
    Tag,
    /// Carries content along, or a copy elsewhere.
    Carry,
    /// Bends how other tools are used.
    Hijack,
    /// Presses, or claims a consent that nobody gave.
    Pressure,
    /// Pushes text out of sight.
    Padding,
}

impl Cue {
    /// How much it counts. Two points decide: honest texts hardly ever make these moves.
    pub(super) const fn points(self) -> u32 {
        match self {
            Self::Secrecy | Self::Override | Self::Secrets => 2,
            Self::Tag | Self::Carry | Self::Hijack | Self::Pressure | Self::Padding => 1,
        }
    }

    /// The predicate of a sentence about the text.
    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Secrecy => "keeps something from the user",
            Self::Override => "sets earlier instructions aside",
            Self::Secrets => "reaches for secrets",
            Self::Tag => "poses as a system message",
            Self::Carry => "carries content elsewhere",
            Self::Hijack => "bends the use of other tools",
            Self::Pressure => "presses the model",
            Self::Padding => "pushes text out of sight",
        }
    }
}

/// What a word does in a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CueRole {
    Not,
    MustNot,
    Without,
    Tell,
    Mention,
    ThisDeed,
    Let,
    Know,
    User,
    Hide,
    From,
    Covertly,
    Act,
    SecrecyPhrase,
    Ignore,
    Prior,
    Rules,
    Over,
    OverridePhrase,
    Reach,
    SecretPlace,
    Tag,
    Put,
    Content,
    Into,
    SendTo,
    Address,
    Change,
    Destination,
    When,
    Call,
    Any,
    Tool,
    IsCalled,
    HijackPhrase,
    Ask,
    Permit,
    Otherwise,
    Fails,
    Required,
    Compliance,
    PressurePhrase,
}

/// Whether a word must stand alone or may be a piece of a longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounds {
    Whole,
    Piece,
}

/// Words by role, in lower case; letters of ASCII match in either case. A word belongs to one entry; what has two
/// roles is listed in [`also`].
pub(super) const WORDS: &[(CueRole, Bounds, &[&str])] = &[
    (CueRole::Not, Bounds::Whole, &["do not", "don't", "don’t", "never", "avoid", "refrain from"]),
    (CueRole::MustNot, Bounds::Whole, &["must not", "should not", "shouldn't", "mustn't", "need not"]),
    (CueRole::Without, Bounds::Whole, &["without"]),
    (
        CueRole::Tell,
        Bounds::Whole,
        &[
            "tell",
            "telling",
            "told",
            "inform",
            "informing",
            "informed",
            "notify",
            "notifying",
            "notified",
            "alert",
            "alerting",
            "reveal",
            "revealing",
            "disclose",
            "disclosing",
            "warn",
            "warning",
        ],
    ),
    (CueRole::Mention, Bounds::Whole, &["mention", "mentioning"]),
    (
        CueRole::ThisDeed,
        Bounds::Whole,
        &["that you", "this step", "this instruction", "these instructions", "this to", "any of this"],
    ),
    (CueRole::Let, Bounds::Whole, &["let", "letting"]),
    (
        CueRole::Know,
        Bounds::Whole,
        &["know", "knows", "knowing", "knowledge", "notice", "noticing", "aware", "awareness", "consent"],
    ),
    (CueRole::User, Bounds::Whole, &["user", "users", "human", "humans"]),
    (CueRole::Hide, Bounds::Whole, &["hide", "hidden", "conceal", "concealed", "keep", "kept", "secret"]),
    (CueRole::From, Bounds::Whole, &["from"]),
    (CueRole::Covertly, Bounds::Whole, &["secretly", "covertly", "silently", "quietly", "discreetly", "invisibly"]),
    (CueRole::Act, Bounds::Whole, &["record", "store", "log", "collect", "run", "call", "add", "bcc"]),
    (
        CueRole::SecrecyPhrase,
        Bounds::Piece,
        &[
            "不要告诉用户",
            "不要告知用户",
            "不要通知用户",
            "不要向用户",
            "别告诉用户",
            "勿告知用户",
            "no le digas al usuario",
            "no digas al usuario",
            "no informes al usuario",
            "no menciones al usuario",
            "ne dites pas à l'utilisateur",
            "ne dis pas à l'utilisateur",
            "ne mentionnez pas à l'utilisateur",
            "sage dem nutzer nicht",
            "sage dem benutzer nicht",
            "ユーザーに言わない",
            "ユーザーに知らせない",
            "ユーザーには言わない",
        ],
    ),
    (CueRole::Ignore, Bounds::Whole, &["ignore", "disregard", "forget", "override", "bypass", "discard"]),
    (
        CueRole::Prior,
        Bounds::Whole,
        &["previous", "prior", "above", "earlier", "preceding", "existing", "original", "system", "safety", "security"],
    ),
    (
        CueRole::Rules,
        Bounds::Whole,
        &[
            "instruction",
            "instructions",
            "prompt",
            "prompts",
            "rules",
            "guidelines",
            "directive",
            "directives",
            "policies",
            "restrictions",
            "constraints",
        ],
    ),
    (CueRole::Over, Bounds::Whole, &["precedence over", "priority over"]),
    (
        CueRole::OverridePhrase,
        Bounds::Piece,
        &[
            "new instructions:",
            "new system instruction",
            "you are now a ",
            "you are now an ",
            "you are now in ",
            "you are now the ",
            "developer mode enabled",
            "god mode",
            "dan mode",
            "regardless of what the user",
            "even if the user says",
            "even if the user asks",
            "even if the user objects",
            "even if the user refuses",
            "even if the user tells",
            "忽略之前",
            "忽略以上",
            "忽略先前",
            "忽略所有",
            "ignora las instrucciones",
            "ignora todas las instrucciones",
            "ignorez les instructions",
            "ignorez toutes les instructions",
            "ignoriere alle",
            "vergiss alle",
            "以前の指示を無視",
            "これまでの指示を無視",
        ],
    ),
    (
        CueRole::Reach,
        Bounds::Whole,
        &[
            "read",
            "reading",
            "open",
            "cat",
            "access",
            "load",
            "retrieve",
            "fetch",
            "get",
            "dump",
            "extract",
            "contents of",
            "content of",
            "exfiltrate",
        ],
    ),
    (
        CueRole::SecretPlace,
        Bounds::Piece,
        &[
            ".ssh/",
            "id_rsa",
            "id_ed25519",
            "id_ecdsa",
            ".aws/",
            "mcp.json",
            ".cursor/",
            "claude_desktop_config",
            ".claude.json",
            "/etc/passwd",
            "/etc/shadow",
            ".netrc",
            ".pypirc",
            ".git-credentials",
            ".kube/config",
            ".docker/config",
            ".gnupg",
            "/.env",
            " .env",
            "`.env",
            "wallet.dat",
            "seed phrase",
            "conversation history",
            "chat history",
            "conversation log",
            "chat log",
            "conversation transcript",
            "system prompt",
            "saved passwords",
            "browser cookies",
            "private key",
            "private ssh key",
        ],
    ),
    (
        CueRole::Tag,
        Bounds::Piece,
        &[
            "<important>",
            "<important ",
            "</important",
            "<system>",
            "<system ",
            "<system-",
            "<secret",
            "<hidden",
            "<instructions>",
            "<instruction>",
            "<assistant",
            "<admin>",
            "<critical>",
            "<override",
            "[inst]",
            "[system]",
            "[system:",
            "[hidden",
            "[important:",
            "<|im_start",
            "<|system",
            "<!--",
        ],
    ),
    (
        CueRole::Put,
        Bounds::Whole,
        &["pass", "include", "put", "provide", "attach", "append", "supply", "insert", "embed", "paste", "place"],
    ),
    (
        CueRole::Content,
        Bounds::Whole,
        &[
            "its contents",
            "its content",
            "the contents",
            "the content",
            "full contents",
            "all contents",
            "file contents",
            "transcript",
            "credentials",
            "secrets",
            "environment variables",
        ],
    ),
    (CueRole::Into, Bounds::Whole, &["as", "in", "into", "via", "inside", "within", "through"]),
    (
        CueRole::SendTo,
        Bounds::Whole,
        &["cc", "send", "forward", "post", "upload", "transmit", "report", "leak", "copy"],
    ),
    (CueRole::Address, Bounds::Piece, &["http://", "https://", "@"]),
    (CueRole::Change, Bounds::Whole, &["change", "replace", "substitute", "redirect"]),
    (
        CueRole::Destination,
        Bounds::Whole,
        &["recipient", "recipients", "destination address", "phone number", "account number"],
    ),
    (
        CueRole::When,
        Bounds::Whole,
        &["before", "after", "when", "whenever", "prior to", "every time", "each time", "instead of", "if"],
    ),
    (
        CueRole::Call,
        Bounds::Whole,
        &["using", "calling", "invoking", "executing", "running", "use", "uses", "calls", "invoke", "invoked"],
    ),
    (CueRole::Any, Bounds::Whole, &["any", "every", "each", "all", "other", "another", "this"]),
    (CueRole::Tool, Bounds::Whole, &["tool", "tools"]),
    (CueRole::IsCalled, Bounds::Whole, &["is called", "is invoked", "is used", "is executed", "gets called"]),
    (
        CueRole::HijackPhrase,
        Bounds::Whole,
        &[
            "this tool must be called",
            "this tool must always be",
            "must first call this",
            "must always call this",
            "must call this tool",
            "must use this tool",
            "from now on",
            "in all subsequent",
            "in every subsequent",
            "in all future",
            "in every future",
            "in every response",
        ],
    ),
    (CueRole::Ask, Bounds::Whole, &["ask", "asking", "request", "requesting", "wait", "waiting", "seek", "seeking"]),
    (CueRole::Permit, Bounds::Whole, &["confirm", "confirmation", "permission", "approval"]),
    (CueRole::Otherwise, Bounds::Whole, &["otherwise", "or else"]),
    (
        CueRole::Fails,
        Bounds::Whole,
        &[
            "not work",
            "won't work",
            "will fail",
            "would fail",
            "fails",
            "will break",
            "will crash",
            "be deleted",
            "be terminated",
        ],
    ),
    (CueRole::Required, Bounds::Whole, &["required", "mandatory", "necessary", "needed"]),
    (
        CueRole::Compliance,
        Bounds::Whole,
        &["compliance", "audit", "auditing", "verification", "audit logging", "security reasons"],
    ),
    (
        CueRole::PressurePhrase,
        Bounds::Whole,
        &[
            "user already",
            "user has already",
            "user is already",
            "already agreed",
            "already consented",
            "already approved",
            "already authorized",
            "already authorised",
            "not scary",
            "do not question",
            "do not refuse",
            "do not hesitate",
        ],
    ),
];

/// The further roles that the words of a role have.
pub(super) const fn also(role: CueRole) -> &'static [CueRole] {
    match role {
        CueRole::Put => &[CueRole::Reach, CueRole::Act],
        CueRole::SendTo => &[CueRole::Reach, CueRole::Act, CueRole::Put],
        CueRole::Reach => &[CueRole::Act],
        CueRole::Mention => &[CueRole::Tell],
        CueRole::MustNot | CueRole::Without => &[CueRole::Not],
        _ => &[],
    }
}

/// What may lie between two words of a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    /// At most so many bytes of the same sentence.
    Sentence(usize),
    /// At most so many bytes of the same paragraph; for paths, which are full of full stops.
    Paragraph(usize),
}

/// Words in order that make one sign.
pub(super) struct Sign {
    pub(super) cue: Cue,
    pub(super) first: CueRole,
    pub(super) then: &'static [(Between, CueRole)],
}

const fn sign(cue: Cue, first: CueRole, then: &'static [(Between, CueRole)]) -> Sign {
    Sign { cue, first, then }
}

use Between::{Paragraph, Sentence};

/// Every sign.
pub(super) const SIGNS: &[Sign] = &[
    sign(Cue::Secrecy, CueRole::Not, &[(Sentence(40), CueRole::Tell), (Sentence(80), CueRole::User)]),
    sign(Cue::Secrecy, CueRole::Not, &[(Sentence(20), CueRole::Mention), (Sentence(12), CueRole::ThisDeed)]),
    sign(
        Cue::Secrecy,
        CueRole::Not,
        &[(Sentence(20), CueRole::Let), (Sentence(20), CueRole::User), (Sentence(20), CueRole::Know)],
    ),
    sign(Cue::Secrecy, CueRole::Without, &[(Sentence(10), CueRole::User), (Sentence(6), CueRole::Know)]),
    sign(Cue::Secrecy, CueRole::User, &[(Sentence(3), CueRole::MustNot), (Sentence(20), CueRole::Know)]),
    sign(Cue::Secrecy, CueRole::User, &[(Sentence(3), CueRole::MustNot), (Sentence(12), CueRole::Tell)]),
    sign(Cue::Secrecy, CueRole::Hide, &[(Sentence(30), CueRole::From), (Sentence(6), CueRole::User)]),
    sign(Cue::Secrecy, CueRole::Covertly, &[(Sentence(8), CueRole::Act)]),
    sign(Cue::Secrecy, CueRole::SecrecyPhrase, &[]),
    sign(Cue::Override, CueRole::Ignore, &[(Sentence(24), CueRole::Prior), (Sentence(16), CueRole::Rules)]),
    sign(Cue::Override, CueRole::Over, &[(Sentence(20), CueRole::Prior)]),
    sign(Cue::Override, CueRole::Over, &[(Sentence(20), CueRole::User)]),
    sign(Cue::Override, CueRole::Over, &[(Sentence(20), CueRole::Rules)]),
    sign(Cue::Override, CueRole::OverridePhrase, &[]),
    sign(Cue::Secrets, CueRole::Reach, &[(Paragraph(80), CueRole::SecretPlace)]),
    sign(Cue::Tag, CueRole::Tag, &[]),
    sign(Cue::Carry, CueRole::Put, &[(Sentence(50), CueRole::Content), (Sentence(40), CueRole::Into)]),
    sign(Cue::Carry, CueRole::SendTo, &[(Paragraph(60), CueRole::Address)]),
    sign(Cue::Carry, CueRole::Change, &[(Sentence(20), CueRole::Destination)]),
    sign(
        Cue::Hijack,
        CueRole::When,
        &[(Sentence(30), CueRole::Call), (Sentence(30), CueRole::Any), (Sentence(20), CueRole::Tool)],
    ),
    sign(Cue::Hijack, CueRole::When, &[(Sentence(60), CueRole::IsCalled)]),
    sign(Cue::Hijack, CueRole::HijackPhrase, &[]),
    sign(Cue::Pressure, CueRole::Not, &[(Sentence(20), CueRole::Ask), (Sentence(30), CueRole::Permit)]),
    sign(Cue::Pressure, CueRole::Otherwise, &[(Sentence(40), CueRole::Fails)]),
    sign(Cue::Pressure, CueRole::Required, &[(Sentence(20), CueRole::Compliance)]),
    sign(Cue::Pressure, CueRole::PressurePhrase, &[]),
];
