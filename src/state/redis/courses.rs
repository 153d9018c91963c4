//! What sessions have called and pledged, in Redis: a key each. It is read, added to here, and put in place of what was
//! read, unless another gateway was faster; then once more.

use super::RedisStore;
use super::connection::Repeat;
use crate::clock::Timestamp;
use crate::policy::{COURSE_KEPT_MS, Course, CourseKey, CourseStore, News, StoreError};
use redis::Script;
use std::sync::{Arc, LazyLock};

static REPLACE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("replace_course.lua")));

/// How often another gateway may be faster before the call is refused.
const TRIES_MAX: usize = 64;

impl CourseStore for RedisStore {
    fn course(&self, _: Timestamp, key: &CourseKey) -> Result<Arc<Course>, StoreError> {
        self.read(key).map(|(course, _)| Arc::new(course))
    }

    fn grow(&self, now: Timestamp, key: &CourseKey, news: &News<'_>) -> Result<Arc<Course>, StoreError> {
        for _ in 0..TRIES_MAX {
            let (mut course, held) = self.read(key)?;
            if !course.grow(now, key.lapses(), news) {
                return Ok(Arc::new(course));
            }
            let mut script = REPLACE.prepare_invoke();
            script.key(self.course_key(key)).arg(held).arg(course.to_bytes()).arg(COURSE_KEPT_MS);
            // Put in place twice is put in place: the second time it is another's, and nothing is lost by trying again.
            match self.pool.run::<i64>(Repeat::Safe, &script)? {
                0 => {}
                1 => return Ok(Arc::new(course)),
                _ => return Err(self.odd()),
            }
        }
        let address = self.pool.address();
        Err(StoreError::Unavailable(format!(
            "`{address}`: what is kept of a session changes faster than it can be added to"
        )))
    }
}

impl RedisStore {
    fn course_key(&self, key: &CourseKey) -> String {
        self.key(&format!("course:{}", key.text()))
    }

    /// A course, and the bytes that it was read from.
    fn read(&self, key: &CourseKey) -> Result<(Course, Vec<u8>), StoreError> {
        let name = self.course_key(key);
        let held: Option<Vec<u8>> =
            self.pool.with(Repeat::Safe, |connection| redis::cmd("GET").arg(&name).query(connection))?;
        match held {
            None => Ok((Course::default(), Vec::new())),
            Some(held) => Ok((Course::parse(&held)?, held)),
        }
    }
}
