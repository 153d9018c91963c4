//! What every store of grants must do, whatever it is made of.

#![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]

use super::*;

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1000)
}

/// A grant that was made at the beginning; its token is `mcpol_NAME`.
pub(crate) fn grant(name: &str, servers: &[&str]) -> Grant {
    Grant {
        name: GrantName::parse(name).unwrap(),
        servers: servers.iter().map(|server| (*server).to_owned()).collect(),
        policy: None,
        token: TokenHash::of(format!("mcpol_{name}").as_bytes()),
        created: at(0),
        expires: None,
        revoked: None,
    }
}

/// Every promise, each on a store of its own; the guard of a store lives as long as it is used.
pub(crate) fn all<G, S: GrantStore>(mut store: impl FnMut() -> (G, S)) {
    for promise in [
        names_are_unique,
        tokens_find_their_grant,
        revoked_ones_stay_known,
        old_tokens_stay_worthless,
        servers_are_known,
    ] {
        let (_guard, store) = store();
        promise(&store);
    }
}

fn names_are_unique(store: &dyn GrantStore) {
    let alice = grant("alice", &["s", "t \"\u{e4}"]);
    assert_eq!(store.create(at(0), &alice).unwrap(), GrantCreated::Done);
    let again = Grant { token: TokenHash::of(b"other"), ..alice.clone() };
    assert_eq!(store.create(at(1), &again).unwrap(), GrantCreated::Exists(alice.clone()));
    assert_eq!(store.find(&again.token).unwrap(), None);
    let full = Grant { policy: Some("/p.json".to_owned()), expires: Some(at(9)), ..grant("Bob", &["s"]) };
    assert_eq!(store.create(at(0), &full).unwrap(), GrantCreated::Done);
    assert_eq!(store.list().unwrap(), [full, alice], "by name, as bytes");
}

fn tokens_find_their_grant(store: &dyn GrantStore) {
    assert_eq!(store.find(&TokenHash::of(b"mcpol_a")).unwrap(), None);
    for name in ["a", "b"] {
        store.create(at(0), &grant(name, &["s"])).unwrap();
    }
    for name in ["a", "b"] {
        assert_eq!(store.find(&grant(name, &[]).token).unwrap(), Some(grant(name, &["s"])));
    }
    assert_eq!(store.find(&TokenHash::of(b"mcpol_c")).unwrap(), None);
}

fn revoked_ones_stay_known(store: &dyn GrantStore) {
    let alice = grant("alice", &["s"]);
    assert_eq!(store.revoke(at(1), &alice.name).unwrap(), GrantRevoked::Unknown);
    store.create(at(0), &alice).unwrap();
    assert!(store.find(&alice.token).unwrap().is_some());
    let revoked = Grant { revoked: Some(at(2)), ..alice.clone() };
    assert_eq!(store.revoke(at(2), &alice.name).unwrap(), GrantRevoked::Done(revoked.clone()));
    assert_eq!(store.revoke(at(3), &alice.name).unwrap(), GrantRevoked::Already(revoked.clone()));
    assert_eq!(store.find(&alice.token).unwrap(), Some(revoked.clone()));
    assert_eq!(store.list().unwrap(), [revoked]);
    assert!(store.any_for("s").unwrap());
}

fn old_tokens_stay_worthless(store: &dyn GrantStore) {
    let first = Grant { expires: Some(at(10)), ..grant("alice", &["s"]) };
    let second = Grant { token: TokenHash::of(b"second"), ..grant("alice", &["t"]) };
    let third = Grant { token: TokenHash::of(b"third"), ..grant("alice", &["t"]) };
    store.create(at(0), &first).unwrap();
    assert!(store.find(&first.token).unwrap().is_some());
    assert!(matches!(store.create(at(9), &second).unwrap(), GrantCreated::Exists(_)));
    assert_eq!(store.create(at(10), &second).unwrap(), GrantCreated::Done, "it has expired");
    assert_eq!(store.find(&first.token).unwrap(), None);
    store.revoke(at(11), &second.name).unwrap();
    assert_eq!(store.create(at(12), &third).unwrap(), GrantCreated::Done, "it was revoked");
    assert_eq!(store.find(&second.token).unwrap(), None);
    assert_eq!(store.find(&third.token).unwrap(), Some(third));
    assert!(store.any_for("s").unwrap(), "what was once granted asks for a token ever after");
}

fn servers_are_known(store: &dyn GrantStore) {
    assert!(!store.any_for("s").unwrap());
    store.create(at(0), &grant("alice", &["s", "t"])).unwrap();
    for (server, expected) in [("s", true), ("t", true), ("S", false), ("", false), ("st", false)] {
        assert_eq!(store.any_for(server).unwrap(), expected, "{server}");
    }
}

#[test]
fn grants_in_memory_keep_the_contract() {
    all(|| ((), crate::state::MemoryGrants::new()));
}
