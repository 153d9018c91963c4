//! What the tools of one server have in common: the prefix of their names.

use super::compile::Compiled;
use super::vocabulary::UNKNOWN;
use super::words::{Span, split_name};
use crate::model::Listing;
use std::collections::BTreeSet;

/// A prefix is shared when at least this many different names begin with it …
const NAMES_MIN: usize = 3;
/// … and they are at least this share of all.
const SHARE_PERCENT_MIN: usize = 80;
/// Longest prefix in words.
const PREFIX_WORDS_MAX: usize = 4;

/// The words that a server puts before the names of its tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix(Vec<String>);

impl Prefix {
    /// How many words of this name are the prefix: all of them or none, and never the whole name.
    pub fn length_in(&self, name: &str) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        let words = words_of(name);
        if words.len() > self.0.len() && words.iter().zip(&self.0).all(|(a, b)| a == b) { self.0.len() } else { 0 }
    }
}

fn words_of(name: &str) -> Vec<String> {
    let mut spans: Vec<Span> = Vec::new();
    split_name(name, &mut spans);
    spans.iter().filter_map(|s| name.get(s.start as usize..s.end as usize)).map(str::to_lowercase).collect()
}

/// The longest prefix that most of the distinct names share. A verb is never part of it: in a server that draws charts
/// every tool is `generate_…`.
pub(super) fn prefix(compiled: &Compiled, listing: &Listing) -> Prefix {
    let names: BTreeSet<&str> = listing.tools.iter().map(|tool| tool.name.as_str()).collect();
    let words: Vec<Vec<String>> = names.into_iter().map(words_of).collect();
    let mut prefix: Vec<String> = Vec::new();
    let mut scratch = String::new();
    while prefix.len() < PREFIX_WORDS_MAX {
        let at = prefix.len();
        let longer = words.iter().filter(|name| name.len() > at + 1 && name[..at] == prefix[..]);
        let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        for name in longer {
            *counts.entry(name[at].as_str()).or_default() += 1;
        }
        let Some((word, count)) = counts.into_iter().max_by_key(|(word, count)| (*count, std::cmp::Reverse(*word)))
        else {
            break;
        };
        if count < NAMES_MIN || count * 100 < words.len() * SHARE_PERCENT_MIN {
            break;
        }
        let id = compiled.vocabulary.find(word, &mut scratch);
        let is_verb = id != UNKNOWN && compiled.vocabulary.info(id).verb.is_some();
        if is_verb {
            break;
        }
        prefix.push(word.to_owned());
    }
    Prefix(prefix)
}
