//! What changed since the lock. Pure.

mod codes;
mod hazard;
mod schema;
mod schema_shape;
#[cfg(test)]
mod schema_tests;

pub use codes::Code;
pub use hazard::Hazard;
pub use schema::{CHANGES_MAX, COMPARE_DEPTH_MAX, Change, Direction, Kind, PAIRS_MAX};
