//! Tests of the Redis store, against a real server that each starts for itself.
//!
//! They need `redis-server` and are left out where nobody says that it is there: `tests/redis.sh` runs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot start its server must fail")]

use super::*;
use crate::policy::{ApprovalStore, LimitStore as _, Receipt, Settlement};
use crate::state::contract::{self, at, charge, held};
use crate::state::courses::contract as courses;
use crate::state::grants::{GrantStore, contract as grants};
use crate::state::tasks::{TASK_KEPT_MS, TaskKey, TaskStore as _, contract as tasks};
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
    courses::all(|| ((), server.store()));
    contract::decides_like_memory(100, || ((), server.store()));
    grants::all(|| ((), server.store()));
    tasks::all(|| ((), server.store()));
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
    let (long, whole) = ("9".repeat(300), "9".repeat(16));
    let absurd = [format!("{long} 1"), format!("{whole} 1"), format!("1 {long}")];
    for value in [
        "nonsense",
        "1",
        "-5 3",
        "0 99999999999999999999",
        "",
        "nan 1",
        "inf 1",
        "0x1 1",
        absurd[0].as_str(),
        absurd[1].as_str(),
        absurd[2].as_str(),
    ] {
        server.command(&["SET", &key, value]);
        let error = store.reserve(at(0), &[vec![good.clone(), bad.clone()]]).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged(what) if what.contains("bad")), "{value}: {error}");
        assert!(matches!(store.usage(at(0), std::slice::from_ref(&bad)), Err(StoreError::Damaged(_))), "{value}");
    }
    server.command(&["DEL", &key]);
    server.command(&["LPUSH", &key, "x"]);
    assert!(matches!(store.reserve(at(0), &[vec![good.clone(), bad]]), Err(StoreError::Damaged(_))));
    assert_eq!(store.usage(at(0), std::slice::from_ref(&good)).unwrap()[0].used, 0);
    // Lua takes some of these for numbers, and some of those for neither more nor less than any time.
    for clock in ["noon", "nan", "inf", "-inf", "0x10", "1e3", "-5", " 5", "5.5", "", whole.as_str(), long.as_str()] {
        server.command(&["SET", &store.clock_key(), clock]);
        let reserved = store.reserve(at(0), &[vec![good.clone()]]);
        assert!(matches!(reserved, Err(StoreError::Damaged(_))), "{clock}: {reserved:?}");
        assert!(matches!(store.request(at(0), &contract::question("t")), Err(StoreError::Damaged(_))), "{clock}");
        let task = TaskKey::of("s", "t");
        assert!(matches!(store.begin(at(0), &task, "alice"), Err(StoreError::Damaged(_))), "{clock}");
    }
    server.command(&["HSET", &store.key("grants"), "alice", "{}"]);
    assert!(matches!(GrantStore::list(&store), Err(StoreError::Damaged(_))));
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_question_that_was_tampered_with_is_answered_by_nobody() {
    let server = Server::start(&[]);
    for (field, value) in
        [("live", None), ("expires", Some("nan")), ("expires", Some("inf")), ("ttl", Some("x")), ("created", None)]
    {
        let store = server.store();
        let asked = store.request(at(0), &contract::question("t")).unwrap();
        let key = store.key(&format!("approval:{}", asked.id));
        match value {
            Some(value) => server.command(&["HSET", &key, field, value]),
            None => server.command(&["HDEL", &key, field]),
        }
        let decided = store.decide(at(1), &asked.id, crate::policy::Answer::Approve);
        assert!(matches!(decided, Err(StoreError::Damaged(_))), "{field} {value:?}: {decided:?}");
        let taken = store.take(at(1), &asked.request.binding.key());
        assert!(!matches!(taken, Ok(true)), "{field} {value:?}: {taken:?}");
    }
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_server_that_takes_no_writes_denies_and_changes_nothing() {
    let server = Server::start(&[]);
    let store = server.store();
    let both = [vec![charge("a", "day", 1, 9), charge("b", "day", 1, 9)]];
    assert_eq!(held(&store.reserve(at(0), &both).unwrap()), [true]);
    let asked = store.request(at(0), &contract::question("t")).unwrap();
    let task = [TaskKey::of("s", "t")];
    let used = || store.usage(at(0), &both[0]).map(|usage| usage.iter().map(|usage| usage.used).collect::<Vec<_>>());
    // Full, a replica, and without the right to it.
    let denied: [(&[&str], &[&str]); 3] = [
        (&["CONFIG", "SET", "maxmemory", "1"], &["CONFIG", "SET", "maxmemory", "0"]),
        (&["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"]),
        (&["ACL", "SETUSER", "default", "-set", "-hset", "-zadd"], &["ACL", "SETUSER", "default", "+@all"]),
    ];
    for (how, back) in denied {
        server.command(how);
        let reserved = store.reserve(at(2), &both);
        assert!(matches!(reserved, Err(StoreError::Unavailable(_))), "{how:?}: {reserved:?}");
        assert!(store.decide(at(2), &asked.id, crate::policy::Answer::Approve).is_err(), "{how:?}");
        assert!(store.request(at(2), &contract::question("other")).is_err(), "{how:?}");
        assert!(store.begin(at(2), &task[0], "alice").is_err(), "{how:?}");
        server.command(back);
        assert_eq!(until_it_works(used), [1, 1], "{how:?}");
        assert_eq!(
            store.get(at(2), &asked.id).unwrap().unwrap().state,
            crate::policy::ApprovalState::Pending,
            "{how:?}"
        );
        assert_eq!(store.are_of(at(2), &task, "alice").unwrap(), [false], "{how:?}");
    }
    // Scripts that the server has forgotten are sent again.
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(held(&store.reserve(at(2), &both).unwrap()), [true]);
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_server_that_is_held_up_by_somebody_elses_script_denies() {
    let server = Server::start(&["--lua-time-limit", "1"]);
    let store = server.store();
    let one = [vec![charge("a", "8784h", 1, 9)]];
    assert_eq!(held(&store.reserve(at(0), &one).unwrap()), [true]);
    std::thread::scope(|scope| {
        let endless = scope.spawn(|| {
            let client = redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap();
            redis::cmd("EVAL")
                .arg("while true do end")
                .arg(0)
                .query::<redis::Value>(&mut client.get_connection().unwrap())
        });
        let since = Instant::now();
        // Until the other script runs, ours do.
        while let Ok(outcomes) = store.reserve(at(0), &[vec![charge("b", "8784h", 0, 9)]]) {
            assert!(held(&outcomes)[0] && since.elapsed() < WAIT);
        }
        let kill = || {
            let client = redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap();
            redis::cmd("SCRIPT").arg("KILL").query::<redis::Value>(&mut client.get_connection().unwrap())
        };
        while kill().is_err() {
            assert!(since.elapsed() < WAIT);
            std::thread::yield_now();
        }
        assert!(endless.join().unwrap().is_err());
    });
    let used = || Ok(store.usage(at(0), &one[0])?[0].used);
    assert_eq!(until_it_works(used), 1);
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn tasks_are_kept_for_a_month_and_known_to_every_gateway() {
    let server = Server::start(&[]);
    let (one, two) = (RedisStore::new(server.address()), RedisStore::new(server.address()));
    let task = [TaskKey::of("s", "t")];
    let before = crate::clock::now();
    one.begin(at(0), &task[0], "alice").unwrap();
    assert_eq!(two.are_of(at(0), &task, "alice").unwrap(), [true]);
    assert_eq!(two.are_of(at(0), &task, "bob").unwrap(), [false]);
    let mut connection =
        redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap().get_connection().unwrap();
    for key in [one.task_key(&task[0]), one.key("tasks-of:alice")] {
        let expires: u64 = redis::cmd("PEXPIRETIME").arg(&key).query(&mut connection).unwrap();
        assert!(
            (before.millis() + TASK_KEPT_MS..=crate::clock::now().millis() + TASK_KEPT_MS).contains(&expires),
            "{key}"
        );
    }
    // Something else under its key is no one's, and neither is what cannot be read.
    for value in ["one", "two alice", "", "one\nalice"] {
        server.command(&["SET", &one.task_key(&task[0]), value]);
        let own = two.are_of(at(0), &task, "alice");
        assert!(matches!(own, Err(StoreError::Damaged(_))), "{value}: {own:?}");
    }
    server.command(&["DEL", &one.task_key(&task[0])]);
    server.command(&["LPUSH", &one.task_key(&task[0]), "one alice"]);
    assert_eq!(two.are_of(at(0), &task, "alice").unwrap(), [false]);
    assert!(matches!(one.begin(at(0), &task[0], "alice"), Err(StoreError::Damaged(_))));
}
