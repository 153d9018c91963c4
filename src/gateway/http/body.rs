//! Bodies: those of requests, read whole and within bounds; those of answers, sent as they come.

use super::refusal::Refusal;
use crate::mcp::envelope::MESSAGE_BYTES_MAX;
use crate::mcp::http::Held;
use crate::mcp::sse::event;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// How long the body of a request may take to arrive.
pub const BODY_WAIT: Duration = Duration::from_secs(30);
/// Bytes of request bodies that may be held at the same time, beyond [`SMALL_BYTES`] each.
pub const BODIES_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of a body that is too long which are read all the same: a client that is still writing when the connection is
/// closed may never see why.
const DISCARDED_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;
/// How long the next piece of these may take.
const DISCARD_WAIT: Duration = Duration::from_millis(500);
/// A body up to this many bytes is not counted.
const SMALL_BYTES: usize = 64 * 1024;

/// Any error of a body; hyper only closes the connection.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Pieces of an answer, as they come.
pub trait Pieces: fmt::Debug + Send + Sync {
    /// The next piece; nothing after the last.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>>;
}

/// Messages of an answer, each of which the client gets as an event.
pub trait Messages: fmt::Debug + Send + Sync {
    /// The next message; nothing after the last.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;
}

/// The body of an answer.
#[derive(Debug)]
pub enum Answer {
    /// One piece, or none.
    Whole(Option<Bytes>),
    /// A stream of events.
    Stream(Box<dyn Pieces>),
    /// Messages, each an event.
    Messages(Box<dyn Messages>),
    /// Bytes from the server that are no message, passed on.
    Raw(Box<Held>),
}

impl Answer {
    /// Nothing.
    pub fn empty() -> Self {
        Self::Whole(None)
    }

    /// A stream of events.
    pub fn stream(pieces: impl Pieces + 'static) -> Self {
        Self::Stream(Box::new(pieces))
    }

    /// One piece.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(pieces) => pieces.poll_next(cx).map_ok(Frame::data),
            Self::Messages(messages) => {
                messages.poll_message(cx).map(|message| message.map(|message| Ok(Frame::data(event(&message)))))
            }
            Self::Raw(held) => Pin::new(held).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(_) | Self::Messages(_) => false,
            Self::Raw(held) => held.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream(_) | Self::Messages(_) => SizeHint::default(),
            Self::Raw(held) => held.size_hint(),
        }
    }
}

/// Room for the bodies of all requests together.
#[derive(Debug, Default)]
pub struct Room(AtomicUsize);

/// What one body takes of the room.
#[derive(Debug)]
pub struct Taken<'r> {
    room: &'r Room,
    bytes: usize,
}

impl Taken<'_> {
    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes <= SMALL_BYTES.max(self.bytes) {
            return Ok(());
        }
        let more = bytes - self.bytes;
        let before = self.room.0.fetch_add(more, Ordering::Relaxed);
        self.bytes = bytes;
        if before + more > BODIES_BYTES_MAX {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many large requests at the same time")
                .with_header(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"))
                .and_close());
        }
        Ok(())
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.room.0.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

impl Room {
    fn none(&self) -> Taken<'_> {
        Taken { room: self, bytes: 0 }
    }
}

/// Reads the body of a request.
///
/// # Errors
/// It is too long (413), too slow (408), or breaks off (400).
pub async fn read<'r>(body: Incoming, room: &'r Room) -> Result<(Bytes, Taken<'r>), Refusal> {
    let mut body = body;
    let reading = async {
        let read = if body.size_hint().lower() > MESSAGE_BYTES_MAX as u64 {
            Err(too_long())
        } else {
            collect(&mut body, room).await
        };
        if matches!(&read, Err(refusal) if refusal.status() == StatusCode::PAYLOAD_TOO_LARGE) {
            discard(&mut body).await;
        }
        read
    };
    tokio::time::timeout(BODY_WAIT, reading).await.unwrap_or_else(|_| {
        Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body of the request did not arrive in time").and_close())
    })
}

async fn discard(body: &mut Incoming) {
    let mut bytes = 0;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(DISCARD_WAIT, body.frame()).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > DISCARDED_BYTES_MAX {
            return;
        }
    }
}

async fn collect<'r>(body: &mut Incoming, room: &'r Room) -> Result<(Bytes, Taken<'r>), Refusal> {
    let mut taken = room.none();
    let broken = || Refusal::new(StatusCode::BAD_REQUEST, "the body of the request broke off").and_close();
    let mut first = Bytes::new();
    while first.is_empty() {
        match body.frame().await {
            None => return Ok((first, taken)),
            Some(frame) => first = frame.map_err(|_| broken())?.into_data().unwrap_or_default(),
        }
    }
    if body.is_end_stream() {
        taken.grow(first.len())?;
        return if first.len() > MESSAGE_BYTES_MAX { Err(too_long()) } else { Ok((first, taken)) };
    }
    let mut all = BytesMut::from(first);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| broken())?.into_data() else { continue };
        if all.len() + piece.len() > MESSAGE_BYTES_MAX {
            return Err(too_long());
        }
        taken.grow(all.len() + piece.len())?;
        all.extend_from_slice(&piece);
    }
    Ok((all.freeze(), taken))
}

fn too_long() -> Refusal {
    let message = format!("a message of more than {MESSAGE_BYTES_MAX} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, message).and_close()
}
