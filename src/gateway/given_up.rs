//! Ids of requests that were given up and that the server may still answer, however late: none of them is taken again
//! before that, so an old answer never reaches a new request.

use crate::mcp::envelope::Id;
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};

/// Ids of one kind that are remembered one by one.
pub const GIVEN_UP_MAX: usize = 16_384;

/// The ids of one session.
#[derive(Debug, Default)]
pub struct GivenUp {
    integers: BTreeSet<i64>,
    /// Integers up to this one are all taken for given up: clients count upwards, so there is no need to remember each.
    floor: Option<i64>,
    /// Hashes, whose key nobody knows: ids may be long.
    texts: HashSet<u64>,
    hasher: RandomState,
}

impl GivenUp {
    /// Remembers an id.
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

    /// Whether a new request must not have this id. True for any text once there are too many to remember.
    pub fn holds(&self, id: &Id) -> bool {
        match id {
            Id::Integer(number) => self.floor >= Some(*number) || self.integers.contains(number),
            Id::Text(text) => {
                self.texts.len() >= GIVEN_UP_MAX
                    || !self.texts.is_empty() && self.texts.contains(&self.hasher.hash_one(text))
            }
        }
    }

    /// The late answer has come: the id is free again.
    pub fn remove(&mut self, id: &Id) {
        match id {
            Id::Integer(number) => drop(self.integers.remove(number)),
            Id::Text(text) if self.texts.len() < GIVEN_UP_MAX => drop(self.texts.remove(&self.hasher.hash_one(text))),
            Id::Text(_) => {}
        }
    }

    /// The server is gone, and with it whatever it had to say.
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
