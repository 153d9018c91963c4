//! What changed since the lock, how much it matters, and what follows from it. Pure.

mod accept;
mod addresses;
mod annotations;
mod class;
mod compare;
mod cues;
mod dead;
mod definition;
mod extras;
mod finding;
mod greeting;
mod hazard;
mod hazard_words;
mod locked;
mod opening;
mod policy;
mod rename;
mod schema;
mod schema_shape;
mod source;
mod template;
mod tighten;
mod words;
#[cfg(test)]
mod compare_tests;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod weight_tests;

pub use accept::{ACCEPT_ENTRIES_MAX, Accepted};
pub use class::Verdicts;
pub use compare::{Beside, compare, missing_server, unknown_server};
pub use finding::{Anchor, Drift};
pub use greeting::{Heard, ReviewedGreeting};
pub use hazard::Hazard;
pub use locked::{Essence, Reviewed, changes};
pub use policy::{annotate, judge, open_findings, says};
pub use rename::RENAME_TOOLS_MAX;
pub use schema::{CHANGES_MAX, COMPARE_DEPTH_MAX, Change, Direction, Kind, PAIRS_MAX};
pub use schema_shape::SHAPES_MAX;
pub use tighten::tighten;
