//! What is known of the server's tools from the lists that passed: names, and the schemas that arguments are held to.

use crate::mcp::walk::member;
use crate::policy::{ArgumentSchema, Policy};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Tools remembered at most; a server that lists more is filtered all the same.
pub const TOOLS_MAX: usize = 10_000;
/// Longest definition whose schema is kept, in bytes.
const DEFINITION_BYTES_MAX: usize = 1024 * 1024;

/// The server's tools as listed in this session.
#[derive(Debug, Default)]
pub struct Tools {
    /// Names of the listing that is under way.
    current: BTreeSet<String>,
    /// Names of every listing.
    names: BTreeSet<String>,
    /// The first definition of a tool is the one that counts: a server must not change what its arguments are checked
    /// against once a session has begun.
    definitions: BTreeMap<String, Box<str>>,
    compiled: HashMap<String, Option<Arc<ArgumentSchema>>>,
    compared: bool,
    known: bool,
}

impl Tools {
    /// A listing begins.
    pub fn begin(&mut self) {
        self.current.clear();
    }

    /// Takes one tool of a page. The definition is kept if a policy holds arguments to it.
    pub fn take(&mut self, name: &str, definition: Option<&str>) {
        if self.names.len() >= TOOLS_MAX && !self.names.contains(name) {
            return;
        }
        if let Some(definition) = definition.filter(|text| text.len() <= DEFINITION_BYTES_MAX) {
            self.definitions.entry(name.to_owned()).or_insert_with(|| definition.into());
        }
        self.current.insert(name.to_owned());
        self.names.insert(name.to_owned());
    }

    /// Names of all tools seen.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// A whole list has been seen.
    pub fn known(&mut self) {
        self.known = true;
    }

    /// What is known is no longer the whole list: the server has changed it, or the policy wants more of it.
    pub fn outdated(&mut self) {
        self.known = false;
    }

    /// Whether some list has named this tool. True for all once there are too many to remember.
    pub fn names_tool(&self, name: &str) -> bool {
        self.names.len() >= TOOLS_MAX || self.names.contains(name)
    }

    /// Whether a whole list has been seen.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// A listing is complete: the tools that the policy names and the server does not have, when this is the first one.
    pub fn complete(&mut self, policy: &Policy) -> Vec<String> {
        self.known = true;
        if std::mem::replace(&mut self.compared, true) {
            return Vec::new();
        }
        policy.tool_names().into_iter().filter(|name| !self.current.contains(*name)).map(str::to_owned).collect()
    }

    /// The schema for the arguments of a tool; `None` if it is not known or cannot be used.
    pub fn schema(&mut self, name: &str) -> Option<Arc<ArgumentSchema>> {
        if let Some(known) = self.compiled.get(name) {
            return known.clone();
        }
        let (schema, _) = member(self.definitions.get(name)?, "inputSchema")?;
        let compiled = serde_json::from_str(schema).ok().and_then(|schema| ArgumentSchema::compile(&schema).ok());
        self.compiled.insert(name.to_owned(), compiled.map(Arc::new)).flatten();
        self.compiled.get(name)?.clone()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;

    #[test]
    fn the_first_definition_counts() {
        let mut tools = Tools::default();
        let definition =
            |kind: &str| format!(r#"{{"name":"t","inputSchema":{{"properties":{{"a":{{"type":"{kind}"}}}}}}}}"#);
        tools.take("t", Some(&definition("integer")));
        tools.take("t", Some(&definition("string")));
        let schema = tools.schema("t").unwrap();
        assert!(schema.check(r#"{"a":1}"#).is_ok());
        assert!(schema.check(r#"{"a":"x"}"#).is_err());
        assert!(tools.schema("other").is_none());
    }

    #[test]
    fn tools_that_only_the_policy_knows_are_told_once() {
        let policy = crate::policy::parse(
            r#"{"version":"1","default":"deny","hide":["gone"],"tools":{"a":{},"b":{}}}"#,
            "policy.json",
        )
        .unwrap();
        let mut tools = Tools::default();
        tools.begin();
        tools.take("a", None);
        assert_eq!(tools.complete(&policy), ["b", "gone"]);
        assert!(tools.complete(&policy).is_empty());
    }
}
