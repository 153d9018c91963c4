//! Lists of tools and what became of them: a server lists the same tools to every session, so a list that comes again
//! under the same policy, lock and hints is not read twice.

use super::served_hints::ServedHints;
use super::view::Listing;
use crate::catalog::drift::Reviewed;
use crate::mcp::envelope::Id;
use crate::policy::Policy;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Lists kept for one server: the newest under each of the policies whose lists came last.
const LISTS_MAX: usize = 4;
/// Longest list that is kept, in bytes.
const LIST_BYTES_MAX: usize = 1024 * 1024;

/// The newest lists of one server, and what became of them.
#[derive(Debug, Default)]
pub struct Memo {
    /// At most [`LISTS_MAX`], the newest last.
    kept: Mutex<Vec<RememberedList>>,
}

/// What a list was read under. They are compared by their places in memory: a list that is kept keeps its own alive, so
/// those that a reload brings have other places.
#[derive(Clone, Debug)]
pub struct Under {
    /// The policy.
    pub policy: Arc<Policy>,
    /// What the lock said, if there is one.
    pub reviewed: Option<Arc<Reviewed>>,
    /// The hints that were filled in, if they were.
    pub hints: Option<Arc<ServedHints>>,
}

impl Under {
    fn is(&self, other: &Self) -> bool {
        fn same<T>(one: &Option<Arc<T>>, other: &Option<Arc<T>>) -> bool {
            match (one, other) {
                (None, None) => true,
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (_, _) => false,
            }
        }
        let is_policy = Arc::ptr_eq(&self.policy, &other.policy);
        is_policy && same(&self.reviewed, &other.reviewed) && same(&self.hints, &other.hints)
    }
}

#[derive(Debug)]
struct RememberedList {
    under: Under,
    /// The result that the server sent.
    sent: Box<str>,
    /// The rest of the message that the result came in, if the id stood before the result.
    around: Option<Around>,
    known: Known,
}

/// What stands before, between and after the id and the result of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    before: Box<str>,
    between: Box<str>,
    after: Box<str>,
}

impl Around {
    /// What stands around the id and the result at these places of a message; `None` if the id is not before the
    /// result.
    pub fn of(message: &str, id: Range<usize>, result: Range<usize>) -> Option<Self> {
        let (before, between) = (message.get(..id.start)?, message.get(id.end..result.start)?);
        Some(Self { before: before.into(), between: between.into(), after: message.get(result.end..)?.into() })
    }

    fn pieces<'p>(&'p self, id: &'p [u8], result: &'p str) -> [&'p [u8]; 5] {
        [self.before.as_bytes(), id, self.between.as_bytes(), result.as_bytes(), self.after.as_bytes()]
    }
}

/// What became of a list that the server has sent before.
#[derive(Clone, Debug)]
pub struct Known {
    /// The result as the client gets it.
    pub shown: Arc<str>,
    /// What the list says of each tool, if calls of the client that it was read for are held to lists.
    pub seen: Option<Arc<Listing>>,
}

impl Memo {
    /// What became of a whole list under this, if the server sent the same result before, to the byte.
    pub fn known(&self, under: &Under, sent: &str) -> Option<Known> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|list| list.under.is(under) && *list.sent == *sent).map(|list| list.known.clone())
    }

    /// What became of the list in a whole message, and the message that the client gets: only for a message whose id is
    /// `id` and that is otherwise, to the byte, one that the server sent before under this.
    pub fn known_message(&self, under: &Under, id: &Id, message: &[u8]) -> Option<(Known, Vec<u8>)> {
        let mut written = Vec::new();
        id.write(&mut written);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let list = kept.iter().find(|list| list.under.is(under))?;
        let around = list.around.as_ref()?;
        let rest = around.pieces(&written, &list.sent).into_iter().try_fold(message, <[u8]>::strip_prefix)?;
        rest.is_empty().then(|| (list.known.clone(), around.pieces(&written, &list.known.shown).concat()))
    }

    /// Keeps a whole list, if it is not longer than [`LIST_BYTES_MAX`], in place of an older one under its policy.
    pub fn keep(&self, under: Under, (sent, around): (&str, Option<Around>), shown: &str, seen: Option<Arc<Listing>>) {
        if sent.len() > LIST_BYTES_MAX {
            return;
        }
        let known = Known { shown: shown.into(), seen };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Under another version of the lock too: an old version does not come back.
        kept.retain(|list| !Arc::ptr_eq(&list.under.policy, &under.policy));
        if kept.len() == LISTS_MAX {
            kept.remove(0);
        }
        kept.push(RememberedList { under, sent: sent.into(), around, known });
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot read its own data must fail")]
    use super::super::served_hints::HintPlan;
    use super::*;
    use crate::classify::annotated::Filling;

    fn policy() -> Arc<Policy> {
        Arc::new(crate::policy::parse(r#"{"version":"1","default":"allow"}"#, "policy.json").unwrap())
    }

    fn under(policy: &Arc<Policy>) -> Under {
        Under { policy: Arc::clone(policy), reviewed: None, hints: None }
    }

    #[test]
    fn a_list_is_known_by_its_policy_and_to_the_letter() {
        let (lists, one, other) = (Memo::default(), policy(), policy());
        let known = |policy, sent| lists.known(&under(policy), sent).map(|known| known.shown);
        lists.keep(under(&one), ("[1,2]", None), "[1]", None);
        assert_eq!(known(&one, "[1,2]").as_deref(), Some("[1]"));
        assert_eq!(known(&one, "[1, 2]"), None);
        assert_eq!(known(&other, "[1,2]"), None);
        // Only the newest list under a policy is kept.
        lists.keep(under(&one), ("[3]", None), "[]", None);
        assert_eq!(known(&one, "[1,2]"), None);
        assert_eq!(known(&one, "[3]").as_deref(), Some("[]"));
    }

    #[test]
    fn a_message_is_known_to_the_letter_but_for_the_id_that_is_asked_for() {
        let (lists, policy) = (Memo::default(), policy());
        let first = r#"{"id":1,"result":[1,2],"jsonrpc":"2.0"}"#;
        lists.keep(under(&policy), ("[1,2]", Around::of(first, 6..7, 17..22)), "[1]", None);
        let known = |id: Id, message: &str| {
            let known = lists.known_message(&under(&policy), &id, message.as_bytes())?;
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
    fn a_list_is_known_under_its_version_of_lock_and_hints_only() {
        let (lists, policy) = (Memo::default(), policy());
        let hints = || {
            let plan = HintPlan { filling: Filling::Missing, settings: Arc::default() };
            Some(Arc::new(ServedHints::new(plan, crate::clock::now)))
        };
        let one = Under { reviewed: Some(Arc::default()), hints: hints(), ..under(&policy) };
        lists.keep(one.clone(), ("[1]", None), "[]", None);
        assert!(lists.known(&one, "[1]").is_some());
        for other in [
            Under { reviewed: Some(Arc::default()), ..one.clone() },
            Under { reviewed: None, ..one.clone() },
            Under { hints: hints(), ..one.clone() },
            Under { hints: None, ..one.clone() },
        ] {
            assert!(lists.known(&other, "[1]").is_none());
        }
    }

    #[test]
    fn the_oldest_list_makes_room_and_too_long_ones_are_not_kept() {
        let lists = Memo::default();
        let policies: Vec<_> = (0..=LISTS_MAX).map(|_| policy()).collect();
        for policy in &policies {
            lists.keep(under(policy), ("[]", None), "[]", None);
        }
        let known: Vec<bool> = policies.iter().map(|policy| lists.known(&under(policy), "[]").is_some()).collect();
        assert_eq!(known, [false, true, true, true, true]);
        for (bytes, is_kept) in [(LIST_BYTES_MAX, true), (LIST_BYTES_MAX + 1, false)] {
            let long = "x".repeat(bytes);
            lists.keep(under(&policies[0]), (&long, None), "[]", None);
            assert_eq!(lists.known(&under(&policies[0]), &long).is_some(), is_kept, "{bytes}");
        }
    }
}
