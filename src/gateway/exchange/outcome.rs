//! How a request to a server ended: its one word in the audit log, in metrics and in spans, and what becomes of the
//! units that a call held.

use crate::policy::Ending;

/// How a request ended that went to a server, or was about to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallOutcome {
    /// The server answered with a result, one that says `isError` included.
    Result,
    /// The server answered with a JSON-RPC error.
    Error,
    /// The client has withdrawn the request.
    Cancelled,
    /// The server did not answer within the time for a call.
    Timeout,
    /// The server ended, or the connection to it broke, before it answered.
    UpstreamGone,
    /// The server took the request and closed the exchange without an answer to it.
    Unanswered,
    /// The session with the client ended while the call waited for a person.
    Gone,
    /// The server's answer has no single reading.
    Invalid,
    /// The server's answer is longer than the gateway takes.
    TooLong,
    /// The request was not sent to the server.
    NotSent,
    /// The server answered with an HTTP error status and no answer to the request.
    HttpError,
    /// The server answered with something else than JSON or events.
    NotMcp,
    /// The server redirects to a place that is not followed.
    Redirect,
    /// The server ended the stream of events before the answer came.
    Closed,
    /// The stream or body with the answer broke off.
    Broken,
    /// The stream broke off where the client can take it up again; the answer may come there.
    Detached,
    /// The client's token expired or was revoked while the request was open.
    Revoked,
    /// The client closed the connection that the answer was for.
    ClientGone,
    /// The client went away before its request reached a server behind a command.
    Abandoned,
}

impl CallOutcome {
    /// Every outcome.
    pub const ALL: [Self; 19] = [
        Self::Result,
        Self::Error,
        Self::Cancelled,
        Self::Timeout,
        Self::UpstreamGone,
        Self::Unanswered,
        Self::Gone,
        Self::Invalid,
        Self::TooLong,
        Self::NotSent,
        Self::HttpError,
        Self::NotMcp,
        Self::Redirect,
        Self::Closed,
        Self::Broken,
        Self::Detached,
        Self::Revoked,
        Self::ClientGone,
        Self::Abandoned,
    ];

    /// The word in the audit log and in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Timeout => "timeout",
            Self::UpstreamGone => "upstream_gone",
            Self::Unanswered => "unanswered",
            Self::Gone => "gone",
            Self::Invalid => "invalid",
            Self::TooLong => "too_long",
            Self::NotSent => "not_sent",
            Self::HttpError => "http_error",
            Self::NotMcp => "not_mcp",
            Self::Redirect => "redirect",
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Detached => "detached",
            Self::Revoked => "revoked",
            Self::ClientGone => "client_gone",
            Self::Abandoned => "abandoned",
        }
    }

    /// What becomes of the units that a call holds. A server may have done what was asked before it failed, so the
    /// units stay spent unless the call was not sent or the server answered with an error.
    pub const fn ending(self) -> Ending {
        match self {
            Self::NotSent => Ending::NotSent,
            Self::Error => Ending::ErrorReply,
            Self::Result
            | Self::Cancelled
            | Self::Timeout
            | Self::UpstreamGone
            | Self::Unanswered
            | Self::Gone
            | Self::Invalid
            | Self::TooLong
            | Self::HttpError
            | Self::NotMcp
            | Self::Redirect
            | Self::Closed
            | Self::Broken
            | Self::Detached
            | Self::Revoked
            | Self::ClientGone
            | Self::Abandoned => Ending::Kept,
        }
    }

    /// Whether it is the server's doing that no answer came which could be passed on: then the operator hears what was
    /// wrong as the client does.
    pub const fn is_servers_doing(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::UpstreamGone
                | Self::Unanswered
                | Self::Invalid
                | Self::TooLong
                | Self::NotMcp
                | Self::Closed
                | Self::Broken
        )
    }

    /// Whether the gateway itself gave the request up: the server may still work on it, so it gets
    /// `notifications/cancelled`.
    pub const fn gives_up(self) -> bool {
        matches!(self, Self::Timeout | Self::Revoked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_outcome_has_a_word_of_its_own_that_the_docs_explain() {
        let docs = include_str!("../../../docs/gateway.md");
        let words: BTreeSet<_> = CallOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
        assert_eq!(words.len(), CallOutcome::ALL.len());
        for word in words {
            assert!(docs.contains(&format!("| `{word}` |")), "docs/gateway.md does not explain `{word}`");
        }
    }
}
