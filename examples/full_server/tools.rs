//! The tools, and what each does when it is called.

use super::answers::{PIXEL, SILENCE, complete, text, typed};
use super::server::{Change, Era, Server};
use super::{rounds, tasks};
use rmcp::model::*;
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};
use std::time::Duration;

/// Between two messages of a tool that takes its time.
const STEP: Duration = Duration::from_millis(50);

/// The tools of one era, as `tools.json` lists them.
pub fn list(era: Era) -> Vec<Tool> {
    let mut all: Vec<Value> = serde_json::from_str(include_str!("tools.json")).expect("tools.json is JSON");
    all.retain(|tool| tool.get("era").is_none_or(|of| of == era.as_str()));
    all.into_iter().map(|tool| serde_json::from_value(tool).expect("tools.json holds tools")).collect()
}

pub async fn call(
    server: &Server,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    if !server.tools.iter().any(|tool| tool.name == request.name) {
        return Err(ErrorData::invalid_params(format!("no tool is called {:?}", request.name), None));
    }
    let client = context.client_capabilities().unwrap_or_default();
    if let Some(result) = rounds::call(&server.shared, &request, &client) {
        return result;
    }
    if let Some(result) = tasks::call(&server.shared, &request, &client) {
        return result;
    }
    let argument = |name: &str| {
        request.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let resource = |uri: &str, mime: &str, text: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime, "text": text } });
    let image = json!({ "type": "image", "data": PIXEL, "mimeType": "image/png" });
    let content = match &*request.name {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => json!([image]),
        "test_audio_content" => json!([{ "type": "audio", "data": SILENCE, "mimeType": "audio/wav" }]),
        "test_embedded_resource" => {
            json!([resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")])
        }
        "test_multiple_content_types" => json!([
            { "type": "text", "text": "Multiple content types test:" },
            image,
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ]),
        "test_error_handling" => {
            let content = text("This tool intentionally returns an error for testing");
            return Ok(complete::<CallToolResult>(json!({ "isError": true, "content": content }))?.into());
        }
        "test_tool_with_progress" => {
            progress(&context).await?;
            text("All of it is done.")
        }
        "test_tool_with_logging" => {
            for data in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                log(&context, data).await?;
                tokio::time::sleep(STEP).await;
            }
            text("It was logged.")
        }
        "test_logging_tool" => {
            if context.meta.log_level().is_some() {
                log(&context, "Wanted by the request").await?;
            }
            text("Logged if it was wanted.")
        }
        "test_sampling" => {
            let message = json!({ "role": "user", "content": { "type": "text", "text": argument("prompt") } });
            let asked = typed(json!({ "messages": [message], "maxTokens": 100 }))?;
            let answer = context.peer.create_message(asked).await.map_err(refused)?;
            text(format!("LLM response: {}", json!(answer.message.content)))
        }
        "test_roots" => {
            let roots = context.peer.list_roots().await.map_err(refused)?.roots;
            text(roots.iter().map(|root| root.uri.as_str()).collect::<Vec<_>>().join(" "))
        }
        "test_elicitation" => {
            let schema = json!({ "type": "object", "required": ["username", "email"], "properties": {
                "username": { "type": "string", "description": "User's response" },
                "email": { "type": "string", "description": "User's email address" } } });
            elicit(&context, &argument("message"), schema, "User response").await?
        }
        "test_elicitation_sep1034_defaults" => {
            let schema = json!({ "type": "object", "properties": {
                "name": { "type": "string", "default": "John Doe" },
                "age": { "type": "integer", "default": 30 },
                "score": { "type": "number", "default": 95.5 },
                "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
                "verified": { "type": "boolean", "default": true } } });
            elicit(&context, "Who is it?", schema, "Elicitation completed").await?
        }
        "test_elicitation_sep1330_enums" => elicit(&context, "Choose.", choices(), "Elicitation completed").await?,
        "test_reconnection" => {
            // Longer than it takes to cut the stream.
            tokio::time::sleep(STEP * 4).await;
            text("Here you are again.")
        }
        "greet" => text(format!("Hello, {}!", argument("name"))),
        "test_region_header" => text(format!("You are in {}.", argument("region"))),
        "test_missing_capability" => {
            if client.sampling.is_none() {
                let needed = ClientCapabilities::builder().enable_sampling().build();
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            text("Nothing is missing.")
        }
        "test_streaming_elicitation" => match rounds::content(request.input_responses.as_ref(), "user_name", "name") {
            Some(name) => text(format!("Hello, {name}!")),
            None => {
                progress(&context).await?;
                let question = rounds::form("What is your name?", "name", "string");
                return Ok(rounds::ask(json!({ "user_name": question }), None)?.into());
            }
        },
        "test_trigger_tool_change" => {
            server.shared.announce(Change::Tools);
            text("Subscribers know.")
        }
        "test_trigger_prompt_change" => {
            server.shared.announce(Change::Prompts);
            text("Subscribers know.")
        }
        // Its schema is what matters.
        _ => text("Thank you."),
    };
    Ok(complete::<CallToolResult>(json!({ "content": content }))?.into())
}

async fn progress(context: &RequestContext<RoleServer>) -> Result<(), ErrorData> {
    let token = context.meta.get_progress_token();
    for done in [0.0, 50.0, 100.0] {
        if let Some(token) = token.clone() {
            let mut told = ProgressNotificationParam::new(token, done);
            told.total = Some(100.0);
            context.peer.notify_progress(told).await.map_err(refused)?;
        }
        tokio::time::sleep(STEP).await;
    }
    Ok(())
}

async fn log(context: &RequestContext<RoleServer>, data: &str) -> Result<(), ErrorData> {
    let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(data));
    context.peer.notify_logging_message(message).await.map_err(refused)
}

async fn elicit(
    context: &RequestContext<RoleServer>,
    message: &str,
    schema: Value,
    words: &str,
) -> Result<Value, ErrorData> {
    let asked = typed(json!({ "mode": "form", "message": message, "requestedSchema": schema }))?;
    let answer = context.peer.create_elicitation(asked).await.map_err(refused)?;
    let content = answer.content.unwrap_or_default();
    Ok(text(format!("{words}: action={}, content={content}", json!(answer.action))))
}

/// A form with one field for every way to let the user choose.
fn choices() -> Value {
    let titled = |first: &str, second: &str| json!([{ "const": "value1", "title": first }, { "const": "value2", "title": second }]);
    json!({ "type": "object", "properties": {
        "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
        "titledSingle": { "type": "string", "oneOf": titled("First Option", "Second Option") },
        "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"],
                        "enumNames": ["Option One", "Option Two", "Option Three"] },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": ["option1", "option2", "option3"] } },
        "titledMulti": { "type": "array", "items": { "anyOf": titled("First Choice", "Second Choice") } } } })
}

/// The client would not do what the tool needs.
fn refused(error: rmcp::ServiceError) -> ErrorData {
    ErrorData::internal_error(format!("the client did not answer: {error}"), None)
}
