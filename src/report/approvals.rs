//! Calls that wait for a person, for machines.

use super::document::Document;
use crate::policy::{Approval, ApprovalState, utc};
use serde::Serialize;

/// Questions and where they stand (`mcpol approvals list --format json`).
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol approvals list")]
pub struct ApprovalsReport<'a> {
    /// Version of this format.
    version: u32,
    /// The newest last.
    approvals: Vec<ApprovalLine<'a>>,
}

/// One question. The arguments of the call are what `mcpol approvals show ID` shows.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct ApprovalLine<'a> {
    /// Its id.
    id: &'a str,
    /// `waiting`, `approved`, `denied`, `used`, `lapsed` or `withdrawn`.
    state: &'static str,
    /// The server.
    server: &'a str,
    /// The tool that is called.
    tool: &'a str,
    /// Whose call it is.
    grant: &'a str,
    /// The rule that asks.
    rule: &'a str,
    /// The question.
    question: &'a str,
    /// When it was asked, in UTC.
    created: String,
    /// When it lapses, in UTC.
    expires: String,
}

impl Document for ApprovalsReport<'_> {
    const SCHEMA: &'static str = "approvals";
    const COMMAND: &'static str = "approvals list";
}

impl<'a> ApprovalsReport<'a> {
    /// The report of these questions.
    pub fn new(approvals: &'a [Approval]) -> Self {
        let line = |approval: &'a Approval| {
            let (request, binding) = (&approval.request, &approval.request.binding);
            ApprovalLine {
                id: &approval.id,
                state: approval_word(approval.state),
                server: &binding.server,
                tool: binding.tool.as_str(),
                grant: &binding.grant,
                rule: &request.rule,
                question: &request.message,
                created: utc(approval.created),
                expires: utc(approval.expires),
            }
        };
        Self { version: 1, approvals: approvals.iter().map(line).collect() }
    }
}

/// The word for where a question stands.
pub fn approval_word(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Pending => "waiting",
        ApprovalState::Approved => "approved",
        ApprovalState::Denied => "denied",
        ApprovalState::Used => "used",
        ApprovalState::Expired => "lapsed",
        ApprovalState::Withdrawn => "withdrawn",
    }
}
