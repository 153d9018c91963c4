//! A request on its way to a server behind a URL.

use super::exchange::Recipient;
use super::repeats::Repeats;
use super::request_slots::RequestSlot;
use crate::gateway::telemetry::RequestSpan;
use crate::policy::Policy;
use http::HeaderMap;
use std::sync::Arc;
use std::time::Instant;

/// A request on its way: everything that is the same for all kinds of messages.
pub(super) struct Trip {
    /// Whom the answer goes to.
    pub(super) to: Recipient,
    pub(super) policy: Option<Arc<Policy>>,
    /// Those that go to the server.
    pub(super) headers: HeaderMap,
    /// Arguments that are repeated in headers.
    pub(super) repeats: Repeats,
    /// The answer may last for ever.
    pub(super) is_subscription: bool,
    pub(super) slot: RequestSlot,
    pub(super) began: Instant,
    pub(super) span: Option<RequestSpan>,
}
