//! Arguments of a tool that its calls repeat in headers (MCP 2026-07-28, custom headers from tool parameters): the input
//! schema says which, so that whatever stands between client and server can route by them without reading bodies.

use super::mirror::encoded;
use crate::mcp::walk::member;
use http::HeaderName;
use serde_json::Value;

/// The keyword of an input schema that names a parameter's header.
const KEYWORD: &str = "x-mcp-header";
/// What the names of these headers begin with.
pub const PREFIX: &str = "mcp-param-";
/// Parameters of one tool that may have a header.
pub const PARAMETERS_MAX: usize = 64;
/// How deep a parameter may lie in the arguments.
pub const DEPTH_MAX: usize = 16;

/// One such parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    header: HeaderName,
    /// Where it is in the arguments, from the outside.
    path: Vec<String>,
}

/// Why a schema's headers cannot be used; then calls of the tool carry none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadParameters {
    /// The keyword stands where no single argument is meant.
    #[error("`x-mcp-header` is not at a property of the arguments")]
    Elsewhere,
    /// The name is no part of a header's name.
    #[error("`{0}` cannot be part of a header's name")]
    Name(String),
    /// The parameter may be an object, a list, a number with a fraction or null.
    #[error("`{0}` is not a string, integer or boolean")]
    Kind(String),
    /// Two parameters name one header.
    #[error("two parameters name the header `{0}`")]
    Double(String),
    /// The bounds.
    #[error("too many parameters have headers, or lie too deep")]
    TooMany,
}

/// The parameters that calls of a tool repeat in headers, by its definition; none if its input schema says nothing of them.
///
/// # Errors
/// The schema wants what the specification does not allow.
pub fn parameters(definition: &str) -> Result<Vec<Parameter>, BadParameters> {
    let Some((schema, _)) = member(definition, "inputSchema") else { return Ok(Vec::new()) };
    if memchr::memmem::find(schema.as_bytes(), KEYWORD.as_bytes()).is_none() {
        return Ok(Vec::new());
    }
    let Ok(schema) = serde_json::from_str(schema) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    properties(&schema, &mut Vec::new(), &mut found)?;
    if found.len() < keywords(&schema) {
        return Err(BadParameters::Elsewhere);
    }
    Ok(found)
}

/// Whether a page of a list speaks of such headers anywhere.
pub fn speaks_of_headers(page: &str) -> bool {
    memchr::memmem::find(page.as_bytes(), KEYWORD.as_bytes()).is_some()
}

/// The headers of a call: one for each parameter that its arguments hold, encoded where a header cannot hold the value.
pub fn headers(parameters: &[Parameter], arguments: &str) -> Vec<(String, String)> {
    if parameters.is_empty() {
        return Vec::new();
    }
    let Ok(arguments) = serde_json::from_str::<Value>(arguments) else { return Vec::new() };
    let header = |parameter: &Parameter| {
        let value = parameter.path.iter().try_fold(&arguments, |value, name| value.get(name))?;
        let value = match value {
            Value::String(text) => encoded(text).into_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((parameter.header.as_str().to_owned(), value))
    };
    parameters.iter().filter_map(header).collect()
}

fn properties(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Parameter>) -> Result<(), BadParameters> {
    let Some(Value::Object(properties_of)) = schema.get("properties") else { return Ok(()) };
    for (name, property) in properties_of {
        if path.len() >= DEPTH_MAX {
            return Err(BadParameters::TooMany);
        }
        path.push(name.clone());
        if let Some(stated) = property.get(KEYWORD) {
            let bad = || BadParameters::Name(crate::text::excerpt(stated.as_str().unwrap_or_default(), 60));
            let stated = stated.as_str().filter(|stated| !stated.is_empty()).ok_or_else(bad)?;
            let header = HeaderName::try_from(format!("{PREFIX}{stated}")).map_err(|_| bad())?;
            if !matches!(property.get("type").and_then(Value::as_str), Some("string" | "integer" | "boolean")) {
                return Err(BadParameters::Kind(crate::text::excerpt(name, 60)));
            }
            if found.iter().any(|other| other.header == header) {
                return Err(BadParameters::Double(header.as_str().to_owned()));
            }
            if found.len() >= PARAMETERS_MAX {
                return Err(BadParameters::TooMany);
            }
            found.push(Parameter { header, path: path.clone() });
        }
        properties(property, path, found)?;
        path.pop();
    }
    Ok(())
}

/// How often the keyword stands in a schema, leaving out what is data in it.
fn keywords(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match (name.as_str(), value) {
                (KEYWORD, _) => 1,
                ("const" | "enum" | "default" | "examples", _) => 0,
                (
                    "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                    Value::Object(named),
                ) => named.values().map(keywords).sum(),
                (_, value) => keywords(value),
            })
            .sum(),
        Value::Array(items) => items.iter().map(keywords).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(schema: &Value) -> Result<Vec<Parameter>, BadParameters> {
        parameters(&json!({"name": "t", "inputSchema": schema}).to_string())
    }

    #[test]
    fn arguments_are_repeated_under_the_names_of_the_schema() {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "x-mcp-header": {"type": "string", "default": {"x-mcp-header": 1}},
            "options": {"type": "object", "properties": {
                "limit": {"type": "integer", "x-mcp-header": "Limit"},
                "dry": {"type": "boolean", "x-mcp-header": "Dry"},
            }},
        }});
        let parameters = read(&schema).unwrap_or_default();
        assert_eq!(parameters.len(), 3);
        for (arguments, expected) in [
            (
                json!({"region": "eu", "options": {"limit": 42, "dry": true}}),
                json!({"region": "eu", "limit": "42", "dry": "true"}),
            ),
            (json!({"region": "Z\u{fc}rich"}), json!({"region": "=?base64?WsO8cmljaA==?="})),
            (json!({"region": null, "options": [1]}), json!({})),
            (json!([]), json!({})),
        ] {
            let found: serde_json::Map<String, Value> = headers(&parameters, &arguments.to_string())
                .into_iter()
                .map(|(name, value)| (name.trim_start_matches(PREFIX).to_owned(), value.into()))
                .collect();
            assert_eq!(Value::Object(found), expected, "{arguments}");
        }
        assert_eq!(headers(&parameters, "{"), []);
    }

    #[test]
    fn a_schema_that_wants_more_than_may_be_is_refused_as_a_whole() {
        let of = |property: Value| read(&json!({"properties": {"p": property}}));
        let text = |name: &str| json!({"type": "string", "x-mcp-header": name});
        assert_eq!(of(json!({"type": "string"})), Ok(Vec::new()));
        for name in ["", "a b", "a:b", "\u{fc}", "a\r\nb"] {
            assert!(matches!(of(text(name)), Err(BadParameters::Name(_))), "{name:?}");
        }
        assert!(matches!(of(json!({"type": "string", "x-mcp-header": 7})), Err(BadParameters::Name(_))));
        for kind in [json!("number"), json!("object"), json!(["string", "null"]), json!(null)] {
            assert!(matches!(of(json!({"type": kind, "x-mcp-header": "P"})), Err(BadParameters::Kind(_))), "{kind}");
        }
        for elsewhere in ["items", "allOf", "if", "patternProperties", "$defs"] {
            let schema = json!({"properties": {}, elsewhere: {"p": text("P")}});
            assert_eq!(read(&schema), Err(BadParameters::Elsewhere), "{elsewhere}");
        }
        let two = json!({"properties": {"a": text("Same"), "b": {"properties": {"c": text("sAME")}}}});
        assert_eq!(read(&two), Err(BadParameters::Double("mcp-param-same".to_owned())));
        let many = |count: usize| {
            let all = (0..count).map(|number| (number.to_string(), text(&format!("P{number}"))));
            read(&json!({"properties": Value::Object(all.collect())})).map(|found| found.len())
        };
        assert_eq!((many(PARAMETERS_MAX), many(PARAMETERS_MAX + 1)), (Ok(PARAMETERS_MAX), Err(BadParameters::TooMany)));
        let deep = |levels| (1..levels).fold(text("P"), |inner, _| json!({"properties": {"p": inner}}));
        assert_eq!(of(deep(DEPTH_MAX)).map(|found| found.len()), Ok(1));
        assert_eq!(of(deep(DEPTH_MAX + 1)), Err(BadParameters::TooMany));
    }
}
