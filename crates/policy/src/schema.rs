//! `validate: "schema"`: a call's arguments against the tool's own input schema. Nothing is ever fetched.

use super::schema_names::nearly_named;
use jsonschema::{PatternOptions, Retrieve, Uri, Validator};
use serde_json::Value;

/// A tool's input schema, compiled.
#[derive(Clone, Debug)]
pub struct ArgumentSchema {
    validator: Validator,
    schema: Value,
}

/// Longest quote of a schema's complaint, in characters: it repeats the caller's values.
const COMPLAINT_CHARS_MAX: usize = 200;
/// Steps that one match of a schema's `pattern` may take where it needs look-around.
const BACKTRACK_STEPS_MAX: usize = 10_000;

/// Refuses every reference that leaves the schema.
struct Nowhere;

impl Retrieve for Nowhere {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("`{uri}` is not fetched").into())
    }
}

impl ArgumentSchema {
    /// Compiles an input schema. The dialect is the one that `$schema` names, else 2020-12.
    ///
    /// # Errors
    /// The schema is not valid, refers to something outside itself, or has a `pattern` that cannot be compiled.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        let linear =
            jsonschema::options().with_retriever(Nowhere).with_pattern_options(PatternOptions::regex()).build(schema);
        // A pattern with look-around needs the other engine, with a bound on its steps.
        let validator = match linear {
            Ok(validator) => validator,
            Err(_) => jsonschema::options()
                .with_retriever(Nowhere)
                .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_STEPS_MAX))
                .build(schema)
                .map_err(|error| crate::text::excerpt(&error.to_string(), COMPLAINT_CHARS_MAX))?,
        };
        Ok(Self { validator, schema: schema.clone() })
    }

    /// Checks arguments; the error is one sentence with the place and what the schema wants there.
    ///
    /// # Errors
    /// The arguments are not JSON, do not satisfy the schema, or hold a member that a server without regard to case takes
    /// for one of the schema's properties.
    pub fn check(&self, arguments: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(arguments).map_err(|_| "the arguments cannot be read".to_owned())?;
        let Err(error) = self.validator.validate(&value) else {
            return match nearly_named(&self.schema, &value) {
                None => Ok(()),
                Some(name) => Err(crate::text::excerpt(
                    &format!("`{name}` is a property of the tool's input schema but for case"),
                    COMPLAINT_CHARS_MAX,
                )),
            };
        };
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { "the arguments do".to_owned() } else { format!("`args:{place}` does") };
        let keyword = error.schema_path().to_string();
        Err(crate::text::excerpt(
            &format!("{place} not satisfy the tool's input schema (`{keyword}`)"),
            COMPLAINT_CHARS_MAX,
        ))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_held_against_the_schema() {
        let schema = ArgumentSchema::compile(&json!({"type": "object", "required": ["id"],
            "properties": {"id": {"type": "string", "pattern": "^(?!x)[a-z]+$"}, "n": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"maximum": 3}}}))
        .unwrap();
        assert_eq!(schema.check(r#"{"id":"a","n":3}"#), Ok(()));
        assert!(schema.check(r#"{"id":"a","n":4}"#).unwrap_err().contains("args:/n"));
        assert!(schema.check(r#"{"id":"xa"}"#).is_err());
        assert!(schema.check("{}").is_err());
        assert!(schema.check("{").is_err());
    }

    #[test]
    fn a_member_that_is_a_property_but_for_case_is_refused() {
        let schema =
            ArgumentSchema::compile(&json!({"type": "object", "properties": {"to": {"type": "string"}}})).unwrap();
        assert_eq!(schema.check(r#"{"to":"a","cc":1}"#), Ok(()));
        assert!(schema.check(r#"{"To":1}"#).unwrap_err().contains("`To`"));
    }

    #[test]
    fn a_schema_never_reaches_outside() {
        for reference in ["https://example.com/s.json", "file:///etc/passwd", "other.json"] {
            assert!(ArgumentSchema::compile(&json!({"$ref": reference})).is_err(), "{reference}");
        }
    }
}
