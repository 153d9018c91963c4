//! A histogram of durations with fixed upper bounds, counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts durations by inclusive upper bounds in microseconds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One count for each bound, and one for durations beyond the last.
    counts: Vec<AtomicU64>,
    sum_micros: AtomicU64,
}

/// The counts of a histogram at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Upper bounds, inclusive, in microseconds.
    pub bounds: &'static [u64],
    /// How many durations fell at or below each bound and above the one before it; the last counts those beyond all.
    pub counts: Vec<u64>,
    /// All durations together, in microseconds.
    pub sum_micros: u64,
}

impl Histogram {
    /// An empty histogram. `bounds` must ascend.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum_micros: AtomicU64::new(0) }
    }

    /// Counts one duration, rounded up to whole microseconds: what took time is never counted as none.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        let slot = self.bounds.partition_point(|bound| *bound < micros);
        if let Some(count) = self.counts.get(slot) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The counts of now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            bounds: self.bounds,
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum_micros: self.sum_micros.load(Ordering::Relaxed),
        }
    }
}

impl Snapshot {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The lowest bound, in microseconds, that `percent` hundredths of the durations do not exceed; `None` if nothing
    /// was counted, [`u64::MAX`] if it lies beyond all bounds.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let wanted = (self.count() * percent).div_ceil(100).max(1);
        let mut below = 0;
        for (at, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= wanted {
                return Some(self.bounds.get(at).copied().unwrap_or(u64::MAX));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_at_or_below_their_bound() {
        let histogram = Histogram::new(&[10, 100]);
        for nanos in [1, 10_000, 10_001, 100_000, 100_001] {
            histogram.observe(Duration::from_nanos(nanos));
        }
        let snapshot = histogram.snapshot();
        assert_eq!((snapshot.counts.as_slice(), snapshot.count()), ([2, 2, 1].as_slice(), 5));
        assert_eq!(snapshot.sum_micros, 1 + 10 + 11 + 100 + 101);
    }

    #[test]
    fn percentiles_are_bounds_that_hold() {
        let histogram = Histogram::new(&[10, 100]);
        assert_eq!(histogram.snapshot().percentile(50), None);
        for micros in [1, 2, 50, 60, 5_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let snapshot = histogram.snapshot();
        let found = [1, 40, 41, 80, 81, 100].map(|percent| snapshot.percentile(percent));
        assert_eq!(found, [Some(10), Some(10), Some(100), Some(100), Some(u64::MAX), Some(u64::MAX)]);
    }
}
