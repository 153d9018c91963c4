//! The server's end over stdio: a child process that takes shipments, and can be started again.

use super::shipment::Shipment;
use crate::mcp::child::ServerProcess;
use crate::mcp::tail::Tail;
use crate::mcp::target::StdioTarget;
use crate::mcp::{ConnectError, Home};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The command.
    pub target: StdioTarget,
    /// Our own binary, so that the server ends with us; `None` in tests.
    pub launcher: Option<PathBuf>,
    /// Takes each line of the server's standard error.
    pub stderr: fn(&str),
}

impl Launch {
    /// Starts the server.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self) -> Result<ServerProcess, ConnectError> {
        let stderr = Tail::echoing(self.stderr);
        ServerProcess::spawn_with(&self.target, self.launcher.as_deref(), Home::Real, stderr)
    }
}

/// The server is not there to take anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is gone")]
pub struct Gone;

/// Where shipments go. While a server is being started again, senders wait.
#[derive(Debug)]
pub struct Upstream {
    state: Mutex<State>,
    changed: Condvar,
    /// Threads that wait for room in the queue to a server behind a URL.
    queueing: AtomicUsize,
}

#[derive(Debug)]
enum State {
    Open(ChildStdin),
    Remote(super::remote::Lines),
    Starting,
    Closed,
}

impl Upstream {
    /// A server that is not there yet.
    pub fn starting() -> Self {
        Self { state: Mutex::new(State::Starting), changed: Condvar::new(), queueing: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server takes shipments from now on.
    pub fn open(&self, stdin: ChildStdin) {
        *self.lock() = State::Open(stdin);
        self.changed.notify_all();
    }

    /// A server behind a URL takes shipments from now on.
    pub fn connect(&self, lines: super::remote::Lines) {
        *self.lock() = State::Remote(lines);
        self.changed.notify_all();
    }

    /// The server is gone, but will be started again.
    pub fn suspend(&self) {
        *self.lock() = State::Starting;
    }

    /// Whether somebody is sending at this moment.
    pub fn is_busy(&self) -> bool {
        matches!(self.state.try_lock(), Err(std::sync::TryLockError::WouldBlock))
            || self.queueing.load(Ordering::Relaxed) > 0
    }

    /// Closes the server's standard input, which asks it to end; nothing is taken any more.
    pub fn close(&self) {
        *self.lock() = State::Closed;
        self.changed.notify_all();
    }

    /// Sends everything with one write. Blocks while the server does not read, as it would without a gateway.
    ///
    /// # Errors
    /// The server is gone.
    pub fn send(&self, shipment: &Shipment) -> Result<(), Gone> {
        if shipment.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        loop {
            match &mut *state {
                State::Open(stdin) => return stdin.write_all(shipment.bytes()).map_err(|_| Gone),
                State::Remote(lines) => {
                    // Whoever wants to close must not wait for room in the queue.
                    let lines = lines.clone();
                    drop(state);
                    self.queueing.fetch_add(1, Ordering::Relaxed);
                    let mut each = shipment.bytes().split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                    let sent = each.try_for_each(|line| lines.blocking_send(line.to_vec())).map_err(|_| Gone);
                    self.queueing.fetch_sub(1, Ordering::Relaxed);
                    return sent;
                }
                State::Closed => return Err(Gone),
                State::Starting => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Sends the first lines to a server that was started again, before anybody else can send.
///
/// # Errors
/// It is gone already.
pub fn send_first(stdin: &mut ChildStdin, shipment: &Shipment) -> Result<(), Gone> {
    stdin.write_all(shipment.bytes()).map_err(|_| Gone)
}

/// The pipes of a process that was just started.
///
/// # Errors
/// Somebody has taken them.
pub fn pipes(process: &mut ServerProcess) -> Result<(ChildStdin, ChildStdout), Gone> {
    Ok((process.take_stdin().ok_or(Gone)?, process.take_stdout().ok_or(Gone)?))
}
