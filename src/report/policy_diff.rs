//! The differences of two policies: a table with what is looser first, or JSON.

use super::grid::grid;
use super::words::count;
use crate::policy::{Change, Direction};
use crate::text::escape;
use serde::Serialize;
use std::fmt::Write as _;

#[derive(Serialize)]
struct DiffDocument<'d> {
    format: &'static str,
    version: u32,
    looser: bool,
    changes: &'d [Change],
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

/// One JSON document.
///
/// # Errors
/// It cannot be printed, which is a defect.
pub fn policy_diff_json(changes: &[Change]) -> Result<String, serde_json::Error> {
    let looser = changes.iter().any(|change| change.direction.is_looser());
    let document = DiffDocument { format: "mcpol-policy-diff", version: 1, looser, changes };
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}
