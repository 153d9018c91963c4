//! Prompts, resources and completions: what a client reads without calling anything.

use super::answers::{PIXEL, cacheable, complete};
use super::rounds;
use rmcp::ErrorData;
use rmcp::model::*;
use serde_json::{Value, json};

pub fn prompts(with_rounds: bool) -> Result<ListPromptsResult, ErrorData> {
    let argument = |name: &str| json!({ "name": name, "description": "A text", "required": true });
    let mut prompts = vec![
        json!({ "name": "test_simple_prompt", "description": "One message" }),
        json!({ "name": "test_prompt_with_arguments", "description": "Its arguments in a message",
                "arguments": [argument("arg1"), argument("arg2")] }),
        json!({ "name": "test_prompt_with_embedded_resource", "description": "A resource in a message",
                "arguments": [argument("resourceUri")] }),
        json!({ "name": "test_prompt_with_image", "description": "An image in a message" }),
    ];
    if with_rounds {
        prompts.push(json!({ "name": "test_input_required_result_prompt", "description": "Asks before it answers" }));
    }
    cacheable(json!({ "prompts": prompts }))
}

pub fn prompt(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        request.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_str).unwrap_or_default()
    };
    let user = |content: Value| json!({ "role": "user", "content": content });
    let says = |text: &str| user(json!({ "type": "text", "text": text }));
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![says("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            vec![says(&format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1"), argument("arg2")))]
        }
        "test_prompt_with_embedded_resource" => vec![
            user(json!({ "type": "resource", "resource": { "uri": argument("resourceUri"), "mimeType": "text/plain",
                         "text": "Embedded resource content for testing." } })),
            says("Please process the embedded resource above."),
        ],
        "test_prompt_with_image" => vec![
            user(json!({ "type": "image", "data": PIXEL, "mimeType": "image/png" })),
            says("Please analyze the image above."),
        ],
        "test_input_required_result_prompt" => {
            match rounds::content(request.input_responses.as_ref(), "user_context", "context") {
                Some(context) => vec![says(&format!("With this in mind: {context}"))],
                None => {
                    let question = rounds::form("What context should the prompt use?", "context", "string");
                    return Ok(rounds::ask(json!({ "user_context": question }), None)?.into());
                }
            }
        }
        other => return Err(ErrorData::invalid_params(format!("no prompt is called {other:?}"), None)),
    };
    Ok(complete::<GetPromptResult>(json!({ "messages": messages }))?.into())
}

pub fn resources() -> Result<ListResourcesResult, ErrorData> {
    cacheable(json!({ "resources": [
        { "uri": "test://static-text", "name": "static-text", "description": "A text", "mimeType": "text/plain" },
        { "uri": "test://static-binary", "name": "static-binary", "description": "An image", "mimeType": "image/png" },
        { "uri": "test://watched-resource", "name": "watched-resource", "description": "May be subscribed to",
          "mimeType": "text/plain" },
    ] }))
}

pub fn templates() -> Result<ListResourceTemplatesResult, ErrorData> {
    cacheable(json!({ "resourceTemplates": [
        { "uriTemplate": "test://template/{id}/data", "name": "template", "description": "Data of one id",
          "mimeType": "application/json" },
    ] }))
}

pub fn resource(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let text = |mime: &str, text: String| json!({ "uri": uri, "mimeType": mime, "text": text });
    let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
    let contents = match (uri, id) {
        ("test://static-text", _) => text("text/plain", "This is the content of the static text resource.".to_owned()),
        ("test://static-binary", _) => json!({ "uri": uri, "mimeType": "image/png", "blob": PIXEL }),
        ("test://watched-resource", _) => text("text/plain", "Watched.".to_owned()),
        (_, Some(id)) => {
            let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            text("application/json", data.to_string())
        }
        _ => return Err(ErrorData::invalid_params("Resource not found", Some(json!({ "uri": uri })))),
    };
    cacheable(json!({ "contents": [contents] }))
}

/// Words that begin with what was typed.
pub fn completions(request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let typed = request.argument.value.as_str();
    let values: Vec<&str> =
        ["paris", "park", "party", "testing"].into_iter().filter(|word| word.starts_with(typed)).collect();
    complete(json!({ "completion": { "total": values.len(), "hasMore": false, "values": values } }))
}
