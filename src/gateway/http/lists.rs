//! Long lists of tools and what became of them: a server lists the same tools to every session, so the same list under
//! the same policy need not be read twice.

use crate::policy::Policy;
use std::sync::{Arc, Mutex, PoisonError};

/// Lists kept for one server: one for each of the policies that are used most.
const LISTS_MAX: usize = 4;
/// Longest list that is kept, in bytes.
const LIST_BYTES_MAX: usize = 1024 * 1024;

/// What became of the newest lists of one server.
#[derive(Debug, Default)]
pub struct Lists {
    /// The newest last.
    kept: Mutex<Vec<List>>,
}

#[derive(Debug)]
struct List {
    policy: Arc<Policy>,
    /// What the server sent.
    sent: Box<str>,
    /// What may be seen of it.
    shown: Arc<str>,
}

impl Lists {
    /// What a client under this policy may see of a whole list, if the server sent the very same before.
    pub fn known(&self, policy: &Arc<Policy>, sent: &str) -> Option<Arc<str>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // The policy is compared by its place in memory: another one after a reload has another.
        let same = |list: &&List| Arc::ptr_eq(&list.policy, policy) && *list.sent == *sent;
        kept.iter().find(same).map(|list| Arc::clone(&list.shown))
    }

    /// Keeps a whole list.
    pub fn keep(&self, policy: &Arc<Policy>, sent: &str, shown: &str) {
        if sent.len() > LIST_BYTES_MAX {
            return;
        }
        let list = List { policy: Arc::clone(policy), sent: sent.into(), shown: shown.into() };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|list| !Arc::ptr_eq(&list.policy, policy));
        if kept.len() == LISTS_MAX {
            kept.remove(0);
        }
        kept.push(list);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::*;

    fn policy() -> Arc<Policy> {
        Arc::new(crate::policy::parse(r#"{"version":"1","default":"allow"}"#, "policy.json").unwrap())
    }

    #[test]
    fn a_list_is_known_by_its_policy_and_to_the_letter() {
        let (lists, one, other) = (Lists::default(), policy(), policy());
        lists.keep(&one, "[1,2]", "[1]");
        assert_eq!(lists.known(&one, "[1,2]").as_deref(), Some("[1]"));
        assert_eq!(lists.known(&one, "[1, 2]"), None);
        assert_eq!(lists.known(&other, "[1,2]"), None);
        // The newest of a policy is the one that counts.
        lists.keep(&one, "[3]", "[]");
        assert_eq!(lists.known(&one, "[1,2]"), None);
        assert_eq!(lists.known(&one, "[3]").as_deref(), Some("[]"));
    }

    #[test]
    fn the_oldest_list_makes_room_and_too_long_ones_are_not_kept() {
        let lists = Lists::default();
        let policies: Vec<_> = (0..=LISTS_MAX).map(|_| policy()).collect();
        for policy in &policies {
            lists.keep(policy, "[]", "[]");
        }
        let known: Vec<bool> = policies.iter().map(|policy| lists.known(policy, "[]").is_some()).collect();
        assert_eq!(known, [false, true, true, true, true]);
        for (bytes, is_kept) in [(LIST_BYTES_MAX, true), (LIST_BYTES_MAX + 1, false)] {
            let long = "x".repeat(bytes);
            lists.keep(&policies[0], &long, "[]");
            assert_eq!(lists.known(&policies[0], &long).is_some(), is_kept, "{bytes}");
        }
    }
}
