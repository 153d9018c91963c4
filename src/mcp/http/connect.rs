//! How a connection to a server is set up: the nearest of its addresses, or the proxy on the way to it, then TLS.

use super::proxy::Proxy;
use crate::mcp::error::ConnectError;
use crate::mcp::target::redacted;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{Empty, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_platform_verifier::ConfigVerifierExt as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName as TlsName;
use tokio_rustls::rustls::{self, ClientConfig};
use url::{Host, Url};

/// How long a connection may take to be set up.
const CONNECT_WAIT: Duration = Duration::from_secs(15);
/// How long one address of a name is given before the next is tried as well (RFC 8305, section 5).
const NEXT_ADDRESS_WAIT: Duration = Duration::from_millis(250);
/// What is said of an end that answers TLS with something else.
pub(in crate::mcp) const NO_TLS: &str = "the other end does not speak TLS";

/// A connection that takes requests.
pub(super) type Sender = http1::SendRequest<Full<Bytes>>;

/// Why there is no connection, in words. Nothing was sent.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// No address could be reached.
    Unreachable(String),
    /// The other end could not be trusted, or speaks no TLS.
    Tls(String),
}

/// The way to the origin of one URL.
pub(super) struct Way {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, TlsName<'static>)>,
    proxy: Option<Proxy>,
}

impl Way {
    /// The way to a server; nothing is sent yet.
    ///
    /// # Errors
    /// The URL is none of http or https, its proxy cannot be used, or the system's certificates cannot be read.
    pub fn to(url: &Url) -> Result<Self, ConnectError> {
        let bad = || ConnectError::BadTarget(format!("`{}` is no http or https URL", redacted(url)));
        let (Some(host), Some(port), "http" | "https") = (url.host(), url.port_or_known_default(), url.scheme()) else {
            return Err(bad());
        };
        let failed = |detail: String| ConnectError::Tls { url: redacted(url), detail };
        let tls = match (url.scheme(), &host) {
            ("https", Host::Domain(name)) => Some(TlsName::try_from((*name).to_owned()).map_err(|_| bad())?),
            ("https", Host::Ipv4(ip)) => Some(TlsName::from(std::net::IpAddr::from(*ip))),
            ("https", Host::Ipv6(ip)) => Some(TlsName::from(std::net::IpAddr::from(*ip))),
            _ => None,
        };
        let tls = match tls {
            Some(name) => Some((connector().map_err(failed)?, name)),
            None => None,
        };
        // For the resolver, without the brackets of an IPv6 address.
        let host = match host {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        Ok(Self { host, port, tls, proxy: Proxy::of_environment(url)? })
    }

    /// Where requests name the whole URL because a proxy reads them: the proxy's `Proxy-Authorization`, if it has one.
    pub fn absolute(&self) -> Option<Option<&HeaderValue>> {
        let proxy = self.proxy.as_ref().filter(|_| self.tls.is_none())?;
        Some(proxy.authorization.as_ref())
    }

    /// Sets up a connection.
    ///
    /// # Errors
    /// It did not come about, in time or at all.
    pub async fn connect(&self) -> Result<Sender, NoConnection> {
        let late = || NoConnection::Unreachable(format!("no connection within {} s", CONNECT_WAIT.as_secs()));
        tokio::time::timeout(CONNECT_WAIT, self.connect_at_leisure()).await.unwrap_or_else(|_| Err(late()))
    }

    async fn connect_at_leisure(&self) -> Result<Sender, NoConnection> {
        let Some(proxy) = &self.proxy else {
            let stream = tcp(&self.host, self.port).await.map_err(|error| unreachable(&error))?;
            return match &self.tls {
                None => start(stream).await,
                Some((connector, name)) => start(secured(connector, name.clone(), stream).await?).await,
            };
        };
        let by_proxy = |error: &dyn std::error::Error| {
            NoConnection::Unreachable(format!("the proxy {}:{}: {}", proxy.host, proxy.port, super::innermost(error)))
        };
        let stream = tcp(&proxy.host, proxy.port).await.map_err(|error| by_proxy(&error))?;
        let stream: Box<dyn ConnectedStream> = if proxy.speaks_tls {
            let name = TlsName::try_from(proxy.host.clone()).map_err(|error| by_proxy(&error))?;
            let connector = connector().map_err(NoConnection::Tls)?;
            Box::new(secured(&connector, name, stream).await?)
        } else {
            Box::new(stream)
        };
        let Some((connector, name)) = &self.tls else { return start(stream).await };
        let tunnel = self.tunnel(proxy, stream).await?;
        start(secured(connector, name.clone(), tunnel).await?).await
    }

    /// Asks a proxy to pass bytes on (RFC 9110, section 9.3.6).
    async fn tunnel(
        &self,
        proxy: &Proxy,
        stream: Box<dyn ConnectedStream>,
    ) -> Result<impl ConnectedStream, NoConnection> {
        let refused = |why: String| NoConnection::Unreachable(format!("the proxy {}:{} {why}", proxy.host, proxy.port));
        let broken = |error: hyper::Error| refused(format!("broke off: {}", super::innermost(&error)));
        let authority = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::try_from(&authority).map_err(|error| refused(error.to_string()))?;
        let host = HeaderValue::from_str(&authority).map_err(|error| refused(error.to_string()))?;
        request.headers_mut().insert(HOST, host);
        if let Some(authorization) = &proxy.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move { drop(connection.with_upgrades().await) });
        let answer = sender.send_request(request).await.map_err(broken)?;
        if !answer.status().is_success() {
            return Err(refused(format!("answered HTTP {}", answer.status().as_u16())));
        }
        hyper::upgrade::on(answer).await.map(TokioIo::new).map_err(broken)
    }
}

/// What a connection is made of.
trait ConnectedStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ConnectedStream for S {}

async fn start<S: ConnectedStream>(stream: S) -> Result<Sender, NoConnection> {
    let started = http1::Builder::new().handshake(TokioIo::new(stream)).await;
    let (sender, connection) = started.map_err(|error| unreachable(&error))?;
    // How a connection ends shows in the answers that wait on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

async fn secured<S: ConnectedStream>(
    connector: &TlsConnector,
    name: TlsName<'static>,
    stream: S,
) -> Result<tokio_rustls::client::TlsStream<S>, NoConnection> {
    connector.connect(name, stream).await.map_err(|error| {
        let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
                NoConnection::Tls(NO_TLS.to_owned())
            }
            Some(cause) => NoConnection::Tls(super::innermost(cause)),
            None => unreachable(&error),
        }
    })
}

/// TLS as all connections speak it. The certificates that the system trusts are read once.
fn connector() -> Result<TlsConnector, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        // It fails if a provider is there already, and then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = ClientConfig::with_platform_verifier().map_err(|error| error.to_string())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    });
    config.clone().map(TlsConnector::from)
}

/// A connection to the first address that answers; the next is tried while one keeps us waiting.
async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = alternating(tokio::net::lookup_host((host, port)).await?.collect());
    let (mut addresses, mut tries) = (addresses.into_iter(), FuturesUnordered::new());
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    tries.extend(addresses.next().map(TcpStream::connect));
    while !tries.is_empty() {
        tokio::select! {
            Some(tried) = tries.next() => match tried {
                Ok(stream) => {
                    // A call is one small write, and its answer is waited for.
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => {
                    failed = error;
                    tries.extend(addresses.next().map(TcpStream::connect));
                }
            },
            () = tokio::time::sleep(NEXT_ADDRESS_WAIT), if addresses.len() > 0 => {
                tries.extend(addresses.next().map(TcpStream::connect));
            }
        }
    }
    Err(failed)
}

/// Addresses of the two families by turns, beginning with that of the first.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut all = Vec::new();
    loop {
        let (next, after) = (one.next(), other.next());
        if next.is_none() && after.is_none() {
            return all;
        }
        all.extend(next.into_iter().chain(after));
    }
}

fn unreachable(error: &dyn std::error::Error) -> NoConnection {
    NoConnection::Unreachable(super::innermost(error))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot set itself up must fail")]
    use super::*;

    #[test]
    fn families_of_addresses_take_turns() {
        let check = |addresses: &[&str], expected: &[&str]| {
            let parse = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
            assert_eq!(alternating(parse(addresses)), parse(expected));
        };
        check(&["[::1]:1", "[::2]:1", "1.1.1.1:1"], &["[::1]:1", "1.1.1.1:1", "[::2]:1"]);
        check(&["1.1.1.1:1", "2.2.2.2:1"], &["1.1.1.1:1", "2.2.2.2:1"]);
        check(&[], &[]);
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_is_not_the_last_word() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // On many machines `localhost` is both, and only one of them listens here.
        assert!(tcp("localhost", listener.local_addr().unwrap().port()).await.is_ok());
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert_eq!(tcp("localhost", port).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
