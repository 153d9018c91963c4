//! Lists of the gateway's own in a session over stdio, and the calls that wait for them.

use super::answers::Answers;
use super::exchange::{LIST_WAIT, LISTS_MAX, OwnList, Party, Question, not_listed};
use super::mediate::{Effects, Mediator, TakenCall, lock};
use super::pending::RequestKind;
use crate::clock::Timestamp;
use crate::mcp::envelope::{Id, Received};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Calls that may wait for a list at the same time; more are decided on without one.
pub const PARKED_MAX: usize = 256;
/// The lists that are asked for, one for each client, and the calls that wait for them.
#[derive(Debug, Default)]
pub(super) struct Relist {
    lists: Vec<ListAsked>,
    /// Calls that have waited and are being decided on.
    resuming: usize,
    asked: u64,
    /// Whether a person was told that a list did not come.
    told: Arc<AtomicBool>,
}

/// A call that waits for a list.
#[derive(Debug)]
struct Parked {
    taken: TakenCall,
    /// The approval that it has waited for already.
    asked: Option<String>,
}

/// A list on its way.
#[derive(Debug)]
struct ListAsked {
    /// The client on whose behalf it is asked for.
    party: Arc<Party>,
    id: Id,
    since: Instant,
    list: OwnList,
    parked: Vec<Parked>,
}

impl Mediator {
    /// Lets a call wait for a list, and asks for one. Gives the call back where that cannot be done.
    pub(super) fn park(&self, mut taken: TakenCall, asked: Option<&str>, effects: &mut Effects) -> Option<TakenCall> {
        let mut relist = lock(&self.relist);
        let Relist { lists, asked: number, .. } = &mut *relist;
        if lists.iter().map(|list| list.parked.len()).sum::<usize>() >= PARKED_MAX {
            return Some(taken);
        }
        let at = match lists.iter().position(|list| list.party.is(&taken.party)) {
            Some(at) => at,
            None => {
                let (party, since) = (Arc::clone(&taken.party), Instant::now());
                let list = OwnList::asked(&taken.call, &self.shared, since);
                let Some(id) = self.ask(number, &party, &list, effects) else { return Some(taken) };
                lists.push(ListAsked { party, id, since, list, parked: Vec::new() });
                lists.len() - 1
            }
        };
        let question = asked.map(|approval| Question::new(&self.decider, taken.party.whose(), approval));
        if lock(&self.pending).let_wait(&taken.id, question).is_ok() {
            taken.lists += 1;
            lists[at].parked.push(Parked { taken, asked: asked.map(str::to_owned) });
        }
        None
    }

    /// Sends the request for a page.
    fn ask(&self, asked: &mut u64, party: &Arc<Party>, list: &OwnList, effects: &mut Effects) -> Option<Id> {
        *asked += 1;
        let (id, passage) = list.request(&format!("mcpol-list-{asked}"))?;
        // A client that has a request of this very name in flight has to wait for its own answer first.
        lock(&self.pending).begin(&id, RequestKind::OwnList, party, Instant::now()).ok()?;
        effects.to_server.pass(&passage);
        Some(id)
    }

    /// Whether calls wait for a list, or for what follows from it.
    pub(super) fn awaits_list(&self) -> bool {
        let relist = lock(&self.relist);
        !relist.lists.is_empty() || relist.resuming > 0
    }

    /// A page of our own list has come.
    pub(super) fn own_list(&self, id: &Id, received: &Received<'_>, now: Timestamp, answers: &mut Answers) {
        let failed = {
            let mut relist = lock(&self.relist);
            let Relist { lists, asked, .. } = &mut *relist;
            let Some(ListAsked { party, id, list, .. }) = lists.iter_mut().find(|list| list.id == *id) else { return };
            let (result, policy) = (received.result().unwrap_or_default(), party.policy());
            match list.page(result, policy.as_deref(), self.guard.is_some(), &self.shared) {
                Ok(true) => match self.ask(asked, party, list, &mut answers.effects) {
                    Some(next) => {
                        *id = next;
                        return;
                    }
                    None => Some("the next page cannot be asked for".to_owned()),
                },
                Ok(false) => None,
                Err(why) => Some(why),
            }
        };
        match failed {
            None => self.resume(id, true, now, &mut answers.effects),
            Some(why) => self.own_list_failed(id, &why, now, &mut answers.effects),
        }
    }

    /// A list of our own will not come: what waits for it is decided on without it.
    pub(super) fn own_list_failed(&self, id: &Id, why: &str, now: Timestamp, effects: &mut Effects) {
        let told = {
            let mut relist = lock(&self.relist);
            let parked = relist.lists.iter_mut().filter(|list| list.id == *id).flat_map(|list| &mut list.parked);
            parked.for_each(|parked| parked.taken.lists = LISTS_MAX);
            Arc::clone(&relist.told)
        };
        not_listed(&self.decider, &self.party.whose(), why, &told);
        self.resume(id, false, now, effects);
    }

    /// Gives up lists that take too long.
    pub(super) fn look_at_list(&self, now: Timestamp, effects: &mut Effects) {
        let late: Vec<Id> = {
            let relist = lock(&self.relist);
            relist.lists.iter().filter(|list| list.since.elapsed() >= LIST_WAIT).map(|list| list.id.clone()).collect()
        };
        for id in late {
            if lock(&self.pending).give_up(&id).is_some() {
                effects.to_server.cancel(&id, "no answer in time");
            }
            self.own_list_failed(&id, &format!("no answer within {} s", LIST_WAIT.as_secs()), now, effects);
        }
    }

    /// Brings what waited for a list to the decider; what the client withdrew meanwhile is left out.
    fn resume(&self, id: &Id, is_whole: bool, now: Timestamp, effects: &mut Effects) {
        let parked = {
            let mut relist = lock(&self.relist);
            let Some(at) = relist.lists.iter().position(|list| list.id == *id) else { return };
            let ListAsked { party, list, parked, .. } = relist.lists.swap_remove(at);
            if is_whole {
                list.whole(&mut party.view(), &self.shared, Instant::now());
            }
            relist.resuming += parked.len();
            parked
        };
        for Parked { taken, asked } in parked {
            self.decide_later(taken, now, asked.as_deref(), effects);
            lock(&self.relist).resuming -= 1;
        }
    }
}
