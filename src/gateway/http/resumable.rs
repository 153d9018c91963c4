//! Requests whose answers a client may take up again (`Last-Event-ID`): what was asked under which id, so that the answer
//! that comes then is filtered as what it is, and no other answer passes on such a stream. A request has one answer: what
//! comes once more after a stream was lost is the answer that came before, to the byte.

use super::seen_tools::Viewer;
use crate::gateway::exchange::Asked;
use crate::mcp::envelope::Id;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Requests of one server that are remembered; the oldest is forgotten first.
pub const RESUMABLE_MAX: usize = 4096;

/// The requests towards one server whose answers came, or are to come, on a stream that can be taken up again.
#[derive(Debug, Default)]
pub struct Resumable(Mutex<ResumableTable>);

#[derive(Debug, Default)]
struct ResumableTable {
    asked: BTreeMap<(Viewer, Id), ResumableRequest>,
    order: VecDeque<(u64, (Viewer, Id))>,
    next: u64,
}

#[derive(Debug)]
struct ResumableRequest {
    number: u64,
    asked: Asked,
    /// SHA-256 of the answer that has come.
    answer: Option<[u8; 32]>,
}

impl Resumable {
    fn lock(&self) -> MutexGuard<'_, ResumableTable> {
        // The table is consistent between any two statements, so one that a panic left behind can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to this request may be taken up again.
    pub fn keep(&self, viewer: &Viewer, id: &Id, asked: Asked) {
        let mut table = self.lock();
        table.next += 1;
        let (number, key) = (table.next, (viewer.clone(), id.clone()));
        table.asked.insert(key.clone(), ResumableRequest { number, asked, answer: None });
        table.order.push_back((number, key));
        while table.order.len() > RESUMABLE_MAX {
            let Some((number, key)) = table.order.pop_front() else { return };
            if table.asked.get(&key).is_some_and(|kept| kept.number == number) {
                table.asked.remove(&key);
            }
        }
    }

    /// What was asked under this id, if this may be its answer, as the server wrote it: the first, or the same once more.
    pub fn answered(&self, viewer: &Viewer, id: &Id, answer: &[u8]) -> Option<Asked> {
        let mut table = self.lock();
        let kept = table.asked.get_mut(&(viewer.clone(), id.clone()))?;
        let digest = Sha256::digest(answer).into();
        (*kept.answer.get_or_insert(digest) == digest).then(|| kept.asked.once_more())
    }

    /// The id stands for another request from now on.
    pub fn forget(&self, viewer: &Viewer, id: &Id) {
        let mut table = self.lock();
        // Most tables are empty, and a look at one must cost nothing.
        if !table.asked.is_empty() {
            table.asked.remove(&(viewer.clone(), id.clone()));
        }
    }

    /// A session is over.
    pub fn close(&self, viewer: &Viewer) {
        self.lock().asked.retain(|(of, _), _| of != viewer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_up_by_whom_it_is_for_until_its_id_is_used_again() {
        let (resumable, id) = (Resumable::default(), Id::Integer(1));
        let (one, other) = (Viewer::session(b"one"), Viewer::session(b"other"));
        resumable.keep(&one, &id, Asked::List { first: Some(7) });
        let answered = |viewer: &Viewer, id: &Id| resumable.answered(viewer, id, b"yes");
        assert!(matches!(answered(&one, &id), Some(Asked::List { first: None })), "which page is not known");
        assert!(answered(&one, &id).is_some(), "a client may lose it again");
        assert!(resumable.answered(&one, &id, b"no").is_none(), "a second answer is another");
        assert!(answered(&other, &id).is_none() && answered(&one, &Id::Integer(2)).is_none());
        resumable.forget(&one, &id);
        assert!(answered(&one, &id).is_none());
        resumable.keep(&one, &id, Asked::Other);
        resumable.close(&one);
        assert!(answered(&one, &id).is_none());
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let (resumable, viewer) = (Resumable::default(), Viewer::session(b"one"));
        for number in 0..=RESUMABLE_MAX as i64 {
            resumable.keep(&viewer, &Id::Integer(number), Asked::Other);
        }
        assert!(resumable.answered(&viewer, &Id::Integer(0), b"yes").is_none());
        assert!(resumable.answered(&viewer, &Id::Integer(1), b"yes").is_some());
    }
}
