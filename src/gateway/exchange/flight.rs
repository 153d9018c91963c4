//! A call that was forwarded: however it ends, it is settled, counted and logged once.

use super::outcome::CallOutcome;
use crate::gateway::audit::{Ended, Whose};
use crate::gateway::desk::Desk;
use crate::gateway::meter::{Held, ServerMeter};
use crate::mcp::envelope::ToolCall;
use crate::policy::{Permit, Reservation};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A call that was forwarded, or is about to be.
pub struct Flight {
    desk: Arc<Desk>,
    whose: Whose,
    number: u64,
    /// What it holds of its counters; nothing once it has ended.
    reservation: Option<Reservation>,
    sent: Instant,
    /// Where it is counted, and its place among the calls in flight.
    counted: Option<(Arc<ServerMeter>, Held)>,
}

/// A call that a transport may send, once. Only a departing flight makes one.
#[derive(Debug)]
pub struct Cleared(ToolCall);

impl Cleared {
    /// The message, without line break.
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
    /// A call that may pass leaves at `sent`; it arrived at `began`, and `number` is the decision's. The only door for a
    /// `tools/call`: a transport takes nothing else, and what the call holds is settled by the flight.
    pub fn depart(
        desk: &Arc<Desk>,
        whose: Whose,
        number: u64,
        permit: Permit,
        (began, sent): (Instant, Instant),
    ) -> (Self, Cleared) {
        let (call, reservation) = permit.into_parts();
        let counted = desk.meter().map(|meter| {
            let server = meter.server(whose.server_name());
            server.forwarded(sent.saturating_duration_since(began));
            let held = server.call();
            (server, held)
        });
        (Self { desk: Arc::clone(desk), whose, number, reservation: Some(reservation), sent, counted }, Cleared(call))
    }

    /// The call has ended; `bytes` is the length of the answer.
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
        self.desk.ended(reservation, outcome.ending());
        let whose = std::mem::take(&mut self.whose);
        self.desk.note_ended(Ended { whose, number: self.number, outcome, micros, bytes: bytes as u64 });
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // The client has gone. What the server does with the call nobody knows.
        self.finish(CallOutcome::ClientGone, 0);
    }
}
