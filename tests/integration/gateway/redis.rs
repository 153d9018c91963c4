//! Gateways that share a Redis: a limit holds for all of them together, and without the Redis nothing limited passes.
//!
//! These need `redis-server`; `tests/redis.sh` runs them.

use super::*;
use std::io::BufRead;

/// A Redis of its own on loopback, in a folder of its own; what it has counted outlives it.
pub(super) struct Redis {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
    encryption: Encryption,
}

/// What a Redis speaks.
#[derive(Clone, Copy)]
pub(super) enum Encryption {
    Plain,
    /// TLS, with the certificate of these tests, which is good for `localhost`.
    Tls,
    /// The same, and whoever connects must show that certificate as well.
    Mutual,
}

impl Redis {
    pub(super) fn start() -> Self {
        Self::speaking(Encryption::Plain)
    }

    pub(super) fn speaking(encryption: Encryption) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { child: launch(port, folder.path(), encryption), port, folder, encryption }
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(super) fn restart(&mut self) {
        self.child = launch(self.port, self.folder.path(), self.encryption);
    }

    pub(super) fn url(&self) -> String {
        match self.encryption {
            Encryption::Plain => format!("redis://:open-sesame@127.0.0.1:{}/1", self.port),
            Encryption::Tls | Encryption::Mutual => format!("rediss://:open-sesame@localhost:{}/1", self.port),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(port: u16, folder: &Path, encryption: Encryption) -> Child {
    let mut command = std::process::Command::new("redis-server");
    let port = port.to_string();
    let file = |name: &str| crate::harness::repository().join("tests/fixtures/tls").join(name);
    match encryption {
        Encryption::Plain => command.args(["--port", &port]),
        Encryption::Tls | Encryption::Mutual => {
            let asks = if matches!(encryption, Encryption::Mutual) { "yes" } else { "no" };
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", asks, "--tls-cert-file"]);
            command.arg(file("cert.pem")).arg("--tls-key-file").arg(file("key.pem"));
            command.arg("--tls-ca-cert-file").arg(file("cert.pem"))
        }
    };
    let mut child = command
        .args(["--bind", "127.0.0.1", "--requirepass", "open-sesame"])
        // Written before it is answered, so that it outlives a kill. Not synced: a slow disk is no Redis that is away.
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("Ready to accept connections")));
    // Its log is read to the end, or it would stop at a full pipe.
    std::thread::spawn(move || lines.count());
    child
}

/// At most `max` calls of `list_tasks` in a window that does not end during a test.
fn at_most(max: u64) -> Value {
    only(json!({"list_tasks": {"limits": [{"counter": "calls", "window": "8784h", "max": max, "scope": "grant"}]}}))
}

/// Sends `calls` calls without waiting, and answers how many passed.
fn flood(gateway: &mut Gateway, calls: u64) -> u64 {
    for id in 0..calls {
        gateway.call(1000 + id, "list_tasks", &json!({}));
    }
    (0..calls).filter(|_| gateway.reply()["result"]["isError"] != json!(true)).count() as u64
}

fn denied_for_want_of_state(reply: &Value) -> bool {
    reply["result"]["_meta"]["io.github.mcpol/decision"]["code"] == "state_unavailable"
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_limit_holds_for_two_gateways_with_64_calls_in_flight() {
    let (redis, sandbox) = (Redis::start(), sandbox(&at_most(70)));
    let mut gateways: Vec<Gateway> =
        (0..2).map(|_| Gateway::sample(&sandbox, &["--state", &redis.url(), "--audit", "none"])).collect();
    let passed: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = gateways
            .iter_mut()
            .map(|gateway| {
                scope.spawn(|| {
                    gateway.initialize();
                    flood(gateway, 32) + flood(gateway, 32)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(passed, 70);
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn one_gateway_is_killed_then_redis_and_both_come_back() {
    let (mut redis, sandbox) = (Redis::start(), sandbox(&at_most(10)));
    let url = redis.url();
    let start = || {
        let mut gateway = Gateway::sample(&sandbox, &["--state", &url, "--audit", "none"]);
        gateway.initialize();
        gateway
    };
    let (mut first, mut second) = (start(), start());
    assert_eq!(flood(&mut first, 4) + flood(&mut second, 2), 6);
    // Killed with calls behind it, and its goodbye unsaid.
    drop(first);
    let mut third = start();
    assert_eq!(flood(&mut third, 2), 2, "what the dead one has counted stays counted, and no more");
    redis.kill();
    for gateway in [&mut second, &mut third] {
        assert!(denied_for_want_of_state(&gateway.ask_tool(1, "list_tasks", &json!({}))));
    }
    redis.restart();
    let deadline = std::time::Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
    let mut id = 2;
    while denied_for_want_of_state(&second.ask_tool(id, "list_tasks", &json!({}))) {
        assert!(std::time::Instant::now() < deadline, "it does not come back");
        id += 1;
    }
    // That was the ninth. A refusal for want of state has spent nothing.
    assert_eq!(flood(&mut second, 5), 1);
    let reply = second.ask_tool(id + 1, "list_tasks", &json!({}));
    assert_eq!(reply["result"]["_meta"]["io.github.mcpol/decision"]["code"], "limit_exceeded", "{reply}");
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn approvals_and_grants_are_answered_from_anywhere_and_the_password_is_shown_nowhere() {
    let redis = Redis::start();
    let sandbox = sandbox(&only(json!({"create_task": {"approval": {"message": "really?", "ttl_s": 600}}})));
    let state = ["--state", &redis.url()];
    let run = |args: &[&str]| sandbox.run(&[args, &state].concat()).both(0);
    let mut shown = String::new();
    let mut gateway = Gateway::sample(&sandbox, &[&state[..], &["--approval-wait", "0.1"]].concat());
    gateway.initialize();
    refusal(&gateway.ask_tool(1, "create_task", &json!({"title": "a"})));
    let (listed, _) = run(&["approvals", "list"]);
    let id = listed.split(' ').next().unwrap().to_owned();
    let (_, said) = run(&["approvals", "approve", &id]);
    shown += &(listed + &said);
    passed(&gateway.ask_tool(2, "create_task", &json!({"title": "a"})));
    let (token, said) = run(&["grant", "create", "alice", "--server", "s"]);
    assert!(token.starts_with("mcpol_"));
    let (list, _) = run(&["grant", "list"]);
    assert!(list.contains("alice"), "{list}");
    shown += &(said + &list);
    shown += &run(&["grant", "revoke", "alice"]).1;
    shown += &sandbox.run(&[&["enforce", "--dry-run", "--policy", "policy.json"][..], &state].concat()).quiet(0);
    assert!(shown.contains("state  redis://127.0.0.1:"), "{shown}");
    let (code, _, stderr) = gateway.close();
    assert_eq!(code, Some(0));
    shown += &stderr;
    drop(redis);
    shown += &sandbox.run(&[&["grant", "list"][..], &state].concat()).refused(2);
    assert!(!shown.contains("sesame"), "{shown}");
}
