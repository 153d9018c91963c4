//! A stdio server that serves requests of HTTP: one process, and who waits for what of its lines.
//!
//! The lines go through the same mediator as those of a session over stdio, and the process is run as theirs. Two threads
//! move the lines, because pipes block: one writes to the server and one reads from it.

use super::child_routes::{ChildPiece, ClientAsked, Own, Routes};
use super::own_ids;
use crate::clock;
use crate::gateway::answers::Answers;
use crate::gateway::decider::Decider;
use crate::gateway::exchange::CallOutcome;
use crate::gateway::mediate::{Arrived, Effects, Mediator};
use crate::gateway::process::{Launch, Owner, Process};
use crate::gateway::reply;
use crate::gateway::said::Said;
use crate::gateway::shipment::{Shipment, Unsent};
use crate::gateway::upstream::Upstream;
use crate::mcp::ConnectError;
use crate::mcp::envelope::{Arrival, Id, Malformed, Message, admit, receive};
use crate::mcp::target::StdioTarget;
use bytes::Bytes;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Bytes of messages that may wait for a server to read.
pub const SERVER_BYTES_WAITING_MAX: usize = 64 * 1024 * 1024;
/// One process.
pub struct Child {
    mediator: Mediator,
    process: Process,
    routes: Mutex<Routes>,
    /// Whether several clients share it, so that it must wait for none of them.
    is_shared: bool,
    /// What it answered to `initialize`, for further sessions of the same grant.
    greeting: Mutex<Option<Bytes>>,
    initialized: AtomicBool,
    to_server: Mutex<Option<std::sync::mpsc::Sender<Shipment>>>,
    waiting_bytes: AtomicUsize,
    gone: AtomicBool,
    /// Milliseconds since `born` at which it was last used.
    used: AtomicU64,
    born: Instant,
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("mediator", &self.mediator).field("gone", &self.gone).finish_non_exhaustive()
    }
}

/// The server cannot take anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is gone.
    Gone,
    /// It does not read what it has been sent.
    Busy,
}

impl Child {
    /// Starts a server. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        target: StdioTarget,
        restarts: u32,
        mediator: Mediator,
        decider: &Arc<Decider>,
        is_shared: bool,
    ) -> Result<Arc<Self>, ConnectError> {
        let cannot = |error: std::io::Error| ConnectError::BadTarget(format!("the server cannot be used: {error}"));
        let (said, decider) = (target.server.to_string(), Arc::clone(decider));
        let stderr = Arc::new(move |line: &str| decider.notice(&Said::by_server(&*said, line)));
        let launch = Launch { target, stderr };
        let (process, stdout) = Process::start(launch, restarts, Arc::new(Upstream::absent()))?;
        let (sender, shipments) = std::sync::mpsc::channel::<Shipment>();
        let child = Arc::new(Self {
            mediator,
            process,
            routes: Mutex::new(Routes::new(is_shared)),
            is_shared,
            greeting: Mutex::default(),
            initialized: AtomicBool::new(false),
            to_server: Mutex::new(Some(sender)),
            waiting_bytes: AtomicUsize::new(0),
            gone: AtomicBool::new(false),
            used: AtomicU64::new(0),
            born: Instant::now(),
        });
        let writer = Arc::clone(&child);
        let write = move || {
            for shipment in shipments {
                writer.waiting_bytes.fetch_sub(shipment.bytes().len(), Ordering::Relaxed);
                if let Err(unsent) = writer.process.upstream().send(&shipment) {
                    writer.deliver(writer.mediator.not_sent(&shipment, unsent));
                }
            }
            // No more will be sent.
            writer.process.upstream().close();
        };
        std::thread::Builder::new().name("to-server".to_owned()).spawn(write).map_err(cannot)?;
        let reader = Arc::clone(&child);
        let live = move || {
            reader.process.live(stdout, &*reader);
            reader.hang_up();
            // Streams end with their senders.
            let routes = std::mem::take(&mut *reader.routes());
            drop(routes);
        };
        std::thread::Builder::new().name("from-server".to_owned()).spawn(live).map_err(cannot)?;
        Ok(child)
    }

    /// Nothing is sent to it any more.
    fn hang_up(&self) {
        drop(self.to_server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What calls go through.
    pub fn mediator(&self) -> &Mediator {
        &self.mediator
    }

    /// Whether it will never answer again.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// A client uses it.
    pub fn touch(&self) {
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used.store(millis, Ordering::Relaxed);
    }

    /// For how long no client has asked it anything, waited for it or listened to it.
    pub fn idle(&self) -> Duration {
        if self.routes().is_used() {
            return Duration::ZERO;
        }
        self.born.elapsed().saturating_sub(Duration::from_millis(self.used.load(Ordering::Relaxed)))
    }

    /// Waits for the answer to a request that is about to be sent; `None` if its session has one in flight with this id.
    pub fn wait_for(self: &Arc<Self>, asked: ClientAsked) -> Option<WaitingClient> {
        let id = asked.id.clone();
        let (own, receiver) = self.routes().begin(asked)?;
        self.touch();
        Some(WaitingClient { child: Arc::clone(self), id, own, receiver, answered: false, cancels: false })
    }

    /// What it answered to `initialize`.
    pub fn greeting(&self) -> Option<Bytes> {
        self.greeting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what it answered to `initialize`.
    pub fn set_greeting(&self, reply: &[u8]) {
        *self.greeting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Bytes::copy_from_slice(reply));
    }

    /// Whether it heard before that its client is ready.
    pub fn heard_initialized(&self) -> bool {
        self.initialized.swap(true, Ordering::Relaxed)
    }

    /// A client session listens to what is sent unasked. With `alone`, those that listened before do not any more.
    pub fn listen(self: &Arc<Self>, session: Option<Arc<str>>, alone: bool) -> Listening {
        let receiver = self.routes().listen(session, alone);
        self.touch();
        Listening { child: Arc::clone(self), receiver }
    }

    /// Takes a client's request, as it was admitted and has come. Blocks as long as the stores do.
    ///
    /// # Errors
    /// The server is gone, or does not read.
    pub fn ask(&self, own: &Own, message: Message, arrived: Arrived) -> Result<(), Refused> {
        self.take(own.request(message), arrived)?;
        if !self.routes().waits(own.id()) {
            // The client has gone before the request was there to be let go of.
            self.mediator.hung_up(own.id());
        }
        Ok(())
    }

    /// Takes a client's word that it withdraws a request, and ends the wait for the answer.
    ///
    /// # Errors
    /// The server is gone, or does not read.
    pub fn withdraw(&self, session: Option<&str>, id: &Id, message: &Message) -> Result<(), Refused> {
        let Some(own) = self.routes().find(session, id) else {
            let what = "foreign cancellation";
            self.mediator.audit().repeated(clock::now(), "dropped", &self.mediator.whose(), |line| {
                line.text("from", "client").text("what", what)
            });
            return Ok(());
        };
        self.take(own_ids::withdrawal(message, &own), Arrived::now())?;
        self.routes().give_up(&own);
        Ok(())
    }

    /// Takes one message of a client, admitted or not, as it has come. Blocks as long as the stores do.
    ///
    /// # Errors
    /// The server is gone, or does not read.
    pub fn take(&self, admitted: Result<Message, Malformed>, mut arrived: Arrived) -> Result<(), Refused> {
        if self.is_gone() {
            return Err(Refused::Gone);
        }
        let bytes = admitted.as_ref().map_or(0, |message| message.line().len());
        if self.waiting_bytes.load(Ordering::Relaxed) + bytes > SERVER_BYTES_WAITING_MAX {
            return Err(Refused::Busy);
        }
        self.touch();
        if let Some(span) = &mut arrived.span {
            span.if_dropped(CallOutcome::Abandoned);
        }
        let effects = self.mediator.arriving(vec![admitted], clock::now(), arrived);
        self.effects(effects)
    }

    fn effects(&self, Effects { to_server, to_client }: Effects) -> Result<(), Refused> {
        self.route(&to_client, false);
        if to_server.is_empty() {
            return Ok(());
        }
        // A server that asks without end and reads nothing does not hear all that the gateway has to say to it.
        if self.waiting_bytes.load(Ordering::Relaxed) > SERVER_BYTES_WAITING_MAX {
            self.deliver(self.mediator.not_sent(&to_server, Unsent::Busy));
            return Err(Refused::Busy);
        }
        self.waiting_bytes.fetch_add(to_server.bytes().len(), Ordering::Relaxed);
        let sender = self.to_server.lock().unwrap_or_else(PoisonError::into_inner);
        let unsent = match sender.as_ref() {
            Some(sender) => sender.send(to_server).err().map(|unsent| unsent.0),
            None => Some(to_server),
        };
        drop(sender);
        let Some(unsent) = unsent else { return Ok(()) };
        self.deliver(self.mediator.not_sent(&unsent, Unsent::Gone));
        Err(Refused::Gone)
    }

    fn deliver(&self, answers: Answers) {
        // What goes to a server that is gone goes nowhere.
        let _ = self.effects(answers.effects);
        self.mediator.log_ended(clock::now());
    }

    /// What time brings.
    pub fn tick(&self) {
        self.process.tick();
        let answers = self.mediator.tick(clock::now());
        let given_up = answers.effects.to_client.split(|byte| *byte == b'\n').filter_map(|line| receive(line).ok());
        let given_up: Vec<Id> = given_up
            .filter_map(|received| match received.arrival {
                Arrival::Error(id) => Some(id),
                Arrival::Result(_) | Arrival::Request(..) | Arrival::Notification(_) => None,
            })
            .collect();
        self.routes().answered_by_gateway(given_up.iter());
        self.deliver(answers);
    }

    fn label(&self) -> Option<Arc<str>> {
        self.mediator.whose().server
    }

    /// Tells the client that the list of tools is another one.
    pub fn list_changed(&self) {
        let mut line = Vec::new();
        reply::list_changed(&mut line);
        self.route(&line, false);
    }

    /// Hands lines to the clients that they are for. A thread may wait for the one client of a child; a task must not.
    fn route(&self, lines: &[u8], may_wait: bool) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(received) = receive(line) else { continue };
            let delivery = self.routes().place(&received);
            delivery.send(may_wait && !self.is_shared);
        }
    }

    /// Ends the process. Blocks until it is gone, for a few seconds at most.
    pub fn end(&self) {
        self.process.begin_to_end();
        self.hang_up();
        self.process.end();
    }
}

impl Owner for Child {
    fn mediator(&self) -> &Mediator {
        &self.mediator
    }

    fn to_client(&self, lines: &[u8]) {
        self.route(lines, true);
    }

    fn to_server(&self, shipment: Shipment) {
        // What goes to a server that is gone goes nowhere.
        let _ = self.effects(Effects { to_server: shipment, to_client: Vec::new() });
    }

    fn heard(&self) {
        self.label().into_iter().for_each(|server| self.mediator.decider().reached(&server));
    }

    fn died(&self, how: &str) {
        let decider = self.mediator.decider();
        self.label().into_iter().for_each(|server| decider.unreached(&server, &format!("it {how}"), true));
    }

    fn ended(&self, for_good: bool) {
        self.gone.store(for_good, Ordering::Relaxed);
    }
}

/// A client waits for the answer to a request.
#[derive(Debug)]
pub struct WaitingClient {
    child: Arc<Child>,
    id: Id,
    own: Own,
    receiver: mpsc::Receiver<ChildPiece>,
    answered: bool,
    cancels: bool,
}

impl WaitingClient {
    /// In revisions without sessions, a client that closes the stream withdraws the request.
    pub fn cancel_when_dropped(&mut self) {
        self.cancels = true;
    }

    /// The client's id of the request.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The id of the request towards the child.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Whether no answer came because the server is gone; else the client has withdrawn the request.
    pub fn is_gone(&self) -> bool {
        self.child.is_gone()
    }

    /// The next piece; `None` when there will be none.
    pub fn poll(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<ChildPiece>> {
        let polled = self.receiver.poll_recv(cx);
        if let std::task::Poll::Ready(None | Some(ChildPiece::Last(_))) = &polled {
            self.answered = true;
        }
        polled
    }

    /// The next piece, to be awaited.
    pub async fn next(&mut self) -> Option<ChildPiece> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }
}

impl Drop for WaitingClient {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let own = self.own.id();
        self.child.routes().give_up(own);
        // A question about it stays: the client has not said that the call is not wanted any more.
        let is_known = self.child.mediator.hung_up(own);
        if !(self.cancels && is_known) {
            return;
        }
        let mut line = Vec::new();
        reply::cancelled(&mut line, own, "the client has closed the stream");
        // A server that is gone has nothing to be told.
        let _ = self.child.take(admit(&line), Arrived::now());
    }
}

/// A client listens to what a server sends unasked.
#[derive(Debug)]
pub struct Listening {
    child: Arc<Child>,
    receiver: mpsc::Receiver<Bytes>,
}

impl Listening {
    /// The next message.
    pub fn poll(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Bytes>> {
        self.receiver.poll_recv(cx)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.child.touch();
    }
}
