//! A line from a server, as [`receive`](super::envelope::receive) has read it.

use super::id::Id;
use super::json::string_value;
use super::walk::member;
use std::borrow::Cow;
use std::ops::Range;

/// What a line from a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A result for the request with this id.
    Result(Id),
    /// An error for the request with this id.
    Error(Id),
    /// A request to the client.
    Request(Id, Box<str>),
    /// A notification.
    Notification(Box<str>),
}

/// A line from a server: what it is, and the text to pass on.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// What it is.
    pub arrival: Arrival,
    /// The line as it came; without white space between tokens only where a carriage return stood there.
    pub text: Cow<'a, str>,
    pub(super) result: Option<Range<usize>>,
    pub(super) params: Option<Range<usize>>,
    pub(super) asks_client: bool,
    pub(super) tells_task: bool,
}

/// The member of a result that asks the client for something (from 2026-07-28).
pub const INPUT_REQUESTS: &str = "inputRequests";

impl Received<'_> {
    /// Whether `result` asks the client for something, or would to a client that ignores case ([`INPUT_REQUESTS`]).
    pub fn asks_client(&self) -> bool {
        self.asks_client
    }

    /// The id of the task that `result` is or tells of (`task.taskId`, `taskId`).
    pub fn task(&self) -> Option<String> {
        let result = self.result().filter(|_| self.tells_task)?;
        let id = |object: &str| string_value(member(object, "taskId")?.0).map(Cow::into_owned);
        member(result, "task").and_then(|(task, _)| id(task)).or_else(|| id(result))
    }

    /// `result` as JSON text.
    pub fn result(&self) -> Option<&str> {
        self.text.get(self.result.clone()?)
    }

    /// Where `result` stands in the text.
    pub fn result_span(&self) -> Option<Range<usize>> {
        self.result.clone()
    }

    /// `params` as JSON text.
    pub fn params(&self) -> Option<&str> {
        self.text.get(self.params.clone()?)
    }
}
