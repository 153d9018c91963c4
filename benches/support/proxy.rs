//! The least that can stand between a client and a server and still know what is asked: a hyper reverse proxy that
//! reads each request whole, parses the JSON down to the tool's name, and streams the answer.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Passes everything on to a port of loopback.
pub fn serve(port: u16) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    super::server::run(move |request| pass(client.clone(), request, port));
}

async fn pass(
    client: Client<HttpConnector, Full<Bytes>>,
    request: Request<Incoming>,
    port: u16,
) -> Result<Response<Incoming>, Failure> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    std::hint::black_box(tool(&body));
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("http://127.0.0.1:{port}{path}").parse()?;
    parts.headers.remove("host");
    Ok(client.request(Request::from_parts(parts, Full::new(body))).await?)
}

fn tool(body: &[u8]) -> Option<String> {
    let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
    if envelope.method? != "tools/call" {
        return None;
    }
    let call: Call<'_> = serde_json::from_str(envelope.params?.get()).ok()?;
    call.name.map(Cow::into_owned)
}
