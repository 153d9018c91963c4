//! The address for operators of a gateway over HTTP: bound before anything is served, so that an address that is taken is
//! an error at the start.

use super::Failure;
use crate::gateway::admin::{self, Admin};
use crate::gateway::http::Gateway;
use crate::gateway::meter::Meter;
use crate::gateway::telemetry::{Telemetry, Wanted};
use crate::policy::LimitStore;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// The address, if there is one.
#[derive(Debug)]
pub(super) struct Operators(Option<TcpListener>);

/// Spans and metrics by OTLP, where the standard variables of OpenTelemetry ask for them.
pub(super) fn telemetry(meter: &Arc<Meter>) -> Result<Telemetry, Failure> {
    let wanted = Wanted::from_environment(&|name| std::env::var(name).ok());
    let started = wanted.and_then(|wanted| Telemetry::start(&wanted, Some(Arc::clone(meter))));
    started.map_err(|error| {
        Failure::usage(error.to_string()).with_help("unset the `OTEL_…` variables, or set `OTEL_SDK_DISABLED=true`")
    })
}

impl Operators {
    /// Takes the address.
    pub(super) fn open(address: Option<SocketAddr>) -> Result<Self, Failure> {
        let Some(address) = address else { return Ok(Self(None)) };
        let bound = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener = bound.map_err(|error| {
            Failure::usage(format!("cannot listen on {address} for operators: {}", crate::problem::reason(&error)))
                .with_help("give another address with --admin; port 0 takes any free one")
        })?;
        Ok(Self(Some(listener)))
    }

    /// Serves it, inside of the gateway's event loop and for as long as that lasts.
    pub(super) fn serve(self, gateway: &Arc<Gateway>, meter: &Arc<Meter>, limits: &Arc<dyn LimitStore>) {
        let Some(listener) = self.0 else { return };
        let shown = listener.local_addr();
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            super::voice::say("the address for operators cannot be served");
            return;
        };
        if let Ok(address) = shown {
            super::voice::say(&format!("operators: http://{address}/status, /metrics, /healthz, /readyz"));
        }
        let views = Arc::clone(gateway);
        let admin = Admin::new(Arc::clone(meter), Arc::clone(limits), Box::new(move || views.views()));
        tokio::spawn(admin::serve(listener, admin, std::future::pending()));
    }
}
