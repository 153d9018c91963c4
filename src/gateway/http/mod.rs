//! The gateway over HTTP: many servers, many callers, each call judged at the one decider.
//!
//! A request goes through `host_origin` (is it meant for us?), `identity` (who asks?), the envelope (what is asked?), the decider
//! (may it pass?) and on to a server by `url_server` or `command_server`. What comes back goes through `exchange` and `events`.

pub mod body;
pub mod command_server;
pub mod child;
pub mod child_events;
pub mod client;
pub mod events;
pub mod exchange;
pub mod host_origin;
pub mod headers;
pub mod stalled_client;
pub mod token_watch;
pub mod header_match;
pub mod open;
pub mod queue;
pub mod refusal;
pub mod url_server;
pub mod relist;
pub mod request_slots;
pub mod serve;
pub mod server;
pub mod sessions;
pub mod seen_tools;
pub mod tls;
pub mod token_help;
pub mod combined;
pub mod waiting;
mod approval;
mod command_request;
mod command_table;
mod child_routes;
mod mcp_headers;
mod own_ids;
mod pledge;
mod repeats;
mod resumable;
mod url_answer;
mod url_table;
mod state;
mod strictness;
mod trip;

pub use server::{Server, SetUpError};
pub use state::{ENDPOINT, Gateway, IDENTITY_AGE_MAX};

use super::audit::{Route, Whose};
use crate::clock;
use body::Answer;
use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use refusal::Refusal;
use server::ServerWay;
use state::LivePlan;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use token_help::AskedAddress;

impl Gateway {
    /// Answers one request. `local` is the address that the client reached.
    pub async fn answer(self: &Arc<Self>, local: IpAddr, request: Request<Incoming>) -> Response<Answer> {
        let (mut head, body) = request.into_parts();
        headers::end_of_connection(&mut head.headers);
        let table = self.table();
        let asked = self.token_help.asked(&head);
        let origin = match table.front.check(&head, local) {
            Ok(origin) => origin,
            Err(refusal) => return self.refuse(refusal, asked.as_ref(), &Whose::gateway()),
        };
        if let Some(mut response) = table.front.preflight(&head, origin.as_ref()) {
            origin.into_iter().for_each(|origin| host_origin::allow_origin(response.headers_mut(), origin));
            return response;
        }
        let mut whose = Whose::gateway();
        let served = match self.token_help.answer(&head, |path| table.is_common(path) || table.route(path).is_ok()) {
            Some(answer) => answer,
            None => self.serve(&table, head, body, &mut whose).await,
        };
        let mut response = match served {
            Ok(response) => response,
            Err(refusal) => self.refuse(refusal, asked.as_ref(), &whose),
        };
        origin.into_iter().for_each(|origin| host_origin::allow_origin(response.headers_mut(), origin));
        response
    }

    fn refuse(&self, refusal: Refusal, asked: Option<&AskedAddress>, whose: &Whose) -> Response<Answer> {
        if let Some(meter) = self.decider.meter() {
            meter.refused_request(match refusal.status().as_u16() {
                400 => "malformed",
                401 => "unauthorized",
                403 => "host_or_origin",
                404 => "unknown_path_or_session",
                405 => "method",
                408 => "too_slow",
                413 => "too_large",
                415 => "content_type",
                429 | 503 => "busy",
                502 | 504 => "upstream",
                _ => "other",
            });
        }
        self.decider.audit().repeated(clock::now(), "refused", whose, |line| {
            line.number("status", u64::from(refusal.status().as_u16()))
                .text("reason", refusal.message())
                .text_if("token", refusal.token())
        });
        self.token_help.complete(refusal, asked).into_response()
    }

    /// Serves a request; `whose` says whose it is, as far as that is known when it is refused.
    async fn serve(
        self: &Arc<Self>,
        table: &LivePlan,
        head: Parts,
        body: Incoming,
        whose: &mut Whose,
    ) -> Result<Response<Answer>, Refusal> {
        // What is not the path of most requests is in a box: the room for a request is that of its longest way.
        if table.is_common(head.uri.path()) {
            whose.way = Some(Route::Combined);
            return Box::pin(combined::serve(self, table, head, body, whose)).await;
        }
        let server = table.route(head.uri.path())?;
        (whose.server, whose.way) = (Some(Arc::clone(&server.label)), Some(server.route()));
        let who = self.who(&head, server).await?;
        whose.grant = Some(Arc::clone(&who.grant));
        match head.method {
            Method::POST => {
                host_origin::content(&head.headers)?;
                let (slot, known) = (self.slots.take(&who.grant)?, Instant::now());
                let (bytes, _taken) = body::read(body, &self.room).await?;
                // The token may have been taken back while the body arrived.
                let who = if known.elapsed() < IDENTITY_AGE_MAX { who } else { self.who(&head, server).await? };
                match &server.way {
                    ServerWay::Http(relay) => relay.post(self, server, who, head, bytes, slot).await,
                    ServerWay::Stdio(bridge) => Box::pin(bridge.post(self, server, who, head, bytes, slot)).await,
                }
            }
            Method::GET => {
                let slot = self.slots.take(&who.grant)?;
                match &server.way {
                    ServerWay::Http(relay) => Box::pin(relay.get(self, server, &who, head, slot)).await,
                    ServerWay::Stdio(bridge) => bridge.get(self, server, &who, &head, slot),
                }
            }
            Method::DELETE => match &server.way {
                ServerWay::Http(relay) => Box::pin(relay.delete(server, &who, head)).await,
                ServerWay::Stdio(bridge) => bridge.delete(&who, &head),
            },
            _ => Err(host_origin::bad_method()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;
    use crate::gateway::audit::{Audit, Destination};
    use crate::gateway::decider::Decider;
    use crate::gateway::plan::{Backend, Served};
    use crate::gateway::reload::Enforcement;
    use crate::mcp::target::HttpTarget;
    use crate::model::ServerName;
    use crate::state::MemoryStore;
    use std::collections::BTreeMap;

    /// A server that nothing is ever sent to.
    pub fn server() -> Arc<Server> {
        let store = Arc::new(MemoryStore::default());
        let audit = Audit::open(&Destination::Nowhere, None, "s".to_owned()).unwrap();
        let decider = Arc::new(Decider::new(Arc::clone(&store) as _, store, audit, Box::new(|_| ())));
        let name = ServerName::new("one");
        let url = "http://127.0.0.1:1/mcp".parse().unwrap();
        let target = HttpTarget {
            server: name.clone(),
            url,
            headers: BTreeMap::new(),
            token: None,
            forward_headers: Vec::new(),
        };
        let plan = Served {
            backend: Backend::Http(target),
            policy: None,
            enforcement: Enforcement::AsWritten,
            locked: None,
            roots: Vec::new(),
            hints: None,
        };
        Arc::new(Server::new(name, plan, None, &decider).unwrap())
    }
}
