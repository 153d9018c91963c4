//! The only door for a `tools/call` to a server: a call that departs is settled, counted and logged once, however it
//! ends.

use super::outcome::CallOutcome;
use crate::gateway::audit::{Ended, Whose};
use crate::gateway::decider::Decider;
use crate::gateway::meter::{InGauge, ServerMeter};
use crate::mcp::envelope::ToolCall;
use crate::policy::{Permit, Reservation};
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
        permit: Permit,
        (began, sent): (Instant, Instant),
    ) -> (Self, Cleared) {
        let (call, reservation) = permit.into_parts();
        let counted = decider.meter().map(|meter| {
            let server = meter.server(whose.server_name());
            server.forwarded(sent.saturating_duration_since(began));
            let held = server.call();
            (server, held)
        });
        (
            Self { decider: Arc::clone(decider), whose, number, reservation: Some(reservation), sent, counted },
            Cleared(call),
        )
    }

    /// An error in answer gives nothing back any more: the client may have withdrawn the call.
    pub fn forfeit(&mut self) {
        self.reservation = self.reservation.take().map(Reservation::without_refund);
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
