//! What roles that stand together are worth: rule data in `rules/asks/weights.toml`.

use super::reading::Sentence;
use super::role_sets::{ROLES, Roles};
use super::roles::{Role, named};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// As written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePoints {
    start: f32,
    warning: f32,
    error: f32,
    length: f32,
    roles: BTreeMap<String, f32>,
    words: BTreeMap<String, f32>,
}

/// Points by combination of roles, and by stem of a word.
#[derive(Debug)]
pub(crate) struct PointTable {
    /// Points that every sentence begins with.
    start: f32,
    /// Fewest points of a sentence for a finding at all.
    pub(super) warning: f32,
    /// Fewest points for an error.
    pub(super) error: f32,
    /// Points against a definition for each time that it is longer by the factor e, in sentences: the more is said, the
    /// more looks odd by chance.
    length: f32,
    /// Combinations by their first role.
    roles: Vec<Vec<(Roles, f32)>>,
    words: FxHashMap<String, f32>,
}

/// The table inside the binary. A test holds that it is valid; were it not, no request would be found.
pub(super) static POINTS: LazyLock<Option<PointTable>> =
    LazyLock::new(|| PointTable::parse(include_str!("../../../rules/asks/weights.toml")).ok());

impl PointTable {
    /// From a table in TOML.
    ///
    /// # Errors
    /// A text that is no such table, or a role that there is not.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wire: WirePoints = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut roles = vec![Vec::new(); ROLES];
        for (combination, points) in wire.roles {
            let mut of = Roles::default();
            for name in combination.split('+') {
                of.add(named(name).map_err(|error| error.to_string())?);
            }
            if let Some(first) = of.iter().next() {
                roles[first as usize].push((of, points));
            }
        }
        Ok(Self {
            start: wire.start,
            warning: wire.warning,
            error: wire.error,
            length: wire.length,
            roles,
            words: wire.words.into_iter().collect(),
        })
    }

    /// How much a sentence, one of so many, speaks for a request that is not the tool's own job.
    pub(super) fn points(&self, sentence: &Sentence, of: usize) -> f32 {
        let roles = self.in_it(sentence).map(|(_, points)| points);
        let words = sentence.stems().filter_map(|word| self.words.get(word));
        self.start + roles.chain(words).sum::<f32>() - self.length * (of.max(1) as f32).ln()
    }

    /// The combinations that a sentence has.
    fn in_it(&self, sentence: &Sentence) -> impl Iterator<Item = &(Roles, f32)> {
        let roles = sentence.roles;
        roles.iter().flat_map(|first| &self.roles[first as usize]).filter(move |(of, _)| roles.contains(*of))
    }

    /// The roles that count most, at most so many.
    pub(super) fn decisive(&self, sentence: &Sentence, most: usize) -> Vec<Role> {
        let mut counted: Vec<(Roles, f32)> =
            self.in_it(sentence).filter(|(_, points)| *points > 0.0).copied().collect();
        counted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut decisive = Vec::new();
        for role in counted.iter().flat_map(|(of, _)| of.iter()) {
            if role.in_words().is_some() && !decisive.contains(&role) && decisive.len() < most {
                decisive.push(role);
            }
        }
        decisive
    }
}
