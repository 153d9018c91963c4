//! A stream of events on its way to the client: each event is looked at once it is whole, and passed on as it came.

use super::blocks::{Block, Blocks, event};
use super::client::Held;
use super::exchange::{Exchange, Fate};
use super::seats::Seat;
use bytes::Bytes;
use hyper::body::Body as _;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

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
    /// Ends a stream that would last for ever, when the gateway ends.
    drain: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    _seat: Seat,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl Events {
    /// The events of an answer, or of a stream.
    pub fn new(source: Held, exchange: Exchange, seat: Seat) -> Self {
        Self {
            source: Some(source),
            blocks: Blocks::default(),
            exchange,
            ready: VecDeque::new(),
            resumable: false,
            patience: None,
            drain: None,
            _seat: seat,
        }
    }

    /// Gives the request up when nothing comes for so long.
    #[must_use]
    pub fn with_patience(mut self, patience: Option<Duration>) -> Self {
        self.patience = patience.map(|wait| (wait, Box::pin(tokio::time::sleep(wait))));
        self
    }

    /// Ends the stream when the gateway is asked to end.
    #[must_use]
    pub fn until(mut self, mut ending: watch::Receiver<bool>) -> Self {
        self.drain = Some(Box::pin(async move {
            // It also ends if nobody is left who could say so.
            let _ = ending.wait_for(|ending| *ending).await;
        }));
        self
    }

    /// The next bytes for the client.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
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
        if let Some(drain) = &mut self.drain
            && drain.as_mut().poll(cx).is_ready()
        {
            self.source = None;
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
