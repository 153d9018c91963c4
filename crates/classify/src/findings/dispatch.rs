//! Tools that call other tools: the caller names one and hands over its arguments.

use super::kinds::finding;
use crate::model::{Finding, Parameter, Severity, ToolDefinition, TypeSet};
use crate::text::excerpt;

/// Longest parameter path inside a message, in characters.
const PATH_CHARS_MAX: usize = 40;

/// What a parameter that names the tool to call is called in its last word, before `name`, `id` or `slug`.
const NAMES: [&str; 1] = ["tool"];
/// What names it only where the tool itself says that it calls something, because it has other uses.
const VAGUE_NAMES: [&str; 11] = [
    "command",
    "action",
    "method",
    "operation",
    "function",
    "endpoint",
    "service",
    "procedure",
    "capability",
    "skill",
    "api",
];
/// What a parameter that carries the arguments of the inner call is called in its last word, before `json`.
const ARGUMENTS: [&str; 12] = [
    "args",
    "arguments",
    "params",
    "parameters",
    "kwargs",
    "payload",
    "input",
    "inputs",
    "toolargs",
    "toolarguments",
    "data",
    "body",
];
/// Arguments that are as often a record's content: they count only beside a call.
const VAGUE_ARGUMENTS: [&str; 2] = ["data", "body"];
/// Words that say that something is called; needed where the parameter's name is vague.
const CALLS: [&str; 9] = ["call", "calls", "invoke", "invokes", "dispatch", "execute", "run", "route", "proxy"];
/// Words for what is called.
const CALLED: [&str; 14] = [
    "tool",
    "tools",
    "function",
    "functions",
    "action",
    "actions",
    "command",
    "operation",
    "operations",
    "capability",
    "skill",
    "service",
    "services",
    "api",
];
/// Words of the description that are read for what is called.
const TOLD_WORDS_MAX: usize = 12;

/// A tool whose schema takes the name of another tool and that tool's arguments.
pub(super) fn of_tool(tool: &ToolDefinition) -> Option<Finding> {
    // Without anything that could carry arguments there is nothing to look at: so it is with most tools.
    let ends_json = |name: &str| name.len() >= 4 && name.as_bytes()[name.len() - 4..].eq_ignore_ascii_case(b"json");
    if !tool.parameters.iter().any(|one| takes(one, TypeSet::OBJECT) || ends_json(&one.name)) {
        return None;
    }
    let calls = says_it_calls(tool);
    let (inner, arguments) = tool.parameters.iter().find_map(|name| {
        let clear = is_one_of(name, &NAMES, &["name", "id", "slug"]);
        let vague = calls && (is_one_of(name, &VAGUE_NAMES, &["name", "id"]) || name.name.eq_ignore_ascii_case("name"));
        // A fixed list of values is an ordinary enum of actions, which the classes and policies can see.
        if !(clear || vague) || !name.values.is_empty() || !takes(name, TypeSet::STRING) {
            return None;
        }
        let prefix = &name.path[..name.path.len() - name.name.len().min(name.path.len())];
        let beside = |other: &&Parameter| {
            other.path.strip_prefix(prefix) == Some(other.name.as_str())
                && is_one_of(other, &ARGUMENTS, &["json"])
                && (calls || !is_one_of(other, &VAGUE_ARGUMENTS, &["json"]))
                && (takes(other, TypeSet::OBJECT) || words(&other.name).last().is_some_and(|last| last == "json"))
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

/// Whether the last word of the parameter's name is one of these, or the last but one before one of `endings`.
fn is_one_of(parameter: &Parameter, names: &[&str], endings: &[&str]) -> bool {
    let words = words(&parameter.name);
    let known = |word: Option<&String>| word.is_some_and(|word| names.contains(&word.as_str()));
    let (last, before) = (words.last(), words.iter().rev().nth(1));
    let joined = || endings.iter().find_map(|ending| Some(last?.strip_suffix(ending)?.to_owned()));
    known(last)
        || last.is_some_and(|last| endings.contains(&last.as_str())) && known(before)
        || words.len() == 1 && known(joined().as_ref())
}

/// A schema that says nothing about the type admits everything.
fn takes(parameter: &Parameter, wanted: TypeSet) -> bool {
    parameter.types.is_any() || parameter.types.has(wanted)
}

/// Whether the name, or the beginning of the description, says that something is called.
fn says_it_calls(tool: &ToolDefinition) -> bool {
    let says = |words: &[String]| {
        let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
        has(&CALLS) && has(&CALLED)
    };
    let description = tool.description.as_deref().unwrap_or_default();
    let told: Vec<String> = description.split_whitespace().take(TOLD_WORDS_MAX).flat_map(words).collect();
    says(&words(tool.name.as_str())) || says(&told)
}

/// The words of a name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut start = 0;
    let bytes = name.as_bytes();
    for at in 1..=bytes.len() {
        let breaks = at == bytes.len()
            || !bytes[at].is_ascii_alphanumeric()
            || (bytes[at].is_ascii_uppercase() && bytes[at - 1].is_ascii_lowercase());
        if breaks {
            let word = name.get(start..at).unwrap_or_default().trim_matches(|c: char| !c.is_ascii_alphanumeric());
            if !word.is_empty() {
                words.push(word.to_ascii_lowercase());
            }
            start = at;
        }
    }
    words
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
        check("call_service", &json!({"domain": string, "service": string, "data": object}), true);
        check("media", &json!({"action": string, "params_json": string}), false);
        check("execute_action", &json!({"action": string, "params_json": string}), true);
        check("restart_service", &json!({"service": string, "data": object}), false);
        check("nested", &json!({"tool": string, "options": {"properties": {"args": object}}}), false);
    }
}
