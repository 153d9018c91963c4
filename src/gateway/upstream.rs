//! The server's end: a process or a URL that takes shipments, with one write for what arrived together.

use super::server_stderr::limited;
use super::shipment::{Shipment, Unsent};
use crate::mcp::child::ServerProcess;
use crate::mcp::tail::Tail;
use crate::mcp::target::StdioTarget;
use crate::mcp::{ConnectError, Home};
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a server is started.
#[derive(Clone)]
pub struct Launch {
    /// The command.
    pub target: StdioTarget,
    /// A binary of ours that ends the server with us; `None` in tests.
    pub launcher: Option<PathBuf>,
    /// Takes each line of the server's standard error, up to a bound a second.
    pub stderr: Arc<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Launch {
    /// Starts the server.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self) -> Result<ServerProcess, ConnectError> {
        let stderr = Tail::echoing(limited(Arc::clone(&self.stderr)));
        ServerProcess::spawn_with(&self.target, self.launcher.as_deref(), Home::Real, stderr)
    }
}

/// Where shipments go.
#[derive(Debug)]
pub struct Upstream {
    state: Mutex<State>,
    /// Threads that wait for room in the queue to a server behind a URL.
    queueing: AtomicUsize,
}

#[derive(Debug)]
enum State {
    Open(ChildStdin),
    Remote(super::remote::Lines),
    Absent,
    Closed,
}

impl Upstream {
    /// A server that is not there yet.
    pub fn absent() -> Self {
        Self { state: Mutex::new(State::Absent), queueing: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server takes shipments from now on.
    pub fn open(&self, stdin: ChildStdin) {
        *self.lock() = State::Open(stdin);
    }

    /// A server behind a URL takes shipments from now on.
    pub fn connect(&self, lines: super::remote::Lines) {
        *self.lock() = State::Remote(lines);
    }

    /// The server is gone, but will be started again.
    pub fn suspend(&self) {
        *self.lock() = State::Absent;
    }

    /// Whether a thread is sending at this moment.
    pub fn is_busy(&self) -> bool {
        matches!(self.state.try_lock(), Err(std::sync::TryLockError::WouldBlock))
            || self.queueing.load(Ordering::Relaxed) > 0
    }

    /// Closes the server's standard input, which asks it to end; nothing is taken any more.
    pub fn close(&self) {
        *self.lock() = State::Closed;
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
            State::Open(stdin) => stdin.write_all(shipment.bytes()).map_err(|_| Unsent::Gone),
            State::Remote(lines) => {
                // Whoever wants to close must not wait for room in the queue.
                let lines = lines.clone();
                drop(state);
                self.queueing.fetch_add(1, Ordering::Relaxed);
                let mut each = shipment.lines();
                let sent = each.try_for_each(|line| lines.blocking_send(line.to_vec())).map_err(|_| Unsent::Gone);
                self.queueing.fetch_sub(1, Ordering::Relaxed);
                sent
            }
            State::Closed => Err(Unsent::Gone),
            State::Absent => Err(Unsent::Absent),
        }
    }
}

/// Sends the first lines to a server that was started again, before any other thread can send.
///
/// # Errors
/// It is gone already.
pub fn send_first(stdin: &mut ChildStdin, shipment: &Shipment) -> Result<(), Unsent> {
    stdin.write_all(shipment.bytes()).map_err(|_| Unsent::Gone)
}

/// The pipes of a process that was just started.
///
/// # Errors
/// They are taken already.
pub fn pipes(process: &mut ServerProcess) -> Result<(ChildStdin, ChildStdout), Unsent> {
    Ok((process.take_stdin().ok_or(Unsent::Gone)?, process.take_stdout().ok_or(Unsent::Gone)?))
}
