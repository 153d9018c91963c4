//! Which tools of a live server are not as they were reviewed: what the gateway refuses with `--locked`.

use crate::catalog::{LockedServer, PartFingerprints, Parts};
use crate::model::Listing;
use crate::policy::ToolChange;
use std::collections::{BTreeMap, BTreeSet};

/// The parts that decide what a call does and what makes a model or a person agree to it. A new title, icon or output
/// schema changes neither.
type Essence = (Option<String>, Option<String>, Option<String>);

fn essence(prints: &PartFingerprints) -> Essence {
    (prints.description.clone(), prints.input_schema.clone(), prints.annotations.clone())
}

/// The tools that are not as they were locked, by name; a tool that is not in the map is unchanged. Of a name that is
/// listed twice every definition must be one that was locked.
pub fn changes(was: &LockedServer, now: &Listing) -> BTreeMap<String, ToolChange> {
    let mut locked: BTreeMap<&str, BTreeSet<Essence>> = BTreeMap::new();
    for tool in &was.tools {
        locked.entry(&tool.name).or_default().insert(essence(&tool.fingerprints));
    }
    let mut found = BTreeMap::new();
    let mut listed = BTreeSet::new();
    for tool in &now.tools {
        let name = tool.name.as_str();
        listed.insert(name);
        match locked.get(name) {
            None => {
                found.insert(name.to_owned(), ToolChange::New);
            }
            Some(known) if !known.contains(&essence(&Parts::of(tool).fingerprints())) => {
                found.insert(name.to_owned(), ToolChange::Changed);
            }
            Some(_) => {}
        }
    }
    let gone = locked.keys().filter(|name| !listed.contains(*name));
    found.extend(gone.map(|name| ((*name).to_owned(), ToolChange::Gone)));
    found
}
