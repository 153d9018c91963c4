//! What all servers offer together: their capabilities as one, and their instructions one after the other.

use serde_json::{Map, Value};

/// Longest instructions of all servers together, in bytes; those that come after it are left out.
pub(super) const INSTRUCTIONS_BYTES_MAX: usize = 1024 * 1024;
/// What is carried; anything else a server offers would be a promise that nobody keeps here.
const CARRIED: [&str; 6] = ["completions", "logging", "prompts", "resources", "tasks", "tools"];
/// Extensions that are carried: the apps one needs only tools and resources.
const EXTENSIONS: [&str; 2] = ["io.modelcontextprotocol/tasks", "io.modelcontextprotocol/ui"];

/// What is carried of one server's capabilities.
pub(super) fn carried(capabilities: &Value) -> Value {
    let mut all = Map::new();
    let Value::Object(offered) = capabilities else { return Value::Object(all) };
    for (name, value) in offered {
        if CARRIED.contains(&name.as_str()) {
            all.insert(name.clone(), value.clone());
        }
    }
    let extensions: Map<_, _> = match offered.get("extensions") {
        Some(Value::Object(all)) => all
            .iter()
            .filter(|(name, _)| EXTENSIONS.contains(&name.as_str()))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect(),
        Some(_) | None => Map::new(),
    };
    if !extensions.is_empty() {
        all.insert("extensions".to_owned(), Value::Object(extensions));
    }
    Value::Object(all)
}

/// What one of them offers, all offer: members of both, and `true` before `false`.
pub(super) fn joined<'v>(all: impl Iterator<Item = &'v Value>) -> Value {
    let mut joined = Value::Object(Map::new());
    all.for_each(|value| join(&mut joined, value));
    joined
}

fn join(into: &mut Value, value: &Value) {
    match (into, value) {
        (Value::Object(into), Value::Object(value)) => {
            for (name, value) in value {
                match into.get_mut(name) {
                    Some(known) => join(known, value),
                    None => drop(into.insert(name.clone(), value.clone())),
                }
            }
        }
        (Value::Bool(into), Value::Bool(value)) => *into |= value,
        (Value::Array(into), Value::Array(value)) => {
            for element in value {
                if !into.contains(element) {
                    into.push(element.clone());
                }
            }
        }
        (_, _) => {}
    }
}

/// The instructions of all servers, each under its name. `None` if there are none.
pub(super) fn instructions<'s>(all: impl Iterator<Item = (&'s str, String)>) -> Option<String> {
    let mut text = String::new();
    for (server, instructions) in all {
        let section = format!("## {server}\n\n{}\n", instructions.trim());
        if instructions.trim().is_empty() || text.len() + section.len() > INSTRUCTIONS_BYTES_MAX {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&section);
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_one_offers_all_offer_if_it_is_carried() {
        let one = json!({"tools": {"listChanged": false}, "logging": {}, "experimental": {"x": {}}, "resources": {"subscribe": true}});
        let two = json!({"tools": {"listChanged": true}, "resources": {"listChanged": true}, "tasks": {"requests": {"tools": {"call": {}}}},
            "extensions": {"io.modelcontextprotocol/tasks": {}, "com.example/own": {}}});
        let parts = [carried(&one), carried(&two), carried(&json!([])), carried(&json!({"extensions": {"x": {}}}))];
        let expected = json!({"tools": {"listChanged": true}, "logging": {}, "resources": {"subscribe": true, "listChanged": true},
            "tasks": {"requests": {"tools": {"call": {}}}}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
        assert_eq!(joined(parts.iter()), expected);
        let lists = [json!({"a": [1, 2]}), json!({"a": [2, 3]}), json!({"a": {}})];
        assert_eq!(joined(lists.iter()), json!({"a": [1, 2, 3]}));
    }

    #[test]
    fn instructions_stand_under_their_servers_names_and_are_bounded() {
        let all = [("one", " Be kind.\n"), ("three", " "), ("two", "Be quick.")];
        let text = instructions(all.iter().map(|(server, text)| (*server, (*text).to_owned())));
        assert_eq!(text.as_deref(), Some("## one\n\nBe kind.\n\n## two\n\nBe quick.\n"));
        assert_eq!(instructions(std::iter::empty()), None);
        let fits = INSTRUCTIONS_BYTES_MAX - "## a\n\n\n".len();
        for (bytes, is_there) in [(fits, true), (fits + 1, false)] {
            assert_eq!(instructions([("a", "x".repeat(bytes))].into_iter()).is_some(), is_there);
        }
    }
}
