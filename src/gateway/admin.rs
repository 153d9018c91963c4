//! The address for operators: `/healthz`, `/readyz`, `/metrics` and `/status`. It asks for no token, so it is apart
//! from the address that clients reach, and on this machine unless the operator configures another. It changes nothing.

use super::meter::{self, Meter};
use super::status::{self, ServerView, Status};
use crate::clock;
use crate::policy::{Charge, CounterKey, LimitStore, Scope, Window};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Most connections at the same time; further ones wait until one ends.
const CONNECTIONS_MAX: usize = 64;
/// How long the head of a request may take to come.
const HEAD_WAIT: Duration = Duration::from_secs(5);
/// How long one connection may last; scrapers connect again.
const CONNECTION_WAIT: Duration = Duration::from_secs(60);
/// How long the state store may take to answer before the gateway counts as not ready.
const PROBE_WAIT: Duration = Duration::from_secs(3);
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Asks the running gateway for its servers as they are now.
pub type Servers = Box<dyn Fn() -> Vec<ServerView> + Send + Sync>;

/// What the address for operators shows.
pub struct Admin {
    meter: Arc<Meter>,
    limits: Arc<dyn LimitStore>,
    servers: Servers,
    /// Requests that look at the store wait for each other, each at most [`PROBE_WAIT`] long.
    probing: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("meter", &self.meter).finish_non_exhaustive()
    }
}

impl Admin {
    /// Shows what these count and hold; `servers` is asked at every request.
    pub fn new(meter: Arc<Meter>, limits: Arc<dyn LimitStore>, servers: Servers) -> Arc<Self> {
        Arc::new(Self { meter, limits, servers, probing: tokio::sync::Mutex::new(()) })
    }

    /// Why the gateway cannot serve at the moment, one line for each reason; empty if it can.
    async fn not_ready(self: &Arc<Self>) -> Vec<String> {
        let views = (self.servers)();
        let mut reasons = Vec::new();
        if views.is_empty() {
            reasons.push("the listener is not open".to_owned());
        }
        reasons.extend(
            views.iter().filter_map(|view| view.problem.as_ref().map(|why| format!("server {}: {why}", view.name))),
        );
        let _one = self.probing.lock().await;
        let admin = Arc::clone(self);
        let probe = tokio::task::spawn_blocking(move || admin.limits.usage(clock::now(), &[probe()]).map(drop));
        match tokio::time::timeout(PROBE_WAIT, probe).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => reasons.push(error.to_string()),
            Ok(Err(_)) | Err(_) => reasons.push("the state store does not answer".to_owned()),
        }
        reasons
    }

    async fn status(self: &Arc<Self>) -> Option<Status> {
        let not_ready = self.not_ready().await;
        let admin = Arc::clone(self);
        let take = move || status::take(&admin.meter, &*admin.limits, &(admin.servers)(), not_ready, clock::now());
        tokio::task::spawn_blocking(take).await.ok()
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>, address: SocketAddr) -> Response<Full<Bytes>> {
        if !is_addressed(&request, address.ip()) {
            return text(StatusCode::MISDIRECTED_REQUEST, "this address has another name");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "GET only");
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok"),
            "/readyz" => match self.not_ready().await {
                reasons if reasons.is_empty() => text(StatusCode::OK, "ready"),
                reasons => text(StatusCode::SERVICE_UNAVAILABLE, &lines(&reasons)),
            },
            "/metrics" => match meter::exposition(&self.meter) {
                Ok(page) => respond(StatusCode::OK, meter::CONTENT_TYPE, page),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            "/status" => match self.status().await.as_ref().map(serde_json::to_string) {
                Some(Ok(status)) => respond(StatusCode::OK, "application/json", status + "\n"),
                Some(Err(_)) | None => text(StatusCode::INTERNAL_SERVER_ERROR, "the status cannot be taken"),
            },
            _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz, /metrics and /status"),
        }
    }
}

/// A charge of 0 on a counter that no policy can have: looking it up shows whether the store answers.
fn probe() -> Charge {
    let empty: Arc<str> = Arc::from("");
    let counter = CounterKey {
        server: Arc::clone(&empty),
        scope: Scope::Global,
        value: empty,
        name: Arc::from("(readiness)"),
        window: Window::Minute,
    };
    Charge { counter, amount: 0, max: 0 }
}

fn lines(reasons: &[String]) -> String {
    reasons.iter().map(|reason| crate::text::escape(reason).into_owned()).collect::<Vec<_>>().join("\n")
}

/// Whether a request may be answered. On a loopback address only one whose `Host` is an IP or localhost: a web page
/// that has another name resolve to this machine (DNS rebinding) sends that name.
fn is_addressed<B>(request: &Request<B>, ours: IpAddr) -> bool {
    if !ours.is_loopback() {
        return true;
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str)).unwrap_or("");
    let Ok(authority) = authority.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

fn text(status: StatusCode, line: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Serves operators until `stop` is done; connections that are open then are cut.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = &mut stop => return,
            accepted = accepted => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            // Most often too many files are open: trying again at once would only burn the processor.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(address) = stream.local_addr() else { continue };
        let admin = Arc::clone(&admin);
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(admin.answer(request, address).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WAIT)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // An error of one connection is its client's to notice; it concerns no other.
            let _ = tokio::time::timeout(CONNECTION_WAIT, connection).await;
            drop(place);
        });
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
