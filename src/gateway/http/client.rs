//! The way to a server behind a URL: connections that are kept and used again, nothing followed, nothing sent twice.
//!
//! A pool of its own over hyper's connections, and not a full client: requests go to one place only, a redirect is no
//! destination, and every microsecond here is paid by every call. A request that may have reached the server is never
//! repeated; one that was taken back unsent, because a kept connection had just been closed, goes out on a new one.

use crate::gateway::exchange::Cleared;
use crate::mcp::ConnectError;
use crate::mcp::envelope::Passage;
use crate::mcp::target::{HttpTarget, LiveToken, redacted};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_platform_verifier::ConfigVerifierExt as _;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName as TlsName;

/// How long a connection may take to be set up.
const CONNECT_WAIT: Duration = Duration::from_secs(15);
/// A connection that nobody has used for so long is not used again.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Idle connections kept to one server.
const IDLE_CONNECTIONS_MAX: usize = 1024;

type Sender = http1::SendRequest<Full<Bytes>>;

/// What goes to a server. Calls get in once they are cleared only, and everything else as it was admitted.
#[derive(Debug)]
pub struct Outgoing(Bytes);

impl Outgoing {
    /// A call. A [`Passage`] is never one.
    pub fn call(call: &Cleared) -> Self {
        Self(Bytes::copy_from_slice(call.line()))
    }

    /// Any other message.
    pub fn pass(passage: &Passage) -> Self {
        Self(Bytes::copy_from_slice(passage.line()))
    }

    /// The news that a request is given up.
    pub fn cancel(id: &crate::mcp::envelope::Id, reason: &str) -> Self {
        let mut line = Vec::new();
        crate::gateway::reply::cancelled(&mut line, id, reason);
        Self(line.into())
    }

    /// Nothing: for GET and DELETE.
    pub fn nothing() -> Self {
        Self(Bytes::new())
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection; the request was not sent.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke before the answer; the request may have been received.
    #[error("the server closed the connection without an answer")]
    Broken,
}

/// A server behind a URL.
pub struct Upstream {
    uri: Uri,
    host: String,
    port: u16,
    host_header: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
    token: Option<LiveToken>,
    tls: Option<(TlsConnector, TlsName<'static>)>,
    idle: Arc<Idle>,
}

/// Connections that wait for the next request, the latest last.
type Idle = Mutex<Vec<(Sender, Instant)>>;

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Upstream {
    /// A client for a target. Nothing is sent yet.
    ///
    /// # Errors
    /// The target cannot be used, or the system's certificates cannot be read.
    pub fn new(target: &HttpTarget) -> Result<Self, ConnectError> {
        let url = &target.url;
        let bad = || ConnectError::BadTarget(format!("`{}` is no http or https URL", redacted(url)));
        let (Some(host), Some(port), "http" | "https") = (url.host(), url.port_or_known_default(), url.scheme()) else {
            return Err(bad());
        };
        let mut path = url.path().to_owned();
        if let Some(query) = url.query() {
            path.push('?');
            path.push_str(query);
        }
        let uri: Uri = path.parse().map_err(|_| bad())?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let tls = if url.scheme() == "https" {
            let failed = |detail: String| ConnectError::Tls { url: redacted(url), detail };
            // It fails if a provider is there already, and then that one serves.
            let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
            let mut config = ClientConfig::with_platform_verifier().map_err(|error| failed(error.to_string()))?;
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let name = match host {
                url::Host::Domain(name) => TlsName::try_from(name.to_owned()).map_err(|_| bad())?,
                url::Host::Ipv4(ip) => TlsName::from(std::net::IpAddr::from(ip)),
                url::Host::Ipv6(ip) => TlsName::from(std::net::IpAddr::from(ip)),
            };
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        // For the resolver, without the brackets of an IPv6 address.
        let resolved = match host {
            url::Host::Domain(name) => name.to_owned(),
            url::Host::Ipv4(ip) => ip.to_string(),
            url::Host::Ipv6(ip) => ip.to_string(),
        };
        Ok(Self {
            uri,
            host: resolved,
            port,
            host_header: HeaderValue::from_str(&authority).map_err(|_| bad())?,
            headers: own_headers(target)?,
            token: target.token.clone(),
            tls,
            idle: Arc::default(),
        })
    }

    /// Sends one request and returns as soon as the head of the answer is there; any status is an answer. `headers` are
    /// the client's, without those that end at the gateway; the configured ones replace them.
    ///
    /// # Errors
    /// No connection, or it broke.
    pub async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        Outgoing(body): Outgoing,
    ) -> Result<(response::Parts, Held), SendError> {
        headers.insert(HOST, self.host_header.clone());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        // A token that no header may hold is not sent; the server then says what it thinks of that.
        let bearer = self.token.as_ref().map(|token| format!("Bearer {}", token.get().reveal()));
        if let Some(mut value) = bearer.and_then(|text| HeaderValue::from_str(&text).ok()) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut request = Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, self.uri.clone(), headers);
        loop {
            let (mut sender, is_new) = match self.kept() {
                Some(sender) => (sender, false),
                // In a box, as most requests find a connection.
                None => (Box::pin(self.connect()).await?, true),
            };
            if sender.ready().await.is_err() {
                if is_new {
                    return Err(SendError::Unreachable("the connection was closed at once".to_owned()));
                }
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let (parts, body) = response.into_parts();
                    let mut held = Held { body, back: Some((sender, Arc::clone(&self.idle))) };
                    if held.body.is_end_stream() {
                        held.give_back();
                    }
                    return Ok((parts, held));
                }
                Err(mut error) => match error.take_message() {
                    // It never left.
                    Some(unsent) if !is_new => request = unsent,
                    Some(_) => return Err(SendError::Unreachable("the connection was closed at once".to_owned())),
                    None => return Err(SendError::Broken),
                },
            }
        }
    }

    fn kept(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((sender, since)) = idle.pop() {
            if !sender.is_closed() && since.elapsed() < IDLE_MAX {
                return Some(sender);
            }
        }
        None
    }

    /// Closes connections that nobody has used for long.
    pub fn sweep(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE_MAX);
    }

    async fn connect(&self) -> Result<Sender, SendError> {
        let unreachable = |error: &dyn fmt::Display| SendError::Unreachable(error.to_string());
        let connect = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| unreachable(&e))?;
            // A call is one small write, and its answer is waited for.
            stream.set_nodelay(true).map_err(|e| unreachable(&e))?;
            match &self.tls {
                None => start(stream).await.map_err(|e| unreachable(&e)),
                Some((connector, name)) => {
                    let stream = connector.connect(name.clone(), stream).await.map_err(|e| unreachable(&e))?;
                    start(stream).await.map_err(|e| unreachable(&e))
                }
            }
        };
        tokio::time::timeout(CONNECT_WAIT, connect).await.unwrap_or_else(|_| Err(unreachable(&"no connection in time")))
    }
}

async fn start<S>(stream: S) -> hyper::Result<Sender>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
    // How a connection ends shows in the answers that wait on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn own_headers(target: &HttpTarget) -> Result<Vec<(HeaderName, HeaderValue)>, ConnectError> {
    let mut headers = Vec::new();
    for (name, value) in &target.headers {
        // The value stays out of the message: it may be a token.
        let bad = |what| ConnectError::BadTarget(format!("header `{}` {what}", crate::text::excerpt(name, 40)));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("is not a valid name"))?;
        let mut value = HeaderValue::from_str(value.reveal())
            .map_err(|_| bad("has a value with characters that no header may have"))?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    Ok(headers)
}

/// The body of an answer, on its connection. Once it is read to its end the connection serves again; dropped before, the
/// connection is closed, which tells the server that nobody listens any more.
#[derive(Debug)]
pub struct Held {
    body: Incoming,
    back: Option<(Sender, Arc<Idle>)>,
}

impl Held {
    fn give_back(&mut self) {
        if let Some((sender, idle)) = self.back.take()
            && !sender.is_closed()
        {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_CONNECTIONS_MAX {
                idle.push((sender, Instant::now()));
            }
        }
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(None) => self.give_back(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.give_back(),
            Poll::Ready(Some(Err(_))) => self.back = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
