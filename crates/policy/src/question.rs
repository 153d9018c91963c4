//! A call that a person has to be asked about.

use super::store::Binding;
use crate::mcp::envelope::ToolCall;

/// A call that waits for a person.
#[derive(Clone, Debug)]
pub struct PendingApproval {
    /// What an approval is good for.
    pub binding: Binding,
    /// The call, to be brought to the gate again.
    pub call: ToolCall,
    /// Id of the rule that asks.
    pub rule: String,
    /// What the person is asked.
    pub message: String,
    /// Seconds until the question lapses.
    pub ttl_s: u64,
    /// What the person is to read of the call; see [`ApprovalRequest::arguments`](crate::ApprovalRequest::arguments).
    pub shown: String,
}
