//! Members of arguments that are a property of the input schema but for case: a server that matches names loosely takes
//! them for that property, and its value was never held against what the schema says of it.

use crate::mcp::json::nearly_known;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Subschemas that one value is held against together; beyond, every name of the whole schema counts.
const TOGETHER_MAX: usize = 256;

/// The first member, at any depth, that some property of its place is equal to but for case (or NUL).
pub(crate) fn nearly_named<'v>(schema: &Value, value: &'v Value) -> Option<&'v str> {
    look(schema, &[schema], value)
}

/// `against` are the subschemas that speak of this value.
fn look<'v>(root: &Value, against: &[&Value], value: &'v Value) -> Option<&'v str> {
    match value {
        Value::Object(members) => {
            let all = together(root, against);
            let of =
                |keyword: &'static str| all.iter().filter_map(move |schema| schema.get(keyword)?.as_object()).flatten();
            let names: Vec<&str> = of("properties").map(|(name, _)| name.as_str()).collect();
            members.iter().find_map(|(name, value)| {
                if !names.contains(&name.as_str()) && nearly_known(name.as_bytes(), &names) {
                    return Some(name.as_str());
                }
                let own = of("properties").filter(|(other, _)| *other == name).map(|(_, schema)| schema);
                // Which of the patterns match is of no matter: one subschema too many knows more names, not fewer.
                let others = of("patternProperties").map(|(_, schema)| schema);
                let rest = ["additionalProperties", "unevaluatedProperties"];
                let rest =
                    rest.into_iter().flat_map(|keyword| all.iter().filter_map(move |schema| schema.get(keyword)));
                let below: Vec<&Value> = own.chain(others).chain(rest).collect();
                look(root, &below, value)
            })
        }
        Value::Array(items) => {
            let all = together(root, against);
            let keywords = ["items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"];
            let below: Vec<&Value> = keywords
                .into_iter()
                .flat_map(|keyword| all.iter().filter_map(move |schema| schema.get(keyword)))
                .flat_map(|schema| match schema {
                    Value::Array(each) => each.iter().collect::<Vec<_>>(),
                    schema => vec![schema],
                })
                .collect();
            items.iter().find_map(|item| look(root, &below, item))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// These subschemas and all that hold at the same place: references, alternatives, conditions.
fn together<'s>(root: &'s Value, against: &[&'s Value]) -> Vec<&'s Value> {
    let (mut all, mut seen): (Vec<&Value>, BTreeSet<*const Value>) = (Vec::new(), BTreeSet::new());
    let mut open = against.to_vec();
    while let Some(schema) = open.pop() {
        if !seen.insert(std::ptr::from_ref(schema)) {
            continue;
        }
        if all.len() >= TOGETHER_MAX {
            return everywhere(root);
        }
        all.push(schema);
        let Value::Object(members) = schema else { continue };
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(each)) => open.extend(each),
                ("if" | "then" | "else" | "not", schema) => open.push(schema),
                ("dependentSchemas" | "dependencies", Value::Object(each)) => open.extend(each.values()),
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference)) => {
                    let pointer = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'));
                    match pointer.and_then(|pointer| root.pointer(&pointer.replace("%25", "%"))) {
                        Some(schema) => open.push(schema),
                        // An anchor or an identifier: where it leads is the validator's business.
                        None => return everywhere(root),
                    }
                }
                _ => {}
            }
        }
    }
    all
}

/// Every subschema there is.
fn everywhere(root: &Value) -> Vec<&Value> {
    let (mut all, mut open) = (Vec::new(), vec![root]);
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                all.push(value);
                open.extend(Map::values(members));
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_compared_where_they_stand() {
        let text = || json!({"type": "string"});
        let plain = json!({"properties": {"to": text(), "options": {"properties": {"limit": text()}}}});
        let list = json!({"properties": {"rows": {"items": {"properties": {"id": text()}}}}});
        let tuple = json!({"properties": {"rows": {"prefixItems": [{"properties": {"id": text()}}]}}});
        let referred = json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"properties": {"id": text()}}]}}});
        let anchored = json!({"$ref": "#a", "$defs": {"a": {"$anchor": "a", "properties": {"id": text()}}}});
        let looped = json!({"properties": {"id": text(), "next": {"$ref": "#"}}});
        let map = json!({"additionalProperties": {"properties": {"id": text()}}});
        let both = json!({"properties": {"a": {"properties": {"ID": text()}}, "b": {"properties": {"id": text()}}}});
        for (schema, value, expected) in [
            (&plain, json!({"to": 1, "other": {"TO": 1}}), None),
            (&plain, json!({"To": 1}), Some("To")),
            (&plain, json!({"to\u{0}": 1}), Some("to\u{0}")),
            (&plain, json!({"options": {"LIMIT": 1}}), Some("LIMIT")),
            (&plain, json!({"options": {"TO": 1}}), None),
            (&list, json!({"rows": [{"id": 1}, {"Id": 1}]}), Some("Id")),
            (&tuple, json!({"rows": [{"Id": 1}]}), Some("Id")),
            (&referred, json!({"ID": 1}), Some("ID")),
            (&anchored, json!({"ID": 1}), Some("ID")),
            (&looped, json!({"next": {"next": {"iD": 1}}}), Some("iD")),
            (&looped, json!({"next": {"next": {"id": 1}}}), None),
            (&map, json!({"any": {"ID": 1}}), Some("ID")),
            (&both, json!({"a": {"ID": 1}, "b": {"id": 1}}), None),
            (&both, json!({"b": {"ID": 1}}), Some("ID")),
        ] {
            assert_eq!(nearly_named(schema, &value), expected, "{value} against {schema}");
        }
    }
}
