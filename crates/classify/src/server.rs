//! What the tools of one server have in common: the prefix of their names, and what they are about.

use super::compile::Compiled;
use super::vocabulary::UNKNOWN;
use super::words::{Span, split_name, split_text};
use crate::model::{Listing, ToolDefinition};
use std::collections::BTreeSet;

/// A prefix is shared when at least this many different names begin with it …
const NAMES_MIN: usize = 3;
/// … and they are at least this share of all.
const SHARE_PERCENT_MIN: usize = 80;
/// Longest prefix in words.
const PREFIX_WORDS_MAX: usize = 4;

/// A server is about a subject when at least this share of its tools speaks of it.
const SUBJECT_PERCENT_MIN: usize = 50;
/// Most of a description that is read for its subject, in bytes.
const SUBJECT_BYTES_MAX: usize = 160;
const SUBJECT_WORDS_MAX: usize = 24;

/// The words that a server puts before the names of its tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix(Vec<String>);

impl Prefix {
    /// How many words of this name are the prefix: all of them or none, and never the whole name.
    pub fn length_in(&self, name: &str) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        let mut spans: Vec<Span> = Vec::new();
        split_name(name, &mut spans);
        let alike = |(span, word): (&Span, &String)| {
            let own = name.get(span.start as usize..span.end as usize).unwrap_or_default();
            own.chars().flat_map(char::to_lowercase).eq(word.chars())
        };
        if spans.len() > self.0.len() && spans.iter().zip(&self.0).all(alike) { self.0.len() } else { 0 }
    }
}

fn words_of(name: &str) -> Vec<String> {
    let mut spans: Vec<Span> = Vec::new();
    split_name(name, &mut spans);
    let words = spans.iter().filter_map(|s| name.get(s.start as usize..s.end as usize));
    words.take(PREFIX_WORDS_MAX + 1).map(str::to_lowercase).collect()
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

/// What the server is about: subjects that half of its tools or more speak of, in their names or in the first words of
/// their descriptions; the prefix is no part of a name. A tool that is listed twice counts twice: the order of tools does
/// not matter.
pub(super) fn domains<'t>(
    compiled: &Compiled,
    prefix: &Prefix,
    tools: impl IntoIterator<Item = &'t ToolDefinition>,
) -> u16 {
    let mut counts = [0_usize; u16::BITS as usize];
    let mut all = 0;
    let mut spans: Vec<Span> = Vec::new();
    let mut scratch = String::new();
    for tool in tools {
        all += 1;
        let mut spoken = 0;
        let name = tool.name.as_str();
        let text = tool.description.as_deref().unwrap_or_default();
        for (part, is_name) in [(name, true), (text, false)] {
            spans.clear();
            if is_name {
                split_name(part, &mut spans);
                spans.drain(..prefix.length_in(name));
            } else {
                split_text(part, SUBJECT_BYTES_MAX, SUBJECT_WORDS_MAX, &mut spans);
            }
            let ids: Vec<_> = spans
                .iter()
                .filter_map(|span| Some((part.get(span.start as usize..span.end as usize)?, span.hash)))
                .map(|(word, hash)| compiled.vocabulary.find_span(word, hash, &mut scratch))
                .collect();
            for (at, id) in ids.iter().enumerate().filter(|(_, id)| **id != UNKNOWN) {
                let info = compiled.vocabulary.info(*id);
                spoken |= info.domains;
                for phrase in info.phrases.iter().filter_map(|at| compiled.vocabulary.phrases.get(*at as usize)) {
                    if phrase.info.domains != 0 && ids[at + 1..].starts_with(&phrase.rest) {
                        spoken |= phrase.info.domains;
                    }
                }
            }
        }
        for (bit, count) in counts.iter_mut().enumerate() {
            *count += usize::from(spoken >> bit & 1);
        }
    }
    let about =
        counts.iter().enumerate().filter(|(_, count)| **count > 0 && **count * 100 >= all * SUBJECT_PERCENT_MIN);
    about.fold(0, |bits, (bit, _)| bits | 1 << bit)
}
