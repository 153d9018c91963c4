//! Tests of the Redis store, against a real server that each starts for itself.
//!
//! They need `redis-server` and are left out where nobody says that it is there: `tests/redis.sh` runs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot start its server must fail")]

use super::*;
use crate::policy::{ApprovalStore, LimitStore as _, Receipt, Settlement};
use crate::state::contract::{self, at, charge, held};
use crate::state::grants::{GrantStore, contract as grants};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How long a test waits for a server to come or to be seen; generous, because nothing is measured by it.
const WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// A server of its own on loopback, in a folder of its own, gone with the test.
struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = launch(port, &folder, options);
        Self { child, port, folder }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self, options: &[&str]) {
        self.child = launch(self.port, &self.folder, options);
    }

    fn address(&self) -> RedisAddress {
        RedisAddress::parse(&format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    /// A store with keys of its own.
    fn store(&self) -> RedisStore {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        RedisStore::for_test(self.address(), &NEXT.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn command(&self, parts: &[&str]) {
        let mut connection =
            redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap().get_connection().unwrap();
        let mut command = redis::cmd(parts[0]);
        for part in &parts[1..] {
            command.arg(part);
        }
        command.query::<redis::Value>(&mut connection).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server and reads its log until it listens.
fn launch(port: u16, folder: &tempfile::TempDir, options: &[&str]) -> Child {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no", "--dir"])
        .arg(folder.path())
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Ready to accept connections"));
    assert!(ready, "redis-server did not start");
    // Its log is read to the end, or it would stop at a full pipe.
    std::thread::spawn(move || lines.count());
    child
}

/// Tries until it works; a store that is told off waits a moment by itself.
fn until_it_works<T>(work: impl Fn() -> Result<T, StoreError>) -> T {
    let since = Instant::now();
    loop {
        match work() {
            Ok(value) => return value,
            Err(error) => assert!(since.elapsed() < WAIT, "{error}"),
        }
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn it_keeps_the_contract() {
    let server = Server::start(&[]);
    contract::limits(|| ((), server.store()));
    contract::approvals(|| ((), server.store()));
    contract::decides_like_memory(100, || ((), server.store()));
    grants::all(|| ((), server.store()));
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn counters_expire_with_their_windows_and_nothing_else_is_left() {
    let server = Server::start(&[]);
    let store = RedisStore::new(server.address());
    let before = crate::clock::now();
    // The time that a gateway tells does not matter.
    store.reserve(at(0), &[vec![charge("a", "1s", 1, 9), charge("b", "hour", 1, 9)]]).unwrap();
    let mut connection =
        redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap().get_connection().unwrap();
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    keys.sort();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("{mcpol}:")), "{keys:?}");
    for key in keys.iter().filter(|key| key.contains("counter:")) {
        let expires: u64 = redis::cmd("PEXPIRETIME").arg(key).query(&mut connection).unwrap();
        let window = if key.contains("1s") { 1000 } else { 3_600_000 };
        let earliest = before.millis() / window * window + window + 60_000;
        assert!((earliest..=earliest + window).contains(&expires), "{key}: {expires}, {earliest}");
        assert_eq!((expires - 60_000) % window, 0, "the end of a window, and a minute: {key}");
    }
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn gateways_never_exceed_a_maximum_together() {
    let server = Server::start(&[]);
    let gateways: Vec<RedisStore> = (0..4).map(|_| RedisStore::new(server.address())).collect();
    // 64 callers at once, 16 at each gateway; a year so long that no window ends meanwhile.
    let total: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..64)
            .map(|caller| {
                let store = &gateways[caller % gateways.len()];
                scope.spawn(move || {
                    (0..20)
                        .filter(|_| held(&store.reserve(at(0), &[vec![charge("a", "8784h", 1, 777)]]).unwrap())[0])
                        .count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(total, 777);
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_server_that_goes_denies_and_one_that_is_back_works_again() {
    let kept = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::start(&kept);
    let store = RedisStore::new(server.address());
    let reserve = || store.reserve(at(0), &[vec![charge("a", "8784h", 1, 2)]]);
    assert_eq!(held(&reserve().unwrap()), [true]);
    server.kill();
    for _ in 0..3 {
        let error = reserve().unwrap_err();
        assert!(matches!(&error, StoreError::Unavailable(what) if what.contains("127.0.0.1")), "{error}");
        assert!(store.any_for("s").is_err() && ApprovalStore::find(&store, at(0), "k").is_err());
    }
    server.restart(&kept);
    let again = until_it_works(reserve);
    assert_eq!(held(&again), [true], "what was counted before is counted still");
    assert_eq!(held(&reserve().unwrap()), [false]);
    // Restarted between two uses, without an error: connections that were kept are dead, and made anew.
    server.kill();
    server.restart(&kept);
    assert_eq!(held(&reserve().unwrap()), [false]);
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn what_is_given_back_is_never_sent_twice() {
    let kept = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::start(&kept);
    let store = RedisStore::new(server.address());
    store.reserve(at(0), &[vec![charge("a", "8784h", 5, 9)]]).unwrap();
    server.kill();
    server.restart(&kept);
    // On a connection that turns out to be dead, nobody knows whether it arrived: the units stay spent.
    let (counter, window) = (charge("a", "8784h", 0, 0).counter, charge("a", "8784h", 0, 0).counter.window);
    let receipt = Receipt { counter, window_start: window.span(crate::clock::now()).0, amount: 5 };
    let settlement = [Settlement { receipts: vec![receipt] }];
    assert!(matches!(store.settle(at(0), &settlement), Err(StoreError::Unavailable(_))));
    let used = || Ok(store.usage(at(0), &[charge("a", "8784h", 0, 0)])?[0].used);
    assert_eq!(until_it_works(used), 5);
    store.settle(at(0), &settlement).unwrap();
    assert_eq!(used().unwrap(), 0);
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_server_that_hangs_costs_each_caller_a_bounded_time() {
    let server = Server::start(&[]);
    let store = RedisStore::new(server.address());
    assert!(!store.any_for("s").unwrap());
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &server.child.id().to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    let error = store.any_for("s").unwrap_err().to_string();
    assert!(error.contains("did not answer within 1 s"), "{error}");
    signal("-CONT");
    assert!(!until_it_works(|| store.any_for("s")));
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn the_password_opens_it_and_is_in_no_error() {
    let server = Server::start(&["--requirepass", "open-sesame"]);
    let store = |user_info: &str| {
        RedisStore::new(RedisAddress::parse(&format!("redis://{user_info}127.0.0.1:{}/3", server.port)).unwrap())
    };
    assert!(!store(":open-sesame@").any_for("s").unwrap());
    assert!(!store("default:open%2Dsesame@").any_for("s").unwrap());
    for wrong in ["", ":shut-sesame@", "nobody:open-sesame@"] {
        let error = store(wrong).any_for("s").unwrap_err().to_string();
        assert!(!error.contains("sesame") && error.contains("127.0.0.1"), "{error}");
    }
    assert!(!format!("{:?}", store(":open-sesame@")).contains("sesame"));
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_server_that_would_drop_counters_is_not_used() {
    let server = Server::start(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
    let store = RedisStore::new(server.address());
    let error = store.reserve(at(0), &[vec![charge("a", "day", 1, 1)]]).unwrap_err().to_string();
    assert!(error.contains("allkeys-lru") && error.contains("noeviction"), "{error}");
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    assert_eq!(held(&until_it_works(|| store.reserve(at(0), &[vec![charge("a", "8784h", 1, 1)]]))), [true]);
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn keys_that_hold_something_else_are_damage_and_nothing_changes() {
    let server = Server::start(&[]);
    let store = server.store();
    let (good, bad) = (charge("good", "day", 1, 9), charge("bad", "day", 1, 9));
    let key = store.key(&format!("counter:{}", bad.counter.text()));
    for value in ["nonsense", "1", "-5 3", "0 99999999999999999999", ""] {
        server.command(&["SET", &key, value]);
        let error = store.reserve(at(0), &[vec![good.clone(), bad.clone()]]).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged(what) if what.contains("bad")), "{value}: {error}");
        assert!(matches!(store.usage(at(0), std::slice::from_ref(&bad)), Err(StoreError::Damaged(_))), "{value}");
    }
    server.command(&["DEL", &key]);
    server.command(&["LPUSH", &key, "x"]);
    assert!(matches!(store.reserve(at(0), &[vec![good.clone(), bad]]), Err(StoreError::Damaged(_))));
    assert_eq!(store.usage(at(0), std::slice::from_ref(&good)).unwrap()[0].used, 0);
    server.command(&["SET", &store.clock_key(), "noon"]);
    assert!(matches!(store.reserve(at(0), &[vec![good]]), Err(StoreError::Damaged(_))));
    server.command(&["HSET", &store.key("grants"), "alice", "{}"]);
    assert!(matches!(GrantStore::list(&store), Err(StoreError::Damaged(_))));
}
