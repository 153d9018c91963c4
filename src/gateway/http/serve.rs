//! The listener for clients: accepts connections, serves them, and ends them in order.

use super::Gateway;
use super::stalled_client::{Patient, WRITE_WAIT};
use super::tls::{BadTls, Tls};
use crate::clock;
use crate::gateway::audit::Whose;
use crate::gateway::plan::Listener;
use crate::gateway::said::Said;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Most connections that may be open; further ones wait to be accepted.
pub const CONNECTIONS_MAX: usize = 16_384;
/// How long a client's connection may be idle, or take to send the headers of a request.
pub const HEAD_WAIT: Duration = Duration::from_secs(60);
/// Most bytes of the headers of one request; more get 431.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long a TLS handshake may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// How often deadlines, the log and watched files are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long tasks that still run after the drain may take to end, at most. The log has no outcome of one that takes longer.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// How long to pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a gateway could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] BadTls),
    /// Something that every machine has is missing here.
    #[error("the gateway cannot run: {0}")]
    System(#[from] io::Error),
}

/// What else is done while the gateway serves. `started` is called inside of its runtime, `look` on a thread that may
/// block.
pub struct Hooks {
    /// Called once, when the gateway listens, with its address.
    pub started: Box<dyn FnOnce(SocketAddr) + Send>,
    /// Called once a second, when a file in a folder with policies has changed, and at SIGHUP; never twice at a time.
    pub look: Box<dyn FnMut() + Send>,
    /// Called once, when the gateway is asked to end and takes no new connections.
    pub ending: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// Serves until the operating system asks the process to end; returns the number of the signal.
///
/// # Errors
/// The gateway could not begin to serve.
pub fn run(gateway: &Arc<Gateway>, listener: &Listener, drain: Duration, hooks: Hooks) -> Result<i32, ServeError> {
    raise_file_limit();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = if cores == 1 {
        // On one core a second thread would only add the cost of handing work over.
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(cores);
        builder
    };
    let runtime = builder.enable_all().build()?;
    let tls = listener.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
    let address = listener.address;
    let signal = runtime.block_on(async {
        let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
        // Before it is said that the gateway listens: who hears it may ask the gateway to end.
        let signals = Signals::new()?;
        let Hooks { started, look, ending } = hooks;
        started(listener.local_addr()?);
        serve(listener, tls, gateway, signals, drain, look, ending).await
    })?;
    // Requests that are still open are dropped with the runtime, which settles them for the log.
    runtime.shutdown_timeout(LAST_WAIT);
    gateway.end();
    let now = clock::now();
    gateway.decider().log_ended(now);
    gateway.decider().audit().stop(now, &Whose::gateway(), "signal");
    gateway.decider().tick(now);
    Ok(signal)
}

/// [`Hooks::look`], for one thread at a time.
type Also = Arc<Mutex<Box<dyn FnMut() + Send>>>;

async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    gateway: &Arc<Gateway>,
    mut signals: Signals,
    drain: Duration,
    also: Box<dyn FnMut() + Send>,
    ending: Box<dyn FnOnce() + Send>,
) -> Result<i32, ServeError> {
    let also = Arc::new(Mutex::new(also));
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let signal = loop {
        tokio::select! {
            signal = signals.next() => {
                if signal != signal_hook::consts::SIGTERM && signal != signal_hook::consts::SIGINT {
                    look(gateway, tls.as_deref(), &also);
                    continue;
                }
                break signal;
            }
            _ = tick.tick() => look(gateway, tls.as_deref(), &also),
            () = gateway.policies.touched() => look(gateway, tls.as_deref(), &also),
            accepted = accept(&listener, &room) => {
                let Ok((stream, permit)) = accepted else {
                    // The process has no descriptor left, or the client has gone already.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let (gateway, tls) = (Arc::clone(gateway), tls.clone());
                let watcher = graceful.watcher();
                tokio::spawn(async move {
                    take(stream, tls, gateway, watcher).await;
                    drop(permit);
                });
            }
        }
    };
    drop(listener);
    ending();
    gateway.begin_to_end();
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(drain) => {}
        // A second signal, of any kind, cuts the wait short.
        _ = signals.next() => {}
    }
    Ok(signal)
}

fn look(gateway: &Arc<Gateway>, tls: Option<&Tls>, also: &Also) {
    let work = {
        let (gateway, also) = (Arc::clone(gateway), Arc::clone(also));
        move || {
            gateway.tick();
            // One look at a time: a look that comes during another is left out, and the next tick brings one.
            if let Ok(mut also) = also.try_lock() {
                also();
            }
        }
    };
    // Files, stores and pipes may block; requests must not wait for them.
    drop(tokio::task::spawn_blocking(work));
    if let Some(Err(error)) = tls.map(Tls::look) {
        gateway.decider().notice(&Said::error(format!("{error}; the old certificate stays in use")));
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn take(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    gateway: Arc<Gateway>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let Ok(local) = stream.local_addr().map(|address| address.ip()) else { return };
    // Small answers must leave at once: the client waits for them.
    let _ = stream.set_nodelay(true);
    // Each future in a box of its own: a plain connection must not keep the kilobytes that an encrypted one needs.
    match tls {
        None => Box::pin(connection(stream, local, gateway, watcher)).await,
        Some(tls) => Box::pin(encrypted(stream, tls, local, gateway, watcher)).await,
    }
}

async fn encrypted(
    stream: TcpStream,
    tls: Arc<Tls>,
    local: IpAddr,
    gateway: Arc<Gateway>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WAIT, tls.acceptor().accept(stream)).await {
        connection(stream, local, gateway, watcher).await;
    }
}

async fn connection<S>(stream: S, local: IpAddr, gateway: Arc<Gateway>, watcher: hyper_util::server::graceful::Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let gateway = Arc::clone(&gateway);
        // In a box, since the connection keeps room for the future as long as it lasts: kilobytes for each idle one.
        Box::pin(async move { Ok::<_, Infallible>(gateway.answer(local, request).await) })
    });
    let stream = TokioIo::new(Patient::new(stream, WRITE_WAIT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(2 * HEAD_BYTES_MAX)
        .serve_connection(stream, service);
    // An error of one connection is the client's to notice; it concerns no other.
    let _ = watcher.watch(connection).await;
}

#[cfg(unix)]
struct Signals {
    term: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> i32 {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        tokio::select! {
            _ = self.term.recv() => SIGTERM,
            _ = self.interrupt.recv() => SIGINT,
            _ = self.hang_up.recv() => SIGHUP,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> i32 {
        let _ = tokio::signal::ctrl_c().await;
        signal_hook::consts::SIGINT
    }
}

/// Raises the soft limit of open files to the hard one: a thousand sessions need two thousand descriptors, more than
/// the usual soft limit.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // If it cannot be raised, fewer connections are served.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(not(unix))]
fn raise_file_limit() {}
