//! From JSON, as the protocol writes it, to the SDK's types: the answers below read like the specification's examples.

use rmcp::ErrorData;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A picture of one red pixel, as PNG in base64.
pub const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A sound without samples, as WAV in base64.
pub const SILENCE: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

/// The SDK's type for `value`.
///
/// # Errors
/// When the SDK does not know such a thing: a defect of this example.
pub fn typed<T: DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// As [`typed`], for results: 2026-07-28 wants them to say that they are complete. The SDK takes it out for older ones.
pub fn complete<T: DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    value["resultType"] = json!("complete");
    typed(value)
}

/// A list or a resource: 2026-07-28 wants to know how long it may be kept, and by whom.
pub fn cacheable<T: DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    value["ttlMs"] = json!(60_000);
    value["cacheScope"] = json!("private");
    complete(value)
}

/// The content of one text block.
pub fn text(text: impl Into<String>) -> Value {
    json!([{ "type": "text", "text": text.into() }])
}
