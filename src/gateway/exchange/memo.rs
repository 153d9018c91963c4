//! Long lists of tools and what became of them: a server lists the same tools to every session, so the same list under
//! the same policy and lock need not be read twice.

use super::view::Listing;
use crate::catalog::drift::Reviewed;
use crate::mcp::envelope::Id;
use crate::policy::Policy;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Lists kept for one server: one for each of the policies that are used most.
const LISTS_MAX: usize = 4;
/// Longest list that is kept, in bytes.
const LIST_BYTES_MAX: usize = 1024 * 1024;

/// What became of the newest lists of one server.
#[derive(Debug, Default)]
pub struct Memo {
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
    /// The message that it came in, if its id stood before it.
    around: Option<Around>,
    known: Known,
}

/// What stands around the id and the result of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    before: Box<str>,
    between: Box<str>,
    after: Box<str>,
}

impl Around {
    /// What stands around these two in a message; nothing if the id is not before the result.
    pub fn of(message: &str, id: Range<usize>, result: Range<usize>) -> Option<Self> {
        let (before, between) = (message.get(..id.start)?, message.get(id.end..result.start)?);
        Some(Self { before: before.into(), between: between.into(), after: message.get(result.end..)?.into() })
    }

    fn pieces<'p>(&'p self, id: &'p [u8], result: &'p str) -> [&'p [u8]; 5] {
        [self.before.as_bytes(), id, self.between.as_bytes(), result.as_bytes(), self.after.as_bytes()]
    }
}

/// A list that the server has sent before.
#[derive(Clone, Debug)]
pub struct Known {
    /// What may be seen of it.
    pub shown: Arc<str>,
    /// What it says of each tool, where a lock wants to know.
    pub seen: Option<Arc<Listing>>,
}

impl Memo {
    /// What a client under this policy and lock may see of a whole list, if the server sent the very same before.
    pub fn known(&self, policy: &Arc<Policy>, reviewed: Option<&Arc<Reviewed>>, sent: &str) -> Option<Known> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|list| list.is_under(policy, reviewed) && *list.sent == *sent).map(|list| list.known.clone())
    }

    /// The same for a whole message, which is then no more than compared: what the client may see, and the message with
    /// it. The server must have sent the very same one before, but for the id, which is the one that is asked for.
    pub fn known_message(
        &self,
        policy: &Arc<Policy>,
        reviewed: Option<&Arc<Reviewed>>,
        id: &Id,
        message: &[u8],
    ) -> Option<(Known, Vec<u8>)> {
        let mut written = Vec::new();
        id.write(&mut written);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let list = kept.iter().find(|list| list.is_under(policy, reviewed))?;
        let around = list.around.as_ref()?;
        let rest = around.pieces(&written, &list.sent).into_iter().try_fold(message, <[u8]>::strip_prefix)?;
        rest.is_empty().then(|| (list.known.clone(), around.pieces(&written, &list.known.shown).concat()))
    }

    /// Keeps a whole list.
    pub fn keep(
        &self,
        policy: &Arc<Policy>,
        reviewed: Option<Arc<Reviewed>>,
        (sent, around): (&str, Option<Around>),
        shown: &str,
        seen: Option<Arc<Listing>>,
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
        kept.push(List { policy: Arc::clone(policy), reviewed, sent: sent.into(), around, known });
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
        let (lists, one, other) = (Memo::default(), policy(), policy());
        let known = |policy, sent| lists.known(policy, None, sent).map(|known| known.shown);
        lists.keep(&one, None, ("[1,2]", None), "[1]", None);
        assert_eq!(known(&one, "[1,2]").as_deref(), Some("[1]"));
        assert_eq!(known(&one, "[1, 2]"), None);
        assert_eq!(known(&other, "[1,2]"), None);
        // The newest of a policy is the one that counts.
        lists.keep(&one, None, ("[3]", None), "[]", None);
        assert_eq!(known(&one, "[1,2]"), None);
        assert_eq!(known(&one, "[3]").as_deref(), Some("[]"));
    }

    #[test]
    fn a_message_is_known_to_the_letter_but_for_the_id_that_is_asked_for() {
        let (lists, policy) = (Memo::default(), policy());
        let first = r#"{"id":1,"result":[1,2],"jsonrpc":"2.0"}"#;
        lists.keep(&policy, None, ("[1,2]", Around::of(first, 6..7, 17..22)), "[1]", None);
        let known = |id: Id, message: &str| {
            let known = lists.known_message(&policy, None, &id, message.as_bytes())?;
            Some(String::from_utf8(known.1).unwrap())
        };
        let number = Id::Integer;
        let again = r#"{"id":22,"result":[1,2],"jsonrpc":"2.0"}"#;
        assert_eq!(known(number(22), again).as_deref(), Some(r#"{"id":22,"result":[1],"jsonrpc":"2.0"}"#));
        let text = r#"{"id":"a","result":[1,2],"jsonrpc":"2.0"}"#;
        assert!(known(Id::Text("a".into()), text).is_some());
        for (id, message) in [
            (number(2), again),
            (number(22), text),
            (number(22), r#"{"id":22,"result":[1,3],"jsonrpc":"2.0"}"#),
            (number(22), r#"{"id":22,"result":[1,2],"jsonrpc":"2.0"} "#),
            (number(22), r#"{"id": 22,"result":[1,2],"jsonrpc":"2.0"}"#),
            (number(22), r#"{"id":22,"result":[1,2]"#),
        ] {
            assert_eq!(known(id, message), None, "{message}");
        }
        assert_eq!(Around::of(r#"{"result":[],"id":1}"#, 18..19, 10..12), None);
    }

    #[test]
    fn a_list_is_known_under_its_version_of_the_lock_only() {
        let (lists, policy) = (Memo::default(), policy());
        let (old, new) = (Arc::new(Reviewed::default()), Arc::new(Reviewed::default()));
        lists.keep(&policy, Some(Arc::clone(&old)), ("[1]", None), "[]", None);
        assert!(lists.known(&policy, Some(&old), "[1]").is_some());
        assert!(lists.known(&policy, Some(&new), "[1]").is_none());
        assert!(lists.known(&policy, None, "[1]").is_none());
    }

    #[test]
    fn the_oldest_list_makes_room_and_too_long_ones_are_not_kept() {
        let lists = Memo::default();
        let policies: Vec<_> = (0..=LISTS_MAX).map(|_| policy()).collect();
        for policy in &policies {
            lists.keep(policy, None, ("[]", None), "[]", None);
        }
        let known: Vec<bool> = policies.iter().map(|policy| lists.known(policy, None, "[]").is_some()).collect();
        assert_eq!(known, [false, true, true, true, true]);
        for (bytes, is_kept) in [(LIST_BYTES_MAX, true), (LIST_BYTES_MAX + 1, false)] {
            let long = "x".repeat(bytes);
            lists.keep(&policies[0], None, (&long, None), "[]", None);
            assert_eq!(lists.known(&policies[0], None, &long).is_some(), is_kept, "{bytes}");
        }
    }
}
