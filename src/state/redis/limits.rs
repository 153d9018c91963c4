//! Counters in Redis: one script a batch.

use super::RedisStore;
use super::connection::Repeat;
use crate::clock::Timestamp;
use crate::policy::{
    Charge, CounterKey, LimitStore, Receipt, Reserve, Settlement, StoreError, StoredCounter, Usage, Window,
};
use redis::Script;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

macro_rules! script {
    ($body:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(include_str!("prelude.lua"), include_str!("counters.lua"), include_str!($body)))
        })
    };
}

static RESERVE: LazyLock<Script> = script!("reserve.lua");
static SETTLE: LazyLock<Script> = script!("settle.lua");
static USAGE: LazyLock<Script> = script!("usage.lua");
static LIST: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("counters_list.lua")));
static RESET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("counters_reset.lua")));
static RESET_CLOCK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("clock_reset.lua")));

/// Keys that Redis looks at for one page of a list.
const PAGE_KEYS: usize = 1000;

/// A window as the scripts have it: `week`, `month`, or seconds that are counted from the epoch.
pub(super) fn window(window: Window) -> String {
    match window {
        Window::Minute => "60".to_owned(),
        Window::Hour => "3600".to_owned(),
        Window::Day => "86400".to_owned(),
        Window::Week => "week".to_owned(),
        Window::Month => "month".to_owned(),
        Window::Span(seconds) => seconds.to_string(),
    }
}

impl RedisStore {
    fn counter_key(&self, counter: &CounterKey) -> String {
        self.key(&format!("counter:{}", counter.text()))
    }

    fn outcome(&self, charges: &[Charge], now: Timestamp, answer: &[String]) -> Result<Reserve, StoreError> {
        match answer {
            [word, starts @ ..] if word == "held" && starts.len() == charges.len() => {
                let receipt = |(charge, start): (&Charge, &String)| {
                    let (counter, amount) = (charge.counter.clone(), charge.amount);
                    Ok(Receipt { counter, window_start: self.time(start)?, amount })
                };
                Ok(Reserve::Held(charges.iter().zip(starts).map(receipt).collect::<Result<_, StoreError>>()?))
            }
            [word, charge, used, resets] if word == "refused" => {
                let charge = charge.parse().ok().filter(|index| *index < charges.len()).ok_or_else(|| self.odd())?;
                Ok(Reserve::Refused { charge, used: self.number(used)?, resets: self.time(resets)?, now })
            }
            _ => Err(self.odd()),
        }
    }
}

impl LimitStore for RedisStore {
    fn reserve(&self, now: Timestamp, batch: &[Vec<Charge>]) -> Result<Vec<Reserve>, StoreError> {
        // Each counter is read and written once, however many calls of the batch count on it.
        let mut places: HashMap<&CounterKey, usize> = HashMap::new();
        let mut counters = Vec::new();
        for charge in batch.iter().flatten() {
            places.entry(&charge.counter).or_insert_with(|| {
                counters.push(&charge.counter);
                counters.len()
            });
        }
        let mut script = RESERVE.prepare_invoke();
        script.key(self.clock_key()).arg(self.given(now));
        for counter in counters {
            script.key(self.counter_key(counter)).arg(window(counter.window));
        }
        for charges in batch {
            script.arg(charges.len());
            for charge in charges {
                let place = places.get(&charge.counter).copied().unwrap_or_default();
                script.arg(place).arg(charge.amount).arg(charge.max);
            }
        }
        // Counted twice is too much, and never too little.
        let (now, outcomes): (String, Vec<Vec<String>>) = self.pool.run(Repeat::Safe, &script)?;
        let now = self.time(&now)?;
        if outcomes.len() != batch.len() {
            return Err(self.odd());
        }
        batch.iter().zip(&outcomes).map(|(charges, answer)| self.outcome(charges, now, answer)).collect()
    }

    fn settle(&self, now: Timestamp, batch: &[Settlement]) -> Result<(), StoreError> {
        let mut script = SETTLE.prepare_invoke();
        script.key(self.clock_key()).arg(self.given(now));
        for receipt in batch.iter().flat_map(|settlement| &settlement.receipts) {
            script.key(self.counter_key(&receipt.counter)).arg(receipt.window_start.millis()).arg(receipt.amount);
        }
        self.pool.run::<i64>(Repeat::Never, &script).map(|_| ())
    }

    fn usage(&self, now: Timestamp, charges: &[Charge]) -> Result<Vec<Usage>, StoreError> {
        let mut script = USAGE.prepare_invoke();
        script.key(self.clock_key()).arg(self.given(now));
        for charge in charges {
            script.key(self.counter_key(&charge.counter)).arg(window(charge.counter.window));
        }
        let answer: Vec<(String, String)> = self.pool.run(Repeat::Safe, &script)?;
        if answer.len() != charges.len() {
            return Err(self.odd());
        }
        answer.iter().map(|(used, resets)| Ok(Usage { used: self.number(used)?, resets: self.time(resets)? })).collect()
    }

    fn stored(&self) -> Result<(Timestamp, Vec<StoredCounter>), StoreError> {
        let prefix = self.key("counter:");
        let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-');
        let pattern: String = prefix.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect();
        // Redis may show a key on two pages.
        let mut stored = BTreeMap::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut script = LIST.prepare_invoke();
            script.key(self.clock_key()).arg(&cursor).arg(format!("{pattern}*")).arg(PAGE_KEYS);
            let (next, latest, page): (String, String, Vec<(String, String)>) = self.pool.run(Repeat::Safe, &script)?;
            for (key, value) in page {
                // A key of a later version is none of ours.
                let Some(counter) = key.strip_prefix(&prefix).and_then(CounterKey::parse) else { continue };
                let (starts, used) = value.split_once(' ').ok_or_else(|| self.odd())?;
                stored.insert(counter, (self.time(starts)?, self.number(used)?));
            }
            if next == "0" {
                let stored =
                    stored.into_iter().map(|(counter, (starts, used))| StoredCounter { counter, starts, used });
                return Ok((self.time(&latest)?, stored.collect()));
            }
            cursor = next;
        }
    }

    fn reset(&self, counters: &[CounterKey]) -> Result<(), StoreError> {
        for some in counters.chunks(PAGE_KEYS) {
            let mut script = RESET.prepare_invoke();
            for counter in some {
                script.key(self.counter_key(counter));
            }
            self.pool.run::<i64>(Repeat::Safe, &script)?;
        }
        Ok(())
    }

    fn reset_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut script = RESET_CLOCK.prepare_invoke();
        script.key(self.clock_key()).arg(self.given(now));
        self.pool.run::<i64>(Repeat::Safe, &script).map(drop)
    }
}
