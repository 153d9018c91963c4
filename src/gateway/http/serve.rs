//! The listener: takes connections, serves them, and ends them in order.

use super::Gateway;
use super::io::{Patient, WRITE_WAIT};
use super::tls::{BadTls, Tls};
use crate::clock;
use crate::gateway::audit::Whose;
use crate::gateway::plan::Listener;
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

/// Connections that may be open; more wait to be taken.
pub const CONNECTIONS_MAX: usize = 16_384;
/// How long a connection may be idle, or take to send the headers of a request.
pub const HEAD_WAIT: Duration = Duration::from_secs(60);
/// Bytes of the headers of one request; more get 431.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long a TLS handshake may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long requests that were not done in time may take to let go.
const LAST_WAIT: Duration = Duration::from_millis(100);
/// How long to pause when no further connection can be taken.
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

/// What else is to be done while the gateway serves. `started` is called inside of its runtime, `look` on a thread that
/// may block.
pub struct Hooks {
    /// It listens, here.
    pub started: Box<dyn FnOnce(SocketAddr) + Send>,
    /// Once a second, when a file beside a policy has changed, and when the operating system asks for it (HUP).
    pub look: Box<dyn FnMut() + Send>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// Serves until the operating system asks us to end; answers the number of the signal.
///
/// # Errors
/// It could not begin.
pub fn run(gateway: &Arc<Gateway>, listener: &Listener, drain: Duration, hooks: Hooks) -> Result<i32, ServeError> {
    raise_file_limit();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = if cores == 1 {
        // Without others to hand work to, handing it over is all that a second thread would add.
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
        (hooks.started)(listener.local_addr()?);
        serve(listener, tls, gateway, drain, hooks.look).await
    })?;
    // What is left of requests ends with the runtime, and is settled and logged by it.
    runtime.shutdown_timeout(LAST_WAIT);
    gateway.end();
    let now = clock::now();
    gateway.desk().log_ended(now);
    gateway.desk().audit().event(now, "stop", &Whose::gateway(), |line| line.text("why", "signal"));
    gateway.desk().tick(now);
    Ok(signal)
}

/// What [`Hooks::look`] does, for whichever thread has its turn.
type Also = Arc<Mutex<Box<dyn FnMut() + Send>>>;

async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    gateway: &Arc<Gateway>,
    drain: Duration,
    also: Box<dyn FnMut() + Send>,
) -> Result<i32, ServeError> {
    let also = Arc::new(Mutex::new(also));
    let mut signals = Signals::new()?;
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
                    // No descriptor is left, or the other end has gone already.
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
    gateway.begin_to_end();
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(drain) => {}
        // Whoever asks twice does not want to wait.
        _ = signals.next() => {}
    }
    Ok(signal)
}

fn look(gateway: &Arc<Gateway>, tls: Option<&Tls>, also: &Also) {
    let work = {
        let (gateway, also) = (Arc::clone(gateway), Arc::clone(also));
        move || {
            gateway.tick();
            // One look at a time: what this one leaves is seen a second later.
            if let Ok(mut also) = also.try_lock() {
                also();
            }
        }
    };
    // Files, stores and pipes may take a while; requests must not wait for them.
    drop(tokio::task::spawn_blocking(work));
    if let Some(Err(error)) = tls.map(Tls::look) {
        gateway.desk().notice(&format!("{error}; the old certificate stays in use"));
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
    // An answer is waited for, however small it is.
    let _ = stream.set_nodelay(true);
    // Each in a box of its own: a plain connection must not keep the kilobytes that an encrypted one needs.
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
        // In a box, for the connection keeps room for it as long as it lasts: kilobytes for each that is idle.
        Box::pin(async move { Ok::<_, Infallible>(gateway.answer(local, request).await) })
    });
    let stream = TokioIo::new(Patient::new(stream, WRITE_WAIT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(2 * HEAD_BYTES_MAX)
        .serve_connection(stream, service);
    // How a connection ends is the client's business.
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

/// A thousand sessions are two thousand descriptors; the usual soft limit is lower than what a process may have.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised fewer connections are served.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[cfg(not(unix))]
fn raise_file_limit() {}
