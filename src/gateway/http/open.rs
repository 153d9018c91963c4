//! Clients' requests that are open towards one server behind a URL: within a session an id stands for one request, and
//! `notifications/cancelled` finds the request that it withdraws, wherever that is on its way.

use super::seen_tools::Viewer;
use crate::mcp::envelope::Id;
use futures_util::task::AtomicWaker;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// A request's phase: not sent yet.
const WAITING: u8 = 0;
/// A request's phase: sent, or about to be.
const SENT: u8 = 1;
/// A request's phase: withdrawn by the client.
const WITHDRAWN: u8 = 2;

/// The phase of one request, shared by the task that serves it and the one that withdraws it.
#[derive(Debug, Default)]
pub struct Stand {
    phase: AtomicU8,
    /// The server was told of a withdrawal that may be this request's, by an id that is not open here.
    is_doubtful: AtomicBool,
    /// The task that waits for a withdrawal.
    waits: AtomicWaker,
}

impl Stand {
    /// Marks the request as sent. False if it must not be sent, since the client has withdrawn it.
    pub fn leaves(&self) -> bool {
        self.phase.compare_exchange(WAITING, SENT, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Whether the client has withdrawn the request.
    pub fn is_withdrawn(&self) -> bool {
        self.phase.load(Ordering::Acquire) == WITHDRAWN
    }

    /// Whether the client has withdrawn the request, or may have.
    pub fn may_be_withdrawn(&self) -> bool {
        self.is_withdrawn() || self.is_doubtful.load(Ordering::Acquire)
    }

    /// Waits until the client withdraws the request. For one task at a time: the withdrawal wakes the one that looked
    /// last.
    pub async fn withdrawn(&self) {
        poll_fn(|context| {
            self.waits.register(context.waker());
            // Looked at after the registration, so that no withdrawal falls between the two.
            if self.is_withdrawn() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// What a request is known by; the number sets it apart. Clients without a session cannot be told from others of their
/// grant, so one id may be open several times there.
type OpenKey = (Viewer, Id, u64);

/// The table of requests that are open towards one server.
#[derive(Debug, Default)]
pub struct Open(Mutex<OpenTable>);

#[derive(Debug, Default)]
struct OpenTable {
    requests: BTreeMap<OpenKey, Arc<Stand>>,
    next: u64,
}

/// A request's entry in the table; dropping it closes the request.
#[derive(Debug)]
pub struct OpenRequest {
    table: Arc<Open>,
    key: OpenKey,
    stand: Arc<Stand>,
}

impl OpenRequest {
    /// The request's phase.
    pub fn stand(&self) -> Arc<Stand> {
        Arc::clone(&self.stand)
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.table.lock().requests.remove(&self.key);
    }
}

impl OpenTable {
    fn of(&self, viewer: &Viewer, id: &Id) -> impl Iterator<Item = &Arc<Stand>> {
        let all = (viewer.clone(), id.clone(), 0)..=(viewer.clone(), id.clone(), u64::MAX);
        self.requests.range(all).map(|(_, stand)| stand)
    }
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, OpenTable> {
        // The table is consistent between any two statements, so one that a panic left behind can be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a request. `None` if its session has one open with this id: their answers could not be told apart.
    pub fn begin(self: &Arc<Self>, viewer: &Viewer, id: &Id) -> Option<OpenRequest> {
        let mut table = self.lock();
        if matches!(viewer, Viewer::Session(_)) && table.of(viewer, id).next().is_some() {
            return None;
        }
        table.next += 1;
        let (key, stand) = ((viewer.clone(), id.clone(), table.next), Arc::<Stand>::default());
        table.requests.insert(key.clone(), Arc::clone(&stand));
        drop(table);
        Some(OpenRequest { table: Arc::clone(self), key, stand })
    }

    /// Marks the client's requests with this id as withdrawn. Returns whether the server is to hear of it: not if none
    /// was sent; but for an id that is not open here, since another gateway may have sent that request.
    pub fn withdraw(&self, viewer: &Viewer, id: &Id) -> bool {
        let table = self.lock();
        let stands: Vec<Arc<Stand>> = table.of(viewer, id).cloned().collect();
        if stands.is_empty() {
            // A server that reads ids loosely may take it for one of these.
            let of_viewer = table.requests.iter().filter(|((open, ..), _)| open == viewer);
            of_viewer.for_each(|(_, stand)| stand.is_doubtful.store(true, Ordering::Release));
        }
        drop(table);
        let mut must_hear = stands.is_empty();
        for stand in stands {
            must_hear |= stand.phase.swap(WITHDRAWN, Ordering::AcqRel) == SENT;
            stand.waits.wake();
        }
        must_hear
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;

    #[tokio::test]
    async fn an_id_stands_for_one_request_of_a_session_until_it_is_over() {
        let (open, id) = (Arc::<Open>::default(), Id::Integer(1));
        let (one, other) = (Viewer::session(b"one"), Viewer::session(b"other"));
        let first = open.begin(&one, &id).unwrap();
        assert!(open.begin(&one, &id).is_none());
        assert!(open.begin(&other, &id).is_some() && open.begin(&one, &Id::Text("1".into())).is_some());
        drop(first);
        assert!(open.begin(&one, &id).is_some());
        let grant = Viewer::Grant("alice".into());
        let several = [open.begin(&grant, &id).unwrap(), open.begin(&grant, &id).unwrap()];
        assert!(!open.withdraw(&grant, &id), "neither was sent");
        for request in &several {
            request.stand().withdrawn().await;
            assert!(!request.stand().leaves());
        }
        drop(several);
        assert!(open.lock().requests.is_empty());
    }

    #[tokio::test]
    async fn a_server_hears_of_the_withdrawal_of_what_it_may_know() {
        let (open, id, viewer) = (Arc::<Open>::default(), Id::Integer(1), Viewer::session(b"one"));
        assert!(open.withdraw(&viewer, &id), "another gateway may have sent it");
        let request = open.begin(&viewer, &id).unwrap();
        assert!(request.stand().leaves());
        assert!(open.withdraw(&viewer, &id));
        request.stand().withdrawn().await;
    }
}
