//! The counts as a page for Prometheus, in the OpenMetrics text format (OpenMetrics 1.0, which Prometheus asks for
//! first).

use super::{Meter, ServerMeter, Snapshot};
use crate::text::escape;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The media type of what [`exposition`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page for `/metrics`.
///
/// # Errors
/// The encoder failed, which writing to a string never makes it do.
pub fn exposition(meter: &Arc<Meter>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("mcpol");
    registry.register_collector(Box::new(Exposition(Arc::clone(meter))));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Exposition(Arc<Meter>);

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (meter, servers) = (&self.0, self.0.servers());
        let encoder = &mut encoder;
        let mut info = encoder.encode_descriptor("build", "The version that runs", None, MetricType::Info)?;
        info.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let started = ConstGauge::new(to_seconds(meter.started().millis().saturating_mul(1000)));
        let help = "When the gateway was started, since the Unix epoch";
        started.encode(encoder.encode_descriptor("start_time", help, Some(&Unit::Seconds), MetricType::Gauge)?)?;

        let help = "Calls that were judged, by the rule that decided; tools that the policy does not name are (other)";
        let mut family = encoder.encode_descriptor("decisions", help, None, MetricType::Counter)?;
        for server in &servers {
            for series in server.decisions() {
                let labels = [
                    ("server", &*escape(server.name())),
                    ("tool", &*escape(&series.tool)),
                    ("outcome", series.outcome.as_str()),
                    ("rule", &*escape(&series.rule)),
                ];
                ConstCounter::new(series.count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Calls that were forwarded and have ended, by how";
        let mut family = encoder.encode_descriptor("calls_ended", help, None, MetricType::Counter)?;
        for server in &servers {
            for (ending, count) in server.endings() {
                let labels = [("server", &*escape(server.name())), ("outcome", ending)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Time that the gateway itself took for a call that it forwarded";
        durations(encoder, "added", help, &servers, ServerMeter::added)?;
        let help = "Time from forwarding a call to the end of the server's answer";
        durations(encoder, "upstream", help, &servers, ServerMeter::upstream)?;
        gauges(encoder, "pending_calls", "Calls in flight", &servers, ServerMeter::pending)?;
        gauges(encoder, "sessions", "Open sessions", &servers, ServerMeter::sessions)?;
        let help = "Whether the server answered the last request to it; not there before the first";
        let mut family = encoder.encode_descriptor("upstream_up", help, None, MetricType::Gauge)?;
        for server in &servers {
            if let Some(is_up) = server.health().view().is_up {
                let labels = [("server", &*escape(server.name()))];
                ConstGauge::new(i64::from(is_up)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Times that the server could not be reached, or ended by itself";
        let mut family = encoder.encode_descriptor("upstream_failures", help, None, MetricType::Counter)?;
        for server in &servers {
            let labels = [("server", &*escape(server.name()))];
            ConstCounter::new(server.health().view().failures).encode(family.encode_family(&labels)?)?;
        }

        let help = "Requests that were refused before any policy was asked";
        let mut family = encoder.encode_descriptor("refused_requests", help, None, MetricType::Counter)?;
        for (reason, count) in meter.refused_requests() {
            ConstCounter::new(count).encode(family.encode_family(&[("reason", reason)])?)?;
        }
        let help = "Times that the state store could not be used";
        let errors = encoder.encode_descriptor("store_errors", help, None, MetricType::Counter)?;
        ConstCounter::new(meter.store_errors()).encode(errors)?;
        let help = "New versions of policies, locks and configuration, by what became of them";
        let mut family = encoder.encode_descriptor("reloads", help, None, MetricType::Counter)?;
        let (taken, refused) = meter.reloads();
        for (outcome, count) in [("taken", taken), ("refused", refused)] {
            ConstCounter::new(count).encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        Ok(())
    }
}

fn durations(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    servers: &[Arc<ServerMeter>],
    of: fn(&ServerMeter) -> Snapshot,
) -> fmt::Result {
    let name = format!("{name}_duration");
    let mut family = encoder.encode_descriptor(&name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for server in servers {
        let snapshot = of(server);
        let bounds = snapshot.bounds.iter().map(|micros| to_seconds(*micros)).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(snapshot.counts.iter().copied()).collect();
        let labels = [("server", &*escape(server.name()))];
        let mut metric = family.encode_family(&labels)?;
        let sum = to_seconds(snapshot.sum_micros);
        metric.encode_histogram::<NoLabelSet>(sum, snapshot.count(), &buckets, None)?;
    }
    Ok(())
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    servers: &[Arc<ServerMeter>],
    of: fn(&ServerMeter) -> u64,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for server in servers {
        let gauge = ConstGauge::new(i64::try_from(of(server)).unwrap_or(i64::MAX));
        gauge.encode(family.encode_family(&[("server", &*escape(server.name()))])?)?;
    }
    Ok(())
}

/// Microseconds as seconds, exact for up to 285 years (2^53 µs).
fn to_seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}
