//! Tools that call other tools: the caller names one and hands over its arguments.

use super::kinds::finding;
use crate::model::{Finding, Parameter, Severity, ToolDefinition, TypeSet};
use crate::text::excerpt;

/// Longest parameter path inside a message, in characters.
const PATH_CHARS_MAX: usize = 40;

/// Parameters that name the tool to call.
const NAMES: [&str; 8] =
    ["tool", "tool_name", "toolname", "tool_id", "toolid", "tool_slug", "toolslug", "operation_id"];
/// Parameters that name it only where the tool's own name says that it calls something, because they have other uses.
const VAGUE_NAMES: [&str; 13] = [
    "command",
    "action",
    "method",
    "operation",
    "name",
    "function",
    "function_name",
    "functionname",
    "operationid",
    "endpoint_id",
    "endpointid",
    "action_name",
    "actionname",
];
/// Parameters that carry the arguments of the inner call.
const ARGUMENTS: [&str; 16] = [
    "args",
    "arguments",
    "params",
    "parameters",
    "tool_args",
    "toolargs",
    "tool_arguments",
    "toolarguments",
    "tool_input",
    "toolinput",
    "tool_params",
    "toolparams",
    "kwargs",
    "payload",
    "input",
    "inputs",
];
/// Words of a tool's name that say it calls something; needed where the parameter's name is vague.
const CALLS: [&str; 8] = ["call", "invoke", "dispatch", "execute", "run", "route", "proxy", "use"];
/// Words of a tool's name for what is called.
const CALLED: [&str; 10] =
    ["tool", "tools", "function", "functions", "action", "actions", "command", "operation", "capability", "skill"];

/// A tool whose schema takes the name of another tool and that tool's arguments.
pub(super) fn of_tool(tool: &ToolDefinition) -> Option<Finding> {
    let (inner, arguments) = tool.parameters.iter().find_map(|name| {
        let clear = is_one_of(name, &NAMES);
        // A fixed list of values is an ordinary enum of actions, which the classes and policies can see.
        if !(clear || is_one_of(name, &VAGUE_NAMES)) || !name.values.is_empty() || !takes(name, TypeSet::STRING) {
            return None;
        }
        if !clear && !calls_by_name(tool.name.as_str()) {
            return None;
        }
        let prefix = &name.path[..name.path.len() - name.name.len().min(name.path.len())];
        let beside = |other: &&Parameter| {
            other.path.strip_prefix(prefix) == Some(other.name.as_str())
                && is_one_of(other, &ARGUMENTS)
                && takes(other, TypeSet::OBJECT)
        };
        tool.parameters.iter().find(beside).map(|arguments| (name, arguments))
    })?;
    let message = format!(
        "calls something else by name: `{}` names it and `{}` carries its arguments, so rules by tool name do not see it",
        excerpt(&inner.path, PATH_CHARS_MAX),
        excerpt(&arguments.path, PATH_CHARS_MAX),
    );
    Some(finding("dispatches-tools", Severity::Warning, tool.name.as_str(), message))
}

fn is_one_of(parameter: &Parameter, names: &[&str]) -> bool {
    names.iter().any(|name| parameter.name.eq_ignore_ascii_case(name))
}

/// A schema that says nothing about the type admits everything.
fn takes(parameter: &Parameter, wanted: TypeSet) -> bool {
    parameter.types.is_any() || parameter.types.has(wanted)
}

fn calls_by_name(name: &str) -> bool {
    let mut words = Vec::new();
    let mut start = 0;
    let bytes = name.as_bytes();
    for at in 1..=bytes.len() {
        let breaks = at == bytes.len()
            || !bytes[at].is_ascii_alphanumeric()
            || (bytes[at].is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase());
        if breaks {
            words.push(
                name.get(start..at)
                    .unwrap_or_default()
                    .trim_matches(|c: char| !c.is_ascii_alphanumeric())
                    .to_ascii_lowercase(),
            );
            start = at;
        }
    }
    words.iter().any(|word| CALLS.contains(&word.as_str())) && words.iter().any(|word| CALLED.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::tool;
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(name: &str, properties: &Value, expected: bool) {
        let found = of_tool(&tool(&json!({"name": name, "inputSchema": {"properties": properties}})));
        assert_eq!(found.is_some(), expected, "{name} {properties}");
    }

    #[test]
    fn a_tool_that_calls_tools_is_found_by_its_schema() {
        let (string, object) = (json!({"type": "string"}), json!({"type": "object"}));
        check("router", &json!({"tool_name": string, "arguments": object}), true);
        check(
            "batch",
            &json!({"calls": {"type": "array", "items": {"properties": {"tool": string, "args": object}}}}),
            true,
        );
        check("executeCommand", &json!({"command": string, "parameters": object}), true);
        check("call_tool", &json!({"name": string, "args": {}}), true);
        check("shell", &json!({"command": string, "args": {"type": "array"}}), false);
        check("manage", &json!({"tool_name": string, "id": string}), false);
        check("update_record", &json!({"action": string, "params": object}), false);
        check("manage_functions", &json!({"function_name": string, "params": object}), false);
        check("invoke_function", &json!({"function_name": string, "payload": object}), true);
        check("pick", &json!({"tool": {"type": "string", "enum": ["pen", "brush"]}, "args": object}), false);
        check("nested", &json!({"tool": string, "options": {"properties": {"args": object}}}), false);
    }
}
