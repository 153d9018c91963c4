//! Equal refusals, and equal questions to a person: an agent that runs into the same wall ten thousand times has the log
//! say so in a few lines.

use super::{Decided, is_logged};
use crate::clock::Timestamp;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

/// Kinds of refusals that are told apart; further ones are told apart by their code only, since a caller can make up as
/// many names of tools as it likes.
const KINDS_MAX: usize = 4096;
/// Between two lines that say how many refusals have none, in milliseconds.
const TELL_EVERY_MS: u64 = 60_000;

/// What becomes of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// It has a line, which says how many equal ones before it have none.
    Written {
        /// How many.
        folded: u64,
    },
    /// It is counted.
    Folded,
}

/// When refusals without a line are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoldTelling {
    /// If it has not been done for a while.
    NowAndThen,
    /// At once: the session ends.
    AtTheEnd,
}

/// Refusals so far, by kind.
#[derive(Debug, Default)]
pub(super) struct Folds {
    /// How many there were, and how many of them no line tells of; by a keyed hash, which no caller can aim at.
    kinds: HashMap<u64, (u64, u64)>,
    hasher: RandomState,
    /// When [`Self::untold`] last told.
    told: Option<Timestamp>,
}

impl Folds {
    /// Counts a refusal: by the client's session, grant, server, tool or message, rule and code.
    pub(super) fn look(&mut self, decided: &Decided<'_>) -> Fold {
        let caller = decided.caller;
        let whole = (&caller.session, &caller.grant, &caller.server, decided.matter, decided.rule, decided.code);
        let mut kind = self.hasher.hash_one(whole);
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&kind) {
            kind = self.hasher.hash_one(decided.code);
        }
        let (count, untold) = self.kinds.entry(kind).or_default();
        *count += 1;
        if is_logged(*count) {
            Fold::Written { folded: std::mem::take(untold) }
        } else {
            *untold += 1;
            Fold::Folded
        }
    }

    /// How many refusals no line tells of; they count as told from then on. Now and then, or at once at the end.
    pub(super) fn untold(&mut self, now: Timestamp, when: FoldTelling) -> Option<u64> {
        let last = *self.told.get_or_insert(now);
        if when == FoldTelling::NowAndThen && now.millis().saturating_sub(last.millis()) < TELL_EVERY_MS {
            return None;
        }
        self.told = Some(now);
        let count = self.kinds.values_mut().map(|(_, untold)| std::mem::take(untold)).sum();
        (count > 0).then_some(count)
    }
}
