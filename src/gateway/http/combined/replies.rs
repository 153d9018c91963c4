//! Answers that the common endpoint writes itself.

use super::super::body::Answer;
use super::super::refusal::json;
use crate::gateway::reply;
use crate::mcp::envelope::{Id, ReplyTo};
use http::{Response, StatusCode};

pub(super) fn failed(id: &Id, code: i32, message: &str) -> Response<Answer> {
    let mut line = Vec::new();
    reply::error(&mut line, &ReplyTo::Id(id.clone()), code, message);
    json(StatusCode::OK, line)
}

pub(super) fn done(id: &Id, result: &str) -> Response<Answer> {
    json(StatusCode::OK, result_of(id, result))
}

/// The message that answers a request.
pub(super) fn result_of(id: &Id, result: &str) -> Vec<u8> {
    let mut line = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
    id.write(&mut line);
    line.extend_from_slice(b",\"result\":");
    line.extend_from_slice(result.as_bytes());
    line.extend_from_slice(b"}");
    line
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
