//! Messages that are not admitted: why, and whom a refusal answers.

use super::id::Id;
use super::json::{Fatal, Flaw};

/// Most bytes of one message, either way, without the line break.
pub const MESSAGE_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Whom a refusal answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyTo {
    /// The request with this id.
    Id(Id),
    /// A request whose id could not be told (JSON-RPC 2.0, section 5: the id is null then).
    Unknown,
    /// Nobody: a notification or an answer gets no answer.
    Nobody,
}

/// A message that is not forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Who is told.
    pub reply_to: ReplyTo,
    /// Why.
    pub reason: Reason,
}

/// Why a message is not admitted. The text is one fragment for the client and the log; nothing of the message is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The text is no JSON that every reader agrees on.
    #[error(transparent)]
    Json(#[from] Fatal),
    /// Readers could disagree about the text.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// Bytes that are no UTF-8.
    #[error("not valid UTF-8")]
    Utf8,
    /// More than [`MESSAGE_BYTES_MAX`].
    #[error("a message of more than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// A batch.
    #[error("a message must be one object, batches are not taken")]
    Array,
    /// A JSON value of another type.
    #[error("a message must be an object")]
    NotAnObject,
    /// A member of the protocol, misspelled so that some readers take it for the real one.
    #[error("a member that is a protocol member's name but for case or NUL")]
    NearlyKnownMember,
    /// Two members that some readers take for one.
    #[error("two members of one object whose names differ in case only")]
    NearDuplicate,
    /// A member's name holds U+0000.
    #[error("a member whose name holds NUL")]
    NulInName,
    /// A member that some readers take for the prototype of the object.
    #[error("a member named `__proto__`")]
    Prototype,
    /// `jsonrpc` is not `"2.0"`.
    #[error("`jsonrpc` must be \"2.0\"")]
    Version,
    /// `id` is null, fractional, too large or of another type.
    #[error("`id` must be a string or an integer within ±(2^53 - 1)")]
    Id,
    /// Neither a request nor a reply, or both.
    #[error("a message must have either a method, a result or an error")]
    Shape,
    /// `method` is no string.
    #[error("`method` must be a string")]
    Method,
    /// A method that is a known one but for case, NUL or white space around it.
    #[error("a method that is a known one but for case, NUL or white space")]
    NearlyKnownMethod,
    /// `params` is no object.
    #[error("`params` must be an object")]
    Params,
    /// `error` is no object.
    #[error("`error` must be an object")]
    Error,
    /// `params.name` of a call.
    #[error("`params.name` must be a string")]
    Name,
    /// `params.name` of a call holds U+0000, where readers in C end it.
    #[error("`params.name` must not hold NUL")]
    NulInToolName,
    /// `params.arguments` of a call.
    #[error("`params.arguments` must be an object")]
    Arguments,
    /// `params._meta`.
    #[error("`params._meta` must be an object")]
    Meta,
    /// `params._meta.progressToken`.
    #[error("`params._meta.progressToken` must be a string or an integer")]
    ProgressToken,
    /// `params.task` of a call.
    #[error("`params.task` must be an object")]
    Task,
    /// A call as a notification: nobody would learn that it was refused, so it is never forwarded.
    #[error("`tools/call` must have an id")]
    CallWithoutId,
    /// A revision of the protocol whose rules are not known here.
    #[error("a protocol version that this gateway does not know")]
    ProtocolVersion,
}

impl Reason {
    /// The JSON-RPC error code (section 5.1).
    pub fn code(self) -> i32 {
        match self {
            Self::Json(_) | Self::Utf8 => -32700,
            _ => -32600,
        }
    }
}
