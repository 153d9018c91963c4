//! The address for operators of a gateway over HTTP: bound before anything is served, so that an address that is in use
//! is an error at the start.

use super::StartError;
use crate::gateway::admin::{self, Admin};
use crate::gateway::http::Gateway;
use crate::gateway::meter::Meter;
use crate::gateway::said::Said;
use crate::policy::LimitStore;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// The bound address for operators; `None` if none is configured.
#[derive(Debug)]
pub(super) struct Operators(Option<TcpListener>);

impl Operators {
    /// Binds the address.
    pub(super) fn open(address: Option<SocketAddr>) -> Result<Self, StartError> {
        let Some(address) = address else { return Ok(Self(None)) };
        let bound = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        Ok(Self(Some(bound.map_err(|source| StartError::Operators { address, source })?)))
    }

    /// Serves operators as a task of the gateway's event loop, for as long as that lasts. To be called inside of it.
    pub(super) fn serve(
        self,
        gateway: &Arc<Gateway>,
        meter: &Arc<Meter>,
        limits: &Arc<dyn LimitStore>,
        say: fn(&Said<'_>),
    ) {
        let Some(listener) = self.0 else { return };
        let shown = listener.local_addr();
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            say(&Said::error("the address for operators cannot be served"));
            return;
        };
        if let Ok(address) = shown {
            say(&Said::info(format!("operators: http://{address}/status, /metrics, /healthz, /readyz")));
        }
        let views = Arc::clone(gateway);
        let admin = Admin::new(Arc::clone(meter), Arc::clone(limits), Box::new(move || views.views()));
        tokio::spawn(admin::serve(listener, admin, std::future::pending()));
    }
}
