//! Requests whose answers a client may take up again (`Last-Event-ID`): what was asked under which id, so that the answer
//! that comes then is filtered as what it is, and no other answer passes on such a stream.

use super::seen_tools::Viewer;
use crate::gateway::exchange::Asked;
use crate::mcp::envelope::Id;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Requests of one server that are remembered; the oldest is forgotten first.
pub const RESUMABLE_MAX: usize = 4096;

/// The requests towards one server whose answers came, or are to come, on a stream that can be taken up again.
#[derive(Debug, Default)]
pub struct Resumable(Mutex<ResumableTable>);

#[derive(Debug, Default)]
struct ResumableTable {
    asked: BTreeMap<(Viewer, Id), (u64, Asked)>,
    order: VecDeque<(u64, (Viewer, Id))>,
    next: u64,
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
        table.asked.insert(key.clone(), (number, asked));
        table.order.push_back((number, key));
        while table.order.len() > RESUMABLE_MAX {
            let Some((number, key)) = table.order.pop_front() else { return };
            if table.asked.get(&key).is_some_and(|(kept, _)| *kept == number) {
                table.asked.remove(&key);
            }
        }
    }

    /// What was asked under this id, if its answer may come.
    pub fn asked(&self, viewer: &Viewer, id: &Id) -> Option<Asked> {
        self.lock().asked.get(&(viewer.clone(), id.clone())).map(|(_, asked)| asked.once_more())
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
        assert!(matches!(resumable.asked(&one, &id), Some(Asked::List { first: None })), "which page is not known");
        assert!(resumable.asked(&one, &id).is_some(), "a client may lose it again");
        assert!(resumable.asked(&other, &id).is_none() && resumable.asked(&one, &Id::Integer(2)).is_none());
        resumable.forget(&one, &id);
        assert!(resumable.asked(&one, &id).is_none());
        resumable.keep(&one, &id, Asked::Other);
        resumable.close(&one);
        assert!(resumable.asked(&one, &id).is_none());
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let (resumable, viewer) = (Resumable::default(), Viewer::session(b"one"));
        for number in 0..=RESUMABLE_MAX as i64 {
            resumable.keep(&viewer, &Id::Integer(number), Asked::Other);
        }
        assert!(resumable.asked(&viewer, &Id::Integer(0)).is_none());
        assert!(resumable.asked(&viewer, &Id::Integer(1)).is_some());
    }
}
