//! `validate: "schema"` in a build without the crate that validates: every schema is refused, and with it every call
//! that a policy wants held against one.

use serde_json::Value;
use std::convert::Infallible;

/// A tool's input schema, compiled; in this build there is none.
#[derive(Clone, Debug)]
pub struct ArgumentSchema {
    never: Infallible,
}

impl ArgumentSchema {
    /// Compiles an input schema.
    ///
    /// # Errors
    /// Always: the feature `jsonschema` of `mcpol-policy` is off.
    pub fn compile(_schema: &Value) -> Result<Self, String> {
        Err("this build validates no arguments (feature `jsonschema`)".to_owned())
    }

    /// Checks arguments.
    ///
    /// # Errors
    /// Never called: there is no value of this type.
    pub fn check(&self, _arguments: &str) -> Result<(), String> {
        match self.never {}
    }
}
