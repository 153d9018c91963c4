//! What ends or changes a session over stdio from outside the two ends' lines.

/// What the loop of a session over stdio is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client has closed its end.
    ClientClosed,
    /// The server is gone for good; how, in words.
    ServerClosed(String),
    /// The operating system asks the gateway to end; the number of the signal.
    Signal(i32),
    /// Something has changed in the folder of the policy.
    PolicyTouched,
}
