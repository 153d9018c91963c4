//! The words that tell what a part of a sentence does: rule data by language in `rules/asks/words/`.

use super::role_sets::Roles;
use super::roles::Role;
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// How a word has to stand in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WordEdges {
    /// By itself.
    Whole,
    /// At the beginning of a word.
    Start,
    /// Anywhere: scripts without blanks between words.
    Anywhere,
}

/// A word of the lexicon in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordHit {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) role: Role,
}

/// All words in one automaton.
#[derive(Debug)]
pub(crate) struct Lexicon {
    finder: AhoCorasick,
    words: Vec<(Role, WordEdges)>,
}

pub(super) const FILES: [&str; 10] = [
    include_str!("../../../rules/asks/words/en.toml"),
    include_str!("../../../rules/asks/words/de.toml"),
    include_str!("../../../rules/asks/words/fr.toml"),
    include_str!("../../../rules/asks/words/es.toml"),
    include_str!("../../../rules/asks/words/pt.toml"),
    include_str!("../../../rules/asks/words/it.toml"),
    include_str!("../../../rules/asks/words/ru.toml"),
    include_str!("../../../rules/asks/words/zh.toml"),
    include_str!("../../../rules/asks/words/ja.toml"),
    include_str!("../../../rules/asks/words/other.toml"),
];

/// The lexicon inside the binary. A test holds that it is valid; were it not, no request would be found by its words.
pub(crate) static LEXICON: LazyLock<Option<Lexicon>> = LazyLock::new(|| Lexicon::new(&FILES).ok());

/// Forms of an English verb: `send`, `sends`, `sended`, `sending`.
fn forms(verb: &str) -> Vec<String> {
    let stem = verb.strip_suffix('e').unwrap_or(verb);
    let third = match verb.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        _ if verb.ends_with(['s', 'x', 'z']) || verb.ends_with("ch") || verb.ends_with("sh") => format!("{verb}es"),
        _ => format!("{verb}s"),
    };
    vec![verb.to_owned(), third, format!("{stem}ed"), format!("{stem}ing")]
}

impl Lexicon {
    /// From TOML files of words by role.
    ///
    /// # Errors
    /// A file that is no such table, or a role that there is not.
    pub(crate) fn new(files: &[&str]) -> Result<Self, String> {
        let (mut patterns, mut words) = (Vec::new(), Vec::new());
        for file in files {
            let roles: BTreeMap<Role, Vec<String>> = toml::from_str(file).map_err(|error| error.to_string())?;
            for (role, entries) in roles {
                for entry in entries {
                    let (entry, is_open) = entry.strip_suffix('*').map_or((entry.as_str(), false), |stem| (stem, true));
                    let (entry, is_verb) = entry.strip_suffix('+').map_or((entry, false), |verb| (verb, true));
                    // Scripts without blanks, and those that join articles and endings to the word.
                    let bounds = if entry.chars().any(|c| matches!(c, '\u{600}'..='\u{6ff}' | '\u{1100}'..)) {
                        WordEdges::Anywhere
                    } else if is_open {
                        WordEdges::Start
                    } else {
                        WordEdges::Whole
                    };
                    let all = if is_verb { forms(entry) } else { vec![entry.to_owned()] };
                    for form in all {
                        patterns.push(form);
                        words.push((role, bounds));
                    }
                }
            }
        }
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::Standard).kind(Some(AhoCorasickKind::ContiguousNFA));
        let finder = builder.build(&patterns).map_err(|error| error.to_string())?;
        Ok(Self { finder, words })
    }

    /// Words in a text of lower case.
    pub(crate) fn hits<'t>(&self, text: &'t str) -> impl Iterator<Item = WordHit> + use<'_, 't> {
        self.finder.find_overlapping_iter(text).filter_map(|found| {
            let (role, bounds) = self.words[found.pattern().as_usize()];
            let (start, end) = (found.start(), found.end());
            let stands = match bounds {
                WordEdges::Anywhere => true,
                WordEdges::Start => is_start(text, start),
                WordEdges::Whole => is_start(text, start) && is_end(text, end),
            };
            stands.then_some(WordHit { start, end, role })
        })
    }

    /// The roles of the words in a text of lower case.
    pub(crate) fn roles(&self, text: &str) -> Roles {
        let mut roles = Roles::default();
        self.hits(text).for_each(|hit| roles.add(hit.role));
        roles
    }
}

/// No letter or digit before the word, where it begins with one.
fn is_start(text: &str, start: usize) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !letter(text[start..].chars().next()) || !letter(text[..start].chars().next_back())
}

/// No letter or digit after the word, where it ends with one.
fn is_end(text: &str, end: usize) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !letter(text[..end].chars().next_back()) || !letter(text[end..].chars().next())
}
