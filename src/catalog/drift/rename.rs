//! Which of the new tools are old ones under another name.

use crate::catalog::{LockedTool, Parts};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most tools on either side that are compared with each other; beyond it a list was replaced, not renamed.
pub const RENAME_TOOLS_MAX: usize = 200;
/// Likeness from which a new tool counts as the old one, of 100.
const LIKENESS_MIN: u32 = 70;

/// What of a tool is compared.
struct Look {
    name: String,
    words: BTreeSet<String>,
    parameters: BTreeSet<String>,
    schema: Option<Value>,
}

impl Look {
    fn of(tool: &LockedTool) -> Self {
        let parts: Parts = tool.parts();
        let text = parts.description.as_ref().and_then(Value::as_str).unwrap_or_default();
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let properties = parts.input_schema.as_ref().and_then(|schema| schema.get("properties")?.as_object());
        let parameters = properties.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        Self {
            name: tool.name.to_lowercase(),
            words: words.map(str::to_lowercase).collect(),
            parameters,
            schema: parts.input_schema,
        }
    }

    /// How much alike two tools are, of 100: half the text, a third the parameters, the rest the name.
    fn likeness(&self, other: &Self) -> u32 {
        let bare = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        if bare(&self.name) == bare(&other.name) {
            // `getNote`, `get_note` and `get-note` are one name in three fashions.
            return 100;
        }
        let text = share(&self.words, &other.words);
        let parameters = match (&self.schema, &other.schema) {
            (Some(a), Some(b)) if a == b && !self.parameters.is_empty() => 1.0,
            // Two tools without parameters are alike in nothing.
            _ => share(&self.parameters, &other.parameters) * 0.9,
        };
        let name = strsim::jaro_winkler(&self.name, &other.name);
        percent(0.5 * text + 0.3 * parameters + 0.2 * name)
    }
}

fn percent(share: f64) -> u32 {
    // Between 0 and 1 by construction; printing is the conversion that cannot truncate.
    format!("{:.0}", (share * 100.0).clamp(0.0, 100.0)).parse().unwrap_or(0)
}

/// The part of two sets that they have in common (Jaccard); two empty sets have nothing in common.
fn share(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    let (both, all) = (a.intersection(b).count(), a.union(b).count());
    if all == 0 {
        0.0
    } else {
        f64::from(u32::try_from(both).unwrap_or(0)) / f64::from(u32::try_from(all).unwrap_or(u32::MAX))
    }
}

/// Pairs of indices into `gone` and `new` that are one tool under two names; each index at most once, the most alike
/// first.
pub(super) fn pairs(gone: &[&LockedTool], new: &[&LockedTool]) -> Vec<(usize, usize)> {
    if gone.len() > RENAME_TOOLS_MAX || new.len() > RENAME_TOOLS_MAX {
        return Vec::new();
    }
    let before: Vec<_> = gone.iter().map(|tool| Look::of(tool)).collect();
    let after: Vec<_> = new.iter().map(|tool| Look::of(tool)).collect();
    let mut candidates: Vec<_> = before
        .iter()
        .enumerate()
        .flat_map(|(at, old)| after.iter().enumerate().map(move |(to, new)| (old.likeness(new), at, to)))
        .filter(|(likeness, _, _)| *likeness >= LIKENESS_MIN)
        .collect();
    candidates.sort_by_key(|(likeness, at, to)| (std::cmp::Reverse(*likeness), *at, *to));
    let (mut from, mut into) = (BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    for (_, at, to) in candidates {
        if !from.contains(&at) && !into.contains(&to) {
            from.insert(at);
            into.insert(to);
            found.push((at, to));
        }
    }
    found
}
