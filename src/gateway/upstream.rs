//! The server's end: a process or a URL that takes shipments, with one write for what arrived together.

use super::shipment::{Shipment, Unsent};
use std::io::Write as _;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where shipments go.
#[derive(Debug)]
pub struct Upstream {
    state: Mutex<UpstreamState>,
    /// Threads that wait for room in the queue to a server behind a URL.
    queueing: AtomicUsize,
}

#[derive(Debug)]
enum UpstreamState {
    Open(ChildStdin),
    Remote(super::remote::Lines),
    Absent,
    Closed,
}

impl Upstream {
    /// A server that is not there yet.
    pub fn absent() -> Self {
        Self { state: Mutex::new(UpstreamState::Absent), queueing: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, UpstreamState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server takes shipments from now on.
    pub fn open(&self, stdin: ChildStdin) {
        *self.lock() = UpstreamState::Open(stdin);
    }

    /// A server behind a URL takes shipments from now on.
    pub fn connect(&self, lines: super::remote::Lines) {
        *self.lock() = UpstreamState::Remote(lines);
    }

    /// The server is gone, but will be started again.
    pub fn suspend(&self) {
        *self.lock() = UpstreamState::Absent;
    }

    /// Whether a thread is sending at this moment.
    pub fn is_busy(&self) -> bool {
        matches!(self.state.try_lock(), Err(std::sync::TryLockError::WouldBlock))
            || self.queueing.load(Ordering::Relaxed) > 0
    }

    /// Closes the server's standard input, which asks it to end; nothing is taken any more.
    pub fn close(&self) {
        *self.lock() = UpstreamState::Closed;
    }

    /// Sends everything with one write. Blocks while the server does not read, as it would without a gateway, and never
    /// for one that is not there.
    ///
    /// # Errors
    /// The server is not there.
    pub fn send(&self, shipment: &Shipment) -> Result<(), Unsent> {
        if shipment.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        match &mut *state {
            UpstreamState::Open(stdin) => stdin.write_all(shipment.bytes()).map_err(|_| Unsent::Gone),
            UpstreamState::Remote(lines) => {
                // What closes the upstream must not wait for room in the queue.
                let lines = lines.clone();
                drop(state);
                self.queueing.fetch_add(1, Ordering::Relaxed);
                let mut each = shipment.lines();
                let sent = each.try_for_each(|line| lines.blocking_send(line.to_vec())).map_err(|_| Unsent::Gone);
                self.queueing.fetch_sub(1, Ordering::Relaxed);
                sent
            }
            UpstreamState::Closed => Err(Unsent::Gone),
            UpstreamState::Absent => Err(Unsent::Absent),
        }
    }
}
