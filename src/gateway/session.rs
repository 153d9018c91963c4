//! One session over stdio: a thread for the client's lines, one for the life of the server (`process`), and the caller's
//! for everything that takes time.
//!
//! Blocking threads and plain pipes: a call costs two wake-ups and four system calls, which is what the cheapest
//! possible proxy costs too.

use super::answers::Answers;
use super::event::Event;
use super::mediate::{Effects, Mediator};
use super::pipe_writer::PipeWriter;
use super::process::{Launch, Owner, Process};
use super::remote;
use super::reply;
use super::said::Said;
use super::shipment::{Shipment, Unsent};
use super::upstream::Upstream;
use super::watch::Watch;
use crate::clock;
use crate::mcp::ConnectError;
use crate::mcp::envelope::MESSAGE_BYTES_MAX;
use crate::mcp::framing::{Batch, BatchReader};
use crate::mcp::target::HttpTarget;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often time is looked at: overdue calls, deferred log lines, the policy's file.
const TICK: Duration = Duration::from_secs(1);
/// How often time is looked at while a call waits for a person.
const TICK_WAITING: Duration = Duration::from_millis(100);
/// How long the last answers may take to reach a client that has closed its end.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// Threads that may hold the end of a server behind a URL at the same time, those of the session included.
const SENDERS_MAX: usize = 16;
/// Ticks in a row in which the server takes nothing before the gateway looks whether the client is still there.
const STUCK_TICKS: u32 = 3;

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The client closed its end.
    Client,
    /// The server is gone; how, in words.
    Server(String),
    /// A signal.
    Signal(i32),
}

/// Limits of a session's life.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// How often a server that died is started again.
    pub restarts: u32,
    /// How long calls in flight may take to end when the gateway is asked to.
    pub drain: Duration,
}

/// A session that runs.
#[derive(Debug)]
pub struct Session {
    ends: Ends,
    /// None for a server behind a URL.
    process: Option<Arc<Process>>,
    drain: Duration,
    events: Receiver<Event>,
    sender: Sender<Event>,
    input: File,
    stuck: u32,
}

/// What lies between the two ends; clones share it.
#[derive(Clone, Debug)]
struct Ends {
    mediator: Arc<Mediator>,
    upstream: Arc<Upstream>,
    client_writer: PipeWriter,
}

impl Session {
    /// Starts a server, and moves lines between it and a client.
    ///
    /// # Errors
    /// The server or a thread cannot be started.
    pub fn start(
        mediator: Arc<Mediator>,
        (input, output): (File, File),
        launch: Launch,
        lifetime: Lifetime,
    ) -> Result<Self, ConnectError> {
        let (sender, events) = channel();
        let ends = Ends { mediator, upstream: Arc::new(Upstream::absent()), client_writer: PipeWriter::new(output) };
        let (process, stdout) = Process::start(launch, lifetime.restarts, Arc::clone(&ends.upstream))?;
        let process = Arc::new(process);
        let (runs, owner, tell) = (Arc::clone(&process), ends.clone(), sender.clone());
        let live = move || {
            let how = runs.live(stdout, &owner);
            // The session is over if this fails.
            let _ = tell.send(Event::ServerClosed(how));
        };
        std::thread::Builder::new().name("from-server".to_owned()).spawn(live).map_err(cannot)?;
        Self { ends, process: Some(process), drain: lifetime.drain, events, sender, input, stuck: 0 }.begun()
    }

    /// Starts moving lines between a client and a server behind a URL.
    ///
    /// # Errors
    /// The URL cannot be used, or a thread cannot be started.
    pub fn connect(
        mediator: Arc<Mediator>,
        (input, output): (File, File),
        target: &HttpTarget,
        drain: Duration,
    ) -> Result<Self, ConnectError> {
        let (sender, events) = channel();
        let ends = Ends { mediator, upstream: Arc::new(Upstream::absent()), client_writer: PipeWriter::new(output) };
        let (mediator, client_writer) = (Arc::clone(&ends.mediator), ends.client_writer.clone());
        ends.upstream.connect(remote::start(target, mediator, client_writer, sender.clone())?);
        Self { ends, process: None, drain, events, sender, input, stuck: 0 }.begun()
    }

    fn begun(self) -> Result<Self, ConnectError> {
        let (input, ends, sender) = (self.input.try_clone().map_err(cannot)?, self.ends.clone(), self.sender.clone());
        let work = move || {
            ends.read_client(input);
            // The session is over if this fails.
            let _ = sender.send(Event::ClientClosed);
        };
        std::thread::Builder::new().name("from-client".to_owned()).spawn(work).map_err(cannot)?;
        Ok(self)
    }

    /// Where events from outside go.
    pub fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Runs until one side is gone or a signal comes.
    pub fn run(mut self, mut reload: Option<Watch>) -> End {
        let timeout = self.ends.mediator.settings.call_timeout;
        let tick = timeout.map_or(TICK, |timeout| TICK.min(timeout / 4)).max(TICK_WAITING / 5);
        let mut due = Instant::now() + tick;
        let end = loop {
            let wait = if self.ends.mediator.waits_for_people() { tick.min(TICK_WAITING) } else { tick };
            due = due.min(Instant::now() + wait);
            match self.events.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Event::ClientClosed) | Err(RecvTimeoutError::Disconnected) => break End::Client,
                Ok(Event::Signal(signal)) => break End::Signal(signal),
                Ok(Event::PolicyTouched) => self.reload(reload.as_mut()),
                Ok(Event::ServerClosed(how)) => break End::Server(how),
                Err(RecvTimeoutError::Timeout) => {
                    due = Instant::now() + tick;
                    self.reload(reload.as_mut());
                    self.tick();
                    if self.is_deserted() {
                        break End::Client;
                    }
                }
            }
        };
        self.wind_up(&end);
        end
    }

    fn tick(&self) {
        if let Some(process) = &self.process {
            process.tick();
        }
        self.answer(self.ends.mediator.tick(clock::now()));
    }

    /// Whether the client has gone while the thread that reads from it waits for the server to take something: that
    /// thread cannot see it.
    fn is_deserted(&mut self) -> bool {
        self.stuck = if self.ends.upstream.is_busy() { self.stuck + 1 } else { 0 };
        self.stuck >= STUCK_TICKS && is_hung_up(&self.input)
    }

    fn reload(&self, reload: Option<&mut Watch>) {
        let Some(reload) = reload else { return };
        if reload.look(&self.ends.mediator, clock::now()) {
            let mut line = Vec::new();
            reply::list_changed(&mut line);
            self.ends.client_writer.post(&line);
        }
    }

    fn answer(&self, answers: Answers) {
        self.ends.deliver_at_once(answers.effects);
        self.ends.mediator.log_ended(clock::now());
    }

    fn end_process(&self) {
        if let Some(process) = &self.process {
            process.end();
        }
    }

    /// Ends everything in order, within bounds of time.
    fn wind_up(&mut self, end: &End) {
        let (deadline, mediator) = (Instant::now() + self.drain, Arc::clone(&self.ends.mediator));
        let mut server_gone = matches!(end, End::Server(_));
        if matches!(end, End::Client) {
            // A client that says all it has to say and closes gets its answers: the server must hear of calls that wait
            // for a list, or for it to be there again, before it hears that nothing more comes.
            let is_parked = || mediator.awaits_list() || mediator.holds_back();
            let parked = is_parked();
            let waits = || is_parked() || mediator.at_server() > 0;
            while parked && waits() && !self.until_event(deadline, &mut server_gone) {}
        }
        if let Some(process) = &self.process {
            process.begin_to_end();
        }
        // Answers of people are not looked for from now on.
        self.answer(mediator.deserted("the gateway has ended"));
        if matches!(end, End::Signal(_)) {
            // Calls in flight may end first.
            while mediator.at_server() > 0 && !self.until_event(deadline, &mut server_gone) {}
        }
        // The server hears that nothing more comes, and may answer what it has: once it has read what waits for it.
        let reads = !matches!(end, End::Signal(_));
        while reads && !server_gone && self.ends.upstream.is_busy() && !self.until_event(deadline, &mut server_gone) {}
        if self.ends.upstream.is_busy() {
            self.end_process();
        }
        self.ends.upstream.close();
        while !server_gone && mediator.at_server() > 0 && !self.until_event(deadline, &mut server_gone) {}
        self.end_process();
        if !server_gone {
            // Its pipe is closed now, so its reader ends after the last line.
            let last = Instant::now() + LAST_WRITE;
            while !server_gone && !self.until_event(last, &mut server_gone) {}
        }
        self.answer(mediator.upstream_gone("the gateway has ended"));
        let (client_writer, (sender, written)) = (self.ends.client_writer.clone(), channel());
        let flush = move || {
            client_writer.write(&[]);
            let _ = sender.send(());
        };
        if std::thread::Builder::new().spawn(flush).is_ok() {
            // A client that does not read its last answers cannot keep the gateway.
            let _ = written.recv_timeout(LAST_WRITE);
        }
        let now = clock::now();
        let why = match end {
            End::Client => "client closed",
            End::Server(_) => "server gone",
            End::Signal(_) => "signal",
        };
        mediator.audit().stop(now, &mediator.whose(), why);
        mediator.decider().tick(now);
    }

    /// Waits a little for something to happen. Answers whether waiting is over: the time is up, or a second signal came.
    fn until_event(&self, deadline: Instant, server_gone: &mut bool) -> bool {
        let wait = deadline.saturating_duration_since(Instant::now()).min(TICK_WAITING);
        match self.events.recv_timeout(wait) {
            Ok(Event::ServerClosed(_)) => {
                *server_gone = true;
                true
            }
            Ok(Event::Signal(_)) => true,
            Ok(_) => false,
            Err(_) => Instant::now() >= deadline,
        }
    }
}

#[cfg(unix)]
fn is_hung_up(input: &File) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::new(input, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&now)).is_ok_and(|_| watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

#[cfg(not(unix))]
fn is_hung_up(_input: &File) -> bool {
    false
}

fn cannot(error: std::io::Error) -> ConnectError {
    ConnectError::BadTarget(error.to_string())
}

impl Ends {
    fn read_client(&self, input: File) {
        let mut reader = BatchReader::new(input, MESSAGE_BYTES_MAX);
        loop {
            let (effects, last) = match reader.next_batch() {
                Ok(Batch::Lines(lines)) => (self.mediator.from_client(lines, clock::now()), false),
                Ok(Batch::Outgrown) => continue,
                Ok(Batch::TooLong(skeleton)) => (self.mediator.too_long_from_client(&skeleton, clock::now()), false),
                // The last message may lack its line break: half of one is never a whole object.
                Ok(Batch::End(rest)) => (self.mediator.from_client(rest, clock::now()), true),
                Err(_) => return,
            };
            self.deliver(&effects);
            if last {
                return;
            }
        }
    }

    /// Delivers, and never waits for the server: one that does not read must stop neither the clock nor the thread that
    /// reads what it writes, or both would wait for each other. What the gateway has to say to a server that asks without
    /// end and reads nothing is left out.
    fn deliver_at_once(&self, mut effects: Effects) {
        loop {
            // What is for the client depends on nothing that the server does.
            self.client_writer.post(&effects.to_client);
            let Err(unsent) = self.upstream.try_send(&effects.to_server) else { return };
            if unsent == Unsent::Busy && self.upstream.is_url() && Arc::strong_count(&self.upstream) <= SENDERS_MAX {
                return self.deliver_elsewhere(effects.to_server);
            }
            // What waited for a list that was not sent goes on without it, once.
            effects = self.mediator.not_sent(&effects.to_server, unsent).effects;
            self.mediator.log_ended(clock::now());
        }
    }

    /// Waits, on a thread of its own, for room among the lines for a server behind a URL.
    fn deliver_elsewhere(&self, to_server: Shipment) {
        let ends = self.clone();
        let work = move || ends.deliver(&Effects { to_server, to_client: Vec::new() });
        if let Err(error) = std::thread::Builder::new().name("to-server".to_owned()).spawn(work) {
            self.mediator.notice(Said::error(format!("cannot start a thread: {error}")));
        }
    }

    fn deliver(&self, effects: &Effects) {
        self.client_writer.post(&effects.to_client);
        if let Err(unsent) = self.upstream.send(&effects.to_server) {
            // Nothing may wait for ever for what could not be sent. What waited for a list that was not sent goes on
            // without it, once.
            let answers = self.mediator.not_sent(&effects.to_server, unsent);
            self.deliver(&answers.effects);
            self.mediator.log_ended(clock::now());
        }
    }
}

impl Owner for Ends {
    fn mediator(&self) -> &Mediator {
        &self.mediator
    }

    fn to_client(&self, lines: &[u8]) {
        self.client_writer.write(lines);
    }

    fn to_server(&self, shipment: Shipment) {
        self.deliver_at_once(Effects { to_server: shipment, to_client: Vec::new() });
    }

    fn ended(&self, _for_good: bool) {}
}
