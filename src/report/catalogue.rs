//! What a search in a catalogue found, and how much there is of what.

use super::grid::grid;
use super::words::count;
use crate::catalog::index::{CatalogueCounts, Hit};
use crate::text::escape;
use anstyle::Style;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The tools that were found, a row each.
pub fn hits(hits: &[Hit], columns: usize) -> String {
    if hits.is_empty() {
        return "nothing was found\n".to_owned();
    }
    let row = |hit: &Hit| {
        let name = format!("{}/{}", escape(&hit.server), escape(&hit.tool));
        let marked = if hit.findings.is_empty() { name } else { format!("{name} !") };
        vec![hit.risk.clone(), hit.category.clone(), hit.blast_radius.clone(), marked, hit.about.clone()]
    };
    let rows: Vec<Vec<String>> = hits.iter().map(row).collect();
    grid(&["RISK", "CATEGORY", "RADIUS", "TOOL", "IN ITS WORDS"], &rows, &[3, 4], columns)
}

/// The counts of a catalogue.
pub fn counts(counts: &CatalogueCounts) -> String {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let mut out = format!("{}, {}\n", count(number(counts.servers), "server"), count(number(counts.tools), "tool"));
    let bold = Style::new().bold();
    let mut part = |title: &str, all: &BTreeMap<String, u64>| {
        if all.is_empty() {
            return;
        }
        let mut rows: Vec<_> = all.iter().collect();
        rows.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{bold}{title}{bold:#}");
        for (name, count) in rows {
            let name = if name.is_empty() { "none known" } else { name };
            let _ = writeln!(out, "  {count:>8}  {}", escape(name));
        }
    };
    part("tools by category", &counts.categories);
    part("tools by risk", &counts.risks);
    part("servers by registry", &counts.registries);
    part("tools and servers by finding", &counts.findings);
    out
}
