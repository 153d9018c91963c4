//! What reading an answer gives to log, or to say to a person.

/// Something that is to be logged, or said to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Something of the server's does not go on as it came; what, in a few words.
    Dropped(String),
    /// The server's instructions to the model are not as they were locked; what became of them, and whether that is
    /// worth saying to a person.
    Instructions(&'static str, bool),
    /// For a person.
    Notice(String),
}
