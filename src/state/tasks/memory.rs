//! Tasks in memory.

use super::{Claim, GRANT_TASKS_MAX, TASK_KEPT_MS, TaskKey, TaskStore};
use crate::clock::Timestamp;
use crate::policy::StoreError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};

/// Tasks of all grants together; the oldest is forgotten for the next.
const ALL_TASKS_MAX: usize = 65_536;

/// Tasks that are forgotten with the process.
#[derive(Debug, Default)]
pub struct MemoryTasks(Mutex<TaskRows>);

#[derive(Debug, Default)]
struct TaskRows {
    tasks: HashMap<TaskKey, BegunTask>,
    /// By when they were begun, and a number that tells equal times apart.
    in_order: BTreeMap<(Timestamp, u64), TaskKey>,
    of_grants: HashMap<Box<str>, BTreeSet<(Timestamp, u64)>>,
    last: u64,
}

#[derive(Debug)]
struct BegunTask {
    /// Where it stands in the order.
    place: (Timestamp, u64),
    /// The first grant that began it; none of the others is counted for it.
    grant: Box<str>,
    /// Another grant has begun a task of the same id.
    is_doubtful: bool,
}

impl MemoryTasks {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A thread that panicked while it held the lock may have left half a change: that is damage.
    fn rows(&self) -> Result<MutexGuard<'_, TaskRows>, StoreError> {
        let damaged = |_| StoreError::Damaged("another thread failed while it changed the tasks".to_owned());
        self.0.lock().map_err(damaged)
    }
}

impl TaskRows {
    fn remove(&mut self, task: &TaskKey) -> Option<BegunTask> {
        let known = self.tasks.remove(task)?;
        self.in_order.remove(&known.place);
        if let Some(places) = self.of_grants.get_mut(&known.grant) {
            places.remove(&known.place);
            if places.is_empty() {
                self.of_grants.remove(&known.grant);
            }
        }
        Some(known)
    }

    fn remove_at(&mut self, place: Option<(Timestamp, u64)>) {
        if let Some(task) = place.and_then(|place| self.in_order.get(&place).cloned()) {
            self.remove(&task);
        }
    }

    fn begin(&mut self, now: Timestamp, task: &TaskKey, grant: &str) {
        while let Some((place, _)) = self.in_order.first_key_value().filter(|((at, _), _)| is_over(*at, now)) {
            self.remove_at(Some(*place));
        }
        let known = self.remove(task);
        let is_doubtful = known.as_ref().is_some_and(|known| known.is_doubtful || *known.grant != *grant);
        let grant = known.map_or_else(|| grant.into(), |known| known.grant);
        let places = self.of_grants.get(&grant);
        if let Some(oldest) = places.filter(|places| places.len() >= GRANT_TASKS_MAX).and_then(BTreeSet::first) {
            self.remove_at(Some(*oldest));
        }
        if self.tasks.len() >= ALL_TASKS_MAX {
            self.remove_at(self.in_order.first_key_value().map(|(place, _)| *place));
        }
        self.last += 1;
        let place = (now, self.last);
        self.in_order.insert(place, task.clone());
        self.of_grants.entry(grant.clone()).or_default().insert(place);
        self.tasks.insert(task.clone(), BegunTask { place, grant, is_doubtful });
    }
}

fn is_over(begun: Timestamp, now: Timestamp) -> bool {
    begun.millis().saturating_add(TASK_KEPT_MS) <= now.millis()
}

impl TaskStore for MemoryTasks {
    fn begin(&self, now: Timestamp, task: &TaskKey, grant: &str) -> Result<(), StoreError> {
        self.rows()?.begin(now, task, grant);
        Ok(())
    }

    fn claim(&self, now: Timestamp, key: &TaskKey, grant: &str, how: Claim) -> Result<bool, StoreError> {
        let mut rows = self.rows()?;
        let known = rows.tasks.get(key).filter(|known| !is_over(known.place.0, now));
        let is_others = known.is_some_and(|known| known.is_doubtful || *known.grant != *grant);
        if is_others && how == Claim::Named {
            return Ok(false);
        }
        rows.remove(key);
        rows.begin(now, key, grant);
        Ok(true)
    }

    fn are_of(&self, now: Timestamp, tasks: &[TaskKey], grant: &str) -> Result<Vec<bool>, StoreError> {
        let rows = self.rows()?;
        let is_own = |known: &BegunTask| *known.grant == *grant && !known.is_doubtful && !is_over(known.place.0, now);
        Ok(tasks.iter().map(|task| rows.tasks.get(task).is_some_and(is_own)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[test]
    fn they_keep_the_contract() {
        contract::all(|| ((), MemoryTasks::new()));
        contract::a_task_is_forgotten_in_time(&MemoryTasks::new());
    }
}
