//! Whether a server can be reached, as the last request to it found out. Nobody asks a server only to know.

use crate::clock::Timestamp;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// News that are told one by one; further ones only when their number has doubled, so that a server which comes and goes
/// does not fill logs.
const TOLD_MAX: u64 = 20;

/// Nothing was sent yet.
const UNKNOWN: u8 = 0;
const UP: u8 = 1;
const DOWN: u8 = 2;

/// What is known of one server.
#[derive(Debug, Default)]
pub struct ServerHealth {
    /// The state alone, for the look at every answer.
    state: AtomicU8,
    kept: Mutex<LastFound>,
}

#[derive(Debug, Default)]
struct LastFound {
    since: Option<Timestamp>,
    failures: u64,
    changes: u64,
    why: Option<String>,
}

/// What is known of a server at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthView {
    /// Whether it answers; `None` before anything was sent.
    pub is_up: Option<bool>,
    /// Since when this is so.
    pub since: Option<Timestamp>,
    /// How often it could not be reached, or ended by itself, since the start.
    pub failures: u64,
    /// Why it does not answer.
    pub why: Option<String>,
}

/// A change that is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthNews {
    /// Whether the operator hears of it too; floods are thinned out.
    pub is_loud: bool,
}

impl ServerHealth {
    fn kept(&self) -> MutexGuard<'_, LastFound> {
        // Whole between any two statements.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, state: u8, now: Timestamp, kept: &mut LastFound) -> Option<HealthNews> {
        let before = self.state.swap(state, Ordering::Relaxed);
        if before == state {
            return None;
        }
        kept.since = Some(now);
        // That it answers at the first request is no news.
        if (before, state) == (UNKNOWN, UP) {
            return None;
        }
        kept.changes += 1;
        Some(HealthNews { is_loud: kept.changes <= TOLD_MAX || kept.changes.is_power_of_two() })
    }

    /// It has answered. News if it did not before.
    pub fn up(&self, now: Timestamp) -> Option<HealthNews> {
        if self.state.load(Ordering::Relaxed) == UP {
            return None;
        }
        let mut kept = self.kept();
        kept.why = None;
        self.turn(UP, now, &mut kept)
    }

    /// It could not be reached, or ended by itself. News if it did answer before, or was never asked.
    pub fn down(&self, now: Timestamp, why: &str) -> Option<HealthNews> {
        let mut kept = self.kept();
        kept.failures += 1;
        kept.why = Some(why.to_owned());
        self.turn(DOWN, now, &mut kept)
    }

    /// What is known now.
    pub fn view(&self) -> HealthView {
        let kept = self.kept();
        let is_up = match self.state.load(Ordering::Relaxed) {
            UP => Some(true),
            DOWN => Some(false),
            _ => None,
        };
        HealthView { is_up, since: kept.since, failures: kept.failures, why: kept.why.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_news_and_many_of_them_become_few() {
        let (health, at) = (ServerHealth::default(), Timestamp::from_millis);
        assert_eq!(health.view(), HealthView { is_up: None, since: None, failures: 0, why: None });
        assert_eq!(health.up(at(1)), None, "that it answers at once is no news");
        assert_eq!(health.up(at(2)), None);
        assert_eq!(health.down(at(3), "gone"), Some(HealthNews { is_loud: true }));
        assert_eq!(health.down(at(4), "still gone"), None);
        let view =
            HealthView { is_up: Some(false), since: Some(at(3)), failures: 2, why: Some("still gone".to_owned()) };
        assert_eq!(health.view(), view);
        assert_eq!(health.up(at(5)), Some(HealthNews { is_loud: true }));
        assert_eq!(health.view(), HealthView { is_up: Some(true), since: Some(at(5)), failures: 2, why: None });
        let loud = (0..200).filter(|n| {
            let news = if n % 2 == 0 { health.down(at(9), "gone") } else { health.up(at(9)) };
            news.is_some_and(|news| news.is_loud)
        });
        // 2 were told already; then up to the twentieth, and the 32nd, 64th and 128th.
        assert_eq!(loud.count(), 18 + 3);
        assert!(ServerHealth::default().down(at(1), "gone").is_some(), "never asked, and not there");
    }
}
