//! The JSON-RPC envelope: what a message is, read strictly and once.

use crate::model::ToolName;

/// A `tools/call` request that was read strictly. What is judged and what is forwarded are the same bytes.
#[derive(Clone, Debug)]
pub struct ToolCall {
    line: Vec<u8>,
    name: ToolName,
    arguments: Option<String>,
}

impl ToolCall {
    /// A call that no client sent: for `explain`, policy tests and replay.
    pub fn synthetic(name: ToolName, arguments: Option<String>) -> Self {
        Self { line: Vec::new(), name, arguments }
    }

    /// `params.name`, decoded.
    pub fn name(&self) -> &ToolName {
        &self.name
    }

    /// `params.arguments` as JSON text; absent when the member is.
    pub fn arguments(&self) -> Option<&str> {
        self.arguments.as_deref()
    }

    /// The message to forward, without line break; empty for a synthetic call.
    pub fn line(&self) -> &[u8] {
        &self.line
    }
}
