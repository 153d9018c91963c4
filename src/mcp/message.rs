//! The few messages that a listing needs, written; and whatever a server sends, read leniently.
//!
//! Lenient on purpose: a listing must survive what real servers send. What the gateway lets through is read by
//! `envelope`, which is strict.

use super::protocol::STATELESS_VERSION;
use rmcp::model::{ErrorCode, ProtocolVersion, RequestMetaObject};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Our name in `clientInfo`.
const CLIENT_NAME: &str = "mcpol";
/// Most messages taken from one batch (JSON-RPC arrays, which revision 2025-03-26 allowed).
const BATCH_MESSAGES_MAX: usize = 1000;

/// A request of ours, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// JSON-RPC id.
    pub id: u64,
    /// JSON-RPC method.
    pub method: &'static str,
    /// The whole message on one line, without line break.
    pub body: Vec<u8>,
    /// The revision that the message names in `_meta`, where it is one without handshake.
    pub stateless_version: Option<&'static str>,
}

/// What a server says to one of our requests.
#[derive(Debug)]
pub(super) enum ServerAnswer {
    /// `result`, to the letter.
    Result(Box<RawValue>),
    /// `error`.
    Error(ErrorObject),
}

/// A JSON-RPC error object.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ErrorObject {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: Value,
    #[serde(default)]
    data: Value,
}

impl ErrorObject {
    /// The error code; 0 if it is no integer.
    pub fn code(&self) -> i64 {
        self.code.as_i64().unwrap_or(0)
    }

    /// The server's words.
    pub fn message(&self) -> &str {
        self.message.as_str().unwrap_or("no message")
    }

    /// The revisions that a server names when it refuses ours (`data.supported`).
    pub fn supported_versions(&self) -> Vec<String> {
        let list = self.data.get("supported").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|version| Some(version.as_str()?.to_owned())).collect()
    }
}

/// The id of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReplyId {
    /// Without quotation marks, because some servers answer `"1"` to `1`.
    pub text: String,
    /// Whether it came as a string.
    pub is_string: bool,
}

/// One message from a server.
#[derive(Debug)]
pub(super) enum Incoming {
    /// To one of our requests; without an id if the server could not tell which.
    Answer { id: Option<ReplyId>, answer: ServerAnswer },
    /// From the server to us.
    Request { id: Box<RawValue>, method: String },
    /// Wants no answer.
    Notification,
}

/// Why a text is no message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UnreadableMessage {
    /// Nothing that was meant as a message: a banner, a log line, JSON of another kind.
    Junk,
    /// Meant as a message, by the look of it, but not valid.
    Broken(String),
}

#[derive(Deserialize)]
struct WireMessage {
    jsonrpc: Option<Value>,
    #[serde(default)]
    id: Option<Box<RawValue>>,
    method: Option<Value>,
    #[serde(default, deserialize_with = "given")]
    result: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
}

/// A member that is there, also where it is null: a null result is an answer, though not one that helps.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// Reads one message, or several if it is a batch.
pub(super) fn read(text: &[u8]) -> Result<Vec<Incoming>, UnreadableMessage> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text).trim_ascii();
    match text.first() {
        Some(b'{') => read_one(text).map(|message| vec![message]),
        Some(b'[') => {
            let batch: Vec<&RawValue> = serde_json::from_slice(text).map_err(|_| UnreadableMessage::Junk)?;
            if batch.is_empty() || batch.len() > BATCH_MESSAGES_MAX {
                return Err(UnreadableMessage::Junk);
            }
            batch.into_iter().map(|message| read_one(message.get().as_bytes())).collect()
        }
        _ => Err(UnreadableMessage::Junk),
    }
}

fn read_one(text: &[u8]) -> Result<Incoming, UnreadableMessage> {
    // An array would be read as the members in order.
    if text.first() != Some(&b'{') {
        return Err(UnreadableMessage::Junk);
    }
    let message: WireMessage = serde_json::from_slice(text).map_err(|error| broken_or_junk(text, &error))?;
    if message.jsonrpc.as_ref().and_then(Value::as_str) != Some("2.0") {
        return Err(UnreadableMessage::Junk);
    }
    if let Some(method) = message.method {
        let method = method.as_str().ok_or(UnreadableMessage::Junk)?.to_owned();
        return Ok(match message.id {
            Some(id) => Incoming::Request { id, method },
            None => Incoming::Notification,
        });
    }
    let id = message.id.map(|id| reply_id(id.get()));
    // An error wins over a result beside it: the doubtful answer is no answer.
    if let Some(error) = message.error {
        let refusal = serde_json::from_str(error.get()).unwrap_or_default();
        return Ok(Incoming::Answer { id, answer: ServerAnswer::Error(refusal) });
    }
    match message.result {
        Some(result) if id.is_some() => Ok(Incoming::Answer { id, answer: ServerAnswer::Result(result) }),
        Some(_) | None => Err(UnreadableMessage::Junk),
    }
}

fn broken_or_junk(text: &[u8], error: &serde_json::Error) -> UnreadableMessage {
    if memchr::memmem::find(text, b"\"jsonrpc\"").is_some() {
        UnreadableMessage::Broken(format!("{error}"))
    } else {
        UnreadableMessage::Junk
    }
}

fn reply_id(raw: &str) -> ReplyId {
    match serde_json::from_str::<String>(raw) {
        Ok(text) => ReplyId { text, is_string: true },
        Err(_) => ReplyId { text: raw.to_owned(), is_string: false },
    }
}

/// Our answer to a request from the server: `ping` and `roots/list` are answered, everything else is not offered.
pub(super) fn reply_to(id: &RawValue, method: &str) -> Vec<u8> {
    let outcome = match method {
        "ping" => r#""result":{}"#.to_owned(),
        "roots/list" => r#""result":{"roots":[]}"#.to_owned(),
        _ => format!(r#""error":{{"code":{},"message":"not offered by this client"}}"#, ErrorCode::METHOD_NOT_FOUND.0),
    };
    format!(r#"{{"jsonrpc":"2.0","id":{},{outcome}}}"#, id.get()).into_bytes()
}

/// `initialize`, which names a revision with a handshake.
pub(super) fn initialize(id: u64, version: &str, capabilities: &Value) -> Request {
    let params = json!({
        "protocolVersion": version,
        "capabilities": capabilities,
        "clientInfo": client_info(),
    });
    request(id, "initialize", &params, None)
}

/// `notifications/initialized`.
pub(super) fn initialized() -> Vec<u8> {
    br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_vec()
}

/// `server/discover`, with which a revision without handshake begins.
pub(super) fn discover(id: u64, capabilities: &Value) -> Request {
    request(id, "server/discover", &json!({ "_meta": stateless_meta(capabilities) }), Some(STATELESS_VERSION))
}

/// One page of a list.
pub(super) fn list(id: u64, method: &'static str, cursor: Option<&str>, stateless: Option<&Value>) -> Request {
    let mut params = json!({});
    if let Some(cursor) = cursor {
        params["cursor"] = cursor.into();
    }
    if let Some(capabilities) = stateless {
        params["_meta"] = stateless_meta(capabilities);
    }
    request(id, method, &params, stateless.map(|_| STATELESS_VERSION))
}

/// Whether a revision has the `initialize` handshake and is known.
pub(super) fn is_known_with_handshake(version: &str) -> bool {
    ProtocolVersion::KNOWN_VERSIONS.iter().any(|known| known.has_initialize() && known.as_str() == version)
}

fn request(id: u64, method: &'static str, params: &Value, stateless_version: Option<&'static str>) -> Request {
    let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    Request { id, method, body: body.to_string().into_bytes(), stateless_version }
}

fn client_info() -> Value {
    json!({ "name": CLIENT_NAME, "version": env!("CARGO_PKG_VERSION") })
}

/// `_meta` of a request in a revision without handshake: it carries what the handshake used to.
fn stateless_meta(capabilities: &Value) -> Value {
    let mut meta = RequestMetaObject::new();
    meta.set_protocol_version(ProtocolVersion::V_2026_07_28);
    let mut meta = serde_json::to_value(meta).unwrap_or_default();
    meta["io.modelcontextprotocol/clientInfo"] = client_info();
    meta["io.modelcontextprotocol/clientCapabilities"] = capabilities.clone();
    meta
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> String {
        match read(text.as_bytes()) {
            Ok(messages) => messages
                .iter()
                .map(|message| match message {
                    Incoming::Answer { id, answer: ServerAnswer::Result(_) } => {
                        format!("result {:?}", id.as_ref().map(|id| &id.text))
                    }
                    Incoming::Answer { id, answer: ServerAnswer::Error(refusal) } => {
                        format!("error {:?} {}", id.as_ref().map(|id| &id.text), refusal.code())
                    }
                    Incoming::Request { method, .. } => format!("request {method}"),
                    Incoming::Notification => "notification".to_owned(),
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(UnreadableMessage::Junk) => "junk".to_owned(),
            Err(UnreadableMessage::Broken(_)) => "broken".to_owned(),
        }
    }

    #[test]
    fn messages_are_told_from_junk() {
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, r#"result Some("1")"#),
            (r#"{"jsonrpc":"2.0","id":"1","result":{}}"#, r#"result Some("1")"#),
            ("\u{feff} {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}} ", r#"result Some("1")"#),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"x"}}"#, "error None -32600"),
            (r#"{"jsonrpc":"2.0","id":1,"error":"boom"}"#, r#"error Some("1") 0"#),
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, r#"result Some("1")"#),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#, r#"result Some("1")"#),
            (r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#, "request ping"),
            (r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#, "notification"),
            (
                r#"[{"jsonrpc":"2.0","method":"x"},{"jsonrpc":"2.0","id":1,"result":1}]"#,
                r#"notification, result Some("1")"#,
            ),
            (r#"{"level":"info","message":"starting"}"#, "junk"),
            (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, "junk"),
            ("[INFO] starting", "junk"),
            ("[]", "junk"),
            ("Server running on stdio", "junk"),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[}"#, "broken"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn the_sdk_reads_what_we_write() -> Result<(), serde_json::Error> {
        use rmcp::model::ClientRequest;
        let none = json!({});
        let parse =
            |request: &Request| serde_json::from_slice::<rmcp::model::JsonRpcRequest<ClientRequest>>(&request.body);
        assert!(matches!(parse(&initialize(1, "2025-11-25", &none))?.request, ClientRequest::InitializeRequest(_)));
        assert!(matches!(parse(&list(2, "tools/list", Some("c"), None))?.request, ClientRequest::ListToolsRequest(_)));
        let body: Value = serde_json::from_slice(&discover(3, &none).body)?;
        let meta: RequestMetaObject = serde_json::from_value(body["params"]["_meta"].clone())?;
        assert!(meta.missing_required_keys(&ProtocolVersion::V_2026_07_28).is_empty());
        assert!(meta.client_info().is_some());
        Ok(())
    }

    #[test]
    fn versions_are_those_that_the_sdk_knows() {
        assert_eq!(STATELESS_VERSION, ProtocolVersion::LATEST.as_str());
        assert!(is_known_with_handshake("2024-11-05") && is_known_with_handshake("2025-11-25"));
        assert!(!is_known_with_handshake(STATELESS_VERSION) && !is_known_with_handshake("2023-01-01"));
    }
}
