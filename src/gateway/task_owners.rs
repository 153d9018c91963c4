//! Which server handed a task out, for a client of several: messages name it by its id alone.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tasks that one table remembers; the oldest is forgotten for the next.
pub const TASKS_MAX: usize = 4096;
/// Longest id of a task that is remembered, in bytes.
pub const TASK_ID_BYTES_MAX: usize = 1024;

/// Whose a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskOwner {
    /// That of the server of this name.
    One(String),
    /// Two have the same id; which one is meant cannot be told.
    Several,
}

/// Which server handed out which task.
#[derive(Debug, Default)]
pub struct TaskOwners(Mutex<TaskTable>);

#[derive(Debug, Default)]
struct TaskTable {
    owners: HashMap<Box<str>, TaskOwner>,
    order: VecDeque<Box<str>>,
}

impl TaskOwners {
    fn table(&self) -> MutexGuard<'_, TaskTable> {
        // The table is valid between any two statements, so one that a panic left behind can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a task is that of the server with this name. Answers whether it is that server's alone.
    pub fn learn(&self, task: &str, owner: &str) -> bool {
        if task.len() > TASK_ID_BYTES_MAX {
            return true;
        }
        let mut table = self.table();
        if let Some(known) = table.owners.get_mut(task) {
            if matches!(known, TaskOwner::One(name) if name != owner) {
                *known = TaskOwner::Several;
            }
            return *known != TaskOwner::Several;
        }
        if table.order.len() >= TASKS_MAX
            && let Some(oldest) = table.order.pop_front()
        {
            table.owners.remove(&oldest);
        }
        table.order.push_back(task.into());
        table.owners.insert(task.into(), TaskOwner::One(owner.to_owned()));
        true
    }

    /// Whose a task is, if that is remembered.
    pub fn of(&self, task: &str) -> Option<TaskOwner> {
        self.table().owners.get(task).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_two_servers_is_nobodys() {
        let owners = TaskOwners::default();
        assert!(owners.learn("a", "one") && owners.learn("a", "one") && owners.learn("b", "two"));
        assert_eq!(owners.of("a"), Some(TaskOwner::One("one".to_owned())));
        assert!(!owners.learn("a", "two") && !owners.learn("a", "one"));
        assert_eq!(owners.of("a"), Some(TaskOwner::Several));
        assert_eq!(owners.of("c"), None);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let owners = TaskOwners::default();
        for number in 0..TASKS_MAX {
            owners.learn(&number.to_string(), "one");
        }
        assert!(owners.of("0").is_some());
        owners.learn("x", "one");
        assert!(owners.of("0").is_none() && owners.of("1").is_some());
        let long = "x".repeat(TASK_ID_BYTES_MAX + 1);
        owners.learn(&long, "one");
        assert_eq!(owners.of(&long), None);
        owners.learn(&long[1..], "one");
        assert!(owners.of(&long[1..]).is_some());
    }
}
