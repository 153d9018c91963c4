//! Which of the new tools are old ones under another name.

use super::hazard::words;
use crate::catalog::{LockedTool, Parts};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most tools on either side that are compared with each other; beyond it a list was replaced, not renamed.
pub const RENAME_TOOLS_MAX: usize = 200;
/// Likeness from which a new tool counts as the old one, of 100.
const LIKENESS_MIN: u32 = 70;

/// Fewest words of a text that two tools do not share by chance.
const TEXT_WORDS_MIN: usize = 3;
/// Fewest tools that make a prefix or suffix one of all of them.
const AFFIX_TOOLS_MIN: usize = 2;

/// What of a tool is compared.
struct Look {
    name: String,
    words: BTreeSet<String>,
    parameters: BTreeSet<String>,
    schema: Option<Value>,
    text: String,
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
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    /// How much alike two tools are, of 100: half the text, a third the parameters, the rest the name.
    fn likeness(&self, other: &Self) -> u32 {
        let bare = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        if bare(&self.name) == bare(&other.name) {
            // `getNote`, `get_note` and `get-note` are one name in three fashions.
            return 100;
        }
        if self.words.len() >= TEXT_WORDS_MIN && self.text == other.text && self.schema == other.schema {
            // What says the same and takes the same is the same, however many parameters that is.
            return 99;
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
    let (mut from, mut into) = (BTreeSet::new(), BTreeSet::new());
    let mut found = Vec::new();
    for (at, to) in affixed(gone, new) {
        if !from.contains(&at) && !into.contains(&to) {
            from.insert(at);
            into.insert(to);
            found.push((at, to));
        }
    }
    if gone.len() - from.len() > RENAME_TOOLS_MAX || new.len() - into.len() > RENAME_TOOLS_MAX {
        return found;
    }
    let before: Vec<_> = gone.iter().map(|tool| Look::of(tool)).collect();
    let after: Vec<_> = new.iter().map(|tool| Look::of(tool)).collect();
    let mut candidates: Vec<_> = before
        .iter()
        .enumerate()
        .filter(|(at, _)| !from.contains(at))
        .flat_map(|(at, old)| after.iter().enumerate().map(move |(to, new)| (at, old, to, new)))
        .filter(|(_, _, to, _)| !into.contains(to))
        .map(|(at, old, to, new)| (old.likeness(new), at, to))
        .filter(|(likeness, _, _)| *likeness >= LIKENESS_MIN)
        .collect();
    let named = |at: usize, to: usize| percent(strsim::jaro_winkler(&before[at].name, &after[to].name));
    candidates.sort_by_cached_key(|(likeness, at, to)| {
        (std::cmp::Reverse(*likeness), std::cmp::Reverse(named(*at, *to)), *at, *to)
    });
    for (_, at, to) in candidates {
        if !from.contains(&at) && !into.contains(&to) {
            from.insert(at);
            into.insert(to);
            found.push((at, to));
        }
    }
    found
}

/// Pairs of a tool and the one that bears its name without, or with, a prefix or suffix that most of the tools which
/// went have shed or gained: their names were changed, whatever else was.
fn affixed(gone: &[&LockedTool], new: &[&LockedTool]) -> Vec<(usize, usize)> {
    let spoken = |tools: &[&LockedTool]| -> Vec<Vec<String>> { tools.iter().map(|tool| words(&tool.name)).collect() };
    let (before, after) = (spoken(gone), spoken(new));
    let shed = affixes(&before, &after);
    let gained = affixes(&after, &before);
    let gained = gained.into_iter().map(|pairs| pairs.into_iter().map(|(to, at)| (at, to)).collect());
    let mut all: Vec<Vec<_>> = shed.into_iter().chain(gained).collect();
    all.retain(|pairs| pairs.len() >= AFFIX_TOOLS_MIN && pairs.len() * 2 > gone.len());
    all.sort_by_key(|pairs| std::cmp::Reverse(pairs.len()));
    all.into_iter().flatten().collect()
}

/// Which of the long names is a short one with something before or behind it: the pairs for each such affix.
fn affixes(long: &[Vec<String>], short: &[Vec<String>]) -> Vec<Vec<(usize, usize)>> {
    let known: BTreeMap<&[String], usize> = short.iter().enumerate().map(|(at, name)| (name.as_slice(), at)).collect();
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (at, name) in long.iter().enumerate() {
        for cut in 1..name.len() {
            let (head, tail) = name.split_at(cut);
            for (key, rest) in [((true, head), tail), ((false, tail), head)] {
                if let Some(to) = known.get(rest) {
                    found.entry(key).or_default().push((at, *to));
                }
            }
        }
    }
    found.into_values().collect()
}
