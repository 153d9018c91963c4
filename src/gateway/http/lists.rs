//! Long lists of tools and what became of them: a server lists the same tools to every session, so the same list under
//! the same policy and lock need not be read twice.

use crate::catalog::drift::Reviewed;
use crate::gateway::locked::Seen;
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
    /// The lock, if there is one.
    reviewed: Option<Arc<Reviewed>>,
    /// What the server sent.
    sent: Box<str>,
    known: Known,
}

/// A list that the server has sent before.
#[derive(Clone, Debug)]
pub struct Known {
    /// What may be seen of it.
    pub shown: Arc<str>,
    /// What it says of each tool, where a lock wants to know.
    pub seen: Option<Arc<Seen>>,
}

impl Lists {
    /// What a client under this policy and lock may see of a whole list, if the server sent the very same before.
    pub fn known(&self, policy: &Arc<Policy>, reviewed: Option<&Arc<Reviewed>>, sent: &str) -> Option<Known> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|list| list.is_under(policy, reviewed) && *list.sent == *sent).map(|list| list.known.clone())
    }

    /// Keeps a whole list.
    pub fn keep(
        &self,
        policy: &Arc<Policy>,
        reviewed: Option<Arc<Reviewed>>,
        sent: &str,
        shown: &str,
        seen: Option<Arc<Seen>>,
    ) {
        if sent.len() > LIST_BYTES_MAX {
            return;
        }
        let known = Known { shown: shown.into(), seen };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // An old version of a lock does not come back.
        kept.retain(|list| !Arc::ptr_eq(&list.policy, policy));
        if kept.len() == LISTS_MAX {
            kept.remove(0);
        }
        kept.push(List { policy: Arc::clone(policy), reviewed, sent: sent.into(), known });
    }
}

impl List {
    /// Policies and locks are compared by their places in memory: another one after a reload has another.
    fn is_under(&self, policy: &Arc<Policy>, reviewed: Option<&Arc<Reviewed>>) -> bool {
        let same_lock = match (&self.reviewed, reviewed) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (_, _) => false,
        };
        same_lock && Arc::ptr_eq(&self.policy, policy)
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
        let known = |policy, sent| lists.known(policy, None, sent).map(|known| known.shown);
        lists.keep(&one, None, "[1,2]", "[1]", None);
        assert_eq!(known(&one, "[1,2]").as_deref(), Some("[1]"));
        assert_eq!(known(&one, "[1, 2]"), None);
        assert_eq!(known(&other, "[1,2]"), None);
        // The newest of a policy is the one that counts.
        lists.keep(&one, None, "[3]", "[]", None);
        assert_eq!(known(&one, "[1,2]"), None);
        assert_eq!(known(&one, "[3]").as_deref(), Some("[]"));
    }

    #[test]
    fn a_list_is_known_under_its_version_of_the_lock_only() {
        let (lists, policy) = (Lists::default(), policy());
        let (old, new) = (Arc::new(Reviewed::default()), Arc::new(Reviewed::default()));
        lists.keep(&policy, Some(Arc::clone(&old)), "[1]", "[]", None);
        assert!(lists.known(&policy, Some(&old), "[1]").is_some());
        assert!(lists.known(&policy, Some(&new), "[1]").is_none());
        assert!(lists.known(&policy, None, "[1]").is_none());
    }

    #[test]
    fn the_oldest_list_makes_room_and_too_long_ones_are_not_kept() {
        let lists = Lists::default();
        let policies: Vec<_> = (0..=LISTS_MAX).map(|_| policy()).collect();
        for policy in &policies {
            lists.keep(policy, None, "[]", "[]", None);
        }
        let known: Vec<bool> = policies.iter().map(|policy| lists.known(policy, None, "[]").is_some()).collect();
        assert_eq!(known, [false, true, true, true, true]);
        for (bytes, is_kept) in [(LIST_BYTES_MAX, true), (LIST_BYTES_MAX + 1, false)] {
            let long = "x".repeat(bytes);
            lists.keep(&policies[0], None, &long, "[]", None);
            assert_eq!(lists.known(&policies[0], None, &long).is_some(), is_kept, "{bytes}");
        }
    }
}
