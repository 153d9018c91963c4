//! Which server handed out a task: the client names tasks by their ids alone.

use crate::gateway::mediate::lock;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

/// Tasks that are remembered for one session, or for the requests without session of one grant; the oldest is forgotten
/// for the next, and found again by asking.
pub(super) const TASKS_MAX: usize = 4096;
/// Longest id of a task that is remembered, in bytes.
pub(super) const TASK_ID_BYTES_MAX: usize = 1024;

/// Whose a task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskOwner {
    /// One server's.
    Server(String),
    /// Two servers have handed out the same id; which one is meant cannot be told.
    Several,
}

/// Whose the tasks are.
#[derive(Debug, Default)]
pub(super) struct TaskOwners(Mutex<TaskTable>);

#[derive(Debug, Default)]
struct TaskTable {
    owners: HashMap<Box<str>, TaskOwner>,
    order: VecDeque<Box<str>>,
}

impl TaskOwners {
    /// A server has named a task as its own. Answers whether it is.
    pub(super) fn learn(&self, task: &str, server: &str) -> bool {
        if task.len() > TASK_ID_BYTES_MAX {
            return true;
        }
        let mut table = lock(&self.0);
        if let Some(owner) = table.owners.get_mut(task) {
            if matches!(owner, TaskOwner::Server(known) if known != server) {
                *owner = TaskOwner::Several;
            }
            return *owner != TaskOwner::Several;
        }
        if table.order.len() >= TASKS_MAX
            && let Some(oldest) = table.order.pop_front()
        {
            table.owners.remove(&oldest);
        }
        table.order.push_back(task.into());
        table.owners.insert(task.into(), TaskOwner::Server(server.to_owned()));
        true
    }

    /// Whose a task is, if that is remembered.
    pub(super) fn of(&self, task: &str) -> Option<TaskOwner> {
        lock(&self.0).owners.get(task).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_two_servers_is_nobodys() {
        let owners = TaskOwners::default();
        assert!(owners.learn("a", "one") && owners.learn("a", "one") && owners.learn("b", "two"));
        assert_eq!(owners.of("a"), Some(TaskOwner::Server("one".to_owned())));
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
