//! A request on its way to a server behind a URL.

use super::exchange::Recipient;
use super::mcp_headers::{SESSION, VERSION};
use super::repeats::Repeats;
use super::request_slots::RequestSlot;
use super::seen_tools::{Seen, Viewer};
use super::token_watch::Holder;
use super::{Gateway, Server};
use crate::gateway::telemetry::RequestSpan;
use crate::policy::{Caller, Policy};
use http::HeaderMap;
use std::sync::Arc;
use std::time::Instant;

/// A request on its way: everything that is the same for all kinds of messages.
pub(super) struct Trip {
    pub(super) gateway: Arc<Gateway>,
    pub(super) server: Arc<Server>,
    pub(super) policy: Option<Arc<Policy>>,
    /// Those that go to the server.
    pub(super) headers: HeaderMap,
    /// Arguments that are repeated in headers.
    pub(super) repeats: Repeats,
    /// What was listed to the caller, where its calls are held to that.
    pub(super) seen: Option<Arc<Seen>>,
    pub(super) holder: Holder,
    /// The client as decisions name it.
    pub(super) caller: Caller,
    /// The answer may last for ever.
    pub(super) is_subscription: bool,
    pub(super) slot: RequestSlot,
    pub(super) began: Instant,
    pub(super) span: Option<RequestSpan>,
}

impl Trip {
    /// Whom the answer goes to.
    pub(super) fn recipient(&self) -> Recipient {
        Recipient {
            gateway: Arc::clone(&self.gateway),
            server: Arc::clone(&self.server),
            holder: self.holder.clone(),
            viewer: Viewer::of(&self.headers, &self.holder.who),
            seen: self.seen.clone(),
            caller: self.caller.clone(),
            line: (self.headers.get(&SESSION).cloned(), self.headers.get(&VERSION).cloned()),
        }
    }
}
