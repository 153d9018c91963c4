//! What a message of the Model Context Protocol is, read strictly: bytes come in, and nothing is sent from here.

pub mod envelope;
mod id;
pub mod json;
pub mod protocol;
mod received;
mod refusal;
pub mod unreadable;
pub mod walk;
