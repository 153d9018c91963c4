//! How often something happened in the last sixty seconds.

use crate::clock::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many seconds are looked back, the current one included.
const SECONDS: usize = 60;

/// Counts by second. A slot holds the second (upper 32 bits) and its count (lower 32), so that both change together.
#[derive(Debug)]
pub(super) struct Recent {
    slots: [AtomicU64; SECONDS],
}

impl Default for Recent {
    fn default() -> Self {
        Self { slots: [const { AtomicU64::new(0) }; SECONDS] }
    }
}

/// Seconds since the epoch in 32 bits: enough until 2106, and after that only this display is wrong.
fn second_of(now: Timestamp) -> u64 {
    now.seconds() & u64::from(u32::MAX)
}

impl Recent {
    pub(super) fn add(&self, now: Timestamp) {
        let second = second_of(now);
        let count = |slot: u64| if slot >> 32 == second { slot & u64::from(u32::MAX) } else { 0 };
        let next = |slot: u64| (second << 32) | (count(slot) + 1).min(u64::from(u32::MAX));
        if let Some(slot) = self.slots.get(usize::try_from(second).unwrap_or(0) % SECONDS) {
            // The closure always has a value, so this cannot fail.
            let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |slot| Some(next(slot)));
        }
    }

    pub(super) fn last_minute(&self, now: Timestamp) -> u64 {
        let second = second_of(now);
        let fresh = |slot: &u64| second.checked_sub(*slot >> 32).is_some_and(|age| age < SECONDS as u64);
        let all = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        all.filter(fresh).map(|slot| slot & u64::from(u32::MAX)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_sixty_seconds_count() {
        let (recent, at) = (Recent::default(), |seconds: u64| Timestamp::from_millis(seconds * 1000));
        let start = 1_700_000_000;
        for second in [0, 0, 1, 59] {
            recent.add(at(start + second));
        }
        let counted = [0, 59, 60, 61, 118, 119].map(|second| recent.last_minute(at(start + second)));
        assert_eq!(counted, [2, 4, 2, 1, 1, 0]);
        recent.add(at(start + 60));
        assert_eq!(recent.last_minute(at(start + 60)), 3);
    }
}
