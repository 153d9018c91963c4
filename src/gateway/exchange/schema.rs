//! What is kept of a tool's listed definition: its input schema, and what a lock compares of it.

use crate::catalog::drift::Essence;
use crate::model::ToolDefinition;
use crate::policy::ArgumentSchema;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// The input schemas that clients of one server were shown, by their text: each is kept and compiled once, however many
/// clients were shown it, and goes with the last view that holds it.
#[derive(Debug, Default)]
pub struct Schemas(pub(super) Mutex<HashMap<Box<str>, Weak<Schema>>>);

/// An input schema as it was listed, compiled when it is first needed.
#[derive(Debug)]
pub struct Schema {
    pub(super) text: Box<str>,
    compiled: OnceLock<Option<Arc<ArgumentSchema>>>,
}

impl Schema {
    /// A schema with this JSON text, not parsed yet.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), compiled: OnceLock::new() }
    }

    /// The compiled schema; `None` if the text is no schema that arguments can be checked with.
    pub fn compiled(&self) -> Option<Arc<ArgumentSchema>> {
        let compile = || {
            let schema = serde_json::from_str(&self.text).ok()?;
            ArgumentSchema::compile(&schema).ok().map(Arc::new)
        };
        self.compiled.get_or_init(compile).clone()
    }
}

impl Schemas {
    /// The schema with this JSON text, shared with all that hold it.
    pub fn of(&self, text: &str) -> Arc<Schema> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(text).and_then(Weak::upgrade) {
            return known;
        }
        if all.len() == all.capacity() {
            all.retain(|_, schema| schema.strong_count() > 0);
        }
        let schema = Arc::new(Schema::new(text));
        all.insert(text.into(), Arc::downgrade(&schema));
        schema
    }
}

/// What a tool's definition says, as a lock compares it; `None` for one that cannot be read.
pub fn essence(definition: &str) -> Option<Essence> {
    let raw: &RawValue = serde_json::from_str(definition).ok()?;
    ToolDefinition::parse(raw).ok().map(|tool| Essence::of(&tool))
}
