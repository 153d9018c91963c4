//! One state of the files that a check goes by (lock, policies, accepted deviations) and what is different from it.

use super::super::Failure;
use super::super::load::Classifier;
use super::super::lock_file::{self, Entry, Locked};
use super::super::policies::{NamedPolicies, PolicyFile};
use crate::catalog::drift::{self, Accepted, Anchor, Beside, Drift, Verdicts};
use crate::catalog::{LockedServer, places};
use crate::model::{Finding, Listing, ServerName};
use crate::problem::Place;
use std::cell::LazyCell;
use std::sync::Arc;

/// What a check goes by.
pub(super) struct State {
    /// The lock.
    pub locked: Locked,
    /// The policies.
    pub policies: NamedPolicies,
    /// What mcpol.toml accepts.
    pub accepted: Accepted,
}

/// What is different at one server.
pub(super) struct Differences {
    /// Sorted.
    pub found: Vec<Drift>,
    /// How many of them mcpol.toml accepts; they are not in `found`.
    pub accepted: usize,
    /// The server as it is now.
    pub now: LockedServer,
    entry: Option<(usize, usize)>,
    policy: Option<Arc<PolicyFile>>,
}

impl State {
    /// Compares a listing with its entry.
    ///
    /// # Errors
    /// The entry is not valid.
    pub fn differences(
        &mut self,
        listing: Listing,
        findings: Vec<Finding>,
        classifier: &Classifier,
        today: &str,
    ) -> Result<Differences, Failure> {
        let name = listing.server.clone();
        let entry = self.locked.entry(&listing)?;
        let same_rules = self.locked.lock.rules() == classifier.fingerprint();
        let others = self.locked.others(&name);
        let (mut found, now) = match &entry {
            // Equal definitions and equal rules make equal classes: nothing has to be judged again.
            Some(entry) if same_rules && entry.server.declares_the_same(&listing) => {
                let mut now = LockedServer::unjudged(&listing);
                now.tools.clone_from(&entry.server.tools);
                let beside = Beside { others, ..Beside::default() };
                (drift::compare(&entry.server, &now, None, &beside), now)
            }
            Some(entry) => {
                let judged = classifier.one(listing, findings);
                let now = LockedServer::of(&judged, None);
                (lock_file::differences(&entry.server, (&now, &judged), classifier, same_rules, others), now)
            }
            None => {
                let judged = classifier.one(listing, findings);
                let now = LockedServer::of(&judged, None);
                let beside = Beside { after: Verdicts::of(&judged), others, ..Beside::default() };
                (drift::unknown_server(&now, &beside), now)
            }
        };
        let policy = self.policies.of(&name);
        if let Some(policy) = &policy {
            drift::annotate(&policy.policy, &mut found);
            let was = entry.as_ref().map(|entry| &entry.server);
            let now_listed = LazyCell::new(|| now.listing());
            let judge = LazyCell::new(|| classifier.judge_like(&now_listed));
            found.extend(drift::judge(&policy.policy, was, &now, &|tool| judge(tool), &|id| classifier.is_off(id)));
            found.sort();
        }
        let before = found.len();
        found.retain(|drift| !self.accepted.holds(drift, today));
        let accepted = before - found.len();
        let entry = entry.map(|Entry { at, line, .. }| (at, line));
        Ok(Differences { found, accepted, now, entry, policy })
    }

    /// Where a difference is shown: file, and place in it.
    ///
    /// # Errors
    /// The lock could not be read again.
    pub fn places(&mut self, name: &ServerName, differences: &Differences) -> Result<Vec<(String, Place)>, Failure> {
        let lock = self.locked.lock.file().to_owned();
        let in_lock = |drift: &Drift| !matches!(drift.anchor, Anchor::Policy(_));
        let text = match differences.entry {
            Some((at, line)) if differences.found.iter().any(in_lock) => Some((self.locked.text(name, at)?, line)),
            Some(_) | None => None,
        };
        let entry = text.as_ref().map(|(text, line)| (text, places::EntryText::new(text), line));
        let place = |drift: &Drift| match (&drift.anchor, &differences.policy) {
            (Anchor::Policy(pointer), Some(policy)) => {
                let at = places::of_pointer(&policy.text, pointer);
                (policy.file.clone(), Place::of_offset(&policy.text, at))
            }
            (anchor, _) => {
                let place = entry.as_ref().map(|(text, entry, line)| {
                    let place = Place::of_offset(text, entry.place(anchor));
                    Place { line: place.line + *line - 1, ..place }
                });
                (lock.clone(), place.unwrap_or(Place { line: 1, column: 1 }))
            }
        };
        Ok(differences.found.iter().map(place).collect())
    }
}
