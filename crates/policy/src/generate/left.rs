//! What a policy leaves of a server's tools.

use crate::compiled::{Policy, Visibility};
use crate::model::ToolDefinition;
use crate::tokens;

/// What a client still sees of a server's tools under a policy, and what that costs its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Tools that the client is shown.
    pub tools: usize,
    /// Tools that the server lists.
    pub of_tools: usize,
    /// Tokens of the definitions that the client is shown: an estimate, as [`tokens::estimate`] makes it.
    pub tokens: u64,
    /// Tokens of all definitions, estimated likewise.
    pub of_tokens: u64,
}

/// What a policy leaves of a server's tools. A tool that is refused at every call is not shown either.
pub fn left<'t>(policy: &Policy, tools: impl IntoIterator<Item = &'t ToolDefinition>) -> Left {
    let mut left = Left::default();
    for tool in tools {
        let cost = tokens::estimate(tool);
        left.of_tools += 1;
        left.of_tokens += cost;
        match policy.visible(tool.name.as_str()) {
            Visibility::Listed => {
                left.tools += 1;
                left.tokens += cost;
            }
            Visibility::Refused | Visibility::Hidden => {}
        }
    }
    left
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::super::testing::tool;
    use super::*;

    #[test]
    fn a_client_pays_for_what_it_is_shown() {
        let text =
            r#"{"version":"1","default":"deny","hide":["gone"],"tools":{"read":{},"refused":{"action":"deny"}}}"#;
        let tools = ["read", "refused", "gone", "unnamed"].map(tool);
        let left = left(&crate::parse(text, "p").unwrap(), &tools);
        let (one, all) = (tokens::estimate(&tools[0]), tools.iter().map(tokens::estimate).sum());
        assert_eq!(left, Left { tools: 1, of_tools: 4, tokens: one, of_tokens: all });
    }
}
