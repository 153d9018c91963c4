//! Tests of the address for operators, over real connections.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use super::*;
use crate::clock::Timestamp;
use crate::policy::{CounterKey, Reserve, Settlement, StoreError, StoredCounter, Usage};
use crate::state::MemoryStore;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A store of counters that can be switched off.
#[derive(Default)]
struct Switch {
    store: MemoryStore,
    off: AtomicBool,
}

impl LimitStore for Switch {
    fn reserve(&self, now: Timestamp, batch: &[Vec<Charge>]) -> Result<Vec<Reserve>, StoreError> {
        self.store.reserve(now, batch)
    }

    fn settle(&self, now: Timestamp, batch: &[Settlement]) -> Result<(), StoreError> {
        self.store.settle(now, batch)
    }

    fn usage(&self, now: Timestamp, charges: &[Charge]) -> Result<Vec<Usage>, StoreError> {
        if self.off.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("switched off".to_owned()));
        }
        self.store.usage(now, charges)
    }

    fn stored(&self) -> Result<(Timestamp, Vec<StoredCounter>), StoreError> {
        self.store.stored()
    }

    fn reset(&self, counters: &[CounterKey]) -> Result<(), StoreError> {
        self.store.reset(counters)
    }

    fn reset_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        self.store.reset_clock(now)
    }
}

struct Running {
    address: SocketAddr,
    store: Arc<Switch>,
    meter: Arc<Meter>,
}

async fn start(servers: Servers) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (store, meter) = (Arc::new(Switch::default()), Arc::new(Meter::new(clock::now())));
    let limits: Arc<dyn LimitStore> = Arc::clone(&store) as _;
    let admin = Admin::new(Arc::clone(&meter), limits, servers);
    tokio::spawn(serve(listener, admin, std::future::pending()));
    Running { address, store, meter }
}

fn one_server() -> Servers {
    Box::new(|| vec![ServerView { name: "files".to_owned(), policy: Some("p.json".to_owned()), problem: None }])
}

impl Running {
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

#[tokio::test]
async fn it_is_ready_when_the_store_answers_and_says_what_is_not() {
    let running = start(one_server()).await;
    assert_eq!(running.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(running.get("/readyz").await, (200, "ready\n".to_owned()));
    running.store.off.store(true, Ordering::Relaxed);
    let off = "the state store cannot be used: switched off\n".to_owned();
    assert_eq!(running.get("/readyz").await, (503, off));
    assert_eq!(running.get("/healthz").await.0, 200, "it lives all the same");
    running.store.off.store(false, Ordering::Relaxed);
    assert_eq!(running.get("/readyz").await.0, 200, "and it is back by itself");
    let closed = start(Box::new(Vec::new)).await;
    assert_eq!(closed.get("/readyz").await, (503, "the listener is not open\n".to_owned()));
    let view = || ServerView { name: "files".to_owned(), policy: None, problem: Some("gone\u{202e}".to_owned()) };
    let broken = start(Box::new(move || vec![view()])).await;
    assert_eq!(broken.get("/readyz").await, (503, "server files: gone\\u{202e}\n".to_owned()));
}

#[tokio::test]
async fn metrics_and_status_tell_the_same_counts() {
    let running = start(one_server()).await;
    let server = running.meter.server("files");
    for _ in 0..3 {
        server.decided(clock::now(), None, "x", meter::Outcome::Deny, "(no policy)");
    }
    let (code, page) = running.get("/metrics").await;
    assert_eq!(code, 200);
    let line = r#"mcpol_decisions_total{server="files",tool="(other)",outcome="deny",rule="(no policy)"} 3"#;
    assert!(page.contains(line), "{page}");
    assert!(page.ends_with("# EOF\n"));
    let (code, body) = running.get("/status").await;
    let status: Status = serde_json::from_str(&body).unwrap();
    let files = &status.servers["files"];
    assert_eq!((code, files.denied, files.allowed, files.policy.as_deref()), (200, 3, 0, Some("p.json")));
    assert!(status.not_ready.is_empty());
}

#[tokio::test]
async fn other_names_methods_and_paths_are_refused() {
    let running = start(one_server()).await;
    for (head, expected) in [
        ("GET /metrics HTTP/1.1\r\nHost: evil.example", "421"),
        ("GET /metrics HTTP/1.1\r\nHost: localhost.evil.example", "421"),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8788", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:8788", "200"),
        ("HEAD /healthz HTTP/1.1\r\nHost: localhost", "200"),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", "405"),
        ("GET /mcp HTTP/1.1\r\nHost: localhost", "404"),
    ] {
        let answer = running.ask(&format!("{head}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{head}: {answer}");
    }
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused() {
    let running = start(one_server()).await;
    let head = |bytes: usize| {
        let start = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    assert!(running.ask(&head(HEAD_BYTES_MAX - 1)).await.starts_with("HTTP/1.1 200"));
    let refused = running.ask(&head(HEAD_BYTES_MAX + 1)).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
}
