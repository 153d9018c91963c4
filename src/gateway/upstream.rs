//! The server's end: a process or a URL that takes shipments, with one write for what arrived together.

use super::pipe_writer::PipeWriter;
use super::shipment::{Shipment, Unsent};
use std::fs::File;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::error::TrySendError;

/// Where shipments go.
#[derive(Debug)]
pub struct Upstream {
    state: Mutex<UpstreamState>,
    /// Threads that wait for room in the queue to a server behind a URL.
    queueing: AtomicUsize,
}

#[derive(Debug)]
enum UpstreamState {
    Open(PipeWriter),
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
        *self.lock() = UpstreamState::Open(PipeWriter::new(file_of(stdin)));
    }

    /// A server behind a URL takes shipments from now on.
    pub fn connect(&self, lines: super::remote::Lines) {
        *self.lock() = UpstreamState::Remote(lines);
    }

    /// The server is gone, but will be started again.
    pub fn suspend(&self) {
        *self.lock() = UpstreamState::Absent;
    }

    /// Whether something waits for the server to take it.
    pub fn is_busy(&self) -> bool {
        let waits = match &*self.lock() {
            UpstreamState::Open(writer) => writer.is_waiting(),
            UpstreamState::Remote(_) | UpstreamState::Absent | UpstreamState::Closed => false,
        };
        waits || self.queueing.load(Ordering::Relaxed) > 0
    }

    /// Closes the server's standard input, which asks it to end; nothing is taken any more. What waits already holds a
    /// command's input open until the command takes it or ends.
    pub fn close(&self) {
        *self.lock() = UpstreamState::Closed;
    }

    /// Sends everything, to a command with one write where it reads. What a command does not read waits; where too much
    /// does, this blocks, and never for a server that is not there.
    ///
    /// # Errors
    /// The server is not there.
    pub fn send(&self, shipment: &Shipment) -> Result<(), Unsent> {
        if shipment.is_empty() {
            return Ok(());
        }
        let state = self.lock();
        match &*state {
            UpstreamState::Open(writer) => {
                let writer = writer.clone();
                drop(state);
                writer.post(shipment.bytes());
                if writer.is_gone() { Err(Unsent::Gone) } else { Ok(()) }
            }
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

    /// Sends as [`Self::send`] does, and never blocks.
    ///
    /// # Errors
    /// The server is not there, or does not take what it is sent.
    pub fn try_send(&self, shipment: &Shipment) -> Result<(), Unsent> {
        let state = self.lock();
        match &*state {
            _ if shipment.is_empty() => Ok(()),
            UpstreamState::Open(writer) => {
                let writer = writer.clone();
                drop(state);
                match writer.try_post(shipment.bytes()) {
                    true if writer.is_gone() => Err(Unsent::Gone),
                    true => Ok(()),
                    false => Err(Unsent::Busy),
                }
            }
            UpstreamState::Remote(lines) => {
                let places = lines.try_reserve_many(shipment.lines().count()).map_err(|refused| match refused {
                    TrySendError::Full(()) => Unsent::Busy,
                    TrySendError::Closed(()) => Unsent::Gone,
                })?;
                places.zip(shipment.lines()).for_each(|(place, line)| place.send(line.to_vec()));
                Ok(())
            }
            UpstreamState::Closed => Err(Unsent::Gone),
            UpstreamState::Absent => Err(Unsent::Absent),
        }
    }

    /// Whether the server is behind a URL.
    pub fn is_url(&self) -> bool {
        matches!(&*self.lock(), UpstreamState::Remote(_))
    }
}

#[cfg(unix)]
fn file_of(stdin: ChildStdin) -> File {
    File::from(std::os::fd::OwnedFd::from(stdin))
}

#[cfg(windows)]
fn file_of(stdin: ChildStdin) -> File {
    File::from(std::os::windows::io::OwnedHandle::from(stdin))
}
