//! Tasks in Redis: a key each, which holds the one grant that has begun it, or that several have.

use super::RedisStore;
use super::connection::Repeat;
use crate::clock::Timestamp;
use crate::policy::StoreError;
use crate::state::tasks::{Claim, GRANT_TASKS_MAX, TASK_KEPT_MS, TaskKey, TaskStore};
use redis::Script;
use std::sync::LazyLock;

static BEGIN: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("prelude.lua"), include_str!("begin_task.lua"))));

/// What stands for a task that several grants have begun.
const SEVERAL: &str = "several";

impl RedisStore {
    pub(super) fn task_key(&self, task: &TaskKey) -> String {
        self.key(&format!("task:{}", task.as_str()))
    }
}

impl TaskStore for RedisStore {
    fn begin(&self, now: Timestamp, task: &TaskKey, grant: &str) -> Result<(), StoreError> {
        self.note(now, task, grant, "").map(drop)
    }

    fn claim(&self, now: Timestamp, key: &TaskKey, grant: &str, how: Claim) -> Result<bool, StoreError> {
        let how = match how {
            Claim::Given => "given",
            Claim::Named => "named",
        };
        self.note(now, key, grant, how)
    }

    fn are_of(&self, _: Timestamp, tasks: &[TaskKey], grant: &str) -> Result<Vec<bool>, StoreError> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = tasks.iter().map(|task| self.task_key(task)).collect();
        let held: Vec<Option<String>> =
            self.pool.with(Repeat::Safe, |connection| redis::cmd("MGET").arg(&keys).query(connection))?;
        if held.len() != tasks.len() {
            return Err(self.odd());
        }
        let own = held.iter().map(|held| match held.as_deref() {
            None | Some(SEVERAL) => Ok(false),
            Some(held) => held.strip_prefix("one ").map(|owner| owner == grant).ok_or_else(|| self.odd()),
        });
        own.collect()
    }
}

impl RedisStore {
    fn note(&self, now: Timestamp, task: &TaskKey, grant: &str, how: &str) -> Result<bool, StoreError> {
        let mut script = BEGIN.prepare_invoke();
        script.key(self.clock_key()).key(self.task_key(task)).key(self.key(&format!("tasks-of:{grant}")));
        script.arg(self.given(now)).arg(grant).arg(task.as_str()).arg(self.key("task:"));
        script.arg(TASK_KEPT_MS).arg(GRANT_TASKS_MAX).arg(how);
        // Noted twice is noted.
        match self.pool.run::<i64>(Repeat::Safe, &script)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.odd()),
        }
    }
}
