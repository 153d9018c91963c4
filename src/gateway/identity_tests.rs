//! Tests of identities: who is whom, and what a stranger learns.

#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

use super::*;
use crate::state::{GrantName, MemoryStore};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn grant(name: &str, server: &str) -> Grant {
    Grant {
        name: GrantName::parse(name).unwrap(),
        servers: [server.to_owned()].into(),
        policy: None,
        token: TokenHash::of(format!("mcpol_{name}").as_bytes()),
        created: at(0),
        expires: None,
        revoked: None,
    }
}

/// alice for `files`, bob for `mail` with a policy of his own, carol until second 100, dave until he was revoked.
fn grants(rule: TokenRule) -> Grants {
    let store = MemoryStore::new();
    let bob = Grant { policy: Some("/bob.json".to_owned()), ..grant("bob", "mail") };
    let carol = Grant { expires: Some(at(100)), ..grant("carol", "files") };
    for grant in [grant("alice", "files"), bob, carol, grant("dave", "old")] {
        store.create(at(0), &grant).unwrap();
    }
    store.revoke(at(1), &GrantName::parse("dave").unwrap()).unwrap();
    Grants::new(Arc::new(store), rule, "local")
}

fn ask(grants: &Grants, header: Option<&str>, server: &str, seconds: u64) -> String {
    match grants.identify(header.map(str::as_bytes), &ServerName::new(server), at(seconds)) {
        Ok(Identity { grant, policy: PolicyChoice::Server }) => grant.to_string(),
        Ok(Identity { grant, policy: PolicyChoice::File(path) }) => format!("{grant} by {}", path.display()),
        Err(error) => format!("- {}", error.word()),
    }
}

#[test]
fn a_token_is_good_for_its_servers_and_its_time() {
    let grants = grants(TokenRule::WhereGranted);
    for (header, server, seconds, expected) in [
        (Some("Bearer mcpol_alice"), "files", 0, "alice"),
        (Some("bearer mcpol_alice"), "files", 0, "alice"),
        (Some("BEARER   mcpol_alice"), "files", 0, "alice"),
        (Some("Bearer mcpol_alice"), "mail", 0, "- other_server"),
        (Some("Bearer mcpol_alice"), "free", 0, "- other_server"),
        (Some("Bearer mcpol_bob"), "mail", 0, "bob by /bob.json"),
        (Some("Bearer mcpol_carol"), "files", 99, "carol"),
        (Some("Bearer mcpol_carol"), "files", 100, "- expired"),
        (Some("Bearer mcpol_dave"), "old", 0, "- revoked"),
        (Some("Bearer mcpol_eve"), "files", 0, "- unknown"),
        (Some("Bearer mcpol_eve"), "free", 0, "- unknown"),
        (Some("Bearer mcpol_Alice"), "files", 0, "- unknown"),
        (None, "files", 0, "- missing"),
        (None, "old", 0, "- missing"),
        (None, "free", 0, "local"),
    ] {
        assert_eq!(ask(&grants, header, server, seconds), expected, "{header:?} for {server} at {seconds}");
    }
}

#[test]
fn where_tokens_are_always_needed_nobody_is_local() {
    assert_eq!(ask(&grants(TokenRule::Always), None, "free", 0), "- missing");
}

#[test]
fn what_is_no_bearer_token_is_malformed() {
    let grants = grants(TokenRule::WhereGranted);
    let long = |bytes: usize| format!("Bearer {}", "a".repeat(bytes));
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Bearermcpol_alice",
        "Basic bWNwb2w6YWxpY2U=",
        "mcpol_alice",
        "Bearer mcpol_alice, Bearer mcpol_bob",
        "Bearer mcpol_alice mcpol_bob",
        "Bearer =",
        "Bearer a=b",
        "Bearer \"mcpol_alice\"",
        "Bearer mcpol_alic\u{e9}",
        &long(TOKEN_BYTES_MAX + 1),
    ] {
        assert_eq!(ask(&grants, Some(header), "files", 0), "- malformed", "{header}");
    }
    assert_eq!(ask(&grants, Some(&long(TOKEN_BYTES_MAX)), "files", 0), "- unknown");
    assert_eq!(ask(&grants, Some("Bearer YQ=="), "files", 0), "- unknown");
}

#[test]
fn several_authorizations_are_malformed() {
    let mut headers = http::HeaderMap::new();
    assert_eq!(authorization(&headers).unwrap(), None);
    headers.append("authorization", "Bearer a".parse().unwrap());
    assert_eq!(authorization(&headers).unwrap(), Some(&b"Bearer a"[..]));
    headers.append("authorization", "Bearer a".parse().unwrap());
    assert_eq!(authorization(&headers).unwrap_err(), Unauthorized::Malformed);
}

#[test]
fn a_stranger_does_not_learn_why_a_token_is_refused() {
    let all = [Unauthorized::Unknown, Unauthorized::Expired, Unauthorized::Revoked, Unauthorized::OtherServer];
    for error in &all {
        assert_eq!((error.status(), error.www_authenticate()), (401, all[0].www_authenticate()), "{error}");
    }
    assert_eq!(all[0].www_authenticate(), "Bearer realm=\"mcpol\", error=\"invalid_token\"");
    assert_eq!(Unauthorized::Missing.www_authenticate(), "Bearer realm=\"mcpol\"");
}

#[test]
fn grants_of_the_configuration_count_from_the_next_request_on() {
    let grants = grants(TokenRule::WhereGranted);
    assert_eq!(ask(&grants, None, "free", 0), "local");
    grants.set_configured(vec![grant("eve", "free")]);
    assert_eq!(ask(&grants, None, "free", 0), "- missing");
    assert_eq!(ask(&grants, Some("Bearer mcpol_eve"), "free", 0), "eve");
    assert_eq!(ask(&grants, Some("Bearer mcpol_alice"), "files", 0), "alice");
    grants.set_configured(vec![]);
    assert_eq!(ask(&grants, Some("Bearer mcpol_eve"), "free", 0), "- unknown");
}

struct Broken;

impl GrantStore for Broken {
    fn create(&self, _: Timestamp, _: &Grant) -> Result<crate::state::GrantCreated, StoreError> {
        Err(StoreError::Unavailable("gone".to_owned()))
    }
    fn list(&self) -> Result<Vec<Grant>, StoreError> {
        Err(StoreError::Unavailable("gone".to_owned()))
    }
    fn revoke(&self, _: Timestamp, _: &GrantName) -> Result<crate::state::GrantRevoked, StoreError> {
        Err(StoreError::Unavailable("gone".to_owned()))
    }
    fn find(&self, _: &TokenHash) -> Result<Option<Grant>, StoreError> {
        Err(StoreError::Unavailable("gone".to_owned()))
    }
    fn any_for(&self, _: &str) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("gone".to_owned()))
    }
}

#[test]
fn a_store_that_is_gone_lets_nobody_pass() {
    let grants = Grants::new(Arc::new(Broken), TokenRule::WhereGranted, "local");
    for header in [None, Some("Bearer mcpol_alice")] {
        assert_eq!(ask(&grants, header, "files", 0), "- unavailable");
    }
}
