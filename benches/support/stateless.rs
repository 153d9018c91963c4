//! The stateless revision of the protocol (2026-07-28): every request tells all about itself.

use super::client::{Client, Status};
use std::io::Result;

impl Client {
    /// Calls `tool` and reads the whole answer.
    pub fn call_stateless(&mut self, id: u64, tool: &str) -> Result<Status> {
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        let message = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}},{meta}}}}}"#
        );
        let headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {tool}\r\n");
        self.write("POST", &headers, message.as_bytes())?;
        self.read_answer()
    }

    /// Whether something came that nobody asked for: a second answer.
    pub fn has_more(&self) -> bool {
        !self.unused().is_empty()
    }
}
