//! A plain table for people: columns as wide as their text, and the long ones wrapped until the whole fits.

use super::words::{width, wrap};
use anstyle::Style;
use std::fmt::Write as _;
use tabled::builder::Builder;
use tabled::settings::{Padding, Style as Borders};

/// Columns between two cells.
const GAP: usize = 2;
/// Narrowest that a wrapped column gets.
const WRAPPED_MIN: usize = 12;
/// Most lines of one cell.
const CELL_LINES_MAX: usize = 12;

/// Lays rows out in at most `columns` columns; only the columns whose index is in `wrapped` may be wrapped. Cells are
/// escaped text without colours; a line break in a cell stays.
pub(super) fn grid(headers: &[&str], rows: &[Vec<String>], wrapped: &[usize], columns: usize) -> String {
    let mut widths: Vec<usize> = headers.iter().map(|header| width(header)).collect();
    for row in rows {
        for (index, cell) in row.iter().enumerate().take(widths.len()) {
            widths[index] = cell.lines().map(width).fold(widths[index], usize::max);
        }
    }
    let room = columns.saturating_sub(GAP * headers.len());
    while widths.iter().sum::<usize>() > room {
        let widest = wrapped.iter().copied().filter(|at| widths[*at] > WRAPPED_MIN).max_by_key(|at| widths[*at]);
        match widest {
            Some(at) => widths[at] -= 1,
            None => break,
        }
    }
    let mut builder = Builder::default();
    builder.push_record(headers.iter().copied());
    for row in rows {
        builder.push_record(row.iter().enumerate().map(|(at, cell)| {
            if !wrapped.contains(&at) {
                return cell.clone();
            }
            let lines: Vec<String> = cell.lines().flat_map(|line| wrap(line, widths[at], CELL_LINES_MAX)).collect();
            lines.join("\n")
        }));
    }
    let mut table = builder.build();
    table.with(Borders::empty()).with(Padding::new(0, GAP, 0, 0));
    let (mut out, dim) = (String::new(), Style::new().dimmed());
    for (at, line) in table.to_string().lines().enumerate() {
        let line = line.trim_end();
        let _ = if at == 0 { writeln!(out, "{dim}{line}{dim:#}") } else { writeln!(out, "{line}") };
    }
    out
}
