//! Connections to one server that are kept and used again, and nothing sent twice.
//!
//! A pool of its own over hyper's connections, and not a full client: requests go to one place only, and every
//! microsecond here is paid by every call. A request that may have reached the server is never repeated; one that was
//! taken back unsent, because a kept connection had just been closed, goes out on a new one.

use super::connect::{NoConnection, Sender, Way};
use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::{Request, Uri, response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A connection that was not used for so long is not used again.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Idle connections kept to one server.
const IDLE_CONNECTIONS_MAX: usize = 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The request was not sent.
    NotSent(NoConnection),
    /// The connection broke before the answer, in these words; the request may have been received.
    Broken(String),
}

/// Connections to one server.
pub(super) struct Pool {
    way: Way,
    idle: Arc<Idle>,
}

/// Connections that wait for the next request, the latest last.
type Idle = Mutex<Vec<(Sender, Instant)>>;

impl Pool {
    /// Of connections that are set up this way, when they are needed.
    pub fn new(way: Way) -> Self {
        Self { way, idle: Arc::default() }
    }

    /// Sends one request and returns as soon as the head of the answer is there; any status is an answer. `whole` is the
    /// whole URI, for a proxy that reads it.
    ///
    /// # Errors
    /// No connection, or it broke.
    pub async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        whole: &Uri,
    ) -> Result<(response::Parts, Held), NoAnswer> {
        if let Some(authorization) = self.way.absolute() {
            *request.uri_mut() = whole.clone();
            authorization.into_iter().for_each(|value| {
                request.headers_mut().insert(PROXY_AUTHORIZATION, value.clone());
            });
        }
        let closed = || NoAnswer::NotSent(NoConnection::Unreachable("the connection was closed at once".to_owned()));
        loop {
            let (mut sender, is_new) = match self.kept() {
                Some(sender) => (sender, false),
                // In a box, as most requests find a connection.
                None => (Box::pin(self.way.connect()).await.map_err(NoAnswer::NotSent)?, true),
            };
            if sender.ready().await.is_err() {
                if is_new {
                    return Err(closed());
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
                    Some(_) => return Err(closed()),
                    None => return Err(NoAnswer::Broken(super::innermost(&error.into_error()))),
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

    /// Closes connections that were not used for long.
    pub fn sweep(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE_MAX);
    }
}

/// The body of an answer, on its connection. Once it is read to its end the connection serves again; dropped before, the
/// connection is closed, which tells the server that no client listens any more.
#[derive(Debug)]
pub struct Held {
    body: Incoming,
    back: Option<(Sender, Arc<Idle>)>,
}

/// Why a body was not read to its end.
#[derive(Debug)]
pub enum Unread {
    /// It is longer than it may be.
    TooLong,
    /// The connection broke.
    Broken(String),
}

impl Held {
    /// The whole body, of at most `max_bytes`.
    ///
    /// # Errors
    /// It is longer, or breaks off.
    pub async fn whole(&mut self, max_bytes: usize) -> Result<Bytes, Unread> {
        let (mut first, mut all) = (Bytes::new(), Vec::new());
        while let Some(frame) = self.frame().await {
            let frame = frame.map_err(|error| Unread::Broken(super::innermost(&error)))?;
            let Ok(data) = frame.into_data() else { continue };
            if first.len() + all.len() + data.len() > max_bytes {
                return Err(Unread::TooLong);
            }
            match first.is_empty() && all.is_empty() {
                // Most bodies come in one piece, which need not be copied.
                true => first = data,
                false => {
                    all.extend_from_slice(&std::mem::take(&mut first));
                    all.extend_from_slice(&data);
                }
            }
        }
        Ok(if all.is_empty() { first } else { all.into() })
    }

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
