//! TLS of the listener, with a certificate made for these tests alone.

use super::*;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn fixture(name: &str) -> String {
    crate::harness::repository().join("tests/fixtures/tls").join(name).to_str().unwrap().to_owned()
}

#[test]
fn calls_pass_over_tls_and_plain_ones_do_not() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let (cert, key) = (fixture("cert.pem"), fixture("key.pem"));
    let served = Served::relay(&sandbox, &["--tls-cert", &cert, "--tls-key", &key], &upstream);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&cert).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let stream = TcpStream::connect(&served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(LINE_SECONDS_MAX))).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let length = CALL.len();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{CALL}"
    );
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let head = read_head(&mut stream).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // Without TLS there is nobody to talk to.
    let mut plain = served.open();
    plain.post(&[], CALL);
    assert!(read_head(&mut plain.reader).is_none_or(|head| !head.starts_with("HTTP")));
    assert_eq!(served.end(), Some(0));
}

#[test]
fn files_that_do_not_belong_together_are_refused_at_once() {
    let sandbox = usual();
    let cert = fixture("cert.pem");
    let options = ["--upstream", "http://127.0.0.1:9/mcp", "--listen", "127.0.0.1:0", "--tls-cert", &cert];
    let run = sandbox.run(&[&["enforce", "--policy", "policy.json"], &options[..], &["--tls-key", &cert]].concat());
    let stderr = run.refused(2);
    assert!(stderr.contains("cert.pem") && stderr.contains("help: "), "{stderr}");
}
