//! The only door for a `tools/call` to a server: a call that departs is settled, counted and logged once, however it
//! ends.

use super::outcome::CallOutcome;
use crate::clock;
use crate::gateway::audit::{Ended, Whose};
use crate::gateway::decider::Decider;
use crate::gateway::grant_tasks::waiting;
use crate::gateway::meter::{InGauge, ServerMeter};
use crate::mcp::envelope::{Received, ToolCall};
use crate::policy::{News, Noted, Permit, Reservation, SeenWords, StoreError};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A call that is with the server, or is about to leave.
pub struct Flight {
    decider: Arc<Decider>,
    whose: Whose,
    number: u64,
    /// The units that the call holds of its counters; `None` once it has ended.
    reservation: Option<Reservation>,
    sent: Instant,
    /// The server's meter, and the call's place among those in flight; `None` without a meter.
    counted: Option<(Arc<ServerMeter>, InGauge)>,
    /// What flows still have to know of the answer.
    noted: Option<Box<Noted>>,
}

/// A call that a transport may send, once. Only a departing flight makes one.
#[derive(Debug)]
pub struct Cleared(ToolCall);

impl Cleared {
    /// The call's message, without line break.
    pub fn line(&self) -> &[u8] {
        self.0.line()
    }
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Flight {
    /// Lets a call leave that the gate has permitted. It arrived at `began` and leaves at `sent`; `number` is the
    /// decision's. Transports take a `tools/call` as [`Cleared`] alone, and what the call holds is settled by the
    /// flight.
    pub fn depart(
        decider: &Arc<Decider>,
        whose: Whose,
        number: u64,
        mut permit: Permit,
        (began, sent): (Instant, Instant),
    ) -> (Self, Cleared) {
        let noted = permit.take_noted();
        let (call, reservation) = permit.into_parts();
        let counted = decider.meter().map(|meter| {
            let server = meter.server(whose.server_name());
            server.forwarded(sent.saturating_duration_since(began));
            let held = server.call();
            (server, held)
        });
        (
            Self { decider: Arc::clone(decider), whose, number, reservation: Some(reservation), sent, counted, noted },
            Cleared(call),
        )
    }

    /// An error in answer gives nothing back any more: the client may have withdrawn the call.
    pub fn forfeit(&mut self) {
        self.reservation = self.reservation.take().map(Reservation::without_refund);
    }

    /// The answer has come, and goes to the client: its words are noted first, where flows ask for them.
    ///
    /// # Errors
    /// They cannot be noted, so the answer must not go on.
    pub fn returned(&mut self, received: &Received<'_>) -> Result<(), StoreError> {
        let Some(noted) = &self.noted else { return Ok(()) };
        // What a task comes to is fetched by requests of its own.
        let words = match received.task() {
            Some(_) => SeenWords::everything(),
            None => SeenWords::of(noted.words, &received.text),
        };
        self.note(noted, &words)?;
        self.noted = None;
        Ok(())
    }

    /// The answer may come where its words are not taken: from now on every value counts as seen.
    ///
    /// # Errors
    /// That cannot be noted, so the answer must not come.
    pub fn may_return_elsewhere(&mut self) -> Result<(), StoreError> {
        let Some(noted) = &self.noted else { return Ok(()) };
        self.note(noted, &SeenWords::everything())?;
        self.noted = None;
        Ok(())
    }

    fn note(&self, noted: &Noted, words: &SeenWords) -> Result<(), StoreError> {
        let (courses, news) = (self.decider.courses(), News::Returned(words));
        let grow = |key| courses.grow(clock::now(), key, &news).map(drop);
        waiting(|| [Some(&noted.key), noted.beside.as_ref()].into_iter().flatten().try_for_each(grow))
    }

    /// Settles, counts and logs the call, which has ended; `bytes` is the length of the answer.
    pub fn end(mut self, outcome: CallOutcome, bytes: usize) {
        self.finish(outcome, bytes);
    }

    fn finish(&mut self, outcome: CallOutcome, bytes: usize) {
        let Some(reservation) = self.reservation.take() else { return };
        let took = self.sent.elapsed();
        if let Some((server, _held)) = self.counted.take()
            && outcome != CallOutcome::NotSent
        {
            server.call_ended(outcome, took);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.decider.ended(reservation, outcome.ending());
        let whose = std::mem::take(&mut self.whose);
        self.decider.note_ended(Ended { whose, number: self.number, outcome, micros, bytes: bytes as u64 });
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Dropped without an end, as the client has gone. The server may do what was asked, so the units stay spent.
        self.finish(CallOutcome::ClientGone, 0);
    }
}
