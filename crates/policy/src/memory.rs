//! Counters, approvals and grants in memory: for one process, for tests, for `--state memory:`.

use crate::clock::Timestamp;
use crate::flows::{COURSE_KEPT_MS, Course, CourseKey, CourseStore, News};
use crate::store::{
    Answer, Answered, Approval, ApprovalRequest, ApprovalState, ApprovalStore, Charge, CounterKey, GRANT_PENDING_MAX,
    LimitStore, PENDING_MAX, Receipt, Reserve, Settlement, StoreError, StoredCounter, Usage, advance,
};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Counters whose windows are over are dropped when there are this many, or twice as many as were left the last time.
const SWEEP_ROWS_MIN: usize = 1024;
/// Approvals kept after they lapsed, so that `list` can still show them.
const LAPSED_APPROVALS_MAX: usize = 256;
/// Sessions that are remembered; the one that has not grown for longest is forgotten for the next.
const COURSES_MAX: usize = 16_384;
/// Sessions of which hashes of answers are kept; for the next, one counts as having seen everything.
const COURSES_WITH_WORDS_MAX: usize = 1024;

/// A store that ends with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    limits: Mutex<Limits>,
    approvals: Mutex<Approvals>,
    courses: Mutex<Courses>,
}

#[derive(Debug, Default)]
struct Courses {
    /// Each with the time at which it last grew.
    rows: FxHashMap<CourseKey, (Arc<Course>, Timestamp)>,
}

#[derive(Debug)]
struct Limits {
    rows: FxHashMap<CounterKey, Row>,
    /// The latest time seen: a clock that steps back does not reopen a window.
    latest: Timestamp,
    sweep_at: usize,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    start: Timestamp,
    end: Timestamp,
    used: u64,
}

#[derive(Debug, Default)]
struct Approvals {
    /// By id; ids are handed out in ascending order.
    rows: BTreeMap<String, (Approval, String)>,
    next: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: FxHashMap::default(), latest: Timestamp::from_millis(0), sweep_at: SWEEP_ROWS_MIN }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many counters are kept.
    pub fn counters(&self) -> usize {
        locked(&self.limits).map_or(0, |limits| limits.rows.len())
    }
}

/// A thread that panicked while it held the lock may have left half a change: that is damage.
fn locked<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, StoreError> {
    mutex.lock().map_err(|_| StoreError::Damaged("another thread failed while it changed the counters".to_owned()))
}

impl Limits {
    fn at(&mut self, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.latest = advance(self.latest, now)?;
        Ok(self.latest)
    }

    /// Where a counter stands now, without changing it.
    fn row(&self, key: &CounterKey, now: Timestamp) -> Row {
        match self.rows.get(key) {
            Some(row) if now < row.end => *row,
            Some(_) | None => {
                let (start, end) = key.window.span(now);
                Row { start, end, used: 0 }
            }
        }
    }

    fn reserve(&mut self, charges: &[Charge], now: Timestamp) -> Reserve {
        // The first pass only looks, so that a refusal leaves every counter as it was.
        let mut rows = Vec::with_capacity(charges.len());
        for (index, charge) in charges.iter().enumerate() {
            let mut row = self.row(&charge.counter, now);
            match row.used.checked_add(charge.amount).filter(|sum| *sum <= charge.max) {
                Some(sum) => row.used = sum,
                None => return Reserve::Refused { charge: index, used: row.used, resets: row.end, now },
            }
            rows.push(row);
        }
        let receipts = charges
            .iter()
            .zip(rows)
            .map(|(charge, row)| {
                match self.rows.get_mut(&charge.counter) {
                    Some(known) => *known = row,
                    None => {
                        self.rows.insert(charge.counter.clone(), row);
                    }
                }
                Receipt { counter: charge.counter.clone(), window_start: row.start, amount: charge.amount }
            })
            .collect();
        Reserve::Held(receipts)
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.rows.len() >= self.sweep_at {
            self.rows.retain(|_, row| now < row.end);
            self.sweep_at = (self.rows.len() * 2).max(SWEEP_ROWS_MIN);
        }
    }
}

impl LimitStore for MemoryStore {
    fn reserve(&self, now: Timestamp, batch: &[Vec<Charge>]) -> Result<Vec<Reserve>, StoreError> {
        let mut limits = locked(&self.limits)?;
        let now = limits.at(now)?;
        limits.sweep(now);
        Ok(batch.iter().map(|charges| limits.reserve(charges, now)).collect())
    }

    fn settle(&self, now: Timestamp, batch: &[Settlement]) -> Result<(), StoreError> {
        let mut limits = locked(&self.limits)?;
        limits.at(now)?;
        for receipt in batch.iter().flat_map(|settlement| &settlement.receipts) {
            if let Some(row) = limits.rows.get_mut(&receipt.counter)
                && row.start == receipt.window_start
            {
                row.used = row.used.saturating_sub(receipt.amount);
            }
        }
        Ok(())
    }

    fn usage(&self, now: Timestamp, charges: &[Charge]) -> Result<Vec<Usage>, StoreError> {
        let mut limits = locked(&self.limits)?;
        let now = limits.at(now)?;
        let usage = |charge: &Charge| {
            let row = limits.row(&charge.counter, now);
            Usage { used: row.used, resets: row.end }
        };
        Ok(charges.iter().map(usage).collect())
    }

    fn stored(&self) -> Result<(Timestamp, Vec<StoredCounter>), StoreError> {
        let limits = locked(&self.limits)?;
        let stored = |(counter, row): (&CounterKey, &Row)| StoredCounter {
            counter: counter.clone(),
            starts: row.start,
            used: row.used,
        };
        Ok((limits.latest, limits.rows.iter().map(stored).collect()))
    }

    fn reset(&self, counters: &[CounterKey]) -> Result<(), StoreError> {
        let mut limits = locked(&self.limits)?;
        for counter in counters {
            limits.rows.remove(counter);
        }
        Ok(())
    }

    fn reset_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        locked(&self.limits)?.latest = now;
        Ok(())
    }
}

impl Approvals {
    fn lapse(&mut self, now: Timestamp) {
        for (approval, _) in self.rows.values_mut() {
            let open =
                matches!(approval.state, ApprovalState::Pending | ApprovalState::Approved | ApprovalState::Denied);
            if open && approval.expires <= now {
                approval.state = ApprovalState::Expired;
            }
        }
        let over = |approval: &Approval| {
            matches!(approval.state, ApprovalState::Used | ApprovalState::Expired | ApprovalState::Withdrawn)
        };
        let lapsed: Vec<String> =
            self.rows.iter().filter(|(_, (approval, _))| over(approval)).map(|(id, _)| id.clone()).collect();
        for id in lapsed.iter().take(lapsed.len().saturating_sub(LAPSED_APPROVALS_MAX)) {
            self.rows.remove(id);
        }
    }

    fn live(&mut self, now: Timestamp, key: &str) -> Option<&mut Approval> {
        self.lapse(now);
        let open = |state| matches!(state, ApprovalState::Pending | ApprovalState::Approved | ApprovalState::Denied);
        self.rows.values_mut().rev().find(|(approval, bound)| bound == key && open(approval.state)).map(|(a, _)| a)
    }
}

impl CourseStore for MemoryStore {
    fn course(&self, _: Timestamp, key: &CourseKey) -> Result<Arc<Course>, StoreError> {
        Ok(locked(&self.courses)?.rows.get(key).map(|(course, _)| Arc::clone(course)).unwrap_or_default())
    }

    fn grow(&self, now: Timestamp, key: &CourseKey, news: &News<'_>) -> Result<Arc<Course>, StoreError> {
        let mut courses = locked(&self.courses)?;
        courses.make_room(now, key, news);
        let (course, grown) = courses.rows.entry(key.clone()).or_insert_with(|| (Arc::default(), now));
        if Arc::make_mut(course).grow(now, key.lapses(), news) {
            *grown = now;
        }
        Ok(Arc::clone(course))
    }
}

impl Courses {
    /// Forgets what is over, and where there is too much what has not grown for longest.
    fn make_room(&mut self, now: Timestamp, key: &CourseKey, news: &News<'_>) {
        let (has_words, is_known) = match self.rows.get(key) {
            Some((course, _)) => (course.has_words(), true),
            None => (false, false),
        };
        if !is_known && self.rows.len() >= COURSES_MAX {
            self.rows.retain(|_, (_, grown)| grown.millis().saturating_add(COURSE_KEPT_MS) > now.millis());
            if self.rows.len() >= COURSES_MAX
                && let Some(oldest) = self.rows.iter().min_by_key(|(_, (_, grown))| *grown).map(|(key, _)| key.clone())
            {
                self.rows.remove(&oldest);
            }
        }
        let brings_words = matches!(news, News::Returned(_)) && !has_words;
        if brings_words && self.rows.values().filter(|(course, _)| course.has_words()).count() >= COURSES_WITH_WORDS_MAX
        {
            let with_words = self.rows.values_mut().filter(|(course, _)| course.has_words());
            if let Some((course, _)) = with_words.min_by_key(|(_, grown)| *grown) {
                Arc::make_mut(course).forget_words();
            }
        }
    }
}

fn later(now: Timestamp, seconds: u64) -> Timestamp {
    Timestamp::from_millis(now.millis().saturating_add(seconds.saturating_mul(1000)))
}

impl ApprovalStore for MemoryStore {
    fn request(&self, now: Timestamp, request: &ApprovalRequest) -> Result<Approval, StoreError> {
        let mut approvals = locked(&self.approvals)?;
        let key = request.binding.key();
        if let Some(known) = approvals.live(now, &key) {
            return Ok(known.clone());
        }
        let waiting = || approvals.rows.values().filter(|(known, _)| known.state == ApprovalState::Pending);
        let of_grant = waiting().filter(|(known, _)| known.request.binding.grant == request.binding.grant).count();
        for (count, max) in [(of_grant, GRANT_PENDING_MAX), (waiting().count(), PENDING_MAX)] {
            if count as u64 >= max {
                return Err(StoreError::TooManyQuestions(max));
            }
        }
        approvals.next += 1;
        let approval = Approval {
            id: format!("a{:06}", approvals.next),
            state: ApprovalState::Pending,
            request: request.clone(),
            created: now,
            expires: later(now, request.ttl_s),
        };
        approvals.rows.insert(approval.id.clone(), (approval.clone(), key));
        Ok(approval)
    }

    fn find(&self, now: Timestamp, key: &str) -> Result<Option<Approval>, StoreError> {
        Ok(locked(&self.approvals)?.live(now, key).cloned())
    }

    fn take(&self, now: Timestamp, key: &str) -> Result<bool, StoreError> {
        let mut approvals = locked(&self.approvals)?;
        match approvals.live(now, key) {
            Some(approval) if approval.state == ApprovalState::Approved => {
                approval.state = ApprovalState::Used;
                approval.request.arguments = None;
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    fn get(&self, now: Timestamp, id: &str) -> Result<Option<Approval>, StoreError> {
        let mut approvals = locked(&self.approvals)?;
        approvals.lapse(now);
        Ok(approvals.rows.get(id).map(|(approval, _)| approval.clone()))
    }

    fn list(&self, now: Timestamp) -> Result<Vec<Approval>, StoreError> {
        let mut approvals = locked(&self.approvals)?;
        approvals.lapse(now);
        Ok(approvals.rows.values().map(|(approval, _)| approval.clone()).collect())
    }

    fn decide(&self, now: Timestamp, id: &str, answer: Answer) -> Result<Answered, StoreError> {
        let mut approvals = locked(&self.approvals)?;
        approvals.lapse(now);
        let Some((approval, _)) = approvals.rows.get_mut(id) else { return Ok(Answered::Unknown) };
        if approval.state != ApprovalState::Pending {
            return Ok(Answered::TooLate(approval.clone()));
        }
        approval.state = match answer {
            Answer::Approve => ApprovalState::Approved,
            Answer::Deny => ApprovalState::Denied,
            Answer::Withdraw => {
                approval.request.arguments = None;
                ApprovalState::Withdrawn
            }
        };
        approval.expires = later(now, approval.request.ttl_s);
        Ok(Answered::Done(approval.clone()))
    }
}
