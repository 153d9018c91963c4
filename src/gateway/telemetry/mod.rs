//! Traces and metrics by OTLP over HTTP, if the standard variables of OpenTelemetry ask for it; else nothing is sent.
//! One span for each request, after OpenTelemetry's conventions for MCP (in development). No value of an argument, no
//! URI of a resource and no session id (whose holder can take part in the session) may leave here. `traceparent`
//! reaches the server as the client sent it, since nothing is written into a message that was judged.

mod span;

pub use span::{ArrivedRequest, RequestSpan, SpanEnd, Transport};

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

/// How long the last spans may take to be sent at the end, and then the last counts again.
const GOODBYE: Duration = Duration::from_secs(3);
/// Upper bounds of request durations, in seconds, as OpenTelemetry's conventions for MCP recommend.
const DURATION_BOUNDS: [f64; 14] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// The instrumentation scope of the gateway's spans and metrics.
const SCOPE: &str = "mcpol.gateway";

/// Which telemetry the environment asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSignals {
    /// Where spans are sent; `None` if they are not.
    pub traces: Option<TelemetryTarget>,
    /// Where metrics are sent; `None` if they are not.
    pub metrics: Option<TelemetryTarget>,
}

/// Where telemetry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TelemetryTarget {
    /// The exporter reads the endpoint from the environment (OpenTelemetry Protocol Exporter, section on
    /// configuration).
    Environment,
    /// This URL, path included.
    Url(String),
}

/// Why telemetry cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTelemetry {
    /// The environment asks for another protocol than `http/protobuf`.
    #[error("`{variable}` asks for `{value}`, and only `http/protobuf` is spoken")]
    Protocol {
        /// The variable.
        variable: String,
        /// The variable's value.
        value: String,
    },
    /// An exporter cannot be set up, for the reason given.
    #[error("telemetry cannot be sent: {0}")]
    Exporter(String),
}

impl WantedSignals {
    /// Reads the standard variables: an endpoint switches a signal (traces, metrics) on; `OTEL_…_EXPORTER=none` or
    /// `OTEL_SDK_DISABLED=true` switch it off.
    ///
    /// # Errors
    /// The variables of a signal that is on ask for another protocol than `http/protobuf`.
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
            Ok(Some(TelemetryTarget::Environment))
        };
        Ok(Self { traces: wanted("TRACES")?, metrics: wanted("METRICS")? })
    }

    /// Whether neither traces nor metrics are asked for.
    pub fn is_nothing(&self) -> bool {
        self.traces.is_none() && self.metrics.is_none()
    }
}

/// Sends spans and metrics, as far as they are asked for.
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
    /// Telemetry that sends nothing; each request then costs one comparison.
    pub fn off() -> Self {
        Self::default()
    }

    /// Sets up the exporters; the counts of `meter` are sent with the metrics. It starts threads of its own, and must
    /// not be called inside of an event loop.
    ///
    /// # Errors
    /// An exporter cannot be set up.
    pub fn start(wanted: &WantedSignals, meter: Option<Arc<Meter>>) -> Result<Self, BadTelemetry> {
        let mut telemetry = Self::off();
        if wanted.is_nothing() {
            return Ok(telemetry);
        }
        // It fails if a provider of cryptography is installed already, which then serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = |error: opentelemetry_otlp::ExporterBuildError| BadTelemetry::Exporter(error.to_string());
        let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build();
        if let Some(place) = &wanted.traces {
            let mut exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
            if let TelemetryTarget::Url(url) = place {
                exporter = exporter.with_endpoint(url);
            }
            let exporter = exporter.build().map_err(failed)?;
            let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
            telemetry.tracer = Some(provider.tracer_with_scope(scope.clone()));
            telemetry.tracers = Some(provider);
        }
        if let Some(place) = &wanted.metrics {
            let mut exporter = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
            if let TelemetryTarget::Url(url) = place {
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

    /// Begins the span of a client's request that has arrived; `None` if nothing is sent.
    pub fn begin(&self, incoming: &ArrivedRequest<'_>) -> Option<RequestSpan> {
        self.is_on().then(|| RequestSpan::begin(self.tracer.as_ref(), self.durations.as_ref(), incoming))
    }

    /// Sends what is left; waits twice [`GOODBYE`] at most. Must not be called inside of an event loop.
    pub fn end(&self) {
        // A collector that does not take the rest is no reason to fail at the end.
        if let Some(tracers) = &self.tracers {
            let _ = tracers.shutdown_with_timeout(GOODBYE);
        }
        if let Some(meters) = &self.meters {
            let _ = meters.shutdown_with_timeout(GOODBYE);
        }
    }
}

/// The resource that spans and metrics come from. A service name in `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES`,
/// which the builder reads, wins over `mcpol`.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
    let resource = Resource::builder().with_attributes([version]);
    if named { resource.build() } else { resource.with_service_name("mcpol").build() }
}

/// Has the counts of `meter` sent, under names that begin with `mcpol`: no convention has names for decisions.
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
