//! Replicas: gateways over HTTP that share a Redis. A limit holds for all of them together, whoever dies.
//!
//! These need `redis-server`; `tests/redis.sh` runs them.

use super::super::redis::Redis;
use super::*;
use std::sync::{Barrier, Condvar, Mutex};
use std::time::Instant;

/// Callers that call at the same time, each on a connection of its own.
const CALLERS: usize = 64;
/// Answers every call, and notes it in a file.
const NOTING: &str = r#"
while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  echo "$id" >> calls
  printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}\n' "$id"
done
"#;

/// A sandbox whose policy allows `good`, and `limited` so many times in a window that does not end during a test.
fn at_most(max: usize) -> Sandbox {
    let limits = json!([{"counter": "calls", "window": "8784h", "max": max, "scope": "grant"}]);
    sandbox(&only(json!({"good": {}, "limited": {"limits": limits}})))
}

/// So many gateways on one Redis, in front of the same server.
fn replicas(count: usize, sandbox: &Sandbox, redis: &Redis, server: &[&str]) -> Vec<Served> {
    let url = redis.url();
    let shared = ["--state", &url, "--audit", "none", "--name", "one"];
    (0..count).map(|_| Served::start(sandbox, &[&shared, server].concat())).collect()
}

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// With this code of the policy.
    Denied(String),
    /// With this status of HTTP.
    Refused(u16),
    /// There was no answer.
    Gone,
}

impl Outcome {
    fn is_denied(&self, code: &str) -> bool {
        matches!(self, Self::Denied(found) if found == code)
    }
}

/// Calls once on this connection. Calls stand alone, as they do from 2026-07-28 on.
fn call(connection: &mut Connection, id: usize, tool: &str, headers: &[&str]) -> Outcome {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let params = json!({"name": tool, "arguments": {"number": id}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string();
    let name = format!("Mcp-Name: {tool}");
    let modern = ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", &name];
    connection.post(&[&modern, headers].concat(), &body);
    let Some(head) = read_head(&mut connection.reader) else { return Outcome::Gone };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = vec![0; header(&head, "content-length").unwrap().parse().unwrap()];
    if connection.reader.read_exact(&mut body).is_err() {
        return Outcome::Gone;
    }
    if status != 200 {
        return Outcome::Refused(status);
    }
    let reply: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(reply["id"], id, "{reply}");
    match reply["result"]["_meta"]["io.github.mcpol/decision"]["code"].as_str() {
        Some(code) => Outcome::Denied(code.to_owned()),
        None if reply["result"].get("content").is_some() => Outcome::Passed,
        None => panic!("{reply}"),
    }
}

fn call_once(served: &Served, id: usize, tool: &str, headers: &[&str]) -> Outcome {
    call(&mut served.open(), id, tool, headers)
}

/// Three limited calls of each of the callers, spread over the gateways. Answers how many passed.
fn storm(gateways: &[Served]) -> usize {
    let together = Barrier::new(CALLERS);
    let calls = |caller: usize| {
        let mut connection = gateways[caller % gateways.len()].open();
        together.wait();
        let outcomes = (1..=3).map(|turn| call(&mut connection, 10 * caller + turn, "limited", &[]));
        outcomes
            .map(|it| (it == Outcome::Passed, it))
            .inspect(|(passed, it)| {
                assert!(*passed || it.is_denied("limit_exceeded"), "{it:?}");
            })
            .filter(|(passed, _)| *passed)
            .count()
    };
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || calls(caller))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    })
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_limit_holds_for_64_callers_of_two_gateways_in_front_of_a_url() {
    let (redis, sandbox, upstream) = (Redis::start(), at_most(100), Upstream::answering(ordinary));
    let gateways = replicas(2, &sandbox, &redis, &["--upstream", &upstream.url]);
    assert_eq!(storm(&gateways), 100);
    assert_eq!(upstream.asked.try_iter().count(), 100, "the server saw those and no others");
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_limit_holds_for_64_callers_of_two_gateways_in_front_of_commands() {
    let (redis, sandbox) = (Redis::start(), at_most(100));
    let gateways = replicas(2, &sandbox, &redis, &["--", "sh", "-c", NOTING]);
    assert_eq!(storm(&gateways), 100);
    assert_eq!(sandbox.read("calls").lines().count(), 100, "the servers saw those and no others");
}

/// A server that answers so many calls, and the others when it is told to.
struct Holding {
    upstream: Upstream,
    go_on: Arc<(Mutex<bool>, Condvar)>,
}

impl Holding {
    fn after(answered: usize) -> Self {
        let go_on = Arc::new((Mutex::new(false), Condvar::new()));
        let (gate, seen) = (Arc::clone(&go_on), AtomicUsize::new(0));
        let upstream = Upstream::answering(move |asked| {
            if seen.fetch_add(1, Ordering::SeqCst) >= answered {
                let (open, changed) = &*gate;
                drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
            }
            ordinary(asked)
        });
        Self { upstream, go_on }
    }

    fn go_on(&self) {
        *self.go_on.0.lock().unwrap() = true;
        self.go_on.1.notify_all();
    }
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_gateway_is_killed_with_calls_in_flight_and_the_other_goes_on_to_the_limit() {
    const ANSWERED: usize = 40;
    const MAX: usize = ANSWERED + CALLERS + 30;
    let (redis, sandbox, server) = (Redis::start(), at_most(MAX), Holding::after(ANSWERED));
    let mut gateways = replicas(2, &sandbox, &redis, &["--upstream", &server.upstream.url]);
    let addresses: Vec<String> = gateways.iter().map(|gateway| gateway.address.clone()).collect();
    let until_refused = |caller: usize| {
        let mut connection = Connection::open(&addresses[caller % 2]);
        let mut passed = 0;
        for turn in 0.. {
            match call(&mut connection, 1000 * caller + turn, "limited", &[]) {
                Outcome::Passed => passed += 1,
                last => return (passed, last),
            }
        }
        unreachable!("there is a limit")
    };
    let ends: Vec<(usize, Outcome)> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || until_refused(caller))).collect();
        // Now every caller waits for an answer of the server.
        for _ in 0..ANSWERED + CALLERS {
            server.upstream.next();
        }
        gateways[0].child.kill().unwrap();
        gateways[0].child.wait().unwrap();
        server.go_on();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    for (caller, (_, last)) in ends.iter().enumerate() {
        if caller % 2 == 0 {
            assert_eq!(*last, Outcome::Gone);
        } else {
            assert!(last.is_denied("limit_exceeded"), "{last:?}");
        }
    }
    // What the dead one had in flight stays spent: it had reached the server.
    let passed: usize = ends.iter().map(|(passed, _)| passed).sum();
    assert_eq!(passed, MAX - CALLERS / 2);
    assert_eq!(ANSWERED + CALLERS + server.upstream.asked.try_iter().count(), MAX);
    let another = replicas(1, &sandbox, &redis, &["--upstream", &server.upstream.url]).remove(0);
    assert!(call_once(&another, 1, "limited", &[]).is_denied("limit_exceeded"));
    assert_eq!(call_once(&another, 2, "good", &[]), Outcome::Passed);
}

/// A token and its hash.
const CAROL: &str = "Authorization: Bearer mcpol_token-of-alice";
const CAROL_SHA256: &str = "94ab40bd3046a011c7dc0958533f817d5ddb97550ae32845f4283490c56ff317";

/// Makes a grant in this state, and answers the header with its token.
fn granted(sandbox: &Sandbox, name: &str, server: &str, state: &str) -> String {
    let (token, _) = sandbox.run(&["grant", "create", name, "--server", server, "--state", state]).both(0);
    format!("Authorization: Bearer {}", token.trim())
}

/// Calls until it is not denied for want of state.
#[track_caller]
fn until_back(served: &Served, tool: &str, headers: &[&str]) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
    loop {
        let outcome = call_once(served, 1, tool, headers);
        if !outcome.is_denied("state_unavailable") && outcome != Outcome::Refused(503) {
            return outcome;
        }
        assert!(Instant::now() < deadline, "it does not come back");
    }
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn without_redis_nothing_limited_passes_and_with_it_everything_goes_on_where_it_was() {
    let (mut redis, sandbox, upstream) = (Redis::start(), at_most(10), Upstream::answering(ordinary));
    let config = json!({
        "gateway": {"listen": "127.0.0.1:0", "state": redis.url(), "audit": "none"},
        "servers": {"one": {"url": upstream.url, "policy": "policy.json"}},
        "grants": {"carol": {"servers": ["one"], "token_sha256": CAROL_SHA256}},
    });
    sandbox.write("mcpol.toml", &toml::to_string(&config).unwrap());
    let gateways = [(); 2].map(|()| Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]));
    let dave = granted(&sandbox, "dave", "one", &redis.url());
    // Nobody needs a token here.
    let open = Served::relay(&sandbox, &["--state", &redis.url(), "--audit", "none", "--name", "open"], &upstream);
    for gateway in &gateways {
        for id in 0..3 {
            assert_eq!(call_once(gateway, id, "limited", &[CAROL]), Outcome::Passed);
        }
        assert_eq!(call_once(gateway, 3, "good", &[&dave]), Outcome::Passed);
        assert_eq!(call_once(gateway, 4, "good", &[]), Outcome::Refused(401));
    }
    assert_eq!(call_once(&open, 5, "good", &[]), Outcome::Passed);
    redis.kill();
    let seen = upstream.asked.try_iter().count();
    for gateway in &gateways {
        let denied = call_once(gateway, 6, "limited", &[CAROL]);
        assert!(denied.is_denied("state_unavailable"), "{denied:?}");
        assert_eq!(call_once(gateway, 7, "good", &[CAROL]), Outcome::Passed, "nothing of it is in Redis");
        assert_eq!(
            call_once(gateway, 8, "good", &[&dave]),
            Outcome::Refused(503),
            "nobody knows whether it is revoked"
        );
        assert_eq!(call_once(gateway, 9, "good", &[]), Outcome::Refused(401));
    }
    assert_eq!(call_once(&open, 10, "good", &[]), Outcome::Refused(503), "a grant may have been made meanwhile");
    assert_eq!((seen, upstream.asked.try_iter().count()), (9, 2));
    redis.restart();
    // The seventh of ten; what was refused meanwhile has spent nothing.
    assert_eq!(until_back(&gateways[0], "limited", &[CAROL]), Outcome::Passed);
    for id in 8..=10 {
        assert_eq!(until_back(&gateways[id % 2], "limited", &[CAROL]), Outcome::Passed, "call {id}");
    }
    for gateway in &gateways {
        assert!(call_once(gateway, 11, "limited", &[CAROL]).is_denied("limit_exceeded"));
        assert_eq!(until_back(gateway, "good", &[&dave]), Outcome::Passed);
    }
    assert_eq!(until_back(&open, "good", &[]), Outcome::Passed);
    for gateway in gateways {
        assert_eq!(gateway.end(), Some(0));
    }
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn redis_is_killed_under_64_callers_and_the_limit_holds_when_it_is_back() {
    const MAX: usize = 150;
    let (mut redis, sandbox, upstream) = (Redis::start(), at_most(MAX), Upstream::answering(ordinary));
    let gateways = replicas(2, &sandbox, &redis, &["--upstream", &upstream.url]);
    let until_refused = |caller: usize| {
        let mut connection = gateways[caller % 2].open();
        let mut passed = 0;
        for turn in 0.. {
            match call(&mut connection, 100_000 * caller + turn, "limited", &[]) {
                Outcome::Passed => passed += 1,
                // Nobody knows who calls, or how much is left.
                Outcome::Refused(503) => {}
                last if last.is_denied("state_unavailable") => {}
                last if last.is_denied("limit_exceeded") => return passed,
                last => panic!("{last:?}"),
            }
        }
        unreachable!("there is a limit")
    };
    let passed: usize = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || until_refused(caller))).collect();
        for _ in 0..MAX / 3 {
            upstream.next();
        }
        redis.kill();
        redis.restart();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    let seen = MAX / 3 + upstream.asked.try_iter().count();
    assert_eq!(passed, seen, "what was not answered had not reached the server");
    // A call that Redis had counted when it died, and whose answer it took along, is lost to the callers.
    assert!(seen <= MAX, "{seen}");
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn an_approval_reaches_the_gateway_where_the_call_waits_and_is_good_once_anywhere() {
    let (redis, upstream) = (Redis::start(), Upstream::answering(ordinary));
    let sandbox = sandbox(&only(json!({"asked": {"approval": {"message": "really?", "ttl_s": 600}}})));
    let server = ["--upstream", &upstream.url];
    let patient = replicas(1, &sandbox, &redis, &[&server[..], &["--approval-wait", "60"]].concat()).remove(0);
    let hasty = replicas(1, &sandbox, &redis, &[&server[..], &["--approval-wait", "0.1"]].concat()).remove(0);
    let url = redis.url();
    let approvals = |args: &[&str]| sandbox.run(&[&["approvals"], args, &["--state", &url]].concat()).both(0).0;
    let one_that_waits = || {
        let deadline = Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
        loop {
            if let Some(line) = approvals(&["list"]).lines().next() {
                return line.split(' ').next().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "nothing waits");
        }
    };
    std::thread::scope(|scope| {
        let call = scope.spawn(|| call_once(&patient, 1, "asked", &[]));
        let id = one_that_waits();
        approvals(&["approve", &id]);
        assert_eq!(call.join().unwrap(), Outcome::Passed);
    });
    // The same call again, refused at one gateway, approved, and tried again at the other.
    assert!(call_once(&hasty, 1, "asked", &[]).is_denied("approval_required"));
    approvals(&["approve", &one_that_waits()]);
    assert_eq!(call_once(&patient, 1, "asked", &[]), Outcome::Passed);
    assert!(call_once(&hasty, 1, "asked", &[]).is_denied("approval_required"), "it was good once");
    // Beside the calls each gateway has asked for the list, to show a person what the tool is.
    let calls = upstream.asked.try_iter().filter(|asked| asked.message()["method"] == "tools/call");
    assert_eq!(calls.count(), 2);
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_grant_that_is_revoked_is_refused_by_both_gateways_at_the_next_request() {
    let (redis, sandbox, upstream) = (Redis::start(), at_most(10), Upstream::answering(ordinary));
    let gateways = replicas(2, &sandbox, &redis, &["--grants", "--upstream", &upstream.url]);
    let url = redis.url();
    let alice = granted(&sandbox, "alice", "one", &url);
    let bob = granted(&sandbox, "bob", "one", &url);
    // Connections that stay open.
    let mut connections: Vec<Connection> = gateways.iter().map(Served::open).collect();
    for connection in &mut connections {
        assert_eq!(call(connection, 1, "good", &[&alice]), Outcome::Passed);
    }
    sandbox.run(&["grant", "revoke", "alice", "--state", &url]).both(0);
    for connection in &mut connections {
        assert_eq!(call(connection, 2, "good", &[&alice]), Outcome::Refused(401));
    }
    for gateway in &gateways {
        assert_eq!(call_once(gateway, 3, "good", &[&bob]), Outcome::Passed);
    }
    assert_eq!(upstream.asked.try_iter().count(), 4);
}
