//! Requests that the gateway answers itself with an HTTP error: the status for machines, a JSON-RPC error for people.

use super::body::Answer;
use super::sessions::NotYours;
use crate::gateway::identity::Unauthorized;
use crate::gateway::reply;
use crate::mcp::envelope::{Id, ReplyTo};
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use std::borrow::Cow;

/// JSON-RPC: the request is not valid.
pub const INVALID_REQUEST: i32 = -32600;
/// MCP 2026-07-28: headers are missing or do not say what the body says.
pub const HEADER_MISMATCH: i32 = -32020;
/// MCP 2026-07-28: a revision of the protocol that is not spoken here.
pub const UNSUPPORTED_VERSION: i32 = -32022;

/// What the client gets instead of an answer.
#[derive(Debug)]
pub struct Refusal(Box<RefusalParts>);

#[derive(Debug)]
struct RefusalParts {
    status: StatusCode,
    code: i32,
    message: Cow<'static, str>,
    to: ReplyTo,
    header: Option<(HeaderName, HeaderValue)>,
    versions: Option<(String, &'static [&'static str])>,
    close: bool,
    /// What is wrong with the token, in one word for the log.
    token: Option<&'static str>,
    /// What a client that looks for a login shows to its user (RFC 6749, section 5.2), instead of a JSON-RPC error.
    description: Option<String>,
}

impl Refusal {
    /// A refusal that names no request.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let code = if status.is_server_error() { reply::INTERNAL_ERROR } else { INVALID_REQUEST };
        let message = message.into();
        let to = ReplyTo::Unknown;
        Self(Box::new(RefusalParts {
            status,
            code,
            message,
            to,
            header: None,
            versions: None,
            close: false,
            token: None,
            description: None,
        }))
    }

    /// Says which request it answers.
    #[must_use]
    pub fn to(mut self, id: &Id) -> Self {
        self.0.to = ReplyTo::Id(id.clone());
        self
    }

    /// Answers with this JSON-RPC code.
    #[must_use]
    pub fn with_code(mut self, code: i32) -> Self {
        self.0.code = code;
        self
    }

    /// Answers with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// Says which revision was asked for, and which are there.
    #[must_use]
    pub fn with_versions(mut self, requested: &str, supported: &'static [&'static str]) -> Self {
        self.0.versions = Some((requested.to_owned(), supported));
        self
    }

    /// Ends the connection: what comes next on it cannot be told from the rest of this request.
    #[must_use]
    pub fn and_close(mut self) -> Self {
        self.0.close = true;
        self
    }

    /// What is wrong with the token, for the log alone.
    #[must_use]
    pub fn because_of_token(mut self, word: &'static str) -> Self {
        self.0.token = Some(word);
        self
    }

    /// Answers a client that looks for a login, with what its user reads.
    #[must_use]
    pub fn with_description(mut self, words: String) -> Self {
        self.0.description = Some(words);
        self
    }

    /// Says how a token is had, and where the metadata are that say who issues them (RFC 9728, section 5.1).
    #[must_use]
    pub fn with_token_help(mut self, words: String, metadata: Option<&str>) -> Self {
        self.0.message = words.into();
        if let (Some((WWW_AUTHENTICATE, value)), Some(metadata)) = (&mut self.0.header, metadata)
            && let Ok(text) = value.to_str()
            && !metadata.contains(['"', '\\'])
            && let Ok(longer) = HeaderValue::try_from(format!("{text}, resource_metadata=\"{metadata}\""))
        {
            *value = longer;
        }
        self
    }

    /// What is wrong with the token, if that is why.
    pub fn token(&self) -> Option<&'static str> {
        self.0.token
    }

    /// Why, for the log; nothing of the request is in it.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The response.
    pub fn into_response(self) -> Response<Answer> {
        let RefusalParts { status, code, message, to, header, versions, close, token: _, description } = *self.0;
        let mut body = Vec::new();
        match (description, versions) {
            (Some(words), _) => {
                let text = serde_json::json!({"error": "invalid_request", "error_description": words});
                body.extend_from_slice(text.to_string().as_bytes());
            }
            (None, Some((requested, supported))) => {
                reply::unsupported_version(&mut body, &to, code, &message, &requested, supported);
            }
            (None, None) => reply::error(&mut body, &to, code, &message),
        }
        let mut response = json(status, body);
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        if close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A response of one message; the line break that lines over stdio end with is taken off.
pub fn json(status: StatusCode, mut message: Vec<u8>) -> Response<Answer> {
    if message.last() == Some(&b'\n') {
        message.pop();
    }
    let mut response = Response::new(Answer::whole(message));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The refusal of a request whose token is not good, or that has none.
pub fn unauthorized(error: &Unauthorized) -> Refusal {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return Refusal::new(status, "tokens cannot be checked at the moment").because_of_token(error.word());
    }
    Refusal::new(status, "a valid token is needed")
        .because_of_token(error.word())
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static(error.www_authenticate()))
}

/// The answer to what is no request: it has arrived.
pub fn accepted() -> Response<Answer> {
    let mut response = Response::new(Answer::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

impl From<NotYours> for Refusal {
    fn from(_: NotYours) -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such session")
    }
}
