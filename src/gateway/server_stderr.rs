//! What a server writes to standard error, as people see it: a server that floods must not drown what matters.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Lines of one server that are passed on in one second; the rest is counted.
pub const SERVER_LINES_PER_SECOND: u32 = 50;

/// Passes lines on, up to the bound, and says how many it left out before the next one that passes.
pub(super) fn limited(say: Arc<dyn Fn(&str) + Send + Sync>) -> impl FnMut(&str) + Send {
    let mut gate = Gate::default();
    move |line| match gate.take(Instant::now()) {
        Passage::Closed => {}
        Passage::Open(0) => say(line),
        Passage::Open(missed) => {
            say(&format!("… {missed} lines left out"));
            say(line);
        }
    }
}

/// Counts lines a second.
#[derive(Default)]
struct Gate {
    since: Option<Instant>,
    lines: u32,
    missed: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Passage {
    /// The line may pass; so many did not before it.
    Open(u64),
    Closed,
}

impl Gate {
    fn take(&mut self, now: Instant) -> Passage {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines >= SERVER_LINES_PER_SECOND {
            self.missed += 1;
            return Passage::Closed;
        }
        self.lines += 1;
        Passage::Open(std::mem::take(&mut self.missed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_the_next_second_is_open_again() {
        let (mut gate, start) = (Gate::default(), Instant::now());
        for _ in 0..SERVER_LINES_PER_SECOND {
            assert_eq!(gate.take(start), Passage::Open(0));
        }
        for _ in 0..5 {
            assert_eq!(gate.take(start), Passage::Closed);
        }
        assert_eq!(gate.take(start + Duration::from_secs(1)), Passage::Open(5));
        assert_eq!(gate.take(start + Duration::from_secs(1)), Passage::Open(0));
    }
}
