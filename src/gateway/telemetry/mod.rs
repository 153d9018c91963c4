//! Traces and metrics by OTLP over HTTP, if the standard variables of OpenTelemetry ask for it; else nothing is set up and
//! nothing is sent. One span a request, named and described as OpenTelemetry's conventions for MCP say (status: in
//! development). Never a value of an argument, never a URI of a resource, never the id of a session: who knows that one can
//! take part in it.
//!
//! The client's `traceparent` goes on to the server as it came, in headers and in `_meta`: the gateway's span and the
//! server's are then both children of the client's. Nothing is written into a message that was judged.

mod span;

pub use span::{Ended, Incoming, RequestSpan, Transport};

use super::meter::Meter;
use opentelemetry::metrics::{Histogram, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long the last spans and counts may take to be sent at the end.
const GOODBYE: Duration = Duration::from_secs(3);
/// Upper bounds of durations, in seconds, that the conventions recommend.
const DURATION_BOUNDS: [f64; 14] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// Whose spans and metrics these are.
const SCOPE: &str = "mcpol.gateway";

/// What the environment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whether spans are sent, and where to if not where the environment says.
    pub traces: Option<Place>,
    /// The same for metrics.
    pub metrics: Option<Place>,
}

/// Where telemetry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the environment says (OpenTelemetry Protocol Exporter, section on configuration).
    Environment,
    /// To this URL, path included.
    Url(String),
}

/// Why telemetry cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTelemetry {
    /// Another protocol is asked for.
    #[error("`{variable}` asks for `{value}`, and only `http/protobuf` is spoken")]
    Protocol {
        /// The variable.
        variable: String,
        /// What it says.
        value: String,
    },
    /// The exporter cannot be set up.
    #[error("telemetry cannot be sent: {0}")]
    Exporter(String),
}

impl Wanted {
    /// What the standard variables ask for: an endpoint switches the signal on, `none` or `OTEL_SDK_DISABLED` off.
    ///
    /// # Errors
    /// They ask for a protocol that is not spoken.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, BadTelemetry> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let disabled = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let wanted = |signal: &str| {
            let endpoint = set(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")).or(set("OTEL_EXPORTER_OTLP_ENDPOINT"));
            let off = set(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|value| value == "none");
            if disabled || off || endpoint.is_none() {
                return Ok(None);
            }
            for name in [format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()] {
                match set(&name) {
                    None => {}
                    Some(value) if value == "http/protobuf" => break,
                    Some(value) => return Err(BadTelemetry::Protocol { variable: name, value }),
                }
            }
            Ok(Some(Place::Environment))
        };
        Ok(Self { traces: wanted("TRACES")?, metrics: wanted("METRICS")? })
    }

    /// Whether nothing is asked for.
    pub fn is_nothing(&self) -> bool {
        self.traces.is_none() && self.metrics.is_none()
    }
}

/// Sends spans and metrics, or does nothing at all.
#[derive(Default)]
pub struct Telemetry {
    tracer: Option<SdkTracer>,
    durations: Option<Histogram<f64>>,
    tracers: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("traces", &self.tracer.is_some())
            .field("metrics", &self.durations.is_some())
            .finish()
    }
}

impl Telemetry {
    /// Nothing is sent, and asking costs a comparison.
    pub fn off() -> Self {
        Self::default()
    }

    /// Sets up what is wanted; `meter` is sent with the metrics. Starts threads of its own, and must not be called inside
    /// of an event loop.
    ///
    /// # Errors
    /// An exporter cannot be set up.
    pub fn start(wanted: &Wanted, meter: Option<Arc<Meter>>) -> Result<Self, BadTelemetry> {
        let mut telemetry = Self::off();
        if wanted.is_nothing() {
            return Ok(telemetry);
        }
        // It fails if a provider is there already, and then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = |error: opentelemetry_otlp::ExporterBuildError| BadTelemetry::Exporter(error.to_string());
        let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build();
        if let Some(place) = &wanted.traces {
            let mut exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
            if let Place::Url(url) = place {
                exporter = exporter.with_endpoint(url);
            }
            let exporter = exporter.build().map_err(failed)?;
            let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
            telemetry.tracer = Some(provider.tracer_with_scope(scope.clone()));
            telemetry.tracers = Some(provider);
        }
        if let Some(place) = &wanted.metrics {
            let mut exporter = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
            if let Place::Url(url) = place {
                exporter = exporter.with_endpoint(url);
            }
            let exporter = exporter.build().map_err(failed)?;
            let provider =
                SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource()).build();
            let instruments = provider.meter_with_scope(scope);
            let durations = instruments
                .f64_histogram("mcp.server.operation.duration")
                .with_unit("s")
                .with_description("From the arrival of a request to the end of its answer")
                .with_boundaries(DURATION_BOUNDS.to_vec())
                .build();
            if let Some(meter) = meter {
                observe(&instruments, &meter);
            }
            telemetry.durations = Some(durations);
            telemetry.meters = Some(provider);
        }
        Ok(telemetry)
    }

    /// Whether anything is sent.
    pub fn is_on(&self) -> bool {
        self.tracer.is_some() || self.durations.is_some()
    }

    /// A request has arrived. `None` if nothing is sent.
    pub fn begin(&self, incoming: &Incoming<'_>) -> Option<RequestSpan> {
        self.is_on().then(|| RequestSpan::begin(self.tracer.as_ref(), self.durations.as_ref(), incoming))
    }

    /// Sends what is left; waits a few seconds at most. Must not be called inside of an event loop.
    pub fn end(&self) {
        // A collector that is gone cannot be told about it.
        if let Some(tracers) = &self.tracers {
            let _ = tracers.shutdown_with_timeout(GOODBYE);
        }
        if let Some(meters) = &self.meters {
            let _ = meters.shutdown_with_timeout(GOODBYE);
        }
    }
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are read by the builder and win.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
    let resource = Resource::builder().with_attributes([version]);
    if named { resource.build() } else { resource.with_service_name("mcpol").build() }
}

/// The gateway's own counts, under names of our own: no convention has any for decisions.
fn observe(instruments: &opentelemetry::metrics::Meter, meter: &Arc<Meter>) {
    let counted = Arc::clone(meter);
    instruments
        .u64_observable_counter("mcpol.decisions")
        .with_unit("{call}")
        .with_description("Calls that were judged, by the rule that decided")
        .with_callback(move |observer| {
            for server in counted.servers() {
                for series in server.decisions() {
                    let attributes = [
                        KeyValue::new("mcpol.server", server.name().to_owned()),
                        KeyValue::new("gen_ai.tool.name", series.tool),
                        KeyValue::new("mcpol.outcome", series.outcome.as_str()),
                        KeyValue::new("mcpol.rule", series.rule),
                    ];
                    observer.observe(series.count, &attributes);
                }
            }
        })
        .build();
    let counted = Arc::clone(meter);
    instruments
        .u64_observable_counter("mcpol.store.errors")
        .with_unit("{error}")
        .with_description("Times that the state store could not be used")
        .with_callback(move |observer| observer.observe(counted.store_errors(), &[]))
        .build();
    for (name, unit, description, of) in [
        ("mcpol.sessions", "{session}", "Open sessions", super::meter::ServerMeter::sessions as fn(&_) -> u64),
        ("mcpol.calls.pending", "{call}", "Calls in flight", super::meter::ServerMeter::pending),
    ] {
        let counted = Arc::clone(meter);
        instruments
            .u64_observable_gauge(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                for server in counted.servers() {
                    observer.observe(of(&server), &[KeyValue::new("mcpol.server", server.name().to_owned())]);
                }
            })
            .build();
    }
}

#[cfg(test)]
mod tests;
