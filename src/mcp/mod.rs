//! The wire: stdio framing, HTTP client, targets, connect and enumerate.

pub mod child;
pub mod framing;
pub mod http;
pub mod private;
pub mod skeleton;
pub mod sse;
pub mod supervise;
pub mod tail;
pub mod target;

mod enumerate;
mod environment;
mod error;
mod message;
mod extras;
mod pages;
mod tools;
mod remote;
mod replies;
mod stdio;

pub use enumerate::{EnumerateOptions, Progress, Wanted, enumerate, source_of};
pub use environment::{Home, inherited};
pub use error::{ConnectError, TokenSent, Traces};
pub use mcpol_base::mcp::{envelope, json, protocol, unreadable, walk};
