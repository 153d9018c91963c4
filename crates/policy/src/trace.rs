//! What differs in a call's `_meta` whenever the call is made again: the progress token, and the trace context. No approval
//! is bound to them, so that a call that was approved late passes when it is tried again. The progress token is between the
//! client and the gateway; a trace context that no person was shown does not go on.

use crate::mcp::envelope::{Message, ToolCall, admit};
use crate::mcp::json::string_value;
use crate::mcp::walk::{member, members};

/// Under which the client hears of progress.
pub(super) const TOKEN: &[&str] = &["progressToken"];
/// The members that carry a trace context (W3C Trace Context and Baggage, as MCP names them in `_meta`).
pub(super) const CONTEXT: &[&str] = &["traceparent", "tracestate", "baggage"];

/// A `_meta` without these members; `None` if nothing is left.
pub(super) fn meta_without(meta: &str, left_out: &[&str]) -> Option<String> {
    if !meta.starts_with('{') {
        // It is no object, and kept to the letter.
        return Some(meta.to_owned());
    }
    let is_kept = |literal: &str| !string_value(literal).is_some_and(|name| left_out.contains(&&*name));
    let kept: Vec<String> = members(meta)
        .filter(|(literal, _)| is_kept(literal))
        .map(|(literal, span)| format!("{literal}:{}", &meta[span]))
        .collect();
    (!kept.is_empty()).then(|| format!("{{{}}}", kept.join(",")))
}

/// The trace context in what a person was shown of a call: values as JSON, in the order of [`CONTEXT`].
pub(super) fn of_shown(shown: &str) -> Vec<Option<&str>> {
    let meta = shown.split_once('\n').and_then(|(_, beside)| member(beside, "_meta")).map(|(meta, _)| meta);
    CONTEXT.iter().map(|name| Some(member(meta?, name)?.0)).collect()
}

/// The call without its trace context, read anew like one that a client has sent; `None` if that is no call.
pub(super) fn without(call: &ToolCall) -> Option<ToolCall> {
    let line = std::str::from_utf8(call.line()).ok()?;
    let (params, outer) = member(line, "params")?;
    let (meta, inner) = member(params, "_meta")?;
    let (start, end) = (outer.start + inner.start, outer.start + inner.end);
    let kept = meta_without(meta, CONTEXT).unwrap_or_else(|| "{}".to_owned());
    match admit([&line[..start], &kept, &line[end..]].concat().as_bytes()) {
        Ok(Message::Call(_, call)) => Some(call),
        Ok(Message::Request(..) | Message::Notification(_) | Message::Reply(..)) | Err(_) => None,
    }
}
