//! The course of a session, as far as flows and pledges need it: which kinds of tools were called, hashes of what they
//! returned, and what the session has pledged. It only ever grows, so two gateways that add to it come to one state.

use super::WITHIN_SECONDS_MAX;
use super::pledge::Pledge;
use super::seen::SeenWords;
use crate::clock::Timestamp;
use crate::store::{StoreError, hex};
use crate::word::{Word, Words};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long the course of a session is kept after it last grew, in milliseconds: 30 days.
pub const COURSE_KEPT_MS: u64 = 30 * 86_400_000;
/// How far the stored time of a grant's last call may lag behind, in milliseconds.
const STEP_MS: u64 = 1000;
/// The same of a session's: what is renewed more seldom would be forgotten while the session goes on.
const SESSION_STEP_MS: u64 = 86_400_000;

/// Whose course it is: a session's, or that of a grant where there are no sessions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CourseKey {
    hash: [u8; 32],
    lapses: bool,
}

impl CourseKey {
    /// The course of a grant's session, or of the grant.
    pub fn of(session: Option<&str>, grant: &str) -> Self {
        // A name may hold anything but NUL in its first place; lengths keep one part from passing for another.
        let text = match session {
            Some(session) => format!("session\0{}\0{grant}{session}", grant.len()),
            None => format!("grant\0{grant}"),
        };
        Self { hash: Sha256::digest(text.as_bytes()).into(), lapses: session.is_none() }
    }

    /// The course of a session of one server.
    pub fn of_server(server: &str, session: &str, grant: &str) -> Self {
        // Lengths keep one part from passing for another.
        let text = format!("of server\0{}\0{}\0{server}{grant}{session}", server.len(), grant.len());
        Self { hash: Sha256::digest(text.as_bytes()).into(), lapses: false }
    }

    /// 64 hexadecimal digits.
    pub fn text(&self) -> String {
        hex(&self.hash)
    }

    /// Whether calls in it count for a time only, as a grant has no end.
    pub fn lapses(&self) -> bool {
        self.lapses
    }

    /// The course as it is at a moment.
    pub fn at<'c>(&self, course: &'c Course, now: Timestamp) -> CourseAt<'c> {
        CourseAt { course, lapses: self.lapses.then_some(now) }
    }
}

/// What is remembered of sessions.
pub trait CourseStore: Send + Sync {
    /// The course of a session; an empty one if nothing is remembered.
    ///
    /// # Errors
    /// The store cannot be used.
    fn course(&self, now: Timestamp, key: &CourseKey) -> Result<Arc<Course>, StoreError>;

    /// Adds to the course of a session, and answers what it is now.
    ///
    /// # Errors
    /// The store cannot be used; then nothing was added.
    fn grow(&self, now: Timestamp, key: &CourseKey, news: &News<'_>) -> Result<Arc<Course>, StoreError>;
}

/// A call that flows speak of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// When the first such call was made, in milliseconds since 1970.
    pub first: u64,
    /// When the last one was, to a second where calls count for a time only, else to a day.
    pub last: u64,
}

/// What is remembered of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Course {
    /// The calls by the words of their tools.
    marks: BTreeMap<Word, Mark>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pledge: Option<Pledge>,
    #[serde(skip)]
    seen: Option<SeenWords>,
}

/// What is added to a course.
#[derive(Clone, Debug)]
pub enum News<'n> {
    /// A call of a tool with these words goes on.
    Called {
        /// What flows speak of.
        words: Words,
        /// The server.
        server: &'n str,
        /// The tool.
        tool: &'n str,
    },
    /// A tool has returned this.
    Returned(&'n SeenWords),
    /// The session calls nothing but this from now on.
    Pledged(&'n Pledge),
}

/// A course at a moment.
#[derive(Clone, Copy, Debug)]
pub struct CourseAt<'c> {
    /// The course.
    pub course: &'c Course,
    /// The time, if calls count for a time only.
    lapses: Option<Timestamp>,
}

impl CourseAt<'_> {
    /// The call that counts for this word.
    pub(crate) fn mark(&self, word: Word, within_s: u64) -> Option<&Mark> {
        let mark = self.course.marks.get(&word)?;
        let counts = self.lapses.is_none_or(|now| now.millis().saturating_sub(mark.last) < within_s * 1000);
        counts.then_some(mark)
    }
}

impl Course {
    /// What the session has pledged, if anything.
    pub fn pledge(&self) -> Option<&Pledge> {
        self.pledge.as_ref()
    }

    /// The calls that flows speak of, by the words of their tools.
    pub fn marks(&self) -> impl Iterator<Item = (Word, &Mark)> {
        self.marks.iter().map(|(word, mark)| (*word, mark))
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.pledge.is_none() && self.seen.is_none()
    }

    /// Whether a value of four characters or more stood in what tools with one of these words have returned.
    pub(crate) fn has_seen(&self, words: Words, value: &str) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.has(words, value))
    }

    /// Whether hashes of answers are kept, which take room.
    pub(crate) fn has_words(&self) -> bool {
        self.seen.as_ref().is_some_and(SeenWords::takes_room)
    }

    /// Forgets hashes of answers: every value counts as seen from now on.
    pub(crate) fn forget_words(&mut self) {
        self.seen = Some(SeenWords::everything());
    }

    /// Adds news; whether anything is different now.
    pub fn grow(&mut self, now: Timestamp, lapses: bool, news: &News<'_>) -> bool {
        match news {
            News::Called { words, server, tool } => {
                if lapses && self.marks.values().all(|mark| is_over(mark.last, now)) {
                    self.seen = None;
                }
                let mut grew = false;
                for word in words.iter() {
                    grew |= self.mark(word, now, lapses, server, tool);
                }
                grew
            }
            News::Returned(words) => match &mut self.seen {
                Some(seen) => seen.join(words),
                None => {
                    self.seen = Some((*words).clone());
                    true
                }
            },
            News::Pledged(pledge) => match &mut self.pledge {
                Some(known) => known.narrow(pledge),
                None => {
                    self.pledge = Some((*pledge).clone());
                    true
                }
            },
        }
    }

    fn mark(&mut self, word: Word, now: Timestamp, lapses: bool, server: &str, tool: &str) -> bool {
        let at = now.millis();
        let step = if lapses { STEP_MS } else { SESSION_STEP_MS };
        match self.marks.get_mut(&word) {
            Some(known) if at < known.last.saturating_add(step) => false,
            Some(known) if !lapses || !is_over(known.last, now) => {
                known.last = at;
                true
            }
            Some(_) | None => {
                let mark = Mark { server: server.to_owned(), tool: tool.to_owned(), first: at, last: at };
                self.marks.insert(word, mark);
                true
            }
        }
    }

    /// As a store keeps it: one line of JSON, and what follows are hashes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Every part is a text, a number or a word: printing cannot fail.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(self.seen.as_ref().map_or(&[], SeenWords::bytes));
        bytes
    }

    /// Reads [`Self::to_bytes`].
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged("what is kept of a session cannot be read".to_owned());
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
        let (line, seen) = (&bytes[..end], &bytes[end + 1..]);
        let mut course: Self = serde_json::from_slice(line).map_err(|_| damaged())?;
        course.seen = if seen.is_empty() { None } else { Some(SeenWords::parse(seen).ok_or_else(damaged)?) };
        Ok(course)
    }
}

/// Whether no flow counts a call of this time any more.
fn is_over(last: u64, now: Timestamp) -> bool {
    last.saturating_add(u64::from(WITHIN_SECONDS_MAX) * 1000) <= now.millis()
}
