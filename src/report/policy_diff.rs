//! The differences of two policies: a table with what is looser first, or JSON.

use super::document::Document;
use super::grid::grid;
use super::words::count;
use crate::policy::{Change, Direction};
use crate::text::escape;
use serde::Serialize;
use std::fmt::Write as _;

/// The differences of two policies (`mcpol policy diff --format json`).
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol policy diff")]
pub struct DiffDocument<'d> {
    /// Always `mcpol-policy-diff`.
    format: &'static str,
    /// Version of this format.
    version: u32,
    /// Whether the new policy lets anything pass that the old one does not.
    looser: bool,
    /// Tool by tool.
    changes: &'d [Change],
}

impl Document for DiffDocument<'_> {
    const SCHEMA: &'static str = "policy-diff";
    const COMMAND: &'static str = "policy diff";
}

impl<'d> DiffDocument<'d> {
    /// The document of these changes.
    pub fn new(changes: &'d [Change]) -> Self {
        let looser = changes.iter().any(|change| change.direction.is_looser());
        Self { format: "mcpol-policy-diff", version: 1, looser, changes }
    }
}

/// For people.
pub fn policy_diff_table(changes: &[Change], columns: usize) -> String {
    if changes.is_empty() {
        return "the policies decide alike\n".to_owned();
    }
    let row = |change: &Change| {
        let tool = if change.tool.is_empty() { "(all)".into() } else { escape(&change.tool) };
        vec![change.direction.as_str().to_owned(), tool.into_owned(), escape(&change.what).into_owned()]
    };
    let rows: Vec<Vec<String>> = changes.iter().map(row).collect();
    let mut out = grid(&["NOW", "TOOL", "CHANGE"], &rows, &[1, 2], columns);
    let of = |wanted: fn(Direction) -> bool| changes.iter().filter(|change| wanted(change.direction)).count();
    let looser = of(Direction::is_looser);
    let stricter = of(|direction| matches!(direction, Direction::Stricter | Direction::Denied));
    let _ = writeln!(out, "\n{}: {looser} looser, {stricter} stricter", count(changes.len(), "change"));
    out
}
