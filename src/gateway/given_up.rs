//! Ids of a client's requests that were given up and that the server may still answer: no new request may have such an
//! id before the late answer has come, so an old answer never reaches a new request.

use crate::mcp::envelope::Id;
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};

/// Most integers, and most texts, that are remembered one by one.
pub const GIVEN_UP_MAX: usize = 16_384;

/// The ids that were given up in one session.
#[derive(Debug, Default)]
pub struct GivenUp {
    integers: BTreeSet<i64>,
    /// All integers up to this one count as given up: clients count upwards, so each need not be remembered.
    floor: Option<i64>,
    /// Keyed hashes, since ids may be long; the random key keeps a client from making two ids collide.
    texts: HashSet<u64>,
    hasher: RandomState,
}

impl GivenUp {
    /// Remembers the id of a request that was given up.
    pub fn insert(&mut self, id: &Id) {
        match id {
            Id::Integer(number) => {
                self.integers.insert(*number);
                if self.integers.len() > GIVEN_UP_MAX {
                    self.floor = self.floor.max(self.integers.pop_first());
                }
            }
            Id::Text(text) => {
                if self.texts.len() < GIVEN_UP_MAX {
                    self.texts.insert(self.hasher.hash_one(text));
                }
            }
        }
    }

    /// Whether a new request must not have this id. True for every text once [`GIVEN_UP_MAX`] were remembered.
    pub fn holds(&self, id: &Id) -> bool {
        match id {
            Id::Integer(number) => self.floor >= Some(*number) || self.integers.contains(number),
            Id::Text(text) => {
                self.texts.len() >= GIVEN_UP_MAX
                    || !self.texts.is_empty() && self.texts.contains(&self.hasher.hash_one(text))
            }
        }
    }

    /// Frees an id whose late answer has come, if it is still remembered by itself.
    pub fn remove(&mut self, id: &Id) {
        match id {
            Id::Integer(number) => drop(self.integers.remove(number)),
            Id::Text(text) if self.texts.len() < GIVEN_UP_MAX => drop(self.texts.remove(&self.hasher.hash_one(text))),
            Id::Text(_) => {}
        }
    }

    /// Forgets all ids: the server has ended, so no late answer can come.
    pub fn clear(&mut self) {
        (self.floor, self.integers, self.texts) = (None, BTreeSet::new(), HashSet::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: usize) -> Id {
        Id::Text(format!("t{number}").into())
    }

    #[test]
    fn an_id_is_free_again_after_its_answer_and_not_before() {
        let mut given_up = GivenUp::default();
        for id in [Id::Integer(7), text(7)] {
            assert!(!given_up.holds(&id));
            given_up.insert(&id);
            assert!(given_up.holds(&id));
            given_up.remove(&id);
            assert!(!given_up.holds(&id));
            given_up.insert(&id);
        }
        given_up.clear();
        assert!(!given_up.holds(&Id::Integer(7)) && !given_up.holds(&text(7)));
    }

    #[test]
    fn there_is_a_bound_beyond_which_doubt_means_no() {
        let mut given_up = GivenUp::default();
        for number in 0..=GIVEN_UP_MAX as i64 {
            given_up.insert(&Id::Integer(number));
        }
        assert!(given_up.integers.len() == GIVEN_UP_MAX && given_up.holds(&Id::Integer(0)));
        assert!(given_up.holds(&Id::Integer(-1)) && !given_up.holds(&Id::Integer(GIVEN_UP_MAX as i64 + 1)));
        for number in 0..GIVEN_UP_MAX {
            given_up.insert(&text(number));
        }
        assert!(given_up.holds(&text(GIVEN_UP_MAX + 1)), "any may be one that was not remembered");
        given_up.remove(&text(0));
        assert!(given_up.holds(&text(0)));
    }
}
