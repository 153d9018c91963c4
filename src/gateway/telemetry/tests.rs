//! Tests of what an OTLP collector gets, decoded from the wire.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use super::*;
use crate::clock::Timestamp;
use crate::gateway::exchange::CallOutcome;
use crate::gateway::meter::Outcome;
use crate::mcp::envelope::Id;
use crate::policy::{Policy, parse};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// HTTP requests that the collector got, each with its path and its body.
type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An OTLP collector on this machine that keeps what it gets.
struct Collector {
    url: String,
    got: Requests,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&got);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let take = move |uri: http::Uri, body: bytes::Bytes| async move {
            keep.lock().unwrap().push((uri.path().to_owned(), body.to_vec()));
        };
        let router = axum::Router::new().fallback(take);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, got, _runtime: runtime }
    }

    fn wanted(&self) -> WantedSignals {
        let at = |path: &str| Some(TelemetryTarget::Url(format!("{}{path}", self.url)));
        WantedSignals { traces: at("/v1/traces"), metrics: at("/v1/metrics") }
    }

    fn bodies(&self, path: &str) -> Vec<Vec<u8>> {
        self.got.lock().unwrap().iter().filter(|(to, _)| to == path).map(|(_, body)| body.clone()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.bodies("/v1/traces");
        let requests = requests.iter().map(|body| ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
        let scopes = requests.flat_map(|request| request.resource_spans).flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

fn attributes(all: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &opentelemetry_proto::tonic::common::v1::AnyValue| match value.value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone(),
        other => format!("{other:?}"),
    };
    all.iter().map(|it| (it.key.clone(), text(it.value.as_ref().unwrap()))).collect()
}

const ID: Id = Id::Integer(7);

fn incoming<'r>(method: &'r str, params: &'r str, policy: &'r Policy) -> ArrivedRequest<'r> {
    ArrivedRequest {
        server: "files",
        method,
        params: Some(params),
        id: &ID,
        transport: Transport::Http,
        headers: (None, None),
        revision: Some("2025-11-25"),
        policy: Some(policy),
    }
}

fn policy() -> Policy {
    parse(r#"{"version":"1","default":"allow","tools":{"read":{}}}"#, "p").unwrap()
}

const MESSAGE: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const HEADER: &str = "00-1af7651916cd43dd8448eb211c80319c-10f067aa0ba902b7-01";

#[test]
fn a_call_becomes_a_span_with_the_clients_as_its_parent_and_no_value_of_its_arguments() {
    let (collector, policy) = (Collector::start(), policy());
    let telemetry = Telemetry::start(&collector.wanted(), None).unwrap();
    let params = format!(
        r#"{{"name":"read","arguments":{{"path":"hush-hush"}},"_meta":{{"traceparent":"{MESSAGE}","tracestate":"a=b",
        "io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}"#
    );
    let mut call = incoming("tools/call", &params, &policy);
    call.headers = (Some(HEADER), None);
    let mut span = telemetry.begin(&call).unwrap();
    span.decided("alice", Outcome::Allow, "/tools/read", "abc-1");
    span.end(SpanEnd::Result);
    telemetry.end();
    let spans = collector.spans();
    let [span] = spans.as_slice() else { unreachable!("one span: {spans:?}") };
    assert_eq!((span.name.as_str(), span.kind), ("tools/call read", 2), "2 is SERVER");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&span.trace_id), &MESSAGE[3..35]);
    assert_eq!(hex(&span.parent_span_id), &MESSAGE[36..52], "the message's span is the parent");
    assert_eq!(span.trace_state, "a=b");
    let [link] = span.links.as_slice() else { unreachable!("one link") };
    assert_eq!(hex(&link.span_id), &HEADER[36..52], "the HTTP request's span is linked");
    let expected = [
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", "read"),
        ("jsonrpc.request.id", "7"),
        ("mcp.method.name", "tools/call"),
        ("mcp.protocol.version", "2026-07-28"),
        ("mcpol.decision", "abc-1"),
        ("mcpol.grant", "alice"),
        ("mcpol.outcome", "allow"),
        ("mcpol.rule", "/tools/read"),
        ("mcpol.server", "files"),
        ("network.protocol.name", "http"),
        ("network.transport", "tcp"),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(attributes(&span.attributes), expected);
    assert_eq!(span.status.as_ref().map_or(0, |status| status.code), 0);
    let all: Vec<u8> = collector.got.lock().unwrap().iter().flat_map(|(_, body)| body.clone()).collect();
    assert!(!String::from_utf8_lossy(&all).contains("hush"), "no value of an argument leaves");
}

#[test]
fn ends_are_told_apart_and_names_that_clients_make_up_name_no_span() {
    let (collector, policy) = (Collector::start(), policy());
    let telemetry = Telemetry::start(&collector.wanted(), None).unwrap();
    let rows = [
        ("tools/call", r#"{"name":"made up"}"#, SpanEnd::ToolError, "tools/call", "tool_error"),
        ("tools/call", r#"{"name":"read"}"#, SpanEnd::Error(-32602), "tools/call read", "-32602"),
        ("tools/list", "{}", SpanEnd::Failed(CallOutcome::Timeout), "tools/list", "timeout"),
        ("prompts/get", r#"{"name":"greet"}"#, SpanEnd::Result, "prompts/get", ""),
        ("x/made up", "{}", SpanEnd::Error(-32601), "_OTHER", "-32601"),
    ];
    for (method, params, ended, _, _) in rows {
        telemetry.begin(&incoming(method, params, &policy)).unwrap().end(ended);
    }
    drop(telemetry.begin(&incoming("ping", "{}", &policy)));
    telemetry.end();
    let found: Vec<_> = collector
        .spans()
        .iter()
        .map(|span| {
            let error = attributes(&span.attributes).remove("error.type").unwrap_or_default();
            assert_eq!(span.status.as_ref().map_or(0, |status| status.code), if error.is_empty() { 0 } else { 2 });
            assert!(span.parent_span_id.is_empty());
            (span.name.clone(), error)
        })
        .collect();
    let mut expected: Vec<_> =
        rows.iter().map(|(_, _, _, name, error)| ((*name).to_owned(), (*error).to_owned())).collect();
    expected.push(("ping".to_owned(), "abandoned".to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn counts_and_durations_are_sent_as_metrics() {
    let (collector, policy) = (Collector::start(), policy());
    let meter = Arc::new(Meter::new(Timestamp::from_millis(0)));
    let telemetry = Telemetry::start(&collector.wanted(), Some(Arc::clone(&meter))).unwrap();
    meter.server("files").decided(Timestamp::from_millis(0), Some(&policy), "read", Outcome::Allow, "/tools/read");
    let _session = meter.server("files").session();
    telemetry.begin(&incoming("tools/call", r#"{"name":"read"}"#, &policy)).unwrap().end(SpanEnd::Result);
    telemetry.begin(&incoming("ping", "{}", &policy)).unwrap().end(SpanEnd::Error(12345));
    telemetry.end();
    let bodies = collector.bodies("/v1/metrics");
    let requests = bodies.iter().map(|body| ExportMetricsServiceRequest::decode(body.as_slice()).unwrap());
    let resources: Vec<_> = requests.flat_map(|request| request.resource_metrics).collect();
    let resource = attributes(&resources[0].resource.as_ref().unwrap().attributes);
    assert_eq!(resource["service.name"], "mcpol");
    let metrics = resources.into_iter().flat_map(|resource| resource.scope_metrics).flat_map(|scope| scope.metrics);
    let metrics: BTreeMap<_, _> = metrics.map(|metric| (metric.name.clone(), metric)).collect();
    let number = |name: &str| match metrics[name].data.as_ref().unwrap() {
        Data::Sum(sum) => (attributes(&sum.data_points[0].attributes), sum.data_points[0].value),
        Data::Gauge(gauge) => (attributes(&gauge.data_points[0].attributes), gauge.data_points[0].value),
        other => unreachable!("{other:?}"),
    };
    let (of, value) = number("mcpol.decisions");
    assert_eq!((of["gen_ai.tool.name"].as_str(), of["mcpol.rule"].as_str()), ("read", "/tools/read"));
    assert_eq!(value, Some(number_data_point::Value::AsInt(1)));
    assert_eq!(number("mcpol.sessions").1, Some(number_data_point::Value::AsInt(1)));
    let durations = &metrics["mcp.server.operation.duration"];
    let Some(Data::Histogram(histogram)) = &durations.data else { unreachable!("{durations:?}") };
    assert_eq!(durations.unit, "s");
    let mut points: Vec<_> = histogram
        .data_points
        .iter()
        .map(|point| {
            let of = attributes(&point.attributes);
            (of["mcp.method.name"].clone(), of.get("error.type").cloned(), point.count)
        })
        .collect();
    points.sort();
    let odd = Some("_OTHER".to_owned());
    assert_eq!(points, [("ping".to_owned(), odd, 1), ("tools/call".to_owned(), None, 1)]);
}

#[test]
fn nothing_is_sent_unless_the_environment_asks_for_it() {
    let check = |set: &[(&str, &str)], traces: bool, metrics: bool| {
        let variable = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let wanted = WantedSignals::from_environment(&variable).unwrap();
        assert_eq!((wanted.traces.is_some(), wanted.metrics.is_some()), (traces, metrics), "{set:?}");
    };
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    check(&[], false, false);
    check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], false, false);
    check(&[endpoint], true, true);
    check(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")], false, false);
    check(&[endpoint, ("OTEL_METRICS_EXPORTER", "none")], true, false);
    check(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")], true, false);
    let grpc = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_PROTOCOL" => Some("grpc".to_owned()),
        name => (name == endpoint.0).then(|| endpoint.1.to_owned()),
    };
    let said = "`OTEL_EXPORTER_OTLP_PROTOCOL` asks for `grpc`, and only `http/protobuf` is spoken";
    assert_eq!(WantedSignals::from_environment(&grpc).unwrap_err().to_string(), said);
    let off = Telemetry::off();
    let policy = policy();
    assert!(off.begin(&incoming("ping", "{}", &policy)).is_none());
}
