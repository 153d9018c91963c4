//! Tools that need several rounds (`input_required`): the server asks in its result, the client calls again with the
//! answers and with the server's own state, which is sealed so that nobody changes it on the way.

use super::answers::{complete, text, typed};
use super::server::Shared;
use rmcp::ErrorData;
use rmcp::model::*;
use serde_json::{Value, json};

/// A result that asks for `requests`.
pub fn ask(requests: Value, state: Option<String>) -> Result<InputRequiredResult, ErrorData> {
    let mut value = json!({ "resultType": "input_required", "inputRequests": requests });
    if let Some(state) = state {
        value["requestState"] = json!(state);
    }
    typed(value)
}

/// A form with one field.
pub fn form(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] });
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": schema } })
}

fn sampling(prompt: &str) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": prompt } });
    json!({ "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": 100 } })
}

fn roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}

/// What the user put into `field` of the form `key`, if the form was accepted.
pub fn content(responses: Option<&InputResponses>, key: &str, field: &str) -> Option<String> {
    let response = responses?.get(key)?;
    let value = response.get("content")?.get(field)?;
    (response.get("action") == Some(&json!("accept")))
        .then(|| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// One call of a tool of several rounds; `None` if no such tool exists.
pub fn call(
    shared: &Shared,
    request: &CallToolRequestParams,
    client: &ClientCapabilities,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let name = request.name.strip_prefix("test_input_required_result_")?;
    let responses = request.input_responses.as_ref();
    let done = |said: String| complete::<CallToolResult>(json!({ "content": text(said) })).map(Into::into);
    let asked = |requests: Value, state: Option<&str>| -> Result<CallToolResponse, ErrorData> {
        Ok(ask(requests, state.map(|state| shared.seal(state)))?.into())
    };
    Some(match name {
        "elicitation" => match content(responses, "user_name", "name") {
            Some(name) => done(format!("Hello, {name}!")),
            None => asked(json!({ "user_name": form("What is your name?", "name", "string") }), None),
        },
        "sampling" => match responses.and_then(|all| all.get("capital_question")?.get("content")?.get("text")) {
            Some(said) => done(format!("The model says: {said}")),
            None => asked(json!({ "capital_question": sampling("What is the capital of France?") }), None),
        },
        "list_roots" => match responses.and_then(|all| all.get("client_roots")?.get("roots")) {
            Some(roots) => done(format!("The roots are {roots}")),
            None => asked(json!({ "client_roots": roots() }), None),
        },
        "request_state" | "tampered_state" => match (shared.opened(request), content(responses, "confirm", "ok")) {
            (Err(error), _) => Err(error),
            (Ok(Some(_)), Some(_)) => done("state-ok".to_owned()),
            _ => asked(json!({ "confirm": form("Please confirm", "ok", "boolean") }), Some("confirming")),
        },
        "multiple_inputs" => match (shared.opened(request), responses.map(InputResponses::len)) {
            (Err(error), _) => Err(error),
            (Ok(Some(_)), Some(3..)) => done("All three arrived.".to_owned()),
            _ => asked(
                json!({
                    "user_name": form("What is your name?", "name", "string"),
                    "greeting": sampling("Generate a greeting"),
                    "client_roots": roots(),
                }),
                Some("three"),
            ),
        },
        "multi_round" => match shared.opened(request) {
            Err(error) => Err(error),
            Ok(state) => {
                match (state.as_deref(), content(responses, "step1", "name"), content(responses, "step2", "color")) {
                    (Some("second"), _, Some(color)) => done(format!("So it is {color}.")),
                    (Some("first"), Some(_), _) => asked(
                        json!({ "step2": form("Step 2: What is your favorite color?", "color", "string") }),
                        Some("second"),
                    ),
                    _ => asked(json!({ "step1": form("Step 1: What is your name?", "name", "string") }), Some("first")),
                }
            }
        },
        "capabilities" => {
            let mut requests = json!({});
            if client.elicitation.is_some() {
                requests["name"] = form("What is your name?", "name", "string");
            }
            if client.sampling.is_some() {
                requests["greeting"] = sampling("Generate a greeting");
            }
            if client.roots.is_some() {
                requests["roots"] = roots();
            }
            match responses {
                Some(_) => done("Thank you.".to_owned()),
                None => asked(requests, Some("asked")),
            }
        }
        _ => return None,
    })
}
