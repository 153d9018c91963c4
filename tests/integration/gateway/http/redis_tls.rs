//! A Redis that is reached over TLS: with the right certificate everything passes, with another one nothing limited.
//!
//! These need `redis-server`; `tests/redis.sh` runs them.

use super::super::redis::{Encryption, Redis};
use super::*;

/// A file of the certificate that is good for `localhost`.
fn file(name: &str) -> String {
    crate::harness::repository().join("tests/fixtures/tls").join(name).to_str().unwrap().to_owned()
}

/// A gateway on the Redis at this URL; nobody needs a token of the store.
fn served(sandbox: &Sandbox, state: &str, upstream: &Upstream) -> Served {
    let config = json!({
        "gateway": {"listen": "127.0.0.1:0", "state": state, "audit": "none"},
        "servers": {"one": {"url": upstream.url, "policy": "policy.json"}},
        "grants": {"alice": {"servers": ["one"], "token_sha256": ALICE_SHA256}},
    });
    sandbox.write("mcpol.toml", &toml::to_string(&config).unwrap());
    Served::launch(sandbox, &["enforce", "--config", "mcpol.toml"])
}

/// A token and its hash.
const ALICE: &str = "Authorization: Bearer mcpol_token-of-alice";
const ALICE_SHA256: &str = "94ab40bd3046a011c7dc0958533f817d5ddb97550ae32845f4283490c56ff317";

#[track_caller]
fn passes(state: &str) {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    // The path of a file begins at the folder of the configuration.
    std::fs::copy(file("cert.pem"), sandbox.dir().join("authority.pem")).unwrap();
    let served = served(&sandbox, state, &upstream);
    for _ in 0..10 {
        passed(&served.ask(&[ALICE], &CALL.replace("good", "limited")));
    }
    assert!(refusal(&served.ask(&[ALICE], &CALL.replace("good", "limited"))).contains("limit"));
    assert_eq!(served.end(), Some(0));
    let said = sandbox.run(&["grant", "create", "bob", "--server", "one", "--state", state]).both(0).1;
    assert!(said.contains("Grant bob is good for one") && !said.contains("sesame"), "{said}");
}

/// The gateway serves, and whatever needs the Redis is refused; `expected` is said once, and by commands too.
#[track_caller]
fn fails_closed(sandbox: &Sandbox, state: &str, expected: &str) {
    let upstream = Upstream::answering(ordinary);
    let served = served(sandbox, state, &upstream);
    let denied = served.ask(&[ALICE], &CALL.replace("good", "limited"));
    assert_eq!(denied["result"]["_meta"]["io.github.mcpol/decision"]["code"], "state_unavailable", "{denied}");
    assert_eq!(served.post(&["Authorization: Bearer mcpol_of-the-store"], CALL).status, 503);
    upstream.quiet();
    passed(&served.ask(&[ALICE], CALL));
    let said = served.hear(expected);
    assert!(said.contains("`rediss://") && !said.contains("sesame"), "{said}");
    let said = sandbox.run(&["grant", "list", "--state", state]).refused(2);
    assert!(said.contains(expected) && !said.contains("sesame"), "{said}");
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_certificate_of_an_authority_that_is_named_is_good() {
    let redis = Redis::speaking(Encryption::Tls);
    passes(&format!("{}?ca=authority.pem", redis.url()));
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_redis_that_asks_who_connects_is_shown_a_certificate() {
    let redis = Redis::speaking(Encryption::Mutual);
    let own = format!("{}?ca=authority.pem&cert={}&key={}", redis.url(), file("cert.pem"), file("key.pem"));
    passes(&own);
    let stranger = format!("{}?ca={}", redis.url(), file("cert.pem"));
    fails_closed(&usual(), &stranger, "`?cert=FILE&key=FILE`");
}

#[test]
#[ignore = "needs redis-server; run by tests/redis.sh"]
fn a_certificate_that_is_not_trusted_opens_nothing() {
    let redis = Redis::speaking(Encryption::Tls);
    let url = redis.url();
    let other_host = url.replace("localhost", "127.0.0.1");
    let sandbox = usual();
    sandbox.write("empty.pem", "");
    for (state, expected) in [
        (url.clone(), "authority that is not trusted"),
        (format!("{other_host}?ca={}", file("cert.pem")), "certificate for another host"),
        (format!("{url}?ca=none.pem"), "none.pem`: no such file"),
        (format!("{url}?ca=empty.pem"), "empty.pem`: it is no PEM file"),
    ] {
        fails_closed(&sandbox, &state, expected);
    }
    let plain = Redis::start();
    let state = plain.url().replace("redis://", "rediss://");
    fails_closed(&sandbox, &state, "did not answer within 1 s");
    // And one that speaks TLS is not talked to without.
    let state = url.replace("rediss://", "redis://");
    let said = sandbox.run(&["grant", "list", "--state", &state]).refused(2);
    assert!(said.contains("`redis://localhost:"), "{said}");
}
