//! Who calls, from the header of a request to the policy and the name that it is judged and counted by: tokens that end
//! while a session is open, and tokens of an issuer.

use super::*;
use crate::harness::in_time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::time::Instant;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

/// Answers every call.
const SERVER: &str = r#"
while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{}}}\n' "$id" ;;
    *'"tools/call"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}\n' "$id" ;;
  esac
done
"#;

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Makes a grant, and answers the header with its token.
pub(super) fn granted(sandbox: &Sandbox, name: &str, options: &[&str]) -> String {
    let (token, _) = sandbox.run(&[&["grant", "create", name, "--server", "one"], options].concat()).both(0);
    format!("Authorization: Bearer {}", token.trim())
}

/// Opens a session, and answers the header that names it.
#[track_caller]
pub(super) fn open(served: &Served, caller: &str) -> String {
    session_of(served, caller).expect("the caller is known")
}

/// Opens a session, and answers the header that names it, unless the caller is not known any more.
#[track_caller]
fn session_of(served: &Served, caller: &str) -> Option<String> {
    let reply = served.post(&[caller], INITIALIZE);
    if reply.status == 401 {
        return None;
    }
    assert_eq!(reply.status, 200, "{reply:?}");
    Some(format!("Mcp-Session-Id: {}", reply.header("mcp-session-id").expect("a session")))
}

/// Calls at the server of this name, where there are several.
fn call_at(served: &Served, server: &str, caller: &str, tool: &str) -> Reply {
    let (mut connection, body) = (served.open(), CALL.replace("good", tool));
    let length = format!("Content-Length: {}", body.len());
    let usual =
        ["Host: localhost", "Content-Type: application/json", "Accept: application/json, text/event-stream", &length];
    connection.send(&format!("POST /mcp/{server}"), &usual, &[caller], &body);
    connection.reply()
}

/// How many seconds something lives that a test sees expire; see [`in_time`].
pub(super) const LIVES: [&str; 3] = ["3", "15", "45"];

/// Calls until the caller is not known any more.
#[track_caller]
fn until_unknown(served: &Served, headers: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(LINE_SECONDS_MAX);
    loop {
        let reply = served.post(headers, CALL);
        if reply.status == 401 {
            assert!(reply.header("www-authenticate").unwrap().contains("invalid_token"), "{reply:?}");
            return;
        }
        passed(&reply.last());
        assert!(Instant::now() < deadline, "it never ends");
        // Nothing is said; this only keeps the tries apart.
        let _ = served.said.lock().unwrap().recv_timeout(Duration::from_millis(50));
    }
}

#[test]
fn what_is_taken_back_ends_with_the_next_request_of_an_open_session() {
    let sessions = AtomicUsize::new(0);
    let upstream = Upstream::answering(move |asked| {
        ordinary(asked).replace("s-1", &format!("s-{}", sessions.fetch_add(1, Ordering::SeqCst)))
    });
    for server in [&["--upstream", &upstream.url][..], &["--", "sh", "-c", SERVER]] {
        let sandbox = usual();
        let served = Served::start(&sandbox, &[&["--grants", "--name", "one"], server].concat());
        let (alice, bob) = (granted(&sandbox, "alice", &[]), granted(&sandbox, "bob", &[]));
        let (of_alice, of_bob) = (open(&served, &alice), open(&served, &bob));
        passed(&served.ask(&[&alice, &of_alice], CALL));
        // A session is no way around the token, nor is another's.
        assert_eq!(served.post(&[&of_alice], CALL).status, 401);
        assert_eq!(served.post(&[&bob, &of_alice], CALL).status, 404);
        sandbox.run(&["grant", "revoke", "alice"]).both(0);
        for body in [CALL, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#] {
            assert_eq!(served.post(&[&alice, &of_alice], body).status, 401, "{body}");
        }
        let mut connection = served.open();
        connection.get(&[&alice, &of_alice]);
        assert_eq!(connection.head().0, 401);
        let mut connection = served.open();
        connection.send("DELETE /mcp", &["Host: localhost"], &[&alice, &of_alice], "");
        assert_eq!(connection.head().0, 401);
        passed(&served.ask(&[&bob, &of_bob], CALL));
        // Under the same name again: another token, and the old one stays worthless.
        let again = granted(&sandbox, "alice", &[]);
        passed(&served.ask(&[&again, &open(&served, &again)], CALL));
        assert_eq!(served.post(&[&alice, &of_alice], CALL).status, 401);
        assert_eq!(served.end(), Some(0));
    }
}

#[test]
fn a_grant_that_expires_ends_an_open_session() {
    let sandbox = usual();
    let served = Served::start(&sandbox, &["--grants", "--name", "one", "--", "sh", "-c", SERVER]);
    let date = |seconds: u64| {
        // The day, counted as the calendar does (days since 0000-03-01).
        let day = seconds / 86_400 + 719_468;
        let (era, of_era) = (day / 146_097, day % 146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let (of_month, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
        format!("{:04}-{month:02}-{of_month:02}", year + era * 400 + u64::from(month <= 2))
    };
    let (until, alice, session) = in_time(LIVES, |seconds| {
        let until = now() + seconds.parse::<u64>().unwrap();
        let clock = until % 86_400;
        let expires = format!("{}T{:02}:{:02}:{:02}Z", date(until), clock / 3600, clock / 60 % 60, clock % 60);
        let create = ["grant", "create", &format!("alice-{seconds}"), "--server", "one", "--expires", &expires];
        let made = Some(sandbox.run(&create)).filter(|made| made.code == Some(0))?;
        let alice = format!("Authorization: Bearer {}", made.stdout.trim());
        session_of(&served, &alice).map(|session| (until, alice, session))
    });
    until_unknown(&served, &[&alice, &session]);
    assert!(now() >= until, "not before its time");
    assert_eq!(served.end(), Some(0));
}

#[test]
fn a_grant_with_a_policy_of_its_own_is_judged_by_that_one() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let mine = only(json!({"good": {"action": "deny", "reason": "not for carol"}, "extra": {}}));
    sandbox.write("carol.json", &mine.to_string());
    let served = Served::relay(&sandbox, &["--grants", "--name", "one"], &upstream);
    let alice = granted(&sandbox, "alice", &[]);
    let carol = granted(&sandbox, "carol", &["--policy", "carol.json"]);
    let extra = CALL.replace("good", "extra");
    passed(&served.ask(&[&alice], CALL));
    assert_eq!(served.ask(&[&alice], &extra)["error"]["code"], -32602);
    assert!(refusal(&served.ask(&[&carol], CALL)).contains("not for carol"));
    passed(&served.ask(&[&carol], &extra));
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    assert_eq!(served.ask(&[&alice], list)["result"]["tools"], json!([{"name": "good"}]));
    assert_eq!(served.ask(&[&carol], list)["result"]["tools"], json!([]));
    assert_eq!(served.end(), Some(0));
    let log = log(&sandbox);
    let judged: Vec<_> = events(&log, "decision")
        .iter()
        .map(|entry| ["grant", "tool", "verdict"].map(|name| entry[name].as_str().unwrap().to_owned()).join(" "))
        .collect();
    assert_eq!(judged, ["alice good allow", "alice extra deny", "carol good deny", "carol extra allow"]);
}

/// Who signs tokens, and where the keys are.
pub(super) struct Issuer {
    pair: Ed25519KeyPair,
    pub(super) web: Upstream,
}

impl Issuer {
    pub(super) fn start() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": x}]}).to_string();
        Self { pair, web: Upstream::answering(move |_| json_response(&keys)) }
    }

    /// The header with a token that is good for so many seconds, with some claims replaced.
    pub(super) fn header(&self, kid: &str, seconds: i64, changes: &Value) -> String {
        let mut claims =
            json!({"iss": "issuer", "aud": "gateway", "sub": "carl", "exp": now().saturating_add_signed(seconds)});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": kid})), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(message.as_bytes()).as_ref());
        format!("Authorization: Bearer {message}.{signature}")
    }

    fn of(&self, subject: &str) -> String {
        self.header("k", 600, &json!({"sub": subject}))
    }
}

pub(super) fn issued_by(jwks: &str) -> Vec<&str> {
    vec!["--name", "one", "--jwks", jwks, "--jwt-issuer", "issuer", "--jwt-audience", "gateway"]
}

#[test]
fn tokens_of_an_issuer_are_judged_at_the_door() {
    let (sandbox, upstream, issuer) = (usual(), Upstream::answering(ordinary), Issuer::start());
    let served = Served::relay(&sandbox, &issued_by(&issuer.web.url), &upstream);
    passed(&served.ask(&[&issuer.of("carl")], CALL));
    assert_eq!(header(&upstream.next().head, "authorization"), None, "tokens of callers end here");
    for (refused, what) in [
        (issuer.header("k", -60, &json!({})), "expired"),
        (issuer.header("k", 600, &json!({"aud": "another"})), "for another audience"),
        (issuer.header("k", 600, &json!({"iss": "another"})), "of another issuer"),
        (issuer.header("unknown", 600, &json!({})), "signed with a key that the issuer does not name"),
        (Issuer::start().of("carl"), "signed with a key of somebody else"),
        (issuer.of(""), "of nobody"),
    ] {
        let reply = served.post(&[&refused], CALL);
        assert_eq!(reply.status, 401, "{what}: {reply:?}");
        assert!(reply.header("www-authenticate").unwrap().contains("invalid_token"), "{what}: {reply:?}");
        assert!(!reply.body.contains("expired") && !reply.body.contains("audience"), "{reply:?}");
    }
    assert_eq!(served.post(&[], CALL).status, 401);
    upstream.quiet();
    // A grant of ours goes on working beside it.
    passed(&served.ask(&[&granted(&sandbox, "alice", &[])], CALL));
    assert_eq!(served.end(), Some(0));
    let log = log(&sandbox);
    let grants: Vec<_> = events(&log, "decision").iter().map(|entry| entry["grant"].clone()).collect();
    assert_eq!(grants, ["jwt:carl", "alice"]);
}

#[test]
fn while_the_issuer_is_away_its_tokens_are_neither_good_nor_bad() {
    let (sandbox, upstream, issuer) = (usual(), Upstream::answering(ordinary), Issuer::start());
    let (_kept, nobody) = crate::harness::deaf();
    let served = Served::relay(&sandbox, &issued_by(&format!("http://{nobody}/keys")), &upstream);
    let reply = served.post(&[&issuer.of("carl")], CALL);
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(served.post(&[], CALL).status, 401);
    upstream.quiet();
    passed(&served.ask(&[&granted(&sandbox, "alice", &[])], CALL));
}

#[test]
fn a_token_of_an_issuer_that_expires_ends_an_open_session() {
    // Clocks may differ by so much.
    const LEEWAY_SECONDS: i64 = 30;
    let (sandbox, issuer) = (usual(), Issuer::start());
    let server = ["--", "sh", "-c", SERVER];
    let served = Served::start(&sandbox, &[&issued_by(&issuer.web.url)[..], &server].concat());
    let (carl, session) = in_time(LIVES, |seconds| {
        let carl = issuer.header("k", seconds.parse::<i64>().unwrap() - LEEWAY_SECONDS, &json!({}));
        session_of(&served, &carl).map(|session| (carl, session))
    });
    until_unknown(&served, &[&carl, &session]);
    // A new token of the same caller goes on with the session.
    passed(&served.ask(&[&issuer.of("carl"), &session], CALL));
    assert_eq!(served.post(&[&issuer.of("dora"), &session], CALL).status, 404);
}

/// Two servers; the issuer's `carl@example.com` has a grant for one of them.
fn by_subject(issuer: &Issuer, upstream: &Upstream, carl: &Value, require_grant: bool) -> String {
    toml::to_string(&json!({
        "gateway": {"listen": "127.0.0.1:0", "state": "memory:", "audit": "-"},
        "servers": {
            "one": {"url": upstream.url, "policy": "policy.json"},
            "two": {"url": upstream.url, "policy": "policy.json"},
        },
        "grants": {"carl": carl},
        "jwt": {"jwks": issuer.web.url, "issuer": "issuer", "audience": "gateway", "grant_claim": "email",
            "require_grant": require_grant},
    }))
    .unwrap()
}

#[test]
fn a_grant_that_names_a_subject_of_the_issuer_holds_for_its_tokens() {
    let (sandbox, upstream, issuer) = (usual(), Upstream::answering(ordinary), Issuer::start());
    let limits = json!([{"counter": "few", "window": "8784h", "max": 2, "scope": "grant"}]);
    sandbox.write("carl.json", &only(json!({"extra": {"limits": limits}})).to_string());
    let grant = json!({"servers": ["one"], "subject": "carl@example.com", "policy": "carl.json"});
    sandbox.write("mcpol.toml", &by_subject(&issuer, &upstream, &grant, false));
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let of = |email: &str| issuer.header("k", 600, &json!({"email": email, "sub": "whatever"}));
    let (carl, dora) = (of("carl@example.com"), of("dora@example.com"));
    // His own policy, on his own servers, with counters of his own.
    for _ in 0..2 {
        passed(&call_at(&served, "one", &carl, "extra").last());
        assert!(served.hear(r#""verdict":"allow""#).contains(r#""grant":"carl""#));
    }
    // Another token of his, counted on the same.
    assert!(refusal(&call_at(&served, "one", &of("carl@example.com"), "extra").last()).contains("limit"));
    assert_eq!(call_at(&served, "one", &carl, "good").last()["error"]["code"], -32602);
    assert_eq!(call_at(&served, "two", &carl, "good").status, 401);
    // Nobody has heard of her, and nothing asks for it.
    passed(&call_at(&served, "two", &dora, "good").last());
    served.hear(r#""grant":"jwt:dora@example.com""#);
    assert_eq!(call_at(&served, "one", &issuer.of("carl@example.com"), "good").status, 401, "the claim is another one");
    // An end that has come holds for the next request; he is not let in as somebody without a grant.
    let ended = json!({"servers": ["one", "two"], "subject": "carl@example.com", "expires": "2020-01-01"});
    sandbox.write("mcpol.toml", &by_subject(&issuer, &upstream, &ended, false));
    assert!(served.hear("mcpol.toml reloaded").contains("LOOSER"), "it is good for another server");
    for server in ["one", "two"] {
        assert_eq!(call_at(&served, server, &carl, "good").status, 401);
    }
    assert_eq!(served.end(), Some(0));
}

#[test]
fn where_a_grant_is_required_a_token_alone_opens_nothing() {
    let (sandbox, upstream, issuer) = (usual(), Upstream::answering(ordinary), Issuer::start());
    let grant = json!({"servers": ["one"], "subject": "carl@example.com"});
    sandbox.write("mcpol.toml", &by_subject(&issuer, &upstream, &grant, true));
    let shown = sandbox.run(&["enforce", "--config", "mcpol.toml", "--dry-run"]).both(0).0;
    assert!(shown.contains("an issuer's with a grant") && shown.contains("carl@example.com"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    let of = |email: &str| issuer.header("k", 600, &json!({"email": email}));
    passed(&call_at(&served, "one", &of("carl@example.com"), "good").last());
    upstream.next();
    let reply = call_at(&served, "one", &of("dora@example.com"), "good");
    assert_eq!(reply.status, 401);
    assert!(
        reply.header("www-authenticate").unwrap().contains("invalid_token") && !reply.body.contains("grant"),
        "{reply:?}"
    );
    upstream.quiet();
}

/// A configuration of two servers, with these grants.
fn with_grants(upstream: &Upstream, grants: &Value) -> String {
    toml::to_string(&json!({
        "gateway": {"listen": "127.0.0.1:0", "audit": "-"},
        "servers": {
            "one": {"url": upstream.url, "policy": "policy.json"},
            "two": {"url": upstream.url, "policy": "policy.json"},
        },
        "grants": grants,
    }))
    .unwrap()
}

/// A token, and its SHA-256.
const FILED: (&str, &str) =
    ("Authorization: Bearer mcpol_token-of-alice", "94ab40bd3046a011c7dc0958533f817d5ddb97550ae32845f4283490c56ff317");

#[test]
fn a_file_that_loses_its_last_grant_opens_nothing() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let grants = json!({"alice": {"servers": ["one"], "token_sha256": FILED.1}});
    sandbox.write("mcpol.toml", &with_grants(&upstream, &grants));
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    // Nobody has called before the grant goes: it is the file that has asked.
    sandbox.write("mcpol.toml", &with_grants(&upstream, &json!({})));
    served.hear("`one` goes on asking for tokens");
    assert_eq!(call_at(&served, "one", "X-Nothing: 1", "good").status, 401);
    assert_eq!(call_at(&served, "one", FILED.0, "good").status, 401);
    passed(&call_at(&served, "two", "X-Nothing: 1", "good").last());
    assert_eq!(served.end(), Some(0));
    // A new start takes the file at its word.
    let served = Served::launch(&sandbox, &["enforce", "--config", "mcpol.toml"]);
    passed(&call_at(&served, "one", "X-Nothing: 1", "good").last());
}

#[test]
fn two_callers_have_two_names() {
    let (sandbox, upstream) = (usual(), Upstream::answering(ordinary));
    let said = sandbox.run(&["grant", "create", "local", "--server", "one"]).refused(2);
    assert!(said.contains("what callers without a token are called") && said.contains("another name"), "{said}");
    sandbox
        .write("mcpol.toml", &with_grants(&upstream, &json!({"local": {"servers": ["one"], "token_sha256": FILED.1}})));
    for args in [&["--dry-run"][..], &[]] {
        let said = sandbox.run(&[&["enforce", "--config", "mcpol.toml"], args].concat()).refused(2);
        assert!(said.contains("`[grants.local]` has the name") && said.contains("help: rename the grant"), "{said}");
    }
    let (alice, carol) = (granted(&sandbox, "alice", &[]), granted(&sandbox, "carol", &[]));
    let filed = json!({"alice": {"servers": ["one"], "token_sha256": FILED.1}});
    sandbox.write("mcpol.toml", &with_grants(&upstream, &filed));
    let served = Served::run(sandbox.command(&["enforce", "--config", "mcpol.toml"]));
    assert_eq!(call_at(&served, "one", &alice, "good").status, 401, "the file has an alice of its own");
    passed(&call_at(&served, "one", FILED.0, "good").last());
    passed(&call_at(&served, "one", &carol, "good").last());
    // One that is made later is refused too, and said when the file is read again.
    let later = json!({"alice": {"servers": ["one"], "token_sha256": FILED.1}, "carol": {"servers": ["two"], "token_sha256": "1".repeat(64)}});
    sandbox.write("mcpol.toml", &with_grants(&upstream, &later));
    assert!(served.hear("the grant `carol` of the state is refused").contains("warning"));
    assert_eq!(call_at(&served, "one", &carol, "good").status, 401);
    sandbox
        .write("mcpol.toml", &with_grants(&upstream, &json!({"local": {"servers": ["one"], "token_sha256": FILED.1}})));
    assert!(served.hear("the old configuration stays in force").contains("`[grants.local]` has the name"));
}
