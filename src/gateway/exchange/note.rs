//! What the driver has to log or to show to the operator after an answer was read.

use super::doors::DoorRuling;

/// Something about a server's answer to be logged, or shown to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A message of the server does not go on as it came; says which, in a few words.
    Dropped(String),
    /// The server's instructions to the model are not as they were locked: what became of them, and whether the
    /// operator is to be told (once for each version of the lock).
    Instructions(&'static str, bool),
    /// What else the server says of itself is not as it was locked; as for the instructions.
    Greeting(&'static str, bool),
    /// A rule was asked about something that the answer asks of the client: the method, the policy's hash, what the rule
    /// says.
    Ruled(String, String, Box<DoorRuling>),
    /// A tool goes to clients with other hints than the server declares: its name, and the hints in words.
    Hinted(String, String),
    /// A line for the operator.
    Notice(String),
}
