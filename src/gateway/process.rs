//! A server's process over its whole life: started, read to its end, buried, and started again with the handshake that
//! it missed. One runner serves the one server of a session over stdio and every child behind HTTP.
//!
//! A thread lives here for as long as the server does, and only it waits: for the server to speak, to end, to be started
//! again, to answer the handshake. What clients want meanwhile is held back by the mediator (`absence`), so that neither
//! the clients' thread nor the clock's stands still.

use super::answers::Answers;
use super::mediate::{Effects, Mediator};
use super::reply;
use super::said::Said;
use super::server_stderr::limited;
use super::shipment::Shipment;
use super::upstream::Upstream;
use crate::clock;
use crate::mcp::child::ServerProcess;
use crate::mcp::envelope::MESSAGE_BYTES_MAX;
use crate::mcp::framing::{Batch, BatchReader};
use crate::mcp::supervise::launcher;
use crate::mcp::tail::Tail;
use crate::mcp::target::StdioTarget;
use crate::mcp::{ConnectError, Home};
use std::fmt;
use std::io::Write as _;
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// From the first to the second start of a server that died; doubles with each further one.
const RESTART_BACKOFF: Duration = Duration::from_millis(250);
/// The longest pause between two starts.
const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long a server that was started again may take for the handshake before it counts as dead.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(60);
/// How long a server that has closed its output may take to end by itself.
const EXIT_GRACE: Duration = Duration::from_millis(500);

/// How a server is started.
#[derive(Clone)]
pub struct Launch {
    /// The command.
    pub target: StdioTarget,
    /// Takes each line of the server's standard error, up to a bound a second.
    pub stderr: Arc<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Launch {
    fn start(&self) -> Result<(ServerProcess, ChildStdin, ChildStdout), ConnectError> {
        let stderr = Tail::echoing(limited(Arc::clone(&self.stderr)));
        let mut process = ServerProcess::spawn_with(&self.target, launcher().as_deref(), Home::Real, stderr)?;
        let (stdin, stdout) = process.take_pipes()?;
        Ok((process, stdin, stdout))
    }
}

/// Whose server it is: where its lines go.
pub trait Owner {
    /// What its lines go through.
    fn mediator(&self) -> &Mediator;
    /// Hands lines to the clients. May wait for them: then the server waits too, as it would without a gateway.
    fn to_client(&self, lines: &[u8]);
    /// Hands lines to the server. Must not wait for it, or the two would wait for each other.
    fn to_server(&self, shipment: Shipment);
    /// The server has said something.
    fn heard(&self) {}
    /// The server has ended by itself; says how. The operator and the log know.
    fn died(&self, _how: &str) {}
    /// The server has ended, for good or to be started again; those that wait for it are answered next.
    fn ended(&self, for_good: bool);
}

/// A server's process.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    /// How often it is started again at most.
    restarts: u32,
    upstream: Arc<Upstream>,
    life: Mutex<Life>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Life {
    running: Option<ServerProcess>,
    /// When it counts as dead, if it has not answered the handshake by then.
    silent_until: Option<Instant>,
    /// It was ended because it has not.
    was_silent: bool,
    /// It is not started again any more.
    is_ending: bool,
}

impl Process {
    /// Starts a server; the second half is its output, for [`Process::live`]. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(launch: Launch, restarts: u32, upstream: Arc<Upstream>) -> Result<(Self, ChildStdout), ConnectError> {
        let (process, stdin, stdout) = launch.start()?;
        upstream.open(stdin);
        let life = Mutex::new(Life { running: Some(process), ..Life::default() });
        Ok((Self { launch, restarts, upstream, life, changed: Condvar::new() }, stdout))
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where lines for the server go.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Reads from the server until it is gone for good; how it ended, in words.
    pub fn live(&self, stdout: ChildStdout, owner: &impl Owner) -> String {
        let (mut next, mut starts, mut how) = (Some((stdout, None)), 0, String::new());
        while let Some((stdout, held)) = next.take() {
            self.read(stdout, held, starts, owner);
            let is_over = starts >= self.restarts || self.life().is_ending;
            if !is_over {
                owner.mediator().server_absent();
            }
            // What is left of its group is ended, so that no thread waits for it to read.
            how = self.bury();
            if is_over {
                self.upstream.close()
            } else {
                self.upstream.suspend()
            }
            if !self.life().is_ending {
                owner
                    .mediator()
                    .audit()
                    .event(clock::now(), "upstream_exit", &owner.mediator().whose(), |line| line.text("how", &how));
                owner.mediator().notice(Said::warning(format!("the server {how}")));
                owner.died(&how);
            }
            // A client that hears of it and asks again must not hear once more of this end.
            owner.ended(is_over);
            answer(owner, owner.mediator().upstream_gone(&format!("the server {how}")));
            if !is_over {
                next = self.start_again(&mut starts, owner, &mut how);
            }
        }
        self.upstream.close();
        owner.ended(true);
        answer(owner, owner.mediator().server_given_up(&format!("the server {how}")));
        how
    }

    /// Starts the server again until that works, or the starts are used up. Calls that were in flight have been answered
    /// with errors: they may have taken effect, so none is sent twice.
    fn start_again(
        &self,
        starts: &mut u32,
        owner: &impl Owner,
        how: &mut String,
    ) -> Option<(ChildStdout, Option<ChildStdin>)> {
        while *starts < self.restarts && !self.pause(*starts) {
            *starts += 1;
            owner.mediator().notice(Said::info(format!("starting the server again ({starts} of {})", self.restarts)));
            let (process, mut stdin, stdout) = match self.launch.start() {
                Ok(started) => started,
                Err(error) => {
                    *how = format!("cannot be started again: {error}");
                    owner.mediator().notice(Said::error(format!("the server {how}")));
                    continue;
                }
            };
            let replay = owner.mediator().replay();
            {
                let mut life = self.life();
                if life.is_ending {
                    drop(life);
                    drop(process);
                    break;
                }
                life.running = Some(process);
                life.silent_until = replay.is_some().then(|| Instant::now() + HANDSHAKE_WAIT);
            }
            let Some(shipment) = replay else {
                self.took_up(stdin, *starts, owner);
                return Some((stdout, None));
            };
            // If it is gone already, the end of its output says so. No other line may be written before the handshake is
            // over.
            let _ = stdin.write_all(shipment.bytes());
            return Some((stdout, Some(stdin)));
        }
        None
    }

    /// Waits before a further start. Answers whether there is to be none any more.
    fn pause(&self, starts: u32) -> bool {
        let pause = RESTART_BACKOFF.saturating_mul(1 << starts.min(16)).min(RESTART_BACKOFF_MAX);
        let waited = self.changed.wait_timeout_while(self.life(), pause, |life| !life.is_ending);
        waited.map_or(true, |(life, _)| life.is_ending)
    }

    fn read(&self, stdout: ChildStdout, mut held: Option<ChildStdin>, starts: u32, owner: &impl Owner) {
        let (mut reader, mediator) = (BatchReader::new(stdout, MESSAGE_BYTES_MAX), owner.mediator());
        loop {
            let (answers, last) = match reader.next_batch() {
                Ok(Batch::Lines(lines)) => {
                    owner.heard();
                    (mediator.from_server(lines, clock::now()), false)
                }
                Ok(Batch::Outgrown) => continue,
                Ok(Batch::TooLong(skeleton)) => (mediator.too_long_from_server(&skeleton, clock::now()), false),
                Ok(Batch::End(rest)) => (mediator.from_server(rest, clock::now()), true),
                Err(_) => return,
            };
            if answers.replayed
                && let Some(mut stdin) = held.take()
                && stdin.write_all(mediator.initialized_again().bytes()).is_ok()
            {
                self.took_up(stdin, starts, owner);
            }
            answer(owner, answers);
            if last {
                return;
            }
        }
    }

    /// A server that was started again has taken up the session.
    fn took_up(&self, stdin: ChildStdin, starts: u32, owner: &impl Owner) {
        self.life().silent_until = None;
        let (now, count) = (clock::now(), u64::from(starts));
        owner
            .mediator()
            .audit()
            .event(now, "upstream_restart", &owner.mediator().whose(), |line| line.number("count", count));
        self.upstream.open(stdin);
        let mut line = Vec::new();
        // It may have other tools now.
        reply::list_changed(&mut line);
        owner.to_client(&line);
        deliver(owner, owner.mediator().server_present(now));
    }

    /// The server's output is closed: how it ended, in words.
    fn bury(&self) -> String {
        let (process, was_silent) = {
            let mut life = self.life();
            life.silent_until = None;
            (life.running.take(), std::mem::take(&mut life.was_silent))
        };
        if was_silent {
            return "did not answer the handshake".to_owned();
        }
        let Some(mut process) = process else { return "was ended".to_owned() };
        let how = process.how_it_ended(EXIT_GRACE);
        process.end();
        how
    }

    /// What time brings: a server that does not answer the handshake is ended. Does not block.
    pub fn tick(&self) {
        let silent = {
            let mut life = self.life();
            if life.silent_until.is_none_or(|until| Instant::now() < until) {
                return;
            }
            (life.silent_until, life.was_silent) = (None, true);
            life.running.take()
        };
        let Some(mut process) = silent else { return };
        // Without a thread of its own it is ended all the same when it is dropped, only less patiently.
        let _ = std::thread::Builder::new().name("end-server".to_owned()).spawn(move || process.end());
    }

    /// The server is not started again any more.
    pub fn begin_to_end(&self) {
        self.life().is_ending = true;
        self.changed.notify_all();
    }

    /// Ends the process, which is not started again. Blocks until it is gone, for a few seconds at most.
    pub fn end(&self) {
        self.begin_to_end();
        // A thread that waits for the server to read holds its end; then the server hears a signal instead.
        if !self.upstream.is_busy() {
            self.upstream.close();
        }
        let running = self.life().running.take();
        if let Some(mut process) = running {
            process.end();
        }
    }
}

fn answer(owner: &impl Owner, answers: Answers) {
    deliver(owner, answers.effects);
    owner.mediator().log_ended(clock::now());
}

fn deliver(owner: &impl Owner, Effects { to_server, to_client }: Effects) {
    owner.to_client(&to_client);
    if !to_server.is_empty() {
        owner.to_server(to_server);
    }
}
