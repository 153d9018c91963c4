//! Messages that the gateway writes itself, to client or server: refusals, errors, progress, cancellations.

use crate::mcp::envelope::{Id, ReplyTo};
use crate::policy::Denial;
use std::io::Write as _;

/// The member of `_meta` that tells programs about a decision.
pub const DECISION_META: &str = "io.github.mcpol/decision";

/// JSON-RPC's internal error: something went wrong between client and server. The gateway makes up no code of its own.
pub const INTERNAL_ERROR: i32 = -32603;
/// JSON-RPC's invalid params, which MCP servers answer for a tool that they do not have.
/// The parameters of a request are not valid.
pub const INVALID_PARAMS: i32 = -32602;

/// Bytes that most replies need; not a bound.
const REPLY_BYTES_USUAL: usize = 512;

fn text(out: &mut Vec<u8>, value: &str) {
    // Writing to a vector cannot fail.
    let _ = serde_json::to_writer(out, value);
}

fn head(out: &mut Vec<u8>, id: &ReplyTo) {
    // One growth instead of many.
    out.reserve(REPLY_BYTES_USUAL);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    match id {
        ReplyTo::Id(id) => id.write(out),
        ReplyTo::Unknown | ReplyTo::Nobody => out.extend_from_slice(b"null"),
    }
}

/// Appends an error as a line; nothing if the message may not be answered.
pub fn error(out: &mut Vec<u8>, to: &ReplyTo, code: i32, message: &str) {
    if *to == ReplyTo::Nobody {
        return;
    }
    head(out, to);
    let _ = write!(out, ",\"error\":{{\"code\":{code},\"message\":");
    text(out, message);
    out.extend_from_slice(b"}}\n");
}

/// Appends an error as a line that names the revisions which the gateway knows (MCP 2026-07-28, `data.supported`).
pub fn unsupported_version(
    out: &mut Vec<u8>,
    to: &ReplyTo,
    code: i32,
    message: &str,
    requested: &str,
    supported: &[&str],
) {
    head(out, to);
    let _ = write!(out, ",\"error\":{{\"code\":{code},\"message\":");
    text(out, message);
    out.extend_from_slice(b",\"data\":{\"supported\":");
    // Writing to a vector cannot fail.
    let _ = serde_json::to_writer(&mut *out, supported);
    out.extend_from_slice(b",\"requested\":");
    text(out, requested);
    out.extend_from_slice(b"}}}\n");
}

/// Appends the answer to a refused call as a line. A tool that the client must not know of is answered like one that
/// does not exist. `decision` is the decision's id; `typed` is for revisions that want `resultType` in every result.
pub fn denied(out: &mut Vec<u8>, id: &Id, tool: &str, denial: &Denial, decision: &str, typed: bool) {
    if denial.is_unknown_tool() {
        error(out, &ReplyTo::Id(id.clone()), INVALID_PARAMS, &format!("Unknown tool: {tool}"));
        return;
    }
    head(out, &ReplyTo::Id(id.clone()));
    out.extend_from_slice(b",\"result\":{");
    if typed {
        out.extend_from_slice(b"\"resultType\":\"complete\",");
    }
    out.extend_from_slice(b"\"content\":[{\"type\":\"text\",\"text\":");
    text(out, &denial.text());
    for part in
        ["}],\"isError\":true,\"_meta\":{\"", DECISION_META, "\":{\"code\":\"", denial.code.as_str(), "\",\"rule\":"]
    {
        out.extend_from_slice(part.as_bytes());
    }
    text(out, &denial.rule);
    if let Some(seconds) = denial.retry_after_s {
        let _ = write!(out, ",\"retry_after_s\":{seconds}");
    }
    for part in [",\"id\":\"", decision, "\"}}}}\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends `notifications/progress` as a line; `token` is JSON. Progress may only grow and the server's own comes
/// later, so `progress` is written in millionths.
pub fn progress(out: &mut Vec<u8>, token: &str, progress: u64, message: &str) {
    let _ = write!(
        out,
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":{token},\
         \"progress\":0.{progress:06},\"message\":"
    );
    text(out, message);
    out.extend_from_slice(b"}}\n");
}

/// Appends the answer to a server's `roots/list` as a line.
pub fn roots(out: &mut Vec<u8>, id: &Id, uris: &[String]) {
    head(out, &ReplyTo::Id(id.clone()));
    out.extend_from_slice(b",\"result\":{\"roots\":[");
    for (at, uri) in uris.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{\"uri\":" } else { b",{\"uri\":" });
        text(out, uri);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}}\n");
}

/// Appends `notifications/tools/list_changed` as a line.
pub fn list_changed(out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n");
}

/// Appends `notifications/cancelled` as a line, for a request that the gateway has given up.
pub fn cancelled(out: &mut Vec<u8>, id: &Id, reason: &str) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":");
    id.write(out);
    out.extend_from_slice(b",\"reason\":");
    text(out, reason);
    out.extend_from_slice(b"}}\n");
}
