//! The children of one server, and how many of them there may be.

use super::child::{Child, Refused};
use super::refusal::Refusal;
use crate::gateway::exchange::View;
use crate::gateway::plan::Children;
use crate::policy::Caller;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Sessions of one server that may share children.
pub const SESSIONS_MAX: usize = 16_384;
/// Sessions of one grant that may share a child.
pub const GRANT_SESSIONS_MAX: usize = 8_192;
/// The part of a grant's sessions that is forgotten at a time.
const FORGOTTEN_PART: usize = 8;
/// When to try again where there is no room, in seconds.
pub(super) const SOON: HeaderValue = HeaderValue::from_static("1");

/// Children of one server that may run.
pub const CHILDREN_MAX: usize = 256;
/// Children of one server that may run for one grant, so that no grant takes the place of all others.
pub const GRANT_CHILDREN_MAX: usize = 128;

/// One child and whose it is.
#[derive(Clone, Debug)]
pub(super) struct ChildEntry {
    pub grant: Arc<str>,
    pub child: Arc<Child>,
    /// In whose name its calls are counted: each session has its own, whether or not it shares its child.
    pub caller: Arc<Caller>,
    /// What the session, or the grant without one, was shown of the server's tools.
    pub view: Arc<Mutex<View>>,
    /// When the session was last used.
    pub used: Instant,
}

/// The children of one server.
#[derive(Debug, Default)]
pub(super) struct ChildTable {
    pub sessions: HashMap<Box<str>, ChildEntry>,
    pub shared: HashMap<Arc<str>, Vec<ChildEntry>>,
    /// Children that are being started, by grant.
    pub starting: HashMap<Arc<str>, usize>,
    /// The server is served no more, and whatever began before that starts no child.
    pub is_retired: bool,
}

impl ChildTable {
    pub fn entries(&self) -> impl Iterator<Item = &ChildEntry> {
        self.sessions.values().chain(self.shared.values().flatten())
    }

    /// Children that run or are being started.
    pub fn children(&self) -> usize {
        self.starting.values().sum::<usize>() + different(self.entries())
    }

    /// Children of one grant that run or are being started.
    pub fn children_of(&self, grant: &Arc<str>) -> usize {
        let entries = self.entries().filter(|entry| entry.grant == *grant);
        self.starting.get(grant).copied().unwrap_or(0) + different(entries)
    }

    /// Makes room for one more session of a grant that share children: a grant that has too many, or the most where the
    /// table is full, loses some that it has not used for longest.
    pub fn make_room(&mut self, grant: &Arc<str>) {
        let mut counts: HashMap<&Arc<str>, usize> = HashMap::new();
        self.sessions.values().for_each(|entry| *counts.entry(&entry.grant).or_default() += 1);
        let loser = if counts.get(grant).is_some_and(|count| *count >= GRANT_SESSIONS_MAX) {
            Some(grant)
        } else if self.sessions.len() >= SESSIONS_MAX {
            counts.iter().max_by_key(|(_, count)| **count).map(|(grant, _)| *grant)
        } else {
            None
        };
        let Some(loser) = loser.cloned() else { return };
        let of_loser = self.sessions.iter().filter(|(_, entry)| entry.grant == loser);
        let mut oldest: Vec<(Instant, Box<str>)> = of_loser.map(|(id, entry)| (entry.used, id.clone())).collect();
        oldest.sort_unstable();
        oldest.truncate(oldest.len() / FORGOTTEN_PART);
        oldest.iter().for_each(|(_, id)| drop(self.sessions.remove(id)));
    }
}

/// How many children these are: sessions may share one.
fn different<'e>(entries: impl Iterator<Item = &'e ChildEntry>) -> usize {
    entries.map(|entry| Arc::as_ptr(&entry.child)).collect::<HashSet<_>>().len()
}

/// Whether there is room for one more, in all and for one grant.
pub(super) fn room(all: usize, most: usize, of_grant: usize, most_of_grant: usize, what: &str) -> Result<(), Refusal> {
    let refusal = if all >= most {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("too many {what}"))
    } else if of_grant >= most_of_grant {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, format!("too many {what} for this grant"))
    } else {
        return Ok(());
    };
    Err(refusal.with_header(RETRY_AFTER, SOON))
}

/// The server is served no more, or in another way.
pub(super) fn retired() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is not served like this any more")
        .with_header(RETRY_AFTER, SOON)
}

/// A child that was started and that a request still waits for; else it ends.
pub(super) struct Started(pub Option<Arc<Child>>);

impl Drop for Started {
    fn drop(&mut self) {
        drop(end(self.0.take()));
    }
}

/// A session that its client has not heard of yet; if it never does, no client can use the child.
pub(super) struct Minted(pub Arc<Mutex<ChildTable>>, pub Option<String>);

impl Minted {
    /// The client hears of it now.
    pub fn given_out(&mut self) -> Option<String> {
        self.1.take()
    }
}

impl Drop for Minted {
    fn drop(&mut self) {
        let Some(session) = self.1.take() else { return };
        let entry = self.0.lock().unwrap_or_else(PoisonError::into_inner).sessions.remove(session.as_str());
        drop(end(entry.map(|entry| entry.child)));
    }
}

/// The place of a child that is being started.
pub(super) struct ChildPlace(pub Arc<Mutex<ChildTable>>, pub Arc<str>);

impl Drop for ChildPlace {
    fn drop(&mut self) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = table.starting.get_mut(&self.1) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.starting.remove(&self.1);
            }
        }
    }
}

/// Ends children, each on a thread of its own: it takes as long as the server takes.
pub(super) fn end(children: impl IntoIterator<Item = Arc<Child>>) -> Vec<std::thread::JoinHandle<()>> {
    let thread =
        |child: Arc<Child>| std::thread::Builder::new().name("end-server".to_owned()).spawn(move || child.end()).ok();
    // Sessions may share a child, and it ends once.
    let mut ending = HashSet::new();
    children.into_iter().filter(|child| ending.insert(Arc::as_ptr(child))).filter_map(thread).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_up_to_the_bounds_and_a_share_is_told_from_the_whole() {
        let status = |all, of_grant| room(all, 10, of_grant, 4, "x").err().map(|refusal| refusal.status().as_u16());
        assert_eq!(status(9, 3), None);
        assert_eq!(status(9, 4), Some(429), "others may go on");
        assert_eq!(status(10, 3), Some(503), "nobody may");
        assert_eq!(status(10, 4), Some(503));
    }
}

/// The children of one server, and the grants for which one is being started.
#[derive(Debug)]
pub struct CommandServer {
    pub(super) children: Children,
    pub(super) table: Arc<Mutex<ChildTable>>,
    /// Held, for each grant, while a child is started that it shares.
    opening: Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>,
}

impl CommandServer {
    /// For a command. Nothing is started before the first client asks.
    pub fn new(children: Children) -> Self {
        Self { children, table: Arc::default(), opening: Mutex::default() }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, ChildTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose turn it is to start a child that this grant shares.
    pub(super) fn opening(&self, grant: &Arc<str>) -> Arc<tokio::sync::Mutex<()>> {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(opening.entry(Arc::clone(grant)).or_default())
    }

    /// Its tools may appear otherwise from now on: clients are told.
    pub fn appears_otherwise(&self) {
        let mut entries: Vec<ChildEntry> = self.table().entries().cloned().collect();
        // Sessions may share a child.
        let mut told = HashSet::new();
        entries.retain(|entry| told.insert(Arc::as_ptr(&entry.child)));
        entries.iter().for_each(|entry| entry.child.list_changed());
    }

    /// What time brings: calls that wait are looked at, and children that no client uses are ended. Blocks.
    pub fn tick(&self) {
        let entries: Vec<ChildEntry> = {
            let mut table = self.table();
            let idle = self.children.idle;
            let is_over = |entry: &ChildEntry| entry.child.is_gone() || entry.child.idle() >= idle;
            let mut over: Vec<Arc<Child>> = Vec::new();
            let mut keep = |entry: &ChildEntry| {
                let is_over = is_over(entry);
                if is_over {
                    over.push(Arc::clone(&entry.child));
                }
                !is_over
            };
            table.sessions.retain(|_, entry| keep(entry));
            table.shared.values_mut().for_each(|entries| entries.retain(&mut keep));
            table.shared.retain(|_, entries| !entries.is_empty());
            end(over);
            table.entries().cloned().collect()
        };
        // No request holds or waits for the turns of grants that are only kept here.
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        opening.retain(|_, turn| Arc::strong_count(turn) > 1);
        drop(opening);
        let mut seen = HashSet::new();
        for entry in entries.iter().filter(|entry| seen.insert(Arc::as_ptr(&entry.child))) {
            entry.child.tick();
        }
    }

    /// Sessions that are open.
    pub fn sessions(&self) -> usize {
        self.table().sessions.len()
    }

    /// Ends all children, each on a thread of its own.
    pub fn begin_to_end(&self) -> Vec<std::thread::JoinHandle<()>> {
        let none = ChildTable { is_retired: true, ..ChildTable::default() };
        let table = std::mem::replace(&mut *self.table(), none);
        end(table.entries().map(|entry| Arc::clone(&entry.child)))
    }

    /// Ends all children. Blocks until they are gone.
    pub fn end(&self) {
        for thread in self.begin_to_end() {
            // A thread that failed has nothing more to end.
            let _ = thread.join();
        }
    }
}

/// What a client hears of a child that takes no message.
pub(super) fn refused(error: Refused) -> Refusal {
    match error {
        Refused::Gone => Refusal::new(StatusCode::BAD_GATEWAY, "the server is gone"),
        Refused::Busy => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server does not read what it is sent")
            .with_header(RETRY_AFTER, SOON),
    }
}
