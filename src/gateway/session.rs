//! One session over stdio: two threads move lines, a third looks after everything that takes time.
//!
//! Blocking threads and plain pipes: a call costs two wake-ups and four system calls, which is what the cheapest
//! possible proxy costs too.

use super::answers::Answers;
use super::framing::{Batch, BatchReader};
use super::mediate::{Effects, Mediator};
use super::outbox::Outbox;
use super::remote;
use super::reply;
use super::upstream::{Launch, Upstream, pipes, send_first};
use super::watch::Watch;
use crate::clock;
use crate::mcp::ConnectError;
use crate::mcp::child::ServerProcess;
use crate::mcp::envelope::MESSAGE_BYTES_MAX;
use crate::mcp::target::HttpTarget;
use std::fs::File;
use std::io::Read;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often time is looked at: overdue calls, deferred log lines, the policy's file.
const TICK: Duration = Duration::from_secs(1);
/// The same while a call waits for a person.
const TICK_WAITING: Duration = Duration::from_millis(100);
/// From the first to the second start of a server that died; doubles with each further one.
const RESTART_BACKOFF: Duration = Duration::from_millis(250);
/// The longest pause between two starts.
const RESTART_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long a server that was started again may take for the handshake.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the last answers may take to reach a client that has closed its end.
const LAST_WRITE: Duration = Duration::from_secs(2);
/// How long a server that has closed its output may take to end by itself.
const EXIT_GRACE: Duration = Duration::from_millis(500);
/// Between two looks whether it has.
const EXIT_LOOK_EVERY: Duration = Duration::from_millis(5);
/// Threads that may hold the server's end at the same time, those of the session included.
const SENDERS_MAX: usize = 16;
/// Ticks in a row in which the server takes nothing before we look whether the client is still there.
const STUCK_TICKS: u32 = 3;

/// What a session is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client has closed its end.
    ClientClosed,
    /// The server of this generation has closed its end.
    ServerClosed(u64),
    /// A server that was started again has taken up the session.
    Replayed(u64),
    /// The operating system asks us to end; the number of the signal.
    Signal(i32),
    /// Something has changed in the folder of the policy.
    PolicyTouched,
}

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
    /// How long calls in flight may take to end when we are asked to.
    pub drain: Duration,
}

/// A session that runs.
#[derive(Debug)]
pub struct Session {
    mediator: Arc<Mediator>,
    upstream: Arc<Upstream>,
    outbox: Outbox,
    launch: Option<Launch>,
    lifetime: Lifetime,
    events: Receiver<Event>,
    sender: Sender<Event>,
    process: Option<ServerProcess>,
    generation: u64,
    input: File,
    stuck: u32,
}

impl Session {
    /// Starts moving lines between a client and a server that was just started.
    ///
    /// # Errors
    /// A thread cannot be started, or the server's pipes are taken.
    pub fn start(
        mediator: Arc<Mediator>,
        (input, output): (File, File),
        launch: Launch,
        mut process: ServerProcess,
        lifetime: Lifetime,
    ) -> std::io::Result<Self> {
        let (sender, events) = channel();
        let upstream = Arc::new(Upstream::starting());
        let outbox = Outbox::new(output);
        let (stdin, stdout) = pipes(&mut process).map_err(std::io::Error::other)?;
        upstream.open(stdin);
        let session = Self {
            mediator,
            upstream,
            outbox,
            launch: Some(launch),
            lifetime,
            events,
            sender,
            process: Some(process),
            generation: 0,
            input,
            stuck: 0,
        };
        session.read_server(stdout)?;
        session.read_client(session.input.try_clone()?)?;
        Ok(session)
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
        let (upstream, outbox) = (Arc::new(Upstream::starting()), Outbox::new(output));
        upstream.connect(remote::start(target, Arc::clone(&mediator), outbox.clone(), sender.clone())?);
        let session = Self {
            mediator,
            upstream,
            outbox,
            launch: None,
            lifetime: Lifetime { restarts: 0, drain },
            events,
            sender,
            process: None,
            generation: 0,
            input,
            stuck: 0,
        };
        let cannot = |error: std::io::Error| ConnectError::BadTarget(error.to_string());
        session.read_client(session.input.try_clone().map_err(cannot)?).map_err(cannot)?;
        Ok(session)
    }

    /// Where events from outside go.
    pub fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    fn read_client(&self, input: File) -> std::io::Result<()> {
        let (mediator, upstream) = (Arc::clone(&self.mediator), Arc::clone(&self.upstream));
        let (outbox, sender) = (self.outbox.clone(), self.sender.clone());
        let work = move || {
            let mut reader = BatchReader::new(input, MESSAGE_BYTES_MAX);
            loop {
                let (effects, last) = match reader.next_batch() {
                    Ok(Batch::Lines(lines)) => (mediator.from_client(lines, clock::now()), false),
                    Ok(Batch::TooLong(skeleton)) => (mediator.too_long_from_client(&skeleton, clock::now()), false),
                    // The last message may lack its line break: half of one is never a whole object.
                    Ok(Batch::End(rest)) => (mediator.from_client(rest, clock::now()), true),
                    Err(_) => break,
                };
                deliver(&mediator, &upstream, &outbox, &effects);
                if last {
                    break;
                }
            }
            // Nobody listens any more if this fails.
            let _ = sender.send(Event::ClientClosed);
        };
        std::thread::Builder::new().name("from-client".to_owned()).spawn(work).map(drop)
    }

    fn read_server(&self, stdout: impl Read + Send + 'static) -> std::io::Result<()> {
        let (mediator, upstream) = (Arc::clone(&self.mediator), Arc::clone(&self.upstream));
        let (outbox, sender, generation) = (self.outbox.clone(), self.sender.clone(), self.generation);
        let work = move || {
            let mut reader = BatchReader::new(stdout, MESSAGE_BYTES_MAX);
            loop {
                let (answers, last) = match reader.next_batch() {
                    Ok(Batch::Lines(lines)) => (mediator.from_server(lines, clock::now()), false),
                    Ok(Batch::TooLong(skeleton)) => (mediator.too_long_from_server(&skeleton, clock::now()), false),
                    Ok(Batch::End(rest)) => (mediator.from_server(rest, clock::now()), true),
                    Err(_) => break,
                };
                let replayed = answers.replayed;
                if replayed {
                    // Only the thread that holds the pipe back may write to it now; it also sends `initialized`.
                    let _ = sender.send(Event::Replayed(generation));
                }
                outbox.write(&answers.effects.to_client);
                if !replayed {
                    let to_server = Effects { to_server: answers.effects.to_server, to_client: Vec::new() };
                    deliver_elsewhere(&mediator, &upstream, &outbox, to_server);
                }
                mediator.log_ended(clock::now());
                if last {
                    break;
                }
            }
            let _ = sender.send(Event::ServerClosed(generation));
        };
        std::thread::Builder::new().name("from-server".to_owned()).spawn(work).map(drop)
    }

    /// Runs until one side is gone or a signal comes.
    pub fn run(mut self, mut reload: Option<Watch>) -> End {
        let mut starts = 0;
        let tick =
            self.mediator.settings.call_timeout.map_or(TICK, |timeout| TICK.min(timeout / 4)).max(TICK_WAITING / 5);
        let mut due = Instant::now() + tick;
        let end = loop {
            let wait = if self.mediator.waits_for_people() { tick.min(TICK_WAITING) } else { tick };
            due = due.min(Instant::now() + wait);
            match self.events.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(Event::ClientClosed) | Err(RecvTimeoutError::Disconnected) => break End::Client,
                Ok(Event::Signal(signal)) => break End::Signal(signal),
                Ok(Event::PolicyTouched) => self.reload(reload.as_mut()),
                Ok(Event::ServerClosed(generation)) if generation == self.generation => {
                    let how = self.bury();
                    if starts >= self.lifetime.restarts {
                        break End::Server(how);
                    }
                    if let Err(how) = self.restart(&mut starts) {
                        break End::Server(how);
                    }
                }
                Ok(Event::ServerClosed(_) | Event::Replayed(_)) => {}
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
        let Answers { effects, .. } = self.mediator.tick(clock::now());
        self.mediator.log_ended(clock::now());
        deliver_elsewhere(&self.mediator, &self.upstream, &self.outbox, effects);
    }

    /// Whether the client has gone while the thread that reads from it waits for the server to take something: that
    /// thread cannot see it.
    fn is_deserted(&mut self) -> bool {
        self.stuck = if self.upstream.is_busy() { self.stuck + 1 } else { 0 };
        self.stuck >= STUCK_TICKS && is_hung_up(&self.input)
    }

    fn reload(&self, reload: Option<&mut Watch>) {
        let Some(reload) = reload else { return };
        if reload.look(&self.mediator, clock::now()) {
            let mut line = Vec::new();
            reply::list_changed(&mut line);
            self.outbox.post(&line);
        }
    }

    fn answer(&self, answers: Answers) {
        deliver_elsewhere(&self.mediator, &self.upstream, &self.outbox, answers.effects);
        self.mediator.log_ended(clock::now());
    }

    /// The server is gone: says so to everybody who waits for it.
    fn bury(&mut self) -> String {
        // Its output is closed; it may take a moment to end. Once it is reaped nobody can tell any more how it did.
        let until = Instant::now() + EXIT_GRACE;
        let mut how = self.process.as_mut().and_then(ServerProcess::exit_status);
        while how.is_none() && Instant::now() < until {
            std::thread::sleep(EXIT_LOOK_EVERY);
            how = self.process.as_mut().and_then(ServerProcess::exit_status);
        }
        // What is left of its group is ended, so that nobody can be waiting for it to read.
        self.end_process();
        if self.lifetime.restarts > 0 {
            self.upstream.suspend();
        } else {
            self.upstream.close();
        }
        let how = how.unwrap_or_else(|| "closed its output".to_owned());
        let now = clock::now();
        self.mediator.audit().event(now, "upstream_exit", &self.mediator.whose(), |line| line.text("how", &how));
        self.mediator.notice(&format!("the server {how}"));
        self.answer(self.mediator.upstream_gone(&format!("the server {how}")));
        how
    }

    /// Starts the server again until it takes up the session, or the starts are used up. Calls that were in flight have
    /// been answered with errors: nobody knows whether they took effect, so none is sent twice.
    fn restart(&mut self, starts: &mut u32) -> Result<(), String> {
        let mut how = String::new();
        while *starts < self.lifetime.restarts {
            let pause = RESTART_BACKOFF.saturating_mul(1 << (*starts).min(16)).min(RESTART_BACKOFF_MAX);
            *starts += 1;
            let until = Instant::now() + pause;
            while let Ok(event) = self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                if let Event::ClientClosed | Event::Signal(_) = event {
                    // For the loop that called us.
                    let _ = self.sender.send(event);
                    self.upstream.close();
                    return Ok(());
                }
            }
            self.generation += 1;
            self.mediator.notice(&format!("starting the server again ({starts} of {})", self.lifetime.restarts));
            match self.start_again() {
                Ok(stdin) => {
                    let (now, count) = (clock::now(), u64::from(*starts));
                    self.mediator
                        .audit()
                        .event(now, "upstream_restart", &self.mediator.whose(), |line| line.number("count", count));
                    self.upstream.open(stdin);
                    let mut line = Vec::new();
                    // It may have other tools now.
                    reply::list_changed(&mut line);
                    self.outbox.post(&line);
                    return Ok(());
                }
                Err(error) => how = error,
            }
        }
        self.upstream.close();
        Err(how)
    }

    fn start_again(&mut self) -> Result<ChildStdin, String> {
        let launch = self.launch.as_ref().ok_or("there is no command to start")?;
        let mut process = launch.start().map_err(|error| error.to_string())?;
        let (mut stdin, stdout) = pipes(&mut process).map_err(|error| error.to_string())?;
        self.process = Some(process);
        self.read_server(stdout).map_err(|error| error.to_string())?;
        let Some(shipment) = self.mediator.replay() else { return Ok(stdin) };
        send_first(&mut stdin, &shipment).map_err(|error| error.to_string())?;
        let deadline = Instant::now() + REPLAY_TIMEOUT;
        loop {
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Replayed(generation)) if generation == self.generation => break,
                Ok(Event::ServerClosed(generation)) if generation == self.generation => {
                    self.answer(self.mediator.upstream_gone("the server is gone"));
                    return Err("ended during the handshake".to_owned());
                }
                Ok(event @ (Event::ClientClosed | Event::Signal(_))) => {
                    let _ = self.sender.send(event);
                    return Ok(stdin);
                }
                Ok(_) => {}
                Err(_) => return Err("did not answer the handshake".to_owned()),
            }
        }
        let initialized = self.mediator.initialized_again();
        send_first(&mut stdin, &initialized).map_err(|error| error.to_string())?;
        Ok(stdin)
    }

    fn end_process(&mut self) {
        if let Some(process) = &mut self.process {
            process.end();
        }
    }

    /// Ends everything in order, within bounds of time.
    fn wind_up(&mut self, end: &End) {
        let deadline = Instant::now() + self.lifetime.drain;
        let mut server_gone = matches!(end, End::Server(_));
        if matches!(end, End::Client) {
            // A client that says all it has to say and closes gets its answers: the server must hear of calls that wait
            // for a list before it hears that nothing more comes.
            let waits = |mediator: &Mediator| mediator.awaits_list() || mediator.at_server() > 0;
            let parked = self.mediator.awaits_list();
            while parked && waits(&self.mediator) && !self.until_event(deadline, &mut server_gone) {}
        }
        // Nobody looks whether a person answers from now on.
        self.answer(self.mediator.deserted("the gateway has ended"));
        if matches!(end, End::Signal(_)) {
            // Calls in flight may end first.
            while self.mediator.at_server() > 0 && !self.until_event(deadline, &mut server_gone) {}
        }
        // The server hears that nothing more comes, and may answer what it has.
        if self.upstream.is_busy() {
            self.end_process();
        }
        self.upstream.close();
        while !server_gone && self.mediator.at_server() > 0 && !self.until_event(deadline, &mut server_gone) {}
        self.end_process();
        if !server_gone {
            // Its pipe is closed now, so its reader ends after the last line.
            let last = Instant::now() + LAST_WRITE;
            while !server_gone && !self.until_event(last, &mut server_gone) {}
        }
        self.answer(self.mediator.upstream_gone("the gateway has ended"));
        let (outbox, (sender, written)) = (self.outbox.clone(), channel());
        let flush = move || {
            outbox.write(&[]);
            let _ = sender.send(());
        };
        if std::thread::Builder::new().spawn(flush).is_ok() {
            // A client that does not read its last answers cannot keep us.
            let _ = written.recv_timeout(LAST_WRITE);
        }
        let now = clock::now();
        self.mediator.settle(now);
        let why = match end {
            End::Client => "client closed",
            End::Server(_) => "server gone",
            End::Signal(_) => "signal",
        };
        self.mediator.audit().event(now, "stop", &self.mediator.whose(), |line| line.text("why", why));
        if let Err(error) = self.mediator.audit().tick() {
            self.mediator.notice(&format!("cannot write the audit log: {error}"));
        }
    }

    /// Waits a little for something to happen. Answers whether waiting is over: the time is up, or a second signal came.
    fn until_event(&self, deadline: Instant, server_gone: &mut bool) -> bool {
        let wait = deadline.saturating_duration_since(Instant::now()).min(TICK_WAITING);
        match self.events.recv_timeout(wait) {
            Ok(Event::ServerClosed(generation)) if generation == self.generation => {
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

/// Delivers, on a thread of its own what is for the server: a server that does not read must stop neither the clock nor
/// the thread that reads what it writes, or both would wait for each other.
fn deliver_elsewhere(mediator: &Arc<Mediator>, upstream: &Arc<Upstream>, outbox: &Outbox, effects: Effects) {
    // A server that asks without end and never reads stops itself in the end, and does not collect threads.
    if effects.to_server.is_empty() || Arc::strong_count(upstream) > SENDERS_MAX {
        deliver(mediator, upstream, outbox, &effects);
        return;
    }
    let (owned, upstream, outbox) = (Arc::clone(mediator), Arc::clone(upstream), outbox.clone());
    let work = move || deliver(&owned, &upstream, &outbox, &effects);
    if let Err(error) = std::thread::Builder::new().name("to-server".to_owned()).spawn(work) {
        mediator.notice(&format!("cannot start a thread: {error}"));
    }
}

fn deliver(mediator: &Mediator, upstream: &Upstream, outbox: &Outbox, effects: &Effects) {
    let sent = upstream.send(&effects.to_server);
    outbox.post(&effects.to_client);
    if sent.is_err() {
        // Whoever waits for what could not be sent must not wait for ever.
        let answers = mediator.upstream_gone("the server is gone");
        outbox.post(&answers.effects.to_client);
        mediator.log_ended(clock::now());
    }
}
