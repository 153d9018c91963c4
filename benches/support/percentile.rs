//! What is measured of many durations.

use std::time::Duration;

/// The duration that so many percent of all do not exceed, in microseconds. Sorts.
///
/// # Panics
/// Nothing was measured.
pub fn percentile(all: &mut [Duration], percent: f64) -> f64 {
    assert!(!all.is_empty(), "nothing was measured");
    all.sort_unstable();
    let at = (all.len() as f64 * percent / 100.0) as usize;
    all[at.min(all.len() - 1)].as_secs_f64() * 1e6
}
