//! A client written with the official SDK: lists the tools of a server over stdio, calls one, and tries one that must
//! not be there.
//!
//! ```text
//! cargo run --example official_client -- TOOL ARGUMENTS HIDDEN COMMAND [ARG ...]
//! cargo run --example official_client -- echo '{"message":"hi"}' get-env \
//!     mcpol enforce --policy policy.json -- npx -y @modelcontextprotocol/server-everything
//! ```
//!
//! Prints how many tools there are and what the call gave. Fails if the server cannot be reached, if the policy refuses the
//! call, or if HIDDEN is listed or answers.

use rmcp::model::{CallToolRequestParams, ErrorCode};
use rmcp::transport::TokioChildProcess;
use rmcp::{ServiceError, ServiceExt as _};
use std::error::Error;
use std::io::Write as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [tool, arguments, hidden, program, rest @ ..] = words.as_slice() else {
        return Err("usage: official_client TOOL ARGUMENTS HIDDEN COMMAND [ARG ...]".into());
    };
    let mut command = tokio::process::Command::new(program);
    command.args(rest);
    let client = ().serve(TokioChildProcess::new(command)?).await?;

    let tools = client.list_all_tools().await?;
    let listed = |name: &str| tools.iter().any(|tool| tool.name == name);
    if !listed(tool) || listed(hidden) {
        return Err(format!("`{tool}` must be listed and `{hidden}` must not").into());
    }
    let call = CallToolRequestParams::new(tool.clone()).with_arguments(serde_json::from_str(arguments)?);
    let result = client.call_tool(call).await?;
    let text = serde_json::to_string(&result.content)?;
    if text.contains("[POLICY DENIED]") {
        return Err(format!("`{tool}` was refused: {text}").into());
    }
    match client.call_tool(CallToolRequestParams::new(hidden.clone())).await {
        Err(ServiceError::McpError(error)) if error.code == ErrorCode::INVALID_PARAMS => {}
        other => return Err(format!("`{hidden}` must not exist: {other:?}").into()),
    }
    client.cancel().await?;
    writeln!(std::io::stdout(), "{} tools; {tool}: {}", tools.len(), text.chars().take(80).collect::<String>())?;
    Ok(())
}
