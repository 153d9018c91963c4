//! Prompts, resources and templates: asked for where the server declares them, and never a reason to lose its tools.

use super::error::ConnectError;
use super::pages::Repeated;
use crate::model::{Extra, ExtraKind, Note, Offered};
use crate::text::{escape, excerpt};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// Malformed entries and keys that are named in one note.
const NAMED_MAX: usize = 5;

/// The entries of one kind on all pages so far.
pub(super) struct Collected {
    kind: ExtraKind,
    extras: Vec<Extra>,
    malformed: usize,
    named: Vec<String>,
}

impl Collected {
    /// Nothing yet.
    pub fn new(kind: ExtraKind) -> Self {
        Self { kind, extras: Vec::new(), malformed: 0, named: Vec::new() }
    }

    /// Takes the entries of one page; one that cannot be read hides no other.
    pub fn take(&mut self, entries: &[&RawValue], repeated: Repeated) {
        let known: BTreeSet<String> = match repeated {
            Repeated::No => BTreeSet::new(),
            Repeated::Perhaps => self.extras.iter().map(|extra| extra.raw.get().to_owned()).collect(),
        };
        for entry in entries.iter().filter(|entry| !known.contains(entry.get())) {
            match Extra::parse(self.kind, entry) {
                Ok(extra) => self.extras.push(extra),
                Err(what) => {
                    self.malformed += 1;
                    if self.named.len() < NAMED_MAX {
                        let position = self.extras.len() + self.malformed;
                        self.named.push(format!("entry {position} is {}", excerpt(&what, 80)));
                    }
                }
            }
        }
    }

    /// What is listed, and what was odd about it.
    pub fn finish(self) -> (Offered, Vec<Note>) {
        let kind = self.kind;
        let mut notes = Vec::new();
        if self.malformed > 0 {
            let more = if self.malformed > self.named.len() { ", …" } else { "" };
            let message = format!(
                "{} of the entries of {} are no {kind}s: {}{more}",
                self.malformed,
                kind.method(),
                self.named.join(", ")
            );
            notes.push(Note { code: format!("malformed_{kind}"), message });
        }
        (Offered::Listed(self.extras), notes)
    }
}

/// The note for a list that the server declares and does not give.
pub(super) fn not_listed(kind: ExtraKind, error: &ConnectError) -> Note {
    let why = escape(&error.to_string()).into_owned();
    Note { code: format!("{kind}s_not_listed"), message: format!("the server does not list its {kind}s: {why}") }
}
