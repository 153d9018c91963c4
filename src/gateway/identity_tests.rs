//! Tests of identities: which grant a caller is counted on, and what a caller without one learns.

#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

use super::*;
use crate::state::MemoryGrants;

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
    let store = MemoryGrants::new();
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
    let all = [
        Unauthorized::Unknown,
        Unauthorized::Expired,
        Unauthorized::Revoked,
        Unauthorized::OtherServer,
        Unauthorized::NoGrant,
        Unauthorized::NameTaken,
    ];
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
    grants.set_configured(vec![configured("eve", "free", KnownBy::Token(TokenHash::of(b"mcpol_eve")))]);
    assert_eq!(ask(&grants, None, "free", 0), "- missing");
    assert_eq!(ask(&grants, Some("Bearer mcpol_eve"), "free", 0), "eve");
    assert_eq!(ask(&grants, Some("Bearer mcpol_alice"), "files", 0), "alice");
    grants.set_configured(vec![]);
    assert_eq!(ask(&grants, Some("Bearer mcpol_eve"), "free", 0), "- unknown");
}

#[test]
fn a_server_that_has_asked_for_tokens_goes_on_asking() {
    let grants = grants(TokenRule::WhereGranted);
    let eve = || vec![configured("eve", "free", KnownBy::Token(TokenHash::of(b"mcpol_eve")))];
    // A version of the configuration that was refused leaves no trace.
    grants.set_configured(eve());
    grants.set_configured(vec![]);
    assert_eq!(ask(&grants, None, "free", 0), "local");
    grants.set_configured(eve());
    grants.keep_asking(["free".to_owned()]);
    grants.set_configured(vec![]);
    assert_eq!(ask(&grants, None, "free", 0), "- missing");
    assert_eq!(ask(&grants, None, "free-too", 0), "local");
}

#[test]
fn a_server_goes_on_asking_when_the_store_forgets_its_grants() {
    /// A store with a grant for every server, until the test empties it.
    struct Emptied(std::sync::atomic::AtomicBool);

    impl GrantStore for Emptied {
        fn create(&self, at: Timestamp, grant: &Grant) -> Result<crate::state::GrantCreated, StoreError> {
            Broken.create(at, grant)
        }
        fn list(&self) -> Result<Vec<Grant>, StoreError> {
            Broken.list()
        }
        fn revoke(&self, at: Timestamp, name: &GrantName) -> Result<crate::state::GrantRevoked, StoreError> {
            Broken.revoke(at, name)
        }
        fn find(&self, token: &TokenHash) -> Result<Option<Grant>, StoreError> {
            Broken.find(token)
        }
        fn any_for(&self, _: &str) -> Result<bool, StoreError> {
            Ok(!self.0.load(std::sync::atomic::Ordering::Relaxed))
        }
    }

    let store = Arc::new(Emptied(false.into()));
    let grants = Grants::new(Arc::clone(&store) as Arc<dyn GrantStore>, TokenRule::WhereGranted, "local");
    assert_eq!(ask(&grants, None, "files", 0), "- missing");
    store.0.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(ask(&grants, None, "files", 0), "- missing");
    assert_eq!(ask(&grants, None, "mail", 0), "local");
}

#[test]
fn a_name_is_one_callers_only() {
    let grants = grants(TokenRule::WhereGranted);
    let names = |grants: &Grants| -> Vec<String> {
        grants.doubles(at(0)).unwrap().iter().map(|name| name.as_str().to_owned()).collect()
    };
    assert_eq!(names(&grants), [""; 0]);
    grants.set_configured(vec![configured("alice", "mail", KnownBy::Token(TokenHash::of(b"mcpol_other")))]);
    assert_eq!(ask(&grants, Some("Bearer mcpol_alice"), "files", 0), "- name_taken");
    assert_eq!(ask(&grants, Some("Bearer mcpol_other"), "mail", 0), "alice");
    assert_eq!(names(&grants), ["alice"]);
    let store = MemoryGrants::new();
    store.create(at(0), &grant("local", "files")).unwrap();
    let grants = Grants::new(Arc::new(store), TokenRule::Always, "local");
    assert_eq!(ask(&grants, Some("Bearer mcpol_local"), "files", 0), "- name_taken");
    assert_eq!(names(&grants), ["local"]);
}

fn configured(name: &str, server: &str, known_by: KnownBy) -> ConfiguredGrant {
    let (name, servers) = (GrantName::parse(name).unwrap(), [server.to_owned()].into());
    ConfiguredGrant { name, servers, policy: None, expires: None, known_by }
}

/// An issuer that takes `a.SUBJECT.b` for a token of SUBJECT; those of `late` have expired.
struct Signed;

impl Issuer for Signed {
    fn subject(&self, token: &str, _: Timestamp) -> Result<Arc<str>, Unauthorized> {
        match token.split('.').nth(1) {
            Some("late") => Err(Unauthorized::Expired),
            Some(subject) => Ok(subject.into()),
            None => Err(Unauthorized::Unknown),
        }
    }

    fn at_once(&self, token: &str, now: Timestamp) -> Option<Result<Arc<str>, Unauthorized>> {
        Some(self.subject(token, now))
    }
}

#[test]
fn whom_an_issuer_knows_has_the_grant_that_names_him_and_nothing_beside_it() {
    let by_subject = |name: &str, server: &str| configured(name, server, KnownBy::Subject(format!("{name}-at-home")));
    let all = || {
        let with_policy = ConfiguredGrant { policy: Some("/eve.json".to_owned()), ..by_subject("eve", "mail") };
        let until = ConfiguredGrant { expires: Some(at(100)), ..by_subject("fred", "mail") };
        vec![by_subject("alice", "mail"), with_policy, until]
    };
    let served = |rule: SubjectRule| {
        let grants = grants(TokenRule::WhereGranted).with_issuer(Box::new(Signed), rule);
        grants.set_configured(all());
        grants
    };
    let (any, granted) = (served(SubjectRule::Any), served(SubjectRule::Granted));
    for (token, server, seconds, for_any, for_granted) in [
        ("a.alice-at-home.b", "mail", 0, "alice", "alice"),
        ("a.alice-at-home.b", "files", 0, "- other_server", "- other_server"),
        ("a.eve-at-home.b", "mail", 0, "eve by /eve.json", "eve by /eve.json"),
        ("a.fred-at-home.b", "mail", 99, "fred", "fred"),
        ("a.fred-at-home.b", "mail", 100, "- expired", "- expired"),
        ("a.late.b", "mail", 0, "- expired", "- expired"),
        // The name of a grant is not the name of its caller, nor is one spelled otherwise.
        ("a.alice.b", "mail", 0, "jwt:alice", "- no_grant"),
        ("a.Alice-at-home.b", "mail", 0, "jwt:Alice-at-home", "- no_grant"),
        ("a.gina.b", "free", 0, "jwt:gina", "- no_grant"),
        // The gateway's own tokens stay good, unless another caller has the grant's name by now.
        ("mcpol_bob", "mail", 0, "bob by /bob.json", "bob by /bob.json"),
        ("mcpol_alice", "files", 0, "- name_taken", "- name_taken"),
        ("alice-at-home", "mail", 0, "- unknown", "- unknown"),
    ] {
        let header = format!("Bearer {token}");
        for (grants, expected) in [(&any, for_any), (&granted, for_granted)] {
            assert_eq!(ask(grants, Some(&header), server, seconds), expected, "{token} for {server} at {seconds}");
            let at_once = grants.at_once(Some(header.as_bytes()), &ServerName::new(server), at(seconds)).unwrap();
            assert_eq!(at_once.is_ok(), !expected.starts_with('-'), "{token}");
        }
    }
    assert_eq!(ask(&granted, None, "free", 0), "- missing");
    granted.set_configured(vec![]);
    assert_eq!(ask(&granted, Some("Bearer a.alice-at-home.b"), "mail", 0), "- no_grant", "from the next request on");
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

#[test]
fn an_address_that_others_reach_asks_everybody_for_a_token() {
    use TokenRule::{Always, WhereGranted};
    for (address, asked, known, expected) in [
        ("127.0.0.1:80", WhereGranted, false, Some(WhereGranted)),
        ("[::1]:80", WhereGranted, true, Some(WhereGranted)),
        ("127.0.0.1:80", Always, false, Some(Always)),
        ("0.0.0.0:80", WhereGranted, false, None),
        ("[::]:80", WhereGranted, false, None),
        ("10.0.0.1:80", WhereGranted, true, Some(Always)),
        ("10.0.0.1:80", Always, false, Some(Always)),
    ] {
        assert_eq!(asked.at(address.parse().unwrap(), known), expected, "{address} {asked:?} {known}");
    }
}
