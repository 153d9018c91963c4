//! The span of one request (OpenTelemetry semantic conventions for MCP, server side) and its duration.

use crate::gateway::exchange::CallOutcome;
use crate::gateway::meter::Outcome;
use crate::mcp::envelope::{Arrival, Id, Received};
use crate::mcp::json::string_value;
use crate::mcp::protocol::Method;
use crate::mcp::walk::member;
use crate::policy::Policy;
use crate::text::excerpt;
use opentelemetry::metrics::Histogram;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, Span};
use std::time::Instant;

/// Most characters of a name, id or revision from the client in an attribute.
const NAME_CHARS: usize = 256;
/// Stands for methods that no revision of the protocol knows, and for error codes that the protocol does not define.
const OTHER: &str = "_OTHER";

/// How the client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over HTTP.
    Http,
    /// Over standard input and output.
    Stdio,
}

/// A client's request, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct ArrivedRequest<'r> {
    /// Name of the server that the request is for.
    pub server: &'r str,
    /// The method, as the client wrote it.
    pub method: &'r str,
    /// The params as JSON text.
    pub params: Option<&'r str>,
    /// The request's id.
    pub id: &'r Id,
    /// How the client is connected.
    pub transport: Transport,
    /// The headers `traceparent` and `tracestate` of the HTTP request.
    pub headers: (Option<&'r str>, Option<&'r str>),
    /// The revision of the protocol that holds if the params name none.
    pub revision: Option<&'r str>,
    /// The policy that judges the call; only tools that it names may stand in names of spans and in metrics.
    pub policy: Option<&'r Policy>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanEnd {
    /// The server answered with a result.
    Result,
    /// The answer is a result with `isError`, from the tool or from the gateway that refused the call.
    ToolError,
    /// The answer is a JSON-RPC error with this code; 0 if its code cannot be read.
    Error(i64),
    /// The server gave no usable answer, for this reason.
    Failed(CallOutcome),
}

impl SpanEnd {
    /// How the server's answer ends the request.
    pub fn of(received: &Received<'_>) -> Self {
        if matches!(received.arrival, Arrival::Error(_)) {
            let error = member(&received.text, "error").map(|(error, _)| error);
            let code = error.and_then(|error| member(error, "code")).and_then(|(code, _)| code.trim().parse().ok());
            return Self::Error(code.unwrap_or(0));
        }
        let says_error = received.result().and_then(|result| member(result, "isError"));
        if says_error.is_some_and(|(value, _)| value.trim() == "true") { Self::ToolError } else { Self::Result }
    }
}

/// The span of a client's request while it is served. Dropped without [`Self::end`], it ends as [`Self::if_dropped`]
/// says, else as abandoned.
#[derive(Debug)]
pub struct RequestSpan {
    span: Option<Span>,
    if_dropped: CallOutcome,
    durations: Option<Histogram<f64>>,
    began: Instant,
    /// Attributes of the duration metric; few, and from closed sets, since each combination makes a series.
    of_duration: Vec<KeyValue>,
}

/// Hands the values of `traceparent` and `tracestate` to the propagator.
struct Carrier<'c>(Option<&'c str>, Option<&'c str>);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.0,
            "tracestate" => self.1,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// The span context in a `traceparent` and `tracestate`, if they are valid (W3C Trace Context).
fn context(parent: Option<&str>, state: Option<&str>) -> Option<SpanContext> {
    let found = TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(parent, state));
    let context = found.span().span_context().clone();
    context.is_valid().then_some(context)
}

fn text_in(params: Option<&str>, name: &str) -> Option<String> {
    Some(string_value(member(params?, name)?.0)?.into_owned())
}

impl RequestSpan {
    pub(super) fn begin(
        tracer: Option<&SdkTracer>,
        durations: Option<&Histogram<f64>>,
        incoming: &ArrivedRequest<'_>,
    ) -> Self {
        let method = Method::asked_by_client(incoming.method).map_or(OTHER, |method| method.name).to_owned();
        let named = matches!(&*method, "tools/call" | "prompts/get").then(|| text_in(incoming.params, "name"));
        let name = named.flatten().map(|name| excerpt(&name, NAME_CHARS));
        let is_tool = method == "tools/call";
        // A name that a client made up must not make a series of its own.
        let known = name.as_deref().filter(|name| is_tool && incoming.policy.is_some_and(|policy| policy.names(name)));
        let mut of_duration = vec![
            KeyValue::new("mcp.method.name", method.clone()),
            KeyValue::new("mcpol.server", incoming.server.to_owned()),
            KeyValue::new(
                "network.transport",
                match incoming.transport {
                    Transport::Http => "tcp",
                    Transport::Stdio => "pipe",
                },
            ),
        ];
        of_duration.extend(known.map(|name| KeyValue::new("gen_ai.tool.name", name.to_owned())));
        let span = tracer.map(|tracer| {
            let title = known.map_or_else(|| method.clone(), |name| format!("{method} {name}"));
            let meta = incoming.params.and_then(|params| member(params, "_meta")).map(|(meta, _)| meta);
            let revision = text_in(meta, "io.modelcontextprotocol/protocolVersion")
                .or_else(|| incoming.revision.map(str::to_owned))
                .map(|revision| excerpt(&revision, NAME_CHARS));
            let id = match incoming.id {
                Id::Integer(number) => number.to_string(),
                Id::Text(text) => excerpt(text, NAME_CHARS),
            };
            let mut attributes = vec![
                KeyValue::new("mcp.method.name", method),
                KeyValue::new("mcpol.server", incoming.server.to_owned()),
                KeyValue::new("jsonrpc.request.id", id),
            ];
            attributes.extend(of_duration.get(2).cloned());
            if incoming.transport == Transport::Http {
                attributes.push(KeyValue::new("network.protocol.name", "http"));
            }
            attributes.extend(revision.map(|revision| KeyValue::new("mcp.protocol.version", revision)));
            if let Some(name) = &name {
                let key = if is_tool { "gen_ai.tool.name" } else { "gen_ai.prompt.name" };
                attributes.push(KeyValue::new(key, name.clone()));
            }
            if is_tool {
                attributes.push(KeyValue::new("gen_ai.operation.name", "execute_tool"));
            }
            // `_meta` carries the client's own span, so it is the parent; the HTTP headers may carry that of a proxy
            // between.
            let in_message = context(text_in(meta, "traceparent").as_deref(), text_in(meta, "tracestate").as_deref());
            let in_headers = context(incoming.headers.0, incoming.headers.1);
            let (parent, other) = match (in_message, in_headers) {
                (Some(parent), other) => (Some(parent), other),
                (None, parent) => (parent, None),
            };
            let other = other.filter(|other| Some(other.span_id()) != parent.as_ref().map(SpanContext::span_id));
            let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
            tracer
                .span_builder(title)
                .with_kind(SpanKind::Server)
                .with_attributes(attributes)
                .with_links(other.into_iter().map(|other| Link::new(other, Vec::new(), 0)).collect())
                .start_with_context(tracer, &parent)
        });
        Self {
            span,
            if_dropped: CallOutcome::Abandoned,
            durations: durations.cloned(),
            began: Instant::now(),
            of_duration,
        }
    }

    /// Adds what the gate decided on the call: the grant's name, the outcome, the rule's id and the decision's id.
    pub fn decided(&mut self, grant: &str, outcome: Outcome, rule: &str, decision: &str) {
        if let Some(span) = &mut self.span {
            span.set_attribute(KeyValue::new("mcpol.grant", grant.to_owned()));
            span.set_attribute(KeyValue::new("mcpol.outcome", outcome.as_str()));
            span.set_attribute(KeyValue::new("mcpol.rule", rule.to_owned()));
            span.set_attribute(KeyValue::new("mcpol.decision", decision.to_owned()));
        }
    }

    /// Sets how the request ends if the span is dropped without [`Self::end`].
    pub fn if_dropped(&mut self, why: CallOutcome) {
        self.if_dropped = why;
    }

    /// Ends the span: the whole answer is on its way to the client.
    pub fn end(mut self, ended: SpanEnd) {
        self.finish(ended);
    }

    fn finish(&mut self, ended: SpanEnd) {
        let mut attributes = Vec::new();
        match ended {
            SpanEnd::Result => {}
            SpanEnd::ToolError => attributes.push(KeyValue::new("error.type", "tool_error")),
            SpanEnd::Error(code) => {
                attributes.push(KeyValue::new("error.type", code.to_string()));
                attributes.push(KeyValue::new("rpc.response.status_code", code.to_string()));
            }
            SpanEnd::Failed(why) => attributes.push(KeyValue::new("error.type", why.as_str())),
        }
        if let Some(mut span) = self.span.take() {
            if ended != SpanEnd::Result {
                // No description: the text of an error is the server's, and may quote arguments.
                span.set_status(Status::error(""));
            }
            for attribute in &attributes {
                span.set_attribute(attribute.clone());
            }
            span.end();
        }
        if let Some(durations) = self.durations.take() {
            // A server can answer with any code, and each would make a series: only -32799 to -32000 are told apart.
            if !matches!(ended, SpanEnd::Error(code) if !(-32_799..=-32_000).contains(&code)) {
                self.of_duration.append(&mut attributes);
            } else {
                self.of_duration.push(KeyValue::new("error.type", OTHER));
            }
            durations.record(self.began.elapsed().as_secs_f64(), &self.of_duration);
        }
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        if self.span.is_some() || self.durations.is_some() {
            self.finish(SpanEnd::Failed(self.if_dropped));
        }
    }
}
