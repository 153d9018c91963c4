//! The handshake of a client, kept for servers that must hear it again: one that was started again, or one behind a URL
//! that has forgotten the session.

use super::exchange::Wishes;
use super::mediate::{Mediator, lock};
use super::pending::RequestKind;
use super::shipment::Shipment;
use crate::mcp::envelope::{Id, Passage};
use crate::mcp::walk::member;
use std::time::Instant;

/// What the client said.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshake {
    /// `initialize`: its id, its serial number among the session's requests, and the line.
    initialize: Option<(Id, u64, Vec<u8>)>,
    /// What else it said that lasts.
    wishes: Wishes,
    /// Requests that were sent again under an id of the gateway's own.
    renamed: u64,
}

impl Handshake {
    fn own_id(&mut self) -> Id {
        self.renamed += 1;
        Id::Text(format!("mcpol-again-{}", self.renamed).into())
    }
}

impl Mediator {
    /// Keeps what lasts of a request that is sent now.
    pub(super) fn note_handshake(&self, id: &Id, serial: u64, passage: &Passage) {
        let mut handshake = lock(&self.handshake);
        if passage.method() == Some("initialize") {
            handshake.initialize = Some((id.clone(), serial, passage.line().to_vec()));
        }
        handshake.wishes.note("", passage);
    }

    /// Keeps `notifications/initialized`.
    pub(super) fn note_initialized(&self, passage: &Passage) {
        lock(&self.handshake).wishes.note("", passage);
    }

    /// The request with this serial number has failed. If it was `initialize`, the client begins anew.
    pub(super) fn forget_handshake(&self, serial: u64) {
        let mut handshake = lock(&self.handshake);
        if handshake.initialize.as_ref().is_some_and(|(_, own, _)| *own == serial) {
            *handshake = Handshake::default();
        }
    }

    /// A server was started again: what it must hear first, if the session had got that far.
    pub fn replay(&self) -> Option<Shipment> {
        // Another process may have other tools.
        self.shared.take_lists_back();
        let (id, _, line) = lock(&self.handshake).initialize.clone()?;
        let mut shipment = Shipment::default();
        if lock(&self.pending).begin(&id, RequestKind::Replay, &self.party, Instant::now()).is_ok() {
            shipment.again(&line);
            return Some(shipment);
        }
        // The client has used the id again, and that request waits for this very server.
        let own = lock(&self.handshake).own_id();
        let text = String::from_utf8(line).ok()?;
        let (_, place) = member(&text, "id")?;
        let mut line = text.as_bytes()[..place.start].to_vec();
        own.write(&mut line);
        line.extend_from_slice(&text.as_bytes()[place.end..]);
        lock(&self.pending).begin(&own, RequestKind::Replay, &self.party, Instant::now()).ok()?;
        shipment.again(&line);
        Some(shipment)
    }

    /// What a server that was started again hears after it has answered `initialize`.
    pub fn initialized_again(&self) -> Shipment {
        let (mut shipment, mut lines, mut asked) = (Shipment::default(), Vec::new(), Vec::new());
        {
            let mut handshake = lock(&self.handshake);
            let wishes = handshake.wishes.clone();
            lines.extend(wishes.initialized().cloned());
            let mut own = || {
                let id = handshake.own_id();
                asked.push(id.clone());
                id
            };
            lines.extend(wishes.level(&mut own));
            lines.extend(wishes.subscriptions("", own));
        }
        {
            let mut pending = lock(&self.pending);
            for id in asked {
                // Its answer is for the gateway alone; without room for it the answer is dropped as one too many.
                let _ = pending.begin(&id, RequestKind::Replay, &self.party, Instant::now());
            }
        }
        lines.iter().for_each(|line| shipment.again(line));
        shipment
    }
}
