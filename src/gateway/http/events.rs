//! A stream of events on its way to the client: each event is looked at once it is whole, and passed on as it came.

use super::body::{BodyError, Pieces};
use super::exchange::Exchange;
use super::request_slots::RequestSlot;
use super::token_watch::TokenWatch;
use crate::gateway::exchange::{CallOutcome, Fate};
use crate::gateway::reply;
use crate::mcp::http::Held;
use crate::mcp::sse::{Block, Blocks, event};
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
    /// Nothing that belongs to the request for so long, and it is given up.
    patience: Option<(Duration, Pin<Box<Sleep>>)>,
    /// Ends the stream, whatever the server does.
    until: Until,
    /// Tells that tools may appear otherwise now.
    news: Option<News>,
    _seat: RequestSlot,
}

/// Why a stream ends before the server ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The gateway ends.
    Drained,
    /// Its client may not call the server any more.
    Revoked,
    /// The client has withdrawn the request.
    Withdrawn,
}

/// Waits until tools may appear otherwise, and goes on from there.
type News = Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send + Sync>>;

fn news(mut appearances: watch::Receiver<u64>) -> News {
    Box::pin(async move {
        if appearances.changed().await.is_err() {
            // The sender is gone, so nothing can say so any more.
            std::future::pending::<()>().await;
        }
        appearances
    })
}

/// Waits until a stream is over.
pub type Until = Pin<Box<dyn Future<Output = Over> + Send + Sync>>;

/// Waits until a watch over a token is over, or the gateway is asked to end where a stream would last for ever.
pub fn until(token_watch: &Arc<TokenWatch>, ending: Option<watch::Receiver<bool>>) -> Until {
    let revoked = token_watch.ended();
    let Some(mut ending) = ending else {
        return Box::pin(async move {
            revoked.await;
            Over::Revoked
        });
    };
    Box::pin(async move {
        tokio::select! {
            () = revoked => Over::Revoked,
            // It also ends if the sender is gone that could say so.
            _ = ending.wait_for(|ending| *ending) => Over::Drained,
        }
    })
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

impl Pieces for Events {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.next_piece(cx).map(|piece| piece.map(Ok))
    }
}

impl Events {
    /// The events of an answer, or of a stream. With `ending`, it ends when the gateway is asked to end.
    pub fn new(source: Held, mut exchange: Exchange, slot: RequestSlot, ending: Option<watch::Receiver<bool>>) -> Self {
        let lasting = until(&exchange.lasting(), ending);
        let until: Until = match exchange.withdrawn() {
            None => lasting,
            Some(withdrawn) => Box::pin(async move {
                tokio::select! {
                    over = lasting => over,
                    () = withdrawn => Over::Withdrawn,
                }
            }),
        };
        Self {
            source: Some(source),
            blocks: Blocks::default(),
            exchange,
            ready: VecDeque::new(),
            patience: None,
            until,
            news: None,
            _seat: slot,
        }
    }

    /// Gives the request up when nothing that belongs to it comes for so long.
    #[must_use]
    pub fn with_patience(mut self, patience: Option<Duration>) -> Self {
        self.patience = patience.map(|wait| (wait, Box::pin(tokio::time::sleep(wait))));
        self
    }

    /// Tells the client whenever tools may appear otherwise under a policy or lock as it is then.
    #[must_use]
    pub fn with_news(self, appearances: watch::Receiver<u64>) -> Self {
        Self { news: Some(news(appearances)), ..self }
    }

    /// The next bytes for the client.
    fn next_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            // First, for a server that sends without a pause must not put it off.
            if self.source.is_some()
                && let Poll::Ready(over) = self.until.as_mut().poll(cx)
            {
                self.over(over);
            }
            self.lose_patience(cx);
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
                Poll::Ready(None) => self.end(CallOutcome::Closed, "the server ended the stream without an answer"),
                Poll::Ready(Some(Err(_))) => self.end(CallOutcome::Broken, "the stream from the server broke off"),
                Poll::Pending => {
                    if self.has_own(cx) {
                        continue;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Gives the request up if nothing that belongs to it has come for too long.
    fn lose_patience(&mut self, cx: &mut Context<'_>) {
        if let Some((wait, sleep)) = &mut self.patience
            && self.source.is_some()
            && self.exchange.is_open()
            && sleep.as_mut().poll(cx).is_ready()
        {
            let message = format!("the server has not answered within {} s", wait.as_secs_f64());
            self.exchange.set_resumable(false);
            self.end(CallOutcome::Timeout, &message);
        }
    }

    /// Whether there is something of our own to say while the server says nothing.
    fn has_own(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(waiting) = &mut self.news
            && let Poll::Ready(appearances) = waiting.as_mut().poll(cx)
        {
            *waiting = news(appearances);
            let mut line = Vec::new();
            reply::list_changed(&mut line);
            self.ready.push_back(event(&line));
            return true;
        }
        false
    }

    fn arrived(&mut self, bytes: &Bytes) {
        self.blocks.feed(bytes);
        loop {
            match self.blocks.next_block() {
                Ok(Some(block)) => self.take(block),
                Ok(None) => return,
                Err(_) => {
                    self.exchange.set_resumable(false);
                    self.end(CallOutcome::TooLong, "the server's answer is longer than this gateway takes");
                    return;
                }
            }
        }
    }

    fn take(&mut self, block: Block) {
        if block.has_id() {
            self.exchange.set_resumable(true);
        }
        let fate = match block.data() {
            // Nothing that could be a message: comments and ids.
            None => Fate::Pass,
            Some(data) if data.is_empty() => Fate::Pass,
            // Nor is this one: no client reads it as one, and of the older transport it is the address that a client is to post to, past the gateway.
            Some(data) if !block.is_message() => {
                self.exchange.dropped("event of another kind", data.len());
                // Where it stood, the client sees that the stream lives.
                self.ready.push_back(block.without(&[b"data", b"event"], None));
                return;
            }
            Some(data) => self.exchange.message(&data),
        };
        if self.exchange.was_alive()
            && let Some((wait, sleep)) = &mut self.patience
        {
            sleep.as_mut().reset(Instant::now() + *wait);
        }
        match fate {
            Fate::Pass => self.ready.push_back(block.bytes),
            Fate::Replace(message) => self.ready.push_back(block.with_data(&message)),
            // Its id counts all the same: what was not passed on must not come again.
            Fate::Drop if block.has_id() => self.ready.push_back(block.without(&[b"data", b"event"], None)),
            Fate::Drop => {}
        }
    }

    fn over(&mut self, over: Over) {
        match over {
            Over::Drained => self.source = None,
            Over::Withdrawn => {
                // A withdrawn request gets no answer.
                self.ready.clear();
                self.source = None;
            }
            Over::Revoked => {
                // What has come meanwhile is not theirs any more.
                self.ready.clear();
                self.exchange.set_resumable(false);
                self.end(CallOutcome::Revoked, REVOKED);
            }
        }
    }

    fn end(&mut self, outcome: CallOutcome, message: &str) {
        self.source = None;
        if self.exchange.is_resumable() {
            // The answer may come when the client listens again.
            self.exchange.detached();
        } else if let Some(error) = self.exchange.fail(outcome, message) {
            self.ready.push_back(event(&error));
        }
    }
}
