//! A stream of events on its way to the client: each event is looked at once it is whole, and passed on as it came.

use super::blocks::{Block, Blocks, event};
use super::client::Held;
use super::exchange::{Exchange, Fate};
use super::leases::Lease;
use super::seats::Seat;
use bytes::Bytes;
use hyper::body::Body as _;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// What a client hears in place of an answer.
pub const REVOKED: &str = "the token is no longer good";

/// A stream from a server.
pub struct Events {
    source: Option<Held>,
    blocks: Blocks,
    exchange: Exchange,
    ready: VecDeque<Bytes>,
    /// The client can take the stream up again from an id that it has.
    resumable: bool,
    /// Nothing for so long, and the request is given up.
    patience: Option<(Duration, Pin<Box<Sleep>>)>,
    /// Ends the stream, whatever the server does.
    until: Until,
    _seat: Seat,
}

/// Why a stream ends before the server ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The gateway ends.
    Drained,
    /// Whoever opened it may not call the server any more.
    Revoked,
}

/// Waits until a stream is over.
pub type Until = Pin<Box<dyn Future<Output = Over> + Send + Sync>>;

/// Waits until a lease is over, or the gateway is asked to end where a stream would last for ever.
pub fn until(lease: &Arc<Lease>, ending: Option<watch::Receiver<bool>>) -> Until {
    let revoked = lease.ended();
    let Some(mut ending) = ending else {
        return Box::pin(async move {
            revoked.await;
            Over::Revoked
        });
    };
    Box::pin(async move {
        tokio::select! {
            () = revoked => Over::Revoked,
            // It also ends if nobody is left who could say so.
            _ = ending.wait_for(|ending| *ending) => Over::Drained,
        }
    })
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl Events {
    /// The events of an answer, or of a stream. With `ending`, it ends when the gateway is asked to end.
    pub fn new(source: Held, mut exchange: Exchange, seat: Seat, ending: Option<watch::Receiver<bool>>) -> Self {
        let until = until(&exchange.lasting(), ending);
        Self {
            source: Some(source),
            blocks: Blocks::default(),
            exchange,
            ready: VecDeque::new(),
            resumable: false,
            patience: None,
            until,
            _seat: seat,
        }
    }

    /// Gives the request up when nothing comes for so long.
    #[must_use]
    pub fn with_patience(mut self, patience: Option<Duration>) -> Self {
        self.patience = patience.map(|wait| (wait, Box::pin(tokio::time::sleep(wait))));
        self
    }

    /// The next bytes for the client.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            // First, for a server that sends without a pause must not put it off.
            if self.source.is_some()
                && let Poll::Ready(over) = self.until.as_mut().poll(cx)
            {
                self.over(over);
            }
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(bytes));
            }
            let Some(source) = &mut self.source else { return Poll::Ready(None) };
            match Pin::new(source).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(bytes) = frame.data_ref() {
                        self.arrived(bytes);
                    }
                }
                Poll::Ready(None) => self.end("closed", "the server ended the stream without an answer"),
                Poll::Ready(Some(Err(_))) => self.end("broken", "the stream from the server broke off"),
                Poll::Pending => {
                    if self.is_over(cx) {
                        continue;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some((wait, sleep)) = &mut self.patience
            && self.exchange.is_open()
            && sleep.as_mut().poll(cx).is_ready()
        {
            let message = format!("the server has not answered within {} s", wait.as_secs_f64());
            self.resumable = false;
            self.end("timeout", &message);
            return true;
        }
        false
    }

    fn arrived(&mut self, bytes: &Bytes) {
        if let Some((wait, sleep)) = &mut self.patience {
            sleep.as_mut().reset(Instant::now() + *wait);
        }
        self.blocks.feed(bytes);
        loop {
            match self.blocks.next_block() {
                Ok(Some(block)) => self.take(block),
                Ok(None) => return,
                Err(_) => {
                    self.resumable = false;
                    self.end("too_long", "the server's answer is longer than this gateway takes");
                    return;
                }
            }
        }
    }

    fn take(&mut self, block: Block) {
        let fate = match block.data() {
            // Nothing that could be a message: comments, ids, other kinds of events.
            None => Fate::Pass,
            Some(data) if data.is_empty() => Fate::Pass,
            Some(data) if !block.is_message() && crate::mcp::envelope::receive(&data).is_err() => Fate::Pass,
            Some(data) => self.exchange.message(&data),
        };
        self.resumable |= block.has_id();
        match fate {
            Fate::Pass => self.ready.push_back(block.bytes),
            Fate::Replace(message) => self.ready.push_back(block.with_data(&message)),
            Fate::Drop => {}
        }
    }

    fn over(&mut self, over: Over) {
        match over {
            Over::Drained => self.source = None,
            Over::Revoked => {
                // What has come meanwhile is not theirs any more.
                self.ready.clear();
                self.resumable = false;
                self.end("revoked", REVOKED);
            }
        }
    }

    fn end(&mut self, outcome: &'static str, message: &str) {
        self.source = None;
        if self.resumable {
            // The answer may come when the client listens again.
            self.exchange.detached();
        } else if let Some(error) = self.exchange.fail(outcome, message) {
            self.ready.push_back(event(&error));
        }
    }
}
